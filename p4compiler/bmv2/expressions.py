"""Expressions as BMv2 JSON. BMv2 computes with unbounded integers, so results are cut to their width explicitly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4compiler import types as t
from p4compiler.ir import nodes as ir
from p4compiler.source import Fault

Json = dict[str, Any]

# Wider shift amounts are compared with the width first: BMv2 would build a number of that many bits.
SAFE_SHIFT_BITS = 8


ERROR_WIDTH = 32


def width_of(type_: t.Type) -> int:
    """Bits of a scalar."""
    if isinstance(type_, (t.Bits, t.Varbit)):
        return type_.width
    return 1 if type_ == t.BOOL else ERROR_WIDTH


def hexstr(value: int, width: int | None = None) -> Json:
    """A constant, padded to whole bytes of the width."""
    digits = f"{abs(value):x}"
    if width is not None:
        digits = digits.rjust(2 * ((width + 7) // 8), "0")
    return {"type": "hexstr", "value": ("-0x" if value < 0 else "0x") + digits}


def operation(op: str, left: Json | None, right: Json | int, **more: Json) -> Json:
    return {"type": "expression", "value": {"op": op, "left": left, "right": right, **more}}


def place_name(place: ir.HeaderPlace | ir.StackPlace | ir.UnionPlace) -> str:
    if isinstance(place, (ir.Header, ir.StackPlace, ir.UnionPlace)) and place.name:
        return place.name
    raise Fault("an element chosen at run time is not supported here", None)


def read(scalar: ir.Scalar) -> Json:
    """A field's data, without conversion of bool."""
    owner = scalar.owner
    if isinstance(owner, ir.Header):
        return {"type": "field", "value": [owner.name, scalar.field]}
    if isinstance(owner, ir.Edge):
        return {"type": "stack_field", "value": [owner.stack.name, scalar.field]}
    if isinstance(owner, ir.Element):
        return operation("access_field", dereference(owner), owner.stack.fields.index(scalar.field))
    inner = owner.union.of
    assert inner is not None
    if isinstance(inner, ir.Edge):
        return {"type": "union_stack_field", "value": [inner.stack.name, owner.name, scalar.field]}
    raise Fault("a field of a union chosen at run time is not supported", None)


def dereference(element: ir.Element) -> Json:
    stack = {"type": "header_stack", "value": element.stack.name}
    return operation("dereference_header_stack", stack, inner(convert(element.index)))


def inner(json: Json) -> Json:
    """An operand: action data is called 'local' inside expressions."""
    if json["type"] == "runtime_data":
        return {"type": "local", "value": json["value"]}
    return json


def mask(json: Json, width: int) -> Json:
    return operation("&", inner(json), hexstr((1 << width) - 1, width))


def clamp(json: Json, type_: t.Type) -> Json:
    """The value modulo 2**width, in two's complement if signed."""
    if not isinstance(type_, t.Bits):
        return json
    if type_.signed:
        return operation("two_comp_mod", inner(json), hexstr(type_.width))
    return mask(json, type_.width)


def convert(expression: ir.Expr) -> Json:
    """The expression, bool results as BMv2's bool."""
    converter = _CONVERTERS.get(type(expression))
    if converter is None:
        raise Fault("this expression is not supported", None)
    return converter(expression)


def _scalar(scalar: ir.Scalar) -> Json:
    json = read(scalar)
    return operation("d2b", None, json) if scalar.type == t.BOOL else json


def _runtime(parameter: ir.Runtime) -> Json:
    json = {"type": "runtime_data", "value": parameter.index}
    return operation("d2b", None, inner(json)) if parameter.type == t.BOOL else json


def _text(text: ir.Text) -> Json:
    return {"type": "string", "value": text.value}


def _mux(mux: ir.Mux) -> Json:
    yes, no = inner(convert(mux.yes)), inner(convert(mux.no))
    return operation("?", yes, no, cond=inner(convert(mux.condition)))


def _last_index(expression: ir.LastIndex) -> Json:
    return operation("last_stack_index", None, {"type": "header_stack", "value": expression.stack.name})


def _has_last(expression: ir.HasLast) -> Json:
    count = operation("size_stack", None, {"type": "header_stack", "value": expression.stack.name})
    return operation(">", count, hexstr(0, 32))


def _lookahead(expression: ir.Lookahead) -> Json:
    return {"type": "lookahead", "value": [expression.offset, width_of(expression.type)]}


def _constant(constant: ir.Const) -> Json:
    if constant.type == t.BOOL:
        return {"type": "bool", "value": bool(constant.value)}
    return hexstr(constant.value, constant.type.width if isinstance(constant.type, t.Bits) else None)


def _valid(expression: ir.Valid) -> Json:
    header = expression.header
    if isinstance(header, ir.Edge):
        json: Json = {"type": "stack_field", "value": [header.stack.name, "$valid$"]}
    else:
        json = {"type": "field", "value": [place_name(header), "$valid$"]}
    return operation("d2b", None, json)


def _unary(expression: ir.Unary) -> Json:
    operand = inner(convert(expression.operand))
    if expression.operator == "!":
        return operation("not", None, operand)
    if expression.operator == "~":
        return clamp(operation("~", None, operand), expression.type)
    width = expression.type.width if isinstance(expression.type, t.Bits) else None
    return clamp(operation("-", hexstr(0, width), operand), expression.type)


_NAMES = {"&&": "and", "||": "or"}


def _binary(expression: ir.Binary) -> Json:
    operator, type_ = expression.operator, expression.type
    if operator == "++":
        return _concat(expression)
    left, right = inner(convert(expression.left)), inner(convert(expression.right))
    if operator in ("|+|", "|-|"):
        assert isinstance(type_, t.Bits)
        plain = operation(operator[1], left, right)
        return operation("sat_cast" if type_.signed else "usat_cast", plain, hexstr(type_.width))
    if operator in ("<<", ">>"):
        return _shift(expression, left, right)
    json = operation(_NAMES.get(operator, operator), left, right)
    if operator in ("+", "-", "*"):
        return clamp(json, type_)
    return json


def _shift(expression: ir.Binary, left: Json, right: Json) -> Json:
    type_, amount = expression.type, expression.right
    json = operation(expression.operator, left, right)
    if expression.operator == "<<":
        json = clamp(json, type_)
    wide = isinstance(amount.type, t.Bits) and amount.type.width > SAFE_SHIFT_BITS
    if not wide or isinstance(amount, ir.Const) or not isinstance(type_, t.Bits):
        return json
    low = operation("&", right, hexstr((1 << SAFE_SHIFT_BITS) - 1, SAFE_SHIFT_BITS))
    if type_.width > (1 << SAFE_SHIFT_BITS):
        low = right
    shifted = operation(expression.operator, left, low)
    if expression.operator == "<<":
        shifted = clamp(shifted, type_)
    beyond: Json = hexstr(0, type_.width)
    if expression.operator == ">>" and type_.signed:
        negative = operation("<", left, hexstr(0, type_.width))
        beyond = operation("?", hexstr(-1), hexstr(0), cond=negative)
    assert isinstance(amount.type, t.Bits)
    small = operation("<", right, hexstr(type_.width, amount.type.width))
    return operation("?", shifted, beyond, cond=small)


def _concat(expression: ir.Binary) -> Json:
    left_type, right_type = expression.left.type, expression.right.type
    assert isinstance(left_type, t.Bits) and isinstance(right_type, t.Bits)
    left, right = inner(convert(expression.left)), inner(convert(expression.right))
    if left_type.signed:
        left = mask(left, left_type.width)
    if right_type.signed:
        right = mask(right, right_type.width)
    json = operation("|", operation("<<", left, hexstr(right_type.width, 8)), right)
    return clamp(json, expression.type) if isinstance(expression.type, t.Bits) and expression.type.signed else json


def _cast(expression: ir.Cast) -> Json:
    source, target = expression.operand.type, expression.type
    json = inner(convert(expression.operand))
    if target == t.BOOL:
        width = source.width if isinstance(source, t.Bits) else None
        return operation("!=", json, hexstr(0, width))
    if source == t.BOOL:
        assert isinstance(target, t.Bits)
        return operation("?", hexstr(1, target.width), hexstr(0, target.width), cond=json)
    if not isinstance(source, t.Bits) or not isinstance(target, t.Bits):
        return json
    if target.signed == source.signed and target.width >= source.width:
        return json
    if target.signed and not source.signed and target.width > source.width:
        return json
    return clamp(json, target)


def _slice(expression: ir.Slice) -> Json:
    json = inner(convert(expression.operand))
    if expression.low:
        json = operation(">>", json, hexstr(expression.low, 8))
    type_ = expression.operand.type
    whole = isinstance(type_, t.Bits) and not type_.signed and expression.high == type_.width - 1
    return json if whole else mask(json, expression.high - expression.low + 1)


def wrapped(json: Json) -> Json:
    """As the argument of a primitive: expressions are wrapped once more, and a widened parameter is one again.

    BMv2 ends at a 'local' outside an expression.
    """
    if json["type"] == "local":
        return {"type": "runtime_data", "value": json["value"]}
    if json["type"] in ("expression", "stack_field"):
        return {"type": "expression", "value": json}
    return json


def data(expression: ir.Expr) -> Json:
    """As the argument of a primitive that takes a number: bool becomes 0 or 1."""
    if expression.type == t.BOOL:
        if isinstance(expression, ir.Const):
            return hexstr(expression.value, 1)
        if isinstance(expression, ir.Scalar):
            return wrapped(read(expression))
        if isinstance(expression, ir.Runtime):
            return {"type": "runtime_data", "value": expression.index}
        if isinstance(expression, ir.Lookahead):
            return convert(expression)
        return wrapped(operation("b2d", None, convert(expression)))
    return wrapped(convert(expression))


_CONVERTERS: dict[type, Callable[..., Json]] = {
    ir.Const: _constant,
    ir.Scalar: _scalar,
    ir.Runtime: _runtime,
    ir.Text: _text,
    ir.Valid: _valid,
    ir.Unary: _unary,
    ir.Binary: _binary,
    ir.Mux: _mux,
    ir.Cast: _cast,
    ir.Slice: _slice,
    ir.LastIndex: _last_index,
    ir.HasLast: _has_last,
    ir.Lookahead: _lookahead,
}
