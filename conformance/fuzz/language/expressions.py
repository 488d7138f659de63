"""Random expressions of a wanted type."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from conformance.fuzz.language import tree as g
from conformance.fuzz.language.scope import Scope, fresh

_T = TypeVar("_T")

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 8, 8, 8, 9, 12, 16, 16, 24, 31, 32, 33, 48, 63, 64, 65, 80, 128)
MOST_COST = 160
"""Statements and operands that a program may have, with every call written out."""


class Expressions:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.widths = [8, *self.random.choices(WIDTHS, k=3)]
        self.types: list[g.Type] = []
        self.costs: dict[str, int] = {}
        """What a call of each function, action or instance costs."""
        self.cost = 0
        self.numbers: dict[str, int] = {}
        self.indexing = 0
        """How many indexes are being made, one in the other."""
        self.recent: list[g.Expr] = []
        """The last few paths: what is used again soon is what calls and assignments can get wrong."""

    # Choices

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, items: Sequence[_T]) -> _T:
        return self.random.choice(items)

    def name(self, stem: str) -> str:
        number = self.numbers.get(stem, 0)
        self.numbers[stem] = number + 1
        return f"{stem}{number}"

    def affordable(self, name: str, scope: Scope) -> bool:
        return self.cost + self.costs.get(name, 0) * scope.repeats <= MOST_COST

    def pay(self, cost: int, scope: Scope) -> None:
        self.cost += cost * scope.repeats

    def scalar_type(self) -> g.Type:
        kind = self.random.random()
        if kind < 0.12:
            return g.BOOL
        width = self.pick(self.widths)
        return g.Int(max(width, 2)) if kind < 0.32 else g.Bit(width)

    # Any type

    def expr(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr:
        self.pay(1, scope)
        if isinstance(type_, g.Bool):
            return self.boolean(scope, depth)
        if g.is_scalar(type_):
            return self.numeric(scope, type_, depth)
        return self.compound(scope, type_, depth)

    def readable(self, scope: Scope, type_: g.Type) -> g.Expr | None:
        """A variable or part of one that has the type; rarely a member of a union, as most are not valid."""
        found = [path for path in scope.paths() if path.type == type_ and (not in_union(path) or self.chance(0.05))]
        return self.with_indexes(scope, self.near(found)) if found else None

    def near(self, paths: Sequence[g.Expr]) -> g.Expr:
        """One of the paths, often one that was used a moment ago."""
        again = [path for path in paths if path in self.recent]
        path = self.pick(again) if again and self.chance(0.5) else self.pick(paths)
        self.recent = [*self.recent[-5:], path]
        return path

    def writable(self, scope: Scope, type_: g.Type, slices: bool = True) -> g.Expr | None:
        """An l-value of the type, sometimes some bits of a wider one."""
        paths = scope.paths(writable=True)
        found = [path for path in paths if path.type == type_]
        if slices and isinstance(type_, g.Bit) and (not found or self.chance(0.15)):
            wider = [p for p in paths if isinstance(p.type, (g.Bit, g.Int)) and p.type.width > type_.width]
            if wider:
                base = self.with_indexes(scope, self.pick(wider))
                low = self.random.randrange(g.width(base.type) - type_.width + 1)
                return g.Slice(type_, base, low + type_.width - 1, low)
        return self.with_indexes(scope, self.near(found)) if found else None

    def with_indexes(self, scope: Scope, path: g.Expr) -> g.Expr:
        """A copy of the path, in which some indexes are known at run time only."""
        path = fresh(path)
        node: g.Expr = path
        while isinstance(node, (g.Field, g.Element)):
            if isinstance(node, g.Element) and self.chance(0.6 if not self.indexing else 0.15):
                assert isinstance(node.base.type, g.Stack)
                self.indexing += 1
                node.index = self.index(scope, node.base.type.size)
                self.indexing -= 1
            node = node.base
        return path

    def index(self, scope: Scope, size: int) -> g.Expr:
        """An index below `size`, or now and then a bit above."""
        if self.chance(0.2) and size != 3:
            return self.numeric(scope, g.Bit((size - 1).bit_length()), 1)
        most = (1 << max(1, (size - 1).bit_length())) - 1
        type_ = g.Bit(8)
        most = most if size > most and self.chance(0.95) else 1
        number = self.writable(scope, type_, slices=False) if self.chance(0.7) else None
        return g.Binary(type_, "&", number or self.numeric(scope, type_, 1), g.Literal(type_, most))

    def call(self, scope: Scope, result: g.Type | None, depth: int) -> g.Call | None:
        functions = [f for f in scope.functions if f.result == result and self.affordable(f.name, scope)]
        if not functions:
            return None
        function = self.pick(functions)
        arguments = self.arguments(scope, function.params, depth)
        if arguments is None:
            return None
        self.pay(self.costs[function.name], scope)
        return g.Call(g.BOOL if result is None else result, function, arguments)

    def arguments(self, scope: Scope, params: Sequence[g.Param], depth: int) -> g.Arguments | None:
        """Arguments for the parameters, now and then with names in another order; None if there are none."""
        found = self.bound(scope, params, depth)
        if found is None:
            return None
        return g.Arguments(found, self.random.sample(range(len(found)), len(found)) if self.chance(0.1) else None)

    def bound(self, scope: Scope, params: Sequence[g.Param], depth: int) -> list[g.Expr] | None:
        """Arguments in the order of the parameters, often the same place twice; None if an l-value is missing."""
        found: list[g.Expr] = []
        for param in params:
            if param.direction not in ("out", "inout"):
                if isinstance(param.type, (g.Stack, g.Union_)) and self.readable(scope, param.type) is None:
                    return None
                found.append(self.expr(scope, param.type, depth - 1))
                continue
            same = [a for p, a in zip(params, found, strict=False) if p.direction != "in" and a.type == param.type]
            place = fresh(self.pick(same)) if same and self.chance(0.3) else self.writable(scope, param.type)
            if place is None:
                return None
            found.append(place)
        self._entangle(scope, params, found)
        return found

    def _entangle(self, scope: Scope, params: Sequence[g.Param], arguments: list[g.Expr]) -> None:
        """Often the callee also writes what an index among its arguments is made of."""
        paths = scope.paths(writable=True)
        inside = [p for argument in arguments for p in index_parts(argument) if p in paths]
        for number, param in enumerate(params):
            fitting = [path for path in inside if path.type == param.type]
            if fitting and param.direction in ("inout", "out") and self.chance(0.5):
                arguments[number] = fresh(self.pick(fitting))

    # Numbers

    def numeric(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr:
        if depth > 0 and not self.chance(0.15):
            made = self.pick(_NUMERIC)(self, scope, type_, depth)
            if made is not None:
                return made
        return self.leaf(scope, type_)

    def leaf(self, scope: Scope, type_: g.Type) -> g.Expr:
        if self.chance(0.8):
            found = self.readable(scope, type_)
            if found is not None:
                return found
            others = [p for p in scope.paths() if g.is_scalar(p.type) and not in_union(p)]
            if others and self.chance(0.8):
                return converted(self.with_indexes(scope, self.pick(others)), type_)
        return self.literal(type_)

    def literal(self, type_: g.Type) -> g.Literal:
        width = g.width(type_)
        low, high = (
            (-(1 << (width - 1)), (1 << (width - 1)) - 1) if isinstance(type_, g.Int) else (0, (1 << width) - 1)
        )
        kind = self.random.random()
        if kind < 0.5:
            return g.Literal(type_, min(high, self.random.randrange(6)))
        if kind < 0.7:
            return g.Literal(type_, self.pick((low, high, high >> 1, max(low, -1))))
        return g.Literal(type_, self.random.randint(low, high))

    def _unary(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        return g.Unary(type_, self.pick("-~"), self.expr(scope, type_, depth - 1))

    def _arithmetic(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        operator = self.pick(("+", "-", "*", "&", "|", "^", "|+|", "|-|"))
        return g.Binary(type_, operator, self.expr(scope, type_, depth - 1), self.expr(scope, type_, depth - 1))

    def _shifted(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        left = self.expr(scope, type_, depth - 1)
        amount = g.Bit(self.pick((2, 3, 8, 8, self.pick(self.widths))))
        return g.Binary(type_, self.pick(("<<", ">>")), left, self.expr(scope, amount, depth - 2))

    def _concatenate(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        width = g.width(type_)
        if width < 2:
            return None
        left = self.random.randrange(1, width)
        right = width - left
        right_type = g.Int(right) if right > 1 and self.chance(0.2) else g.Bit(right)
        if isinstance(type_, g.Int) and left == 1:
            return None
        left_type = g.Int(left) if isinstance(type_, g.Int) else g.Bit(left)
        return g.Binary(type_, "++", self.expr(scope, left_type, depth - 1), self.expr(scope, right_type, depth - 1))

    def _slice(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        wider = [width for width in self.widths if width > g.width(type_)]
        if isinstance(type_, g.Int) or not wider:
            return None
        base_type = g.Int(self.pick(wider)) if self.chance(0.2) else g.Bit(self.pick(wider))
        base = self.expr(scope, base_type, depth - 1)
        low = self.random.randrange(base_type.width - g.width(type_) + 1)
        return g.Slice(type_, base, low + g.width(type_) - 1, low)

    def _runtime_slice(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        wider = [width for width in self.widths if width > g.width(type_)]
        if isinstance(type_, g.Int) or not wider:
            return None
        low = self.readable(scope, g.Bit(8))
        if low is None:
            return None
        return g.RuntimeSlice(type_, self.expr(scope, g.Bit(self.pick(wider)), depth - 1), low, g.width(type_))

    def _cast(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        other = self.scalar_type()
        return None if other == type_ else converted(self.expr(scope, other, depth - 1), type_)

    def _ternary(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        condition = self.boolean(scope, depth - 1)
        return g.Ternary(type_, condition, self.expr(scope, type_, depth - 1), self.expr(scope, type_, depth - 1))

    def _called(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr | None:
        return self.call(scope, type_, depth)

    def _peek(self, scope: Scope, type_: g.Type, _depth: int) -> g.Expr | None:
        """What only a parser can look at: the packet, and a stack's last element."""
        if scope.kind != "parser" or not self.chance(0.3):
            return None
        if self.chance(0.4):
            return g.Lookahead(type_)
        stacks = [path for path in scope.paths() if isinstance(path.type, g.Stack)]
        for stack in self.random.sample(stacks, len(stacks)):
            assert isinstance(stack.type, g.Stack)
            if self.chance(0.3):
                return converted(g.LastIndex(g.Bit(32), fresh(stack)), type_)
            for name, field in stack.type.element.fields:
                if field == type_:
                    return g.Field(field, g.Last(stack.type.element, fresh(stack)), name)
        return None

    # Truth

    def boolean(self, scope: Scope, depth: int) -> g.Expr:
        if depth > 0:
            made = self.pick(_BOOLEAN)(self, scope, depth)
            if made is not None:
                return made
        found = self.readable(scope, g.BOOL) if self.chance(0.4) else None
        if found is not None:
            return found
        type_ = g.Bit(self.pick(self.widths))
        return g.Binary(g.BOOL, self.pick(("==", "!=", "<")), self.leaf(scope, type_), self.literal(type_))

    def _compare(self, scope: Scope, depth: int) -> g.Expr | None:
        type_ = self.scalar_type()
        operators = ("==", "!=") if isinstance(type_, g.Bool) else ("==", "!=", "<", "<=", ">", ">=")
        left = self.expr(scope, type_, depth - 1)
        return g.Binary(g.BOOL, self.pick(operators), left, self.expr(scope, type_, depth - 1))

    def _logic(self, scope: Scope, depth: int) -> g.Expr | None:
        left = self.boolean(scope, depth - 1)
        return g.Binary(g.BOOL, self.pick(("&&", "||")), left, self.boolean(scope, depth - 1))

    def _not(self, scope: Scope, depth: int) -> g.Expr | None:
        return g.Unary(g.BOOL, "!", self.boolean(scope, depth - 1))

    def _valid(self, scope: Scope, _depth: int) -> g.Expr | None:
        headers = [path for path in scope.paths() if isinstance(path.type, (g.Header, g.Union_))]
        return g.IsValid(g.BOOL, self.with_indexes(scope, self.pick(headers))) if headers else None

    def _equal(self, scope: Scope, _depth: int) -> g.Expr | None:
        """A comparison of whole structs, headers or stacks."""
        wholes = [path for path in scope.paths() if not g.is_scalar(path.type)]
        if not wholes:
            return None
        left = self.with_indexes(scope, self.pick(wholes))
        right = self.readable(scope, left.type)
        return None if right is None else g.Binary(g.BOOL, self.pick(("==", "!=")), left, right)

    def _bool_called(self, scope: Scope, depth: int) -> g.Expr | None:
        return self.call(scope, g.BOOL, depth)

    def _bool_cast(self, scope: Scope, depth: int) -> g.Expr | None:
        return g.Cast(g.BOOL, self.numeric(scope, g.Bit(1), depth - 1))

    def _bool_ternary(self, scope: Scope, depth: int) -> g.Expr | None:
        return self._ternary(scope, g.BOOL, depth)

    # Structs, headers, stacks

    def compound(self, scope: Scope, type_: g.Type, depth: int) -> g.Expr:
        """A value of a type with parts. A stack or union must be in scope."""
        if self.chance(0.3) and depth > 0:
            made: g.Expr | None = self.call(scope, type_, depth)
            if made is None and self.chance(0.3):
                made = self._ternary(scope, type_, depth - 1)
            if made is not None:
                return made
        found = self.readable(scope, type_)
        if isinstance(type_, (g.Struct, g.Header)) and (found is None or self.chance(0.4)):
            return self.made_of_parts(scope, type_, depth)
        assert found is not None, type_
        return found

    def made_of_parts(self, scope: Scope, type_: g.Struct | g.Header, depth: int) -> g.Parts:
        values = [self.expr(scope, field, max(0, depth - 1)) for _, field in type_.fields]
        return g.Parts(type_, values, self.chance(0.3))


def converted(expr: g.Expr, type_: g.Type) -> g.Expr:
    """The scalar cast to a type, by as many casts as it takes."""
    if isinstance(expr.type, g.Bool) and not isinstance(type_, g.Bool):
        expr = g.Cast(g.Bit(1), expr)
    if expr.type == type_:
        return expr
    if isinstance(type_, g.Bool):
        return g.Cast(type_, converted(expr, g.Bit(1)))
    if type(expr.type) is not type(type_):
        other = type(expr.type)(g.width(type_)) if isinstance(expr.type, (g.Bit, g.Int)) else expr.type
        expr = converted(expr, other)
    return g.Cast(type_, expr)


def index_parts(path: g.Expr) -> list[g.Expr]:
    """The l-values in the indexes of a path that have no such index themselves."""
    found: list[g.Expr] = []
    while isinstance(path, (g.Field, g.Element, g.Slice)):
        if isinstance(path, g.Element) and isinstance(path.index, g.Binary) and is_plain(path.index.left):
            found.append(path.index.left)
        path = path.base
    return found


def is_plain(expr: g.Expr) -> bool:
    """Whether it is a variable, or a part of one that has no index known at run time only."""
    if isinstance(expr, g.Element):
        return isinstance(expr.index, g.Literal) and is_plain(expr.base)
    return is_plain(expr.base) if isinstance(expr, g.Field) else isinstance(expr, g.Var)


def in_union(path: g.Expr) -> bool:
    while isinstance(path, (g.Field, g.Element)):
        path = path.base
        if isinstance(path.type, g.Union_):
            return True
    return False


_Numeric = Callable[[Expressions, Scope, g.Type, int], "g.Expr | None"]
_NUMERIC: tuple[_Numeric, ...] = (
    *[Expressions._arithmetic] * 4, Expressions._unary, *[Expressions._shifted] * 2, Expressions._concatenate,
    *[Expressions._slice] * 2, Expressions._runtime_slice, *[Expressions._cast] * 2, Expressions._ternary,
    *[Expressions._called] * 3, Expressions._peek,
)  # fmt: skip
_BOOLEAN: tuple[Callable[[Expressions, Scope, int], g.Expr | None], ...] = (
    *[Expressions._compare] * 4, *[Expressions._logic] * 2, Expressions._not, Expressions._valid, Expressions._equal,
    Expressions._bool_called, Expressions._bool_cast, Expressions._bool_ternary,
)  # fmt: skip
