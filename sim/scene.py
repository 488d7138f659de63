"""What all parts of a simulated run share: the plan, the time, counts, the trace, and what has been promised."""

from __future__ import annotations

from collections import Counter

from hosts.config import Address
from sim.events import Events
from sim.invariants import Watch
from sim.observer import Observer
from sim.plan import Plan
from sim.trace import Trace


class Scene:
    """What the parts of one seed share."""

    def __init__(self, plan: Plan, *, trace: bool) -> None:
        self.plan = plan
        self.events = Events()
        self.counts: Counter[str] = Counter()
        self.trace = Trace(trace)
        self.observer: Observer | None = None
        """Whoever looks on; set before the run."""
        self.quiet = False
        """Whether clients begin nothing any more."""
        self.guarded = plan.switches and "member_guard" in plan.features
        """Whether switches keep strangers out."""
        self.watches = {
            group.id: Watch(group.id, sorted(group.members), self.counts, plan.limits)
            for group in plan.topology.groups
        }
        for watch in self.watches.values():
            watch.ages.now = lambda: self.events.now
        self.member_addresses: dict[int, Address] = {
            member: (str(plan.topology.host(host).ip), plan.topology.port)
            for group in plan.topology.groups
            for member, host in group.members.items()
        }
        self.list_length: Counter[int] = Counter()
        """By group: the least length of its list, as clients know it."""

    def note(self, who: str, text: str) -> None:
        """Something worth a line in the trace."""
        self.trace.note(self.events.now, who, text)
        if self.observer is not None:
            self.observer.note(who, text)
