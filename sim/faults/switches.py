"""Faults of links between switches, of switches and of their controllers, and features taken away."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from controller.desired import Entry, Operation, Write
from sim.control_plane import ControlPlane
from sim.events import MS
from sim.fabric import Fabric, SimSwitch
from sim.faults.targets import Begin, Targets, Undo
from sim.plan import DRAWN_APART, SENT_BY_LEADERS, Kind
from sim.scene import Scene


class Switches:
    """``kinds``: how each begins."""

    def __init__(self, scene: Scene, fabric: Fabric | None, control: ControlPlane, targets: Targets) -> None:
        self._scene = scene
        self._fabric = fabric
        self._control = control
        self._targets = targets
        self.kinds: dict[Kind, Begin] = {
            Kind.LINK: self._link,
            Kind.SWITCH: self._switch,
            Kind.CONTROLLER: self._controller,
            Kind.TAKEOVER: self._takeover,
            Kind.FOREIGN_WRITE: self._foreign_write,
            Kind.SLOW_CONTROLLER: self._slow_controller,
            Kind.LOST_DIGESTS: self._lost_digests,
            Kind.FEATURE: self._feature,
        }

    def all(self) -> list[SimSwitch]:
        """Those that there are."""
        return list(self._fabric.switches.values()) if self._fabric is not None else []

    def _link(self, random: Random) -> Undo | None:
        fabric = self._fabric
        links = self._scene.plan.topology.links
        if fabric is None or not links:
            return None
        link = random.choice(links)
        ends = [(link.a, link.a_port), (link.b, link.b_port)]
        if random.random() < 0.3:
            ends = [random.choice(ends)]
        fabric.cut.update(ends)
        self._targets.note(f"link {link.a}-{link.b} {'is down' if len(ends) == 2 else f'is deaf from {ends[0][0]}'}")

        def mend() -> None:
            fabric.cut.subtract(ends)

        return mend

    def _switch(self, random: Random) -> Undo:
        switch = random.choice(self.all())
        down_us = 0 if random.random() < 0.5 else 1
        self._targets.note(f"switch {switch.name} {'goes down' if down_us else 'restarts'}")
        if switch.up:
            switch.stop()
            self._scene.counts["switch restarts"] += 1

        def up() -> None:
            if not switch.up:
                switch.start(self._scene.events.now)

        if not down_us:
            self._scene.events.after(random.randrange(20 * MS, 200 * MS), up)
        return up

    def _controller(self, random: Random) -> Undo:
        """Killed at once, or in the middle of the next update."""
        controller = self._control.controller
        if controller is not None and random.random() < 0.5:
            controller.doomed = True
        else:
            self._control.stop_controller()

        def restart() -> None:
            if controller is not None:
                controller.doomed = False
            self._control.start_controller()

        return restart

    def _takeover(self, _random: Random) -> Undo:
        """The first controller stands by until the second has gone."""
        self._control.start_rival()
        return self._control.stop_rival

    def _foreign_write(self, random: Random) -> Undo | None:
        """Another client of P4Runtime writes a leader of an earlier term into a switch: no controller is told."""
        group = random.choice(self._scene.plan.topology.groups)
        assert self._fabric is not None
        switch = self._fabric.switches[random.choice(sorted(self._fabric.switches))]
        for entry in switch.entries():
            if not isinstance(entry, Entry) or entry.table != "groups":
                continue
            params = dict(entry.params)
            if dict(entry.match)["group"] != group.id or not params["term"]:
                continue
            params.update(leader=random.choice(sorted(group.members)), term=params["term"] - 1)
            switch.write(Write(Operation.MODIFY, replace(entry, params=tuple(params.items()))))
            self._targets.note(f"{switch.name}'s entry of group {group.id} is changed")
        return None

    def _slow_controller(self, random: Random) -> Undo:
        self._control.slowness = random.choice((5.0, 30.0, 100.0))
        self._targets.note(f"the controller is {self._control.slowness:.0f} times slower")

        def recover() -> None:
            self._control.slowness = 1.0

        return recover

    def _lost_digests(self, random: Random) -> Undo:
        self._control.digest_loss = random.choice((0.5, 1.0))
        self._targets.note("digests are lost")

        def recover() -> None:
            self._control.digest_loss = 0.0

        return recover

    def _feature(self, random: Random) -> Undo | None:
        """Taken out of all switches at run time, and put back. A controller that starts later has it on."""
        controller = self._control.controller
        names = [name for name in SENT_BY_LEADERS if name != "member_guard"]
        names += [one for one in DRAWN_APART if one in self._scene.plan.features]
        name = random.choice(names)
        if controller is None or name not in controller.decisions.features:
            return None
        self._targets.note(f"{name} is taken away")
        controller.set_feature(name, False)

        def put_back() -> None:
            if controller.alive:
                controller.set_feature(name, True)

        return put_back
