"""The BMv2 JSON as typed values: behavioral-model's docs/JSON_format.md, version 2.x, as p4c writes it for v1model.

Structure (headers, tables, actions…) becomes dataclasses; expressions and primitives stay JSON objects that
`p4switch.codegen` translates. References are checked there, where the text can say which action is at fault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p4switch.entities import ProgramError

Json = Mapping[str, Any]

MATCH_KINDS = ("exact", "lpm", "ternary", "range", "optional", "valid")


@dataclass(frozen=True)
class Source:
    """Where in the P4 program something stands."""

    file: str = ""
    line: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}" if self.line else ""


@dataclass(frozen=True)
class Field:
    """`width` in bits; of a varbit field: its greatest."""

    name: str
    width: int
    signed: bool = False
    varbit: bool = False


@dataclass(frozen=True)
class HeaderType:
    name: str
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        for one in self.fields:
            if one.name == name:
                return one
        raise ProgramError(f"header type {self.name} has no field {name}")

    @property
    def bits(self) -> int:
        """Width without a varbit field."""
        return sum(f.width for f in self.fields if not f.varbit)

    @property
    def varbit(self) -> Field | None:
        return next((f for f in self.fields if f.varbit), None)


@dataclass(frozen=True)
class Header:
    name: str
    id: int
    type: str
    metadata: bool


@dataclass(frozen=True)
class Stack:
    name: str
    type: str
    headers: tuple[str, ...]


@dataclass(frozen=True)
class Union:
    """A header union: `members` are the names in its type, `headers` the instances, in the same order."""

    name: str
    id: int
    type: str
    members: tuple[str, ...]
    headers: tuple[str, ...]


@dataclass(frozen=True)
class UnionStack:
    name: str
    type: str
    unions: tuple[str, ...]


@dataclass(frozen=True)
class Transition:
    """`kind`: default, value or parse_vset. `value` and `mask` are bytes, one padded component after another."""

    kind: str
    value: int
    mask: int | None
    value_set: str
    next_state: str | None


@dataclass(frozen=True)
class ParseState:
    name: str
    ops: tuple[Json, ...]
    key: tuple[Json, ...]
    transitions: tuple[Transition, ...]
    source: Source


@dataclass(frozen=True)
class Parser:
    name: str
    init_state: str | None
    states: tuple[ParseState, ...]


@dataclass(frozen=True)
class ValueSet:
    name: str
    width: int
    max_size: int


@dataclass(frozen=True)
class Deparser:
    name: str
    order: tuple[str, ...]
    primitives: tuple[Json, ...]


@dataclass(frozen=True)
class Param:
    name: str
    width: int


@dataclass(frozen=True)
class Action:
    name: str
    id: int
    params: tuple[Param, ...]
    primitives: tuple[Json, ...]
    source: Source


@dataclass(frozen=True)
class KeyField:
    """`target`: [header, field]; for the kind ``valid`` the header's name. `width` in bits. `mask`: a static one."""

    name: str
    kind: str
    width: int
    target: tuple[str, ...]
    mask: int | None = None


@dataclass(frozen=True)
class ConstEntry:
    """`match`: the JSON objects. `priority`: the smaller wins, as BMv2 counts."""

    match: tuple[Json, ...]
    action_id: int
    params: tuple[int, ...]
    priority: int


@dataclass(frozen=True)
class Table:
    """`default_action_id` None: no default entry in the JSON. `profile`: the action profile's name, or ''.

    `hidden`: made by the compiler for code outside tables; no control plane sees it.
    """

    name: str
    id: int
    key: tuple[KeyField, ...]
    match_type: str
    kind: str
    profile: str
    max_size: int
    with_counters: bool
    support_timeout: bool
    direct_meter: str | None
    actions: tuple[str, ...]
    action_ids: tuple[int, ...]
    next_tables: Mapping[str, str | None]
    base_default_next: str | None
    default_action_id: int | None
    default_params: tuple[int, ...]
    default_const: bool
    entries: tuple[ConstEntry, ...]
    source: Source

    @property
    def ordered(self) -> bool:
        """Entries need a priority: several may match, and prefix lengths do not decide."""
        return any(k.kind in ("ternary", "range", "optional") for k in self.key)


@dataclass(frozen=True)
class Conditional:
    name: str
    expression: Json
    true_next: str | None
    false_next: str | None
    source: Source


@dataclass(frozen=True)
class ActionCall:
    name: str
    action_id: int
    next_node: str | None


@dataclass(frozen=True)
class ActionProfile:
    """`selector_algorithm` '' without a selector."""

    name: str
    max_size: int
    selector_algorithm: str
    selector_input: tuple[Json, ...]


@dataclass(frozen=True)
class Control:
    """A pipeline: ingress or egress."""

    name: str
    init: str | None
    tables: tuple[Table, ...]
    conditionals: tuple[Conditional, ...]
    action_calls: tuple[ActionCall, ...]
    profiles: tuple[ActionProfile, ...]


@dataclass(frozen=True)
class Calculation:
    name: str
    algorithm: str
    inputs: tuple[Json, ...]


@dataclass(frozen=True)
class Checksum:
    name: str
    target: tuple[str, str]
    calculation: str
    verify: bool
    update: bool
    condition: Json | None


@dataclass(frozen=True)
class Counter:
    name: str
    size: int
    direct_table: str | None


@dataclass(frozen=True)
class Meter:
    """`unit`: bytes or packets. `result`: for direct ones, the field that takes the colour."""

    name: str
    size: int
    unit: str
    direct_table: str | None
    result: tuple[str, str] | None


@dataclass(frozen=True)
class Register:
    name: str
    size: int
    width: int
    signed: bool


@dataclass(frozen=True)
class FieldList:
    """A list that clone, resubmit, recirculate preserve, or that a digest carries (`elements`: JSON objects)."""

    name: str
    id: int
    elements: tuple[Json, ...]


@dataclass(frozen=True)
class Program:
    name: str
    header_types: Mapping[str, HeaderType]
    headers: Mapping[str, Header]
    stacks: Mapping[str, Stack]
    unions: Mapping[str, Union]
    union_stacks: Mapping[str, UnionStack]
    errors: Mapping[str, int]
    enums: Mapping[str, Mapping[str, int]]
    parser: Parser
    value_sets: Mapping[str, ValueSet]
    deparser: Deparser
    actions: Mapping[int, Action]
    ingress: Control
    egress: Control
    calculations: Mapping[str, Calculation]
    checksums: tuple[Checksum, ...]
    counters: Mapping[str, Counter]
    meters: Mapping[str, Meter]
    registers: Mapping[str, Register]
    digests: Mapping[int, FieldList]
    field_lists: Mapping[int, FieldList]
    aliases: Mapping[str, tuple[str, str]]
    tables: Mapping[str, Table] = field(default_factory=dict)
    profiles: Mapping[str, ActionProfile] = field(default_factory=dict)

    def field(self, header: str, name: str) -> Field:
        if header not in self.headers:
            raise ProgramError(f"the program has no header {header}")
        return self.header_types[self.headers[header].type].field(name)

    def has_field(self, header: str, name: str) -> bool:
        return header in self.headers and any(
            f.name == name for f in self.header_types[self.headers[header].type].fields
        )


def load_json(source: str | Path | Json) -> Json:
    """The JSON object of a file, a text that begins with ``{``, or an object already parsed."""
    if isinstance(source, Mapping):
        return source
    if isinstance(source, str) and source.lstrip().startswith("{"):
        text, where = source, "the JSON"
    else:
        text, where = Path(source).read_text(encoding="utf-8"), str(source)
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ProgramError(f"{where} is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ProgramError(f"{where} is not a BMv2 JSON: it holds no object")
    return parsed


def parse_program(source: str | Path | Json) -> Program:
    """Read a BMv2 JSON. Raises ProgramError that names the part at fault."""
    data = load_json(source)
    for key in ("header_types", "headers", "parsers", "pipelines", "actions"):
        if key not in data:
            raise ProgramError(f"not a BMv2 JSON of a program: it has no {key!r}")
    version = data.get("__meta__", {}).get("version", [2, 0])
    if version[0] != 2:
        raise ProgramError(f"BMv2 JSON version {version[0]}.{version[1]} is not supported, only 2.x")
    try:
        return _Reader(data).program()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ProgramError(f"malformed BMv2 JSON: {type(error).__name__}: {error}") from error


def _source(item: Json) -> Source:
    info = item.get("source_info") or {}
    return Source(info.get("filename", ""), int(info.get("line", 0)), info.get("source_fragment", ""))


def _number(text: object) -> int:
    """A hexstr, with or without 0x and sign."""
    if isinstance(text, bool | int):
        return int(text)
    return int(str(text), 16)


class _Reader:
    def __init__(self, data: Json) -> None:
        self.data = data
        self.types = {t["name"]: self._header_type(t) for t in data["header_types"]}
        self.headers = {
            h["name"]: Header(h["name"], h["id"], h["header_type"], bool(h.get("metadata"))) for h in data["headers"]
        }
        self.names = {h.id: h.name for h in self.headers.values()}
        for header in self.headers.values():
            if header.type not in self.types:
                raise ProgramError(f"header {header.name} is of an unknown type {header.type}")

    def _items(self, key: str) -> Sequence[Json]:
        return self.data.get(key) or ()

    def _header_type(self, item: Json) -> HeaderType:
        fixed = sum(f[1] for f in item["fields"] if f[1] != "*")
        fields = []
        for entry in item["fields"]:
            name, width = entry[0], entry[1]
            signed = bool(entry[2]) if len(entry) > 2 else False
            if width == "*":
                fields.append(Field(name, int(item.get("max_length") or 0) * 8 - fixed, False, True))
            else:
                fields.append(Field(name, int(width), signed))
        return HeaderType(item["name"], tuple(fields))

    def _width(self, header: str, name: str) -> int:
        if name == "$valid$":
            return 1
        return self.types[self.headers[header].type].field(name).width

    def program(self) -> Program:
        controls = {p["name"]: self._control(p) for p in self.data["pipelines"]}
        empty = Control("", None, (), (), (), ())
        ingress, egress = controls.get("ingress", empty), controls.get("egress", empty)
        parsers = self.data["parsers"]
        deparsers = self.data.get("deparsers") or ()
        union_types = {u["name"]: u for u in self._items("header_union_types")}
        unions = {
            u["name"]: Union(
                u["name"],
                u["id"],
                u["union_type"],
                tuple(m[0] for m in union_types[u["union_type"]]["headers"]),
                tuple(self.names[i] for i in u["header_ids"]),
            )
            for u in self._items("header_unions")
        }
        union_names = {u.id: u.name for u in unions.values()}
        return Program(
            name=str(self.data.get("program", "")),
            header_types=self.types,
            headers=self.headers,
            stacks={
                s["name"]: Stack(s["name"], s["header_type"], tuple(self.names[i] for i in s["header_ids"]))
                for s in self._items("header_stacks")
            },
            unions=unions,
            union_stacks={
                s["name"]: UnionStack(
                    s["name"], s["union_type"], tuple(union_names[i] for i in s["header_union_ids"])
                )
                for s in self._items("header_union_stacks")
            },
            errors={str(e[0]): int(e[1]) for e in self._items("errors")},
            enums={e["name"]: {str(x[0]): int(x[1]) for x in e["entries"]} for e in self._items("enums")},
            parser=self._parser(parsers[0]) if parsers else Parser("", None, ()),
            value_sets={
                v["name"]: ValueSet(v["name"], v["compressed_bitwidth"], int(v.get("max_size", 0) or 0))
                for v in self._items("parse_vsets")
            },
            deparser=Deparser(
                deparsers[0]["name"], tuple(deparsers[0]["order"]), tuple(deparsers[0].get("primitives") or ())
            )
            if deparsers
            else Deparser("", (), ()),
            actions={
                a["id"]: Action(
                    a["name"],
                    a["id"],
                    tuple(Param(p["name"], int(p["bitwidth"])) for p in a["runtime_data"]),
                    tuple(a["primitives"]),
                    _source(a),
                )
                for a in self._items("actions")
            },
            ingress=ingress,
            egress=egress,
            calculations={
                c["name"]: Calculation(c["name"], c["algo"], tuple(c["input"])) for c in self._items("calculations")
            },
            checksums=tuple(
                Checksum(
                    c["name"],
                    (c["target"][0], c["target"][1]),
                    c["calculation"],
                    bool(c.get("verify", True)),
                    bool(c.get("update", True)),
                    c.get("if_cond"),
                )
                for c in self._items("checksums")
            ),
            counters={
                c["name"]: Counter(
                    c["name"], int(c.get("size") or 0), c.get("binding") if c.get("is_direct") else None
                )
                for c in self._items("counter_arrays")
            },
            meters={
                m["name"]: Meter(
                    m["name"],
                    int(m.get("size") or 0),
                    m["type"],
                    m.get("binding") if m.get("is_direct") else None,
                    (m["result_target"][0], m["result_target"][1]) if m.get("result_target") else None,
                )
                for m in self._items("meter_arrays")
            },
            registers={
                r["name"]: Register(r["name"], int(r["size"]), int(r["bitwidth"]), bool(r.get("signed")))
                for r in self._items("register_arrays")
            },
            digests={
                d["id"]: FieldList(d["name"], d["id"], tuple(d["elements"])) for d in self._items("learn_lists")
            },
            field_lists={
                d["id"]: FieldList(d["name"], d["id"], tuple(d["elements"])) for d in self._items("field_lists")
            },
            aliases={a[0]: (a[1][0], a[1][1]) for a in self._items("field_aliases")},
            tables={t.name: t for c in (ingress, egress) for t in c.tables},
            profiles={p.name: p for c in (ingress, egress) for p in c.profiles},
        )

    def _parser(self, item: Json) -> Parser:
        return Parser(item["name"], item.get("init_state"), tuple(self._state(s) for s in item["parse_states"]))

    def _state(self, item: Json) -> ParseState:
        transitions = []
        for one in item["transitions"]:
            kind = one.get("type") or ("default" if one["value"] == "default" else "hexstr")
            if kind == "default" or one["value"] == "default":
                transitions.append(Transition("default", 0, None, "", one["next_state"]))
                continue
            mask = None if one.get("mask") is None else _number(one["mask"])
            if kind == "parse_vset":
                transitions.append(Transition(kind, 0, mask, one["value"], one["next_state"]))
            else:
                transitions.append(Transition("value", _number(one["value"]), mask, "", one["next_state"]))
        return ParseState(
            item["name"],
            tuple(item["parser_ops"]),
            tuple(item["transition_key"]),
            tuple(transitions),
            _source(item),
        )

    def _control(self, item: Json) -> Control:
        return Control(
            item["name"],
            item.get("init_table"),
            tuple(self._table(t) for t in item["tables"]),
            tuple(
                Conditional(c["name"], c["expression"], c.get("true_next"), c.get("false_next"), _source(c))
                for c in item.get("conditionals") or ()
            ),
            tuple(ActionCall(c["name"], c["action_id"], c.get("next_node")) for c in item.get("action_calls") or ()),
            tuple(
                ActionProfile(
                    p["name"],
                    int(p.get("max_size") or 0),
                    p["selector"]["algo"] if p.get("selector") else "",
                    tuple(p["selector"]["input"]) if p.get("selector") else (),
                )
                for p in item.get("action_profiles") or ()
            ),
        )

    def _key(self, item: Json) -> KeyField:
        kind, target = item["match_type"], item["target"]
        if kind not in MATCH_KINDS:
            raise ProgramError(f"unknown match kind {kind}")
        path = (target,) if isinstance(target, str) else tuple(target)
        width = 1 if len(path) == 1 else self._width(path[0], path[1])
        mask = None if item.get("mask") is None else _number(item["mask"])
        return KeyField(item.get("name") or ".".join(path), kind, width, path, mask)

    def _table(self, item: Json) -> Table:
        default = item.get("default_entry") or {}
        return Table(
            name=item["name"],
            id=item["id"],
            key=tuple(self._key(k) for k in item["key"]),
            match_type=item["match_type"],
            kind=item.get("type", "simple"),
            profile=str(item.get("action_profile") or ""),
            max_size=int(item.get("max_size") or 1024),
            with_counters=bool(item.get("with_counters")),
            support_timeout=bool(item.get("support_timeout")),
            direct_meter=item.get("direct_meters") or None,
            actions=tuple(item["actions"]),
            action_ids=tuple(item["action_ids"]) if "action_ids" in item else self._action_ids(item["actions"]),
            next_tables=dict(item["next_tables"]),
            base_default_next=item.get("base_default_next"),
            default_action_id=default.get("action_id"),
            default_params=tuple(_number(v) for v in default.get("action_data") or ()),
            default_const=bool(default.get("action_const")),
            entries=tuple(
                ConstEntry(
                    tuple(e["match_key"]),
                    e["action_entry"]["action_id"],
                    tuple(_number(v) for v in e["action_entry"]["action_data"]),
                    int(e.get("priority") or 0),
                )
                for e in item.get("entries") or ()
            ),
            source=_source(item),
        )

    def _action_ids(self, names: Sequence[str]) -> tuple[int, ...]:
        by_name = {a["name"]: a["id"] for a in self.data["actions"]}
        return tuple(by_name[n] for n in names)
