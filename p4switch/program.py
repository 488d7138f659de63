"""The BMv2 JSON as typed values: behavioral-model's docs/JSON_format.md, version 2.x, as p4c writes it for v1model.

Structure (headers, tables, actions…) becomes dataclasses; expressions and primitives stay JSON objects that
`p4switch.codegen` translates. References are checked there, where the text can say which action is at fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p4switch.errors import ProgramError

Json = Mapping[str, Any]

MOST_HEADER_BITS = 65536
MOST_CELLS = (1 << 31) - 2
"""The most cells of a counter, meter or register array."""

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
    """`match`: the JSON objects. `priority`: the smaller wins, as BMv2 counts.

    What p4compiler's JSON adds: `runtime_priority`, the one that P4Runtime reads (None: it follows from `priority`),
    and `const`, whether the entry stays as it is even where the table's entries can be changed.
    """

    match: tuple[Json, ...]
    action_id: int
    params: tuple[int, ...]
    priority: int
    runtime_priority: int | None = None
    const: bool = False
    source: Source = Source()


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


@dataclass(frozen=True)
class Meter:
    """`unit`: bytes or packets. `result`: for direct ones, the field that takes the colour."""

    name: str
    size: int
    unit: str
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


def mentions(program: Program, fields: Collection[str]) -> bool:
    """Whether the program computes with, matches or hands on a field of one of these names."""
    parts: list[Any] = [program.deparser.primitives, [c.inputs for c in program.calculations.values()]]
    parts += [action.primitives for action in program.actions.values()]
    parts += [one.elements for lists in (program.digests, program.field_lists) for one in lists.values()]
    for control in (program.ingress, program.egress):
        parts += [one.expression for one in control.conditionals]
        parts += [key.target for table in control.tables for key in table.key]
        parts += [profile.selector_input for profile in control.profiles]
    return any(isinstance(one, str) and one in fields for one in inner_parts(parts))


def inner_parts(parts: Iterable[Any]) -> Iterator[Any]:
    """All that JSON's objects and arrays hold, at any depth, and these themselves; in no order."""
    todo = list(parts)
    while todo:
        one = todo.pop()
        yield one
        if isinstance(one, Mapping):
            todo += one.values()
        elif isinstance(one, (list, tuple)):
            todo += one
