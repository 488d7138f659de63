"""What something was, as it was read from time to time. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Generic, TypeVar

KEPT_NS = 660_000_000_000
"""Longer than the window of what is shown."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Reading(Generic[Value]):
    """What was read about a time. ``before_ns``: how long before that time it was read last, None if it was not;
    ``after_ns``: how long after it was read next, None if that is still to come; ``changed``: whether it was another
    one then."""

    value: Value
    before_ns: int | None
    after_ns: int | None
    changed: bool = False


class Kept(Generic[Value]):
    """Readings of one thing; equal ones that follow each other are kept once."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        self._values: list[Value] = []

    def add(self, time_ns: int, value: Value) -> None:
        """It was read, no earlier than the time before."""
        if self._values and self._values[-1] == value:
            self._last[-1] = time_ns
            return
        self._first.append(time_ns)
        self._last.append(time_ns)
        self._values.append(value)
        while self._last[0] < time_ns - KEPT_NS:
            del self._first[0], self._last[0], self._values[0]

    def clear(self) -> None:
        """Nothing is known of what was."""
        self._first, self._last, self._values = [], [], []

    def about(self, time_ns: int) -> Reading[Value] | None:
        """What it was at a time, as far as that was read; None if it never was."""
        at = bisect_right(self._first, time_ns) - 1
        if at < 0:
            return Reading(self._values[0], None, self._first[0] - time_ns) if self._values else None
        value, last_ns = self._values[at], self._last[at]
        if time_ns <= last_ns:
            # Read at both ends of a stretch in which it was always the same: the nearer ends are not kept.
            return Reading(value, time_ns - self._first[at], last_ns - time_ns)
        if at + 1 < len(self._values):
            return Reading(value, time_ns - last_ns, self._first[at + 1] - time_ns, changed=True)
        return Reading(value, time_ns - last_ns, None)
