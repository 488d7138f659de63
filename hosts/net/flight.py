"""What is on its way of a message larger than a datagram: runs of its datagrams, which went out together.

A large message is hundreds of datagrams: as long as all goes well, nothing is kept and nothing done for each of them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from hosts.wire import FRAGMENT_PREFIX_BYTES, HEADER_BYTES, Flag, FragmentStatus, Header, Payload

OVERHEAD_BYTES = HEADER_BYTES + FRAGMENT_PREFIX_BYTES
"""Of a datagram with a fragment, what is none of the message."""

_FRAGMENT = int(Flag.FRAGMENT)
_MESSAGE_ID = struct.Struct(">Q")
_PLACE = struct.Struct(">II")


def pack_head(header: Header, message_id: int) -> bytes:
    """The beginning of each fragment's datagram."""
    return header.pack(_FRAGMENT) + _MESSAGE_ID.pack(message_id)


def cut(head: bytes, payload: Payload, offset: int, end: int, step: int) -> list[bytes]:
    """The datagrams with the bytes from ``offset`` to ``end`` of a payload, ``step`` in each but perhaps the last."""
    total, part, pack = len(payload), payload[offset:end], _PLACE.pack
    return [
        b"".join((head, pack(at, total), part[at - offset : at - offset + step])) for at in range(offset, end, step)
    ]


@dataclass(slots=True)
class Run:
    """Consecutive datagrams with the bytes from ``offset`` to ``end`` of a message, ``step`` in each but perhaps the
    last."""

    offset: int
    end: int
    step: int
    order: int
    """The sender's count of datagrams when the first of these went out."""
    sent_at: float
    again: bool
    """Whether these bytes went out before: an answer does not say which time it is to."""

    @property
    def count(self) -> int:
        """How many datagrams these are."""
        return (self.end - self.offset - 1) // self.step + 1

    @property
    def last(self) -> int:
        """The sender's count of datagrams when the last of these went out."""
        return self.order + (self.end - self.offset - 1) // self.step

    @property
    def size(self) -> int:
        """Bytes of these datagrams."""
        return self.end - self.offset + OVERHEAD_BYTES * (self.last - self.order + 1)

    def cut(self, count: int) -> tuple[Run, Run | None]:
        """The first ``count`` datagrams, at least one, and the others, if there are any."""
        at = self.offset + count * self.step
        if at >= self.end:
            return self, None
        return self._part(self.offset, at), self._part(at, self.end)

    def sort(self, status: FragmentStatus) -> tuple[list[Run], list[Run]]:
        """Those that have arrived, as ``status`` says, and the others. Of which only a part has come counts as not
        arrived."""
        highest, missing = status.highest, status.missing
        if self.offset >= highest:
            return [], [self]
        if not missing or missing[-1][1] <= self.offset or self.end <= missing[0][0]:
            whole = (min(self.end, highest) - self.offset) // self.step
            if self.end <= highest:
                return [self], []
            if not whole:
                return [], [self]
            front, rest = self.cut(whole)
            return [front], [rest] if rest is not None else []
        return self._sort_singly(status)

    def _sort_singly(self, status: FragmentStatus) -> tuple[list[Run], list[Run]]:
        sorted_: tuple[list[Run], list[Run]] = ([], [])
        since, had = self.offset, status.covers(self.offset, min(self.offset + self.step, self.end))
        for at in range(self.offset + self.step, self.end, self.step):
            has = status.covers(at, min(at + self.step, self.end))
            if has is not had:
                sorted_[0 if had else 1].append(self._part(since, at))
                since, had = at, has
        sorted_[0 if had else 1].append(self._part(since, self.end))
        return sorted_

    def _part(self, offset: int, end: int) -> Run:
        order = self.order + (offset - self.offset) // self.step
        return Run(offset, end, self.step, order, self.sent_at, self.again)


def sort_all(runs: Iterable[Run], status: FragmentStatus) -> tuple[list[Run], list[Run]]:
    """Of several runs, in their order, what has arrived as ``status`` says, and the rest."""
    arrived: list[Run] = []
    others: list[Run] = []
    for run in runs:
        came, left = run.sort(status)
        arrived += came
        others += left
    return arrived, others


@dataclass(slots=True)
class Outgoing:
    """A message of which the receiver does not have everything yet."""

    header: Header
    message_id: int
    payload: Payload = field(repr=False)
    total: int
    head: bytes
    """Header and message id, as each fragment carries them."""
    next: int = 0
    """From this byte on nothing was ever sent."""
    first_open: int = 0
    """All bytes before this one have arrived."""
    flying: list[Run] = field(default_factory=list, repr=False)
    """In the order in which they went out."""
    lost: int = 0
    """How many ranges wait to be sent again."""
    again: bool = False
    """Whether all of it is sent for the second time."""
    receiver: Hashable = None
    moved_at: float = -math.inf
    """When another receiver answered than before."""
    shared: bool = False
    """Whether what was never sent goes out to everybody at once (``hosts.net.fanout``)."""
    beyond: list[Run] = field(default_factory=list, repr=False)
    """What has gone to everybody when the receiver's window had no room for it. Its copies may arrive; it goes again,
    to this receiver alone, once they must be lost and there is room."""
    overtaken: int = 0
    """What went out before this one, by the sender's count of datagrams, and has not arrived must be lost."""
    missed: int = 0
    """How many copies have been lost since one has arrived."""
