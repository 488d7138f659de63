"""Which links work, found by probes: neither BMv2 nor P4Runtime reports a port's state. Pure; time counts in probes.

A probe leaves a switch by a trunk port and comes back to the controller from the switch at the other end. Only probes
that were really sent count as missed, so a controller that was slow for a moment condemns no link.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from controller.network import Link, Network

PERIOD_S = 0.2
DOWN_AFTER = 4
"""Probes without an answer."""
UP_AFTER = 2
"""Probes that arrive one after the other, once a link was down."""

ETHERTYPE = 0x88B5
_FRAME = struct.Struct(">6s6sHHHI")
_DESTINATION = bytes.fromhex("0180c200000e")
_SOURCE = bytes.fromhex("020000000000")
_MIN_FRAME = 60


@dataclass(frozen=True)
class Probe:
    """A probe's content: who sent it (device id and port), and its number on that port."""

    device_id: int
    port: int
    sequence: int

    def pack(self) -> bytes:
        """The Ethernet frame."""
        frame = _FRAME.pack(_DESTINATION, _SOURCE, ETHERTYPE, self.device_id, self.port, self.sequence & 0xFFFFFFFF)
        return frame.ljust(_MIN_FRAME, b"\0")

    @classmethod
    def unpack(cls, frame: bytes) -> Probe | None:
        """The inverse of pack; None for any other frame."""
        if len(frame) < _FRAME.size:
            return None
        _, _, ethertype, device_id, port, sequence = _FRAME.unpack_from(frame)
        return cls(device_id, port, sequence) if ethertype == ETHERTYPE else None


class State(Enum):
    """What probes say about one direction of a link."""

    ASSUMED = "assumed up"
    UP = "up"
    DOWN = "down"


@dataclass
class _Direction:
    state: State = State.ASSUMED
    sent: int = 0
    """Number of the last probe sent."""
    heard: int = 0
    """Number of the last probe that arrived."""
    forgiven: int = 0
    """Probes up to this number do not count as missed."""
    streak: int = 0

    @property
    def missed(self) -> int:
        return self.sent - max(self.heard, self.forgiven)


class LinkMonitor:
    """All links, both directions of each. Directions are named by their sending end: (switch, port)."""

    def __init__(self, network: Network) -> None:
        self._links = network.links
        self._peer = {end: other for link in network.links for end, other in (link.ends, link.ends[::-1])}
        self._sender = {switch.device_id: switch.name for switch in network.switches}
        self._device = {switch.name: switch.device_id for switch in network.switches}
        self._directions = {end: _Direction() for end in self._peer}

    def due(self, ready: Iterable[str]) -> list[tuple[str, Probe]]:
        """The probes to send now, as (switch, probe): over links whose switches are both ready."""
        able = set(ready)
        found = []
        for end, direction in self._directions.items():
            if end[0] in able and self._peer[end][0] in able:
                direction.sent += 1
                found.append((end[0], Probe(self._device[end[0]], end[1], direction.sent)))
        return found

    def heard(self, switch: str, port: int, probe: Probe) -> None:
        """A probe came in at a switch's port. One from the wrong place, or of an earlier controller, is nothing."""
        end = (self._sender.get(probe.device_id, ""), probe.port)
        direction = self._directions.get(end)
        if direction is None or self._peer[end] != (switch, port):
            return
        if not direction.heard < probe.sequence <= direction.sent:
            return
        direction.streak = direction.streak + 1 if probe.sequence == direction.heard + 1 else 1
        direction.heard = probe.sequence
        if direction.state is State.ASSUMED or direction.streak >= UP_AFTER:
            direction.state = State.UP

    def check(self) -> None:
        """Find the directions that have gone quiet. Call it a period after ``due``, with all arrivals noted."""
        for direction in self._directions.values():
            if direction.missed >= DOWN_AFTER:
                direction.state = State.DOWN
                direction.streak = 0

    def restart(self, switch: str) -> None:
        """A switch went or came: what was missed meanwhile says nothing. A link that was down stays so until probes
        arrive; the others count as up until probes say otherwise."""
        for end, direction in self._directions.items():
            if switch in (end[0], self._peer[end][0]):
                direction.forgiven = direction.sent
                direction.streak = 0
                if direction.state is State.UP:
                    direction.state = State.ASSUMED

    def state(self, link: Link) -> State:
        """A link's state: down if either direction is."""
        states = {self._directions[end].state for end in link.ends}
        for state in (State.DOWN, State.ASSUMED):
            if state in states:
                return state
        return State.UP

    def usable(self) -> frozenset[Link]:
        """The links that are not down."""
        return frozenset(link for link in self._links if self.state(link) is not State.DOWN)

    def settled(self, present: Iterable[str]) -> bool:
        """Whether probes have spoken on every link between these switches."""
        there = set(present)
        return all(
            self.state(link) is not State.ASSUMED for link in self._links if link.a in there and link.b in there
        )
