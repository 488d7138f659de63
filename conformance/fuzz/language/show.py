"""Trees as P4 text. Several programs become one source: a packet's first byte is the number of its program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from conformance.fuzz.language import tree as g

HEAD = """#include <core.p4>
#include <v1model.p4>

header program_t {
  bit<8> number;
}
"""


def source(programs: Sequence[g.Program]) -> str:
    """A whole v1model program, in which program N takes the packets that begin with the byte N."""
    parts = [HEAD, *(_Program(program, f"p{n}_").text() for n, program in enumerate(programs))]
    numbers = range(len(programs))
    headers = " ".join(f"p{n}_{p.headers.name} p{n};" for n, p in enumerate(programs))
    metas = " ".join(f"p{n}_{p.meta.name} p{n};" for n, p in enumerate(programs))
    parts += [f"struct headers_t {{ program_t program; {headers} }}", f"struct metas_t {{ {metas} }}"]
    parts += [
        "parser parse(packet_in packet, out headers_t hdr, inout metas_t meta, inout standard_metadata_t sm) {",
        *(f"  p{n}_{p.parser.name}() p{n};" for n, p in enumerate(programs)),
        "  state start {",
        "    packet.extract(hdr.program);",
        "    transition select(hdr.program.number) {",
        *(f"      {n}: s{n};" for n in numbers),
        "      default: accept;",
        "    }",
        "  }",
        *(f"  state s{n} {{ p{n}.apply(packet, hdr.p{n}, meta.p{n}, sm); transition accept; }}" for n in numbers),
        "}",
    ]
    for block, first in (("ingress", "sm.egress_spec = 1; "), ("egress", "")):
        controls = [getattr(p, block) for p in programs]
        chain = " else ".join(
            f"if (hdr.program.number == {n}) {{ p{n}.apply(hdr.p{n}, meta.p{n}, sm); }}" for n in numbers
        )
        parts += [
            f"control {block}(inout headers_t hdr, inout metas_t meta, inout standard_metadata_t sm) {{",
            *(f"  p{n}_{control.name}() p{n};" for n, control in enumerate(controls)),
            f"  apply {{ {first}{chain} }}",
            "}",
        ]
    return "\n".join([*parts, *_TAIL, ""])


_TAIL = (
    "control verify_all(inout headers_t hdr, inout metas_t meta) { apply { } }",
    "control compute(inout headers_t hdr, inout metas_t meta) { apply { } }",
    "control deparse(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }",
    "V1Switch(parse(), verify_all(), ingress(), egress(), compute(), deparse()) main;",
)


class _Program:
    """One program's declarations; global names get its prefix."""

    def __init__(self, program: g.Program, prefix: str) -> None:
        self.program = program
        self.prefix = prefix

    def text(self) -> str:
        program = self.program
        lines: list[str] = []
        for type_ in program.types:
            lines += self.declared_type(type_)
        for function in program.functions:
            lines += self.function(function)
        for parser in (*program.parsers, program.parser):
            lines += self.parser(parser, parser is program.parser)
        for control in (*program.controls, program.ingress, program.egress):
            lines += self.control(control, control in (program.ingress, program.egress))
        return "\n".join(lines)

    # Types

    def type(self, type_: g.Type) -> str:
        if isinstance(type_, g.Bit):
            return f"bit<{type_.width}>"
        if isinstance(type_, g.Int):
            return f"int<{type_.width}>"
        if isinstance(type_, g.Bool):
            return "bool"
        if isinstance(type_, g.Stack):
            return f"{self.type(type_.element)}[{type_.size}]"
        return self.prefix + type_.name

    def declared_type(self, type_: g.Type) -> list[str]:
        word = {g.Struct: "struct", g.Header: "header", g.Union_: "header_union"}[type(type_)]
        fields = [f"  {self.type(field)} {name};" for name, field in g.fields(type_)]
        return [f"{word} {self.type(type_)} {{", *fields, "}"]

    # Declarations

    def params(self, params: Sequence[g.Param], first: Sequence[str] = (), last: Sequence[str] = ()) -> str:
        shown = [f"{p.direction} {self.type(p.type)} {p.name}".strip() for p in params]
        return f"({', '.join([*first, *shown, *last])})"

    def function(self, function: g.Function) -> list[str]:
        result = "void" if function.result is None else self.type(function.result)
        head = f"{result} {self.prefix}{function.name}{self.params(function.params)}"
        return [f"{head} {{", *self.block(function.body, 1), "}"]

    def action(self, action: g.Action) -> list[str]:
        return [f"  action {action.name}{self.params(action.params)} {{", *self.block(action.body, 2), "  }"]

    def instances(self, instances: Sequence[tuple[str, g.Control]] | Sequence[tuple[str, g.Parser]]) -> list[str]:
        return [f"  {self.prefix}{callee.name}() {name};" for name, callee in instances]

    def control(self, control: g.Control, is_main: bool) -> list[str]:
        last = ["inout standard_metadata_t sm"] if is_main else []
        lines = [f"control {self.prefix}{control.name}{self.params(control.params, last=last)} {{"]
        lines += self.instances(control.instances)
        lines += self.block(control.locals, 1)
        for action in control.actions:
            lines += self.action(action)
        for table in control.tables:
            lines += self.table(table)
        return [*lines, "  apply {", *self.block(control.body, 2), "  }", "}"]

    def table(self, table: g.Table) -> list[str]:
        keys = " ".join(f'{self.expr(key)} : exact @name("k{n}");' for n, key in enumerate(table.keys))
        actions = " ".join(f"{self.choice(choice, [])};" for choice in table.choices)
        lines = [f"  table {table.name} {{", f"    key = {{ {keys} }}" if table.keys else ""]
        lines.append(f"    actions = {{ {actions} }}")
        if table.entries:
            lines.append("    const entries = {")
            for entry in table.entries:
                values = [self.literal(k.type, v) for k, v in zip(table.keys, entry.keys, strict=True)]
                called = self.choice(table.choices[entry.choice], entry.data, True)
                lines.append(f"      ({', '.join(values)}) : {called};")
            lines.append("    }")
        called = self.choice(table.choices[table.default], table.default_data, True)
        return [*lines, f"    const default_action = {called};", "  }"]

    def choice(self, choice: g.Choice, data: Sequence[int], called: bool = False) -> str:
        bound = [self.expr(argument) for argument in choice.bound]
        given = [self.literal(p.type, v) for p, v in zip(choice.action.data(), data, strict=False)]
        return f"{choice.action.name}({', '.join(bound + given)})" if bound or called else choice.action.name

    def parser(self, parser: g.Parser, is_main: bool) -> list[str]:
        last = ["inout standard_metadata_t sm"] if is_main else []
        params = self.params(parser.params, ["packet_in packet"], last)
        lines = [f"parser {self.prefix}{parser.name}{params} {{", *self.instances(parser.instances)]
        lines += self.block(parser.locals, 1)
        for state in parser.states:
            lines += [f"  state {state.name} {{", *self.block(state.body, 2)]
            if state.keys:
                lines.append(f"    transition select({', '.join(self.expr(key) for key in state.keys)}) {{")
                for case in state.cases:
                    pairs = zip(case.keysets, state.keys, strict=True)
                    shown = ", ".join(self.keyset(keyset, key.type) for keyset, key in pairs)
                    lines.append(
                        f"      ({shown}): {case.target};"
                        if len(state.keys) > 1
                        else f"      {shown}: {case.target};"
                    )
                lines.append("    }")
            else:
                lines.append(f"    transition {state.target};")
            lines.append("  }")
        return [*lines, "}"]

    def keyset(self, keyset: g.Keyset, type_: g.Type) -> str:
        value, other = self.literal(type_, keyset.value), self.literal(type_, keyset.other)
        return {"exact": value, "mask": f"{value} &&& {other}", "range": f"{value} .. {other}", "any": "_"}[
            keyset.kind
        ]

    # Expressions

    def expr(self, expr: g.Expr) -> str:
        return _EXPRESSIONS[type(expr)](self, expr)

    def literal(self, type_: g.Type, value: int) -> str:
        if isinstance(type_, g.Bool):
            return "true" if value else "false"
        if value < 0:
            return f"(({self.type(type_)})({value}))"
        return f"{g.width(type_)}{'s' if isinstance(type_, g.Int) else 'w'}{value}"

    def _element(self, expr: g.Element) -> str:
        index = str(expr.index.value) if isinstance(expr.index, g.Literal) else self.expr(expr.index)
        return f"{self.expr(expr.base)}[{index}]"

    def _parts(self, expr: g.Parts) -> str:
        values = [self.expr(value) for value in expr.values]
        if expr.named:
            names = [name for name, _ in g.fields(expr.type)]
            values = [f"{name} = {value}" for name, value in zip(names, values, strict=True)]
        return f"({self.type(expr.type)}){{ {', '.join(values)} }}"

    def arguments(self, params: Sequence[g.Param], arguments: g.Arguments) -> list[str]:
        shown = [self.expr(value) for value in arguments.values]
        if arguments.order is not None:
            return [f"{params[n].name} = {shown[n]}" for n in arguments.order]
        return shown

    def _call(self, expr: g.Call) -> str:
        function = expr.function
        return f"{self.prefix}{function.name}({', '.join(self.arguments(function.params, expr.arguments))})"

    # Statements

    def block(self, statements: Sequence[g.Stmt], depth: int) -> list[str]:
        lines: list[str] = []
        for statement in statements:
            lines += _STATEMENTS[type(statement)](self, statement, depth)
        return lines

    def line(self, statement: g.Stmt) -> str:
        """A simple statement without its ';'."""
        if isinstance(statement, g.Declare):
            value = f" = {self.expr(statement.value)}" if statement.value is not None else ""
            return f"{self.type(statement.type)} {statement.name}{value}"
        assert isinstance(statement, (g.Assign, g.CallStatement))
        if isinstance(statement, g.CallStatement):
            return self.expr(statement.call)
        return f"{self.expr(statement.target)} {statement.operator or ''}= {self.expr(statement.value)}"

    def braced(self, head: str, body: Sequence[g.Stmt], depth: int) -> list[str]:
        pad = "  " * depth
        return [f"{pad}{head} {{", *self.block(body, depth + 1), f"{pad}}}"]

    def _simple(self, statement: g.Stmt, depth: int) -> list[str]:
        return [f"{'  ' * depth}{self.line(statement)};"]

    def _if(self, statement: g.If, depth: int) -> list[str]:
        lines = self.braced(f"if ({self.expr(statement.condition)})", statement.then, depth)
        return lines + self._else(statement.otherwise, depth)

    def _else(self, otherwise: Sequence[g.Stmt], depth: int) -> list[str]:
        return self.braced("else", otherwise, depth) if otherwise else []

    def _switch(self, statement: g.Switch, depth: int) -> list[str]:
        type_ = statement.selector.type
        return self.cases(self.expr(statement.selector), statement.cases, lambda v: self.literal(type_, v), depth)

    def cases(self, on: str, cases: Sequence[g.Case], label: Callable[[int], str], depth: int) -> list[str]:
        pad = "  " * depth
        lines = [f"{pad}switch ({on}) {{"]
        for case in cases:
            labels = [label(value) for value in case.labels] or ["default"]
            lines += [f"{pad}  {one}:" for one in labels[:-1]]
            lines += self.braced(f"{labels[-1]}:", case.body, depth + 1)
        return [*lines, f"{pad}}}"]

    def _for(self, statement: g.For, depth: int) -> list[str]:
        init = ", ".join(self.line(one) for one in statement.init)
        updates = ", ".join(self.line(one) for one in statement.updates)
        return self.braced(f"for ({init}; {self.expr(statement.condition)}; {updates})", statement.body, depth)

    def _for_in(self, statement: g.ForIn, depth: int) -> list[str]:
        over = f"{self.expr(statement.low)} .. {self.expr(statement.high)}"
        return self.braced(f"for ({self.type(statement.type)} {statement.name} in {over})", statement.body, depth)

    def _for_each(self, statement: g.ForEach, depth: int) -> list[str]:
        over = f"(list<{self.type(statement.type)}>){{ {', '.join(self.expr(v) for v in statement.values)} }}"
        if statement.stack is not None:
            over = self.expr(statement.stack)
        return self.braced(f"for ({self.type(statement.type)} {statement.name} in {over})", statement.body, depth)

    def _apply(self, statement: g.Apply, depth: int) -> list[str]:
        packet = "packet" if statement.arguments.order is None else "packet = packet"
        first = [packet] if isinstance(statement.callee, g.Parser) else []
        shown = self.arguments(statement.callee.params, statement.arguments)
        return [f"{'  ' * depth}{statement.instance}.apply({', '.join([*first, *shown])});"]

    def _apply_table(self, statement: g.ApplyTable, depth: int) -> list[str]:
        name = statement.table.name
        if not statement.hit and not statement.miss:
            return [f"{'  ' * depth}{name}.apply();"]
        if not statement.hit:
            return self.braced(f"if (!{name}.apply().hit)", statement.miss, depth)
        lines = self.braced(f"if ({name}.apply().hit)", statement.hit, depth)
        return lines + self._else(statement.miss, depth)

    def _switch_action(self, statement: g.SwitchAction, depth: int) -> list[str]:
        table = statement.table
        on = f"{table.name}.apply().action_run"
        return self.cases(on, statement.cases, lambda n: table.choices[n].action.name, depth)


def _word(text: str) -> Callable[[_Program, Any, int], list[str]]:
    return lambda program, statement, depth: [f"{'  ' * depth}{text};"]


def _form(text: Callable[[_Program, Any], str]) -> Callable[[_Program, Any, int], list[str]]:
    return lambda program, statement, depth: [f"{'  ' * depth}{text(program, statement)};"]


_EXPRESSIONS: dict[type, Callable[[_Program, Any], str]] = {
    g.Literal: lambda p, e: p.literal(e.type, e.value),
    g.Var: lambda p, e: str(e.name),
    g.Field: lambda p, e: f"{p.expr(e.base)}.{e.name}",
    g.Element: _Program._element,
    g.Last: lambda p, e: f"{p.expr(e.base)}.last",
    g.LastIndex: lambda p, e: f"{p.expr(e.base)}.lastIndex",
    g.Slice: lambda p, e: f"{p.expr(e.base)}[{e.high}:{e.low}]",
    g.RuntimeSlice: lambda p, e: f"{p.expr(e.base)}[{p.expr(e.low)} +: {e.width}]",
    g.Unary: lambda p, e: f"({e.operator}{p.expr(e.operand)})",
    g.Binary: lambda p, e: f"({p.expr(e.left)} {e.operator} {p.expr(e.right)})",
    g.Ternary: lambda p, e: f"({p.expr(e.condition)} ? {p.expr(e.yes)} : {p.expr(e.no)})",
    g.Cast: lambda p, e: f"(({p.type(e.type)})({p.expr(e.operand)}))",
    g.IsValid: lambda p, e: f"{p.expr(e.header)}.isValid()",
    g.Parts: _Program._parts,
    g.Call: _Program._call,
    g.Hit: lambda p, e: f"{e.table.name}.apply().{'hit' if e.hit else 'miss'}",
    g.Lookahead: lambda p, e: f"packet.lookahead<{p.type(e.type)}>()",
    g.ParserErrorIs: lambda p, e: f"(sm.parser_error == error.{e.name})",
}

_STATEMENTS: dict[type, Callable[[_Program, Any, int], list[str]]] = {
    g.Declare: _Program._simple,
    g.Assign: _Program._simple,
    g.CallStatement: _Program._simple,
    g.SetValid: _form(lambda p, s: f"{p.expr(s.header)}.{'setValid' if s.valid else 'setInvalid'}()"),
    g.Shift: _form(lambda p, s: f"{p.expr(s.stack)}.{'push' if s.count > 0 else 'pop'}_front({abs(s.count)})"),
    g.If: _Program._if,
    g.Switch: _Program._switch,
    g.For: _Program._for,
    g.ForIn: _Program._for_in,
    g.ForEach: _Program._for_each,
    g.Break: _word("break"),
    g.Continue: _word("continue"),
    g.Return: _form(lambda p, s: "return" if s.value is None else f"return {p.expr(s.value)}"),
    g.Exit: _word("exit"),
    g.Run: _form(lambda p, s: f"{s.action.name}({', '.join(p.arguments(s.action.params, s.arguments))})"),
    g.Apply: _Program._apply,
    g.ApplyTable: _Program._apply_table,
    g.SwitchAction: _Program._switch_action,
    g.Extract: _form(
        lambda p, s: f"packet.extract({p.expr(s.target)}{'.next' if isinstance(s.target.type, g.Stack) else ''})"
    ),
    g.Verify: _form(lambda p, s: f"verify({p.expr(s.condition)}, error.{s.error})"),
    g.Advance: _form(lambda p, s: f"packet.advance({s.bits})"),
}
