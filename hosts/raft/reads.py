"""Linearizable reads without a log entry (thesis, section 6.4).

A read is safe at the commit index once a quorum has answered a round that began after the read was asked for: then
nobody else can have committed anything before that moment. Reads that come while a round is under way share the next.
So do followers' questions, each of which stands for reads there: of one member the last counts, which asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple


class Confirmed(NamedTuple):
    """What a round has confirmed."""

    commit_index: int
    reads: list[int]
    """The leader's own, by number."""
    questions: Mapping[int, int]
    """The number of the question by the member who asks."""


class Reads:
    """Reads by number: asked for, then waiting for a round."""

    __slots__ = ("_asked", "_questions", "_waiting")

    def __init__(self) -> None:
        self._asked: list[int] = []
        self._questions: dict[int, int] = {}
        self._waiting: deque[tuple[int, Confirmed]] = deque()

    def ask(self, number: int) -> None:
        self._asked.append(number)

    def ask_for(self, member: int, number: int) -> None:
        """A follower asks its question of that number."""
        self._questions[member] = number

    @property
    def want_round(self) -> bool:
        """Whether a round should begin for them now: one at a time."""
        return not self._waiting and bool(self._asked or self._questions)

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def begin(self, round: int, commit_index: int) -> None:
        """A round begins: it serves all that were asked for before."""
        if self._asked or self._questions:
            self._waiting.append((round, Confirmed(commit_index, self._asked, self._questions)))
            self._asked, self._questions = [], {}

    def answered(self, round: int) -> list[Confirmed]:
        """A quorum has answered ``round``: what this confirms."""
        confirmed = []
        while self._waiting and self._waiting[0][0] <= round:
            confirmed.append(self._waiting.popleft()[1])
        return confirmed
