"""What clients ask for, and the history of it."""

from __future__ import annotations

from random import Random
from typing import Any

from hosts.client.calls import Call
from hosts.service import values
from hosts.service.requests import Operation as Asked
from linearizability.linear import Operation
from sim.client import Client
from sim.scene import Scene

KEYS = ("a", "b", "c", "d", "e")
LARGE_BYTES = (2_000, 5_000, 20_000)
HUGE_BYTES = 1 << 20
BURSTS = (1, 1, 1, 1, 4)
"""Operations that begin together: those that are small share datagrams."""


AGES_MS = (0, 20, 50, 100, 200, 500, 1000, 3000)
"""How old a read may be."""

HOARDS = 64
"""Keys of a hoarder: of many unanswered writes of one key the checker could say nothing."""


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


class Burst:
    """Operations that began together; ``open`` are not done yet."""

    def __init__(self, size: int) -> None:
        self.size = self.open = size


class Worker:
    """A client that asks, up to ``width`` times at a time, for one thing or a burst of them, and thinks in between:
    ``think_us`` for each thing, on the average."""

    counted = "operations"

    def __init__(self, scene: Scene, client: Client, history: History, width: int, think_us: int) -> None:
        self._scene = scene
        self.client = client
        self.history = history
        self._random = Random(f"workload/{scene.plan.seed}/{client.name}")
        self._ages = Random(f"ages/{scene.plan.seed}/{client.name}")
        self._sizes = Random(f"sizes/{scene.plan.seed}/{client.name}")
        self._values = 0
        self._think_us = think_us
        for _ in range(width):
            self._think(1)

    def _think(self, things: int) -> None:
        self._scene.events.after(1 + round(things * self._random.expovariate(1) * self._think_us), self._begin)

    def _begin(self) -> None:
        if not self._scene.quiet:
            burst = Burst(self._random.choice(BURSTS))
            for _ in range(burst.size):
                self._ask(burst)

    def _ask(self, burst: Burst) -> None:
        self._scene.counts[self.counted] += 1
        self._ask_for_something(burst)

    def _ask_for_something(self, burst: Burst) -> None:
        random = self._random
        kind = random.choices(("append", "put", "get", "delete", "read_list"), (30, 22, 26, 6, 16))[0]
        key = random.choice(KEYS)
        if kind == "append":
            value = self._value()
            self._submit(burst, kind, None, value, Asked.APPEND, value=values.encode(value))
        elif kind == "put":
            value = self._value() + self._padding()
            self._submit(burst, kind, key, value, Asked.PUT, key=values.encode(key), value=values.encode(value))
        elif kind == "get" and self._ages.random() < self._scene.plan.stale_reads:
            self._read_stale(burst, key, self._ages.choice(AGES_MS))
        elif kind == "get":
            self._submit(burst, kind, key, None, Asked.GET, key=values.encode(key))
        elif kind == "delete":
            self._submit(burst, kind, key, None, Asked.DELETE, key=values.encode(key))
        else:
            length = self._scene.list_length[self.client.group]
            start = random.choice((0, max(0, length - 5), length))
            limit = random.choice((5, 50))
            self._submit(burst, kind, None, (start, limit), Asked.READ_LIST, start=start, limit=limit)

    def _value(self) -> str:
        self._values += 1
        text = f"{self.client.name}.{self._values}"
        if self._random.random() < self._scene.plan.large_values:
            text += "." * self._random.choice(LARGE_BYTES)
        return text

    def _padding(self) -> str:
        """Of what is not read by lists: an answer holds no more of them than a MiB."""
        if self._sizes.random() >= self._scene.plan.huge_values:
            return ""
        self._scene.counts["values of a MiB"] += 1
        return "." * HUGE_BYTES

    def _submit(self, burst: Burst, kind: str, key: Any, argument: Any, asked: Asked, /, **operands: Any) -> None:
        operation = self.history.begin(self.client.name, kind, key, argument)
        patience = self._scene.plan.patience_s

        def done(call: Call) -> None:
            self._done(burst, operation, call)

        self.client.submit(asked, patience, done, **operands)

    def _read_stale(self, burst: Burst, key: str, age_ms: int) -> None:
        """Its answer is judged by its age, and no part of the history."""
        scene, watch, asked = self._scene, self._scene.watches[self.client.group], self._scene.events.now
        encoded = values.encode(key)

        def done(call: Call) -> None:
            if call.reply is None:
                scene.counts["unanswered"] += 1
            else:
                scene.counts["stale reads"] += 1
                index = call.reply.index
                scene.counts["stale reads of what was not current any more"] += watch.ages.was_over(index, asked)
                # By the clock of who answers.
                age_us = age_ms * scene.plan.tick_us[call.served_by] // 10
                watch.ages.read(self.client.name, index, encoded, call.value, asked - age_us)
            self._is_over(burst)

        self.client.submit(Asked.GET_STALE, scene.plan.patience_s, done, key=encoded, age_ms=age_ms)

    def _done(self, burst: Burst, operation: Operation, call: Call) -> None:
        if call.reply is None:
            self._scene.counts["unanswered"] += 1
        else:
            result = call.value
            if isinstance(result, list):
                result = (result[0], result[1])
            self.history.end(operation, result)
            if operation.kind == "append":
                length = self._scene.list_length
                length[self.client.group] = max(length[self.client.group], result + 1)
        self._is_over(burst)

    def _is_over(self, burst: Burst) -> None:
        burst.open -= 1
        if not burst.open:
            self._think(burst.size)


class Eager(Worker):
    """A client that asks without end for some time."""

    counted = "requests of eager clients"

    def __init__(self, scene: Scene, client: Client, history: History, width: int, until_us: int) -> None:
        self._until_us = until_us
        super().__init__(scene, client, history, width, 500)

    def _begin(self) -> None:
        if self._scene.events.now < self._until_us:
            super()._begin()

    def _ask_for_something(self, burst: Burst) -> None:
        value = self._value()
        key = f"eager {self._values}"
        self._submit(burst, "put", key, value, Asked.PUT, key=values.encode(key), value=values.encode(value))


class Hoard(Worker):
    """A client that does nothing but write, what nobody reads."""

    counted = "writes of hoarders"

    def _ask_for_something(self, burst: Burst) -> None:
        value = self._value()
        key = f"hoard {self._values % HOARDS}"
        self._submit(burst, "put", key, value, Asked.PUT, key=values.encode(key), value=values.encode(value))
