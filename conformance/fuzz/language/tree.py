"""A P4 program as data. Names are unique within a program, so a variable is its name.

Nodes are mutable, and hold their parts in fields or lists, so that `reduce` can take them apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Types


@dataclass(frozen=True)
class Bit:
    width: int


@dataclass(frozen=True)
class Int:
    """Signed, in two's complement."""

    width: int


@dataclass(frozen=True)
class Bool:
    pass


@dataclass(frozen=True)
class Struct:
    name: str
    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True)
class Header:
    name: str
    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True)
class Union_:
    """A header union."""

    name: str
    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True)
class Stack:
    element: Header
    size: int


Type = Bit | Int | Bool | Struct | Header | Union_ | Stack
BOOL = Bool()

# Expressions


@dataclass
class Expr:
    type: Type


@dataclass
class Literal(Expr):
    value: int


@dataclass
class Var(Expr):
    name: str


@dataclass
class Field(Expr):
    base: Expr
    name: str


@dataclass
class Element(Expr):
    """stack[index]; a Literal index is known when the program is compiled."""

    base: Expr
    index: Expr


@dataclass
class Last(Expr):
    """stack.last, in a parser."""

    base: Expr


@dataclass
class LastIndex(Expr):
    """stack.lastIndex, in a parser."""

    base: Expr


@dataclass
class Slice(Expr):
    """base[high:low]"""

    base: Expr
    high: int
    low: int


@dataclass
class RuntimeSlice(Expr):
    """base[low +: width]"""

    base: Expr
    low: Expr
    width: int


@dataclass
class Unary(Expr):
    operator: str
    operand: Expr


@dataclass
class Binary(Expr):
    operator: str
    left: Expr
    right: Expr


@dataclass
class Ternary(Expr):
    condition: Expr
    yes: Expr
    no: Expr


@dataclass
class Cast(Expr):
    operand: Expr


@dataclass
class IsValid(Expr):
    header: Expr


@dataclass
class Parts(Expr):
    """{ a, b } or { x = a, y = b } as a struct or header."""

    values: list[Expr]
    named: bool


@dataclass
class Arguments:
    """By parameter; `order` is how they stand in the text, and then they have names."""

    values: list[Expr]
    order: list[int] | None = None


@dataclass
class Call(Expr):
    function: Function
    arguments: Arguments


@dataclass
class Hit(Expr):
    """table.apply().hit, or .miss"""

    table: Table
    hit: bool


@dataclass
class Lookahead(Expr):
    """packet.lookahead<type>(), in a parser."""


@dataclass
class ParserErrorIs(Expr):
    name: str


# Statements


@dataclass
class Stmt:
    pass


@dataclass
class Declare(Stmt):
    name: str
    type: Type
    value: Expr | None


@dataclass
class Assign(Stmt):
    """target = value, or target operator= value."""

    target: Expr
    operator: str | None
    value: Expr


@dataclass
class CallStatement(Stmt):
    call: Call


@dataclass
class SetValid(Stmt):
    header: Expr
    valid: bool


@dataclass
class Shift(Stmt):
    """push_front (count > 0) or pop_front (count < 0)."""

    stack: Expr
    count: int


@dataclass
class If(Stmt):
    condition: Expr
    then: list[Stmt]
    otherwise: list[Stmt]


@dataclass
class Case:
    """A case of a switch; without labels it is the default."""

    labels: list[int]
    body: list[Stmt]


@dataclass
class Switch(Stmt):
    selector: Expr
    cases: list[Case]


@dataclass
class For(Stmt):
    init: list[Stmt]
    condition: Expr
    updates: list[Stmt]
    body: list[Stmt]


@dataclass
class ForIn(Stmt):
    """for (type name in low .. high)"""

    name: str
    type: Type
    low: Expr
    high: Expr
    body: list[Stmt]


@dataclass
class ForEach(Stmt):
    """for (type name in stack), or in a list of values if there is no stack."""

    name: str
    type: Type
    stack: Expr | None
    values: list[Expr]
    body: list[Stmt]


@dataclass
class Break(Stmt):
    pass


@dataclass
class Continue(Stmt):
    pass


@dataclass
class Return(Stmt):
    value: Expr | None


@dataclass
class Exit(Stmt):
    pass


@dataclass
class Run(Stmt):
    """A call of an action; all of its parameters have arguments."""

    action: Action
    arguments: Arguments


@dataclass
class Apply(Stmt):
    """Applies a control or sub-parser, by the name of its instance."""

    instance: str
    callee: Control | Parser
    arguments: Arguments


@dataclass
class ApplyTable(Stmt):
    """table.apply();  then what follows a hit and what follows a miss, if there is any."""

    table: Table
    hit: list[Stmt]
    miss: list[Stmt]


@dataclass
class SwitchAction(Stmt):
    """switch (table.apply().action_run); the cases' labels are numbers of the table's actions."""

    table: Table
    cases: list[Case]


@dataclass
class Extract(Stmt):
    """packet.extract(header), or of stack.next where it is a stack."""

    target: Expr


@dataclass
class Verify(Stmt):
    condition: Expr
    error: str


@dataclass
class Advance(Stmt):
    bits: int


# Declarations


@dataclass
class Param:
    name: str
    type: Type
    direction: str
    """in, out or inout; "" for an action's data."""


@dataclass
class Function:
    name: str
    params: list[Param]
    result: Type | None
    body: list[Stmt]


@dataclass
class Action:
    name: str
    params: list[Param]
    body: list[Stmt]

    def data(self) -> list[Param]:
        return [p for p in self.params if not p.direction]

    def directed(self) -> list[Param]:
        return [p for p in self.params if p.direction]


@dataclass
class Choice:
    """An action in a table's list, with the arguments of its parameters that have a direction."""

    action: Action
    bound: list[Expr]


@dataclass
class Entry:
    keys: list[int]
    choice: int
    data: list[int]


@dataclass
class Table:
    """Exact keys, and entries that are constant. `default`: number of a choice, and its data."""

    name: str
    keys: list[Expr]
    choices: list[Choice]
    entries: list[Entry]
    default: int
    default_data: list[int]


@dataclass
class Control:
    name: str
    params: list[Param]
    instances: list[tuple[str, Control]]
    locals: list[Declare]
    actions: list[Action]
    tables: list[Table]
    body: list[Stmt]


@dataclass
class Keyset:
    """exact (value), mask (value &&& other), range (value .. other), or any."""

    kind: str
    value: int = 0
    other: int = 0


@dataclass
class SelectCase:
    keysets: list[Keyset]
    target: str


@dataclass
class State:
    """`target` after the body; with keys, a select over the cases."""

    name: str
    body: list[Stmt]
    keys: list[Expr]
    cases: list[SelectCase]
    target: str


@dataclass
class Parser:
    """A parser. Its first parameter is the packet, which is not among ``params``."""

    name: str
    params: list[Param]
    instances: list[tuple[str, Parser]]
    locals: list[Declare]
    states: list[State]


@dataclass
class Program:
    """The blocks have the parameters hdr and meta; what egress makes valid and all other headers are the result."""

    types: list[Type]
    headers: Struct
    meta: Struct
    functions: list[Function]
    parsers: list[Parser]
    controls: list[Control]
    parser: Parser
    ingress: Control
    egress: Control
    packets: list[bytes] = field(default_factory=list)


def width(type_: Type) -> int:
    """The width of a scalar, or of all fields of a header."""
    if isinstance(type_, (Bit, Int)):
        return type_.width
    if isinstance(type_, Header):
        return sum(width(f) for _, f in type_.fields)
    assert isinstance(type_, Bool)
    return 1


def is_scalar(type_: Type) -> bool:
    return isinstance(type_, (Bit, Int, Bool))


def fields(type_: Type) -> tuple[tuple[str, Type], ...]:
    """Names and types of what has named parts."""
    assert isinstance(type_, (Struct, Header, Union_))
    return type_.fields
