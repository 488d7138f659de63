"""Snapshots on disk: one file each, whole or not there. Little-endian:

    magic:8  index:64  term:64  configured:64  configuration length:32  data length:64  crc:32

then the configuration, whose entry has index ``configured``, and the state machine's data. The CRC-32C is over the
log's random id and all but the crc.
"""

from __future__ import annotations

import re
import struct

from crc32c import crc32c

from hosts.raft.configuration import Configuration
from hosts.raft.snapshot import Snapshot
from hosts.storage.disk import Disk
from hosts.storage.errors import LogDamaged

SNAPSHOT_MAGIC = b"SWRSNAP\x01"
_HEAD = struct.Struct("<8sQQQIQ")
_CRC = struct.Struct("<I")
_BODY = _HEAD.size + _CRC.size
_NAME = re.compile(r"snapshot-(\d{20})")
NEW = ".new"


def snapshot_name(index: int) -> str:
    return f"snapshot-{index:020d}"


def snapshot_indexes(names: list[str]) -> list[int]:
    """Of the snapshots among a folder's files, rising."""
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def stage_snapshot(disk: Disk, log_id: bytes, snapshot: Snapshot) -> None:
    """Make the content durable under a name that a later start throws away."""
    configuration = snapshot.configuration.pack()
    head = _HEAD.pack(
        SNAPSHOT_MAGIC,
        snapshot.index,
        snapshot.term,
        snapshot.configuration.index,
        len(configuration),
        len(snapshot.data),
    )
    crc = crc32c(snapshot.data, crc32c(configuration, crc32c(log_id + head)))
    front = head + _CRC.pack(crc) + configuration
    file = disk.create(snapshot_name(snapshot.index) + NEW, len(front) + len(snapshot.data))
    try:
        file.write(front, 0)
        if snapshot.data:
            file.write(snapshot.data, len(front))
        file.sync()
    finally:
        file.close()


def publish_snapshot(disk: Disk, index: int) -> None:
    """Give a staged snapshot its name, durably."""
    name = snapshot_name(index)
    disk.rename(name + NEW, name)
    disk.sync_folder()


def read_snapshot(disk: Disk, log_id: bytes, index: int) -> Snapshot:
    """Raises LogDamaged: a snapshot that has its name was once whole."""
    name = snapshot_name(index)
    data = disk.read(name)
    try:
        magic, found, term, configured, length, size = _HEAD.unpack_from(data)
        (crc,) = _CRC.unpack_from(data, _HEAD.size)
        seed = crc32c(log_id + data[: _HEAD.size])
        if magic != SNAPSHOT_MAGIC or found != index or len(data) != _BODY + length + size:
            raise ValueError("it is no snapshot, or not all of it")
        if crc32c(memoryview(data)[_BODY:], seed) != crc:
            raise ValueError("its checksum does not fit, or it belongs to another log")
        configuration = Configuration.unpack(configured, data[_BODY : _BODY + length])
    except (struct.error, ValueError) as error:
        raise LogDamaged(disk.path(name), 0, f"the snapshot cannot be read: {error}") from error
    return Snapshot(index, term, configuration, data[_BODY + length :])
