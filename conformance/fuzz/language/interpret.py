"""What a program does to a packet, by the P4_16 specification: an interpreter of trees.

Calls copy in and out (section "Calling convention"), l-values keep the index that they had when they were evaluated,
operands are evaluated from left to right. `Undefined` is raised where the specification leaves a result open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.fuzz.language import tree as g
from conformance.fuzz.language.values import (
    UNDEFINED,
    HeaderValue,
    StackValue,
    StructValue,
    Undefined,
    UnionValue,
    Value,
    binary,
    bits,
    cast,
    copy,
    equal,
    new,
    number,
    wrap,
)

MOST_STEPS = 20_000
"""Statements after which a program counts as endless."""

ERRORS = ("NoError", "PacketTooShort", "NoMatch", "StackOutOfBounds", "HeaderTooShort", "ParserInvalidArgument")


class Endless(Exception):
    """The program does not end in MOST_STEPS statements."""


class _Leave(Exception):
    """A statement that ends others."""


class _Break(_Leave):
    pass


class _Continue(_Leave):
    pass


class Exited(_Leave):
    """An exit statement ends the block."""


class _Reject(_Leave):
    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class _Return(_Leave):
    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


@dataclass
class Env:
    """Variables of a call; those of the control around an action are the parent's."""

    variables: dict[str, Value]
    parent: Env | None = None

    def owner(self, name: str) -> dict[str, Value]:
        env: Env | None = self
        while env is not None:
            if name in env.variables:
                return env.variables
            env = env.parent
        raise KeyError(name)


@dataclass
class Place:
    """An l-value: a variable, then fields and indexes of elements."""

    variables: dict[str, Value]
    name: str
    steps: list[str | int] = field(default_factory=list)

    def get(self) -> Value:
        value = self.variables[self.name]
        for step in self.steps:
            value = _part(value, step)
        return value

    def put(self, value: Value) -> None:
        """Stores a copy. What the specification forbids to change anything, changes nothing."""
        value = copy(value)
        if not self.steps:
            self.variables[self.name] = value
            return
        try:
            owner = self.variables[self.name]
            for step in self.steps[:-1]:
                owner = _part(owner, step)
            _store(owner, self.steps[-1], value)
        except Undefined:
            return


def _part(value: Value, step: str | int) -> Value:
    if isinstance(value, StackValue) and isinstance(step, int):
        if not 0 <= step < len(value.elements):
            raise Undefined
        return value.elements[step]
    assert isinstance(value, (HeaderValue, StructValue, UnionValue)) and isinstance(step, str)
    if isinstance(value, HeaderValue) and not value.valid:
        return UNDEFINED  # whatever it held before another member of its union took its place
    return value.fields[step]


def _store(owner: Value, step: str | int, value: Value) -> None:
    if isinstance(owner, StackValue) and isinstance(step, int):
        assert isinstance(value, HeaderValue)
        if 0 <= step < len(owner.elements):
            owner.elements[step] = value
        return
    assert isinstance(step, str)
    if isinstance(owner, HeaderValue):
        if owner.valid:
            owner.fields[step] = value
    elif isinstance(owner, UnionValue):
        for other in owner.fields.values():
            assert isinstance(other, HeaderValue)
            other.valid = False
        owner.fields[step] = value
    else:
        assert isinstance(owner, StructValue)
        owner.fields[step] = value


@dataclass
class Bits:
    """Bits [high:low] of a place."""

    place: Place
    type: g.Type
    high: int
    low: int

    def get(self) -> Value:
        return _cut(self.type, self.place.get(), self.high, self.low)

    def put(self, value: Value) -> None:
        """With undefined bits among the new ones or the others, the whole number counts as undefined."""
        try:
            old = self.place.get()
        except Undefined:
            return
        if isinstance(old, int) and isinstance(value, int):
            mask = ((1 << (self.high - self.low + 1)) - 1) << self.low
            joined = bits(self.type, old) & ~mask | value << self.low & mask
            self.place.put(wrap(self.type, joined))
        else:
            self.place.put(UNDEFINED)


def _cut(type_: g.Type, value: Value, high: int, low: int) -> Value:
    """Bits [high:low] of a number of the type."""
    if not isinstance(value, int):
        return UNDEFINED
    return bits(type_, value) >> low & ((1 << (high - low + 1)) - 1)


Target = Place | Bits


@dataclass
class Result:
    """A packet that came out, as the characters 0, 1 and, for what is undefined, `?`; and the parser's error."""

    bits: str
    error: str

    def allows(self, frame: bytes) -> bool:
        if 8 * len(frame) != len(self.bits):
            return False
        got = f"{int.from_bytes(frame, 'big'):0{len(self.bits)}b}" if frame else ""
        return all(a in ("?", b) for a, b in zip(self.bits, got, strict=True))

    def __str__(self) -> str:
        """In hexadecimal, `?` for a digit that is not wholly defined."""
        digits = [self.bits[at : at + 4] for at in range(0, len(self.bits), 4)]
        return "".join("?" if "?" in digit else f"{int(digit, 2):x}" for digit in digits)


class Interpreter:
    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.at = 0
        """Bits of the frame that were consumed."""
        self.steps = 0
        self.env = Env({})
        self.error = "NoError"

    # Expressions

    def value(self, expr: g.Expr) -> Value:
        """A value that shares nothing with variables."""
        return _VALUES[type(expr)](self, expr)

    def number(self, expr: g.Expr) -> int:
        return number(self.value(expr))

    def place(self, expr: g.Expr) -> Target:
        if isinstance(expr, g.Var):
            return Place(self.env.owner(expr.name), expr.name)
        if isinstance(expr, g.Slice):
            base = self.place(expr.base)
            if isinstance(base, Bits):
                return Bits(base.place, base.type, expr.high + base.low, expr.low + base.low)
            return Bits(base, expr.base.type, expr.high, expr.low)
        assert isinstance(expr, (g.Field, g.Element))
        base = self.place(expr.base)
        assert isinstance(base, Place)
        step = expr.name if isinstance(expr, g.Field) else self.number(expr.index)
        return Place(base.variables, base.name, [*base.steps, step])

    def _literal(self, expr: g.Literal) -> Value:
        return expr.value

    def _stored(self, expr: g.Expr) -> Value:
        if is_place(expr):
            return copy(self.place(expr).get())
        assert isinstance(expr, g.Field)
        return _part(self.value(expr.base), expr.name)

    def _last(self, expr: g.Last) -> Value:
        stack = self.value(expr.base)
        assert isinstance(stack, StackValue)
        if not 1 <= stack.next <= len(stack.elements):
            raise _Reject("StackOutOfBounds")
        return stack.elements[stack.next - 1]

    def _last_index(self, expr: g.LastIndex) -> Value:
        stack = self.value(expr.base)
        assert isinstance(stack, StackValue)
        return stack.next - 1 if stack.next else UNDEFINED

    def _slice(self, expr: g.Slice) -> Value:
        return _cut(expr.base.type, self.value(expr.base), expr.high, expr.low)

    def _runtime_slice(self, expr: g.RuntimeSlice) -> Value:
        base = self.value(expr.base)
        low = self.value(expr.low)
        return _cut(expr.base.type, base, low + expr.width - 1, low) if isinstance(low, int) else UNDEFINED

    def _unary(self, expr: g.Unary) -> Value:
        operand = self.value(expr.operand)
        if not isinstance(operand, int):
            return UNDEFINED
        if expr.operator == "!":
            return 1 - operand
        return wrap(expr.type, -operand if expr.operator == "-" else ~operand)

    def _binary(self, expr: g.Binary) -> Value:
        operator = expr.operator
        if operator in ("&&", "||"):
            left = self.number(expr.left)
            return self.number(expr.right) if left == (operator == "&&") else left
        before = self.value(expr.left)
        after = self.value(expr.right)
        if not g.is_scalar(expr.left.type):
            same = equal(before, after)
            return int(same == (operator == "==")) if isinstance(same, int) else UNDEFINED
        if not isinstance(before, int) or not isinstance(after, int):
            return UNDEFINED
        return wrap(expr.type, binary(operator, expr.left.type, before, after, expr.right.type))

    def _ternary(self, expr: g.Ternary) -> Value:
        return self.value(expr.yes if self.number(expr.condition) else expr.no)

    def _cast(self, expr: g.Cast) -> Value:
        value = self.value(expr.operand)
        return cast(expr.operand.type, expr.type, value) if isinstance(value, int) else UNDEFINED

    def _is_valid(self, expr: g.IsValid) -> Value:
        header = self.place(expr.header).get()
        if isinstance(header, UnionValue):
            return int(any(isinstance(m, HeaderValue) and m.valid for m in header.fields.values()))
        assert isinstance(header, HeaderValue)
        return int(header.valid)

    def _parts(self, expr: g.Parts) -> Value:
        names = [name for name, _ in g.fields(expr.type)]
        values = dict(zip(names, [self.value(part) for part in expr.values], strict=True))
        return HeaderValue(True, values) if isinstance(expr.type, g.Header) else StructValue(values)

    def _call(self, expr: g.Call) -> Value:
        function = expr.function
        return self._invoke(function.params, expr.arguments, None, lambda: self.block(function.body))

    def _hit(self, expr: g.Hit) -> Value:
        hit, _ = self._match(expr.table)
        return int(hit == expr.hit)

    def _lookahead(self, expr: g.Lookahead) -> Value:
        size = g.width(expr.type)
        if self.at + size > 8 * len(self.frame):
            raise _Reject("PacketTooShort")
        return wrap(expr.type, self._bits(self.at, size))

    def _bits(self, at: int, size: int) -> int:
        return int.from_bytes(self.frame, "big") >> (8 * len(self.frame) - at - size) & ((1 << size) - 1)

    def _parser_error(self, expr: g.ParserErrorIs) -> Value:
        return int(self.error == expr.name)

    # Calls

    def _invoke(
        self,
        params: Sequence[g.Param],
        arguments: g.Arguments,
        parent: Env | None,
        run: Callable[[], None],
    ) -> Value:
        """The six steps of the calling convention; the value that `return` gave."""
        saved: list[tuple[str, Target]] = []
        variables: dict[str, Value] = {}
        for number_ in arguments.order or range(len(params)):
            param, argument = params[number_], arguments.values[number_]
            if param.direction in ("out", "inout"):
                target = self.place(argument)
                saved.append((param.name, target))
                variables[param.name] = copy(target.get()) if param.direction == "inout" else new(param.type)
            else:
                variables[param.name] = self.value(argument)
        caller, self.env = self.env, Env(variables, parent)
        result: Value = UNDEFINED
        leaving: Exited | None = None
        try:
            run()
        except _Return as end:
            result = end.value
        except Exited as exit_:
            leaving = exit_
        finally:
            self.env = caller
        for name, target in saved:
            target.put(variables[name])
        if leaving is not None:
            raise leaving
        return result

    # Statements

    def block(self, statements: Sequence[g.Stmt]) -> None:
        for statement in statements:
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise Endless
            _STATEMENTS[type(statement)](self, statement)

    def _declare(self, statement: g.Declare) -> None:
        value = new(statement.type) if statement.value is None else self.value(statement.value)
        self.env.variables[statement.name] = value

    def _assign(self, statement: g.Assign) -> None:
        target = self.place(statement.target)
        if statement.operator is None:
            target.put(self.value(statement.value))
            return
        old = target.get()
        right = self.value(statement.value)
        type_ = statement.target.type
        if isinstance(old, int) and isinstance(right, int):
            target.put(wrap(type_, binary(statement.operator, type_, old, right, statement.value.type)))
        else:
            target.put(UNDEFINED)

    def _call_statement(self, statement: g.CallStatement) -> None:
        self._call(statement.call)

    def _set_valid(self, statement: g.SetValid) -> None:
        target = self.place(statement.header)
        assert isinstance(target, Place)
        try:
            header = target.get()
        except Undefined:
            return
        assert isinstance(header, HeaderValue)
        if statement.valid and header.valid:
            return
        target.put(HeaderValue(statement.valid, dict.fromkeys(header.fields, UNDEFINED)))

    def _shift(self, statement: g.Shift) -> None:
        target = self.place(statement.stack)
        stack, count = target.get(), statement.count
        assert isinstance(stack, StackValue) and isinstance(statement.stack.type, g.Stack)
        size = len(stack.elements)
        free = [_header(new(statement.stack.type.element)) for _ in range(min(abs(count), size))]
        elements = (free + stack.elements)[:size] if count > 0 else stack.elements[-count:] + free
        target.put(StackValue(elements, max(0, min(size, stack.next + count))))

    def _if(self, statement: g.If) -> None:
        self.block(statement.then if self.number(statement.condition) else statement.otherwise)

    def _switch(self, statement: g.Switch) -> None:
        self._choose(statement.cases, self.number(statement.selector))

    def _choose(self, cases: Sequence[g.Case], value: int) -> None:
        for case in cases:
            if not case.labels or value in case.labels:
                self.block(case.body)
                return

    def _for(self, statement: g.For) -> None:
        self.block(statement.init)
        while self.number(statement.condition) and self._repeated(statement.body):
            self.block(statement.updates)

    def _for_in(self, statement: g.ForIn) -> None:
        low = self.number(statement.low)
        for value in range(low, self.number(statement.high) + 1):
            self.env.variables[statement.name] = value
            if not self._repeated(statement.body):
                break

    def _for_each(self, statement: g.ForEach) -> None:
        values = [self.value(value) for value in statement.values]
        if statement.stack is not None:
            stack = self.value(statement.stack)
            assert isinstance(stack, StackValue)
            values = list(stack.elements)
        for value in values:
            self.env.variables[statement.name] = copy(value)
            if not self._repeated(statement.body):
                break

    def _repeated(self, body: Sequence[g.Stmt]) -> bool:
        """Runs a loop's body; whether the loop goes on."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Endless
        try:
            self.block(body)
        except _Break:
            return False
        except _Continue:
            return True
        return True

    def _break(self, _statement: g.Break) -> None:
        raise _Break

    def _continue(self, _statement: g.Continue) -> None:
        raise _Continue

    def _return(self, statement: g.Return) -> None:
        raise _Return(UNDEFINED if statement.value is None else self.value(statement.value))

    def _exit(self, _statement: g.Exit) -> None:
        raise Exited

    def _run(self, statement: g.Run) -> None:
        self._act(statement.action, statement.arguments)

    def _act(self, action: g.Action, arguments: g.Arguments) -> None:
        """An action runs in its control, whose variables it also sees by name."""
        control: Env = self.env
        while control.parent is not None:
            control = control.parent
        self._invoke(action.params, arguments, control, lambda: self.block(action.body))

    def _apply(self, statement: g.Apply) -> None:
        callee = statement.callee
        run = self._control(callee) if isinstance(callee, g.Control) else self._parser(callee)
        self._invoke(callee.params, statement.arguments, None, run)

    def _apply_table(self, statement: g.ApplyTable) -> None:
        hit, _ = self._match(statement.table)
        self.block(statement.hit if hit else statement.miss)

    def _switch_action(self, statement: g.SwitchAction) -> None:
        _, choice = self._match(statement.table)
        self._choose(statement.cases, choice)

    def _match(self, table: g.Table) -> tuple[bool, int]:
        """Runs the action of the entry that matches; whether there is one, and the number of the action."""
        keys = [self.number(key) for key in table.keys]
        entry = next((entry for entry in table.entries if entry.keys == keys), None)
        number_, given = (table.default, table.default_data) if entry is None else (entry.choice, entry.data)
        choice = table.choices[number_]
        data = [g.Literal(p.type, value) for p, value in zip(choice.action.data(), given, strict=True)]
        self._act(choice.action, g.Arguments([*choice.bound, *data]))
        return entry is not None, number_

    # Blocks

    def _control(self, control: g.Control) -> Callable[[], None]:
        def run() -> None:
            self.block(control.locals)
            self.block(control.body)

        return run

    def _parser(self, parser: g.Parser) -> Callable[[], None]:
        states = {state.name: state for state in parser.states}

        def run() -> None:
            self.block(parser.locals)
            name = "start"
            while name != "accept":
                if name == "reject":
                    raise _Reject("NoError")
                state = states[name]
                self.block(state.body)
                name = self._next(state)

        return run

    def _next(self, state: g.State) -> str:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Endless
        if not state.keys:
            return state.target
        keys = [self.number(key) for key in state.keys]
        for case in state.cases:
            if all(_matches(keyset, key) for keyset, key in zip(case.keysets, keys, strict=True)):
                return case.target
        raise _Reject("NoMatch")

    def _extract(self, statement: g.Extract) -> None:
        target = self.place(statement.target)
        assert isinstance(target, Place)
        kind = statement.target.type
        stack: StackValue | None = None
        if isinstance(kind, g.Stack):
            found = target.get()
            assert isinstance(found, StackValue)
            if found.next >= len(found.elements):
                raise _Reject("StackOutOfBounds")
            stack, kind = found, kind.element
        assert isinstance(kind, g.Header)
        size = g.width(kind)
        if self.at + size > 8 * len(self.frame):
            raise _Reject("PacketTooShort")
        fields: dict[str, Value] = {}
        for name, type_ in kind.fields:
            fields[name] = wrap(type_, self._bits(self.at, g.width(type_)))
            self.at += g.width(type_)
        if stack is not None:
            stack.elements[stack.next] = HeaderValue(True, fields)
            stack.next += 1
        else:
            target.put(HeaderValue(True, fields))

    def _verify(self, statement: g.Verify) -> None:
        if not self.number(statement.condition):
            raise _Reject(statement.error)

    def _advance(self, statement: g.Advance) -> None:
        if self.at + statement.bits > 8 * len(self.frame):
            raise _Reject("PacketTooShort")
        self.at += statement.bits

    # The whole

    def program(self, program: g.Program) -> Result:
        """Parser, ingress, egress, and the headers that are valid then before the rest of the packet."""
        self.env = Env({"hdr": new(program.headers), "meta": new(program.meta)})
        try:
            self._parser(program.parser)()
        except _Reject as reject:
            self.error = reject.error
        for control in (program.ingress, program.egress):
            self.env = Env({name: self.env.variables[name] for name in ("hdr", "meta")})
            try:
                self._control(control)()
            except (Exited, _Return):
                continue
        rest = "".join(f"{byte:08b}" for byte in self.frame[self.at // 8 :])
        return Result("".join(_emitted(program.headers, self.env.variables["hdr"])) + rest, self.error)


def is_place(expr: g.Expr) -> bool:
    """Whether an expression is an l-value."""
    if isinstance(expr, (g.Field, g.Element)):
        return is_place(expr.base)
    return isinstance(expr, g.Var)


def _header(value: Value) -> HeaderValue:
    assert isinstance(value, HeaderValue)
    return value


def _matches(keyset: g.Keyset, key: int) -> bool:
    if keyset.kind == "exact":
        return key == keyset.value
    if keyset.kind == "mask":
        return key & keyset.other == keyset.value & keyset.other
    return keyset.kind == "any" or keyset.value <= key <= keyset.other


def _emitted(type_: g.Type, value: Value) -> list[str]:
    """The bits of the valid headers, in the order of their declaration."""
    if isinstance(value, HeaderValue):
        if not value.valid:
            return []
        assert isinstance(type_, g.Header)
        return [_digits(t, value.fields[name]) for name, t in type_.fields]
    if isinstance(value, StackValue):
        assert isinstance(type_, g.Stack)
        return [part for element in value.elements for part in _emitted(type_.element, element)]
    assert isinstance(value, (StructValue, UnionValue))
    return [part for name, t in g.fields(type_) for part in _emitted(t, value.fields[name])]


def _digits(type_: g.Type, value: Value) -> str:
    return f"{bits(type_, value):0{g.width(type_)}b}" if isinstance(value, int) else "?" * g.width(type_)


_VALUES: dict[type, Callable[[Interpreter, Any], Value]] = {
    g.Literal: Interpreter._literal,
    g.Var: Interpreter._stored,
    g.Field: Interpreter._stored,
    g.Element: Interpreter._stored,
    g.Last: Interpreter._last,
    g.LastIndex: Interpreter._last_index,
    g.Slice: Interpreter._slice,
    g.RuntimeSlice: Interpreter._runtime_slice,
    g.Unary: Interpreter._unary,
    g.Binary: Interpreter._binary,
    g.Ternary: Interpreter._ternary,
    g.Cast: Interpreter._cast,
    g.IsValid: Interpreter._is_valid,
    g.Parts: Interpreter._parts,
    g.Call: Interpreter._call,
    g.Hit: Interpreter._hit,
    g.Lookahead: Interpreter._lookahead,
    g.ParserErrorIs: Interpreter._parser_error,
}

_STATEMENTS: dict[type, Callable[[Interpreter, Any], None]] = {
    g.Declare: Interpreter._declare,
    g.Assign: Interpreter._assign,
    g.CallStatement: Interpreter._call_statement,
    g.SetValid: Interpreter._set_valid,
    g.Shift: Interpreter._shift,
    g.If: Interpreter._if,
    g.Switch: Interpreter._switch,
    g.For: Interpreter._for,
    g.ForIn: Interpreter._for_in,
    g.ForEach: Interpreter._for_each,
    g.Break: Interpreter._break,
    g.Continue: Interpreter._continue,
    g.Return: Interpreter._return,
    g.Exit: Interpreter._exit,
    g.Run: Interpreter._run,
    g.Apply: Interpreter._apply,
    g.ApplyTable: Interpreter._apply_table,
    g.SwitchAction: Interpreter._switch_action,
    g.Extract: Interpreter._extract,
    g.Verify: Interpreter._verify,
    g.Advance: Interpreter._advance,
}
