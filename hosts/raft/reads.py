"""Linearizable reads without a log entry (thesis, section 6.4).

A read is safe at the commit index once a quorum has answered a round that began after the read was asked for: then
nobody else can have committed anything before that moment. Reads that come while a round is under way share the next.
So do followers' questions, each of which stands for reads there: of one member the last counts, which asks again.
Where who asks and the leader are a quorum already, a question confirms itself: see ``Leadership.on_question``.

A member that does not lead asks its leader for that index, one question for all reads that wait, and serves them once
it has applied up to there. A question's number is echoed in its answer. Numbers begin at a random one in each life of
a process, so that no answer to an earlier life is taken for one to this.

Under load both may ride: a leader that answers begins the next round at the same time, for the questions that have
come since, and has the answers ride on its AppendEntries; who is answered so asks the next question on its reply.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from hosts.raft.message import MAX_TERM, Answers, Message, MessageType

PATIENCE_HEARTBEATS = 2
"""A read that a follower cannot serve within so many is better asked of the leader."""

MAX_AWAITED = 64
"""Answers of which it is remembered when they were asked for, while what they name is not applied."""

_NUMBERS = 1 << 64


def short_id(log_id: int) -> int:
    """As much of a log's id as a message's index may hold."""
    return log_id & MAX_TERM


@dataclass(slots=True)
class AskingCounts:
    """What has become of questions in this life, as asker and as who is asked."""

    asked: int = 0
    asked_along: int = 0
    """Of these, on an answer to the leader."""
    asked_again: int = 0
    answered: int = 0
    """By the leader."""
    void: int = 0
    """Answers to no question that is open."""
    taken: int = 0
    """Others' questions that this member has answered as a leader."""
    taken_at_once: int = 0
    """Of these, without a round."""
    told_along: int = 0
    """Of these, on an AppendEntries."""


# -- at the leader --------------------------------------------------------------------------------------------------


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


class Answering:
    """A leader's answers until they leave: on what it sends its members anyway, or else alone."""

    __slots__ = ("_counts", "_index", "_questions", "_rode", "_takers")

    def __init__(self, counts: AskingCounts) -> None:
        self._counts = counts
        self._index = 0
        self._questions: dict[int, int] = {}
        self._takers: set[int] = set()
        """The members who have shown, in this term, that they take answers that ride."""
        self._rode: dict[int, int] = {}
        """By member, the last question whose answer has ridden. If that is asked again, the answer was lost, and
        perhaps that way is closed: copies reach a member less often than what goes to it alone."""

    def asked_by(self, member: int, *, takes: bool) -> None:
        """A member asks, and says whether it takes answers that ride."""
        if takes:
            self._takers.add(member)
        else:
            self._takers.discard(member)

    def answer(self, member: int, number: int, index: int) -> None:
        """The latest index stands for all that wait: reads may be served at any later one as well."""
        self._index = max(self._index, index)
        self._questions[member] = number

    def for_copies(self, receivers: Collection[int], reached: Collection[int]) -> Answers | None:
        """What an AppendEntries to all ``receivers`` carries for those whom copies reach: nothing, unless all of them
        take it. That is answered then."""
        if not self._questions or not self._takers.issuperset(receivers):
            return None
        return self._ride([one for one in reached if self._may_ride(one)])

    def for_one(self, member: int) -> Answers | None:
        """What one to that member alone carries."""
        return self._ride([member]) if member in self._takers and self._may_ride(member) else None

    def _may_ride(self, member: int) -> bool:
        return member in self._questions and self._questions[member] != self._rode.get(member)

    def _ride(self, members: Collection[int]) -> Answers | None:
        self._counts.told_along += len(members)
        self._rode.update((one, self._questions[one]) for one in members)
        return self._take(members)

    def _take(self, members: Collection[int]) -> Answers | None:
        if not members:
            return None
        return Answers(self._index, tuple((one, self._questions.pop(one)) for one in sorted(members)))

    def rest(self) -> Answers | None:
        """Those that nothing has carried."""
        return self._take(list(self._questions))


# -- at who does not lead -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Question:
    """The one that is open: asked of the leader of a term, for the reads of these numbers."""

    number: int
    term: int
    leader: int
    began: int | None
    """The tick of its first asking; None if the clock cannot be trusted for that long."""
    sent: int
    reads: list[int]
    again: bool = False


class Asking:
    """``now`` counts the caller's ticks, whatever the member's role."""

    __slots__ = (
        "_again_after",
        "_awaited",
        "_fresh",
        "_member",
        "_next",
        "_open",
        "_random",
        "_takes",
        "_waiting",
        "counts",
        "now",
    )

    def __init__(self, member: int, random: Random, heartbeat_ticks: int) -> None:
        self.counts = AskingCounts()
        self.now = 0
        self._member = member
        self._random = random
        self._again_after = heartbeat_ticks
        self._next: int | None = None
        """The next question's number, drawn when it is first needed."""
        self._waiting: list[int] = []
        """Reads that no question has been asked for."""
        self._open: _Question | None = None
        self._awaited: deque[tuple[int, int]] = deque()
        """(index, tick), both rising: once that is applied, the state is one that was current at that tick or
        later."""
        self._fresh: int | None = None
        """The latest such tick of what is applied."""
        self._takes = (0, 0)
        """The term and the leader that has shown to take questions that ride."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits, so that ticks need only be counted."""
        return self._open is None and not self._waiting

    def ask(self, read: int) -> None:
        """A read comes."""
        self._waiting.append(read)

    def forget(self, reads: Collection[int]) -> None:
        """Nobody waits for these any more."""
        self._waiting = [one for one in self._waiting if one not in reads]
        if self._open is not None:
            self._open.reads = [one for one in self._open.reads if one not in reads]

    def take_waiting(self) -> list[int]:
        """The reads that wait, for somebody else to serve."""
        self._reopen()
        waiting, self._waiting = self._waiting, []
        return waiting

    def _reopen(self) -> None:
        """What was asked, nobody will answer: its reads wait for another question."""
        if self._open is not None:
            self._waiting = self._open.reads + self._waiting
            self._open = None

    def question(self, term: int, leader: int, known: tuple[int, int] | None) -> Message | None:
        """What to ask the leader that this member follows now. One question at a time; a lost one is asked again, by
        the same number, which stands for the same reads. ``known``: where the group knows this member by its
        log, the index that it holds as its leader does, and the log's id."""
        asked = self._open
        if asked is not None and ((asked.term, asked.leader) != (term, leader) or not asked.reads):
            self._reopen()
            asked = None
        if asked is not None:
            if self.now - asked.sent < self._again_after:
                return None
            asked.sent, asked.again = self.now, True
            self.counts.asked_again += 1
        elif self._waiting:
            number = self._random.getrandbits(64) if self._next is None else self._next
            self._next = (number + 1) % _NUMBERS
            asked = self._open = _Question(number, term, leader, self.now, self.now, self._waiting)
            self._waiting = []
            self.counts.asked += 1
        else:
            return None
        held, log_id = (known[0] + 1, short_id(known[1])) if known is not None else (0, 0)
        return Message(
            MessageType.READ_INDEX, self._member, leader, term, held, commit=log_id, more=True, round=asked.number
        )

    @property
    def may_ride(self) -> bool:
        """Whether what is asked now may be asked by the way. Not what is asked again: an answer that could bring a
        question is not taken from everybody from whom a question is."""
        asked = self._open
        return asked is not None and not asked.again and (asked.term, asked.leader) == self._takes

    def told(self, message: Message) -> tuple[tuple[int, int], ...]:
        """The (number, index) of the reads that a ReadIndexReply serves, or what rides on an AppendEntries."""
        if message.more or message.answers is not None:
            self._takes = message.term, message.source
        if message.answers is None:
            return self._answered(message, message.round, message.index)
        for member, number in message.answers.questions:
            if member == self._member:
                return self._answered(message, number, message.answers.commit)
        return ()

    def _answered(self, answer: Message, number: int, index: int) -> tuple[tuple[int, int], ...]:
        """One to another question, of another term or by another member serves none."""
        asked = self._open
        if asked is None or (number, answer.term, answer.source) != (asked.number, asked.term, asked.leader):
            self.counts.void += 1
            return ()
        self._open = None
        self.counts.answered += 1
        if asked.began is not None:
            self._await(index, asked.began)
        return tuple((read, index) for read in asked.reads)

    def _await(self, index: int, began: int) -> None:
        """Remember when an answer was asked for, in place of those that it says more than. Where there is no room it
        is the last to go: what is applied next must be known, however far behind this member is."""
        awaited = self._awaited
        while awaited and awaited[-1][0] >= index:
            awaited.pop()
        if len(awaited) < MAX_AWAITED:
            awaited.append((index, began))

    def age(self, applied_index: int) -> int | None:
        """How many ticks ago the state was current that holds all up to ``applied_index``; None if that is not known.
        It is as old as the question whose answer is applied: the index in it was the leader's when that had come."""
        awaited = self._awaited
        while awaited and awaited[0][0] <= applied_index:
            self._fresh = awaited.popleft()[1]
        return None if self._fresh is None else self.now - self._fresh

    def void_age(self) -> None:
        """Ticks that have passed will never be given: nothing is known any more of how long ago anything was."""
        self._fresh = None
        self._awaited.clear()
        if self._open is not None:
            self._open.began = None
