"""Requests whose key or value is still being looked through: a leader proposes none before.

Each has its turn, so that a small one does not wait for all of a large one that came before it. Their order is free:
a client's outstanding requests may be carried out in any, and what is not proposed yet is not acknowledged.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hosts.config import Address
from hosts.service.checking import Checks
from hosts.service.requests import Encoded, Request
from hosts.service.values import MAX_LARGE_BYTES, ValueFault
from hosts.wire import Header

MAX_CANDIDATES = 1024
MAX_CANDIDATE_BYTES = MAX_LARGE_BYTES
"""How many bytes the candidates' payloads may have together; a single one may have more."""


@dataclass(slots=True)
class Candidate:
    """A request that may become a log entry, or a read. ``fault`` says why it is none, "" if it may."""

    header: Header
    request: Request
    payload: Encoded = field(repr=False)
    address: Address
    checks: Checks = field(repr=False)
    fault: str = ""

    @property
    def key(self) -> tuple[int, int, int]:
        """What a retry has in common with it."""
        return self.header.log_term, self.header.index, self.request.nonce

    def step(self) -> bool:
        """Look a little further. True at the end."""
        try:
            return self.checks.step()
        except ValueFault as fault:
            self.fault = str(fault)
            return True


class Admission:
    """All of a group's candidates."""

    def __init__(self) -> None:
        self.turns: deque[Candidate] = deque()
        """The candidates, the next one first."""
        self._by_key: dict[tuple[int, int, int], Candidate] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.turns)

    def find(self, session: int, sequence: int, nonce: int) -> Candidate | None:
        """The candidate that this would be a retry of."""
        return self._by_key.get((session, sequence, nonce))

    def has_room(self, size: int) -> bool:
        """Whether another one with a payload of ``size`` bytes may be added."""
        fits = len(self.turns) < MAX_CANDIDATES and self._bytes + size <= MAX_CANDIDATE_BYTES
        return fits or not self.turns

    def add(self, candidate: Candidate) -> None:
        self.turns.append(candidate)
        self._by_key[candidate.key] = candidate
        self._bytes += len(candidate.payload)

    def step(self) -> Candidate | None:
        """Look a little further at whose turn it is; it, if that was the end."""
        candidate = self.turns.popleft()
        if not candidate.step():
            self.turns.append(candidate)
            return None
        self._forget(candidate)
        return candidate

    def clear(self) -> list[Candidate]:
        """All of them; they are candidates no more."""
        candidates = list(self.turns)
        self.turns.clear()
        self._by_key.clear()
        self._bytes = 0
        return candidates

    def _forget(self, candidate: Candidate) -> None:
        del self._by_key[candidate.key]
        self._bytes -= len(candidate.payload)
