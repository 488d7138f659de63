"""The Raft core, without I/O (Ongaro's thesis, chapters 3, 4.2.3, 6.2, 9.6 and 10.2).

The caller gives it ticks, messages and proposals, and does what each Ready says:

    tick() / step(message) / propose(data)  ->  ready()  ->  send, persist, apply  ->  advance(ready)

``step`` makes the one common check of terms and passes on to the function of the member's role. Randomness is
injected, so that equal inputs give equal outputs. Invalid and misdelivered messages are ignored without a trace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from random import Random
from typing import Any

from hosts.raft.config import Config
from hosts.raft.election import Ballot
from hosts.raft.errors import Busy, NotLeader
from hosts.raft.leadership import Leadership
from hosts.raft.log import MemoryLog
from hosts.raft.message import MAX_TERM, NOBODY, Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.quorum import Membership
from hosts.raft.ready import Ready
from hosts.raft.validity import entries_fit, in_range

__all__ = ["Busy", "Config", "NotLeader", "Raft", "Ready", "Role"]


class Role(Enum):
    """A member's part in its term."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


_REPLY_TO = {
    MessageType.PRE_VOTE: MessageType.PRE_VOTE_REPLY,
    MessageType.REQUEST_VOTE: MessageType.REQUEST_VOTE_REPLY,
    MessageType.APPEND_ENTRIES: MessageType.APPEND_ENTRIES_REPLY,
}
_VOTE_REQUESTS = frozenset({MessageType.PRE_VOTE, MessageType.REQUEST_VOTE})
_UNDERSTOOD = frozenset(_REPLY_TO) | frozenset(_REPLY_TO.values()) | {MessageType.TIMEOUT_NOW}

_TRANSFER = b"transfer"
"""Data of a RequestVote that the leader itself has called for: members grant it although they hear that leader."""


class Raft:
    """One member of one group."""

    def __init__(self, config: Config, hard_state: HardState, entries: Sequence[Entry], random: Random) -> None:
        """``hard_state`` and ``entries`` are what the disk holds. ValueError if they do not fit each other."""
        self.config = config
        self.id = config.id
        self.membership = Membership(config.members)
        self.log = MemoryLog(entries)
        if hard_state.current_term < self.log.last_term:
            raise ValueError(f"term {hard_state.current_term} is older than the last entry's {self.log.last_term}")
        self.current_term = hard_state.current_term
        self.voted_for = hard_state.voted_for
        self.role = Role.FOLLOWER
        self.leader = NOBODY
        self._random = random
        self._leadership: Leadership | None = None
        self._ballot: Ballot | None = None
        self._everyone = self.membership.everyone()
        self._handed_state = self._durable_state = hard_state
        self._messages: list[Message] = []
        self._after: list[Message] = []
        self._outstanding: deque[tuple[Ready, int, int]] = deque()
        self._reads_asked = 0
        self._reset_election_timer()

    # -- what the caller may look at --------------------------------------------------------------------------

    @property
    def commit_index(self) -> int:
        return self.log.commit_index

    @property
    def last_index(self) -> int:
        return self.log.last_index

    @property
    def durable_index(self) -> int:
        return self.log.durable_index

    @property
    def idle_ticks(self) -> int:
        """The tick that may do something next: 1 for the very next one. Those before it may be given late, all at
        once, if that is done before any other input."""
        return 1 if self._leadership is not None else max(1, self._timeout - self._elapsed)

    def status(self) -> dict[str, Any]:
        """For people: plain values that json can write."""
        log = self.log
        status: dict[str, Any] = {
            "id": self.id,
            "role": self.role.value,
            "term": self.current_term,
            "voted_for": self.voted_for,
            "leader": self.leader,
            "members": sorted(self._everyone),
            "last_index": log.last_index,
            "last_term": log.last_term,
            "durable_index": log.durable_index,
            "commit": log.commit_index,
            "applied": log.applied_index,
        }
        if self._leadership is not None:
            status.update(self._leadership.status())
        return status

    # -- inputs -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """One tick of the caller's clock has passed."""
        if self._leadership is not None:
            if not self._leadership.tick():
                self._become_follower(self.current_term, NOBODY)
            return
        self._elapsed += 1
        if self._elapsed >= self._timeout:
            self._campaign()

    def propose(self, data: bytes) -> tuple[int, int]:
        """Take a command into the log; its (term, index). It is committed once Ready.committed holds an entry of that
        term and index. Raises NotLeader or Busy; then it was not taken."""
        leadership = self._leadership
        if leadership is None:
            raise NotLeader(self.leader)
        if leadership.successor != NOBODY:
            raise Busy(f"member {leadership.successor} takes over")
        if not leadership.has_room() or self.log.last_index >= MAX_TERM:
            raise Busy(f"{leadership.uncommitted_bytes} bytes wait to be committed")
        entry = leadership.append(EntryKind.COMMAND, data)
        return entry.term, entry.index

    def read(self) -> int:
        """Ask for a linearizable read; its number, never used again. Ready.reads names it once it is safe, or never
        if this member stops leading before. Raises NotLeader."""
        if self._leadership is None:
            raise NotLeader(self.leader)
        self._reads_asked += 1
        self._leadership.reads.ask(self._reads_asked)
        return self._reads_asked

    def transfer(self, successor: int) -> None:
        """Hand leadership over: bring ``successor`` up to date and have it campaign at once (thesis, section 3.10).
        Proposals are Busy meanwhile; after an election timeout in vain this member leads on. Raises NotLeader, and
        ValueError for a member that cannot lead."""
        if self._leadership is None:
            raise NotLeader(self.leader)
        if not self.membership.is_voter(successor):
            raise ValueError(f"member {successor} cannot lead: the voters are {sorted(self.membership.voters)}")
        if successor != self.id:
            self._leadership.hand_over(successor)

    def step(self, message: Message) -> None:
        """Take a message from another member."""
        if message.target != self.id or message.source == self.id or message.source not in self._everyone:
            return
        if message.type not in _UNDERSTOOD or not in_range(message):
            return
        if message.type in _VOTE_REQUESTS and self._hears_leader() and not _called_for(message):
            return
        if message.term > self.current_term:
            self._meet_higher_term(message)
        elif message.term < self.current_term:
            self._answer_lower_term(message)
            return
        if message.type in _VOTE_REQUESTS:
            self._on_vote_request(message)
        elif message.type is MessageType.APPEND_ENTRIES:
            self._on_append_entries(message)
        elif message.type is MessageType.APPEND_ENTRIES_REPLY:
            if self._leadership is not None:
                self._leadership.on_append_reply(message)
        elif message.type is MessageType.TIMEOUT_NOW:
            self._on_timeout_now(message)
        else:
            self._on_vote_reply(message)

    # -- outputs ----------------------------------------------------------------------------------------------

    def ready(self) -> Ready | None:
        """What must be done now, None if nothing. What it holds has left the core: do it, or crash."""
        leadership, log = self._leadership, self.log
        reads: tuple[tuple[int, int], ...] = ()
        if leadership is not None:
            leadership.replicate()
            reads = leadership.take_reads()
        state: HardState | None = None
        if self.current_term != self._handed_state.current_term or self.voted_for != self._handed_state.voted_for:
            state = self._handed_state = HardState(self.current_term, self.voted_for)
        entries = log.take_unwritten()
        committed = log.take_committed(self.config.max_apply_bytes)
        if committed and leadership is not None:
            leadership.committed(committed)
        needs_disk = state is not None or bool(entries)
        if self._after and not needs_disk and not self._outstanding:
            self._messages += self._after
            self._after = []
        if not (needs_disk or committed or self._messages or self._after or reads):
            return None
        ready = Ready(tuple(self._messages), state, entries, tuple(self._after), committed, reads)
        self._messages.clear()
        self._after.clear()
        if needs_disk:
            self._outstanding.append((ready, log.last_index, log.truncations))
        return ready

    def advance(self, ready: Ready) -> None:
        """``ready`` is durable. Only Readys that need the disk are awaited, in the order in which they came out;
        ValueError for any other order."""
        if not ready.needs_disk:
            return
        if not self._outstanding or self._outstanding[0][0] is not ready:
            raise ValueError("advance() of a Ready that is not the oldest outstanding one")
        _, last_index, truncations = self._outstanding.popleft()
        self.log.written(last_index, truncations)
        state = ready.hard_state
        if state is not None:
            self._durable_state = state
            if self.role is Role.CANDIDATE and state.current_term == self.current_term:
                self._count_vote(self.id, granted=True)
        if self._leadership is not None:
            self._leadership.own_disk_holds(self.log.durable_index)

    # -- terms ------------------------------------------------------------------------------------------------

    def _meet_higher_term(self, message: Message) -> None:
        """A pre-vote changes nobody's term: it asks about a term that may never come, and so does its grant."""
        kind = message.type
        if kind is MessageType.PRE_VOTE or (kind is MessageType.PRE_VOTE_REPLY and not message.reject):
            return
        self._become_follower(message.term, message.source if kind is MessageType.APPEND_ENTRIES else NOBODY)

    def _answer_lower_term(self, message: Message) -> None:
        """Tell the sender of an outdated request that its term is over; outdated replies are of no use."""
        kind = _REPLY_TO.get(message.type)
        if kind is None:
            return
        if kind is MessageType.APPEND_ENTRIES_REPLY:
            self._reply(message, kind, index=message.index, reject=True)
        else:
            self._reply(message, kind, log_term=message.term, reject=True)

    # -- roles ------------------------------------------------------------------------------------------------

    def _become_follower(self, term: int, leader: int) -> None:
        if term > self.current_term:
            self.current_term = term
            self.voted_for = NOBODY
        if self.role is not Role.FOLLOWER:
            self.role = Role.FOLLOWER
            self._leadership = self._ballot = None
            self._reset_election_timer()
        self.leader = leader

    def _campaign(self) -> None:
        """Ask whether an election could be won, before disturbing anyone with a higher term (thesis, 9.6)."""
        self._reset_election_timer()
        if not self.membership.is_voter(self.id) or self.current_term >= MAX_TERM:
            return
        self.role = Role.PRE_CANDIDATE
        self.leader = NOBODY
        self._ballot = Ballot(self.membership)
        self._ask_everyone(MessageType.PRE_VOTE, self.current_term + 1, self._messages)
        self._count_vote(self.id, granted=True)

    def _on_timeout_now(self, message: Message) -> None:
        """The leader wants this member to take over, without a pre-vote: nobody needs to have missed the leader."""
        if self.leader == message.source and self.membership.is_voter(self.id) and self.current_term < MAX_TERM:
            self._become_candidate(_TRANSFER)

    def _become_candidate(self, reason: bytes = b"") -> None:
        self._reset_election_timer()
        self.role = Role.CANDIDATE
        self.leader = NOBODY
        self.current_term += 1
        self.voted_for = self.id
        self._ballot = Ballot(self.membership)
        self._ask_everyone(MessageType.REQUEST_VOTE, self.current_term, self._after, reason)

    def _ask_everyone(self, kind: MessageType, term: int, out: list[Message], reason: bytes = b"") -> None:
        log = self.log
        for member in sorted(self.membership.voters | self.membership.outgoing):
            if member != self.id:
                out.append(Message(kind, self.id, member, term, log.last_index, log.last_term, data=reason))

    def _become_leader(self) -> None:
        self.role = Role.LEADER
        self.leader = self.id
        self._elapsed = 0
        self._ballot = None
        self._leadership = Leadership(
            self.config, self.membership, self.log, self.current_term, self._messages.append
        )
        self._leadership.append(EntryKind.NOOP, b"")
        self._leadership.begin_round()

    def _reset_election_timer(self) -> None:
        minimum = self.config.election_timeout_ticks
        self._elapsed = 0
        self._timeout = self._random.randrange(minimum, 2 * minimum)

    def _hears_leader(self) -> bool:
        """Whether the leader was heard within the minimum election timeout: then no election is wanted, whoever asks
        (thesis, section 4.2.3). A leader hears itself until its quorum goes silent."""
        return self.leader != NOBODY and self._elapsed < self.config.election_timeout_ticks

    # -- votes ------------------------------------------------------------------------------------------------

    def _on_vote_request(self, message: Message) -> None:
        pre = message.type is MessageType.PRE_VOTE
        free = self.voted_for in (NOBODY, message.source) or (pre and message.term > self.current_term)
        granted = free and self.log.is_up_to_date(message.index, message.log_term)
        if granted and not pre:
            self.voted_for = message.source
            self._elapsed = 0
        kind = _REPLY_TO[message.type]
        term = message.term if granted else self.current_term
        self._reply(message, kind, term=term, log_term=message.term, reject=not granted)

    def _on_vote_reply(self, message: Message) -> None:
        """Count an answer, if it answers the question that is open now."""
        if message.type is MessageType.PRE_VOTE_REPLY:
            relevant = self.role is Role.PRE_CANDIDATE and message.log_term == self.current_term + 1
        else:
            relevant = self.role is Role.CANDIDATE and message.log_term == self.current_term
        if relevant:
            self._count_vote(message.source, granted=not message.reject)

    def _count_vote(self, voter: int, *, granted: bool) -> None:
        ballot = self._ballot
        assert ballot is not None
        ballot.record(voter, granted=granted)
        if ballot.won():
            if self.role is Role.PRE_CANDIDATE:
                self._become_candidate()
            else:
                self._become_leader()
        elif ballot.lost():
            self._become_follower(self.current_term, NOBODY)

    # -- entries ----------------------------------------------------------------------------------------------

    def _on_append_entries(self, message: Message) -> None:
        if self.role is Role.LEADER or self.leader not in (NOBODY, message.source):
            return  # two leaders in one term: the message is forged
        if not entries_fit(message):
            return
        self._become_follower(self.current_term, message.source)
        self._elapsed = 0
        log, prev, entries = self.log, message.index, message.entries
        if prev < log.commit_index:
            # What is committed agrees with every leader's log, so only what follows needs to be looked at.
            entries = entries[log.commit_index - prev :]
            prev = min(log.commit_index, prev + len(message.entries))
        elif log.term_at(prev) != message.log_term:
            hint = log.last_with_term_at_most(message.log_term, prev)
            self._reply_at_once(message, index=prev, log_term=log.term_at(hint) or 0, commit=hint, reject=True)
            return
        if entries:
            log.merge(entries)
        matched = prev + len(entries)
        log.commit_index = max(log.commit_index, min(message.commit, matched))
        if message.entries:
            self._acknowledge(message, matched)
        else:
            self._reply_at_once(message, index=min(matched, log.durable_index))

    def _acknowledge(self, message: Message, matched: int) -> None:
        """Acknowledge entries once they are durable. Those of one batch share one acknowledgement."""
        after = self._after
        if after:
            last = after[-1]
            if (
                last.type is MessageType.APPEND_ENTRIES_REPLY
                and not last.reject
                and last.target == message.source
                and last.term == self.current_term
            ):
                after.pop()
                matched = max(matched, last.index)
        self._reply(message, MessageType.APPEND_ENTRIES_REPLY, index=matched)

    def _reply_at_once(
        self, message: Message, *, index: int, log_term: int = 0, commit: int = 0, reject: bool = False
    ) -> None:
        """Answer without waiting for entries that the disk still writes; ``index`` must not count on them."""
        reply = self._answer(
            message, MessageType.APPEND_ENTRIES_REPLY, self.current_term, index, log_term, commit, reject
        )
        settled = self._durable_state.current_term == self.current_term
        (self._messages if settled else self._after).append(reply)

    def _reply(
        self,
        message: Message,
        kind: MessageType,
        *,
        term: int | None = None,
        index: int = 0,
        log_term: int = 0,
        reject: bool = False,
    ) -> None:
        """Answer once all that the core has decided so far is durable."""
        term = self.current_term if term is None else term
        self._after.append(self._answer(message, kind, term, index, log_term, 0, reject))

    def _answer(
        self, message: Message, kind: MessageType, term: int, index: int, log_term: int, commit: int, reject: bool
    ) -> Message:
        return Message(kind, self.id, message.source, term, index, log_term, commit, reject, round=message.round)


def _called_for(message: Message) -> bool:
    return message.type is MessageType.REQUEST_VOTE and message.data == _TRANSFER
