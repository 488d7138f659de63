"""A packet socket's ring: frames that the kernel has written into memory that this process sees, with their times.

What the filter drops costs no time of day, which SO_TIMESTAMPNS has every packet of the machine take, in whichever
namespace it is. TPACKET_V3 of packet(7) and Documentation/networking/packet_mmap.rst: blocks of frames, each handed
over when it is full or some time after its first frame.
"""

from __future__ import annotations

import mmap
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

SOL_PACKET, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 263, 5, 6, 10
_TPACKET_V3 = 2
_REQUEST = struct.Struct("=7I")
"""struct tpacket_req3: a block's bytes, blocks, a frame's bytes, frames, milliseconds until a block is handed over;
and what is not used here."""
_BLOCK = struct.Struct("=8xIII")
"""In struct tpacket_block_desc: its status, how many frames it has, and where the first one is."""
_STATUS = struct.Struct("=I")
_STATUS_AT = 8
_FRAME = struct.Struct("=5I4xH")
"""In struct tpacket3_hdr: where the next one is from here, seconds, nanoseconds, bytes that were kept, bytes that
there were; where they are from here."""
_SENDER_AT, _TYPE_AT = 48, 10
"""Where behind a frame's header its struct sockaddr_ll is, and where in that its kind."""
_KERNEL, _USER = 0, 1
_STATISTICS = struct.Struct("II")
BLOCK_BYTES, BLOCKS = 1 << 16, 32
HANDED_OVER_MS = 30
"""After the first frame; it may take twice as long."""


class Ringed(NamedTuple):
    """A frame of a ring. ``kind``: as PACKET_OUTGOING of packet(7)."""

    time_ns: int
    kind: int
    data: bytes


class Ring:
    """The ring of a packet socket that is bound to no interface yet."""

    def __init__(self, listening: socket.socket) -> None:
        """Raises OSError."""
        listening.setsockopt(SOL_PACKET, PACKET_VERSION, _TPACKET_V3)
        request = _REQUEST.pack(BLOCK_BYTES, BLOCKS, BLOCK_BYTES, BLOCKS, HANDED_OVER_MS, 0, 0)
        listening.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        self._socket = listening
        self._memory = mmap.mmap(listening.fileno(), BLOCK_BYTES * BLOCKS)
        self._block = 0

    def close(self) -> None:
        self._memory.close()

    def frames(self) -> Iterator[Ringed]:
        """Those of the blocks that were handed over, which go back to the kernel one by one."""
        for _ in range(BLOCKS):
            base = self._block * BLOCK_BYTES
            status, count, first = _BLOCK.unpack_from(self._memory, base)
            if not status & _USER:
                return
            yield from self._frames(base + first, count)
            _STATUS.pack_into(self._memory, base + _STATUS_AT, _KERNEL)
            self._block = (self._block + 1) % BLOCKS

    def _frames(self, at: int, count: int) -> Iterator[Ringed]:
        memory = self._memory
        for _ in range(count):
            following, seconds, nanoseconds, kept, _, start = _FRAME.unpack_from(memory, at)
            kind = memory[at + _SENDER_AT + _TYPE_AT]
            yield Ringed(seconds * 10**9 + nanoseconds, kind, memory[at + start : at + start + kept])
            at += following

    def lost(self) -> int:
        """How many frames have found no room since the last time."""
        with suppress(OSError):
            return int(_STATISTICS.unpack(self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1])
        return 0
