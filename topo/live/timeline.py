"""What parts of a lab tell, in the order of time: each event waits for what others tell of the time before."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from typing import Any

from topo.errors import LabError
from topo.lab.running_lab import Live
from topo.live.messages import Timed
from topo.live.opened import Opener, before_and_after
from topo.topology import Topology
from web.window import Window

HOLD_NS = 350_000_000
"""What one part tells waits so long for what the others have to tell of the time before."""

Json = dict[str, Any]


class Timeline:
    """What is told of labs, one after the other, as one recording or several."""

    def __init__(self) -> None:
        self.window: Window | None = None
        """None until there was a lab."""
        self.number = 0
        """Of the recording: another one where ``window`` is, or has members that were none before."""
        self.topology: Topology | None = None
        """The lab's; None while none runs."""
        self.began_ns = 0
        """Time 0, in nanoseconds since 1970."""
        self.messages_from = self.faults_from = 1
        """What the next message and fault are numbered."""
        self.opener: Opener | None = None
        """Of the lab that runs."""
        self._held: list[tuple[int, int, Json]] = []
        self._held_count = 0
        self._told_us = 0
        self._calls = 0

    def begin(self, live: Live, header: Json) -> None:
        """A lab runs. Carry on, or begin another recording."""
        self.topology = live.topology
        again = self.window is not None
        if self.window is None or {**header, "began": 0} != {**self.window.header, "began": 0}:
            self.began_ns = time.time_ns()
            self._held, self._told_us = [], 0
            self.window = Window({**header, "began": self.began_ns / 1e9})
            self.number += 1
        text = f"the lab {'was started anew' if again else 'is watched from here on'}: {live.record.topology}"
        self.tell([{"k": "note", "who": "lab", "text": text}])

    def redraw(self, header: Json) -> None:
        """There are more members than the header has said."""
        if self.window is not None and header["network"] != self.window.header["network"]:
            self.window.header = {**header, "began": self.began_ns / 1e9}
            self.number += 1

    def tell(self, events: Iterable[Json], at_ns: int | None = None) -> None:
        """Something happens, now or at a time."""
        self.tell_timed([(time.time_ns() if at_ns is None else at_ns, event) for event in events])

    def tell_timed(self, events: Iterable[Timed]) -> None:
        """Things have happened, each at its time."""
        for at_ns, event in events:
            self._held_count += 1
            heapq.heappush(self._held, (at_ns, self._held_count, event))

    def flush(self) -> None:
        """Put what has waited long enough into the window."""
        ripe = time.time_ns() - HOLD_NS
        while self._held and self._held[0][0] <= ripe and self.window is not None:
            at_ns, _, event = heapq.heappop(self._held)
            self._told_us = max(self._told_us, (at_ns - self.began_ns) // 1000)
            self.window.add({"t": self._told_us, **event})

    def call(self, host: str, group: int, words: list[str]) -> int:
        """A client asks, by a command of the page; its number."""
        self._calls += 1
        operation, *operands = words
        key = "" if operation == "send" else operands[0]
        value = "" if operation in ("get", "delete") else operands[-1]
        asked = {"who": "page", "call": self._calls, "host": host, "port": 0, "group": group}
        self.tell([{"k": "call", **asked, "operation": operation, "key": key, "value": value}])
        return self._calls

    def answer(self, call: int, outcome: str, value: str) -> None:
        """A call is answered."""
        self.tell([{"k": "answer", "who": "page", "call": call, "outcome": outcome, "value": value}])

    async def opened(self, m: int, at_us: int) -> Json:
        """What the switches' programs have done to message ``m``, which was sent at that time of the run
        (``Opener.open``). Raises LabError."""
        if self.opener is None or self.window is None:
            raise LabError("no lab runs, so nobody can say what its switches held")
        return await self.opener.open(m, at_us, self.window.between(*before_and_after(at_us)))

    @property
    def began_us(self) -> int:
        """Microseconds since 1970 at time 0."""
        return self.began_ns // 1000

    @property
    def now_us(self) -> int:
        return (time.time_ns() - self.began_ns) // 1000
