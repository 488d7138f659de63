"""Values come back exactly as they were stored, whatever their type and size."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, ItemsView

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.service import checking, values
from hosts.service.values import ValueFault

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text()
    | st.binary()
)
KEYS = st.text() | st.integers() | st.binary() | st.booleans() | st.none() | st.sampled_from(["$bytes", "$map"])
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def same(left: object, right: object) -> bool:
    """Equal in value and in type, all the way down; NaN equals itself and 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(
            same(a, b) and same(left[a], right[b]) for a, b in zip(left, right, strict=True)
        )
    return left == right


@given(ANY)
def test_round_trip(value: object) -> None:
    assert same(values.decode(values.encode(value)), value)


@given(ANY)
def test_json_round_trip(value: object) -> None:
    text = json.dumps(values.to_json(value), allow_nan=False)
    assert same(values.from_json(json.loads(text)), value)


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, -5, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**5000, -(10**5000)),
        *(3.5, -0.0, float("nan"), float("inf"), "héllo", "", "\ud800", b"\x00\xff", None, True),
        *({}, [], {"a": [1, {"b": b""}]}, {1: "int", "1": "str", b"1": "bytes"}, {"$bytes": "00"}),
        "x" * 2_000_000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_notable_values(value: object) -> None:
    assert same(values.decode(values.encode(value)), value)
    assert same(values.from_json(json.loads(json.dumps(values.to_json(value)))), value)


@given(ANY)
def test_what_is_shown_of_an_encoded_value_is_its_json(value: object) -> None:
    kind, tree = values.shown(values.encode(value))
    assert kind == values.describe_type(value)
    assert json.dumps(tree) == json.dumps(values.to_json(value))


def test_text_is_json_or_itself() -> None:
    assert values.parse_text("1") == 1 and type(values.parse_text("1")) is int
    assert same(values.parse_text("1.0"), 1.0)
    assert values.parse_text('"1"') == "1"
    assert values.parse_text("null") is None
    assert values.parse_text('{"a": [1, null]}') == {"a": [1, None]}
    assert values.parse_text("héllo") == "héllo"
    assert values.parse_text("NaN") == "NaN"
    assert values.parse_text("-") == "-"
    assert values.parse_text("1" + "0" * 6000) == 10**6000
    assert values.parse_text("-1" + "0" * 6000) == -(10**6000)
    with pytest.raises(ValueFault, match="deeper"):
        values.parse_text("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 1j, [object()], {(1, 2): 3}, msgpack.ExtType(5, b""), [msgpack.ExtType(1, b"\x01")]]
)
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(ValueFault):
        values.encode(value)


def test_too_large_and_too_deep() -> None:
    with pytest.raises(ValueFault, match="8388608"):
        values.encode("x" * (values.MAX_VALUE_BYTES + 1))
    with pytest.raises(ValueFault, match="67112960"):
        values.encode(bytes(values.MAX_LARGE_BYTES))
    large = values.encode(bytes(values.MAX_VALUE_BYTES + 1))
    assert values.decode(large) == bytes(values.MAX_VALUE_BYTES + 1)
    checking.check(memoryview(large))
    for wrong in (large[:-1], large + b"x", values.encode("x" * 9_000)[:-1], b"\xdb" + large[1:], b"\xc6\0\0"):
        with pytest.raises(ValueFault):
            checking.check(wrong)
    deep: object = 1
    for _ in range(values.MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(ValueFault, match="deeper"):
        values.encode(deep)
    with pytest.raises(ValueFault):
        values.decode(b"\x91" * 100_000 + b"\x01")
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(ValueFault):
        values.encode(deep)


def test_hostile_bytes_cost_little() -> None:
    size = values.MAX_VALUE_BYTES - 10
    for unit in (b"\x90", b"\x91\x91\x91\x00", b"\x80", b"\x92\x80\x90"):
        count = size // len(unit)
        with pytest.raises(ValueFault, match="more than 200000"):
            values.decode(b"\xdd" + count.to_bytes(4, "big") + unit * count)
    assert len(values.decode(b"\xdd" + size.to_bytes(4, "big") + bytes(size))) == size
    with pytest.raises(ValueFault, match="more than 200000"):
        values.encode([[] for _ in range(values.MAX_CONTAINERS)])
    assert values.decode(values.encode([[]] * (values.MAX_CONTAINERS - 1)))


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        value = values.decode(data)
    except ValueFault:
        return
    assert same(values.decode(values.encode(value)), value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x01\x01",
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(msgpack.Timestamp(1, 2)),
        msgpack.packb([msgpack.Timestamp(1, 2)]),
        msgpack.packb(msgpack.ExtType(1, b"\x01")),
        msgpack.packb(msgpack.ExtType(1, b"")),
        b"\x81\x90\x01",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_what_is_no_value(data: bytes) -> None:
    with pytest.raises(ValueFault):
        values.decode(data)


class Interrupted(dict[str, int]):
    """A map that, while it is encoded, lets another thread run from beginning to end."""

    def __init__(self, other: Callable[[], None]) -> None:
        super().__init__(a=1)
        self._other = other

    def items(self) -> ItemsView[str, int]:
        thread = threading.Thread(target=self._other)
        thread.start()
        thread.join()
        return super().items()


@pytest.mark.parametrize("met", ["x", 2**70, ["x", {"y": [2**70]}], object()])
def test_threads_that_encode_at_the_same_time_do_not_meet(met: object) -> None:
    encoded: list[object] = []

    def other() -> None:
        try:
            encoded.append(values.decode(values.encode(met)))
        except ValueFault:
            encoded.append("refused")

    mine = values.encode(["before", Interrupted(other), "after"])
    assert values.decode(mine) == ["before", {"a": 1}, "after"]
    assert encoded and all(one == (met if type(met) is not object else "refused") for one in encoded)
