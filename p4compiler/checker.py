"""Resolves names and checks types of a whole program (the passes `resolve` and `type-check` in one walk).

P4 declares before use, so one walk in the order of the text knows every name that may be used.
"""

from __future__ import annotations

from p4compiler import syntax as s
from p4compiler import types as t
from p4compiler.arithmetic import wrap
from p4compiler.check_statements import StatementChecks
from p4compiler.facts import Facts
from p4compiler.source import Diagnostics


def check(program: s.Program, diagnostics: Diagnostics) -> Facts:
    """Facts about the program; errors go to `diagnostics`."""
    facts = Facts(program)
    checker = Checker(facts, diagnostics)
    for declaration in program.declarations:
        checker.declaration(declaration)
    facts.globals = checker.globals.names
    return facts


class Checker(StatementChecks):
    def declaration(self, declaration: s.Declaration) -> None:
        if isinstance(declaration, s.Variable):
            self.variable(declaration)
        elif isinstance(declaration, s.Constant):
            self.constant(declaration)
        elif isinstance(declaration, s.Instance):
            self.instance(declaration)
        elif isinstance(declaration, s.StructLike):
            self.struct_like(declaration)
        elif isinstance(declaration, s.Enum):
            self.enum(declaration)
        elif isinstance(declaration, s.Names):
            self.names(declaration)
        elif isinstance(declaration, s.Typedef):
            self.typedef(declaration)
        elif isinstance(declaration, s.Extern):
            self.extern(declaration)
        elif isinstance(declaration, s.Function):
            self.function(declaration)
        elif isinstance(declaration, s.Action):
            self.action(declaration)
        elif isinstance(declaration, s.Parser):
            self.parser(declaration)
        elif isinstance(declaration, s.Control):
            self.control(declaration)
        elif isinstance(declaration, s.Package):
            self.package(declaration)
        elif isinstance(declaration, s.Table):
            self.table(declaration)
            self.declare(declaration)
        elif isinstance(declaration, s.ValueSet):
            self.value_set(declaration)

    # Values

    def variable(self, declaration: s.Variable) -> None:
        type_ = self.resolve(declaration.type)
        if isinstance(type_, (t.Extern, t.Applicable, t.Package)) or type_ in (t.VOID, t.MATCH_KIND):
            self.error(f"a variable cannot have the type {type_}", declaration)
            type_ = t.UNKNOWN
        elif type_ in (t.INT, t.STRING):
            self.error(f"a variable cannot have the type {type_}: its values exist at compile time only", declaration)
            type_ = t.UNKNOWN
        if declaration.initializer is not None:
            value = self.value(declaration.initializer)
            self.require_fit(value, type_, declaration.initializer, "assigned to")
        self.facts.declared[declaration] = type_
        self.declare(declaration)

    def constant(self, declaration: s.Constant) -> None:
        type_ = self.resolve(declaration.type)
        value_type = self.value(declaration.value)
        self.require_fit(value_type, type_, declaration.value, "assigned to")
        self.facts.declared[declaration] = type_
        value = self.constant_or_none(declaration.value)
        if isinstance(value, int) and not isinstance(value, bool):
            plain = t.value_type(type_)
            wrapped = wrap(value, plain)
            if wrapped != value:
                self.diagnostics.warning(f"{value} does not fit in {type_}", declaration.value.loc)
            value = wrapped
        if value is not None:
            self.facts.constants[declaration] = value
        self.declare(declaration)

    def instance(self, declaration: s.Instance) -> None:
        type_ = self.resolve(declaration.type, raw=True)
        result = self.construct(declaration, declaration.type, type_, declaration.arguments)
        if declaration.methods:
            self.push()
            for method in declaration.methods:
                self.declaration(method)
            self.pop()
        self.facts.declared[declaration] = result
        self.declare(declaration)

    def value_set(self, declaration: s.ValueSet) -> None:
        type_ = self.resolve(declaration.type)
        self.constant_int(declaration.size, "the size of a value set")
        self.facts.declared[declaration] = t.Set(self._value_set_element(type_))
        self.declare(declaration)

    def _value_set_element(self, type_: t.Type) -> t.Type:
        return type_

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
            if not self._field_allowed(declaration.kind, type_):
                self.error(f"a {declaration.kind} cannot have a field of type {type_}", field)
                type_ = t.UNKNOWN
            fields[field.name] = type_
        self.facts.fields[declaration] = fields
        self.pop()
        self.declare(declaration)

    def _field_allowed(self, kind: str, type_: t.Type) -> bool:
        if type_ is t.UNKNOWN or isinstance(type_, t.TypeVar):
            return True
        if kind == "header_union":
            return t.is_header(type_)
        if kind == "struct":
            return not isinstance(type_, (t.Extern, t.Applicable, t.Package)) and type_ not in (t.VOID, t.INT)
        plain = t.value_type(type_)
        if isinstance(plain, t.Struct):
            return plain.kind == "struct"
        return isinstance(plain, (t.Bits, t.Varbit)) or plain == t.BOOL

    def enum(self, declaration: s.Enum) -> None:
        underlying = self.resolve(declaration.underlying) if declaration.underlying is not None else None
        if (
            underlying is not None
            and not isinstance(t.value_type(underlying), t.Bits)
            and underlying is not t.UNKNOWN
        ):
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
                value = wrap(found if found is not None else 0, t.value_type(underlying))
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
            else:
                self.facts.match_kinds.append(member.name)
                self.facts.declared[member] = t.MATCH_KIND
                self.globals.add(member)

    def typedef(self, declaration: s.Typedef) -> None:
        base = self.resolve(declaration.type)
        if declaration.distinct:
            plain = t.value_type(base)
            if not isinstance(plain, t.Bits) and plain not in (t.BOOL, t.UNKNOWN):
                self.error(f"'type' needs bit<N>, int<N>, bool or another such type, not {base}", declaration)
            base = t.NewType(declaration, base)
        self.facts.declared[declaration] = base
        self.declare(declaration)

    # What has parameters

    def parameters(self, parameters: tuple[s.Parameter, ...]) -> None:
        """Resolves and declares parameters in the present scope."""
        for parameter in parameters:
            type_ = self.resolve(parameter.type)
            if parameter.direction and isinstance(type_, (t.Extern, t.Applicable, t.Package)):
                self.error(f"a parameter of type {type_} has no direction", parameter)
            if parameter.default is not None:
                value = self.value(parameter.default)
                if not t.mentions_variables(type_):
                    self.require_fit(value, type_, parameter.default, "the default of")
                if parameter.direction in ("out", "inout"):
                    self.error("a parameter that is written has no default", parameter)
            self.facts.declared[parameter] = type_
            self.declare(parameter)

    def extern(self, declaration: s.Extern) -> None:
        self.declare(declaration)
        self.push()
        for parameter in declaration.type_parameters:
            self.declare(parameter)
        for method in declaration.methods:
            self._signature(method)
            self.pop()
            if method.result is None and method.name != declaration.name:
                self.error("expected a result type before the name of a method", method)
        self.pop()

    def _signature(self, function: s.Function) -> None:
        """Opens a scope with the function's parameters; the caller closes it."""
        self.push()
        for parameter in function.type_parameters:
            self.declare(parameter)
        self.facts.declared[function] = self.resolve(function.result) if function.result is not None else t.VOID
        self.parameters(function.parameters)

    def function(self, declaration: s.Function) -> None:
        self._signature(declaration)
        if declaration.body is not None:
            self.result_type = self.facts.declared[declaration]
            self.block(declaration.body)
            wants_value = self.result_type not in (t.VOID, t.UNKNOWN)
            if wants_value and not always_returns(declaration.body):
                self.error(f"function '{declaration.name}' may end without returning a value", declaration)
            self.result_type = None
        self.pop()
        self.declare(declaration)

    def action(self, declaration: s.Action) -> None:
        self.push()
        self.parameters(declaration.parameters)
        seen_plain = False
        for parameter in declaration.parameters:
            if parameter.direction and seen_plain:
                self.error("parameters without direction come last: the control plane sets them", parameter)
            seen_plain = seen_plain or not parameter.direction
        self.block(declaration.body)
        self.pop()
        self.declare(declaration)

    def parser(self, declaration: s.Parser) -> None:
        self.declare(declaration)
        self._open_applicable(declaration)
        if declaration.states is not None:
            for local in declaration.locals:
                self.declaration(local)
            names = {"accept", "reject"}
            for state in declaration.states:
                if state.name in ("accept", "reject"):
                    self.error(f"the state '{state.name}' is built in", state)
                elif state.name in names:
                    self.error(f"state '{state.name}' is declared twice", state)
                names.add(state.name)
            if "start" not in names:
                self.error(f"parser '{declaration.name}' has no state 'start'", declaration)
            for state in declaration.states:
                self.state(state, names)
        self.pop()
        self.pop()

    def control(self, declaration: s.Control) -> None:
        self.declare(declaration)
        self._open_applicable(declaration)
        if declaration.body is not None:
            for local in declaration.locals:
                self.declaration(local)
            self.block(declaration.body)
        self.pop()
        self.pop()

    def _open_applicable(self, declaration: s.Applicable) -> None:
        self.push()
        for parameter in declaration.type_parameters:
            self.declare(parameter)
        self.parameters(declaration.parameters)
        self.parameters(declaration.constructor_parameters)
        for constructed in declaration.constructor_parameters:
            if constructed.direction:
                self.error("a constructor parameter has no direction", constructed)
        # What is declared inside may have the name of a parameter.
        self.push()

    def package(self, declaration: s.Package) -> None:
        self.declare(declaration)
        self.push()
        for parameter in declaration.type_parameters:
            self.declare(parameter)
        self.parameters(declaration.parameters)
        self.pop()


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
