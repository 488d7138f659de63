"""Hostile answers against the client's protocol, for ``tests.hosts.fuzz``.

Three servers in memory do what a client asks, with one state machine, or say that another leads, that they are busy.
Their answers come as they are, changed, cut short, mixed with others, again, with edge values in every field, or made
up. Whatever comes, the protocol raises nothing, sends only what a socket takes, keeps little, and every call ends by
its deadline with a result or a ClientError.
"""

from __future__ import annotations

import random
import struct
from collections import Counter, deque
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from hosts.client import calls
from hosts.client.calls import Call, ClientError
from hosts.client.protocol import ClientProtocol
from hosts.config import DEFAULT_MTU, Address
from hosts.net.batches import MORE, pack_batches, unpack_batch
from hosts.net.fragments import Outbox
from hosts.net.path import largest_datagram
from hosts.net.reassembly import HEAD_BYTES, Inbox, Key
from hosts.raft.message import Entry, EntryKind, MessageType
from hosts.service import values
from hosts.service.machine import Machine
from hosts.service.requests import MAX_REQUEST_BYTES, Operation, Outcome, Reply, Request, pack_command
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Flag, FragmentStatus, Header, unpack_fragment

GROUP = 1
SERVERS: list[Address] = [(f"10.0.0.{member}", 26410) for member in (1, 2, 3)]
TIMEOUT_S = 3.0
RECORDED = 500
NUMBERS = (0, 1, 2, 6, 7, 255, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
RESULTS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**63, 2**64, -(2**70), 2**600, 1.5, float("nan"), "", "x", b"", b"\xff" * 300),
    *([], [True], [True, 1], [1, True], [0, []], [5, [1, 2]], [-1, []], [2, [[]] * 40], [[], []], {}, {1: 2}),
)
PLACES = (
    *(b"", b":", b"10.0.0.1:99999", b"10.0.0.1:0", b"10.0.0.1:-1", b"10.0.0.2:26410", b"10.0.0.300:1", b"\xff\xfe:1"),
    *(
        b"10.0.0.1:" + b"9" * 900,
        b"localhost:1",
        b"a" * 300 + b":1",
        b"10.0.0.1:1:1",
        b"\0:1",
        "１０.0.0.1:１".encode(),
    ),
    *(b"255.255.255.255:1", b"10.0.0.9:1", b"::1:1", b"10.0.0.3:26410"),
)


class Answerers:
    """The servers. What they would send is in ``waiting``."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.machine = Machine()
        self.waiting: deque[tuple[bytes, Address]] = deque()
        self._inbox = Inbox(1 << 20, 1 << 20, MAX_REQUEST_BYTES)
        self._outboxes: deque[Outbox] = deque(maxlen=20)

    def take(self, datagram: bytes, address: Address, now: float) -> None:
        """A client's datagram arrives at one of them."""
        header, payload = Header.unpack(datagram), datagram[HEADER_BYTES:]
        if header.type == MessageType.CLIENT_FRAGMENT_STATUS and header.is_fragment:
            probe = unpack_fragment(payload)
            arrived = FragmentStatus(probe.message_id, probe.total, probe.total).pack()
            self._send(replace(header, flags=0), arrived, address, now)
            return
        if header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            for outbox in self._outboxes:
                outbox.on_status(FragmentStatus.unpack(payload), 0, now)
                self.waiting += [(one, address) for one in outbox.poll(now)]
            return
        if header.is_fragment:
            whole = self._inbox.receive(Key(address, datagram[:HEAD_BYTES]), datagram, now)
            for told in self._inbox.take_statuses(waited=True):
                kind = MessageType.CLIENT_FRAGMENT_STATUS
                self._send(replace(header, type=kind, flags=0), told.status.pack(), address, now)
            if whole is None:
                return
            payload = bytes(whole)
        parts = unpack_batch(payload) if header.flags & MORE else [(header.index, payload)]
        replies = [
            (one, self._answer(replace(header, index=one), Request.unpack(part)).pack()) for one, part in parts
        ]
        if len(replies) == 1:
            self._send(replace(header, index=replies[0][0], flags=0), replies[0][1], address, now)
            return
        for index, more, batch in pack_batches(replies):
            self._send(replace(header, index=index, flags=more), batch, address, now)

    def _send(self, asked: Header, payload: bytes, address: Address, now: float) -> None:
        kind = asked.type if asked.type == MessageType.CLIENT_FRAGMENT_STATUS else MessageType.CLIENT_REPLY
        header = replace(asked, type=kind, source=1)
        if HEADER_BYTES + len(payload) <= MAX_DATAGRAM:
            self.waiting.append((header.pack() + payload, address))
            return
        outbox = Outbox(self.chance.getrandbits(64))
        outbox.add(header, payload, now)
        self._outboxes.append(outbox)
        self.waiting += [(one, address) for one in outbox.poll(now)]

    def _answer(self, header: Header, request: Request) -> Reply:
        what = self.chance.random()
        if what < 0.1:
            return Reply(request.nonce, Outcome.NOT_LEADER, 2, body=self.chance.choice(PLACES))
        if what < 0.15:
            outcome = self.chance.choice([outcome for outcome in Outcome if outcome is not Outcome.OK])
            return Reply(request.nonce, outcome, body=self.chance.choice((b"", b"why", b"\xff\x1b[2J\n" * 90)))
        entry = pack_command(header.log_term, header.index, header.commit, request.pack())
        answer = self.machine.apply(Entry(1, self.machine.applied_index + 1, EntryKind.COMMAND, entry))
        assert answer is not None
        return answer.reply


def mutate(chance: random.Random, datagram: bytes, recorded: deque[bytes]) -> bytes:
    """An answer as no honest server sends it."""
    kind = chance.randrange(11)
    data = bytearray(datagram)
    if kind == 0:
        return chance.randbytes(chance.choice((0, 1, 39, 40, 41, 61, 62, chance.randrange(1500))))
    if kind == 1:
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        del data[chance.randrange(len(data)) :]
    elif kind == 3:
        data += chance.randbytes(chance.randrange(1, 60))
    elif kind == 4:
        at = chance.choice((8, 16, 24, 32, 40, 50, 58))
        data[at : at + 8] = chance.choice(NUMBERS).to_bytes(8, "big")
    elif kind == 5:
        data[chance.choice((*range(8), 48, 49))] = chance.randrange(256)
    elif kind == 6:
        other = chance.choice(recorded)
        cut = chance.choice((HEADER_BYTES, HEADER_BYTES + 8, HEADER_BYTES + 26))
        data = data[:cut] + bytearray(other[cut:])
    elif kind in (7, 8):
        return _other_reply(chance, datagram)
    elif kind == 9:
        return _fragment(chance, datagram)
    else:
        return _status(chance, datagram)
    return bytes(data)


def _other_reply(chance: random.Random, datagram: bytes) -> bytes:
    """To the same request, with whatever fields."""
    nonce = int.from_bytes(datagram[HEADER_BYTES : HEADER_BYTES + 8], "big")
    outcome = chance.choice(list(Outcome))
    body = values.encode(chance.choice(RESULTS)) if outcome is Outcome.OK else chance.choice(PLACES)
    if chance.random() < 0.1:
        body = chance.randbytes(chance.randrange(30))
    reply = Reply(nonce, outcome, chance.randrange(256), chance.choice(NUMBERS), chance.choice(NUMBERS), body)
    return datagram[:HEADER_BYTES] + reply.pack()


def _fragment(chance: random.Random, datagram: bytes) -> bytes:
    """Part of a large answer that does not exist."""
    head = bytearray(datagram[:HEADER_BYTES])
    head[2:3] = (head[2] | Flag.FRAGMENT).to_bytes(1, "big")
    total = chance.choice((0, 1, 100, 2**31, 2**32 - 1, chance.randrange(200_000)))
    prefix = struct.pack(">QII", chance.choice(NUMBERS), chance.choice((0, 1, 50, 2**32 - 1)), total)
    return bytes(head) + prefix + datagram[HEADER_BYTES:][: chance.choice((0, 1, 50, 1400))]


def _status(chance: random.Random, datagram: bytes) -> bytes:
    """What a server would have of a large request."""
    head = bytearray(datagram[:HEADER_BYTES])
    head[1:3] = bytes((MessageType.CLIENT_FRAGMENT_STATUS, 0))
    numbers = sorted(chance.randrange(30_000) for _ in range(2 * chance.randrange(4)))
    message = datagram[HEADER_BYTES : HEADER_BYTES + 8] if chance.random() < 0.8 else chance.randbytes(8)
    total = chance.choice((0, 20_000, 30_000, 2**32 - 1))
    return bytes(head) + message.ljust(8) + struct.pack(f">{2 + len(numbers)}I", total, total, *numbers)


class Fuzzed:
    """A client's protocol, what it has asked and has not been told yet."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = 100.0
        self.protocol = ClientProtocol(SERVERS, GROUP, chance, timeout_s=TIMEOUT_S)
        self.servers = Answerers(chance)
        self.recorded: deque[bytes] = deque(maxlen=RECORDED)
        self.open: dict[Call, float] = {}
        self.ends: Counter[str] = Counter()

    def ask(self) -> None:
        chance = self.chance
        operation = chance.choice([one for one in Operation if one is not Operation.OPEN_SESSION])
        key = b"" if operation in (Operation.APPEND, Operation.READ_LIST) else values.encode(chance.randrange(4))
        value = b""
        if operation in (Operation.APPEND, Operation.PUT):
            value = values.encode(chance.randbytes(chance.choice((3, 3, 3, 3, 20_000))))
        limit = chance.choice((0, 3, 100)) if operation is Operation.READ_LIST else 0
        request = Request(self.protocol.nonce, operation, key, value, limit=limit)
        if len(self.open) < 20:
            call = self.protocol.submit(request, self.now)
            self.open[call] = call.deadline

    def settle(self) -> None:
        """Take what the protocol gives."""
        for datagram, (host, port) in self.protocol.datagrams_to_send():
            assert (
                str(IPv4Address(host)) == host
                and 0 < port < 1 << 16
                and len(datagram) <= largest_datagram(host, DEFAULT_MTU)
            )
            if (host, port) in SERVERS:
                self.servers.take(datagram, (host, port), self.now)
        for call in self.protocol.take_finished():
            del self.open[call]
            try:
                self.ends[type(calls.result(call)).__name__] += 1
            except ClientError as error:
                assert str(error).isprintable() and len(str(error)) < 10_000
                self.ends[type(error).__name__] += 1

    def pass_time(self) -> None:
        self.now += self.chance.choice((0.001, 0.03, 0.3))
        if self.now >= self.protocol.timer:
            self.protocol.handle_timer(self.now)
            self.settle()
            late = [call for call, deadline in self.open.items() if self.now >= deadline]
            assert not late, f"{late} should have ended by {self.now}"

    def hear(self) -> bool:
        """An answer, perhaps changed. False if there is none."""
        chance, waiting = self.chance, self.servers.waiting
        if not waiting:
            return False
        datagram, address = waiting.popleft()
        self.recorded.append(datagram)
        if chance.random() < 0.4:
            waiting.appendleft((datagram, address))  # comes unchanged, too, after the changed one
            datagram = mutate(
                chance, chance.choice((datagram, datagram, chance.choice(self.recorded))), self.recorded
            )
        if chance.random() < 0.1:
            address = (f"10.{chance.randrange(256)}.0.1", chance.randrange(1, 1 << 16))
        self.protocol.receive(datagram, address, self.now)
        self.settle()
        return True


def run(count: int, seed: int) -> Counter[str]:
    """Throw ``count`` answers at a client; how its calls ended. Raises what the protocol raises."""
    chance = random.Random(f"replies/{seed}")
    fuzzed, done = Fuzzed(chance), 0
    while done < count:
        for _ in range(chance.choice((1, 1, 4))):
            fuzzed.ask()
        fuzzed.settle()
        while fuzzed.hear() and chance.random() < 0.97:
            done += 1
        fuzzed.pass_time()
        assert len(fuzzed.protocol.servers.said) + len(fuzzed.protocol.servers.silent) <= 2 * calls.MAX_KNOWN
        if chance.random() < 0.001:
            ends, fuzzed = fuzzed.ends, Fuzzed(chance)
            fuzzed.ends = ends
    return fuzzed.ends
