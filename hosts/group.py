"""One Raft group on a node: the core, the state machine, and the clients that wait for answers."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

from hosts.addresses import addresses_in, shown, tell
from hosts.config import TICK_MS, Address
from hosts.control.losses import problems
from hosts.measures import CommitStages, RoundTrips
from hosts.net.batches import Answers
from hosts.raft.configuration import Configuration
from hosts.raft.core import Busy, NotLeader, Raft, Ready, Role
from hosts.raft.errors import InvalidChange, Unreachable
from hosts.raft.message import EVERYBODY, NOBODY, Entry, Message, MessageType, Quoted
from hosts.raft.patience import Cause
from hosts.raft.reads import PATIENCE_HEARTBEATS
from hosts.raft.snapshot import MemorySink, Sink, Snapshot
from hosts.service.admission import Admission, Candidate
from hosts.service.checking import STEPS, Steps
from hosts.service.machine import Machine
from hosts.service.pending_reads import Reader, Readers
from hosts.service.requests import (
    KNOWS_EXPIRED,
    READS,
    WRITES,
    Encoded,
    Operation,
    Outcome,
    Reply,
    Request,
    RequestFault,
    operation_in,
    pack_command,
)
from hosts.service.snapshots import NEVER, Policy, Snapshots
from hosts.storage.moves import Moves, corrected
from hosts.wire import Flag, Header, Payload

TELL_TICKS = 100
"""Between two tellings of the members to the network: a second."""

FOLLOWER_LOOKS_TICKS = TELL_TICKS // 10
"""Between two looks of a member that could not tell whether it can now."""

EFFORT = 64
"""What a flush does at the most, in small entries to apply: about a millisecond. Answering a request takes as long as
a few of them, and so do many bytes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is done between two looks at the socket and the clock: by a flush, and of a value by one step."""

    effort: int = EFFORT
    steps: Steps = STEPS


PACE = Pace()


HOLD_S = 0.005
"""For so long an acknowledgement is held back that the leader does not need at once."""

NO_TIME = float("inf")

READS_SERVED = ("leader", "follower", "stale", "given_up")
"""As a leader; as a follower, by its leader's index; at once, from what was applied; not in time, by a follower."""

MAX_WAITING = 65_536
"""Requests that wait to be committed, and committed entries that wait to be applied: with more, a leader is busy."""

_NONCE_BYTES = 8
_REJECT, _READ = int(Flag.REJECT), int(Flag.READ)


@dataclass(slots=True)
class Waiting:
    """A client's request that is in the log and not yet applied."""

    term: int
    header: Header
    nonce: int
    address: Address


Farewell: TypeAlias = tuple[Header, Reply, Address]
"""What was asked, the answer, and to whom it goes."""


def _no_ticks() -> int:
    return 0


def _no_clock() -> float:
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutputs:
    """Whom a group calls: other members, the disk, clients, people."""

    send: Callable[[int, Message], None]
    """Takes a message to another member."""
    write: Callable[[int, Ready], None]
    """Makes a Ready's part durable; ``Group.durable`` is called then."""
    reply: Callable[[Header, Payload, Address], None]
    """Takes an answer to a client."""
    note: Callable[[str], None]
    """Takes a line for people."""
    save: Callable[[int, Snapshot], None] = lambda group, snapshot: None
    """Makes a snapshot durable; ``Group.saved`` is called then, or ``Group.not_saved``."""
    stage: Callable[[int], Sink] = lambda group: MemorySink()
    """Makes a place for the data of a snapshot that is made here."""
    learned: Callable[[int, Mapping[int, Address]], None] = lambda group, addresses: None
    """Told where the members of a group are, before anything is sent to a new one."""
    tell_network: Callable[[int, Message], None] = lambda group, message: None
    """Takes what the network is told; the target is everybody."""
    moved: Callable[[int], None] = lambda group: None
    """Told when the group has committed where the members are that had moved."""
    overdue_ticks: Callable[[], int] = _no_ticks
    """How many ticks have passed on the clock and have not been given to the group yet."""
    clock: Callable[[], float] = _no_clock
    """Seconds of a monotonic clock. Durations are measured by it; all that it decides is when an acknowledgement
    leaves that was held back."""


class Group:
    """Inputs are tick, step, request and durable; after a number of them, ``flush`` does what they led to.

    What clients ask for may take long. ``flush`` does a little of it each time, and ``busy`` says that there is more:
    no request, whatever it holds, keeps a leader from its heartbeats.
    """

    def __init__(
        self,
        number: int,
        core: Raft,
        addresses: dict[int, Address],
        outputs: GroupOutputs,
        *,
        reads_through_log: bool = False,
        snapshots: Policy = NEVER,
        machine: Machine | None = None,
        name_of: Callable[[int], str] = str,
        moves: Moves | None = None,
        pace: Pace = PACE,
    ) -> None:
        """``addresses``: those of the cluster file. ``snapshots``: when to take one. ``machine``: an empty one.
        ``name_of``: how people call a member. ``moves``: members that are not where the log says.
        ``pace``: how much a flush does."""
        self.number = number
        self.core = core
        self._pace = pace
        self.machine = machine if machine is not None else Machine()
        self._snapshots = Snapshots(
            core,
            self.machine,
            snapshots,
            lambda taken: outputs.save(number, taken),
            lambda: outputs.stage(number),
            lambda text: outputs.note(f"group {number}: {text}"),
        )
        self._unapplied: deque[Entry] = deque()
        """Committed, and waiting for the machine, or for their turn."""
        self.addresses = dict(addresses)
        """The address of everyone whose address is known, member or not."""
        self._in_file = dict(addresses)
        self._doubted: set[tuple[int, Address]] = set()
        self._moves = moves or Moves()
        self._until_told = 0
        self._outputs = outputs
        self._waiting: dict[int, Waiting] = {}
        self._asked: dict[int, dict[tuple[int, int], int]] = {}
        """By session, then by sequence and nonce: the index of the entry that waits."""
        self._answers = Answers(core.id, number)
        self._admission = Admission()
        self._farewells: deque[Iterator[Farewell]] = deque()
        """To clients whose requests this member no longer has to do with."""
        self._reads_through_log = reads_through_log
        self._readers = Readers()
        self._unwritten = 0
        self._shown = (Role.FOLLOWER, 0, NOBODY)
        self._stages = CommitStages(outputs.clock)
        self._round_trips = RoundTrips(outputs.clock)
        self._found_entries = core.last_index
        """The last entry of the log that this process began with: others have counted what lies before."""
        self._led_by = (0, NOBODY)
        """The latest leader that was seen, with its term."""
        self._leader_changes = 0
        self._ends_told = self._ends_proven = 0
        """How often a leader's host said, while this member followed that, that nobody is there; and proved it."""
        self.hints_taken = dict.fromkeys(Cause, 0)
        """How often a hint has counted, by its cause."""
        self.reads_served = dict.fromkeys(READS_SERVED, 0)
        """Reads that took no log entry, by how they were served."""
        self._failed = 0
        """Requests that were in the log and whose fate their client was not told, as the leader was no longer one."""
        self._refused = 0
        """Requests that were turned away as too much is waiting already."""
        self.flush_by = NO_TIME
        """When ``flush`` is to be called again at the latest, in seconds of the clock: an acknowledgement waits."""
        self._name_of = name_of
        self._found: tuple[Mapping[int, str], bool] = ({}, False)

    def ticks(self, count: int) -> None:
        """So many ticks of the clock have passed."""
        if count > 1 and self._pass_idle_ticks(count - 1):
            count = 1
        for _ in range(count):
            self.tick()

    def _pass_idle_ticks(self, count: int) -> bool:
        """Let ticks pass at which nothing is done, all at once; False if they must be given one by one."""
        idle = self.core.role is not Role.LEADER and count < self._snapshots.idle_ticks
        if self._readers.waits_here:
            return False
        if not idle or not self.core.pass_idle_ticks(count):
            return False
        self._snapshots.pass_idle_ticks(count)
        # As ``_tell_network`` leaves it again and again.
        left = max(1, self._until_told) - count
        self._until_told = left if left > 0 else FOLLOWER_LOOKS_TICKS - -left % FOLLOWER_LOOKS_TICKS
        return True

    def tick(self) -> None:
        """A tick of the clock has passed."""
        self.core.tick()
        self._snapshots.tick()
        if self._moves.by_member and self.core.role is Role.LEADER:
            self._commit_moves()
        self._until_told -= 1
        if self._until_told <= 0:
            self._tell_network()

    @property
    def idle_ticks(self) -> int:
        """The tick that may do something next, as the core's."""
        if self._moves.by_member or self._readers.waits_here:
            return 1
        idle, snapshots = self.core.idle_ticks, self._snapshots.idle_ticks
        if snapshots < idle:
            idle = snapshots
        if self.core.role is Role.LEADER and self._until_told < idle:
            idle = self._until_told
        return idle if idle > 1 else 1

    @property
    def candidates(self) -> int:
        """Requests whose values are being looked through."""
        return len(self._admission)

    @property
    def busy(self) -> bool:
        """Whether ``flush`` has more to do than it does at a time."""
        if self._farewells or self._admission.turns or (self._unapplied and not self._snapshots.loading):
            return True
        return bool(self._readers.by_key) and not self._snapshots.loading and self._are_due()

    def step(self, message: Message) -> None:
        """A message from another member."""
        self._round_trips.received(message)
        self.core.step(message)

    def unreachable(self, member: int, quoted: Quoted) -> None:
        """The host of another member says that nobody is there to take the reply that it quotes."""
        if self.core.leader_unreachable(member, quoted):
            self._ends_told += 1
            self._ends_proven += self.core.leader_end_is_proven

    def hint(self, term: int, cause: Cause) -> None:
        """The network's controller hints that the leader of ``term`` has ended."""
        self.hints_taken[cause] += self.core.hint(term)

    def durable(self, ready: Ready) -> None:
        """What was given to the disk is there."""
        self._unwritten -= 1
        self._stages.durable(ready)
        self.core.advance(ready)
        for message in ready.after:
            self._outputs.send(self.number, message)

    def flush(self) -> None:
        """Do what the core wants done: send and write all of it; apply, answer and look through some of it."""
        core = self.core
        if self._admission.turns:
            self._look_through()
        if core.holds_back:
            self._hold_back()
        else:
            self.flush_by = NO_TIME
        ready = core.ready()
        while ready is not None:
            self._carry_out(ready)
            ready = core.ready()
        if self._unapplied and not self._snapshots.loading:
            self._apply()
        if self._readers.by_key or self._readers.waits_here:
            self._answer_readers()
        if core.role is not Role.LEADER:
            self._give_up()
        if self._farewells:
            self._say_farewells()
        for reply in self._answers.take():
            self._outputs.reply(*reply)
        if (core.role, core.current_term, core.leader) != self._shown:
            self._show()
        if (core.lost, core.refuses_votes) != self._found:
            self._show_problems()

    def _hold_back(self) -> None:
        """An acknowledgement waits: no longer than HOLD_S."""
        now = self._outputs.clock()
        if self.flush_by == NO_TIME:
            self.flush_by = now + HOLD_S
        elif now >= self.flush_by:
            self.flush_by = NO_TIME
            self.core.acknowledge_held()

    def _carry_out(self, ready: Ready) -> None:
        """All that a Ready asks for, but for applying."""
        if ready.configuration is not None:
            self._learn_addresses(ready.configuration)
        if ready.entries:
            self._stages.leaves(ready)
        for message in ready.messages:
            self._round_trips.sent(message)
            self._outputs.send(self.number, message)
        if ready.needs_disk or ready.after:
            # Messages that depend on the disk keep their place in the queue behind what they depend on.
            self._unwritten += 1
            self._outputs.write(self.number, ready)
        if ready.snapshot is not None:
            self._unapplied.clear()
            self._snapshots.restore(ready.snapshot)
        if ready.committed:
            self._unapplied += ready.committed
            self._stages.committed(ready.committed[-1].index)
        if ready.committed_configuration is not None:
            if self._moves and self._moves.is_settled(ready.committed_configuration):
                self._moves = Moves()
                self._outputs.moved(self.number)
            self._tell_network()
        if ready.reads:
            self._readers.safe(ready.reads)

    def _learn_addresses(self, configuration: Configuration) -> None:
        """Where everybody is. The log counts for more than the cluster file, unless the node was told otherwise."""
        self.addresses = {**addresses_in(configuration, self.addresses), **self._moves.wrong_in(configuration)}
        self._outputs.learned(self.number, self.addresses)
        for member in sorted(configuration.addresses):
            place, in_file = self.addresses.get(member), self._in_file.get(member)
            if place is None or in_file in (None, place) or (member, place) in self._doubted:
                continue
            self._doubted.add((member, place))
            self._outputs.note(
                f"group {self.number}: member {member} is at {shown(place)} by the group's configuration, and at "
                f"{shown(in_file)} in the cluster file; the former counts. If it has moved, stop this node and run "
                "'switchraft node readdress --config FILE'; else put the file right"
            )

    def _commit_moves(self) -> None:
        """A leader that knows of members who have moved tells the others, by the log."""
        configuration = self.core.configuration
        wrong = self._moves.wrong_in(configuration)
        if wrong and configuration.index <= self.core.commit_index:
            voters, learners = corrected(configuration, wrong)
            with contextlib.suppress(NotLeader, Busy, InvalidChange, Unreachable):  # the next tick is as good
                self.core.change_membership(add=voters, learners=learners)

    def _apply(self) -> None:
        applied = []
        effort = 0
        while self._unapplied and effort < self._pace.effort:
            entry = self._unapplied.popleft()
            answer = self.machine.apply(entry)
            applied.append(entry)
            effort += 1 + (len(entry.data) >> 14)
            if answer is not None:
                effort += len(answer.reply.body) >> 8
            waiting = self._waiting.pop(entry.index, None)
            if waiting is not None:
                self._forget(waiting)
                if answer is None or waiting.term != entry.term:
                    self._failed += 1
                    self._reply(*self._lost(waiting))
                else:
                    self._reply(waiting.header, answer.reply, waiting.address)
        self._stages.applied(self.machine.applied_index)
        self._snapshots.applied(applied)

    def begin_snapshot(self) -> int:
        """Begin a snapshot now; the index that it will be of, 0 if there is another one under way, or nothing new."""
        return self._snapshots.begin()

    def saved(self, snapshot: Snapshot) -> None:
        """A snapshot that was given to the disk is there."""
        self._snapshots.saved(snapshot)

    def not_saved(self, snapshot: Snapshot, why: str) -> None:
        """A snapshot that was given to the disk could not be written."""
        self._snapshots.not_saved(snapshot, why)

    def _tell_network(self) -> None:
        """A leader tells who the committed members are: at each change, and again every second."""
        core = self.core
        # Only with an entry of its own term does it know what is committed.
        if core.role is not Role.LEADER or core.log.term_at(core.commit_index) != core.current_term:
            self._until_told = FOLLOWER_LOOKS_TICKS
            return
        self._until_told = TELL_TICKS
        configuration = core.committed_configuration
        data = tell(configuration, self.addresses)
        message = Message(
            MessageType.CONFIGURATION, core.id, EVERYBODY, core.current_term, configuration.index, data=data
        )
        self._outputs.tell_network(self.number, message)

    # -- clients ------------------------------------------------------------------------------------------------

    def request(self, header: Header, payload: Encoded, address: Address) -> None:
        """A whole request from a client."""
        nonce = int.from_bytes(payload[:_NONCE_BYTES], "big")
        if self._is_known(header, nonce, address, self._may_serve(header, operation_in(payload))):
            return
        try:
            request = Request.unpack(payload)
            checks = request.begin_check(self._pace.steps)
            if checks is None:
                self._admit(header, request, payload, address)
                return
            candidate = Candidate(header, request, payload, address, checks)
        except RequestFault as fault:
            self._reply(header, Reply(nonce, Outcome.BAD_REQUEST, body=str(fault).encode()), address)
            return
        if candidate.step():
            self._decide(candidate)
        elif self._admission.has_room(len(payload)):
            self._admission.add(candidate)
        else:
            text = f"{len(self._admission)} large requests are being looked through"
            self._refused += 1
            self._reply(header, Reply(nonce, Outcome.BUSY, self.core.id, body=text.encode()), address)

    def _may_serve(self, header: Header, operation: Operation | None) -> bool:
        """Whether a member need not lead to serve a request: it is to read, and whoever asks lets switches choose by
        whom, or would take what any member holds."""
        if operation is Operation.GET_STALE:
            return True
        return bool(header.flags & _READ) and operation in READS and not self._reads_through_log

    def _is_known(self, header: Header, nonce: int, address: Address, may_serve: bool = False) -> bool:
        """Whether a request is answered hereby, or dealt with already; its answer goes to where it came from last.
        ``may_serve``: also if this member does not lead."""
        known = self.machine.sessions.reply_of(header.log_term, nonce, header.index)
        if known is not None:
            self._reply(header, known, address)
            return True
        if not may_serve and self._turn_away(header, nonce, address):
            return True
        key = (header.log_term, header.index, nonce)
        index = self._asked.get(header.log_term, {}).get((header.index, nonce))
        waits = self._waiting[index] if index is not None else self._readers.find(*key) or self._admission.find(*key)
        if waits is None:
            return False
        waits.address = address
        return True

    def _look_through(self) -> None:
        candidate = self._admission.step()
        if candidate is not None:
            self._decide(candidate)

    def _decide(self, candidate: Candidate) -> None:
        """All of a candidate has been looked through."""
        if candidate.fault:
            reply = Reply(candidate.request.nonce, Outcome.BAD_REQUEST, body=candidate.fault.encode())
            self._reply(candidate.header, reply, candidate.address)
        else:
            self._admit(candidate.header, candidate.request, candidate.payload, candidate.address)

    def _admit(self, header: Header, request: Request, payload: Encoded, address: Address) -> None:
        """Into the log with a request, or among the reads."""
        try:
            if request.operation is Operation.GET_STALE:
                self._read_stale(Reader(header, request, address))
                return
            if request.operation in READS and not self._reads_through_log:
                self._read(Reader(header, request, address))
                return
            if request.operation in WRITES:
                self._check_room(header)
            if len(self._waiting) >= MAX_WAITING or len(self._unapplied) >= MAX_WAITING:
                raise Busy(f"{len(self._waiting)} requests and {len(self._unapplied)} entries wait")
            # Whether the session is known only the log can tell: a successor of this leader may have opened it.
            command = pack_command(header.log_term, header.index, header.commit, payload)
            term, index = self.core.propose(command)
        except NotLeader:
            self._reply(*self._not_leader(header, request.nonce, address))
        except Busy as busy:
            self._refused += 1
            self._reply(header, Reply(request.nonce, Outcome.BUSY, self.core.id, body=str(busy).encode()), address)
        else:
            self._stages.taken()
            self._waiting[index] = Waiting(term, header, request.nonce, address)
            self._asked.setdefault(header.log_term, {})[header.index, request.nonce] = index

    def _check_room(self, header: Header) -> None:
        """Raises Busy if too many answers are kept for clients, and this one has more than its share."""
        sessions, coming = self.machine.sessions, self.core.last_index - self.machine.applied_index
        asked = len(self._asked.get(header.log_term, ()))
        if not sessions.has_room(header.log_term, header.index, header.commit, coming, asked):
            raise Busy(
                f"{sessions.kept} answers are kept for clients, more than a share of them for this one: it must say "
                f"which it has (its lowest unanswered sequence is {header.commit})"
            )

    def _read(self, reader: Reader) -> None:
        if not self._readers.have_room(reader):
            raise Busy(f"{len(self._readers)} reads are waiting")
        # A term that has ended since the last flush takes its readers with it.
        self._give_up_readers()
        core = self.core
        if core.role is not Role.LEADER and reader.header.flags & _READ:
            due = core.ticks + PATIENCE_HEARTBEATS * core.config.heartbeat_ticks
            self._readers.add_here(core.read_here(), due, reader)
        else:
            self._readers.add(core.read(self._outputs.overdue_ticks()), core.current_term, reader)

    def _read_stale(self, reader: Reader) -> None:
        """At once, if the state is not too old. Who has not heard of the session yet has to find out more, too."""
        age = self._age_ms()
        request, session = reader.request, reader.header.log_term
        if age is None or age > request.age_ms or not self.machine.sessions.knows(session, request.nonce):
            self._read(reader)
            return
        self.reads_served["stale"] += 1
        self._reply(reader.header, self.machine.read(session, request), reader.address)

    def _age_ms(self) -> int | None:
        """Up to how long ago what is applied was current, None if that is not known."""
        if self._snapshots.loading:
            return None
        age = self.core.age(self.machine.applied_index, self._outputs.overdue_ticks())
        return None if age is None else age * TICK_MS

    def _are_due(self) -> bool:
        return self._readers.are_due(self.machine.applied_index)

    def _answer_readers(self) -> None:
        effort = 0
        while effort < self._pace.effort and not self._snapshots.loading and self._are_due():
            reader = self._readers.take_due()
            self.reads_served["leader" if reader.due is None else "follower"] += 1
            reply = self.machine.read(reader.header.log_term, reader.request)
            self._reply(reader.header, reply, reader.address)
            effort += 4 + (len(reply.body) >> 8)
        self._give_up_readers()

    def _give_up_readers(self) -> None:
        lost = self._readers.expire(self.core.role is Role.LEADER, self.core.current_term)
        overdue = self._readers.overdue(self.core.ticks)
        if overdue:
            self.reads_served["given_up"] += len(overdue)
            self.core.forget_reads({one.number for one in overdue})
            lost += overdue
        if lost:
            self._part_with(self._not_leader(one.header, one.request.nonce, one.address) for one in lost)

    def refuse(self, header: Header, start: bytes, address: Address) -> bool:
        """Answer a large request at its first fragment if it is in vain here. True if so."""
        nonce = int.from_bytes(start[:_NONCE_BYTES], "big")
        return self._turn_away(header, nonce, address)

    def _turn_away(self, header: Header, nonce: int, address: Address) -> bool:
        if self.core.role is Role.LEADER:
            return False
        self._reply(*self._not_leader(header, nonce, address))
        return True

    def _not_leader(self, header: Header, nonce: int, address: Address) -> Farewell:
        leader = self.core.leader if self.core.leader != self.core.id else NOBODY
        where = self.addresses.get(leader)
        body = f"{where[0]}:{where[1]}".encode() if where is not None else b""
        return header, Reply(nonce, Outcome.NOT_LEADER, leader, body=body), address

    def _lost(self, waiting: Waiting) -> Farewell:
        reply = Reply(waiting.nonce, Outcome.LOST_LEADERSHIP, self.core.leader)
        return waiting.header, reply, waiting.address

    def _give_up(self) -> None:
        """This member leads no more: its clients have to ask another."""
        if self._waiting:
            self._failed += len(self._waiting)
            self._stages.forget()
            self._part_with(map(self._lost, self._waiting.values()))
            self._waiting = {}
            self._asked = {}
        if self._admission.turns:
            given_up = self._admission.clear()
            self._part_with(self._not_leader(one.header, one.request.nonce, one.address) for one in given_up)

    def _part_with(self, farewells: Iterable[Farewell]) -> None:
        self._farewells.append(iter(farewells))

    def _say_farewells(self) -> None:
        some = list(islice(self._farewells[0], max(1, self._pace.effort // 4)))
        for farewell in some:
            self._reply(*farewell)
        if not some:
            self._farewells.popleft()

    def _forget(self, waiting: Waiting) -> None:
        session = waiting.header.log_term
        asked = self._asked.get(session)
        if asked is not None:
            asked.pop((waiting.header.index, waiting.nonce), None)
            if not asked:
                del self._asked[session]

    def _reply(self, asked: Header, reply: Reply, address: Address) -> None:
        if reply.outcome is Outcome.SESSION_EXPIRED and asked.term < KNOWS_EXPIRED:
            reply = replace(reply, outcome=Outcome.UNKNOWN_SESSION)
        if self._answers.add(asked, reply, address):
            return
        header = Header(
            MessageType.CLIENT_REPLY,
            source=self.core.id,
            group=self.number,
            index=asked.index,
            log_term=asked.log_term,
            commit=asked.commit,
            flags=0 if reply.outcome is Outcome.OK else _REJECT,
        )
        self._outputs.reply(header, reply.payload(), address)

    # -- people -------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """For people: the core's status and the state machine's size."""
        return {
            "group": self.number,
            **self.core.status(),
            "applied": self.machine.applied_index,
            "values": len(self.machine.items),
            "keys": len(self.machine.pairs),
            "sessions": len(self.machine.sessions),
            "waiting": len(self._waiting),
            "readers": len(self._readers),
            "candidates": len(self._admission),
            "unapplied": len(self._unapplied),
            "unwritten": self._unwritten,
            "counts": {
                "leader_changes_seen": self._leader_changes,
                "leader_ends_told": self._ends_told,
                "leader_ends_proven": self._ends_proven,
                **{f"hints_{cause.name.lower()}": count for cause, count in self.hints_taken.items()},
                "proposals_committed": max(0, self.core.commit_index - self._found_entries),
                "proposals_applied": max(0, self.machine.applied_index - self._found_entries),
                "proposals_failed": self._failed,
                "proposals_refused": self._refused,
                **{f"reads_{name}": count for name, count in self.reads_served.items()},
                **{f"reads_questions_{name}": count for name, count in asdict(self.core.asking_counts).items()},
                **{f"fanout_{name}": count for name, count in asdict(self.core.fanout_counts).items()},
                **{f"gather_{name}": count for name, count in asdict(self.core.gather_counts).items()},
                **{
                    f"acknowledgements_{name}": count
                    for name, count in asdict(self.core.acknowledgement_counts).items()
                },
            },
            "problems": problems(self.core, self._name_of),
        }

    def durations(self) -> dict[str, Any]:
        """For the metrics: how long the stages of commits took, and heartbeats' round trips by member."""
        return {
            "stages": {stage: found.shown() for stage, found in self._stages.durations.items()},
            "round_trips": {str(one): found.shown() for one, found in self._round_trips.durations.items()},
        }

    def _show_problems(self) -> None:
        core, (lost, refuses_votes) = self.core, self._found
        self._found = dict(core.lost), core.refuses_votes
        for problem in problems(core, self._name_of, known=lost, refusal_known=refuses_votes):
            self._outputs.note(f"group {self.number}: {problem}")

    def _show(self) -> None:
        core, (role, term, leader) = self.core, self._shown
        self._shown = (core.role, core.current_term, core.leader)
        if core.leader != NOBODY and self._led_by != (core.current_term, core.leader):
            self._led_by = core.current_term, core.leader
            self._leader_changes += 1
        if core.role is Role.LEADER and (role, term) != (core.role, core.current_term):
            self._outputs.note(f"group {self.number}: leads in term {core.current_term}")
        elif core.role is not Role.LEADER and role is Role.LEADER:
            self._outputs.note(f"group {self.number}: leads no more (term {core.current_term})")
        elif core.leader not in (NOBODY, core.id) and (leader, term) != (core.leader, core.current_term):
            self._outputs.note(f"group {self.number}: follows member {core.leader} in term {core.current_term}")
