"""Records of packets that took a way before, recognised without looking into each.

What a program has decided (conditions, entries, actions, narrow fields of its own) makes a key: the records without
what differs from packet to packet. For a key there are plans of what changes where, and from where a new value comes.
A packet for which all of a plan holds took the plan's way; any other is looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    mask: int
    plans: dict[tuple[object, int], list[Plan]] = field(default_factory=dict)


class Remembered:
    """Plans by what records look like. ``checked``: a state's bits that plans speak of; ``kept``: those of keys."""

    MOST_PLANS = 8

    def __init__(self, size: int, kept: int, checked: int, fields: Mapping[int, tuple[int, int]]) -> None:
        """``size``: of a state, in bytes; ``fields``: offset and size by a field's number."""
        self._size = size
        self._kept = kept.to_bytes(size, "little")
        self._checked = checked
        self._fields = fields
        self._layouts: dict[int, list[_Layout]] = {}

    def find(self, records: bytes, owner: object, bits: Known, checksum: Any) -> tuple[Plan, list[Any]] | None:
        """The plan that holds, and the hop's values."""
        layouts = self._layouts.get(len(records))
        if layouts is None:
            return None
        whole = int.from_bytes(records, "little")
        for layout in layouts:
            for plan in layout.plans.get((owner, whole & layout.mask), ()):
                values = self._holds(plan, records, bits, checksum)
                if values is not None:
                    return plan, values
        return None

    def _holds(self, plan: Plan, records: bytes, bits: Known, checksum: Any) -> list[Any] | None:
        values: list[Any] = []
        before, before_at = bytes(self._size), -1
        size, checked, number = self._size, self._checked, int.from_bytes
        for look in plan.looks:
            at = look.at
            now = records[at : at + size]
            changed = 0 if now == before else (number(before, "little") ^ number(now, "little")) & checked
            if changed:
                changed &= ~look.free
                for item in look.items:
                    if not changed & item.bits:
                        return None
                    changed &= ~item.bits
                    start = at + item.offset
                    value = number(records[start : start + item.size], "little")
                    if item.source is None:
                        values.append(exact(value))
                    elif not self._comes_from(item.source, value, records, before_at, at, bits, checksum):
                        return None
                if changed:
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
        mask = bytearray(b"\xff" * len(records))
        for start, end in frames:
            mask[start:end] = bytes(end - start)
        for look in plan.looks:
            mask[look.at : look.at + self._size] = self._kept
        whole = int.from_bytes(mask, "little")
        layouts = self._layouts.setdefault(len(records), [])
        layout = next((one for one in layouts if one.mask == whole), None)
        if layout is None:
            layout = _Layout(whole)
            layouts.append(layout)
        plans = layout.plans.setdefault((owner, int.from_bytes(records, "little") & whole), [])
        plans.append(plan)
        del plans[: -self.MOST_PLANS]
