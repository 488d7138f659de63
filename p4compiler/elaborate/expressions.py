"""Expressions of the tree to values of the middle layer. What has side effects is put before, in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from p4compiler import types as t
from p4compiler.check.constants import size_of_call
from p4compiler.check.facts import CallKind
from p4compiler.elaborate.values import Values
from p4compiler.ir import effects, fold
from p4compiler.ir import nodes as ir
from p4compiler.source import Fault
from p4compiler.syntax import tree as s


class Expressions(Values, ABC):
    def value(self, expression: s.Expression) -> ir.Value:
        """The value of an expression; statements that it needs are emitted before."""
        return _HANDLERS[type(expression)](self, expression)

    def scalar(self, expression: s.Expression) -> ir.Expr:
        value = self.value(expression)
        if not isinstance(value, ir.Expr):
            raise Fault("expected a simple value", expression.loc)
        return value

    def typed(self, expression: s.Expression, type_: t.Type) -> ir.Value:
        """The value as one of the type."""
        return self.coerce(self.value(expression), type_)

    @abstractmethod
    def call(self, call: s.Call) -> ir.Value | None:
        """What a call gives; None for void."""

    @abstractmethod
    def apply_for_hit(self, call: s.Call, hit: bool) -> ir.Expr:
        """Apply a table: whether it hit, or, without ``hit``, whether it missed."""

    @abstractmethod
    def global_value(self, declaration: s.Declaration) -> ir.Value | None:
        """The value of a declaration of the top level; None if it has none."""

    def in_order(self, expressions: Sequence[s.Expression]) -> list[ir.Value]:
        """Values of operands; one whose storage a later operand changes is copied in time."""
        values: list[ir.Value] = []
        for expression in expressions:
            before = len(self.out)
            value = self.value(expression)
            if len(self.out) > before:
                self._protect(values, before)
            values.append(value)
        return values

    def _protect(self, values: list[ir.Value], position: int) -> None:
        """Copies, before the statements from a position on, the values that these statements change."""
        later = self.out[position:]
        written = effects.writes(later)
        # In place, as others hold this list as well.
        del self.out[position:]
        for number, old in enumerate(values):
            if effects.overlap(effects.reads(old), written):
                values[number] = self.copy_of(old, old.type, "tmp")  # type: ignore[union-attr]
        self.out += later

    # Leaves

    def _int(self, expression: s.IntLiteral) -> ir.Value:
        return ir.Const(fold.erase(self.type_of(expression)), expression.value)

    def _bool(self, expression: s.BoolLiteral) -> ir.Value:
        return fold.boolean(expression.value)

    def _string(self, expression: s.StringLiteral) -> ir.Value:
        return ir.Text(t.STRING, expression.value)

    def _name(self, expression: s.Name) -> ir.Value:
        declaration = self.facts.uses.get(expression)
        if declaration is None:
            raise Fault(f"'{expression.name}' has no value here", expression.loc)
        value = self.frame.find(declaration)
        if value is None:
            value = self.global_value(declaration)
        if value is None:
            raise Fault(f"'{expression.name}' has no value here", expression.loc)
        return value

    def _member(self, expression: s.Member) -> ir.Value:
        base = expression.base
        if isinstance(base, s.TypeExpression):
            return self._type_member(expression)
        if isinstance(base, s.Call):
            fact = self.facts.calls.get(base)
            if fact is not None and fact.kind is CallKind.TABLE:
                if expression.name == "action_run":
                    raise Fault("action_run can only be used in switch", expression.loc)
                return self.apply_for_hit(base, expression.name == "hit")
        return self.member(self.value(base), expression.name, expression.loc)

    def _type_member(self, expression: s.Member) -> ir.Value:
        member = self.facts.uses.get(expression)
        if isinstance(member, s.EnumMember):
            value = self.facts.enum_values[member]
            return ir.Const(fold.erase(self.type_of(expression)), value, member.name)
        if self.type_of(expression) == t.ERROR:
            return ir.Const(t.ERROR, self.facts.errors[expression.name], expression.name)
        raise Fault("this type's member has no value", expression.loc)

    # Compound values

    def _list(self, expression: s.ListExpression) -> ir.Value:
        values = self.in_order(expression.items)
        return ir.Aggregate(self.type_of(expression), {str(i): v for i, v in enumerate(values)})

    def _record(self, expression: s.RecordExpression) -> ir.Value:
        values = self.in_order([f.value for f in expression.fields])
        names = [f.name for f in expression.fields]
        return ir.Aggregate(self.type_of(expression), dict(zip(names, values, strict=True)))

    def _invalid(self, _: s.InvalidHeader) -> ir.Value:
        return ir.Invalid(t.UNKNOWN)

    def _default(self, _: s.DefaultValue) -> ir.Value:
        return ir.Aggregate(t.DEFAULT, {})

    def _index(self, expression: s.Index) -> ir.Value:
        # A stack is a place and no value: which element is meant is decided once the index is known.
        base = self.value(expression.base)
        return self.element(base, self.scalar(expression.index), expression.loc)

    def slice_bounds(self, expression: s.Slice) -> tuple[int, int]:
        high, low = self.scalar(expression.high), self.scalar(expression.low)
        if not isinstance(high, ir.Const) or not isinstance(low, ir.Const):
            raise Fault("the bounds of a slice must be known at compile time", expression.loc)
        if expression.plus:
            return high.value + low.value - 1, high.value
        return high.value, low.value

    def _slice(self, expression: s.Slice) -> ir.Value:
        if expression.plus:
            base, low_value, width = self.in_order([expression.base, expression.high, expression.low])
            assert isinstance(base, ir.Expr) and isinstance(low_value, ir.Expr) and isinstance(width, ir.Const)
            return fold.bit_slice(fold.binary(">>", base, low_value), width.value - 1, 0)
        high, low = self.slice_bounds(expression)
        return fold.bit_slice(self.scalar(expression.base), high, low)

    # Operators

    def _unary(self, expression: s.Unary) -> ir.Value:
        return fold.unary(expression.operator, self.scalar(expression.operand))

    def _binary(self, expression: s.Binary) -> ir.Value:
        operator = expression.operator
        if operator in ("&&", "||"):
            return self._short_circuit(expression)
        left, right = self.in_order([expression.left, expression.right])
        if operator in ("==", "!="):
            equal = self.folded(lambda: self.equal(left, right, expression.loc), expression.loc)
            return equal if operator == "==" else negated_equality(equal)
        if not isinstance(left, ir.Expr) or not isinstance(right, ir.Expr):
            raise Fault(f"'{operator}' is not supported for these values", expression.loc)
        return self.folded(lambda: fold.binary(operator, left, right), expression.loc)

    def _short_circuit(self, expression: s.Binary) -> ir.Value:
        left = self.scalar(expression.left)
        stops = expression.operator == "||"
        if isinstance(left, ir.Const) and bool(left.value) == stops:
            return left
        with self.collected() as needed:
            right = self.scalar(expression.right)
        if not needed:
            return fold.binary(expression.operator, left, right)
        if isinstance(left, ir.Const):
            self.out += needed
            return right
        result = self.pin(left)
        condition = fold.unary("!", result) if stops else result
        self.emit(ir.If(self.loc, condition, [*needed, ir.Assign(self.loc, result, right)], []))
        return result

    def _ternary(self, expression: s.Ternary) -> ir.Value:
        condition = self.scalar(expression.condition)
        if isinstance(condition, ir.Const):
            chosen = expression.yes if condition.value else expression.no
            return self.typed(chosen, self.type_of(expression))
        with self.collected() as yes_needs:
            yes = self.typed(expression.yes, self.type_of(expression))
        with self.collected() as no_needs:
            no = self.typed(expression.no, self.type_of(expression))
        if not yes_needs and not no_needs and isinstance(yes, ir.Expr) and isinstance(no, ir.Expr):
            return fold.mux(condition, yes, no)
        result = self.temporary("tmp", self.type_of(expression))
        for needs, value in ((yes_needs, yes), (no_needs, no)):
            with self.collected(needs):
                self.assign(result, value)
        self.emit(ir.If(self.loc, condition, yes_needs, no_needs))
        return result

    def _cast(self, expression: s.Cast) -> ir.Value:
        target = self.type_of(expression)
        value = self.value(expression.operand)
        if isinstance(value, ir.Expr):
            return fold.cast(value, target)
        return self.coerce(value, target)

    def _call(self, expression: s.Call) -> ir.Value:
        fact = self.facts.calls.get(expression)
        if fact is not None and fact.kind is CallKind.BUILTIN:
            size = size_of_call(fact.name, expression, self.facts)
            if size is not None:
                return ir.Const(t.INT, size)
        value = self.call(expression)
        if value is None:
            raise Fault("this call returns nothing", expression.loc)
        return value

    def _nothing(self, expression: s.Expression) -> ir.Value:
        raise Fault("this has no value", expression.loc)

    # L-values

    def place(self, expression: s.Expression) -> ir.Value:
        """Where an expression on the left of an assignment, or an out argument, points."""
        if isinstance(expression, s.Slice):
            base = self.place(expression.base)
            high, low = self.slice_bounds(expression)
            if isinstance(base, ir.Bitfield):
                return ir.Bitfield(base.scalar, high + base.low, low + base.low)
            if not isinstance(base, ir.Scalar):
                raise Fault("bits of this cannot be written", expression.loc)
            return ir.Bitfield(base, high, low)
        value = self.value(expression)
        if isinstance(value, ir.Expr) and not isinstance(value, ir.Scalar):
            raise Fault("this cannot be written", expression.loc)
        return value


def negated_equality(equal: ir.Expr) -> ir.Expr:
    """!(a == b), as a != b where that is shorter."""
    if isinstance(equal, ir.Binary) and equal.operator == "==":
        return ir.Binary(t.BOOL, "!=", equal.left, equal.right)
    return fold.unary("!", equal)


_HANDLERS: dict[type, Callable[..., ir.Value]] = {
    s.IntLiteral: Expressions._int,
    s.BoolLiteral: Expressions._bool,
    s.StringLiteral: Expressions._string,
    s.Name: Expressions._name,
    s.TypeExpression: Expressions._nothing,
    s.Member: Expressions._member,
    s.Index: Expressions._index,
    s.Slice: Expressions._slice,
    s.Unary: Expressions._unary,
    s.Binary: Expressions._binary,
    s.Ternary: Expressions._ternary,
    s.Cast: Expressions._cast,
    s.Call: Expressions._call,
    s.ListExpression: Expressions._list,
    s.RecordExpression: Expressions._record,
    s.InvalidHeader: Expressions._invalid,
    s.DefaultValue: Expressions._default,
    s.Anything: Expressions._nothing,
    s.Masked: Expressions._nothing,
    s.Range: Expressions._nothing,
}
