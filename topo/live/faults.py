"""What is broken: by hand, as the lab says, and what its parts have found out for themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hosts.config import TICK_MS
from topo.topology import Topology

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """``on``: a member, switch or the controller; ``a-b`` a link, ``a>b`` one way of it; "": on several."""

    on: str
    what: str
    by_hand: bool


def by_hand(topology: Topology, state: Mapping[str, Any]) -> set[Fault]:
    """What somebody has broken, by a line of the lab's ``watch``."""
    faults = {
        Fault(name, f"{name} {condition}", by_hand=True)
        for name, condition in state["processes"].items()
        if condition in ("killed", "paused")
    }
    cut = set(state["cut"])
    ends = [(link.a, link.b) for link in topology.links] + [(host.name, host.switch) for host in topology.hosts]
    for a, b in ends:
        there, back = (end in cut for end in topology.ends(a, b))
        if there and back:
            faults.add(Fault(f"{a}-{b}", f"link {a} {b} down", by_hand=True))
        elif there:
            faults.add(Fault(f"{a}>{b}", f"link {a} {b} down, one way", by_hand=True))
        elif back:
            faults.add(Fault(f"{b}>{a}", f"link {b} {a} down, one way", by_hand=True))
    if state["parted"]:
        pairs = sorted({" / ".join(sorted(pair)) for pair in state["parted"]})
        faults.add(Fault("", f"partition: {', '.join(pairs)}", by_hand=True))
    return faults


def found(
    topology: Topology, state: Mapping[str, Any], controller: Mapping[str, Any], members: Iterable[Json]
) -> set[Fault]:
    """What the lab's parts have found out: ``controller``, what the controller says of itself, empty while it says
    nothing; ``members``, what each member says of a group."""
    faults = {
        Fault(name, f"{name} has ended by itself", by_hand=False)
        for name, condition in state["processes"].items()
        if condition == "died"
    }
    for link in controller.get("links", ()):
        if not link["up"]:
            name = f"{link['a']}-{link['b']}"
            faults.add(Fault(name, f"the controller holds {name} for down", by_hand=False))
    for name, one in controller.get("switches", {}).items():
        if one["standing"] == "away":
            faults.add(Fault(name, f"the controller has no connection to {name}", by_hand=False))
    hosts = dict(topology.spares)
    for group in topology.groups:
        hosts |= group.members
    for status in members:
        if status.get("role") != "leader":
            continue
        for member, one in status.get("progress", {}).items():
            host = hosts.get(int(member))
            if host is not None and one.get("silent_ticks", 0) * TICK_MS >= topology.election_timeout_ms:
                faults.add(Fault(host, f"{hosts.get(status['id'])}, the leader, does not hear {host}", by_hand=False))
    return faults


class SeenFaults:
    """The faults that were told and are not over."""

    def __init__(self, first: int = 1) -> None:
        """``first``: the number of the first fault."""
        self.next = first
        self._open: dict[Fault, int] = {}

    def now(self, faults: set[Fault]) -> list[Json]:
        """These there are now."""
        events: list[Json] = []
        for fault in [one for one in self._open if one not in faults]:
            events.append({"k": "healed", "fault": self._open.pop(fault)})
        for fault in sorted(faults - self._open.keys(), key=lambda one: (one.on, one.what)):
            self._open[fault] = self.next
            by = "hand" if fault.by_hand else "found"
            events.append({"k": "fault", "fault": self.next, "what": fault.what, "by": by, "on": fault.on})
            self.next += 1
        return events
