"""What switches hold, as the events of a recording. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.desired import Entry
from sim.last_seen import entry_event
from web.remembered import exact

Json = dict[str, Any]
Cell = tuple[str, int]

HEARD = {"term": "heard_term", "leader": "heard_leader"}
"""Of what the controller reads back, the registers that hold it."""


class SeenSwitch:
    """A switch, and what was told of it last."""

    def __init__(self, name: str, registers: Sequence[str]) -> None:
        """``registers``: the program's."""
        self.name = name
        self.up = False
        self.counters: Mapping[Cell, tuple[int, int]] = {}
        self._registers = {field: ending(registers, last) for field, last in HEARD.items()}
        self._entries: dict[Any, Entry] = {}
        self._cells: dict[Cell, int] = {}
        self._counted: dict[Cell, tuple[int, int]] = {}

    def runs(self, up: bool) -> list[Json]:
        """Its process runs, or does not."""
        if up == self.up:
            return []
        self.up = up
        self._entries, self._cells, self._counted, self.counters = {}, {}, {}, {}
        return [{"k": "switch", "who": self.name, "up": up}]

    def restarted(self) -> list[Json]:
        """It has ended and runs again."""
        return [*self.runs(False), *self.runs(True)]

    def holds(self, entries: Sequence[Entry], counters: Mapping[Cell, tuple[int, int]]) -> list[Json]:
        """It was read."""
        if not self.up:
            return []
        self.counters = counters
        now = {entry.key: entry for entry in entries}
        events = [entry_event("delete", entry) for key, entry in self._entries.items() if key not in now]
        for key, entry in now.items():
            before = self._entries.get(key)
            if before != entry:
                events.append(entry_event("insert" if before is None else "modify", entry))
        self._entries = now
        return [{**event, "who": self.name} for event in events]

    def count(self) -> list[Json]:
        """Counters that have changed since they were told last."""
        changed = [
            [name, index, *held]
            for (name, index), held in self.counters.items()
            if self._counted.get((name, index)) != held
        ]
        self._counted.update(self.counters)
        return [{"k": "counters", "who": self.name, "set": changed}] if changed and self.up else []

    def heard(self, slot: int, reading: Mapping[str, int]) -> list[Json]:
        """What it has learnt of a group's leader: "term" and "leader"."""
        cells = []
        for field, register in self._registers.items():
            value = reading[field]
            if register and self._cells.get((register, slot), 0) != value:
                self._cells[register, slot] = value
                cells.append([register, slot, exact(value)])
        return [{"k": "registers", "who": self.name, "set": cells}] if cells and self.up else []


def from_hosts(counters: Mapping[Cell, tuple[int, int]], ports: Sequence[int]) -> int:
    """Packets that have come in at ports."""
    return sum(
        packets for (name, index), (packets, _) in counters.items() if name.endswith("port_rx") and index in ports
    )


def ending(names: Sequence[str], last: str) -> str:
    """The full name of a register, of which ``last`` is the last part; "" if there is none."""
    return next((name for name in names if name.rpartition(".")[2] == last), "")
