"""Random statements: what a function, an action or the apply block of a control may do."""

from __future__ import annotations

from collections.abc import Callable

from conformance.fuzz.language import tree as g
from conformance.fuzz.language.expressions import Expressions, converted
from conformance.fuzz.language.scope import Scope

DEPTHS = (1, 2, 2, 3)
"""How deep expressions nest."""


class Statements(Expressions):
    def depth(self) -> int:
        return self.pick(DEPTHS)

    def block(self, scope: Scope, count: int, nesting: int) -> list[g.Stmt]:
        """About `count` statements; `nesting` more levels of blocks may come in them."""
        found: list[g.Stmt] = []
        for _ in range(count):
            found += self.statement(scope, nesting)
        return found

    def statement(self, scope: Scope, nesting: int) -> list[g.Stmt]:
        """One statement, or a few that belong together."""
        self.pay(1, scope)
        for _ in range(5):
            made = self.pick(_STATEMENTS[scope.kind])(self, scope, nesting)
            if made:
                return made
        return []

    def inner(self, scope: Scope, nesting: int, most: int = 3) -> list[g.Stmt]:
        return self.block(scope.inner(), self.random.randint(1, most), nesting - 1)

    # Variables

    def declare(self, scope: Scope, _nesting: int = 0) -> list[g.Stmt]:
        type_ = self.pick(self.types) if self.types and self.chance(0.3) else self.scalar_type()
        if isinstance(type_, g.Union_):
            return []
        name = self.name("v")
        if isinstance(type_, g.Stack) or (isinstance(type_, g.Header) and self.chance(0.3)):
            made = [g.Declare(name, type_, None), *self.filled(scope, g.Var(type_, name))]
            scope.add(name, type_)
            return made
        value = self.expr(scope, type_, self.depth())
        scope.add(name, type_)
        return [g.Declare(name, type_, value)]

    def filled(self, scope: Scope, place: g.Expr) -> list[g.Stmt]:
        """Gives every part a defined value; headers may stay invalid."""
        if isinstance(place.type, g.Stack):
            found: list[g.Stmt] = []
            for number in range(place.type.size):
                element = g.Element(place.type.element, place, g.Literal(g.Bit(32), number))
                found += self.filled(scope, element) if self.chance(0.97) else []
            return found
        if isinstance(place.type, g.Union_):
            name, type_ = self.pick(place.type.fields)
            return self.filled(scope, g.Field(type_, place, name))
        if isinstance(place.type, g.Header):
            return [g.Assign(place, None, self.made_of_parts(scope, place.type, 1))] if self.chance(0.95) else []
        if isinstance(place.type, g.Struct):
            return [s for n, t in place.type.fields for s in self.filled(scope, g.Field(t, place, n))]
        return [g.Assign(place, None, self.leaf(scope, place.type))]

    # Assignments

    def _assign(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        paths = [p for p in scope.paths(writable=True) if g.is_scalar(p.type) or self.chance(0.2)]
        if not paths:
            return []
        type_ = self.pick(paths).type
        target = self.writable(scope, type_)
        assert target is not None
        return [g.Assign(target, None, self.expr(scope, type_, self.depth()))]

    def _update(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        target = self.writable(scope, self.scalar_type())
        if target is None or isinstance(target.type, g.Bool):
            return []
        operator = self.pick(("+", "-", "*", "&", "|", "^", "|+|", "|-|", "<<", ">>"))
        amount = g.Bit(self.pick((3, 8)))
        type_ = amount if operator in ("<<", ">>") else target.type
        return [g.Assign(target, operator, self.expr(scope, type_, self.depth() - 1))]

    def _validity(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        headers = [p for p in scope.paths(writable=True) if isinstance(p.type, g.Header)]
        if not headers:
            return []
        header = self.with_indexes(scope, self.pick(headers))
        if self.chance(0.25):
            return [g.SetValid(header, False)]
        assert isinstance(header.type, g.Header)
        filled = [g.Assign(g.Field(t, header, n), None, self.leaf(scope, t)) for n, t in header.type.fields]
        return [g.SetValid(header, True), *filled]

    def _guarded(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        """A field of a header is read if the header is valid."""
        headers = [p for p in scope.paths() if isinstance(p.type, g.Header)]
        if not headers:
            return []
        unions = [p for p in headers if isinstance(p, g.Field) and isinstance(p.base.type, g.Union_)]
        header = self.pick(unions if unions and self.chance(0.7) else headers)
        name, type_ = self.pick(g.fields(header.type))
        target = self.writable(scope, self.scalar_type())
        if target is None:
            return []
        value = converted(g.Field(type_, header, name), target.type)
        return [g.If(g.IsValid(g.BOOL, header), [g.Assign(target, None, value)], [])]

    def _shift(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        stacks = [p for p in scope.paths(writable=True) if isinstance(p.type, g.Stack)]
        if not stacks:
            return []
        stack, count = self.pick(stacks), self.pick((1, 1, 2, -1, -1, -2))
        assert isinstance(stack.type, g.Stack)
        found: list[g.Stmt] = [g.Shift(stack, count)]
        free = (
            range(min(count, stack.type.size))
            if count > 0
            else range(max(0, stack.type.size + count), stack.type.size)
        )
        for number in free:
            if self.chance(0.9):
                element = g.Element(stack.type.element, stack, g.Literal(g.Bit(32), number))
                found += self.filled(scope, element)
        return found

    # Calls

    def _call(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        results = sorted({f.result for f in scope.functions}, key=repr)
        made = self.call(scope, self.pick(results), self.depth()) if results else None
        return [g.CallStatement(made)] if made is not None else []

    def _run(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        actions = [action for action in scope.actions if self.affordable(action.name, scope)]
        if not actions:
            return []
        action = self.pick(actions)
        arguments = self.arguments(scope, action.params, self.depth())
        if arguments is None:
            return []
        self.pay(self.costs[action.name], scope)
        return [g.Run(action, arguments)]

    def _apply(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        instances = [pair for pair in scope.instances if self.affordable(pair[1].name, scope)]
        if not instances:
            return []
        name, control = self.pick(instances)
        if has_tables(control) and (scope.loops or scope.kind != "main"):
            return []
        arguments = self.arguments(scope, control.params, self.depth())
        if arguments is None:
            return []
        if has_tables(control):
            # There is one of each table, and it goes on in one way only.
            scope.instances.remove((name, control))
        self.pay(self.costs[control.name], scope)
        return [g.Apply(name, control, arguments)]

    # Branches

    def _if(self, scope: Scope, nesting: int) -> list[g.Stmt]:
        if nesting <= 0:
            return []
        condition = self.boolean(scope, self.depth())
        otherwise = self.inner(scope, nesting) if self.chance(0.5) else []
        return [g.If(condition, self.inner(scope, nesting), otherwise)]

    def _switch(self, scope: Scope, nesting: int) -> list[g.Stmt]:
        if nesting <= 0:
            return []
        type_ = g.Bit(self.pick((2, 3, 8)))
        selector = self.expr(scope, type_, self.depth())
        labels = self.random.sample(range(1 << min(type_.width, 3)), self.random.randint(1, 4))
        cut = self.random.randint(1, len(labels))
        cases = [g.Case(part, self.inner(scope, nesting)) for part in (labels[:cut], labels[cut:]) if part]
        if self.chance(0.5):
            cases.append(g.Case([], self.inner(scope, nesting)))
        return [g.Switch(selector, cases)]

    # Loops

    def _for(self, scope: Scope, nesting: int) -> list[g.Stmt]:
        if nesting <= 0 or scope.loops >= 2:
            return []
        inner = scope.loop()
        type_ = g.Bit(self.pick((3, 8, 16)))
        counter = inner.add(self.name("i"), type_, writable=False)
        init: list[g.Stmt] = [g.Declare(counter.name, type_, g.Literal(type_, 0))]
        if self.chance(0.2):
            init += self.declare(inner)[:1]
        limit = g.Literal(type_, self.random.randint(1, 4))
        condition: g.Expr = g.Binary(g.BOOL, "<", counter, limit)
        if self.chance(0.3):
            condition = g.Binary(g.BOOL, "&&", condition, self.boolean(inner, 2))
        one = g.Literal(type_, 1)
        step = g.Assign(counter, "+", one) if self.chance(0.5) else g.Assign(counter, None, plus(counter, one))
        updates: list[g.Stmt] = [step]
        if self.chance(0.2):
            updates += self._assign(inner, 0)
        body = self.block(inner.inner(), self.random.randint(1, 3), nesting - 1)
        if self.chance(0.2):
            # The same without a condition: the body ends the loop.
            end = g.If(g.Unary(g.BOOL, "!", condition), [g.Break()], [])
            return [g.For(init, g.Literal(g.BOOL, 1), updates, [end, *body])]
        return [g.For(init, condition, updates, body)]

    def _for_in(self, scope: Scope, nesting: int) -> list[g.Stmt]:
        if nesting <= 0 or scope.loops >= 2:
            return []
        type_: g.Bit | g.Int = g.Int(8) if self.chance(0.2) else g.Bit(self.pick((2, 8, 16)))
        repeats = 1
        if self.chance(0.5):
            first = self.random.randrange(3)
            repeats = self.random.randint(1, 3)
            if isinstance(type_, g.Int):
                first -= 2
            elif type_.width == 2:
                repeats = min(repeats, 4 - first)
            low: g.Expr = g.Literal(type_, first)
            high: g.Expr = g.Literal(type_, first + repeats - 1)
        else:
            low, high = (masked(self.expr(scope, type_, 2), 3) for _ in range(2))
        inner = scope.loop(repeats)
        name = self.name("i")
        inner.add(name, type_)
        body = self.block(inner.inner(), self.random.randint(1, 3), nesting - 1)
        return [g.ForIn(name, type_, low, high, body)]

    def _for_each(self, scope: Scope, nesting: int) -> list[g.Stmt]:
        stacks = [path for path in scope.paths() if isinstance(path.type, g.Stack)]
        if nesting <= 0 or scope.loops >= 2:
            return []
        stack = self.pick(stacks) if stacks and self.chance(0.6) else None
        if stack is not None:
            assert isinstance(stack.type, g.Stack)
            type_: g.Type = stack.type.element
            values: list[g.Expr] = []
            inner = scope.loop(stack.type.size)
        else:
            type_ = self.scalar_type()
            values = [self.expr(scope, type_, 2) for _ in range(self.random.randint(1, 3))]
            inner = scope.loop(len(values))
        name = self.name("e")
        inner.add(name, type_)
        return [g.ForEach(name, type_, stack, values, self.block(inner.inner(), 2, nesting - 1))]

    # Leaving

    def _leave(self, scope: Scope, _nesting: int) -> list[g.Stmt]:
        """If something, then away from here."""
        ways: list[g.Stmt] = []
        if scope.loops:
            ways += [g.Break(), g.Continue()]
        if scope.kind != "function":
            ways += [g.Return(None), g.Exit()]
        elif scope.result is None:
            ways.append(g.Return(None))
        else:
            ways.append(g.Return(self.expr(scope, scope.result, 2)))
        before = self._assign(scope, 0) if self.chance(0.4) else []
        return [g.If(self.boolean(scope, 2), [*before, self.pick(ways)], [])]


def plus(left: g.Expr, right: g.Expr) -> g.Expr:
    return g.Binary(left.type, "+", left, right)


def masked(expr: g.Expr, mask: int) -> g.Expr:
    return g.Binary(expr.type, "&", expr, g.Literal(expr.type, mask))


def has_tables(control: g.Control) -> bool:
    return bool(control.tables) or any(has_tables(callee) for _, callee in control.instances)


_Statement = Callable[[Statements, Scope, int], "list[g.Stmt]"]
_PLAIN: tuple[_Statement, ...] = (
    *[Statements._assign] * 6, *[Statements._update] * 2, *[Statements.declare] * 2, *[Statements._if] * 3,
    *[Statements._validity] * 2, Statements._guarded, Statements._shift, *[Statements._call] * 6,
)  # fmt: skip
_BODY: tuple[_Statement, ...] = (
    *_PLAIN, Statements._switch, *[Statements._for] * 2, Statements._for_in, Statements._for_each,
    *[Statements._leave] * 2,
)  # fmt: skip
_STATEMENTS: dict[str, tuple[_Statement, ...]] = {
    "function": _BODY,
    "action": (*_BODY, Statements._run),
    "control": (*_BODY, *[Statements._run] * 4, *[Statements._apply] * 4),
    "main": (*_BODY, *[Statements._run] * 4, *[Statements._apply] * 4),
    "parser": _PLAIN,
    "sub-parser": _PLAIN,
}
