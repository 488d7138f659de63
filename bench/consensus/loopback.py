"""A cluster of node processes on loopback addresses, without a lab: for ``bench catchup`` and ``bench bulk``, and for
tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from bench.record import shown
from hosts.client.blocking import Client
from hosts.control import socket as control
from topo.errors import LabError
from topo.lab.process import printed

PATIENCE_S = 120.0
MEMBERS = (1, 2, 3)
PORTS = range(26_500, 27_500)


class Stuck(LabError):
    """What was waited for did not come about."""


class NodeProcess(Protocol):
    """What is needed of ``subprocess.Popen``."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def send_signal(self, number: signal.Signals, /) -> None: ...


class NodeProcesses:
    """Members 1, 2, ... at 127.0.0.1, 127.0.0.2, ..., at one port, each a process that writes into ``folder``."""

    def __init__(
        self, folder: Path, members: int = 3, groups: Sequence[int] = (1,), extra: str = "", spares: int = 0
    ) -> None:
        """``spares`` more may be added later; ``start`` starts members only, unless told. ``extra``: more
        lines of the cluster file."""
        self.folder = folder
        self.members = range(1, members + 1)
        self.port = free_port([self.host(member) for member in range(1, members + spares + 1)])
        self.processes: dict[int, NodeProcess] = {}
        self.config = folder / "cluster.yaml"
        lines = [f"port: {self.port}", f"data: {folder / 'nodes'}", extra, "groups:"]
        for group in groups:
            inside = ", ".join(f"{member}: {self.host(member)}" for member in self.members)
            more = ", ".join(f"{members + one}: {self.host(members + one)}" for one in range(1, spares + 1))
            lines.append(f"  - {{id: {group}, members: {{{inside}}}, spares: {{{more}}}}}")
        self.config.write_text("\n".join(lines) + "\n")

    @staticmethod
    def host(member: int) -> str:
        """A member's address."""
        return f"127.0.0.{member}"

    def address(self, member: int) -> tuple[str, int]:
        return self.host(member), self.port

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [self.address(member) for member in self.members]

    def client(self, **options: Any) -> Client:
        return Client(self.addresses, **options)

    def data(self, member: int) -> Path:
        """Where it keeps its log."""
        return self.folder / "nodes" / f"node{member}"

    def node_command(self, member: int) -> list[str]:
        return [sys.executable, "-m", "hosts.node", "--config", str(self.config), "--id", str(member)]

    def start(self, *members: int, options: tuple[str, ...] = ()) -> None:
        for member in members or self.members:
            with (self.folder / f"node{member}.log").open("ab") as log:
                command = [*self.node_command(member), *options]
                self.processes[member] = self.launch(command, log.fileno())

    def launch(self, command: Sequence[str], output: int) -> NodeProcess:
        """A node by this command, which writes to the file of this descriptor."""
        return subprocess.Popen(command, stdout=output, stderr=output)

    def kill(self, *members: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End some, or all that run."""
        for member in members or tuple(self.processes):
            process = self.processes.pop(member)
            process.send_signal(how)
            process.wait(PATIENCE_S)

    def stop(self) -> None:
        """End all, also those that are paused."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
        self.kill()

    def output(self, member: int) -> str:
        return (self.folder / f"node{member}.log").read_text()

    def ask(self, member: int, /, **request: Any) -> list[dict[str, Any]]:
        """What its control socket answers. Raises OSError."""
        return list(control.ask(self.data(member) / "control.sock", request, timeout_s=30))

    def status(self, member: int) -> dict[str, Any] | None:
        """None if it does not answer."""
        try:
            return self.ask(member, cmd="status")[0]
        except (OSError, IndexError):
            return None

    def group_status(self, member: int, group: int = 1) -> dict[str, Any] | None:
        status = self.status(member)
        return next(iter(g for g in status["groups"] if g["group"] == group), None) if status else None

    def find_leader(self, group: int = 1) -> int:
        """A running member that leads and has committed in its term, with a quorum behind it; 0 if there is none."""
        found = [
            (status["term"], member)
            for member in self.processes
            if (status := self.group_status(member, group)) and status["role"] == "leader" and status["commit"]
        ]
        return max(found)[1] if found else 0


class Loopback(NodeProcesses):
    """Three members, in a folder that goes with them."""

    def __init__(self, extra: str = "", folder: str | None = None) -> None:
        """``folder``: where the nodes write; a disk that syncs."""
        self._temporary = tempfile.TemporaryDirectory(prefix="switchraft-bench-", dir=folder)
        super().__init__(Path(self._temporary.name), len(MEMBERS), extra=extra)

    def __enter__(self) -> Loopback:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._temporary.cleanup()

    def leader(self) -> int:
        """Waits for one."""
        return int(self.wait(self.find_leader, "a leader"))

    def wait(self, condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
        """Until ``condition`` gives something true. Raises Stuck; a node that has ended by itself is one reason."""
        end = time.monotonic() + patience_s
        while True:
            for member, process in self.processes.items():
                if process.poll() is not None:
                    log = self.folder / f"node{member}.log"
                    raise Stuck(f"member {member} has ended (code {process.returncode}); {printed(log)}")
            result = condition()
            if result:
                return result
            if time.monotonic() > end:
                raise Stuck(f"not within {patience_s:.0f} s: {what}")
            time.sleep(0.02)

    def disk_bytes(self, member: int) -> int:
        """What the member's files take on the disk."""
        total = 0
        for folder, _, names in os.walk(self.data(member)):
            for name in names:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512
                except FileNotFoundError:
                    continue
        return total

    def memory_bytes(self, member: int, what: str = "VmRSS") -> int:
        """Resident memory, or with "VmHWM" the most that it ever was."""
        for line in Path(f"/proc/{self.processes[member].pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) * 1024
        return 0


@contextmanager
def load(cluster: Loopback, outstanding: int, value_bytes: int) -> Iterator[subprocess.Popen[bytes]]:
    """A client process (``bench.consensus.load``) that keeps appending until the end of the block."""
    command = [sys.executable, "-m", "bench.consensus.load", "--outstanding", str(outstanding)]
    command += ["--value-bytes", str(value_bytes), "--seconds", "100000", "--warmup", "0", "--at-most", "100000"]
    for address, port in cluster.addresses:
        command += ["--server", f"{address}:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port(addresses: Sequence[str]) -> int:
    """A UDP port below the ephemeral ones that nobody uses at any of these addresses. Raises Stuck.

    Each process begins its search elsewhere: two that look at the same time would take the same one.
    """
    for number in range(os.getpid(), os.getpid() + len(PORTS)):
        port = PORTS[number % len(PORTS)]
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            for address in addresses:
                opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((address, port))
            return port
    raise Stuck(f"no UDP port of {PORTS.start} to {PORTS.stop - 1} is free on loopback")


def show(figures: dict[str, Any], as_json: bool) -> None:
    """The figures, for programs or for people."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"  {name:<{width}}  {shown(value)}")
