"""One Raft group on a node: the core, the state machine, and the clients that wait for answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hosts.batches import Answers
from hosts.config import Address
from hosts.machine import Machine
from hosts.places import addresses_in, tell
from hosts.raft.core import Busy, NotLeader, Raft, Ready, Role
from hosts.raft.message import EVERYBODY, NOBODY, Entry, Message, MessageType
from hosts.raft.snapshot import MemorySink, Sink, Snapshot
from hosts.readers import Reader, Readers
from hosts.requests import KNOWS_EXPIRED, READS, WRITES, Outcome, Reply, Request, RequestFault, pack_command
from hosts.snapshotting import NEVER, Policy, Snapshots
from hosts.wire import Flag, Header

TELL_TICKS = 100
"""Between two tellings of the members to the network: a second."""

_NONCE_BYTES = 8
_REJECT = int(Flag.REJECT)


@dataclass(slots=True)
class Waiting:
    """A client's request that is in the log and not yet applied."""

    term: int
    header: Header
    nonce: int
    address: Address


@dataclass(frozen=True, slots=True)
class Ways:
    """How a group reaches the outside: other members, the disk, clients, people."""

    send: Callable[[int, Message], None]
    write: Callable[[int, Ready], None]
    reply: Callable[[Header, bytes, Address], None]
    note: Callable[[str], None]
    save: Callable[[int, Snapshot], None] = lambda group, snapshot: None
    """Makes a snapshot durable; ``Group.saved`` is called then."""
    sink: Callable[[int], Sink] = lambda group: MemorySink()
    """A place for the data of a snapshot that is made here."""
    members: Callable[[int, Mapping[int, Address]], None] = lambda group, addresses: None
    """Told where the members of a group are, before anything is sent to a new one."""
    tell: Callable[[int, Message], None] = lambda group, message: None
    """Takes what the network is told; the target is everybody."""


class Group:
    """Inputs are tick, step, request and durable; after a number of them, ``flush`` does what they led to."""

    def __init__(
        self,
        number: int,
        core: Raft,
        addresses: dict[int, Address],
        ways: Ways,
        *,
        reads_through_log: bool = False,
        snapshots: Policy = NEVER,
        machine: Machine | None = None,
    ) -> None:
        """``snapshots``: when to take one. ``machine``: an empty one."""
        self.number = number
        self.core = core
        self.machine = machine if machine is not None else Machine()
        self._snapshots = Snapshots(
            core, self.machine, snapshots, lambda taken: ways.save(number, taken), lambda: ways.sink(number)
        )
        self._held: list[Entry] = []
        """Committed while the machine is loaded, to be applied then."""
        self.addresses = dict(addresses)
        """Of everyone whose address is known, members or not."""
        self._until_told = 0
        self._ways = ways
        self._waiting: dict[int, Waiting] = {}
        self._asked: dict[int, dict[tuple[int, int], int]] = {}
        """By session, then by sequence and nonce: the index of the entry that waits."""
        self._answers = Answers(core.id, number)
        self._reads_through_log = reads_through_log
        self._readers = Readers()
        self._unwritten = 0
        self._shown = (Role.FOLLOWER, 0, NOBODY)

    def tick(self) -> None:
        """A tick of the clock has passed."""
        self.core.tick()
        if self._snapshots.working and self._snapshots.tick():
            held, self._held = self._held, []
            self._apply(held)
        self._until_told -= 1
        if self._until_told <= 0:
            self._tell_network()

    @property
    def idle_ticks(self) -> int:
        """The tick that may do something next, as the core's."""
        if self._snapshots.working:
            return 1
        idle = self.core.idle_ticks
        return idle if self.core.role is not Role.LEADER else max(1, min(idle, self._until_told))

    def step(self, message: Message) -> None:
        """A message from another member."""
        self.core.step(message)

    def durable(self, ready: Ready) -> None:
        """What was given to the disk is there."""
        self._unwritten -= 1
        self.core.advance(ready)
        for message in ready.after:
            self._ways.send(self.number, message)

    def flush(self) -> None:
        """Do what the core wants done: send, write, apply, answer."""
        core = self.core
        ready = core.ready()
        while ready is not None:
            if ready.configuration is not None:
                self.addresses = addresses_in(ready.configuration, self.addresses)
                self._ways.members(self.number, self.addresses)
            for message in ready.messages:
                self._ways.send(self.number, message)
            if ready.needs_disk or ready.after:
                # Messages that depend on the disk keep their place in the queue behind what they depend on.
                self._unwritten += 1
                self._ways.write(self.number, ready)
            if ready.snapshot is not None:
                self._held.clear()
                self._snapshots.restore(ready.snapshot)
            if ready.committed:
                if self._snapshots.loading:
                    self._held += ready.committed
                else:
                    self._apply(ready.committed)
            if ready.committed_configuration is not None:
                self._tell_network()
            if ready.reads:
                self._readers.safe(ready.reads)
            ready = core.ready()
        if self._readers:
            self._answer_readers()
        if self._waiting and core.role is not Role.LEADER:
            self._give_up_waiting()
        if (core.role, core.current_term, core.leader) != self._shown:
            self._show()

    def _apply(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            answer = self.machine.apply(entry)
            waiting = self._waiting.pop(entry.index, None)
            if waiting is not None:
                self._forget(waiting)
                if answer is None or waiting.term != entry.term:
                    self._reply_lost(waiting)
                elif not self._answers.add(waiting.header, answer.reply, waiting.address):
                    self._reply(waiting.header, answer.reply, waiting.address)
        for reply in self._answers.take():
            self._ways.reply(*reply)
        self._snapshots.applied(entries)

    def begin_snapshot(self) -> int:
        """Begin a snapshot now; the index that it will be of, 0 if there is another one under way, or nothing new."""
        return self._snapshots.begin()

    def saved(self, snapshot: Snapshot) -> None:
        """A snapshot that was given to the disk is there."""
        self._snapshots.saved(snapshot)

    def _tell_network(self) -> None:
        """A leader tells who the committed members are: at each change, and again every second."""
        core = self.core
        # Only with an entry of its own term does it know what is committed.
        if core.role is not Role.LEADER or core.log.term_at(core.commit_index) != core.current_term:
            self._until_told = TELL_TICKS // 10
            return
        self._until_told = TELL_TICKS
        configuration = core.committed_configuration
        data = tell(configuration, self.addresses)
        message = Message(
            MessageType.CONFIGURATION, core.id, EVERYBODY, core.current_term, configuration.index, data=data
        )
        self._ways.tell(self.number, message)

    # -- clients ------------------------------------------------------------------------------------------------

    def request(self, header: Header, payload: bytes, address: Address) -> None:
        """A whole request from a client."""
        nonce = int.from_bytes(payload[:_NONCE_BYTES], "big")
        try:
            known = self.machine.sessions.reply_of(header.log_term, nonce, header.index)
            if known is not None:
                self._reply(header, known, address)
                return
            if self._turn_away(header, nonce, address):
                return
            asked = self._asked.get(header.log_term)
            index = asked.get((header.index, nonce)) if asked is not None else None
            if index is not None:
                self._waiting[index].address = address
                return
            reader = self._readers.find(header.log_term, header.index, nonce)
            if reader is not None:
                reader.address = address
                return
            request = Request.unpack(payload)
            request.check_values()
            if request.operation in READS and not self._reads_through_log:
                self._read(Reader(header, request, address))
                return
            if request.operation in WRITES:
                self._check_room(header, len(asked) if asked is not None else 0)
            # Whether the session is known only the log can tell: a successor of this leader may have opened it.
            term, index = self.core.propose(pack_command(header.log_term, header.index, header.commit, payload))
        except RequestFault as fault:
            self._reply(header, Reply(nonce, Outcome.BAD_REQUEST, body=str(fault).encode()), address)
        except NotLeader:
            self._reply_not_leader(header, nonce, address)
        except Busy as busy:
            self._reply(header, Reply(nonce, Outcome.BUSY, self.core.id, body=str(busy).encode()), address)
        else:
            self._waiting[index] = Waiting(term, header, nonce, address)
            self._asked.setdefault(header.log_term, {})[header.index, nonce] = index

    def _check_room(self, header: Header, asked: int) -> None:
        """Raises Busy if too many answers are kept for clients, and this one has more than its share."""
        sessions, coming = self.machine.sessions, self.core.last_index - self.machine.applied_index
        if not sessions.has_room(header.log_term, header.index, header.commit, coming, asked):
            raise Busy(
                f"{sessions.kept} answers are kept for clients, more than a share of them for this one: it must say "
                f"which it has (its lowest unanswered sequence is {header.commit})"
            )

    def _read(self, reader: Reader) -> None:
        if not self._readers.have_room(reader.request):
            raise Busy(f"{len(self._readers)} reads are waiting")
        # A term that has ended since the last flush takes its readers with it.
        self._give_up_readers()
        self._readers.add(self.core.read(), self.core.current_term, reader)

    def _answer_readers(self) -> None:
        for reader in self._readers.due(self.machine.applied_index):
            reply = self.machine.read(reader.header.log_term, reader.request)
            self._reply(reader.header, reply, reader.address)
        self._give_up_readers()

    def _give_up_readers(self) -> None:
        for reader in self._readers.expire(self.core.role is Role.LEADER, self.core.current_term):
            self._reply_not_leader(reader.header, reader.request.nonce, reader.address)

    def refuse(self, header: Header, start: bytes, address: Address) -> bool:
        """Answer a large request at its first fragment if it is in vain here. True if so."""
        nonce = int.from_bytes(start[:_NONCE_BYTES], "big")
        return self._turn_away(header, nonce, address)

    def _turn_away(self, header: Header, nonce: int, address: Address) -> bool:
        if self.core.role is Role.LEADER:
            return False
        self._reply_not_leader(header, nonce, address)
        return True

    def _reply_not_leader(self, header: Header, nonce: int, address: Address) -> None:
        leader = self.core.leader if self.core.leader != self.core.id else NOBODY
        where = self.addresses.get(leader)
        body = f"{where[0]}:{where[1]}".encode() if where is not None else b""
        self._reply(header, Reply(nonce, Outcome.NOT_LEADER, leader, body=body), address)

    def _reply_lost(self, waiting: Waiting) -> None:
        self._reply(waiting.header, Reply(waiting.nonce, Outcome.LOST_LEADERSHIP, self.core.leader), waiting.address)

    def _give_up_waiting(self) -> None:
        for waiting in self._waiting.values():
            self._reply_lost(waiting)
        self._waiting.clear()
        self._asked.clear()

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
        header = Header(
            MessageType.CLIENT_REPLY,
            source=self.core.id,
            group=self.number,
            index=asked.index,
            log_term=asked.log_term,
            commit=asked.commit,
            flags=0 if reply.outcome is Outcome.OK else _REJECT,
        )
        self._ways.reply(header, reply.pack(), address)

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
            "unwritten": self._unwritten,
        }

    def _show(self) -> None:
        core, (role, term, leader) = self.core, self._shown
        self._shown = (core.role, core.current_term, core.leader)
        if core.role is Role.LEADER and (role, term) != (core.role, core.current_term):
            self._ways.note(f"group {self.number}: leads in term {core.current_term}")
        elif core.role is not Role.LEADER and role is Role.LEADER:
            self._ways.note(f"group {self.number}: leads no more (term {core.current_term})")
        elif core.leader not in (NOBODY, core.id) and (leader, term) != (core.leader, core.current_term):
            self._ways.note(f"group {self.number}: follows member {core.leader} in term {core.current_term}")
