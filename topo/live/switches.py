"""What switches hold, as the events of a recording. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.desired import Entry, Held
from sim.last_seen import entry_event
from topo.live.kept import Kept, Reading
from web.remembered import exact

Json = dict[str, Any]
Cell = tuple[str, int]
Contents = frozenset[Held]
"""Entries and multicast groups."""
Learnt = frozenset[tuple[int, int, int]]
"""Of each group: its number, and term and leader that were heard last."""

HEARD = {"term": "heard_term", "leader": "heard_leader"}
"""Of what the controller reads back, the registers that hold it."""


class SeenSwitch:
    """A switch, and what was told of it last."""

    def __init__(self, name: str, registers: Sequence[str], slots: Mapping[int, int]) -> None:
        """``registers``: the program's; ``slots``: the register slot of each group."""
        self.name = name
        self.up = False
        self.counters: Mapping[Cell, tuple[int, int]] = {}
        self._registers = {field: ending(registers, last) for field, last in HEARD.items()}
        self._entries: dict[Any, Entry] = {}
        self._cells: dict[Cell, int] = {}
        self._counted: dict[Cell, tuple[int, int]] = {}
        self._slots = slots
        self._heard: dict[int, tuple[int, int]] = {}
        self._held_then: Kept[Contents] = Kept()
        self._learnt_then: Kept[Learnt] = Kept()

    def runs(self, up: bool) -> list[Json]:
        """Its process runs, or does not."""
        if up == self.up:
            return []
        self.up = up
        self._entries, self._cells, self._counted, self.counters, self._heard = {}, {}, {}, {}, {}
        return [{"k": "switch", "who": self.name, "up": up}]

    def restarted(self) -> list[Json]:
        """It has ended and runs again."""
        return [*self.runs(False), *self.runs(True)]

    def holds(self, held: Iterable[Held], time_ns: int) -> list[Json]:
        """Its entries and multicast groups were read."""
        if not self.up:
            return []
        contents = frozenset(held)
        self._held_then.add(time_ns, contents)
        now = {one.key: one for one in held if isinstance(one, Entry)}
        events = [entry_event("delete", entry) for key, entry in self._entries.items() if key not in now]
        for key, entry in now.items():
            before = self._entries.get(key)
            if before != entry:
                events.append(entry_event("insert" if before is None else "modify", entry))
        self._entries = now
        return [{**event, "who": self.name} for event in events]

    def count(self, counters: Mapping[Cell, tuple[int, int]]) -> list[Json]:
        """Its counters were read: those that have changed since."""
        self.counters = counters
        changed = [
            [name, index, *held]
            for (name, index), held in self.counters.items()
            if self._counted.get((name, index)) != held
        ]
        self._counted.update(self.counters)
        return [{"k": "counters", "who": self.name, "set": changed}] if changed and self.up else []

    def known(self, time_ns: int) -> tuple[Reading[Contents] | None, Reading[Learnt] | None]:
        """What it held and had learnt at a time, as far as that was read."""
        return self._held_then.about(time_ns), self._learnt_then.about(time_ns)

    def heard(self, group: int, reading: Mapping[str, int], time_ns: int) -> list[Json]:
        """What it has learnt of a group's leader: "term" and "leader"."""
        cells, slot = [], self._slots[group]
        self._heard[group] = reading["term"], reading["leader"]
        self._learnt_then.add(time_ns, frozenset((one, *heard) for one, heard in self._heard.items()))
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
