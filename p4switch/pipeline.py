"""A loaded P4 program: BMv2 JSON in, a C pipeline behind it, packets through `step`.

`step` reads no clock, starts no thread and does no I/O: time and randomness are arguments, so a test, an STF file
or a simulator replays bit for bit. The packet loop (`p4switch.loop`) calls the same C function.
Edits may come from any thread while a loop runs: each is atomic for the packets.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from p4switch.codegen.layout import limbs
from p4switch.encoding import array, check, number, words
from p4switch.entities import (
    BadValue,
    BuildError,
    Entry,
    EntryExists,
    Exact,
    Group,
    Immutable,
    Lpm,
    Match,
    Member,
    MeterRates,
    NoSuchEntry,
    Output,
    PipelineError,
    ProgramError,
    Range,
    Replica,
    TableFull,
    Ternary,
    UnknownName,
)
from p4switch.native import FLAGS, Built, build_program, load_library
from p4switch.program import Program
from p4switch.program_json import load_json, malformed, parse_program
from p4switch.tablestate import Native, ProfileState, TableState

__all__ = [
    "BadValue",
    "BuildError",
    "Entry",
    "EntryExists",
    "Exact",
    "Group",
    "Immutable",
    "Lpm",
    "Match",
    "Member",
    "MeterRates",
    "NoSuchEntry",
    "Output",
    "Pipeline",
    "PipelineError",
    "ProgramError",
    "Range",
    "Replica",
    "TableFull",
    "Ternary",
    "UnknownName",
]

Action = str | Member | Group


_RECORD = struct.Struct("=IIII")
_PACKET, _DIGEST, _LOG = 1, 2, 3
PORTS = 512


class Pipeline:
    """One instance of a program with its tables, counters, registers, groups. Close it, or use it in a `with`."""

    def __init__(self, program: Program, built: Built) -> None:
        """For `load`; others call that."""
        self.program = program
        self.built = built
        self.generated = built.generated
        library = load_library(built.library)
        switch = library.p4_open()
        if not switch:
            raise ProgramError("there is no memory for all the tables, counters and registers of this program")
        self.native = Native(library, switch, built.generated.actions)
        self._step_address = ctypes.cast(library.p4_step, ctypes.c_void_p)
        self._lock = threading.RLock()
        self._profiles = {name: self._profile(name) for name in program.profiles}
        self._tables = {t.name: self._table(i, t.name) for i, t in enumerate(program.tables.values())}
        self._counters = {name: i for i, name in enumerate(program.counters)}
        self._meters = {name: i for i, name in enumerate(program.meters)}
        self._registers = {name: i for i, name in enumerate(program.registers)}
        self._value_sets = {name: i for i, name in enumerate(program.value_sets)}
        self._rates: dict[object, MeterRates] = {}
        self._sets: dict[str, tuple[tuple[int, ...], ...]] = {}
        self._groups: dict[int, tuple[Replica, ...]] = {}
        self._sessions: dict[int, tuple[tuple[Replica, ...], int]] = {}

    @classmethod
    def load(
        cls,
        bmv2_json: str | Path | Mapping[str, Any],
        *,
        cache: Path | None = None,
        flags: Sequence[str] = FLAGS,
    ) -> Pipeline:
        """Generate C for the program, compile it unless `cache` has it, and load it.

        `bmv2_json`: a file, or the JSON's text (a str that starts with ``{``), or the parsed JSON.
        `cache`: folder of built programs; without it $P4SWITCH_CACHE, else build/p4switch-cache.
        Raises ProgramError, BuildError, OSError.
        """
        data = load_json(bmv2_json)
        program = parse_program(data)
        built = build_program(data, program, cache, flags)
        with malformed():
            return cls(program, built)

    def close(self) -> None:
        """Free it all. No loop may be running on it, and no other call may follow."""
        with self._lock:
            if self.native.switch:
                self.native.library.p4_free(self.native.switch)
                for profile in self._profiles.values():
                    profile.free()
                self.native = Native(self.native.library, 0, {})

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _profile(self, name: str) -> ProfileState:
        actions: dict[str, int] = {}
        for table in self.program.tables.values():
            if table.profile == name:
                actions.update(zip(table.actions, table.action_ids, strict=True))
        return ProfileState(self.program.profiles[name], self.native, self.program, actions)

    def _table(self, index: int, name: str) -> TableState:
        table = self.program.tables[name]
        room = max((sum(limbs(p.width) for p in self.program.actions[i].params) for i in table.action_ids), default=0)
        profile = self._profiles.get(table.profile)
        return TableState(table, index, 0 if profile else room, self.program, self.native, profile)

    # Packets -----------------------------------------------------------------------------------

    def step(self, port: int, frame: bytes, now_us: int, random: int = 0) -> Output:
        """Take one frame that came in on `port` through parser, ingress, egress, deparser, to its end."""
        data, filled = ctypes.c_void_p(), ctypes.c_size_t()
        library = self.native.library
        library.p4_step_alone(
            self.native.switch,
            self._step_address,
            port,
            frame,
            len(frame),
            now_us,
            random & ((1 << 64) - 1),
            ctypes.byref(data),
            ctypes.byref(filled),
        )
        records = ctypes.string_at(data, filled.value) if data.value and filled.value else b""
        library.p4_free_block(data)
        return self.decode(records)

    def decode(self, records: bytes) -> Output:
        """The records of the C side as values."""
        packets: list[tuple[int, bytes]] = []
        digests: list[tuple[str, tuple[int, ...]]] = []
        log: list[str] = []
        at = 0
        while at < len(records):
            kind, which, size, _ = _RECORD.unpack_from(records, at)
            at += _RECORD.size
            body = records[at : at + size]
            at += (size + 7) // 8 * 8
            if kind == _PACKET:
                packets.append((which, body))
            elif kind == _DIGEST:
                digests.append(self._digest(which, body))
            elif kind == _LOG:
                log.append(self._message(which, struct.unpack(f"={size // 8}Q", body)))
        return Output(tuple(packets), tuple(digests), tuple(log))

    def _digest(self, which: int, body: bytes) -> tuple[str, tuple[int, ...]]:
        name, widths = self.generated.digests[which]
        parts, at, values = struct.unpack(f"={len(body) // 8}Q", body), 0, []
        for width in widths:
            values.append(number(parts[at : at + limbs(width)]) & ((1 << width) - 1))
            at += limbs(width)
        return name, tuple(values)

    def _message(self, which: int, values: tuple[int, ...]) -> str:
        text = self.generated.messages[which]
        for value in values:
            text = text.replace("{}", str(value), 1)
        return text.replace("\\{", "{").replace("\\}", "}")

    def set_logging(self, on: bool) -> None:
        """Whether log_msg calls give records (off at the start: they cost time)."""
        self.native.library.p4_set_logging(self.native.switch, on)

    def set_queue_depth(self, port: int, packets: int) -> None:
        """What `step` has programs see as enq_qdepth and deq_qdepth of a port below 512. A packet loop sees its own
        queues instead."""
        if not 0 <= port < PORTS:
            raise BadValue(f"there is no port {port}: they are 0..{PORTS - 1}")
        self.native.library.p4_set_queue_length(self.native.switch, port, check(packets, 19, "a queue's depth"))

    # Tables ------------------------------------------------------------------------------------

    def _state(self, table: str) -> TableState:
        if table not in self._tables:
            raise UnknownName(f"the program has no table {table}")
        return self._tables[table]

    def insert(
        self, table: str, match: Sequence[Match], action: Action, params: Sequence[int] = (), priority: int = 0
    ) -> int:
        """Add an entry, return its handle (never used again for another one of that table).

        `match`: one per key field, in the program's order. Raises EntryExists, TableFull, Immutable, BadValue,
        UnknownName.
        """
        with self._lock:
            return self._state(table).insert(match, action, params, priority)

    def modify(self, table: str, handle: int, action: Action, params: Sequence[int] = ()) -> None:
        """Give an entry another action; counters and meters of the entry stay. Raises NoSuchEntry, Immutable…"""
        with self._lock:
            self._state(table).modify(handle, action, params)

    def delete(self, table: str, handle: int) -> None:
        with self._lock:
            self._state(table).delete(handle)
            self._rates.pop((table, handle), None)

    def release_entries(self, table: str, size: int) -> None:
        """Let the entries that the program gives be changed, and others be added, up to `size`. They begin as const
        ones: the JSON does not tell ``entries`` from ``const entries``, only the P4Info does."""
        with self._lock:
            self._state(table).release(size)

    def set_default(self, table: str, action: Action | None, params: Sequence[int] = ()) -> None:
        """Set the action of a miss; None: back to the program's own. Raises Immutable for a const one."""
        with self._lock:
            if action is None:
                self._state(table).restore_default()
            else:
                self._state(table).set_default(action, params)

    def default(self, table: str) -> tuple[Action | None, tuple[int, ...]]:
        """(action, params) of a miss; (None, ()) where there is none."""
        with self._lock:
            return self._state(table).current

    def entries(self, table: str) -> list[Entry]:
        """All entries (without the default), oldest first; const entries included and marked."""
        with self._lock:
            return list(self._state(table).entries.values())

    def entry(self, table: str, handle: int) -> Entry:
        with self._lock:
            return self._state(table).entry(handle)

    def entry_at(self, table: str, pointer: int) -> Entry | None:
        """The entry that the C side keeps there, as a trace names it."""
        with self._lock:
            state = self._state(table)
            handle = next((handle for handle, there in state.pointers.items() if there == pointer), None)
            return None if handle is None else state.entries[handle]

    def find(self, table: str, match: Sequence[Match], priority: int = 0) -> int | None:
        """The handle of the entry with exactly this match and priority."""
        with self._lock:
            return self._state(table).find(match, priority)

    def _entry_numbers(self, table: str, handle: int | None) -> tuple[int, int, int]:
        with self._lock:
            state = self._state(table)
            cells = array([0, 0, 0])
            at = ctypes.addressof(cells)
            self.native.library.p4_read_entry(
                self.native.switch, state.number, state.pointer(handle), at, at + 8, at + 16
            )
            return cells[0], cells[1], cells[2]

    def entry_counter(self, table: str, handle: int | None) -> tuple[int, int]:
        """(packets, bytes) of an entry's direct counter; handle None: of the default entry."""
        return self._entry_numbers(table, handle)[:2]

    def set_entry_counter(self, table: str, handle: int | None, packets: int, byte_count: int) -> None:
        with self._lock:
            state = self._state(table)
            self.native.library.p4_edit_entry_counter(
                self.native.switch, state.number, state.pointer(handle), packets, byte_count
            )

    def entry_meter(self, table: str, handle: int | None) -> MeterRates | None:
        with self._lock:
            self._state(table).pointer(handle)
            return self._rates.get((table, handle))

    def set_entry_meter(self, table: str, handle: int | None, rates: MeterRates | None) -> None:
        """Set an entry's direct meter; None: no limit (all packets green)."""
        with self._lock:
            state = self._state(table)
            pointer = state.pointer(handle)
            meter = self.native.library.p4_entry_meter(self.native.switch, state.number, pointer)
            if not meter:
                raise BadValue(f"table {table} has no direct meter")
            self._set_rates((table, handle), meter, rates)

    def entry_last_hit(self, table: str, handle: int) -> int:
        """now_us of the last packet that hit the entry, or of its `touch`; 0 if neither was."""
        return self._entry_numbers(table, handle)[2]

    def touch(self, table: str, handle: int, now_us: int) -> None:
        """Start an entry's idle time anew (set after an insert with an idle timeout)."""
        with self._lock:
            self.native.library.p4_edit_touch(self.native.switch, self._state(table).pointer(handle), now_us)

    # Action profiles ---------------------------------------------------------------------------

    def _profile_state(self, profile: str) -> ProfileState:
        if profile not in self._profiles:
            raise UnknownName(f"the program has no action profile {profile}")
        return self._profiles[profile]

    def add_member(self, profile: str, action: str, params: Sequence[int] = ()) -> int:
        with self._lock:
            return self._profile_state(profile).add_member(action, params)

    def modify_member(self, profile: str, member: int, action: str, params: Sequence[int] = ()) -> None:
        with self._lock:
            self._profile_state(profile).modify_member(member, action, params)

    def delete_member(self, profile: str, member: int) -> None:
        """Raises BadValue while an entry or group uses it."""
        with self._lock:
            self._profile_state(profile).delete_member(member)

    def members(self, profile: str) -> dict[int, tuple[str, tuple[int, ...]]]:
        with self._lock:
            return dict(self._profile_state(profile).members)

    def add_group(self, profile: str, members: Sequence[int] = ()) -> int:
        with self._lock:
            return self._profile_state(profile).add_group(members)

    def set_group(self, profile: str, group: int, members: Sequence[int]) -> None:
        """Replace a group's members (a member named twice weighs twice)."""
        with self._lock:
            self._profile_state(profile).set_group(group, members)

    def delete_group(self, profile: str, group: int) -> None:
        with self._lock:
            self._profile_state(profile).delete_group(group)

    def groups(self, profile: str) -> dict[int, tuple[int, ...]]:
        with self._lock:
            return dict(self._profile_state(profile).groups)

    # Counters, meters, registers, value sets ---------------------------------------------------

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
        which = self._register(name, index)
        cells = array(words(0, self.program.registers[name].width))
        self.native.library.p4_read_registers(self.native.switch, which, index, 1, cells)
        return number(list(cells))

    def registers(self, name: str) -> list[int]:
        which = self._register(name, 0)
        size, n = self.program.registers[name].size, limbs(self.program.registers[name].width)
        cells = (ctypes.c_uint64 * (n * size))()
        self.native.library.p4_read_registers(self.native.switch, which, 0, size, cells)
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

    # Packet replication ------------------------------------------------------------------------

    def _replicas(self, session: bool, which: int, replicas: Sequence[Replica] | None, truncate: int = 0) -> None:
        flat = None
        if replicas is not None:
            pairs = [check(v, 32, "a replica") for r in replicas for v in (r.port, r.instance)]
            flat = (ctypes.c_uint32 * (len(pairs) or 1))(*pairs)
        count = len(replicas or ())
        if not self.native.library.p4_edit_replicas(self.native.switch, session, which, count, flat, truncate):
            raise MemoryError

    def set_multicast_group(self, group: int, replicas: Sequence[Replica]) -> None:
        """Create or replace; group 1..65535."""
        if not 1 <= group <= 65535:
            raise BadValue(f"multicast group {group} is not within 1..65535")
        with self._lock:
            self._replicas(False, group, replicas)
            self._groups[group] = tuple(replicas)

    def delete_multicast_group(self, group: int) -> None:
        with self._lock:
            if group not in self._groups:
                raise NoSuchEntry(f"there is no multicast group {group}")
            self._replicas(False, group, None)
            del self._groups[group]

    def multicast_groups(self) -> dict[int, tuple[Replica, ...]]:
        with self._lock:
            return dict(self._groups)

    def set_clone_session(self, session: int, replicas: Sequence[Replica], truncate_bytes: int = 0) -> None:
        """Create or replace; session 0..32767; truncate_bytes 0: whole packets."""
        if not 0 <= session <= 32767:
            raise BadValue(f"clone session {session} is not within 0..32767")
        with self._lock:
            self._replicas(True, session, replicas, check(truncate_bytes, 32, "truncate_bytes"))
            self._sessions[session] = (tuple(replicas), truncate_bytes)

    def delete_clone_session(self, session: int) -> None:
        with self._lock:
            if session not in self._sessions:
                raise NoSuchEntry(f"there is no clone session {session}")
            self._replicas(True, session, None)
            del self._sessions[session]

    def clone_sessions(self) -> dict[int, tuple[tuple[Replica, ...], int]]:
        with self._lock:
            return dict(self._sessions)
