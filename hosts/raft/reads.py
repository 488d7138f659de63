"""Linearizable reads without a log entry (thesis, section 6.4).

A read is safe at the commit index once a quorum has answered a round that began after the read was asked for: then
nobody else can have committed anything before that moment. Reads that come while a round is under way share the next.
"""

from __future__ import annotations

from collections import deque


class Reads:
    """Reads by number: asked for, then waiting for a round."""

    __slots__ = ("_asked", "_waiting")

    def __init__(self) -> None:
        self._asked: list[int] = []
        self._waiting: deque[tuple[int, int, list[int]]] = deque()

    def ask(self, number: int) -> None:
        self._asked.append(number)

    @property
    def want_round(self) -> bool:
        """Whether a round should begin for them now: one at a time."""
        return bool(self._asked) and not self._waiting

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def begin(self, round: int, commit_index: int) -> None:
        """A round begins: it serves all that were asked for before."""
        if self._asked:
            self._waiting.append((round, commit_index, self._asked))
            self._asked = []

    def answered(self, round: int) -> list[tuple[int, int]]:
        """A quorum has answered ``round``: the (number, index) of the reads that this serves."""
        served = []
        while self._waiting and self._waiting[0][0] <= round:
            _, index, numbers = self._waiting.popleft()
            served += [(number, index) for number in numbers]
        return served
