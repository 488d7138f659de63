"""The middle layer: a program with everything instantiated, inlined and typed, but still target-neutral.

Expressions have no side effects; whatever had one has become a statement before them. Storage is named: a `Scalar`
is a field of a header instance, of a metadata instance or of the collection of local variables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from p4compiler import types as t
from p4compiler.source import Location
from p4compiler.syntax import tree as s

# Expressions. Their types are t.Bits, t.BOOL, t.ERROR, t.Varbit, and for constants also t.INT and t.STRING.


@dataclass(frozen=True, slots=True)
class Expr:
    type: t.Type


@dataclass(frozen=True, slots=True)
class Const(Expr):
    """A number, bool (0, 1), error code or enum member; `label` is the member's or error's name."""

    value: int
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Text(Expr):
    value: str


@dataclass(frozen=True, slots=True)
class Scalar(Expr):
    """A field: readable, and a place to write."""

    owner: HeaderPlace
    field: str


@dataclass(frozen=True, slots=True)
class Runtime(Expr):
    """A parameter of an action that the control plane sets."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """'!' on bool, '~' and '-' on bits."""

    operator: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Mux(Expr):
    condition: Expr
    yes: Expr
    no: Expr


@dataclass(frozen=True, slots=True)
class Cast(Expr):
    operand: Expr


@dataclass(frozen=True, slots=True)
class Slice(Expr):
    operand: Expr
    high: int
    low: int


@dataclass(frozen=True, slots=True)
class Valid(Expr):
    header: HeaderPlace | UnionPlace


@dataclass(frozen=True, slots=True)
class Lookahead(Expr):
    """Bits of the packet after the parser's position; stands only as the whole right side of an Assign."""

    offset: int


@dataclass(frozen=True, slots=True)
class LastIndex(Expr):
    stack: StackPlace


@dataclass(frozen=True, slots=True)
class HasLast(Expr):
    """Whether an element of the stack has been extracted to, so that there is a last one."""

    stack: StackPlace


# Places of headers


@dataclass(frozen=True, slots=True)
class Header:
    """A header or metadata instance."""

    name: str
    type: t.Type


@dataclass(frozen=True, slots=True)
class StackPlace:
    """A stack of headers or header unions. `fields`: names of a header's fields in order, nested ones flat."""

    name: str
    type: t.Stack
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """stack[index] with an index known at run time only."""

    stack: StackPlace
    index: Expr
    type: t.Type


@dataclass(frozen=True, slots=True)
class Edge:
    """stack.next or stack.last; `which` says which."""

    stack: StackPlace
    which: str
    type: t.Type


@dataclass(frozen=True, slots=True)
class UnionPlace:
    """A header union: an instance (name), or an element or edge of a stack of unions (of)."""

    type: t.Struct
    name: str = ""
    of: Element | Edge | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A header in a union that is not known by name."""

    union: UnionPlace
    name: str
    type: t.Type


HeaderPlace = Header | Element | Edge | Member


@dataclass(frozen=True, slots=True)
class Bitfield:
    """Bits [high:low] of a field, to be written."""

    scalar: Scalar
    high: int
    low: int


@dataclass(frozen=True, slots=True)
class StructPlace:
    """A struct or tuple whose fields have places of their own."""

    type: t.Type
    fields: dict[str, Value]

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A struct, tuple, header or list value made of parts; `type` as the program has it."""

    type: t.Type
    fields: dict[str, Value]

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Invalid:
    """`{#}`: an invalid header."""

    type: t.Type


# Objects that exist at compile time


@dataclass(eq=False)
class ExternObject:
    """An instance of an extern: register, counter, packet_in and so on."""

    name: str
    declaration: s.Extern
    type_arguments: tuple[t.Type, ...]
    arguments: tuple[Value, ...]
    annotations: s.Annotations
    loc: Location
    anonymous: bool = False

    @property
    def kind(self) -> str:
        return self.declaration.name


@dataclass(eq=False)
class ValueSetObject:
    name: str
    element: t.Type
    size: int
    annotations: s.Annotations
    loc: Location


@dataclass(frozen=True)
class ActionParameter:
    name: str
    type: t.Type
    declared: t.Type
    annotations: s.Annotations


@dataclass(eq=False)
class ActionObject:
    """An action as one table uses it (or as it is called directly: then `data` is empty)."""

    name: str
    declaration: s.Action
    data: tuple[ActionParameter, ...]
    body: list[Stmt]
    annotations: s.Annotations = ()


@dataclass(frozen=True)
class Key:
    """`expression` is what is matched: a Scalar, a Valid, or one of these with a mask or slice."""

    expression: Expr
    match_kind: str
    name: str
    declared: t.Type
    annotations: s.Annotations
    loc: Location


@dataclass(frozen=True)
class EntryObject:
    """`keyset`: per key (value, mask), ("range", low, high) as `KeyValue`s.

    `priority`: as P4Runtime counts, the largest wins; None for const entries and where prefix lengths decide.
    `rank`: of the annotation @priority, as BMv2 counts, the smallest wins.
    """

    keyset: tuple[KeyValue, ...]
    action: ActionObject
    arguments: tuple[int, ...]
    priority: int | None
    rank: int | None
    const: bool
    loc: Location


@dataclass(frozen=True)
class KeyValue:
    """kind: exact (value), mask (value, other = mask), range (value..other), any."""

    kind: str
    value: int = 0
    other: int = 0


@dataclass(eq=False)
class TableObject:
    name: str
    declaration: s.Table
    annotations: s.Annotations
    loc: Location
    keys: list[Key] = field(default_factory=list)
    actions: list[ActionObject] = field(default_factory=list)
    action_annotations: dict[ActionObject, s.Annotations] = field(default_factory=dict)
    entries: list[EntryObject] = field(default_factory=list)
    entries_const: bool = False
    default_action: ActionObject | None = None
    default_arguments: tuple[int, ...] = ()
    default_const: bool = False
    properties: dict[str, Value] = field(default_factory=dict)
    size: int | None = None


# Statements


@dataclass(frozen=True, slots=True)
class Stmt:
    loc: Location


@dataclass(frozen=True, slots=True)
class Assign(Stmt):
    target: Scalar
    value: Expr


@dataclass(frozen=True, slots=True)
class Copy(Stmt):
    """Copies a whole header, stack or union."""

    target: HeaderPlace | StackPlace | UnionPlace
    source: HeaderPlace | StackPlace | UnionPlace


@dataclass(frozen=True, slots=True)
class SetValid(Stmt):
    header: HeaderPlace
    valid: bool


@dataclass(frozen=True, slots=True)
class Shift(Stmt):
    """push_front (count > 0) or pop_front (count < 0)."""

    stack: StackPlace
    count: int


@dataclass(frozen=True, slots=True)
class Call(Stmt):
    """An extern function, or a method of `object`. Results come back through places among the arguments."""

    name: str
    object: ExternObject | None
    arguments: tuple[Value, ...]
    type_arguments: tuple[t.Type, ...] = ()


@dataclass(frozen=True, slots=True)
class If(Stmt):
    condition: Expr
    then: list[Stmt]
    otherwise: list[Stmt]


@dataclass(frozen=True, slots=True)
class Apply(Stmt):
    """A table, then: what follows a hit or miss, or (if `by_action`) what follows each action; None keys default."""

    table: TableObject
    hit: list[Stmt]
    miss: list[Stmt]
    by_action: dict[str | None, list[Stmt]] | None = None


@dataclass(frozen=True, slots=True)
class Labelled(Stmt):
    """A body that Leave(label) ends."""

    label: int
    body: list[Stmt]


@dataclass(frozen=True, slots=True)
class Leave(Stmt):
    label: int


@dataclass(frozen=True, slots=True)
class Loop(Stmt):
    """Forever: body. A Leave of an enclosing Labelled ends it."""

    body: list[Stmt]


@dataclass(frozen=True, slots=True)
class Exit(Stmt):
    pass


@dataclass(frozen=True, slots=True)
class DirectAction(Stmt):
    """An action called by name, without control-plane data."""

    action: ActionObject


@dataclass(frozen=True, slots=True)
class ParserCall(Stmt):
    """A sub-parser: its states, entered at `start`; its accept goes on after this statement."""

    start: str
    states: dict[str, ParserState]


# Parsers

ACCEPT, REJECT = "accept", "reject"


@dataclass(frozen=True)
class Case:
    """One case of a select: per key a KeyValue, or a whole value set."""

    keyset: tuple[KeyValue, ...] | None
    value_set: ValueSetObject | None
    target: str
    loc: Location


@dataclass(eq=False)
class ParserState:
    name: str
    body: list[Stmt]
    loc: Location
    keys: list[Expr] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    target: str | None = None


Value = Union[
    Expr, HeaderPlace, StackPlace, UnionPlace, StructPlace, Aggregate, Invalid, Bitfield, ExternObject,
    ValueSetObject, TableObject, "Instantiated",
]  # fmt: skip


class Frame:
    """What declarations and type parameters mean here; what is not found, the parent knows."""

    def __init__(self, parent: Frame | None = None, prefix: str = "") -> None:
        self.parent = parent
        self.prefix = prefix
        self.values: dict[s.Declaration, Value] = {}
        self.types: dict[s.TypeParameter, t.Type] = dict(parent.types) if parent is not None else {}

    def find(self, declaration: s.Declaration) -> Value | None:
        frame: Frame | None = self
        while frame is not None:
            value = frame.values.get(declaration)
            if value is not None:
                return value
            frame = frame.parent
        return None


@dataclass(eq=False)
class Instantiated:
    """A parser or control instance: its declaration with constructor arguments and locals bound in a frame.

    `shared`: parameters for which its applications have different arguments. `kept`: the temporaries of parameters,
    the same ones wherever it is applied, as there is one of each of its tables.
    """

    name: str
    declaration: s.Parser | s.Control
    frame: Frame
    annotations: s.Annotations
    applied: int = 0
    shared: frozenset[s.Parameter] = frozenset()
    kept: dict[s.Parameter, Value] = field(default_factory=dict)
