"""What is on its way of a message larger than a datagram: runs of its datagrams, which went out together.

A large message is hundreds of datagrams: as long as all goes well, nothing is kept and nothing done for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from hosts.wire import FRAGMENT_PREFIX_BYTES, HEADER_BYTES, FragmentStatus

OVERHEAD_BYTES = HEADER_BYTES + FRAGMENT_PREFIX_BYTES
"""Of a datagram with a fragment, what is none of the message."""


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
