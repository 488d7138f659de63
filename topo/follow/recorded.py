"""Ways as a recording (docs/recordings.md), which `switchraft view` shows: with members, switches and their
entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from controller.desired import Entry
from hosts.control import socket as control
from sim.last_seen import entry_event
from topo import paths
from topo.errors import LabError, UsageError
from topo.follow.disks import PATIENCE_S, nodes_of
from topo.follow.shadow import Shadows
from topo.lab.running_lab import Live, node_socket
from topo.live.members import SeenMember
from topo.live.messages import Timed
from topo.topology import Topology
from web import network
from web.recording import Writer
from web.remembered import exact

Json = dict[str, Any]


def check(file: Path) -> None:
    """Whether a recording can be written there, before anything is followed for it. Raises UsageError."""
    if file.is_dir():
        raise UsageError(f"--record {file}: this is a folder; name a file in it")
    if not file.parent.is_dir():
        raise UsageError(f"--record {file}: there is no folder {file.parent}; make it, or choose another")


class Recording:
    """Gathers what a recording needs, and writes it."""

    def __init__(self, live: Live, shadows: Shadows, began_ns: int) -> None:
        self._live = live
        self._shadows = shadows
        self._began_ns = began_ns
        self._topology: Topology = live.topology
        self._events: list[Timed] = []
        self._members = {
            (name, group.id): SeenMember(name, group.id)
            for group in self._topology.groups
            for name in nodes_of(live, group)
        }

    def tell(self, events: Iterable[Timed]) -> None:
        """Things have happened, each at its time."""
        self._events += events

    def way(self, time_ns: int, way: int, steps: list[Any]) -> None:
        """A way through the program is taken for the first time."""
        self._events.append((time_ns, {"k": "way", "id": way, "steps": steps}))

    def switches(self) -> None:
        """The switches as they are at the beginning."""
        for one in self._topology.switches:
            events: list[Json] = [{"k": "switch", "up": True}]
            events += [entry_event("insert", entry) for entry in self._shadows.entries(one.name)]
            self.tell((self._began_ns, {**event, "who": one.name}) for event in events)

    def changed(self, time_ns: int, switch: str, before: Sequence[Entry], after: Sequence[Entry]) -> None:
        """A switch's entries are others now."""
        old, new = {entry.key: entry for entry in before}, {entry.key: entry for entry in after}
        events = [entry_event("delete", entry) for key, entry in old.items() if key not in new]
        events += [
            entry_event("modify" if key in old else "insert", entry)
            for key, entry in new.items()
            if old.get(key) != entry
        ]
        self.tell((time_ns, {**event, "who": switch}) for event in events)

    def registers(self, time_ns: int) -> None:
        """What the switches have learnt by now."""
        for one in self._topology.switches:
            cells = [[name, slot, exact(value)] for name, slot, value in self._shadows.learnt(one.name) if value]
            if cells:
                self.tell([(time_ns, {"k": "registers", "who": one.name, "set": cells})])

    def members(self, time_ns: int, statuses: dict[str, Json]) -> None:
        """The members as they have said of themselves."""
        for name, status in statuses.items():
            for shown in status.get("groups", ()):
                member = self._members.get((name, shown["group"]))
                if member is not None:
                    events = member.seen(shown, (time_ns - self._began_ns) // 1000)
                    self.tell((time_ns, event) for event in [*events, *self._log(name, member)])

    @staticmethod
    def _log(name: str, member: SeenMember) -> list[Json]:
        questions = member.log_questions()
        try:
            request = next(questions)
            while True:
                request = questions.send(list(control.ask(node_socket(name), request, PATIENCE_S)))
        except StopIteration as told:
            events: list[Json] = told.value
            return events
        except (LabError, OSError, ValueError):
            return []

    def write(self, file: Path, title: str) -> int:
        """Write it; returns how many events it has. Raises LabError."""
        spares = {name for name, _ in self._members if name not in self._topology.members}
        header = {
            "title": title,
            "source": "lab",
            "network": network.describe(self._topology, also=spares),
            "program": self._shadows.program,
            "began": self._began_ns / 1e9,
        }
        try:
            with Writer(file, header) as writer:
                for time_ns, event in sorted(self._events, key=lambda timed: timed[0]):
                    writer.write({"t": max(0, time_ns - self._began_ns) // 1000, **event})
                events = writer.events
            paths.give(file)
        except OSError as error:
            raise LabError(f"cannot write {file}: {error.strerror}") from error
        return events
