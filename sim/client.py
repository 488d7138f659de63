"""A client that retries: sessions, sequences, fragments and patience as in ``hosts.client``, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from hosts import values
from hosts.calls import Call, Servers, SessionExpired
from hosts.config import Address
from hosts.fragments import Outbox
from hosts.raft.message import NOBODY, MessageType
from hosts.reassembly import Inbox
from hosts.requests import MAX_REQUEST_BYTES, WRITES, Operation, Outcome, Reply, Request, RequestFault
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Flag, FragmentStatus, Header, WireError, unpack_fragment
from sim.events import SECOND
from sim.violation import Violation

if TYPE_CHECKING:
    from sim.world import World

MAX_REDIRECTS = 3

Done = Callable[[Call], None]


class Client:
    """One client of one group. ``done`` is told of each call that has a reply or a failure."""

    def __init__(
        self, world: World, name: str, host: str, port: int, group: int, servers: list[Address], *, steer: bool
    ) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.port = port
        self.group = group
        self._events = world.events
        self._random = Random(f"client/{world.plan.seed}/{name}")
        self._servers = Servers(servers)
        self._steer = steer
        self._nonce = self._random.getrandbits(64)
        self._session = 0
        self._opening = False
        self._queued: list[tuple[Callable[[int], Request], float, Done]] = []
        self._next_sequence = self._lowest = 1
        self._calls: dict[tuple[int, int], tuple[Call, Done]] = {}
        self._outbox = Outbox(self._random.getrandbits(64))
        self._inbox = Inbox(8 << 20, 8 << 20, MAX_REQUEST_BYTES)
        self._wake_at = 1 << 62

    @property
    def now(self) -> float:
        return self._events.now / SECOND

    # -- calls --------------------------------------------------------------------------------------------------

    def submit(self, operation: Operation, patience_s: float, done: Done, **operands: Any) -> None:
        """Begin a request; the session is opened first if there is none."""
        if self._session:
            self._begin(Request(self._nonce, operation, **operands), patience_s, done)
            return
        self._queued.append((partial(Request, operation=operation, **operands), patience_s, done))
        if not self._opening:
            self._opening = True
            self._call(Request(self._nonce, Operation.OPEN_SESSION), 0, self._nonce, 1e9, self._opened)

    def _opened(self, call: Call) -> None:
        self._opening = False
        if call.reply is None or call.reply.outcome is not Outcome.OK:
            raise Violation("sessions", f"{self.name} cannot open one: {call.reply}")
        self._session = int(values.decode(call.reply.body))
        self._next_sequence = self._lowest = 1
        queued, self._queued = self._queued, []
        for request, patience_s, done in queued:
            self._begin(request(self._nonce), patience_s, done)

    def _begin(self, request: Request, patience_s: float, done: Done) -> None:
        self._next_sequence += 1
        self._call(request, self._session, self._next_sequence - 1, patience_s, done)

    def _call(self, request: Request, session: int, sequence: int, patience_s: float, done: Done) -> None:
        now = self.now
        call = Call(request, session, sequence, now, now + patience_s, request.pack())
        self._calls[session, sequence] = call, done
        self._send(call)

    def _send(self, call: Call) -> None:
        now = self.now
        call.sent(self._servers.current, now)
        self._plan(min(call.next_send, call.deadline))
        if call.message_id is not None and call.message_id in self._outbox:
            self._outbox.restart(call.message_id, now)
            self._pump()
            return
        header = Header(
            MessageType.CLIENT_REQUEST,
            group=self.group,
            index=call.sequence,
            log_term=call.session,
            commit=self._lowest if call.session else 0,
            flags=0 if self._steer else Flag.NO_STEER,
        )
        if HEADER_BYTES + len(call.payload) <= MAX_DATAGRAM:
            self._put(header.pack() + call.payload, call.asked)
        else:
            self.world.counts["large requests"] += 1
            call.message_id = self._outbox.add(header, call.payload, now)
            self._pump()

    def _put(self, datagram: bytes, address: Address) -> None:
        self.world.network.send(self.host, self.port, address, datagram)

    def _pump(self) -> None:
        for datagram in self._outbox.poll(self.now):
            self._put(datagram, self._servers.current)
        due = self._outbox.next_timeout()
        if due is not None:
            self._plan(due)

    # -- time ---------------------------------------------------------------------------------------------------

    def _plan(self, when: float) -> None:
        due = max(int(when * SECOND) + 1, self._events.now + 1)
        if due < self._wake_at:
            self._wake_at = due
            self._events.at(due, self._wake, due)

    def _wake(self, due: int) -> None:
        if due != self._wake_at:
            return
        self._wake_at = 1 << 62
        now = self.now
        self._pump()
        self._inbox.expire(now)
        for call, done in list(self._calls.values()):
            if now >= call.deadline:
                call.failure = SessionExpired("no answer in time")
                self._end(call, done)
        due_now = [call for call, _ in self._calls.values() if now >= call.next_send]
        quiet = [call for call in due_now if call.expects]
        for call in quiet:
            call.silences += 1
        if any(call.asked == self._servers.current for call in quiet):
            self._servers.fell_silent(self._servers.current, now)
            self._servers.turn()
        for call in due_now:
            self._send(call)
        if due_now:
            self.world.counts["retries"] += len(due_now)
        for call, _ in self._calls.values():
            self._plan(min(call.next_send, call.deadline))

    # -- answers ------------------------------------------------------------------------------------------------

    def receive(self, datagram: bytes, address: Address) -> None:
        """A datagram arrives."""
        try:
            self._take(datagram, address)
        except (WireError, RequestFault, values.ValueFault):
            self.world.counts["dropped by clients"] += 1

    def _take(self, datagram: bytes, address: Address) -> None:
        header = Header.unpack(datagram)
        payload = datagram[HEADER_BYTES:]
        found = self._calls.get((header.log_term, header.index))
        if header.group != self.group or header.source == NOBODY or found is None:
            return
        call, done = found
        if header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            status = FragmentStatus.unpack(payload)
            if status.message_id == call.message_id:
                call.heard_of(self.now)
                self._outbox.on_status(status, address, self.now)
                self._pump()
        elif header.type == MessageType.CLIENT_REPLY:
            if header.flags & Flag.FRAGMENT:
                payload = self._gather(call, header, datagram, address)
            if payload:
                self._on_reply(call, done, Reply.unpack(payload), address)

    def _gather(self, call: Call, header: Header, datagram: bytes, address: Address) -> bytes:
        call.heard_of(self.now)
        fragment = unpack_fragment(datagram[HEADER_BYTES:])
        received = self._inbox.receive(address, datagram[:HEADER_BYTES], fragment, self.now)
        if received.status is not None:
            kind = MessageType.CLIENT_FRAGMENT_STATUS
            answer = Header(kind, NOBODY, header.source, self.group, index=header.index, log_term=header.log_term)
            self._put(answer.pack() + received.status.pack(), address)
        return received.payload or b""

    def _on_reply(self, call: Call, done: Done, reply: Reply, address: Address) -> None:
        if reply.nonce != call.request.nonce:
            return
        now = self.now
        self.world.counts[f"answers: {reply.outcome.name.lower()}"] += 1
        if reply.outcome is Outcome.NOT_LEADER:
            self._on_not_leader(call, reply.text, address)
        elif reply.outcome in (Outcome.LOST_LEADERSHIP, Outcome.BUSY):
            call.in_doubt = call.in_doubt or reply.outcome is Outcome.LOST_LEADERSHIP
            self._postpone(call, address)
        elif reply.outcome in (Outcome.STALE, Outcome.BAD_REQUEST):
            raise Violation("sessions", f"{self.name} is told {reply.outcome.name} of {call.request}: {reply.text}")
        else:
            self._servers.spoke(address)
            self._servers.spoke(call.asked)
            call.reply, call.address, call.answered = reply, address, now
            self._end(call, done)

    def _on_not_leader(self, call: Call, text: str, address: Address) -> None:
        host, _, port = text.rpartition(":")
        leader = (host, int(port)) if host else None
        now = self.now
        if leader is not None and self._servers.follow(leader, now):
            if leader != call.asked and call.refusals < MAX_REDIRECTS:
                call.refusals += 1
                self._send(call)
                return
        elif call.asked == self._servers.current:
            self._servers.turn()
        self._postpone(call, address)

    def _postpone(self, call: Call, address: Address) -> None:
        self._servers.spoke(address, "not now")
        if call.message_id is not None:
            self._outbox.remove(call.message_id)
            call.message_id = None
        call.refused(self.now, self._random.uniform(0.5, 1.0))
        self._plan(call.next_send)

    def _end(self, call: Call, done: Done) -> None:
        del self._calls[call.session, call.sequence]
        if call.message_id is not None:
            self._outbox.remove(call.message_id)
        if call.reply is not None and call.reply.outcome is Outcome.UNKNOWN_SESSION and call.session:
            self.world.counts["sessions expired"] += 1
            if call.session == self._session:
                # Another nonce, as hosts.client has it: under the old one replies to the same sequences are kept.
                self._session, self._nonce = 0, self._random.getrandbits(64)
        if call.session and call.session == self._session and call.sequence == self._lowest:
            while self._lowest < self._next_sequence and (self._session, self._lowest) not in self._calls:
                self._lowest += 1
        done(call)


def surely_not_carried_out(call: Call) -> bool:
    """Whether a request of a forgotten session cannot have had an effect."""
    return call.tries == 1 or call.request.operation not in WRITES
