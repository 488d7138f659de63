"""A connection that one task ends while another one waits for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
from finsy import P4ClientError, P4Schema
from finsy.proto import p4i, p4r, p4r_grpc

from controller.client import P4RuntimeClient, StreamClosed
from controller.readers import CounterReader, _Connection
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
    "arbitrate": lambda client: client.arbitrate(1),
}


@pytest.mark.parametrize("what", ASK)
async def test_no_question_cancels_who_asks(what: str, silent: str) -> None:
    async with P4RuntimeClient(silent, 1) as client:
        asking = asyncio.ensure_future(ASK[what](client))
        await asyncio.sleep(0.1)
        assert not asking.done()
    with pytest.raises((P4ClientError, StreamClosed)):
        await asyncio.wait_for(asking, 60)


@pytest.mark.parametrize("what", ASK)
async def test_what_is_asked_after_the_end_is_told_so(what: str, silent: str) -> None:
    async with P4RuntimeClient(silent, 1) as client:
        pass
    with pytest.raises((P4ClientError, StreamClosed)):
        await asyncio.wait_for(ASK[what](client), 60)


class _Slow(p4r_grpc.P4RuntimeServicer):  # type: ignore[misc]
    """A switch that takes a moment to answer, and has nothing but a program."""

    async def GetForwardingPipelineConfig(self, *_: object) -> p4r.GetForwardingPipelineConfigResponse:
        await asyncio.sleep(0.02)
        info = p4i.P4Info(pkg_info=p4i.PkgInfo(name="nothing"))
        return p4r.GetForwardingPipelineConfigResponse(config=p4r.ForwardingPipelineConfig(p4info=info))

    async def Read(self, *_: object) -> AsyncIterator[p4r.ReadResponse]:
        await asyncio.sleep(0.02)
        yield p4r.ReadResponse()


@pytest.fixture
async def slow() -> AsyncIterator[str]:
    server = grpc.aio.server()
    p4r_grpc.add_P4RuntimeServicer_to_server(_Slow(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def _is_told(reading: asyncio.Future[object]) -> bool:
    """Whether an error says that the connection was ended; else there is an answer."""
    try:
        await asyncio.wait_for(reading, 60)
    except ReadError as error:
        assert "the connection was ended" in str(error)
        return True
    return False


async def test_who_leaves_before_the_switchs_program_is_known_leaves_nothing_half_done(slow: str) -> None:
    connection = _Connection(slow, 1, None)
    reading = asyncio.ensure_future(connection.ask(P4RuntimeClient.read))
    while connection._client is None:
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    async def name(client: P4RuntimeClient) -> str:
        return client.schema.name

    assert await connection.ask(name) == "nothing"
    await connection.close()


@pytest.mark.parametrize("schema", [P4Schema(), None], ids=["program known", "program asked for first"])
async def test_whenever_another_task_hangs_up_who_reads_has_an_answer_or_is_told(
    schema: P4Schema | None, slow: str
) -> None:
    told = set()
    for turns in range(12):
        connection = _Connection(slow, 1, schema)
        begun = asyncio.Event()

        async def read(client: P4RuntimeClient, begun: asyncio.Event = begun) -> object:
            begun.set()
            return await client.read()

        reading = asyncio.ensure_future(connection.ask(read))
        await begun.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        await connection.close()
        told.add(await _is_told(reading))
        await connection.close()
    assert True in told


async def test_hanging_up_just_as_the_switchs_program_is_known_is_told(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = _Connection(slow, 1, None)

    async def fetched(_: P4RuntimeClient) -> None:
        await connection.close()

    monkeypatch.setattr(P4RuntimeClient, "fetch_schema", fetched)
    assert await _is_told(asyncio.ensure_future(connection.ask(P4RuntimeClient.read)))


async def test_who_reads_may_be_cancelled(silent: str) -> None:
    reader = CounterReader(silent, 1, [1], [0])
    asking = asyncio.ensure_future(reader.read(60))
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await reader.close()
