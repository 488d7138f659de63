"""The sessions of one client process: so many requests may be outstanding as all of them have room for.

Each is the client library's protocol with a socket. What begins in the same turn goes to the same session, as long as
it has room, so that requests share datagrams.
"""

from __future__ import annotations

import contextlib
import random
import select
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

from bench.open.schedule import BATCH
from hosts.client.calls import Call
from hosts.client.outgoing import open_socket, send_outgoing
from hosts.client.protocol import ClientProtocol
from hosts.config import Address
from hosts.service.requests import Operation, Outcome, Request
from hosts.service.sessions import MAX_OUTSTANDING


class Done(NamedTuple):
    """A request that is done, and when its answer came; None if it has no result."""

    number: int
    answered: float | None


class Session:
    """One session of a client. Raises ClientError if ``bind`` is no address of this machine."""

    def __init__(self, servers: Sequence[Address], bind: str | None, timeout_s: float) -> None:
        self.protocol = ClientProtocol(servers, 1, random.SystemRandom(), timeout_s=timeout_s)
        self._socket = open_socket(self.protocol, bind)
        self._calls: deque[Call] = deque()
        """From the first unanswered one on, so that there is room for as many more as the session takes."""
        self._numbers: dict[Call, int] = {}
        self._made: dict[tuple[Operation, bytes], Request] = {}

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    @property
    def waits(self) -> bool:
        """Whether anything is outstanding."""
        return bool(self._numbers)

    def room(self) -> int:
        """How many more requests the session takes at once."""
        calls = self._calls
        while calls and calls[0].done:
            calls.popleft()
        return MAX_OUTSTANDING - len(calls)

    def submit(self, number: int, operation: Operation, key: bytes, value: bytes, now: float) -> None:
        """Begin a request on encoded key and value. It leaves with ``flush``."""
        request = self._made.get((operation, key))
        if request is None or request.nonce != self.protocol.nonce:
            request = Request(self.protocol.nonce, operation, key=key, value=value)
            self._made[operation, key] = request
        call = self.protocol.submit(request, now)
        self._calls.append(call)
        self._numbers[call] = number

    def receive(self, now: float) -> None:
        """Take some of what has come."""
        with contextlib.suppress(OSError):
            for datagram, address in self._socket.receive():
                self.protocol.receive(bytes(datagram), address, now)

    def flush(self) -> list[Done]:
        """Send what there is to send, and tell what is done."""
        send_outgoing(self.protocol, self._socket)
        return [Done(self._numbers.pop(call), _answered(call)) for call in self.protocol.take_finished()]


def _answered(call: Call) -> float | None:
    good = call.reply is not None and call.reply.outcome is Outcome.OK
    return call.answered if good else None


class Sessions:
    """All sessions of a client process, one of which is used at a time, and others once it is full."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = list(sessions)
        self._current = self._sessions[0]

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def room(self) -> int:
        """For how many more requests there is room; BATCH or more where more would not be begun at once."""
        found = self._current.room()
        return found if found >= BATCH else sum(session.room() for session in self._sessions)

    def submit(self, number: int, operation: Operation, key: bytes, value: bytes, now: float) -> None:
        """Begin a request, where there is room for it."""
        if not self._current.room():
            self._current = max(self._sessions, key=Session.room)
        self._current.submit(number, operation, key, value, now)

    def each(self) -> list[Session]:
        return list(self._sessions)

    def turn(self, until: float, clock: Callable[[], float]) -> list[Done]:
        """Send what was begun, wait for answers until then at most, take some, and tell what is done."""
        done = [session.flush() for session in self._sessions if session.waits]
        waiting = [session for session in self._sessions if session.waits]
        timers = {session: session.protocol.timer for session in waiting}
        wait = min([until, *timers.values()]) - clock()
        # poll and epoll count in milliseconds, which is too coarse here.
        readable, _, _ = select.select(waiting, [], [], max(0.0, wait))
        now = clock()
        for session in readable:
            session.receive(now)
        for session in waiting:
            if now >= timers[session]:
                session.protocol.handle_timer(now)
        return [*chain.from_iterable(done), *chain.from_iterable(session.flush() for session in waiting)]

    def counters(self) -> Counter[str]:
        """What the library has counted, of all sessions: retries, and more (``ClientProtocol.counters``)."""
        return sum((session.protocol.counters for session in self._sessions), Counter())
