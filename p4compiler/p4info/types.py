"""User-defined types in P4Info: structs, headers, enums and types with a translation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finsy.proto import p4t

from p4compiler import types as t
from p4compiler.elaborate import program as elaborate
from p4compiler.elaborate.storage import control_plane_name, struct_type_name
from p4compiler.p4info.annotations import annotate
from p4compiler.syntax import tree as s


def translation(type_: t.Type) -> tuple[str, int | None] | None:
    """The URI and width (None: a string) of @p4runtime_translation; None without it."""
    if not isinstance(type_, t.NewType):
        return None
    annotation = s.find_annotation(type_.declaration.annotations, "p4runtime_translation")
    if annotation is None or not annotation.body:
        return None
    tokens = [x.text for x in annotation.body]
    comma = tokens.index(",") if "," in tokens else len(tokens) - 1
    rest = tokens[comma + 1 :]
    if rest[:1] == ["string"]:
        return s.unquote(tokens[0]), None
    digits = [x for x in rest if x.isdigit()]
    return s.unquote(tokens[0]), int(digits[0]) if digits else None


def type_width(type_: t.Type) -> int:
    """The width that the control plane sees; 0 for strings and errors."""
    translated = translation(type_)
    if translated is not None:
        return translated[1] or 0
    plain = t.value_type(type_)
    if isinstance(plain, t.Bits):
        return plain.width
    return 1 if plain == t.BOOL else 32 if isinstance(plain, t.Enum) else 0


def type_name(type_: t.Type) -> str | None:
    """The name of a `type` declaration, which P4Info keeps."""
    return type_.declaration.name if isinstance(type_, t.NewType) else None


class TypeDescriptions:
    """Adds descriptions to the message's type_info as types are met."""

    def __init__(self, program: elaborate.Program, info: Any) -> None:
        self.program = program
        self.info = info

    def flat_fields(self, type_: t.Struct, prefix: str = "") -> list[tuple[str, t.Type, s.Annotations]]:
        """Fields with those of nested structs in their place, named with dots."""
        fields: list[tuple[str, t.Type, s.Annotations]] = []
        types = self.program.storage.field_types(type_)
        for field in type_.declaration.fields:
            field_type = types[field.name]
            if isinstance(t.strip(field_type), t.Struct):
                inner = t.strip(field_type)
                assert isinstance(inner, t.Struct)
                fields += self.flat_fields(inner, f"{prefix}{field.name}.")
            else:
                name = prefix + field.name if prefix else control_plane_name(field)
                fields.append((name, field_type, field.annotations))
        return fields

    def describe(self, type_: t.Type, spec: Any = None) -> None:
        """Fills a P4DataTypeSpec, if one is given, and adds what the type's name refers to."""
        if spec is None:
            spec = p4t.P4DataTypeSpec()
        if type_ == t.BOOL:
            spec.bool.SetInParent()
        elif type_ == t.ERROR:
            self._errors(spec)
        elif type(type_) in _DESCRIBERS:
            _DESCRIBERS[type(type_)](self, type_, spec)

    def _errors(self, spec: Any) -> None:
        spec.error.SetInParent()
        if not self.info.type_info.HasField("error"):
            self.info.type_info.error.members.extend(self.program.facts.errors)

    def _bitstring(self, type_: t.Bits, spec: Any) -> None:
        self._bits(type_, spec.bitstring)

    def _varbit(self, type_: t.Varbit, spec: Any) -> None:
        spec.bitstring.varbit.max_bitwidth = type_.width

    def _tuple(self, type_: t.Tuple, spec: Any) -> None:
        for item in type_.items:
            self.describe(item, spec.tuple.members.add())

    def _bits(self, type_: t.Bits, spec: Any) -> None:
        (spec.int if type_.signed else spec.bit).bitwidth = type_.width

    def _new_type(self, type_: t.NewType, spec: Any) -> None:
        name = spec.new_type.name = control_plane_name(type_.declaration)
        if name in self.info.type_info.new_types:
            return
        entry = self.info.type_info.new_types[name]
        translated = translation(type_)
        annotate(entry, type_.declaration.annotations, ("p4runtime_translation",))
        if translated is None:
            self.describe(t.strip(type_), entry.original_type)
            return
        entry.translated_type.uri = translated[0]
        if translated[1] is None:
            entry.translated_type.sdn_string.SetInParent()
        else:
            entry.translated_type.sdn_bitwidth = translated[1]

    def _enum(self, type_: t.Enum, spec: Any) -> None:
        name = control_plane_name(type_.declaration)
        plain = t.value_type(type_)
        if type_.underlying is None:
            spec.enum.name = name
            if name not in self.info.type_info.enums:
                entry = self.info.type_info.enums[name]
                for member in type_.declaration.members:
                    entry.members.add(name=control_plane_name(member))
            return
        spec.serializable_enum.name = name
        if name in self.info.type_info.serializable_enums:
            return
        entry = self.info.type_info.serializable_enums[name]
        assert isinstance(plain, t.Bits)
        entry.underlying_type.bitwidth = plain.width
        for member in type_.declaration.members:
            value = self.program.facts.enum_values[member] & ((1 << plain.width) - 1)
            entry.members.add(name=control_plane_name(member), value=value.to_bytes((plain.width + 7) // 8, "big"))

    def _stack(self, type_: t.Stack, spec: Any) -> None:
        element = t.strip(type_.element)
        if not isinstance(element, t.Struct) or element.kind == "struct":
            # P4Info has no arrays of anything but headers.
            return
        self.describe(element)
        if element.kind == "header":
            spec.header_stack.header.name = struct_type_name(element)
            spec.header_stack.size = type_.size
        else:
            spec.header_union_stack.header_union.name = struct_type_name(element)
            spec.header_union_stack.size = type_.size

    def _struct(self, type_: t.Struct, spec: Any) -> None:
        name, info = struct_type_name(type_), self.info.type_info
        getattr(spec, type_.kind).name = name
        fields = self.program.storage.field_types(type_)
        names = {f.name: control_plane_name(f) for f in type_.declaration.fields}
        if type_.kind == "struct" and name not in info.structs:
            entry = info.structs[name]
            for field, field_type in fields.items():
                member = entry.members.add(name=names[field])
                self.describe(field_type, member.type_spec)
        elif type_.kind == "header" and name not in info.headers:
            entry = info.headers[name]
            for field_name, field_type, _ in self.flat_fields(type_):
                member = entry.members.add(name=field_name)
                plain = t.value_type(field_type)
                if isinstance(plain, t.Bits):
                    self._bits(plain, member.type_spec)
                elif isinstance(plain, t.Varbit):
                    member.type_spec.varbit.max_bitwidth = plain.width
                else:
                    member.type_spec.bit.bitwidth = 1
        elif type_.kind == "header_union" and name not in info.header_unions:
            entry = info.header_unions[name]
            for field, field_type in fields.items():
                member = entry.members.add(name=names[field])
                header = t.strip(field_type)
                assert isinstance(header, t.Struct)
                member.header.name = struct_type_name(header)
                self.describe(header)


_DESCRIBERS: dict[type, Callable[..., None]] = {
    t.NewType: TypeDescriptions._new_type,
    t.Bits: TypeDescriptions._bitstring,
    t.Varbit: TypeDescriptions._varbit,
    t.Enum: TypeDescriptions._enum,
    t.Tuple: TypeDescriptions._tuple,
    t.Stack: TypeDescriptions._stack,
    t.Struct: TypeDescriptions._struct,
}
