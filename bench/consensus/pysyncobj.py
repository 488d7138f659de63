"""PySyncObj as another system: a pure-Python Raft library. ``pysyncobj_node`` beside it names its conditions."""

from __future__ import annotations

import importlib.util
import json
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import Any

from bench.consensus.grounds import Ground
from bench.consensus.window import Lengths
from topo import paths
from topo.errors import LabError

FIRST_PORT = 27000
START_S = 60.0
INSTALL = "PySyncObj is not installed and left out; to have it: .venv/bin/pip install pysyncobj"
CONDITIONS = (
    "pysyncobj: the caller is inside the leader's process, nothing is synced to disk, ticks of 1 ms instead of 50"
)


def installed() -> bool:
    return importlib.util.find_spec("pysyncobj") is not None


def version() -> str:
    """What is installed, and how it is used."""
    return f"PySyncObj {importlib.metadata.version('pysyncobj')}: {CONDITIONS}"


class PySyncObj:
    """Processes that read orders from their standard input; the leader gets them."""

    name = "pysyncobj"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._places = {member: f"{address}:{FIRST_PORT + member}" for member, address in ground.addresses.items()}
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._told: queue.Queue[tuple[int, str]] = queue.Queue()
        self._leader = 0

    def start(self) -> None:
        for member, place in self._places.items():
            command = [sys.executable, "-m", "bench.consensus.pysyncobj_node", "--own", place]
            command += [word for one, other in self._places.items() if one != member for word in ("--partner", other)]
            process = subprocess.Popen(
                self._ground.at_member(member, command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=paths.ROOT,
            )
            self._running[member] = process
            threading.Thread(target=self._read, args=(member, process.stdout), daemon=True).start()
        self._leader, _ = self._next(START_S)

    def _read(self, member: int, lines: Any) -> None:
        for line in lines:
            self._told.put((member, line))

    def _next(self, patience_s: float) -> tuple[int, str]:
        try:
            return self._told.get(timeout=patience_s)
        except queue.Empty:
            raise LabError(f"pysyncobj says nothing for {patience_s:.0f} s") from None

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()
        self._told = queue.Queue()

    def load(self, outstanding: int, size: int, lengths: Lengths) -> dict[str, float]:
        """Client and servers are one here: the leader's CPU counts as the client's, too."""
        pids = [process.pid for process in self._running.values()]
        order = {"outstanding": outstanding, "size": size, "lengths": asdict(lengths), "pids": pids}
        stdin = self._running[self._leader].stdin
        assert stdin is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        figures: dict[str, float] = json.loads(self._next(lengths.at_most + START_S)[1])
        return figures
