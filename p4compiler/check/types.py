"""The checker's lowest layer: types as written to types, what fits where, and type inference."""

from __future__ import annotations

from abc import ABC, abstractmethod

from p4compiler import types as t
from p4compiler.arithmetic import ConstantFault, wrap
from p4compiler.check import type_rules
from p4compiler.check.constants import ConstantEvaluator
from p4compiler.check.facts import Facts
from p4compiler.check.places import Place
from p4compiler.check.scope import Scope
from p4compiler.source import Diagnostics, Location
from p4compiler.syntax import tree as s

MAX_WIDTH = 1 << 16
MOST_ELEMENTS = 4096

# Type parameters being inferred, with what they are bound to so far.
Bindings = dict[s.TypeParameter, t.Type | None]


class TypeChecks(ABC):
    def __init__(self, facts: Facts, diagnostics: Diagnostics) -> None:
        self.facts = facts
        self.diagnostics = diagnostics
        self.globals = Scope()
        self.scope = self.globals
        self.evaluator = ConstantEvaluator(facts)
        self.place = Place.TOP
        # Declarations whose body is being read: they cannot be used inside of it.
        self.unfinished: list[s.Declaration] = []

    def error(self, message: str, node: s.Node | Location, *notes: tuple[str, Location]) -> None:
        loc = node if isinstance(node, Location) else node.loc
        self.diagnostics.error(message, loc, *notes)

    @abstractmethod
    def expression(self, expression: s.Expression) -> t.Type:
        """The type of any expression."""

    # Scopes

    def push(self) -> None:
        self.scope = Scope(self.scope)

    def pop(self) -> None:
        assert self.scope.parent is not None
        self.scope = self.scope.parent

    def declare(self, declaration: s.Declaration) -> None:
        earlier = self.scope.add(declaration)
        if earlier is not None:
            self.error(
                f"'{declaration.name}' is declared twice", declaration, ("the first declaration is here", earlier.loc)
            )

    # Types as written

    def resolve(self, syntax: s.TypeSyntax, raw: bool = False) -> t.Type:
        """The type that is written; UNKNOWN after an error. With `raw`, a generic type may lack its arguments."""
        result = self._resolve(syntax, raw)
        self.facts.syntax_types[syntax] = result
        return result

    def _resolve(self, syntax: s.TypeSyntax, raw: bool) -> t.Type:
        if isinstance(syntax, s.BaseTypeSyntax):
            return self._base_type(syntax)
        if isinstance(syntax, s.NamedTypeSyntax):
            return self._named_type(syntax, raw)
        if isinstance(syntax, s.StackTypeSyntax):
            element = self.resolve(syntax.element)
            size = self.constant_int(syntax.size, "the size of a stack")
            if size is None or element is t.UNKNOWN:
                return t.UNKNOWN
            if size < 0:
                self.error(f"a stack cannot have {size} elements", syntax.size)
                return t.UNKNOWN
            if size > MOST_ELEMENTS:
                self.error(f"a stack of {size} elements is not supported, only of {MOST_ELEMENTS}", syntax.size)
                return t.UNKNOWN
            stack = t.Stack(element, size)
            if not type_rules.may_hold(type_rules.kind(stack), element):
                self.error(
                    f"{element}[{size}] is not a type: an array cannot have elements of type {element}", syntax
                )
                return t.UNKNOWN
            return stack
        if isinstance(syntax, s.TupleTypeSyntax):
            return t.Tuple(tuple(self._member_type(i, "tuple") for i in syntax.items))
        if isinstance(syntax, s.ListTypeSyntax):
            return t.List(self._member_type(syntax.item, "list"))
        return t.ANYTHING

    def _member_type(self, syntax: s.TypeSyntax, container: str) -> t.Type:
        type_ = self.resolve(syntax)
        if type_rules.may_hold(container, type_):
            return type_
        self.error(f"a {container} cannot have an element of type {type_}", syntax)
        return t.UNKNOWN

    def _base_type(self, syntax: s.BaseTypeSyntax) -> t.Type:
        kind = syntax.kind
        if kind == "int" and syntax.width is None:
            return t.INT
        if kind not in ("bit", "int", "varbit"):
            return t.Simple(kind) if kind not in _SIMPLE else _SIMPLE[kind]
        assert syntax.width is not None
        width = self.constant_int(syntax.width, "a width")
        if width is None:
            return t.UNKNOWN
        if width < 0 or (width == 0 and kind == "int") or width > MAX_WIDTH:
            self.error(f"{kind}<{width}> is not a type: the width is out of range", syntax)
            return t.UNKNOWN
        return t.Varbit(width) if kind == "varbit" else t.Bits(width, kind == "int")

    def _named_type(self, syntax: s.NamedTypeSyntax, raw: bool) -> t.Type:
        scope = self.globals if syntax.absolute else self.scope
        found = scope.find(syntax.name)
        if not found:
            self.error(f"type '{syntax.name}' is not declared", syntax)
            return t.UNKNOWN
        declaration = found[-1]
        self.facts.uses[syntax] = declaration
        self.warn_if_deprecated(declaration, syntax)
        if declaration in self.unfinished:
            self.error(f"'{syntax.name}' cannot be used inside of itself", syntax)
            return t.UNKNOWN
        arguments = tuple(self.resolve(a) for a in syntax.arguments or ())
        if isinstance(declaration, s.TypeParameter):
            return t.TypeVar(declaration)
        if isinstance(declaration, (s.Enum, s.Typedef)):
            if arguments:
                self.error(f"'{syntax.name}' takes no type arguments", syntax)
            return self.facts.declared.get(declaration, t.UNKNOWN)
        if not isinstance(declaration, (s.StructLike, s.Extern, s.Parser, s.Control, s.Package)):
            self.error(f"'{syntax.name}' is not a type", syntax, ("it is declared here", declaration.loc))
            return t.UNKNOWN
        return self._generic_type(syntax, declaration, arguments, raw)

    def _generic_type(
        self,
        syntax: s.NamedTypeSyntax,
        declaration: s.StructLike | s.Extern | s.Parser | s.Control | s.Package,
        arguments: tuple[t.Type, ...],
        raw: bool,
    ) -> t.Type:
        """The type of a declaration that may have type parameters, with its arguments."""
        parameters = declaration.type_parameters
        if arguments and len(arguments) != len(parameters):
            self.error(f"'{syntax.name}' takes {len(parameters)} type arguments, not {len(arguments)}", syntax)
            return t.UNKNOWN
        if parameters and not arguments:
            if not raw:
                self.error(f"'{syntax.name}' needs {len(parameters)} type arguments", syntax)
                return t.UNKNOWN
            arguments = tuple(t.TypeVar(p) for p in parameters)
        if any(_mentions(a, declaration) for a in arguments):
            self.error(f"'{syntax.name}' cannot be a type argument of itself", syntax)
            return t.UNKNOWN
        if isinstance(declaration, s.StructLike):
            return self._specialized(t.Struct(declaration, arguments), syntax)
        if isinstance(declaration, s.Extern):
            blocks = [a for a in arguments if isinstance(a, (t.Applicable, t.Package))]
            if blocks:
                self.error(f"an extern cannot call {blocks[0]}, so '{blocks[0]}' is no type argument of it", syntax)
                return t.UNKNOWN
            return t.Extern(declaration, arguments)
        if isinstance(declaration, s.Package):
            return t.Package(declaration, arguments)
        return t.Applicable(declaration, arguments)

    def _specialized(self, struct: t.Struct, syntax: s.TypeSyntax) -> t.Type:
        """A generic struct or header with its arguments in place, whose fields must have types that are allowed."""
        if struct.arguments:
            for name, type_ in self.field_types(struct).items():
                if not self.field_allowed(struct.kind, type_):
                    self.error(f"field '{name}' of a {struct.kind} cannot have the type {type_}", syntax)
                    return t.UNKNOWN
        return struct

    def field_allowed(self, kind: str, type_: t.Type) -> bool:
        """Whether a struct, header or header_union may have such a field."""
        plain = t.strip(type_)
        if kind == "header" and isinstance(plain, t.Struct) and plain.kind == "struct":
            fields = self.field_types(plain)
            nested = [f for f in fields.values() if isinstance(t.strip(f), t.Struct)]
            return type_rules.fits_in_header(fields) and all(self.field_allowed(kind, f) for f in nested)
        return type_rules.may_hold(kind, type_)

    def field_types(self, struct: t.Struct) -> dict[str, t.Type]:
        """Fields of a struct, header or union, in order, with its type arguments in place."""
        fields = self.facts.fields.get(struct.declaration, {})
        if not struct.arguments:
            return fields
        bindings = t.bind(struct.declaration.type_parameters, struct.arguments)
        return {name: t.substitute(type_, bindings) for name, type_ in fields.items()}

    def warn_if_deprecated(self, declaration: s.Declaration, node: s.Node) -> None:
        """Warns wherever a program uses what is marked @deprecated("what to use")."""
        annotation = s.find_annotation(declaration.annotations, "deprecated")
        if annotation is not None and not node.loc.source.system:
            text = s.string_body(annotation)
            hint = f": {text}" if text else ""
            self.diagnostics.warning(f"'{declaration.name}' is deprecated{hint}", node.loc)

    # Constants

    def constant_int(self, expression: s.Expression, what: str) -> int | None:
        """The value of a compile-time integer; None after an error."""
        type_ = self.expression(expression)
        if type_ is t.UNKNOWN:
            return None
        try:
            value = self.evaluator.evaluate(expression)
        except ConstantFault as fault:
            self.error(str(fault), expression)
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.error(f"{what} must be an integer known at compile time", expression)
            return None
        return value

    def constant_or_none(self, expression: s.Expression) -> object | None:
        try:
            return self.evaluator.evaluate(expression)
        except ConstantFault as fault:
            self.error(str(fault), expression)
            return None

    # What fits where

    def fits(self, source: t.Type, target: t.Type) -> bool:
        """Whether a value of type `source` may stand where `target` is wanted (implicit casts included)."""
        if source == target or t.UNKNOWN in (source, target) or t.ANYTHING in (source, target):
            return True
        if target is t.INT and isinstance(t.value_type(source), t.Bits):
            return not isinstance(source, (t.Enum, t.NewType))
        if source is t.INT:
            return isinstance(t.value_type(target), t.Bits) and not isinstance(target, (t.Enum, t.NewType))
        if source is t.DEFAULT:
            return True
        if isinstance(source, t.Enum) and source.underlying is not None and not isinstance(target, t.Enum):
            return self.fits(source.underlying, target)
        if source is t.INVALID_HEADER:
            return isinstance(target, t.Struct) and target.kind != "struct"
        if isinstance(source, t.Tuple):
            return self._tuple_fits(source, target)
        if isinstance(source, t.Record):
            if not isinstance(target, t.Struct) or target.kind == "header_union":
                return False
            fields, given = self.field_types(target), dict(source.fields)
            if set(given) - set(fields) or (set(fields) - set(given) and not source.open_ended):
                return False
            return all(self.fits(type_, fields[name]) for name, type_ in given.items())
        if isinstance(source, t.Stack) and isinstance(target, t.Stack):
            return source.size == target.size and self.fits(source.element, target.element)
        return False

    def _tuple_fits(self, source: t.Tuple, target: t.Type) -> bool:
        if not source.written and not isinstance(target, t.Tuple):
            return False
        if isinstance(target, t.Struct) and target.kind != "header_union":
            wanted = list(self.field_types(target).values())
        elif isinstance(target, t.Tuple):
            wanted = list(target.items)
        elif isinstance(target, t.List):
            wanted = [target.item] * len(source.items)
        elif isinstance(target, t.Stack):
            wanted = [target.element] * (target.size if not source.open_ended else len(source.items))
        else:
            return False
        if len(source.items) != len(wanted) and not (source.open_ended and len(source.items) < len(wanted)):
            return False
        return all(self.fits(given, want) for given, want in zip(source.items, wanted, strict=False))

    def warn_of_overflow(self, expression: s.Expression, target: t.Type) -> None:
        """Names the constants in a value that an implicit cast to the type, which the value fits, changes."""
        if isinstance(expression, (s.ListExpression, s.RecordExpression)):
            for part, type_ in self._parts_of(expression, target):
                self.warn_of_overflow(part, type_)
            return
        if isinstance(expression, (s.Masked, s.Range)):
            sides = (
                (expression.value, expression.mask)
                if isinstance(expression, s.Masked)
                else (expression.low, expression.high)
            )
            for side in sides:
                self.warn_of_overflow(side, target)
            return
        plain = t.value_type(target)
        if self.facts.types.get(expression) is not t.INT or not isinstance(plain, t.Bits):
            return
        value = self.constant_or_none(expression)
        if isinstance(value, int) and (wrapped := wrap(value, plain)) != value:
            self.diagnostics.warning(f"{value} does not fit in {target}: it becomes {wrapped}", expression.loc)

    def _parts_of(
        self, expression: s.ListExpression | s.RecordExpression, target: t.Type
    ) -> list[tuple[s.Expression, t.Type]]:
        """The parts of a list or record, each with the type that it has in the target."""
        plain = t.strip(target)
        if isinstance(expression, s.RecordExpression):
            fields = self.field_types(plain) if isinstance(plain, t.Struct) else {}
            return [(f.value, fields[f.name]) for f in expression.fields if f.name in fields]
        types: list[t.Type] = []
        if isinstance(plain, t.Struct):
            types = list(self.field_types(plain).values())
        elif isinstance(plain, t.Tuple):
            types = list(plain.items)
        elif isinstance(plain, (t.Stack, t.List)):
            types = [plain.element if isinstance(plain, t.Stack) else plain.item] * len(expression.items)
        return list(zip(expression.items, types, strict=False))

    # Type inference

    def unify(self, formal: t.Type, actual: t.Type, bindings: Bindings) -> bool:
        """Whether `actual` fits the parameter type `formal`, binding type variables on the way."""
        if isinstance(formal, t.TypeVar) and formal.declaration in bindings:
            bound = bindings[formal.declaration]
            if bound is None or bound is t.ANYTHING or bound is t.UNKNOWN:
                bindings[formal.declaration] = actual
                return True
            if bound is t.INT and isinstance(t.value_type(actual), t.Bits):
                bindings[formal.declaration] = actual
                return True
            return self.fits(actual, bound)
        if isinstance(formal, t.Applicable) and isinstance(actual, t.Applicable):
            return self._unify_applicable(formal, actual, bindings)
        if (
            isinstance(formal, (t.Struct, t.Extern, t.Package))
            and isinstance(actual, (t.Struct, t.Extern, t.Package))
            and formal.declaration is actual.declaration
        ):
            pairs = zip(formal.arguments, actual.arguments, strict=False)
            return all(self.unify(f, a, bindings) for f, a in pairs)
        if isinstance(formal, t.Stack) and isinstance(actual, t.Stack):
            return formal.size == actual.size and self.unify(formal.element, actual.element, bindings)
        if isinstance(formal, t.Tuple) and isinstance(actual, t.Tuple) and len(formal.items) == len(actual.items):
            return all(self.unify(f, a, bindings) for f, a in zip(formal.items, actual.items, strict=True))
        if isinstance(formal, t.List) and isinstance(actual, (t.List, t.Tuple)):
            items = (actual.item,) if isinstance(actual, t.List) else actual.items
            return all(self.unify(formal.item, a, bindings) for a in items)
        if isinstance(formal, t.Struct) and formal.arguments and isinstance(actual, (t.Tuple, t.Record)):
            fields = self.field_types(formal)
            given = (
                dict(actual.fields) if isinstance(actual, t.Record) else dict(zip(fields, actual.items, strict=False))
            )
            return all(self.unify(fields[n], a, bindings) for n, a in given.items() if n in fields)
        known = {k: v for k, v in bindings.items() if v is not None}
        return self.fits(actual, t.substitute(formal, known))

    def _unify_applicable(self, formal: t.Applicable, actual: t.Applicable, bindings: Bindings) -> bool:
        if formal.declaration is actual.declaration:
            return all(self.unify(f, a, bindings) for f, a in zip(formal.arguments, actual.arguments, strict=False))
        if isinstance(formal.declaration, s.Parser) != isinstance(actual.declaration, s.Parser):
            return False
        wanted, given = formal.declaration.parameters, actual.declaration.parameters
        optional = [p for p in wanted[len(given) :] if p.default is not None or is_optional(p)]
        if len(wanted) != len(given) + len(optional):
            return False
        wanted = wanted[: len(given)]
        formal_bindings = t.bind(formal.declaration.type_parameters, formal.arguments)
        actual_bindings = t.bind(actual.declaration.type_parameters, actual.arguments)
        for want, give in zip(wanted, given, strict=True):
            if want.direction != give.direction:
                return False
            want_type = t.substitute(self.facts.declared.get(want, t.UNKNOWN), formal_bindings)
            give_type = t.substitute(self.facts.declared.get(give, t.UNKNOWN), actual_bindings)
            if t.mentions_variables(give_type):
                # A generic parser or control is made to fit.
                continue
            if not self.unify(want_type, give_type, bindings):
                return False
        return True


def is_optional(parameter: s.Parameter) -> bool:
    return s.find_annotation(parameter.annotations, "optional") is not None


def _mentions(type_: t.Type, declaration: s.Declaration) -> bool:
    """Whether a type is, or has an argument made of, that declaration."""
    if not isinstance(type_, (t.Struct, t.Extern, t.Applicable, t.Package)):
        return False
    return type_.declaration is declaration or any(_mentions(a, declaration) for a in type_.arguments)


_SIMPLE = {
    "bool": t.BOOL,
    "error": t.ERROR,
    "string": t.STRING,
    "void": t.VOID,
    "match_kind": t.MATCH_KIND,
}
