"""The clients of a soak. Each runs on a host of the lab, sends one request at a time, and records what it saw."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hosts.client.blocking import Client, ClientError
from hosts.client.calls import Result
from hosts.config import Address
from topo.lab import namespace
from topo.lab.process import LAST_LINES
from topo.lab.running_lab import Live
from topo.soak.history import END, Call, Recorder
from topo.soak.sizes import NAMES_ONLY, ValueBytes, answered, cut_back, draw, padded

KEYS = ("k1", "k2", "k3", "k4", "k5")
WEIGHTS = {"append": 28, "put": 22, "delete": 8, "get": 24, "read_list": 18}

TIMEOUT_S = 2.5
"""Shorter than many faults, so that some calls get no answer."""

PROBE_TIMEOUT_S = 1.0
PROBE_S = 0.1
READ_AT_ONCE = 1_000


@dataclass(frozen=True)
class Habit:
    """How a client behaves. ``steer``: switches may bring its requests to the leader; if not, the node asked answers,
    and be it by the leader's address. ``think_s``: on the average between two requests. ``value_bytes``: of what it
    writes."""

    name: str
    host: str
    steer: bool
    think_s: float
    timeout_s: float = TIMEOUT_S
    kinds: tuple[str, ...] = tuple(WEIGHTS)
    value_bytes: ValueBytes = NAMES_ONLY


def habits(live: Live, think_s: float, value_bytes: ValueBytes = NAMES_ONLY) -> list[Habit]:
    """Clients on all hosts, most on those without a node; and two that do nothing but write or read often, so that no
    heal waits for somebody to try."""
    topology = live.topology
    members = list(topology.groups[0].members.values())
    hosts = [*topology.clients * 3, *members] if topology.clients else members * 3
    made = [
        Habit(f"{host}.{number}", host, number % 2 == 0, think_s, value_bytes=value_bytes)
        for number, host in enumerate(hosts)
    ]
    probing = (topology.clients or topology.members)[0]
    made += [Habit(f"probe {kind}", probing, True, PROBE_S, PROBE_TIMEOUT_S, (kind,)) for kind in ("put", "get")]
    return made


def crowd_habits(live: Live, threads: int, think_s: float, value_bytes: ValueBytes = NAMES_ONLY) -> list[Habit]:
    """The habits of ``threads`` clients on one host, as threads of one process have them."""
    topology = live.topology
    host = (topology.clients or topology.members)[-1]
    return [
        Habit(f"{host}.thread.{number}", host, number % 2 == 0, think_s, value_bytes=value_bytes)
        for number in range(threads)
    ]


class Worker:
    """A client in a thread of its own, until stopped. ``servers``: the hosts that it asks."""

    def __init__(self, live: Live, habit: Habit, seed: int, recorder: Recorder, servers: Sequence[str]) -> None:
        self.habit = habit
        self._live, self._recorder = live, recorder
        self._random = Random(f"soak/{seed}/{habit.name}")
        topology = live.topology
        group = topology.groups[0]
        self._targets = addresses_of(live, servers)
        if habit.steer and group.service is not None:
            self._targets["service"] = (str(group.service), topology.port)
        self._length = self._values = 0
        self.failure: Exception | None = None
        """Why it ended by itself, which it must not."""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run_until_stopped, name=habit.name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end after its present call."""
        self._done.set()

    def join(self) -> None:
        self._thread.join()

    def last_words(self) -> str:
        """The last lines of the traceback of ``failure``."""
        assert self.failure is not None
        lines = "".join(traceback.format_exception(self.failure)).rstrip().splitlines()
        return "\n".join(f"  {line}" for line in lines[-LAST_LINES:])

    def _run_until_stopped(self) -> None:
        try:
            self._run()
        except Exception as error:
            self.failure = error

    def _run(self) -> None:
        habit, random, live = self.habit, self._random, self._live
        namespace.enter(live.holder(habit.host))
        source = str(live.topology.host(habit.host).ip)
        group = live.topology.groups[0].id
        weights = [WEIGHTS[kind] for kind in habit.kinds]
        targets = list(self._targets.values())
        with Client(targets, group, bind=source, timeout_s=habit.timeout_s, steer=habit.steer) as client:
            while not self._done.wait(random.expovariate(1 / habit.think_s)):
                through = random.choice(list(self._targets))
                client.turn_to(self._targets[through])
                kind = random.choices(habit.kinds, weights)[0]
                key = None if kind in ("append", "read_list") else random.choice(KEYS)
                self._ask(client, kind, key, through)

    def _ask(self, client: Client, kind: str, key: str | None, through: str) -> None:
        argument: Any = None
        if kind in ("append", "put"):
            self._values += 1
            argument = f"{self.habit.name}-{self._values}"
        elif kind == "read_list":
            argument = (self._random.choice((0, max(0, self._length - 5), self._length)), 20)
        size = draw(self._random, self.habit.value_bytes) if kind in ("append", "put") else 0
        call = ask(client, self.habit.name, kind, key, argument, through, self.habit.value_bytes, size)
        if call.ended is not None and kind == "append":
            self._length = call.result + 1
        elif call.ended is not None and kind == "read_list":
            self._length = call.result[0]
        self._recorder.call(call)


def ask(
    client: Client,
    name: str,
    kind: str,
    key: str | None,
    argument: Any,
    through: str = "",
    value_bytes: ValueBytes = NAMES_ONLY,
    size: int = 0,
) -> Call:
    """Have a client do it. ``value_bytes``: of the values that are there; ``size``: of the one that is written."""
    sent = padded(argument, size) if size else argument
    began = time.monotonic_ns()
    try:
        result = _do(client, kind, key, sent)
    except ClientError as error:
        return Call(name, kind, key, argument, began, time.monotonic_ns(), through=through, error=str(error))
    now = time.monotonic_ns()
    value = result.value
    if kind == "read_list":
        argument = answered(argument, value, value_bytes[1])
        value = (value[0], [cut_back(one) for one in value[1]])
    elif kind == "get":
        value = (value[0], cut_back(value[1]))
    return Call(name, kind, key, argument, began, now, now, value, through, result.served_by)


def _do(client: Client, kind: str, key: str | None, argument: Any) -> Result:
    if kind == "append":
        return client.append(argument)
    if kind == "put":
        return client.put(key, argument)
    if kind == "get":
        return client.get(key)
    if kind == "delete":
        return client.delete(key)
    return client.read_part(*argument)


def addresses_of(live: Live, hosts: Sequence[str]) -> dict[str, Address]:
    """Where nodes on these hosts are reached."""
    topology = live.topology
    return {name: (str(topology.host(name).ip), topology.port) for name in hosts}


def read_everything(
    live: Live, recorder: Recorder, servers: Sequence[str], value_bytes: ValueBytes = NAMES_ONLY
) -> None:
    """What all keys and the whole list hold in the end, read as any client would. Raises ClientError."""
    topology = live.topology
    host = (topology.clients or topology.members)[0]
    group = topology.groups[0]
    targets = list(addresses_of(live, servers).values())

    def read() -> None:
        with Client(targets, group.id, bind=str(topology.host(host).ip), timeout_s=30.0) as client:
            for key in KEYS:
                recorder.call(ask(client, END, "get", key, None))
            start, total = 0, 1
            while start < total:
                call = ask(client, END, "read_list", None, (start, READ_AT_ONCE), value_bytes=value_bytes)
                recorder.call(call)
                if call.ended is None:
                    return
                total = call.result[0]
                start += len(call.result[1])

    namespace.on_host(live.holder(host), read)
