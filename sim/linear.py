"""Is a history of concurrent operations linearizable?

The search is Wing and Gong's with Lowe's memory of configurations seen ("Testing for linearizability", 2017). A
history is linearizable if each object's part of it is (Herlihy and Wing, 1990), so each key is searched alone, and
the list. An operation without an answer may have happened at any moment since it began, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

MAX_STEPS = 2_000_000
"""Configurations looked at for one object before the search gives up."""


@dataclass(slots=True)
class Operation:
    """One call. ``began`` and ``ended`` are moments on one clock without ties; ``ended`` None: no answer.

    | kind | argument | result |
    |---|---|---|
    | put | value | whether the key was there |
    | get | - | (whether the key is there, value) |
    | delete | - | whether the key was there |
    | append | value; every value is appended by one operation only | its position |
    | read_list | (start, limit) | (length of the list, values) |
    """

    kind: str
    key: Any
    argument: Any
    began: int
    ended: int | None = None
    result: Any = None
    client: str = ""

    def __str__(self) -> str:
        key = "" if self.key is None else f"{self.key!r}"
        argument = "" if self.argument is None else f"{', ' if key else ''}{self.argument!r}"
        answer = "no answer" if self.ended is None else repr(self.result)
        ended = "" if self.ended is None else self.ended
        return f"[{self.began}..{ended}] {self.client} {self.kind}({key}{argument}) -> {answer}"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Why a history is not linearizable, for people."""

    object: str
    reason: str
    around: tuple[Operation, ...]
    """The operations at which the longest possible order ends."""

    def __str__(self) -> str:
        lines = [f"{self.object}: {self.reason}", *(f"    {operation}" for operation in self.around)]
        return "\n".join(lines)


Step = Callable[[Any, Operation], tuple[bool, Hashable]]
"""(state, operation) -> (whether the operation can have had its result there, the state after it)."""


def check(history: Iterable[Operation]) -> list[Anomaly]:
    """What is wrong with a history; empty if it is linearizable."""
    registers: dict[Any, list[Operation]] = {}
    lists: list[Operation] = []
    for operation in history:
        if operation.kind in ("append", "read_list"):
            lists.append(operation)
        else:
            registers.setdefault(operation.key, []).append(operation)
    anomalies = []
    for key, operations in registers.items():
        anomalies += _search(f"key {key!r}", operations, step_register, None, _useful_for_register(operations))
    anomalies += _check_list(lists)
    return anomalies


# -- a key ------------------------------------------------------------------------------------------------------


def step_register(state: Any, operation: Operation) -> tuple[bool, Hashable]:
    """The state is None, or (value,)."""
    result, open_ended = operation.result, operation.ended is None
    if operation.kind == "put":
        return open_ended or result == (state is not None), (operation.argument,)
    if operation.kind == "delete":
        return open_ended or result == (state is not None), None
    found = (True, state[0]) if state is not None else (False, None)
    return open_ended or result == found, state


def _useful_for_register(operations: list[Operation]) -> list[Operation]:
    """Without the unanswered writes whose value nobody has read: if an order is found without them, it is one."""
    seen = {
        operation.result[1] for operation in operations if operation.kind == "get" and operation.ended is not None
    }
    return [
        operation
        for operation in operations
        if operation.ended is not None or (operation.kind == "put" and operation.argument in seen)
    ]


# -- the list ---------------------------------------------------------------------------------------------------


def _check_list(operations: list[Operation]) -> list[Anomaly]:
    """Positions fix the order of appends, so the search need not know the list, only its length."""
    at: dict[int, Any] = {}
    where: dict[Any, int] = {}
    for operation in operations:
        if operation.ended is None:
            continue
        if operation.kind == "append":
            sightings = [(operation.result, operation.argument)]
        else:
            start = operation.argument[0]
            sightings = [(start + offset, value) for offset, value in enumerate(operation.result[1])]
        for position, value in sightings:
            if at.setdefault(position, value) != value or where.setdefault(value, position) != position:
                reason = (
                    f"{value!r} stands at {position}, but {at[position]!r} at {position} and it at {where.get(value)}"
                )
                return [Anomaly("list", reason, (operation,))]
    appended = {operation.argument for operation in operations if operation.kind == "append"}
    for value, position in where.items():
        if value not in appended:
            return [Anomaly("list", f"{value!r} at {position} was never appended", ())]

    unseen = [o for o in operations if o.kind == "append" and o.ended is None and o.argument not in where]
    rank = {id(operation): number for number, operation in enumerate(sorted(unseen, key=lambda o: o.began))}

    def step(state: Any, operation: Operation) -> tuple[bool, Hashable]:
        """The state is the length, and how many of the appends that nobody has seen are in the order. One of those
        is as good as another, so they are taken as they began."""
        length, used = state
        if operation.kind == "append":
            position = where.get(operation.argument)
            if position is not None:
                return position == length, (length + 1, used)
            return length not in at and rank[id(operation)] == used, (length + 1, used + 1)
        if operation.ended is None:
            return True, state
        start, limit = operation.argument
        total, values = operation.result
        return total == length and len(values) == max(0, min(limit, length - start)), state

    useful = [operation for operation in operations if operation.ended is not None or operation.kind == "append"]
    return _search("list", operations, step, (0, 0), useful)


# -- the search -------------------------------------------------------------------------------------------------


def _search(
    name: str, operations: list[Operation], step: Step, initial: Hashable, useful: list[Operation]
) -> list[Anomaly]:
    """First with the useful operations only, which is quick; a failure counts only with all of them."""
    if len(useful) < len(operations) and not _linearize(name, useful, step, initial):
        return []
    return _linearize(name, operations, step, initial)


def _linearize(name: str, operations: list[Operation], step: Step, initial: Hashable) -> list[Anomaly]:
    count = len(operations)
    # Event 2i is the beginning of operation i, event 2i+1 its end; the last number is the head of a linked list.
    events = [(operation.began, 2 * i) for i, operation in enumerate(operations)]
    events += [(operation.ended, 2 * i + 1) for i, operation in enumerate(operations) if operation.ended is not None]
    events.sort()
    head = 2 * count
    after, before = [-1] * (head + 1), [-1] * (head + 1)
    last = head
    for _, event in events:
        after[last], before[event] = event, last
        last = event
    answered = sum(operation.ended is not None for operation in operations)
    state, done, steps = initial, 0, 0
    seen: set[tuple[int, Hashable]] = set()
    stack: list[tuple[int, Hashable]] = []
    best, best_done, best_event = -1, 0, -1
    event = after[head]
    while answered:
        if event >= 0 and event % 2 == 0:
            operation = operations[event // 2]
            possible, following = step(state, operation)
            if possible:
                configuration = (done | 1 << (event // 2), following)
                steps += 1
                if configuration not in seen:
                    seen.add(configuration)
                    stack.append((event, state))
                    done, state = configuration
                    answered -= operation.ended is not None
                    _unlink(event, after, before)
                    if operation.ended is not None:
                        _unlink(event + 1, after, before)
                    event = after[head]
                    continue
            if steps > MAX_STEPS:
                return [Anomaly(name, f"no verdict after {steps} configurations of {count} operations", ())]
            event = after[event]
            continue
        # The end of an operation that is not in the order yet (or the end of the history): go back.
        if len(stack) > best:
            best, best_done, best_event = len(stack), done, event
        if not stack:
            return [_describe(name, operations, best_done, best_event)]
        event, state = stack.pop()
        done &= ~(1 << (event // 2))
        if operations[event // 2].ended is not None:
            answered += 1
            _relink(event + 1, after, before)
        _relink(event, after, before)
        event = after[event]
    return []


def _unlink(event: int, after: list[int], before: list[int]) -> None:
    after[before[event]] = after[event]
    if after[event] >= 0:
        before[after[event]] = before[event]


def _relink(event: int, after: list[int], before: list[int]) -> None:
    after[before[event]] = event
    if after[event] >= 0:
        before[after[event]] = event


def _describe(name: str, operations: list[Operation], done: int, event: int) -> Anomaly:
    stuck = operations[event // 2] if event >= 0 else operations[-1]
    until = stuck.ended if stuck.ended is not None else stuck.began
    around = [
        operation
        for operation in operations
        if operation.began <= until and (operation.ended is None or operation.ended >= stuck.began)
    ]
    ordered = sorted(
        (operation for i, operation in enumerate(operations) if done >> i & 1 and operation not in around),
        key=lambda operation: operation.began,
    )
    chosen = sorted({id(o): o for o in (*ordered[-6:], *around)}.values(), key=lambda operation: operation.began)
    return Anomaly(name, f"no order explains {stuck}; before and around it:", tuple(chosen[:24]))
