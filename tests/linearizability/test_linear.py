"""The checker itself: histories that are linearizable and such that are not, and agreement with brute force."""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import Any

import pytest

from linearizability.linear import Operation, check


def op(began: int, ended: int | None, kind: str, *arguments: Any, result: Any = None) -> Operation:
    """``put key value``, ``get key``, ``delete key``, ``append value``, ``read_list start limit``."""
    if kind == "append":
        return Operation(kind, None, arguments[0], began, ended, result)
    if kind == "read_list":
        return Operation(kind, None, arguments, began, ended, result)
    return Operation(kind, arguments[0], arguments[1] if len(arguments) > 1 else None, began, ended, result)


NOTHING = (False, None)


def found(value: Any) -> tuple[bool, Any]:
    return True, value


LINEARIZABLE = {
    "nothing at all": [],
    "one after the other": [
        op(1, 2, "get", "k", result=NOTHING),
        op(3, 4, "put", "k", 1, result=False),
        op(5, 6, "get", "k", result=found(1)),
        op(7, 8, "delete", "k", result=True),
        op(9, 10, "delete", "k", result=False),
    ],
    "a concurrent read may see the old value": [
        op(1, 2, "put", "k", 1, result=False),
        op(3, 6, "put", "k", 2, result=True),
        op(4, 5, "get", "k", result=found(1)),
    ],
    "a concurrent read may see the new value": [
        op(1, 2, "put", "k", 1, result=False),
        op(3, 6, "put", "k", 2, result=True),
        op(4, 5, "get", "k", result=found(2)),
    ],
    "an unanswered write may have happened": [
        op(1, None, "put", "k", 1),
        op(2, 3, "get", "k", result=NOTHING),
        op(4, 5, "get", "k", result=found(1)),
    ],
    "an unanswered write may never happen": [
        op(1, None, "put", "k", 1),
        op(2, 3, "get", "k", result=NOTHING),
    ],
    "an unanswered write that nobody read explains that the key was there": [
        op(1, None, "put", "k", 1),
        op(2, 3, "put", "k", 2, result=True),
    ],
    "keys do not depend on each other": [
        op(1, 2, "put", "k", 1, result=False),
        op(3, 4, "get", "j", result=NOTHING),
        op(5, 6, "get", "k", result=found(1)),
    ],
    "concurrent appends in either order": [
        op(1, 4, "append", "a", result=1),
        op(2, 3, "append", "b", result=0),
        op(5, 6, "read_list", 0, 10, result=(2, ["b", "a"])),
    ],
    "a read in pieces": [
        op(1, 2, "append", "a", result=0),
        op(3, 4, "append", "b", result=1),
        op(5, 6, "read_list", 1, 10, result=(2, ["b"])),
        op(7, 8, "read_list", 0, 1, result=(2, ["a"])),
        op(9, 10, "read_list", 2, 5, result=(2, [])),
    ],
    "unanswered appends fill the holes": [
        op(1, None, "append", "a"),
        op(2, None, "append", "b"),
        op(3, 4, "append", "c", result=2),
        op(5, 6, "read_list", 3, 5, result=(3, [])),
    ],
    "an unanswered append that was seen later": [
        op(1, None, "append", "a"),
        op(2, 3, "read_list", 0, 5, result=(0, [])),
        op(4, 5, "read_list", 0, 5, result=(1, ["a"])),
    ],
}

NOT_LINEARIZABLE = {
    "a read of what was never written": [op(1, 2, "get", "k", result=found(7))],
    "a stale read": [
        op(1, 2, "put", "k", 1, result=False),
        op(3, 4, "put", "k", 2, result=True),
        op(5, 6, "get", "k", result=found(1)),
    ],
    "a lost write": [
        op(1, 2, "put", "k", 1, result=False),
        op(3, 4, "get", "k", result=NOTHING),
    ],
    "a read from the future": [
        op(1, 2, "get", "k", result=found(1)),
        op(3, 4, "put", "k", 1, result=False),
    ],
    "two reads that see a write come and go": [
        op(1, 2, "put", "k", 1, result=False),
        op(3, 10, "put", "k", 2, result=True),
        op(4, 5, "get", "k", result=found(2)),
        op(6, 7, "get", "k", result=found(1)),
    ],
    "two that were both the first": [
        op(1, 3, "put", "k", 1, result=False),
        op(2, 4, "put", "k", 2, result=False),
    ],
    "two that both deleted": [
        op(1, 2, "put", "k", 1, result=False),
        op(3, 6, "delete", "k", result=True),
        op(4, 5, "delete", "k", result=True),
    ],
    "an unanswered write before it began": [
        op(1, 2, "get", "k", result=found(1)),
        op(3, None, "put", "k", 1),
    ],
    "an append carried out twice": [
        op(1, 2, "append", "a", result=0),
        op(3, 4, "read_list", 0, 5, result=(2, ["a", "a"])),
    ],
    "an append at a position that was taken": [
        op(1, 2, "append", "a", result=0),
        op(3, 4, "append", "b", result=0),
    ],
    "appends against the order of time": [
        op(1, 2, "append", "a", result=1),
        op(3, 4, "append", "b", result=0),
    ],
    "a hole that nobody can have filled": [
        op(1, 2, "append", "a", result=0),
        op(3, 4, "append", "b", result=2),
    ],
    "more holes than unanswered appends": [
        op(1, None, "append", "a"),
        op(2, 3, "append", "b", result=2),
    ],
    "a list that shrinks": [
        op(1, 2, "append", "a", result=0),
        op(3, 4, "read_list", 0, 5, result=(1, ["a"])),
        op(5, 6, "read_list", 0, 5, result=(0, [])),
    ],
    "a list with what nobody appended": [op(1, 2, "read_list", 0, 5, result=(1, ["x"]))],
    "a lost append": [
        op(1, 2, "append", "a", result=0),
        op(3, 4, "read_list", 0, 5, result=(0, [])),
    ],
    "a read that leaves out values": [
        op(1, 2, "append", "a", result=0),
        op(3, 4, "append", "b", result=1),
        op(5, 6, "read_list", 0, 5, result=(2, ["a"])),
    ],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_linearizable(name: str) -> None:
    assert check(LINEARIZABLE[name]) == []


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_not_linearizable(name: str) -> None:
    anomalies = check(NOT_LINEARIZABLE[name])
    assert anomalies
    assert str(anomalies[0])


def explains(order: tuple[Operation, ...]) -> bool:
    """Whether a sequential run of one key and one list gives all results."""
    state: tuple[Any] | None = None
    items: list[Any] = []
    for one in order:
        result: Any
        if one.kind == "put":
            result, state = state is not None, (one.argument,)
        elif one.kind == "delete":
            result, state = state is not None, None
        elif one.kind == "get":
            result = (True, state[0]) if state else NOTHING
        elif one.kind == "append":
            items.append(one.argument)
            result = len(items) - 1
        else:
            start, limit = one.argument
            result = (len(items), items[start : start + limit])
        if one.ended is not None and result != one.result:
            return False
    return True


def brute_force(history: list[Operation]) -> bool:
    """All orders of all subsets that hold what was answered."""
    answered = [one for one in history if one.ended is not None]
    unanswered = [one for one in history if one.ended is None]
    for chosen in range(1 << len(unanswered)):
        taken = answered + [one for at, one in enumerate(unanswered) if chosen >> at & 1]
        for order in permutations(taken):
            in_time = all(
                not (later.ended is not None and later.ended < earlier.began)
                for at, earlier in enumerate(order)
                for later in order[at + 1 :]
            )
            if in_time and explains(order):
                return True
    return False


def random_history(random: Random) -> list[Operation]:
    """A real run with every operation at some moment between its ends, and then perhaps one answer changed."""
    count, lists = random.randint(2, 6), random.random() < 0.5
    moments = random.sample(range(100), 3 * count)
    history, effects = [], []
    for number in range(count):
        began, acts, ended = sorted(moments[3 * number : 3 * number + 3])
        kind = random.choice(("append", "read_list") if lists else ("put", "get", "get", "delete"))
        if kind == "read_list":
            one = op(began, ended, kind, random.choice((0, 1)), random.choice((1, 9)))
        else:
            one = op(began, ended, kind, *(("k", number) if kind != "append" else (number,)))
        history.append(one)
        effects.append((acts, one))
    state: Any = None
    items: list[Any] = []
    for _, one in sorted(effects, key=lambda effect: effect[0]):
        if random.random() < 0.25:
            one.ended = None
            if random.random() < 0.5:
                continue
        if one.kind == "put":
            one.result, state = state is not None, (one.argument,)
        elif one.kind == "delete":
            one.result, state = state is not None, None
        elif one.kind == "get":
            one.result = (True, state[0]) if state else NOTHING
        elif one.kind == "append":
            items.append(one.argument)
            one.result = len(items) - 1
        else:
            one.result = (len(items), items[one.argument[0] :][: one.argument[1]])
    if random.random() < 0.7:
        spoil(random.choice(history), random)
    return history


def spoil(one: Operation, random: Random) -> None:
    if one.kind in ("put", "delete"):
        one.result = not one.result
    elif one.kind == "get":
        one.result = random.choice((NOTHING, found(random.randrange(6))))
    elif one.kind == "append":
        one.result = random.randrange(4)
    elif one.result is not None:
        one.result = (one.result[0] + random.choice((-1, 1)), one.result[1])


def test_agrees_with_brute_force() -> None:
    verdicts = {True: 0, False: 0}
    for seed in range(1500):
        history = random_history(Random(seed))
        expected = brute_force(history)
        verdicts[expected] += 1
        assert (check(history) == []) == expected, f"seed {seed}: {[str(one) for one in history]}"
    assert min(verdicts.values()) > 300, verdicts


def test_many_unanswered_operations_do_not_explode() -> None:
    """Sixty writes without an answer around a hundred with one."""
    history = [op(1 + number, None, "append", f"lost {number}") for number in range(60)]
    at = 100
    for number in range(100):
        history.append(op(at, at + 1, "append", number, result=number + min(number, 30)))
        at += 2
    history += [op(at + number, None, "put", "k", number) for number in range(60)]
    history.append(op(at + 70, at + 71, "get", "k", result=found(30)))
    assert check(history) == []


def test_an_anomaly_shows_the_operations_around_it() -> None:
    history = NOT_LINEARIZABLE["a stale read"]
    (anomaly,) = check(history)
    assert anomaly.object == "key 'k'"
    assert history[2] in anomaly.around
    assert "get('k')" in str(anomaly)


def long_run(random: Random, count: int, clients: int) -> list[Operation]:
    """A real run of ``count`` operations on two keys and the list. One in fifty comes late or never, and for one
    in fifty the answer is lost."""
    history: list[Operation] = []
    running: list[Operation] = []
    stray: list[Operation] = []
    acted: set[int] = set()
    keys: dict[Any, Any] = {}
    items: list[Any] = []
    moment = 0

    def act(one: Operation) -> None:
        acted.add(id(one))
        if one.kind == "append":
            items.append(one.argument)
            one.result = len(items) - 1
        elif one.kind == "read_list":
            start, limit = one.argument
            one.result = (len(items), items[start : start + limit])
        elif one.kind == "get":
            one.result = (one.key in keys, keys.get(one.key))
        else:
            one.result = one.key in keys
            keys.pop(one.key, None)
            if one.kind == "put":
                keys[one.key] = one.argument

    while len(history) < count or running:
        moment += 1
        if len(running) < clients and len(history) < count and random.random() < 0.5:
            kind = random.choice(("append", "read_list", "put", "put", "get", "delete"))
            key = random.choice("jk")
            arguments = {"append": (moment,), "read_list": (max(0, len(items) - 3), 5), "put": (key, moment)}
            history.append(op(moment, None, kind, *arguments.get(kind, (key,))))
            running.append(history[-1])
        elif running:
            one = running.pop(random.randrange(len(running)))
            lost = random.random() < 0.02
            if id(one) in acted:
                one.ended = None if lost else moment
            elif lost:
                stray.append(one)
            else:
                act(one)
                running.append(one)
        if stray and random.random() < 0.001:
            act(stray.pop(random.randrange(len(stray))))
    return history


def test_a_long_history() -> None:
    """Minutes of a real cluster's work, with open calls all along it, and one wrong answer in the midst of them."""
    history = long_run(Random(1), 4_000, 12)
    assert sum(one.ended is None for one in history) > 100
    assert check(history) == []
    (read, *_) = (one for one in history[2_000:] if one.ended and one.kind == "get" and one.result[0])
    read.result = (True, history[0].began)
    assert [anomaly.object for anomaly in check(history)] == [f"key {read.key!r}"]
    (seen, *_) = (one for one in history[1_000:] if one.ended and one.kind == "append")
    seen.result += 1
    assert {anomaly.object for anomaly in check(history)} == {"list", f"key {read.key!r}"}
