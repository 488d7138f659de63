"""What was done to the lab by hand, and what has become of its processes, for one who asks on the lab's socket.

    {"cmd": "watch"}

A line at once, whenever something is another one, and every few seconds: "at" (nanoseconds since 1970), "lab" (the
lab's process id), "processes" (name to running, paused, killed, died or not started), "pids" (of those that run),
"cut" (interfaces whose packets vanish), "parted" (pairs of hosts), and "did": what commands have done since the line
before, each [at, text].
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from topo.lab.lab import Lab
from topo.lab.process import Child

POLL_S = 0.1
QUIET_S = 2.0
REMEMBERED = 200

Json = dict[str, Any]


class Feed:
    """What one lab tells of itself; ``watch`` for each who asks."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._did: deque[tuple[int, int, str]] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._changing = threading.Lock()

    def did(self, text: str) -> None:
        """A command has done something."""
        with self._changing:
            self._count += 1
            self._did.append((self._count, time.time_ns(), text))

    def watch(self) -> Iterator[Json]:
        """The lines, until closed."""
        known: Json = {}
        at, told = self._count, 0.0
        while True:
            state = self._state()
            news = [one for one in list(self._did) if one[0] > at]
            now = time.monotonic()
            if state != known or news or now - told > QUIET_S:
                at = news[-1][0] if news else at
                known, told = state, now
                yield {"at": time.time_ns(), **state, "did": [[when, text] for _, when, text in news]}
            time.sleep(POLL_S)

    def _state(self) -> Json:
        links, children = self._lab.links, dict(self._lab.children)
        return {
            "lab": os.getpid(),
            "processes": {name: _condition(child) for name, child in children.items()},
            "pids": {name: child.process.pid for name, child in children.items() if child.process is not None},
            "cut": sorted(links.cut),
            "parted": sorted(links.parted),
        }


def _condition(child: Child) -> str:
    if child.process is not None:
        return "paused" if child.paused else "running"
    if child.failed:
        return "died"
    return "killed" if child.was_killed else "not started"
