"""Byte strings, P4Data, controller headers, digest lists: the parts of the server that need no server."""

from __future__ import annotations

import pytest
from finsy.proto import p4d, p4r, p4t
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from p4switch.p4runtime.digests import DigestList, DigestQueue
from p4switch.p4runtime.errors import Code, RequestError, batch_status
from p4switch.p4runtime.p4info import Digest, Field
from p4switch.p4runtime.packetio import ControllerHeader
from p4switch.p4runtime.values import data_width, decode, decode_data, encode, encode_data

SPEC = """
struct { name: "s" }
"""
TYPES = """
structs { key: "s" value {
  members { name: "a" type_spec { bitstring { bit { bitwidth: 12 } } } }
  members { name: "b" type_spec { bitstring { int { bitwidth: 12 } } } }
  members { name: "c" type_spec { bool {} } }
  members { name: "d" type_spec { tuple { members { bitstring { bit { bitwidth: 128 } } } } } }
  members { name: "e" type_spec { serializable_enum { name: "e" } } }
  members { name: "f" type_spec { new_type { name: "port" } } }
} }
serializable_enums { key: "e" value { underlying_type { bitwidth: 8 } } }
new_types { key: "port" value { translated_type { sdn_bitwidth: 32 } } }
"""


# The specification's tables of valid and invalid byte strings.
@pytest.mark.parametrize(
    ("width", "data", "number"),
    [(8, b"\x63", 99), (16, b"\0\x63", 99), (12, b"\0\0\x63", 99), (16, b"\0\x30\x64", 12388)],
)
def test_valid_byte_strings(width: int, data: bytes, number: int) -> None:
    assert decode(data, width, "x") == number
    assert encode(number) == data.lstrip(b"\0")


@pytest.mark.parametrize(
    ("width", "data"),
    [(8, b"\x01\x63"), (8, b""), (16, b"\x01\0\x63"), (12, b"\x10\x63"), (12, b"\x01\0\x63"), (12, b"\0\x40\x63")],
)
def test_invalid_byte_strings_are_refused(width: int, data: bytes) -> None:
    with pytest.raises(RequestError) as error:
        decode(data, width, "x")
    assert error.value.code == Code.OUT_OF_RANGE


def test_signed_numbers_use_the_shortest_two_s_complement() -> None:
    spec = text_format.Parse("bitstring { int { bitwidth: 12 } }", p4t.P4DataTypeSpec())
    info = p4t.P4TypeInfo()
    for number, data in (
        (-739, b"\xfd\x1d"),
        (0, b"\0"),
        (-1, b"\xff"),
        (127, b"\x7f"),
        (128, b"\0\x80"),
        (-128, b"\x80"),
    ):
        bits = number & 0xFFF
        assert encode_data(spec, info, iter([bits])).bitstring == data
        assert decode_data(spec, info, p4d.P4Data(bitstring=b"\xff" * 2 * (number < 0) + data), "x") == [bits]
    for data in (b"", b"\x8d\x1d", b"\x08\0"):
        with pytest.raises(RequestError):
            decode_data(spec, info, p4d.P4Data(bitstring=data), "x")


@given(st.data())
def test_data_of_any_type_survives_the_way_there_and_back(data: st.DataObject) -> None:
    spec = text_format.Parse(SPEC, p4t.P4DataTypeSpec())
    info = text_format.Parse(TYPES, p4t.P4TypeInfo())
    widths = data_width(spec, info)
    assert widths == [12, 12, 1, 128, 8, 0], "how wide a translated type is, only the program knows"
    fields = [data.draw(st.integers(0, (1 << (width or 32)) - 1)) for width in widths]
    assert decode_data(spec, info, encode_data(spec, info, iter(fields)), "x") == fields


def test_a_controller_header_is_packed_bit_by_bit() -> None:
    header = ControllerHeader([Field(1, "port", 9), Field(2, "pad", 7, padding=True), Field(3, "arg", 12)])
    assert header.size == 4
    message = p4r.PacketOut(payload=b"frame")
    message.metadata.add(metadata_id=3, value=b"\x0a\xbc")
    message.metadata.add(metadata_id=1, value=b"\x01\xfe")
    frame = header.frame(message)
    assert frame == bytes([0xFF, 0x00, 0xAB, 0xC0]) + b"frame"
    back = header.message(frame)
    assert back is not None and back.payload == b"frame"
    assert [(one.metadata_id, one.value) for one in back.metadata] == [(1, b"\x01\xfe"), (2, b"\0"), (3, b"\x0a\xbc")]
    assert header.message(b"abc") is None


@pytest.mark.parametrize(
    "metadata", [[], [(1, b"\x02\x00"), (3, b"\x01")], [(1, b""), (3, b"\1")], [(1, b"\1"), (1, b"\1")], [(9, b"\1")]]
)
def test_metadata_that_do_not_fit_the_header_are_refused(metadata: list[tuple[int, bytes]]) -> None:
    header = ControllerHeader([Field(1, "port", 9), Field(2, "pad", 7, padding=True), Field(3, "arg", 12)])
    message = p4r.PacketOut()
    for id, value in metadata:
        message.metadata.add(metadata_id=id, value=value)
    with pytest.raises(RequestError):
        header.frame(message)


def queue(**config: int) -> DigestQueue:
    made = DigestQueue(Digest(1, "d"))
    made.write(p4r.Update.INSERT, p4r.DigestEntry(digest_id=1, config=p4r.DigestEntry.Config(**config)))
    return made


def messages(ready: DigestList | None) -> list[int] | None:
    return None if ready is None else [message[0] for message in ready.messages]


def test_a_digest_list_leaves_when_it_is_full_or_old_enough() -> None:
    learning = queue(max_timeout_ns=100, max_list_size=3)
    assert learning.deadline() is None
    assert [messages(learning.learn((n,), 10 + n)) for n in (1, 2)] == [None, None]
    assert learning.deadline() == 111
    assert messages(learning.learn((2,), 50)) is None
    assert messages(learning.due(110)) is None
    assert messages(learning.due(111)) == [1, 2]
    assert learning.due(300) is None
    assert [messages(learning.learn((n,), 400)) for n in (1, 2, 3)] == [None, None, [1, 2, 3]]


def test_without_a_timeout_or_with_lists_of_one_every_message_leaves_at_once() -> None:
    for learning in (queue(max_timeout_ns=0, max_list_size=5), queue(max_timeout_ns=100, max_list_size=1)):
        assert messages(learning.learn((1,), 0)) == [1]
        assert messages(learning.learn((1,), 0)) == [1]


def test_unacknowledged_messages_are_not_repeated_until_the_timeout() -> None:
    learning = queue(max_list_size=1, ack_timeout_ns=1000)
    first = learning.learn((1,), 0)
    assert first is not None and first.list_id == 1
    assert learning.learn((1,), 999) is None
    second = learning.learn((1,), 1000)
    assert second is not None and second.list_id == 2
    learning.acknowledge(77)
    assert learning.learn((1,), 1001) is None
    learning.acknowledge(2)
    assert messages(learning.learn((1,), 1002)) == [1]


def test_a_digest_that_is_not_enabled_tells_nothing() -> None:
    idle = DigestQueue(Digest(1, "d"))
    assert idle.learn((1,), 0) is None and idle.deadline() is None
    with pytest.raises(RequestError) as error:
        idle.write(p4r.Update.MODIFY, p4r.DigestEntry(digest_id=1))
    assert error.value.code == Code.NOT_FOUND
    learning = queue(max_timeout_ns=100, max_list_size=9)
    learning.learn((1,), 0)
    learning.write(p4r.Update.DELETE, p4r.DigestEntry(digest_id=1))
    assert learning.due(1000) is None


def test_a_long_batch_s_status_stays_within_what_clients_take() -> None:
    status = batch_status("Write", [RequestError(Code.NOT_FOUND, "x" * 200)] * 60)
    assert len(status.SerializeToString()) < 8000
    assert len(status.details) == 60
