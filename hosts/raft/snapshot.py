"""Snapshots: the state machine in place of the log up to an index (thesis, chapter 5), and their way to a follower.

A snapshot travels as one stream, cut into chunks. It begins ``crc:32 length:32 index:64`` and ``length`` bytes of
the configuration, whose entry has that index; the state machine's data follows. ``crc`` is the CRC-32 of all that
stands behind it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from hosts.raft.configuration import Configuration

_CRC = struct.Struct(">I")
_HEAD = struct.Struct(">IQ")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was committed up to ``index``, whose entry had ``term``."""

    index: int
    term: int
    configuration: Configuration
    """Who the members were then: the latest configuration of index ``index`` at most."""
    data: bytes = field(repr=False)
    """The state machine's; opaque here."""

    def head(self) -> bytes:
        """What stands before the data in the stream."""
        packed = self.configuration.pack()
        head = _HEAD.pack(len(packed), self.configuration.index) + packed
        return _CRC.pack(zlib.crc32(self.data, zlib.crc32(head))) + head


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

    __slots__ = ("_chunks", "index", "source", "term", "wanted")

    def __init__(self, source: int, index: int, term: int) -> None:
        self.source = source
        self.index = index
        self.term = term
        self._start_over()

    def _start_over(self) -> None:
        self._chunks: list[bytes] = []
        self.wanted = 0

    def is_of(self, source: int, index: int, term: int) -> bool:
        """Leaders that compacted at one index may have different bytes for one state: no chunk of another's."""
        return (self.source, self.index, self.term) == (source, index, term)

    def take(self, offset: int, chunk: bytes) -> bool:
        """A chunk at ``offset``. False if it is not the next one."""
        if offset != self.wanted:
            return False
        self._chunks.append(chunk)
        self.wanted += len(chunk)
        return True

    def finish(self) -> Snapshot | None:
        """All chunks are there. None if they do not make a snapshot: then it must come again from the start."""
        stream = memoryview(b"".join(self._chunks))
        self._start_over()
        try:
            (crc,) = _CRC.unpack_from(stream)
            length, configured = _HEAD.unpack_from(stream, _CRC.size)
            body = _CRC.size + _HEAD.size
            if zlib.crc32(stream[_CRC.size :]) != crc or configured > self.index:
                return None
            configuration = Configuration.unpack(configured, bytes(stream[body : body + length]))
        except (struct.error, ValueError):
            return None
        return Snapshot(self.index, self.term, configuration, bytes(stream[body + length :]))
