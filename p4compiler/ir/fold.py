"""Makes middle-layer expressions, folding constants and dropping operations without effect."""

from __future__ import annotations

from p4compiler import arithmetic
from p4compiler import types as t
from p4compiler.ir import nodes as ir

TRUE = ir.Const(t.BOOL, 1)
FALSE = ir.Const(t.BOOL, 0)
COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))


def erase(type_: t.Type) -> t.Type:
    """The middle layer's type of a scalar: no names, enums as numbers."""
    type_ = t.value_type(type_)
    return t.Bits(32) if isinstance(type_, t.Enum) else type_


def boolean(value: bool) -> ir.Const:
    return TRUE if value else FALSE


def adapt(value: ir.Expr, type_: t.Type) -> ir.Expr:
    """An `int` constant as a constant of the type; anything else as it is."""
    if isinstance(value, ir.Const) and value.type is t.INT and isinstance(type_, t.Bits):
        return ir.Const(type_, arithmetic.wrap(value.value, type_))
    return value


def unary(operator: str, operand: ir.Expr) -> ir.Expr:
    if operator == "+":
        return operand
    if operator == "!":
        if isinstance(operand, ir.Const):
            return boolean(not operand.value)
        if isinstance(operand, ir.Unary) and operand.operator == "!":
            return operand.operand
        return ir.Unary(t.BOOL, "!", operand)
    if isinstance(operand, ir.Const):
        return ir.Const(operand.type, arithmetic.unary(operator, operand.value, operand.type))
    return ir.Unary(operand.type, operator, operand)


def binary(operator: str, left: ir.Expr, right: ir.Expr) -> ir.Expr:
    """left operator right; ConstantFault for a division by zero and its like."""
    if operator in ("&&", "||"):
        return _logical(operator, left, right)
    if operator == "++":
        return concat(left, right)
    if operator not in ("<<", ">>"):
        left, right = adapt(left, right.type), adapt(right, left.type)
    if isinstance(left, ir.Const) and isinstance(right, ir.Const):
        if operator in COMPARISONS:
            return boolean(arithmetic.compare(operator, left.value, right.value))
        return ir.Const(left.type, arithmetic.binary(operator, left.value, right.value, left.type))
    if operator in COMPARISONS:
        if left == right and not isinstance(left.type, t.Varbit):
            return boolean(operator in ("==", "<=", ">="))
        if left.type == t.BOOL:
            return _compare_bool(operator, left, right)
        return ir.Binary(t.BOOL, operator, left, right)
    return _arithmetic(operator, left, right)


def _arithmetic(operator: str, left: ir.Expr, right: ir.Expr) -> ir.Expr:
    type_ = left.type
    if isinstance(right, ir.Const):
        if right.value == 0 and operator in ("+", "-", "<<", ">>", "|", "^", "|+|", "|-|"):
            return left
        if right.value == 0 and operator in ("&", "*"):
            return right
        if right.value == 1 and operator in ("*", "/"):
            return left
        if isinstance(type_, t.Bits) and not type_.signed:
            if operator == "&" and right.value == (1 << type_.width) - 1:
                return left
            if operator in ("<<", ">>") and right.value >= type_.width:
                return ir.Const(type_, 0)
        if operator in ("/", "%") and right.value == 0:
            raise arithmetic.ConstantFault("division by zero")
    if isinstance(left, ir.Const) and left.value == 0 and operator in ("+", "|", "^"):
        return right
    return ir.Binary(type_, operator, left, right)


def _logical(operator: str, left: ir.Expr, right: ir.Expr) -> ir.Expr:
    stops = operator == "||"
    if isinstance(left, ir.Const):
        return left if bool(left.value) == stops else right
    if isinstance(right, ir.Const) and bool(right.value) != stops:
        return left
    return ir.Binary(t.BOOL, operator, left, right)


def _compare_bool(operator: str, left: ir.Expr, right: ir.Expr) -> ir.Expr:
    if isinstance(left, ir.Const):
        left, right = right, left
    if isinstance(right, ir.Const):
        return left if bool(right.value) == (operator == "==") else unary("!", left)
    return ir.Binary(t.BOOL, operator, left, right)


def mux(condition: ir.Expr, yes: ir.Expr, no: ir.Expr) -> ir.Expr:
    if isinstance(condition, ir.Const):
        return yes if condition.value else no
    yes, no = adapt(yes, no.type), adapt(no, yes.type)
    if yes == no:
        return yes
    return ir.Mux(yes.type, condition, yes, no)


def cast(value: ir.Expr, type_: t.Type) -> ir.Expr:
    """`(type_) value` for scalars."""
    type_ = erase(type_)
    if value.type == type_:
        return value
    if isinstance(value, ir.Const):
        if type_ == t.BOOL:
            return boolean(bool(value.value))
        return ir.Const(type_, arithmetic.wrap(value.value, type_), value.label)
    return ir.Cast(type_, value)


def bit_slice(value: ir.Expr, high: int, low: int) -> ir.Expr:
    type_ = t.Bits(high - low + 1)
    if isinstance(value, ir.Const):
        return ir.Const(type_, arithmetic.bit_slice(value.value, high, low))
    if isinstance(value, ir.Slice):
        return bit_slice(value.operand, high + value.low, low + value.low)
    if value.type == type_:
        return value
    return ir.Slice(type_, value, high, low)


def concat(left: ir.Expr, right: ir.Expr) -> ir.Expr:
    if isinstance(left, ir.Text) and isinstance(right, ir.Text):
        return ir.Text(t.STRING, left.value + right.value)
    assert isinstance(left.type, t.Bits) and isinstance(right.type, t.Bits)
    type_ = t.Bits(left.type.width + right.type.width, left.type.signed)
    if isinstance(left, ir.Const) and isinstance(right, ir.Const):
        value = arithmetic.concatenate(left.value, left.type.width, right.value, right.type.width)
        return ir.Const(type_, arithmetic.wrap(value, type_))
    if left.type.width == 0:
        return right
    if right.type.width == 0:
        return left
    return ir.Binary(type_, "++", left, right)


def conjunction(parts: list[ir.Expr]) -> ir.Expr:
    """All of them; TRUE if there is none."""
    result: ir.Expr = TRUE
    for part in parts:
        result = binary("&&", result, part)
    return result


def children(expression: ir.Expr) -> tuple[ir.Expr, ...]:
    """The expressions that an expression is made of."""
    if isinstance(expression, (ir.Unary, ir.Cast, ir.Slice)):
        return (expression.operand,)
    if isinstance(expression, ir.Binary):
        return (expression.left, expression.right)
    if isinstance(expression, ir.Mux):
        return (expression.condition, expression.yes, expression.no)
    if isinstance(expression, ir.Scalar):
        return place_indexes(expression.owner)
    if isinstance(expression, ir.Valid):
        return place_indexes(expression.header)
    return ()


def place_indexes(place: object) -> tuple[ir.Expr, ...]:
    """Index expressions inside a place."""
    if isinstance(place, ir.Element):
        return (place.index,)
    if isinstance(place, ir.UnionPlace) and place.of is not None:
        return place_indexes(place.of)
    if isinstance(place, ir.Member):
        return place_indexes(place.union)
    return ()
