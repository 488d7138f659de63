"""The lab as it is followed: taps at all ports of switches, and the switches' shadows."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from controller.program import Program as Tables
from controller.program import ProgramError
from controller.readers import Reader
from controller.reads import ReadError
from topo.errors import LabError
from topo.follow.journeys import Follower, Journey
from topo.follow.recorded import Recording
from topo.follow.shadow import Shadows
from topo.follow.told import Teller
from topo.lab.configs import grpc_address
from topo.lab.running_lab import Live
from topo.live.sampling import WHOLE, program
from topo.topology import Topology
from topo.views.taps import Frame, Tap, batches, taps_at_ports

CLOCK_BEFORE_NS = 2_000_000_000
"""The shadows' clocks begin so long before anything is followed: longer than any window of the program."""
REREAD_S = 1.0
"""From one look at the switches' tables to the next, while packets are waited for."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Shown:
    """How ways are told: as JSON; with look-ups in tables; with all that `switchraft trace` prints. ``record``: a
    file for a recording."""

    as_json: bool = False
    tables: bool = True
    full: bool = False
    record: Path | None = None


class Watch:
    """Watches from its creation on, until closed."""

    def __init__(self, live: Live, shown: Shown) -> None:
        """Frames are kept from here on. Raises LabError."""
        self.live = live
        self.shown = shown
        self.topology: Topology = live.topology
        self._unread: dict[str, str] = {}
        self._unheard: dict[str, str] = {}
        """Of switches whose tables, or whose registers, could not be read: why not."""
        self.began_ns = time.time_ns() - CLOCK_BEFORE_NS
        self._loop = asyncio.new_event_loop()
        self._readers: dict[str, Reader] = {}
        self._reread_at = 0.0
        self._known_ns = 0
        self._taps: list[Tap] = []
        with ExitStack() as stack:
            stack.callback(self._loop.close)
            self._open(stack)
            self._learn()
            self._stack = stack.pop_all()

    def _open(self, stack: ExitStack) -> None:
        """All that is closed by ``stack``. Raises LabError."""
        pipeline = self.live.network["pipeline"]
        self.shadows = Shadows(self.topology, Path(pipeline["json"]), self.began_ns, self._tell_way)
        stack.callback(self.shadows.close)
        self.recording = Recording(self.live, self.shadows, self.began_ns)
        try:
            tables = Tables(pipeline["json"], pipeline["p4info"])
        except ProgramError as error:
            raise LabError(str(error)) from error
        for one in self.topology.switches:
            self._readers[one.name] = Reader(grpc_address(one.device_id), one.device_id, tables)
            stack.callback(lambda name: self._run(self._readers[name].close()), one.name)
        for tap in taps_at_ports(self.topology, self.live.record.hosts):
            stack.callback(tap.close)
            tap.filter(program(self.topology.port, WHOLE))
            self._taps.append(tap)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stack.close()

    def _run(self, awaited: Coroutine[Any, Any, _Found]) -> _Found:
        return self._loop.run_until_complete(awaited)

    def _tell_way(self, time_ns: int, way: int, steps: list[Any]) -> None:
        self.recording.way(time_ns, way, steps)

    def _learn(self) -> None:
        """Read all tables, and what the switches have learnt of leaders."""
        self.reread()
        self.recording.switches()
        try:
            read = self.live.ask_controller({"cmd": "registers"})["switches"]
        except LabError:
            read = {}
        self._known_ns = time.time_ns()
        groups = {str(group.id): group.id for group in self.topology.groups}
        for one in self.topology.switches:
            heard = read.get(one.name, {})
            for name, number in groups.items():
                if name in heard:
                    self.shadows.learn(one.name, number, heard[name], self._known_ns)
            if not heard:
                # Heartbeats teach the shadow within a moment what the switch knows, wherever they pass.
                self._unheard[one.name] = "no controller says what this switch had learnt of leaders before"
        self.recording.registers(self._known_ns)

    def reread(self) -> None:
        """Read all tables again."""
        self._reread_at = time.monotonic()
        for name, reader in self._readers.items():
            try:
                held = self._run(reader.read())
            except ReadError as error:
                self._unread[name] = f"its tables cannot be read: {error}"
                continue
            self._unread.pop(name, None)
            before = self.shadows.entries(name)
            if self.shadows.hold(name, (*held.entries, *held.groups)) and self._known_ns:
                self.recording.changed(time.time_ns(), name, before, held.entries)

    def frames(self) -> Iterator[list[Frame]]:
        """What is seen at ports, in the order of time, until Ctrl-C."""
        for frames in batches(self._taps, 0):
            yield [frame for frame in frames if frame.time_ns >= self._known_ns]

    def keep_up(self) -> None:
        """Read the tables again if that is due."""
        if time.monotonic() - self._reread_at > REREAD_S:
            self.reread()

    def stopped(self) -> dict[str, str]:
        """Switches and nodes that do not run, with their state."""
        states = {one.name: one.state if one.alive else "dead" for one in self.live.renewed().record.processes}
        return {name: state for name, state in states.items() if state != "running"}

    def teller(self, follower: Follower, origin_ns: int) -> Teller:
        """What tells ways, with what is broken in the lab now."""
        try:
            cut = frozenset(self.live.links()["cut"])
        except (LabError, OSError, ValueError, KeyError):
            cut = frozenset()
        return Teller(
            self.topology,
            follower.next_of,
            origin_ns,
            {**self._unheard, **self._unread},
            self.stopped(),
            cut,
            tables=self.shown.tables,
            full=self.shown.full,
        )

    def doubts(self, teller: Teller, journeys: Sequence[Journey]) -> Teller:
        """A teller that knows whose entries have changed since these packets came by."""
        changed = {
            hop.switch: "its entries changed at about this time"
            for journey in journeys
            for hop in journey.hops
            if hop.traced.version != self.shadows.version(hop.switch)
        }
        return replace(teller, troubles={**teller.troubles, **changed})

    def finish(self, title: str) -> None:
        """Write the recording that was asked for, and say what was missed; both on stderr. Raises LabError."""
        lost = sum(tap.lost() for tap in self._taps)
        if lost:
            print(f"{lost} packets came too fast and were not seen: ways may have gaps", file=sys.stderr)
        file = self.shown.record
        if file is not None:
            events = self.recording.write(file, f"Followed: {title}")
            print(f"{file}: {events} events; look at it with: switchraft view {file}", file=sys.stderr)
