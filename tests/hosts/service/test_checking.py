"""Looking through bytes in steps finds what decoding them finds, in time that depends on their number alone."""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hosts.service import checking, values
from hosts.service.checking import Check, begin_all
from hosts.service.values import ValueFault
from tests.hosts.service.test_values import ANY

MERSENNE = 2**61 - 1
"""The modulus of Python's hash of a number: its multiples all have the hash 0."""


def long_list(count: int, items: bytes) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big") + items


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"\xdb" + len(data).to_bytes(4, "big") + data


def colliding_map(count: int) -> bytes:
    keys = (values.encode(MERSENNE * (number + 20)) for number in range(count))
    return b"\xdf" + count.to_bytes(4, "big") + b"".join(key + b"\x00" for key in keys)


def deep(count: int) -> object:
    """A one in so many lists."""
    value: object = 1
    for _ in range(count):
        value = [value]
    return value


def steps(data: bytes) -> int:
    """How many it takes to look through all of a value."""
    check, count = Check(data), 1
    while not check.step():
        count += 1
    return count


def verdict(data: bytes, *, decodes: bool) -> bool:
    try:
        if decodes:
            values.decode(data)
        else:
            steps(data)
    except ValueFault:
        return False
    return True


WHOLE = values.encode([1, "ä\ud800", {"k": [None, 2**80, b"x"], 1.5: -(2**70)}, ["x" * 300, b"y" * 300], {}, []])


@given(ANY)
def test_every_value_passes(value: object) -> None:
    assert steps(values.encode(value)) >= 1


@given(st.binary(max_size=60) | st.tuples(st.binary(max_size=3), st.just(WHOLE)).map(b"".join))
def test_any_bytes_fare_as_when_they_are_decoded(data: bytes) -> None:
    assert verdict(data, decodes=False) == verdict(data, decodes=True)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_value_with_another_byte_in_it_fares_as_when_it_is_decoded(at: int, byte: int) -> None:
    data = WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :]
    assert verdict(data, decodes=False) == verdict(data, decodes=True)
    assert verdict(data[:at], decodes=False) == verdict(data[:at], decodes=True)


@given(st.binary(min_size=1, max_size=40), st.integers(8, 20))
@example(b"\x80", 9)
@example(b"\xff\x80", 12)
@example(b"\x00\x7f", 12)
def test_integers_of_any_size_have_one_form(start: bytes, size: int) -> None:
    data = (start + bytes(size))[:size]
    packed = msgpack.packb(msgpack.ExtType(1, data))
    assert isinstance(packed, bytes)
    assert verdict(packed, decodes=False) == verdict(packed, decodes=True)


@given(
    st.text(alphabet=st.sampled_from("aä€😀\ud800"), min_size=1, max_size=60),
    st.integers(0, 3),
    st.binary(max_size=1),
)
def test_texts_are_cut_between_characters(piece: str, shift: int, spoilt: bytes) -> None:
    """Text of more than a step, whose steps end anywhere in a character; perhaps with a byte that is none."""
    whole = ("a" * shift + piece * (2 * checking.STEP_BYTES // len(piece) + 1)).encode("utf-8", "surrogatepass")
    at = checking.STEP_BYTES + shift
    whole = whole[:at] + spoilt + whole[at + len(spoilt) :]
    data = b"\xdb" + len(whole).to_bytes(4, "big") + whole
    assert verdict(data, decodes=False) == verdict(data, decodes=True)


@pytest.mark.parametrize("count", [1, 2, 100, 101, 102])
def test_depth(count: int) -> None:
    for data in (b"\x91" * count + b"\x01", b"\x81\xa1k" * count + b"\x01"):
        assert verdict(data, decodes=False) == verdict(data, decodes=True) == (count <= values.MAX_DEPTH)


@pytest.mark.parametrize("count", [values.MAX_CONTAINERS - 1, values.MAX_CONTAINERS])
def test_number_of_lists_and_maps(count: int) -> None:
    for unit in (b"\x90", b"\x80"):
        data = long_list(count, unit * count)
        assert verdict(data, decodes=False) == verdict(data, decodes=True) == (count < values.MAX_CONTAINERS)


MUCH: dict[str, Callable[[], bytes]] = {
    "ints": lambda: long_list(4_000_000, b"\x01" * 4_000_000),
    "texts": lambda: long_list(1_000_000, b"\xa2ab" * 1_000_000),
    "texts with lengths": lambda: long_list(100_000, b"\xd9\x00" * 100_000),
    "floats": lambda: long_list(300_000, (b"\xcb" + struct.pack(">d", 1.5)) * 300_000),
    "big ints": lambda: long_list(200_000, values.encode(2**71) * 200_000),
    "lists": lambda: long_list(199_999, b"\x91\x01" * 199_999),
    "surrogates": lambda: text("\ud800" * 500_000),
    "ascii": lambda: text("a" * 8_000_000),
    "nested": lambda: b"\x91" + long_list(2_000_000, b"\x01" * 2_000_000),
    "map": lambda: colliding_map(100_000),
}


@pytest.mark.parametrize("name", MUCH)
def test_no_step_looks_at_much(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is bounded by what it looks at, so that many are needed for much; and none makes a map."""
    monkeypatch.setattr(values, "decode", None)
    check, before = Check(MUCH[name]()), 0
    while not check.step():
        assert 0 < check._at - before <= checking.ASCII_BYTES + 64
        before = check._at


def test_bytes_are_passed_over() -> None:
    data = values.encode([bytes(1 << 20)] * 5)
    assert steps(data) <= 7
    assert steps(values.encode({"k": bytes(70_000)})) <= 3


def test_several_are_looked_through_one_after_the_other() -> None:
    checks = begin_all([values.encode("a" * 9000), values.encode(1), text("b" * 600_000)])
    assert checks is not None
    count = 1
    while not checks.step():
        count += 1
    assert count >= 4
    assert begin_all([]) is None and begin_all([values.encode("k"), values.encode(b"x" * 100_000)]) is None
    with pytest.raises(ValueFault):
        begin_all([b"\xc1"])
    bad = begin_all([text("b" * 9_000), long_list(9000, b"\x01" * 8999 + b"\xc1")])
    assert bad is not None
    with pytest.raises(ValueFault, match="begins nothing"):
        while not bad.step():
            pass


def test_a_map_of_colliding_keys_takes_as_many_steps_as_any() -> None:
    """Decoded, it takes time that grows with the square of its size."""
    hostile = colliding_map(20_000)
    keys = (values.encode(2**70 + number) for number in range(20_000))
    harmless = b"\xdf" + (20_000).to_bytes(4, "big") + b"".join(key + b"\x00" for key in keys)
    assert steps(hostile) <= steps(harmless) * len(hostile) // len(harmless) + 2


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ([[]] * values.MAX_CONTAINERS, long_list(values.MAX_CONTAINERS, b"\x90" * values.MAX_CONTAINERS)),
        (deep(values.MAX_DEPTH + 1), b"\x91" * (values.MAX_DEPTH + 1) + b"\x01"),
        ("a" * values.MAX_VALUE_BYTES, text("a" * values.MAX_VALUE_BYTES)),
        (
            bytes(values.MAX_LARGE_BYTES),
            b"\xc6" + values.MAX_LARGE_BYTES.to_bytes(4, "big") + bytes(values.MAX_LARGE_BYTES),
        ),
        ({(1, 2): 3}, b"\x81\x92\x01\x02\x03"),
    ],
    ids=["too many", "too deep", "too large", "too large bytes", "key"],
)
def test_the_client_refuses_what_nodes_refuse_in_the_same_words(value: object, data: bytes) -> None:
    with pytest.raises(ValueFault) as early:
        values.encode(value)
    with pytest.raises(ValueFault) as late:
        checking.begin(data) if len(data) > values.MAX_VALUE_BYTES else steps(data)
    assert str(early.value) == str(late.value)
