"""Headers, stacks and fields of a program, from BMv2 JSON, and what only the checked program knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from p4compiler import types as t
from p4compiler.elaborate.program import Program
from p4compiler.wireshark.lua import Json, quoted, table

MOST_NAMED_BITS = 64
"""Wireshark names values of fields up to here."""


@dataclass(frozen=True)
class Field:
    """`width` None: of variable length."""

    name: str
    width: int | None
    signed: bool


@dataclass(frozen=True)
class Header:
    name: str
    type: str
    fields: tuple[Field, ...]
    most: int
    others: tuple[str, ...] = ()

    @property
    def bits(self) -> int:
        return sum(one.width or 0 for one in self.fields)

    def place(self, name: str) -> tuple[int, int] | None:
        """(bit, width) of a field with nothing of variable length before it."""
        at = 0
        for one in self.fields:
            if one.width is None:
                return None
            if one.name == name:
                return at, one.width
            at += one.width
        return None


@dataclass(frozen=True)
class Layout:
    """`others`: the other members of a header's union. `metadata`: what does not come from the packet."""

    headers: Mapping[str, Header]
    metadata: Mapping[str, Header]
    stacks: Mapping[str, tuple[str, ...]]
    names: Mapping[str, Mapping[str, Mapping[int, str]]] = field(default_factory=dict)

    @property
    def every(self) -> dict[str, Header]:
        return {**self.metadata, **self.headers}


def read(json: Json, names: Mapping[str, Mapping[str, Mapping[int, str]]]) -> Layout:
    """`names`: by header and field, those of values."""
    types = {one["name"]: one for one in json["header_types"]}
    by_id = {one["id"]: one["name"] for one in json["headers"]}
    union_ids = {one["id"]: one for one in json["header_unions"]}
    siblings: dict[str, tuple[str, ...]] = {}
    for union in json["header_unions"]:
        members = [by_id[one] for one in union["header_ids"]]
        siblings |= {name: tuple(other for other in members if other != name) for name in members}
    headers: dict[str, Header] = {}
    metadata: dict[str, Header] = {}
    for one in json["headers"]:
        kind = types[one["header_type"]]
        fields = tuple(
            Field(given[0], None if given[1] == "*" else int(given[1]), bool(given[2:3] and given[2]))
            for given in kind["fields"]
        )
        fixed = sum(given.width or 0 for given in fields)
        most = 8 * int(kind.get("max_length") or 0) - fixed
        made = Header(one["name"], kind["name"], fields, max(0, most), siblings.get(one["name"], ()))
        (metadata if one["metadata"] else headers)[made.name] = made
    stacks = {one["name"]: tuple(by_id[each] for each in one["header_ids"]) for one in json["header_stacks"]}
    for one in json["header_union_stacks"]:
        stacks[one["name"]] = tuple(union_ids[each]["name"] for each in one["header_union_ids"])
    return Layout(headers, metadata, stacks, names)


def names_of_values(program: Program) -> dict[str, dict[str, dict[int, str]]]:
    """The names that enumerations give to fields' values, by header and field."""
    found = {}
    for header in program.storage.headers:
        if isinstance(header.type, t.Struct):
            fields = dict(_named(program, header.type, ""))
            if fields:
                found[header.name] = fields
    return found


def _named(program: Program, type_: t.Struct, prefix: str) -> Iterator[tuple[str, dict[int, str]]]:
    for name, kind in program.storage.field_types(type_).items():
        plain = _without_names(kind)
        if isinstance(plain, t.Struct):
            yield from _named(program, plain, f"{prefix}{name}.")
        elif isinstance(plain, t.Enum) and isinstance(plain.underlying, t.Bits):
            mask = -1 if plain.underlying.signed else (1 << plain.underlying.width) - 1
            values = program.facts.enum_values
            yield prefix + name, {values[one] & mask: one.name for one in plain.declaration.members}


def _without_names(type_: t.Type) -> t.Type:
    while isinstance(type_, t.NewType):
        type_ = type_.base
    return type_


def lua(layout: Layout, shown: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """The program's tables. `shown`: how fields are shown that are no numbers, by header and field."""
    yield f"program.order = {table(map(quoted, layout.headers))}"
    for header in layout.headers.values():
        yield f"program.headers[{quoted(header.name)}] = {{"
        others = table(map(quoted, header.others))
        yield f"  type = {quoted(header.type)}, bits = {header.bits}, most = {header.most}, others = {others},"
        yield "  fields = {"
        names = layout.names.get(header.name, {})
        for one in header.fields:
            yield f"    {_field(one, names.get(one.name, {}), shown.get((header.name, one.name)))},"
        yield "  },"
        yield "}"
    for stack, elements in layout.stacks.items():
        yield f"program.stacks[{quoted(stack)}] = {table(map(quoted, elements))}"


def _field(one: Field, names: Mapping[int, str], shown: str | None) -> str:
    parts = [f"name = {quoted(one.name)}"]
    if one.width is not None:
        parts.append(f"width = {one.width}")
    if one.signed:
        parts.append("signed = true")
    if shown is not None:
        parts.append(f"shown = {quoted(shown)}")
    if names and (one.width or 0) <= MOST_NAMED_BITS:
        parts.append(f"names = {table(f'[{value}] = {quoted(name)}' for value, name in names.items())}")
    return "{ " + ", ".join(parts) + " }"
