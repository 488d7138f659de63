"""Makes a program smaller for as long as it still does what it must not."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

from conformance.fuzz.language import tree as g
from conformance.fuzz.language.show import source

Edit = Callable[[], None]


def reduced(program: g.Program, is_bad: Callable[[g.Program], bool], seconds: float) -> g.Program:
    """The smallest program found in that time for which `is_bad` holds, as it does for this one."""
    end = time.monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        at = 0
        while time.monotonic() < end:
            candidate = copy.deepcopy(program)
            edits = list(_edits(candidate))
            if at >= len(edits):
                break
            edits[at]()
            at += 1
            if _size(candidate) < _size(program) and is_bad(candidate):
                program, smaller = candidate, True
                at -= 1
    return program


def _size(program: g.Program) -> int:
    return len(source([program]))


def _edits(program: g.Program) -> Iterator[Edit]:
    """What may be taken out, in the same order for equal programs: much first."""
    nodes = list(_nodes(program))
    lists = [one for node in nodes for one in _lists(node)]
    for removable in lists:
        size = len(removable)
        while size > 1:
            size = (size + 1) // 2
            for start in range(0, len(removable), size):
                yield lambda items=removable, i=start, n=size: _cut(items, i, n)  # type: ignore[misc]
    for removable in lists:
        for number, statement in enumerate(removable):
            yield lambda items=removable, i=number: _cut(items, i, 1)  # type: ignore[misc]
            for body in _bodies(statement):
                yield lambda items=removable, i=number, b=body: _splice(items, i, b)  # type: ignore[misc]
    for node in nodes:
        yield from _replacements(node)


def _cut(items: list[Any], start: int, count: int) -> None:
    del items[start : start + count]


def _splice(items: list[Any], number: int, body: list[g.Stmt]) -> None:
    items[number : number + 1] = body


def _nodes(node: object, seen: set[int] | None = None) -> Iterator[object]:
    """Every dataclass of the tree once."""
    seen = set() if seen is None else seen
    if isinstance(node, (list, tuple)):
        for one in node:
            yield from _nodes(one, seen)
    elif dataclasses.is_dataclass(node) and id(node) not in seen:
        seen.add(id(node))
        yield node
        for field in dataclasses.fields(node):
            yield from _nodes(getattr(node, field.name), seen)


_REMOVABLE = (g.Stmt, g.Case, g.SelectCase, g.Entry, g.Declare, g.Action, g.Table, g.Function, g.Control, g.Parser)


def _lists(node: object) -> list[list[Any]]:
    """A node's lists of things that may be missing."""
    assert dataclasses.is_dataclass(node)
    values = [getattr(node, field.name) for field in dataclasses.fields(node)]
    return [v for v in values if isinstance(v, list) and v and isinstance(v[0], (*_REMOVABLE, tuple))]


def _bodies(statement: object) -> list[list[g.Stmt]]:
    if not isinstance(statement, g.Stmt):
        return []
    found: list[list[g.Stmt]] = []
    for one in _lists(statement):
        found += [one] if isinstance(one[0], g.Stmt) else [case.body for case in one if isinstance(case, g.Case)]
    return found


def _replacements(node: object) -> Iterator[Edit]:
    """Expressions give way to a number, or to a part of theirs that has the same type."""
    assert dataclasses.is_dataclass(node)
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if isinstance(value, g.Expr):
            for other in _simpler(value):
                yield lambda name=field.name, new=other: setattr(node, name, new)  # type: ignore[misc]
        elif isinstance(value, list):
            for number, one in enumerate(value):
                if isinstance(one, g.Expr):
                    for other in _simpler(one):
                        yield lambda items=value, i=number, new=other: items.__setitem__(i, new)  # type: ignore[misc]


def _parts(expr: g.Expr) -> Iterator[g.Expr]:
    """The expressions in an expression, without the bodies of the functions that it calls."""
    for field in dataclasses.fields(expr):
        value = getattr(expr, field.name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, g.Expr):
                yield one
                yield from _parts(one)


def _simpler(expr: g.Expr) -> list[g.Expr]:
    if isinstance(expr, g.Literal):
        return []
    found: list[g.Expr] = []
    if g.is_scalar(expr.type):
        found = [g.Literal(expr.type, 0), g.Literal(expr.type, 1)]
    return found + [one for one in _parts(expr) if one.type == expr.type]
