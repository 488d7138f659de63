"""Changes of the group's size under way, by what the commands `member add` and `member remove` do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import cycle
from random import Random
from typing import Any

from topo.errors import LabError, UsageError
from topo.lab import membership
from topo.lab.membership import Members
from topo.lab.running_lab import Live
from topo.soak.history import Recorder, Size
from topo.topology import Topology

HOLD_S = (3.0, 8.0)
"""For so long, least and most, a size stays."""
RETRY_S = 0.2
PATIENCE_S = 60.0
"""For the last change, which no fault disturbs."""

Json = dict[str, Any]


def parse_sizes(text: str) -> tuple[int, ...]:
    """Sizes as they are written on the command line. Raises UsageError."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--members: {text!r} is no list of sizes; write it as in 1,3,1") from None
    if min(sizes) < 1:
        raise UsageError(f"--members: a group has at least 1 member, not {min(sizes)}")
    return sizes


def hosts_for(topology: Topology) -> tuple[str, ...]:
    """The hosts that may be members of the first group."""
    group = topology.groups[0]
    return tuple(name for name in topology.nodes if group in topology.clusters[topology.cluster_of(name)])


def check_sizes(sizes: tuple[int, ...], topology: Topology) -> None:
    """Raises UsageError for a size that ``topology`` has not the hosts for."""
    most = len(hosts_for(topology))
    if sizes and max(sizes) > most:
        raise UsageError(
            f"--members: {max(sizes)} members need as many hosts, and topology {topology.name} has {most} for its"
            " first group"
        )


class Resizer:
    """Brings the group to one size after the other, and again from the first, in a thread of its own. ``broken``: the
    hosts on which a node is down or asleep on purpose; none of them is made a member meanwhile."""

    def __init__(self, live: Live, sizes: tuple[int, ...], seed: int, recorder: Recorder) -> None:
        self._live, self._sizes, self._recorder = live, sizes, recorder
        self._random = Random(f"soak/{seed}/members")
        topology = live.topology
        self._members = Members(live, topology.groups[0].id)
        self._hosts = {topology.node_id(name): name for name in hosts_for(topology)}
        self._now = tuple(topology.groups[0].members.values())
        self.broken: frozenset[str] = frozenset()
        self._ending = threading.Event()
        self._deadline = float("inf")
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="members")

    def start(self) -> None:
        self._thread.start()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where the members are, learners too, as far as is known."""
        return self._now

    def finish(self) -> None:
        """Let the change that is under way come about, and make no more. Raises LabError if it does not."""
        self._deadline = time.monotonic() + PATIENCE_S
        self._ending.set()
        self._thread.join()
        if self._failure is not None:
            raise LabError(f"the group's size cannot be changed: {self._failure}") from self._failure

    def stop(self) -> None:
        """Leave off where it is."""
        self._deadline = 0.0
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for size in cycle(self._sizes):
                began = time.monotonic_ns()
                if not self._bring_to(size):
                    return
                self._recorder.size(Size(size, self._now, began, time.monotonic_ns()))
                if self._ending.wait(self._random.uniform(*HOLD_S)):
                    return
        except Exception as error:
            self._failure = error

    def _bring_to(self, size: int) -> bool:
        """Add and remove until there are so many voters and no learners. False if it was told to leave off. Raises
        LabError once the deadline is over."""
        said = "no leader"
        while time.monotonic() < self._deadline:
            try:
                _, shown = self._members.leader()
                self._now = tuple(self._hosts[int(member)] for member in shown["members"])
                step = None if shown["changing"] else self._next_step(shown["members"], size)
                if step is not None:
                    step()
                elif not shown["changing"]:
                    return True
            except LabError as error:
                # Faults strike meanwhile: whom it was asked of may be down, or too few may be left to decide.
                said = str(error)
            time.sleep(RETRY_S)
        if self._deadline:
            raise LabError(f"it does not come to {size} members within {PATIENCE_S:.0f} s: {said}")
        return False

    def _next_step(self, members: Json, size: int) -> Callable[[], str] | None:
        """What brings it nearer to ``size``; None if it is there."""
        voters = [self._hosts[int(member)] for member, part in members.items() if part["votes"]]
        learners = [self._hosts[int(member)] for member, part in members.items() if not part["votes"]]
        if len(voters) < size:
            # Who learns already has been given up as a voter before, and may be asked again.
            able = [name for name in self._hosts.values() if name not in voters and name not in self.broken]
            return self._doing(membership.added, able)
        if len(voters) > size or learners:
            return self._doing(membership.removed, voters if len(voters) > size else learners)
        return None

    def _doing(self, what: Callable[[Members, str], str], hosts: list[str]) -> Callable[[], str]:
        if not hosts:
            raise LabError("all hosts that could be members are broken just now")
        name = self._random.choice(hosts)
        return lambda: what(self._members, name)
