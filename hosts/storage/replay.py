"""Reading a log back: which frames stand, where it ends, and whether that is where it may end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hosts.raft.message import Entry, HardState
from hosts.raft.snapshot import Snapshot
from hosts.storage.disk import Disk
from hosts.storage.errors import LogDamaged
from hosts.storage.frames import (
    SEGMENT_HEADER_BYTES,
    Base,
    Malformed,
    Truncation,
    find_frame,
    read_frame,
    unpack_records,
    unpack_segment_header,
)
from hosts.storage.mark import MARK_NAME, Mark, unpack_marks
from hosts.storage.snapshots import read_snapshot, snapshot_indexes

_SEGMENT_NAME = re.compile(r"log-(\d{10})")


def segment_name(number: int) -> str:
    return f"log-{number:010d}"


def segment_numbers(names: list[str]) -> list[int]:
    """The numbers of the segments among a folder's files, rising."""
    return sorted(int(match[1]) for name in names if (match := _SEGMENT_NAME.fullmatch(name)))


@dataclass(slots=True)
class Replay:
    """What a folder's log holds, and where it goes on."""

    hard_state: HardState = field(default_factory=HardState)
    base: Base = field(default_factory=lambda: Base(0, 0))
    """What stands before ``entries``; its term is 0 where nobody needs to know it."""
    entries: list[Entry] = field(default_factory=list)
    snapshot: Snapshot | None = None
    superseded: bool = False
    """The snapshot took the place of a log that it does not agree with, and the log does not say so yet."""
    notes: list[str] = field(default_factory=list)
    """What was found at the end and is harmless."""
    log_id: bytes = b""
    starts: dict[int, int] = field(default_factory=dict)
    """The segments, rising, and the index of the last entry before each."""
    frames: int = 0
    chain: int = 0
    end: int = 0
    """Where the next frame goes in the last segment."""
    size: int = 0
    """The last segment's size, with what is kept free for frames."""
    torn: int = 0
    """How many bytes of the last segment behind ``end`` must be overwritten with zeros."""
    unproven: bytes = b""
    """What the last segment holds before ``end`` and behind the mark: it was read, but was perhaps never synced."""
    has_mark: bool = False

    @property
    def last(self) -> Base:
        """The log's last entry."""
        return Base(self.entries[-1].index, self.entries[-1].term) if self.entries else self.base


def replay(disk: Disk) -> Replay | None:
    """Read the log, changing nothing; None if there is none yet. Raises LogDamaged and OSError."""
    mark = None
    if MARK_NAME in disk.names():  # before the segments, which a running member may append to meanwhile
        found = unpack_marks(disk.read(MARK_NAME))
        if found is None:
            raise LogDamaged(disk.path(MARK_NAME), 0, "neither copy of the synced mark is whole")
        mark = found[0]
    names = disk.names()
    numbers = segment_numbers(names)
    snapshots = snapshot_indexes(names)
    if not numbers:
        if mark is not None or snapshots:
            raise LogDamaged(disk.path(segment_name(mark.segment if mark else 1)), 0, "the log's files are gone")
        return None
    if mark is not None and mark.segment > numbers[-1]:
        raise LogDamaged(disk.path(segment_name(mark.segment)), 0, "the log's last file is gone")
    numbers = _unbroken(numbers)
    result = Replay(has_mark=mark is not None)
    for number in numbers:
        _read_segment(disk, result, number, first=number == numbers[0], last=number == numbers[-1], mark=mark)
    if mark is None and (result.frames or len(numbers) > 1):
        raise LogDamaged(disk.path(MARK_NAME), 0, "the synced mark is gone")
    if snapshots:
        result.snapshot = read_snapshot(disk, result.log_id, snapshots[-1])
    _join(disk, result, numbers[0])
    return result


def _unbroken(numbers: list[int]) -> list[int]:
    """The segments that follow each other up to the last. Files that a snapshot made needless go one by one, and of
    what was removed last a power loss may bring back any."""
    start = len(numbers) - 1
    while start and numbers[start - 1] == numbers[start] - 1:
        start -= 1
    return numbers[start:]


def _join(disk: Disk, result: Replay, first: int) -> None:
    """Snapshot and log must meet; the entries are those behind the snapshot."""
    snapshot = result.snapshot
    reaches = snapshot.index if snapshot is not None else 0
    # A needless file may have come back, and its beginning lie behind the snapshot; one that is needed is enough.
    if first != 1 and min(result.starts.values()) > reaches:
        raise LogDamaged(disk.path(segment_name(first - 1)), 0, "the file is gone, and no snapshot stands for it")
    if result.base.index > reaches:
        raise LogDamaged(disk.path(segment_name(first)), 0, f"the snapshot at {result.base.index} is gone")
    if snapshot is None:
        return
    at = reaches - result.base.index
    if at > len(result.entries) or (result.entries[at - 1].term if at else result.base.term) != snapshot.term:
        result.superseded = True
        result.entries.clear()
    else:
        del result.entries[:at]
    result.base = Base(snapshot.index, snapshot.term)
    if result.hard_state.current_term < snapshot.term:
        raise LogDamaged(disk.path(segment_name(first)), 0, f"its term is older than the snapshot's {snapshot.term}")


def _read_segment(disk: Disk, result: Replay, number: int, *, first: bool, last: bool, mark: Mark | None) -> None:
    name = disk.path(segment_name(number))
    data = disk.read(segment_name(number))
    header = unpack_segment_header(data)
    if header is None or header[0] != number:
        raise LogDamaged(name, 0, "the file's header is not whole")
    _, log_id, chain = header
    if first:
        result.log_id = log_id
        result.chain = chain
    elif log_id != result.log_id or chain != result.chain:
        raise LogDamaged(name, 0, "it does not follow the end of the file before")
    if mark is not None and mark.log_id != log_id:
        raise LogDamaged(name, 0, "it belongs to another log than the synced mark")
    result.starts[number] = result.last.index
    at = SEGMENT_HEADER_BYTES
    here = mark is not None and mark.segment == number
    while True:
        if here and mark is not None and at == mark.offset and result.chain != mark.chain:
            raise LogDamaged(name, at, "the frame before it is not the one that was synced")
        frame = read_frame(data, at, result.log_id)
        if frame is None or frame.chain != result.chain:
            break
        _take_records(result, frame.body, number, name, at)
        result.chain = frame.crc
        result.frames += 1
        at = frame.end
    result.end, result.size = at, len(data)
    if mark is not None and (number, at) < (mark.segment, mark.offset) and (here or last):
        raise LogDamaged(name, at, f"the log was durable up to byte {mark.offset} of {segment_name(mark.segment)}")
    _check_end(result, name, data, at, last=last)
    if last:
        result.unproven = data[mark.offset if mark is not None and here else SEGMENT_HEADER_BYTES : at]


def _check_end(result: Replay, name: str, data: bytes, at: int, *, last: bool) -> None:
    """Behind the last frame there are zeros, or what a power loss left of one frame that nobody relied on."""
    if data.count(0, at) == len(data) - at:
        return
    behind = find_frame(data, at, result.log_id)
    if behind is not None:
        raise LogDamaged(name, at, f"no frame can be read there, and a valid one follows at byte {behind.offset}")
    if not last:
        raise LogDamaged(name, at, "no frame can be read there, and another file follows")
    result.torn = len(data.rstrip(b"\0")) - at
    result.notes.append(f"{name}: an incomplete last write at byte {at} was left out; nothing had relied on it")


def _take_records(result: Replay, body: memoryview, number: int, name: str, offset: int) -> None:
    entries = result.entries
    try:
        for record in unpack_records(body):
            if isinstance(record, Entry):
                if record.index != (entries[-1].index if entries else result.base.index) + 1:
                    raise Malformed(f"entry {record.index} does not follow its predecessor")
                entries.append(record)
            elif isinstance(record, Truncation):
                _cut(result, record.index)
            elif isinstance(record, Base):
                result.starts[number] = record.index
                if record != result.last:
                    entries.clear()
                    result.base = record
            else:
                result.hard_state = record
    except Malformed as error:
        raise LogDamaged(name, offset, str(error)) from error


def _cut(result: Replay, index: int) -> None:
    if not 1 <= index <= result.last.index + 1:
        raise Malformed(f"a cut at {index}")
    del result.entries[max(0, index - result.base.index - 1) :]
    if index <= result.base.index:  # what was cut off began in a file that is gone
        result.base = Base(index - 1, 0)
