"""What a leader's switch has gathered: acknowledgements of several members in one datagram.

    the carrier's header, GATHERED set | records of others | the carrier's payload and seal

A record is ``source:8 zero:8 index:64 round:64``, and where members have a key ``boot:64 counter:64 mac:128``: all in
which an acknowledgement to one leader in one term differs from another's. So each is here what its member has sent,
bit by bit, and is judged as if it had come by itself.
"""

from __future__ import annotations

from hosts.net.seal import SEAL_BYTES
from hosts.wire import HEADER_BYTES, PEER_PREFIX_BYTES, Flag, WireError

MOST_RECORDS = 7
"""A group has nine members: the leader, who carries, and so many more."""

_RECORD_BYTES = 18
_FLAGS_AT, _SOURCE_AT, _INDEX_AT, _INDEX_END = 2, 3, 16, 24
_GATHER = int(Flag.GATHER)
_NUMBER_BYTES = 8


def own_part(datagram: bytes) -> bytes:
    """The carrier's own acknowledgement as it was sent, for who does not know whether there are seals: no two lengths
    are the same with and without. Raises WireError."""
    for seal in (0, SEAL_BYTES):
        records = len(datagram) - HEADER_BYTES - PEER_PREFIX_BYTES - seal
        if records > 0 and records % (_RECORD_BYTES + seal) == 0:
            return _header(datagram) + datagram[HEADER_BYTES + records :]
    raise WireError(f"{len(datagram)} bytes are no acknowledgements that were gathered")


def _header(datagram: bytes) -> bytes:
    return datagram[:_FLAGS_AT] + bytes((_GATHER,)) + datagram[_FLAGS_AT + 1 : HEADER_BYTES]


def split(datagram: bytes, cluster: int, *, sealed: bool) -> list[bytes]:
    """The carrier's own acknowledgement, and then those in front of its payload. ``cluster``: the number that stands
    at the beginning of payloads here; records leave it out. Raises WireError."""
    seal = SEAL_BYTES if sealed else 0
    size, own = _RECORD_BYTES + seal, PEER_PREFIX_BYTES + seal
    records = len(datagram) - HEADER_BYTES - own
    if records % size or not 1 <= records // size <= MOST_RECORDS:
        raise WireError(f"{len(datagram)} bytes are no acknowledgements that were gathered")
    header = _header(datagram)
    found = [header + datagram[-own:]]
    number = cluster.to_bytes(_NUMBER_BYTES, "big")
    for at in range(HEADER_BYTES, HEADER_BYTES + records, size):
        record = datagram[at : at + size]
        if record[1]:
            raise WireError("a record whose second byte is not zero")
        index, rest = record[2 : 2 + _NUMBER_BYTES], record[2 + _NUMBER_BYTES :]
        found.append(
            header[:_SOURCE_AT]
            + record[:1]
            + header[_SOURCE_AT + 1 : _INDEX_AT]
            + index
            + header[_INDEX_END:]
            + number
            + rest
        )
    return found
