"""Which controllers there are at a moment, which of them rules a switch, and what switches tell it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from controller import network as controller_network
from controller.network import FEATURES
from sim.control import SimController
from sim.events import MS
from sim.fabric import Fabric, SimSwitch
from sim.scene import Scene
from topo.lab import configs

LATE_DIGEST_US = 50 * MS
"""By then the next heartbeat has passed."""


class ControlPlane:
    """One controller, and at times a rival of a higher election id. Without switches there is neither."""

    def __init__(self, scene: Scene, fabric: Fabric | None) -> None:
        self.controller: SimController | None = None
        self.rival: SimController | None = None
        self.slowness = 1.0
        """How many times longer than usual everything takes."""
        self.digest_loss = 0.0
        self._scene = scene
        self._fabric = fabric
        self._lives = 0
        self._random = Random(f"digests/{scene.plan.seed}")
        if fabric is not None:
            fabric.listener = self

    def start_controller(self) -> None:
        """Begin a life of the controller; nothing if there is one, or nothing to control."""
        if self._fabric is None or self.controller is not None:
            return
        self._lives += 1
        if self._lives > 1:
            self._scene.counts["controller restarts"] += 1
        self.controller = self._new_controller(self._fabric, 1000)
        self._scene.note("controller", "starts")

    def start_rival(self) -> None:
        """A second controller takes the switches over from the first, which stands by."""
        if self._fabric is not None and self.rival is None:
            self._lives += 1
            self.rival = self._new_controller(self._fabric, 2000)
            self._scene.note("controller", "another one takes over")

    def stop_rival(self) -> None:
        """The second controller goes, and the first is the primary again."""
        if self.rival is not None:
            self._scene.note("controller", "the other one is killed")
            self.rival.crash()
            self.rival = None

    def stop_controller(self) -> None:
        """Kill the first controller, if it lives."""
        if self.controller is not None:
            self._scene.note("controller", "is killed")
            self.controller.crash()
            self.controller = None

    def _new_controller(self, fabric: Fabric, election_id: int) -> SimController:
        network = controller_network.parse(configs.network(self._scene.plan.topology))
        features = tuple(name for name in FEATURES if name in self._scene.plan.features)
        return SimController(self._scene, fabric, self, replace(network, features=features), self._lives, election_id)

    def primary(self, switch: SimSwitch) -> SimController | None:
        """The controller that rules a switch: of those that are connected the one of the highest election id."""
        for controller in (self.rival, self.controller):
            if controller is not None and controller.sessions[switch.name].here:
                return controller
        return None

    def primary_of(self, name: str) -> SimController | None:
        """The controller that rules the switch of that name."""
        return None if self._fabric is None else self.primary(self._fabric.switches[name])

    # -- what switches tell ---------------------------------------------------------------------------------------

    def packet_in(self, switch: SimSwitch, frame: bytes) -> None:
        """A switch sends a packet to the controller."""
        primary = self.primary(switch)
        if primary is not None:
            primary.packet_in(switch, frame)

    def digest(self, switch: SimSwitch, name: str, fields: tuple[int, ...]) -> None:
        """A switch tells something, if the controller listens."""
        counts, random = self._scene.counts, self._random
        counts["digests"] += 1
        primary = self.primary(switch)
        if primary is None or random.random() < 0.02 + self.digest_loss:
            counts["lost digests"] += 1
            return
        late = round(random.uniform(0.2, 4) * MS * self.slowness)
        counts["late digests"] += late > LATE_DIGEST_US
        self._scene.events.after(late, self._hear_digest, primary, switch, name, fields)

    def _hear_digest(self, controller: SimController, switch: SimSwitch, name: str, fields: tuple[int, ...]) -> None:
        if controller.alive:
            controller.digest(switch, name, fields)
