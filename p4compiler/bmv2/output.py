"""The JSON document under construction: numbered objects, source positions, types and instances of headers."""

from __future__ import annotations

from typing import Any

from p4compiler import types as t
from p4compiler.bmv2.expressions import Json, width_of
from p4compiler.elaborate.program import Program
from p4compiler.elaborate.storage import SCALARS, STANDARD_METADATA, struct_type_name
from p4compiler.ir import nodes as ir
from p4compiler.ir.fold import erase
from p4compiler.ir.unique import UniqueNames
from p4compiler.source import Fault, Location
from p4compiler.syntax import tree as s

MOST_HEADER_BITS = 1 << 16
"""What p4switch holds; BMv2 has no limit of its own."""
SCALARS_TYPE = "scalars_0"


def source_info(loc: Location | None) -> Json:
    """{"source_info": ...}, or nothing where there is no position or it is in the compiler's own files."""
    if loc is None or loc.source.system:
        return {}
    line, column = loc.source.position(loc.start)
    text = loc.source.text[loc.start : loc.end]
    first = text.split("\n", 1)[0]
    fragment = first.rstrip() + " ..." if len(first) < len(text) else first
    info = {"filename": loc.source.path, "line": line, "column": column - 1, "source_fragment": fragment}
    return {"source_info": info}


class Output:
    """`root` is the document; objects of one kind are numbered from 0."""

    ARRAYS = (
        "header_types", "headers", "header_stacks", "header_union_types", "header_unions", "header_union_stacks",
        "field_lists", "errors", "enums", "parsers", "parse_vsets", "deparsers", "meter_arrays", "counter_arrays",
        "register_arrays", "calculations", "learn_lists", "actions", "pipelines", "checksums", "force_arith",
        "extern_instances", "field_aliases",
    )  # fmt: skip

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.root: dict[str, Any] = {key: [] for key in self.ARRAYS}
        self.root["program"] = name
        self.root["__meta__"] = {"version": [2, 23], "compiler": "switchraft p4compiler"}
        # Ids of lists that simple_switch uses as flags begin at 1.
        self._next = {"field_lists": 1, "learn_lists": 1}
        self._types: dict[t.Type, str] = {}
        self._type_names = UniqueNames()

    def number(self, kind: str) -> int:
        value = self._next.get(kind, 0)
        self._next[kind] = value + 1
        return value

    def add(self, array: str, entry: Json) -> int:
        """Appends an object under a fresh id; returns the id."""
        entry["id"] = self.number(array)
        self.root[array].append(entry)
        return int(entry["id"])

    # Headers

    def write_headers(self) -> None:
        """Types and instances of everything that was allocated."""
        storage = self.program.storage
        self._type_names.take(SCALARS_TYPE)
        scalars: Json = {"name": SCALARS_TYPE, "fields": []}
        self.add("header_types", scalars)
        for name, type_ in storage.scalars.items():
            scalars["fields"].append(self._field(name, type_))
        bits = sum(size for _, size, _ in scalars["fields"])
        if bits > MOST_HEADER_BITS:
            text = f"the program's variables and metadata have {bits} bits together; at most {MOST_HEADER_BITS} are"
            raise Fault(f"{text} supported", self.program.facts.program.end)
        self._pad(scalars["fields"])
        standard_type = self.program.standard_metadata.type
        assert isinstance(standard_type, t.Struct)
        self.type_name(standard_type)
        self._instance(SCALARS, SCALARS_TYPE, True)
        self._instance(STANDARD_METADATA, self.type_name(standard_type), True)
        self._aliases(standard_type)
        ids: dict[str, int] = {}
        for header in storage.headers:
            ids[header.name] = self._instance(header.name, self.type_name(header.type), False)
        for header in storage.metadata:
            self._instance(header.name, self.type_name(header.type), True)
        union_ids: dict[str, int] = {}
        for union in storage.unions:
            union_ids[union.name] = self._union(union, ids)
        for stack in storage.stacks:
            self._stack(stack, ids, union_ids)

    def type_name(self, type_: t.Type) -> str:
        """The header type's name; its description is written when it is first used."""
        found = self._types.get(type_)
        if found is not None:
            return found
        if isinstance(type_, t.Varbit):
            name = self._types[type_] = self._type_names.unique(f"$varbit{type_.width}")
            self.add("header_types", {"name": name, "fields": [["field", "*"]], "max_length": (type_.width + 7) // 8})
            return name
        assert isinstance(type_, t.Struct)
        name = self._types[type_] = self._type_names.unique(struct_type_name(type_))
        entry: Json = {"name": name}
        self.add("header_types", entry)
        fields = self.flat_fields(type_)
        entry["fields"] = [self._field(n, f) for n, f in fields]
        bits = sum(width_of(f) for _, f in fields)
        if bits > MOST_HEADER_BITS:
            raise Fault(f"'{name}' has {bits} bits; at most {MOST_HEADER_BITS} are supported", type_.declaration.loc)
        if type_.kind == "header":
            if bits % 8:
                raise Fault(
                    f"header '{name}' has {bits} bits; simple_switch needs whole bytes", type_.declaration.loc
                )
            if sum(isinstance(f, t.Varbit) for _, f in fields) > 1:
                raise Fault(f"header '{name}' has more than one varbit field", type_.declaration.loc)
            if any(isinstance(f, t.Varbit) for _, f in fields):
                entry["max_length"] = bits // 8
        else:
            self._pad(entry["fields"])
        return name

    def flat_fields(self, type_: t.Struct, prefix: str = "") -> list[tuple[str, t.Type]]:
        """Fields with those of nested structs in their place."""
        result: list[tuple[str, t.Type]] = []
        for name, field in self.program.storage.field_types(type_).items():
            plain = t.value_type(field)
            if isinstance(plain, t.Struct):
                result += self.flat_fields(plain, f"{prefix}{name}.")
            else:
                result += self._items(prefix + name, plain)
        return result

    def _items(self, name: str, type_: t.Type) -> list[tuple[str, t.Type]]:
        """A field; an array as one field for each element."""
        if not t.is_array(type_):
            if isinstance(type_, t.Struct):
                return self.flat_fields(type_, f"{name}.")
            return [(name, erase(type_))]
        items = t.array_items(type_)
        return [leaf for i, item in items.items() for leaf in self._items(f"{name}[{i}]", t.value_type(item))]

    def _field(self, name: str, type_: t.Type) -> list[Any]:
        if isinstance(type_, t.Varbit):
            return [name, "*"]
        return [name, width_of(type_), isinstance(type_, t.Bits) and type_.signed]

    def _pad(self, fields: list[Any]) -> None:
        bits = sum(f[1] for f in fields)
        if bits % 8:
            fields.append(["_padding", 8 - bits % 8, False])

    def _instance(self, name: str, type_name: str, metadata: bool) -> int:
        return self.add(
            "headers", {"name": name, "id": 0, "header_type": type_name, "metadata": metadata, "pi_omit": True}
        )

    def _aliases(self, type_: t.Struct) -> None:
        for field in type_.declaration.fields:
            alias = s.find_annotation(field.annotations, "alias")
            text = s.string_body(alias) if alias is not None else None
            if text is not None:
                self.root["field_aliases"].append([text, [STANDARD_METADATA, field.name]])

    def _union_type(self, type_: t.Struct) -> str:
        if type_ not in self._types:
            name = self._types[type_] = self._type_names.unique(struct_type_name(type_))
            members = self.program.storage.field_types(type_)
            headers = [[n, self.type_name(t.strip(m))] for n, m in members.items()]
            self.add("header_union_types", {"name": name, "id": 0, "headers": headers})
        return self._types[type_]

    def _union(self, union: ir.UnionPlace, ids: dict[str, int]) -> int:
        members = [ids[f"{union.name}.{n}"] for n in self.program.storage.field_types(union.type)]
        entry = {"name": union.name, "id": 0, "union_type": self._union_type(union.type), "header_ids": members}
        return self.add("header_unions", {**entry, "pi_omit": True})

    def _stack(self, stack: ir.StackPlace, ids: dict[str, int], union_ids: dict[str, int]) -> None:
        element, size = t.strip(stack.type.element), stack.type.size
        assert isinstance(element, t.Struct)
        names = [f"{stack.name}[{i}]" for i in range(size)]
        if element.kind == "header_union":
            entry: Json = {"name": stack.name, "id": 0, "union_type": self._union_type(element), "size": size}
            entry["header_union_ids"] = [union_ids[n] for n in names]
            self.add("header_union_stacks", entry)
        else:
            entry = {"name": stack.name, "id": 0, "header_type": self.type_name(element), "size": size}
            entry["header_ids"] = [ids[n] for n in names]
            self.add("header_stacks", entry)
