"""Clients that wait for a read which takes no log entry (thesis, section 6.4).

The core numbers each read. A read is safe once a quorum has answered a round that began after the read had come. It
is answered once everything up to the index that the core names is applied. When a leader loses its term, reads that
are not safe yet are given up; those that are safe are still answered. A member that does not lead gives a read up
once it has waited for too long, safe or not: its leader may answer sooner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from hosts.config import Address
from hosts.service.requests import Request
from hosts.service.values import MAX_LARGE_BYTES
from hosts.wire import Header

MAX_READERS = 65_536
MAX_READER_BYTES = MAX_LARGE_BYTES
"""A leader is busy from so many waiting reads on, or from so many bytes of their keys; a single key may be larger."""


@dataclass(slots=True)
class Reader:
    """A client's read that is not answered yet."""

    header: Header
    request: Request
    address: Address
    number: int = 0
    due: int | None = None
    """At a member that does not lead: the tick at which it is given up."""
    waits: bool = True

    @property
    def key(self) -> tuple[int, int, int]:
        """What a retry has in common with it."""
        return self.header.log_term, self.header.index, self.request.nonce


class Readers:
    """All reads that wait in a group. The core gives out their numbers, and gives none out twice."""

    def __init__(self) -> None:
        self._asked: dict[int, Reader] = {}
        """Those of the leader of ``_term`` that are not safe yet, by number."""
        self._asked_here: dict[int, Reader] = {}
        """Those of a member that does not lead."""
        self._safe: deque[tuple[int, Reader]] = deque()
        self.by_key: dict[tuple[int, int, int], Reader] = {}
        """All reads, by what a retry has in common with them."""
        self._limited: deque[Reader] = deque()
        """Those that have a ``due``, in its order; also some that do not wait any more."""
        self._bytes = 0
        self._term = 0

    def __len__(self) -> int:
        return len(self.by_key)

    def find(self, session: int, sequence: int, nonce: int) -> Reader | None:
        """The read that this would be a retry of."""
        return self.by_key.get((session, sequence, nonce))

    def have_room(self, reader: Reader) -> bool:
        """Whether another one may be added."""
        fits = len(self.by_key) < MAX_READERS and self._bytes + len(reader.request.key) <= MAX_READER_BYTES
        return fits or not self.by_key

    def add(self, number: int, term: int, reader: Reader) -> None:
        """The leader of ``term`` was asked. ``expire`` must have been called for an earlier term's."""
        self._term = term
        self._asked[number] = reader
        self._add(number, reader)

    def add_here(self, number: int, due: int, reader: Reader) -> None:
        """A member that does not lead was asked; it has until tick ``due``."""
        reader.due = due
        self._limited.append(reader)
        self._asked_here[number] = reader
        self._add(number, reader)

    def _add(self, number: int, reader: Reader) -> None:
        reader.number = number
        self.by_key[reader.key] = reader
        self._bytes += len(reader.request.key)

    def safe(self, reads: Iterable[tuple[int, int]]) -> None:
        """Take in Ready.reads, pairs of number and index."""
        for number, index in reads:
            reader = self._asked.pop(number, None) or self._asked_here.pop(number, None)
            if reader is not None:
                self._safe.append((index, reader))

    def are_due(self, applied_index: int) -> bool:
        """Whether ``take_due`` has one that may be answered now."""
        safe = self._safe
        while safe and not safe[0][1].waits:
            safe.popleft()
        return bool(safe) and safe[0][0] <= applied_index

    def take_due(self) -> Reader:
        """The one that has been safe for longest; it waits no longer."""
        reader = self._safe.popleft()[1]
        self._forget(reader)
        return reader

    def expire(self, leads: bool, term: int) -> list[Reader]:
        """The reads that will never be safe, because this member ``leads`` no more, or leads in another term. They
        wait no longer."""
        if not self._asked or (leads and term == self._term):
            return []
        lost = list(self._asked.values())
        self._asked.clear()
        for reader in lost:
            self._forget(reader)
        return lost

    @property
    def waits_here(self) -> bool:
        """Whether ``overdue`` may have some, as ticks pass."""
        return bool(self._limited)

    def overdue(self, now: int) -> list[Reader]:
        """The reads that have waited for too long at a member that does not lead. They wait no longer."""
        limited = self._limited
        lost = []
        while limited and (not limited[0].waits or (limited[0].due or 0) <= now):
            reader = limited.popleft()
            if reader.waits:
                self._asked_here.pop(reader.number, None)
                self._forget(reader)
                lost.append(reader)
        return lost

    def _forget(self, reader: Reader) -> None:
        reader.waits = False
        del self.by_key[reader.key]
        self._bytes -= len(reader.request.key)
