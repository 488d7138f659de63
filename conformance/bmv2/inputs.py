"""Random table entries and packets for a program's shape: the same for the same seed, on every Python."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from conformance.bmv2.shape import Shape
from p4switch.pipeline.entities import Exact, Lpm, Match, Range, Replica, Ternary

PORTS = (1, 2, 3, 4, 5, 6)
DROP_PORT = 511
MOST_BYTES, MOST_STATES = 300, 24
USUAL = {"version": (4,), "ihl": (5,), "ttl": (64,)}
"""Values without which most programs throw a packet away; a shape may have more under ``usual``, by the name of a
field or of ``header.field``."""
T = TypeVar("T")


class Chance:
    """Draws by getrandbits alone, which gives the same numbers in every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def bits(self, width: int) -> int:
        return self._random.getrandbits(width) if width else 0

    def below(self, limit: int) -> int:
        return self._random.getrandbits(32) % limit

    def one(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def often(self, percent: int) -> bool:
        return self.below(100) < percent

    def bytes(self, count: int) -> bytes:
        return self.bits(8 * count).to_bytes(count, "big")


@dataclass(frozen=True)
class Insert:
    """`member`: the action goes into a new member of the table's action profile, and the entry names that;
    `group` > 0: into a group of so many members."""

    table: str
    match: tuple[Match, ...]
    action: str
    params: tuple[int, ...]
    priority: int
    profile: str = ""
    members: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Default:
    table: str
    action: str
    params: tuple[int, ...]


@dataclass(frozen=True)
class Copies:
    """A clone session, or a multicast group."""

    session: bool
    number: int
    replicas: tuple[Replica, ...]


Operation = Insert | Default | Copies


@dataclass(frozen=True)
class Round:
    """What the control plane does first, then the packets: (port, frame)."""

    operations: tuple[Operation, ...]
    frames: tuple[tuple[int, bytes], ...]


def make_round(shape: Shape, seed: int, packets: int) -> Round:
    return _Maker(shape, Chance(seed)).round(packets)


class _Maker:
    def __init__(self, shape: Shape, chance: Chance) -> None:
        self.shape = shape
        self.chance = chance
        self.pools: dict[int, list[int]] = {}

    def round(self, packets: int) -> Round:
        operations: list[Operation] = [*self._copies()]
        for table in self.shape["tables"]:
            operations += self._entries(table)
        return Round(tuple(operations), tuple(self._packet() for _ in range(packets)))

    # Values ------------------------------------------------------------------------------------

    def _pool(self, width: int) -> list[int]:
        """A few values of a width, drawn once: entries and packets meet in them."""
        if width not in self.pools:
            top = (1 << width) - 1
            values = [self.chance.bits(width) for _ in range(5)]
            if width == 9:
                values = [*PORTS, *PORTS, DROP_PORT]
            elif width in (8, 16, 32):
                values += [1, 2, 3, 4, 5]
            self.pools[width] = [v & top for v in values]
        return self.pools[width]

    def _value(self, width: int) -> int:
        if not width:
            return 0
        top, kind = (1 << width) - 1, self.chance.below(100)
        if kind < 45:
            return self.chance.one(self._pool(width))
        if kind < 60 and self.shape["constants"]:
            return int(self.chance.one(self.shape["constants"])) & top
        if kind < 75:
            return self.chance.one((0, 1, 2, 3, top, top >> 1, (top >> 1) + 1, top - 1)) & top
        return self.chance.bits(width)

    def _param(self, name: str, width: int) -> int:
        fixed = self.shape.get("params", {}).get(name)
        if fixed:
            return int(self.chance.one(fixed))
        return self.chance.one(self._pool(9)) if width == 9 else self._field("", name, width)

    # Control plane -----------------------------------------------------------------------------

    def _copies(self) -> list[Copies]:
        numbers = [1, 2, 3, 4, 5, *(c for c in self.shape["constants"] if 5 < c < 32768)][:16]
        out = []
        for session in (True, False):
            for number in numbers:
                replicas = tuple(Replica(port, port + number) for port in PORTS if self.chance.often(40))
                if replicas:
                    out.append(Copies(session, number, replicas[:1] if session else replicas))
        return out

    def _entries(self, table: dict[str, Any]) -> list[Operation]:
        out: list[Operation] = []
        if table["defaults"] and self.chance.often(40):
            name, params = self.chance.one(table["defaults"])
            out.append(Default(table["name"], name, tuple(self._param(*p) for p in params)))
        if not table["key"] or not table["actions"]:
            return out
        seen = set()
        room = table.get("members") or sys.maxsize
        for at in range(min(self.chance.below(8), table["size"])):
            match = tuple(self._match(*key) for key in table["key"])
            if match in seen:
                continue
            seen.add(match)
            calls = []
            for _ in range(1 + self.chance.below(3) if table["selector"] else 1):
                name, params = self.chance.one(table["actions"])
                calls.append((name, tuple(self._param(*p) for p in params)))
            priority = 10 * at + 1 if table["ordered"] else 0
            members = tuple(calls) if table["profile"] else ()
            # BMv2 does not keep to a profile's size.
            room -= len(members)
            if room < 0:
                break
            out.append(Insert(table["name"], match, *calls[0], priority, table["profile"], members))
        return out

    def _match(self, kind: str, width: int, name: str) -> Match:
        top = (1 << width) - 1
        header, _, field = name.rpartition(".")
        value = self.chance.bits(1) if kind == "valid" else self._field(header.rpartition(".")[2], field, width)
        if kind in ("exact", "valid"):
            return Exact(value)
        if kind == "lpm":
            length = self.chance.one((0, 0, 8, 16, 24, width, width, width - 1, 1)) % (width + 1)
            return Lpm(value & ~(top >> length), length)
        if kind == "range":
            other = self._value(width)
            if self.chance.often(20):
                value, other = 0, top
            return Range(min(value, other), max(value, other))
        if kind == "optional":
            return Ternary(value, top) if self.chance.often(70) else Ternary(0, 0)
        mask = self.chance.one((top, top, 0, self.chance.bits(width), top >> 1, top & ~0xF))
        return Ternary(value & mask, mask)

    # Packets -----------------------------------------------------------------------------------

    def _packet(self) -> tuple[int, bytes]:
        port = self.chance.one(self.shape.get("ports", PORTS))
        whole = self.shape.get("whole", False)
        if self.chance.often(3):
            return port, self.chance.bytes((64 if whole else 1) + self.chance.below(120))
        frame = self._headers() + self.chance.bytes(self.chance.one((0, 0, 1, 2, 6, 20, 50)))
        frame = frame[:MOST_BYTES] or b"\0"
        if not whole and self.chance.often(8):
            frame = frame[: 1 + self.chance.below(len(frame))]
        if self.chance.often(8):
            at = self.chance.below(8 * len(frame))
            frame = (int.from_bytes(frame, "big") ^ (1 << at)).to_bytes(len(frame), "big")
        return port, frame

    def _headers(self) -> bytes:
        """A random way through the parser, with what the way needs in the fields."""
        headers: list[tuple[str, list[list[Any]]]] = []
        ahead: list[tuple[int, int, int, int]] = []
        state = self.shape["init"]
        for _ in range(MOST_STATES):
            now = self.shape["states"].get(state)
            if now is None:
                break
            for name, fields in now["extract"]:
                headers.append((name, [[f, abs(w), self._field(name, f, w)] for f, w in fields]))
            if not now["ways"]:
                break
            value, mask, state = self.chance.one(now["ways"])
            if value is not None:
                self._steer(headers, now["key"], value, mask, ahead)
        return self._join(headers, ahead)

    def _field(self, header: str, name: str, width: int) -> int:
        usual = self.shape.get("usual", {})
        values = usual.get(f"{header}.{name}") or usual.get(name) or USUAL.get(name)
        if width > 0 and values and self.chance.often(90):
            return int(self.chance.one(values)) & ((1 << width) - 1)
        return self._value(max(0, width))

    def _steer(
        self,
        headers: list[tuple[str, list[list[Any]]]],
        key: list[list[Any]],
        value: int,
        mask: int | None,
        ahead: list[tuple[int, int, int, int]],
    ) -> None:
        """Set the fields of a select's key so that it takes the way; what is looked ahead at goes to `ahead`."""
        for kind, first, second, *rest in reversed(key):
            width = int(second) if kind == "lookahead" else int(rest[0])
            size = (width + 7) // 8 * 8
            part, cover = value & ((1 << size) - 1), (1 << width) - 1 if mask is None else mask & ((1 << width) - 1)
            value, mask = value >> size, None if mask is None else mask >> size
            if kind == "lookahead":
                ahead.append((len(headers), int(first), width, part & ((1 << width) - 1)))
                continue
            for name, fields in reversed(headers):
                if name == first:
                    for one in fields:
                        if one[0] == second:
                            one[2] = one[2] & ~cover | part & cover
                    break

    def _join(self, headers: list[tuple[str, list[list[Any]]]], ahead: list[tuple[int, int, int, int]]) -> bytes:
        sums = {tuple(one) for one in self.shape["sums"]}
        sizes = [sum(w for _, w, _ in fields) for _, fields in headers]
        bits = width = 0
        for at, (name, fields) in enumerate(headers):
            for number, first, size, part in ahead:
                if number == at:
                    _overwrite(fields, first, size, part)
            for one in fields:
                if one[1] == 16 and "len" in one[0] and self.chance.often(80):
                    one[2] = (sum(sizes[at:]) // 8) & 0xFFFF
            for one in fields:
                if (name, one[0]) in sums and self.chance.often(85) and sizes[at] % 16 == 0:
                    one[2] = 0
                    one[2] = _ones_complement(_pack(fields), sizes[at])
            bits = bits << sizes[at] | _pack(fields)
            width += sizes[at]
        rest = -width % 8
        return (bits << rest).to_bytes((width + rest) // 8, "big")


def _pack(fields: list[list[Any]]) -> int:
    bits = 0
    for _, width, value in fields:
        bits = bits << width | value
    return bits


def _overwrite(fields: list[list[Any]], first: int, size: int, part: int) -> None:
    """Put `size` bits at bit `first` of a header."""
    total = sum(w for _, w, _ in fields)
    shift = total - first - size
    if shift < 0:
        return
    bits = _pack(fields) & ~(((1 << size) - 1) << shift) | part << shift
    for one in reversed(fields):
        one[2] = bits & ((1 << one[1]) - 1)
        bits >>= one[1]


def _ones_complement(bits: int, size: int) -> int:
    """The Internet checksum over `size` bits."""
    total = sum(bits >> at & 0xFFFF for at in range(0, size, 16))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
