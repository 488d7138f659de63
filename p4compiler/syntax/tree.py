"""The syntax tree. Nodes are immutable and compared by identity, so that passes can keep facts in side tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4compiler.source import Location
from p4compiler.syntax.lexer import Token


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    loc: Location


@dataclass(frozen=True, slots=True, eq=False)
class Annotation(Node):
    """`@name`, `@name(...)` or `@name[...]`; the body stays tokens: each annotation has its own syntax.

    `expressions`: what is between the parentheses, where the language knows that these are expressions.
    """

    name: str
    body: tuple[Token, ...] | None = None
    structured: bool = False
    expressions: tuple[Expression, ...] = ()


Annotations = tuple[Annotation, ...]


# Types as written


@dataclass(frozen=True, slots=True, eq=False)
class TypeSyntax(Node):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class BaseTypeSyntax(TypeSyntax):
    """bool, error, bit, int, varbit, string, void, match_kind; `width` of bit<N>, int<N> and varbit<N>."""

    kind: str
    width: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NamedTypeSyntax(TypeSyntax):
    """A type's name, with `arguments` if it is generic (None: none were written)."""

    name: str
    absolute: bool = False
    arguments: tuple[TypeSyntax, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StackTypeSyntax(TypeSyntax):
    element: TypeSyntax
    size: Expression


@dataclass(frozen=True, slots=True, eq=False)
class TupleTypeSyntax(TypeSyntax):
    items: tuple[TypeSyntax, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ListTypeSyntax(TypeSyntax):
    item: TypeSyntax


@dataclass(frozen=True, slots=True, eq=False)
class AnyTypeSyntax(TypeSyntax):
    """`_` among type arguments: to be inferred."""


# Expressions


@dataclass(frozen=True, slots=True, eq=False)
class Expression(Node):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class IntLiteral(Expression):
    value: int
    width: int | None = None
    signed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BoolLiteral(Expression):
    value: bool


@dataclass(frozen=True, slots=True, eq=False)
class StringLiteral(Expression):
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Name(Expression):
    name: str
    absolute: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TypeExpression(Expression):
    """A type where an expression stands: before '.', or before the '(' of a constructor."""

    type: TypeSyntax


@dataclass(frozen=True, slots=True, eq=False)
class Member(Expression):
    base: Expression
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Index(Expression):
    base: Expression
    index: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Slice(Expression):
    """`base[high:low]`; with `plus`, `base[low+:width]` where `high` is the low bit and `low` the width."""

    base: Expression
    high: Expression
    low: Expression
    plus: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Unary(Expression):
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Binary(Expression):
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Ternary(Expression):
    condition: Expression
    yes: Expression
    no: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Cast(Expression):
    type: TypeSyntax
    operand: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Argument(Node):
    """`value`, `name = value`, or `_` (value None) for an out argument that nobody wants."""

    name: str | None
    value: Expression | None


@dataclass(frozen=True, slots=True, eq=False)
class Call(Expression):
    function: Expression
    type_arguments: tuple[TypeSyntax, ...] | None
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ListExpression(Expression):
    """`{a, b}`, or a tuple of keysets `(a, b)`; `default_rest` if it ends in '...'."""

    items: tuple[Expression, ...]
    default_rest: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FieldValue(Node):
    name: str
    value: Expression


@dataclass(frozen=True, slots=True, eq=False)
class RecordExpression(Expression):
    """`{a = 1, b = 2}`."""

    fields: tuple[FieldValue, ...]
    default_rest: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class InvalidHeader(Expression):
    """`{#}`."""


@dataclass(frozen=True, slots=True, eq=False)
class DefaultValue(Expression):
    """`...` as an initializer."""


@dataclass(frozen=True, slots=True, eq=False)
class Anything(Expression):
    """`default` or `_` in a keyset."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Masked(Expression):
    value: Expression
    mask: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Range(Expression):
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True, eq=False)
class SelectCase(Node):
    keyset: Expression
    state: str


@dataclass(frozen=True, slots=True, eq=False)
class Select(Node):
    keys: tuple[Expression, ...]
    cases: tuple[SelectCase, ...]


# Statements


@dataclass(frozen=True, slots=True, eq=False)
class Statement(Node):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Assignment(Statement):
    """`target = value`; `operator` is the binary operator of `target += value` and its like."""

    target: Expression
    value: Expression
    operator: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CallStatement(Statement):
    call: Call


@dataclass(frozen=True, slots=True, eq=False)
class If(Statement):
    condition: Expression
    then: Statement
    otherwise: Statement | None


@dataclass(frozen=True, slots=True, eq=False)
class SwitchCase(Node):
    """`label: { ... }`; body None falls through to the next case. Label Anything is `default`."""

    label: Expression
    body: Block | None


@dataclass(frozen=True, slots=True, eq=False)
class Switch(Statement):
    value: Expression
    cases: tuple[SwitchCase, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Block(Statement):
    statements: tuple[Statement | Declaration, ...]
    annotations: Annotations = ()


@dataclass(frozen=True, slots=True, eq=False)
class Return(Statement):
    value: Expression | None


@dataclass(frozen=True, slots=True, eq=False)
class Exit(Statement):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Break(Statement):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Continue(Statement):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Empty(Statement):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class For(Statement):
    """`for (init; condition; updates) body`."""

    init: tuple[Statement | Declaration, ...]
    condition: Expression
    updates: tuple[Statement, ...]
    body: Statement


@dataclass(frozen=True, slots=True, eq=False)
class ForIn(Statement):
    """`for (TYPE variable in collection) body`; or over an existing variable (then `target` is set)."""

    variable: Variable | None
    target: Expression | None
    collection: Expression
    body: Statement


# Declarations


@dataclass(frozen=True, slots=True, eq=False)
class Declaration(Node):
    name: str
    annotations: Annotations


@dataclass(frozen=True, slots=True, eq=False)
class TypeParameter(Declaration):
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Parameter(Declaration):
    """`direction` is in, out, inout or empty."""

    direction: str
    type: TypeSyntax
    default: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Variable(Declaration):
    type: TypeSyntax
    initializer: Expression | None


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Declaration):
    type: TypeSyntax
    value: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Instance(Declaration):
    """`Type(arguments) name;`, for abstract methods with `= { functions }` (None: without), for many `name[size]`."""

    type: TypeSyntax
    arguments: tuple[Argument, ...]
    methods: tuple[Declaration, ...] | None = None
    size: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Field(Declaration):
    type: TypeSyntax


@dataclass(frozen=True, slots=True, eq=False)
class StructLike(Declaration):
    """`kind` is struct, header or header_union."""

    kind: str
    type_parameters: tuple[TypeParameter, ...]
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EnumMember(Declaration):
    value: Expression | None


@dataclass(frozen=True, slots=True, eq=False)
class Enum(Declaration):
    """`underlying` is the type of a serializable enum."""

    underlying: TypeSyntax | None
    members: tuple[EnumMember, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Names(Declaration):
    """`error {...}` or `match_kind {...}`; `name` is which."""

    members: tuple[EnumMember, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Typedef(Declaration):
    """`typedef T name` or, with `distinct`, `type T name`."""

    type: TypeSyntax
    distinct: bool


@dataclass(frozen=True, slots=True, eq=False)
class Function(Declaration):
    """A function, extern function, or method; `body` None for those without one. `result` None: a constructor."""

    result: TypeSyntax | None
    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]
    body: Block | None
    abstract: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Extern(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    methods: tuple[Function, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Action(Declaration):
    parameters: tuple[Parameter, ...]
    body: Block


@dataclass(frozen=True, slots=True, eq=False)
class KeyElement(Node):
    expression: Expression
    match_kind: Name
    annotations: Annotations


@dataclass(frozen=True, slots=True, eq=False)
class ActionRef(Node):
    """An action in a table's list: a name, or a call that binds directional parameters."""

    action: Expression
    annotations: Annotations


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Node):
    keyset: Expression
    action: Expression
    annotations: Annotations
    const: bool = False
    priority: Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Property(Node):
    """A table property other than key, actions and entries."""

    name: str
    value: Expression | None
    const: bool
    annotations: Annotations


@dataclass(frozen=True, slots=True, eq=False)
class Table(Declaration):
    keys: tuple[KeyElement, ...] | None
    actions: tuple[ActionRef, ...] | None
    entries: tuple[Entry, ...] | None
    entries_const: bool
    properties: tuple[Property, ...]
    entries_annotations: Annotations = ()


@dataclass(frozen=True, slots=True, eq=False)
class ValueSet(Declaration):
    type: TypeSyntax
    size: Expression


@dataclass(frozen=True, slots=True, eq=False)
class State(Declaration):
    """`transition`: a Select, the name of a state, or None (then the state rejects)."""

    statements: tuple[Statement | Declaration, ...]
    transition: Select | Name | None


@dataclass(frozen=True, slots=True, eq=False)
class Applicable(Declaration):
    """What Parser, Control and their type declarations share."""

    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]
    constructor_parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Parser(Applicable):
    """`states` None: only the type is declared."""

    locals: tuple[Declaration, ...]
    states: tuple[State, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Control(Applicable):
    """`body` None: only the type is declared."""

    locals: tuple[Declaration, ...]
    body: Block | None


@dataclass(frozen=True, slots=True, eq=False)
class Package(Declaration):
    type_parameters: tuple[TypeParameter, ...]
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """`end`: where the program's text ends."""

    declarations: tuple[Declaration, ...]
    end: Location


def find_annotation(annotations: Sequence[Annotation], name: str) -> Annotation | None:
    """The first annotation of that name, or None."""
    return next((a for a in annotations if a.name == name), None)


def is_quiet(annotations: Sequence[Annotation], warning: str) -> bool:
    """Whether @noWarn names the warning; p4c writes hyphens where the specification has underscores."""
    names = [string_body(a) or "" for a in annotations if a.name == "noWarn"]
    return warning in [name.replace("-", "_") for name in names]


def string_body(annotation: Annotation) -> str | None:
    """The text of `@name("text")`; neighbouring strings are joined."""
    if not annotation.body:
        return None
    parts = [unquote(t.text) for t in annotation.body if t.text.startswith('"')]
    return "".join(parts) if parts else None


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def unquote(text: str) -> str:
    """The value of a string token."""
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    result: list[str] = []
    chars = iter(inner)
    for char in chars:
        if char == "\\":
            follower = next(chars, "")
            result.append(_ESCAPES.get(follower, "\\" + follower))
        else:
            result.append(char)
    return "".join(result)
