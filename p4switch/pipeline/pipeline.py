"""A loaded P4 program: BMv2 JSON in, a C pipeline behind it, packets through `step`.

`step` reads no clock, starts no thread and does no I/O: time and randomness are arguments, so a test, an STF file
or a simulator replays bit for bit. The packet loop (`p4switch.pipeline.loop`) calls the same C function.
Edits may come from any thread while a loop runs: each is atomic for the packets.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from p4switch.codegen.layout import limbs
from p4switch.errors import (
    BadValue,
    BuildError,
    EntryExists,
    Immutable,
    NoSuchEntry,
    PipelineError,
    ProgramError,
    TableFull,
    UnknownName,
)
from p4switch.pipeline.cells import Cells
from p4switch.pipeline.copies import Copies
from p4switch.pipeline.encoding import array, check, number
from p4switch.pipeline.entities import (
    Entry,
    EntryAction,
    Exact,
    Group,
    Lpm,
    Match,
    Member,
    MeterRates,
    Output,
    Range,
    Replica,
    Ternary,
)
from p4switch.pipeline.native import FLAGS, Built, build_program, load_library
from p4switch.pipeline.records import RecordKind, records, step_alone
from p4switch.pipeline.table_state import Native, ProfileState, TableState, room
from p4switch.program import Program
from p4switch.program_json import load_json, malformed, parse_program

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

PORTS = 512
_NOTHING = Output()
_PACKET, _DIGEST, _LOG = int(RecordKind.PACKET), int(RecordKind.DIGEST), int(RecordKind.LOG)


class Pipeline(Cells, Copies):
    """One instance of a program with its tables, counters, registers, groups. Close it, or use it in a `with`."""

    def __init__(self, program: Program, built: Built) -> None:
        """For `load`; others call that."""
        self.built = built
        library = load_library(built.library)
        switch = library.p4_open()
        if not switch:
            raise ProgramError("there is no memory for all the tables, counters and registers of this program")
        Cells.__init__(self, program, built.generated, Native(library, switch, built.generated.actions))
        Copies.__init__(self)
        self._profiles = {name: self._profile(name) for name in program.profiles}
        self._tables = {t.name: self._table(i, t.name) for i, t in enumerate(program.tables.values())}

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
        `cache`: folder of built programs; without it `native.default_cache`.
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
        profile = self._profiles.get(table.profile)
        words = 0 if profile else room(self.program, table.action_ids)
        return TableState(table, index, words, self.program, self.native, profile)

    # Packets -----------------------------------------------------------------------------------

    def step(self, port: int, frame: bytes, now_us: int, random: int = 0) -> Output:
        """Take one frame that came in on `port` through parser, ingress, egress, deparser, to its end."""
        return self.decode(step_alone(self.native.library, self.native.switch, port, frame, now_us, random))

    def decode(self, given: bytes) -> Output:
        """The records of the C side as values."""
        if not given:
            return _NOTHING
        packets: list[tuple[int, bytes]] = []
        digests: list[tuple[str, tuple[int, ...]]] = []
        log: list[str] = []
        for kind, which, body in records(given):
            if kind == _PACKET:
                packets.append((which, body))
            elif kind == _DIGEST:
                digests.append(self._digest(which, body))
            elif kind == _LOG:
                log.append(self._message(which, struct.unpack(f"={len(body) // 8}Q", body)))
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
        self, table: str, match: Sequence[Match], action: EntryAction, params: Sequence[int] = (), priority: int = 0
    ) -> int:
        """Add an entry, return its handle (never used again for another one of that table).

        `match`: one per key field, in the program's order. Raises EntryExists, TableFull, Immutable, BadValue,
        UnknownName.
        """
        with self._lock:
            return self._state(table).insert(match, action, params, priority)

    def modify(self, table: str, handle: int, action: EntryAction, params: Sequence[int] = ()) -> None:
        """Give an entry another action; counters and meters of the entry stay. Raises NoSuchEntry, Immutable…"""
        with self._lock:
            self._state(table).modify(handle, action, params)

    def delete(self, table: str, handle: int) -> None:
        with self._lock:
            self._state(table).delete(handle)
            self._rates.pop((table, handle), None)

    def release_entries(self, table: str, size: int) -> None:
        """Let the entries that the program gives be changed, but for those that are const by themselves, and others
        be added, up to `size`. They begin as const ones: BMv2's JSON does not tell ``entries`` from
        ``const entries``, only the P4Info does."""
        with self._lock:
            self._state(table).release(size)

    def set_default(self, table: str, action: EntryAction | None, params: Sequence[int] = ()) -> None:
        """Set the action of a miss; None: back to the program's own. Raises Immutable for a const one."""
        with self._lock:
            if action is None:
                self._state(table).restore_default()
            else:
                self._state(table).set_default(action, params)

    def default(self, table: str) -> tuple[EntryAction | None, tuple[int, ...]]:
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

    # EntryAction profiles ---------------------------------------------------------------------------

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
