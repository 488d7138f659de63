"""What switches make of acknowledgements: what they keep, and whether they carry it as it was sent."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hosts.net.gathered import MOST_RECORDS
from hosts.net.seal import SEAL_BYTES
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, PEER_PREFIX_BYTES, Flag
from sim.frames import PAYLOAD_AT

_TYPE_AT, _FLAGS_AT, _SOURCE_AT, _INDEX_AT, _INDEX_END = 1, 2, 3, 16, 24
_GATHER, _GATHERED = int(Flag.GATHER), int(Flag.GATHERED)
_ACKS = (HEADER_BYTES + PEER_PREFIX_BYTES, HEADER_BYTES + PEER_PREFIX_BYTES + SEAL_BYTES)
_CLUSTER_END = HEADER_BYTES + 8


def may_be_gathered(datagram: bytes) -> bool:
    """Whether a member says no more than how far it is, and a switch may keep that."""
    return (
        len(datagram) in _ACKS
        and datagram[_TYPE_AT] == MessageType.APPEND_ENTRIES_REPLY
        and datagram[_FLAGS_AT] == _GATHER
    )


def is_gathered(datagram: bytes) -> bool:
    """Whether a datagram claims to carry others' acknowledgements."""
    peer = len(datagram) > _SOURCE_AT and datagram[_TYPE_AT] == MessageType.APPEND_ENTRIES_REPLY
    return peer and datagram[_FLAGS_AT] & _GATHERED != 0


class _Said(NamedTuple):
    """An acknowledgement: what all have in common that may go in one packet, and its record."""

    common: bytes
    record: bytes


def _said(datagram: bytes) -> _Said:
    common = datagram[4:_INDEX_AT] + datagram[_INDEX_END:_CLUSTER_END] + bytes((len(datagram),))
    record = datagram[_SOURCE_AT : _SOURCE_AT + 1] + bytes(1) + datagram[_INDEX_AT:_INDEX_END]
    return _Said(common, record + datagram[_CLUSTER_END:])


class Kept:
    """What one switch may still carry: it has come in, and has not gone out."""

    def __init__(self) -> None:
        self._kept: Counter[_Said] = Counter()

    def came_and_stayed(self, frame: bytes) -> None:
        """Nothing has left for a frame. If that is an acknowledgement it may be carried once."""
        datagram = frame[PAYLOAD_AT:]
        if may_be_gathered(datagram):
            self._kept[_said(datagram)] += 1

    def fault(self, entered: bytes, left: bytes) -> str:
        """What is wrong with a frame that has left with GATHERED; "" if nothing is."""
        own, whole = entered[PAYLOAD_AT:], left[PAYLOAD_AT:]
        if not may_be_gathered(own):
            return "gathered for what must pass as it is"
        tail = own[HEADER_BYTES:]
        header = own[:_FLAGS_AT] + bytes((_GATHER | _GATHERED,)) + own[_SOURCE_AT:HEADER_BYTES]
        if whole[:HEADER_BYTES] != header or whole[len(whole) - len(tail) :] != tail:
            return "changed who carries"
        said = _said(own)
        size, records = len(said.record), whole[HEADER_BYTES : len(whole) - len(tail)]
        if len(records) % size or not size <= len(records) <= MOST_RECORDS * size:
            return "carries no whole records"
        for at in range(0, len(records), size):
            carried = _Said(said.common, records[at : at + size])
            if carried.record[0] == said.record[0]:
                return "carries its sender's own"
            if not self._kept[carried]:
                return "carries what it has not kept"
            self._kept[carried] -= 1
        return ""
