"""Random programs: one per seed, always the same one."""

from __future__ import annotations

from conformance.fuzz.language import tree as g
from conformance.fuzz.language.interpret import ERRORS
from conformance.fuzz.language.parsers import Parsers
from conformance.fuzz.language.scope import Scope, parts

PACKETS = 8
FRAME = 160
"""Bytes of a packet: more than a program extracts before its stacks are full."""


def program(seed: int) -> g.Program:
    return Programs(seed).program()


class Programs(Parsers):
    def program(self) -> g.Program:
        headers, meta = self._types()
        functions: list[g.Function] = []
        for _ in range(self.random.randint(1, 4)):
            functions.append(self.function(functions))
        sub_parsers = [self.sub_parser(functions) for _ in range(self.random.randint(0, 1))]
        parser = self.parser(headers, meta, functions, sub_parsers)
        controls: list[g.Control] = []
        for _ in range(self.random.randint(0, 2)):
            controls.append(self.control(functions, controls))
        self.cost = 0
        ingress = self._ingress(headers, meta, functions, controls)
        egress = self._egress(headers, meta)
        packets = [self._packet(n, not sub_parsers) for n in range(PACKETS)]
        return g.Program(
            [*self.types_declared, headers, meta], headers, meta, functions, sub_parsers, controls, parser, ingress,
            egress, packets,
        )  # fmt: skip

    def _packet(self, number: int, may_be_short: bool) -> bytes:
        size = self.random.randrange(30) if may_be_short and number == 0 else FRAME
        most = self.pick((4, 16, 256))
        return bytes(self.random.randrange(most) if self.chance(0.8) else 255 for _ in range(size))

    # Types

    def _types(self) -> tuple[g.Struct, g.Struct]:
        """The program's types; those of the headers and of the metadata."""
        made: list[g.Header] = [self._header() for _ in range(self.random.randint(1, 3))]
        structs = [self._struct(made) for _ in range(self.random.randint(0, 2))]
        union = (
            g.Union_(self.name("union"), tuple((f"m{n}", h) for n, h in enumerate(made))) if len(made) > 1 else None
        )
        self.types_declared: list[g.Type] = [*made, *structs]
        self.types = [*made, *structs]
        fields: list[tuple[str, g.Type]] = [(f"h{n}", self.pick(made)) for n in range(self.random.randint(1, 3))]
        if self.chance(0.85):
            stack = g.Stack(self.pick(made), self.pick((2, 2, 3, 4)))
            fields.append(("s", stack))
            self.types.append(stack)
        if len(made) > 1 and self.chance(0.3):
            union = g.Union_(self.name("union"), tuple((f"m{n}", h) for n, h in enumerate(made)))
            self.types_declared.append(union)
            fields.append(("u", union))
        metas: list[tuple[str, g.Type]] = [(f"m{n}", self.scalar_type()) for n in range(self.random.randint(2, 5))]
        if structs and self.chance(0.5):
            metas.append(("t", self.pick(structs)))
        if self.chance(0.3):
            metas.append(("h", self.pick(made)))
        meta = g.Struct("meta_t", tuple(metas))
        self.result = self._result(meta)
        self.types_declared.append(self.result)
        return g.Struct("headers_t", (*fields, ("result", self.result))), meta

    def _header(self) -> g.Header:
        fields = [(f"f{n}", self._field_type()) for n in range(self.random.randint(1, 4))]
        return g.Header(self.name("header"), padded(fields))

    def _field_type(self) -> g.Type:
        """Now and then a bool; no field is so wide that a packet is too short for all headers."""
        type_ = self.scalar_type()
        return type_ if g.width(type_) <= 33 else type(type_)(16) if isinstance(type_, (g.Bit, g.Int)) else type_

    def _struct(self, headers: list[g.Header]) -> g.Struct:
        fields = [(f"g{n}", self.scalar_type()) for n in range(self.random.randint(1, 3))]
        if self.chance(0.4):
            fields.append(("h", self.pick(headers)))
        return g.Struct(self.name("struct"), tuple(fields))

    def _result(self, meta: g.Struct) -> g.Header:
        """What egress shows of the metadata, and of the parser's error."""
        leaves = [path for path in parts(g.Var(meta, "meta")) if is_leaf(path)]
        return g.Header(
            "result_t", padded([("error_code", g.Bit(8)), *((f"r{n}", leaf.type) for n, leaf in enumerate(leaves))])
        )

    # Functions and actions

    def params(self, most: int, scope: Scope) -> list[g.Param]:
        wanted: list[tuple[g.Type, str]] = []
        elements = [type_.element for type_ in self.types if isinstance(type_, g.Stack)]
        if elements and most > 1 and self.chance(0.4):
            # For an element of a stack, or a field of one, and for the index by which the caller chose it.
            element = self.pick(elements)
            part: g.Type = self.pick([element, *(field for _, field in element.fields)])
            wanted = [(part, self.pick(("inout", "out"))), (g.Bit(8), "inout")]
            self.random.shuffle(wanted)
        for _ in range(self.random.randint(0, most) - len(wanted)):
            type_ = self.pick(self.types) if self.chance(0.25) else self.scalar_type()
            wanted.append((type_, self.pick(("in", "inout", "inout", "out"))))
        found = [g.Param(self.name("a"), type_, direction) for type_, direction in wanted]
        for param in found:
            scope.add(param.name, param.type, param.direction != "in")
        return found

    def begun(self, scope: Scope, params: list[g.Param]) -> list[g.Stmt]:
        """Defined values for out parameters, and often other ones for inout parameters."""
        outs = [g.Var(p.type, p.name) for p in params if p.direction == "out"]
        hidden = [v for v in scope.variables if v.name in {p.name for p in outs}]
        for variable in hidden:
            scope.variables.remove(variable)
        found: list[g.Stmt] = []
        for place in outs:
            found += self.filled(scope, place)
            scope.add(place.name, place.type)
        for param in params:
            if param.direction == "inout" and g.is_scalar(param.type) and self.chance(0.6):
                found.append(g.Assign(g.Var(param.type, param.name), None, self.expr(scope, param.type, 1)))
        return found

    def function(self, functions: list[g.Function]) -> g.Function:
        before, self.cost = self.cost, 0
        result = self.pick((None, self.scalar_type(), self.scalar_type(), self.pick(self.types)))
        if isinstance(result, g.Stack):
            result = None
        scope = Scope("function", functions=list(functions), result=result)
        params = self.params(3, scope)
        body = [*self.begun(scope, params), *self.block(scope, self.random.randint(1, 4), 2)]
        if result is not None:
            body.append(g.Return(self.expr(scope, result, self.depth())))
        made = g.Function(self.name("fun"), params, result, body)
        self.costs[made.name], self.cost = self.cost, before
        return made

    def action(self, scope: Scope) -> g.Action:
        """An action of the control whose locals are in scope."""
        before, self.cost = self.cost, 0
        inner = scope.inner()
        inner.kind = "action"
        params = self.params(2, inner)
        for _ in range(self.random.randint(0, 2)):
            data = g.Param(self.name("a"), g.Bit(self.pick(self.widths)), "")
            params.append(data)
            inner.add(data.name, data.type, writable=False)
        body = [*self.begun(inner, params), *self.block(inner, self.random.randint(1, 4), 2)]
        made = g.Action(self.name("act"), params, body)
        self.costs[made.name], self.cost = self.cost, before
        return made

    # Controls

    def locals(self, scope: Scope) -> list[g.Declare]:
        found: list[g.Declare] = []
        for _ in range(self.random.randint(0, 2)):
            made = self.declare(scope)[:1]
            if made and isinstance(made[0], g.Declare) and made[0].value is not None:
                found.append(made[0])
            elif made:
                scope.variables.pop()
        return found

    def table(self, scope: Scope) -> g.Table | None:
        choices: list[g.Choice] = []
        for action in self.random.sample(scope.actions, min(len(scope.actions), 2)):
            bound = self.bound(scope, action.directed(), 2)
            if bound is not None:
                choices.append(g.Choice(action, bound))
        if not choices:
            return None
        keys = [self.expr(scope, g.Bit(self.pick((2, 3, 8))), 2) for _ in range(self.random.randint(1, 2))]
        values = {tuple(self.random.randrange(4) for _ in keys) for _ in range(3)}
        entries = []
        for value in sorted(values):
            number = self.random.randrange(len(choices))
            entries.append(g.Entry(list(value), number, self._data(choices[number])))
        default = self.random.randrange(len(choices))
        return g.Table(self.name("table"), keys, choices, entries, default, self._data(choices[default]))

    def _data(self, choice: g.Choice) -> list[int]:
        literals = [self.literal(p.type) for p in choice.action.data()]
        return [one.value for one in literals]

    def _parts_of_control(self, scope: Scope, control: g.Control, actions: int) -> None:
        """Locals, actions and tables; then the scope of the apply block."""
        control.locals += self.locals(scope)
        for _ in range(self.random.randint(0, actions)):
            made = self.action(scope)
            control.actions.append(made)
            scope.actions.append(made)
        if self.chance(0.4):
            table = self.table(scope)
            if table is not None:
                control.tables.append(table)

    def control(self, functions: list[g.Function], controls: list[g.Control]) -> g.Control:
        before, self.cost = self.cost, 0
        instances = [(self.name("sub"), self.pick(controls))] if controls and self.chance(0.4) else []
        scope = Scope("control", functions=list(functions), instances=list(instances))
        control = g.Control(self.name("control"), self.params(4, scope), list(instances), [], [], [], [])
        starting = self.begun(scope, control.params)
        self._parts_of_control(scope, control, 2)
        control.body += [
            *starting,
            *self.block(scope, self.random.randint(1, 4), 2),
            *self.apply_tables(scope, control),
        ]
        self.costs[control.name], self.cost = self.cost, before
        return control

    def apply_tables(self, scope: Scope, control: g.Control) -> list[g.Stmt]:
        found: list[g.Stmt] = []
        for table in control.tables:
            if self.chance(0.25):
                found += self._asked(scope, g.Hit(g.BOOL, table, self.chance(0.5)))
            elif self.chance(0.3):
                cases = [g.Case([n], self.inner(scope, 1)) for n in range(len(table.choices)) if self.chance(0.6)]
                if self.chance(0.5) or not cases:
                    cases.append(g.Case([], self.inner(scope, 1)))
                found.append(g.SwitchAction(table, cases))
            else:
                after = [self.inner(scope, 1) if self.chance(0.4) else [] for _ in range(2)]
                found.append(g.ApplyTable(table, *after))
            found += self.block(scope, 1, 1)
        return found

    def _asked(self, scope: Scope, hit: g.Hit) -> list[g.Stmt]:
        """A table that is applied in the middle of an expression."""
        value: g.Expr = hit
        if self.chance(0.7):
            left, right = self.random.sample([hit, self.boolean(scope, 2)], 2)
            value = g.Binary(g.BOOL, self.pick(("&&", "||", "==")), left, right)
        if self.chance(0.5):
            return [g.If(value, self.inner(scope, 1), self.inner(scope, 1))]
        target = self.writable(scope, g.BOOL)
        name = self.name("v")
        if target is not None:
            return [g.Assign(target, None, value)]
        scope.add(name, g.BOOL)
        return [g.Declare(name, g.BOOL, value)]

    def _ingress(
        self, headers: g.Struct, meta: g.Struct, functions: list[g.Function], controls: list[g.Control]
    ) -> g.Control:
        params = [g.Param("hdr", headers, "inout"), g.Param("meta", meta, "inout")]
        instances = [(self.name("sub"), self.pick(controls)) for _ in range(self.random.randint(1, 2)) if controls]
        scope = self.outer_scope("main", headers, meta)
        scope.functions, scope.instances = list(functions), list(instances)
        control = g.Control("ingress", params, list(instances), [], [], [], [])
        self._parts_of_control(scope, control, 3)
        control.body += self.block(scope, self.random.randint(2, 6), 3)
        control.body += self.apply_tables(scope, control)
        control.body += self._shown(scope, meta)
        return control

    def _shown(self, scope: Scope, meta: g.Struct) -> list[g.Stmt]:
        """Variables of the apply block in the metadata, so that they are seen."""
        target = next(path for path in parts(g.Var(meta, "meta")) if isinstance(path.type, (g.Bit, g.Int, g.Bool)))
        if isinstance(target.type, g.Bool):
            return []
        found: list[g.Stmt] = []
        for variable in scope.variables:
            if variable.name not in ("hdr", "meta") and g.is_scalar(variable.type):
                value = self.cast_to(g.Var(variable.type, variable.name), target.type)
                found.append(g.Assign(target, None, g.Binary(target.type, "^", target, value)))
        return found

    def _egress(self, headers: g.Struct, meta: g.Struct) -> g.Control:
        params = [g.Param("hdr", headers, "inout"), g.Param("meta", meta, "inout")]
        result = g.Field(self.result, g.Var(headers, "hdr"), "result")
        leaves = [path for path in parts(g.Var(meta, "meta")) if is_leaf(path)]
        body: list[g.Stmt] = [g.SetValid(result, True)]
        code = g.Field(g.Bit(8), result, "error_code")
        body.append(g.Assign(code, None, g.Literal(g.Bit(8), 0)))
        for number, error in enumerate(ERRORS[1:], 1):
            body.append(g.If(g.ParserErrorIs(g.BOOL, error), [g.Assign(code, None, g.Literal(g.Bit(8), number))], []))
        for number, leaf in enumerate(leaves):
            body.append(g.Assign(g.Field(leaf.type, result, f"r{number}"), None, leaf))
        padding = [(n, t) for n, t in self.result.fields if n == "pad"]
        body += [g.Assign(g.Field(t, result, n), None, g.Literal(t, 0)) for n, t in padding]
        return g.Control("egress", params, [], [], [], [], body)


def padded(fields: list[tuple[str, g.Type]]) -> tuple[tuple[str, g.Type], ...]:
    """With a field at the end that makes a header whole bytes."""
    rest = -sum(g.width(type_) for _, type_ in fields) % 8
    return (*fields, ("pad", g.Bit(rest))) if rest else tuple(fields)


def is_leaf(path: g.Expr) -> bool:
    """A scalar that is always defined: none in a header, which may be invalid."""
    return g.is_scalar(path.type) and not (isinstance(path, g.Field) and isinstance(path.base.type, g.Header))
