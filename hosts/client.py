"""The client library: a synchronous client, which can also keep many requests outstanding.

    with Client([("10.0.1.1", 26410)]) as client:
        print(client.append("hello").index)

One address is enough, a node's or the service address: switches steer requests to the leader, and without switches a
node that does not lead says who does. The client's own socket is not connected, so that the answer may come from
another address than the one asked. Requests that get no answer are repeated under the same session and sequence,
and so are carried out at most once; of those outstanding at the same time, any may be carried out first.
"""

from __future__ import annotations

import os
import random
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType

from hosts import values
from hosts.batches import MORE, pack_batches, unpack_batch
from hosts.calls import (
    Call,
    ClientError,
    NoLeader,
    Refused,
    Result,
    Servers,
    SessionExpired,
    Timeout,
    too_late,
)
from hosts.config import Address
from hosts.fragments import Outbox
from hosts.raft.message import NOBODY, MessageType
from hosts.reassembly import Inbox
from hosts.requests import MAX_REQUEST_BYTES, WRITES, Operation, Outcome, Reply, Request, RequestFault
from hosts.sessions import MAX_OUTSTANDING
from hosts.values import Value
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Flag, FragmentStatus, Header, WireError, unpack_fragment

__all__ = ["Client", "ClientError", "NoLeader", "Refused", "Result", "SessionExpired", "Timeout"]

DEFAULT_TIMEOUT_S = 10.0
RECEIVE_BYTES = 2048
SOCKET_BUFFER_BYTES = 4 << 20
INBOX_BYTES = 96 << 20
"""Large answers that have come in part."""

READ_AT_ONCE = 10_000
MAX_REDIRECTS = 3
"""Answers "ask that one" that are followed at once; later ones only after a while."""


class Client:
    """A client of one group. Not for use from several threads.

    ``servers`` are asked in turn until one leads. ``bind`` is the client's own address, or address and port.
    ``steer`` False asks switches to leave requests at the addressed node.
    """

    def __init__(
        self,
        servers: Iterable[Address],
        group: int = 1,
        *,
        bind: str | Address | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        steer: bool = True,
    ) -> None:
        """Raises ClientError if ``bind`` is no address of this machine."""
        self._servers = Servers(list(servers))
        self._group = group
        self._timeout_s = timeout_s
        self._flags = 0 if steer else int(Flag.NO_STEER)
        self._random = random.Random()
        self._nonce = _draw_nonce()
        self._session = 0
        self._next_sequence = self._lowest = 1
        self._calls: dict[tuple[int, int], Call] = {}
        """Those not yet done, by session and sequence."""
        self._finished: deque[Call] | None = None
        self._gathered: list[Call] | None = None
        """Small ones that wait to go together, while several are begun at once."""
        self._outbox = Outbox(int.from_bytes(os.urandom(8), "big"))
        self._inbox = Inbox(INBOX_BYTES, INBOX_BYTES, MAX_REQUEST_BYTES + (1 << 20))
        self._next_check = 0.0
        self.drops = 0
        """Datagrams that were no answer to anything that this client waits for."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            self._socket.setblocking(False)
            self._socket.bind((bind, 0) if isinstance(bind, str) else bind or ("", 0))
        except OSError as error:
            self._socket.close()
            raise ClientError(f"cannot send from {bind}: {error.strerror}; is it this machine's address?") from error
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    # -- operations: each waits for its result; ClientError and its kinds, or values.ValueFault for a wrong value ---

    def append(self, value: Value) -> Result:
        """Append to the group's list. The result's value is the value's position in the list."""
        return self.wait(self.submit_append(value))

    def put(self, key: Value, value: Value) -> Result:
        """Store a value under a key. The result's value is whether the key was there before."""
        return self._do(self._put_request(key, value))

    def get(self, key: Value) -> Result:
        """Read the value under a key. The result's value is [there, value]; value is None where nothing is."""
        return self._do(Request(self._nonce, Operation.GET, key=values.encode(key)))

    def delete(self, key: Value) -> Result:
        """Remove a key. The result's value is whether it was there."""
        return self._do(Request(self._nonce, Operation.DELETE, key=values.encode(key)))

    def read_list(self, start: int = 0, limit: int | None = None) -> Result:
        """Read the list from a position on, ``limit`` values or all. The result's value is the list of values; a long
        one is read in several requests, and then is as it was at the last of them."""
        collected: list[Value] = []
        began = time.monotonic()
        while True:
            wanted = READ_AT_ONCE if limit is None else min(READ_AT_ONCE, limit - len(collected))
            at = start + len(collected)
            result = self.read_part(at, wanted)
            total, part = result.value
            collected += part
            if at + len(part) >= total or not part or len(collected) == limit:
                elapsed = time.monotonic() - began
                return Result(collected, result.index, result.term, result.served_by, result.address, elapsed)

    def read_part(self, start: int, limit: int) -> Result:
        """Read up to ``limit`` values of the list from a position on, in one request. The result's value is [length
        of the list, values]; of large values there may be fewer."""
        return self._do(Request(self._nonce, Operation.READ_LIST, start=start, limit=limit))

    def turn_to(self, server: Address) -> None:
        """Ask ``server`` next, whoever has answered so far."""
        self._servers.current = server

    def _do(self, request: Request) -> Result:
        return self.wait(self.submit(request))

    # -- many at once -------------------------------------------------------------------------------------------

    def append_many(self, items: Iterable[Value], outstanding: int) -> Iterator[Result]:
        """Append values, up to ``outstanding`` of them on their way at a time; yields results as they come. Raises
        ClientError at the first that fails."""
        return self._many((self._append(value) for value in items), outstanding)

    def put_many(self, pairs: Iterable[tuple[Value, Value]], outstanding: int) -> Iterator[Result]:
        """As ``append_many``, storing values under keys."""
        return self._many((self._put_request(key, value) for key, value in pairs), outstanding)

    def _many(self, requests: Iterator[Request], outstanding: int) -> Iterator[Result]:
        finished: deque[Call] = deque()
        running = 0
        exhausted = False
        while running or not exhausted:
            with self._gathering():
                while running < outstanding and not exhausted:
                    request = next(requests, None)
                    if request is None:
                        exhausted = True
                        break
                    self.submit(request)
                    running += 1
            self._finished = finished
            try:
                while running and not finished:
                    self._turn()
            finally:
                self._finished = None
            while finished:
                running -= 1
                yield self.result(finished.popleft())

    def _append(self, value: Value) -> Request:
        return Request(self._nonce, Operation.APPEND, value=values.encode(value))

    def _put_request(self, key: Value, value: Value) -> Request:
        return Request(self._nonce, Operation.PUT, key=values.encode(key), value=values.encode(value))

    def submit_append(self, value: Value, timeout_s: float | None = None) -> Call:
        """Begin an append; ``wait`` or ``collect`` ends it."""
        return self.submit(self._append(value), timeout_s)

    def submit_put(self, key: Value, value: Value, timeout_s: float | None = None) -> Call:
        """Begin a put, likewise."""
        return self.submit(self._put_request(key, value), timeout_s)

    def submit(self, request: Request, timeout_s: float | None = None) -> Call:
        """Begin a request; ``wait`` or ``collect`` ends it. Opens the session first if there is none. Raises
        ClientError if that fails or too many are outstanding."""
        if not self._session:
            opening = self._begin(Request(self._nonce, Operation.OPEN_SESSION), 0, self._nonce, timeout_s)
            self._session = int(self.wait(opening).value)
            self._next_sequence = self._lowest = 1
        if self._next_sequence - self._lowest >= MAX_OUTSTANDING:
            raise Refused(f"at most {MAX_OUTSTANDING} requests may be outstanding; collect some first")
        self._next_sequence += 1
        return self._begin(request, self._session, self._next_sequence - 1, timeout_s)

    def work(self, seconds: float) -> None:
        """Take answers, and repeat what gets none, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._look_again_at(end)
            self._turn()

    def wait(self, call: Call) -> Result:
        """Wait for one call's result. Raises ClientError."""
        while not call.done:
            self._turn()
        if call.reply is not None and call.reply.outcome is Outcome.UNKNOWN_SESSION and _is_safe_to_repeat(call):
            self._forget_session(call)
            again = replace(call.request, nonce=self._nonce)
            return self.wait(self.submit(again, max(0.0, call.deadline - time.monotonic())))
        return self.result(call)

    def collect(self, calls: Iterable[Call], count: int = 1) -> list[Call]:
        """Wait until at least ``count`` of ``calls`` are done; those that are. ``result`` tells what each gave."""
        waiting = list(calls)
        while True:
            done = [call for call in waiting if call.done]
            if len(done) >= min(count, len(waiting)):
                return done
            self._turn()

    def result(self, call: Call) -> Result:
        """The result of a call that is done. Raises ClientError if it has none."""
        if call.failure is not None:
            raise call.failure
        reply = call.reply
        assert reply is not None, "the call is not done"
        if reply.outcome is Outcome.UNKNOWN_SESSION:
            self._forget_session(call)
            raise SessionExpired(f"{reply.text}; whether this request was carried out before that is not known")
        if reply.outcome is not Outcome.OK:
            raise Refused(f"refused by {call.address[0]}:{call.address[1]}: {reply.text}")
        value = values.decode(reply.body)
        return Result(value, reply.index, reply.term, call.served_by, call.address, call.answered - call.submitted)

    def _forget_session(self, call: Call) -> None:
        """The next session has another nonce: under the same one, a session that is known after all would be found
        again, with the replies to sequences that are now used anew."""
        if call.session == self._session:
            self._session = 0
            self._nonce = _draw_nonce()

    # -- sending ------------------------------------------------------------------------------------------------

    def _begin(self, request: Request, session: int, sequence: int, timeout_s: float | None) -> Call:
        now = time.monotonic()
        try:
            payload = request.pack()
        except RequestFault as fault:
            raise Refused(str(fault)) from fault
        deadline = now + (self._timeout_s if timeout_s is None else timeout_s)
        call = Call(request, session, sequence, now, deadline, payload)
        self._calls[session, sequence] = call
        self._send(call, now)
        return call

    def _send(self, call: Call, now: float) -> None:
        call.sent(self._servers.current, now)
        self._look_again_at(min(call.next_send, call.deadline))
        if call.message_id is not None and call.message_id in self._outbox:
            self._outbox.restart(call.message_id, now)
            self._pump(now)
            return
        header = self._header(call)
        if _is_small(call):
            if self._gathered is not None and call.session:
                self._gathered.append(call)
            else:
                self._put(header.pack() + call.payload, call.asked)
        else:
            call.message_id = self._outbox.add(header, call.payload, now)
            self._pump(now)

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        """What is begun inside goes out at the end, in few datagrams."""
        gathered: list[Call] = []
        self._gathered = gathered
        try:
            yield
        finally:
            self._gathered = None
        pairs = [(call.sequence, call.payload) for call in gathered]
        for index, more, payload in pack_batches(pairs):
            header = Header(
                MessageType.CLIENT_REQUEST,
                group=self._group,
                index=index,
                log_term=self._session,
                commit=self._lowest,
                flags=self._flags | more,
            )
            self._put(header.pack() + payload, self._servers.current)

    def _header(self, call: Call) -> Header:
        return Header(
            MessageType.CLIENT_REQUEST,
            group=self._group,
            index=call.sequence,
            log_term=call.session,
            commit=self._lowest if call.session else 0,
            flags=self._flags,
        )

    def _put(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket.sendto(datagram, address)
        except OSError as error:
            # No route, or no room: as if lost on the way, but people may want to know.
            self._servers.spoke(address, f"cannot be reached ({error.strerror})")

    def _pump(self, now: float) -> None:
        for datagram in self._outbox.poll(now):
            self._put(datagram, self._servers.current)

    # -- the loop -----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Wait for something to happen, and deal with it."""
        now = time.monotonic()
        until = self._next_check
        resend = self._outbox.next_timeout()
        if resend is not None:
            until = min(until, resend)
        # poll counts in whole milliseconds, and rounding down would make it spin.
        if self._poll.poll(max(0.0, until - now) * 1000 + (1 if until > now else 0)):
            self._receive()
            now = time.monotonic()
        else:
            now = time.monotonic()
            self._pump(now)
        if now >= self._next_check:
            self._check(now)

    def _look_again_at(self, when: float) -> None:
        self._next_check = min(self._next_check, when)

    def _check(self, now: float) -> None:
        """Deal with those whose time has come."""
        self._inbox.expire(now)
        for call in [call for call in self._calls.values() if now >= call.deadline]:
            call.failure = too_late(call, self._servers, now)
            self._end(call)
        due = [call for call in self._calls.values() if now >= call.next_send]
        quiet = [call for call in due if call.expects]
        for call in quiet:
            call.silences += 1
        if any(call.asked == self._servers.current for call in quiet):
            self._servers.fell_silent(self._servers.current, now)
            self._servers.turn()
        for call in due:
            former = call.asked
            if call.expects and former != self._servers.current and _is_small(call):
                # Most often just a datagram was lost, and who was asked still is the right one.
                self._put(self._header(call).pack() + call.payload, former)
            self._send(call, now)
        self._next_check = min(
            (min(call.next_send, call.deadline) for call in self._calls.values()), default=now + 60.0
        )

    def _receive(self) -> None:
        for _ in range(256):
            try:
                datagram, address = self._socket.recvfrom(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue
            try:
                self._take(datagram, address)
            except (WireError, RequestFault, values.ValueFault):
                self.drops += 1

    def _take(self, datagram: bytes, address: Address) -> None:
        header = Header.unpack(datagram)
        payload = datagram[HEADER_BYTES:]
        if header.group != self._group or header.source == NOBODY:
            self.drops += 1
        elif header.type == MessageType.CLIENT_REPLY and header.flags & MORE and not header.is_fragment:
            for sequence, part in unpack_batch(payload):
                call = self._calls.get((header.log_term, sequence))
                if call is None:
                    self.drops += 1
                else:
                    self._on_reply(call, header.source, Reply.unpack(part), address)
        else:
            self._take_one(header, payload, datagram, address)

    def _take_one(self, header: Header, payload: bytes, datagram: bytes, address: Address) -> None:
        call = self._calls.get((header.log_term, header.index))
        if call is None:
            self.drops += 1
        elif header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            now = time.monotonic()
            status = FragmentStatus.unpack(payload)
            if status.message_id == call.message_id:
                call.heard_of(now)
                self._outbox.on_status(status, address, now)
                self._pump(now)
        elif header.type == MessageType.CLIENT_REPLY:
            if header.is_fragment:
                payload = self._gather(call, header, datagram, address)
            if payload:
                self._on_reply(call, header.source, Reply.unpack(payload), address)
        else:
            self.drops += 1

    def _gather(self, call: Call, header: Header, datagram: bytes, address: Address) -> bytes:
        """Part of a large answer: what it completes, or nothing yet."""
        now = time.monotonic()
        call.heard_of(now)
        fragment = unpack_fragment(datagram[HEADER_BYTES:])
        received = self._inbox.receive(address, datagram[:HEADER_BYTES], fragment, now)
        if received.status is not None:
            kind = MessageType.CLIENT_FRAGMENT_STATUS
            answer = Header(kind, NOBODY, header.source, self._group, index=header.index, log_term=header.log_term)
            self._put(answer.pack() + received.status.pack(), address)
        return received.payload or b""

    # -- answers ------------------------------------------------------------------------------------------------

    def _on_reply(self, call: Call, source: int, reply: Reply, address: Address) -> None:
        if reply.nonce != call.request.nonce:
            self.drops += 1
            return
        now = time.monotonic()
        outcome = reply.outcome
        if outcome is Outcome.NOT_LEADER:
            self._on_not_leader(call, _address(reply.text), address, now)
        elif outcome is Outcome.LOST_LEADERSHIP:
            call.in_doubt = True
            self._postpone(call, address, "leads no more", now)
        elif outcome is Outcome.BUSY:
            self._postpone(call, address, f"is busy: {reply.text}", now)
        else:
            self._servers.spoke(address)
            self._servers.spoke(call.asked)
            call.reply, call.served_by, call.address, call.answered = reply, source, address, now
            self._end(call)

    def _on_not_leader(self, call: Call, leader: Address | None, address: Address, now: float) -> None:
        if leader is None:
            if call.asked == self._servers.current:
                self._servers.turn()
            self._postpone(call, address, "knows no leader", now)
        elif not self._servers.follow(leader, now):
            if call.asked == self._servers.current:
                self._servers.turn()
            self._postpone(call, address, f"follows {leader[0]}:{leader[1]}, which does not answer", now)
        elif leader != call.asked and call.refusals < MAX_REDIRECTS:
            self._servers.spoke(address, f"follows {leader[0]}:{leader[1]}")
            call.refusals += 1
            self._send(call, now)
        else:
            self._postpone(call, address, f"follows {leader[0]}:{leader[1]}", now)

    def _postpone(self, call: Call, address: Address, said: str, now: float) -> None:
        self._servers.spoke(address, said)
        if call.message_id is not None:
            self._outbox.remove(call.message_id)
            call.message_id = None
        call.refused(now, self._random.uniform(0.5, 1.0))
        self._look_again_at(call.next_send)

    def _end(self, call: Call) -> None:
        self._calls.pop((call.session, call.sequence), None)
        if call.message_id is not None:
            self._outbox.remove(call.message_id)
        if self._finished is not None:
            self._finished.append(call)
        if call.session == self._session and call.sequence == self._lowest:
            while self._lowest < self._next_sequence and (self._session, self._lowest) not in self._calls:
                self._lowest += 1


def _draw_nonce() -> int:
    return int.from_bytes(os.urandom(8), "big") or 1


def _is_small(call: Call) -> bool:
    """Whether it goes in one datagram."""
    return HEADER_BYTES + len(call.payload) <= MAX_DATAGRAM


def _is_safe_to_repeat(call: Call) -> bool:
    """Whether a request of a forgotten session may go again under a new one: it cannot have been carried out, or
    does not matter if it was."""
    return call.tries == 1 or call.request.operation not in WRITES


def _address(text: str) -> Address | None:
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon and host and port.isascii() and port.isdigit() else None
