"""Frames, the log's unit of writing, as bytes. Pure functions.

A segment is a header and frames; all that one append() made durable is one frame, so that a power loss tears at most
the last frame and a valid frame proves that the one before it had been synced. Little-endian:

    segment header   magic:8  number:64  log_id:64  chain:32  crc:32
    frame            magic:4  length:32  chain:32   crc:32    then ``length`` bytes of records
    record           kind:8 = 1  term:64  voted_for:8                         hard state
                     kind:8 = 2  term:64  index:64  entry_kind:8  length:32   an entry, then its data
                     kind:8 = 3  index:64                                     the log ends before this index
                     kind:8 = 4  index:64  term:64                            what follows comes after this entry

The first frame of each segment but the first says the hard state and what entry comes before (kind 4): so the files
before it can go once a snapshot reaches that far. Where the log before ends otherwise, it is void: a snapshot from
the leader took its place.

``chain`` is the crc of the frame before, across segments. CRC-32C over all that stands before and behind the crc
field, beginning with the log's random id: bytes of a client's value or of another log are never taken for a frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crc32c import crc32c

from hosts.raft.message import Entry, EntryKind, HardState
from hosts.storage.sums import PartSums

SEGMENT_MAGIC = b"SWRLOG\x00\x01"
FRAME_MAGIC = b"\xf5RF\x01"
SEGMENT_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 16

_SEGMENT = struct.Struct("<8sQ8sI")
_FRAME = struct.Struct("<4sII")
_CRC = struct.Struct("<I")
_HARD_STATE = struct.Struct("<BQB")
_ENTRY = struct.Struct("<BQQBI")
_TRUNCATION = struct.Struct("<BQ")
_BASE = struct.Struct("<BQQ")
_HARD_STATE_KIND, _ENTRY_KIND, _TRUNCATION_KIND, _BASE_KIND = 1, 2, 3, 4


class Malformed(ValueError):
    """Records that nobody can have written."""


@dataclass(frozen=True, slots=True)
class Truncation:
    """The log ends before ``index``."""

    index: int


@dataclass(frozen=True, slots=True)
class Base:
    """What follows in the log comes after the entry of this index and term."""

    index: int
    term: int


Record = HardState | Entry | Truncation | Base


def pack_segment_header(number: int, log_id: bytes, chain: int) -> bytes:
    """The first 32 bytes of segment ``number``; ``chain`` is the crc of the last frame of the segment before."""
    packed = _SEGMENT.pack(SEGMENT_MAGIC, number, log_id, chain)
    return packed + _CRC.pack(crc32c(packed))


def unpack_segment_header(data: bytes) -> tuple[int, bytes, int] | None:
    """(number, log id, chain), or None if that is no whole header."""
    if len(data) < SEGMENT_HEADER_BYTES:
        return None
    magic, number, log_id, chain = _SEGMENT.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _SEGMENT.size)
    if magic != SEGMENT_MAGIC or crc != crc32c(data[: _SEGMENT.size]):
        return None
    return number, log_id, chain


def pack_frame(
    log_id: bytes,
    chain: int,
    hard_state: HardState | None,
    cut: int | None,
    entries: Sequence[Entry],
    base: Base | None = None,
) -> tuple[bytes, int]:
    """A frame and its crc. ``cut``: the index from which on the former end of the log is void, None if it stays.
    ``base``: what stands before the frame's segment."""
    body = b"".join(_pack_records(hard_state, cut, entries, base))
    header = _FRAME.pack(FRAME_MAGIC, len(body), chain)
    crc = crc32c(body, crc32c(log_id + header))
    return b"".join((header, _CRC.pack(crc), body)), crc


def pack_large_frame(
    log_id: bytes, chain: int, hard_state: HardState | None, cut: int | None, entries: Sequence[Entry]
) -> tuple[list[bytes], int]:
    """A frame as ``pack_frame`` makes it, in parts that are not copied into one."""
    parts = _pack_records(hard_state, cut, entries, None)
    header = _FRAME.pack(FRAME_MAGIC, sum(map(len, parts)), chain)
    crc = crc32c(log_id + header)
    for part in parts:
        crc = crc32c(part, crc)
    return [header, _CRC.pack(crc), *parts], crc


def _pack_records(
    hard_state: HardState | None, cut: int | None, entries: Sequence[Entry], base: Base | None
) -> list[bytes]:
    parts: list[bytes] = []
    if hard_state is not None:
        parts.append(_HARD_STATE.pack(_HARD_STATE_KIND, hard_state.current_term, hard_state.voted_for))
    if base is not None:
        parts.append(_BASE.pack(_BASE_KIND, base.index, base.term))
    if cut is not None:
        parts.append(_TRUNCATION.pack(_TRUNCATION_KIND, cut))
    for entry in entries:
        data = entry.data
        parts.append(_ENTRY.pack(_ENTRY_KIND, entry.term, entry.index, entry.kind, len(data)))
        parts.append(data)
    return parts


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that is whole: where it lies, its place in the chain, its records' bytes."""

    offset: int
    end: int
    chain: int
    crc: int
    body: memoryview


def read_frame(data: bytes, offset: int, log_id: bytes, sums: PartSums | None = None) -> Frame | None:
    """The frame at ``offset``, None if no whole one is there. Whether it fits the chain is for the caller to see.
    ``sums`` of ``data`` save it from reading the frame for its checksum."""
    start = offset + FRAME_HEADER_BYTES
    if start > len(data):
        return None
    magic, length, chain = _FRAME.unpack_from(data, offset)
    end = start + length
    if magic != FRAME_MAGIC or end > len(data) or length == 0:
        return None
    (crc,) = _CRC.unpack_from(data, offset + _FRAME.size)
    view = memoryview(data)
    begun = crc32c(log_id + data[offset : offset + _FRAME.size])
    if (crc32c(view[start:end], begun) if sums is None else sums.of(start, end, begun)) != crc:
        return None
    return Frame(offset, end, chain, crc, view[start:end])


def find_frame(data: bytes, start: int, log_id: bytes) -> Frame | None:
    """The first whole frame at ``start`` or behind it, whatever lies before.

    Clients can fill a value with what looks like frames that reach far. So once what they claim comes to more bytes
    than there are, the bytes are summed once for all of them, and each costs the same."""
    sums: PartSums | None = None
    claimed = 0
    at = data.find(FRAME_MAGIC, start)
    while at >= 0:
        frame = read_frame(data, at, log_id, sums)
        if frame is not None:
            return frame
        if sums is None:
            claimed += min(_claimed_bytes(data, at), len(data) - at)
            if claimed > len(data) - start:
                sums = PartSums(data, start)
        at = data.find(FRAME_MAGIC, at + 1)
    return None


def _claimed_bytes(data: bytes, offset: int) -> int:
    return int(_FRAME.unpack_from(data, offset)[1]) if offset + _FRAME.size <= len(data) else 0


def unpack_records(body: memoryview) -> Iterator[Record]:
    """A frame's records. Raises Malformed."""
    at, end = 0, len(body)
    try:
        while at < end:
            kind = body[at]
            if kind == _ENTRY_KIND:
                _, term, index, entry_kind, length = _ENTRY.unpack_from(body, at)
                at += _ENTRY.size + length
                if at > end:
                    raise Malformed(f"entry {index} is longer than its frame")
                yield Entry(term, index, EntryKind(entry_kind), bytes(body[at - length : at]))
            elif kind == _HARD_STATE_KIND:
                _, term, voted_for = _HARD_STATE.unpack_from(body, at)
                at += _HARD_STATE.size
                yield HardState(term, voted_for)
            elif kind == _TRUNCATION_KIND:
                _, index = _TRUNCATION.unpack_from(body, at)
                at += _TRUNCATION.size
                yield Truncation(index)
            elif kind == _BASE_KIND:
                _, index, term = _BASE.unpack_from(body, at)
                at += _BASE.size
                yield Base(index, term)
            else:
                raise Malformed(f"a record of kind {kind}")
    except (struct.error, ValueError) as error:
        raise Malformed(str(error)) from error
