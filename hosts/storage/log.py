"""A member's durable log: term, vote and entries in append-only segments, one sync per append."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from hosts.raft.message import Entry, HardState
from hosts.storage.disk import Disk, File, RealDisk
from hosts.storage.errors import LogDamaged, LogError
from hosts.storage.frames import SEGMENT_HEADER_BYTES, pack_frame, pack_segment_header
from hosts.storage.mark import Mark, MarkFile
from hosts.storage.replay import Replay, replay, segment_name

__all__ = ["DiskLog", "LogDamaged", "LogError"]

SEGMENT_BYTES = 16 << 20
"""Where a new segment begins; a frame larger than that has a segment of its own."""


class DiskLog:
    """One group's log in one folder, for one process and one thread at a time.

    ``hard_state``, ``entries`` and ``notes`` are what was found at the opening; appends do not change them.
    """

    def __init__(self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Use ``DiskLog.open`` for a folder. Raises LogDamaged, LogError."""
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._failed: str | None = None
        self._file: File | None = None
        self._mark: MarkFile | None = None
        try:
            self._open()
        except BlockingIOError as error:
            self.close()
            raise LogError(f"{disk.path('.')}: another process uses this folder; stop it first") from error
        except OSError as error:
            self.close()
            raise LogError(_explain(error, disk.path("."))) from error
        except LogError:
            self.close()
            raise

    @classmethod
    def open(cls, folder: str | Path, *, segment_bytes: int = SEGMENT_BYTES) -> DiskLog:
        """Open the log in ``folder``; make an empty one if there is none. Raises LogDamaged, LogError."""
        try:
            disk = RealDisk(folder)
        except OSError as error:
            raise LogError(_explain(error, str(folder))) from error
        return cls(disk, segment_bytes=segment_bytes)

    def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Make both durable at once; on return they are. Entries replace everything from the first one's index on.

        Raises ValueError for entries that leave a gap, and LogError for an I/O error; then nothing is known of this
        append but that all before it is durable, and no other one is taken.
        """
        if self._failed is not None:
            raise LogError(f"nothing more can be written after: {self._failed}")
        if hard_state is None and not entries:
            return
        cut = None
        if entries:
            first = entries[0].index
            if not 1 <= first <= self._last_index + 1 or entries[-1].index != first + len(entries) - 1:
                raise ValueError(
                    f"entries {first}..{entries[-1].index} do not fit a log that ends at {self._last_index}"
                )
            if first <= self._last_index:
                cut = first
        try:
            self._write(hard_state, cut, entries)
        except OSError as error:
            self._failed = _explain(error, self._disk.path(segment_name(self._segment)))
            raise LogError(self._failed) from error

    def close(self) -> None:
        """Let go of the folder. Everything appended is durable already."""
        with contextlib.suppress(OSError):  # the mark may lag; nothing else is open to doubt
            if self._mark is not None and self._failed is None:
                self._mark.sync()
        for closable in (self._file, self._mark):
            if closable is not None:
                closable.close()
        self._file = self._mark = None
        self._failed = self._failed or "the log was closed"
        self._disk.close()

    # -- opening ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        disk = self._disk
        disk.lock()
        for name in disk.names():
            if name.endswith(".new"):
                disk.remove(name)
        disk.sync_folder()  # a process that was killed may have renamed and not synced
        found = replay(disk)
        if found is None:
            found = Replay(log_id=os.urandom(8))
        self._log_id, self._chain = found.log_id, found.chain
        if not found.segments:
            self._begin_segment(1)
        else:
            self._segment, self._end = found.segments[-1], found.end
            self._file = disk.open(segment_name(self._segment))
            if found.torn:
                self._file.resize(self._end)
                self._file.resize(max(self._segment_bytes, self._end))
            # It may have been read from the page cache of a process that was killed before its sync, or whose sync
            # failed; then the kernel takes the pages for clean, and only writing them again brings them to the disk.
            if found.unproven:
                self._file.write(found.unproven, self._end - len(found.unproven))
            self._file.sync()
        if found.has_mark:
            self._mark = MarkFile.open(disk, self._here())
        else:
            self._mark = MarkFile.create(disk, self._here())
        self._last_index = found.last_index
        self.hard_state = found.hard_state
        self.entries: tuple[Entry, ...] = tuple(found.entries)
        self.notes = tuple(found.notes)

    def _here(self) -> Mark:
        return Mark(self._segment, self._end, self._chain, self._log_id)

    def _begin_segment(self, number: int, frame_bytes: int = 0) -> None:
        """Its header and its name are durable before any frame goes in."""
        name = segment_name(number)
        size = max(self._segment_bytes, SEGMENT_HEADER_BYTES + frame_bytes)
        file = self._disk.create(name + ".new", size)
        try:
            file.write(pack_segment_header(number, self._log_id, self._chain), 0)
            file.sync()
            self._disk.rename(name + ".new", name)
            self._disk.sync_folder()
        except OSError:
            file.close()
            raise
        if self._file is not None:
            self._file.resize(self._end)
            self._file.close()
        self._file = file
        self._segment, self._end = number, SEGMENT_HEADER_BYTES

    # -- writing ------------------------------------------------------------------------------------------------

    def _write(self, hard_state: HardState | None, cut: int | None, entries: Sequence[Entry]) -> None:
        frame, crc = pack_frame(self._log_id, self._chain, hard_state, cut, entries)
        if self._end + len(frame) > self._segment_bytes and self._end > SEGMENT_HEADER_BYTES:
            self._begin_segment(self._segment + 1, len(frame))
        assert self._file is not None and self._mark is not None
        self._file.write(frame, self._end)
        self._file.sync()
        self._end += len(frame)
        self._chain = crc
        if entries:
            self._last_index = entries[-1].index
        self._mark.write(self._here())


def _explain(error: OSError, path: str) -> str:
    return f"{path}: {error.strerror or error}"
