"""Is a history of concurrent operations linearizable?

A history is linearizable if each object's part of it is (Herlihy and Wing, 1990), so each key is looked at alone, and
the list. An operation without an answer may have happened at any moment since it began, or never.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from linearizability import register
from linearizability.operations import MAX_SHOWN, Anomaly, Operation

__all__ = ["Anomaly", "Operation", "check"]


def check(history: Iterable[Operation]) -> list[Anomaly]:
    """What is wrong with a history; empty if it is linearizable."""
    keys: dict[Any, list[Operation]] = {}
    lists: list[Operation] = []
    for operation in history:
        if operation.kind in ("append", "read_list"):
            lists.append(operation)
        else:
            keys.setdefault(operation.key, []).append(operation)
    anomalies = []
    for key, operations in keys.items():
        anomalies += register.check(key, operations)
    return anomalies + _check_list(lists)


def _check_list(operations: list[Operation]) -> list[Anomaly]:
    """Every answer says how long the list was: that is the order. Each operation is put at the earliest moment that
    the order allows, and that must lie within it."""
    at: dict[int, Any] = {}
    where: dict[Any, int] = {}
    for operation in operations:
        for position, value in _sightings(operation):
            if at.setdefault(position, value) != value or where.setdefault(value, position) != position:
                reason = (
                    f"{value!r} stands at {position}, but {at[position]!r} at {position} and it at {where.get(value)}"
                )
                return [Anomaly("list", reason, (operation,))]
    appends = {operation.argument: operation for operation in operations if operation.kind == "append"}
    reads: dict[int, list[Operation]] = {}
    for operation in operations:
        if operation.kind == "read_list" and operation.ended is not None:
            start, limit = operation.argument
            total, values = operation.result
            if total < 0 or len(values) != max(0, min(limit, total - start)):
                return [Anomaly("list", f"a list of {total} gave a wrong number of values", (operation,))]
            reads.setdefault(total, []).append(operation)
    for value, position in where.items():
        if value not in appends:
            return [Anomaly("list", f"{value!r} at {position} was never appended", ())]

    # One append that nobody has seen is as good as another, so they fill the holes as they began.
    unseen = sorted(
        (one for one in appends.values() if one.ended is None and one.argument not in where),
        key=_began,
        reverse=True,
    )
    latest: Operation | None = None
    longest = max((*reads, *(position + 1 for position in at)), default=0)
    for length in range(longest + 1):
        present = sorted(reads.get(length, ()), key=_began)
        if length < longest and length not in at and not unseen:
            return [Anomaly("list", f"nobody can have appended what stands at {length}", tuple(present))]
        append = None if length == longest else appends[at[length]] if length in at else unseen.pop()
        for read in present:
            if latest is not None and _before(read, latest):
                return [_out_of_order(read, latest, operations)]
        latest = max(filter(None, (latest, *present[-1:])), key=_began, default=None)
        if append is not None:
            if latest is not None and _before(append, latest):
                return [_out_of_order(append, latest, operations)]
            latest = max(filter(None, (latest, append)), key=_began)
    return []


def _began(operation: Operation) -> int:
    return operation.began


def _before(operation: Operation, latest: Operation) -> bool:
    """Whether it was over when ``latest`` began, which the order has earlier."""
    return operation.ended is not None and operation.ended < latest.began


def _sightings(operation: Operation) -> list[tuple[int, Any]]:
    """(position, value) of what an answer shows of the list."""
    if operation.ended is None:
        return []
    if operation.kind == "append":
        return [(operation.result, operation.argument)]
    start = operation.argument[0]
    return [(start + offset, value) for offset, value in enumerate(operation.result[1])]


def _out_of_order(early: Operation, late: Operation, operations: list[Operation]) -> Anomaly:
    chosen = {id(one): one for one in (early, late)}
    for one in operations:
        if len(chosen) < MAX_SHOWN and one.began <= late.began and (one.ended is None or one.ended >= early.began):
            chosen[id(one)] = one
    around = tuple(sorted(chosen.values(), key=lambda one: one.began))
    return Anomaly("list", f"{early} ended before {late} began, but saw the list as it was after that", around)
