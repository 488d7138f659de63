"""An operator who limits a host's clients for a while, and looks now and then whether that is still so."""

from __future__ import annotations

from sim.checks.limits import SETTLED_US, LimitWatch
from sim.control import SimController
from sim.control_plane import ControlPlane
from sim.events import SECOND
from sim.fabric import Fabric
from sim.plan import ClientLimit
from sim.scene import Scene
from sim.violation import Violation

LOOK_US = SECOND // 2


class Limiting:
    """For plans with a limit."""

    def __init__(self, scene: Scene, fabric: Fabric, control: ControlPlane, limit: ClientLimit) -> None:
        self._scene = scene
        self._events = scene.events
        self._control = control
        self._limit = limit
        self._at = scene.plan.topology.host(limit.host).switch
        self._since = 0
        """When something about the limit last changed, or was not certain."""
        self._told: set[SimController] = set()
        """Controllers to whom the wish was said."""
        self._wished = False
        fabric.limits = LimitWatch(self._fail, scene.counts, self._ruled)
        self._events.at(limit.from_us, self._set)
        self._events.at(limit.until_us, self._unset)
        self._events.at(limit.from_us + 1, self._look)

    def _fail(self, rule: str, text: str) -> None:
        raise Violation(rule, text)

    def _set(self) -> None:
        self._wished = True
        self._scene.note("operator", f"limits {self._limit.host} to {self._limit.per_second}/s")

    def _unset(self) -> None:
        self._wished = False
        self._since = self._events.now
        self._told.clear()
        self._scene.note("operator", f"limits {self._limit.host} no more")

    def _look(self) -> None:
        """Whoever rules the switch must know the wish. A controller that has come to rule may know it from the
        switch, and if it does not it is told."""
        controller = self._control.primary_of(self._at)
        wished = self._limit.per_second if self._wished else None
        if controller is not None and controller.decisions.limits.wished.get(self._limit.host) != wished:
            self._scene.counts["limits wished again"] += controller not in self._told and bool(self._told)
            controller.set_limit(self._limit.host, wished)
            self._since = self._events.now
        if controller is not None:
            self._told.add(controller)
        self._events.after(LOOK_US, self._look)

    def _ruled(self, host: str) -> int | None:
        """What a host's switch is programmed for; 0 where that is not certain."""
        if host != self._limit.host:
            return None
        controller = self._control.primary_of(self._at)
        now = self._events.now
        is_certain = (
            controller is not None
            and controller.rules(self._at)
            and "client_limit" in controller.decisions.features_at(self._at)
            and controller.decisions.limits.wished.get(host) == (self._limit.per_second if self._wished else None)
        )
        if not is_certain:
            self._since = now
        if now < self._since + SETTLED_US:
            return 0
        return self._limit.per_second if self._wished else None
