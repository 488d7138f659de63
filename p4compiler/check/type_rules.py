"""Which types may stand where: in a header, a struct, a parameter, a `type` declaration, a select and so on.

P4_16 specification: section "Type nesting rules" and the appendix "Restrictions on compile time and run time calls".
"""

from __future__ import annotations

from collections.abc import Mapping

from p4compiler import types as t
from p4compiler.syntax import tree as s

FieldTypes = Mapping[str, t.Type]

# What may be a member of what. `open` stands for a type parameter: what it becomes is checked then.
_VALUES = frozenset(
    {"sized", "varbit", "error", "bool", "enum", "header", "array", "stack", "union", "struct", "tuple"}
)
_MEMBERS: dict[str, frozenset[str]] = {
    "header": frozenset({"sized", "varbit", "bool", "array", "struct"}),
    "header_union": frozenset({"header"}),
    "struct": _VALUES,
    # The specification's table has no int, string and match_kind here; p4c takes them, for lists and annotations.
    "tuple": _VALUES | {"int", "string", "match_kind"},
    "list": (_VALUES - {"array"}) | {"int", "string", "match_kind", "list"},
    "stack": frozenset({"header", "union"}),
    "array": frozenset({"sized", "varbit", "error", "bool", "enum", "array", "struct", "extern"}),
}

PLAIN = frozenset({"sized", "bool", "enum", "error"})
"""What can be a key of select, a label of switch, an element of a value set."""


def kind(type_: t.Type) -> str:
    """The row of the specification's tables that a type belongs to."""
    plain = t.strip(type_)
    if isinstance(plain, t.Bits):
        return "sized"
    if isinstance(plain, t.Simple):
        return "open" if plain is t.UNKNOWN else plain.name
    if isinstance(plain, t.Struct):
        return {"header_union": "union"}.get(plain.kind, plain.kind)
    if isinstance(plain, t.Stack):
        return "array" if t.is_array(plain) else "stack"
    if isinstance(plain, t.Enum):
        return "sized" if plain.underlying is not None else "enum"
    if isinstance(plain, t.Applicable):
        return "parser" if isinstance(plain.declaration, s.Parser) else "control"
    if isinstance(plain, t.Tuple):
        return "tuple"
    names = {t.Varbit: "varbit", t.TypeVar: "open", t.List: "list", t.Extern: "extern", t.Package: "package"}
    return names.get(type(plain), "none")


def may_hold(container: str, member: t.Type) -> bool:
    """Whether a header, header_union, struct, tuple, list, stack or array may have a member of the type."""
    found = kind(member)
    return found == "open" or found in _MEMBERS[container]


def fits_in_header(fields: FieldTypes) -> bool:
    """Whether a struct with these fields may be a field of a header: it is made of sized values."""
    return all(kind(f) in ("sized", "bool", "open", "struct", "array") for f in fields.values())


def may_be_named(type_: t.Type, distinct: bool) -> bool:
    """Whether `typedef`, or with `distinct` `type`, may give the type a name."""
    if distinct:
        return kind(type_) in ("sized", "bool", "open") and not isinstance(t.strip(type_), t.Enum)
    return kind(type_) not in ("void", "match_kind")


def parameter_fault(type_: t.Type, direction: str, of: str) -> str | None:
    """Why a parser, control, extern, action or function may not have such a run-time parameter; None if it may."""
    found = kind(type_)
    if found in ("parser", "control", "package", "none") and not (found == "none" and type_ is t.ANYTHING):
        return f"a run-time parameter cannot be a {type_}; pass it to the constructor"
    if found == "extern":
        if direction:
            return f"a parameter of type {type_} has no direction"
        if of == "action":
            return (
                f"an action cannot have a parameter of the extern type {type_}; use the object itself in the action"
            )
    if found == "void":
        return "a parameter has a type other than void"
    if found in ("int", "string", "match_kind", "list"):
        if direction and found != "match_kind":
            return f"a parameter of type {type_} has no direction: its values exist at compile time only"
        if of == "action":
            return f"an action's parameter has a width, unlike {type_}; write bit<N>"
    return None


# Rows: what is passed to a constructor; columns: to whose.
_CONSTRUCTOR = {
    "package": frozenset({"package"}),
    "parser": frozenset({"package", "parser"}),
    "control": frozenset({"package", "control"}),
}


def constructor_parameter_fault(type_: t.Type, of: str) -> str | None:
    """Why the constructor of a package, parser, control or extern may not have the parameter; None if it may."""
    found = kind(type_)
    if found in _CONSTRUCTOR and of not in _CONSTRUCTOR[found]:
        return f"a {of} cannot be given a {found} when it is made"
    plain = t.strip(type_)
    if isinstance(plain, t.Applicable):
        declaration = plain.declaration
        body = declaration.states if isinstance(declaration, s.Parser) else declaration.body
        if body is not None:
            return (
                f"'{declaration.name}' is a {found}, not the type of one; declare '{found} NAME(...);' and use that"
            )
    return None


def selectable(type_: t.Type) -> bool:
    """Whether a value may be a key of select (section "Select expressions")."""
    plain = t.strip(type_)
    if isinstance(plain, t.Tuple):
        return all(selectable(i) for i in plain.items)
    return kind(plain) in (*PLAIN, "open", "int")
