"""Types that clients see with another width than the data plane: specification, "PSA Metadata Translation"."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4i, p4r

from p4switch.p4runtime.errors import Code, RequestError
from p4switch.p4runtime.fit import fit
from p4switch.p4runtime.p4info import read_schema
from p4switch.program_json import parse_program
from tests.p4switch.client import INSERT, Client, Refused, read_p4info, to_bytes
from tests.p4switch.conftest import HERE, Program, Switch, compile_program

INVALID, RANGE = 3, 11
FRAME = bytes(12) + b"\x08\x00payload"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return compile_program(HERE / "translated.p4", tmp_path_factory.mktemp("translated"))


def entry(client: Client, match: dict[int, Any], action: p4r.Action | None = None, **more: Any) -> p4r.Entity:
    return client.names.entry("matched_t", match, action, priority=1, **more)


async def test_one_value_can_be_matched_in_every_way(client: Client, switch: Switch) -> None:
    """What is whole in the client's 32 bits is whole in the data plane's 9, and comes back as it was written."""
    forward = client.names.action("forward", 300)
    whole = entry(client, {1: 5, 2: "5&0xffffffff", 3: "5..5", 4: "=5"}, forward)
    open_ = entry(client, {1: 6}, forward)
    prefix = client.names.entry("prefix_t", {1: "7/32"}, client.names.action("forward", 200))
    await client.insert(whole, open_, prefix)
    assert await client.read(client.names.entry("matched_t")) == [whole, open_]
    assert await client.read(client.names.entry("prefix_t")) == [prefix]
    for port in (5, 6, 7, 8):
        switch.plane.packet(port, FRAME)
    assert [port for port, _ in switch.plane.sent] == [300, 300, 200, 0]
    await client.delete(whole, open_, prefix)


async def test_parts_of_a_value_and_values_without_a_counterpart_are_refused(client: Client) -> None:
    names, forward = client.names, client.names.action("forward", 1)
    cases = [
        (entry(client, {1: 5, 2: "1&1"}, forward), INVALID, "with a mask of 0xffffffff, or leave it out"),
        (entry(client, {1: 5, 3: "1..2"}, forward), INVALID, "with a range of one value"),
        (names.entry("prefix_t", {1: "0x80000000/1"}, forward), INVALID, "with a prefix length of 32"),
        (entry(client, {1: 512}, forward), INVALID, "0x200 does not fit 9 bits"),
        (entry(client, {1: 5, 2: "512&0xffffffff"}, forward), INVALID, "0x200 does not fit 9 bits"),
        (names.entry("prefix_t", {1: "512/32"}, forward), INVALID, "0x200 does not fit 9 bits"),
        (entry(client, {1: 5}, names.action("forward", 512)), INVALID, "0x200 does not fit 9 bits"),
        (entry(client, {1: 1 << 32}, forward), RANGE, "does not fit in 32 bits"),
    ]
    with pytest.raises(Refused) as refused:
        await client.insert(*(one for one, _, _ in cases))
    for (_, code, text), seen, message in zip(cases, refused.value.codes, refused.value.texts, strict=True):
        assert (seen, text in message) == (code, True), message
    assert await client.read(names.entry("matched_t"), names.entry("prefix_t")) == []


async def test_an_enum_without_a_width_is_a_number(client: Client, switch: Switch) -> None:
    """The P4Info gives its name only; it was a field of 0 bits, which no value fits."""
    paint = client.names.entry("prefix_t", {1: "7/32"}, client.names.action("paint", 2))
    await client.insert(paint)
    assert await client.read(client.names.entry("prefix_t")) == [paint]
    switch.plane.packet(7, FRAME)
    assert switch.plane.sent[-1][1][12:14] == b"\0\xb1"


async def test_controller_headers_have_the_program_s_layout(client: Client, switch: Switch) -> None:
    """9 bits for a port that clients see with 32, and what is @hidden from them stands between."""
    message = p4r.PacketOut(payload=FRAME)
    message.metadata.add(metadata_id=1, value=to_bytes(300))
    message.metadata.add(metadata_id=3, value=to_bytes(0xEF))
    await client.send(p4r.StreamMessageRequest(packet=message))
    await client.insert(entry(client, {1: 9}, client.names.action("to_controller")))
    assert [(port, frame[12:14]) for port, frame in switch.plane.sent] == [(300, b"\0\xef")]
    switch.plane.packet(9, FRAME)
    packet = await client.receive("packet")
    assert packet.payload == FRAME
    assert [(one.metadata_id, one.value) for one in packet.metadata] == [(1, b"\x55"), (2, b"\x09"), (3, b"\xcd")]
    for value, code in ((512, INVALID), (1 << 32, RANGE)):
        message.metadata[0].value = to_bytes(value)
        await client.send(p4r.StreamMessageRequest(packet=message))
        assert (await client.receive("error")).canonical_code == code


async def test_cells_and_digests_of_translated_types(client: Client, switch: Switch) -> None:
    digest = p4r.DigestEntry(digest_id=client.names.id("seen_t"))
    digest.config.max_list_size = 1
    await client.insert(p4r.Entity(digest_entry=digest))
    switch.plane.packet(300, FRAME)
    seen = (await client.receive("digest")).data[0].struct.members
    assert [one.bitstring for one in seen] == [to_bytes(300), b"\0"]
    cell = p4r.RegisterEntry(register_id=client.names.id("last_port"), index=p4r.Index(index=0))
    (held,) = await client.read(p4r.Entity(register_entry=cell))
    assert held.register_entry.data.bitstring == to_bytes(300)
    for value, code in ((511, 0), (512, INVALID), (1 << 32, RANGE)):
        cell.data.bitstring = to_bytes(value)
        assert await client.codes(p4r.Update.MODIFY, p4r.Entity(register_entry=cell)) == [code]


async def test_a_type_that_is_exchanged_as_strings_is_refused_at_the_push(
    client: Client, switch: Switch, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "p4compiler", str(HERE / "translated.p4"), "-D", "PORT_TYPE=string"]
    subprocess.run([*command, "-o", str(tmp_path)], check=True, stdout=subprocess.DEVNULL)
    strings = Program(tmp_path / "translated.json", tmp_path / "translated.p4info.txtpb")
    running = switch.plane.pipeline
    with pytest.raises(Refused, match=r"UNIMPLEMENTED: .*port_t are exchanged as strings.*'lab/port'.*bit<W>"):
        await client.push(strings.config)
    assert switch.plane.pipeline is running
    assert await client.codes(INSERT, entry(client, {1: 5}, client.names.action("forward", 1))) == [0]


def schema_of(program: Program, change: Any = None) -> tuple[Any, Any]:
    """The P4Info as it is and a program whose JSON was changed."""
    content = json.loads(program.json.read_text())
    if change is not None:
        change(content)
    return read_schema(read_p4info(program.p4info)), parse_program(content)


def header_type(content: dict[str, Any], name: str) -> Any:
    return next(one for one in content["header_types"] if one["name"] == name)


def test_a_header_whose_layout_cannot_be_told_is_refused(program: Program) -> None:
    fields = fit(*schema_of(program)).packet_out
    assert [(field.id, field.data_width) for field in fields] == [(1, 9), (0, 7), (3, 16)]

    def rename(content: dict[str, Any]) -> None:
        header_type(content, "packet_out_t")["fields"][0][0] = "elsewhere"

    with pytest.raises(
        RequestError, match="has no header with the fields of packet_out, egress_port, kind"
    ) as refused:
        fit(*schema_of(program, rename))
    assert refused.value.code == Code.INVALID_ARGUMENT

    def another(content: dict[str, Any]) -> None:
        twin = json.loads(json.dumps(header_type(content, "packet_in_t")))
        twin["fields"][1][1], twin["fields"][2][1] = 17, 8
        content["header_types"].append({**twin, "name": "other_t", "id": 99})

    with pytest.raises(RequestError, match="several headers that differ in width with the fields of packet_in"):
        fit(*schema_of(program, another))


def test_parameters_that_only_one_of_the_two_has_are_refused(program: Program) -> None:
    info = read_p4info(program.p4info)
    forward = next(action for action in info.actions if action.preamble.alias == "forward")
    forward.params.append(p4i.Action.Param(id=2, name="more", bitwidth=8))
    with pytest.raises(
        RequestError, match=r"ingress\.forward has 1 parameters in the p4_device_config, 2 in the P4I"
    ):
        fit(read_schema(info), schema_of(program)[1])
