"""Types as the checker and the passes after it know them. Structural ones compare by content, named ones by their
declaration and type arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from p4compiler.syntax import tree as s


@dataclass(frozen=True, slots=True)
class Type:
    pass


@dataclass(frozen=True, slots=True)
class Simple(Type):
    """A built-in type without parts."""

    name: str

    def __str__(self) -> str:
        return self.name


BOOL = Simple("bool")
INT = Simple("int")
STRING = Simple("string")
ERROR = Simple("error")
MATCH_KIND = Simple("match_kind")
VOID = Simple("void")
INVALID_HEADER = Simple("{#}")
DEFAULT = Simple("...")
ANYTHING = Simple("_")
# The type of what had an error; it fits everywhere, so that one mistake gives one message.
UNKNOWN = Simple("?")


@dataclass(frozen=True, slots=True)
class Bits(Type):
    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>"


@dataclass(frozen=True, slots=True)
class Varbit(Type):
    width: int

    def __str__(self) -> str:
        return f"varbit<{self.width}>"


@dataclass(frozen=True, slots=True)
class TypeVar(Type):
    declaration: s.TypeParameter

    def __str__(self) -> str:
        return self.declaration.name


@dataclass(frozen=True, slots=True)
class Struct(Type):
    """A struct, header or header union."""

    declaration: s.StructLike
    arguments: tuple[Type, ...] = ()

    @property
    def kind(self) -> str:
        return self.declaration.kind

    def __str__(self) -> str:
        return self.declaration.name + show_arguments(self.arguments)


@dataclass(frozen=True, slots=True)
class Enum(Type):
    """An enum; `underlying` is set if it is serializable."""

    declaration: s.Enum
    underlying: Type | None = None

    def __str__(self) -> str:
        return self.declaration.name


@dataclass(frozen=True, slots=True)
class NewType(Type):
    """`type base name`."""

    declaration: s.Typedef
    base: Type

    def __str__(self) -> str:
        return self.declaration.name


@dataclass(frozen=True, slots=True)
class Stack(Type):
    element: Type
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@dataclass(frozen=True, slots=True)
class Tuple(Type):
    """A tuple, and the type of a `{a, b}` expression, which alone (`written`) may stand for a struct or stack."""

    items: tuple[Type, ...]
    open_ended: bool = False
    written: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.items))}>"


@dataclass(frozen=True, slots=True)
class List(Type):
    item: Type

    def __str__(self) -> str:
        return f"list<{self.item}>"


@dataclass(frozen=True, slots=True)
class Record(Type):
    """The type of a `{a = 1, b = 2}` expression."""

    fields: tuple[tuple[str, Type], ...]
    open_ended: bool = False

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name} = {t}" for name, t in self.fields) + "}"


@dataclass(frozen=True, slots=True)
class Extern(Type):
    declaration: s.Extern
    arguments: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return self.declaration.name + show_arguments(self.arguments)


@dataclass(frozen=True, slots=True)
class Applicable(Type):
    """A parser or control."""

    declaration: s.Parser | s.Control
    arguments: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return self.declaration.name + show_arguments(self.arguments)


@dataclass(frozen=True, slots=True)
class Package(Type):
    declaration: s.Package
    arguments: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return self.declaration.name + show_arguments(self.arguments)


@dataclass(frozen=True, slots=True)
class Table(Type):
    declaration: s.Table

    def __str__(self) -> str:
        return f"table {self.declaration.name}"


@dataclass(frozen=True, slots=True)
class ApplyResult(Type):
    """What `table.apply()` gives: hit, miss, action_run."""

    declaration: s.Table

    def __str__(self) -> str:
        return f"apply_result({self.declaration.name})"


@dataclass(frozen=True, slots=True)
class ActionRun(Type):
    """The type of `table.apply().action_run`."""

    declaration: s.Table

    def __str__(self) -> str:
        return f"action_list({self.declaration.name})"


@dataclass(frozen=True, slots=True)
class Callable(Type):
    """A function, method, action or constructor, before it is called."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class MetaType(Type):
    """The type of an expression that names a type."""

    type: Type

    def __str__(self) -> str:
        return f"type {self.type}"


@dataclass(frozen=True, slots=True)
class Set(Type):
    """A keyset: range, mask or value set."""

    element: Type

    def __str__(self) -> str:
        return f"set<{self.element}>"


def show_arguments(arguments: tuple[Type, ...]) -> str:
    return f"<{', '.join(map(str, arguments))}>" if arguments else ""


Substitution = Mapping[s.TypeParameter, Type]


def substitute(type_: Type, bindings: Substitution) -> Type:
    """The type with type variables replaced by what they are bound to."""
    if not bindings or isinstance(type_, (Simple, Bits, Varbit)):
        return type_
    if isinstance(type_, TypeVar):
        found = bindings.get(type_.declaration)
        return type_ if found is None else found
    if isinstance(type_, (Struct, Extern, Applicable, Package)):
        if not type_.arguments:
            return type_
        arguments = tuple(substitute(a, bindings) for a in type_.arguments)
        return type(type_)(type_.declaration, arguments)  # type: ignore[arg-type]
    if isinstance(type_, Stack):
        return Stack(substitute(type_.element, bindings), type_.size)
    if isinstance(type_, Tuple):
        return Tuple(tuple(substitute(i, bindings) for i in type_.items), type_.open_ended, type_.written)
    if isinstance(type_, List):
        return List(substitute(type_.item, bindings))
    if isinstance(type_, Set):
        return Set(substitute(type_.element, bindings))
    if isinstance(type_, Record):
        return Record(tuple((n, substitute(t, bindings)) for n, t in type_.fields), type_.open_ended)
    if isinstance(type_, MetaType):
        return MetaType(substitute(type_.type, bindings))
    if isinstance(type_, NewType):
        return NewType(type_.declaration, substitute(type_.base, bindings))
    return type_


def bind(parameters: tuple[s.TypeParameter, ...], arguments: tuple[Type, ...]) -> dict[s.TypeParameter, Type]:
    """Type parameters with their arguments; missing ones stay open."""
    return dict(zip(parameters, arguments, strict=False))


def parts(type_: Type) -> tuple[Type, ...]:
    """The types that a type is written with: arguments, elements, items."""
    if isinstance(type_, (Struct, Extern, Applicable, Package)):
        return type_.arguments
    if isinstance(type_, (Stack, Set)):
        return (type_.element,)
    if isinstance(type_, Tuple):
        return type_.items
    if isinstance(type_, List):
        return (type_.item,)
    return ()


def variables(type_: Type) -> set[s.TypeParameter]:
    """The type parameters in a type."""
    found = {type_.declaration} if isinstance(type_, TypeVar) else set()
    return found.union(*(variables(part) for part in parts(type_)))


def mentions_variables(type_: Type) -> bool:
    """Whether a type variable is left in it."""
    return isinstance(type_, TypeVar) or any(mentions_variables(part) for part in parts(type_))


def mentions_anything(type_: Type) -> bool:
    """Whether a `_` is left in it."""
    return type_ is ANYTHING or any(mentions_anything(part) for part in parts(type_))


def strip(type_: Type) -> Type:
    """Without `type` names: what it is made of."""
    while isinstance(type_, NewType):
        type_ = type_.base
    return type_


def value_type(type_: Type) -> Type:
    """Without `type` names and serializable enums: the type whose values it has."""
    while True:
        if isinstance(type_, NewType):
            type_ = type_.base
        elif isinstance(type_, Enum) and type_.underlying is not None:
            type_ = type_.underlying
        else:
            return type_


def operand_type(type_: Type) -> Type:
    """The type by whose operations an operand is used. A `type` name does not have those of what it is made of."""
    return type_ if isinstance(type_, NewType) else value_type(type_)


def is_array(type_: Type) -> bool:
    """Whether it is `T[N]` of something other than headers and header unions: those make a stack."""
    if not isinstance(type_, Stack):
        return False
    element = strip(type_.element)
    return not isinstance(element, TypeVar) and not (isinstance(element, Struct) and element.kind != "struct")


def array_items(type_: Type) -> dict[str, Type]:
    """The elements of an array by the names that a tuple's would have."""
    assert isinstance(type_, Stack)
    return {str(i): type_.element for i in range(type_.size)}


def is_header(type_: Type) -> bool:
    return isinstance(type_, Struct) and type_.kind == "header"
