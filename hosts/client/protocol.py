"""The client's protocol without socket, clock or randomness of its own: datagrams and time in, datagrams and results
out. ``hosts.client`` puts a socket around it, the simulator its network.

    call = protocol.submit(request, now)
    for datagram, address in protocol.datagrams_to_send(): ...
    protocol.receive(datagram, address, now)    # for each that has come
    protocol.handle_timer(now)                  # once ``timer`` has passed
    for call in protocol.take_finished(): result(call)

After every input, ``datagrams_to_send`` may have something. Requests that get no answer are repeated under the same
session and sequence, and so are carried out at most once. Times are seconds of any monotonic clock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random

from hosts.addresses import unpack_address
from hosts.client.calls import Call, ClientError, Patience, Refused, Servers, SessionExpired, result, too_late
from hosts.client.pace import Pace
from hosts.config import DEFAULT_MTU, Address
from hosts.net.batches import MORE, pack_batches, take_batch, unpack_batch
from hosts.net.fragments import Outbox
from hosts.net.path import PathSize, largest_datagram
from hosts.net.reassembly import HEAD_BYTES, Inbox, Key, Told
from hosts.raft.message import NOBODY, MessageType
from hosts.service import values
from hosts.service.requests import (
    KNOWS_EXPIRED,
    MAX_REQUEST_BYTES,
    READS,
    WRITES,
    Operation,
    Outcome,
    Reply,
    Request,
    RequestFault,
    unpack_result,
)
from hosts.service.sessions import MAX_OUTSTANDING
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Flag, FragmentStatus, Header, WireError, unpack_fragment

DEFAULT_TIMEOUT_S = 10.0
INBOX_BYTES = 96 << 20
"""Bytes of large answers that have come in part."""

ANSWER_S = 0.01
"""For how long what has come of a large answer may stay untold."""

MAX_REDIRECTS = 3
"""Answers "ask that one" that are followed at once; later ones only after a while."""

IDLE_S = 60.0
"""From one look to the next while nothing waits for an answer, in seconds."""

NO_SESSION_YET = 0
MOST_TOGETHER = 128
"""So many of the smallest requests fit into a datagram, at most."""

_READ = int(Flag.READ)
_PROBE = int(MessageType.CLIENT_FRAGMENT_STATUS)
"""What an outbox sends of that type asks whether its size arrives."""


class ClientProtocol:
    """One client of one group. ``servers`` are asked in turn until one leads."""

    def __init__(
        self,
        servers: Iterable[Address],
        group: int,
        random: Random,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        steer: bool = True,
        spread: bool = True,
    ) -> None:
        """``steer`` False asks switches to leave requests at the addressed node. ``spread``: switches may take what
        only reads to any member. Raises ClientError if there is nobody to ask."""
        self.servers = Servers(list(servers))
        self.counters: Counter[str] = Counter()
        """What people may want to know: drops (datagrams that were no answer to anything that this client waits for),
        retries, large requests, expired sessions, reads that went to whom switches chose, answers that were no
        result, how often the pace has fallen, and requests that had to wait for it."""
        self._group = group
        self._timeout_s = timeout_s
        self._flags = 0 if steer else int(Flag.NO_STEER)
        self._spread = spread
        self._steered: Address | None = None
        """An address for which another one has answered: who is silent there need not be whom the next request meets.
        """
        self._answerer: Address | None = None
        """Who has answered for ``_steered``: paths are probed to there, as switches steer requests only."""
        self._random = random
        self._nonce = self._draw_nonce()
        self._session = NO_SESSION_YET
        self._opening: Call | None = None
        """The request for a session, while it waits for its answer."""
        self._queued: list[Call] = []
        """Calls that wait for a session, or for room in it."""
        self._next_sequence = self._lowest = 1
        self._calls: dict[tuple[int, int], Call] = {}
        """Calls on their way, by session and sequence."""
        self._gathered: list[Call] = []
        """Small ones that have just begun, and go together."""
        self._pace = Pace()
        self._paced: dict[Call, None] = {}
        """Small ones that wait for their turn, in that order."""
        self._outgoing: list[tuple[bytes, Address]] = []
        self._finished: list[Call] = []
        self._outbox = Outbox(random.getrandbits(64))
        self.may_send(largest_datagram(self.servers.current[0], DEFAULT_MTU))
        self._inbox = Inbox(INBOX_BYTES, INBOX_BYTES, MAX_REQUEST_BYTES + (1 << 20))
        self._answers_due = math.inf
        """When those who send large answers are told what has come, if nothing urgent is told before."""
        self._next_check = 0.0
        self._patience = Patience()
        self._answered_at = -math.inf
        """When a request that had gone to the current address was answered last."""

    def may_send(self, largest: int) -> None:
        """Nothing has been sent yet, and datagrams of up to so many bytes may be tried."""
        self._outbox.path = PathSize(largest)

    # -- out ----------------------------------------------------------------------------------------------------

    def datagrams_to_send(self) -> Sequence[tuple[bytes, Address]]:
        """The datagrams to send now, each with its address. What was submitted since the last call goes together."""
        if self._gathered:
            self._send_gathered()
        if self._inbox.owes:
            self._answer_fragments()
        if not self._outgoing:
            return ()
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def take_finished(self) -> Sequence[Call]:
        """The calls that are done, each once."""
        if not self._finished:
            return ()
        finished, self._finished = self._finished, []
        return finished

    @property
    def timer(self) -> float:
        """When ``handle_timer`` wants to be called."""
        resend = self._outbox.next_timeout()
        due = min(self._next_check, self._answers_due)
        if self._paced:
            due = min(due, self._pace.next_at)
        return due if resend is None else min(due, resend)

    # -- in -----------------------------------------------------------------------------------------------------

    @property
    def nonce(self) -> int:
        """The nonce that requests should carry; with another one they are packed twice."""
        return self._nonce

    @property
    def session(self) -> int:
        """The session's number, NO_SESSION_YET while there is none."""
        return self._session

    def submit(self, request: Request, now: float, timeout_s: float | None = None) -> Call:
        """Begin a request, which fails if it has no result within ``timeout_s``. A session is opened first if there
        is none. Raises Refused if the request is too large, or too many are outstanding."""
        if len(self._queued) + len(self._calls) - (self._opening is not None) >= MAX_OUTSTANDING:
            raise Refused(f"at most {MAX_OUTSTANDING} requests may be outstanding; collect some first")
        try:
            payload = request.pack()
        except RequestFault as fault:
            raise Refused(str(fault)) from fault
        deadline = now + (self._timeout_s if timeout_s is None else timeout_s)
        call = Call(request, NO_SESSION_YET, 0, now, deadline, payload)
        self._begin(call, now)
        return call

    def receive(self, datagram: bytes, address: Address, now: float) -> None:
        """A datagram has come from ``address``."""
        if self._gathered:
            self._send_gathered()
        try:
            self._take(datagram, address, now)
        except (WireError, RequestFault, values.ValueFault):
            self._drop()

    def handle_timer(self, now: float) -> None:
        """Time has passed: repeat what got no answer, give up what has waited too long."""
        if self._gathered:
            self._send_gathered()
        self._pump(now)
        if now >= self._answers_due:
            self._answers_due = math.inf
            self._answer_fragments(waited=True)
        if now >= self._next_check:
            self._check(now)
        while self._paced and now >= self._pace.next_at:
            self._send_paced(now)

    def could_not_send(self, address: Address, reason: str) -> None:
        """A datagram has not left: as if it were lost on the way, but people may want to know."""
        self.servers.spoke(address, f"cannot be reached ({reason})")

    # -- sessions -----------------------------------------------------------------------------------------------

    def _begin(self, call: Call, now: float) -> None:
        """Send a call under the present session, or have it wait for one."""
        if call.request.nonce != self._nonce:
            call.request = replace(call.request, nonce=self._nonce)
            call.payload = call.request.pack()
        if self._session and not self._queued and self._room():
            self._start(call, now)
            return
        self._queued.append(call)
        self._look_again_at(call.deadline)
        if not self._session:
            opening = self._opening or self._open(now)
            opening.deadline = max(opening.deadline, call.deadline)

    def _room(self) -> int:
        """For how many more calls the session has."""
        return MAX_OUTSTANDING - (self._next_sequence - self._lowest)

    def _start(self, call: Call, now: float) -> None:
        call.session, call.sequence = self._session, self._next_sequence
        self._next_sequence += 1
        self._calls[call.session, call.sequence] = call
        self._send(call, now)

    def _start_queued(self, now: float) -> None:
        """Start as many queued calls as the session has room for."""
        room = self._room()
        started, self._queued = self._queued[:room], self._queued[room:]
        for call in started:
            self._start(call, now)

    def _open(self, now: float) -> Call:
        request = Request(self._nonce, Operation.OPEN_SESSION)
        opening = Call(request, NO_SESSION_YET, self._nonce, now, now, request.pack())
        self._opening = self._calls[opening.session, opening.sequence] = opening
        self._send(opening, now)
        return opening

    def _opened(self, opening: Call, now: float) -> None:
        """The request for a session is done: those that waited for it begin, or fail as it has."""
        self._opening = None
        try:
            self._session = int(result(opening).value)
        except ClientError as failure:
            for call in self._queued:
                call.failure = failure
            self._finished += self._queued
            self._queued = []
            return
        self._next_sequence = self._lowest = 1
        self._start_queued(now)

    def _forget_session(self, call: Call) -> None:
        """A call's session is known no more. The next one has another nonce: under the same one, a session that is
        known after all would be found again, with the replies to sequences that are now used anew."""
        if call.session == self._session:
            self.counters["sessions expired"] += 1
            self._session = NO_SESSION_YET
            self._nonce = self._draw_nonce()
            self._next_sequence = self._lowest = 1

    def _draw_nonce(self) -> int:
        return self._random.getrandbits(64) or 1

    # -- sending ------------------------------------------------------------------------------------------------

    def _send(self, call: Call, now: float) -> None:
        if self._pace.on and call.session and _is_small(call):
            self.counters["requests paced"] += 1
            self._paced[call] = None
            call.next_send = math.inf
            self._look_again_at(call.deadline)
            return
        self._tried(call, now)
        if not _is_small(call):
            self._send_fragments(call, now)
        elif call.session:
            self._gathered.append(call)
        else:
            self._put(self._header(call).pack() + call.payload, call.asked)

    def _send_gathered(self) -> None:
        """In few datagrams: those that go together are of one session, and for one address. Reads that may be spread
        go apart."""
        gathered, self._gathered = self._gathered, []
        alike: dict[tuple[int, Address, bool], list[Call]] = {}
        for call in gathered:
            alike.setdefault((call.session, call.asked, call.spread), []).append(call)
        for of in sorted(alike, key=lambda of: of[2]):
            self._send_together(alike[of])

    def _send_together(self, gathered: list[Call]) -> None:
        first = gathered[0]
        if len(gathered) == 1:
            self._put(self._header(first).pack() + first.payload, first.asked)
            return
        for index, more, payload in pack_batches([(call.sequence, call.payload) for call in gathered]):
            header = self._header(first, index, more)
            self._put(header.pack() + payload, first.asked)

    def _may_spread(self, call: Call) -> bool:
        """Whether switches may choose who gets the next try. Only once: whoever it is may be dead, or hear no
        leader."""
        return self._spread and not call.tries and call.request.operation in READS and _is_small(call)

    def _tried(self, call: Call, now: float) -> None:
        call.spread = self._may_spread(call)
        self.counters["reads spread"] += call.spread
        call.sent(self.servers.current, now, self._patience)
        self._look_again_at(min(call.next_send, call.deadline))

    def _send_paced(self, now: float) -> None:
        """One datagram's worth of those that wait for their turn. Some have got an answer to an earlier try, or no
        time is left to them."""
        over, together, first = [], [], None
        for call in self._paced:
            of = call.session, self._may_spread(call)
            if self._calls.get((call.session, call.sequence)) is not call:
                over.append(call)
            elif first is None or of == first:
                first = of
                together.append(call)
                if len(together) == MOST_TOGETHER:
                    break
        chosen = together[: take_batch([call.payload for call in together])]
        for call in (*over, *chosen):
            del self._paced[call]
        for call in chosen:
            self._tried(call, now)
        if chosen:
            self._gathered += chosen
            self._send_gathered()
            self._pace.sent(1, now)

    def _send_fragments(self, call: Call, now: float) -> None:
        if call.message_id is not None and call.message_id in self._outbox:
            self._outbox.restart(call.message_id, now)
        else:
            self.counters["large requests"] += 1
            call.message_id = self._outbox.add(self._header(call), call.payload, now)
        self._pump(now)

    def _header(self, call: Call, sequence: int | None = None, more: int = 0) -> Header:
        return Header(
            MessageType.CLIENT_REQUEST,
            group=self._group,
            term=KNOWS_EXPIRED,
            index=call.sequence if sequence is None else sequence,
            log_term=call.session,
            commit=self._lowest if call.session == self._session else 0,
            flags=self._flags | more | (_READ if call.spread else 0),
        )

    def _put(self, datagram: bytes, address: Address) -> None:
        self._outgoing.append((datagram, address))

    def _pump(self, now: float) -> None:
        current = self.servers.current
        for datagram in self._outbox.poll(now):
            probes = datagram[1] == _PROBE and current == self._steered
            self._put(datagram, (self._answerer if probes else None) or current)

    # -- time ---------------------------------------------------------------------------------------------------

    def _look_again_at(self, when: float) -> None:
        self._next_check = min(self._next_check, when)

    def _check(self, now: float) -> None:
        """Deal with calls whose time has come."""
        self._inbox.expire(now)
        self._give_up_late(now)
        due = [call for call in self._calls.values() if now >= call.next_send]
        # Who answers spread reads may be silent, and whoever leads may not.
        quiet = [call for call in due if call.expects and not (call.spread and call.asked == self._steered)]
        for call in quiet:
            call.silences += 1
        borne = 1 if self._pace.on else 0
        self._judge_pace(quiet, now)
        # Where many requests get lost, one that got no answer says little of whom it asked. And who has answered
        # others since is not silent.
        unheard = [call for call in quiet if call.sent_at >= self._answered_at and call.silences > borne]
        if any(call.asked == self.servers.current for call in unheard):
            self.servers.fell_silent(self.servers.current, now)
            self.servers.turn()
        for call in due:
            former = call.asked
            if call.expects and former != self.servers.current and _is_small(call) and not self._pace.on:
                # Most often just a datagram was lost, and who was asked still is the right one.
                self._put(self._header(call).pack() + call.payload, former)
            self._send(call, now)
        self.counters["retries"] += len(due)
        times = [min(call.next_send, call.deadline) for call in self._calls.values()]
        self._next_check = min((*times, *(call.deadline for call in self._queued)), default=now + IDLE_S)

    def _judge_pace(self, quiet: Iterable[Call], now: float) -> None:
        lost = [call.next_send for call in quiet if call.session and _is_small(call)]
        before = self._pace.falls
        self._pace.judge(now, self._next_sequence, len(self._calls), len(lost), len(set(lost)))
        self.counters["falls of the pace"] += self._pace.falls - before

    def _give_up_late(self, now: float) -> None:
        if self._opening is not None:
            for call in self._queued:
                call.busy = self._opening.busy
        waiting = [*self._calls.values(), *self._queued]
        for call in [call for call in waiting if now >= call.deadline]:
            if call is self._opening:
                # Those who waited for it are late as well, and say so themselves.
                self._opening = None
                del self._calls[call.session, call.sequence]
            else:
                call.failure = too_late(call, self.servers, now)
                self._end(call, now)

    # -- answers ------------------------------------------------------------------------------------------------

    def _drop(self) -> None:
        self.counters["drops"] += 1

    def _take(self, datagram: bytes, address: Address, now: float) -> None:
        header = Header.unpack(datagram)
        payload = datagram[HEADER_BYTES:]
        if header.group != self._group or header.source == NOBODY:
            self._drop()
        elif header.type == MessageType.CLIENT_REPLY and header.flags & MORE and not header.is_fragment:
            for sequence, part in unpack_batch(payload):
                call = self._calls.get((header.log_term, sequence))
                if call is None:
                    self._drop()
                else:
                    self._on_reply(call, header.source, Reply.unpack(part), address, now)
        else:
            self._take_one(header, payload, datagram, address, now)

    def _take_one(self, header: Header, payload: bytes, datagram: bytes, address: Address, now: float) -> None:
        call = self._calls.get((header.log_term, header.index))
        if call is None:
            self._drop()
        elif header.type == MessageType.CLIENT_FRAGMENT_STATUS and header.is_fragment:
            # It only proves that datagrams of its size arrive.
            fragment = unpack_fragment(payload)
            arrived = FragmentStatus(fragment.message_id, fragment.total, len(fragment.data))
            self._answer_fragment(Told(address, datagram[:HEADER_BYTES], arrived, len(datagram)))
        elif header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            status = FragmentStatus.unpack(payload)
            if status.message_id == call.message_id:
                call.heard_of(now, self._patience)
            self._outbox.on_status(status, address, now)
            self._pump(now)
        elif header.type == MessageType.CLIENT_REPLY:
            if header.is_fragment:
                payload = self._gather(call, datagram, address, now)
            if payload:
                self._on_reply(call, header.source, Reply.unpack(payload), address, now)
        else:
            self._drop()

    def _gather(self, call: Call, datagram: bytes, address: Address, now: float) -> bytes:
        """Part of a large answer: what it completes, or nothing yet."""
        call.heard_of(now, self._patience)
        payload = self._inbox.receive(Key(address, datagram[:HEAD_BYTES]), datagram, now)
        if self._answers_due == math.inf and self._inbox.owes:
            self._answers_due = now + ANSWER_S
        return bytes(payload or b"")

    def _answer_fragments(self, *, waited: bool = False) -> None:
        """Say what has come of large answers."""
        for told in self._inbox.take_statuses(waited=waited):
            self._answer_fragment(told)
        if not self._inbox.owes:
            self._answers_due = math.inf

    def _answer_fragment(self, told: Told) -> None:
        assert isinstance(told.source, tuple)
        asked = Header.unpack(told.header)
        kind = MessageType.CLIENT_FRAGMENT_STATUS
        header = Header(kind, NOBODY, asked.source, self._group, index=asked.index, log_term=asked.log_term)
        self._put(header.pack() + told.status.pack(), told.source)

    def _on_reply(self, call: Call, source: int, reply: Reply, address: Address, now: float) -> None:
        if reply.nonce != call.request.nonce:
            self._drop()
            return
        outcome = reply.outcome
        call.busy = outcome is Outcome.BUSY
        if outcome is not Outcome.OK:
            self.counters[f"answers: {outcome.name.lower()}"] += 1
        if outcome is Outcome.NOT_LEADER:
            self._on_not_leader(call, unpack_address(reply.body), address, now)
        elif outcome is Outcome.LOST_LEADERSHIP:
            call.in_doubt = True
            self._postpone(call, address, "leads no more", now)
        elif outcome is Outcome.BUSY:
            self._postpone(call, address, f"is busy: {reply.text}", now)
        else:
            self._on_final_reply(call, source, reply, address, now)

    def _on_final_reply(self, call: Call, source: int, reply: Reply, address: Address, now: float) -> None:
        """An answer that no other will follow. Raises RequestFault or ValueFault for a result that is none."""
        if reply.outcome is Outcome.OK:
            call.value = unpack_result(call.request, reply.body)
        self.servers.spoke(address)
        self.servers.spoke(call.asked)
        if call.asked == self.servers.current and call.request.operation is not Operation.GET_STALE:
            self._answered_at = now  # a read of an age needs no leader, and says nothing of one
        if call.session and _is_small(call):
            self._patience.answered(call.begun, now, call.tries)
        if address != call.asked:
            self._steered = call.asked
            self._answerer = self._answerer if call.spread else address
        call.served_by, call.address, call.answered = source, address, now
        if reply.outcome in (Outcome.UNKNOWN_SESSION, Outcome.SESSION_EXPIRED):
            self._on_no_session(call, reply, now)
        else:
            call.reply = reply
            self._end(call, now)

    def _on_not_leader(self, call: Call, leader: Address | None, address: Address, now: float) -> None:
        if call.spread:
            # Whom the switches chose cannot read now. Without READ, the same address stands for the leader again.
            self.servers.spoke(address, "cannot read now")
            self._send(call, now)
        elif leader is None:
            if call.asked == self.servers.current:
                self.servers.turn()
            self._postpone(call, address, "knows no leader", now)
        elif not self.servers.follow(leader, now):
            if call.asked == self.servers.current:
                self.servers.turn()
            self._postpone(call, address, f"follows {leader[0]}:{leader[1]}, which does not answer", now)
        elif leader != call.asked and call.refusals < MAX_REDIRECTS:
            self.servers.spoke(address, f"follows {leader[0]}:{leader[1]}")
            call.refusals += 1
            self._send(call, now)
        else:
            self._postpone(call, address, f"follows {leader[0]}:{leader[1]}", now)

    def _postpone(self, call: Call, address: Address, said: str, now: float) -> None:
        self.servers.spoke(address, said)
        self._stop_sending(call)
        call.refused(now, self._random.uniform(0.5, 1.0))
        self._look_again_at(call.next_send)

    def _on_no_session(self, call: Call, reply: Reply, now: float) -> None:
        if call is self._opening:
            self._postpone(call, call.address, f"does not open a session: {reply.text}", now)
            return
        self._forget_session(call)
        if _is_safe_to_repeat(call, reply.outcome):
            self._stop_sending(call)
            del self._calls[call.session, call.sequence]
            call.start_over()
            self._begin(call, now)
        else:
            call.failure = SessionExpired(
                f"{reply.text}; whether this request was carried out before that is not known"
            )
            self._end(call, now)

    def _stop_sending(self, call: Call) -> None:
        if call.message_id is not None:
            self._outbox.remove(call.message_id)
            call.message_id = None

    def _end(self, call: Call, now: float) -> None:
        """A call is done."""
        if not call.session and call is not self._opening:
            self._queued.remove(call)
        else:
            del self._calls[call.session, call.sequence]
        self._stop_sending(call)
        if call is self._opening:
            self._opened(call, now)
            return
        self._finished.append(call)
        if call.session == self._session and call.sequence == self._lowest:
            while self._lowest < self._next_sequence and (self._session, self._lowest) not in self._calls:
                self._lowest += 1
            if self._queued:
                self._start_queued(now)


def _is_small(call: Call) -> bool:
    """Whether it goes in one datagram."""
    return HEADER_BYTES + len(call.payload) <= MAX_DATAGRAM


def _is_safe_to_repeat(call: Call, outcome: Outcome) -> bool:
    """Whether a request without a session may go again under a new one: it was not carried out, or does not matter if
    it was. A single try says nothing, for the network may have doubled it."""
    return outcome is Outcome.SESSION_EXPIRED or call.request.operation not in WRITES
