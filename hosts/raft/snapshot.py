"""Snapshots: the state machine in place of the log up to an index (thesis, chapter 5), and their way to a follower.

A snapshot travels as one stream, cut into chunks. It begins

    crc:32  configuration length:32  data crc:32  data length:64  configured:64

and the configuration, whose entry has index ``configured``; the state machine's data follows. ``crc`` is the CRC-32
of the snapshot's index and term, which the header of each chunk names, and of what stands behind it and before the
data; ``data crc`` that of the data.

The data may be larger than memory should hold twice: so the core reads it in parts (``Data``), and hands the parts of
one that arrives to a ``Sink`` as they come. Bytes are the simplest data.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Protocol

from hosts.raft.configuration import Configuration

_CRC = struct.Struct(">I")
_HEAD = struct.Struct(">IIQQ")
_OF = struct.Struct(">QQ")
_FRONT = _CRC.size + _HEAD.size
MAX_CONFIGURATION_BYTES = 1 << 25
"""No configuration is larger: 254 members with addresses of 64 KiB."""

_CRC_STEP = 1 << 20


class Data(Protocol):
    """A state machine's data, which is read in parts. One that knows its CRC-32 has it as ``crc32``."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Sink(Protocol):
    """Takes data in parts and in order, until it is finished or discarded."""

    def has_room(self) -> bool:
        """Whether ``write`` may be called now."""

    def write(self, part: bytes) -> None:
        """The next part."""

    def finish(self) -> Data | None:
        """All parts have been written: the data. None as long as it is not settled; ask again then."""

    def discard(self) -> None:
        """Nobody wants it any more."""

    def failure(self) -> str:
        """Why what was written cannot be kept, "" if nothing is wrong. Then the data is not settled ever: it must be
        written again, to another sink."""


class MemorySink:
    """Keeps the parts in memory."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def has_room(self) -> bool:
        return True

    def write(self, part: bytes) -> None:
        self._parts.append(part)

    def finish(self) -> Data | None:
        return b"".join(self._parts)

    def discard(self) -> None:
        self._parts.clear()

    def failure(self) -> str:
        return ""


def crc_of(data: Data) -> int:
    """The CRC-32 of data."""
    known = getattr(data, "crc32", None)
    return crc_of_part(data, len(data)) if known is None else int(known)


def crc_of_part(data: Data, size: int) -> int:
    """The CRC-32 of the first ``size`` bytes, read a little at a time."""
    crc = 0
    for start in range(0, size, _CRC_STEP):
        crc = zlib.crc32(data[start : min(start + _CRC_STEP, size)], crc)
    return crc


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was committed up to ``index``, whose entry had ``term``."""

    index: int
    term: int
    configuration: Configuration
    """Who the members were then: the latest configuration of index ``index`` at most."""
    data: Data = field(repr=False)
    """The state machine's; opaque here."""

    def head(self) -> bytes:
        """What stands before the data in the stream."""
        packed = self.configuration.pack()
        head = _HEAD.pack(len(packed), crc_of(self.data), len(self.data), self.configuration.index) + packed
        return _CRC.pack(_head_crc(self.index, self.term, head)) + head


def _head_crc(index: int, term: int, head: bytes) -> int:
    return zlib.crc32(head, zlib.crc32(_OF.pack(index, term)))


class Outgoing:
    """A snapshot as a stream of chunks; one is made per transfer, and keeps its snapshot although a newer exists."""

    __slots__ = ("_head", "size", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._head = snapshot.head()
        self.size = len(self._head) + len(snapshot.data)

    def chunk(self, offset: int, length: int) -> bytes:
        """``length`` bytes of the stream from ``offset``, less at its end."""
        head = self._head
        start = max(0, offset - len(head))
        rest = length - len(head[offset : offset + length])
        return head[offset : offset + length] + bytes(self.snapshot.data[start : start + rest])


class Incoming:
    """A snapshot that arrives from one leader. Chunks are taken in their order; ``wanted`` is the next offset."""

    __slots__ = (
        "_broken",
        "_crc",
        "_data_bytes",
        "_front",
        "_head",
        "_sink",
        "complete",
        "index",
        "source",
        "term",
        "wanted",
    )

    def __init__(self, source: int, index: int, term: int, sink: Sink) -> None:
        self.source = source
        self.index = index
        self.term = term
        self.wanted = 0
        self.complete = False
        """The last chunk was taken."""
        self._sink = sink
        self._front = bytearray()
        """The stream's beginning, as long as it is not whole."""
        self._head: tuple[Configuration, int, int] | None = None
        """With the data's CRC and length."""
        self._broken = False
        self._crc = 0
        self._data_bytes = 0

    def is_of(self, source: int, index: int, term: int) -> bool:
        """Leaders that compacted at one index may have different bytes for one state: no chunk of another's."""
        return (self.source, self.index, self.term) == (source, index, term)

    def take(self, offset: int, chunk: bytes, *, last: bool = False) -> bool:
        """A chunk at ``offset``. False if it is not the next one, or nothing can be taken now."""
        if offset != self.wanted or self.complete or not self._sink.has_room():
            return False
        self.wanted += len(chunk)
        self.complete = last
        if self._head is None:
            chunk = self._take_front(chunk)
        if chunk:
            self._crc = zlib.crc32(chunk, self._crc)
            self._data_bytes += len(chunk)
            self._sink.write(chunk)
        return True

    def _take_front(self, chunk: bytes) -> bytes:
        """The rest of the chunk, which is data."""
        front = self._front
        if self._broken:
            return b""
        front += chunk
        if len(front) < _FRONT:
            return b""
        length, data_crc, data_bytes, configured = _HEAD.unpack_from(front, _CRC.size)
        end = _FRONT + min(length, MAX_CONFIGURATION_BYTES)
        if len(front) < end:
            return b""
        (crc,) = _CRC.unpack_from(front)
        try:
            if _head_crc(self.index, self.term, bytes(front[_CRC.size : end])) == crc and configured <= self.index:
                configuration = Configuration.unpack(configured, bytes(front[_FRONT:end]))
                self._head = configuration, data_crc, data_bytes
        except ValueError:
            pass
        self._front = bytearray()
        # If it is broken, the end of the stream will show it; nothing is kept until then.
        self._broken = self._head is None
        return b"" if self._broken else bytes(front[end:])

    def is_whole(self) -> bool:
        """Whether all that came, to the last chunk, makes a snapshot. If not, it must come again from the start."""
        return self._head is not None and (self._crc, self._data_bytes) == self._head[1:]

    def has_failed(self) -> bool:
        """Whether what came could not be kept: it must come again from the start."""
        return self._sink.failure() != ""

    def finish(self) -> Snapshot | None:
        """The snapshot, which is whole. None as long as its data is not settled."""
        assert self._head is not None
        data = self._sink.finish()
        return None if data is None else Snapshot(self.index, self.term, self._head[0], data)

    def discard(self) -> None:
        """Throw away what has arrived of the snapshot: it is not wanted any more."""
        self._sink.discard()
