"""The systems that are compared: how each is started and stopped, who leads, and what puts load on it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

from bench.consensus import etcd
from bench.consensus.grounds import Ground, Timing
from bench.consensus.window import Lengths
from hosts import config
from hosts.control import socket as control
from topo import paths
from topo.errors import LabError
from topo.lab.process import printed

START_S = 60.0
STOP_S = 10.0

Found = TypeVar("Found")


class Loaded(Protocol):
    """A replicated store that runs on a ground. Data on disk stays from one start to the next."""

    name: str

    def start(self) -> None:
        """Start all members; returns once the first of them leads, so that the ways to it are always as long. Raises
        LabError."""

    def stop(self) -> None: ...

    def load(self, outstanding: int, size: int, lengths: Lengths) -> dict[str, float]:
        """Load it from the client's place; ``bench.consensus.window.Window.figures``."""


class System(Loaded, Protocol):
    """One whose members can be killed."""

    def leadership(self) -> tuple[int | None, int]:
        """Who leads, None if nobody does, and the highest term."""

    def pulse_words(self) -> list[str]:
        """Options of ``bench.consensus.pulse`` that say whom to ask."""

    def kill(self, member: int) -> None:
        """kill -9."""

    def revive(self, member: int) -> None:
        """Start it again with the data it had."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """In the main thread: a signal that asks this process to end waits until the block is done."""
    asked: list[tuple[int, FrameType | None]] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *told: asked.append(told)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for asked_by, frame in asked:
        handler = before[signal.Signals(asked_by)]
        if callable(handler):
            handler(asked_by, frame)
        elif handler == signal.SIG_DFL:
            os.kill(os.getpid(), asked_by)


class Servers:
    """Member processes on a ground, started by ``command(member)``, with what they say in files."""

    def __init__(self, ground: Ground, name: str, command: Callable[[int], Sequence[str]]) -> None:
        self._ground, self._name, self._command = ground, name, command
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, member: int) -> None:
        log = self._ground.folder / f"{self._name}-{member}.log"
        with log.open("ab") as out:
            command = self._ground.at_member(member, self._command(member))
            with uninterrupted():
                self._running[member] = subprocess.Popen(command, stdout=out, stderr=out, cwd=paths.ROOT)

    def check(self) -> None:
        """Raises LabError with what it said last if one has ended."""
        for member, process in self._running.items():
            if process.poll() is not None:
                log = self._ground.folder / f"{self._name}-{member}.log"
                raise LabError(f"{self._name} {member} has ended (code {process.returncode}); {printed(log)}")

    def kill(self, member: int) -> None:
        process = self._running[member]
        process.kill()
        process.wait()
        del self._running[member]

    def stop(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def pid_of(self, member: int) -> int:
        return self._running[member].pid

    def pids(self) -> list[int]:
        return [process.pid for process in self._running.values()]


class Switchraft:
    """This project's nodes."""

    name = "switchraft"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._cluster = config.load(ground.cluster)
        self._servers = Servers(ground, self.name, self._node)
        self.kill, self.revive, self.pids = self._servers.kill, self._servers.start, self._servers.pids
        self.pid_of = self._servers.pid_of

    def _node(self, member: int) -> list[str]:
        return [sys.executable, "-m", "hosts.node", "--config", str(self._ground.cluster), "--id", str(member)]

    def start(self) -> None:
        for member in self._ground.addresses:
            self._servers.start(member)
        _until("leader in each group", self._is_led, self._servers.check)
        _until("leader where it should be", self._is_led_by_first, self._servers.check)

    def stop(self) -> None:
        self._servers.stop()

    def load(self, outstanding: int, size: int, lengths: Lengths) -> dict[str, float]:
        words = [*self.pulse_words(), "--group", *map(str, self._ground.groups)]
        return run_load(self._ground, "bench.consensus.load", words, outstanding, size, lengths, self.pids())

    def pulse_words(self) -> list[str]:
        servers = self._ground.servers(next(iter(self._ground.groups)))
        words = [word for server in servers for word in ("--server", server)]
        return [*words, "--bind", self._ground.client]

    def leadership(self) -> tuple[int | None, int]:
        """Leader and term of the first group."""
        told = [groups[0] for groups in self._ask_everyone().values()]
        term = max((group["term"] for group in told), default=0)
        leaders = [group["leader"] for group in told if group["role"] == "leader" and group["term"] == term]
        return (leaders[0] if leaders else None), term

    def settled_term(self) -> int:
        """The highest term of the first group whose leader has committed all that it holds, 0 if it has none."""
        told = [groups[0] for groups in self._ask_everyone().values()]
        led = [one["term"] for one in told if one["role"] == "leader" and one["commit"] == one["last_index"]]
        return max(led, default=0)

    def _is_led(self) -> bool:
        """Whether each group has a leader that a majority follows."""
        told = list(self._ask_everyone().values())
        for at in range(len(self._ground.groups)):
            leaders = [groups[at]["leader"] for groups in told]
            if not any(one and leaders.count(one) > len(self._ground.addresses) // 2 for one in leaders):
                return False
        return True

    def _is_led_by_first(self) -> bool:
        """Whether the first member leads each group; has leadership handed to it where it does not."""
        first = min(self._ground.addresses)
        told = self._ask_everyone()
        away = False
        for at, group in enumerate(self._ground.groups):
            leader = next((groups[at]["id"] for groups in told.values() if groups[at]["role"] == "leader"), None)
            if leader is not None and leader != first:
                path = self._cluster.folder_of(leader) / "control.sock"
                with contextlib.suppress(OSError, ValueError):
                    list(control.ask(path, {"cmd": "transfer", "group": group, "member": first}, 1.0))
            away = away or leader != first
        return not away

    def _ask_everyone(self) -> dict[int, list[dict[str, Any]]]:
        told = {}
        for member in self._ground.addresses:
            path = self._cluster.folder_of(member) / "control.sock"
            try:
                told[member] = next(control.ask(path, {"cmd": "status"}, 1.0))["groups"]
            except (OSError, ValueError, StopIteration):
                continue
        return told


class Etcd:
    """etcd; the client asks the leader itself, which suits it best."""

    name = "etcd"

    def __init__(self, ground: Ground, timing: Timing) -> None:
        self._ground = ground
        folder = paths.make(ground.folder / "etcd")
        self._servers = Servers(
            ground,
            self.name,
            lambda member: etcd.command(member, ground.addresses, folder, timing.heartbeat, timing.election_timeout),
        )
        self.kill, self.revive, self.pids = self._servers.kill, self._servers.start, self._servers.pids
        self.leader = 0

    def start(self) -> None:
        for member in self._ground.addresses:
            self._servers.start(member)
        self.leader = min(self._ground.addresses)
        _until("leader of etcd", lambda: self._ask("--move")["leader"] == 0, self._servers.check)

    def stop(self) -> None:
        self._servers.stop()

    def load(self, outstanding: int, size: int, lengths: Lengths) -> dict[str, float]:
        words = ["--server", self.client_url(self.leader)]
        return run_load(self._ground, "bench.consensus.etcd_load", words, outstanding, size, lengths, self.pids())

    def pulse_words(self) -> list[str]:
        return ["--etcd", *map(self.client_url, self._ground.addresses)]

    def client_url(self, member: int) -> str:
        return f"{self._ground.addresses[member]}:{etcd.CLIENT_PORT}"

    def leadership(self) -> tuple[int | None, int]:
        told = self._ask()
        return (None if told["leader"] is None else list(self._ground.addresses)[told["leader"]]), told["term"]

    def _ask(self, *words: str) -> dict[str, Any]:
        """What ``bench.consensus.etcd`` prints."""
        command = [sys.executable, "-m", "bench.consensus.etcd", *words, *self._ground.addresses.values()]
        told: dict[str, Any] = json.loads(_output(self._ground.at_client(command)))
        return told

    def check_perf(self, load: str) -> str:
        """What ``etcdctl check perf`` says: its own client, values of 1 KiB, a rate that it tries to keep up."""
        words = ["etcdctl", "--endpoints", self.client_url(self.leader), "check", "perf", f"--load={load}"]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(
            self._ground.at_client(words), stdout=subprocess.PIPE, text=True, env=environment, check=False
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]
        return "; ".join(lines) or "etcdctl check perf said nothing"


def run_load(
    ground: Ground,
    module: str,
    words: Sequence[str],
    outstanding: int,
    size: int,
    lengths: Lengths,
    watch: Sequence[int],
) -> dict[str, float]:
    """Run a load in the client's place. Raises LabError."""
    command = [sys.executable, "-m", module, *words, "--outstanding", str(outstanding), "--value-bytes", str(size)]
    for name, value in asdict(lengths).items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    command += ["--watch", *map(str, watch), "--switches", *map(str, ground.switches)]
    figures: dict[str, float] = json.loads(_output(ground.at_client(command)))
    return figures


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=paths.ROOT, check=False)
    if done.returncode != 0:
        raise LabError(f"{Path(command[0]).name} failed (exit code {done.returncode}); its words are above")
    return done.stdout


def _until(what: str, look: Callable[[], Found | None], check: Callable[[], None]) -> Found:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        check()
        time.sleep(0.05)
    raise LabError(f"no {what} within {START_S:.0f} s")
