"""Runs a soak: load and faults on a lab that runs, then what the nodes hold in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from topo import applied
from topo.errors import LabError
from topo.live import Live
from topo.soak.faults import KINDS, Deck, Plan, kill_any, leader_of, look
from topo.soak.history import Call, Fault, Recorder
from topo.soak.load import Worker, habits, read_everything

THINK_S = 0.12
WARM_UP_S = 0.5
PATIENCE_S = 60.0
"""For what takes a second or so: longer is not waited, and what it was is told."""
POLL_S = 0.02
TRANSFERS = 0.3
"""The part of the faults during which leadership is handed over as well."""


@dataclass(frozen=True)
class Wanted:
    """``kills`` 0: faults of all kinds for ``seconds``; else so many times kill -9 of one node."""

    seed: int
    seconds: float = 600.0
    kills: int = 0
    think_s: float = THINK_S


class Conductor:
    """One soak of a live lab."""

    def __init__(self, live: Live, wanted: Wanted, recorder: Recorder, say: Callable[[str], None]) -> None:
        self._live, self._wanted, self._recorder, self._say = live, wanted, recorder, say
        self._random = Random(f"soak/{wanted.seed}")
        self._members = tuple(live.topology.groups[0].members.values())
        self._began = time.monotonic()

    def run(self) -> None:
        """All of it. Raises LabError where the lab does not do what it is told, or never serves again."""
        wanted, live = self._wanted, self._live
        self._recorder.about({"seed": wanted.seed, "kills": wanted.kills, "topology": live.topology.name})
        workers = [Worker(live, one, wanted.seed, self._recorder) for one in habits(live, wanted.think_s)]
        for worker in workers:
            worker.start()
        try:
            time.sleep(WARM_UP_S)
            deck = Deck((kill_any,) if wanted.kills else KINDS, self._random)
            while not self._is_over():
                self._break(deck.draw()(look(live, self._random)))
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.join()
            with suppress(LabError):
                live.change({"cmd": "heal"})
        for worker in workers:
            if worker.failure is not None:
                raise LabError(f"client {worker.habit.name} has failed: {worker.failure!r}")
        self._until("leader", lambda: leader_of(live) is not None)
        read_everything(live, self._recorder)
        for name, values in self._equal_lists().items():
            self._recorder.list_of(name, values)

    def _is_over(self) -> bool:
        if self._wanted.kills:
            return len(self._recorder.history.faults) >= self._wanted.kills
        return time.monotonic() - self._began >= self._wanted.seconds

    # -- a fault ------------------------------------------------------------------------------------------------

    def _break(self, plan: Plan) -> None:
        began = time.monotonic_ns()
        for request in plan.breaking:
            self._live.change(request)
        seconds = self._random.uniform(*plan.seconds)
        moment = self._random.random() * seconds if self._random.random() < TRANSFERS else seconds
        time.sleep(moment)
        if moment < seconds:
            self._hand_over()
            time.sleep(seconds - moment)
        healing = time.monotonic_ns()
        with ThreadPoolExecutor(len(plan.mending)) as pool:
            list(pool.map(self._live.change, plan.mending))
        fault = Fault(plan.what, began, healing, time.monotonic_ns())
        self._recorder.fault(fault)
        write = self._first_write_after(fault.whole)
        caught_up = self._await_recovery(plan) if self._wanted.kills else ""
        served = (write.over - fault.whole) / 1e9
        total = len(self._recorder.history.faults)
        self._tell(
            f"{total:>3}  {plan.what}, for {(healing - began) / 1e9:.1f} s, mended in"
            f" {(fault.whole - healing) / 1e9:.1f} s; a write was acknowledged {served:.2f} s later{caught_up}"
        )
        time.sleep(self._random.uniform(0.2, 1.2))

    def _hand_over(self) -> None:
        """Leadership is handed to somebody, dead or alive, if anybody leads."""
        group = self._live.topology.groups[0]
        successor = self._random.choice(list(group.members))
        leader = leader_of(self._live)
        if leader is not None:
            with suppress(LabError):
                self._live.ask_node(leader, {"cmd": "transfer", "group": group.id, "member": successor})

    def _first_write_after(self, moment: int) -> Call:
        calls = self._recorder.history.calls
        seen = len(calls)
        found: list[Call] = []

        def acknowledged() -> bool:
            nonlocal seen
            new = calls[seen:]
            seen += len(new)
            found.extend(call for call in new if call.writes and call.ended is not None and call.began >= moment)
            return bool(found)

        self._until("acknowledged write", acknowledged)
        return found[0]

    def _await_recovery(self, plan: Plan) -> str:
        """Until the nodes that were started have applied what was committed when they were."""
        started = time.monotonic()
        commit = self._commit_index()
        names = [str(request["name"]) for request in plan.mending if request["cmd"] == "node"]
        for name in names:
            self._until(f"recovery of {name}", lambda name=name: self._applied(name) >= commit)  # type: ignore[misc]
        return f", {' and '.join(names)} caught up {time.monotonic() - started:.2f} s later"

    def _commit_index(self) -> int:
        return max(self._of_group(name, "commit") for name in self._members)

    def _applied(self, name: str) -> int:
        return self._of_group(name, "applied")

    def _of_group(self, name: str, field: str) -> int:
        group = self._live.topology.groups[0].id
        try:
            status = self._live.ask_node(name, {"cmd": "status"})
        except LabError:
            return 0
        return next((int(one[field]) for one in status["groups"] if one["group"] == group), 0)

    # -- the end ------------------------------------------------------------------------------------------------

    def _equal_lists(self) -> dict[str, list[str]]:
        """What the nodes have applied, once that is equal; if it does not become so, as it is."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            lists = {name: applied.values_of(self._live, name) for name in self._members}
            first = lists[self._members[0]]
            if all(one == first for one in lists.values()) or time.monotonic() > deadline:
                return lists
            time.sleep(0.5)

    def _until(self, what: str, come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not come():
            if time.monotonic() > deadline:
                raise LabError(f"no {what} within {PATIENCE_S:.0f} s; the nodes' logs are in build/lab/logs")
            time.sleep(POLL_S)

    def _tell(self, text: str) -> None:
        passed = time.monotonic() - self._began
        clock = f"{int(passed) // 60:3}:{int(passed) % 60:02}"
        self._say(f"{clock}  {self._recorder.answered:>6} answered  {text}")
