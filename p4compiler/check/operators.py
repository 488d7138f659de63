"""Types of operators, casts and keysets (P4_16 specification, section "Expressions")."""

from __future__ import annotations

from abc import abstractmethod

from p4compiler import types as t
from p4compiler.check.types import TypeChecks
from p4compiler.syntax import tree as s


class OperatorChecks(TypeChecks):
    @abstractmethod
    def value(self, expression: s.Expression, what: str = "a value") -> t.Type:
        """The type of an expression that must have a value; an error names it as ``what``."""

    # Operators

    def _unary(self, expression: s.Unary) -> t.Type:
        operand = self.value(expression.operand)
        if operand is t.UNKNOWN:
            return t.UNKNOWN
        plain = t.operand_type(operand)
        if expression.operator == "!":
            if plain == t.BOOL:
                return t.BOOL
        elif isinstance(plain, t.Bits) or (plain is t.INT and expression.operator != "~"):
            return plain
        self.error(f"'{expression.operator}' does not apply to {operand}", expression)
        return t.UNKNOWN

    def _binary(self, expression: s.Binary) -> t.Type:
        left, right = self.value(expression.left), self.value(expression.right)
        if t.UNKNOWN in (left, right):
            return t.BOOL if expression.operator in _BOOLEAN else t.UNKNOWN
        result = self.binary_type(expression.operator, left, right, expression)
        if expression.operator in ("/", "%") or result is t.INT:
            self._constant_faults(expression)
        if result is None:
            self.error(f"'{expression.operator}' does not apply to {left} and {right}", expression)
            return t.BOOL if expression.operator in _BOOLEAN else t.UNKNOWN
        if expression.operator not in ("<<", ">>", "++"):
            self.warn_of_overflow(expression.left, right)
            self.warn_of_overflow(expression.right, left)
        return result

    def _constant_faults(self, expression: s.Binary) -> None:
        """Reports a division by zero or by a negative number, and constants without a value."""
        # The result is known once its type is; `int` is the type in which nothing is lost on the way.
        self.facts.types.setdefault(expression, t.INT)
        self.constant_or_none(expression)
        if expression.operator in ("/", "%"):
            divisor, dividend = self.constant_or_none(expression.right), self.constant_or_none(expression.left)
            if divisor == 0:
                self.error("division by zero", expression)
            elif any(isinstance(v, int) and v < 0 for v in (divisor, dividend)):
                self.error(f"'{expression.operator}' is not defined for negative numbers", expression)

    def binary_type(self, operator: str, left: t.Type, right: t.Type, node: s.Expression) -> t.Type | None:
        """The type of left operator right; None if there is none."""
        if operator in ("&&", "||"):
            return t.BOOL if left == t.BOOL == right else None
        if operator in ("==", "!="):
            self._comparable(left, right, node)
            return t.BOOL if self._have_equality(left, right) else None
        if isinstance(left, t.NewType) or isinstance(right, t.NewType):
            return None
        a, b = t.value_type(left), t.value_type(right)
        if operator in ("<<", ">>"):
            return self._shift_type(a, b, node)
        if operator == "++":
            return _joined(a, b)
        return _arithmetic_type(operator, a, b)

    def _have_equality(self, left: t.Type, right: t.Type) -> bool:
        comparable = self.fits(left, right) or self.fits(right, left)
        if not comparable and isinstance(left, t.Enum) and isinstance(right, (t.Enum, t.Simple)):
            serializable = left.underlying is not None and (right is t.INT or getattr(right, "underlying", None))
            comparable = bool(serializable) and (right is t.INT or t.value_type(left) == t.value_type(right))
        return comparable and not isinstance(left, (t.Extern, t.Table, t.Applicable))

    def _comparable(self, left: t.Type, right: t.Type, node: s.Expression) -> None:
        """Reports what has no equality: type variables, results of apply, and two values without a type."""
        if isinstance(left, t.TypeVar) and isinstance(right, t.TypeVar):
            self.error(f"values of the type parameter {left} cannot be compared", node)
        elif isinstance(left, (t.ApplyResult, t.ActionRun)):
            self.error("what applying a table gives is no value; compare '.hit' or '.miss', or switch on it", node)
        elif isinstance(left, t.Record) and isinstance(right, t.Record):
            self.error("these two have no type to be compared in; write (TYPE) before one of them", node)

    def _shift_type(self, left: t.Type, right: t.Type, node: s.Expression) -> t.Type | None:
        if not (isinstance(left, t.Bits) or left is t.INT):
            return None
        amount = self.constant_or_none(node.right) if isinstance(node, s.Binary) else None
        if left is t.INT and amount is None and isinstance(node, s.Binary):
            self.error(
                "the number that is shifted needs a width, like 16w1: by how much is not a constant", node.left
            )
        if isinstance(right, t.Bits):
            return None if right.signed and amount is None else left
        if right is t.INT and isinstance(node, s.Binary):
            if isinstance(amount, int) and amount < 0:
                self.error("a shift by a negative number", node.right)
            return left
        return left if right is t.INT else None

    def _ternary(self, expression: s.Ternary) -> t.Type:
        self.condition(expression.condition)
        yes, no = self.value(expression.yes), self.value(expression.no)
        if t.UNKNOWN in (yes, no):
            return t.UNKNOWN
        if yes is t.INT is no and self.constant_or_none(expression.condition) is None:
            self.error("one of these numbers needs a width, like 8w1: which it is shows at run time only", expression)
            return t.UNKNOWN
        # A number with a width fits int too, but here gives the other one its width.
        if yes is not t.INT and self.fits(no, yes):
            self.warn_of_overflow(expression.no, yes)
            return yes
        if self.fits(yes, no):
            self.warn_of_overflow(expression.yes, no)
            return no
        self.error(f"the branches of '?' have the types {yes} and {no}", expression)
        return t.UNKNOWN

    def condition(self, expression: s.Expression) -> None:
        type_ = self.value(expression)
        if type_ is not t.UNKNOWN and type_ != t.BOOL:
            self.error(f"a condition is a bool, not {type_}", expression)

    def _cast(self, expression: s.Cast) -> t.Type:
        target = self.resolve(expression.type)
        source = self.value(expression.operand)
        if t.UNKNOWN in (target, source):
            return target
        if not self._castable(source, target):
            self.error(f"{source} cannot be cast to {target}", expression)
        elif target == t.BOOL and source is t.INT and self.constant_or_none(expression.operand) not in (0, 1, None):
            self.error("only 0 and 1 can be cast to bool", expression)
        elif isinstance(expression.operand, (s.ListExpression, s.RecordExpression)):
            self.warn_of_overflow(expression.operand, target)
        return target

    def _castable(self, source: t.Type, target: t.Type) -> bool:
        if source == target or self.fits(source, target):
            return True
        if isinstance(target, t.NewType):
            # Section "Operations on types introduced by type": to and from the original type only.
            return source == target.base or (source is t.INT and isinstance(target.base, t.Bits))
        if isinstance(source, t.NewType):
            return source.base == target
        if isinstance(target, t.Enum):
            underlying = source.underlying if isinstance(source, t.Enum) else source
            return target.underlying is not None and underlying in (target.underlying, t.INT)
        if isinstance(source, t.Enum):
            return source.underlying is not None and target in (source.underlying, t.INT)
        if target == t.BOOL:
            return source == t.Bits(1) or source is t.INT
        if source == t.BOOL:
            return target == t.Bits(1)
        if isinstance(target, t.Bits):
            if source is t.INT:
                return True
            return isinstance(source, t.Bits) and (source.signed == target.signed or source.width == target.width)
        return target is t.INT and isinstance(source, t.Bits)

    # Keysets

    def _masked(self, expression: s.Masked) -> t.Type:
        return self._set_of(expression, expression.value, expression.mask)

    def _range(self, expression: s.Range) -> t.Type:
        return self._set_of(expression, expression.low, expression.high)

    def _set_of(self, expression: s.Expression, first: s.Expression, second: s.Expression) -> t.Type:
        left, right = self.value(first), self.value(second)
        if t.UNKNOWN in (left, right):
            return t.Set(t.UNKNOWN)
        if isinstance(left, t.Enum) and left.underlying is not None and right != left:
            left = left.underlying
        if isinstance(right, t.Enum) and right.underlying is not None and right != left:
            right = right.underlying
        for type_ in (left, right):
            if not (isinstance(t.operand_type(type_), t.Bits) or type_ is t.INT):
                self.error(f"a mask or range is made of integers, not {type_}", expression)
                return t.Set(t.UNKNOWN)
        if not self.fits(left, right) and not self.fits(right, left):
            self.error(f"the two sides of this keyset have the types {left} and {right}", expression)
            return t.Set(t.UNKNOWN)
        self.warn_of_overflow(first, right)
        self.warn_of_overflow(second, left)
        return t.Set(right if left is t.INT else left)


_BOOLEAN = frozenset({"==", "!=", "<", "<=", ">", ">=", "&&", "||"})


def _joined(left: t.Type, right: t.Type) -> t.Type | None:
    """The type of left ++ right."""
    if left == right == t.STRING:
        return t.STRING
    if isinstance(left, t.Bits) and isinstance(right, t.Bits):
        return t.Bits(left.width + right.width, left.signed)
    return None


def _arithmetic_type(operator: str, a: t.Type, b: t.Type) -> t.Type | None:
    """The type of an operation on two numbers of one type, or of one with an int."""
    common = b if a is t.INT else a if b is t.INT or a == b else None
    if common is None or not (isinstance(common, t.Bits) or common is t.INT):
        return None
    if operator in ("<", "<=", ">", ">="):
        return t.BOOL
    if operator in ("|+|", "|-|", "&", "|", "^") and common is t.INT:
        return None if operator in ("|+|", "|-|") else common
    if operator in ("/", "%") and isinstance(common, t.Bits) and common.signed:
        return None
    return common
