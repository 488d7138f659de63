"""Random parsers: states that go forward, and a stack that is extracted in a loop."""

from __future__ import annotations

from conformance.fuzz.language import tree as g
from conformance.fuzz.language.expressions import converted
from conformance.fuzz.language.scope import Scope, parts
from conformance.fuzz.language.statements import Statements


class Parsers(Statements):
    result: g.Header

    def cast_to(self, expr: g.Expr, type_: g.Type) -> g.Expr:
        return converted(expr, type_)

    def outer_scope(self, kind: str, headers: g.Struct, meta: g.Struct) -> Scope:
        """What a block of the program sees: all headers but the result, and the metadata."""
        scope = Scope(kind)
        scope.add("meta", meta)
        visible = g.Struct(headers.name, tuple(field for field in headers.fields if field[1] != self.result))
        scope.add("hdr", visible, whole=False)
        return scope

    def parser(
        self, headers: g.Struct, meta: g.Struct, functions: list[g.Function], sub_parsers: list[g.Parser]
    ) -> g.Parser:
        scope = self.outer_scope("parser", headers, meta)
        scope.functions = list(functions)
        instances = [(self.name("sub"), parser) for parser in sub_parsers]
        start = self._start(scope, headers, meta)
        names = ["start", *(f"s{n}" for n in range(self.random.randint(0, 3)))]
        states: list[g.State] = []
        for number, name in enumerate(names):
            later = [*names[number + 1 :], "accept"]
            inner = scope.inner()
            body = start if name == "start" else self.block(inner, self.random.randint(0, 3), 1)
            body += self._extraction(inner, headers)
            if instances and self.chance(0.5):
                body += self._apply_parser(inner, *self.pick(instances))
            body += self.block(inner, self.random.randint(0, 2), 1)
            if self.chance(0.15):
                body.append(g.Verify(self.boolean(inner, 2), self.pick(("NoMatch", "HeaderTooShort"))))
            states.append(self._going_on(inner, name, body, later))
        params = [g.Param("hdr", headers, "out"), g.Param("meta", meta, "inout")]
        return g.Parser("parser", params, list(instances), [], states)

    def _start(self, scope: Scope, headers: g.Struct, meta: g.Struct) -> list[g.Stmt]:
        """Metadata gets its first values before anything can end the parser; most headers are extracted."""
        scope.variables = [v for v in scope.variables if v.name != "meta"]
        hdr, scope.variables = scope.variables, []
        body = self.filled(scope, g.Var(meta, "meta"))
        scope.variables = hdr
        scope.add("meta", meta)
        for name, type_ in headers.fields:
            if isinstance(type_, g.Header) and type_ != self.result and self.chance(0.95):
                body.append(g.Extract(g.Field(type_, g.Var(headers, "hdr"), name)))
            elif isinstance(type_, g.Stack):
                target = g.Field(type_, g.Var(headers, "hdr"), name)
                count = type_.size if self.chance(0.9) else self.random.randint(0, type_.size)
                body += [g.Extract(target) for _ in range(count)]
            elif isinstance(type_, g.Union_) and self.chance(0.8):
                member, kind = self.pick(type_.fields)
                body.append(g.Extract(g.Field(kind, g.Field(type_, g.Var(headers, "hdr"), name), member)))
        return body

    def _extraction(self, scope: Scope, _headers: g.Struct) -> list[g.Stmt]:
        if self.chance(0.5):
            return []
        if self.chance(0.2):
            return [g.Advance(8 * self.random.randint(1, 3))]
        hdr = next(g.Var(v.type, v.name) for v in scope.variables if v.name == "hdr")
        kinds = (g.Header, g.Stack) if self.chance(0.3) else g.Header
        places = [p for p in parts(hdr) if isinstance(p.type, kinds) and not isinstance(p, g.Element)]
        return [g.Extract(self.pick(places))]

    def _apply_parser(self, scope: Scope, name: str, parser: g.Parser) -> list[g.Stmt]:
        arguments = self.arguments(scope, parser.params, 2)
        return [g.Apply(name, parser, arguments)] if arguments is not None else []

    def _going_on(self, scope: Scope, name: str, body: list[g.Stmt], later: list[str]) -> g.State:
        if self.chance(0.3):
            return g.State(name, body, [], [], self.pick(later))
        types = [g.Bit(self.pick((2, 3, 8))) for _ in range(self.random.randint(1, 2))]
        keys = [self.expr(scope, type_, self.depth() - 1) for type_ in types]
        cases = []
        for _ in range(self.random.randint(1, 3)):
            cases.append(g.SelectCase([self._keyset(type_) for type_ in types], self.pick(later)))
        if self.chance(0.7):
            cases.append(g.SelectCase([g.Keyset("any") for _ in types], self.pick(later)))
        return g.State(name, body, keys, cases, "")

    def _keyset(self, type_: g.Bit) -> g.Keyset:
        most = (1 << type_.width) - 1
        value, other = self.random.randint(0, min(most, 7)), self.random.randint(0, most)
        kind = self.pick(("exact", "exact", "mask", "range", "any"))
        return (
            g.Keyset(kind, min(value, other), max(value, other)) if kind == "range" else g.Keyset(kind, value, other)
        )

    def sub_parser(self, functions: list[g.Function]) -> g.Parser:
        """It never rejects: what is copied back then, the specification does not say."""
        scope = Scope("sub-parser", functions=list(functions))
        params: list[g.Param] = []
        for direction in self.random.sample(("out", "inout", "inout", "in"), self.random.randint(1, 3)):
            kind = self.pick([t for t in self.types if isinstance(t, g.Header)])
            type_ = kind if self.chance(0.5) else self.scalar_type()
            params.append(g.Param(self.name("a"), type_, direction))
            scope.add(params[-1].name, type_, direction != "in")
        outs = [g.Var(p.type, p.name) for p in params if p.direction == "out"]
        body: list[g.Stmt] = []
        for place in outs:
            body += (
                [g.Extract(place)] if isinstance(place.type, g.Header) else self.filled(Scope("sub-parser"), place)
            )
        inner = scope.inner()
        body += self.block(inner, self.random.randint(1, 3), 1)
        if self.chance(0.5):
            states = [g.State("start", body, [], [], "accept")]
        else:
            key = self.expr(inner, g.Bit(3), 2)
            cases = [g.SelectCase([g.Keyset("exact", self.random.randrange(4))], "more")]
            cases.append(g.SelectCase([g.Keyset("any")], "accept"))
            more = self.block(scope.inner(), 2, 1)
            states = [g.State("start", body, [key], cases, ""), g.State("more", more, [], [], "accept")]
        return g.Parser(self.name("parser"), params, [], [], states)
