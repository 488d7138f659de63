"""The client library: a synchronous client, which can also keep many requests outstanding.

    with Client([("10.0.1.1", 26410)]) as client:
        print(client.append("hello").index)

One address is enough, a node's or the service address: switches steer requests to the leader, and without switches a
node that does not lead says who does. The client's own socket is not connected, so that the answer may come from
another address than the one asked. Requests that get no answer are repeated under the same session and sequence,
and so are carried out at most once; of those outstanding at the same time, any may be carried out first.

What is said to whom, and when, ``hosts.client.protocol`` decides; here are its socket and its clock.
"""

from __future__ import annotations

import random
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

from hosts.client import calls
from hosts.client.calls import Call, ClientError, NoLeader, Overloaded, Refused, Result, SessionExpired, Timeout
from hosts.client.outgoing import open_socket, send_outgoing
from hosts.client.protocol import DEFAULT_TIMEOUT_S, ClientProtocol
from hosts.config import Address
from hosts.service import values
from hosts.service.requests import Operation, Request
from hosts.service.values import Value

__all__ = ["Client", "ClientError", "NoLeader", "Overloaded", "Refused", "Result", "SessionExpired", "Timeout"]

TURNS = 4
"""How often the socket is emptied in part before anything else has its turn."""

READ_AT_ONCE = 10_000


class Client:
    """A client of one group. Not for use from several threads.

    ``servers`` are asked in turn until one leads. ``bind`` is the client's own address, or address and port.
    ``steer`` False asks switches to leave requests at the addressed node. ``spread``: where switches spread reads,
    any member may answer those of this client; False: its leader does.
    """

    def __init__(
        self,
        servers: Iterable[Address],
        group: int = 1,
        *,
        bind: str | Address | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        steer: bool = True,
        spread: bool = True,
    ) -> None:
        """Raises ClientError if ``bind`` is no address of this machine, or one of ``servers`` no address at all."""
        self._protocol = ClientProtocol(
            servers, group, random.SystemRandom(), timeout_s=timeout_s, steer=steer, spread=spread
        )
        self._wanted: dict[Call, deque[Call]] = {}
        """Where calls go once they are done, if anybody waits for whichever is next."""
        self._socket = open_socket(self._protocol, bind)
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

    @property
    def address(self) -> Address:
        """The own address and port, as members see them."""
        return self._socket.getsockname()

    @property
    def drops(self) -> int:
        """Datagrams that were no answer to anything that this client waits for."""
        return self._protocol.counters["drops"]

    # -- operations: each waits for its result; ClientError and its kinds, or values.ValueFault for a wrong value ---

    def append(self, value: Value) -> Result:
        """Append to the group's list. The result's value is the value's position in the list."""
        return self.wait(self.submit_append(value))

    def put(self, key: Value, value: Value) -> Result:
        """Store a value under a key. The result's value is whether the key was there before."""
        return self._do(self._put_request(key, value))

    def get(self, key: Value, stale_ms: int | None = None) -> Result:
        """Read the value under a key. The result's value is [there, value]; value is None where nothing is. With
        ``stale_ms`` it may be as it was up to so many milliseconds before: whoever is asked answers at once if what
        it has is that recent."""
        encoded = values.encode(key)
        if stale_ms is not None:
            return self._do(Request(self._protocol.nonce, Operation.GET_STALE, key=encoded, age_ms=stale_ms))
        return self._do(Request(self._protocol.nonce, Operation.GET, key=encoded))

    def delete(self, key: Value) -> Result:
        """Remove a key. The result's value is whether it was there."""
        return self._do(Request(self._protocol.nonce, Operation.DELETE, key=values.encode(key)))

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
        return self._do(Request(self._protocol.nonce, Operation.READ_LIST, start=start, limit=limit))

    def turn_to(self, server: Address) -> None:
        """Ask ``server`` next, whoever has answered so far."""
        self._protocol.servers.current = server

    def _do(self, request: Request) -> Result:
        return self.wait(self.submit(request))

    # -- many at once -------------------------------------------------------------------------------------------

    def append_many(self, items: Iterable[Value], outstanding: int) -> Iterator[Result]:
        """Append values, up to ``outstanding`` of them on their way at a time; yields results as they come. Raises
        ClientError at the first that fails."""
        return self._many((self._append(value) for value in items), outstanding)

    def put_many(self, pairs: Iterable[tuple[Value, Value]], outstanding: int) -> Iterator[Result]:
        """Store values under keys, many at a time, as ``append_many`` appends them."""
        return self._many((self._put_request(key, value) for key, value in pairs), outstanding)

    @property
    def nonce(self) -> int:
        """What requests for ``ask_many`` should carry."""
        return self._protocol.nonce

    def ask_many(self, requests: Iterable[Request], outstanding: int) -> Iterator[Result]:
        """Ask for any operations, many at a time, as ``append_many`` appends values."""
        return self._many(iter(requests), outstanding)

    def _many(self, requests: Iterator[Request], outstanding: int) -> Iterator[Result]:
        finished: deque[Call] = deque()
        running = 0
        exhausted = False
        while running or not exhausted:
            while running < outstanding and not exhausted:
                request = next(requests, None)
                if request is None:
                    exhausted = True
                    break
                self._wanted[self._protocol.submit(request, time.monotonic())] = finished
                running += 1
            self._flush()
            while running and not finished:
                self._turn()
            while finished:
                running -= 1
                yield calls.result(finished.popleft())

    def _append(self, value: Value) -> Request:
        return Request(self._protocol.nonce, Operation.APPEND, value=values.encode(value))

    def _put_request(self, key: Value, value: Value) -> Request:
        return Request(self._protocol.nonce, Operation.PUT, key=values.encode(key), value=values.encode(value))

    def submit_append(self, value: Value, timeout_s: float | None = None) -> Call:
        """Begin an append; ``wait`` or ``collect`` ends it."""
        return self.submit(self._append(value), timeout_s)

    def submit_put(self, key: Value, value: Value, timeout_s: float | None = None) -> Call:
        """Begin a put, likewise."""
        return self.submit(self._put_request(key, value), timeout_s)

    def submit(self, request: Request, timeout_s: float | None = None) -> Call:
        """Begin a request; ``wait`` or ``collect`` ends it. Raises ClientError if it is too large, or too many are
        outstanding."""
        call = self._protocol.submit(request, time.monotonic(), timeout_s)
        self._flush()
        return call

    def work(self, seconds: float) -> None:
        """Take answers, and repeat what gets none, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._turn(end)

    def wait(self, call: Call) -> Result:
        """Wait for one call's result. Raises ClientError."""
        while not call.done:
            self._turn()
        return calls.result(call)

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
        return calls.result(call)

    # -- the loop -----------------------------------------------------------------------------------------------

    def _turn(self, end: float | None = None) -> None:
        """Wait for something to happen, until ``end`` at most, and deal with it."""
        until = self._protocol.timer
        if end is not None:
            until = min(until, end)
        wait = until - time.monotonic()
        # poll counts in whole milliseconds, and rounding down would make it spin.
        if self._poll.poll(wait * 1000 + 1 if wait > 0 else 0):
            self._receive()
        now = time.monotonic()
        if now >= self._protocol.timer:
            self._protocol.handle_timer(now)
            self._flush()

    def _receive(self) -> None:
        for _ in range(TURNS):
            try:
                batch = self._socket.receive()
            except OSError:
                continue
            if not batch:
                return
            now = time.monotonic()
            for datagram, address in batch:
                self._protocol.receive(bytes(datagram), address, now)
            self._flush()

    def _flush(self) -> None:
        """Send what the protocol has to say, and hand out what is done."""
        send_outgoing(self._protocol, self._socket)
        for call in self._protocol.take_finished():
            wanted = self._wanted.pop(call, None)
            if wanted is not None:
                wanted.append(call)
