"""Types of expressions (P4_16 specification, section 8)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from p4compiler import types as t
from p4compiler.check.operators import OperatorChecks
from p4compiler.check.places import Place
from p4compiler.syntax import tree as s

HEADER_METHODS = ("isValid", "setValid", "setInvalid")
SIZE_METHODS = ("minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes")
STACK_METHODS = ("push_front", "pop_front")
_WRITABLE = ("out", "inout")


class ExpressionChecks(OperatorChecks):
    # Whether only the type of an expression matters, not its value.
    only_type = False
    # Whether `action_run` may stand here: at the head of a switch.
    in_switch = False

    def expression(self, expression: s.Expression) -> t.Type:
        """The expression's type, also kept in the facts; UNKNOWN after an error."""
        handler = _HANDLERS[type(expression)]
        type_ = handler(self, expression)
        self.facts.types[expression] = type_
        return type_

    @abstractmethod
    def call(self, call: s.Call) -> t.Type:
        """The type of a call's result."""

    def value(self, expression: s.Expression, what: str = "a value") -> t.Type:
        """The type of an expression that must have a value at run time or compile time."""
        type_ = self.expression(expression)
        if isinstance(type_, (t.MetaType, t.Callable)):
            self.error(f"expected {what}, not {type_}", expression)
            return t.UNKNOWN
        if type_ == t.VOID:
            self.error(f"expected {what}, but this call returns nothing", expression)
            return t.UNKNOWN
        return type_

    # Leaves

    def _int(self, expression: s.IntLiteral) -> t.Type:
        if expression.width is None:
            return t.INT
        return t.Bits(expression.width, expression.signed)

    def _bool(self, _: s.BoolLiteral) -> t.Type:
        return t.BOOL

    def _string(self, _: s.StringLiteral) -> t.Type:
        return t.STRING

    def _name(self, expression: s.Name) -> t.Type:
        found = (self.globals if expression.absolute else self.scope).find(expression.name)
        if not found:
            hint = self.scope.similar(expression.name)
            self.error(
                f"'{expression.name}' is not declared" + (f"; did you mean '{hint}'?" if hint else ""), expression
            )
            return t.UNKNOWN
        declaration = found[0]
        self.facts.uses[expression] = declaration
        if not isinstance(declaration, s.Function):
            # Which of several functions of one name is meant, its arguments tell.
            self.warn_if_deprecated(declaration, expression)
        if isinstance(declaration, s.Table):
            return t.Table(declaration)
        if isinstance(declaration, (s.Action, s.Function)):
            return t.Callable(expression.name)
        return self.facts.declared.get(declaration, t.UNKNOWN)

    def _type_expression(self, expression: s.TypeExpression) -> t.Type:
        type_ = self.resolve(expression.type, raw=True)
        return type_ if type_ is t.UNKNOWN else t.MetaType(type_)

    def _anything(self, _: s.Anything) -> t.Type:
        return t.ANYTHING

    def _default_value(self, _: s.DefaultValue) -> t.Type:
        return t.DEFAULT

    def _invalid_header(self, _: s.InvalidHeader) -> t.Type:
        return t.INVALID_HEADER

    # Compound values

    def _list(self, expression: s.ListExpression) -> t.Type:
        return t.Tuple(tuple(self.value(i) for i in expression.items), expression.default_rest, True)

    def _record(self, expression: s.RecordExpression) -> t.Type:
        seen: dict[str, t.Type] = {}
        for field in expression.fields:
            if field.name in seen:
                self.error(f"field '{field.name}' is given twice", field)
            seen[field.name] = self.value(field.value)
        return t.Record(tuple(seen.items()), expression.default_rest)

    def _member(self, expression: s.Member) -> t.Type:
        base = (
            self.type_only(expression.base) if expression.name in SIZE_METHODS else self.expression(expression.base)
        )
        if base is t.UNKNOWN:
            return t.UNKNOWN
        if isinstance(base, t.MetaType):
            return self._type_member(expression, base.type)
        name, type_ = expression.name, t.strip(base)
        find = _MEMBERS.get(type(type_))
        found = find(self, expression, type_) if find is not None else None
        if found is None:
            self.error(f"{base} has no member '{name}'{self._members_hint(type_, name)}", expression)
            return t.UNKNOWN
        return found

    def _struct_member(self, expression: s.Member, type_: t.Struct) -> t.Type | None:
        name = expression.name
        field = self.field_types(type_).get(name)
        if field is not None:
            return field
        methods = {"header": HEADER_METHODS, "header_union": ("isValid",)}.get(type_.kind, ())
        return t.Callable(name) if name in methods or name in SIZE_METHODS else None

    def _applied_member(self, expression: s.Member, type_: t.ApplyResult) -> t.Type | None:
        name = expression.name
        if name == "action_run" and not self.in_switch:
            text = "'action_run' can only be switched on: switch (TABLE.apply().action_run) { ... }"
            self.error(text, expression)
        return {"hit": t.BOOL, "miss": t.BOOL, "action_run": t.ActionRun(type_.declaration)}.get(name)

    def _apply_method(self, expression: s.Member, _: t.Table | t.Applicable) -> t.Type | None:
        return t.Callable("apply") if expression.name == "apply" else None

    def _extern_member(self, expression: s.Member, type_: t.Extern) -> t.Type | None:
        name = expression.name
        known = any(m.name == name and m.result is not None for m in type_.declaration.methods)
        return t.Callable(name) if known else None

    def _record_member(self, expression: s.Member, type_: t.Record) -> t.Type | None:
        return dict(type_.fields).get(expression.name)

    def _size_method(self, expression: s.Member, _: t.Type) -> t.Type | None:
        return t.Callable(expression.name) if expression.name in SIZE_METHODS else None

    def _members_hint(self, type_: t.Type, name: str) -> str:
        from difflib import get_close_matches

        names: list[str] = []
        if isinstance(type_, t.Struct):
            names = [*self.field_types(type_), *HEADER_METHODS]
        elif isinstance(type_, t.Extern):
            names = [m.name for m in type_.declaration.methods if m.result is not None]
        close = get_close_matches(name, names, 1, 0.6)
        return f"; did you mean '{close[0]}'?" if close else ""

    def _stack_member(self, expression: s.Member, type_: t.Stack) -> t.Type | None:
        """Section "Operations on header stacks"; an array of other elements has a size only."""
        name = expression.name
        if name in SIZE_METHODS:
            return t.Callable(name)
        if name == "size":
            return t.Bits(32)
        if t.is_array(type_):
            return None
        if name in ("next", "last", "lastIndex"):
            if self.place not in (Place.STATE, Place.PARSER):
                self.error(f"'{name}' of a stack exists only in a parser; use an index here", expression)
            return t.Bits(32) if name == "lastIndex" else type_.element
        return t.Callable(name) if name in STACK_METHODS else None

    def _type_member(self, expression: s.Member, type_: t.Type) -> t.Type:
        name = expression.name
        if isinstance(type_, t.Enum):
            for member in type_.declaration.members:
                if member.name == name:
                    self.facts.uses[expression] = member
                    return type_
        elif type_ == t.ERROR:
            if name in self.facts.errors:
                return t.ERROR
        elif isinstance(type_, t.Applicable) and name == "apply":
            return t.Callable("apply")
        if name in SIZE_METHODS:
            return t.Callable(name)
        self.error(f"'{type_}' has no member '{name}'", expression)
        return t.UNKNOWN

    def _index(self, expression: s.Index) -> t.Type:
        base = t.strip(self.value(expression.base))
        index = self.value(expression.index)
        if t.UNKNOWN in (base, index):
            return t.UNKNOWN
        if not isinstance(t.operand_type(index), t.Bits) and index is not t.INT:
            self.error(f"an index is an integer, not {index}", expression.index)
            return t.UNKNOWN
        known = self.constant_or_none(expression.index)
        if isinstance(base, t.Stack):
            if isinstance(known, int) and not 0 <= known < base.size and not self.only_type:
                self.error(f"index {known} is outside of {base}", expression.index)
            return base.element
        if isinstance(base, (t.Tuple, t.List)):
            if not isinstance(known, int):
                self.error("the index of a tuple must be known at compile time", expression.index)
                return t.UNKNOWN
            if isinstance(base, t.List):
                return base.item
            if not 0 <= known < len(base.items):
                self.error(f"index {known} is outside of {base}", expression.index)
                return t.UNKNOWN
            return base.items[known]
        self.error(f"{base} cannot be indexed", expression)
        return t.UNKNOWN

    def type_only(self, expression: s.Expression) -> t.Type:
        """The type of an expression that is not evaluated, as before `.minSizeInBits()`."""
        outer, self.only_type = self.only_type, True
        type_ = self.expression(expression)
        self.only_type = outer
        return type_

    def _slice(self, expression: s.Slice) -> t.Type:
        base = t.operand_type(self.value(expression.base))
        if expression.plus and isinstance(base, t.Bits):
            return self._indexed_slice(expression, base)
        high = self.constant_int(expression.high, "the bound of a slice")
        low = self.constant_int(expression.low, "the bound of a slice")
        if base is t.UNKNOWN or high is None or low is None:
            return t.UNKNOWN
        if expression.plus:
            high, low = high + low - 1, high
        if base is t.INT:
            return t.Bits(high - low + 1)
        if not isinstance(base, t.Bits):
            self.error(f"bits cannot be taken from {base}", expression.base)
            return t.UNKNOWN
        if low < 0 or high < low or high >= base.width:
            self.error(f"[{high}:{low}] is no part of {base}", expression)
            return t.UNKNOWN
        return t.Bits(high - low + 1)

    def _indexed_slice(self, expression: s.Slice, base: t.Bits) -> t.Type:
        """`base[low +: width]`, where only the width need be known."""
        low_type = self.value(expression.high)
        width = self.constant_int(expression.low, "the width of a slice")
        if width is None or low_type is t.UNKNOWN:
            return t.UNKNOWN
        low = self.constant_or_none(expression.high)
        if width < 1 or (isinstance(low, int) and (low < 0 or low + width > base.width)):
            self.error(f"there are no such {width} bits in {base}", expression)
            return t.UNKNOWN
        return t.Bits(width)

    # L-values

    def require_writable(self, expression: s.Expression) -> None:
        """Reports an expression that cannot be assigned to."""
        if self.facts.types.get(expression) is t.UNKNOWN:
            return
        reason = self._not_writable(expression)
        if reason:
            self.error(reason, expression)

    def _not_writable(self, expression: s.Expression) -> str | None:
        if isinstance(expression, s.Name):
            declaration = self.facts.uses.get(expression)
            if isinstance(declaration, s.Variable):
                return None
            if isinstance(declaration, s.Parameter):
                if declaration.direction in _WRITABLE:
                    return None
                how = (
                    f"an '{declaration.direction}' parameter"
                    if declaration.direction
                    else "a parameter without direction"
                )
                return f"'{expression.name}' cannot be written: it is {how}"
            return f"'{expression.name}' cannot be written"
        if isinstance(expression, s.Member):
            base = t.strip(self.facts.types.get(expression.base, t.UNKNOWN))
            if isinstance(base, t.Stack) and expression.name in ("lastIndex", "size"):
                return f"'{expression.name}' cannot be written"
            if isinstance(base, t.Stack) and expression.name == "last" and self.place is Place.STATE:
                return "'last' of a stack can only be read; write the element by its index"
            if isinstance(base, (t.Struct, t.Stack)) or base is t.UNKNOWN:
                return self._not_writable(expression.base)
            return f"'{expression.name}' cannot be written"
        if isinstance(expression, s.Index):
            return self._not_writable(expression.base)
        if isinstance(expression, s.Slice):
            return self._not_writable(expression.base)
        return "this cannot be assigned to"


_HANDLERS: dict[type, Callable[..., t.Type]] = {
    s.IntLiteral: ExpressionChecks._int,
    s.BoolLiteral: ExpressionChecks._bool,
    s.StringLiteral: ExpressionChecks._string,
    s.Name: ExpressionChecks._name,
    s.TypeExpression: ExpressionChecks._type_expression,
    s.Member: ExpressionChecks._member,
    s.Index: ExpressionChecks._index,
    s.Slice: ExpressionChecks._slice,
    s.Unary: ExpressionChecks._unary,
    s.Binary: ExpressionChecks._binary,
    s.Ternary: ExpressionChecks._ternary,
    s.Cast: ExpressionChecks._cast,
    s.Call: lambda self, expression: self.call(expression),
    s.ListExpression: ExpressionChecks._list,
    s.RecordExpression: ExpressionChecks._record,
    s.InvalidHeader: ExpressionChecks._invalid_header,
    s.DefaultValue: ExpressionChecks._default_value,
    s.Anything: ExpressionChecks._anything,
    s.Masked: ExpressionChecks._masked,
    s.Range: ExpressionChecks._range,
}

_MEMBERS: dict[type[t.Type], Callable[..., t.Type | None]] = {
    t.Struct: ExpressionChecks._struct_member,
    t.Stack: ExpressionChecks._stack_member,
    t.Table: ExpressionChecks._apply_method,
    t.ApplyResult: ExpressionChecks._applied_member,
    t.Applicable: ExpressionChecks._apply_method,
    t.Extern: ExpressionChecks._extern_member,
    t.Record: ExpressionChecks._record_member,
    t.Bits: ExpressionChecks._size_method,
    t.Varbit: ExpressionChecks._size_method,
    t.Simple: ExpressionChecks._size_method,
    t.Tuple: ExpressionChecks._size_method,
}
