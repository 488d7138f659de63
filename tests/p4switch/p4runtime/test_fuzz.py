"""Mutated requests: whatever a client sends gets an answer in P4Runtime's terms, and the switch goes on.

FUZZ_SECONDS=600 FUZZ_SEED=1 pytest tests/p4switch/p4runtime/test_fuzz.py looks for longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import Any

import grpc
from finsy.proto import p4r
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import Message

from tests.p4switch.client import WAIT_S, Client, Refused, to_bytes
from tests.p4switch.conftest import Switch
from tests.p4switch.p4runtime.test_cells import counter, group, member, members, session
from tests.p4switch.p4runtime.test_stream import enable, frame, packet_out

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
INTEGERS = (0, 1, 2, 3, 7, 15, 16, 255, 256, 511, 512, 1024, 65535, 65536, 1 << 31, (1 << 32) - 1, (1 << 63) - 1)
SIGNED = (F.CPPTYPE_INT32, F.CPPTYPE_INT64)
CODES = ("INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNIMPLEMENTED", "UNKNOWN")
BITS = {F.CPPTYPE_INT32: 31, F.CPPTYPE_UINT32: 32, F.CPPTYPE_INT64: 63, F.CPPTYPE_UINT64: 64}


def is_opaque(field: F) -> bool:
    """Any messages and maps, which are left as they are."""
    return field.message_type.full_name.startswith("google.") or field.message_type.GetOptions().map_entry


def fields_of(message: Message) -> list[tuple[Message, F]]:
    """Every set field of a message and of those inside it."""
    found = []
    for field, value in message.ListFields():
        found.append((message, field))
        if field.cpp_type == F.CPPTYPE_MESSAGE and not is_opaque(field):
            for one in value if field.is_repeated else [value]:
                found += fields_of(one)
    return found


def scalar(field: F, chance: random.Random) -> Any:
    if field.cpp_type in BITS:
        number = chance.choice(INTEGERS) & ((1 << BITS[field.cpp_type]) - 1)
        return -number if field.cpp_type in SIGNED and chance.random() < 0.3 else number
    if field.type == F.TYPE_BYTES:
        return chance.choice([b"", b"\0", b"\xff" * 40, chance.randbytes(chance.randrange(20))])
    if field.cpp_type == F.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if field.cpp_type == F.CPPTYPE_ENUM:
        return chance.choice([0, 1, 2, 3, 77])
    return chance.choice(["", "x", "é" * 50])


def mutate(message: Message, chance: random.Random) -> None:
    """Change a few fields of a message, at any depth."""
    for _ in range(chance.randrange(1, 4)):
        found = fields_of(message)
        owner, field = chance.choice(found) if found else (message, chance.choice(message.DESCRIPTOR.fields))
        if chance.random() < 0.2:
            field = chance.choice(owner.DESCRIPTOR.fields)
        value = getattr(owner, field.name)
        if chance.random() < 0.2:
            owner.ClearField(field.name)
        elif field.cpp_type == F.CPPTYPE_MESSAGE:
            if is_opaque(field):
                continue
            if not field.is_repeated:
                value.SetInParent()
            elif value and chance.random() < 0.7:
                value.add().CopyFrom(chance.choice(value))
            else:
                value.add()
        elif field.is_repeated:
            value.append(scalar(field, chance))
        else:
            setattr(owner, field.name, scalar(field, chance))


def seeds(client: Client) -> list[p4r.Entity]:
    """Entities that are right, of every kind."""
    names = client.names
    one_shot = names.entry("selected_t", {1: 1})
    one_shot.table_entry.action.action_profile_action_set.action_profile_actions.add(
        action=names.action("forward", 1), weight=2
    )
    by_group, by_member = names.entry("selected_t", {1: 2}), names.entry("selected_t", {1: 3})
    by_group.table_entry.action.action_profile_group_id = 1
    by_member.table_entry.action.action_profile_member_id = 1
    meter = p4r.MeterEntry(meter_id=names.id("limits"), index=p4r.Index(index=1))
    meter.config.CopyFrom(p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4))
    register = p4r.RegisterEntry(register_id=names.id("cells"), index=p4r.Index(index=1))
    register.data.bitstring = b"\1"
    values = p4r.ValueSetEntry(value_set_id=names.id("special_types"))
    values.members.add().match.add(field_id=1).exact.value = b"\x22\xf3"
    direct = p4r.DirectCounterEntry(table_entry=names.entry("exact_t", {1: 1, 2: 1}).table_entry)
    direct.data.packet_count = 3
    limit = p4r.DirectMeterEntry(table_entry=names.entry("metered_t", {1: 1}).table_entry, config=meter.config)
    return [
        names.entry(
            "exact_t", {1: 1, 2: 1}, names.action("rewrite", 1, 2), counter_data=p4r.CounterData(packet_count=1)
        ),
        names.entry("lpm_t", {1: "0x0a000000/8"}, names.action("forward", 1)),
        names.entry("mixed_t", {1: "1&3", 2: "4..9", 3: "=4", 4: 1}, names.action("forward", 1), priority=3),
        names.entry("ageing_t", {1: 1}, names.action("forward", 1), idle_timeout_ns=1, metadata=b"x"),
        names.entry("metered_t", {1: 1}, names.action("measured", 1), meter_config=meter.config),
        names.entry("exact_t", {}, names.action("forward", 1), is_default_action=True),
        names.entry("initial_t", {1: 0x3001}, names.action("forward", 1)),
        names.entry("const_t", {1: "0x1000&0xf000"}, priority=2),
        one_shot,
        by_group,
        by_member,
        member(client, 1, 5),
        members(client, 1, (1, 2)),
        counter(client, "kinds", 1, 2, 3),
        p4r.Entity(direct_counter_entry=direct),
        p4r.Entity(direct_meter_entry=limit),
        p4r.Entity(meter_entry=meter),
        p4r.Entity(register_entry=register),
        p4r.Entity(value_set_entry=values),
        group(1, (1, 1)),
        session(1, (1, 1)),
        enable(client, max_list_size=1),
        p4r.Entity(extern_entry=p4r.ExternEntry(extern_id=1)),
    ]


def count(rounds: int) -> None:
    """For whoever adds up cases."""
    if "FUZZ_COUNT" in os.environ:
        with open(os.environ["FUZZ_COUNT"], "a", encoding="ascii") as file:
            file.write(f"{rounds}\n")


async def test_mutated_writes_and_reads_get_an_answer(client: Client, switch: Switch) -> None:
    chance = random.Random(SEED)
    valid = seeds(client)
    deadline, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline or rounds < 50:
        rounds += 1
        entities = []
        for _ in range(chance.randrange(1, 8)):
            entity = p4r.Entity()
            entity.CopyFrom(chance.choice(valid))
            if chance.random() < 0.8:
                mutate(entity, chance)
            entities.append(entity)
        request = p4r.WriteRequest(device_id=1, election_id=p4r.Uint128(low=1))
        for entity in entities:
            request.updates.add(type=chance.choice((1, 1, 2, 3)), entity=entity)
        for method, ask in (("Write", client.call("Write", request)), ("Read", client.read(*entities))):
            try:
                await ask
            except Refused as refused:
                assert "Unexpected" not in refused.text, (method, SEED, rounds, refused, entities)
                assert refused.code in ("UNKNOWN", "UNIMPLEMENTED"), (method, SEED, rounds, refused)
                assert refused.code == "UNIMPLEMENTED" or len(refused.codes) == len(entities), (refused, entities)
                assert 13 not in refused.codes and 2 not in refused.codes, (SEED, rounds, refused.texts, entities)
        switch.plane.packet(chance.randrange(512), frame(narrow=1, nibble=chance.randrange(16), number=0x3001))
        switch.plane.sent.clear()
    count(2 * rounds)
    assert await client.codes(p4r.Update.MODIFY, counter(client, "kinds", 1, 2, 3)) == [0]


async def test_mutated_stream_messages_and_whole_requests_get_an_answer(client: Client, switch: Switch) -> None:
    chance = random.Random(SEED)
    acknowledge = p4r.StreamMessageRequest(digest_ack=p4r.DigestListAck(digest_id=client.names.id("sample_t")))
    await client.insert(enable(client, max_list_size=1))
    deadline, rounds = time.monotonic() + SECONDS / 3, 0
    while time.monotonic() < deadline or rounds < 30:
        rounds += 1
        for message in (packet_out(3), packet_out(0, kind=1), packet_out(5, kind=3, arg=rounds), acknowledge):
            changed = p4r.StreamMessageRequest()
            changed.CopyFrom(message)
            mutate(changed, chance)
            if changed.WhichOneof("update") != "arbitration":
                await client.send(changed)
        config = p4r.SetForwardingPipelineConfigRequest(
            device_id=1, election_id=p4r.Uint128(low=1), action=1, config=switch.program.config
        )
        mutate(config, chance)
        config.action = 1
        for method, whole in (
            ("SetForwardingPipelineConfig", config),
            ("GetForwardingPipelineConfig", p4r.GetForwardingPipelineConfigRequest(device_id=1)),
            ("Capabilities", p4r.CapabilitiesRequest(device_id=1)),
            ("Write", p4r.WriteRequest(device_id=1, election_id=p4r.Uint128(low=1))),
        ):
            if method != "SetForwardingPipelineConfig":
                mutate(whole, chance)
            try:
                await client.call(method, whole)
            except Refused as refused:
                assert refused.code in (
                    "INVALID_ARGUMENT",
                    "NOT_FOUND",
                    "PERMISSION_DENIED",
                    "UNIMPLEMENTED",
                    "UNKNOWN",
                )
                assert "Unexpected" not in refused.text, (method, SEED, rounds, refused, whole)
    count(8 * rounds)
    await client.send(packet_out(0, kind=1, payload=to_bytes(1 << 200)))
    async with asyncio.Lock():
        while True:
            message = await asyncio.wait_for(client.stream.read(), 30)
            if message.packet.payload[6:] == to_bytes(1 << 200)[6:]:
                break


async def test_bytes_that_are_no_message_get_an_error(client: Client, switch: Switch) -> None:
    chance = random.Random(SEED)
    right = p4r.WriteRequest(device_id=1, election_id=p4r.Uint128(low=1))
    for entity in seeds(client):
        right.updates.add(type=p4r.Update.INSERT, entity=entity)
    methods = ("Write", "Read", "SetForwardingPipelineConfig", "GetForwardingPipelineConfig", "Capabilities")
    deadline, rounds = time.monotonic() + SECONDS / 3, 0
    async with grpc.aio.insecure_channel(switch.address) as channel:
        while time.monotonic() < deadline or rounds < 20:
            rounds += 1
            data = bytearray(right.SerializeToString())
            for _ in range(chance.choice((1, 2, 5, 30))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            method = chance.choice(methods)
            call = (channel.unary_stream if method == "Read" else channel.unary_unary)(f"/p4.v1.P4Runtime/{method}")
            try:
                answer = call(bytes(data[: chance.randrange(len(data) + 1)]), timeout=WAIT_S)
                if method == "Read":
                    async for _ in answer:
                        pass
                else:
                    await answer
            except grpc.aio.AioRpcError as error:
                # What is no message, grpc answers itself: the server never sees it.
                refused = "DecodeError" in (error.details() or "")
                assert refused or "Unexpected" not in (error.details() or ""), (method, SEED, rounds, error)
                assert error.code().name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), (method, SEED, rounds, error)
    count(rounds)
    assert await client.codes(p4r.Update.MODIFY, counter(client, "kinds", 1, 2, 3)) == [0]
