"""Calls: which function is meant, which argument goes to which parameter, which types it is called with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from p4compiler import types as t
from p4compiler.check import type_rules
from p4compiler.check.compile_time import runtime_part
from p4compiler.check.core_rules import core_fault
from p4compiler.check.expressions import HEADER_METHODS, SIZE_METHODS, ExpressionChecks
from p4compiler.check.facts import CallFact, CallKind
from p4compiler.check.places import call_fault
from p4compiler.check.types import Bindings, is_optional
from p4compiler.syntax import tree as s


class CallChecks(ExpressionChecks):
    @abstractmethod
    def construct_expression(self, call: s.Call, function: s.TypeExpression) -> t.Type:
        """The type of a constructor call in an expression."""

    def call(self, call: s.Call) -> t.Type:
        function = call.function
        if isinstance(function, s.TypeExpression):
            return self.construct_expression(call, function)
        if isinstance(function, s.Member):
            return self._member_call(call, function)
        if isinstance(function, s.Name):
            return self._name_call(call, function)
        type_ = self.expression(function)
        self.check_loose_arguments(call)
        if type_ is not t.UNKNOWN:
            self.error("this cannot be called", function)
        return t.UNKNOWN

    def check_loose_arguments(self, call: s.Call) -> None:
        """Types the arguments of a call whose function is not known, for errors inside them."""
        for argument in call.arguments:
            if argument.value is not None:
                self.expression(argument.value)

    def _name_call(self, call: s.Call, function: s.Name) -> t.Type:
        type_ = self.expression(function)
        found = (self.globals if function.absolute else self.scope).find(function.name)
        if type_ is t.UNKNOWN:
            self.check_loose_arguments(call)
            return t.UNKNOWN
        if found and isinstance(found[0], s.Action):
            self._placed("action", function.name, call)
            return self.finish_call(call, CallKind.ACTION, [found[0]], {}, t.VOID)
        functions = [d for d in found if isinstance(d, s.Function)]
        if not functions:
            self.error(f"'{function.name}' is not a function", function)
            self.check_loose_arguments(call)
            return t.UNKNOWN
        self._placed("function" if functions[0].body is not None else "extern", function.name, call)
        return self.finish_call(call, CallKind.FUNCTION, functions, {})

    def _placed(self, what: str, name: str, node: s.Node) -> None:
        fault = call_fault(what, name, self.place)
        if fault is not None:
            self.error(fault, node)

    def _member_call(self, call: s.Call, function: s.Member) -> t.Type:
        type_ = self.expression(function)
        base = self.facts.types.get(function.base, t.UNKNOWN)
        if isinstance(t.strip(base), t.Struct) and function.name in (*HEADER_METHODS, *SIZE_METHODS):
            # A field may have the name of a method; what is called is the method.
            type_ = t.Callable(function.name)
        if type_ is t.UNKNOWN or not isinstance(type_, t.Callable):
            self.check_loose_arguments(call)
            if type_ is not t.UNKNOWN:
                self.error(f"'{function.name}' cannot be called", function)
            return t.UNKNOWN
        if isinstance(base, t.MetaType):
            base = base.type
            if isinstance(base, t.Applicable) and base.declaration.constructor_parameters:
                self.error(f"'{base.declaration.name}' needs an instance: it has constructor parameters", function)
        base = t.strip(base)
        if isinstance(base, t.Extern):
            self._placed("extern", function.name, call)
            methods = [m for m in base.declaration.methods if m.name == function.name and m.result is not None]
            bindings = t.bind(base.declaration.type_parameters, base.arguments)
            return self.finish_call(call, CallKind.METHOD, methods, bindings)
        if isinstance(base, t.Applicable) and function.name == "apply":
            declaration = base.declaration
            self._placed(type_rules.kind(base), declaration.name, call)
            bindings = t.bind(declaration.type_parameters, base.arguments)
            open_ = {
                p: b
                for p, b in bindings.items()
                if b != t.TypeVar(p) or not isinstance(function.base, s.TypeExpression)
            }
            return self.finish_call(call, CallKind.APPLY, [declaration], open_, t.VOID)
        if isinstance(base, t.Table):
            self._placed("table", base.declaration.name, call)
            if call.arguments:
                self.error("a table is applied without arguments", call)
            result = t.ApplyResult(base.declaration)
            self.facts.calls[call] = CallFact(CallKind.TABLE, "apply", base.declaration, (), (), {}, result)
            return result
        return self._builtin(call, function)

    def _builtin(self, call: s.Call, function: s.Member) -> t.Type:
        name = function.name
        result: t.Type = t.VOID
        wanted = 0
        if name == "isValid":
            result = t.BOOL
        elif name in SIZE_METHODS:
            result = t.INT
        elif name in ("push_front", "pop_front"):
            wanted = 1
        if name in ("setValid", "setInvalid", "push_front", "pop_front"):
            self.require_writable(function.base)
        values = tuple(a.value for a in call.arguments)
        if len(values) != wanted or None in values:
            self.error(f"'{name}' takes {wanted or 'no'} argument{'' if wanted else 's'}", call)
        for value in values:
            if value is not None:
                self.value(value)
                if wanted:
                    self.constant_int(value, f"the argument of {name}")
        self.facts.calls[call] = CallFact(CallKind.BUILTIN, name, None, (), values, {}, result)
        return result

    # Any call

    def finish_call(
        self,
        call: s.Call,
        kind: CallKind,
        candidates: Sequence[s.Declaration],
        bindings: dict[s.TypeParameter, t.Type],
        result: t.Type | None = None,
    ) -> t.Type:
        return self.finish(call, kind, candidates, bindings, result, call.arguments, call.type_arguments, ())

    def finish(
        self,
        node: s.Node,
        kind: CallKind,
        candidates: Sequence[s.Declaration],
        bindings: dict[s.TypeParameter, t.Type],
        result: t.Type | None,
        arguments: tuple[s.Argument, ...],
        written: tuple[s.TypeSyntax, ...] | None,
        open_parameters: tuple[s.TypeParameter, ...],
    ) -> t.Type:
        chosen = self._choose(node, kind, candidates, arguments)
        if chosen is None:
            self.error("there is no such constructor", node)
            return t.UNKNOWN
        if kind is CallKind.FUNCTION:
            self.warn_if_deprecated(chosen, node)
        parameters = parameters_of(chosen, kind)
        ordered = self._order(parameters, arguments)
        if ordered is None:
            for argument in arguments:
                if argument.value is not None:
                    self.expression(argument.value)
            self._report_arguments(node, chosen, parameters, arguments)
            return t.UNKNOWN
        own: tuple[s.TypeParameter, ...] = open_parameters
        if isinstance(chosen, s.Function):
            own = own + chosen.type_parameters
        elif kind is CallKind.APPLY and isinstance(chosen, s.Applicable):
            own = own + tuple(p for p in chosen.type_parameters if p not in bindings)
        solved: Bindings = dict.fromkeys(own)
        if written is not None:
            self._take_written(node, chosen, written, solved)
        self._check_arguments(chosen, parameters, ordered, bindings, solved)
        if kind in (CallKind.FUNCTION, CallKind.METHOD, CallKind.APPLY):
            self._check_known(chosen, parameters, ordered)
        self._check_left_out(parameters, arguments)
        self._settle_left_out(parameters, ordered, solved)
        missing = [p.name for p, b in solved.items() if b is None]
        if missing and not isinstance(chosen, s.Applicable):
            self.error(f"cannot infer the type {', '.join(missing)} of '{chosen.name}'; write it in <>", node)
        full = {**bindings, **{p: b if b is not None else t.TypeVar(p) for p, b in solved.items()}}
        if result is None:
            assert isinstance(chosen, s.Function)
            result = self.facts.declared.get(chosen, t.UNKNOWN)
        result = t.substitute(result, full)
        fact = CallFact(kind, chosen.name, chosen, parameters, tuple(ordered), full, result)
        self.facts.calls[node] = fact
        self._check_inferred(fact, solved)
        self._check_core(node, fact)
        return t.UNKNOWN if missing and t.mentions_variables(result) and kind is CallKind.FUNCTION else result

    def _choose(
        self, node: s.Node, kind: CallKind, candidates: Sequence[s.Declaration], arguments: tuple[s.Argument, ...]
    ) -> s.Declaration | None:
        """The first that the arguments fit, or else the first of all."""
        fitting = [c for c in candidates if self.takes(c, kind, arguments)]
        if len(fitting) > 1 and kind in (CallKind.FUNCTION, CallKind.METHOD) and _alike(fitting[0], fitting[1]):
            here = ("one is declared here", fitting[1].loc)
            self.error(f"it is not clear which '{fitting[0].name}' is meant; name the arguments", node, here)
        return next(iter(fitting or candidates), None)

    def _take_written(
        self, node: s.Node, chosen: s.Declaration, written: tuple[s.TypeSyntax, ...], solved: Bindings
    ) -> None:
        """Type arguments that the call itself gives."""
        if not isinstance(chosen, s.Function) or len(written) != len(chosen.type_parameters):
            self.error(f"'{chosen.name}' does not take {len(written)} type arguments", node)
            return
        for parameter, syntax in zip(chosen.type_parameters, written, strict=True):
            type_ = self.resolve(syntax)
            solved[parameter] = None if type_ is t.ANYTHING else type_

    def _settle_left_out(
        self, parameters: tuple[s.Parameter, ...], ordered: list[s.Expression | None], solved: Bindings
    ) -> None:
        """What only an optional parameter without argument needs to know may be any type."""
        for left_out in _left_out(parameters, ordered):
            for variable in t.variables(self.facts.declared.get(left_out, t.UNKNOWN)):
                if solved.get(variable, t.UNKNOWN) is None:
                    solved[variable] = t.ANYTHING

    def takes(self, candidate: s.Declaration, kind: CallKind, arguments: tuple[s.Argument, ...]) -> bool:
        """Whether number and names of the arguments fit."""
        return self._order(parameters_of(candidate, kind), arguments) is not None

    def _check_left_out(self, parameters: tuple[s.Parameter, ...], arguments: tuple[s.Argument, ...]) -> None:
        """`_` for an argument: section "Calling convention"."""
        by_name = {p.name: p for p in parameters}
        for position, argument in enumerate(arguments):
            parameter = by_name[argument.name] if argument.name is not None else parameters[position]
            if argument.value is None and parameter.direction != "out":
                self.error(f"'{parameter.name}' needs a value: only an out parameter may be given '_'", argument)

    def _check_inferred(self, fact: CallFact, solved: Bindings) -> None:
        """What a type parameter was found to be must be a type that the parameter may have."""
        of = "extern" if isinstance(fact.declaration, s.Function) and fact.declaration.body is None else "function"
        for parameter, argument in zip(fact.parameters, fact.arguments, strict=True):
            formal = self.facts.declared.get(parameter, t.UNKNOWN)
            if argument is None or not isinstance(formal, t.TypeVar) or formal.declaration not in solved:
                continue
            found = solved[formal.declaration] or t.UNKNOWN
            wants_width = parameter.direction or of == "function" or fact.kind is CallKind.CONSTRUCT
            if found is t.INT and wants_width and not isinstance(fact.declaration, s.Applicable):
                self.error("this number needs a width here, like 8w1", argument)
            elif isinstance(found, t.Record):
                self.error("this needs a type here: write (TYPE) before it", argument)
            elif isinstance(found, (t.Table, t.ApplyResult, t.Applicable)) and fact.kind is not CallKind.CONSTRUCT:
                self.error(f"a {found} cannot be passed as an argument", argument)
            elif parameter.direction and found is not t.INT:
                fault = type_rules.parameter_fault(found, parameter.direction, of)
                if fault is not None:
                    self.error(fault, argument)

    def _check_core(self, node: s.Node, fact: CallFact) -> None:
        function = node.function if isinstance(node, s.Call) else None
        base = self.facts.types.get(function.base) if isinstance(function, s.Member) else None
        extern = base.declaration.name if isinstance(base, t.Extern) else None
        fault = core_fault(extern, fact, self.place, self.field_types)
        if fault is not None:
            self.error(fault, node)
        if fact.kind is CallKind.FUNCTION and fact.name == "static_assert" and fact.arguments:
            holds = self.constant_or_none(fact.arguments[0]) if fact.arguments[0] is not None else None
            if holds is False:
                text = (
                    self.constant_or_none(fact.arguments[1]) if len(fact.arguments) > 1 and fact.arguments[1] else ""
                )
                self.error("this does not hold" + (f": {text}" if text else ""), node)

    def _order(
        self, parameters: tuple[s.Parameter, ...], arguments: tuple[s.Argument, ...]
    ) -> list[s.Expression | None] | None:
        """Arguments by parameter; None if their number or names do not fit."""
        if any(a.name is not None for a in arguments):
            by_name = {a.name: a for a in arguments}
            names = {p.name for p in parameters}
            if len(by_name) != len(arguments) or not set(by_name) <= names:
                return None
            given = [by_name.get(p.name) for p in parameters]
        else:
            if len(arguments) > len(parameters):
                return None
            given = [*arguments, *[None] * (len(parameters) - len(arguments))]
        ordered: list[s.Expression | None] = []
        for parameter, argument in zip(parameters, given, strict=True):
            if argument is not None:
                ordered.append(argument.value)
            elif parameter.default is not None or is_optional(parameter):
                ordered.append(parameter.default)
            else:
                return None
        return ordered

    def _report_arguments(
        self,
        node: s.Node,
        chosen: s.Declaration,
        parameters: tuple[s.Parameter, ...],
        arguments: tuple[s.Argument, ...],
    ) -> None:
        names = {p.name for p in parameters}
        here = ("it is declared here", chosen.loc)
        for argument in arguments:
            if argument.name is not None and argument.name not in names:
                self.error(f"'{chosen.name}' has no parameter '{argument.name}'", argument, here)
                return
        if any(a.name is None for a in arguments) and any(a.name is not None for a in arguments):
            self.error("either all or none of the arguments have names", node)
            return
        wanted = ", ".join(p.name for p in parameters) or "nothing"
        self.error(f"'{chosen.name}' takes {len(parameters)} arguments ({wanted}), not {len(arguments)}", node, here)

    def _check_arguments(
        self,
        chosen: s.Declaration,
        parameters: tuple[s.Parameter, ...],
        arguments: list[s.Expression | None],
        bindings: dict[s.TypeParameter, t.Type],
        solved: Bindings,
    ) -> None:
        for parameter, argument in zip(parameters, arguments, strict=True):
            if argument is None:
                continue
            if argument is parameter.default:
                continue
            actual = self.value(argument)
            formal = t.substitute(self.facts.declared.get(parameter, t.UNKNOWN), bindings)
            if formal is t.ANYTHING:
                self.error(f"the type of '{parameter.name}' is open: the object was declared with '_'", argument)
                continue
            if actual is t.UNKNOWN or formal is t.UNKNOWN:
                continue
            if not self.unify(formal, actual, solved):
                known = {k: v for k, v in solved.items() if v is not None}
                wanted = t.substitute(formal, known)
                self.error(f"parameter '{parameter.name}' of '{chosen.name}' is {wanted}, not {actual}", argument)
                continue
            self.warn_of_overflow(argument, t.substitute(formal, {k: v for k, v in solved.items() if v is not None}))
            if parameter.direction in ("out", "inout"):
                self.require_writable(argument)
                known = {k: v for k, v in solved.items() if v is not None}
                wanted = t.substitute(formal, known)
                if actual != wanted and not t.mentions_variables(wanted) and not self._same_shape(actual, wanted):
                    self.error(
                        f"'{parameter.name}' of '{chosen.name}' is written: it needs exactly {wanted}, not {actual}",
                        argument,
                    )

    def _check_known(
        self, chosen: s.Declaration, parameters: tuple[s.Parameter, ...], arguments: list[s.Expression | None]
    ) -> None:
        """Section "Calling convention": a parameter without direction gets what is known at compile time."""
        for parameter, argument in zip(parameters, arguments, strict=True):
            if parameter.direction or argument is None or argument is parameter.default:
                continue
            varies = runtime_part(argument, self.facts)
            if varies is not None:
                self.error(
                    f"'{parameter.name}' of '{chosen.name}' has no direction, so its value must be known at compile "
                    "time; for other values it is declared 'in'",
                    varies,
                )

    def _same_shape(self, actual: t.Type, wanted: t.Type) -> bool:
        return isinstance(actual, (t.Extern, t.Applicable)) or wanted is t.ANYTHING


def _left_out(parameters: tuple[s.Parameter, ...], arguments: list[s.Expression | None]) -> list[s.Parameter]:
    return [p for p, a in zip(parameters, arguments, strict=True) if a is None and is_optional(p)]


def _alike(first: s.Declaration, second: s.Declaration) -> bool:
    """Whether nothing in a call by position can tell two overloads apart."""
    assert isinstance(first, s.Function) and isinstance(second, s.Function)
    return len(first.parameters) == len(second.parameters)


def parameters_of(declaration: s.Declaration, kind: CallKind) -> tuple[s.Parameter, ...]:
    """The parameters that a call of this kind fills."""
    if isinstance(declaration, s.Applicable):
        return declaration.constructor_parameters if kind is CallKind.CONSTRUCT else declaration.parameters
    assert isinstance(declaration, (s.Function, s.Action, s.Package))
    return declaration.parameters
