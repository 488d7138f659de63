"""Live traces: a running switch tells of its packets, and loses none when the traced build comes and goes."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from p4switch.p4runtime.watching import METHOD, WatchError, follow
from tests.p4switch.client import connect
from tests.p4switch.conftest import Program
from tests.p4switch.p4runtime.test_stream import frame
from tests.p4switch.test_process import Process
from tests.p4switch.test_process_ports import WAIT_S, Wire, wires

__all__ = ["wires"]
PROBES = 0x88B6


def request(*alternatives: list[list[int]]) -> bytes:
    return json.dumps({"filter": alternatives}).encode()


async def text(call: grpc.aio.UnaryStreamCall[bytes, bytes]) -> str:
    """The next packet's text; empty texts say that a watch has begun."""
    answer = await asyncio.wait_for(call.read(), WAIT_S)
    assert isinstance(answer, bytes), answer
    return answer.decode()


async def begun(channel: grpc.aio.Channel) -> bool:
    """Watch once more; the watch before may take a moment to end."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while asyncio.get_running_loop().time() < deadline:
        try:
            return await text(channel.unary_stream(METHOD)(request())) == ""
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            await asyncio.sleep(0.1)
    return False


@pytest.mark.root
async def test_a_watched_switch_tells_of_its_packets(wires: list[Wire], program: Program) -> None:
    words = ["--no-p4", "--device-id", "1", "-i", f"1@{wires[0].switch}", "-i", f"2@{wires[1].switch}"]
    running = Process(*words, "--", "--grpc-server-addr", "127.0.0.1:0", "--cpu-port", "510")
    names = program.names
    hit = frame(narrow=7, nibble=3)
    try:
        async with connect(running.address, names) as client, grpc.aio.insecure_channel(running.address) as channel:
            await client.become_primary()
            await client.push(program.config)
            await client.insert(names.entry("exact_t", {1: 7, 2: 3}, names.action("forward", 2)))
            call = channel.unary_stream(METHOD)(request([[12, 0xFFFF, PROBES]]))
            assert await text(call) == ""
            wires[0].send(hit)
            assert await wires[1].receive() == hit
            told = await text(call)
            assert told.startswith("port 1: ") and "ingress.exact_t" in told and "port 2: " in told

            second = channel.unary_stream(METHOD)(request())
            with pytest.raises(grpc.aio.AioRpcError, match="somebody watches"):
                await second.read()

            # A new program while somebody watches: the watch goes on with it.
            await client.push(program.config)
            assert await text(call) == ""
            wires[0].send(hit)
            assert "miss" in await text(call)

            # Nobody watches any more: the program goes on with its state, and another may watch.
            call.cancel()
            await client.insert(names.entry("exact_t", {1: 7, 2: 3}, names.action("forward", 2)))
            wires[0].send(hit)
            assert await wires[1].receive() == hit
            assert await begun(channel)
    finally:
        assert running.end() == (0, "")


def test_a_switch_without_a_program_cannot_be_watched() -> None:
    running = Process("--no-p4", "--device-id", "1", "--", "--grpc-server-addr", "127.0.0.1:0")
    try:
        with pytest.raises(WatchError, match="no program was pushed"):
            list(follow(running.address))
    finally:
        assert running.end() == (0, "")
