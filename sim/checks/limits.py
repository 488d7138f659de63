"""What is dropped for a limit is a client's request, at the port of a host that has one, and beyond it; and what is
beyond it is dropped, once the switch is programmed so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from controller import limits
from hosts.raft.message import MessageType
from sim.events import SECOND
from sim.frames import PAYLOAD_AT

SETTLED_US = SECOND
"""So long after a limit was wished or taken away, its switch knows."""


@dataclass
class Bucket:
    """What may still come through, reckoned anew."""

    rate: int
    burst: float
    tokens: float
    at_us: int
    version: object

    def fill(self, now_us: int) -> None:
        """Time has passed."""
        self.tokens = min(self.burst, self.tokens + (now_us - self.at_us) * self.rate / SECOND)
        self.at_us = now_us


class LimitWatch:
    """Of all switches. ``ruled`` says what rate a host's switch is programmed for: None for none, and 0 where that is
    not certain now."""

    def __init__(
        self, fail: Callable[[str, str], None], counts: Counter[str], ruled: Callable[[str], int | None]
    ) -> None:
        self._fail = fail
        self._counts = counts
        self._ruled = ruled
        self._buckets: dict[str, Bucket] = {}

    def look(self, host: str, frame: bytes, now_us: int, version: object, *, dropped: bool) -> None:
        """A frame of a host's has entered its switch, and was ``dropped`` for a limit, or not. ``version`` is another
        one whenever a meter was set anew."""
        request = frame[PAYLOAD_AT + 1 : PAYLOAD_AT + 2] == bytes([MessageType.CLIENT_REQUEST])
        if dropped and not request:
            self._fail("only requests are limited", f"{host}'s own: {frame.hex()}")
        if not request:
            return
        rate = self._ruled(host)
        if rate is None and dropped:
            self._fail("who has no limit is not limited", f"{host}'s request: {frame.hex()}")
        if not rate:
            self._buckets.pop(host, None)
            return
        bucket = self._buckets.get(host)
        burst = float(limits.meter(rate).burst)
        if bucket is None or (bucket.rate, bucket.version) != (rate, version):
            # The switch's meter has as much, or less.
            bucket = self._buckets[host] = Bucket(rate, burst, burst, now_us, version)
        bucket.fill(now_us)
        if dropped:
            self._counts["requests over a limit"] += 1
            return
        bucket.tokens -= 1
        if bucket.tokens < -1:
            self._fail("a limit holds", f"{host} sends more than {rate} requests a second, and a burst of {burst:g}")
