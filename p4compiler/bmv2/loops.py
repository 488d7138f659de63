"""Loops of a control, made so that each is left at its own end only.

A loop becomes part of one action, and an action cannot choose what comes after it. So where a loop is left for
somewhere farther out (by `return`), it notes where in a variable, and conditions behind the loop go there.
"""

from __future__ import annotations

from collections.abc import Callable

from p4compiler import types as t
from p4compiler.elaborate.storage import Storage
from p4compiler.ir import fold
from p4compiler.ir import nodes as ir

_WAY = t.Bits(8)


def close_loops(statements: list[ir.Stmt], storage: Storage) -> list[ir.Stmt]:
    """The statements of a control, with every loop that is not inside another one closed."""
    result: list[ir.Stmt] = []
    for statement in statements:
        if isinstance(statement, ir.Labelled) and is_loop(statement):
            result += _closed(statement, storage)
        else:
            result.append(_mapped(statement, lambda body: close_loops(body, storage)))
    return result


def is_loop(statement: ir.Labelled) -> bool:
    """Whether it is a loop with the label at its end."""
    return any(isinstance(inner, ir.Loop) for inner in statement.body)


def _closed(loop: ir.Labelled, storage: Storage) -> list[ir.Stmt]:
    labels = sorted(_left_for(loop))
    if not labels:
        return [loop]
    way = storage.allocate("way", _WAY)
    assert isinstance(way, ir.Scalar)

    def noted(statements: list[ir.Stmt]) -> list[ir.Stmt]:
        found: list[ir.Stmt] = []
        for one in statements:
            if isinstance(one, ir.Leave) and one.label in labels:
                number = ir.Const(_WAY, labels.index(one.label) + 1)
                found += [ir.Assign(one.loc, way, number), ir.Leave(one.loc, loop.label)]
            else:
                found.append(_mapped(one, noted))
        return found

    after: list[ir.Stmt] = []
    for number, label in enumerate(labels, 1):
        condition = fold.binary("==", way, ir.Const(_WAY, number))
        after.append(ir.If(loop.loc, condition, [ir.Leave(loop.loc, label)], []))
    body = ir.Labelled(loop.loc, loop.label, noted(loop.body))
    return [ir.Assign(loop.loc, way, ir.Const(_WAY, 0)), body, *after]


def _left_for(statement: ir.Stmt) -> set[int]:
    """The labels outside of a statement to which it goes."""
    if isinstance(statement, ir.Leave):
        return {statement.label}
    found = {label for body in bodies(statement) for inner in body for label in _left_for(inner)}
    return found - {statement.label} if isinstance(statement, ir.Labelled) else found


def bodies(statement: ir.Stmt) -> list[list[ir.Stmt]]:
    """The lists of statements in a statement."""
    if isinstance(statement, ir.If):
        return [statement.then, statement.otherwise]
    if isinstance(statement, (ir.Labelled, ir.Loop)):
        return [statement.body]
    if isinstance(statement, ir.Apply):
        return [statement.hit, statement.miss, *(statement.by_action or {}).values()]
    return []


def _mapped(statement: ir.Stmt, change: Callable[[list[ir.Stmt]], list[ir.Stmt]]) -> ir.Stmt:
    """The statement with its inner lists changed; those of an Apply that labels share stay shared."""
    if isinstance(statement, ir.If):
        return ir.If(statement.loc, statement.condition, change(statement.then), change(statement.otherwise))
    if isinstance(statement, ir.Labelled):
        return ir.Labelled(statement.loc, statement.label, change(statement.body))
    if isinstance(statement, ir.Loop):
        return ir.Loop(statement.loc, change(statement.body))
    if isinstance(statement, ir.Apply):
        hit, miss, by_action = change(statement.hit), change(statement.miss), None
        if statement.by_action is not None:
            done = {id(body): change(body) for body in statement.by_action.values()}
            by_action = {name: done[id(body)] for name, body in statement.by_action.items()}
        return ir.Apply(statement.loc, statement.table, hit, miss, by_action)
    return statement
