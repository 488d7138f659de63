"""A packet that is opened in the page: what the switches' programs have done to it, worked out when that is asked.

Each switch on its way has a shadow (topo/follow/shadow.py), which is given the entries that the switch held then, as
far as they were read, what it had learnt of leaders, and the packets that came in before, as far as they were seen.
Nothing of this exists until a packet is opened, and one is worked out at a time, on a thread.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p4switch.pipeline.native import default_cache
from topo import paths
from topo.errors import LabError
from topo.follow.filters import sent
from topo.follow.journeys import Hop, Journey, places_behind
from topo.follow.shadow import Shadows
from topo.follow.told import Teller
from topo.live.kept import Reading
from topo.live.switches import Contents, Learnt, SeenSwitch
from topo.topology import Topology
from web.recording import read_hop

BEFORE_US = 1_000_000
"""Packets of so long before go through the shadows first: a leader that is heard at all has been heard since."""
AFTER_US = 2_000_000
"""No packet is on its way for longer."""
LONG_US = 2_000_000
"""Longer than any window of the program."""
MOST_WAITING = 8

Json = dict[str, Any]
Line = tuple[int, str]
"""Microseconds since the recording began, and an event without its time as JSON."""


@dataclass(frozen=True)
class Known:
    """What was read of a switch about the time at which a packet came by; None where nothing was."""

    held: Reading[Contents] | None
    learnt: Reading[Learnt] | None


@dataclass
class Seen:
    """What the window has of a packet: its way from host to host, and of others where they came in meanwhile."""

    passed: list[tuple[int, int, str, int, bytes]] = field(default_factory=list)
    """Microseconds, message, switch, port and frame, in the order of time."""
    journey: Journey | None = None
    """The packet as it was sent and where it arrived; None if it was sent before."""
    is_lost: bool = False
    """Whether it, or a copy of it, was not seen to arrive."""

    @property
    def own(self) -> list[int]:
        """Where in ``passed`` the packet itself stands."""
        m = self.journey.m if self.journey is not None else 0
        return [at for at, one in enumerate(self.passed) if one[1] == m]


def seen(m: int, lines: Sequence[Line], began_ns: int, raft_port: int) -> Seen:
    """What events say of message ``m`` and of those before it."""
    found = Seen()
    frames: dict[int, tuple[bytes, int]] = {}
    for t, text in lines:
        event = json.loads(text) if '"m":' in text else {}
        kind, own = event.get("k"), event.get("m") == m
        if kind == "sent":
            frame = bytes.fromhex(event["frame"])
            frames[event["m"]] = frame, event.get("size", len(frame))
            if own:
                found.journey = Journey(m, "", sent(began_ns + t * 1000, event["who"], frame, raft_port))
        elif kind == "passed" and event["m"] in frames:
            frame, size = frames[event["m"]]
            for hop in map(read_hop, event["hops"]):
                # Of a long frame the beginning is told, and no switch reads further.
                found.passed.append((t, event["m"], hop.switch, hop.port, hop.frame(frame).ljust(size, b"\0")))
        elif kind == "received" and own and found.journey is not None:
            found.journey.arrives(began_ns + t * 1000, event["who"])
        elif kind == "dropped" and own:
            found.is_lost = True
    return found


class Opener:
    """Opens packets of one lab."""

    def __init__(
        self, topology: Topology, program: Path, switches: Mapping[str, SeenSwitch], began_ns: int, clock_ns: int
    ) -> None:
        """``program``: the BMv2 JSON that the switches run; ``switches``: what was read of them; ``began_ns``:
        nanoseconds since 1970 at which the recording's time is 0; ``clock_ns``: from which on the shadows' clocks
        count, before any packet that may be opened."""
        self._topology = topology
        self._program = program
        self._switches = switches
        self._began_ns = began_ns
        self._clock_ns = clock_ns
        self._next = places_behind(topology)
        self._shadows: Shadows | None = None
        self._fields: list[Any] = []
        self._ways: dict[int, list[Any]] = {}
        self._one = asyncio.Lock()
        self._waiting = 0

    async def open(self, m: int, at_us: int, lines: Sequence[Line]) -> Json:
        """What the page shows of message ``m``, which was sent at that time of the recording: "hops", one for each
        that ``lines`` have of it, with "way", "values", "now" (what the shadow's clock said), "said" (what became of
        the packet there) and "entries" (which those were); "ways", by number; "fields" of the program; and "ends":
        what the shadows do not explain. Raises LabError."""
        if self._waiting >= MOST_WAITING:
            raise LabError("too many packets are being opened: try again in a moment")
        at_ns = self._began_ns + at_us * 1000
        known = {name: one.known(at_ns) for name, one in self._switches.items()}
        self._waiting += 1
        try:
            async with self._one:
                return await asyncio.to_thread(
                    self._work_out, m, lines, {name: Known(*one) for name, one in known.items()}
                )
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Free the shadows, once nothing is being opened."""
        async with self._one:
            shadows, self._shadows = self._shadows, None
            if shadows is not None:
                shadows.close()

    def _load(self) -> Shadows:
        if self._shadows is None:
            self._shadows = Shadows(self._topology, self._program, self._clock_ns, self._tell_way, _cache())
            self._fields = self._shadows.program["fields"]
        return self._shadows

    def _tell_way(self, _time_ns: int, way: int, steps: list[Any]) -> None:
        self._ways[way] = steps

    def _work_out(self, m: int, lines: Sequence[Line], known: Mapping[str, Known]) -> Json:
        found = seen(m, lines, self._began_ns, self._topology.port)
        journey, own = found.journey, found.own
        if journey is None or not own:
            raise LabError("this packet is remembered no more, or has met no switch yet")
        shadows = self._load()
        switches = list(dict.fromkeys(found.passed[at][2] for at in own))
        for name in switches:
            self._prepare(shadows, name, known[name], self._began_ns + found.passed[0][0] * 1000)
        hops: list[Json] = []
        for t, number, switch, port, frame in found.passed[: own[-1] + 1]:
            if switch not in switches:
                continue
            time_ns = self._began_ns + t * 1000
            if number != m:
                shadows.pass_through(switch, port, frame, time_ns)
                continue
            hop = Hop(time_ns, switch, port, frame, shadows.trace(switch, port, frame, time_ns))
            journey.comes_by(hop, self._next)
            hops.append(self._told(shadows, hop, known[switch]))
        teller = self._teller(journey)
        ends = [text.strip() for text in teller.loose_ends(journey)]
        return {
            "hops": hops,
            "ways": {str(hop["way"]): self._ways[hop["way"]] for hop in hops},
            "fields": self._fields,
            "ends": ends if found.is_lost or journey.surprising else [],
        }

    @staticmethod
    def _prepare(shadows: Shadows, name: str, known: Known, time_ns: int) -> None:
        """Have a switch's shadow be as the switch was at a time."""
        if known.held is None:
            raise LabError(f"the tables of {name} were not read yet: try again in a moment")
        shadows.restart(name)
        shadows.hold(name, known.held.value)
        for group, term, leader in known.learnt.value if known.learnt is not None else ():
            shadows.learn(name, group, {"term": term, "leader": leader, "age_us": LONG_US}, time_ns)

    def _told(self, shadows: Shadows, hop: Hop, known: Known) -> Json:
        return {
            "way": hop.traced.way,
            "values": list(hop.traced.values),
            "now": shadows.clock_us(hop.time_ns),
            "said": list(self._teller(None).decisions(hop)),
            "entries": about_entries(hop.switch, known.held),
        }

    def _teller(self, journey: Journey | None) -> Teller:
        origin = journey.sent.time_ns if journey is not None else 0
        return Teller(self._topology, lambda switch, port: self._next.get((switch, port)), origin)


def about_entries(switch: str, held: Reading[Contents] | None) -> str:
    """Of which time the entries are by which a packet's way was worked out."""
    if held is None:
        return ""
    after = "" if held.after_ns is None else _seconds(held.after_ns)
    if held.before_ns is None:
        return f"with the entries that {switch} held {after} after it: those of then were not read"
    text = f"with the entries that {switch} held when they were read {_seconds(held.before_ns)} before it"
    if held.changed:
        return f"{text}; {after} after it they were others, so this is not sure"
    return f"{text}, and {after} after it" if after else text


def _seconds(time_ns: int) -> str:
    return f"{time_ns / 1e9:.1f} s"


def _cache() -> Path | None:
    """Where built programs are found and put; None for the usual place. A lab that was started by root may have made
    that, and it is not the user's then."""
    usual = default_cache()
    there = next(one for one in (usual, *usual.parents) if one.exists())
    return None if os.access(there, os.W_OK) else paths.lab() / "p4switch-cache"


def before_and_after(at_us: int) -> tuple[int, int]:
    """The time of which the events are needed to open a packet that was sent then."""
    return at_us - BEFORE_US, at_us + AFTER_US
