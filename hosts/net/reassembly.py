"""The receiving end of ``hosts.net.fragments``: messages put together again, bounded in memory and time.

Nothing that a hostile sender puts into a fragment costs more than the bytes that it sends: memory is charged per
fragment that has come, with its bookkeeping, and never for a length that was only announced. What has come is told to
the sender once for many fragments: whoever empties a socket takes the statuses afterwards.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple, TypeAlias

from hosts.raft.message import MessageType
from hosts.wire import FRAGMENT_PREFIX_BYTES, HEADER_BYTES, LARGE, Flag, FragmentStatus, WireError

STATUS_EVERY = 2
"""Fragments of one message after which its sender is told at the next occasion; for fewer it waits a while."""

EXPIRY_S = 5.0
"""A message that has not grown for so long is forgotten."""

CROWDED_S = 0.5
"""From members, a message that has not grown for so long is forgotten where another one needs its room. Of copies
that are meant for others its sender repeats nothing: what one of them lacks never comes."""

REMEMBERED = 4096
"""Completed messages whose late duplicates are answered "complete" instead of being gathered anew."""

MAX_GAPS = 256
FRAGMENT_OVERHEAD_BYTES = 200
"""What one held fragment costs beside its data, about."""

HEAD_BYTES = HEADER_BYTES + 8
"""Header and message id: the same in all fragments of a message, and in no other's."""

DATA_AT = HEADER_BYTES + FRAGMENT_PREFIX_BYTES

_APPEND_ENTRIES, _FANOUT = int(MessageType.APPEND_ENTRIES), int(Flag.FANOUT)
_MESSAGE_ID = struct.Struct(">Q")
_PLACE = struct.Struct(">II")
_FRONT = struct.Struct(f">{HEAD_BYTES}sII")


Datagram: TypeAlias = "bytes | memoryview"


class Key(NamedTuple):
    """Which message a fragment belongs to: where it is from, and the first HEAD_BYTES of its datagram, without
    FANOUT."""

    source: Hashable
    head: bytes


def key_of(source: Hashable, head: bytes) -> Key:
    """The key of a fragment from ``source`` that begins with ``head``. Of one message some fragments come as copies
    of what went to everybody, and others to this receiver alone; its id is the target of all that it takes."""
    if head[2] & _FANOUT and head[1] == _APPEND_ENTRIES:
        head = b"".join((head[:2], bytes((head[2] & ~_FANOUT,)), head[3:]))
    return Key(source, head)


@dataclass(slots=True)
class _Incoming:
    total: int
    grown_at: float
    front: bytearray = field(default_factory=bytearray)
    """The payload's beginning, as far as it has come without a gap: it grows with each fragment, so that the last one
    costs no more than any other."""
    chunks: dict[int, bytes] = field(default_factory=dict)
    """What has come behind a gap, by its offset."""
    starts: list[int] = field(default_factory=list)
    """Ranges of bytes behind the first gap, rising and not touching: ``starts[i]`` to ``ends[i]``."""
    ends: list[int] = field(default_factory=list)
    charge: int = 0

    def lacks(self, start: int, end: int) -> tuple[int, int]:
        """The first bytes of a range that have not come yet and can be taken in; an empty range if there are none.
        Ranges overlap where datagrams of two sizes were cut from one message."""
        front = len(self.front)
        if start < front:
            start = front
        if not self.starts:
            return start, end
        at = bisect_right(self.starts, start)
        if at > 0:
            start = max(start, self.ends[at - 1])
        if at < len(self.starts):
            end = min(end, self.starts[at])
        joins = start == front or (at > 0 and self.ends[at - 1] == start)
        if not joins and len(self.starts) >= MAX_GAPS and not (at < len(self.starts) and self.starts[at] == end):
            return start, start
        return start, end

    def insert(self, start: int, data: bytes | memoryview) -> None:
        """Take in bytes that there is room for."""
        front = self.front
        if start != len(front):
            self.chunks[start] = bytes(data)
            self._cover(start, start + len(data))
            return
        front += data
        if self.chunks:
            while len(front) in self.chunks:
                front += self.chunks.pop(len(front))
            while self.ends and self.ends[0] <= len(front):
                del self.starts[0], self.ends[0]

    def _cover(self, start: int, end: int) -> None:
        at = bisect_left(self.starts, start)
        joins_left = at > 0 and self.ends[at - 1] == start
        joins_right = at < len(self.starts) and self.starts[at] == end
        if joins_left and joins_right:
            self.ends[at - 1] = self.ends[at]
            del self.starts[at], self.ends[at]
        elif joins_left:
            self.ends[at - 1] = end
        elif joins_right:
            self.starts[at] = start
        else:
            self.starts.insert(at, start)
            self.ends.insert(at, end)

    def status(self, message_id: int) -> FragmentStatus:
        """What has come."""
        if not self.starts:
            return FragmentStatus(message_id, self.total, len(self.front))
        missing = tuple(zip((len(self.front), *self.ends), self.starts))  # noqa: B905  the last end is followed by none
        return FragmentStatus(message_id, self.total, self.ends[-1], missing)


@dataclass(slots=True)
class _Owed:
    """What has happened to a message since its sender was told of it."""

    fragments: int = 0
    size: int = 0
    urgent: bool = False
    """Something is missing, or came twice, or nothing is missing any more."""


class Told(NamedTuple):
    """What a message's sender is to be told; ``size``: the bytes of datagrams that have come since the last time."""

    source: Hashable
    header: bytes
    status: FragmentStatus
    size: int


class Taken(NamedTuple):
    """What was made of datagrams that were expected: how many were taken in."""

    datagrams: int
    size: int
    """Bytes of these datagrams."""
    whole: bytes | memoryview | None
    """The message's payload, if it is complete now."""


class Inbox:
    """Messages that are coming in, from all sources. ``drops`` counts the fragments refused, by reason."""

    def __init__(
        self, limit_bytes: int, source_limit_bytes: int, max_message_bytes: int, crowded_s: float = EXPIRY_S
    ) -> None:
        """``crowded_s``: where there is no room, what has not grown for so many seconds is forgotten."""
        self._crowded_s = crowded_s
        self._limit = limit_bytes
        self._source_limit = source_limit_bytes
        self._max_message = max_message_bytes
        self._messages: OrderedDict[Key, _Incoming] = OrderedDict()
        self._done: OrderedDict[Key, int] = OrderedDict()
        self._owed: dict[Key, _Owed] = {}
        self._held = 0
        self._held_by: Counter[Hashable] = Counter()
        self.drops: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, key: Key) -> bool:
        """Whether fragments of this message have come, and others are still missing."""
        return key in self._messages

    def lacks_only_the_end_of(self, key: Key) -> bool:
        """Whether fragments of this message have come, and none behind one that has not."""
        message = self._messages.get(key)
        return message is not None and not message.starts

    @property
    def held_bytes(self) -> int:
        """Memory charged for incomplete messages; at most ``limit_bytes``."""
        return self._held

    @property
    def owes(self) -> bool:
        """Whether some sender is still to be told what has come."""
        return bool(self._owed)

    def receive(self, key: Key, datagram: Datagram, now: float) -> bytes | memoryview | None:
        """Take in a datagram that is a fragment; the whole payload, if it was the last one. A large one is not
        copied, and changes no more. Raises WireError if offsets do not fit."""
        size = len(datagram) - DATA_AT
        if size <= 0:
            raise WireError("an empty fragment")
        start, total = _PLACE.unpack_from(datagram, HEAD_BYTES)
        end = start + size
        if end > total:
            raise WireError(f"a fragment at {start} of {size} bytes overruns its message of {total}")
        message = self._messages.get(key)
        if message is None:
            if key in self._done:
                self._owe(key, len(datagram)).urgent = True
                return None
            if total > self._max_message:
                self.drops["message_too_large"] += 1
                return None
            message = _Incoming(total, now)
        elif total != message.total:
            self.drops["fragment_conflict"] += 1
            return None
        first, last = message.lacks(start, end)
        if first >= last:
            # A duplicate, most likely because the status was lost: say again what has come.
            self.drops["fragment_duplicate"] += 1
            self._owe(key, len(datagram)).urgent = True
            return None
        if not self._charge(key, message, last - first + FRAGMENT_OVERHEAD_BYTES, now):
            self.drops["reassembly_full"] += 1
            return None
        message.insert(first, datagram[DATA_AT + first - start : DATA_AT + last - start])
        return self._grown(key, message, 1, len(datagram), now)

    def receive_next(self, key: Key, head: bytes, arrived: Iterable[tuple[Datagram, Hashable]], now: float) -> Taken:
        """Take in datagrams, with their sources, as long as each is of this message, which lacks only its end, and
        brings the bytes that come next, as most do. What comes out of order, or is of no use, is for ``receive``.
        ``head``: what they begin with; it may have FANOUT."""
        source = key.source
        message = self._messages[key]
        front, total = message.front, message.total
        before = at = len(front)
        room = self._room(source)
        unpack, count = _FRONT.unpack_from, 0
        for datagram, address in arrived:
            size = len(datagram) - DATA_AT
            if size <= 0 or (address is not source and address != source):
                break
            begins, start, announced = unpack(datagram)
            end = at + size
            room -= size + FRAGMENT_OVERHEAD_BYTES
            if begins != head or start != at or announced != total or end > total or room < 0:
                break
            front += datagram[DATA_AT:]
            at = end
            count += 1
        if not count:
            return Taken(0, 0, None)
        self._charge(key, message, at - before + count * FRAGMENT_OVERHEAD_BYTES, now)
        size = at - before + count * DATA_AT
        return Taken(count, size, self._grown(key, message, count, size, now))

    def expire(self, now: float, after_s: float = EXPIRY_S, but: Key | None = None) -> None:
        """Forget messages that have not grown for ``after_s`` seconds, ``but`` not that one."""
        stale = takewhile(lambda item: now - item[1].grown_at > after_s, self._messages.items())
        for key, message in tuple(stale):
            if key != but:
                self.drops["reassembly_expired"] += 1
                self._owed.pop(key, None)
                self._release(key, message)

    def take_statuses(self, *, waited: bool = False) -> Iterator[Told]:
        """What senders are to be told now. ``waited``: also those that nothing urgent is told."""
        if not self._owed:
            return
        owed, self._owed = self._owed, {}
        # Who hears that all of a message has come may send more by that: of its others it hears the next time.
        answered = {key.source for key in owed if key in self._done} if len(owed) > 1 else ()
        for key, one in owed.items():
            enough = one.fragments >= STATUS_EVERY and key.source not in answered
            if not (waited or one.urgent or enough):
                self._owed[key] = one
                continue
            (message_id,) = _MESSAGE_ID.unpack_from(key.head, HEADER_BYTES)
            message = self._messages.get(key)
            if message is not None:
                status = message.status(message_id)
            elif key in self._done:
                status = FragmentStatus(message_id, self._done[key], self._done[key])
            else:
                continue
            yield Told(key.source, key.head[:HEADER_BYTES], status, one.size)

    def _grown(self, key: Key, message: _Incoming, count: int, size: int, now: float) -> bytes | memoryview | None:
        """So many fragments, of ``size`` bytes of datagrams, have been taken in."""
        message.grown_at = now
        self._messages[key] = message
        self._messages.move_to_end(key)
        owed = self._owe(key, size)
        owed.fragments += count
        if message.starts:
            owed.urgent = True
        elif len(message.front) == message.total:
            owed.urgent = True
            return self._finish(key, message)
        return None

    def _owe(self, key: Key, size: int) -> _Owed:
        owed = self._owed.get(key)
        if owed is None:
            owed = self._owed[key] = _Owed()
        owed.size += size
        return owed

    def _room(self, source: Hashable) -> int:
        """How many bytes more a source may have kept."""
        return min(self._limit - self._held, self._source_limit - self._held_by[source])

    def _charge(self, key: Key, message: _Incoming, cost: int, now: float) -> bool:
        if cost > self._room(key.source):
            # That its fragments find no room keeps no message: several that wait for each other's would all stay.
            self.expire(now, self._crowded_s, but=key)
            if cost > self._room(key.source):
                return False
        message.charge += cost
        self._held += cost
        self._held_by[key.source] += cost
        return True

    def _finish(self, key: Key, message: _Incoming) -> bytes | memoryview:
        payload = bytes(message.front) if message.total <= LARGE else memoryview(message.front)
        self._release(key, message)
        self._done[key] = message.total
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        return payload

    def _release(self, key: Key, message: _Incoming) -> None:
        del self._messages[key]
        self._held -= message.charge
        self._held_by[key.source] -= message.charge
        if not self._held_by[key.source]:
            del self._held_by[key.source]
