"""What a follower does with its leader's entries and snapshots (thesis, sections 3.5 and 5.1)."""

from __future__ import annotations

from collections.abc import Callable

from hosts.raft.fastest import AcknowledgementCounts
from hosts.raft.log import MemoryLog
from hosts.raft.message import NOBODY, Message, MessageType, Quoted
from hosts.raft.outbox import Outbox
from hosts.raft.snapshot import Incoming, Sink, Snapshot

ROUNDS_OF_LATE = 64
"""Replies to as many of a leader's rounds may be under way when it ends. Who sees none of its messages guesses one of
them once in 2^34 times: rounds begin at a random number of 40 bits (``replication.ROUNDS_APART``)."""

GUESSED_ROUNDS = 1 << 30
"""Leaders of version 0.1 begin at 0: what is less than this proves nothing. One in a thousand of the others is."""

REJECTED_ROUNDS = 4
"""Of so many rounds it is remembered what was rejected: two heartbeats', with one for copies and one for the rest."""


class Following:
    """The messages are those of the current term's leader. ``settled``: that term is durable, so that an answer that
    counts on nothing else may leave at once."""

    __slots__ = (
        "_agreed",
        "_copies",
        "_counts",
        "_heard_round",
        "_incoming",
        "_leader",
        "_log",
        "_make_sink",
        "_may_wait",
        "_out",
        "_owed",
        "_rejected",
        "_term",
        "_told_round",
        "restored",
    )

    def __init__(
        self,
        log: MemoryLog,
        out: Outbox,
        make_sink: Callable[[], Sink],
        counts: AcknowledgementCounts,
        copies: bool = False,
    ) -> None:
        """``copies``: the leader's messages may be copies, also of what is meant for others only."""
        self._log = log
        self._counts = counts
        self._owed: Message | None = None
        """The latest AppendEntries whose acknowledgement is held back, and with it those of the ones before. What it
        will say is found out only when it leaves."""
        self._may_wait = False
        """Whether the leader has told this member, last in round ``_told_round``, that it may hold them back."""
        self._told_round = 0
        self._copies = copies
        self._rejected: dict[int, int] = {}
        """By round, those of late: the least prev_log_index that was rejected, and said to be. Copies have rounds of
        their own: nothing of the next ones can be placed either, as long as none of that round has been."""
        self._out = out
        self._make_sink = make_sink
        self._incoming: Incoming | None = None
        self._term, self._leader, self._heard_round = 0, NOBODY, 0
        self._agreed = 0
        """The end of what the leader of ``_term`` has shown to stand in both logs: by entries, or a predecessor, that
        were accepted, or by a snapshot. A leader only adds to its log, and what is cut off here differs from that: so
        this only grows, until another term's leader has to show it anew."""
        self.restored: Snapshot | None = None
        """The snapshot that has just taken the log's place, until ``take_restored``."""

    def agreed_with(self, term: int, leader: int) -> int:
        """The end of what the leader of that term has shown to stand in both logs, 0 if nothing."""
        return self._agreed if (self._term, self._leader) == (term, leader) else 0

    def holds(self, term: int, leader: int) -> int:
        """The end of what may be acknowledged to that leader: it agrees, or is committed, and is durable."""
        return min(max(self.agreed_with(term, leader), self._log.commit_index), self._log.durable_index)

    def _hear(self, message: Message) -> None:
        """What another leader has shown says nothing of the log of who speaks now."""
        if message.term != self._term or message.source != self._leader:
            self._term, self._leader = message.term, message.source
            self._agreed = 0
            self._rejected.clear()
            self._owed, self._may_wait, self._told_round = None, False, 0
            self._heard_round = 0
        self._heard_round = max(self._heard_round, message.round)

    def has_answered(self, term: int, leader: int, quoted: Quoted) -> bool:
        """Whether that is one of the last ROUNDS_OF_LATE rounds that were heard of the leader of ``term``, and so may
        be one that this member has answered; and none that may be guessed."""
        is_late = 0 <= self._heard_of(term, leader) - quoted.round < ROUNDS_OF_LATE
        return quoted.term == term and is_late and quoted.round >= GUESSED_ROUNDS

    def _heard_of(self, term: int, leader: int) -> int:
        """The last round that was heard of the leader of that term, 0 if none."""
        return self._heard_round if (self._term, self._leader) == (term, leader) else 0

    def on_append_entries(self, message: Message, settled: bool) -> None:
        """A heartbeat, which stands at index 0 where all logs agree, is never rejected, and commits what is known to
        agree: no entry behind that is the leader's for sure, whatever it has committed."""
        self._hear(message)
        log, prev, entries = self._log, message.index, message.entries
        if prev < log.commit_index:
            # What is committed agrees with every leader's log, so only what follows needs to be looked at.
            entries = entries[log.commit_index - prev :]
            prev = min(log.commit_index, prev + len(message.entries))
        elif log.term_at(prev) != message.log_term:
            if not self._copies or self._is_first_to_reject(message):
                self._reject(message, settled)
            return
        if entries:
            log.merge(entries)
        if self._rejected and message.entries:
            self._rejected.pop(message.round, None)
        # No leader cuts off what agrees; but without a cluster key messages can be forged in its name.
        self._agreed = min(max(self._agreed, prev + len(entries)), log.last_index)
        log.commit_index = max(log.commit_index, min(message.commit, self._agreed))
        if not message.entries:
            self._hear_whether_to_wait(message)
            self._say_what_agrees(message, settled)
        elif message.lazy and self._may_wait:
            self._counts.merged += self._owed is not None
            self._owed = message
        else:
            self._is_paid()
            self._out.acknowledge(message, message.term, max(self._agreed, log.commit_index))

    # -- acknowledgements that are held back ------------------------------------------------------------------------

    def _hear_whether_to_wait(self, message: Message) -> None:
        """What is addressed to this member alone and carries nothing tells it. It may come late."""
        if not message.copied and message.round >= self._told_round:
            self._may_wait, self._told_round = message.lazy, message.round

    def _is_paid(self) -> None:
        """What leaves now says what was held back."""
        if self._owed is not None:
            self._owed = None
            self._counts.merged += 1

    def owes(self, term: int) -> bool:
        """Whether an acknowledgement is held back for the leader of ``term``, which is this member's now."""
        return self._owed is not None and self._owed.term == term

    def pay(self, settled: bool) -> None:
        """The time to hold an acknowledgement back is over. It answers the latest AppendEntries, and says what agrees
        by now; of that it may say what is durable at once, and the rest once that is."""
        owed = self._owed
        if owed is None:
            return
        self._owed = None
        self._counts.late += 1
        if max(self._agreed, self._log.commit_index) <= self._log.durable_index:
            self._say_what_agrees(owed, settled)
        else:
            self._out.acknowledge(owed, owed.term, max(self._agreed, self._log.commit_index))

    # -- entries and snapshots ------------------------------------------------------------------------------------

    def _is_first_to_reject(self, message: Message) -> bool:
        """Whether this says more than what was rejected in this round already."""
        rejected = self._rejected
        if rejected.get(message.round, message.index + 1) <= message.index:
            return False
        rejected[message.round] = message.index
        while len(rejected) > REJECTED_ROUNDS:
            del rejected[next(iter(rejected))]
        return True

    def on_install_snapshot(self, message: Message, settled: bool) -> None:
        """One chunk of a snapshot; with the last, the snapshot takes the place of the log."""
        self._hear(message)
        log = self._log
        if log.term_at(message.index) == message.log_term:
            # The log agrees up to there: it needs no snapshot, and what follows stays.
            self._agreed = max(self._agreed, message.index)
            log.commit_index = max(log.commit_index, message.index)
        if message.index <= log.commit_index:
            self._forget_incoming()
            self._say_what_agrees(message, settled)
            return
        incoming = self._incoming
        if incoming is None or not incoming.is_of(message.source, message.index, message.log_term):
            if incoming is not None and incoming.source == message.source and incoming.index > message.index:
                return  # a late chunk of an older snapshot
            incoming = self._receive_anew(message)
        elif incoming.has_failed():
            incoming = self._receive_anew(message)
        if not incoming.complete:
            taken = incoming.take(message.commit, message.data, last=not message.more)
            if not taken or message.more:
                self._answer_chunk(message, incoming.wanted, settled, reject=not taken)
                return
        if not incoming.is_whole():
            self._receive_anew(message)
            self._answer_chunk(message, 0, settled, reject=True)
            return
        snapshot = incoming.finish()
        if snapshot is None:
            return  # not settled yet: the leader asks again by sending the last chunk again
        self._incoming = None
        log.restore(snapshot)
        self._agreed = snapshot.index
        self.restored = snapshot
        self._answer_chunk(message, incoming.wanted, settled=False)

    def _receive_anew(self, message: Message) -> Incoming:
        self._forget_incoming()
        incoming = Incoming(message.source, message.index, message.log_term, self._make_sink())
        self._incoming = incoming
        return incoming

    def _forget_incoming(self) -> None:
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def take_restored(self) -> Snapshot | None:
        """The snapshot that has just taken the log's place."""
        restored, self.restored = self.restored, None
        return restored

    def ask_after(self, term: int, leader: int, settled: bool) -> None:
        """Say to a leader that has fallen silent what it could last be told, in the last round that was heard. What
        comes back, if nobody is there, is for the caller to hear."""
        silent = Message(MessageType.APPEND_ENTRIES, leader, NOBODY, term, round=self._heard_of(term, leader))
        self._answer_append(silent, self.holds(term, leader), settled)

    # -- answers ------------------------------------------------------------------------------------------------

    def _say_what_agrees(self, message: Message, settled: bool) -> None:
        """Whatever is committed agrees with the leader's log too; only what is durable may be counted on."""
        agreed = max(self._agreed, self._log.commit_index)
        if agreed <= self._log.durable_index:
            self._is_paid()
        self._answer_append(message, min(agreed, self._log.durable_index), settled)

    def _reject(self, message: Message, settled: bool) -> None:
        """Say from where the leader may go on: behind what agrees, which it may count on; that has no term. Where it
        has shown nothing yet: perhaps behind the last entry here whose term is not above its own (thesis, 3.5)."""
        log, prev = self._log, message.index
        agreed = min(self._agreed, log.durable_index)
        if agreed:
            self._answer_append(message, prev, settled, commit=agreed, reject=True)
            return
        hint = log.last_with_term_at_most(message.log_term, prev)
        self._answer_append(message, prev, settled, log_term=log.term_at(hint) or 0, commit=hint, reject=True)

    def _answer_append(
        self, message: Message, index: int, settled: bool, log_term: int = 0, commit: int = 0, reject: bool = False
    ) -> None:
        self._out.answer(
            message,
            MessageType.APPEND_ENTRIES_REPLY,
            message.term,
            index=index,
            log_term=log_term,
            commit=commit,
            reject=reject,
            at_once=settled,
        )

    def _answer_chunk(self, message: Message, wanted: int, settled: bool, reject: bool = False) -> None:
        self._out.answer(
            message,
            MessageType.INSTALL_SNAPSHOT_REPLY,
            message.term,
            index=message.index,
            log_term=message.log_term,
            commit=wanted,
            reject=reject,
            at_once=settled,
        )
