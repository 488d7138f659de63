"""Packets, digests and idle timeouts on the stream, with packets through the compiled pipeline."""

from __future__ import annotations

import asyncio

import pytest
from finsy.proto import p4r

from tests.p4switch.client import Client, Refused, connect, to_bytes
from tests.p4switch.conftest import CPU_PORT, Switch
from tests.p4switch.p4runtime.test_cells import group, session

DST, SRC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")


def frame(narrow: int = 0, nibble: int = 0, address: int = 0, number: int = 0, wide: int = 0) -> bytes:
    """A frame that entities.p4 looks up in all of its tables."""
    key = (narrow << 4 | nibble).to_bytes(2, "big") + address.to_bytes(4, "big") + number.to_bytes(2, "big")
    return DST + SRC + b"\x88\xb6" + key + wide.to_bytes(16, "big")


def packet_out(egress_port: int, kind: int = 0, arg: int = 0, payload: bytes = frame()) -> p4r.StreamMessageRequest:
    packet = p4r.PacketOut(payload=payload)
    for id, value in enumerate((egress_port, kind, arg), 1):
        packet.metadata.add(metadata_id=id, value=to_bytes(value))
    return p4r.StreamMessageRequest(packet=packet)


def fields(packet: p4r.PacketIn) -> list[int]:
    assert [one.metadata_id for one in packet.metadata] == [1, 2, 3]
    return [int.from_bytes(one.value, "big") for one in packet.metadata]


async def until_sent(switch: Switch, count: int) -> list[tuple[int, bytes]]:
    """The frames that left at ports, once there are that many."""
    async with asyncio.timeout(30) if hasattr(asyncio, "timeout") else _Forever():
        while len(switch.plane.sent) < count:
            await asyncio.sleep(0.005)
    return switch.plane.sent


class _Forever:
    """Python 3.10 has no asyncio.timeout; pytest's own time limit is there."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def test_packet_out_leaves_at_the_port_that_its_header_names(client: Client, switch: Switch) -> None:
    await client.send(packet_out(257, payload=frame(number=5)))
    assert await until_sent(switch, 1) == [(257, frame(number=5))]


async def test_packet_in_carries_its_header_s_fields(client: Client, switch: Switch) -> None:
    names = client.names
    await client.insert(names.entry("exact_t", {1: 7, 2: 3}, names.action("forward", CPU_PORT)))
    switch.plane.packet(300, frame(narrow=7, nibble=3))
    packet = await client.receive("packet")
    assert packet.payload == frame(narrow=7, nibble=3) and fields(packet) == [300, 0, 0]


async def test_packet_out_to_the_controller_and_back_reads_a_register(client: Client) -> None:
    names = client.names
    register = p4r.RegisterEntry(register_id=names.id("cells"), index=p4r.Index(index=0))
    register.data.bitstring = SRC
    await client.modify(p4r.Entity(register_entry=register))
    await client.send(packet_out(0, kind=1))
    packet = await client.receive("packet")
    assert packet.payload[:6] == SRC and fields(packet)[0] == CPU_PORT


async def test_a_malformed_packet_out_is_reported_and_goes_nowhere(client: Client, switch: Switch) -> None:
    broken = packet_out(4)
    del broken.packet.metadata[1]
    await client.send(broken)
    error = await client.receive("error")
    assert (error.canonical_code, error.packet_out.packet_out) == (3, broken.packet)
    await client.send(packet_out(4))
    await until_sent(switch, 1)


async def test_a_backup_sends_no_packets_and_gets_none(client: Client, switch: Switch) -> None:
    async with connect(switch.address, client.names, election_id=0) as backup:
        await backup.arbitrate()
        await backup.receive("arbitration")
        await backup.send(packet_out(4))
        assert (await backup.receive("error")).canonical_code == 7
        await client.send(packet_out(0, kind=1))
        await client.receive("packet")
        assert await backup.silent()
        assert switch.plane.sent == []


async def test_entries_act_on_packets_as_soon_as_the_write_is_answered(client: Client, switch: Switch) -> None:
    names = client.names
    await client.insert(names.entry("lpm_t", {1: "0x0a000000/8"}, names.action("forward", 2)))
    await client.insert(names.entry("lpm_t", {1: "0x0a010000/16"}, names.action("forward", 3)))
    await client.insert(names.entry("mixed_t", {2: "80..90", 4: 1}, names.action("forward", 4), priority=1))
    await client.insert(names.entry("mixed_t", {2: "85..90", 4: 1}, names.action("forward", 5), priority=2))
    await client.insert(names.entry("mixed_t", {3: "=6", 4: 1}, names.action("forward", 6), priority=3))
    for packet in (
        frame(address=0x0A020000),
        frame(address=0x0A010203),
        frame(number=80),
        frame(number=85),
        frame(number=85, nibble=6),
        frame(number=0x1234),
        frame(number=0x2000),
        frame(number=0x3002),
    ):
        switch.plane.packet(1, packet)
    assert [port for port, _ in switch.plane.sent] == [2, 3, 4, 5, 6, 21, 22, 32]
    await client.modify(names.entry("lpm_t", {1: "0x0a010000/16"}, names.action("forward", 9)))
    await client.delete(names.entry("lpm_t", {1: "0x0a000000/8"}))
    switch.plane.packet(1, frame(address=0x0A010203))
    switch.plane.packet(1, frame(address=0x0A020000))
    assert [port for port, _ in switch.plane.sent[8:]] == [9]


async def test_counters_tell_what_passed(client: Client, switch: Switch) -> None:
    names = client.names
    entry = names.entry("exact_t", {1: 7, 2: 3}, names.action("forward", 4))
    await client.insert(entry)
    for _ in range(3):
        switch.plane.packet(9, frame(narrow=7, nibble=3))
    switch.plane.packet(9, frame(narrow=8, nibble=3))
    entry.table_entry.ClearField("action")
    hits = p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=entry.table_entry))
    [read] = await client.read(hits)
    assert read.direct_counter_entry.data == p4r.CounterData(packet_count=3, byte_count=3 * len(frame()))
    arrivals = p4r.CounterEntry(counter_id=names.id("arrivals"), index=p4r.Index(index=9))
    [read] = await client.read(p4r.Entity(counter_entry=arrivals))
    assert read.counter_entry.data == p4r.CounterData(packet_count=4, byte_count=4 * len(frame()))
    [read] = await client.read(names.entry("exact_t", is_default_action=True, counter_data=p4r.CounterData()))
    assert read.table_entry.counter_data.packet_count == 1


async def test_multicast_and_clones_follow_the_replication_engine(client: Client, switch: Switch) -> None:
    names = client.names
    await client.insert(group(4, (1, 11), (2, 12), (CPU_PORT, 13)), session(5, (7, 0), packet_length_bytes=20))
    await client.send(packet_out(0, kind=2, arg=4))
    packet = await client.receive("packet")
    assert fields(packet) == [CPU_PORT, 5, 13]
    assert sorted(switch.plane.sent) == [(1, frame()), (2, frame())]
    switch.plane.sent.clear()
    await client.insert(names.entry("lpm_t", {}, names.action("forward", 3)))
    await client.insert(names.entry("exact_t", {1: 1, 2: 1}, names.action("copy_to", 5)))
    switch.plane.packet(1, frame(narrow=1, nibble=1))
    assert sorted(switch.plane.sent) == [(3, frame(narrow=1, nibble=1)), (7, frame(narrow=1, nibble=1)[:20])]


async def test_value_sets_steer_the_parser(client: Client, switch: Switch) -> None:
    ether = DST + SRC + b"\x22\xf3" + bytes(46)
    switch.plane.packet(1, ether)
    entry = p4r.ValueSetEntry(value_set_id=client.names.id("special_types"))
    entry.members.add().match.add(field_id=1).exact.value = b"\x22\xf3"
    await client.modify(p4r.Entity(value_set_entry=entry))
    switch.plane.packet(2, ether)
    assert fields(await client.receive("packet"))[0] == 2


async def test_a_limited_meter_drops_what_is_too_much(client: Client, switch: Switch) -> None:
    names = client.names
    await client.insert(names.entry("lpm_t", {}, names.action("forward", 3)))
    entry = p4r.MeterEntry(meter_id=names.id("limits"), index=p4r.Index(index=2))
    entry.config.CopyFrom(p4r.MeterConfig(cir=1, cburst=2, pir=1, pburst=2))
    await client.modify(p4r.Entity(meter_entry=entry))
    for _ in range(10):
        switch.plane.packet(1, frame(nibble=2))
        switch.plane.packet(1, frame(nibble=3))
    assert len(switch.plane.sent) == 2 + 10


async def test_selectors_spread_over_their_members(client: Client, switch: Switch) -> None:
    names = client.names
    entry = names.entry("selected_t", {1: 1})
    actions = entry.table_entry.action.action_profile_action_set.action_profile_actions
    for port in (1, 2, 3):
        actions.add(action=names.action("forward", port), weight=1)
    await client.insert(entry)
    for address in range(64):
        switch.plane.packet(9, frame(nibble=1, address=address))
        switch.plane.packet(9, frame(nibble=1, address=address))
    ports = [port for port, _ in switch.plane.sent]
    assert len(ports) == 128 and set(ports) == {1, 2, 3}
    assert ports[0::2] == ports[1::2]


def enable(client: Client, **config: int) -> p4r.Entity:
    entry = p4r.DigestEntry(digest_id=client.names.id("sample_t"), config=p4r.DigestEntry.Config(**config))
    return p4r.Entity(digest_entry=entry)


async def test_digests_come_as_typed_lists_to_the_primary(client: Client) -> None:
    await client.insert(enable(client, max_timeout_ns=0, max_list_size=1))
    assert await client.read(enable(client)) == [enable(client, max_timeout_ns=0, max_list_size=1)]
    await client.send(packet_out(5, kind=3, arg=0xABC))
    digest = await client.receive("digest")
    assert digest.digest_id == client.names.id("sample_t") and digest.list_id == 1 and digest.timestamp > 0
    [sample] = digest.data
    assert [member.bitstring for member in sample.struct.members] == [b"\x0a\xbc", SRC, b"\x05"]


async def test_digests_wait_for_company_and_are_not_repeated_before_the_ack(client: Client) -> None:
    await client.insert(enable(client, max_timeout_ns=200_000_000, max_list_size=3, ack_timeout_ns=60_000_000_000))
    for arg in (1, 2, 2, 1, 3, 4):
        await client.send(packet_out(5, kind=3, arg=arg))
    first, second = await client.receive("digest"), await client.receive("digest")
    args = [[data.struct.members[0].bitstring for data in digest.data] for digest in (first, second)]
    assert args == [[b"\1", b"\2", b"\3"], [b"\4"]]
    ack = p4r.DigestListAck(digest_id=first.digest_id, list_id=first.list_id)
    await client.send(p4r.StreamMessageRequest(digest_ack=ack))
    for arg in (4, 2):
        await client.send(packet_out(5, kind=3, arg=arg))
    third = await client.receive("digest")
    assert [data.struct.members[0].bitstring for data in third.data] == [b"\2"]


async def test_digests_need_to_be_enabled_and_go_when_disabled(client: Client, switch: Switch) -> None:
    await client.send(packet_out(5, kind=3, arg=1))
    await client.insert(enable(client, max_list_size=1))
    await client.send(packet_out(5, kind=3, arg=2))
    digest = await client.receive("digest")
    assert digest.data[0].struct.members[0].bitstring == b"\2"
    assert await client.codes(p4r.Update.INSERT, enable(client, max_list_size=1)) == [6]
    await client.delete(enable(client))
    await client.send(packet_out(5, kind=3, arg=3))
    await until_sent(switch, 3)
    assert await client.read(enable(client)) == []
    assert await client.silent()


async def test_an_ack_for_an_unknown_digest_is_reported(client: Client) -> None:
    ack = p4r.DigestListAck(digest_id=77, list_id=1)
    await client.send(p4r.StreamMessageRequest(digest_ack=ack))
    error = await client.receive("error")
    assert error.canonical_code == 3 and error.digest_list_ack.digest_list_ack == ack


async def test_idle_entries_are_reported_once_per_timeout(
    client: Client, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p4switch.p4runtime.device.IDLE_SWEEP_S", 0.01)
    names = client.names
    idle = names.entry("ageing_t", {1: 1}, names.action("forward", 1), idle_timeout_ns=10**9, metadata=b"m")
    busy = names.entry("ageing_t", {1: 2}, names.action("forward", 1), idle_timeout_ns=10**9)
    lasting = names.entry("ageing_t", {1: 3}, names.action("forward", 1))
    await client.insert(idle, busy, lasting)
    assert switch.device is not None
    sweep = asyncio.create_task(switch.device.sweep())
    switch.plane.clock_us += 900_000
    switch.plane.packet(1, frame(wide=2))
    query = names.entry("ageing_t", {1: 2}, time_since_last_hit=p4r.TableEntry.IdleTimeout())
    switch.plane.clock_us += 200_000
    assert (await client.read(query))[0].table_entry.time_since_last_hit.elapsed_ns == 200_000_000
    for _ in range(2):
        notice = await client.receive("idle_timeout_notification")
        [entry] = notice.table_entry
        assert entry == idle.table_entry and notice.timestamp > 0
        switch.plane.packet(1, frame(wide=2))
        switch.plane.clock_us += 1_000_000 - 1
        switch.plane.packet(1, frame(wide=2))
        switch.plane.clock_us += 1
    sweep.cancel()


async def test_default_and_other_tables_have_no_idle_timeout(client: Client) -> None:
    names = client.names
    elapsed = p4r.TableEntry.IdleTimeout(elapsed_ns=1)
    hit = names.entry("ageing_t", {}, names.action("forward", 1), is_default_action=True, time_since_last_hit=elapsed)
    bad = [
        names.entry("ageing_t", {}, names.action("forward", 1), is_default_action=True, idle_timeout_ns=5),
        names.entry("ageing_t", {1: 1}, names.action("forward", 1), idle_timeout_ns=-5),
    ]
    assert await client.codes(p4r.Update.MODIFY, *bad[:1]) == [3]
    assert await client.codes(p4r.Update.MODIFY, hit) == [3]
    assert await client.codes(p4r.Update.INSERT, *bad[1:]) == [3]
    with pytest.raises(Refused):
        await client.read(names.entry("exact_t", time_since_last_hit=p4r.TableEntry.IdleTimeout()))
