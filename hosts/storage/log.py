"""A member's durable log: term, vote and entries in append-only segments, one sync per append; and its snapshot."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hosts.measures import Durations
from hosts.raft.message import Entry, HardState
from hosts.raft.snapshot import Snapshot
from hosts.storage.disk import Disk, File, RealDisk
from hosts.storage.errors import NO_ROOM, LogDamaged, LogError, explain
from hosts.storage.frames import SEGMENT_HEADER_BYTES, Base, pack_frame, pack_large_frame, pack_segment_header
from hosts.storage.mark import Mark, MarkFile
from hosts.storage.replay import Replay, replay, segment_name, segment_numbers
from hosts.storage.snapshots import NEW, Stage, discard_stage, name_snapshot, snapshot_indexes, snapshot_name

__all__ = ["DiskLog", "LogDamaged", "LogError"]

SEGMENT_BYTES = 16 << 20
"""Where a new segment begins; a frame larger than that has a segment of its own. On a disk without so much room there
are smaller ones."""

LOG_ID_BYTES = 8

LARGE_ENTRY_BYTES = 1 << 20
"""An entry of more bytes is not copied just to be written."""

FILL_BYTES = 256 << 10
"""Zeros written ahead of the frames at a time. A file system only reserves a new file's blocks; each sync that first
writes to some of them must change the file's map of blocks, too, and that costs more than the sync itself. So it is
done for many frames at once."""


class DiskLog:
    """One group's log in one folder, for one process and one thread at a time.

    ``hard_state``, ``snapshot``, ``entries`` (those behind the snapshot) and ``notes`` are what was found at the
    opening; appends do not change them.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        draw_log_id: Callable[[], bytes] = lambda: os.urandom(LOG_ID_BYTES),
    ) -> None:
        """Use ``DiskLog.open`` for a folder. ``draw_log_id``: the id of a log that begins. Raises LogDamaged,
        LogError."""
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._draw_log_id = draw_log_id
        self._failed: str | None = None
        self._file: File | None = None
        self._size = 0
        """Up to where the last segment takes frames: there is room on the disk for so many bytes of it."""
        self._filled = 0
        self._mark: MarkFile | None = None
        self._stages = itertools.count(1)
        self.snapshot: Snapshot | None = None
        self.entries: tuple[Entry, ...] = ()
        self.syncs = Durations()
        """How long the syncs of what was appended took. Another thread may look."""
        try:
            self._open()
        except BlockingIOError as error:
            self.close()
            raise LogError(f"{disk.path('.')}: another process uses this folder; stop it first") from error
        except OSError as error:
            self.close()
            raise LogError(explain(error, disk.path("."))) from error
        except LogError:
            self.close()
            raise

    @classmethod
    def open(cls, folder: str | Path, *, segment_bytes: int = SEGMENT_BYTES) -> DiskLog:
        """Open the log in ``folder``; make an empty one if there is none. Raises LogDamaged, LogError."""
        try:
            disk = RealDisk(folder)
        except OSError as error:
            raise LogError(explain(error, folder)) from error
        return cls(disk, segment_bytes=segment_bytes)

    def append(
        self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None = None
    ) -> None:
        """Make all durable; on return they are. Entries replace everything from the first one's index on; a snapshot
        (one that came from the leader) replaces everything, and ``entries`` follow it.

        Raises ValueError for entries that leave a gap, and LogError for an I/O error; then nothing is known of this
        append but that all before it is durable, and no other one is taken.
        """
        last = self._last if snapshot is None else Base(snapshot.index, snapshot.term)
        with self._writing():
            cut = None
            if entries:
                first = entries[0].index
                if not 1 <= first <= last.index + 1 or entries[-1].index != first + len(entries) - 1:
                    raise ValueError(
                        f"entries {first}..{entries[-1].index} do not fit a log that ends at {last.index}"
                    )
                if first <= last.index:
                    cut = first
            if snapshot is not None:
                self._install(hard_state, snapshot)
                hard_state = None
            if hard_state is not None or entries:
                self._write(hard_state, cut, entries)

    @property
    def log_id(self) -> int:
        """The log's random id, which it keeps for life; a folder that was emptied gets another."""
        return int.from_bytes(self._log_id, "big")

    def open_stage(self) -> Stage:
        """A file for a snapshot's data, which may be written while the log goes on, by another thread too: the slow
        part of a snapshot. Raises OSError, which does not keep the log from going on."""
        return Stage(self._disk, f"stage-{next(self._stages)}")

    def save_snapshot(self, snapshot: Snapshot) -> str:
        """Make a snapshot durable that was taken here, and drop the files that are needless then. An older one than
        the last is ignored. Returns "", or why it could not be written: then all is as before, and the log goes on.
        Raises LogError for an error of the folder, which is the log's too."""
        with self._writing():
            if snapshot.index <= self._snapshot_index:
                discard_stage(self._disk, snapshot)
                return ""
            try:
                name_snapshot(self._disk, self._log_id, snapshot)
            except OSError as error:
                return explain(error, self._disk.path(snapshot_name(snapshot.index)))
            self._named(snapshot)
            self._drop_needless()
            return ""

    def forget_found(self) -> None:
        """``entries`` and ``snapshot`` have been taken over, and need be held in memory here no more."""
        self.entries = ()
        self.snapshot = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """After an I/O error nothing more is written."""
        if self._failed is not None:
            raise LogError(f"nothing more can be written after: {self._failed}")
        try:
            yield
        except OSError as error:
            self._failed = explain(error, self._disk.path(segment_name(self._segment)))
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
            if name.endswith(NEW):
                self._remove(name)
        disk.sync_folder()  # a process that was killed may have renamed and not synced
        found = replay(disk)
        if found is None:
            found = Replay(log_id=self._draw_log_id())
        self._log_id, self._chain = found.log_id, found.chain
        self._state, self._last, self._starts = found.hard_state, found.last, found.starts
        self._snapshot_index = found.snapshot.index if found.snapshot is not None else 0
        if not found.starts:
            self._begin_segment(1)
        else:
            self._segment, self._end = max(found.starts), found.end
            self._file = disk.open(segment_name(self._segment))
            self._size = min(found.size, self._segment_bytes)
            if found.torn:
                # Not cut off: the disk may have no room any more for what it would have to give back.
                self._file.write(bytes(found.torn), self._end)
            # It may have been read from the page cache of a process that was killed before its sync, or whose sync
            # failed; then the kernel takes the pages for clean, and only writing them again brings them to the disk.
            if found.unproven:
                self._file.write(found.unproven, self._end - len(found.unproven))
            self._file.sync()
        if found.has_mark:
            self._mark = MarkFile.open(disk, self._here())
        else:
            self._mark = MarkFile.create(disk, self._here())
        if found.superseded:
            self._begin_segment(self._segment + 1)
            self._mark.write(self._here())
        self._drop_needless()
        self.hard_state = found.hard_state
        self.snapshot = found.snapshot
        self.entries = tuple(found.entries)
        self.notes = tuple(found.notes)

    def _here(self) -> Mark:
        return Mark(self._segment, self._end, self._chain, self._log_id)

    def _begin_segment(self, number: int, frame_bytes: int = 0) -> None:
        """Make a segment's header, its name and what comes before it durable, before any other frame goes in."""
        name = segment_name(number)
        front, chain = pack_segment_header(number, self._log_id, self._chain), self._chain
        if number > 1:
            frame, chain = pack_frame(self._log_id, chain, self._state, None, (), self._last)
            front += frame
        file, self._size = self._create(name + NEW, len(front) + frame_bytes)
        try:
            file.write(front, 0)
            file.sync()
            self._disk.rename(name + NEW, name)
            self._disk.sync_folder()
        except OSError:
            file.close()
            raise
        if self._file is not None:
            self._file.resize(self._end)
            self._file.close()
        self._file = file
        self._segment, self._end, self._chain = number, len(front), chain
        self._filled = 0
        self._starts[number] = self._last.index

    def _create(self, name: str, least: int) -> tuple[File, int]:
        """A file for a new segment, and its size: a usual one's, or less, as far as there is room."""
        size = max(self._segment_bytes, least)
        while True:
            try:
                return self._disk.create(name, size), size
            except OSError as error:
                if error.errno not in NO_ROOM or size == least:
                    raise
            size = max(least, size // 4)

    # -- writing ------------------------------------------------------------------------------------------------

    def _write(self, hard_state: HardState | None, cut: int | None, entries: Sequence[Entry]) -> None:
        parts, crc = self._pack(hard_state, cut, entries)
        size = sum(map(len, parts))
        if self._end + size > self._size and self._end > SEGMENT_HEADER_BYTES:
            self._begin_segment(self._segment + 1, size)
            parts, crc = self._pack(hard_state, cut, entries)
        assert self._file is not None and self._mark is not None
        self._fill(self._end + size)
        at = self._end
        for part in parts:
            self._file.write(part, at)
            at += len(part)
        began = time.perf_counter()
        self._file.sync()
        self.syncs.observe(time.perf_counter() - began)
        self._end = at
        self._chain = crc
        if entries:
            self._last = Base(entries[-1].index, entries[-1].term)
        self._state = hard_state or self._state
        self._mark.write(self._here())

    def _pack(
        self, hard_state: HardState | None, cut: int | None, entries: Sequence[Entry]
    ) -> tuple[list[bytes], int]:
        """A frame, in one part unless it is large."""
        if any(len(entry.data) > LARGE_ENTRY_BYTES for entry in entries):
            return pack_large_frame(self._log_id, self._chain, hard_state, cut, entries)
        frame, crc = pack_frame(self._log_id, self._chain, hard_state, cut, entries)
        return [frame], crc

    def _fill(self, end: int) -> None:
        """Have zeros ahead once frames, which now reach ``end``, have come to where there are none."""
        assert self._file is not None
        if end > self._filled:
            self._filled = max(end, min(end + FILL_BYTES, self._size))
            if self._filled > end:
                self._file.write(bytes(self._filled - end), end)

    # -- snapshots ----------------------------------------------------------------------------------------------

    def _install(self, hard_state: HardState | None, snapshot: Snapshot) -> None:
        """The term first: no snapshot may be of a later one. From the snapshot's name on, it counts, whether or not
        the log says so already."""
        if hard_state is not None:
            self._write(hard_state, None, ())
        name_snapshot(self._disk, self._log_id, snapshot)
        self._named(snapshot)
        self._last = Base(snapshot.index, snapshot.term)
        self._begin_segment(self._segment + 1)
        assert self._mark is not None
        self._mark.write(self._here())
        self._drop_needless()

    def _named(self, snapshot: Snapshot) -> None:
        """A snapshot's file has its name; make the name durable, so that it counts."""
        self._disk.sync_folder()
        self._snapshot_index = snapshot.index

    def _drop_needless(self) -> None:
        """Files whose entries all lie before the snapshot's end, and older snapshots. That some of them come back
        after a power loss, or cannot be removed, does no harm."""
        disk = self._disk
        first = max(number for number, start in self._starts.items() if start <= self._snapshot_index)
        for number in [number for number in self._starts if number < first]:
            del self._starts[number]
        names = disk.names()
        needless = [segment_name(number) for number in segment_numbers(names) if number < first]
        needless += [snapshot_name(index) for index in snapshot_indexes(names) if index < self._snapshot_index]
        for name in needless:
            self._remove(name)
        if needless:
            disk.sync_folder()

    def _remove(self, name: str) -> None:
        """What need not be there. A full disk may refuse even that: then the next time."""
        with contextlib.suppress(OSError):
            self._disk.remove(name)
