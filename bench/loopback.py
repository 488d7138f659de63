"""A cluster of node processes on loopback addresses, without a lab, for ``bench catchup`` and ``bench bulk``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from hosts import control
from hosts.client import Client

PATIENCE_S = 120.0
MEMBERS = (1, 2, 3)


class Stuck(RuntimeError):
    """What was waited for did not come about."""


class Loopback:
    """Members 1, 2, 3 at 127.0.0.N, in a folder that goes with them."""

    def __init__(self, extra: str = "", folder: str | None = None) -> None:
        """``extra``: more lines of the cluster file. ``folder``: where the nodes write; a disk that syncs."""
        self._folder = tempfile.TemporaryDirectory(prefix="switchraft-bench-", dir=folder)
        self.path = Path(self._folder.name)
        self.port = _free_port()
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.config = self.path / "cluster.yaml"
        members = ", ".join(f"{member}: 127.0.0.{member}" for member in MEMBERS)
        lines = [f"port: {self.port}", f"data: {self.path / 'nodes'}", extra, "groups:"]
        self.config.write_text("\n".join([*lines, f"  - {{id: 1, members: {{{members}}}}}", ""]))

    def __enter__(self) -> Loopback:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(*self.processes)
        self._folder.cleanup()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(f"127.0.0.{member}", self.port) for member in MEMBERS]

    def client(self, **options: Any) -> Client:
        return Client(self.addresses, **options)

    def start(self, *members: int) -> None:
        for member in members or MEMBERS:
            with (self.path / f"node{member}.log").open("ab") as log:
                command = [sys.executable, "-m", "hosts.node", "--config", str(self.config), "--id", str(member)]
                self.processes[member] = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self, *members: int, how: signal.Signals = signal.SIGKILL) -> None:
        for member in members:
            process = self.processes.pop(member)
            process.send_signal(how)
            process.wait(PATIENCE_S)

    def folder(self, member: int) -> Path:
        return self.path / "nodes" / f"node{member}"

    def output(self, member: int) -> str:
        return (self.path / f"node{member}.log").read_text()

    def status(self, member: int) -> dict[str, Any] | None:
        """The node's, with its only group's in it; None if it does not answer."""
        try:
            (answer,) = control.ask(self.folder(member) / "control.sock", {"cmd": "status"}, timeout_s=30)
        except (OSError, ValueError):
            return None
        return {**answer, **answer["groups"][0]}

    def leader(self) -> int:
        """Waits for one that has committed in its term."""

        def find() -> int:
            for member in self.processes:
                status = self.status(member)
                if status and status["role"] == "leader" and status["commit"]:
                    return member
            return 0

        return int(self.wait(find, "a leader"))

    def wait(self, condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
        """Until ``condition`` gives something true. Raises Stuck; a node that has ended by itself is one reason."""
        end = time.monotonic() + patience_s
        while True:
            for member, process in self.processes.items():
                if process.poll() is not None:
                    raise Stuck(f"member {member} has ended: {self.output(member).strip().splitlines()[-1:]}")
            result = condition()
            if result:
                return result
            if time.monotonic() > end:
                raise Stuck(f"not within {patience_s:.0f} s: {what}")
            time.sleep(0.02)

    def disk_bytes(self, member: int) -> int:
        """What the member's files take on the disk."""
        total = 0
        for folder, _, names in os.walk(self.folder(member)):
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
    """A client process (``bench.load``) that keeps appending until the end of the block."""
    command = [sys.executable, "-m", "bench.load", "--outstanding", str(outstanding)]
    command += ["--value-bytes", str(value_bytes), "--seconds", "100000", "--warmup", "0"]
    for address, port in cluster.addresses:
        command += ["--server", f"{address}:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    """Free at 127.0.0.1 to .3 just now, and below the ephemeral ports."""
    for port in range(26500, 27500):
        opened = []
        try:
            for member in MEMBERS:
                probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                opened.append(probe)
                probe.bind((f"127.0.0.{member}", port))
            return port
        except OSError:
            continue
        finally:
            for probe in opened:
                probe.close()
    raise Stuck("no free UDP port of 26500..27499")


def show(figures: dict[str, Any], as_json: bool) -> None:
    """The figures, for programs or for people."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        else:
            shown = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
        print(f"  {name:<{width}}  {shown}")
