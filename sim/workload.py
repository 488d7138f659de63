"""What clients ask for, and the history of it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from hosts import values
from hosts.calls import Call
from hosts.requests import Operation as Asked
from hosts.requests import Outcome
from sim.client import Client, surely_not_carried_out
from sim.linear import Operation

if TYPE_CHECKING:
    from sim.world import World

KEYS = ("a", "b", "c", "d", "e")
LARGE_BYTES = (2_000, 5_000, 20_000)


class History:
    """Operations of one group in the order in which they began. Moments are counted, so that no two are the same."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._moment = 0

    def begin(self, client: str, kind: str, key: Any, argument: Any) -> Operation:
        self._moment += 1
        operation = Operation(kind, key, argument, self._moment, client=client)
        self.operations.append(operation)
        return operation

    def end(self, operation: Operation, result: Any) -> None:
        self._moment += 1
        operation.ended, operation.result = self._moment, result

    def cancel(self, operation: Operation) -> None:
        """It surely never happened."""
        self.operations.remove(operation)


class Worker:
    """A client that asks one thing after the other, up to ``width`` at a time, and thinks in between: ``think_us`` on
    the average."""

    def __init__(self, world: World, client: Client, history: History, width: int, think_us: int) -> None:
        self.world = world
        self.client = client
        self.history = history
        self._random = Random(f"workload/{world.plan.seed}/{client.name}")
        self._values = 0
        self._think_us = think_us
        for _ in range(width):
            self._think()

    def _think(self) -> None:
        self.world.events.after(1 + round(self._random.expovariate(1) * self._think_us), self._ask)

    def _ask(self) -> None:
        if self.world.quiet:
            return
        self.world.counts["operations"] += 1
        random = self._random
        kind = random.choices(("append", "put", "get", "delete", "read_list"), (30, 22, 26, 6, 16))[0]
        key = random.choice(KEYS)
        if kind == "append":
            value = self._value()
            self._submit(kind, None, value, Asked.APPEND, value=values.encode(value))
        elif kind == "put":
            value = self._value()
            self._submit(kind, key, value, Asked.PUT, key=values.encode(key), value=values.encode(value))
        elif kind == "get":
            self._submit(kind, key, None, Asked.GET, key=values.encode(key))
        elif kind == "delete":
            self._submit(kind, key, None, Asked.DELETE, key=values.encode(key))
        else:
            length = self.world.list_length[self.client.group]
            start = random.choice((0, max(0, length - 5), length))
            limit = random.choice((5, 50))
            self._submit(kind, None, (start, limit), Asked.READ_LIST, start=start, limit=limit)

    def _value(self) -> str:
        self._values += 1
        text = f"{self.client.name}.{self._values}"
        if self._random.random() < self.world.plan.large_values:
            text += "." * self._random.choice(LARGE_BYTES)
        return text

    def _submit(self, kind: str, key: Any, argument: Any, asked: Asked, /, **operands: Any) -> None:
        operation = self.history.begin(self.client.name, kind, key, argument)
        patience = self.world.plan.patience_s

        def done(call: Call) -> None:
            self._done(operation, call)

        self.client.submit(asked, patience, done, **operands)

    def _done(self, operation: Operation, call: Call) -> None:
        reply = call.reply
        if reply is None:
            self.world.counts["unanswered"] += 1
        elif reply.outcome is Outcome.UNKNOWN_SESSION:
            if surely_not_carried_out(call):
                self.history.cancel(operation)
        else:
            result = values.decode(reply.body)
            if isinstance(result, list):
                result = (result[0], result[1])
            self.history.end(operation, result)
            self.world.counts["answered"] += 1
            if operation.kind == "append":
                length = self.world.list_length
                length[self.client.group] = max(length[self.client.group], result + 1)
        self._think()
