"""What a path between two members does to datagrams, one way: decided from a seed, without clock or socket."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from random import Random

IPV4_AND_UDP = 28
"""Bytes of both headers, which count for a path, as those of a link do not."""


@dataclass(frozen=True)
class Quality:
    """Shares of datagrams that are lost, come twice, or are overtaken (by those that come up to ``late_s`` later);
    the time that each is under way; the rate, with what may wait for it; and the largest IPv4 packet. What is larger
    is lost, and nobody is told: so do paths whose routers' words are filtered."""

    loss: float = 0.0
    twice: float = 0.0
    overtaken: float = 0.0
    delay_s: float = 0.0
    late_s: float = 0.005
    bytes_per_s: float = math.inf
    queue_bytes: int = 256 << 10
    largest: int = 65535


class Path:
    """One direction. ``quality`` may be another at any time. ``counts`` says what became of datagrams: ``taken``,
    and of these ``lost``, ``too_long``, ``queue_full``, ``twice``, ``overtaken``.

    Each datagram takes as many random numbers, whatever becomes of it: so a change of one field changes no more than
    what that field decides."""

    def __init__(self, quality: Quality, seed: int) -> None:
        self.quality = quality
        self.counts: Counter[str] = Counter()
        self._random = Random(seed)
        self._free_at = -math.inf

    def take(self, size: int, now: float) -> tuple[float, ...]:
        """When a datagram of so many bytes, sent now, arrives; never, once or twice."""
        quality = self.quality
        loss, twice, overtaken = (self._random.random() for _ in range(3))
        packet = size + IPV4_AND_UDP
        self.counts["taken"] += 1
        if packet > quality.largest:
            return self._never("too_long")
        if loss < quality.loss:
            return self._never("lost")
        begins = max(now, self._free_at)
        if (begins - now) * quality.bytes_per_s > quality.queue_bytes:
            return self._never("queue_full")
        self._free_at = begins + packet / quality.bytes_per_s
        arrives = self._free_at + quality.delay_s
        if overtaken < quality.overtaken:
            self.counts["overtaken"] += 1
            arrives += quality.late_s
        if twice < quality.twice:
            self.counts["twice"] += 1
            return arrives, arrives + quality.late_s
        return (arrives,)

    def _never(self, reason: str) -> tuple[float, ...]:
        self.counts[reason] += 1
        return ()


def newreno_bytes_per_s(payload: int, round_trip_s: float, loss: float) -> float:
    """What a sender with NewReno's window gets through a path that loses this share of its datagrams (Mathis et al.
    1997, "The macroscopic behavior of the TCP congestion avoidance algorithm")."""
    return payload / (round_trip_s * math.sqrt(2 * loss / 3))
