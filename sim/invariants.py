"""What must hold after every step (thesis, figure 3.2; etcd/raft's TLA+ specification).

Each check looks only at what has just changed; by induction all of it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from weakref import WeakKeyDictionary

from hosts.raft.configuration import Configuration
from hosts.raft.core import Raft, Ready, Role
from hosts.raft.errors import NotLeader
from hosts.raft.message import EVERYBODY, Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.progress import Mode
from hosts.raft.quorum import has_majority
from hosts.raft.snapshot import Data, Snapshot
from hosts.service.machine import Answer
from hosts.service.sessions import Limits, Sessions
from hosts.storage.log import DiskLog
from sim.checks.ages import Ages
from sim.checks.doubts import Doubts
from sim.checks.sessions import Told
from sim.violation import Violation

_NOT_SAID = ("gather", "log_id")
_as_said = attrgetter(*[one.name for one in fields(Message) if one.name not in _NOT_SAID])
"""A reply without what is no part of what it says."""


@dataclass(slots=True)
class Promised:
    """What a member's disk has acknowledged to hold: it must all be there after any crash. ``entries`` is the whole
    log, with those that a snapshot stands for."""

    hard_state: HardState = field(default_factory=HardState)
    entries: list[Entry] = field(default_factory=list)

    def write(self, state: HardState | None, entries: Sequence[Entry], restored: Sequence[Entry] | None) -> None:
        """``restored``: what a leader's snapshot stands for."""
        if state is not None:
            self.hard_state = state
        if restored is not None:
            self.entries = list(restored)
        if entries:
            del self.entries[entries[0].index - 1 :]
            self.entries.extend(entries)

    def holds(self, entry: Entry) -> bool:
        return entry.index <= len(self.entries) and self.entries[entry.index - 1].term == entry.term

    def copy(self) -> Promised:
        return Promised(self.hard_state, list(self.entries))


@dataclass(frozen=True, slots=True)
class Writing:
    """A write that was cut short."""

    hard_state: HardState | None
    entries: Sequence[Entry]
    snapshot: Snapshot | None


class Watch:
    """One group, seen from above."""

    def __init__(self, group: int, members: Sequence[int], counts: Counter[str], limits: Limits) -> None:
        self.group = group
        self.members = tuple(members)
        self.counts = counts
        self.disks = {member: Promised() for member in members}
        self.committed: list[Entry] = []
        self.configuration: Configuration | None = None
        """The last one that was committed; None for the members at the group's birth."""
        self.leaders: dict[int, int] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._entries: dict[tuple[int, int], tuple[int, Entry]] = {}
        self.log_ids: dict[int, int] = {}
        """The ids of the members' logs, as their folders are now."""
        self._wiped: set[int] = set()
        """Who has lost its folder at some time."""
        self._ghosts: dict[int, Promised] = {}
        """What members held before they lost their folders, until they are members with the new ones."""
        self._answers: list[bytes] = []
        self._told = Told(limits.traces, self.fail)
        self.ages = Ages(self.fail)
        self.doubts = Doubts(self.fail, counts)
        self._cores: dict[int, Raft] = {}
        self._snapshots: dict[int, Data] = {}
        self._reads: WeakKeyDictionary[Raft, dict[int, tuple[int, int]]] = WeakKeyDictionary()
        """The reads that each member waits for: the term in which it was asked, and what was committed then."""
        self._sent_entries: dict[tuple[int, int], tuple[int, int]] = {}
        """The term and round in which a leader has sent another member entries last."""
        self._last_sent: dict[tuple[int, int, bool], int] = {}
        """By leader, term, and whether it went to everybody: the last entry that was sent."""
        self._said: set[tuple[object, ...]] = set()
        """What members have answered to AppendEntries."""
        self._replies = 0
        self._replied: dict[tuple[int, int], int] = {}
        """When a member has last replied to another one's entries or heartbeats, counted in such replies of all."""
        self._asked_to_change: WeakKeyDictionary[Raft, int] = WeakKeyDictionary()
        """When a leader was asked for a change, or elected to finish one, in the same count."""
        self._highest: tuple[int, Raft] | None = None
        self.elected: Callable[[Raft], None] | None = None
        """Told of each new leader."""

    def fail(self, rule: str, text: str) -> None:
        raise Violation(rule, f"group {self.group}: {text}")

    # -- after every step of a member -----------------------------------------------------------------------------

    def look(self, core: Raft) -> None:
        """A member has done something."""
        lost = core.lost
        if lost and not lost.keys() <= self._wiped:
            self.fail("who has lost nothing is not accused", f"member {core.id} says {core.lost}")
        if core.role is Role.LEADER and self.leaders.get(core.current_term) != core.id:
            self._new_leader(core)
        if core.log.commit_index > len(self.committed):
            self._new_commits(core)

    def _new_leader(self, core: Raft) -> None:
        term = core.current_term
        if term in self.leaders:
            self.fail("one leader per term", f"members {self.leaders[term]} and {core.id} lead in term {term}")
        self.leaders[term] = core.id
        self.doubts.elected(core)
        self.counts["elections"] += 1
        if self.disks[core.id].hard_state != HardState(term, core.id):
            self.fail("votes are durable", f"member {core.id} leads in term {term} without its own vote on disk")
        if self._highest is None or term > self._highest[0]:
            self._highest = (term, core)
        # A log of a former leader may have changed since; that of the present one only grows.
        self._cores = {term: core}
        self._asked_to_change[core] = self._replies
        if self.committed:
            self._check_complete(core, self.committed[-1])
        if self.elected is not None:
            self.elected(core)

    def _check_complete(self, core: Raft, entry: Entry) -> None:
        """With log matching, holding the last committed entry is holding all."""
        if core.current_term >= entry.term and core.log.term_at(entry.index) != entry.term:
            self.fail(
                "leader completeness",
                f"member {core.id}, leader of term {core.current_term}, lacks committed entry {entry.index} "
                f"of term {entry.term}",
            )

    def heard(self, core: Raft) -> None:
        """A member has taken what its leader says, which was no entries: as far as the two logs agree by what it
        knows, they must do so. Entries are looked at when they are written."""
        agreed, leader = core.agreed_index, self._cores.get(core.current_term)
        if not agreed or leader is None or leader.role is not Role.LEADER or leader.id != core.leader:
            return
        here, there = core.log.term_at(agreed), leader.log.term_at(agreed)
        compacted = agreed <= max(core.log.base_index, leader.log.base_index)
        if agreed > min(core.last_index, leader.last_index) or (here != there and not compacted):
            self.fail(
                "what agrees is the leader's",
                f"member {core.id} agrees with leader {leader.id} of term {leader.current_term} up to entry "
                f"{agreed}, which is of term {here} here and of {there} there",
            )

    def may_heal(self, leader: Raft, reply: Message) -> int:
        """How many AppendEntries a member has not acknowledged that its reply may acknowledge only as an answer to a
        heartbeat: for it is of a later round than any in which the member was sent entries."""
        sent = self._sent_entries.get((leader.id, reply.source))
        leadership = leader._leadership
        if leadership is None or sent is None or reply.reject or sent[0] != reply.term or reply.round <= sent[1]:
            return 0
        progress = leadership._progress.get(reply.source)
        return progress.inflight if progress is not None and progress.mode is Mode.REPLICATE else 0

    def healed(self, leader: Raft, reply: Message, before: int) -> None:
        """A leader has taken such a reply. Entries that are not on their way any more, and were not given up, need
        not be sent again, although no other acknowledgement has come."""
        leadership = leader._leadership
        if leadership is not None and reply.source in leadership._progress:
            progress = leadership._progress[reply.source]
            if progress.mode is Mode.REPLICATE and progress.inflight < before:
                self.counts["acknowledgements healed"] += 1

    def _new_commits(self, core: Raft) -> None:
        known = len(self.committed)
        if core.role is not Role.LEADER:
            self.fail(
                "leaders commit first",
                f"member {core.id} commits {core.commit_index}, and no leader more than {known}",
            )
        if core.commit_index > core.last_index:
            self.fail("commit within the log", f"member {core.id}: {core.commit_index} of {core.last_index}")
        if core.role is Role.LEADER and core.log.term_at(core.commit_index) != core.current_term:
            # Thesis, section 3.6.2: such an entry may still be replaced, although a majority holds it.
            self.fail(
                "commits by its own term",
                f"member {core.id}, leader of term {core.current_term}, commits up to entry {core.commit_index} of "
                f"term {core.log.term_at(core.commit_index)}",
            )
        entries, _ = core.log.between(known + 1, core.commit_index, 1 << 30, 1 << 60)
        for entry in entries:
            holders = [
                member for member, disk in self.disks.items() if disk.holds(entry) and self._counts(core, member)
            ]
            holders += [one for one, lost in self._ghosts.items() if lost.holds(entry) and one not in core.lost]
            if not core.membership.is_quorum(set(holders)):
                self.fail(
                    "committed is durable",
                    f"member {core.id} commits entry {entry.index} of term {entry.term}, which only the disks of "
                    f"{holders} hold",
                )
            self.committed.append(entry)
            alone, copied = (self._last_sent.get((core.id, core.current_term, one), 0) for one in (False, True))
            self.counts["commits by fan-out alone"] += alone < entry.index <= copied
            if entry.kind is EntryKind.CONFIGURATION:
                self._new_configuration(entry)
        self.ages.committed(len(self.committed))
        if self._highest is not None and entries:
            term, leader = self._highest
            if leader.role is Role.LEADER and leader.current_term == term:
                self._check_complete(leader, entries[-1])

    def _counts(self, core: Raft, member: int) -> bool:
        """Whether a leader may count on a member with the folder that it has now."""
        own = self.log_ids.get(member)
        return core.configuration.log_ids.get(member, own) == own

    def _new_configuration(self, entry: Entry) -> None:
        before = self.configuration.membership if self.configuration is not None else None
        self.configuration = Configuration.unpack(entry.index, entry.data)
        now = self.configuration.membership
        if now.outgoing and len(now.outgoing) == 1 < len(now.voters):
            self.counts["grown from one voter"] += 1
        elif before is not None and len(before.outgoing) > 1 == len(now.voters) and not now.outgoing:
            self.counts["shrunk to one voter"] += 1
        if self.configuration.is_joint:
            self.counts["joint configurations"] += 1
        elif before is not None and before.outgoing:
            self.counts["configurations"] += 1
        elif now.voters == (before.voters if before is not None else frozenset(self.members)):
            self.counts["configurations of the same voters"] += 1

    def wiped(self, member: int) -> None:
        """A member's folder is deleted. What it had acknowledged may be counted until a leader finds out."""
        self._wiped.add(member)
        self._ghosts[member] = self.disks[member]

    def mended(self, member: int) -> None:
        """A member that was wiped is a member again, with a new folder."""
        self._ghosts.pop(member)

    def waits_for(self, member: int) -> bool:
        """Whether the leader waits for a member's acknowledgements while others may hold theirs back."""
        if self._highest is None:
            return False
        term, leader = self._highest
        return leader.role is Role.LEADER and leader.current_term == term and member in leader.waits_for

    def takes_part(self, member: int) -> bool:
        """Whether a member belongs to the group, by the last committed configuration."""
        return self.configuration is None or member in self.configuration.membership.everyone()

    # -- what leaves a core ---------------------------------------------------------------------------------------

    def ready(self, core: Raft, ready: Ready) -> None:
        """Log matching by induction: index and term decide the entry and its predecessor's term."""
        for entry in ready.entries:
            previous = core.log.term_at(entry.index - 1) or 0
            known = self._entries.setdefault((entry.index, entry.term), (previous, entry))
            if known[0] != previous or known[1] != entry:
                self.fail("log matching", f"member {core.id} holds {entry} after term {previous}, others {known}")
            if entry.kind is EntryKind.CONFIGURATION and core.role is Role.LEADER and entry.term == core.current_term:
                self._check_change(core, entry)
        if ready.snapshot is not None:
            self.counts["snapshots installed"] += 1
            self.saw_snapshot(core.id, ready.snapshot)
        for number, index in ready.reads:
            self.counts["quorum reads"] += 1
            _, before = self._reads[core].pop(number)
            self.counts["reads alone"] += core.membership.is_quorum({core.id})
            self.counts["reads by followers"] += core.role is Role.FOLLOWER
            if index < before:
                self.fail("reads", f"member {core.id} reads at {index} what was at {before} when it was asked")

    def _check_change(self, core: Raft, entry: Entry) -> None:
        """A leader changes members only when it knows which are committed (raft-dev, July 2015). A group's first
        entry changes none."""
        if entry.index == 1 and Configuration.unpack(1, entry.data).membership == core.membership:
            return
        if core.log.term_at(core.commit_index) != core.current_term:
            self.fail("no change before the term's no-op", f"member {core.id} appends {entry}")
        membership = Configuration.unpack(entry.index, entry.data).membership
        if not membership.outgoing:
            return
        asked = self._asked_to_change[core]
        here = {one for one in membership.voters if self._replied.get((one, core.id), 0) > asked} | {core.id}
        silent = membership.voters - membership.outgoing - here
        if silent or not has_majority(membership.voters, here):
            self.fail(
                "who is to decide lives",
                f"member {core.id} appends {entry}: only {sorted(here)} have answered since it was asked for",
            )

    def asked_to_change(self, core: Raft) -> None:
        """A leader has been asked for a change of the members, and has not refused."""
        self._asked_to_change[core] = self._replies

    def rejected(self, leader: Raft) -> None:
        """A leader has taken a REJECT, perhaps a late one: what was acknowledged is not sent again."""
        for member, progress in leader.status()["progress"].items():
            if progress["mode"] != Mode.SNAPSHOT.value and progress["next_index"] <= progress["match_index"]:
                self.fail(
                    "next is beyond match", f"leader {leader.id} of term {leader.current_term}: {member} {progress}"
                )

    def asked_to_read(self, core: Raft, number: int) -> None:
        """A member has been asked for a linearizable read."""
        self._reads.setdefault(core, {})[number] = core.current_term, len(self.committed)

    def ask_to_read(self, core: Raft) -> None:
        """Ask a member for a linearizable read, if it still leads."""
        with suppress(NotLeader):
            core.read()

    def turned(self, core: Raft) -> None:
        """A leader's turn is over: whatever can leave it has left. Who alone is a quorum has nobody to wait for."""
        if not core.membership.is_quorum({core.id}) or core.log.term_at(core.commit_index) != core.current_term:
            return
        waiting = [number for number, (term, _) in self._reads.get(core, {}).items() if term == core.current_term]
        if waiting:
            self.fail("a lone voter serves reads", f"member {core.id} lets {len(waiting)} wait")

    def sending(self, message: Message) -> None:
        """Nothing leaves before what it promises is durable."""
        kind, member = message.type, message.source
        state = self.disks[member].hard_state
        if kind is MessageType.REQUEST_VOTE or (kind is MessageType.REQUEST_VOTE_REPLY and not message.reject):
            choice = member if kind is MessageType.REQUEST_VOTE else message.target
            if self._votes.setdefault((member, message.term), choice) != choice:
                first = self._votes[member, message.term]
                self.fail(
                    "one vote per term", f"member {member} votes for {first} and {choice} in term {message.term}"
                )
            if state.current_term < message.term or (
                state.current_term == message.term and state.voted_for != choice
            ):
                self.fail("votes are durable", f"not on disk ({state}): {message}")
        elif kind is MessageType.APPEND_ENTRIES:
            if message.entries:
                self._sends_entries(message)
            elif message.index:
                self.counts["members shown what agrees"] += 1
        elif kind is MessageType.READ_INDEX:
            if message.term > state.current_term:
                self.fail("terms are durable", f"not on disk ({state}): {message}")
        elif kind is MessageType.APPEND_ENTRIES_REPLY:
            self._replies += 1
            self._said.add(_as_said(message))
            self._replied[member, message.target] = self._replies
            if message.term > state.current_term:
                self.fail("terms are durable", f"not on disk ({state}): {message}")
            elif message.term == state.current_term:
                self._check_acknowledged(message, _acknowledges(message))

    def takes(self, message: Message) -> None:
        """An answer to AppendEntries counts only as what its member has said, whoever has brought it."""
        if message.type is MessageType.APPEND_ENTRIES_REPLY and _as_said(message) not in self._said:
            self.fail("an answer is its member's own", f"{message}")

    def _sends_entries(self, message: Message) -> None:
        everybody = message.target == EVERYBODY
        for target in message.receivers if everybody else (message.target,):
            self._sent_entries[message.source, target] = message.term, message.round
        last = self._last_sent.setdefault((message.source, message.term, everybody), 0)
        self._last_sent[message.source, message.term, everybody] = max(last, message.entries[-1].index)
        if everybody and message.receivers != tuple(sorted(set(message.receivers) - {message.source})):
            self.fail("receivers are members", f"{message}")
        if everybody and not message.index:
            self.fail("no copy is of use to who holds nothing", f"{message}")

    def _check_acknowledged(self, reply: Message, index: int) -> None:
        """A leader takes an acknowledgement for what stands in its own log."""
        entries = self.disks[reply.source].entries
        if index > len(entries):
            self.fail("acknowledged is durable", f"{len(entries)} entries on disk: {reply}")
        leader = self._cores.get(reply.term)
        if leader is None or not index:
            return
        entry = entries[index - 1]
        expected = leader.log.term_at(index)
        if expected != entry.term and index > leader.log.base_index:
            self.fail(
                "acknowledged is the leader's",
                f"entry {index} is of term {entry.term} there and of {expected} at leader {leader.id}: {reply}",
            )

    # -- the state machine ----------------------------------------------------------------------------------------

    def applies(self, member: int, entry: Entry) -> None:
        """A member's state machine takes an entry."""
        if entry.index > len(self.committed) or self.committed[entry.index - 1] != entry:
            known = self.committed[entry.index - 1] if entry.index <= len(self.committed) else "nothing"
            self.fail("state machines agree", f"member {member} applies {entry}; committed is {known}")

    def answered(self, member: int, entry: Entry, answer: Answer | None) -> None:
        """What applying an entry led to must be the same everywhere."""
        packed = b"" if answer is None else answer.reply.pack()
        if entry.index == len(self._answers) + 1:
            self._answers.append(packed)
            if answer is not None:
                self._told.look(entry, answer.reply)
        elif self._answers[entry.index - 1] != packed:
            self.fail("state machines agree", f"member {member} answers entry {entry.index} unlike another")

    def keeps(self, member: int, sessions: Sessions) -> None:
        """Answers that are kept for clients: no more than leaders may let come together, in two terms."""
        limits = sessions.limits
        most = limits.replies + 2 * len(sessions) * (limits.share + 1)
        if sessions.kept > most:
            self.fail("answers kept are bounded", f"member {member} keeps {sessions.kept}, of at most {most}")

    # -- disks ----------------------------------------------------------------------------------------------------

    def wrote(
        self, member: int, state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None
    ) -> None:
        """A member's disk has acknowledged."""
        restored = None if snapshot is None else self.committed[: snapshot.index]
        self.disks[member].write(state, entries, restored)

    def recovered(self, member: int, log: DiskLog, writing: Writing | None) -> None:
        """A member reads its disk after a crash: it is what was promised, or that and what was being written."""
        self.log_ids[member] = log.log_id
        found = Promised(log.hard_state, [*self._behind(member, log.snapshot), *log.entries])
        promised = self.disks[member]
        possible = [promised]
        if writing is not None:
            restored = None if writing.snapshot is None else self.committed[: writing.snapshot.index]
            if restored is not None:
                for stage in (None, restored):
                    possible.append(promised.copy())
                    possible[-1].write(writing.hard_state, (), stage)
            possible.append(promised.copy())
            possible[-1].write(writing.hard_state, writing.entries, restored)
        if found not in possible:
            self.fail(
                "promised is durable",
                f"member {member} finds {log.hard_state} and {len(found.entries)} entries; promised were "
                f"{promised.hard_state} and {len(promised.entries)}",
            )
        self.disks[member] = found

    def _behind(self, member: int, snapshot: Snapshot | None) -> Sequence[Entry]:
        """The entries that a snapshot stands for."""
        if snapshot is None:
            return ()
        self.saw_snapshot(member, snapshot)
        return self.committed[: snapshot.index]

    def saw_snapshot(self, member: int, snapshot: Snapshot) -> None:
        """Snapshots are of committed entries, and those of one index are the same wherever they were taken."""
        index = snapshot.index
        if index > len(self.committed) or self.committed[index - 1].term != snapshot.term:
            self.fail("snapshots agree", f"member {member} has one of entry {index} of term {snapshot.term}")
        if self._snapshots.setdefault(index, snapshot.data) != snapshot.data:
            self.fail("snapshots agree", f"member {member}'s of entry {index} is unlike another's")


def _acknowledges(reply: Message) -> int:
    """The entry up to which an AppendEntriesReply acknowledges: a REJECT, by a hint that has no term."""
    if not reply.reject:
        return reply.index
    return 0 if reply.log_term else reply.commit
