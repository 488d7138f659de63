"""One step of a loaded program, and the records that the C side gives (struct p4_record in runtime/p4_switch.h)."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from enum import IntEnum

_HEAD = struct.Struct("=IIII")


class RecordKind(IntEnum):
    """As enum p4_record_kind."""

    PACKET = 1
    DIGEST = 2
    LOG = 3
    TRACED = 4


def step_alone(library: ctypes.CDLL, switch: int, port: int, frame: bytes, now_us: int, random: int) -> bytes:
    """Carry one frame through the program of a library, on the state of a switch; what comes of it, as records."""
    data, filled = ctypes.c_void_p(), ctypes.c_size_t()
    step = ctypes.cast(library.p4_step, ctypes.c_void_p)
    arguments = (port, frame, len(frame), now_us, random & ((1 << 64) - 1))
    library.p4_step_alone(switch, step, *arguments, ctypes.byref(data), ctypes.byref(filled))
    given = ctypes.string_at(data, filled.value) if data.value and filled.value else b""
    library.p4_free_block(data)
    return given


def records(given: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(kind, number, body) of each record."""
    at = 0
    while at < len(given):
        kind, number, size, _ = _HEAD.unpack_from(given, at)
        at += _HEAD.size
        yield kind, number, given[at : at + size]
        at += (size + 7) // 8 * 8
