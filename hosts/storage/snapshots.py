"""Snapshots on disk: one file each, whole or not there. Little-endian: the state machine's data, the configuration,

    magic:8  index:64  term:64  configured:64  configuration length:32  data length:64  data crc:32  crc:32

``configured`` is the index of the configuration's entry. ``data crc`` is the data's CRC-32; ``crc`` the CRC-32C over
the log's random id, the configuration, and all from the magic on but itself.

So the data can be written as it comes, before anybody knows how long it will be: into a ``Stage``, a file whose name
a later start throws away. With its end it gets its own name.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib

from crc32c import crc32c

from hosts.raft.configuration import Configuration
from hosts.raft.snapshot import Data, Snapshot, crc_of_part
from hosts.storage.disk import Disk
from hosts.storage.errors import LogDamaged

SNAPSHOT_MAGIC = b"SWRSNAP\x02"
_END = struct.Struct("<8sQQQIQI")
_CRC = struct.Struct("<I")
_END_BYTES = _END.size + _CRC.size
_NAME = re.compile(r"snapshot-(\d{20})")
NEW = ".new"
SYNC_BYTES = 4 << 20
"""Written between two syncs of a stage: so that no sync, of whatever file, ever waits for much more."""

END_ROOM = 8 << 10
"""Kept free behind a stage's data, for the configuration and the end of a usual cluster: so that what fits as data
becomes a snapshot, whatever else fills the disk meanwhile."""

_READ_BYTES = 1 << 20


def snapshot_name(index: int) -> str:
    return f"snapshot-{index:020d}"


def snapshot_indexes(names: list[str]) -> list[int]:
    """The indexes of the snapshots among a folder's files, rising."""
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


class StoredData:
    """The data at the beginning of a file. ``stage``: the name of a file that holds nothing else yet, else empty."""

    __slots__ = ("_size", "_view", "crc32", "stage")

    def __init__(self, view: Data, size: int, crc32: int, stage: str = "") -> None:
        self._view = view
        self._size = size
        self.crc32 = crc32
        self.stage = stage

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, step = part.indices(self._size)
        return self._view[start:stop:step]

    def __eq__(self, other: object) -> bool:
        """Data are equal if their bytes are."""
        if not isinstance(other, bytes | StoredData):
            return NotImplemented
        return len(other) == self._size and all(
            self[start : start + _READ_BYTES] == other[start : start + _READ_BYTES]
            for start in range(0, self._size, _READ_BYTES)
        )

    __hash__ = None  # type: ignore[assignment]


class Stage:
    """A file that data is being written to. Raises OSError; then only ``discard`` is of use."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name + NEW
        self.path = disk.path(self._name)
        self._file = disk.create(self._name, 0)
        self._written = self._synced = self._crc = 0

    def write(self, part: bytes) -> None:
        self._file.write(part, self._written)
        self._crc = zlib.crc32(part, self._crc)
        self._written += len(part)
        if self._written - self._synced >= SYNC_BYTES:
            self._sync()

    def finish(self) -> StoredData:
        """All of it, durable but for its name."""
        self._file.write(bytes(END_ROOM), self._written)
        self._sync()
        self._file.close()
        return StoredData(self._disk.view(self._name), self._written, self._crc, self._name)

    def discard(self) -> None:
        """The file goes, at the latest at the next start. Raises nothing."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._disk.remove(self._name)

    def _sync(self) -> None:
        self._file.sync()
        self._synced = self._written


def name_snapshot(disk: Disk, log_id: bytes, snapshot: Snapshot) -> None:
    """Write all of a snapshot, durably, and give it its name, which ``disk.sync_folder`` makes durable. What is
    staged already is not written again. Raises OSError; then what was staged is gone, and all else as it was."""
    data = snapshot.data
    if not isinstance(data, StoredData) or not data.stage:
        data = _stage(disk, snapshot)
    try:
        _write_end(disk, log_id, snapshot, data)
        disk.rename(data.stage, snapshot_name(snapshot.index))
    except OSError:
        _discard(disk, data)
        raise
    data.stage = ""


def _stage(disk: Disk, snapshot: Snapshot) -> StoredData:
    data = snapshot.data
    stage = Stage(disk, snapshot_name(snapshot.index))
    try:
        for start in range(0, len(data), SYNC_BYTES):
            stage.write(data[start : start + SYNC_BYTES])
        return stage.finish()
    except OSError:
        stage.discard()
        raise


def _write_end(disk: Disk, log_id: bytes, snapshot: Snapshot, data: StoredData) -> None:
    configuration = snapshot.configuration.pack()
    end = _END.pack(
        SNAPSHOT_MAGIC,
        snapshot.index,
        snapshot.term,
        snapshot.configuration.index,
        len(configuration),
        len(data),
        data.crc32,
    )
    behind = configuration + end + _CRC.pack(crc32c(end, crc32c(log_id + configuration)))
    file = disk.open(data.stage)
    try:
        file.write(behind, len(data))
        file.resize(len(data) + len(behind))
        file.sync()
    finally:
        file.close()


def discard_stage(disk: Disk, snapshot: Snapshot) -> None:
    """A snapshot is not wanted; if it is staged, the file goes, at the latest at the next start."""
    if isinstance(snapshot.data, StoredData) and snapshot.data.stage:
        _discard(disk, snapshot.data)


def _discard(disk: Disk, data: StoredData) -> None:
    with contextlib.suppress(OSError):
        disk.remove(data.stage)
    data.stage = ""


def read_snapshot(disk: Disk, log_id: bytes, index: int) -> Snapshot:
    """Raises LogDamaged: a snapshot that has its name was once whole."""
    name = snapshot_name(index)
    view = disk.view(name)
    try:
        end_at = len(view) - _END_BYTES
        if end_at < 0:
            raise ValueError("it is no snapshot, or not all of it")
        end = view[end_at : len(view)]
        magic, found, term, configured, length, size, data_crc = _END.unpack_from(end)
        (crc,) = _CRC.unpack_from(end, _END.size)
        if magic != SNAPSHOT_MAGIC or found != index or size + length != end_at:
            raise ValueError("it is no snapshot, or not all of it")
        packed = view[size:end_at]
        if crc32c(end[: _END.size], crc32c(log_id + packed)) != crc:
            raise ValueError("the checksum of its end does not fit, or it belongs to another log")
        if crc_of_part(view, size) != data_crc:
            raise ValueError("the checksum of its data does not fit")
        configuration = Configuration.unpack(configured, packed)
    except (struct.error, ValueError) as error:
        raise LogDamaged(disk.path(name), 0, f"the snapshot cannot be read: {error}") from error
    return Snapshot(index, term, configuration, StoredData(view, size, data_crc))
