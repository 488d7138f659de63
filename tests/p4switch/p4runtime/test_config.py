"""Forwarding pipeline configs: pushed, saved, committed, reconciled, refused."""

from __future__ import annotations

import json

import grpc
import pytest
from finsy.proto import p4r

from tests.p4switch.client import Client, Refused
from tests.p4switch.conftest import COOKIE, Switch

Set, Get = p4r.SetForwardingPipelineConfigRequest, p4r.GetForwardingPipelineConfigRequest


async def test_a_pushed_config_is_given_back_in_the_parts_asked_for(client: Client, switch: Switch) -> None:
    pushed = switch.program.config
    assert (await client.config()).config == pushed
    assert (await client.config(Get.COOKIE_ONLY)).config == p4r.ForwardingPipelineConfig(cookie=pushed.cookie)
    info = (await client.config(Get.P4INFO_AND_COOKIE)).config
    assert info == p4r.ForwardingPipelineConfig(cookie=pushed.cookie, p4info=pushed.p4info)
    device = (await client.config(Get.DEVICE_CONFIG_AND_COOKIE)).config
    assert device.p4_device_config == pushed.p4_device_config and not device.HasField("p4info")
    assert device.cookie.cookie == COOKIE


async def test_commit_wipes_entries_and_without_a_cookie_none_is_given_back(client: Client, switch: Switch) -> None:
    names = client.names
    await client.insert(names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 1)))
    config = switch.program.config
    config.ClearField("cookie")
    await client.push(config)
    assert await client.read(names.entry("exact_t")) == []
    assert not (await client.config()).config.HasField("cookie")


async def test_verify_changes_nothing(client: Client, switch: Switch) -> None:
    names = client.names
    entry = names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 1))
    await client.insert(entry)
    config = switch.program.config
    config.cookie.cookie = 99
    await client.push(config, Set.VERIFY)
    assert await client.read(names.entry("exact_t")) == [entry]
    assert (await client.config(Get.COOKIE_ONLY)).config.cookie.cookie == COOKIE


async def test_saved_config_takes_writes_and_runs_after_commit(client: Client, switch: Switch) -> None:
    names = client.names
    running = switch.plane.pipeline
    await client.push(switch.program.config, Set.VERIFY_AND_SAVE)
    entry = names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 1))
    await client.insert(entry)
    assert switch.plane.pipeline is running
    with pytest.raises(Refused, match="INVALID_ARGUMENT"):
        await client.push(switch.program.config, Set.COMMIT)
    await client.push(None, Set.COMMIT)
    assert switch.plane.pipeline is not running
    assert await client.read(names.entry("exact_t")) == [entry]
    with pytest.raises(Refused, match="NOT_FOUND"):
        await client.push(None, Set.COMMIT)


async def test_reconcile_keeps_what_was_written(client: Client, switch: Switch) -> None:
    names = client.names
    counter = p4r.CounterEntry(counter_id=names.id("arrivals"), index=p4r.Index(index=3))
    counter.data.packet_count, counter.data.byte_count = 5, 600
    register = p4r.RegisterEntry(register_id=names.id("cells"), index=p4r.Index(index=2))
    register.data.bitstring = b"\x77"
    group = p4r.MulticastGroupEntry(multicast_group_id=4, replicas=[p4r.Replica(port=b"\x01", instance=1)])
    engine = p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
    default = names.entry("exact_t", {}, names.action("forward", 9), is_default_action=True)
    entries = [
        names.entry("exact_t", {1: 1, 2: 1}, names.action("forward", 1), metadata=b"mine"),
        names.entry("mixed_t", {4: 2}, names.action("forward", 5), priority=10),
    ]
    await client.insert(*entries, p4r.Entity(packet_replication_engine_entry=engine))
    await client.modify(default, p4r.Entity(counter_entry=counter), p4r.Entity(register_entry=register))
    await client.delete(names.entry("initial_t", {1: 0x3002}))
    before = switch.plane.pipeline
    await client.push(switch.program.config, Set.RECONCILE_AND_COMMIT)
    assert switch.plane.pipeline is not before
    assert await client.read(names.entry("exact_t"), names.entry("mixed_t")) == entries
    assert await client.read(names.entry("exact_t", is_default_action=True)) == [default]
    assert await client.read(
        p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=counter.counter_id, index=counter.index))
    )
    assert (await client.read(p4r.Entity(packet_replication_engine_entry=engine)))[0] == p4r.Entity(
        packet_replication_engine_entry=engine
    )
    query = p4r.RegisterEntry(register_id=register.register_id, index=register.index)
    assert await client.read(p4r.Entity(register_entry=query)) == [p4r.Entity(register_entry=register)]
    assert len(await client.read(names.entry("initial_t"))) == 1


async def test_reconcile_refuses_what_would_be_lost(client: Client, switch: Switch) -> None:
    names = client.names
    entry = names.entry("exact_t", {1: 1, 2: 1}, names.action("rewrite", 5, 6))
    await client.insert(entry)
    config = switch.program.config
    table = next(table for table in config.p4info.tables if table.preamble.alias == "exact_t")
    kept = [ref for ref in table.action_refs if ref.id != names.id("rewrite")]
    del table.action_refs[:]
    table.action_refs.extend(kept)
    with pytest.raises(Refused, match=r"INVALID_ARGUMENT.*cannot be preserved"):
        await client.push(config, Set.RECONCILE_AND_COMMIT)
    assert await client.read(names.entry("exact_t")) == [entry]


async def test_configs_that_cannot_be_realized_are_refused_and_the_old_one_runs_on(
    client: Client, switch: Switch
) -> None:
    good = switch.program.config
    running = switch.plane.pipeline

    async def refused(config: p4r.ForwardingPipelineConfig | None, text: str) -> None:
        with pytest.raises(Refused, match=f"INVALID_ARGUMENT: .*{text}"):
            await client.push(config)
        assert switch.plane.pipeline is running
        assert (await client.config(Get.COOKIE_ONLY)).config.cookie.cookie == COOKIE

    await refused(None, "config is missing")
    await refused(p4r.ForwardingPipelineConfig(p4_device_config=b"{}"), "no p4info")
    await refused(p4r.ForwardingPipelineConfig(p4info=good.p4info), "no p4_device_config")
    await refused(p4r.ForwardingPipelineConfig(p4info=good.p4info, p4_device_config=b"\xff\xfe"), "not BMv2 JSON")
    await refused(p4r.ForwardingPipelineConfig(p4info=good.p4info, p4_device_config=b"[1]"), "holds no object")
    await refused(p4r.ForwardingPipelineConfig(p4info=good.p4info, p4_device_config=b"{}"), "cannot be realized")
    twice = p4r.ForwardingPipelineConfig()
    twice.CopyFrom(good)
    twice.p4info.tables.add().CopyFrom(good.p4info.tables[0])
    await refused(twice, "same id")
    smaller = json.loads(good.p4_device_config)
    other = p4r.ForwardingPipelineConfig()
    other.CopyFrom(good)
    smaller["counter_arrays"] = [one for one in smaller["counter_arrays"] if one["name"] != "ingress.arrivals"]
    other.p4_device_config = json.dumps(smaller).encode()
    with pytest.raises(Refused, match="INVALID_ARGUMENT"):
        await client.push(other)
    with pytest.raises(Refused, match="INVALID_ARGUMENT"):
        await client.push(good, Set.UNSPECIFIED)
    assert switch.plane.pipeline is running


async def test_a_push_in_the_middle_of_a_long_read_harms_neither(client: Client, switch: Switch) -> None:
    names = client.names
    entries = [names.entry("lpm_t", {1: f"{n << 16}/16"}, names.action("forward", 1)) for n in range(1, 1001)]
    await client.insert(*entries)
    hits = p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=p4r.TableEntry()))
    counters = p4r.Entity(counter_entry=p4r.CounterEntry())
    call = client.stub.Read(p4r.ReadRequest(device_id=1, entities=[names.entry("lpm_t"), hits, counters, counters]))
    first = await call.read()
    await client.push(switch.program.config)
    found = list(first.entities)
    while (response := await call.read()) is not grpc.aio.EOF:
        found += response.entities
    assert len(found) >= 1000
    assert await client.read(names.entry("lpm_t")) == []
