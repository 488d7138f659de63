"""The Raft core, without I/O (Ongaro's thesis, chapters 3 to 6, 9.6 and 10.2).

The caller gives it ticks, messages and proposals, and does what each Ready says:

    tick() / step(message) / propose(data)  ->  ready()  ->  send, persist, apply  ->  advance(ready)

``step`` makes the one common check of terms and passes on to the function of the member's role. Randomness is
injected, so that equal inputs give equal outputs. Invalid and misdelivered messages are ignored without a trace.

Requests are taken from anyone who speaks for the cluster, also from members that the own configuration does not know:
it may be too old to know the leader, or the candidate without whose election nothing goes on (section 4.2.2). Replies
are taken from members only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from random import Random
from typing import Any

from hosts.raft.change import target_of
from hosts.raft.config import MAX_ID, Config
from hosts.raft.configuration import Configuration
from hosts.raft.election import Ballot
from hosts.raft.errors import Busy, ChangeInProgress, InvalidChange, NotLeader, Unreachable
from hosts.raft.fanout import FanoutCounts
from hosts.raft.fastest import AcknowledgementCounts
from hosts.raft.following import Following
from hosts.raft.gathering import GatherCounts
from hosts.raft.identities import ANOTHER_LOG
from hosts.raft.leadership import Leadership
from hosts.raft.log import MemoryLog
from hosts.raft.message import (
    EVERYBODY,
    MAX_TERM,
    NO_VOTE,
    NOBODY,
    NOTHING_QUOTED,
    REPLIES_TO_LEADERS,
    Entry,
    EntryKind,
    HardState,
    Message,
    MessageType,
    Question,
    Quoted,
)
from hosts.raft.outbox import Outbox
from hosts.raft.patience import Patience
from hosts.raft.quorum import Membership
from hosts.raft.reads import Asking
from hosts.raft.ready import Ready
from hosts.raft.replication import ROUNDS_APART
from hosts.raft.snapshot import Data, MemorySink, Sink, Snapshot
from hosts.raft.validity import entries_fit, in_range

__all__ = [
    "Busy",
    "ChangeInProgress",
    "Config",
    "Configuration",
    "InvalidChange",
    "NotLeader",
    "Raft",
    "Ready",
    "Role",
    "Snapshot",
    "Unreachable",
]


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
    MessageType.INSTALL_SNAPSHOT: MessageType.INSTALL_SNAPSHOT_REPLY,
}
_REQUESTS = frozenset(_REPLY_TO) | {MessageType.TIMEOUT_NOW, MessageType.READ_INDEX, MessageType.READ_INDEX_REPLY}
"""What is taken also from who is no member by the own configuration. A ReadIndex' reply only from the leader."""
_REPLIES = frozenset(_REPLY_TO.values())
_VOTE_REQUESTS = frozenset({MessageType.PRE_VOTE, MessageType.REQUEST_VOTE})
_READ_INDEX = frozenset({MessageType.READ_INDEX, MessageType.READ_INDEX_REPLY})
_LEADERS = frozenset({MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT})

_NOBODY_LOST: Mapping[int, str] = {}
_TRANSFER = b"transfer"
"""Data of a RequestVote that the leader itself has called for: members grant it although they hear that leader."""


class Raft:
    """One member of one group."""

    def __init__(
        self,
        config: Config,
        hard_state: HardState,
        entries: Sequence[Entry],
        random: Random,
        snapshot: Snapshot | None = None,
        make_sink: Callable[[], Sink] = MemorySink,
    ) -> None:
        """``hard_state``, ``entries`` and ``snapshot`` are what the disk holds; the state machine is at ``snapshot``.
        ValueError if they do not fit each other. ``make_sink``: where the data of a leader's snapshot goes."""
        self.config = config
        self.id = config.id
        addresses = {one: config.addresses.get(one, b"") for one in sorted(config.members)}
        self.log = MemoryLog(entries, Configuration(0, Membership(config.members), addresses), snapshot)
        if hard_state.current_term < self.log.last_term:
            raise ValueError(f"term {hard_state.current_term} is older than the last entry's {self.log.last_term}")
        self.current_term = hard_state.current_term
        self.voted_for = hard_state.voted_for
        self.role = Role.FOLLOWER
        self.leader = NOBODY
        self._random = random
        self._leadership: Leadership | None = None
        self._ballot: Ballot | None = None
        self._handed_state = self._durable_state = hard_state
        self._handed_configuration: Configuration | None = None
        self._handed_committed: Configuration | None = None
        self._out = Outbox(self.id, config.log_id)
        self._lost = _NOBODY_LOST
        self._refused_votes = False
        self.acknowledgement_counts = AcknowledgementCounts()
        """What lazy acknowledgements have led to."""
        self._following = Following(self.log, self._out, make_sink, self.acknowledgement_counts, config.fanout)
        self.fanout_counts = FanoutCounts()
        """What has happened by the network's copies while this member led."""
        self.gather_counts = GatherCounts()
        """What gathered acknowledgements have led to while this member led."""
        self._outstanding: deque[tuple[Ready, int, int]] = deque()
        self._reads_asked = 0
        self._asking = Asking(self.id, random, config.heartbeat_ticks)
        self.asking_counts = self._asking.counts
        """What has become of followers' questions for an index."""
        self._served: list[tuple[int, int]] = []
        """The (number, index) of reads that a leader's answer serves."""
        self._heard_ago = self._timeout = 0
        self._patience = Patience(config)
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
    def agreed_index(self) -> int:
        """The end of what the leader that this member follows has shown to stand in both logs, 0 if nothing yet. By
        heartbeats a follower commits no further."""
        return self._following.agreed_with(self.current_term, self.leader)

    @property
    def idle_ticks(self) -> int:
        """The tick that may do something next: 1 for the very next one. Those before it may be given late, all at
        once, if that is done before any other input."""
        if self._leadership is not None:
            return self._leadership.idle_ticks()
        if not self._asking.idle:
            return 1
        left = self._timeout - self._elapsed
        if self._follows():
            left = min(left, self._patience.question_in(self._heard_ago))
        return left if left > 1 else 1

    @property
    def holds_back(self) -> bool:
        """Whether an acknowledgement waits, as the leader allows, for ``acknowledge_held``: which is to be called a
        few milliseconds after this has become true, and not counted in ticks."""
        return self._following.owes(self.current_term)

    @property
    def waits_for(self) -> frozenset[int]:
        """Who is to acknowledge at once, to this leader, while others may hold back. Nobody: all are, or none is."""
        return self._leadership.waits_for if self._leadership is not None else frozenset()

    def is_news(self, member: int, term: int, index: int, round: int) -> bool:
        """Whether an acknowledgement to this leader, whoever has brought it, says more than is known of its member.
        If not, nobody need find out whether it is right."""
        leadership = self._leadership
        return leadership is not None and term == self.current_term and leadership.is_news(member, index, round)

    def _follows(self) -> bool:
        return self.role is Role.FOLLOWER and self.leader != NOBODY

    @property
    def configuration(self) -> Configuration:
        """The one in force: the latest in the log, committed or not."""
        return self.log.configurations.latest

    @property
    def membership(self) -> Membership:
        """Who votes and who learns by ``configuration``."""
        return self.log.configurations.latest.membership

    @property
    def committed_configuration(self) -> Configuration:
        """The latest that is known to be committed."""
        return self.log.configurations.at(self.log.commit_index)

    @property
    def lost(self) -> Mapping[int, str]:
        """Members who have lost their data, and how that came to light: to a leader in its term; to a candidate when
        it led last, and since then in the answers to it. A follower leaves it to its leader."""
        return self._lost if self._leadership is None else self._leadership.lost

    @property
    def refuses_votes(self) -> bool:
        """Whether others ask this voter for its vote in vain, because they hold something and it does not: it cannot
        know whether it has lost its data, or was never reached."""
        return self._refused_votes and self._is_blank() and self.membership.is_voter(self.id)

    def _is_blank(self) -> bool:
        """Whether this member holds nothing, and has not voted since its folder was made."""
        may_have_lost_it = self.config.log_id != 0 and self.log.last_index == 0
        return may_have_lost_it and (self.current_term == 0 or self.voted_for == NO_VOTE)

    @property
    def changing_members(self) -> bool:
        """Whether this leader is about a change of the members. When that ends, ``committed_configuration`` shows
        whether it came about, and ``status()["change"]`` why not."""
        return self._leadership is not None and self._leadership.changing()

    def status(self) -> dict[str, Any]:
        """For people: plain values that json can write."""
        log, configuration = self.log, self.configuration
        membership = configuration.membership
        status: dict[str, Any] = {
            "id": self.id,
            "role": self.role.value,
            "term": self.current_term,
            "voted_for": self.voted_for if self.voted_for != NO_VOTE else NOBODY,
            "leader": self.leader,
            "members": sorted(membership.everyone()),
            "voters": sorted(membership.voters),
            "outgoing": sorted(membership.outgoing),
            "learners": sorted(membership.learners),
            "configuration": configuration.index,
            "last_index": log.last_index,
            "last_term": log.last_term,
            "durable_index": log.durable_index,
            "agreed": self.agreed_index,
            "commit": log.commit_index,
            "applied": log.applied_index,
            "first_index": log.base_index + 1,
            "snapshot": log.snapshot.index if log.snapshot is not None else 0,
            "snapshot_term": log.snapshot.term if log.snapshot is not None else 0,
            "lost": {str(member): why for member, why in self.lost.items()},
            "refuses_votes": self.refuses_votes,
            "timer_ticks": None if self._leadership is not None else [self._elapsed, self._timeout],
        }
        if self._leadership is not None:
            status.update(self._leadership.status())
        return status

    # -- inputs -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """One tick of the caller's clock has passed."""
        self._asking.now += 1
        if self._leadership is not None:
            if not self._leadership.tick():
                self._become_follower(self.current_term, NOBODY)
            return
        self._elapsed += 1
        self._heard_ago += 1
        if self._elapsed >= self._timeout:
            self._campaign()
        elif self._follows() and self._patience.asks(self._heard_ago):
            self._ask_after_leader()

    def pass_idle_ticks(self, count: int) -> bool:
        """So many ticks have passed, fewer than ``idle_ticks``: False if that is not so, or this member leads, and
        each has to be given by itself."""
        if self._leadership is not None or count >= self.idle_ticks:
            return False
        self._asking.now += count
        self._elapsed += count
        self._heard_ago += count
        return True

    def leader_unreachable(self, member: int, quoted: Quoted = NOTHING_QUOTED) -> bool:
        """The host of ``member`` says that nobody is there to take what this member sends. If that is the leader it
        follows, it waits for that one no longer than until it would ask after it, or no longer at all if ``quoted``,
        the reply of this member's that the host has refused, proves it; it asks for votes when its turn comes, and
        gives its own. The term stays: whoever hears the leader refuses. With leases nothing changes. False if
        the word counts for nothing, or is no news."""
        if not self._follows() or member != self.leader:
            return False
        is_proof = self._following.has_answered(self.current_term, member, quoted)
        if not self._patience.lose(is_proof):
            return False
        self._wait_less_for(member)
        if not is_proof and self._follows():
            self._ask_after_leader()  # what was refused may have been no reply to the leader: then this will be
        return True

    @property
    def leader_end_is_proven(self) -> bool:
        """Whether this member has proof that this term's leader has ended, and has not heard it since."""
        return self._patience.is_proven

    def hint(self, term: int) -> bool:
        """The network's controller hints that the leader of ``term`` has ended. If this member follows that one, it
        waits for it no longer than two and a half heartbeats of its own silence, and asks after it now, for its host
        may prove it; all else is as with ``leader_unreachable``. False if the hint counts for nothing, or is no
        news."""
        if not self._follows() or term != self.current_term or not self._patience.hint():
            return False
        self._wait_less_for(self.leader)
        if self._follows():
            self._ask_after_leader()
        return True

    def _ask_after_leader(self) -> None:
        settled = self._durable_state.current_term == self.current_term
        self._following.ask_after(self.current_term, self.leader, settled)

    def _wait_less_for(self, leader: int) -> None:
        """Campaign when the own turn comes, after as much silence as is enough by what was said of the leader."""
        turn, part = self._turn_after(leader)
        wait = self._patience.left(self._heard_ago) + turn * part
        self._timeout = min(self._timeout, self._elapsed + wait)
        if not wait:
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

    def read(self, overdue_ticks: int = 0) -> int:
        """Ask for a linearizable read; its number, never used again. Ready.reads names it once it is safe, or never
        if this member stops leading before. ``overdue_ticks``: how many have passed on the clock and have not been
        given yet; a lease is not served without knowing them. Raises NotLeader."""
        if self._leadership is None:
            raise NotLeader(self.leader)
        self._reads_asked += 1
        self._leadership.read(self._reads_asked, overdue_ticks)
        return self._reads_asked

    def read_here(self) -> int:
        """Ask for a linearizable read at a member that need not lead: it asks its leader from which index on that is
        one, as soon as it has a leader. The read's number, as for ``read``; ``forget_reads`` what takes too long."""
        if self._leadership is not None:
            return self.read()
        self._reads_asked += 1
        self._asking.ask(self._reads_asked)
        return self._reads_asked

    def forget_reads(self, reads: Collection[int]) -> None:
        """Nobody waits any more for reads of these numbers that were asked for here."""
        self._asking.forget(reads)

    @property
    def ticks(self) -> int:
        """How many have been given in this life."""
        return self._asking.now

    def age(self, applied_index: int, overdue_ticks: int = 0) -> int | None:
        """Up to how many ticks ago the state was current that holds all up to ``applied_index``, None if that is not
        known: since a question that its leader has answered was asked, or a leader's round began."""
        leadership, asking = self._leadership, self._asking
        age = leadership.age(applied_index) if leadership is not None else asking.age(applied_index)
        return None if age is None else age + overdue_ticks + 1

    def acknowledge_held(self) -> None:
        """Say what was held back, if anything still is."""
        if self.holds_back:
            self._following.pay(settled=self._durable_state.current_term == self.current_term)

    def clock_slipped(self) -> None:
        """Ticks that have passed will never be given: no lease that began before is of use, and no age is known."""
        self._asking.void_age()
        if self._leadership is not None:
            self._leadership.void_lease()

    def transfer(self, successor: int) -> None:
        """Hand leadership over: bring ``successor`` up to date and have it campaign at once (thesis, section 3.10).
        Proposals are Busy meanwhile; after an election timeout in vain this member leads on, however many successors
        were named meanwhile. Raises NotLeader, ValueError for a member that cannot lead, and Unreachable for one that
        has been silent for an election timeout."""
        if self._leadership is None:
            raise NotLeader(self.leader)
        if successor not in self.membership.voters:
            raise ValueError(f"member {successor} cannot lead: the voters are {sorted(self.membership.voters)}")
        if successor in self.lost:
            raise ValueError(f"member {successor} cannot lead: it has lost its data")
        if successor != self.id:
            self._leadership.hand_over(successor)

    def change_membership(
        self,
        add: Mapping[int, bytes] | None = None,
        remove: Collection[int] = (),
        learners: Mapping[int, bytes] | None = None,
    ) -> None:
        """Begin to change who the members are. ``add`` will vote and ``learners`` will not, each with its address;
        they may be members already, in another part or elsewhere. Newcomers in ``add`` are learners until they have
        caught up. Nothing happens if all is so already.

        The voters change only while a quorum of the new ones, and each newcomer, answers the leader: Unreachable if
        it is known not to, and the change is given up if that shows later.

        Raises NotLeader, Busy and ChangeInProgress (try again later), InvalidChange, Unreachable."""
        if self._leadership is None:
            raise NotLeader(self.leader)
        current = self.configuration
        target = target_of(current, add or {}, remove, learners or {})
        for one in (*(add or {}), *(learners or {})):
            if one in self.lost:
                raise InvalidChange(f"member {one} has lost its data: remove it first, then add it as a new one")
        if self._leadership.changing() or not current.same_as(target):
            self._leadership.change(target)

    def abandon_change(self) -> None:
        """Do not wait for newcomers any longer; they stay learners. A joint configuration is finished all the same.
        Raises NotLeader."""
        if self._leadership is None:
            raise NotLeader(self.leader)
        self._leadership.abandon_change("given up on request")

    def take_snapshot(self, index: int, data: Data) -> Snapshot:
        """A snapshot of the state machine as it is after entry ``index``, which must be applied and still be in the
        log. Make it durable, then ``compact``. ValueError if that cannot be, also for a newcomer whose log has not
        come to a configuration yet: a snapshot must say who the members are."""
        log = self.log
        term = log.term_at(index)
        if term is None or not 0 < index <= log.applied_index:
            raise ValueError(f"no snapshot at {index}: the log goes from {log.base_index} to {log.applied_index}")
        configuration = log.configurations.at(index)
        if not configuration.membership.voters:
            raise ValueError(f"no snapshot at {index}: the members are not known yet")
        return Snapshot(index, term, configuration, data)

    def compact(self, snapshot: Snapshot, keep: int = 0) -> None:
        """``snapshot`` is durable: it stands for the log from now on, save the last ``keep`` entries before its end,
        from which members who are not far behind are served without it. An older one than the last is ignored."""
        log = self.log
        if log.snapshot is not None and snapshot.index <= log.snapshot.index:
            return
        if log.term_at(snapshot.index) != snapshot.term or snapshot.index > log.applied_index:
            raise ValueError(f"the snapshot at {snapshot.index} was not taken from this log")
        index = snapshot.index - keep
        log.compact(snapshot, self._leadership.compact_to(index) if self._leadership is not None else index)

    def step(self, message: Message) -> None:
        """Take a message from another member."""
        kind, source = message.type, message.source
        if message.target != self.id or source == self.id or not 0 < source <= MAX_ID:
            return
        if kind not in _REQUESTS and (kind not in _REPLIES or not self.membership.includes(source)):
            return
        if not in_range(message):
            return
        if kind in _VOTE_REQUESTS and self._hears_leader() and not _called_for(message):
            return
        if message.term > self.current_term:
            self._meet_higher_term(message)
        elif message.term < self.current_term:
            self._answer_lower_term(message)
            return
        if kind in _VOTE_REQUESTS:
            self._on_vote_request(message)
        elif kind in _LEADERS:
            self._on_leader(message)
        elif kind in REPLIES_TO_LEADERS:
            if self._leadership is not None:
                self._leadership.on_reply(message)
                if message.question is not None:
                    self._leadership.on_question(message.source, message.question, takes=True)
        elif kind is MessageType.TIMEOUT_NOW:
            self._on_timeout_now(message)
        elif kind in _READ_INDEX:
            self._on_read_index(message)
        else:
            self._on_vote_reply(message)

    # -- outputs ----------------------------------------------------------------------------------------------

    def ready(self) -> Ready | None:
        """What must be done now, None if nothing. What it holds has left the core: do it, or crash."""
        log, out = self.log, self._out
        reads: tuple[tuple[int, int], ...] = ()
        if self._leadership is not None:
            self._leadership.replicate()
            reads = self._leadership.take_reads()
        elif not self._asking.idle and self._follows():
            self._ask_for_index()
        if self._served:
            reads += tuple(self._served)
            self._served = []
        if not reads and self._has_no_news():
            return None
        state: HardState | None = None
        if self.current_term != self._handed_state.current_term or self.voted_for != self._handed_state.voted_for:
            state = self._handed_state = HardState(self.current_term, self.voted_for)
        snapshot = self._following.take_restored()
        entries = log.take_unwritten()
        committed = log.take_committed(self.config.max_apply_bytes)
        if committed and self._leadership is not None:
            self._leadership.committed(committed)
            if self._leadership.is_removed():
                self._leadership.resign()
                self._become_follower(self.current_term, NOBODY)
        needs_disk = state is not None or bool(entries) or snapshot is not None
        if out.after and not needs_disk and not self._outstanding:
            out.now += out.after
            out.after = []
        latest, agreed = self._take_configurations()
        if not (needs_disk or committed or out.now or out.after or reads or latest or agreed):
            return None
        ready = Ready(tuple(out.now), state, entries, tuple(out.after), committed, reads, snapshot, latest, agreed)
        out.now, out.after = [], []
        if needs_disk:
            self._outstanding.append((ready, log.last_index, log.truncations))
        return ready

    def _has_no_news(self) -> bool:
        """Whether ``ready`` would find nothing but reads."""
        log, out, handed = self.log, self._out, self._handed_state
        return (
            not out.now
            and not out.after
            and log.handed_index == log.last_index
            and log.applied_index == log.commit_index
            and self.current_term == handed.current_term
            and self.voted_for == handed.voted_for
            and self._following.restored is None
            and log.configurations.latest is self._handed_configuration is self._handed_committed
        )

    def _take_configurations(self) -> tuple[Configuration | None, Configuration | None]:
        """The latest and the latest committed configuration, each if it has not been given out yet."""
        latest, handed = self.log.configurations.latest, self._handed_configuration
        if latest is handed and handed is self._handed_committed:
            return None, None
        agreed, handed_agreed = self.committed_configuration, self._handed_committed
        self._handed_configuration, self._handed_committed = latest, agreed
        self._out.names_log = agreed.log_ids.get(self.id) != self.config.log_id
        return (latest if latest is not handed else None), (agreed if agreed is not handed_agreed else None)

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
                self._count_vote(self.id, self.config.log_id, granted=True)
        if self._leadership is not None:
            self._leadership.own_disk_holds(self.log.durable_index)

    # -- terms ------------------------------------------------------------------------------------------------

    def _meet_higher_term(self, message: Message) -> None:
        """A pre-vote changes nobody's term: it asks about a term that may never come, and so does its grant."""
        kind = message.type
        if kind is MessageType.PRE_VOTE or (kind is MessageType.PRE_VOTE_REPLY and not message.reject):
            return
        self._become_follower(message.term, message.source if kind in _LEADERS else NOBODY)

    def _answer_lower_term(self, message: Message) -> None:
        """Tell the sender of an outdated request that its term is over; outdated replies are of no use. The request's
        round is one of that term: a leader who led in it, too, must not take it for one of the present term."""
        kind = _REPLY_TO.get(message.type)
        if kind is None:
            return
        message = replace(message, round=0)
        if kind in REPLIES_TO_LEADERS:
            self._reply(message, index=message.index, reject=True)
        else:
            self._reply(message, log_term=message.term, reject=True)

    # -- roles ------------------------------------------------------------------------------------------------

    def _become_follower(self, term: int, leader: int) -> None:
        if term > self.current_term:
            self.voted_for = NO_VOTE if self._is_blank() else NOBODY
            self.current_term = term
            self._wait_anew(self._patience.begin_term())
        if self.role is not Role.FOLLOWER:
            self.role = Role.FOLLOWER
            self._lost = self.lost
            self._leadership = self._ballot = None
            self._reset_election_timer()
        if leader not in (NOBODY, self.leader):
            self._take_turn_after(leader)
        self.leader = leader

    def _campaign(self) -> None:
        """Ask whether an election could be won, before disturbing anyone with a higher term (thesis, 9.6)."""
        self._reset_election_timer()
        if not self._may_lead() or self.current_term >= MAX_TERM:
            return
        self._timeout = min(self._timeout, self._patience.retry_in(self._heard_ago))
        self.role = Role.PRE_CANDIDATE
        self.leader = NOBODY
        self._ballot = Ballot(self.configuration)
        self._ask_everyone(MessageType.PRE_VOTE, self.current_term + 1, self._out.now)
        self._count_vote(self.id, self.config.log_id, granted=True)

    def _may_lead(self) -> bool:
        """A voter may; and one whose removal is not known to be committed, for it may be the only one that can lead
        (thesis, section 4.2.2)."""
        known = self.log.configurations
        if known.latest.membership.is_voter(self.id):
            return True
        return known.latest.index > self.log.commit_index and known.previous.membership.is_voter(self.id)

    def _on_timeout_now(self, message: Message) -> None:
        """The leader wants this member to take over, without a pre-vote: nobody needs to have missed the leader. It
        wants one that holds something; who does not has lost it since."""
        if self._is_blank():
            return
        if self.leader == message.source and self.membership.is_voter(self.id) and self.current_term < MAX_TERM:
            self._become_candidate(_TRANSFER)

    def _become_candidate(self, reason: bytes = b"") -> None:
        self._wait_anew(self._patience.begin_term())
        self._reset_election_timer()
        self.role = Role.CANDIDATE
        self.leader = NOBODY
        self.current_term += 1
        self.voted_for = self.id
        self._ballot = Ballot(self.configuration, self._ballot.log_ids if self._ballot is not None else None)
        self._ask_everyone(MessageType.REQUEST_VOTE, self.current_term, self._out.after, reason)

    def _ask_everyone(self, kind: MessageType, term: int, out: list[Message], reason: bytes = b"") -> None:
        """Ask for votes. The round, which answers echo, is the log's id: what was granted to another log under this
        member's id, in a term in which that was a candidate too, is not granted to this one."""
        log, log_id = self.log, self.config.log_id
        for member in sorted(self.membership.voters | self.membership.outgoing):
            if member != self.id:
                asked = Message(kind, self.id, member, term, log.last_index, log.last_term, round=log_id, data=reason)
                out.append(asked)

    def _become_leader(self, log_ids: Mapping[int, int]) -> None:
        self.role = Role.LEADER
        self.leader = self.id
        self._elapsed = 0
        self._ballot = None
        self._leadership = Leadership(
            self.config,
            self.log,
            self.current_term,
            self._random.randrange(ROUNDS_APART) if self.config.log_id else 0,
            self._send_now,
            log_ids,
            self.fanout_counts,
            self.acknowledgement_counts,
            self.asking_counts,
            self.gather_counts,
        )
        self._leadership.begin_term()
        for number in self._asking.take_waiting():
            self._leadership.read(number, 0)
        self._leadership.begin_round()

    def _send_now(self, message: Message) -> None:
        self._out.now.append(message)

    def _reset_election_timer(self) -> None:
        self._elapsed = 0
        self._draw_timeout()

    def _draw_timeout(self) -> None:
        minimum = self.config.election_timeout_ticks
        self._timeout = minimum + self._random.randrange(self.config.election_spread_ticks or minimum)

    def _wait_anew(self, was_told: bool) -> None:
        """As long as ever, if something ``was_told`` of a leader's end that counts no more."""
        if was_told:
            self._draw_timeout()
            if self.leader != NOBODY:
                self._take_turn_after(self.leader)

    def _take_turn_after(self, leader: int) -> None:
        """Should this leader fall silent, the voters campaign in turn, each in its own part of the spread: first who
        comes next in the order of ids. The tick more is for their promise to the leader to run out."""
        if self.config.election_spread_ticks and self.id in self.membership.voters - {leader}:
            turn, part = self._turn_after(leader)
            first = self.config.election_timeout_ticks + 1 + turn * part
            self._timeout = first + self._random.randrange(part)

    def _turn_after(self, leader: int) -> tuple[int, int]:
        """Which voter this member is in the order in which they campaign when ``leader`` falls silent, from 0 on, and
        how many ticks each has before the next one's turn."""
        others = (self.membership.voters | {self.id}) - {leader}
        turn = sorted((one - leader) % EVERYBODY for one in others).index((self.id - leader) % EVERYBODY)
        return turn, max(1, (self.config.election_spread_ticks or self.config.election_timeout_ticks) // len(others))

    @property
    def is_promised(self) -> bool:
        """Whether a leader may rely on leases: on it that this member waits for an election timeout after it was
        heard."""
        return self._patience.is_promised

    def _hears_leader(self) -> bool:
        """Whether the leader was heard within the minimum election timeout: then no election is wanted, whoever asks
        (thesis, section 4.2.3). A leader hears itself until its quorum goes silent. With leases this is a promise
        that a leader relies on: it outlasts a change of term, and a restart may have forgotten it."""
        minimum = self.config.election_timeout_ticks
        if self._patience.is_promised and self._heard_ago < minimum:
            return True
        if self._leadership is None and (self._heard_ago >= minimum or self._patience.is_over(self._heard_ago)):
            # Who may not campaign begins a new election timeout after each, and remembers the leader.
            return False
        return self.leader != NOBODY and self._elapsed < minimum

    # -- votes ------------------------------------------------------------------------------------------------

    def _on_vote_request(self, message: Message) -> None:
        pre = message.type is MessageType.PRE_VOTE
        free = self.voted_for in (NOBODY, message.source) or (pre and message.term > self.current_term)
        if self._is_blank():
            # Who holds something began without this member; or it has lost its data, and a vote perhaps.
            free = message.index == 0
            self._refused_votes |= not free
        granted = free and self.log.is_up_to_date(message.index, message.log_term)
        if granted and not pre:
            self.voted_for = message.source
            self._elapsed = 0
        # Who asks in a pre-vote is a term behind what it asks about, and hears nobody of an earlier one than its own.
        term = message.term if granted else max(self.current_term, message.term - pre)
        self._reply(message, term=term, log_term=message.term, reject=not granted)

    def _on_vote_reply(self, message: Message) -> None:
        """Count an answer, if it answers the question that is open now. One to the pre-vote before still says out of
        which log the voter answers."""
        ballot = self._ballot
        asked = self.current_term + 1 if self.role is Role.PRE_CANDIDATE else self.current_term
        if ballot is None or message.log_term != asked or message.round != self.config.log_id:
            return
        if not ballot.knows(message.source, message.log_id):
            self._lost = {**self._lost, message.source: ANOTHER_LOG}
        is_pre_vote = message.type is MessageType.PRE_VOTE_REPLY
        if is_pre_vote == (self.role is Role.PRE_CANDIDATE):
            self._count_vote(message.source, message.log_id, granted=not message.reject)

    def _count_vote(self, voter: int, log_id: int, *, granted: bool) -> None:
        ballot = self._ballot
        assert ballot is not None
        ballot.record(voter, granted=granted, log_id=log_id)
        if ballot.won():
            if self.role is Role.PRE_CANDIDATE:
                self._become_candidate()
            else:
                self._become_leader(ballot.log_ids)
        elif ballot.lost():
            self._become_follower(self.current_term, NOBODY)

    # -- entries ----------------------------------------------------------------------------------------------

    def _on_leader(self, message: Message) -> None:
        """A message that only the term's leader sends."""
        if self.role is Role.LEADER or self.leader not in (NOBODY, message.source):
            return  # two leaders in one term: the message is forged
        is_append = message.type is MessageType.APPEND_ENTRIES
        if is_append and not entries_fit(message):
            return
        self._become_follower(self.current_term, message.source)
        self._wait_anew(self._patience.forget())
        if message.lease is not self._patience.is_promised:
            self._patience.promise(message.lease)
        self._elapsed = self._heard_ago = 0
        self._lost = _NOBODY_LOST
        settled = self._durable_state.current_term == self.current_term
        if is_append:
            self._following.on_append_entries(message, settled)
            if message.answers is not None:
                self._served += self._asking.told(message)
        else:
            self._following.on_install_snapshot(message, settled)

    # -- reads ------------------------------------------------------------------------------------------------

    def _ask_for_index(self) -> None:
        question = self._asking.question(self.current_term, self.leader, self._known_by_log())
        if question is not None:
            settled = self._durable_state.current_term == self.current_term
            if settled and self._asking.may_ride and self._out.carry(question):
                self.asking_counts.asked_along += 1
            else:
                (self._out.now if settled else self._out.after).append(question)

    def _known_by_log(self) -> tuple[int, int] | None:
        """What may be acknowledged to the leader, and the log's id, if the members have agreed on that."""
        if self._out.names_log:
            return None
        return self._following.holds(self.current_term, self.leader), self.config.log_id

    def _on_read_index(self, message: Message) -> None:
        if self._leadership is not None:
            if message.type is MessageType.READ_INDEX:
                question = Question(message.round, message.index, message.commit)
                self._leadership.on_question(message.source, question, takes=message.more)
        elif message.type is MessageType.READ_INDEX_REPLY and message.source == self.leader:
            self._served += self._asking.told(message)

    # -- answers ----------------------------------------------------------------------------------------------

    def _reply(
        self, message: Message, *, term: int | None = None, index: int = 0, log_term: int = 0, reject: bool = False
    ) -> None:
        """Answer once all that the core has decided so far is durable."""
        term = self.current_term if term is None else term
        self._out.answer(message, _REPLY_TO[message.type], term, index=index, log_term=log_term, reject=reject)


def _called_for(message: Message) -> bool:
    return message.type is MessageType.REQUEST_VOTE and message.data == _TRANSFER
