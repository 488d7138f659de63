"""The asyncio client, against a cluster of real nodes and against silence."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from hosts.client.aio import connect
from hosts.client.calls import ClientError, Timeout
from hosts.service.values import ValueFault


async def test_many_tasks_share_a_client(cluster: Any) -> None:
    async with await connect(cluster.addresses, timeout_s=60) as client:
        results = await asyncio.gather(*(client.append(number) for number in range(200)))
        assert sorted(result.value for result in results) == list(range(200))
        assert (await client.put("k", [1, "two"])).value is False
        assert (await client.get("k")).value == [True, [1, "two"]]
        assert (await client.delete("k")).value is True
        assert (await client.get("k")).value == [False, None]
        length, part = (await client.read_part(0, 500)).value
        assert length == 200 and sorted(part) == list(range(200))


async def test_a_large_value_goes_and_comes(cluster: Any) -> None:
    async with await connect(cluster.addresses, timeout_s=60) as client:
        await client.put("large", b"x" * 300_000)
        assert (await client.get("large")).value == [True, b"x" * 300_000]


async def test_the_leader_dies_and_all_tasks_are_answered(cluster: Any) -> None:
    async with await connect(cluster.addresses, timeout_s=60) as client:
        await client.append(0)
        cluster.kill(cluster.leader())
        results = await asyncio.gather(*(client.append(number) for number in range(1, 20)))
        assert sorted(result.value for result in results) == list(range(1, 20))


async def test_silence_is_a_timeout_and_a_cancelled_task_stops_waiting() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with await connect([silent.getsockname()], timeout_s=0.2) as client:
            with pytest.raises(Timeout):
                await client.append(1)
        async with await connect([silent.getsockname()], timeout_s=60) as client:
            task = asyncio.ensure_future(client.append(1))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_whoever_waits_is_told_when_the_client_is_closed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        client = await connect([silent.getsockname()], timeout_s=60)
        task = asyncio.ensure_future(client.append(1))
        await asyncio.sleep(0)
        client.close()
        with pytest.raises(ClientError, match="closed"):
            await task
        with pytest.raises(ClientError, match="closed"):
            await client.append(2)


async def test_what_cannot_be_is_said_at_once() -> None:
    with pytest.raises(ClientError, match=r"192\.0\.2\.1"):
        await connect([("127.0.0.1", 9)], bind="192.0.2.1")
    async with await connect([("127.0.0.1", 9)]) as client:
        with pytest.raises(ValueFault):
            await client.append(object())  # type: ignore[arg-type]
