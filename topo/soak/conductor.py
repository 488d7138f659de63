"""Runs a soak: load and faults on a lab that runs, then what the nodes hold in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from topo import paths
from topo.errors import LabError
from topo.lab.running_lab import Live
from topo.soak.crowd import Crowd
from topo.soak.faults import KINDS, Deck, Json, Plan, kill_any, leader_of, look
from topo.soak.features import Toggler
from topo.soak.history import Call, Fault, Recorder
from topo.soak.load import Worker, habits, read_everything
from topo.soak.resizing import Resizer, hosts_for
from topo.soak.sizes import NAMES_ONLY, ValueBytes, cut_back
from topo.views import log

THINK_S = 0.12
WARM_UP_S = 0.5
PATIENCE_S = 60.0
"""For what takes a second or so: longer is not waited, and what it was is told."""
POLL_S = 0.02
TRANSFERS = 0.3
"""The part of the faults during which leadership is handed over as well."""


@dataclass(frozen=True)
class Wanted:
    """``kills`` 0: faults of all kinds for ``seconds``; else so many times kill -9 of one node. ``sizes``: what the
    group's size becomes meanwhile, each in turn and again from the first; () for no change. ``threads``: clients
    beside the others, in threads of one more process. ``features``: how often each feature is taken away and put back
    meanwhile; the soak lasts until it was. ``value_bytes``: of what clients write."""

    seed: int
    seconds: float = 600.0
    kills: int = 0
    think_s: float = THINK_S
    sizes: tuple[int, ...] = ()
    threads: int = 0
    features: int = 0
    value_bytes: ValueBytes = NAMES_ONLY


class Conductor:
    """One soak of a live lab."""

    def __init__(self, live: Live, wanted: Wanted, recorder: Recorder, say: Callable[[str], None]) -> None:
        self._live, self._wanted, self._recorder, self._say = live, wanted, recorder, say
        self._random = Random(f"soak/{wanted.seed}")
        self._resizer = Resizer(live, wanted.sizes, wanted.seed, recorder) if wanted.sizes else None
        self._toggler = Toggler(live, wanted.features, wanted.seed, recorder) if wanted.features else None
        self._workers: list[Worker] = []
        self._began = time.monotonic()

    @property
    def _members(self) -> tuple[str, ...]:
        """The hosts of the group's members now."""
        return self._resizer.hosts if self._resizer is not None else self._servers

    @property
    def _servers(self) -> tuple[str, ...]:
        """The hosts that clients ask: all that may be members in the course of the soak."""
        topology = self._live.topology
        return hosts_for(topology) if self._wanted.sizes else tuple(topology.groups[0].members.values())

    def run(self) -> None:
        """All of it. Raises LabError where the lab does not do what it is told, or never serves again."""
        wanted, live, recorder = self._wanted, self._live, self._recorder
        recorder.about({"seed": wanted.seed, "kills": wanted.kills, "topology": live.topology.name})
        if wanted.sizes:
            recorder.about({"sizes": list(wanted.sizes)})
        if wanted.features:
            recorder.about({"features": wanted.features})
        kinds = habits(live, wanted.think_s, wanted.value_bytes)
        workers = [Worker(live, one, wanted.seed, recorder, self._servers) for one in kinds]
        self._workers = workers
        crowd = self._crowd()
        for worker in workers:
            worker.start()
        try:
            if crowd is not None:
                crowd.start()
            time.sleep(WARM_UP_S)
            self._strike()
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.join()
            if crowd is not None:
                crowd.stop()
            with suppress(LabError):
                live.change({"cmd": "heal"})
        self._check_workers()
        if crowd is not None:
            crowd.give_calls_to(recorder)
        self._until("leader", lambda: leader_of(live, self._members) is not None)
        read_everything(live, recorder, self._servers, self._wanted.value_bytes)
        for name, values in self._equal_lists().items():
            recorder.list_of(name, values)

    def _crowd(self) -> Crowd | None:
        wanted = self._wanted
        if not wanted.threads:
            return None
        folder = self._recorder.path.parent
        return Crowd(wanted.threads, wanted.seed, wanted.think_s, self._servers, folder, wanted.value_bytes)

    def _strike(self) -> None:
        """One fault after the other, while the group's size changes if that is wanted."""
        deck = Deck((kill_any,) if self._wanted.kills else KINDS, self._random)
        resizer = self._resizer
        if resizer is not None:
            resizer.start()
        if self._toggler is not None:
            self._toggler.start()
        try:
            while not self._is_over():
                self._check_workers()
                members = self._members
                self._break(deck.draw(len(members))(look(self._live, self._random, members)))
            if resizer is not None:
                resizer.finish()
        finally:
            if resizer is not None:
                resizer.stop()
            if self._toggler is not None:
                self._toggler.stop()

    def _check_workers(self) -> None:
        """Raises LabError for a client that has ended by itself: nothing is worth waiting for without it."""
        for worker in self._workers:
            if worker.failure is not None:
                raise LabError(f"client {worker.habit.name} of the soak has failed:\n{worker.last_words()}")
        if self._toggler is not None:
            self._toggler.check()

    def _is_over(self) -> bool:
        if self._wanted.kills:
            return len(self._recorder.history.faults) >= self._wanted.kills
        if self._toggler is not None and not self._toggler.done:
            return False
        return time.monotonic() - self._began >= self._wanted.seconds

    # -- a fault ------------------------------------------------------------------------------------------------

    def _break(self, plan: Plan) -> None:
        began = time.monotonic_ns()
        if self._resizer is not None:
            self._resizer.broken = plan.nodes
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
            list(pool.map(self._mend, plan.mending))
        if self._resizer is not None:
            self._resizer.broken = frozenset()
        fault = Fault(plan.what, began, healing, time.monotonic_ns())
        self._recorder.fault(fault)
        seen = len(self._recorder.history.calls)
        write = self._first_after(fault.whole, seen, writes=True)
        # The next fault must not come in the way of what the verdict wants after this one.
        self._first_after(fault.whole, seen, writes=False)
        caught_up = self._await_recovery(plan) if self._wanted.kills else ""
        served = (write.over - fault.whole) / 1e9
        total = len(self._recorder.history.faults)
        self._tell(
            f"{total:>3}  {plan.what}, for {(healing - began) / 1e9:.1f} s, mended in"
            f" {(fault.whole - healing) / 1e9:.1f} s; a write was acknowledged {served:.2f} s later{caught_up}"
        )
        time.sleep(self._random.uniform(0.2, 1.2))

    def _mend(self, request: Json) -> None:
        try:
            self._live.change(request)
        except LabError as error:
            # Whoever adds a member starts its node where none runs.
            if not (self._resizer is not None and request.get("action") == "start" and "runs already" in str(error)):
                raise

    def _hand_over(self) -> None:
        """Leadership is handed to somebody, dead or alive, if anybody leads."""
        group = self._live.topology.groups[0]
        successor = self._live.topology.node_id(self._random.choice(self._members))
        leader = leader_of(self._live, self._members)
        if leader is not None:
            with suppress(LabError):
                self._live.ask_node(leader, {"cmd": "transfer", "group": group.id, "member": successor})

    def _first_after(self, moment: int, seen: int, *, writes: bool) -> Call:
        """The first write, or read, that began after ``moment`` and was answered; the history had ``seen`` calls
        then."""
        calls = self._recorder.history.calls
        found: list[Call] = []

        def answered() -> bool:
            nonlocal seen
            new = calls[seen:]
            seen += len(new)
            found.extend(
                call for call in new if call.writes is writes and call.ended is not None and call.began >= moment
            )
            return bool(found)

        self._until("acknowledged write" if writes else "answered read", answered)
        return found[0]

    def _await_recovery(self, plan: Plan) -> str:
        """Until the nodes that were started have applied what was committed when they were."""
        started = time.monotonic()
        commit = self._commit_index()
        names = sorted(plan.nodes)
        for name in names:
            self._until(f"recovery of {name}", lambda name=name: self._is_back(name, commit))  # type: ignore[misc]
        return f", {' and '.join(names)} caught up {time.monotonic() - started:.2f} s later"

    def _commit_index(self) -> int:
        return max(self._of_group(name, "commit") for name in self._members)

    def _is_back(self, name: str, commit: int) -> bool:
        return self._of_group(name, "applied") >= commit or name not in self._members

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
            lists = {name: [*map(cut_back, log.values_of(self._live, name))] for name in self._members}
            first, *others = lists.values()
            if all(one == first for one in others) or time.monotonic() > deadline:
                return lists
            time.sleep(0.5)

    def _until(self, what: str, come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not come():
            self._check_workers()
            if time.monotonic() > deadline:
                dead = "".join(f"\n{one}" for one in self._live.obituaries())
                raise LabError(f"no {what} within {PATIENCE_S:.0f} s; logs are in {paths.shown(paths.logs())}{dead}")
            time.sleep(POLL_S)

    def _tell(self, text: str) -> None:
        passed = time.monotonic() - self._began
        clock = f"{int(passed) // 60:3}:{int(passed) % 60:02}"
        self._say(f"{clock}  {self._recorder.answered:>6} answered  {text}")
