"""When which request of an open loop is due, and what became of it: sans-IO, times in and numbers out.

    loop = OpenLoop([Stretch(1000.0, 5.0)], clock())
    for number in loop.begin(clock(), room): ...    # once ``next_due`` has passed
    loop.answered(number, clock())

A request is begun at its time or as soon as possible after it, however many are unanswered. Latency counts from the
time at which it was due: whoever is slow, client or cluster, cannot make it shorter by asking less (coordinated
omission). Times are seconds of any monotonic clock.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

BATCH = 64
"""Requests that are begun in one turn at most, so that the time at which they begin is known well enough."""

NOT_BEGUN = -1.0
NO_ANSWER = math.inf
"""In place of a latency."""


@dataclass(frozen=True)
class Stretch:
    """A constant rate, in requests per second, for a time in seconds."""

    rate: float
    seconds: float

    @property
    def count(self) -> int:
        """Requests that are due in it, at least one."""
        return max(1, round(self.rate * self.seconds))


class OpenLoop:
    """Stretches one after the other. Requests are numbered from 0 on, in the order in which they are due."""

    def __init__(self, stretches: Sequence[Stretch], start: float) -> None:
        self.stretches = tuple(stretches)
        self.due = array("d")
        """When each was due, of those whose time has come."""
        self.lag = array("d")
        """How late each was begun or not begun, in seconds: the client's own slowness."""
        self.took = array("d")
        """Seconds from when each was due to its answer; or NOT_BEGUN, or NO_ANSWER."""
        self.outstanding = 0
        self._begins = [start]
        self._firsts = [0]
        for one in self.stretches:
            self._begins.append(self._begins[-1] + one.seconds)
            self._firsts.append(self._firsts[-1] + one.count)
        self._at = 0

    @property
    def end(self) -> float:
        """When the last stretch ends."""
        return self._begins[-1]

    @property
    def done(self) -> bool:
        """Whether every request was due, and nothing is outstanding."""
        return self.next_due == math.inf and not self.outstanding

    @property
    def next_due(self) -> float:
        """When the next request is due; infinity after the last."""
        number = len(self.due)
        if number == self._firsts[self._at + 1]:
            self._at += 1
        if self._at == len(self.stretches):
            self._at -= 1
            return math.inf
        return self._begins[self._at] + (number - self._firsts[self._at]) / self.stretches[self._at].rate

    def begin(self, now: float, room: int) -> list[int]:
        """The numbers of those to begin now, BATCH at most. What is due beyond ``room`` is not begun, now or later,
        and stays counted as that."""
        begun: list[int] = []
        while len(begun) < BATCH and (due := self.next_due) <= now:
            if len(begun) < room:
                begun.append(len(self.due))
                self.took.append(NO_ANSWER)
            else:
                self.took.append(NOT_BEGUN)
            self.due.append(due)
            self.lag.append(now - due)
        self.outstanding += len(begun)
        return begun

    def answered(self, number: int, now: float) -> None:
        """A request has been answered."""
        self.took[number] = now - self.due[number]
        self.outstanding -= 1

    def failed(self, number: int) -> None:
        """A request that was begun has got no result, and will get none."""
        assert self.took[number] == NO_ANSWER
        self.outstanding -= 1

    def close(self, now: float) -> None:
        """Nothing is begun or awaited any more: what was not begun counts as that, what is outstanding as without
        an answer."""
        while (due := self.next_due) < math.inf:
            self.due.append(due)
            self.lag.append(max(0.0, now - due))
            self.took.append(NOT_BEGUN)
        self.outstanding = 0

    def span(self, stretch: int) -> tuple[float, float]:
        """When a stretch begins and ends."""
        return self._begins[stretch], self._begins[stretch + 1]

    def numbers(self, stretch: int) -> range:
        """The requests of a stretch."""
        return range(self._firsts[stretch], self._firsts[stretch + 1])
