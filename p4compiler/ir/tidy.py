"""Clean-up of statement lists: what never runs goes, and labels that nobody jumps to are dissolved."""

from __future__ import annotations

from p4compiler.ir import nodes as ir


def tidy(statements: list[ir.Stmt]) -> list[ir.Stmt]:
    """An equivalent, flatter list."""
    result: list[ir.Stmt] = []
    for statement in statements:
        result += _tidy(statement)
        if result and isinstance(result[-1], (ir.Leave, ir.Exit)):
            break
    return result


def _tidy(statement: ir.Stmt) -> list[ir.Stmt]:
    if isinstance(statement, ir.Labelled):
        body = tidy(statement.body)
        if body and isinstance(body[-1], ir.Leave) and body[-1].label == statement.label:
            body.pop()
        # A loop keeps its label, by which the target's writer knows it.
        if not leaves(body, statement.label) and not any(isinstance(inner, ir.Loop) for inner in body):
            return body
        return [ir.Labelled(statement.loc, statement.label, body)]
    if isinstance(statement, ir.If):
        then, otherwise = tidy(statement.then), tidy(statement.otherwise)
        if not then and not otherwise:
            return []
        return [ir.If(statement.loc, statement.condition, then, otherwise)]
    if isinstance(statement, ir.Loop):
        return [ir.Loop(statement.loc, tidy(statement.body))]
    if isinstance(statement, ir.Apply):
        for action in statement.table.actions:
            action.body[:] = tidy(action.body)
        by_action = None
        if statement.by_action is not None:
            # Labels that share a body go on sharing it.
            done: dict[int, list[ir.Stmt]] = {}
            by_action = {n: done.setdefault(id(b), tidy(b)) for n, b in statement.by_action.items()}
        return [ir.Apply(statement.loc, statement.table, tidy(statement.hit), tidy(statement.miss), by_action)]
    if isinstance(statement, ir.DirectAction):
        statement.action.body[:] = tidy(statement.action.body)
        # An exit in the action ends the control too, but the target sees to that.
        return [statement]
    return [statement]


def leaves(statements: list[ir.Stmt], label: int) -> bool:
    """Whether a Leave for the label is in there."""
    for statement in statements:
        if isinstance(statement, ir.Leave):
            if statement.label == label:
                return True
        elif isinstance(statement, (ir.Labelled, ir.Loop)):
            if leaves(statement.body, label):
                return True
        elif isinstance(statement, ir.If):
            if leaves(statement.then, label) or leaves(statement.otherwise, label):
                return True
        elif isinstance(statement, ir.Apply):
            bodies = [statement.hit, statement.miss, *(statement.by_action or {}).values()]
            if any(leaves(body, label) for body in bodies):
                return True
    return False
