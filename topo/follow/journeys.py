"""Frames at the switches' ports, put together to the ways of packets. Pure, but for the shadows' state.

A way is whole once everything that the switches are expected to have sent on was seen to arrive, or after GIVE_UP_NS:
then what is missing was lost. What the switches did is what was seen at their ports; why, the shadows tell. Where
these two disagree, the way says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hosts.config import Address
from topo.follow.filters import Sent, sent
from topo.follow.shadow import Traced
from topo.lab.configs import CPU_PORT
from topo.live.messages import Messages, Timed
from topo.topology import Topology
from topo.views.capture import Packet
from topo.views.taps import Frame

GIVE_UP_NS = 500_000_000
"""A packet that was sent on and is not seen again for so long is lost."""

Role = Callable[[Sent], str]
"""What a packet is for, as its host sends it; "" for one that is not followed."""


class Tracing(Protocol):
    """Where frames are traced (``topo.follow.shadow.Shadows``)."""

    def pass_through(self, switch: str, port: int, frame: bytes, time_ns: int) -> None:
        """A frame came in that nobody follows."""

    def trace(self, switch: str, port: int, frame: bytes, time_ns: int) -> Traced:
        """A frame came in that is followed."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a frame that leaves a switch ought to be seen next: coming in at a switch's port, or at a host (port
    0)."""

    name: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.name}, port {self.port}" if self.port else self.name


@dataclass(frozen=True)
class Hop:
    """A packet at a switch: when and at which port it came in, and what was done to it."""

    time_ns: int
    switch: str
    port: int
    frame: bytes
    traced: Traced

    @property
    def steered(self) -> tuple[Address, Address] | None:
        """The destination that it came with and the one that it left with, if these are two."""
        for port, frame in self.traced.outputs:
            if port != CPU_PORT:
                came, left = _destination(self.frame), _destination(frame)
                return (came, left) if came is not None and left is not None and came != left else None
        return None

    @property
    def to_controller(self) -> bool:
        """Whether the packet itself went to the controller."""
        return any(port == CPU_PORT for port, _ in self.traced.outputs)


@dataclass
class Journey:
    """A packet's way."""

    m: int
    """The message's number in a recording."""
    role: str
    sent: Sent
    hops: list[Hop] = field(default_factory=list)
    arrivals: list[tuple[int, str]] = field(default_factory=list)
    """Nanoseconds since 1970, and the host."""
    expected: list[Place] = field(default_factory=list)
    """Where it ought to have been seen, but for its first switch."""
    seen: list[Place] = field(default_factory=list)
    last_ns: int = 0

    def comes_by(self, hop: Hop, behind: Mapping[tuple[str, int], Place]) -> None:
        """It came into a switch. ``behind``: see ``places_behind``."""
        if self.hops:
            self.seen.append(Place(hop.switch, hop.port))
        self.hops.append(hop)
        self.last_ns = max(self.last_ns, hop.time_ns)
        for out, _ in hop.traced.outputs:
            if out != CPU_PORT:
                self.expected.append(behind.get((hop.switch, out), Place(f"port {out} of {hop.switch}")))

    def arrives(self, time_ns: int, host: str) -> None:
        """It came to a host."""
        self.arrivals.append((time_ns, host))
        self.seen.append(Place(host))
        self.last_ns = max(self.last_ns, time_ns)

    @property
    def missing(self) -> list[Place]:
        """Where it ought to have been seen, and was not."""
        return _without(self.expected, self.seen)

    @property
    def surprising(self) -> list[Place]:
        """Where it was seen, and no shadow had sent it."""
        return _without(self.seen, self.expected)

    @property
    def reasons(self) -> list[str]:
        """Why it, or copies of it, were dropped."""
        return [hop.traced.reason for hop in self.hops if hop.traced.reason]


def places_behind(topology: Topology) -> dict[tuple[str, int], Place]:
    """Where a frame comes that leaves a switch, by its name and port."""
    behind = {(host.switch, host.port): Place(host.name) for host in topology.hosts}
    for link in topology.links:
        behind[link.a, link.a_port] = Place(link.b, link.b_port)
        behind[link.b, link.b_port] = Place(link.a, link.a_port)
    return behind


class Follower:
    """Takes frames in the order of time, and has the ways of those packets for which ``role`` has a word."""

    def __init__(self, topology: Topology, tracing: Tracing, role: Role) -> None:
        self.journeys: dict[int, Journey] = {}
        """By number, in the order in which they were sent."""
        self.events: list[Timed] = []
        """What a recording says of them."""
        self.packets = 0
        """How many packets hosts have sent."""
        self._port = topology.port
        self._tracing = tracing
        self._role = role
        self._messages = Messages(topology, way=self._way)
        self._edges = {(host.switch, host.port): host.name for host in topology.hosts}
        self._next = places_behind(topology)
        self._whole: set[int] = set()

    def take(self, frames: Iterable[Frame]) -> None:
        """Frames in the order of time, at ports of switches."""
        for frame in frames:
            events = self._messages.seen(frame.time_ns, frame.interface, frame.outgoing, frame.data)
            self.packets = self._messages.next - 1
            for timed in events:
                journey = self.journeys.get(timed[1]["m"])
                if journey is not None:
                    self.events += self._told(journey, timed)

    def _told(self, journey: Journey, timed: Timed) -> Iterator[Timed]:
        """What a recording says of it, with the end that a switch gives it."""
        time_ns, event = timed
        yield timed
        if event["k"] == "received":
            journey.arrives(time_ns, event["who"])
        elif event["k"] == "passed" and journey.hops[-1].traced.reason:
            hop = journey.hops[-1]
            yield time_ns, {"k": "dropped", "who": hop.switch, "m": journey.m, "why": hop.traced.reason}

    def _way(self, m: int, time_ns: int, switch: str, port: int, frame: bytes) -> tuple[int, Sequence[int | str]]:
        host = self._edges.get((switch, port))
        journey = self.journeys.get(m)
        if journey is None and m and host is not None:
            found = sent(time_ns, host, frame, self._port)
            role = self._role(found)
            if role:
                journey = self.journeys[m] = Journey(m, role, found)
        if journey is None:
            self._tracing.pass_through(switch, port, frame, time_ns)
            return 0, ()
        traced = self._tracing.trace(switch, port, frame, time_ns)
        journey.comes_by(Hop(time_ns, switch, port, frame, traced), self._next)
        return traced.way, traced.values

    def next_of(self, switch: str, port: int) -> Place | None:
        """Where a frame comes that leaves a switch; None where nothing hangs there."""
        return self._next.get((switch, port))

    def take_whole(self, now_ns: int) -> list[Journey]:
        """The ways that are whole now and were not before. All frames up to ``now_ns`` were taken."""
        found = []
        for m, journey in self.journeys.items():
            if m not in self._whole and (not journey.missing or now_ns - journey.last_ns > GIVE_UP_NS):
                self._whole.add(m)
                found.append(journey)
        self._messages.look_back(now_ns)
        return found

    def forget(self, journey: Journey) -> None:
        """Follow this packet no longer, and leave out what a recording would say of it."""
        del self.journeys[journey.m]
        self._whole.discard(journey.m)
        self.events = [timed for timed in self.events if timed[1].get("m") != journey.m]

    def open(self) -> bool:
        """Whether some way is not whole."""
        return len(self._whole) < len(self.journeys)


def _without(places: Iterable[Place], others: Iterable[Place]) -> list[Place]:
    """Places in their order; each of the others takes one away that is the same."""
    return list((Counter(places) - Counter(others)).elements())


def _destination(frame: bytes) -> Address | None:
    ends = Packet(0.0, False, frame).ends
    return None if ends is None else ends[2:]
