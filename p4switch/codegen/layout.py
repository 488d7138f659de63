"""Where the program's headers and fields live in C, and under what names.

One C struct per header type, one `struct packet` with an instance of each header. Fields of up to 64 bits are
`uint64_t`; wider ones arrays of 64-bit limbs, least significant first; varbit fields `struct varbit_N`.
A stack is an array with one element more than the program declares: where an index goes that is out of range.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from p4switch.codegen.text import plain
from p4switch.errors import ProgramError
from p4switch.program import Field, HeaderType, Program

_RESERVED = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
asm typeof bool true false linux unix packet base next valid
NULL EOF errno stdin stdout stderr major minor assert offsetof
"""
_KEYWORDS = frozenset(_RESERVED.split())


def limbs(width: int) -> int:
    """64-bit words that a number of `width` bits takes."""
    return max(1, (width + 63) // 64)


class Names:
    """C identifiers for P4 names, unique within one scope."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = set(reserved)
        self._given: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._given:
            self._given[name] = self.fresh(name)
        return self._given[name]

    def fresh(self, name: str) -> str:
        base = re.sub(r"\W+", "_", name).strip("_") or "unnamed"
        if base[0].isdigit() or base in _KEYWORDS or base.startswith(("p4_", "p4w_", "P4_", "varbit_")):
            base += "_" if not base[0].isdigit() else ""
            base = f"n{base}" if base[0].isdigit() else base
        chosen, count = base, 2
        while chosen in self._taken:
            chosen, count = f"{base}_{count}", count + 1
        self._taken.add(chosen)
        return chosen


@dataclass(frozen=True)
class Place:
    """A field's storage: a C lvalue and what it holds."""

    code: str
    width: int
    signed: bool = False
    varbit: bool = False

    @property
    def wide(self) -> bool:
        return self.width > 64

    @property
    def limbs(self) -> int:
        return limbs(self.width)


@dataclass(frozen=True)
class HeaderPlace:
    """A header's storage. `union`: C lvalue of the union it is a member of, and the other members' C names."""

    code: str
    type: str
    metadata: bool = False
    union: str = ""
    siblings: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnionPlace:
    code: str
    type: str


@dataclass(frozen=True)
class StackPlace:
    """`code`: the array; `next`: the index of the first free element. `union`: it holds unions of that type."""

    code: str
    next: str
    size: int
    type: str
    union: bool


class Layout:
    """The C shape of one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.types = Names()
        self.members = Names({"base"})
        self.fields: dict[str, Names] = {}
        for kind in program.header_types.values():
            _ = self.types[kind.name]
            self.fields[kind.name] = Names({"valid"})
            for one in kind.fields:
                _ = self.fields[kind.name][one.name]
        self.union_types: dict[str, tuple[tuple[str, str, str], ...]] = {}
        for union in program.unions.values():
            self._union_type(union.type, union.members, union.headers)
        self._headers: dict[str, HeaderPlace] = {}
        self._unions: dict[str, UnionPlace] = {}
        self._stacks: dict[str, StackPlace] = {}
        self._check_names()
        self._place_stacks()
        self._place_unions()
        for header in program.headers.values():
            if header.name not in self._headers:
                code = f"p->{self.members[header.name]}"
                self._headers[header.name] = HeaderPlace(code, header.type, header.metadata)

    def _check_names(self) -> None:
        """What is placed in the packet by its name has a name of its own. Raises ProgramError."""
        program, names = self.program, set[str]()
        for kind in (program.headers, program.stacks, program.unions, program.union_stacks):
            if not names.isdisjoint(kind):
                raise ProgramError(f"two instances are named {', '.join(sorted(names & set(kind)))}")
            names |= set(kind)

    def _union_type(self, name: str, members: tuple[str, ...], headers: tuple[str, ...]) -> None:
        if name in self.union_types:
            return
        if name in self.program.header_types or len(set(members)) < len(members):
            raise ProgramError(f"header union type {name} has the name of a header type, or two members of one name")
        names = Names()
        self.union_types[name] = tuple(
            (member, names[member], self.program.headers[header].type)
            for member, header in zip(members, headers, strict=True)
        )
        _ = self.types[name]

    def _place_stacks(self) -> None:
        for stack in self.program.stacks.values():
            base = f"p->{self.members[stack.name]}"
            next_index = f"p->{self.members[stack.name + ' next']}"
            self._stacks[stack.name] = StackPlace(base, next_index, len(stack.headers), stack.type, False)
            for index, header in enumerate(stack.headers):
                self._headers[header] = HeaderPlace(f"{base}[{index}]", stack.type)
        for union_stack in self.program.union_stacks.values():
            base = f"p->{self.members[union_stack.name]}"
            next_index = f"p->{self.members[union_stack.name + ' next']}"
            self._stacks[union_stack.name] = StackPlace(
                base, next_index, len(union_stack.unions), union_stack.type, True
            )
            for index, union in enumerate(union_stack.unions):
                self._unions[union] = UnionPlace(f"{base}[{index}]", union_stack.type)

    def _place_unions(self) -> None:
        for union in self.program.unions.values():
            if union.name not in self._unions:
                self._unions[union.name] = UnionPlace(f"p->{self.members[union.name]}", union.type)
            place = self._unions[union.name]
            for index, header in enumerate(union.headers):
                self._headers[header] = self.union_member(place, index)

    def union_member(self, union: UnionPlace, index: int) -> HeaderPlace:
        members = self.union_types[union.type]
        if not 0 <= index < len(members):
            raise ProgramError(f"header union {union.type} has no member {index}")
        _, name, kind = members[index]
        siblings = tuple(m[1] for i, m in enumerate(members) if i != index)
        return HeaderPlace(f"{union.code}.{name}", kind, False, union.code, siblings)

    def header(self, name: str) -> HeaderPlace:
        if name not in self._headers:
            raise ProgramError(f"the program has no header {name}")
        return self._headers[name]

    def packet_type(self, place: HeaderPlace | UnionPlace) -> str:
        """The C name of a type with the functions of headers in a packet, to extract, emit, measure and compare.
        Raises ProgramError for metadata, which are not in one."""
        if isinstance(place, HeaderPlace) and place.metadata:
            raise ProgramError(
                f"{place.type} is metadata, which cannot be extracted, emitted, compared or made valid"
            )
        return self.types[place.type]

    def union(self, name: str) -> UnionPlace:
        if name not in self._unions:
            raise ProgramError(f"the program has no header union {name}")
        return self._unions[name]

    def stack(self, name: str) -> StackPlace:
        if name not in self._stacks:
            raise ProgramError(f"the program has no header stack {name}")
        return self._stacks[name]

    def type(self, name: str) -> HeaderType:
        return self.program.header_types[name]

    def struct(self, header_type: str) -> str:
        return f"struct {self.types[header_type]}"

    def member(self, header: HeaderPlace, field: Field) -> Place:
        code = f"{header.code}.{self.fields[header.type][field.name]}"
        return Place(code, field.width, field.signed, field.varbit)

    def field_at(self, header: HeaderPlace, offset: int) -> Place:
        """By position, as `access_field` has it; one past the last is the validity bit."""
        fields = self.type(header.type).fields
        if offset == len(fields):
            return Place(f"{header.code}.valid", 1)
        if not 0 <= offset < len(fields):
            raise ProgramError(f"header type {header.type} has no field {offset}")
        return self.member(header, fields[offset])

    def field(self, header: str, name: str) -> Place:
        place = self.header(header)
        if name == "$valid$":
            return Place(f"{place.code}.valid", 1)
        return self.member(place, self.type(place.type).field(name))

    def find(self, name: str) -> Place | None:
        """A field by the name that simple_switch knows it by (``intrinsic_metadata.mcast_grp``), aliases first."""
        if name in self.program.aliases:
            return self.field(*self.program.aliases[name])
        header, _, field = name.partition(".")
        if self.program.has_field(header, field):
            return self.field(header, field)
        return None


def struct_definitions(layout: Layout) -> str:
    """types.h: the header types, the unions, and struct packet."""
    program = layout.program
    out: list[str] = ['#include <stddef.h>\n\n#include "p4_trace.h"\n']
    for width in sorted({f.width for t in program.header_types.values() for f in t.fields if f.varbit}):
        out.append(
            f"/* A varbit field of at most {width} bits. */\n"
            f"struct varbit_{width} {{ uint32_t bits; uint8_t bytes[{(width + 7) // 8 or 1}]; }};\n"
        )
    for kind in program.header_types.values():
        lines = [f"struct {layout.types[kind.name]} {{"]
        for one in kind.fields:
            name = layout.fields[kind.name][one.name]
            if one.varbit:
                lines.append(f"    struct varbit_{one.width} {name};")
            else:
                array = f"[{limbs(one.width)}]" if one.width > 64 else ""
                lines.append(f"    uint64_t {name}{array}; /* {'int' if one.signed else 'bit'}<{one.width}> */")
        lines += ["    uint8_t valid;", "};\n"]
        out.append("\n".join(lines))
    for name, members in layout.union_types.items():
        lines = [f"struct {layout.types[name]} {{ /* header_union {plain(name)}: at most one is valid */"]
        lines += [f"    struct {layout.types[kind]} {member};" for _, member, kind in members]
        out.append("\n".join([*lines, "};\n"]))
    out.append(_packet(layout))
    return "\n".join(out)


def _packet(layout: Layout) -> str:
    program = layout.program
    lines = ["struct packet {", "    struct p4_packet base;"]
    for header in program.headers.values():
        place = layout.header(header.name)
        if place.code == f"p->{layout.members[header.name]}":
            lines.append(f"    {layout.struct(header.type)} {layout.members[header.name]};")
    for union in program.unions.values():
        place_code = layout.union(union.name).code
        if not place_code.endswith("]"):
            lines.append(f"    {layout.struct(union.type)} {place_code[3:]};")
    for name in (*program.stacks, *program.union_stacks):
        stack = layout.stack(name)
        lines.append(f"    {layout.struct(stack.type)} {stack.code[3:]}[{stack.size} + 1];")
        lines.append(f"    uint32_t {stack.next[3:]};")
    return "\n".join([*lines, "};\n"])
