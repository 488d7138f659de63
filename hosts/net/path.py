"""How large datagrams to one address may be (RFC 8899, Datagram Packetization Layer Path MTU Discovery).

A size is used once a datagram of that size, padding and nothing else, has come back as "arrived": a probe. Large ones
are tried first, for most paths take what their ends are told. Whatever the path, BASE passes. Where larger ones stop
arriving under way the search begins again, below them.
"""

from __future__ import annotations

from hosts.wire import MAX_DATAGRAM

BASE = MAX_DATAGRAM
"""Bytes of a datagram that is sent without a proof."""

UDP_OVERHEAD = 28
"""Bytes of the headers of IPv4 and UDP."""

LOOPBACK_MTU = 65_535
SIZES = tuple(mtu - UDP_OVERHEAD for mtu in (65_535, 32_768, 16_384, 9_000, 4_096, 3_000, 2_048, 1_500))
"""What is tried, beside the largest allowed: the bytes of a datagram in a packet of usual sizes."""

TRIES = 3
"""Probes of one size that get no answer until it is taken for too large."""

PROBE_S = 0.1
"""From one probe to the next; an answer that comes later than TRIES of them does not count."""

AGAIN_S = 60.0
"""After so long it is tried again whether larger ones pass (RFC 8899, section 5.1.1, PMTU_RAISE_TIMER, is 600 s)."""


def largest_datagram(host: str, mtu: int, overhead: int = 0) -> int:
    """The bytes of a datagram to ``host`` in a packet of ``mtu`` bytes, less ``overhead`` that is added on its way
    out. A host's own loopback takes more than its network."""
    whole = LOOPBACK_MTU if host.startswith("127.") else mtu
    return max(BASE, whole - UDP_OVERHEAD - overhead)


class PathSize:
    """The size of datagrams to one address: ``size`` is proved. ``largest`` bounds the search."""

    __slots__ = ("_again_at", "_largest", "_next_at", "_sizes", "_tries", "shrunk", "size")

    def __init__(self, largest: int = BASE) -> None:
        self.size = BASE
        self.shrunk = 0
        """How often datagrams of a proved size have stopped arriving."""
        self._largest = largest
        self._sizes = self._above(BASE, largest)
        """What is still to be tried, the largest first."""
        self._tries = 0
        self._next_at = 0.0
        self._again_at = 0.0

    def due(self, now: float) -> int:
        """The size of a probe to be sent now, 0 for none."""
        if self.size >= self._largest:
            return 0
        if not self._sizes:
            if now < self._again_at:
                return 0
            self._sizes = self._above(self.size, self._largest)
        if now < self._next_at:
            return 0
        if self._tries == TRIES:
            self._tries = 0
            self._sizes = self._sizes[1:]
            if not self._sizes:
                self._again_at = now + AGAIN_S
                return 0
        self._tries += 1
        self._next_at = now + PROBE_S
        return self._sizes[0]

    def proved(self, size: int, now: float) -> None:
        """A probe of ``size`` bytes has arrived."""
        if self.size < size <= self._largest:
            self.size = size
            self._sizes = ()
            self._tries = 0
            self._again_at = now + AGAIN_S

    def fell_silent(self, now: float) -> bool:
        """Nothing arrives any more. True if that may be for the size, which is BASE from now on."""
        if self.size == BASE:
            return False
        self._sizes = self._above(BASE, self.size - 1)
        self.size = BASE
        self.shrunk += 1
        self._tries = 0
        self._again_at = now + AGAIN_S
        self._next_at = now
        return True

    @staticmethod
    def _above(size: int, largest: int) -> tuple[int, ...]:
        return tuple(sorted({one for one in (*SIZES, largest) if size < one <= largest}, reverse=True))
