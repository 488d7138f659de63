"""Instances and constructor calls (P4_16 specification, section "Instantiations")."""

from __future__ import annotations

from abc import abstractmethod

from p4compiler import types as t
from p4compiler.check import type_rules
from p4compiler.check.calls import CallChecks
from p4compiler.check.compile_time import runtime_part
from p4compiler.check.facts import CallFact, CallKind
from p4compiler.check.places import Place, instance_fault
from p4compiler.check.types import is_optional
from p4compiler.syntax import tree as s


class InstanceChecks(CallChecks):
    @abstractmethod
    def function(self, declaration: s.Function) -> None:
        """Check a function."""

    @abstractmethod
    def declaration(self, declaration: s.Declaration) -> None:
        """Check any declaration."""

    def instance(self, declaration: s.Instance) -> None:
        type_ = self.resolve(declaration.type, raw=True)
        fault = instance_fault(type_rules.kind(type_), str(type_), self.place) if _is_made(type_) else None
        if fault is not None:
            self.error(fault, declaration)
        result = self.construct(declaration, declaration.type, type_, declaration.arguments)
        self._methods(declaration, result)
        if declaration.size is not None:
            size = self.constant_int(declaration.size, "the number of instances")
            result = t.UNKNOWN if size is None else t.Stack(result, size)
        self.facts.declared[declaration] = result
        self.declare(declaration)

    # Abstract methods: section "Instantiating objects with abstract methods"

    def _methods(self, declaration: s.Instance, type_: t.Type) -> None:
        if not isinstance(type_, t.Extern):
            if declaration.methods is not None and type_ is not t.UNKNOWN:
                self.error(f"only an extern object takes methods, not a {type_}", declaration)
            return
        wanted = {m.name: m for m in type_.declaration.methods if m.abstract}
        self.push()
        this = s.Parameter(declaration.loc, "this", (), "", declaration.type)
        self.facts.declared[this] = type_
        self.scope.add(this)
        for method in declaration.methods or ():
            if isinstance(method, s.Function):
                self._method(method, wanted.pop(method.name, None), type_)
            else:
                self.declaration(method)
        self.pop()
        for name, missing in wanted.items():
            if s.find_annotation(missing.annotations, "optional") is not None:
                continue
            here = (f"'{name}' is declared here", missing.loc)
            self.error(f"'{declaration.name}' needs a body for the abstract method '{name}'", declaration, here)

    def _method(self, method: s.Function, wanted: s.Function | None, type_: t.Extern) -> None:
        outer, self.place = self.place, Place.METHOD
        self.function(method)
        self.place = outer
        if wanted is None:
            self.error(f"{type_} has no abstract method '{method.name}'", method)
            return
        bindings = t.bind(type_.declaration.type_parameters, type_.arguments)

        def signature(function: s.Function) -> list[object]:
            # A body may do without the last parameters that are optional.
            kept = len(function.parameters)
            while kept > len(method.parameters) and is_optional(function.parameters[kept - 1]):
                kept -= 1
            types = [t.substitute(self.facts.declared[p], bindings) for p in function.parameters[:kept]]
            result = t.substitute(self.facts.declared[function], bindings)
            return [result, *zip((p.direction for p in function.parameters), types, strict=False)]

        if signature(method) != signature(wanted):
            here = ("it is declared here", wanted.loc)
            self.error(f"'{method.name}' differs from the abstract method in its result or parameters", method, here)

    # Constructors

    def construct_expression(self, call: s.Call, function: s.TypeExpression) -> t.Type:
        meta = self.expression(function)
        if not isinstance(meta, t.MetaType):
            self.check_loose_arguments(call)
            return t.UNKNOWN
        made = self.construct(call, function.type, meta.type, call.arguments)
        if isinstance(made, t.Extern) and any(m.abstract for m in made.declaration.methods):
            self.error(f"{made} has abstract methods; declare an instance with '= {{ ... }}' and name it here", call)
        return made

    def construct(
        self, node: s.Node, syntax: s.TypeSyntax, type_: t.Type, arguments: tuple[s.Argument, ...]
    ) -> t.Type:
        """Checks `T(arguments)`, as an expression or a declaration; its type is what is made."""
        if not isinstance(type_, (t.Extern, t.Applicable, t.Package)):
            if type_ is not t.UNKNOWN:
                self.error(f"'{type_}' has no constructor", node)
            self._visit(arguments)
            return t.UNKNOWN
        candidates: list[s.Declaration]
        if isinstance(type_, t.Extern):
            candidates = [m for m in type_.declaration.methods if m.result is None]
            if not candidates and not arguments:
                return self._without_constructor(node, type_)
        else:
            type_, candidates = self._overloaded(syntax, type_, arguments)
        parameters = type_.declaration.type_parameters
        # `T x(...)` without <> leaves T's own parameters open, to be inferred from the arguments.
        explicit = type_.arguments != tuple(t.TypeVar(p) for p in parameters)
        bindings = t.bind(parameters, type_.arguments) if explicit else {}
        loose = () if explicit else parameters
        made = self.finish(node, CallKind.CONSTRUCT, candidates, bindings, type_, arguments, None, loose)
        for argument in arguments:
            varies = runtime_part(argument.value, self.facts) if argument.value is not None else None
            if varies is not None:
                self.error("an argument of a constructor must be known at compile time", varies)
        return made

    def _visit(self, arguments: tuple[s.Argument, ...]) -> None:
        for argument in arguments:
            if argument.value is not None:
                self.expression(argument.value)

    def _without_constructor(self, node: s.Node, type_: t.Extern) -> t.Type:
        open_ = [p.name for p in type_.declaration.type_parameters if t.TypeVar(p) in type_.arguments]
        if open_:
            self.error(
                f"cannot infer the type {', '.join(open_)} of '{type_.declaration.name}'; write it in <>", node
            )
            return t.UNKNOWN
        self.facts.calls[node] = CallFact(
            CallKind.CONSTRUCT, type_.declaration.name, type_.declaration, (), (), {}, type_
        )
        return type_

    def _overloaded(
        self, syntax: s.TypeSyntax, type_: t.Applicable | t.Package, arguments: tuple[s.Argument, ...]
    ) -> tuple[t.Applicable | t.Package, list[s.Declaration]]:
        """The one among parsers, controls or packages of one name whose parameters the arguments fit."""
        candidates: list[s.Declaration] = [type_.declaration]
        if isinstance(syntax, s.NamedTypeSyntax) and self.facts.uses.get(syntax) is type_.declaration:
            scope = self.globals if syntax.absolute else self.scope
            candidates = [d for d in scope.find(syntax.name) if type(d) is type(type_.declaration)] or candidates
        chosen = next((c for c in candidates if self.takes(c, CallKind.CONSTRUCT, arguments)), candidates[-1])
        if chosen is not type_.declaration:
            assert isinstance(chosen, (s.Parser, s.Control, s.Package))
            written = type_.arguments != tuple(t.TypeVar(p) for p in type_.declaration.type_parameters)
            own = type_.arguments if written else tuple(t.TypeVar(p) for p in chosen.type_parameters)
            type_ = t.Package(chosen, own) if isinstance(chosen, s.Package) else t.Applicable(chosen, own)
        declaration = type_.declaration
        states = declaration.states if isinstance(declaration, s.Parser) else ()
        body = declaration.body if isinstance(declaration, s.Control) else ()
        if states is None or body is None:
            self.error(f"'{type_}' is only a type: there is nothing to make an instance of", syntax)
        return type_, [declaration]


def _is_made(type_: t.Type) -> bool:
    return isinstance(type_, (t.Extern, t.Applicable, t.Package))
