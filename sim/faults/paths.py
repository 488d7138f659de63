"""Faults of the network between hosts: who hears whom, how late, how much is lost, and how large it may be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random

from hosts.net.path import BASE
from hosts.raft.core import Role
from sim.events import MS
from sim.fabric import Fabric
from sim.faults.changes import Changes
from sim.faults.targets import Begin, Targets, Undo
from sim.network import Network
from sim.node import Node
from sim.plan import Kind
from sim.scene import Scene


class Paths:
    """``kinds``: how each begins."""

    def __init__(
        self,
        scene: Scene,
        nodes: Mapping[int, Node],
        network: Network,
        fabric: Fabric | None,
        targets: Targets,
        changes: Changes,
    ) -> None:
        self._scene = scene
        self._nodes = nodes
        self._network = network
        self._fabric = fabric
        self._targets = targets
        self._changes = changes
        self.kinds: dict[Kind, Begin] = {
            Kind.ISOLATE: self._isolate,
            Kind.ONE_WAY: self._one_way,
            Kind.HEARS_LATE: self._hears_late,
            Kind.HALVES: self._halves,
            Kind.LOSS: self._loss,
            Kind.DUPLICATION: self._duplication,
            Kind.DELAY: self._delay,
            Kind.MISDELIVERY: self._misdelivery,
            Kind.REPLAY: self._replay,
            Kind.PATH: self._path,
        }

    def _cut(self, pairs: list[tuple[str, str]], random: Random, text: str) -> Undo:
        conditions = self._network.conditions
        conditions.cut_after_switches = random.random() < 0.5
        for pair in pairs:
            conditions.cut[pair] = conditions.cut.get(pair, 0) + 1
        self._targets.note(text)

        def mend() -> None:
            for pair in pairs:
                left = conditions.cut.get(pair, 0) - 1
                if left > 0:
                    conditions.cut[pair] = left
                else:
                    conditions.cut.pop(pair, None)

        return mend

    def _isolate(self, random: Random) -> Undo:
        alone = self._targets.one(random).host
        # From everyone, or only from the other members: then clients still ask it.
        hosts = [host.name for host in self._scene.plan.topology.hosts]
        others = [one for one in random.choice((hosts, [node.host for node in self._nodes.values()])) if one != alone]
        pairs = [(alone, other) for other in others] + [(other, alone) for other in others]
        look = self._leads_no_more(alone)
        mend = self._cut(pairs, random, f"{alone} is cut off from {', '.join(others)}")

        def look_and_mend() -> None:
            look()
            mend()

        return look_and_mend

    def _leads_no_more(self, host: str) -> Undo:
        """A check for the end of a cut: whoever hears no quorum for an election timeout of its clock steps down."""
        process = next(node.process for node in self._nodes.values() if node.host == host)
        if process is None:
            return lambda: None
        began = process.ticks
        terms = {
            number: group.core.current_term
            for number, group in process.groups.items()
            if group.core.role is Role.LEADER
        }

        def look() -> None:
            passed = process.ticks - began
            for number, term in terms.items() if process.alive else ():
                core = process.groups[number].core
                leads = core.role is Role.LEADER and core.current_term == term
                if leads and not core.membership.is_quorum({core.id}) and passed > core.config.election_timeout_ticks:
                    self._scene.watches[number].fail(
                        "check-quorum", f"member {core.id} leads on in term {term}, cut off for {passed} ticks"
                    )

        return look

    def _hears_late(self, random: Random) -> Undo:
        """A leader hears the others late: answers of long ago arrive while others elect, or have been told to take
        over. Perhaps they do not hear it at all."""
        alone = self._targets.one(random)
        others = [node.host for node in self._nodes.values() if node is not alone]
        slow = self._network.conditions.slow
        if any(host == alone.host for _, host in slow):
            return lambda: None
        late_us = round(self._scene.plan.election_us * random.uniform(0.3, 1.1))
        for other in others:
            slow[other, alone.host] = late_us
        self._targets.note(f"{alone.host} hears the others {late_us // MS} ms late")
        mend: Undo | None = None
        if random.random() < 0.5:
            process = alone.process
            if process is not None:
                for number in process.groups:
                    process.asked(number, partial(self._changes.hand_over, number, random))
        else:
            mend = self._cut([(alone.host, other) for other in others], random, f"{alone.host} is not heard")

        def recover() -> None:
            for other in others:
                slow.pop((other, alone.host), None)
            if mend is not None:
                mend()

        return recover

    def _one_way(self, random: Random) -> Undo:
        alone = self._targets.one(random).host
        others = [node.host for node in self._nodes.values() if node.host != alone]
        others = random.sample(others, random.randint(1, len(others)))
        out = random.random() < 0.5
        pairs = [(alone, other) if out else (other, alone) for other in others]
        return self._cut(
            pairs, random, f"{alone} {'is not heard by' if out else 'does not hear'} {', '.join(others)}"
        )

    def _halves(self, random: Random) -> Undo:
        hosts = [host.name for host in self._scene.plan.topology.hosts]
        side = set(random.sample(hosts, len(hosts) // 2))
        pairs = [(a, b) for a in hosts for b in hosts if (a in side) != (b in side)]
        return self._cut(pairs, random, f"{', '.join(sorted(side))} are parted from the rest")

    def _worse(self, name: str, most: float, random: Random, late_us: int = 0) -> Undo:
        network = self._network
        conditions = network.conditions
        more = random.uniform(0.05, most)
        setattr(conditions, name, getattr(conditions, name) + more)
        if late_us:
            conditions.late_us = late_us
        network.changed()
        self._targets.note(f"{name} at {getattr(conditions, name):.2f}")

        def improve() -> None:
            setattr(conditions, name, max(0.0, getattr(conditions, name) - more))
            network.changed()

        return improve

    def _loss(self, random: Random) -> Undo:
        return self._worse("loss", 0.4, random)

    def _duplication(self, random: Random) -> Undo:
        return self._worse("duplicate", 0.5, random)

    def _misdelivery(self, random: Random) -> Undo:
        return self._worse("misdeliver", 0.2, random)

    def _delay(self, random: Random) -> Undo:
        if self._fabric is not None:
            self._fabric.late_links = random.choice((0.0, 0.1, 0.4))
        return self._worse("late", 0.5, random, late_us=random.choice((5, 50, 400, 2000)) * MS)

    def _replay(self, random: Random) -> None:
        """Datagrams of a while ago turn up once more, at their first switch or at their end."""
        network = self._network
        kept = list(network.sent)
        for host, port, target, datagram in random.sample(kept, min(len(kept), 30)):
            self._scene.events.after(random.randrange(200 * MS), network.enter, host, port, target, datagram)
            self._scene.counts["replayed"] += 1

    def _path(self, random: Random) -> Undo:
        """On two ways from a host to another, or on all: larger datagrams than so many bytes are lost from now on."""
        names = [host.name for host in self._scene.plan.topology.hosts]
        takes = self._network.conditions.takes
        pairs = [(one, other) for one in names for other in names if one != other]
        if random.random() < 0.5:
            pairs = random.sample(pairs, 2)
        size = random.choice((BASE, BASE, 1500, 4068))
        takes.update(dict.fromkeys(pairs, size))
        self._targets.note(f"datagrams of more than {size} bytes are lost between {len(pairs)} pairs of hosts")

        def recover() -> None:
            for pair in pairs:
                takes.pop(pair, None)

        return recover
