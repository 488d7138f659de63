"""The synced mark: how far the log was durable, kept apart from the log.

A torn last frame and a lost one look alike; the mark tells them apart. It is written after each sync and is not
synced itself, which would cost as much again: it may lag behind after a power loss, it never runs ahead. Two slots
are written in turn, so that a torn write leaves the other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from crc32c import crc32c

from hosts.storage.disk import Disk, File

MARK_NAME = "synced"
SLOT_BYTES = 4096
_SLOT = struct.Struct("<QQ8sI")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """Everything before ``offset`` of segment ``segment`` was durable; ``chain`` is the crc of the frame there."""

    segment: int
    offset: int
    chain: int
    log_id: bytes


def pack_mark(mark: Mark) -> bytes:
    packed = _SLOT.pack(mark.segment, mark.offset, mark.log_id, mark.chain)
    return packed + _CRC.pack(crc32c(packed))


def unpack_marks(data: bytes) -> tuple[Mark, int] | None:
    """The later mark and its slot, None if neither is whole."""
    marks = []
    for number in (0, 1):
        start = number * SLOT_BYTES
        slot = data[start : start + _SLOT.size + _CRC.size]
        if len(slot) == _SLOT.size + _CRC.size and _CRC.unpack_from(slot, _SLOT.size)[0] == crc32c(
            slot[: _SLOT.size]
        ):
            segment, offset, log_id, chain = _SLOT.unpack_from(slot)
            marks.append((Mark(segment, offset, chain, log_id), number))
    return max(marks) if marks else None


class MarkFile:
    """The mark on disk."""

    __slots__ = ("_file", "_slot")

    def __init__(self, file: File, slot: int) -> None:
        """``slot`` holds the mark that stands; the next goes into the other."""
        self._file = file
        self._slot = slot

    @classmethod
    def create(cls, disk: Disk, mark: Mark) -> MarkFile:
        """A new mark file, durable on return."""
        temporary = MARK_NAME + ".new"
        file = disk.create(temporary, 2 * SLOT_BYTES)
        packed = pack_mark(mark)
        file.write(packed, 0)
        file.write(packed, SLOT_BYTES)
        file.sync()
        disk.rename(temporary, MARK_NAME)
        disk.sync_folder()
        return cls(file, 0)

    @classmethod
    def open(cls, disk: Disk, mark: Mark) -> MarkFile:
        """The mark file of a log that was read back, with its new mark. Both slots are durably whole on return: an
        earlier power loss may have torn one, and to write into the other before would risk both."""
        found = unpack_marks(disk.read(MARK_NAME))
        assert found is not None, "replay() checked it"
        opened = cls(disk.open(MARK_NAME), found[1])
        opened.write(mark)
        opened.sync()
        return opened

    def write(self, mark: Mark) -> None:
        """Note the mark; it reaches the disk when the kernel likes."""
        self._slot ^= 1
        self._file.write(pack_mark(mark), self._slot * SLOT_BYTES)

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()
