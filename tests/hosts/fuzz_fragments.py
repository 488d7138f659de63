"""Hostile fragments, probes and ranges against both ends of large messages, for ``tests.hosts.fuzz``.

One outbox sends messages to one inbox over a network in memory that loses, doubles and reorders. Half of them go to
everybody: another receiver's outbox has them, too, and hears hostile statuses only. Between what is sent come
fragments of these messages and of others, changed in any field, cut short or made up, and statuses with any ranges.
Nothing raises but WireError. The inbox never holds more than it may, and names no more gaps; an outbox never has more
on its way than its window and what a start over may add, and counts it right. With the key whatever was
changed is refused as a member refuses it, and every message that arrives is the one that was sent.
"""

from __future__ import annotations

import random
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from hosts.net.congestion import MAX_BYTES
from hosts.net.fanout import FanOut
from hosts.net.fragments import OVERHEAD_BYTES, Outbox
from hosts.net.path import BASE, PathSize
from hosts.net.reassembly import HEAD_BYTES, MAX_GAPS, Inbox, key_of
from hosts.net.seal import SEAL_BYTES, Seal
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import (
    HEADER_BYTES,
    MAX_RANGES,
    Flag,
    Fragment,
    FragmentStatus,
    Header,
    WireError,
    pack_fragment,
)

KEY = bytes(range(32))
LIMIT_BYTES, SOURCE_BYTES, MESSAGE_BYTES = 4 << 20, 1 << 20, 1 << 20
SIZES = (BASE, 5_000, 60_000, 600_000)
PATH_BYTES = 9_000
NUMBERS = (0, 1, 2, 1344, 1400, 2**16, 2**20, 2**31, 2**32 - 1)
RECORDED = 300
Arrive: TypeAlias = Callable[[bytes], None]
_PLACE = struct.Struct(">II")
_MESSAGE_ID = struct.Struct(">Q")


class Ends:
    """The outbox, the inbox, and what is between them."""

    def __init__(self, chance: random.Random, key: bytes | None) -> None:
        self.chance = chance
        self.now = 1000.0
        self.outbox = Outbox(chance.getrandbits(64), PathSize(PATH_BYTES))
        self.other = Outbox(chance.getrandbits(64), PathSize(PATH_BYTES))
        self.fan_out = FanOut(chance.getrandbits(64))
        self.inbox = Inbox(LIMIT_BYTES, SOURCE_BYTES, MESSAGE_BYTES)
        self.seals = (Seal(key, 1, 1), Seal(key, 1, 1)) if key is not None else None
        self.flying: deque[bytes] = deque()
        self.back: deque[bytes] = deque()
        self.recorded: deque[bytes] = deque(maxlen=RECORDED)
        self.told: deque[bytes] = deque(maxlen=RECORDED)
        self.sent: dict[bytes, bytes] = {}
        self.counts: Counter[str] = Counter()

    # -- what members do ----------------------------------------------------------------------------------------

    def turn(self) -> None:
        """A little of an ordinary life."""
        chance = self.chance
        self.now += chance.choice((0.0001, 0.001, 0.01))
        if len(self.outbox) < 4:
            header = Header(
                MessageType.APPEND_ENTRIES, group=1, source=1, target=2, term=3, index=self.counts["sent"]
            )
            self.counts["sent"] += 1
            payload = chance.randbytes(chance.choice(SIZES))
            if chance.random() < 0.5:
                self.outbox.add(header, payload, self.now)
            else:
                everybody = replace(header, target=EVERYBODY, flags=int(Flag.FANOUT))
                self.fan_out.add(everybody, payload, {2: self.outbox, 3: self.other}, 1, self.now)
            self.sent[header.pack()] = payload
            while len(self.sent) > 64:
                del self.sent[next(iter(self.sent))]
        self._poll()
        for _ in range(chance.randrange(40)):
            if self.flying:
                self._carry(self.flying, self.arrive)
        for told in self.inbox.take_statuses(waited=chance.random() < 0.5):
            datagram = told.header + told.status.pack()
            self.back.append(self.seals[1].close_up(datagram) if self.seals else datagram)
            self.told.append(self.back[-1])
            assert len(told.status.missing) <= MAX_GAPS
        while self.back:
            self._carry(self.back, self.answer)
        if chance.random() < 0.01:
            self.now += chance.choice((0.3, 6.0))
            self.inbox.expire(self.now)

    def _poll(self) -> None:
        outboxes = (self.outbox, self.other)
        before = [outbox.in_flight_bytes for outbox in outboxes]
        self.other.poll(self.now)
        for datagram in (*self.outbox.poll(self.now), *self.fan_out.poll(self.now)):
            sealed = self.seals[0].close_up(datagram) if self.seals else datagram
            # The network copies what goes to everybody.
            self.flying.append(sealed[:4] + b"\2" + sealed[5:] if sealed[4] == EVERYBODY else sealed)
            self.recorded.append(self.flying[-1])
        for outbox, had in zip(outboxes, before, strict=True):
            on_its_way = sum(
                run.end - run.offset + OVERHEAD_BYTES * -(-(run.end - run.offset) // run.step)
                for message in outbox._messages.values()
                for run in message.flying
            )
            assert on_its_way == outbox.in_flight_bytes, "what is on its way is counted wrong"
            assert outbox.in_flight_bytes <= max(had, MAX_BYTES + PATH_BYTES), "more than any window is on its way"
        assert len(self.fan_out) <= len(self.outbox) + len(self.other) + 1

    def _carry(self, queue: deque[bytes], arrive: Arrive) -> None:
        chance = self.chance
        if chance.random() < 0.1:
            queue.rotate(chance.randrange(1, 5))
        datagram = queue.popleft()
        if chance.random() < 0.03:
            return
        for _ in range(2 if chance.random() < 0.03 else 1):
            arrive(datagram)

    # -- what comes ---------------------------------------------------------------------------------------------

    def arrive(self, datagram: bytes) -> None:
        """A datagram at the receiver, from whomever."""
        body = self._open(datagram, 1, of=1)
        if body is None:
            return
        if len(body) < HEADER_BYTES or not body[2] & Flag.FRAGMENT:
            return
        key = key_of("sender", body[:HEAD_BYTES])
        try:
            whole = self.inbox.receive(key, body, self.now)
        except (WireError, struct.error) as error:
            # A datagram too short for a fragment is refused before, in a member.
            assert isinstance(error, WireError) or len(body) < HEADER_BYTES + 16
            self.counts["malformed"] += 1
            return
        assert self.inbox.held_bytes <= LIMIT_BYTES
        if whole is None:
            return
        self.counts["whole"] += 1
        if self.seals is not None and body[1] == MessageType.APPEND_ENTRIES:
            header = bytes((*body[:2], body[2] & ~(Flag.FRAGMENT | Flag.FANOUT), *body[3:HEADER_BYTES]))
            assert self.sent.get(header, whole) == whole, "a message arrived that nobody has sent"

    def answer(self, datagram: bytes) -> None:
        """A datagram at the sender, from whomever."""
        body = self._open(datagram, 0, of=2)
        if body is None:
            return
        try:
            status = FragmentStatus.unpack(body[HEADER_BYTES:])
        except WireError:
            self.counts["malformed"] += 1
            return
        assert len(status.missing) <= MAX_RANGES
        if self.outbox.on_status(status, self.chance.choice(("one", "one", "one", "other")), self.now):
            self.counts["completed"] += 1
        self.other.on_status(status, "other", self.now)
        if self.chance.random() < 0.2:
            self._poll()

    def _open(self, datagram: bytes, end: int, of: int) -> bytes | None:
        if self.seals is None:
            return datagram
        seal = self.seals[end]
        if len(datagram) < HEADER_BYTES + SEAL_BYTES or not seal.is_right(datagram):
            self.counts["bad_mac"] += 1
            return None
        if not seal.is_new(of, datagram):
            self.counts["replayed"] += 1
            return None
        return datagram[:-SEAL_BYTES]

    # -- what hostile ones do -----------------------------------------------------------------------------------

    def hostile_fragment(self) -> bytes:
        """A fragment as nobody should send it."""
        chance, recorded = self.chance, self.recorded
        data = bytearray(chance.choice(recorded))
        kind = chance.randrange(8)
        if kind == 7:
            # Without a key, whoever says that a copy came alone, or the reverse, speaks of the same message.
            data[2] ^= Flag.FANOUT
        elif kind == 0:
            _PLACE.pack_into(data, HEAD_BYTES, self._number(), self._number())
        elif kind == 1:
            _, total = _PLACE.unpack_from(data, HEAD_BYTES)
            _PLACE.pack_into(data, HEAD_BYTES, chance.randrange(total + 1), total)
        elif kind == 2:
            del data[chance.randrange(len(data)) :]
        elif kind == 3:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind == 4:
            _MESSAGE_ID.pack_into(data, HEADER_BYTES, chance.getrandbits(64))
        elif kind == 5:
            flags = Flag.FRAGMENT | chance.choice((0, int(Flag.FANOUT)))
            header = Header(MessageType.APPEND_ENTRIES, flags=flags, group=1, source=1, target=2)
            size = chance.randrange(60)
            made = Fragment(chance.getrandbits(3), self._number(), self._number(), chance.randbytes(size))
            return pack_fragment(header, made)
        return bytes(data)

    def hostile_status(self) -> bytes:
        """A status as nobody should send it, mostly of a message that is under way."""
        chance = self.chance
        if self.told and chance.random() < 0.3:
            data = bytearray(chance.choice(self.told))
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return bytes(data)
        sent = chance.choice(self.recorded)
        (message_id,), (_, announced) = (
            _MESSAGE_ID.unpack_from(sent, HEADER_BYTES),
            _PLACE.unpack_from(sent, HEAD_BYTES),
        )
        total = announced if chance.random() < 0.8 else self._number()
        points = sorted(chance.randrange(total + 1) for _ in range(2 * chance.choice((0, 1, 2, 40))))
        ranges = list(zip(points[::2], points[1::2], strict=True))
        highest = total if chance.random() < 0.5 else chance.randrange(total + 1)
        if chance.random() < 0.8:
            ranges = [(start, end) for start, end in ranges if start < end <= highest]
        status = FragmentStatus(message_id, total, highest, tuple(ranges))
        return sent[:HEADER_BYTES] + status.pack()

    def _number(self) -> int:
        return self.chance.choice(NUMBERS) if self.chance.random() < 0.7 else self.chance.getrandbits(20)


def run(count: int, seed: int, key: bytes | None) -> Counter[str]:
    """So many hostile datagrams. What has become of all, the others among them."""
    ends = Ends(random.Random(f"fragments/{seed}"), key)
    done = 0
    while done < count:
        ends.turn()
        for _ in range(min(20, count - done)) if ends.recorded else ():
            if ends.chance.random() < 0.5:
                ends.arrive(ends.hostile_fragment())
            else:
                ends.answer(ends.hostile_status())
            done += 1
    return ends.counts + ends.inbox.drops
