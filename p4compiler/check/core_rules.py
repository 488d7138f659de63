"""What the functions of core.p4 ask of their arguments beyond their declarations.

P4_16 specification: sections "Data extraction", "Lookahead", "Verification" and "Static assertions".
"""

from __future__ import annotations

from collections.abc import Callable

from p4compiler import types as t
from p4compiler.check.facts import CallFact, CallKind
from p4compiler.check.places import Place
from p4compiler.syntax import tree as s

FieldsOf = Callable[[t.Struct], dict[str, t.Type]]


def core_fault(extern: str | None, fact: CallFact, place: Place, fields_of: FieldsOf) -> str | None:
    """Why a call of a method of `extern`, or of a function (None), is not allowed; None if it is."""
    if extern == "packet_in" and fact.name in ("extract", "lookahead") and len(fact.bindings) == 1:
        type_ = t.strip(next(iter(fact.bindings.values())))
        if isinstance(type_, t.TypeVar) or type_ in (t.UNKNOWN, t.ANYTHING):
            return None
        if fact.name == "lookahead":
            return _lookahead(type_, fields_of)
        return _extract(type_, len(fact.parameters), fields_of)
    in_control = place in (Place.APPLY, Place.CONTROL, Place.ACTION)
    if fact.kind is CallKind.FUNCTION and fact.name == "verify" and _is_extern(fact.declaration) and in_control:
        return f"verify cannot be called {place.value}: it ends parsing; use if and mark the packet instead"
    return None


def _is_extern(declaration: s.Declaration | None) -> bool:
    return isinstance(declaration, s.Function) and declaration.body is None


def _extract(type_: t.Type, arguments: int, fields_of: FieldsOf) -> str | None:
    if not isinstance(type_, t.Struct) or type_.kind != "header":
        return f"a packet is extracted into a header, not a {type_}"
    varbits = sum(isinstance(t.strip(f), t.Varbit) for f in fields_of(type_).values())
    if arguments == 1 and varbits:
        return f"{type_} has a varbit field: extract needs a second argument, the size of that field in bits"
    if arguments == 2 and varbits != 1:
        return f"extract with a size is for a header with one varbit field; {type_} has {varbits or 'none'}"
    return None


def _lookahead(type_: t.Type, fields_of: FieldsOf) -> str | None:
    return None if _is_fixed(type_, fields_of) else f"lookahead needs a type of fixed width, not {type_}"


def _is_fixed(type_: t.Type, fields_of: FieldsOf) -> bool:
    plain = t.value_type(type_)
    if isinstance(plain, t.Struct):
        return plain.kind != "header_union" and all(_is_fixed(f, fields_of) for f in fields_of(plain).values())
    if isinstance(plain, t.Tuple):
        return all(_is_fixed(i, fields_of) for i in plain.items)
    if isinstance(plain, t.Stack):
        return _is_fixed(plain.element, fields_of)
    return isinstance(plain, (t.Bits, t.TypeVar)) or plain in (t.BOOL, t.UNKNOWN)
