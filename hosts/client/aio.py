"""An asyncio client, around the same protocol as the blocking one.

    async with await connect([("10.0.1.1", 26410)]) as client:
        results = await asyncio.gather(*(client.append(n) for n in range(100)))

Any number of tasks may ask at the same time; what they begin in the same turn of the loop goes together. A task that
is cancelled stops waiting: its request may be carried out all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable
from types import TracebackType

from hosts.client import calls
from hosts.client.calls import Call, ClientError, Result
from hosts.client.outgoing import open_socket, send_outgoing
from hosts.client.protocol import DEFAULT_TIMEOUT_S, ClientProtocol
from hosts.config import Address
from hosts.net.udp import UdpSocket
from hosts.service import values
from hosts.service.requests import Operation, Request
from hosts.service.values import Value

__all__ = ["AsyncClient", "connect"]


async def connect(
    servers: Iterable[Address],
    group: int = 1,
    *,
    bind: str | Address | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    steer: bool = True,
    spread: bool = True,
) -> AsyncClient:
    """A client of one group, on the running loop. Arguments as for ``hosts.client.Client``. Nothing is sent yet.
    Raises ClientError if ``bind`` is no address of this machine, or one of ``servers`` no address at all."""
    protocol = ClientProtocol(servers, group, random.SystemRandom(), timeout_s=timeout_s, steer=steer, spread=spread)
    return AsyncClient(protocol, open_socket(protocol, bind))


class AsyncClient:
    """Made by ``connect``; for the tasks of that loop only."""

    def __init__(self, protocol: ClientProtocol, opened: UdpSocket) -> None:
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._socket: UdpSocket | None = opened
        self._waiting: dict[Call, asyncio.Future[Call]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._settles = False
        self._loop.add_reader(opened.fileno(), self._on_readable)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket. Whoever still waits gets a ClientError."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ClientError("the client was closed"))

    # -- operations: each waits for its result; ClientError and its kinds, or values.ValueFault for a wrong value ---

    async def append(self, value: Value) -> Result:
        """Append to the group's list. The result's value is the value's position in the list."""
        return await self.ask(Operation.APPEND, value=values.encode(value))

    async def put(self, key: Value, value: Value) -> Result:
        """Store a value under a key. The result's value is whether the key was there before."""
        return await self.ask(Operation.PUT, key=values.encode(key), value=values.encode(value))

    async def get(self, key: Value, stale_ms: int | None = None) -> Result:
        """Read the value under a key. The result's value is [there, value]; value is None where nothing is. With
        ``stale_ms`` it may be as it was up to so many milliseconds before."""
        if stale_ms is not None:
            return await self.ask(Operation.GET_STALE, key=values.encode(key), age_ms=stale_ms)
        return await self.ask(Operation.GET, key=values.encode(key))

    async def delete(self, key: Value) -> Result:
        """Remove a key. The result's value is whether it was there."""
        return await self.ask(Operation.DELETE, key=values.encode(key))

    async def read_part(self, start: int, limit: int) -> Result:
        """Read up to ``limit`` values of the list from a position on. The result's value is [length of the list,
        values]; of large values there may be fewer."""
        return await self.ask(Operation.READ_LIST, start=start, limit=limit)

    async def ask(self, operation: Operation, *, key: bytes = b"", value: bytes = b"", **rest: int) -> Result:
        """Ask for an operation on encoded values. Raises ClientError."""
        if self._socket is None:
            raise ClientError("the client is closed")
        request = Request(self._protocol.nonce, operation, key=key, value=value, **rest)
        call = self._protocol.submit(request, self._loop.time())
        future = self._waiting[call] = self._loop.create_future()
        self._settle_soon()
        try:
            return calls.result(await future)
        finally:
            self._waiting.pop(call, None)

    # -- what the loop calls ------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        """Take some of what has come; if there is more the loop calls again."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            now = self._loop.time()
            for datagram, address in self._socket.receive():
                self._protocol.receive(bytes(datagram), address, now)
        self._settle()

    def _settle_soon(self) -> None:
        """At the end of this turn of the loop, so that what begins in it goes together."""
        if not self._settles:
            self._settles = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """Send what the protocol has to say, hand out what is done, and look again when it wants to."""
        self._settles = False
        if self._socket is None:
            return
        send_outgoing(self._protocol, self._socket)
        for call in self._protocol.take_finished():
            future = self._waiting.get(call)
            if future is not None and not future.done():
                future.set_result(call)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._protocol.timer, self._on_timer)

    def _on_timer(self) -> None:
        self._protocol.handle_timer(self._loop.time())
        self._settle()
