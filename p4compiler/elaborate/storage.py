"""Where values live: header instances, stacks, unions and scalar variables, each under a unique name."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4compiler import types as t
from p4compiler.ir import nodes as ir
from p4compiler.ir.fold import erase
from p4compiler.ir.parts import FieldTypes, leaves
from p4compiler.ir.unique import UniqueNames
from p4compiler.syntax import tree as s

SCALARS = "scalars"
STANDARD_METADATA = "standard_metadata"


@dataclass
class Storage:
    """Everything that was allocated, in order. `siblings`: a member of a union with the other members."""

    field_types: FieldTypes
    scalars: dict[str, t.Type] = field(default_factory=dict)
    headers: list[ir.Header] = field(default_factory=list)
    metadata: list[ir.Header] = field(default_factory=list)
    stacks: list[ir.StackPlace] = field(default_factory=list)
    unions: list[ir.UnionPlace] = field(default_factory=list)
    siblings: dict[ir.Header, list[ir.Header]] = field(default_factory=dict)
    _names: UniqueNames = field(default_factory=lambda: UniqueNames({SCALARS, STANDARD_METADATA}))
    _scalars_owner: ir.Header = field(default_factory=lambda: ir.Header(SCALARS, t.VOID))

    def allocate(self, name: str, type_: t.Type) -> ir.Value:
        """A place for a value of the type."""
        plain = t.value_type(type_)
        if isinstance(plain, t.Struct):
            if plain.kind == "struct":
                return self.allocate_struct(name, plain)
            if plain.kind == "header":
                header = ir.Header(self._names.unique(name), plain)
                self.headers.append(header)
                return header
            return self._union(self._names.unique(name), plain)
        if t.is_array(plain):
            items = t.array_items(plain)
            return ir.StructPlace(plain, {i: self.allocate(f"{name}[{i}]", item) for i, item in items.items()})
        if isinstance(plain, t.Stack):
            return self._stack(self._names.unique(name), plain)
        if isinstance(plain, t.Tuple):
            fields = {str(i): self.allocate(f"{name}.{i}", item) for i, item in enumerate(plain.items)}
            return ir.StructPlace(plain, fields)
        if isinstance(plain, t.Varbit):
            owner = ir.Header(self._names.unique(name), plain)
            self.metadata.append(owner)
            return ir.Scalar(plain, owner, "field")
        erased = erase(plain)
        unique = self._names.unique(name)
        self.scalars[unique] = erased
        return ir.Scalar(erased, self._scalars_owner, unique)

    def allocate_struct(self, name: str, type_: t.Struct) -> ir.StructPlace:
        """A struct whose fields are named after it; with an empty name, after themselves."""
        prefix = f"{name}." if name else ""
        declared = {f.name: f for f in type_.declaration.fields}
        fields: dict[str, ir.Value] = {}
        for field_name, field_type in self.field_types(type_).items():
            shown = control_plane_name(declared[field_name]) if not name else field_name
            fields[field_name] = self.allocate(prefix + shown, field_type)
        return ir.StructPlace(type_, fields)

    def _stack(self, name: str, type_: t.Stack) -> ir.StackPlace:
        plain = t.strip(type_.element)
        assert isinstance(plain, t.Struct)
        fields = leaves(ir.Header(name, plain), self.field_types) if plain.kind == "header" else []
        place = ir.StackPlace(name, type_, tuple(leaf.field for leaf in fields if isinstance(leaf, ir.Scalar)))
        self.stacks.append(place)
        for index in range(type_.size):
            element = f"{name}[{index}]"
            self._names.take(element)
            if plain.kind == "header_union":
                self._union(element, plain)
            else:
                self.headers.append(ir.Header(element, plain))
        return place

    def _union(self, name: str, type_: t.Struct) -> ir.UnionPlace:
        place = ir.UnionPlace(type_, name)
        self.unions.append(place)
        members = [ir.Header(f"{name}.{m}", t.strip(type_)) for m, type_ in self.field_types(type_).items()]
        self.headers += members
        self.siblings.update({one: [other for other in members if other != one] for one in members})
        return place


def control_plane_name(declaration: s.Declaration) -> str:
    """The name that @name gives to a declaration, or its own."""
    annotation = s.find_annotation(declaration.annotations, "name")
    text = s.string_body(annotation) if annotation is not None else None
    return text if text is not None else declaration.name


def struct_type_name(type_: t.Struct) -> str:
    return control_plane_name(type_.declaration) + t.show_arguments(type_.arguments)
