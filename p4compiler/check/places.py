"""What may be called and what may be instantiated where.

P4_16 specification, appendix "Restrictions on compile time and run time calls": its tables of calls and instances.
"""

from __future__ import annotations

import enum


class Place(enum.Enum):
    """Where the checker is; the value is how a message names the place."""

    TOP = "at the top level"
    PARSER = "among the declarations of a parser"
    STATE = "in a parser"
    CONTROL = "among the declarations of a control"
    APPLY = "in a control"
    ACTION = "in an action"
    FUNCTION = "in a function"
    METHOD = "in a method"


_CALLS: dict[str, frozenset[Place]] = {
    "parser": frozenset({Place.STATE}),
    "control": frozenset({Place.APPLY}),
    # The tables forbid the next two outside of the apply block and functions; p4c allows them in initial values.
    "table": frozenset({Place.APPLY, Place.CONTROL}),
    "action": frozenset({Place.APPLY, Place.ACTION}),
    "function": frozenset(Place) - {Place.TOP},
    "extern": frozenset(Place),
}

_INSTANCES: dict[str, frozenset[Place]] = {
    "package": frozenset({Place.TOP}),
    "parser": frozenset({Place.PARSER}),
    "control": frozenset({Place.CONTROL}),
    "extern": frozenset({Place.TOP, Place.PARSER, Place.CONTROL}),
}


def call_fault(what: str, name: str, place: Place) -> str | None:
    """Why a parser, control, table, action, function or extern cannot be called there; None if it can."""
    if place in _CALLS[what]:
        return None
    done = "applied" if what in ("parser", "control", "table") else "called"
    allowed = {
        "parser": "only a state of a parser",
        "control": "only the apply block of a control",
        "table": "only the apply block of its control",
        "action": "only a control or another action",
    }
    hint = f": {allowed[what]} can do that" if what in allowed else ""
    return f"{what} '{name}' cannot be {done} {place.value}{hint}"


def instance_fault(what: str, name: str, place: Place) -> str | None:
    """Why a package, parser, control or extern object cannot be made there; None if it can."""
    if place in _INSTANCES[what]:
        return None
    if what in ("parser", "control") and place is Place.TOP:
        return f"{what} '{name}' cannot be instantiated at the top level; write '{name}()' as an argument instead"
    hint = {Place.STATE: "; declare it before the states", Place.APPLY: "; declare it before 'apply'"}.get(place, "")
    return f"{what} '{name}' cannot be instantiated {place.value}{hint}"
