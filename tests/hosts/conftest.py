"""A cluster of real node processes on loopback addresses, for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hosts import control
from hosts.client import Client

DEADLINE_S = 60.0

settings.register_profile("no time limits", deadline=None)
settings.load_profile("no time limits")


def eventually(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until ``condition`` gives something true, and return that."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.02)


class LocalCluster:
    """Members 1, 2, ... at 127.0.0.1, 127.0.0.2, ..., all at one port."""

    def __init__(
        self, folder: Path, members: int = 3, groups: tuple[int, ...] = (1,), extra: str = "", spares: int = 0
    ) -> None:
        """``spares`` more may be added later; ``start`` starts members only, unless told."""
        self.folder = folder
        self.members = range(1, members + 1)
        self.port = free_port(members + spares)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.config = folder / "cluster.yaml"
        lines = [f"port: {self.port}", f"data: {folder / 'nodes'}", extra, "groups:"]
        for group in groups:
            inside = ", ".join(f"{member}: 127.0.0.{member}" for member in self.members)
            more = ", ".join(f"{members + one}: 127.0.0.{members + one}" for one in range(1, spares + 1))
            lines.append(f"  - {{id: {group}, members: {{{inside}}}, spares: {{{more}}}}}")
        self.config.write_text("\n".join(lines) + "\n")

    def address(self, member: int) -> tuple[str, int]:
        return f"127.0.0.{member}", self.port

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [self.address(member) for member in self.members]

    def start(self, *members: int, options: tuple[str, ...] = ()) -> None:
        for member in members or self.members:
            with (self.folder / f"node{member}.log").open("ab") as log:
                self.processes[member] = subprocess.Popen(
                    [sys.executable, "-m", "hosts.node", "--config", str(self.config), "--id", str(member), *options],
                    stdout=log,
                    stderr=log,
                )

    def kill(self, *members: int, how: signal.Signals = signal.SIGKILL) -> None:
        for member in members or tuple(self.processes):
            process = self.processes.pop(member)
            process.send_signal(how)
            process.wait(DEADLINE_S)

    def output(self, member: int) -> str:
        return (self.folder / f"node{member}.log").read_text()

    def ask(self, member: int, /, **request: Any) -> list[dict[str, Any]]:
        path = self.folder / "nodes" / f"node{member}" / "control.sock"
        return list(control.ask(path, request, timeout_s=30))

    def status(self, member: int) -> dict[str, Any] | None:
        try:
            return self.ask(member, cmd="status")[0]
        except (OSError, IndexError):
            return None

    def await_running(self, *members: int) -> None:
        """Wait until they answer on their control sockets, so have read all that they read at their start."""
        for member in members:
            eventually(lambda member=member: self.status(member), f"member {member} runs")

    def group_status(self, member: int, group: int = 1) -> dict[str, Any] | None:
        status = self.status(member)
        return next(iter(g for g in status["groups"] if g["group"] == group), None) if status else None

    def leader(self, group: int = 1) -> int:
        """Waits for a running member that leads and has committed in its term, with a quorum behind it."""

        def find() -> int:
            found = [
                (status["term"], member)
                for member in self.processes
                if (status := self.group_status(member, group)) and status["role"] == "leader" and status["commit"]
            ]
            return max(found)[1] if found else 0

        return int(eventually(find, "a leader"))

    def change(self, wanted: Callable[[dict[str, Any]], bool], group: int = 1, **request: Any) -> dict[str, Any]:
        """Have the leader begin a change, again if it is lost, until ``wanted`` likes the leader's members."""

        def attempt() -> dict[str, Any] | None:
            try:
                leader = self.leader(group)
                shown = self.ask(leader, cmd="members", group=group)[0]
                if wanted(shown) and not shown["changing"]:
                    return shown
                answer = self.ask(leader, group=group, **request)[0]
                assert answer["ok"] or answer.get("busy") or "leader" in answer, answer
            except (OSError, IndexError):
                pass
            time.sleep(0.1)
            return None

        found = eventually(attempt, f"{request}")
        assert isinstance(found, dict)
        return found

    def values(self, member: int, group: int = 1) -> list[Any]:
        """The applied list as the control socket shows it, in JSON's terms."""
        *items, last = self.ask(member, cmd="log", group=group)
        assert last["ok"] and last["count"] == len(items)
        return [item["value"] for item in items]

    def agree(self, count: int, group: int = 1) -> list[Any]:
        """Waits until all running members have applied the same list of at least ``count`` values."""

        def look() -> list[Any] | None:
            try:
                lists = [self.values(member, group) for member in self.processes]
            except OSError:
                return None
            return lists[0] if len(lists[0]) >= count and all(item == lists[0] for item in lists) else None

        agreed = eventually(lambda: count == 0 or look(), f"{count} equal values on all nodes")
        return agreed if isinstance(agreed, list) else []

    def client(self, **options: Any) -> Client:
        options.setdefault("timeout_s", DEADLINE_S)
        return Client(self.addresses, **options)

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
        self.kill()


def free_port(members: int) -> int:
    """A UDP port below the ephemeral range that is free at 127.0.0.1 to 127.0.0.<members>."""
    start = 20_000 + os.getpid() % 5_000
    for port in range(start, start + 5_000):
        sockets = []
        try:
            for member in range(1, members + 1):
                sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sockets[-1].bind((f"127.0.0.{member}", port))
            return port
        except OSError:
            continue
        finally:
            for opened in sockets:
                opened.close()
    raise AssertionError("no free port")


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., LocalCluster]]:
    made: list[LocalCluster] = []

    def make(**options: Any) -> LocalCluster:
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(LocalCluster(folder, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def cluster(make_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    """Three running members."""
    made = make_cluster()
    made.start()
    return made
