"""Records of packets that took a way before, recognised without looking into each.

What a program has decided (conditions, entries, actions, narrow fields of its own) makes a key: the records without
what differs from packet to packet. For a key there are plans of what changes where, and from where a new value comes.
A packet for which all of a plan holds took the plan's way; any other is looked into.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from p4switch.pipeline.records import HEAD_BYTES, RecordKind, padded, places
from p4switch.trace.events import HAS_NO_FIELDS, Kind, Place

LARGEST = 1 << 53
"""Numbers from here up are not exact in JavaScript, and are written as text."""
_BODY = struct.Struct("=QQ")
"""An event's number, and how many words follow."""
_WORD = struct.Struct("=Q")
_FRAMES = frozenset((Kind.BEGIN, Kind.SENT))


def exact(value: int) -> int | str:
    """A number as recordings write it."""
    return value if value < LARGEST else str(value)


class Known(Protocol):
    """Numbers that need not be told of a packet."""

    known: Mapping[int, str]
    registers: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Item:
    """A field that changes, by its number, and where its value comes from, as in a way."""

    field: int
    source: Any


@dataclass(frozen=True, slots=True)
class Plan:
    """What packets of a way have in common. ``changes``: for each event that tells of changes, which it tells."""

    way: int
    reason: int
    changes: tuple[tuple[Item, ...], ...]


class Cut:
    """Records without what differs in size from packet to packet: frames, digests and the time."""

    __slots__ = ("out", "rest", "shape")

    def __init__(self, records: bytes) -> None:
        shape: list[bytes] = []
        pieces: list[bytes] = []
        self.out: list[tuple[int, int]] = []
        """Where in the records stands what leaves the switch."""
        start = 0
        for kind, which, at, size in places(records):
            if kind == RecordKind.TRACED and which not in _FRAMES:
                shape.append(records[at : at + 12])
            else:
                shape.append(records[at : at + 8])
                pieces.append(records[start:at])
                start = at + HEAD_BYTES + padded(size)
                if kind == RecordKind.TRACED:
                    pieces.append(records[at + HEAD_BYTES : at + HEAD_BYTES + 8])
                else:
                    self.out.append((at, start))
        pieces.append(records[start:])
        self.shape = b"".join(shape)
        """Which records these are, and how large: says where in ``rest`` stands what."""
        self.rest = b"".join(pieces)


_Read = Callable[[Sequence[Any]], int]
_Check = tuple[_Read, Any, _Read | None]
"""A field's value, where that comes from, and the value that it then is."""


@dataclass(slots=True)
class _Layout:
    """Where in what is left of records stands what may differ; plans by the owner and by what may not."""

    words: tuple[tuple[tuple[int, int], ...], ...]
    """For each event that tells of changes: the words that it tells, and where."""
    told: struct.Struct
    """Unpacks what is the same, and what may differ, by turns."""
    places: list[dict[int, int]]
    """For each event that tells of changes: of words that may differ, which of the unpacked."""
    plans: dict[tuple[object, ...], list[tuple[Plan, list[_Check]]]] = field(default_factory=dict)


class Remembered:
    """Plans by what records look like."""

    MOST_PLANS = 8
    """Of one key."""
    MOST = 4000
    """Of all, some 5 KB each: then all are forgotten, those of entries that are no more among them."""

    def __init__(
        self,
        kept: Collection[int],
        fields: Sequence[Place],
        checksum: Callable[[Sequence[int]], int],
        of: Sequence[Place],
    ) -> None:
        """``kept``: the words that are part of keys; ``checksum``: what it ought to be, by the values of ``of``."""
        self._kept = kept
        self._fields = fields
        self._checksum = checksum
        self._checksum_of = of
        self._layouts: dict[bytes, list[_Layout]] = {}
        """By shapes; those of one shape tell of different words, which are part of the keys."""
        self._kept_plans = 0

    def find(self, cut: Cut, owner: object, bits: Known) -> tuple[Plan, list[Any]] | None:
        """The plan that holds, and the hop's values."""
        for layout in self._layouts.get(cut.shape, ()):
            told = layout.told.unpack(cut.rest)
            for plan, checks in layout.plans.get((owner, told[::2]), ()):
                values = _values(checks, told, bits)
                if values is not None:
                    return plan, values
        return None

    def keep(self, cut: Cut, owner: object, plan: Plan) -> None:
        """Remember a plan."""
        if self._kept_plans >= self.MOST:
            self._layouts.clear()
            self._kept_plans = 0
        self._kept_plans += 1
        words = tuple(_changes(cut))
        layouts = self._layouts.setdefault(cut.shape, [])
        layout = next((one for one in layouts if one.words == words), None)
        if layout is None:
            layout = self._layout(cut, words)
            layouts.append(layout)
        plans = layout.plans.setdefault((owner, layout.told.unpack(cut.rest)[::2]), [])
        plans.append((plan, self._checks(layout, plan)))
        del plans[: -self.MOST_PLANS]

    def _layout(self, cut: Cut, words: tuple[tuple[tuple[int, int], ...], ...]) -> _Layout:
        form, after, places, count = "=", 0, [], 0
        for event in words:
            place: dict[int, int] = {}
            for word, at in event:
                if word not in self._kept:
                    form += f"{at - after}sQ"
                    after = at + 8
                    place[word] = 2 * count + 1
                    count += 1
            places.append(place)
        return _Layout(words, struct.Struct(f"{form}{len(cut.rest) - after}s"), places)

    def _checks(self, layout: _Layout, plan: Plan) -> list[_Check]:
        checks: list[_Check] = []
        before: dict[int, int] = {}
        for place, items in zip(layout.places, plan.changes, strict=True):
            now = before | place
            for item in items:
                other: _Read | None = None
                if isinstance(item.source, tuple):
                    other = self._reader(self._fields[item.source[0]], before)
                elif item.source == "checksum":
                    other = self._checksum_reader(now)
                checks.append((self._reader(self._fields[item.field], now), item.source, other))
            before = now
        return checks

    @staticmethod
    def _reader(field: Place, told: Mapping[int, int]) -> _Read:
        """Of a field, where its words were told at these places; of what was not told, zero."""
        first, last = field.offset // 8, (field.offset + field.size - 1) // 8
        places = [(64 * (word - first), told[word]) for word in range(first, last + 1) if word in told]
        if field.size == 8 and [shift for shift, _ in places] == [0]:
            (_, only) = places[0]
            return lambda unpacked: int(unpacked[only])
        skipped, mask = 8 * (field.offset % 8), (1 << 8 * field.size) - 1
        return lambda unpacked: sum(unpacked[place] << shift for shift, place in places) >> skipped & mask

    def _checksum_reader(self, told: Mapping[int, int]) -> _Read:
        readers = [self._reader(field, told) for field in self._checksum_of]
        return lambda unpacked: self._checksum([reader(unpacked) for reader in readers])


def _values(checks: Sequence[_Check], told: Sequence[Any], bits: Known) -> list[Any] | None:
    """The hop's values if what has changed is what a plan says of it."""
    values: list[Any] = []
    for read, source, other in checks:
        value = read(told)
        if other is not None:
            if other(told) != value:
                return None
        elif source is None:
            values.append(exact(value))
        elif isinstance(source, str) and not source.isdigit():
            if source not in (bits.known.get(value), bits.registers.get(value)):
                return None
        elif exact(value) != source:
            return None
    return values


def _changes(cut: Cut) -> Iterator[tuple[tuple[int, int], ...]]:
    """Of each event that tells of changes: the places of words in the packet's state, and where in what is left they
    stand."""
    at, shape, position = 0, cut.shape, 0
    while position < len(shape):
        kind, which = struct.unpack_from("=II", shape, position)
        if kind != RecordKind.TRACED:
            position += 8
            continue
        if which in _FRAMES:
            position, at = position + 8, at + 8
            continue
        (size,) = struct.unpack_from("=I", shape, position + 8)
        position += 12
        at += HEAD_BYTES
        _, count = _BODY.unpack_from(cut.rest, at)
        first, following = at + _BODY.size + 8 * count, at + padded(size)
        if which not in HAS_NO_FIELDS and first < following:
            pairs = range(first, following, 16)
            yield tuple((_WORD.unpack_from(cut.rest, pair)[0], pair + 8) for pair in pairs)
        at = following
