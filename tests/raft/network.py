"""Cores in memory, a network between them that does its worst, and the invariants that must hold all the same.

One seed decides everything. A member is a core and a disk; a crash leaves the disk, and of what was being written any
prefix. Invariants are those of the thesis, figure 3.2, and of etcd's TLA+ specification.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hosts.raft.core import Busy, Config, InvalidChange, NotLeader, Raft, Ready, Role, Snapshot, Unreachable
from hosts.raft.message import EVERYBODY, Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.quorum import majority
from hosts.storage.log import DiskLog
from sim.disk import PowerLoss, SimDisk

ELECTION_TICKS = 10
HEARTBEAT_TICKS = 2
MOST_MEMBERS = 8


@dataclass
class Faults:
    """How bad the network and the machines are; probabilities per message or per tick."""

    loss: float = 0.0
    duplicate: float = 0.0
    misdeliver: float = 0.0
    max_delay: int = 1
    slow_disk: float = 0.0
    skew: float = 0.0
    crash: float = 0.0
    partition: float = 0.0
    propose: float = 0.3
    read: float = 0.1
    ask: float = 0.0
    """A read at any member, and not at the leader only."""
    transfer: float = 0.0
    change: float = 0.0
    compact: float = 0.0
    wipe: float = 0.0
    copies: bool = True
    """Whether the network copies what goes to everybody."""
    copy_loss: float = 0.0
    """Of copies alone, beside ``loss``."""

    @classmethod
    def draw(cls, random: Random) -> Faults:
        def some(most: float) -> float:
            return random.random() * most if random.random() < 0.7 else 0.0

        return cls(
            loss=some(0.3),
            duplicate=some(0.3),
            misdeliver=some(0.1),
            max_delay=random.choice((1, 1, 2, 5, 12)),
            slow_disk=some(0.8),
            skew=some(0.2),
            crash=some(0.02),
            partition=some(0.03),
            propose=random.choice((0.05, 0.5, 2.0)),
            transfer=some(0.02),
            change=some(0.1),
            compact=some(0.1),
            wipe=0.02,
            ask=some(0.3),
        )


@dataclass
class Disk:
    """What a member has made durable: a snapshot, and entries that follow entry ``base``."""

    hard_state: HardState = field(default_factory=HardState)
    entries: list[Entry] = field(default_factory=list)
    base: int = 0
    snapshot: Snapshot | None = None
    log_id: int = 0

    @property
    def last_index(self) -> int:
        return self.base + len(self.entries)

    def write(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.snapshot is not None:
            self.snapshot = ready.snapshot
            self.base = ready.snapshot.index
            self.entries = []
        if ready.entries:
            first = ready.entries[0].index
            assert self.base < first <= self.last_index + 1, "a gap in what is written"
            self.entries[first - self.base - 1 :] = ready.entries

    def save(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def recover(self) -> None:
        """Where log and snapshot do not meet, the snapshot stands alone."""
        snapshot = self.snapshot
        if snapshot is None:
            return
        at = snapshot.index - self.base
        agrees = self.entries[at - 1].term == snapshot.term if 0 < at <= len(self.entries) else at == 0
        self.entries = self.entries[at:] if agrees else []
        self.base = snapshot.index

    def crash(self, writing: deque[Ready], random: Random) -> None:
        """Of what waits to be written, any number of whole Readys reach the disk: the log makes each one frame."""
        for _ in range(random.randrange(len(writing) + 1)):
            self.write(writing.popleft())

    def holds(self, entry: Entry) -> bool:
        """A snapshot holds what was committed before its end; only such entries are asked for."""
        if self.snapshot is not None and entry.index <= self.snapshot.index:
            return True
        return self.base < entry.index <= self.last_index and self.entries[entry.index - self.base - 1] == entry


class PowerLossDisk(Disk):
    """The real log on a disk that loses power: a crash forgets what was not synced, and tears the last write."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._power = SimDisk(random)
        self._log = DiskLog(self._power, segment_bytes=1024)

    def write(self, ready: Ready) -> None:
        super().write(ready)
        self._log.append(ready.hard_state, ready.entries, ready.snapshot)

    def save(self, snapshot: Snapshot) -> None:
        super().save(snapshot)
        self._log.save_snapshot(snapshot)

    def crash(self, writing: deque[Ready], random: Random) -> None:
        self._power.fuse = random.randrange(12)
        try:
            for ready in writing:
                self._log.append(ready.hard_state, ready.entries, ready.snapshot)
        except PowerLoss:
            pass
        self._power.lose_power()
        self._log = DiskLog(self._power, segment_bytes=1024)
        self.hard_state, self.entries, self.snapshot = (
            self._log.hard_state,
            list(self._log.entries),
            self._log.snapshot,
        )
        self.base = self.snapshot.index if self.snapshot is not None else 0


class Member:
    """One core with its disk and its state machine: a hash over all that was applied."""

    def __init__(self, config: Config, seed: int, disk: Disk) -> None:
        self.config = config
        self.disk = disk
        self.writing: deque[Ready] = deque()
        self.starts = 0
        self.seed = seed
        self.raft: Raft | None = None
        self.applied = 0
        self.state = b""
        self.start()

    def start(self) -> None:
        self.starts += 1
        random = Random(f"{self.seed}/{self.config.id}/{self.starts}")
        disk = self.disk
        disk.recover()
        config = replace(self.config, log_id=disk.log_id)
        self.raft = Raft(config, disk.hard_state, disk.entries, random, disk.snapshot)
        self.applied, self.state = 0, b""
        if disk.snapshot is not None:
            self.restore(disk.snapshot)

    def restore(self, snapshot: Snapshot) -> None:
        self.applied, self.state = snapshot.index, snapshot.data[:32]

    def apply(self, entry: Entry) -> None:
        self.applied = entry.index
        self.state = hashlib.sha256(self.state + entry.data).digest()

    def crash(self, random: Random) -> None:
        self.raft = None
        self.disk.crash(self.writing, random)
        self.writing.clear()


class Network:
    """The members and what flies between them. ``settle`` and ``run`` move time; both check after every event."""

    def __init__(
        self,
        seed: int,
        size: int = 3,
        faults: Faults | None = None,
        *,
        power: bool = False,
        identified: bool = False,
        **options: int,
    ) -> None:
        """``identified``: folders have ids, and may be wiped."""
        self.random = Random(seed)
        self.seed = seed
        self.faults = faults or Faults()
        ids = frozenset(range(1, size + 1))
        self.power = power
        self.identified = identified
        self.wiped: set[int] = set()
        """Whoever has been, ever."""
        self.ghost: Disk | None = None
        """What the member held that was wiped last."""
        self.unmended = 0
        """The member that was wiped last and is not a member with its new folder yet; 0: there is none."""
        self.options = {"election_timeout_ticks": ELECTION_TICKS, "heartbeat_ticks": HEARTBEAT_TICKS, **options}
        self.members: dict[int, Member] = {}
        for one in sorted(ids):
            self.add_member(one, ids)
        self.now = 0
        self.flying: list[tuple[int, int, int, Message]] = []
        self.sent = 0
        self.cut: set[tuple[int, int]] = set()
        self.uncopied: set[int] = set()
        """Whom no copy reaches."""
        self.left: list[Message] = []
        """What members have sent, each to everybody once."""
        self.arrived: list[tuple[int, int, Message]] = []
        """What a seed must give again: each message with its tick and whom it came to."""
        self.counts: dict[str, int] = dict.fromkeys(
            (
                "elections",
                "truncations",
                "crashes",
                "partitions",
                "busy",
                "misdelivered",
                "lost",
                "transfers",
                "refused for silence",
                "reads",
                "reads alone",
                "reads at followers",
                "questions along",
                "answers along",
                "lease reads",
                "changes",
                "joint configurations",
                "learners",
                "leaders removed",
                "compactions",
                "snapshots installed",
                "wipes",
                "named",
                "mended",
            ),
            0,
        )
        self.proposed: dict[bytes, tuple[int, int]] = {}
        # what the invariants remember
        self.leaders: dict[int, int] = {}
        self.votes: dict[tuple[int, int], int] = {}
        self.entries: dict[tuple[int, int], tuple[int, Entry]] = {}
        self.committed: list[Entry] = []
        self.states: list[bytes] = [b""]
        self.checked_commit = 0
        self.reads: dict[tuple[int, int, int], tuple[int, int, int]] = {}

    def add_member(self, one: int, members: frozenset[int] = frozenset()) -> None:
        """A host that knows ``members`` only, and waits to be told of others."""
        self.members[one] = Member(Config(one, members, **self.options), self.seed, self._new_disk())

    def _new_disk(self) -> Disk:
        disk = PowerLossDisk(self.random) if self.power else Disk()
        if self.identified:
            disk.log_id = self.random.getrandbits(64)
        return disk

    # -- moving time --------------------------------------------------------------------------------------------

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()

    def run_until_leader(self, ticks: int = 20 * ELECTION_TICKS) -> Raft:
        """Run until some member leads and all that live and can hear it follow it."""
        for _ in range(ticks):
            self.tick()
            leader = self.leader()
            if leader is not None and leader.commit_index == leader.last_index:
                return leader
        raise AssertionError(f"seed {self.seed}: no leader after {ticks} ticks: {self.roles()}")

    def leader(self) -> Raft | None:
        """The leader of the highest term."""
        leading = [one.raft for one in self.members.values() if one.raft and one.raft.role is Role.LEADER]
        return max(leading, key=lambda raft: raft.current_term, default=None)

    def raft(self, member: int) -> Raft:
        raft = self.members[member].raft
        assert raft is not None, f"member {member} is down"
        return raft

    def roles(self) -> dict[int, str]:
        return {
            one: f"{member.raft.role.value}@{member.raft.current_term}" if member.raft else "down"
            for one, member in self.members.items()
        }

    def tick(self) -> None:
        """One tick: messages arrive, disks finish, clocks move, faults strike."""
        self.now += 1
        random, faults = self.random, self.faults
        self._strike()
        while self.flying and self.flying[0][0] <= self.now:
            _, _, to, message = heapq.heappop(self.flying)
            member = self.members[to]
            if member.raft is not None:
                self.arrived.append((self.now, to, message))
                member.raft.step(message)
                self._check_commit(member.raft)
                if random.random() < 0.7:
                    self._serve(member)
        for member in list(self.members.values()):
            if member.raft is None:
                continue
            skewed = random.random() < faults.skew and not self.options.get("lease_ticks")
            asked_first = random.random() < 0.5
            if asked_first:
                # As a node has it, which takes what its socket holds before it looks at the clock.
                self._lead(member, overdue_ticks=1)
            for _ in range(random.choice((0, 2)) if skewed else 1):
                member.raft.tick()
            if member.raft.holds_back and random.random() < 0.5:
                member.raft.acknowledge_held()
            self._propose(member.raft)
            if not asked_first:
                self._lead(member)
            if random.random() < faults.ask:
                self.ask(member)
            self._serve(member)
            self._compact(member)
        for member in list(self.members.values()):
            while member.writing and random.random() >= faults.slow_disk:
                self._finish_write(member)
                self._serve(member)

    def _strike(self) -> None:
        random, faults = self.random, self.faults
        if self.identified:
            if self.unmended:
                self._mend(self.unmended)
            elif random.random() < faults.wipe:
                self._wipe()
        if random.random() < faults.crash:
            member = random.choice(list(self.members.values()))
            if member.raft is None:
                member.start()
            else:
                member.crash(random)
                self.counts["crashes"] += 1
        if random.random() < faults.partition:
            self.counts["partitions"] += 1
            self.cut.clear()
            ids = sorted(self.members)
            kind = random.choice(("halves", "one-way", "one", "healed"))
            if kind == "halves":
                side = set(random.sample(ids, len(ids) // 2))
                self.cut = {(a, b) for a in ids for b in ids if (a in side) != (b in side)}
            elif kind == "one":
                alone = random.choice(ids)
                self.cut = {(a, b) for a in ids for b in ids if alone in (a, b)}
            elif kind == "one-way":
                self.cut = {(a, b) for a in ids for b in ids if random.random() < 0.3}

    def _propose(self, raft: Raft) -> None:
        wanted = self.faults.propose
        while self.random.random() < wanted:
            wanted -= 1
            data = f"{self.seed}:{len(self.proposed)}".encode() + bytes(self.random.choice((0, 0, 50)))
            try:
                self.proposed[data] = raft.propose(data)
            except NotLeader:
                return
            except Busy:
                self.counts["busy"] += 1
                return

    def ask(self, member: Member) -> None:
        """A read at a member that need not lead."""
        assert member.raft is not None
        self.reads[member.raft.id, member.starts, member.raft.read_here()] = len(self.committed), self.now, 0

    def _lead(self, member: Member, overdue_ticks: int = 0) -> None:
        """What only a leader may be asked: reads, and to hand over."""
        raft, random = member.raft, self.random
        if raft is None or raft.role is not Role.LEADER:
            return
        if random.random() < self.faults.read:
            number = raft.read(overdue_ticks)
            self.reads[raft.id, member.starts, number] = len(self.committed), self.now, raft.current_term
        if random.random() < self.faults.transfer:
            try:
                raft.transfer(random.choice(sorted(raft.membership.voters - raft.lost.keys())))
                self.counts["transfers"] += 1
            except Unreachable:
                self.counts["refused for silence"] += 1
        if random.random() < self.faults.change and not self.unmended:
            self._change(raft)

    # -- members that lose their data ---------------------------------------------------------------------------

    def _wipe(self) -> None:
        """Delete a folder and start its member again, as nobody should: one voter of a group that goes on without it,
        for a quorum of others is recorded, all of whom hold that."""
        leader, random = self.leader(), self.random
        if leader is None or leader.changing_members or not leader.committed_configuration.is_identified:
            return
        configuration = leader.committed_configuration
        voters = configuration.membership.voters
        one = random.choice(sorted(voters))
        others = voters - {one}
        if (
            one in configuration.log_ids
            and len(others & configuration.log_ids.keys()) >= majority(len(voters))
            and all(self.members[other].disk.last_index >= max(1, configuration.index) for other in others)
        ):
            self.counts["wipes"] += 1
            self.wiped.add(one)
            self.unmended, self.ghost = one, self.members[one].disk
            self._start_empty(one, self.members[one].config.members)

    def _start_empty(self, one: int, members: frozenset[int]) -> None:
        member = self.members[one]
        if member.raft is not None:
            member.crash(self.random)
        member.disk = self._new_disk()
        member.config = replace(member.config, members=members)
        if not self.faults.crash or self.random.random() < 0.8:
            member.start()

    def _mend(self, one: int) -> None:
        """Some time after a leader has named it, remove the member and add it again, as one that begins with
        nothing."""
        leader, random = self.leader(), self.random
        if leader is None or leader.changing_members:
            return
        configuration = leader.configuration
        recorded, own = configuration.log_ids.get(one), self.members[one].disk.log_id
        if recorded == own and one in configuration.membership.voters:
            self.unmended, self.ghost = 0, None
            self.counts["mended"] += 1
        elif one in leader.lost:
            self.counts["named"] += 1
            if random.random() < 0.05:
                self._try_change(leader, remove=(one,))
        elif not configuration.membership.is_voter(one) and random.random() < 0.3:
            if not configuration.membership.includes(one):
                self._start_empty(one, frozenset())
            self._try_change(leader, add={one: b"again"})

    def _try_change(self, leader: Raft, **change: Any) -> None:
        with suppress(Busy, Unreachable):
            leader.change_membership(**change)

    def _change(self, raft: Raft) -> None:
        """Ask for any change: newcomers, leavers, voters that become learners and the other way round."""
        random = self.random
        pool = range(1, MOST_MEMBERS + 1)
        parts: dict[str, list[int]] = {"add": [], "remove": [], "learners": []}
        for one in random.sample(pool, random.choice((1, 1, 1, 2, 3))):
            parts[random.choice(("add", "add", "remove", "learners"))].append(one)
        if random.random() < 0.2:
            parts = {"add": [], "remove": [raft.id], "learners": []}
        address = b"at %d"
        try:
            raft.change_membership(
                {one: address % one for one in parts["add"]},
                parts["remove"],
                {one: address % one for one in parts["learners"]},
            )
        except Unreachable:
            self.counts["refused for silence"] += 1
            return
        except (Busy, InvalidChange):
            return
        self.counts["changes"] += 1
        for one in parts["add"] + parts["learners"]:
            if one not in self.members:
                self.add_member(one)

    def _compact(self, member: Member) -> None:
        raft, random = member.raft, self.random
        if raft is None or random.random() >= self.faults.compact or member.applied <= raft.log.base_index:
            return
        if not raft.log.configurations.at(member.applied).membership.voters:
            return  # a newcomer that does not know the members yet
        snapshot = raft.take_snapshot(member.applied, member.state + bytes(member.applied % 150))
        member.disk.save(snapshot)
        raft.compact(snapshot, keep=random.choice((0, 0, 3, 20)))
        self.counts["compactions"] += 1

    def propose(self, data: bytes) -> tuple[int, int]:
        """A proposal to the leader, which must exist."""
        leader = self.leader()
        assert leader is not None
        return leader.propose(data)

    # -- what a node does ---------------------------------------------------------------------------------------

    def _serve(self, member: Member) -> None:
        """Do what Ready says, as a node does: the disk's part is put off."""
        raft = member.raft
        if raft is None:
            return
        self._check_commit(raft)
        while (ready := raft.ready()) is not None:
            self._check_commit(raft)
            self._check_ready(member, raft, ready)
            self.send(member, ready.messages)
            if ready.needs_disk or ready.after:
                member.writing.append(ready)
        self._check_alone(member, raft)
        self._check_role(member, raft)

    def _finish_write(self, member: Member) -> None:
        ready = member.writing.popleft()
        if ready.entries and ready.entries[0].index <= member.disk.last_index:
            self.counts["truncations"] += 1
        member.disk.write(ready)
        assert member.raft is not None
        member.raft.advance(ready)
        self.send(member, ready.after)

    def send(self, member: Member, messages: tuple[Message, ...]) -> None:
        random, faults = self.random, self.faults
        for message in messages:
            self._check_message(member, message)
            self.left.append(message)
            if message.target == EVERYBODY:
                self._copy(message)
                continue
            copies = 1 + (random.random() < faults.duplicate)
            for _ in range(copies):
                if random.random() < faults.loss or (message.source, message.target) in self.cut:
                    self.counts["lost"] += 1
                    continue
                self._fly(message.target, message)
            if random.random() < faults.misdeliver:
                self.counts["misdelivered"] += 1
                self._fly(random.choice(sorted(self.members)), message)

    def _copy(self, message: Message) -> None:
        """A copy for each other member, whether it is meant for it or not."""
        random, faults = self.random, self.faults
        if message.type is not MessageType.APPEND_ENTRIES or (message.entries and not message.index):
            self._fail(f"this is not for everybody: {message}")
        for one in sorted(self.members) if faults.copies else ():
            copy = replace(message, target=one, receivers=(), needed=0, copied=True)
            copies = 1 + (random.random() < faults.duplicate)
            lost = random.random() < faults.loss or random.random() < faults.copy_loss or one in self.uncopied
            if one == message.source or lost or (message.source, one) in self.cut:
                continue
            for _ in range(copies):
                self._fly(one, copy)

    def _fly(self, to: int, message: Message) -> None:
        self.sent += 1
        due = self.now + self.random.randrange(1, self.faults.max_delay + 1)
        heapq.heappush(self.flying, (due, self.sent, to, message))

    def heal(self) -> None:
        """Faults end: everyone runs, the network delivers everything in time."""
        self.faults = Faults(propose=0.0)
        self.cut.clear()
        for member in self.members.values():
            if member.raft is None:
                member.start()

    # -- invariants ---------------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        raise AssertionError(f"seed {self.seed}, tick {self.now}: {text}; {self.roles()}")

    def _check_role(self, member: Member, raft: Raft) -> None:
        """One leader per term; and a new one holds everything committed (leader completeness)."""
        one = raft.id
        if raft.role is Role.LEADER:
            if not raft.lost.keys() <= self.wiped:
                self._fail(f"member {one} takes {raft.lost} for wiped, which are {self.wiped}")
            known = self.leaders.setdefault(raft.current_term, one)
            if known != one:
                self._fail(f"members {known} and {one} lead in term {raft.current_term}")
            if member.disk.hard_state != HardState(raft.current_term, one):
                self._fail(f"member {one} leads in term {raft.current_term} without a durable vote of its own")
        if len(self.leaders) > self.counts["elections"]:
            self.counts["elections"] = len(self.leaders)
            leader = self.leader()
            if leader is not None and leader.current_term == max(self.leaders):
                for entry in self.committed[max(0, leader.log.base_index - 1) :]:
                    if leader.log.term_at(entry.index) != entry.term:
                        self._fail(f"leader {leader.id} of term {leader.current_term} lacks committed {entry}")

    def _check_ready(self, member: Member, raft: Raft, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.counts["snapshots installed"] += 1
            member.restore(ready.snapshot)
            if self.states[member.applied] != member.state:
                self._fail(f"member {raft.id} restores a state at {member.applied} that nobody had")
            if self.committed[member.applied - 1].term != ready.snapshot.term:
                self._fail(f"member {raft.id} restores entry {member.applied} of another term")
        self._check_log(raft, ready.entries)
        for entry in ready.committed:
            if entry.index != member.applied + 1:
                self._fail(f"member {raft.id} applies {entry.index} after {member.applied}")
            member.apply(entry)
            self._check_committed(raft, entry)
            if self.states[entry.index] != member.state:
                self._fail(f"member {raft.id} is in another state than others at {entry.index}")
        for number, index in ready.reads:
            self.counts["reads"] += 1
            before, asked, _ = self.reads.pop((raft.id, member.starts, number))
            self.counts["reads alone"] += raft.membership.is_quorum({raft.id})
            self.counts["reads at followers"] += raft.role is Role.FOLLOWER
            if asked == self.now and raft.role is Role.LEADER and len(raft.membership.voters) > 1:
                self.counts["lease reads"] += 1
            if index < before:
                self._fail(f"member {raft.id} reads at {index} what was at {before} when it was asked")

    def _check_alone(self, member: Member, raft: Raft) -> None:
        """Who is a quorum by itself has nobody to wait for: once it has committed something of its term, no read
        waits."""
        if raft.role is not Role.LEADER or not raft.membership.is_quorum({raft.id}):
            return
        if raft.log.term_at(raft.commit_index) != raft.current_term:
            return
        for (one, starts, number), (_, _, term) in self.reads.items():
            if (one, starts, term) == (raft.id, member.starts, raft.current_term):
                self._fail(f"member {one} alone is a quorum, and its read {number} waits")

    def _check_log(self, raft: Raft, entries: tuple[Entry, ...]) -> None:
        """Log matching, by induction: index and term decide the entry and its predecessor's term."""
        for entry in entries:
            previous = raft.log.term_at(entry.index - 1) or 0
            known = self.entries.setdefault((entry.index, entry.term), (previous, entry))
            if known != (previous, entry):
                self._fail(f"member {raft.id} holds {entry} after term {previous}, others {known}")

    def _check_agreed(self, raft: Raft) -> None:
        """What a follower takes for agreed with its term's leader stands in both logs."""
        agreed = raft.agreed_index
        leader = self.members[raft.leader].raft if agreed else None
        if leader is None or leader.role is not Role.LEADER or leader.current_term != raft.current_term:
            return
        term, at_leader = raft.log.term_at(agreed), leader.log.term_at(agreed)
        compacted = agreed <= max(raft.log.base_index, leader.log.base_index)
        if agreed > min(raft.last_index, leader.last_index) or (term != at_leader and not compacted):
            self._fail(f"member {raft.id} takes entry {agreed} for agreed: {term} there, {at_leader} at {leader.id}")

    def _check_commit(self, raft: Raft) -> None:
        """What a leader commits is on the disks of a quorum of its configuration."""
        self._check_agreed(raft)
        if raft.role is not Role.LEADER or raft.commit_index <= self.checked_commit:
            return
        first = max(self.checked_commit, raft.log.base_index) + 1
        entries, _ = raft.log.between(first, raft.commit_index, 1 << 30, 1 << 60)
        for entry in entries:
            log_ids = raft.configuration.log_ids
            holders = {
                one
                for one, member in self.members.items()
                if member.disk.holds(entry) and member.disk.log_id == log_ids.get(one, member.disk.log_id)
            }
            if self.ghost is not None and self.ghost.holds(entry) and self.unmended not in raft.lost:
                holders.add(self.unmended)  # it had acknowledged that before
            if not raft.membership.is_quorum(holders):
                self._fail(f"member {raft.id} commits {entry}, which the disks of {holders} hold: {raft.membership}")
            if entry.kind is EntryKind.CONFIGURATION:
                membership = raft.log.configurations.at(entry.index).membership
                self.counts["joint configurations"] += bool(membership.outgoing)
                self.counts["learners"] += bool(membership.learners)
                self.counts["leaders removed"] += not membership.is_voter(raft.id)
        self.checked_commit = raft.commit_index

    def _check_committed(self, raft: Raft, entry: Entry) -> None:
        """State-machine agreement."""
        at = entry.index - 1
        if at < len(self.committed):
            if self.committed[at] != entry:
                self._fail(f"member {raft.id} commits {entry}, another committed {self.committed[at]}")
            return
        if at != len(self.committed) or at >= self.checked_commit:
            self._fail(f"member {raft.id} commits {entry.index} before a leader has committed it")
        self.committed.append(entry)
        self.states.append(hashlib.sha256(self.states[-1] + entry.data).digest())

    def _check_message(self, member: Member, message: Message) -> None:
        """Nothing leaves before what it promises is durable."""
        kind, disk = message.type, member.disk
        if kind is MessageType.REQUEST_VOTE or (kind is MessageType.REQUEST_VOTE_REPLY and not message.reject):
            if (disk.hard_state.current_term, message.term) == (message.term, disk.hard_state.current_term):
                choice = message.source if kind is MessageType.REQUEST_VOTE else message.target
                if disk.hard_state.voted_for != choice:
                    self._fail(f"a vote left that is not on disk: {message}")
                known = self.votes.setdefault((message.source, message.term), choice)
                if known != choice:
                    self._fail(f"member {message.source} voted for {known} and {choice} in term {message.term}")
            elif disk.hard_state.current_term < message.term:
                self._fail(f"a vote left whose term is not on disk: {message}")
        elif kind is MessageType.APPEND_ENTRIES_REPLY and not message.reject:
            if message.index > disk.last_index and message.term == disk.hard_state.current_term:
                self._fail(f"an acknowledgement of what is not on disk: {message}")
            if message.term > disk.hard_state.current_term:
                self._fail(f"an acknowledgement in a term that is not on disk: {message}")

    def check_end(self) -> None:
        """After healing and a while: every member has applied the same, and it is durable everywhere."""
        leader = self.leader()
        assert leader is not None
        for one in sorted(leader.membership.everyone()):
            raft, member = self.raft(one), self.members[one]
            if raft.commit_index != len(self.committed) or member.applied != len(self.committed):
                self._fail(f"member {one} stands at {member.applied} of {len(self.committed)}")
            if not all(member.disk.holds(entry) for entry in self.committed):
                self._fail(f"member {one}'s disk differs from what was committed")


def soak(
    seed: int,
    *,
    size: int | None = None,
    ticks: int = 600,
    power: bool = False,
    fanout: bool = False,
    lazy: bool = False,
) -> Network:
    """A cluster under drawn faults, then healed: a new value commits within ten election timeouts. ``fanout``: over a
    network that copies what goes to everybody, now and then, and after the faults perhaps. ``lazy``: all but the
    fastest members may hold their acknowledgements back."""
    random = Random(f"soak {seed}")
    options = {
        "max_entries_per_append": random.choice((1, 3, 64)),
        "max_bytes_per_append": random.choice((64, 1 << 20)),
        "max_inflight": random.choice((1, 2, 16)),
        "max_uncommitted_bytes": random.choice((300, 1 << 20)),
        "max_apply_bytes": random.choice((100, 1 << 20)),
        "snapshot_chunk_bytes": random.choice((40, 100, 1 << 20)),
        "lease_ticks": random.choice((0, 0, ELECTION_TICKS - 3)),
        "fanout": int(fanout),
        "fanout_trial_ticks": 3 * ELECTION_TICKS,
        "lazy_acknowledgements": int(lazy),
    }
    size = size or random.choice((1, 2, 3, 3, 3, 4, 5, 7))
    identified = random.random() < 0.6
    network = Network(seed, size, Faults.draw(random), power=power, identified=identified, **options)
    copying = Random(f"copies {seed}")
    for _ in range(ticks):
        network.tick()
        if random.random() < 0.01:
            network.faults = Faults.draw(random)
        if fanout and copying.random() < 0.02:
            network.faults.copies = copying.random() < 0.8
            network.faults.copy_loss = copying.choice((0, 0, 0.2))
            network.uncopied = set(copying.sample(sorted(network.members), copying.choice((0, 0, 1))))
    copies = network.faults.copies
    network.heal()
    network.faults.copies = copies
    limit = 10 * ELECTION_TICKS
    network.run(limit)
    leader = network.leader()
    assert leader is not None, f"seed {seed}: no leader {limit} ticks after the faults ended: {network.roles()}"
    network.run(3 * (leader.last_index - leader.commit_index))  # one at a time in the narrowest windows
    leader = network.leader()
    assert leader is not None
    term, index = leader.propose(b"after the faults")
    network.run(limit)
    assert len(network.committed) >= index, f"seed {seed}: not committed after the faults: {network.roles()}"
    assert network.committed[index - 1] == replace(network.committed[index - 1], term=term, data=b"after the faults")
    for _ in range(limit + 3 * leader.last_index):
        network.tick()
        members = [network.members[one] for one in leader.membership.everyone()]
        if not leader.changing_members and all(member.applied == leader.last_index for member in members):
            break
    if leader.role is Role.LEADER and leader.changing_members:
        raise AssertionError(f"seed {seed}: the members change without end: {leader.status()}")
    for _ in range(100 * limit):
        if not network.unmended:
            break
        network.tick()
    assert not network.unmended, f"seed {seed}: member {network.unmended} was not named and mended: {leader.status()}"
    network.run(limit)
    network.check_end()
    asking = [member.raft.asking_counts for member in network.members.values() if member.raft is not None]
    network.counts["questions along"] = sum(one.asked_along for one in asking)
    network.counts["answers along"] = sum(one.told_along for one in asking)
    return network
