"""A copy of each switch in this process, for looking into what the switch itself does not tell.

A shadow holds the entries that its switch holds, and what that has learnt of leaders, both read from outside. All
Raft packets that come into the switch go through it, at the same times; so its registers stay those of the switch.
Frames that are followed go through the build that `switchraft trace` uses. This needs nothing of a switch but
P4Runtime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.desired import Entry, Held, diff
from controller.names import reason_name
from p4switch.errors import PipelineError
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program_json import load_json
from p4switch.trace.events import packets
from p4switch.trace.journey import Lookup, Narrator
from sim.fabric import SimSwitch
from topo.errors import LabError
from topo.live.switches import HEARD, ending
from topo.topology import Topology
from web.program import describe
from web.ways import Ways

LAST_HEARD = "last_heard"
Json = dict[str, Any]


@dataclass(frozen=True)
class Traced:
    """What a switch's program did to a frame. ``outputs``: ports and frames; ``digests``: what the controller is told
    beside them; ``reason``: why it was dropped, "" if it was not. ``way`` and ``values`` are a recording's; ``text``
    is what `switchraft trace` prints. ``version`` is another one whenever the entries were changed."""

    lookups: tuple[Lookup, ...]
    outputs: tuple[tuple[int, bytes], ...]
    digests: tuple[tuple[str, tuple[int, ...]], ...] = ()
    reason: str = ""
    way: int = 0
    values: tuple[int | str, ...] = ()
    text: tuple[str, ...] = ()
    version: int = 0


class Shadows:
    """The shadows of a lab's switches."""

    def __init__(
        self,
        topology: Topology,
        program: Path,
        began_ns: int,
        tell_way: Callable[[int, int, list[Any]], None],
        cache: Path | None = None,
    ) -> None:
        """``program``: the BMv2 JSON that the switches run; ``began_ns``: nanoseconds since 1970 from which their
        clocks count; ``tell_way`` is given each new way of a recording: when it is taken, its number and steps;
        ``cache``: where built programs are, if not at the usual place. Raises LabError."""
        self._now_ns = began_ns
        try:
            data = load_json(program)
            template = Pipeline.load(data, cache=cache)
            self._ways = Ways(template, data, lambda way, steps: tell_way(self._now_ns, way, steps), cache)
        except (PipelineError, OSError) as error:
            raise LabError(f"{program} cannot be traced: {error}") from error
        self._began_ns = began_ns
        self._slots = {group.id: group.slot for group in topology.groups}
        self._switches = {
            one.name: SimSwitch(one.name, number, template, Counter()) for number, one in enumerate(topology.switches)
        }
        places = self._ways.tracer.places
        self._narrators = {name: Narrator(one.pipeline, places) for name, one in self._switches.items()}
        registers = list(template.program.registers)
        self._heard = {field: ending(registers, last) for field, last in HEARD.items()}
        self._last_heard = ending(registers, LAST_HEARD)
        self._template = template

    def close(self) -> None:
        """Free them."""
        for switch in self._switches.values():
            switch.pipeline.close()
        self._template.close()

    @property
    def program(self) -> Json:
        """What a recording's header says of the program."""
        return describe(self._ways.program, self._ways.tracer.places)

    def version(self, switch: str) -> int:
        """Another number whenever the entries were changed."""
        return self._switches[switch].changes

    def restart(self, switch: str) -> None:
        """The switch forgets everything, and what a shadow of it had learnt with it."""
        shadow = self._switches[switch]
        shadow.stop()
        shadow.start(0)
        self._narrators[switch] = Narrator(shadow.pipeline, self._ways.tracer.places)

    def hold(self, switch: str, entries: Iterable[Held]) -> bool:
        """The switch holds these entries and multicast groups. Returns whether any of them has changed."""
        shadow = self._switches[switch]
        writes = diff(entries, shadow.entries())
        for write in writes:
            shadow.write(write)
        return bool(writes)

    def entries(self, switch: str) -> tuple[Entry, ...]:
        """What its tables hold."""
        return tuple(one for one in self._switches[switch].entries() if isinstance(one, Entry))

    def learn(self, switch: str, group: int, reading: Mapping[str, int], time_ns: int) -> None:
        """The switch said at that time whom it had heard of a group: term, leader, and ``age_us`` of that."""
        pipeline, slot = self._switches[switch].pipeline, self._slots[group]
        for field, register in self._heard.items():
            if register:
                pipeline.set_register(register, slot, reading[field])
        if self._last_heard:
            pipeline.set_register(self._last_heard, slot, max(0, self.clock_us(time_ns) - reading["age_us"]))

    def learnt(self, switch: str) -> list[tuple[str, int, int]]:
        """Register, slot and value, of those that ``learn`` sets."""
        names = [name for name in (*self._heard.values(), self._last_heard) if name]
        pipeline = self._switches[switch].pipeline
        return [(name, slot, pipeline.register(name, slot)) for name in names for slot in self._slots.values()]

    def pass_through(self, switch: str, port: int, frame: bytes, time_ns: int) -> None:
        """A frame came in that nobody follows."""
        self._switches[switch].pipeline.step(port, frame, self.clock_us(time_ns))

    def trace(self, switch: str, port: int, frame: bytes, time_ns: int) -> Traced:
        """A frame came in that is followed."""
        self._now_ns = time_ns
        shadow, now_us = self._switches[switch], self.clock_us(time_ns)
        pipeline, narrator = shadow.pipeline, self._narrators[switch]
        records = self._ways.trace(pipeline, port, frame, now_us)
        version = switch, shadow.changes
        output, way, values, reason = self._ways.read(pipeline, version, frame, now_us, {}, records)
        told = [
            (narrator.lookups(events), narrator.tell(events))
            for events in packets(list(self._ways.tracer.events(records)))
        ]
        return Traced(
            tuple(lookup for lookups, _ in told for lookup in lookups),
            output.packets,
            output.digests,
            reason_name(reason) if not output.packets else "",
            way,
            tuple(values),
            tuple(line for _, lines in told for line in lines),
            shadow.changes,
        )

    def clock_us(self, time_ns: int) -> int:
        """What the switches' clocks say at a time."""
        return max(0, time_ns - self._began_ns) // 1000
