"""Looking at a log without touching it."""

from __future__ import annotations

from dataclasses import dataclass
from os.path import isdir
from pathlib import Path

from hosts.raft.message import HardState
from hosts.storage.disk import RealDisk
from hosts.storage.errors import LogDamaged, LogError
from hosts.storage.replay import Replay, replay


@dataclass(frozen=True, slots=True)
class Report:
    """What a folder's log holds. ``damage`` says why a member would refuse to start from it, None if it would."""

    segments: int
    frames: int
    entries: int
    last_index: int
    last_term: int
    snapshot_index: int
    hard_state: HardState
    notes: tuple[str, ...]
    damage: LogDamaged | None

    def __str__(self) -> str:
        if self.damage is not None:
            return str(self.damage)
        lines = [
            f"whole: {self.segments} segments, {self.frames} frames, {self.entries} entries, the last of index "
            f"{self.last_index} and term {self.last_term}; term {self.hard_state.current_term}, "
            f"voted for {self.hard_state.voted_for or 'nobody'}"
        ]
        if self.snapshot_index:
            lines.append(f"a snapshot stands for everything up to index {self.snapshot_index}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def verify(folder: str | Path) -> Report:
    """Read the log in ``folder``, also a running member's (its last write may then show as incomplete). Raises
    LogError if it cannot be read."""
    if not isdir(folder):
        raise LogError(f"{folder}: no such folder")
    disk = RealDisk(folder)
    damage = None
    try:
        found = replay(disk) or Replay()
    except LogDamaged as error:
        found, damage = Replay(), error
    except OSError as error:
        raise LogError(f"{error.filename or folder}: {error.strerror or error}") from error
    finally:
        disk.close()
    return Report(
        segments=len(found.starts),
        frames=found.frames,
        entries=len(found.entries),
        last_index=found.last.index,
        last_term=found.last.term,
        snapshot_index=found.snapshot.index if found.snapshot is not None else 0,
        hard_state=found.hard_state,
        notes=tuple(found.notes),
        damage=damage,
    )
