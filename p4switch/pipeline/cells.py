"""A loaded program's cells: counters, meters, registers and parser value sets, by name and index."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence

from p4switch.codegen import Generated
from p4switch.codegen.layout import limbs
from p4switch.errors import BadValue, TableFull, UnknownName
from p4switch.pipeline.encoding import array, check, number, words
from p4switch.pipeline.entities import MeterRates
from p4switch.pipeline.table_state import Native
from p4switch.program import Program


class Cells:
    """The part of a Pipeline that reads and writes them; `native` is gone once it is closed."""

    native: Native

    def __init__(self, program: Program, generated: Generated, native: Native) -> None:
        self.program = program
        self.generated = generated
        self.native = native
        self._lock = threading.RLock()
        self._counters = {name: i for i, name in enumerate(program.counters)}
        self._meters = {name: i for i, name in enumerate(program.meters)}
        self._registers = {name: i for i, name in enumerate(program.registers)}
        self._value_sets = {name: i for i, name in enumerate(program.value_sets)}
        self._rates: dict[object, MeterRates] = {}
        self._sets: dict[str, tuple[tuple[int, ...], ...]] = {}

    @staticmethod
    def _number(known: Mapping[str, int], name: str, what: str, index: int, size: int) -> int:
        if not 0 <= index < size:
            raise BadValue(f"{what} {name} has {size} cells; there is no index {index}")
        return known[name]

    def _counter(self, name: str, index: int) -> int:
        if name not in self._counters:
            raise UnknownName(f"the program has no counter {name}")
        return self._number(self._counters, name, "counter", index, self.program.counters[name].size)

    def counter(self, name: str, index: int) -> tuple[int, int]:
        """(packets, bytes) of one cell; both are always counted. Raises BadValue for an index out of range."""
        cells = array([0, 0])
        self.native.library.p4_read_counters(self.native.switch, self._counter(name, index), index, 1, cells)
        return cells[0], cells[1]

    def counters(self, name: str) -> list[tuple[int, int]]:
        """All cells at once."""
        which = self._counter(name, 0)
        size = self.program.counters[name].size
        cells = (ctypes.c_uint64 * (2 * size))()
        self.native.library.p4_read_counters(self.native.switch, which, 0, size, cells)
        values = list(cells)
        return list(zip(values[::2], values[1::2], strict=True))

    def set_counter(self, name: str, index: int, packets: int, byte_count: int) -> None:
        which = self._counter(name, index)
        self.native.library.p4_edit_counter(self.native.switch, which, index, packets, byte_count)

    def _meter(self, name: str, index: int) -> int:
        if name not in self._meters:
            raise UnknownName(f"the program has no meter {name}")
        return self._number(self._meters, name, "meter", index, self.program.meters[name].size)

    def meter(self, name: str, index: int) -> MeterRates | None:
        self._meter(name, index)
        with self._lock:
            return self._rates.get((name, index))

    def set_meter(self, name: str, index: int, rates: MeterRates | None) -> None:
        """None: no limit (all packets green), as at the start."""
        which = self._meter(name, index)
        with self._lock:
            meter = self.native.library.p4_array_meter(self.native.switch, which, index)
            self._set_rates((name, index), meter, rates)

    def _set_rates(self, key: object, meter: int, rates: MeterRates | None) -> None:
        values = (rates.cir, rates.cburst, rates.pir, rates.pburst) if rates else (0, 0, 0, 0)
        for value in values:
            check(value, 63, "a meter's rate or burst")
        self.native.library.p4_edit_meter(self.native.switch, meter, rates is not None, *values)
        if rates:
            self._rates[key] = rates
        else:
            self._rates.pop(key, None)

    def _register(self, name: str, index: int) -> int:
        if name not in self._registers:
            raise UnknownName(f"the program has no register {name}")
        return self._number(self._registers, name, "register", index, self.program.registers[name].size)

    def register(self, name: str, index: int) -> int:
        return self.registers(name, index, 1)[0]

    def registers(self, name: str, first: int = 0, count: int | None = None) -> list[int]:
        """All cells from the first on, or so many. Raises BadValue for an index out of range."""
        which, register = self._register(name, first), self.program.registers[name]
        if count is None:
            count = register.size - first
        elif count > 1:
            self._register(name, first + count - 1)
        n = limbs(register.width)
        cells = (ctypes.c_uint64 * (n * count))()
        self.native.library.p4_read_registers(self.native.switch, which, first, count, cells)
        values = list(cells)
        return values if n == 1 else [number(values[i : i + n]) for i in range(0, len(values), n)]

    def set_register(self, name: str, index: int, value: int) -> None:
        which, width = self._register(name, index), self.program.registers[name].width
        cell = array(words(check(value, width, f"register {name}"), width))
        self.native.library.p4_edit_register(self.native.switch, which, index, cell)

    def value_set(self, name: str) -> tuple[tuple[int, ...], ...]:
        if name not in self._value_sets:
            raise UnknownName(f"the program has no value set {name}")
        with self._lock:
            return self._sets.get(name, ())

    def set_value_set(self, name: str, members: Sequence[Sequence[int]]) -> None:
        """Replace a parser value set: each member one value per key component of the select expression."""
        self.value_set(name)
        most = self.program.value_sets[name].max_size
        if most and len(members) > most:
            raise TableFull(f"value set {name} takes {most} members, not {len(members)}")
        widths, flat = self.generated.value_sets[name], list[int]()
        for member in members:
            if len(member) != len(widths):
                raise BadValue(f"value set {name}: a member has {len(widths)} parts, not {len(member)}")
            for value, width in zip(member, widths, strict=True):
                flat += words(check(value, width, f"value set {name}"), width)
        with self._lock:
            which = self._value_sets[name]
            if not self.native.library.p4_edit_value_set(self.native.switch, which, len(members), array(flat)):
                raise MemoryError
            self._sets[name] = tuple(tuple(m) for m in members)
