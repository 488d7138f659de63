"""Counters, meters, registers, value sets, action profiles and the replication engine over P4Runtime."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4r

from tests.p4switch.client import DELETE, INSERT, MODIFY, Client, Refused, to_bytes

INVALID, NOT_FOUND, EXISTS, FULL, PRECONDITION, RANGE = 3, 5, 6, 8, 9, 11


def counter(
    client: Client, alias: str, index: int | None = None, packets: int | None = None, size: int = 0
) -> p4r.Entity:
    entry = p4r.CounterEntry(counter_id=client.names.id(alias))
    if index is not None:
        entry.index.index = index
    if packets is not None:
        entry.data.packet_count, entry.data.byte_count = packets, size
    return p4r.Entity(counter_entry=entry)


async def test_counters_are_set_and_read_one_by_one_or_all_at_once(client: Client) -> None:
    await client.modify(counter(client, "kinds", 2, 5, 600), counter(client, "arrivals", 511, 7, 1 << 40))
    assert await client.read(counter(client, "kinds", 2)) == [counter(client, "kinds", 2, 5, 600)]
    every_kind = await client.read(counter(client, "kinds"))
    assert [cell.counter_entry.data.packet_count for cell in every_kind] == [0, 0, 5, 0]
    everything = await client.read(p4r.Entity(counter_entry=p4r.CounterEntry()))
    assert len(everything) == 4 + 512 and counter(client, "arrivals", 511, 7, 1 << 40) in everything
    await client.modify(counter(client, "kinds", None, 1, 1))
    assert [cell.counter_entry.data.packet_count for cell in await client.read(counter(client, "kinds"))] == [1] * 4


async def test_counter_updates_that_make_no_sense(client: Client) -> None:
    good = counter(client, "kinds", 0, 1)
    assert await client.codes(INSERT, good) == [INVALID]
    assert await client.codes(DELETE, good) == [INVALID]
    unknown = p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=0x12FFFFFF))
    cases = [counter(client, "kinds", -1, 1), counter(client, "kinds", 4, 1), unknown]
    assert await client.codes(MODIFY, *cases) == [INVALID, RANGE, INVALID]
    with pytest.raises(Refused) as refused:
        await client.read(*cases)
    assert refused.value.codes == [INVALID, RANGE, INVALID]


def hits(entity: p4r.Entity, packets: int | None = None, size: int = 0) -> p4r.Entity:
    key = p4r.TableEntry()
    key.CopyFrom(entity.table_entry)
    key.ClearField("action")
    entry = p4r.DirectCounterEntry(table_entry=key)
    if packets is not None:
        entry.data.packet_count, entry.data.byte_count = packets, size
    return p4r.Entity(direct_counter_entry=entry)


async def test_direct_counters_stand_in_entries_and_alone(client: Client) -> None:
    names = client.names
    one = names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 1))
    two = names.entry("exact_t", {1: 2, 2: 1}, names.action("forward", 1))
    with_data = p4r.Entity()
    with_data.CopyFrom(one)
    with_data.table_entry.counter_data.packet_count = 9
    await client.insert(with_data, two)
    await client.modify(hits(two, 3, 300))
    assert await client.read(hits(one)) == [hits(one, 9, 0)]
    assert await client.read(hits(names.entry("exact_t"))) == [
        hits(one, 9),
        hits(two, 3, 300),
    ]
    query = names.entry("exact_t", {1: 2, 2: 1})
    assert not (await client.read(query))[0].table_entry.HasField("counter_data")
    query.table_entry.counter_data.SetInParent()
    assert (await client.read(query))[0].table_entry.counter_data == p4r.CounterData(packet_count=3, byte_count=300)
    await client.modify(names.entry("exact_t", {1: 2, 2: 1}, names.action("forward", 5)))
    assert await client.read(hits(two)) == [hits(two, 3, 300)]
    everywhere = p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=p4r.TableEntry()))
    assert len(await client.read(everywhere)) == 2
    gone = names.entry("exact_t", {1: 7, 2: 1})
    assert await client.codes(MODIFY, hits(gone, 1), hits(names.entry("lpm_t"), 1)) == [
        NOT_FOUND,
        INVALID,
    ]
    with pytest.raises(Refused) as refused:
        await client.read(hits(gone))
    assert refused.value.codes == [NOT_FOUND]
    bad = names.entry("lpm_t", {}, names.action("drop"), counter_data=p4r.CounterData(packet_count=1))
    assert await client.codes(INSERT, bad) == [INVALID]


async def test_meters_have_no_limit_until_they_get_one(client: Client) -> None:
    def cell(index: int | None = None, **config: int) -> p4r.Entity:
        entry = p4r.MeterEntry(meter_id=client.names.id("limits"))
        if index is not None:
            entry.index.index = index
        if config:
            entry.config.CopyFrom(p4r.MeterConfig(**config))
        return p4r.Entity(meter_entry=entry)

    assert await client.read(cell(3)) == [cell(3)]
    limit = {"cir": 10, "cburst": 5, "pir": 20, "pburst": 6}
    await client.modify(cell(3, **limit))
    assert await client.read(cell(3)) == [cell(3, **limit)]
    assert len(await client.read(cell())) == 8
    await client.modify(cell(3))
    assert await client.read(cell(3)) == [cell(3)]
    bad = [cell(3, cir=5, pir=4), cell(3, cir=-1, pir=4), cell(3, cir=1, pir=4, eburst=4), cell(8, cir=1, pir=2)]
    assert await client.codes(MODIFY, *bad) == [INVALID, INVALID, INVALID, RANGE]


async def test_direct_meters_go_back_to_no_limit_when_an_entry_is_modified_without_one(client: Client) -> None:
    names = client.names
    config = p4r.MeterConfig(cir=10, cburst=5, pir=20, pburst=6)
    entry = names.entry("metered_t", {1: 5}, names.action("measured", 1), meter_config=config)
    await client.insert(entry)
    query = names.entry("metered_t", {1: 5}, meter_config=p4r.MeterConfig())
    assert await client.read(query) == [entry]
    alone = p4r.DirectMeterEntry(table_entry=names.entry("metered_t", {1: 5}).table_entry)
    assert (await client.read(p4r.Entity(direct_meter_entry=alone)))[0].direct_meter_entry.config == config
    await client.modify(names.entry("metered_t", {1: 5}, names.action("measured", 2)))
    assert not (await client.read(query))[0].table_entry.HasField("meter_config")
    alone.config.CopyFrom(config)
    await client.modify(p4r.Entity(direct_meter_entry=alone))
    assert (await client.read(query))[0].table_entry.meter_config == config


async def test_direct_meters_are_read_with_all_tables_and_go_with_their_entry(client: Client) -> None:
    names = client.names
    config = p4r.MeterConfig(cir=10, cburst=5, pir=10, pburst=5)
    entry = names.entry("metered_t", {1: 5}, names.action("measured", 1), meter_config=config)
    await client.insert(entry)
    everything = p4r.Entity(table_entry=p4r.TableEntry(meter_config=p4r.MeterConfig()))
    metered = [one for one in await client.read(everything) if one.table_entry.HasField("meter_config")]
    assert metered == [entry]
    alone = p4r.DirectMeterEntry(table_entry=names.entry("metered_t", {1: 5}).table_entry, config=config)
    for kind in (INSERT, DELETE):
        assert await client.codes(kind, p4r.Entity(direct_meter_entry=alone)) == [INVALID]
    other = p4r.MeterConfig(cir=20, cburst=6, pir=20, pburst=6)
    await client.modify(names.entry("metered_t", {1: 5}, names.action("measured", 1), meter_config=other))
    query = names.entry("metered_t", {1: 5}, meter_config=p4r.MeterConfig())
    assert (await client.read(query))[0].table_entry.meter_config == other
    assert await client.codes(DELETE, names.entry("metered_t", {1: 5})) == [0]
    await client.insert(names.entry("metered_t", {1: 5}, names.action("measured", 1)))
    assert not (await client.read(query))[0].table_entry.HasField("meter_config")


async def test_registers_are_written_and_read(client: Client) -> None:
    def cell(index: int | None, value: int | None = None) -> p4r.Entity:
        entry = p4r.RegisterEntry(register_id=client.names.id("cells"))
        if index is not None:
            entry.index.index = index
        if value is not None:
            entry.data.bitstring = to_bytes(value)
        return p4r.Entity(register_entry=entry)

    await client.modify(cell(3, 0xAABBCCDDEEFF))
    assert await client.read(cell(3)) == [cell(3, 0xAABBCCDDEEFF)]
    assert await client.read(cell(None)) == [cell(n, 0xAABBCCDDEEFF if n == 3 else 0) for n in range(16)]
    await client.modify(cell(None, 4))
    assert await client.read(cell(15)) == [cell(15, 4)]
    wrong_kind = cell(1)
    wrong_kind.register_entry.data.enum = "x"
    bad = [cell(16, 1), cell(-1, 1), cell(1, 1 << 48), cell(1), wrong_kind]
    assert await client.codes(MODIFY, *bad) == [RANGE, INVALID, RANGE, INVALID, INVALID]
    assert await client.codes(INSERT, cell(1, 1)) == [INVALID]


async def test_value_sets_are_replaced_whole(client: Client) -> None:
    def entity(*values: int) -> p4r.Entity:
        entry = p4r.ValueSetEntry(value_set_id=client.names.id("special_types"))
        for value in values:
            entry.members.add().match.add(field_id=1).exact.value = to_bytes(value)
        return p4r.Entity(value_set_entry=entry)

    await client.modify(entity(0x22F3, 0x893B))
    assert await client.read(entity()) == [entity(0x22F3, 0x893B)]
    assert await client.codes(MODIFY, entity(1, 2, 3, 4, 5)) == [FULL]
    assert await client.codes(MODIFY, entity(1, 1)) == [EXISTS]
    assert await client.codes(INSERT, entity(1)) == [INVALID]
    await client.modify(entity())
    assert await client.read(entity()) == [entity()]


def group(id: int, *replicas: tuple[int, int]) -> p4r.Entity:
    entry = p4r.MulticastGroupEntry(multicast_group_id=id)
    for port, instance in replicas:
        entry.replicas.add(port=to_bytes(port), instance=instance)
    return p4r.Entity(packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(multicast_group_entry=entry))


def session(id: int, *replicas: tuple[int, int], **more: Any) -> p4r.Entity:
    entry = p4r.CloneSessionEntry(session_id=id, **more)
    for port, instance in replicas:
        entry.replicas.add(egress_port=port, instance=instance)
    return p4r.Entity(packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(clone_session_entry=entry))


async def test_multicast_groups_and_clone_sessions_live_through_everything(client: Client) -> None:
    for make, other in ((group, session), (session, group)):
        first, second = make(1, (1, 1), (2, 1), (2, 2)), make(2, (3, 0))
        await client.insert(first, second, other(1, (9, 9)))
        assert await client.read(make(1)) == [first]
        assert await client.read(make(0)) == [first, second]
        await client.modify(make(1, (4, 4)))
        assert await client.read(make(1)) == [make(1, (4, 4))]
        await client.delete(make(1), make(2), other(1))
        assert await client.read(make(0), other(0)) == []
        assert await client.codes(MODIFY, first) == [NOT_FOUND]
        assert await client.codes(DELETE, first) == [NOT_FOUND]
        assert await client.codes(INSERT, first, first) == [0, EXISTS]
        assert await client.codes(DELETE, first) == [0]


async def test_replication_entries_that_make_no_sense(client: Client) -> None:
    bad = [
        group(0, (1, 1)),
        group(1, (1, 1), (1, 1)),
        group(1, (1, 70000)),
        group(40000, (1, 1)),
        session(0, (1, 1)),
        session(1, (1, 1), packet_length_bytes=-1),
        p4r.Entity(packet_replication_engine_entry=p4r.PacketReplicationEngineEntry()),
    ]
    assert await client.codes(INSERT, *bad) == [INVALID, INVALID, INVALID, RANGE, INVALID, INVALID, INVALID]


def member(client: Client, id: int, port: int | None = None) -> p4r.Entity:
    entry = p4r.ActionProfileMember(action_profile_id=client.names.id("selected_actions"), member_id=id)
    if port is not None:
        entry.action.CopyFrom(client.names.action("forward", port))
    return p4r.Entity(action_profile_member=entry)


def members(client: Client, id: int, *weights: tuple[int, int], max_size: int = 0) -> p4r.Entity:
    entry = p4r.ActionProfileGroup(
        action_profile_id=client.names.id("selected_actions"), group_id=id, max_size=max_size
    )
    for member_id, weight in weights:
        entry.members.add(member_id=member_id, weight=weight)
    return p4r.Entity(action_profile_group=entry)


async def test_members_and_groups_of_an_action_profile(client: Client) -> None:
    await client.insert(member(client, 1, 11), member(client, 2, 12))
    assert await client.codes(INSERT, member(client, 1, 13)) == [EXISTS]
    await client.insert(members(client, 5, (1, 1), (2, 3)))
    assert await client.read(members(client, 5)) == [members(client, 5, (1, 1), (2, 3))]
    assert await client.codes(DELETE, member(client, 1)) == [PRECONDITION]
    await client.modify(member(client, 1, 21))
    assert await client.read(member(client, 0)) == [member(client, 1, 21), member(client, 2, 12)]
    by_group, by_member = client.names.entry("selected_t", {1: 1}), client.names.entry("selected_t", {1: 2})
    by_group.table_entry.action.action_profile_group_id = 5
    by_member.table_entry.action.action_profile_member_id = 2
    await client.insert(by_group, by_member)
    assert await client.read(client.names.entry("selected_t")) == [by_group, by_member]
    assert await client.codes(DELETE, members(client, 5)) == [PRECONDITION]
    await client.delete(by_group, by_member)
    await client.modify(members(client, 5, (2, 1)))
    bad = [members(client, 6, (9, 1)), members(client, 6, (2, 0)), members(client, 6, (2, 1), (2, 1))]
    assert await client.codes(INSERT, *bad) == [NOT_FOUND, INVALID, INVALID]
    await client.delete(member(client, 1), members(client, 5), member(client, 2))
    assert await client.read(member(client, 0), members(client, 0)) == []


async def test_one_shot_action_sets_leave_nothing_behind(client: Client) -> None:
    names = client.names
    entry = names.entry("selected_t", {1: 1})
    actions = entry.table_entry.action.action_profile_action_set.action_profile_actions
    for port, weight in ((1, 1), (2, 2)):
        actions.add(action=names.action("forward", port), weight=weight)
    await client.insert(entry)
    assert await client.read(names.entry("selected_t")) == [entry]
    assert await client.read(member(client, 0), members(client, 0)) == []
    for _ in range(20):
        await client.modify(entry)
    await client.delete(entry)
    await client.insert(*(member(client, n, n) for n in range(1, 17)))
    plain = names.entry("selected_t", {1: 3}, names.action("forward", 1))
    assert await client.codes(INSERT, plain) == [INVALID]


async def test_one_selector_is_not_programmed_in_two_ways(client: Client) -> None:
    """Specification, "One Shot Action Selector Programming": either one-shots, or members and groups."""
    names = client.names

    def one_shot(key: int) -> p4r.Entity:
        entry = names.entry("selected_t", {1: key})
        actions = entry.table_entry.action.action_profile_action_set.action_profile_actions
        actions.add(action=names.action("forward", 1), weight=1)
        return entry

    by_member = names.entry("selected_t", {1: 3})
    by_member.table_entry.action.action_profile_member_id = 1
    await client.insert(one_shot(1))
    assert await client.codes(INSERT, member(client, 1, 11), members(client, 5), by_member) == [
        *(INVALID, INVALID, NOT_FOUND),
    ]
    assert await client.codes(INSERT, one_shot(2)) == [0], "what was refused has left nothing behind"
    assert await client.codes(DELETE, one_shot(1), one_shot(2)) == [0, 0]
    assert await client.codes(INSERT, member(client, 1, 11), by_member, one_shot(1)) == [0, 0, INVALID]
    assert await client.codes(MODIFY, one_shot(3)) == [INVALID]
    assert await client.read(names.entry("selected_t")) == [by_member]
    assert await client.codes(DELETE, by_member, member(client, 1)) == [0, 0]
    await client.insert(members(client, 5))
    assert await client.codes(INSERT, one_shot(1)) == [INVALID], "an empty group is a group"
    await client.delete(members(client, 5))
    await client.insert(one_shot(1))
    assert await client.read(names.entry("selected_t")) == [one_shot(1)]
