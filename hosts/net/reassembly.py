"""The receiving end of ``hosts.net.fragments``: messages put together again, bounded in memory and time.

Nothing that a hostile sender puts into a fragment costs more than the bytes that it sends: memory is charged per
fragment that has come, with its bookkeeping, and never for a length that was only announced.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from hosts.wire import LARGE, Fragment, FragmentStatus

STATUS_EVERY = 4
"""Fragments of one message after which its receiver says what it has, if nothing else makes it say so."""

EXPIRY_S = 5.0
"""A message that has not grown for so long is forgotten."""

REMEMBERED = 4096
"""Completed messages whose late duplicates are answered "complete" instead of being gathered anew."""

MAX_GAPS = 256
FRAGMENT_OVERHEAD_BYTES = 200
"""What one held fragment costs beside its data, about."""


@dataclass(slots=True)
class _Incoming:
    total: int
    front: bytearray = field(default_factory=bytearray)
    """The payload's beginning, as far as it has come without a gap: it grows with each fragment, so that the last one
    costs no more than any other."""
    chunks: dict[int, bytes] = field(default_factory=dict)
    """What has come behind a gap, by its offset."""
    starts: list[int] = field(default_factory=list)
    """Ranges of bytes that have come, rising and not touching: ``starts[i]`` to ``ends[i]``."""
    ends: list[int] = field(default_factory=list)
    charge: int = 0
    grown_at: float = 0.0
    since_status: int = 0

    def room_for(self, start: int, end: int) -> bool:
        """Whether none of these bytes has come yet and another gap can be remembered."""
        at = bisect_right(self.starts, start)
        if at > 0 and self.ends[at - 1] > start:
            return False
        return not (at < len(self.starts) and self.starts[at] < end) and len(self.starts) < MAX_GAPS

    def insert(self, start: int, data: bytes) -> None:
        self._cover(start, start + len(data))
        if start != len(self.front):
            self.chunks[start] = data
            return
        self.front += data
        while self.chunks and len(self.front) in self.chunks:
            self.front += self.chunks.pop(len(self.front))

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

    @property
    def has_gaps(self) -> bool:
        return len(self.starts) != 1 or self.starts[0] != 0

    @property
    def complete(self) -> bool:
        return not self.has_gaps and self.ends[0] == self.total

    def status(self, message_id: int) -> FragmentStatus:
        missing = [(end, start) for end, start in zip(self.ends, self.starts[1:])]  # noqa: B905  one shorter
        if self.starts and self.starts[0] > 0:
            missing.insert(0, (0, self.starts[0]))
        return FragmentStatus(message_id, self.total, self.ends[-1] if self.ends else 0, tuple(missing))


@dataclass(frozen=True, slots=True)
class Received:
    """What a fragment led to: the whole payload, if it was the last one, and what to tell the sender, if anything."""

    payload: bytes | memoryview | None = None
    """A large one is not copied; it changes no more."""
    status: FragmentStatus | None = None


class Inbox:
    """Messages that are coming in, from all sources. ``drops`` counts the fragments refused, by reason."""

    def __init__(self, limit_bytes: int, source_limit_bytes: int, max_message_bytes: int) -> None:
        self._limit = limit_bytes
        self._source_limit = source_limit_bytes
        self._max_message = max_message_bytes
        self._messages: OrderedDict[tuple[Hashable, bytes, int], _Incoming] = OrderedDict()
        self._done: OrderedDict[tuple[Hashable, bytes, int], int] = OrderedDict()
        self._held = 0
        self._held_by: Counter[Hashable] = Counter()
        self.drops: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def held_bytes(self) -> int:
        """Memory charged for incomplete messages; at most ``limit_bytes``."""
        return self._held

    def receive(self, source: Hashable, head: bytes, fragment: Fragment, now: float) -> Received:
        """Take in a fragment from ``source``. ``head``, the header's bytes, must be the same in all of a message."""
        key = (source, head, fragment.message_id)
        if key in self._done:
            total = self._done[key]
            return Received(status=FragmentStatus(fragment.message_id, total, total))
        if fragment.total > self._max_message:
            self.drops["message_too_large"] += 1
            return Received()
        message = self._messages.get(key)
        if message is None:
            message = _Incoming(fragment.total, grown_at=now)
        if fragment.total != message.total:
            self.drops["fragment_conflict"] += 1
            return Received()
        if not message.room_for(fragment.offset, fragment.offset + len(fragment.data)):
            # A duplicate, most likely because the status was lost: say again what has come.
            self.drops["fragment_duplicate"] += 1
            return Received(status=message.status(fragment.message_id) if message.starts else None)
        if not self._charge(key, message, fragment, now):
            self.drops["reassembly_full"] += 1
            return Received()
        message.insert(fragment.offset, fragment.data)
        message.grown_at = now
        message.since_status += 1
        self._messages[key] = message
        self._messages.move_to_end(key)
        if message.complete:
            return self._finish(key, message)
        if message.has_gaps or message.since_status >= STATUS_EVERY:
            message.since_status = 0
            return Received(status=message.status(fragment.message_id))
        return Received()

    def expire(self, now: float) -> None:
        """Forget messages that have not grown for EXPIRY_S."""
        while self._messages:
            key, message = next(iter(self._messages.items()))
            if now - message.grown_at <= EXPIRY_S:
                return
            self.drops["reassembly_expired"] += 1
            self._release(key, message)

    def _charge(self, key: tuple[Hashable, bytes, int], message: _Incoming, fragment: Fragment, now: float) -> bool:
        cost = len(fragment.data) + FRAGMENT_OVERHEAD_BYTES
        if self._held + cost > self._limit or self._held_by[key[0]] + cost > self._source_limit:
            self.expire(now)
            if self._held + cost > self._limit or self._held_by[key[0]] + cost > self._source_limit:
                return False
        message.charge += cost
        self._held += cost
        self._held_by[key[0]] += cost
        return True

    def _finish(self, key: tuple[Hashable, bytes, int], message: _Incoming) -> Received:
        payload = bytes(message.front) if len(message.front) <= LARGE else memoryview(message.front)
        self._release(key, message)
        self._done[key] = message.total
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        return Received(payload, FragmentStatus(key[2], message.total, message.total))

    def _release(self, key: tuple[Hashable, bytes, int], message: _Incoming) -> None:
        del self._messages[key]
        self._held -= message.charge
        self._held_by[key[0]] -= message.charge
        if not self._held_by[key[0]]:
            del self._held_by[key[0]]
