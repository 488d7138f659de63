"""What is remembered of packets: a plan is found for those that took its way, and says of them what is there."""

from __future__ import annotations

import struct
from typing import Any

from p4switch.codegen.trace import FIELD
from p4switch.pipeline.records import RecordKind
from p4switch.trace.events import Kind, Place
from web.remembered import Cut, Item, Plan, Remembered

NARROW, ONE, OTHER = 0, 1, 2
"""Fields, by their numbers; the first says what the program has decided."""
FIELDS = [Place(f"f{number}", 64 + 8 * number, 64, FIELD) for number in range(3)]


class Nothing:
    """Numbers that need not be told: none."""

    def __init__(self) -> None:
        self.known: dict[int, str] = {}
        self.registers: dict[int, str] = {}


def record(kind: Kind, changes: dict[int, int], frame: bytes = b"") -> bytes:
    body = struct.pack("=QQ", 1, 0) + frame
    body += b"".join(struct.pack("=QQ", FIELDS[number].offset // 8, value) for number, value in changes.items())
    padding = bytes(-len(body) % 8)
    return struct.pack("=IIII", RecordKind.TRACED, kind, len(body), 0) + body + padding


def cut(*changes: dict[int, int], frame: bytes = b"") -> Cut:
    begin = record(Kind.BEGIN, {}, frame)
    return Cut(begin + b"".join(record(Kind.ACTION, one) for one in changes) + record(Kind.END, {}))


def remembered() -> Remembered:
    return Remembered({FIELDS[NARROW].offset // 8}, FIELDS, sum, ())


def found(what: Remembered, cut: Cut) -> tuple[int, list[Any]] | None:
    plan = what.find(cut, "owner", Nothing())
    return None if plan is None else (plan[0].way, plan[1])


def test_values_are_those_of_the_packet_and_not_of_the_one_before() -> None:
    what = remembered()
    what.keep(cut({NARROW: 1, ONE: 5}), "owner", Plan(7, 0, ((Item(ONE, None),),)))
    assert found(what, cut({NARROW: 1, ONE: 5})) == (7, [5])
    assert found(what, cut({NARROW: 1, ONE: 6}, frame=b"longer")) == (7, [6])
    assert found(what, cut({NARROW: 2, ONE: 6})) is None
    assert what.find(cut({NARROW: 1, ONE: 5}), "another", Nothing()) is None


def test_a_value_is_where_it_is_said_to_come_from() -> None:
    what = remembered()
    copied = ((Item(ONE, None),), (Item(OTHER, (ONE,)),))
    what.keep(cut({ONE: 5}, {OTHER: 5}), "owner", Plan(7, 0, copied))
    assert found(what, cut({ONE: 6}, {OTHER: 6})) == (7, [6])
    assert found(what, cut({ONE: 6}, {OTHER: 5})) is None
    what.keep(cut({ONE: 6}, {OTHER: 5}), "owner", Plan(8, 0, ((Item(ONE, None),), (Item(OTHER, None),))))
    assert found(what, cut({ONE: 6}, {OTHER: 5})) == (8, [6, 5])


def test_records_of_one_shape_may_tell_of_different_words() -> None:
    what = remembered()
    what.keep(cut({NARROW: 1, ONE: 5}), "owner", Plan(7, 0, ((Item(ONE, None),),)))
    what.keep(cut({ONE: 5, OTHER: 6}), "owner", Plan(8, 0, ((Item(ONE, None), Item(OTHER, None)),)))
    what.keep(cut({OTHER: 6, NARROW: 1}), "owner", Plan(9, 0, ((Item(OTHER, None),),)))
    assert found(what, cut({NARROW: 1, ONE: 15})) == (7, [15])
    assert found(what, cut({ONE: 15, OTHER: 16})) == (8, [15, 16])
    assert found(what, cut({OTHER: 16, NARROW: 1})) == (9, [16])
    assert found(what, cut({OTHER: 16, NARROW: 2})) is None


def test_it_does_not_grow_for_ever() -> None:
    """Each change of a switch's entries makes another owner."""
    what = remembered()
    seen = cut({NARROW: 1, ONE: 5})
    for owner in range(3 * Remembered.MOST):
        what.keep(seen, owner, Plan(owner, 0, ((Item(ONE, None),),)))
    known = [owner for owner in range(3 * Remembered.MOST) if what.find(seen, owner, Nothing()) is not None]
    assert known == list(range(2 * Remembered.MOST, 3 * Remembered.MOST))
