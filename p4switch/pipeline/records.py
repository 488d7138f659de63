"""One step of a loaded program, and the records that the C side gives (struct p4_record in runtime/p4_switch.h)."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache

_HEAD = struct.Struct("=IIII")
HEAD_BYTES = _HEAD.size
_MAX_RANDOM = (1 << 64) - 1


class RecordKind(IntEnum):
    """As enum p4_record_kind."""

    PACKET = 1
    DIGEST = 2
    LOG = 3
    TRACED = 4


class _Place:
    """Where the C side writes where its records are; the addresses as integers, which are the quickest to pass."""

    __slots__ = ("at_data", "at_filled", "data", "filled")

    def __init__(self) -> None:
        self.data, self.filled = ctypes.c_void_p(), ctypes.c_size_t()
        self.at_data, self.at_filled = ctypes.addressof(self.data), ctypes.addressof(self.filled)


_PLACES: list[_Place] = []
"""Those that no thread uses now."""


def step_alone(library: ctypes.CDLL, switch: int, port: int, frame: bytes, now_us: int, random: int) -> bytes:
    """Carry one frame through the program of a library, on the state of a switch; what comes of it, as records."""
    try:
        place = _PLACES.pop()
    except IndexError:
        place = _Place()
    data, filled, at_data, at_filled = place.data, place.filled, place.at_data, place.at_filled
    size, step = len(frame), _step_of(library)
    library.p4_step_alone(switch, step, port, frame, size, now_us, random & _MAX_RANDOM, at_data, at_filled)
    block = data.value
    if block is None:
        given = b""
    else:
        given = ctypes.string_at(block, filled.value)
        library.p4_free_block(block)
    _PLACES.append(place)
    return given


@lru_cache(maxsize=64)
def _step_of(library: ctypes.CDLL) -> int | None:
    return ctypes.cast(library.p4_step, ctypes.c_void_p).value


def places(given: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(kind, number, where its head stands, size of its body) of each record."""
    at, end, unpack = 0, len(given), _HEAD.unpack_from
    while at < end:
        kind, number, size, _ = unpack(given, at)
        yield kind, number, at, size
        at += HEAD_BYTES + padded(size)


def padded(size: int) -> int:
    """What a body of so many bytes takes."""
    return (size + 7) // 8 * 8


def records(given: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(kind, number, body) of each record."""
    for kind, number, at, size in places(given):
        yield kind, number, given[at + HEAD_BYTES : at + HEAD_BYTES + size]
