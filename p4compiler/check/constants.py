"""Evaluates expressions that are known before anything is instantiated: widths, sizes, enum members, bounds."""

from __future__ import annotations

from collections.abc import Callable

from p4compiler import arithmetic
from p4compiler import types as t
from p4compiler.check.facts import Facts
from p4compiler.syntax import tree as s


class ConstantEvaluator:
    """Needs the types of the expression's parts, so the checker calls it after typing the expression."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def evaluate(self, expression: s.Expression) -> object | None:
        """An int, bool, str or tuple; None if the value is not known. ConstantFault if there cannot be one."""
        handler = _HANDLERS.get(type(expression))
        return handler(self, expression) if handler is not None else None

    def _literal(self, expression: s.IntLiteral | s.BoolLiteral | s.StringLiteral) -> object | None:
        return expression.value

    def _name(self, expression: s.Name) -> object | None:
        declaration = self.facts.uses.get(expression)
        if isinstance(declaration, s.EnumMember):
            return self.facts.enum_values.get(declaration)
        return self.facts.constants.get(declaration) if declaration is not None else None

    def _ternary(self, expression: s.Ternary) -> object | None:
        condition = self.evaluate(expression.condition)
        if condition is None:
            return None
        return self.evaluate(expression.yes if condition else expression.no)

    def _list(self, expression: s.ListExpression) -> object | None:
        items = tuple(self.evaluate(i) for i in expression.items)
        return None if None in items else items

    def _index(self, expression: s.Index) -> object | None:
        base, index = self.evaluate(expression.base), self.evaluate(expression.index)
        if isinstance(base, tuple) and isinstance(index, int) and 0 <= index < len(base):
            item: object = base[index]
            return item
        return None

    def _call(self, expression: s.Call) -> object | None:
        fact = self.facts.calls.get(expression)
        return size_of_call(fact.name, expression, self.facts) if fact is not None else None

    def _type(self, expression: s.Expression) -> t.Type:
        return t.value_type(self.facts.types.get(expression, t.UNKNOWN))

    def _unary(self, expression: s.Unary) -> object | None:
        value = self.evaluate(expression.operand)
        if value is None:
            return None
        if expression.operator == "!":
            return not value
        return (
            arithmetic.unary(expression.operator, value, self._type(expression)) if isinstance(value, int) else None
        )

    def _binary(self, expression: s.Binary) -> object | None:
        left = self.evaluate(expression.left)
        operator = expression.operator
        if operator == "&&" and left is False:
            return False
        if operator == "||" and left is True:
            return True
        right = self.evaluate(expression.right)
        if left is None or right is None:
            return None
        if operator in ("&&", "||"):
            return right
        if operator in ("==", "!="):
            return (left == right) == (operator == "==")
        if isinstance(left, str) and isinstance(right, str) and operator == "++":
            return left + right
        if isinstance(left, int) and isinstance(right, int):
            return self._numbers(expression, left, right)
        return None

    def _numbers(self, expression: s.Binary, left: int, right: int) -> object | None:
        operator = expression.operator
        if operator in ("<", "<=", ">", ">="):
            return arithmetic.compare(operator, left, right)
        if operator == "++":
            left_type, right_type = self._type(expression.left), self._type(expression.right)
            if not isinstance(left_type, t.Bits) or not isinstance(right_type, t.Bits):
                return None
            value = arithmetic.concatenate(left, left_type.width, right, right_type.width)
            return arithmetic.wrap(value, self._type(expression))
        type_ = self._type(expression)
        if operator in ("|+|", "|-|") and not isinstance(type_, t.Bits):
            return None
        return arithmetic.binary(operator, left, right, type_)

    def _cast(self, expression: s.Cast) -> object | None:
        value = self.evaluate(expression.operand)
        target = self._type(expression)
        if target == t.BOOL and isinstance(value, int):
            return bool(value)
        if isinstance(value, int):
            return arithmetic.wrap(int(value), target)
        return value

    def _slice(self, expression: s.Slice) -> object | None:
        value = self.evaluate(expression.base)
        high, low = self.evaluate(expression.high), self.evaluate(expression.low)
        if not (isinstance(value, int) and isinstance(high, int) and isinstance(low, int)):
            return None
        if expression.plus:
            high, low = high + low - 1, high
        if low < 0 or high < low:
            return None
        return arithmetic.bit_slice(value, high, low)

    def _member(self, expression: s.Member) -> object | None:
        declaration = self.facts.uses.get(expression)
        if isinstance(declaration, s.EnumMember):
            return self.facts.enum_values.get(declaration)
        base = self.facts.types.get(expression.base)
        if isinstance(base, t.Stack) and expression.name == "size":
            return base.size
        return None


def size_of_call(name: str, call: s.Call, facts: Facts) -> int | None:
    """`minSizeInBits()` and its like on a type or value; None for other calls."""
    if name not in ("minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes"):
        return None
    if not isinstance(call.function, s.Member):
        return None
    base = facts.types.get(call.function.base)
    if isinstance(base, t.MetaType):
        base = base.type
    if base is None:
        return None
    sizes = type_size(base, facts)
    if sizes is None:
        return None
    bits = sizes[0] if name.startswith("min") else sizes[1]
    return bits if name.endswith("Bits") else (bits + 7) // 8


def type_size(type_: t.Type, facts: Facts) -> tuple[int, int] | None:
    """Least and greatest size in bits (P4_16 specification, section 9.1); None where it has none."""
    type_ = t.value_type(type_)
    if isinstance(type_, t.Bits):
        return type_.width, type_.width
    if type_ == t.BOOL:
        return 1, 1
    if isinstance(type_, t.Varbit):
        return 0, type_.width
    if isinstance(type_, t.Stack):
        inner = type_size(type_.element, facts)
        return None if inner is None else (inner[0] * type_.size, inner[1] * type_.size)
    if isinstance(type_, t.Struct):
        bindings = t.bind(type_.declaration.type_parameters, type_.arguments)
        parts = [type_size(t.substitute(f, bindings), facts) for f in facts.fields[type_.declaration].values()]
    elif isinstance(type_, t.Tuple):
        parts = [type_size(i, facts) for i in type_.items]
    else:
        return None
    known = [p for p in parts if p is not None]
    if len(known) != len(parts):
        return None
    if isinstance(type_, t.Struct) and type_.kind == "header_union":
        return min((p[0] for p in known), default=0), max((p[1] for p in known), default=0)
    return sum(p[0] for p in known), sum(p[1] for p in known)


_HANDLERS: dict[type[s.Expression], Callable[..., object | None]] = {
    s.IntLiteral: ConstantEvaluator._literal,
    s.BoolLiteral: ConstantEvaluator._literal,
    s.StringLiteral: ConstantEvaluator._literal,
    s.Name: ConstantEvaluator._name,
    s.Unary: ConstantEvaluator._unary,
    s.Binary: ConstantEvaluator._binary,
    s.Ternary: ConstantEvaluator._ternary,
    s.Cast: ConstantEvaluator._cast,
    s.Member: ConstantEvaluator._member,
    s.Slice: ConstantEvaluator._slice,
    s.ListExpression: ConstantEvaluator._list,
    s.Index: ConstantEvaluator._index,
    s.Call: ConstantEvaluator._call,
}
