"""Is the history of one key linearizable?

Time is gone through once, with all configurations that the answers so far allow: what the key may hold, and which of
the running operations have happened then. An operation happens no earlier than the end of one makes necessary
(Lowe, "Testing for linearizability", 2017). Two things keep configurations few. A value that only one put has written
is gone for good with the next write, so none may come before all who read it (Gibbons and Korach, "Testing shared
memories", 1997). And what has no answer happens only where the next operation can tell.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from linearizability.operations import MAX_SHOWN, Anomaly, Operation

MAX_CONFIGURATIONS = 200_000
"""At one moment; with more, there is no verdict."""

Held = tuple[Any] | None
"""What the key holds: None for nothing."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What may be so at some moment."""

    held: Held = None
    happened: int = 0
    """Which of the running operations, as a set of bits by their slots."""
    puts: int = 0
    """How many unanswered puts that nobody has read have happened: those that began first."""
    deletes: int = 0
    """How many unanswered deletes have happened: those that began first."""
    unobserved: bool = False
    """Whether the last that happened is an unanswered write that nothing has observed yet."""
    before: Held = None
    """What the key held before that one."""


START = Configuration()


def check(key: Any, operations: list[Operation]) -> list[Anomaly]:
    """What is wrong with the puts, gets and deletes of a key."""
    return _Sweep(f"key {key!r}", operations).run()


class _Sweep:
    """Goes from event to event. Event 2i is the beginning of operation i, event 2i+1 its end, if it is answered."""

    def __init__(self, name: str, operations: list[Operation]) -> None:
        self._name = name
        self._operations = operations
        written = Counter(one.argument for one in operations if one.kind == "put")
        reads = [one.result[1] for one in operations if one.kind == "get" and one.ended is not None and one.result[0]]
        self._read = set(reads)
        self._readers = Counter(value for value in reads if written[value] == 1)
        """How many reads have not begun yet, for each value that was written once."""
        self._slots: dict[int, Operation] = {}
        """What runs, by a bit of its own. An unanswered write that is not counted below runs for ever."""
        self._puts = self._deletes = 0
        """Unanswered writes of which one is as good as another."""
        self._recent: deque[Operation] = deque(maxlen=6)

    def run(self) -> list[Anomaly]:
        events = [(one.began, 2 * i) for i, one in enumerate(self._operations)]
        events += [(one.ended, 2 * i + 1) for i, one in enumerate(self._operations) if one.ended is not None]
        possible = {START}
        for _, event in sorted(events):
            operation = self._operations[event // 2]
            if event % 2 == 0:
                self._begin(operation)
                continue
            slot = next(slot for slot, one in self._slots.items() if one is operation)
            following = self._until(slot, possible)
            if following is None:
                return [Anomaly(self._name, f"no verdict: too much runs at the same time as {operation}", ())]
            if not following:
                return [self._describe(operation, possible)]
            possible = following
            del self._slots[slot]
            self._recent.append(operation)
        return []

    def _begin(self, operation: Operation) -> None:
        if operation.kind == "get" and operation.ended is not None and operation.result[0]:
            self._readers[operation.result[1]] -= 1
        if operation.ended is None:
            if operation.kind == "get":
                return
            if operation.kind == "delete":
                self._deletes += 1
                return
            if operation.argument not in self._read:
                self._puts += 1
                return
        slot = 1
        while slot in self._slots:
            slot <<= 1
        self._slots[slot] = operation

    def _until(self, slot: int, possible: set[Configuration]) -> set[Configuration] | None:
        """All configurations in which what runs in ``slot`` has just happened, or had before; its bit is cleared."""
        reached: set[Configuration] = set()
        seen = set(possible)
        waiting = list(possible)
        while waiting:
            configuration = waiting.pop()
            if configuration.happened & slot:
                reached.add(_without(configuration, slot))
                continue
            for following in self._successors(configuration):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
            if len(seen) > MAX_CONFIGURATIONS:
                return None
        return _best(reached)

    def _successors(self, now: Configuration) -> list[Configuration]:
        owed = now.held is not None and self._is_owed(now)
        found = []
        for slot, one in self._slots.items():
            if now.happened & slot or (owed and one.kind != "get"):
                continue
            happened = now.happened | slot
            if one.ended is None:
                if not now.unobserved:
                    written = (one.argument,)
                    found.append(Configuration(written, happened, now.puts, now.deletes, True, now.held))
            elif _explains(now.held, one) and not (now.unobserved and _explains(now.before, one)):
                held = now.held if one.kind == "get" else (one.argument,) if one.kind == "put" else None
                found.append(Configuration(held, happened, now.puts, now.deletes))
        if not now.unobserved and not owed:
            if now.held is None and now.puts < self._puts:
                written = (_SOMETHING,)
                found.append(Configuration(written, now.happened, now.puts + 1, now.deletes, True, now.held))
            if now.held is not None and now.deletes < self._deletes:
                found.append(Configuration(None, now.happened, now.puts, now.deletes + 1, True, now.held))
        return found

    def _is_owed(self, now: Configuration) -> bool:
        """Whether somebody has yet to read what the key holds, and nobody will write that again."""
        assert now.held is not None
        value = now.held[0]
        if value not in self._readers:
            return False
        return self._readers[value] > 0 or any(
            one.kind == "get" and one.result == (True, value) and not now.happened & slot
            for slot, one in self._slots.items()
        )

    def _describe(self, stuck: Operation, possible: set[Configuration]) -> Anomaly:
        held = {configuration.held[0] for configuration in possible if configuration.held is not None}
        chosen = [*self._recent, *self._slots.values(), stuck]
        for one in self._operations:
            later = one.began > stuck.began and one.kind == "get" and one.ended is not None
            if later and one.result[0] and one.result[1] in held:
                chosen.append(one)
                break
        around = sorted({id(one): one for one in chosen}.values(), key=lambda one: one.began)
        return Anomaly(self._name, f"no order explains {stuck}; before and around it:", tuple(around[-MAX_SHOWN:]))


_SOMETHING = object()
"""The value of an unanswered put that nobody has read."""


def _explains(held: Held, operation: Operation) -> bool:
    """Whether an answered operation has its result where the key holds that."""
    if operation.kind == "get":
        return bool(operation.result == ((True, held[0]) if held is not None else (False, None)))
    return bool(operation.result == (held is not None))


def _without(now: Configuration, slot: int) -> Configuration:
    return Configuration(now.held, now.happened & ~slot, now.puts, now.deletes, now.unobserved, now.before)


def _best(configurations: set[Configuration]) -> set[Configuration]:
    """Without those that differ from another only in that they have used up more."""
    if len(configurations) < 2:
        return configurations
    groups: dict[Any, list[Configuration]] = {}
    for one in sorted(configurations, key=lambda one: (one.puts, one.deletes)):
        kept = groups.setdefault((one.held, one.happened, one.unobserved, one.before), [])
        if not any(other.deletes <= one.deletes for other in kept):
            kept.append(one)
    return {one for kept in groups.values() for one in kept}
