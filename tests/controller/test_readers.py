"""A connection that one task ends while another one waits for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from finsy import P4ClientError

from controller.client import P4RuntimeClient, StreamClosed
from controller.readers import CounterReader
from controller.reads import ReadError


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """The address of one who takes connections, and says nothing."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    server.close()


async def test_who_reads_is_told_when_another_task_hangs_up(silent: str) -> None:
    """A page's server and the controller count a switch in one task, and hang up in another one, as it is stopped."""
    reader = CounterReader(silent, 1, [1], [0])
    asking = asyncio.ensure_future(reader.read(60))
    await asyncio.sleep(0.1)
    assert not asking.done()
    await reader.close()
    with pytest.raises(ReadError, match="the connection was ended"):
        await asking


ASK: dict[str, Callable[[P4RuntimeClient], Awaitable[object]]] = {
    "cookie": P4RuntimeClient.cookie,
    "read": P4RuntimeClient.read,
    "write": lambda client: client.write([]),
}


@pytest.mark.parametrize("what", ASK)
async def test_no_question_cancels_who_asks(what: str, silent: str) -> None:
    async with P4RuntimeClient(silent, 1) as client:
        asking = asyncio.ensure_future(ASK[what](client))
        await asyncio.sleep(0.1)
        assert not asking.done()
    with pytest.raises((P4ClientError, StreamClosed)):
        await asking


async def test_who_reads_may_be_cancelled(silent: str) -> None:
    reader = CounterReader(silent, 1, [1], [0])
    asking = asyncio.ensure_future(reader.read(60))
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await reader.close()
