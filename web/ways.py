"""The way of a packet through a switch, told once for all packets that take it.

``Ways.step`` sends a packet through a traced build, on the very state of a pipeline, and so with all effects of the
untraced one. A way is what the packets that take it have in common; what differs from packet to packet, such as
checksums and what registers hold, are a hop's values. docs/recordings.md says how both are written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from p4switch.codegen.layout import limbs
from p4switch.codegen.tables import key_offsets
from p4switch.codegen.trace import FIELD, VALIDITY
from p4switch.pipeline.encoding import number
from p4switch.pipeline.entities import Exact, Lpm, Match, Output
from p4switch.pipeline.pipeline import Pipeline
from p4switch.pipeline.records import RecordKind, records, step_alone
from p4switch.program import Json
from p4switch.trace.events import HAS_NO_FIELDS, Kind, Place, State, Tracer
from web.program import actions, is_told
from web.recording import ipv4_checksum
from web.remembered import Cut, Item, Plan, Remembered, exact

SAME = 16
"""Fields that are narrower say what the program decides, so that each value is a way of its own."""
_LIMIT = (1 << 64) - 1
_HEAD = struct.Struct("=QQ")
_SILENT = (Kind.BEGIN, Kind.PARSED, Kind.INGRESS, Kind.END)


class Ways:
    """The ways of one program that were met so far. ``tell`` is given each new one."""

    def __init__(
        self, pipeline: Pipeline, data: Json, tell: Callable[[int, list[Any]], None], cache: Path | None = None
    ) -> None:
        """``data``: the JSON that the pipeline was loaded from. Raises BuildError, OSError."""
        self.tracer = Tracer(pipeline, data, cache)
        self.tracer.choose(most=0)
        self.program = pipeline.program
        self._tell = tell
        self._known: dict[Any, int] = {}
        self._tables = list(self.program.tables.values())
        self._key_offsets = [key_offsets(table) for table in self._tables]
        self._action_places = {action.id: place for place, action in enumerate(actions(self.program))}
        numbers = pipeline.generated.actions
        self._actions = {number: self.program.actions[id] for id, number in numbers.items()}
        self._fields = _Fields(self.tracer, self.program.headers)
        self._remembered = self._fields.remembered()
        self._state = State(self.tracer.places)
        self._entries: dict[tuple[int, int], tuple[object, dict[int, list[Any]]]] = {}

    def step(
        self, pipeline: Pipeline, version: object, port: int, frame: bytes, now_us: int, registers: Mapping[int, str]
    ) -> tuple[Output, int, list[Any], int]:
        """``pipeline.step``, and the way, the hop's values, and the number of the reason of a drop (0: none).
        ``version`` is another one for each pipeline, and whenever its entries have changed. ``registers``: names of
        cells by what they hold, so that it need not be told."""
        return self.read(pipeline, version, frame, now_us, registers, self.trace(pipeline, port, frame, now_us))

    def trace(self, pipeline: Pipeline, port: int, frame: bytes, now_us: int) -> bytes:
        """``pipeline.step``, as the records of the traced build."""
        return step_alone(self.tracer.library, pipeline.native.switch, port, frame, now_us, 0)

    def read(
        self,
        pipeline: Pipeline,
        version: object,
        frame: bytes,
        now_us: int,
        registers: Mapping[int, str],
        records: bytes,
    ) -> tuple[Output, int, list[Any], int]:
        """What ``step`` tells, out of what ``trace`` gave."""
        bits = _Bits(frame, now_us, registers)
        cut = Cut(records)
        found = self._remembered.find(cut, version, bits)
        if found is not None:
            plan, values = found
            return pipeline.decode(b"".join(records[a:b] for a, b in cut.out)), plan.way, values, plan.reason
        values = []
        seen: list[tuple[Any, ...]] = []
        steps, reason = self._steps(pipeline, version, records, bits, values, seen)
        way = self._known.get(steps)
        if way is None:
            way = self._known[steps] = len(self._known) + 1
            self._tell(way, _lists(steps))
        plan = Plan(way, reason, tuple(map(self._fields.items, seen)))
        self._remembered.keep(cut, version, plan)
        return pipeline.decode(records), way, values, reason

    def _steps(
        self,
        pipeline: Pipeline,
        version: object,
        records: bytes,
        bits: _Bits,
        values: list[Any],
        seen: list[tuple[Any, ...]],
    ) -> tuple[tuple[Any, ...], int]:
        """The way as tuples. Fills ``values``, and ``seen``: what has changed, by each event that tells of that."""
        self._state.forget()
        before = b""
        steps: list[tuple[Any, ...]] = []
        pending: tuple[Any, ...] | None = ("enter",)
        given: tuple[int, ...] = ()
        for event, body in _traced(records):
            kind = _KINDS[event]
            which, count = _HEAD.unpack_from(body)
            changes: tuple[Any, ...] = ()
            has_fields = kind not in HAS_NO_FIELDS
            if has_fields and len(body) > 16 + 8 * count:
                now = self._state.change(body[16 + 8 * count :])
                changes = self._fields.changes(before, now, given, values, bits)
                before = now
                seen.append(changes)
            if has_fields and pending is not None:
                steps.append((*pending, changes))
                pending, given = None, ()
            elif changes and steps[-1][0] == "sent":
                steps.append(("copy", changes))
            elif changes:
                steps[-1] = (*steps[-1][:-1], steps[-1][-1] + changes)
            if kind in _SILENT or kind is Kind.ENTER:
                continue
            words = struct.unpack_from(f"={count}Q", body, 16)
            if kind is Kind.TABLE:
                given, pending = self._table(pipeline, version, which, words, before)
            elif kind is Kind.SENT:
                steps += [] if pending is None else [(*pending, ())]
                steps.append(("sent", which))
                pending = None
            else:
                pending = _plain(kind, which, words, self._action_places)
        if pending is not None:
            steps.append((*pending, ()))
        return tuple(steps), self._fields.reason(before)

    def _table(
        self, pipeline: Pipeline, version: object, which: int, words: Sequence[int], state: bytes
    ) -> tuple[tuple[int, ...], tuple[Any, ...]]:
        """The action's parameters, and the step."""
        table = self._tables[which]
        hit, pointer, action_number, key_words = words[:4]
        key = words[4 : 4 + key_words]
        rest = words[4 + key_words :]
        keys: list[int | str | None] = []
        for one, (first, count) in zip(table.key, self._key_offsets[which], strict=True):
            value = number(key[first : first + count])
            if self._fields.value(state, ".".join(one.target)) == value:
                keys.append(None)  # that field's value
            else:
                keys.append(exact(value))
        action = self._actions.get(action_number)
        params: list[int] = []
        at = 0
        for param in action.params if action is not None else ():
            count = limbs(param.width)
            params.append(number(rest[at : at + count]) if len(rest) >= at + count else 0)
            at += count
        match = self._match(pipeline, version, which, pointer) if hit else None
        place = None if action is None else self._action_places[action.id]
        given = tuple(params)
        return given, ("table", which, tuple(keys), match, place, tuple(map(exact, params)))

    def _match(self, pipeline: Pipeline, version: object, which: int, pointer: int) -> tuple[Any, ...]:
        known = self._entries.get((id(pipeline), which))
        if known is None or known[0] != version:
            known = self._entries[id(pipeline), which] = version, {}
        match = known[1].get(pointer)
        if match is None:
            entry = pipeline.entry_at(self._tables[which].name, pointer)
            match = known[1][pointer] = [_match(one) for one in entry.match] if entry is not None else []
        return tuple(match)


def _plain(kind: Kind, which: int, words: tuple[int, ...], places: Mapping[int, int]) -> tuple[Any, ...]:
    """A step that is no look-up, without its changes."""
    if kind is Kind.STATE:
        return "state", which
    if kind is Kind.CONDITION:
        return "if", which, int(words[0] != 0)
    if kind is Kind.ACTION:
        return "do", places[which]
    if kind is Kind.FATE:
        return "fate", words
    if kind is Kind.EGRESS:
        return "egress", which
    if kind is Kind.LEFT:
        return "left", which, words
    if kind is Kind.DEPARSE:
        return ("deparse",)
    return "lost", which


def _match(match: Match) -> Any:
    if isinstance(match, Exact):
        return exact(match.value)
    if isinstance(match, Lpm):
        return exact(match.value), match.prefix_len
    return str(match)


def _traced(given: bytes) -> Iterator[tuple[int, bytes]]:
    """(event, body) of each record of a trace."""
    for kind, which, body in records(given):
        if kind == RecordKind.TRACED:
            yield which, body


_KINDS = {int(kind): kind for kind in Kind}


def _lists(steps: Any) -> list[Any]:
    """Tuples as the lists that JSON has."""
    return [_lists(one) if isinstance(one, tuple) else one for one in steps]


def _bits(place: Place) -> int:
    """The bits of a state that a field takes."""
    return ((1 << 8 * place.size) - 1) << 8 * place.offset


class _Bits:
    """A frame, header after header. ``known`` and ``registers``: numbers that are known without being told."""

    def __init__(self, frame: bytes, now_us: int, registers: Mapping[int, str]) -> None:
        self.known: Mapping[int, str] = {now_us: "now", len(frame): "size"}
        self.registers = registers
        self._whole = int.from_bytes(frame, "big")
        self._size = 8 * len(frame)
        self.at = 0

    def take(self, width: int) -> int | None:
        """The next bits; None behind the end."""
        if self.at + width > self._size:
            return None
        self.at += width
        return self._whole >> (self._size - self.at) & ((1 << width) - 1)


class _Fields:
    """What the bytes of a packet's state in the C side hold."""

    def __init__(self, tracer: Tracer, headers: Mapping[str, Any]) -> None:
        places = tracer.places
        self._places = {place.name: place for place in places}
        self._numbers = {place.name: at for at, place in enumerate(places)}
        self._by_number = list(places)
        self._real = {name for name, header in headers.items() if not header.metadata}
        self._inside = {name: [place for place in places if place.name.startswith(f"{name}.")] for name in self._real}
        self._header_of = {
            name: name.split(".")[0] if name.split(".")[0] in self._real else "" for name in self._places
        }
        self._wide = self._narrow = 0
        """The bits of fields that differ from packet to packet, or belong to headers; and those of all others."""
        for place in places:
            if place.kind not in (FIELD, VALIDITY) or not is_told(place):
                continue
            bits = _bits(place)
            if place.kind == FIELD and place.width < SAME and not self._header_of[place.name]:
                self._narrow |= bits
            else:
                self._wide |= bits
        self._decided: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._alike: dict[int, list[Place]] = {}
        for place in places:
            if is_told(place) and place.kind == FIELD and place.width >= SAME:
                self._alike.setdefault(place.width, []).append(place)
        self._at_word: dict[int, list[str]] = {}
        for place in places:
            if is_told(place) and place.kind in (FIELD, VALIDITY):
                for word in range(place.offset // 8, (place.offset + max(1, (place.width + 7) // 8) - 1) // 8 + 1):
                    self._at_word.setdefault(word, []).append(place.name)
        self._reason = next((name for name in self._places if name.endswith(".drop_reason")), "")

    def value(self, state: bytes, name: str) -> int | None:
        """A field's value; None if it is no field of a header that is there."""
        place = self._places.get(name)
        if place is None or place.kind != FIELD:
            return None
        header = self._header_of[name]
        if header and not self._is_valid(state, header):
            return None
        return self._number(state, place)

    @staticmethod
    def _number(state: bytes, place: Place) -> int:
        return int.from_bytes(state[place.offset : place.offset + place.size], "little")

    def reason(self, state: bytes) -> int:
        """The number of the reason why the packet is dropped."""
        return (self.value(state, self._reason) or 0) if self._reason else 0

    def _is_valid(self, state: bytes, header: str) -> bool:
        return state[self._places[header].offset] != 0

    def changes(
        self, before: bytes, after: bytes, given: tuple[int, ...], values: list[Any], bits: _Bits
    ) -> tuple[Any, ...]:
        """What differs. ``given``: numbers that the step was given, which are part of the way."""
        differing = int.from_bytes(before, "little") ^ int.from_bytes(after, "little")
        if differing & self._wide == 0:
            # Nothing but what the program has decided: often the same.
            key = differing, int.from_bytes(after, "little") & self._narrow
            known = self._decided.get(key)
            if known is None:
                known = self._decided[key] = self._changes(differing, before, after, given, values, bits)
            return known
        return self._changes(differing, before, after, given, values, bits)

    def _changes(
        self,
        differing: int,
        before: bytes,
        after: bytes,
        given: tuple[int, ...],
        values: list[Any],
        bits: _Bits,
    ) -> tuple[Any, ...]:
        names: list[str] = []
        word = 0
        while differing:
            skipped = ((differing & -differing).bit_length() - 1) >> 6
            word += skipped
            names += self._at_word.get(word, ())
            word += 1
            differing >>= 64 * (skipped + 1)
        found: list[Any] = []
        appeared = {name for name in names if name in self._real and self._is_valid(after, name)}
        for name in sorted(appeared, key=self._numbers.__getitem__):
            found.append(self._appears(name, after, values, bits))
        for name in names:
            if name in self._real:
                if name not in appeared:
                    found.append(("-", name))
                continue
            place, header = self._places[name], self._header_of[name]
            if header and (header in appeared or not self._is_valid(after, header)):
                continue
            value = self._number(after, place)
            if value == self._number(before, place):
                continue
            if place.width < SAME or value in given:
                found.append((self._numbers[name], exact(value)))
                continue
            source = self._source(place, value, before, after, bits)
            found.append((self._numbers[name], source))
            if source is None:
                values.append(exact(value))
        return tuple(dict.fromkeys(found))

    def _source(self, place: Place, value: int, before: bytes, after: bytes, bits: _Bits) -> Any:
        """Where a value comes from: what is known, or another field (a tuple of its number); None if from nowhere."""
        if value in bits.known and place.width in (32, 48):
            return bits.known[value]
        if value in bits.registers and place.width in (48, 64):
            return bits.registers[value]
        if place.name == "ipv4.checksum" and value == self.checksum(after):
            return "checksum"
        if not before:
            return None
        for other in self._alike[place.width]:
            header = self._header_of[other.name]
            if (
                other is not place
                and self._number(before, other) == value
                and (not header or self._is_valid(before, header))
            ):
                return (self._numbers[other.name],)
        return None

    def remembered(self) -> Remembered:
        """What remembers plans about these fields."""
        kept = {
            place.offset // 8
            for place in self._by_number
            if place.kind == VALIDITY or (place.kind == FIELD and self._is_decision(place))
        }
        return Remembered(kept, self._by_number, self._checksum_of, self._inside.get("ipv4", ()))

    def _is_decision(self, place: Place) -> bool:
        """Whether a field says what the program has decided, and not what packets hold."""
        return place.width < SAME and not self._header_of[place.name] and is_told(place)

    def items(self, changes: Sequence[tuple[Any, ...]]) -> tuple[Item, ...]:
        """What a plan says of an event's changes."""
        found = []
        for change in changes:
            if change[0] == "+" and len(change) > 2:  # a header that was not in the frame
                found += [Item(self._numbers[place.name], None) for place in self._inside[change[1]]]
            elif not isinstance(change[0], str) and not self._is_decision(self._by_number[change[0]]):
                found.append(Item(*change))
        return tuple(found)

    def checksum(self, state: bytes) -> int:
        """What the checksum of the IPv4 header ought to be."""
        return self._checksum_of([self._number(state, place) for place in self._inside["ipv4"]])

    def _checksum_of(self, fields: Sequence[int]) -> int:
        header = 0
        for place, value in zip(self._inside["ipv4"], fields, strict=True):
            header = header << place.width | value
        return ipv4_checksum(header.to_bytes(20, "big"))

    def _appears(self, name: str, after: bytes, values: list[Any], bits: _Bits) -> tuple[Any, ...]:
        held = [self._number(after, place) for place in self._inside[name]]
        start = bits.at
        if [bits.take(place.width) for place in self._inside[name]] == held:
            return "+", name
        bits.at = start
        values += [exact(value) for value in held]
        return "+", name, (None,) * len(held)
