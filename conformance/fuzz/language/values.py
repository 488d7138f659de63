"""Values of the interpreter: numbers, headers, stacks, structs; a number that is undefined is UNDEFINED.

What is computed from an undefined number is undefined. `Undefined` is raised where one would decide what happens.

A number is a Python int, negative for a signed type's negative values; a bool is 0 or 1.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from conformance.fuzz.language import tree as g


class Undefined(Exception):
    """The specification leaves open what happens next."""


class Nothing(enum.Enum):
    UNDEFINED = enum.auto()


UNDEFINED = Nothing.UNDEFINED


@dataclass
class HeaderValue:
    valid: bool
    fields: dict[str, Value]


@dataclass
class StructValue:
    fields: dict[str, Value]


@dataclass
class UnionValue:
    """At most one of the members is valid."""

    fields: dict[str, Value]


@dataclass
class StackValue:
    elements: list[HeaderValue]
    next: int


Value = int | Nothing | HeaderValue | StructValue | UnionValue | StackValue


def new(type_: g.Type) -> Value:
    """An uninitialized variable: headers invalid, the rest undefined."""
    if isinstance(type_, g.Header):
        return HeaderValue(False, {name: UNDEFINED for name, _ in type_.fields})
    if isinstance(type_, g.Struct):
        return StructValue({name: new(field) for name, field in type_.fields})
    if isinstance(type_, g.Union_):
        return UnionValue({name: new(field) for name, field in type_.fields})
    if isinstance(type_, g.Stack):
        return StackValue([header(new(type_.element)) for _ in range(type_.size)], 0)
    return UNDEFINED


def copy(value: Value) -> Value:
    """A value that shares nothing with this one; the fields of an invalid header are undefined."""
    if isinstance(value, HeaderValue):
        fields = {n: copy(f) if value.valid else UNDEFINED for n, f in value.fields.items()}
        return HeaderValue(value.valid, fields)
    if isinstance(value, StructValue):
        return StructValue({n: copy(f) for n, f in value.fields.items()})
    if isinstance(value, UnionValue):
        return UnionValue({n: copy(f) for n, f in value.fields.items()})
    if isinstance(value, StackValue):
        return StackValue([header(copy(e)) for e in value.elements], value.next)
    return value


def header(value: Value) -> HeaderValue:
    assert isinstance(value, HeaderValue)
    return value


def number(value: Value) -> int:
    """A number that decides something."""
    if isinstance(value, Nothing):
        raise Undefined
    assert isinstance(value, int)
    return value


def equal(left: Value, right: Value) -> Value:
    """Section "Operations on headers", and part by part for the others. UNDEFINED if an undefined part decides."""
    if isinstance(left, StackValue) and isinstance(right, StackValue):
        parts = [equal(a, b) for a, b in zip(left.elements, right.elements, strict=True)]
    elif isinstance(left, int) or isinstance(right, int) or UNDEFINED in (left, right):
        return UNDEFINED if UNDEFINED in (left, right) else int(left == right)
    else:
        if isinstance(left, HeaderValue) and isinstance(right, HeaderValue) and not (left.valid and right.valid):
            return int(left.valid == right.valid)
        parts = [equal(field, _fields(right)[name]) for name, field in _fields(left).items()]
    if 0 in parts:
        return 0
    return UNDEFINED if UNDEFINED in parts else 1


def _fields(value: Value) -> dict[str, Value]:
    assert isinstance(value, (HeaderValue, StructValue, UnionValue))
    return value.fields


# Numbers (sections "Operations on fixed-width bit types" and "... signed integers")


def wrap(type_: g.Type, value: int) -> int:
    """Modulo two to the width, in two's complement for a signed type."""
    size = g.width(type_)
    value &= (1 << size) - 1
    if isinstance(type_, g.Int) and value >> (size - 1):
        value -= 1 << size
    return value


def bits(type_: g.Type, value: int) -> int:
    """The bit pattern of a number of the type."""
    return value & ((1 << g.width(type_)) - 1)


def saturate(type_: g.Type, value: int) -> int:
    size = g.width(type_)
    low, high = (-(1 << (size - 1)), (1 << (size - 1)) - 1) if isinstance(type_, g.Int) else (0, (1 << size) - 1)
    return max(low, min(high, value))


def binary(operator: str, type_: g.Type, left: int, right: int, right_type: g.Type) -> int:
    """left operator right; `type_` is that of the left operand, and but for ++ and comparisons of the result."""
    if operator in _COMPARE:
        return int(_COMPARE[operator](left, right))
    if operator == "++":
        return bits(type_, left) << g.width(right_type) | bits(right_type, right)
    if operator == "<<":
        return wrap(type_, left << right) if right < g.width(type_) else 0
    if operator == ">>":
        return left >> min(right, g.width(type_))
    if operator in ("|+|", "|-|"):
        return saturate(type_, left + right if operator == "|+|" else left - right)
    return wrap(type_, _PLAIN[operator](left, right))


_COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_PLAIN = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}


def cast(_source: g.Type, target: g.Type, value: int) -> int:
    """Section "Explicit casts": between bool and bit<1>, signs at equal width, widths at equal sign."""
    return wrap(target, value) if not isinstance(target, g.Bool) else int(value != 0)
