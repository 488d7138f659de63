"""Several small requests of one session, or several replies, in one datagram (flag MORE).

Each is ``sequence:64 length:16`` and what would have been its datagram's payload; the header's index is the first
sequence. A client that sends such a batch takes batches of replies, too. What is alone goes without MORE.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from hosts.config import Address
from hosts.raft.message import MessageType
from hosts.service.requests import Outcome, Reply
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Flag, Header, WireError

MORE = int(Flag.MORE)
REJECT = int(Flag.REJECT)

_PREFIX = struct.Struct(">QH")
_ROOM = MAX_DATAGRAM - HEADER_BYTES


def pack_batches(items: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    """(sequence, payload) pairs as datagrams: each one's index, MORE or 0, and payload. A pair that is too large for
    a datagram with others stands alone."""
    first, count, filled = 0, 0, 0
    parts: list[bytes] = []
    for sequence, payload in items:
        size = _PREFIX.size + len(payload)
        if count and filled + size > _ROOM:
            yield first, MORE if count > 1 else 0, b"".join(parts) if count > 1 else parts[1]
            parts, count, filled = [], 0, 0
        if not count:
            first = sequence
        parts += (_PREFIX.pack(sequence, len(payload) & 0xFFFF), payload)
        count += 1
        filled += size
    if count:
        yield first, MORE if count > 1 else 0, b"".join(parts) if count > 1 else parts[1]


def take_batch(payloads: Iterable[bytes]) -> int:
    """How many of the first payloads ``pack_batches`` puts into its first datagram."""
    count, filled = 0, 0
    for payload in payloads:
        filled += _PREFIX.size + len(payload)
        if count and filled > _ROOM:
            break
        count += 1
    return count


def unpack_batch(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """The inverse of ``pack_batches`` for one datagram with MORE. Raises WireError where the rest makes no sense."""
    at, end = 0, len(payload)
    while at < end:
        start = at + _PREFIX.size
        if start > end:
            raise WireError("a batch cut short")
        sequence, length = _PREFIX.unpack_from(payload, at)
        at = start + length
        if at > end:
            raise WireError(f"sequence {sequence} is longer than its batch")
        yield sequence, payload[start:at]


class Answers:
    """Answers to clients that know batches, gathered for a while, so that each client gets few datagrams."""

    def __init__(self, member: int, group: int) -> None:
        self._member = member
        self._group = group
        self._gathered: dict[tuple[Address, int, int], list[tuple[int, bytes]]] = {}
        """By address, session and flags: answers that say no are not mixed with others."""

    def add(self, asked: Header, reply: Reply, address: Address) -> bool:
        """Keep a reply for later. False if it must go alone: it is large, or its client may not know batches."""
        if not asked.flags & MORE or reply.large:
            return False
        flags = 0 if reply.outcome is Outcome.OK else REJECT
        self._gathered.setdefault((address, asked.log_term, flags), []).append((asked.index, reply.pack()))
        return True

    def take(self) -> Iterator[tuple[Header, bytes, Address]]:
        """The datagrams of all that is gathered."""
        if not self._gathered:
            return
        gathered, self._gathered = self._gathered, {}
        for (address, session, rejects), items in gathered.items():
            for index, more, payload in pack_batches(items):
                header = Header(
                    MessageType.CLIENT_REPLY,
                    source=self._member,
                    group=self._group,
                    index=index,
                    log_term=session,
                    flags=rejects | more,
                )
                yield header, payload, address
