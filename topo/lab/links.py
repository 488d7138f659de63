"""Broken links and partitions. A cut link swallows packets by a blackhole root qdisc; its interfaces stay up, because
BMv2 stalls on all ports when one of its interfaces goes down. A partition is a route to nowhere, per pair of
hosts."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, permutations

from topo.errors import UsageError
from topo.lab import namespace
from topo.lab.process import Process
from topo.topology import Topology


def sides_of(words: Sequence[str]) -> list[list[str]]:
    """The sides of a partition as people write them: hosts, with strokes between the sides."""
    sides: list[list[str]] = [[]]
    for word in words:
        if word == "/":
            sides.append([])
        else:
            sides[-1].append(word)
    return sides


@dataclass
class Links:
    """The lab's links. ``holders``: host name to the process that holds its namespace."""

    topology: Topology
    holders: Mapping[str, Process]
    cut: set[str] = field(default_factory=set)
    """Interfaces whose packets vanish as they leave."""
    parted: set[tuple[str, str]] = field(default_factory=set)
    """(host, other) where packets from host to other go nowhere."""
    _changing: threading.RLock = field(default_factory=threading.RLock)

    def set(self, a: str, b: str, *, up: bool, one_way: bool = False) -> str:
        """Cut or mend the link between ``a`` and ``b``; ``one_way``: only from a to b. Returns what was done.
        Raises UsageError for names without a link."""
        ends = self.topology.ends(a, b)
        with self._changing:
            for interface in ends[:1] if one_way else ends:
                self._set_interface(interface, up)
        arrow = "->" if one_way else "<->"
        return f"link {a} {arrow} {b} is {'up' if up else 'down: its packets vanish, its interfaces stay up'}"

    def _set_interface(self, interface: str, up: bool) -> None:
        holder = self.holders.get(interface.rpartition("-")[0])
        if up:
            if interface in self.cut:
                namespace.run(holder, ["tc", "qdisc", "del", "dev", interface, "root"], check=False)
            self.cut.discard(interface)
        else:
            namespace.run(holder, ["tc", "qdisc", "replace", "dev", interface, "root", "blackhole"])
            self.cut.add(interface)

    def partition(self, sides: Sequence[Sequence[str]]) -> str:
        """Let no host of one side reach one of another; hosts that are not named reach all. Replaces an earlier
        partition. Raises UsageError."""
        named = list(chain.from_iterable(sides))
        if len(sides) < 2 or not all(sides):
            raise UsageError("name the sides with a stroke between them, as in: partition h1 h2 / h3")
        for name in named:
            self.topology.host(name)
            if named.count(name) > 1:
                raise UsageError(f"{name} cannot stand on two sides")
        with self._changing:
            self._mend_partition()
            for side, other in permutations(sides, 2):
                for host in side:
                    for far in other:
                        self._part(host, far)
        return "partitioned: " + " / ".join(" ".join(side) for side in sides)

    def _part(self, host: str, far: str) -> None:
        # Through the loopback interface: sending works, nothing arrives, and what comes from there fails the
        # reverse-path check. A blackhole route would make send() fail, which no real network does.
        namespace.run(self.holders[host], ["ip", "route", "replace", self._route(far), "dev", "lo"])
        self.parted.add((host, far))

    def _mend_partition(self) -> None:
        for host, far in sorted(self.parted):
            namespace.run(self.holders[host], ["ip", "route", "del", self._route(far), "dev", "lo"], check=False)
        self.parted.clear()

    def _route(self, far: str) -> str:
        return f"{self.topology.host(far).ip}/32"

    def heal(self) -> str:
        """Mend all links and the partition."""
        with self._changing:
            mended = len(self.cut) + len(self.parted)
            for interface in sorted(self.cut):
                self._set_interface(interface, up=True)
            self._mend_partition()
        return "healed" if mended else "nothing was broken"

    def status(self) -> dict[str, list[str]]:
        """What is broken now, for people and programs."""
        return {
            "cut": sorted(self.cut),
            "partition": [f"{host} -> {far}" for host, far in sorted(self.parted)],
        }
