"""What values are made of: elements of stacks, fields of headers, and all scalars of a value."""

from __future__ import annotations

from collections.abc import Callable

from p4compiler import types as t
from p4compiler.ir import fold
from p4compiler.ir import nodes as ir

FieldTypes = Callable[[t.Struct], dict[str, t.Type]]


def element(stack: ir.StackPlace, index: int) -> ir.Header | ir.UnionPlace:
    """stack[index] with an index known at compile time."""
    type_ = t.strip(stack.type.element)
    assert isinstance(type_, t.Struct)
    name = f"{stack.name}[{index}]"
    return ir.UnionPlace(type_, name) if type_.kind == "header_union" else ir.Header(name, type_)


def header_field(header: ir.HeaderPlace, name: str, field_types: FieldTypes) -> ir.Value:
    """A field of a header; one with fields or elements of its own as a struct of these."""
    struct = t.strip(header.type)
    assert isinstance(struct, t.Struct)
    return _field(header, name, field_types(struct)[name], field_types)


def _field(header: ir.HeaderPlace, name: str, type_: t.Type, field_types: FieldTypes) -> ir.Value:
    plain = t.value_type(type_)
    if isinstance(plain, t.Struct):
        inner = field_types(plain)
        return ir.StructPlace(plain, {n: _field(header, f"{name}.{n}", f, field_types) for n, f in inner.items()})
    if t.is_array(plain):
        items = t.array_items(plain)
        return ir.StructPlace(plain, {i: _field(header, f"{name}[{i}]", f, field_types) for i, f in items.items()})
    return ir.Scalar(fold.erase(plain), header, name)


def leaves(value: ir.Value, field_types: FieldTypes) -> list[ir.Value]:
    """The scalars of a value, depth first; headers give their fields."""
    parts: list[ir.Value] = []
    if isinstance(value, (ir.StructPlace, ir.Aggregate)):
        parts = list(value.fields.values())
    elif isinstance(value, (ir.Header, ir.Element, ir.Edge, ir.Member)):
        struct = t.strip(value.type)
        assert isinstance(struct, t.Struct)
        parts = [header_field(value, name, field_types) for name in field_types(struct)]
    elif isinstance(value, ir.StackPlace):
        parts = [element(value, index) for index in range(value.type.size)]
    else:
        return [value]
    return [leaf for part in parts for leaf in leaves(part, field_types)]
