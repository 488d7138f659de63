"""When what the plan has drawn befalls the cluster, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hosts.raft.core import Role
from sim.control_plane import ControlPlane
from sim.events import SECOND
from sim.fabric import Fabric
from sim.faults.changes import LOOK_US, Changes
from sim.faults.false_word import FalseWord
from sim.faults.machines import Machines
from sim.faults.paths import Paths
from sim.faults.switches import Switches
from sim.faults.targets import Begin, Targets, Undo
from sim.faults.wiping import Wiping
from sim.network import Network
from sim.node import Node
from sim.plan import Fault, Kind
from sim.scene import Scene

READ_EVERY = 64


class Nemesis:
    """Begins faults and ends them. Several may last at the same time; ``heal`` ends all that is left."""

    def __init__(
        self,
        scene: Scene,
        nodes: Mapping[int, Node],
        network: Network,
        fabric: Fabric | None,
        control: ControlPlane,
    ) -> None:
        self._scene = scene
        self._nodes = nodes
        self._network = network
        self._fabric = fabric
        self._control = control
        self._targets = Targets(scene, nodes)
        self.wiping = Wiping(scene, nodes)
        self._open: list[Undo] = []
        self._healed = False
        self._looks = 0
        changes = Changes(scene, nodes, self._targets, self.wiping)
        self._switches = Switches(scene, fabric, control, self._targets)
        self._begin: dict[Kind, Begin] = {
            **Machines(nodes, self._targets).kinds,
            **changes.kinds,
            **Paths(scene, nodes, network, fabric, self._targets, changes).kinds,
            **self._switches.kinds,
            Kind.WIPE: self.wiping.strike,
            Kind.FALSE_WORD: self._false_word,
        }

    def plan_all(self) -> None:
        """Put the plan's faults among the events."""
        for fault in self._scene.plan.faults:
            self._scene.events.at(fault.at_us, self._strike, fault)
        self._scene.events.after(SECOND, self._read)

    def _strike(self, fault: Fault) -> None:
        if self._healed:
            return
        self._scene.counts["faults"] += 1
        self._scene.counts[f"fault: {fault.kind.value}"] += 1
        random = Random(fault.draw)
        undo = self._begin[fault.kind](random)
        observer = self._scene.observer
        number = observer.strikes(fault) if observer is not None else 0
        if undo is None:
            return

        def end() -> None:
            if undo in self._open:
                self._open.remove(undo)
                undo()
                if observer is not None:
                    observer.healed(number)

        self._open.append(undo)
        self._scene.events.after(fault.lasts_us, end)

    def heal(self) -> None:
        """All faults end, everything that is down starts, and nothing happens any more."""
        self._healed = True
        self._scene.note("faults", "all end")
        while self._open:
            self._open.pop()()
        self._network.conditions.end()
        self._network.changed()
        for node in self._nodes.values():
            node.disk_us = self._scene.plan.disk_us
            node.start()
        for switch in self._switches.all():
            if not switch.up:
                switch.start(self._scene.events.now)
        if self._fabric is not None:
            self._fabric.cut.clear()
            self._fabric.late_links = 0.0
        self._control.start_controller()

    def _false_word(self, random: Random) -> Undo:
        self._targets.note("somebody forges ICMP from leaders' hosts, and hints")
        forger = FalseWord(self._scene, self._nodes, self._network, random)
        forger.begin()
        return forger.end

    # -- not a fault, but asked at random moments -------------------------------------------------------------------

    def _read(self) -> None:
        """Linearizable reads of the core, now and then; more often while several believe to lead."""
        self._looks += 1
        for number, watch in self._scene.watches.items():
            leaders = []
            for node in self._nodes.values():
                process = node.process
                group = process.groups.get(number) if process is not None else None
                if process is not None and group is not None and group.core.role is Role.LEADER:
                    leaders.append(process)
            if len(leaders) > 1 or self._looks % READ_EVERY == 0:
                for process in leaders:
                    process.asked(number, watch.ask_to_read)
        self._scene.events.after(LOOK_US, self._read)
