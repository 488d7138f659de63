"""Simulated time: what will happen, in order. Times are whole microseconds since the beginning."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

MS = 1_000
SECOND = 1_000_000


class Events:
    """Events of the same time happen in the order in which they were planned."""

    __slots__ = ("_count", "_heap", "now", "watch")

    def __init__(self) -> None:
        self.now = 0
        self._count = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self.watch: Callable[[], None] | None = None
        """Called after each event; set before ``run``."""

    def at(self, time_us: int, happen: Callable[..., None], *arguments: Any) -> None:
        """Plan a call. A time that has passed means now."""
        self._count += 1
        heappush(self._heap, (time_us if time_us > self.now else self.now, self._count, happen, arguments))

    def after(self, delay_us: int, happen: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heappush(self._heap, (self.now + (delay_us if delay_us > 0 else 0), self._count, happen, arguments))

    def run(self, until_us: int) -> None:
        """Let everything happen up to a time, and be at that time then."""
        heap, pop, watch = self._heap, heappop, self.watch
        while heap and heap[0][0] <= until_us:
            self.now, _, happen, arguments = pop(heap)
            happen(*arguments)
            if watch is not None:
                watch()
        self.now = until_us
