"""Resolves names and checks types of a whole program (the passes `resolve` and `type-check` in one walk).

P4 declares before use, so one walk in the order of the text knows every name that may be used.
"""

from __future__ import annotations

from collections.abc import Callable

from p4compiler import types as t
from p4compiler.arithmetic import wrap
from p4compiler.check import type_rules
from p4compiler.check.compile_time import runtime_part
from p4compiler.check.facts import Facts
from p4compiler.check.parsers import ParserChecks
from p4compiler.check.places import Place
from p4compiler.check.types import is_optional
from p4compiler.source import Diagnostics
from p4compiler.syntax import tree as s


def check(program: s.Program, diagnostics: Diagnostics) -> Facts:
    """Facts about the program; errors go to `diagnostics`."""
    facts = Facts(program)
    checker = Checker(facts, diagnostics)
    for declaration in program.declarations:
        checker.declaration(declaration)
        if declaration.name == "main":
            checker.main(declaration)
    facts.globals = checker.globals.names
    return facts


class Checker(ParserChecks):
    def main(self, declaration: s.Declaration) -> None:
        """Section "Target architecture description": main is an instance of the architecture's package."""
        made = self.facts.declared.get(declaration)
        is_package = isinstance(made, t.Package) or made is t.UNKNOWN
        if isinstance(declaration, s.Extern) or (isinstance(declaration, s.Instance) and not is_package):
            self.error("'main' is the instance of a package, like V1Switch(...) main;", declaration)

    def declaration(self, declaration: s.Declaration) -> None:
        check = _CHECKS.get(type(declaration))
        if check is not None:
            check(self, declaration)

    # Values

    def variable(self, declaration: s.Variable) -> None:
        type_ = self._value_type(declaration, "variable")
        if type_ is t.MATCH_KIND:
            self.error(f"a variable cannot have the type {type_}", declaration)
            type_ = t.UNKNOWN
        elif type_ in (t.INT, t.STRING):
            self.error(f"a variable cannot have the type {type_}: its values exist at compile time only", declaration)
            type_ = t.UNKNOWN
        if declaration.initializer is not None:
            value = self.value(declaration.initializer)
            self.require_assignable(value, type_, declaration.initializer)
        self.facts.declared[declaration] = type_
        self.declare(declaration)

    def _value_type(self, declaration: s.Variable | s.Constant, what: str) -> t.Type:
        """The type of a variable or constant, whose parts must all be known."""
        type_ = self.resolve(declaration.type)
        if isinstance(type_, (t.Extern, t.Applicable, t.Package)) or type_ is t.VOID:
            self.error(f"a {what} cannot have the type {type_}", declaration)
            return t.UNKNOWN
        if t.mentions_anything(type_):
            self.error(f"a {what} needs a whole type; '_' can stand only for what a call makes clear", declaration)
            return t.UNKNOWN
        return type_

    def constant(self, declaration: s.Constant) -> None:
        type_ = self._value_type(declaration, "constant")
        value_type = self.value(declaration.value)
        self.require_assignable(value_type, type_, declaration.value)
        self.facts.declared[declaration] = type_
        value = self.constant_or_none(declaration.value)
        if isinstance(value, int) and not isinstance(value, bool):
            value = wrap(value, t.value_type(type_))
        if value is not None:
            self.facts.constants[declaration] = value
        self.declare(declaration)

    # Types

    def struct_like(self, declaration: s.StructLike) -> None:
        self.push()
        for parameter in declaration.type_parameters:
            self.declare(parameter)
        fields: dict[str, t.Type] = {}
        for field in declaration.fields:
            type_ = self.resolve(field.type)
            if field.name in fields:
                self.error(f"field '{field.name}' is declared twice", field)
            if not self.field_allowed(declaration.kind, type_):
                self.error(f"a {declaration.kind} cannot have a field of type {type_}", field)
                type_ = t.UNKNOWN
            fields[field.name] = type_
            self._field_lists(field)
        self.facts.fields[declaration] = fields
        self.pop()
        self.declare(declaration)

    def _field_lists(self, field: s.Field) -> None:
        """v1model's @field_list(1, 2): the lists of fields to be kept that a field of the user metadata is in."""
        numbers: list[int] = []
        for annotation in field.annotations:
            for expression in annotation.expressions if annotation.name == "field_list" else ():
                number = self.constant_int(expression, "the number of a field list")
                if number is None:
                    continue
                type_ = self.facts.types[expression]
                if isinstance(t.value_type(type_), t.Enum):
                    self.error(f"the members of {type_} have no numbers; write enum bit<8> {type_}", expression)
                numbers.append(number)
        self.facts.field_lists[field] = tuple(numbers)

    def enum(self, declaration: s.Enum) -> None:
        underlying = self.resolve(declaration.underlying) if declaration.underlying is not None else None
        if underlying is not None and not isinstance(underlying, t.Bits) and underlying is not t.UNKNOWN:
            self.error(f"the members of an enum have a type bit<N> or int<N>, not {underlying}", declaration)
        type_ = t.Enum(declaration, underlying)
        seen: set[str] = set()
        # A member's value may name the members before it.
        self.push()
        for number, member in enumerate(declaration.members):
            if member.name in seen:
                self.error(f"member '{member.name}' is declared twice", member)
            seen.add(member.name)
            self.facts.declared[member] = type_
            value = number
            if underlying is None:
                if member.value is not None:
                    self.error("only an enum with an underlying type gives values to its members", member)
            elif member.value is None:
                self.error(f"member '{member.name}' needs a value: the enum has an underlying type", member)
            else:
                found = self.constant_int(member.value, "the value of a member")
                value = wrap(found if found is not None else 0, underlying)
                if found is not None and value != found:
                    self.error(f"{found} does not fit in {underlying}", member.value)
            self.facts.enum_values[member] = value
            self.scope.add(member)
        self.pop()
        self.facts.declared[declaration] = type_
        self.declare(declaration)

    def names(self, declaration: s.Names) -> None:
        """`error` and `match_kind` may be declared in several places; their names add up."""
        for member in declaration.members:
            if declaration.name == "error":
                if member.name in self.facts.errors:
                    self.error(f"error '{member.name}' is declared twice", member)
                self.facts.errors.setdefault(member.name, len(self.facts.errors))
            elif member.name in self.facts.match_kinds:
                self.error(f"match kind '{member.name}' is declared twice", member)
            else:
                self.facts.match_kinds.append(member.name)
                self.facts.declared[member] = t.MATCH_KIND
                self.globals.add(member)

    def typedef(self, declaration: s.Typedef) -> None:
        base = self.resolve(declaration.type)
        if declaration.distinct:
            if not type_rules.may_be_named(base, distinct=True):
                self.error(f"'type' needs bit<N>, int<N>, bool or another such type, not {base}", declaration)
            base = t.NewType(declaration, base)
        elif not type_rules.may_be_named(base, distinct=False):
            self.error(f"a typedef cannot name the type {base}", declaration)
        self.facts.declared[declaration] = base
        self.declare(declaration)

    # What has parameters

    def parameters(self, parameters: tuple[s.Parameter, ...], of: str, optional: bool = True) -> None:
        """Resolves and declares run-time parameters in the present scope. `optional`: @optional is allowed."""
        for parameter in parameters:
            type_ = self._parameter(parameter, optional)
            fault = type_rules.parameter_fault(type_, parameter.direction, of)
            if fault is not None:
                self.error(fault, parameter)

    def constructor_parameters(self, parameters: tuple[s.Parameter, ...], of: str, optional: bool) -> None:
        """Resolves and declares the parameters of the constructor of a package, parser, control or extern object."""
        for parameter in parameters:
            type_ = self._parameter(parameter, optional)
            fault = type_rules.constructor_parameter_fault(type_, of)
            if parameter.direction:
                fault = "a constructor parameter has no direction"
            if fault is not None:
                self.error(fault, parameter)

    def _parameter(self, parameter: s.Parameter, optional: bool) -> t.Type:
        type_ = self.resolve(parameter.type)
        if is_optional(parameter) and not optional:
            self.error("only what a package, extern, parser or control is given can be @optional", parameter)
        if parameter.default is not None:
            value = self.value(parameter.default)
            if not t.mentions_variables(type_):
                self.require_fit(value, type_, parameter.default, "the default of")
            if parameter.direction in ("out", "inout"):
                self.error("a parameter that is written has no default", parameter)
            varies = runtime_part(parameter.default, self.facts)
            if varies is not None:
                self.error("the default of a parameter must be known at compile time", varies)
        self.facts.declared[parameter] = type_
        self.declare(parameter)
        return type_

    def extern(self, declaration: s.Extern) -> None:
        self.declare(declaration)
        self.push()
        for parameter in declaration.type_parameters:
            self.declare(parameter)
        self.unfinished.append(declaration)
        for method in declaration.methods:
            self._signature(method, "constructor" if method.result is None else "extern")
            self.pop()
            if method.result is not None and method.name == declaration.name:
                self.error("a constructor has no result type", method)
        self.unfinished.pop()
        self.pop()
        self._different_methods(declaration)

    def _different_methods(self, declaration: s.Extern) -> None:
        """Methods of one name differ in the number or the names of their parameters."""
        seen: dict[tuple[str, ...], s.Function] = {}
        for method in declaration.methods:
            key = (method.name, *(p.name for p in method.parameters))
            if key in seen:
                here = ("the first is here", seen[key].loc)
                self.error(f"method '{method.name}' is declared twice with these parameters", method, here)
            seen[key] = method

    def _signature(self, function: s.Function, of: str) -> None:
        """Opens a scope with the function's parameters; the caller closes it."""
        self.push()
        for parameter in function.type_parameters:
            self.declare(parameter)
        self.facts.declared[function] = self.resolve(function.result) if function.result is not None else t.VOID
        result = self.facts.declared[function]
        if function.result is not None and type_rules.kind(result) not in _RESULTS:
            self.error(f"'{function.name}' cannot return a {result}", function)
        if of == "constructor":
            self.constructor_parameters(function.parameters, "extern", optional=True)
        else:
            self.parameters(function.parameters, of, optional=of == "extern")

    def function(self, declaration: s.Function) -> None:
        self._signature(declaration, "extern" if declaration.body is None else "function")
        if declaration.body is not None:
            outer = self.place
            self.place = Place.METHOD if outer is Place.METHOD else Place.FUNCTION
            self.result_type = self.facts.declared[declaration]
            self.block(declaration.body)
            self.place = outer
            wants_value = self.result_type not in (t.VOID, t.UNKNOWN)
            if wants_value and not always_returns(declaration.body):
                self.error(f"function '{declaration.name}' may end without returning a value", declaration)
            self.result_type = None
        self.pop()
        self.declare(declaration)

    def action(self, declaration: s.Action) -> None:
        self.push()
        self.parameters(declaration.parameters, "action", optional=False)
        seen_plain = False
        for parameter in declaration.parameters:
            if parameter.direction and seen_plain:
                self.error("parameters without direction come last: the control plane sets them", parameter)
            seen_plain = seen_plain or not parameter.direction
        outer, self.place = self.place, Place.ACTION
        self.block(declaration.body)
        self.place = outer
        self.pop()
        self.declare(declaration)

    def parser(self, declaration: s.Parser) -> None:
        self.declare(declaration)
        self._open_applicable(declaration)
        if declaration.states is not None:
            self.place = Place.PARSER
            for local in declaration.locals:
                self.declaration(local)
            self.states(declaration, declaration.states)
        self._close_applicable()

    def control(self, declaration: s.Control) -> None:
        self.declare(declaration)
        self._open_applicable(declaration)
        if declaration.body is not None:
            self.place = Place.CONTROL
            for local in declaration.locals:
                self.declaration(local)
            self.place = Place.APPLY
            self.block(declaration.body)
        self._close_applicable()

    def _open_applicable(self, declaration: s.Applicable) -> None:
        self.push()
        for parameter in declaration.type_parameters:
            self.declare(parameter)
        of = "parser" if isinstance(declaration, s.Parser) else "control"
        self.unfinished.append(declaration)
        self.parameters(declaration.parameters, of)
        self.constructor_parameters(declaration.constructor_parameters, of, optional=False)
        # What is declared inside may have the name of a parameter.
        self.push()

    def _close_applicable(self) -> None:
        self.unfinished.pop()
        self.place = Place.TOP
        self.pop()
        self.pop()

    def package(self, declaration: s.Package) -> None:
        self.declare(declaration)
        self.push()
        for parameter in declaration.type_parameters:
            self.declare(parameter)
        self.constructor_parameters(declaration.parameters, "package", optional=True)
        self.pop()


# What a function or method may return; "none" is void after an error.
_RESULTS = frozenset({
    "void", "open", "sized", "varbit", "error", "bool", "enum", "header", "array", "stack", "union", "struct",
    "tuple", "string", "extern",
})  # fmt: skip


def always_returns(statement: s.Node) -> bool:
    """Whether control never runs past the statement."""
    if isinstance(statement, (s.Return, s.Exit)):
        return True
    if isinstance(statement, s.Block):
        return any(always_returns(inner) for inner in statement.statements)
    if isinstance(statement, s.If):
        return (
            statement.otherwise is not None and always_returns(statement.then) and always_returns(statement.otherwise)
        )
    if isinstance(statement, s.Switch):
        has_default = any(isinstance(c.label, s.Anything) for c in statement.cases)
        return has_default and all(c.body is None or always_returns(c.body) for c in statement.cases)
    return False


_CHECKS: dict[type[s.Declaration], Callable[..., None]] = {
    s.Variable: Checker.variable,
    s.Constant: Checker.constant,
    s.Instance: Checker.instance,
    s.StructLike: Checker.struct_like,
    s.Enum: Checker.enum,
    s.Names: Checker.names,
    s.Typedef: Checker.typedef,
    s.Extern: Checker.extern,
    s.Function: Checker.function,
    s.Action: Checker.action,
    s.Parser: Checker.parser,
    s.Control: Checker.control,
    s.Package: Checker.package,
    s.Table: Checker.table,
    s.ValueSet: Checker.value_set,
}
