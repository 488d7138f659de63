"""finsy as the client: what a controller built on it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import finsy
import pytest

from tests.p4switch.conftest import CPU_PORT, Switch
from tests.p4switch.p4runtime.test_stream import SRC, frame, until_sent


@asynccontextmanager
async def controlled(switch: Switch, election_id: int = 10) -> AsyncIterator[finsy.Switch]:
    options = finsy.SwitchOptions(
        p4info=switch.program.p4info,
        p4blob=switch.program.json,
        device_id=1,
        initial_election_id=election_id,
    )
    async with finsy.Switch("s1", switch.address, options) as connected:
        yield connected


@pytest.fixture
async def connected(switch: Switch) -> AsyncIterator[finsy.Switch]:
    async with controlled(switch) as one:
        yield one


async def read(connected: finsy.Switch, *entities: finsy.P4Entity) -> list[finsy.P4Entity]:
    return [entity async for entity in connected.read(entities)]


async def test_it_becomes_primary_and_pushes_the_pipeline_once(switch: Switch) -> None:
    async with controlled(switch) as first:
        assert first.is_primary
        pushed = switch.plane.pipeline
        assert pushed is not None
    async with controlled(switch) as second:
        assert second.is_primary and switch.plane.pipeline is pushed
        assert str(first.p4info) == str(second.p4info)


async def test_entries_of_every_kind(connected: finsy.Switch) -> None:
    entries = [
        finsy.P4TableEntry("exact_t", match=finsy.Match(narrow=5, nibble=1), action=finsy.Action("forward", port=3)),
        finsy.P4TableEntry("lpm_t", match=finsy.Match(address="10.0.0.0/8"), action=finsy.Action("forward", port=3)),
        finsy.P4TableEntry(
            "mixed_t",
            match=finsy.Match(address="10.0.0.0/255.0.0.0", number="80...90", nibble=4, port=1),
            action=finsy.Action("forward", port=3),
            priority=5,
        ),
    ]
    await connected.write(+entry for entry in entries)
    for entry in entries:
        [found] = await read(connected, finsy.P4TableEntry(entry.table_id))
        assert isinstance(found, finsy.P4TableEntry)
        assert (found.action, found.priority) == (entry.action, entry.priority)
    await connected.delete_all()
    assert await read(connected, finsy.P4TableEntry("exact_t"), finsy.P4TableEntry("lpm_t")) == []


async def test_errors_name_the_update(connected: finsy.Switch) -> None:
    entry = finsy.P4TableEntry(
        "exact_t", match=finsy.Match(narrow=5, nibble=1), action=finsy.Action("forward", port=3)
    )
    await connected.insert([entry])
    with pytest.raises(finsy.P4ClientError) as error:
        await connected.insert([entry])
    assert [detail.canonical_code for detail in error.value.details.values()] == [finsy.GRPCStatusCode.ALREADY_EXISTS]
    await connected.delete([entry])
    await connected.delete([entry], strict=False)


async def test_packets_both_ways(connected: finsy.Switch, switch: Switch) -> None:
    async def first() -> finsy.P4PacketIn:
        async for packet in connected.read_packets():
            return packet
        raise EOFError

    incoming = asyncio.create_task(first())
    await asyncio.sleep(0)
    await connected.write([finsy.P4PacketOut(frame(number=7), egress_port=5, kind=0, arg=0)])
    assert await until_sent(switch, 1) == [(5, frame(number=7))]
    await connected.write([finsy.P4PacketOut(frame(), egress_port=CPU_PORT, kind=0, arg=0)])
    packet = await asyncio.wait_for(incoming, 30)
    assert packet["ingress_port"] == CPU_PORT and packet.payload == frame()


async def test_digests(connected: finsy.Switch) -> None:
    async def first() -> finsy.P4DigestList:
        async for digest in connected.read_digests("sample_t"):
            return digest
        raise EOFError

    await connected.write([+finsy.P4DigestEntry("sample_t", max_list_size=1)])
    learned = asyncio.create_task(first())
    await asyncio.sleep(0)
    await connected.write([finsy.P4PacketOut(frame(), egress_port=5, kind=3, arg=0x123)])
    digest = await asyncio.wait_for(learned, 30)
    assert digest.data == [{"narrow": 0x123, "wide": int.from_bytes(SRC, "big"), "port": 5}]


async def test_counters_registers_groups_and_sessions(connected: finsy.Switch) -> None:
    await connected.write(
        [
            finsy.P4MulticastGroupEntry(1, replicas=[1, 2]).__pos__(),
            +finsy.P4CloneSessionEntry(2, replicas=[3]),
            ~finsy.P4CounterEntry("kinds", index=1, data=finsy.P4CounterData(byte_count=0, packet_count=7)),
            ~finsy.P4RegisterEntry("cells", index=3, data=99),
        ]
    )
    [counter] = await read(connected, finsy.P4CounterEntry("kinds", index=1))
    assert isinstance(counter, finsy.P4CounterEntry) and counter.packet_count == 7
    [register] = await read(connected, finsy.P4RegisterEntry("cells", index=3))
    assert isinstance(register, finsy.P4RegisterEntry) and register.data == 99
    [group] = await read(connected, finsy.P4MulticastGroupEntry())
    assert isinstance(group, finsy.P4MulticastGroupEntry) and len(group.replicas) == 2
    [session] = await read(connected, finsy.P4CloneSessionEntry())
    assert isinstance(session, finsy.P4CloneSessionEntry) and session.session_id == 2


async def test_a_standby_takes_over_when_the_primary_goes(switch: Switch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    async with controlled(switch, 9) as standby:
        async with controlled(switch, 10) as active:
            assert (active.is_primary, standby.is_primary) == (True, False)
            became = standby.ee.event_future(finsy.SwitchEvent.BECOME_PRIMARY)
        await asyncio.wait_for(became, 30)
        assert standby.is_primary
        await standby.write([+finsy.P4MulticastGroupEntry(1, replicas=[1])])
