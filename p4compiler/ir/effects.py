"""What statements write and expressions read, coarsely: enough to keep evaluation in order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from p4compiler.ir import fold
from p4compiler.ir import nodes as ir

# (root of the owner's name, field); field None means the whole of it.
Place = tuple[str, str | None]


def root(name: str) -> str:
    """Elements of a stack and members of a union count as their stack or union."""
    return re.split(r"[.\[]", name, maxsplit=1)[0]


def owner_root(place: object) -> str:
    if isinstance(place, ir.Header):
        return root(place.name)
    if isinstance(place, (ir.Element, ir.Edge)):
        return root(place.stack.name)
    if isinstance(place, ir.Member):
        return owner_root(place.union)
    if isinstance(place, ir.UnionPlace):
        return root(place.name) if place.name else owner_root(place.of)
    assert isinstance(place, ir.StackPlace)
    return root(place.name)


def places(value: object) -> set[Place]:
    """The storage that a value stands for."""
    if isinstance(value, ir.Scalar):
        return {(owner_root(value.owner), value.field)}
    if isinstance(value, ir.Bitfield):
        return places(value.scalar)
    if isinstance(value, (ir.Header, ir.Element, ir.Edge, ir.Member, ir.StackPlace, ir.UnionPlace)):
        return {(owner_root(value), None)}
    if isinstance(value, (ir.StructPlace, ir.Aggregate)):
        return {p for part in value.fields.values() for p in places(part)}
    return set()


def reads(value: object) -> set[Place]:
    """The storage that evaluating a value looks at."""
    if isinstance(value, ir.Expr):
        found = places(value)
        if isinstance(value, ir.Valid):
            found = {(owner_root(value.header), None)}
        elif isinstance(value, (ir.LastIndex, ir.HasLast)):
            found = {(owner_root(value.stack), None)}
        for child in fold.children(value):
            found |= reads(child)
        return found
    if isinstance(value, (ir.StructPlace, ir.Aggregate)):
        return {p for part in value.fields.values() for p in reads(part)}
    found = places(value)
    for index in fold.place_indexes(value):
        found |= reads(index)
    return found


def indexes(place: object) -> list[ir.Expr]:
    """Index expressions in a place to be written."""
    if isinstance(place, ir.Bitfield):
        return indexes(place.scalar)
    if isinstance(place, ir.Scalar):
        return indexes(place.owner)
    if isinstance(place, ir.StructPlace):
        return [index for part in place.fields.values() for index in indexes(part)][:1]
    return list(fold.place_indexes(place))


def overlap(first: Iterable[Place], second: Iterable[Place]) -> bool:
    by_root: dict[str, set[str | None]] = {}
    for name, field in second:
        by_root.setdefault(name, set()).add(field)
    for name, field in first:
        fields = by_root.get(name)
        if fields and (field is None or None in fields or field in fields):
            return True
    return False


def writes(statements: Iterable[ir.Stmt]) -> set[Place]:
    """The storage that statements may change."""
    found: set[Place] = set()
    for statement in statements:
        for target in _targets(statement):
            found |= places(target)
        for body in bodies(statement, into_actions=True):
            found |= writes(body)
    return found


def _targets(statement: ir.Stmt) -> Iterable[ir.Value]:
    """What the statement itself writes, without those inside of it."""
    if isinstance(statement, (ir.Assign, ir.Copy)):
        return (statement.target,)
    if isinstance(statement, ir.SetValid):
        return (statement.header,)
    if isinstance(statement, ir.Shift):
        return (statement.stack,)
    return statement.arguments if isinstance(statement, ir.Call) else ()


def bodies(statement: ir.Stmt, into_actions: bool) -> list[list[ir.Stmt]]:
    """The lists of statements inside of one; with `into_actions` also the bodies of actions that it may run."""
    if isinstance(statement, ir.If):
        return [statement.then, statement.otherwise]
    if isinstance(statement, (ir.Labelled, ir.Loop)):
        return [statement.body]
    if isinstance(statement, ir.Apply):
        actions = [action.body for action in statement.table.actions] if into_actions else []
        return [statement.hit, statement.miss, *(statement.by_action or {}).values(), *actions]
    if isinstance(statement, ir.DirectAction):
        return [statement.action.body] if into_actions else []
    return [state.body for state in statement.states.values()] if isinstance(statement, ir.ParserCall) else []
