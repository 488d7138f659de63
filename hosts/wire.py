"""The wire format: a 40-byte big-endian header in UDP, then a payload that switches never read.

    version:8=1 type:8 flags:8 source:8 | target:8 reserved:8 group:16
    term:64 | index:64 | log_term:64 | commit:64

The payload of a peer message begins with ``cluster:64 round:64``. An AppendEntries then carries its entries, each
``term:64 kind:8 length:32`` and the data; indexes follow from prev_log_index. A message that does not fit one
datagram is cut into fragments (flag FRAGMENT): each repeats the header and its payload begins with
``message_id:64 offset:32 total:32``. The receiver answers with FRAGMENT_STATUS, or CLIENT_FRAGMENT_STATUS to and from
clients: ``message_id:64 total:32 highest:32`` and the missing ranges, each ``start:32 end:32`` in bytes; between
members ``cluster:64 round:64`` come first. A reply that says out of which log it is ends with ``log_id:64``. With
MORE an AppendEntries carries no entries but the ReadIndexReplies that ride on it, ``index:64 count:8`` and for each
``member:8 number:64``; and an AppendEntriesReply ends with the ReadIndex that does, ``number:64 held:64 log:64``.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntFlag
from ipaddress import IPv4Address
from operator import itemgetter
from typing import TypeAlias

from hosts.raft.frozen import frozen_dataclass
from hosts.raft.message import MAX_TERM, Answers, Entry, EntryKind, Message, MessageType, Question

VERSION = 1
DEFAULT_PORT = 26410
HEADER_BYTES = 40
PEER_PREFIX_BYTES = 16
FRAGMENT_PREFIX_BYTES = 16
ENTRY_PREFIX_BYTES = 13
MAX_DATAGRAM = 1400
"""Bytes of header and payload in one datagram: with IPv4 and UDP it fits an MTU of 1,500."""

FIRST_CLIENT_TYPE = 16

LARGE = 64 << 10
"""What has more bytes is not copied without need: a value lives on as a view of its request, and an entry has an
AppendEntries to itself."""

_HEADER = struct.Struct(">BBBBBBHQQQQ")
_PEER_PREFIX = struct.Struct(">QQ")
_LOG_ID = struct.Struct(">Q")
_QUESTION = struct.Struct(">QQQ")
_ANSWERS = struct.Struct(">QB")
_ANSWERED = struct.Struct(">BQ")
_FRAGMENT_PREFIX = struct.Struct(">QII")
_ENTRY = struct.Struct(">QBI")
_STATUS = struct.Struct(">QII")
_RANGE = struct.Struct(">II")
_END = itemgetter(1)


class Flag(IntFlag):
    """The header's flags."""

    REJECT = 0x01
    LEASE = 0x01
    """REJECT's bit, which means something else in an AppendEntries and an InstallSnapshot."""
    FANOUT = 0x02
    GATHER = 0x04
    """An AppendEntries: its acknowledgement may be gathered. In that it stands, too."""
    NO_STEER = 0x08
    LAZY = 0x08
    """NO_STEER's bit, which means something else in an AppendEntries."""
    MORE = 0x10
    """Another chunk, another request, or what rides on an AppendEntries and its reply."""
    FRAGMENT = 0x20
    GATHERED = 0x40
    """An AppendEntriesReply in front of whose payload the leader's switch has put others'."""
    READ = 0x80
    """A client's request that only reads: switches may take it to any member."""


_OTHER_NAMES = {
    int(MessageType.APPEND_ENTRIES): {"REJECT": "LEASE", "NO_STEER": "LAZY"},
    int(MessageType.INSTALL_SNAPSHOT): {"REJECT": "LEASE"},
}
"""What bits are called in messages of some types."""


def flag_names(message_type: int, flags: int) -> tuple[str, ...]:
    """The names of flags as they are meant in messages of a type, in ascending order of their bits."""
    other = _OTHER_NAMES.get(message_type, {})
    return tuple(other.get(name, name) for name in (str(flag.name) for flag in Flag if flags & flag))


# Arithmetic with plain integers is several times as fast as with flags, and this is done for every datagram.
_REJECT, _FANOUT, _LAZY = int(Flag.REJECT), int(Flag.FANOUT), int(Flag.LAZY)
_LEASE, _MORE, _FRAGMENT, _READ = int(Flag.LEASE), int(Flag.MORE), int(Flag.FRAGMENT), int(Flag.READ)
_GATHER, _GATHERED = int(Flag.GATHER), int(Flag.GATHERED)


class WireError(ValueError):
    """A datagram that is not of this wire format; its text says why."""


@frozen_dataclass(frozen=True, slots=True)
class Header:
    """The 40 bytes that switches parse. See DEFAULT_PORT, Flag and MessageType for the codes."""

    type: int
    source: int = 0
    target: int = 0
    group: int = 0
    term: int = 0
    index: int = 0
    log_term: int = 0
    commit: int = 0
    flags: int = 0
    reserved: int = 0
    version: int = VERSION

    @property
    def is_fragment(self) -> bool:
        """Whether a fragment follows, and not a whole payload."""
        return self.flags & _FRAGMENT != 0

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Its flags by name, in ascending order of their bits."""
        return flag_names(self.type, self.flags)

    def pack(self, also: int = 0) -> bytes:
        """The header's 40 bytes, with the flags ``also`` beside its own. Raises WireError for a field that does not
        fit its width."""
        try:
            return _HEADER.pack(
                self.version,
                self.type,
                self.flags | also,
                self.source,
                self.target,
                self.reserved,
                self.group,
                self.term,
                self.index,
                self.log_term,
                self.commit,
            )
        except struct.error as error:
            raise WireError(f"cannot pack {self}: {error}") from error

    @classmethod
    def unpack(cls, datagram: bytes) -> Header:
        """Read a datagram's header. Raises WireError for a short one, another version, unknown types, flags on types
        that have none, a non-zero reserved field, and terms or indexes of 2^63 and above."""
        if len(datagram) < HEADER_BYTES:
            raise WireError(f"{len(datagram)} bytes are too short for a header of {HEADER_BYTES}")
        version, kind, flags, source, target, reserved, group, term, index, log_term, commit = _HEADER.unpack_from(
            datagram
        )
        if version != VERSION:
            raise WireError(f"version {version} is not {VERSION}")
        if kind not in _KNOWN_TYPES:
            raise WireError(f"unknown message type {kind}")
        if reserved:
            raise WireError(f"reserved byte {reserved:#x}")
        if flags & _FANOUT and kind != _APPEND_ENTRIES:
            raise WireError("FANOUT is for AppendEntries only")
        if flags & _READ and kind != _CLIENT_REQUEST:
            raise WireError("READ is for clients' requests only")
        if flags & _GATHERED and (
            kind != _APPEND_ENTRIES_REPLY or flags != _GATHER | _GATHERED or log_term or commit
        ):
            raise WireError("GATHERED is for acknowledgements with GATHER only")
        # The highest bit of any of them.
        if kind < FIRST_CLIENT_TYPE and term | index | log_term | commit > MAX_TERM:
            raise WireError("a term or index of 2^63 or above")
        return cls(kind, source, target, group, term, index, log_term, commit, flags, reserved, version)


_TYPES = {int(kind): kind for kind in MessageType}
_KNOWN_TYPES = frozenset(_TYPES)
_OF_LEADERS = frozenset({MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT})
_APPEND_ENTRIES, _CLIENT_REQUEST = int(MessageType.APPEND_ENTRIES), int(MessageType.CLIENT_REQUEST)
_APPEND_ENTRIES_REPLY = int(MessageType.APPEND_ENTRIES_REPLY)
_REPLIES = frozenset(
    {
        MessageType.PRE_VOTE_REPLY,
        MessageType.REQUEST_VOTE_REPLY,
        MessageType.APPEND_ENTRIES_REPLY,
        MessageType.INSTALL_SNAPSHOT_REPLY,
    }
)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment's place in its message: ``offset`` and ``total`` in bytes of the whole payload."""

    message_id: int
    offset: int
    total: int
    data: bytes = field(repr=False)


def pack_fragment(header: Header, fragment: Fragment) -> bytes:
    """One datagram of a message that was cut; ``header`` must carry FRAGMENT."""
    prefix = _FRAGMENT_PREFIX.pack(fragment.message_id, fragment.offset, fragment.total)
    return header.pack() + prefix + fragment.data


def unpack_fragment(payload: bytes) -> Fragment:
    """Read what follows the header of a datagram with FRAGMENT. Raises WireError if offsets do not fit."""
    if len(payload) <= FRAGMENT_PREFIX_BYTES:
        raise WireError("an empty fragment")
    message_id, offset, total = _FRAGMENT_PREFIX.unpack_from(payload)
    data = payload[FRAGMENT_PREFIX_BYTES:]
    if offset + len(data) > total:
        raise WireError(f"a fragment at {offset} of {len(data)} bytes overruns its message of {total}")
    return Fragment(message_id, offset, total, data)


MAX_RANGES = 100
"""Missing ranges that one status names: it must fit one datagram."""


@dataclass(frozen=True, slots=True)
class FragmentStatus:
    """What a receiver has of a message: all bytes below ``highest`` except ``missing``, rising disjoint ranges."""

    message_id: int
    total: int
    highest: int
    missing: tuple[tuple[int, int], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing more need be sent."""
        return self.highest >= self.total and not self.missing

    def covers(self, start: int, end: int) -> bool:
        """Whether the receiver has all of these bytes."""
        if end > self.highest:
            return False
        # Ranges rise and do not touch: only the first that ends behind ``start`` may reach into these bytes.
        at = bisect_right(self.missing, start, key=_END) if self.missing else 0
        return at == len(self.missing) or self.missing[at][0] >= end

    def pack(self, room: int | None = None) -> bytes:
        """The payload. Ranges that do not fit ``room`` bytes, or are more than MAX_RANGES, are left out, and
        ``highest`` is lowered to where the first of them begins."""
        most = MAX_RANGES if room is None else min(MAX_RANGES, max(0, room - _STATUS.size) // _RANGE.size)
        missing, highest = self.missing, self.highest
        if len(missing) > most:
            highest = missing[most][0]
            missing = missing[:most]
        ranges = b"".join(_RANGE.pack(start, end) for start, end in missing)
        return _STATUS.pack(self.message_id, self.total, highest) + ranges

    @classmethod
    def unpack(cls, payload: bytes) -> FragmentStatus:
        """The inverse of pack. Raises WireError for ranges that are not rising or leave the message."""
        if len(payload) < _STATUS.size or (len(payload) - _STATUS.size) % _RANGE.size:
            raise WireError("a fragment status cut short")
        message_id, total, highest = _STATUS.unpack_from(payload)
        missing = tuple(_RANGE.iter_unpack(payload[_STATUS.size :]))
        if highest > total or len(missing) > MAX_RANGES:
            raise WireError(f"a fragment status that reaches {highest} of {total} bytes")
        last = 0
        for start, end in missing:
            if not last <= start < end <= highest:
                raise WireError(f"a missing range {start}..{end} that does not fit")
            last = end
        return cls(message_id, total, highest, missing)


def split_append(message: Message, budget: int, large: int = LARGE) -> list[Message]:
    """Cut an AppendEntries so that its parts fit ``budget`` bytes of header and payload each, where entries allow.

    Each part is an AppendEntries of its own right, so a lost part costs only itself. An entry that does not fit is
    grouped with its neighbours up to about ``large`` bytes, for fragments.
    """
    room = budget - HEADER_BYTES - PEER_PREFIX_BYTES
    sizes = [ENTRY_PREFIX_BYTES + len(entry.data) for entry in message.entries]
    if sum(sizes) <= room:
        return [message]
    parts: list[Message] = []
    start, filled = 0, 0
    for at, size in enumerate(sizes):
        limit = room if max(sizes[start : at + 1]) <= room else large
        if at > start and filled + size > limit:
            parts.append(_part(message, start, at))
            start, filled = at, 0
        filled += size
    parts.append(_part(message, start, len(sizes)))
    return parts


def _part(message: Message, start: int, end: int) -> Message:
    if start == 0:
        return replace(message, entries=message.entries[:end])
    before = message.entries[start - 1]
    return replace(message, index=before.index, log_term=before.term, entries=message.entries[start:end])


class Rope:
    """Bytes in several parts, which are not copied into one. Read by slices, as fragments are cut."""

    __slots__ = ("_parts", "_size", "_starts")

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self._parts = [part for part in parts if part]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + len(part))
        self._size = self._starts.pop()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(self._size)
        if start >= stop:
            return b""
        at = bisect_right(self._starts, start) - 1
        from_here = start - self._starts[at]
        found = bytes(self._parts[at][from_here : from_here + stop - start])
        while len(found) < stop - start:
            at += 1
            found += bytes(self._parts[at][: stop - start - len(found)])
        return found


Payload: TypeAlias = bytes | Rope


def pack_large(message: Message, *, group: int, cluster: int, fanout: bool = False) -> tuple[Header, Rope]:
    """The same as ``pack_peer`` for an AppendEntries of one large entry, whose bytes are not copied."""
    header, front = pack_peer(replace(message, entries=()), group=group, cluster=cluster, fanout=fanout)
    (entry,) = message.entries
    return header, Rope((front + _ENTRY.pack(entry.term, entry.kind, len(entry.data)), entry.data))


def pack_peer(message: Message, *, group: int, cluster: int, fanout: bool = False) -> tuple[Header, bytes]:
    """A message between members as header and payload; the payload may be larger than a datagram. ``fanout``: the
    network is to copy it."""
    flags = (_REJECT if message.reject else 0) | (_MORE if message.more else 0) | (_LAZY if message.lazy else 0)
    flags |= (_GATHER if message.gather else 0) | (_LEASE if message.lease else 0)
    if message.question is not None or message.answers is not None:
        flags |= _MORE
    header = Header(
        message.type,
        message.source,
        message.target,
        group,
        message.term,
        message.index,
        message.log_term,
        message.commit,
        flags | _FANOUT if fanout else flags,
    )
    if not message.entries and not message.data and not message.log_id and not flags & _MORE:
        return header, _PEER_PREFIX.pack(cluster, message.round)
    parts = [_PEER_PREFIX.pack(cluster, message.round)]
    for entry in message.entries:
        parts.append(_ENTRY.pack(entry.term, entry.kind, len(entry.data)))
        parts.append(entry.data)
    parts.append(message.data)
    if message.answers is not None:
        parts.append(_ANSWERS.pack(message.answers.commit, len(message.answers.questions)))
        parts += [_ANSWERED.pack(*one) for one in message.answers.questions]
    if message.log_id:
        parts.append(_LOG_ID.pack(message.log_id))
    if message.question is not None:
        parts.append(_QUESTION.pack(*message.question))
    return header, b"".join(parts)


def unpack_start(datagram: bytes) -> tuple[Header, int, int]:
    """(header, cluster id, round) of a message between members of which this is the beginning, be it whole or not.
    Raises WireError."""
    header = Header.unpack(datagram)
    return header, *_unpack_prefix(datagram, HEADER_BYTES)


def _unpack_prefix(data: bytes | memoryview, at: int = 0) -> tuple[int, int]:
    if len(data) < at + PEER_PREFIX_BYTES:
        raise WireError("a peer message without cluster and round")
    cluster, round_number = _PEER_PREFIX.unpack_from(data, at)
    return cluster, round_number


def unpack_peer(header: Header, payload: bytes | memoryview, *, cluster: int) -> Message:
    """The inverse of pack_peer. Raises WireError for another cluster's message, and for malformed entries and what
    rides."""
    if header.type >= FIRST_CLIENT_TYPE:
        raise WireError(f"type {header.type} is no peer message")
    named, round_number = _unpack_prefix(payload)
    if named != cluster:
        raise WireError(f"a message of cluster {named}, not {cluster}")
    entries: tuple[Entry, ...] = ()
    data = b""
    log_id = 0
    lazy = copied = gather = lease = False
    question: Question | None = None
    answers: Answers | None = None
    kind, flags = _TYPES[header.type], header.flags
    reject, more = flags & _REJECT != 0, flags & _MORE != 0
    if kind in _OF_LEADERS:
        lease, reject = reject, False
    if kind is MessageType.APPEND_ENTRIES:
        lazy, copied, gather = flags & _LAZY != 0, flags & _FANOUT != 0, flags & _GATHER != 0
        if more:
            answers, more = _unpack_answers(payload), False
        elif len(payload) > PEER_PREFIX_BYTES:
            entries = _unpack_entries(header, payload)
    elif kind in _REPLIES:
        if more and kind is MessageType.APPEND_ENTRIES_REPLY:
            question, more = _unpack_question(payload), False
            payload = memoryview(payload)[: -_QUESTION.size]
        log_id = _unpack_log_id(payload)
        gather = kind is MessageType.APPEND_ENTRIES_REPLY and flags & _GATHER != 0
    else:
        data = bytes(memoryview(payload)[PEER_PREFIX_BYTES:])
    return Message(
        kind,
        header.source,
        header.target,
        header.term,
        header.index,
        header.log_term,
        header.commit,
        reject,
        more,
        round_number,
        entries,
        data,
        log_id,
        lazy,
        copied,
        lease=lease,
        gather=gather,
        question=question,
        answers=answers,
    )


def _unpack_question(payload: bytes | memoryview) -> Question:
    """The question at the end of a reply."""
    if len(payload) < PEER_PREFIX_BYTES + _QUESTION.size:
        raise WireError(f"a reply of {len(payload)} bytes that asks something")
    return Question(*_QUESTION.unpack_from(payload, len(payload) - _QUESTION.size))


def _unpack_answers(payload: bytes | memoryview) -> Answers:
    """What an AppendEntries carries in place of entries."""
    if len(payload) < PEER_PREFIX_BYTES + _ANSWERS.size:
        raise WireError("answers cut short")
    index, count = _ANSWERS.unpack_from(payload, PEER_PREFIX_BYTES)
    at = PEER_PREFIX_BYTES + _ANSWERS.size
    if len(payload) != at + count * _ANSWERED.size:
        raise WireError(f"{count} answers in {len(payload)} bytes")
    return Answers(index, tuple(_ANSWERED.iter_unpack(memoryview(payload)[at:])))


def _unpack_log_id(payload: bytes | memoryview) -> int:
    """What a reply says of its sender's log; 0 if it says nothing."""
    if len(payload) == PEER_PREFIX_BYTES:
        return 0
    if len(payload) != PEER_PREFIX_BYTES + _LOG_ID.size:
        raise WireError(f"a reply of {len(payload)} bytes")
    (log_id,) = _LOG_ID.unpack_from(payload, PEER_PREFIX_BYTES)
    return int(log_id)


def _unpack_entries(header: Header, payload: bytes | memoryview) -> tuple[Entry, ...]:
    entries = []
    view = memoryview(payload)
    at, index, last_term = PEER_PREFIX_BYTES, header.index, header.log_term
    while at < len(payload):
        if at + _ENTRY.size > len(payload):
            raise WireError("an entry cut short")
        term, kind, length = _ENTRY.unpack_from(payload, at)
        at += _ENTRY.size
        index += 1
        if at + length > len(payload):
            raise WireError("an entry longer than its message")
        if kind not in _KNOWN_KINDS or not last_term <= term <= header.term:
            raise WireError(f"entry {index} of kind {kind} and term {term} in a message of term {header.term}")
        entries.append(Entry(term, index, EntryKind(kind), bytes(view[at : at + length])))
        at += length
        last_term = term
    return tuple(entries)


_KNOWN_KINDS = frozenset(int(kind) for kind in EntryKind)


@dataclass(frozen=True, slots=True)
class ToldMember:
    """A member as a Configuration message tells the network of it. ``address`` is dotted, ``port`` UDP's."""

    id: int
    votes: bool
    address: str
    port: int


_TOLD_MEMBER = struct.Struct(">BB4sH")


def pack_members(members: Sequence[ToldMember]) -> bytes:
    """The data of a Configuration message: ``count:8``, then ``id:8 votes:8 address:32 port:16`` for each member."""
    parts = [bytes((len(members),))]
    for member in members:
        address = IPv4Address(member.address).packed
        parts.append(_TOLD_MEMBER.pack(member.id, member.votes, address, member.port))
    return b"".join(parts)


def unpack_members(data: bytes) -> tuple[ToldMember, ...]:
    """The inverse of ``pack_members``; what follows, such as a MAC, is not looked at. Raises WireError."""
    if not data or len(data) < 1 + data[0] * _TOLD_MEMBER.size:
        raise WireError("a list of members cut short")
    found = []
    for number in range(data[0]):
        one, votes, address, port = _TOLD_MEMBER.unpack_from(data, 1 + number * _TOLD_MEMBER.size)
        found.append(ToldMember(one, bool(votes), str(IPv4Address(address)), port))
    return tuple(found)
