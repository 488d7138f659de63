"""A loaded P4 program: BMv2 JSON in, a C pipeline behind it, packets through `step`.

`step` reads no clock, starts no thread and does no I/O: time and randomness are arguments, so a test, an STF file
or a simulator replays bit for bit. The packet loop (`p4switch.loop`) calls the same C function.
Edits may come from any thread while a loop runs: each is atomic for the packets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
from p4switch.program import Program

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


class Pipeline:
    """One instance of a program with its tables, counters, registers, groups. Close it, or use it in a `with`."""

    program: Program

    @classmethod
    def load(cls, bmv2_json: str | Path | Mapping[str, Any], *, cache: Path | None = None) -> Pipeline:
        """Generate C for the program, compile it unless `cache` has it, and load it.

        `bmv2_json`: a file, or the JSON's text (a str that starts with ``{``), or the parsed JSON.
        `cache`: folder of built programs; without it $P4SWITCH_CACHE, else build/p4switch-cache.
        Raises ProgramError, BuildError, OSError.
        """
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, port: int, frame: bytes, now_us: int, random: int = 0) -> Output:
        """Take one frame that came in on `port` through parser, ingress, egress, deparser, to its end."""
        raise NotImplementedError

    # Tables ------------------------------------------------------------------------------------

    def insert(
        self, table: str, match: Sequence[Match], action: Action, params: Sequence[int] = (), priority: int = 0
    ) -> int:
        """Add an entry, return its handle (never used again for another one of that table).

        `match`: one per key field, in the program's order. Raises EntryExists, TableFull, Immutable, BadValue,
        UnknownName.
        """
        raise NotImplementedError

    def modify(self, table: str, handle: int, action: Action, params: Sequence[int] = ()) -> None:
        """Give an entry another action; counters and meters of the entry stay. Raises NoSuchEntry, Immutable…"""
        raise NotImplementedError

    def delete(self, table: str, handle: int) -> None:
        raise NotImplementedError

    def set_default(self, table: str, action: Action | None, params: Sequence[int] = ()) -> None:
        """Set the action of a miss; None: back to the program's own. Raises Immutable for a const one."""
        raise NotImplementedError

    def default(self, table: str) -> tuple[Action | None, tuple[int, ...]]:
        """(action, params) of a miss; (None, ()) where there is none."""
        raise NotImplementedError

    def entries(self, table: str) -> list[Entry]:
        """All entries (without the default), oldest first; const entries included and marked."""
        raise NotImplementedError

    def entry(self, table: str, handle: int) -> Entry:
        raise NotImplementedError

    def find(self, table: str, match: Sequence[Match], priority: int = 0) -> int | None:
        """The handle of the entry with exactly this match and priority."""
        raise NotImplementedError

    def entry_counter(self, table: str, handle: int | None) -> tuple[int, int]:
        """(packets, bytes) of an entry's direct counter; handle None: of the default entry."""
        raise NotImplementedError

    def set_entry_counter(self, table: str, handle: int | None, packets: int, byte_count: int) -> None:
        raise NotImplementedError

    def entry_meter(self, table: str, handle: int | None) -> MeterRates | None:
        raise NotImplementedError

    def set_entry_meter(self, table: str, handle: int | None, rates: MeterRates | None) -> None:
        """Set an entry's direct meter; None: no limit (all packets green)."""
        raise NotImplementedError

    def entry_last_hit(self, table: str, handle: int) -> int:
        """now_us of the last packet that hit the entry, or of its `touch`; 0 if neither was."""
        raise NotImplementedError

    def touch(self, table: str, handle: int, now_us: int) -> None:
        """Start an entry's idle time anew (set after an insert with an idle timeout)."""
        raise NotImplementedError

    # Action profiles ---------------------------------------------------------------------------

    def add_member(self, profile: str, action: str, params: Sequence[int] = ()) -> int:
        raise NotImplementedError

    def modify_member(self, profile: str, member: int, action: str, params: Sequence[int] = ()) -> None:
        raise NotImplementedError

    def delete_member(self, profile: str, member: int) -> None:
        """Raises BadValue while an entry or group uses it."""
        raise NotImplementedError

    def members(self, profile: str) -> dict[int, tuple[str, tuple[int, ...]]]:
        raise NotImplementedError

    def add_group(self, profile: str, members: Sequence[int] = ()) -> int:
        raise NotImplementedError

    def set_group(self, profile: str, group: int, members: Sequence[int]) -> None:
        """Replace a group's members (a member named twice weighs twice)."""
        raise NotImplementedError

    def delete_group(self, profile: str, group: int) -> None:
        raise NotImplementedError

    def groups(self, profile: str) -> dict[int, tuple[int, ...]]:
        raise NotImplementedError

    # Counters, meters, registers, value sets ---------------------------------------------------

    def counter(self, name: str, index: int) -> tuple[int, int]:
        """(packets, bytes) of one cell; both are always counted. Raises BadValue for an index out of range."""
        raise NotImplementedError

    def counters(self, name: str) -> list[tuple[int, int]]:
        """All cells at once."""
        raise NotImplementedError

    def set_counter(self, name: str, index: int, packets: int, byte_count: int) -> None:
        raise NotImplementedError

    def meter(self, name: str, index: int) -> MeterRates | None:
        raise NotImplementedError

    def set_meter(self, name: str, index: int, rates: MeterRates | None) -> None:
        """None: no limit (all packets green), as at the start."""
        raise NotImplementedError

    def register(self, name: str, index: int) -> int:
        raise NotImplementedError

    def registers(self, name: str) -> list[int]:
        raise NotImplementedError

    def set_register(self, name: str, index: int, value: int) -> None:
        raise NotImplementedError

    def value_set(self, name: str) -> tuple[tuple[int, ...], ...]:
        raise NotImplementedError

    def set_value_set(self, name: str, members: Sequence[Sequence[int]]) -> None:
        """Replace a parser value set: each member one value per key component of the select expression."""
        raise NotImplementedError

    # Packet replication ------------------------------------------------------------------------

    def set_multicast_group(self, group: int, replicas: Sequence[Replica]) -> None:
        """Create or replace; group 1..65535."""
        raise NotImplementedError

    def delete_multicast_group(self, group: int) -> None:
        raise NotImplementedError

    def multicast_groups(self) -> dict[int, tuple[Replica, ...]]:
        raise NotImplementedError

    def set_clone_session(self, session: int, replicas: Sequence[Replica], truncate_bytes: int = 0) -> None:
        """Create or replace; session 0..32767; truncate_bytes 0: whole packets."""
        raise NotImplementedError

    def delete_clone_session(self, session: int) -> None:
        raise NotImplementedError

    def clone_sessions(self) -> dict[int, tuple[tuple[Replica, ...], int]]:
        raise NotImplementedError
