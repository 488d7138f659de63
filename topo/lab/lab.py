"""The lab: Mininet, switches, controller and nodes, owned by one process from start to stop."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from topo import paths, topology
from topo.errors import LabError, UsageError
from topo.lab import configs, fabric, interface_alias, namespace, program, switches
from topo.lab.links import Links
from topo.lab.options import Options
from topo.lab.process import TOKEN_VARIABLE, Child, Process, end
from topo.lab.record import Record, Running, boot_id, index_of, load, remove_interfaces, remove_leftovers
from topo.lab.waiting import (
    times_programmed,
    until,
    wait_for_controller,
    wait_for_leader,
    wait_for_node,
    wait_for_programmed,
)
from topo.root import check_root

TOOLS = {"mnexec": "mininet", "ip": "iproute2", "tc": "iproute2", "ethtool": "ethtool", "ifconfig": "net-tools"}
Say = Callable[[str], None]


class Lab:
    """One lab. start(), then anything below from any thread, then stop(): after a failed start too."""

    def __init__(self, options: Options, say: Say) -> None:
        self.options = options
        self.choice = switches.choose(options.switch, options.compiler)
        self.topology = topology.find(options.topology)
        if options.snapshot_entries is not None:
            self.topology = replace(self.topology, snapshot_entries=options.snapshot_entries)
        self.net: fabric.Fabric | None = None
        self.children: dict[str, Child] = {}
        self._say = say
        self._lock_file: int | None = None
        self._changing = threading.RLock()
        self._record: Record | None = None

    # --- start and stop -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up; returns once a leader serves (with nodes=manual: once switches are programmed).
        Raises LabError that says what went wrong; call stop() then as well."""
        self._say(str(self.choice))
        check_root("the lab")
        _check_tools()
        self._lock()
        self._remove_last()
        self._remove_crashed()
        self._check_free()
        compiled = program.compile_if_changed(self.choice.compiler, self.topology.port)
        artifact = paths.shown(paths.build() / program.OUTPUTS[0])
        self._say(f"Program: p4/raft.p4 -> {artifact} ({'compiled' if compiled else 'unchanged'})")
        self._prepare_folders()
        self._begin_record()
        self._make_children()
        self._build_network()
        self._start_controller()
        if self.options.nodes == "auto":
            self._start_nodes()

    def stop(self) -> list[str]:
        """End and remove everything. Returns what could not be removed."""
        with self._changing:
            problems: list[str] = []
            if self._record is not None:
                end(child.process for child in self.children.values() if child.process is not None)
                for child in self.children.values():
                    child.kill()
                if self.net is not None:
                    try:
                        self.net.stop()
                    except Exception as error:  # Mininet's; what it left is removed by the record
                        problems.append(f"Mininet: {error}")
                problems = remove_leftovers(self._record)
                self._record = None
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None
            return problems

    def _lock(self) -> None:
        paths.make(paths.lab())
        self._lock_file = os.open(paths.lock(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock_file)
            self._lock_file = None
            running = load()
            what = f" ({running.topology}, process {running.lab.pid})" if running else ""
            raise LabError(f"a lab runs already{what}: use that one, or end it with: switchraft stop") from None

    def _remove_last(self) -> None:
        last = load()
        if last is not None:
            self._say("The last lab did not end well: removing what it left")
            problems = remove_leftovers(last)
            if problems:
                raise LabError("; ".join(problems))

    def _remove_crashed(self) -> None:
        """Remove what crashed labs of other checkouts left in this one's way."""
        for interface in self._interfaces():
            mark = interface_alias.of(interface)
            if mark is None or not mark.dead:
                continue
            self._say(f"A lab in {mark.folder.parent} did not end well: removing what it left")
            try:
                record = load(mark.folder)
            except LabError:  # damaged: it tells no more than none
                record = None
            if record is not None and record.lab == mark.owner:
                problems = remove_leftovers(record, mark.folder)
            else:
                problems = remove_interfaces({interface: index_of(interface)})
            if problems:
                raise LabError("; ".join(problems))

    def _check_free(self) -> None:
        for interface in self._interfaces():
            if not index_of(interface):
                continue
            mark = interface_alias.of(interface)
            if mark is not None:
                raise LabError(
                    f"interface {interface} exists already: a lab in {mark.folder.parent} runs (process"
                    f" {mark.owner.pid}); end that first, with `make stop` in its checkout"
                )
            raise LabError(
                f"interface {interface} exists already, made by another Mininet? End that first"
                f" (or remove the interface: ip link delete {interface})"
            )
        for switch in self.topology.switches:
            for purpose, port in switches.ports_of(self.choice.switch, switch).items():
                switches.check_port_free(switch.name, purpose, port)

    def _interfaces(self) -> list[str]:
        """The interfaces in the root namespace: the switches'."""
        return [name for switch in self.topology.switches for name in self.topology.ports(switch.name).values()]

    def _prepare_folders(self) -> None:
        if not self.options.keep and paths.nodes().exists():
            last = paths.lab() / "nodes.last"
            shutil.rmtree(last, ignore_errors=True)
            paths.nodes().rename(last)
            self._say(f"Nodes begin with empty logs (--keep carries on); the last lab's are in {paths.shown(last)}")
        for folder in (paths.lab(), paths.logs(), paths.nodes(), paths.pcaps()):
            paths.make(folder)
        for log in paths.logs().glob("*.log"):
            if log.name != "lab.log":
                log.unlink()
        source = topology.FOLDER / f"{self.options.topology}{topology.SUFFIX}"
        shutil.copyfile(source if source.is_file() else self.options.topology, paths.lab() / "topology.yaml")
        configs.write(self.topology)

    @property
    def holders(self) -> dict[str, Process]:
        """The processes that hold the hosts' namespaces."""
        return {} if self._record is None else dict(self._record.hosts)

    def _begin_record(self) -> None:
        token = secrets.token_hex(16)
        os.environ[TOKEN_VARIABLE] = token
        os.environ["SWITCHRAFT_CLUSTER"] = str(paths.cluster())
        os.environ["P4SWITCH_CACHE"] = str(paths.build() / "p4switch-cache")
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        own = Process.of(os.getpid())
        assert own is not None
        self._record = Record(
            token=token,
            boot=boot_id(),
            lab=own,
            topology=self.topology.name,
            switch=self.choice.switch,
            interfaces=dict.fromkeys(self._interfaces(), 0),
        )
        self.write_record()

    def _make_children(self) -> None:
        for switch in self.topology.switches:
            line = switches.command(self.choice.switch, switch, self.topology.ports(switch.name))
            self._add(switch.name, "switch", line)
        network = str(paths.network())
        self._add("controller", "controller", [sys.executable, "-m", "controller", "--network", network])

    def _add(self, name: str, kind: str, line: list[str]) -> Child:
        child = Child(name, kind, line, paths.logs() / f"{name}.log", os.environ, paths.ROOT)
        self.children[name] = child
        return child

    def _build_network(self) -> None:
        started = time.monotonic()
        assert self._record is not None
        owner = self._record.lab
        self.net = fabric.build(
            self.topology, self.children, lambda name: interface_alias.put(name, owner, paths.lab())
        )
        self._record = replace(
            self._record,
            interfaces={name: index_of(name) for name in self._record.interfaces},
            hosts={host.name: fabric.holder(self.net[host.name]) for host in self.topology.hosts},
        )
        self.write_record()
        self.net.start()
        for host in self.topology.hosts:
            self.net[host.name].cmd(f"export SWITCHRAFT_CLUSTER={paths.cluster(self.topology.cluster_of(host.name))}")
        self.write_record()
        counts = (len(self.topology.switches), "switches"), (len(self.topology.hosts), "hosts")
        parts = [f"{count} {what}" for count, what in (*counts, (len(self.topology.links), "links"))]
        self._say(f"Network: {self.topology.name}: {', '.join(parts)} ({time.monotonic() - started:.1f} s)")

    def _start_controller(self) -> None:
        started = time.monotonic()
        self.children["controller"].start()
        self.write_record()
        wait_for_controller(self.children, [switch.name for switch in self.topology.switches])
        self._say(f"Controller: all switches are programmed ({time.monotonic() - started:.1f} s)")

    def _start_nodes(self) -> None:
        started = time.monotonic()
        for name in self.topology.members:
            self._node(name).start()
        self.write_record()
        text = wait_for_leader(self.children, self.topology)
        self._say(f"Nodes: {', '.join(self.topology.members)}: {text} ({time.monotonic() - started:.1f} s)")

    def _node(self, name: str) -> Child:
        number = self.topology.node_id(name)
        if name not in self.children:
            assert self._record is not None
            config = str(paths.cluster(self.topology.cluster_of(name)))
            line = [sys.executable, "-m", "hosts.node", "--config", config, "--id", str(number)]
            self._add(name, "node", namespace.wrap(self._record.hosts[name], line))
        return self.children[name]

    def serve(self) -> None:
        """Say in the record that the lab is up."""
        assert self._record is not None
        self._record = self._record.with_state("serving")
        self.write_record()

    def start_page(self) -> None:
        """Serve the page, unless somebody does already, and say where. A lab without it is a lab all the same."""
        from topo.live import meeting

        try:
            served = meeting.ask({"cmd": "address"})
            if served is None:
                page = self._add("page", "page", [sys.executable, "-m", "topo.cli", "web", "--silent"])
                page.start()
                self.write_record()
                served = until("page's answer", lambda: meeting.ask({"cmd": "address"}), [page])
            self._say(f"Page, good once (another: switchraft web): {served['address']}")
        except LabError as error:
            self._say(f"The lab's page is not served: {error}")

    def write_record(self) -> None:
        """Write down what runs now, and hand what it wrote to the user who called sudo."""
        with self._changing:
            if self._record is None:
                return
            running = []
            for child in self.children.values():
                process = child.process
                state = "paused" if child.paused else "running" if process else f"dead ({child.exit_text})"
                at = process or Process(0, 0)
                running.append(Running(child.name, child.kind, at.pid, at.started, state, str(child.log)))
            self._record = replace(self._record, processes=tuple(running))
            self._record.write()
            paths.give_all(paths.lab())

    # --- what may be done to it -----------------------------------------------------------------------------------

    @property
    def links(self) -> Links:
        assert self.net is not None
        links: Links = self.net.links_of_lab
        return links

    def node(self, action: str, name: str) -> str:
        """kill, start, pause or resume the node on host ``name``. Returns what was done. Raises LabError."""
        return self._change(self._node(name), action, lambda child: wait_for_node(child, name))

    def switch(self, action: str, name: str) -> str:
        """kill, start, restart, pause or resume a switch. A started one is waited for until it is programmed."""
        self.topology.switch(name)
        child, before = self.children[name], times_programmed(name)

        def wait(child: Child) -> str:
            return wait_for_programmed(child, self.children["controller"], before)

        if action == "restart":
            with self._changing:
                child.kill()
            return self._change(child, "start", wait).replace("started", "restarted")
        return self._change(child, action, wait)

    def controller(self, action: str) -> str:
        """kill, start, pause or resume the controller."""
        names = [switch.name for switch in self.topology.switches if self.children[switch.name].process is not None]

        def wait(_: Child) -> str:
            wait_for_controller(self.children, names)
            return "its switches are programmed"

        return self._change(self.children["controller"], action, wait)

    def obituaries(self) -> list[str]:
        """What has ended without being told to, and what it printed before."""
        return [f"{child.name} has ended: {child.obituary()}" for child in self.children.values() if child.failed]

    def _change(self, child: Child, action: str, wait: Callable[[Child], str]) -> str:
        with self._changing:
            what = f"{child.kind} {child.name}" if child.kind != child.name else child.name
            if action == "start":
                if child.process is not None:
                    raise LabError(f"{what} is paused: resume it" if child.paused else f"{what} runs already")
                child.start()
            elif child.process is None:
                raise LabError(f"{what} does not run: {child.obituary()}")
            elif action == "kill":
                child.kill()
            elif action == "pause":
                child.pause()
            elif action == "resume":
                child.resume()
            else:
                raise UsageError(f"unknown action {action!r}: choose kill, start, restart, pause or resume")
            self.write_record()
        done = {"kill": "killed", "start": "started", "pause": "paused", "resume": "resumed"}[action]
        if action != "start":
            return f"{what} {done}"
        try:
            return f"{what} {done}: {wait(child)}"
        finally:
            self.write_record()


def _check_tools() -> None:
    missing = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if missing:
        raise LabError(f"Debian packages are missing: {', '.join(sorted(missing))}; install them with: make setup")
