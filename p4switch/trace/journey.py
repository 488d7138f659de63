"""A traced packet's way in words: parser states, conditions, tables with key, entry and action, changes, its end."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from p4switch.codegen.layout import limbs
from p4switch.codegen.parser import CORE_ERRORS, error_codes
from p4switch.codegen.tables import key_offsets
from p4switch.pipeline.encoding import number
from p4switch.pipeline.entities import Entry, Exact, Group, Lpm, Match, Member, Range
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program import Action, Source, Table, inner_parts
from p4switch.trace.events import Event, Kind, Lost, Place

DROP_PORT = 511
QUIET = re.compile(r"_padding|_timestamp$|deq_timedelta$|^scalars\.(tmp|key|hasReturned|retval)(_\d+)?$")
"""Fields that say nothing about a program: clocks, and the compilers' own variables."""
_METADATA = re.compile(r"scalars|metadata")
_MAC = re.compile(r"addr|mac|eth")
_TIME = re.compile(r"time|stamp")
_IP = re.compile(r"addr|gateway|next_?hop|nhop|(^|[\W_])ip(v?4)?([\W_]|$)")
_IPV6 = re.compile(r"addr|ip(v?6)?")
_CHECKSUM = re.compile(r"checksum|csum")


@dataclass(frozen=True)
class Lookup:
    """A packet at a table. ``place``: file and line; ``hit``: whether an entry matched, which is told by its
    ``handle`` and its match ``entry``, unless it is gone meanwhile; ``action``: "" where a miss has none. Values are
    texts, as people write them."""

    table: str
    place: str
    key: tuple[tuple[str, str], ...]
    hit: bool
    handle: int | None
    entry: str
    action: str
    params: tuple[tuple[str, str], ...]

    @property
    def call(self) -> str:
        """The action with its parameters."""
        if not self.action:
            return "no action"
        return f"{self.action}({', '.join(f'{name} = {value}' for name, value in self.params)})"


class Narrator:
    """Tells the events of packets of one pipeline. `places`: the traced build's fields."""

    def __init__(self, pipeline: Pipeline, places: Sequence[Place]) -> None:
        self.pipeline = pipeline
        self.program = pipeline.program
        self.widths = {place.name: place.width for place in places}
        self.tables = list(self.program.tables.values())
        self.conditionals = (*self.program.ingress.conditionals, *self.program.egress.conditionals)
        self.errors = {code: name for name, code in error_codes(self.program.errors).items() if name in CORE_ERRORS}
        self.errors.update({code: name for name, code in self.program.errors.items()})
        numbers = pipeline.generated.actions
        self.actions = {number: self.program.actions[id] for id, number in numbers.items()}
        self.meanings = {action.id: _meanings(action) for action in self.program.actions.values()}

    def tell(self, events: Sequence[Event]) -> list[str]:
        """Lines for one packet, whose events are whole."""
        lines, last = list[str](), ""
        for event, following in pairwise([*events, Event(Kind.END, 0)]):
            lines += self._event(event, last)
            if event.fields and following.fields:
                lines += self._happened(event, following)
            if event.kind in (Kind.TABLE, Kind.ACTION, Kind.CONDITION):
                last = self._name(event)
        if not any(line.startswith(("port ", "dropped", "lost", "...")) for line in lines[1:]):
            lines.append("no frame left")
        return lines

    def _happened(self, event: Event, following: Event) -> list[str]:
        """What has changed until the next event. After ingress and egress that may be another packet's."""
        if event.kind not in (Kind.FATE, Kind.LEFT):
            return list(self._changes(event, following.fields))
        if event.kind == Kind.LEFT and following.kind == Kind.DEPARSE:
            changes = list(self._changes(event, following.fields))
            return ["checksums", *changes] if changes else []
        return []

    def _name(self, event: Event) -> str:
        if event.kind == Kind.TABLE:
            action = self.actions.get(event.words[2])
            return f"{action.name} of table {self.tables[event.number].name}" if action else ""
        if event.kind == Kind.ACTION:
            return where(self.program.actions[event.number])
        return ""

    # Events ------------------------------------------------------------------------------------

    def _event(self, event: Event, last: str) -> list[str]:
        kind, words = event.kind, event.words
        if kind == Kind.FATE:
            return _fate(words, last)
        if kind == Kind.LEFT:
            return _left(words, last)
        if kind == Kind.END and words and words[0]:
            return _rest(words)
        teller = _TELLERS.get(kind)
        return teller(self, event) if teller is not None else []

    def _begin(self, event: Event) -> list[str]:
        return [f"port {event.number}: {len(event.frame)} bytes in, at {event.words[0] / 1e6:.6f} s"]

    def _enter(self, event: Event) -> list[str]:
        again = {4: "recirculated ", 6: "resubmitted "}
        return [f"{again.get(event.fields.get('standard_metadata.instance_type', 0), '')}parser"]

    def _state(self, event: Event) -> list[str]:
        return [f"  state {self.program.parser.states[event.number].name}"]

    def _parsed(self, event: Event) -> list[str]:
        error = self.errors.get(event.number, str(event.number))
        return [] if error == "NoError" else [f"  parser error: {error}"]

    def _ingress(self, event: Event) -> list[str]:
        return [*(["a checksum is wrong"] if event.words[0] else []), "ingress"]

    def _condition(self, event: Event) -> list[str]:
        one = self.conditionals[event.number]
        text = one.source.text or one.name
        return [f"  if {text}: {'yes' if event.words[0] else 'no'}{_at(one.source)}"]

    def _action(self, event: Event) -> list[str]:
        return [f"  {where(self.program.actions[event.number])}"]

    def _egress(self, event: Event) -> list[str]:
        return [f"egress, port {event.number}"]

    def _lost(self, event: Event) -> list[str]:
        return [_lost(Lost(event.number), event.words[0])]

    def _sent(self, event: Event) -> list[str]:
        return [f"port {event.number}: {len(event.frame)} bytes out: {event.frame.hex()}"]

    def lookups(self, events: Sequence[Event]) -> tuple[Lookup, ...]:
        """The tables that a packet came to, in order; its events are whole."""
        return tuple(self._lookup(event) for event in events if event.kind is Kind.TABLE)

    def _lookup(self, event: Event) -> Lookup:
        table = self.tables[event.number]
        hit, pointer, action_number, key_words = event.words[:4]
        words = event.words[4:]
        key = words[:key_words]
        values = [number(key[first : first + count]) for first, count in key_offsets(table)]
        shown = tuple((k.name, value_text(k.name, k.width, v)) for k, v in zip(table.key, values, strict=True))
        action = self.actions.get(action_number)
        params = self._params(action, words[key_words:]) if action else ()
        entry = self.pipeline.entry_at(table.name, pointer) if hit and table.key else None
        handle, text = (None, "") if entry is None else (entry.handle, _entry_text(table, entry))
        name = action.name if action else ""
        return Lookup(table.name, str(table.source), shown, bool(hit and table.key), handle, text, name, params)

    def _table(self, event: Event) -> list[str]:
        one = self._lookup(event)
        place = _at(self.tables[event.number].source)
        if not one.key:
            return [f"  table {one.table}: {one.call}{place}"]
        shown = ", ".join(f"{name} = {value}" for name, value in one.key)
        entry = "an entry that is gone" if one.handle is None else f"entry {one.handle} {one.entry}"
        found = f"hit {entry}" if one.hit else "miss"
        return [f"  table {one.table}{place}", f"    key {shown}", f"    {found}: {one.call}"]

    def _params(self, action: Action, words: Sequence[int]) -> tuple[tuple[str, str], ...]:
        found, at = list[tuple[str, str]](), 0
        for param in action.params:
            count = limbs(param.width)
            value = number(words[at : at + count]) if len(words) >= at + count else 0
            names = f"{param.name} {self.meanings[action.id].get(len(found), '')}"
            found.append((param.name, value_text(names, param.width, value)))
            at += count
        return tuple(found)

    # Changes -----------------------------------------------------------------------------------

    def _changes(self, event: Event, after: Mapping[str, int]) -> Iterator[str]:
        before = event.fields
        indent = "    " if event.kind in (Kind.STATE, Kind.TABLE, Kind.ACTION, Kind.CONDITION) else "  "
        headers = [name for name in (*before, *after) if name not in self.program_fields]
        for header in dict.fromkeys(headers):
            if header in after and header not in before:
                inside = [n for n in after if n.startswith(f"{header}.")]
                text = ", ".join(f"{n[len(header) + 1 :]} {self._value(n, after[n])}" for n in inside)
                yield f"{indent}+ {header}: {text}" if text else f"{indent}+ {header}"
            elif header in before and header not in after:
                yield f"{indent}- {header}"
        for name, value in after.items():
            if name in before and before[name] != value and not QUIET.search(name):
                yield f"{indent}{short(name)}: {self._value(name, before[name])} -> {self._value(name, value)}"

    @property
    def program_fields(self) -> frozenset[str]:
        """Names of fields, as against those of headers."""
        if not hasattr(self, "_program_fields"):
            headers = self.program.headers
            self._program_fields = frozenset(name for name in self.widths if name not in headers)
        return self._program_fields

    def _value(self, name: str, value: int) -> str:
        return value_text(name, self.widths.get(name, 64), value)


def _entry_text(table: Table, entry: Entry) -> str:
    keys = zip(table.key, entry.match, strict=True)
    text = ", ".join(f"{match_text(k.name, k.width, m)}" for k, m in keys)
    priority = f", priority {entry.priority}" if table.ordered else ""
    via = f" by {entry.action}" if isinstance(entry.action, Member | Group) else ""
    return f"[{text}{priority}]{via}"


def _fate(words: Sequence[int], last: str) -> list[str]:
    dropped, resubmit, group, spec, clone, digest = words
    lines = []
    if clone:
        lines.append(f"a clone for session {clone - 1}")
    if digest:
        lines.append("a digest for the controller")
    after = f" (last: {last})" if last else ""
    if dropped:
        lines.append(f"dropped: an assertion failed{after}")
    elif resubmit:
        lines.append("resubmitted")
    elif group:
        lines.append(f"copies for multicast group {group}")
    elif spec == DROP_PORT:
        lines.append(f"dropped after ingress: egress_spec is {DROP_PORT}{after}")
    return lines


def _left(words: Sequence[int], last: str) -> list[str]:
    dropped, spec, clone, recirculate = words
    lines = [f"a clone for session {clone - 1}"] if clone else []
    after = f" (last: {last})" if last else ""
    if dropped:
        lines.append(f"dropped: an assertion failed{after}")
    elif spec == DROP_PORT:
        lines.append(f"dropped at egress: egress_spec is {DROP_PORT}{after}")
    elif recirculate:
        lines.append("recirculated")
    return lines


def _lost(why: Lost, limit: int) -> str:
    return {
        Lost.ROUNDS: f"lost: resubmitted, recirculated or cloned {limit:,} times, the most there is",
        Lost.PACKETS: f"lost: the frame has become {limit:,} packets, the most there is",
        Lost.LENGTH: f"lost: longer than {limit:,} bytes{' of headers' if limit < 65535 else ''}, the most there is",
        Lost.MEMORY: "lost: there is no memory for it",
    }[why]


def _rest(words: Sequence[int]) -> list[str]:
    """What was left out of a long way, and why that ended if there was no more room."""
    steps, rounds, sent, lost, limit = words
    parts = [f"{rounds:,} times through the parser"] if rounds else []
    parts += [f"{sent:,} frames out"] if sent else []
    lines = [f"... {steps:,} more steps{': ' if parts else ''}{', '.join(parts)} ..."]
    return [*lines, _lost(Lost(lost - 1), limit)] if lost else lines


def _meanings(action: Action) -> dict[int, str]:
    """Parameters by position, with the names of the fields that they are assigned to as they are."""
    found: dict[int, str] = {}
    for primitive in action.primitives:
        operands = primitive.get("parameters") or []
        if primitive.get("op") == "assign" and len(operands) == 2 and operands[0].get("type") == "field":
            given = {
                one["value"]
                for one in inner_parts(operands[1:])
                if isinstance(one, Mapping) and one.get("type") in ("runtime_data", "local")
            }
            if len(given) == 1:
                position = int(given.pop())
                found[position] = f"{found.get(position, '')} {'.'.join(map(str, operands[0]['value']))}"
    return found


def where(action: Action) -> str:
    """An action outside tables: the P4 text of its statements, else its name."""
    texts = []
    for primitive in action.primitives:
        info = primitive.get("source_info") or {}
        text = info.get("source_fragment")
        if text and text not in texts:
            texts.append(str(text))
    source = next((p["source_info"] for p in action.primitives if p.get("source_info")), None)
    line = f" ({Path(source['filename']).name}:{source['line']})" if source else ""
    return ("; ".join(texts) or action.name) + line


def _at(source: Source) -> str:
    return f" ({source})" if source.line else ""


def short(name: str) -> str:
    """Without the struct that the compiler puts around local variables and metadata."""
    return name.removeprefix("scalars.").removeprefix("userMetadata.")


def value_text(names: str, width: int, value: int) -> str:
    """Addresses as addresses, checksums in hex, small numbers in decimal, others in hex. ``names``: of the field, and
    of those that it is assigned to."""
    names = names.lower()
    if width == 48 and not _TIME.search(names) and (_MAC.search(names) or not _METADATA.search(names)):
        return value.to_bytes(6, "big").hex(":")
    if width == 32 and _IP.search(names):
        return str(ipaddress.IPv4Address(value))
    if width == 128 and _IPV6.search(names):
        return str(ipaddress.IPv6Address(value))
    if width >= 8 and _CHECKSUM.search(names):
        return f"{value:#0{2 + (width + 3) // 4}x}"
    return str(value) if value < 1 << 16 else hex(value)


def match_text(name: str, width: int, match: Match) -> str:
    if isinstance(match, Exact):
        return value_text(name, width, match.value)
    if isinstance(match, Lpm):
        return f"{value_text(name, width, match.value)}/{match.prefix_len}"
    if isinstance(match, Range):
        return f"{value_text(name, width, match.low)}..{value_text(name, width, match.high)}"
    if match.mask == 0:
        return "any"
    full = (1 << width) - 1
    value = value_text(name, width, match.value)
    return value if match.mask == full else f"{value} &&& {match.mask:#x}"


_TELLERS: dict[Kind, Callable[[Narrator, Event], list[str]]] = {
    Kind.BEGIN: Narrator._begin,
    Kind.ENTER: Narrator._enter,
    Kind.STATE: Narrator._state,
    Kind.PARSED: Narrator._parsed,
    Kind.INGRESS: Narrator._ingress,
    Kind.CONDITION: Narrator._condition,
    Kind.TABLE: Narrator._table,
    Kind.ACTION: Narrator._action,
    Kind.EGRESS: Narrator._egress,
    Kind.LOST: Narrator._lost,
    Kind.SENT: Narrator._sent,
}
