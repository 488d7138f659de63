"""Records of packets that took a way before, recognised without looking into each.

What a program has decided (conditions, entries, actions, narrow fields of its own) makes a key: the records without
what differs from packet to packet. For a key there are plans of what changes where, and from where a new value comes.
A packet for which all of a plan holds took the plan's way; any other is looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol

from p4switch.pipeline.records import heads

LARGEST = 1 << 53
"""Numbers from here up are not exact in JavaScript, and are written as text."""


def exact(value: int) -> int | str:
    """A number as recordings write it."""
    return value if value < LARGEST else str(value)


class Known(Protocol):
    """Numbers that need not be told of a packet."""

    known: Mapping[int, str]
    registers: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Item:
    """A field that changes: its bits in a state, its place, and where its value comes from, as in a way."""

    bits: int
    offset: int
    size: int
    source: Any


@dataclass(frozen=True, slots=True)
class Look:
    """A state in the records, and what has changed since the one before. ``free``: bits that may be anything."""

    at: int
    items: tuple[Item, ...]
    free: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What packets of a way have in common. ``out``: where in the records stands what leaves the switch."""

    way: int
    reason: int
    looks: tuple[Look, ...]
    out: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Layout:
    """Where in records stand states, and slices of what else is kept. Plans by the owner and all of that."""

    states: tuple[int, ...]
    rest: Callable[[bytes], object]
    plans: dict[tuple[object, ...], list[tuple[Plan, list[Look]]]] = field(default_factory=dict)
    """With the looks at those states that differ from the ones before them."""


class Remembered:
    """Plans by what records look like. ``checked``: a state's bits that plans speak of; ``kept``: those of keys."""

    MOST_PLANS = 8

    def __init__(self, size: int, kept: int, checked: int, fields: Mapping[int, tuple[int, int]]) -> None:
        """``size``: of a state, in bytes; ``fields``: offset and size by a field's number."""
        self._size = size
        self._kept = kept
        self._checked = checked
        self._fields = fields
        self._layouts: dict[bytes, _Layout] = {}
        """By the heads of the records, which say where in them stands what."""

    def find(self, records: bytes, owner: object, bits: Known, checksum: Any) -> tuple[Plan, list[Any]] | None:
        """The plan that holds, and the hop's values."""
        layout = self._layouts.get(heads(records))
        if layout is None:
            return None
        changed = self._changed(layout, records)
        for plan, looks in layout.plans.get(self._key(layout, records, changed, owner), ()):
            values = self._holds(looks, changed, records, bits, checksum)
            if values is not None:
                return plan, values
        return None

    def _changed(self, layout: _Layout, records: bytes) -> list[tuple[int, int]]:
        """The first state, and each that differs from the one before it: where it stands, and its bits."""
        size, before, number = self._size, b"", int.from_bytes
        changed = []
        for at in layout.states:
            now = records[at : at + size]
            if now != before:
                before = now
                changed.append((at, number(now, "little")))
        return changed

    def _key(
        self, layout: _Layout, records: bytes, changed: list[tuple[int, int]], owner: object
    ) -> tuple[object, ...]:
        """What is the same in all packets of a plan."""
        kept = self._kept
        return owner, layout.rest(records), *[(at, now & kept) for at, now in changed]

    def _holds(
        self, looks: Sequence[Look], changed: list[tuple[int, int]], records: bytes, bits: Known, checksum: Any
    ) -> list[Any] | None:
        """The hop's values if what has changed in each state is what a plan says of it."""
        values: list[Any] = []
        before, before_at, checked = 0, -1, self._checked
        for look, (at, now) in zip(looks, changed, strict=True):
            differs = (before ^ now) & checked
            if differs:
                differs &= ~look.free
                for item in look.items:
                    if not differs & item.bits:
                        return None
                    differs &= ~item.bits
                    start = at + item.offset
                    value = int.from_bytes(records[start : start + item.size], "little")
                    if item.source is None:
                        values.append(exact(value))
                    elif not self._comes_from(item.source, value, records, before_at, at, bits, checksum):
                        return None
                if differs:
                    return None
            elif look.items:
                return None
            before, before_at = now, at
        return values

    def _comes_from(
        self, source: Any, value: int, records: bytes, before_at: int, at: int, bits: Known, checksum: Any
    ) -> bool:
        if isinstance(source, tuple):
            if before_at < 0:
                return False
            offset, size = self._fields[source[0]]
            start = before_at + offset
            return int.from_bytes(records[start : start + size], "little") == value
        if source == "checksum":
            return bool(checksum(records[at : at + self._size]) == value)
        if isinstance(source, str) and not source.isdigit():
            return source in (bits.known.get(value), bits.registers.get(value))
        return bool(exact(value) == source)

    def keep(self, records: bytes, owner: object, plan: Plan, frames: Iterable[tuple[int, int]]) -> None:
        """Remember a plan. ``frames``: what else in the records differs from packet to packet."""
        structure = heads(records)
        layout = self._layouts.get(structure)
        if layout is None:
            states = tuple(look.at for look in plan.looks)
            gaps = sorted([*frames, *((at, at + self._size) for at in states)])
            starts, ends = [0, *(end for _, end in gaps)], [*(start for start, _ in gaps), len(records)]
            rest = [slice(start, end) for start, end in zip(starts, ends, strict=True) if start < end]
            layout = self._layouts[structure] = _Layout(states, itemgetter(*rest))
        changed = self._changed(layout, records)
        looks = {look.at: look for look in plan.looks}
        plans = layout.plans.setdefault(self._key(layout, records, changed, owner), [])
        plans.append((plan, [looks[at] for at, _ in changed]))
        del plans[: -self.MOST_PLANS]
