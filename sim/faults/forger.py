"""Whoever writes another one's address as the source of requests, so that the answers hit that one.

The victims never speak. So none of them may get more than ``AMPLIFICATION`` times what nodes have taken in its name,
whatever that is: reads of much, batches, fragments with gaps, repeats, and guesses at message ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from random import Random
from typing import Any, Protocol

from hosts.client.calls import Call
from hosts.config import Address
from hosts.net.batches import MORE, pack_batches
from hosts.net.validation import AMPLIFICATION
from hosts.raft.message import MessageType
from hosts.service import values
from hosts.service.requests import Operation, Request
from hosts.wire import Flag, Fragment, FragmentStatus, Header, pack_fragment
from sim.events import Events
from sim.violation import Violation

OWN_PORT = 47_000
VICTIM_PORTS = range(47_001, 47_005)
"""On the forger's host."""

_GUESSES = 4
_FRAGMENT = int(Flag.FRAGMENT)
_LOOK_AGAIN_US = 2_000_000


class OwnClient(Protocol):
    """A client of the forger's own, for a session that nodes know."""

    @property
    def nonce(self) -> int: ...

    @property
    def session(self) -> int: ...

    def submit(
        self, operation: Operation, patience_s: float, done: Callable[[Call], None], **operands: Any
    ) -> None: ...

    def receive(self, datagram: bytes, address: Address) -> None: ...


class Victims:
    """Addresses that never speak, with what nodes have taken in their name and sent to them."""

    def __init__(self, ip: str, counts: Counter[str]) -> None:
        self._addresses = {(ip, port) for port in VICTIM_PORTS}
        self._counts = counts
        self._heard: Counter[tuple[Hashable, Address]] = Counter()
        self._told: Counter[tuple[Hashable, Address]] = Counter()

    def taken(self, life: Hashable, datagram: bytes, address: Address) -> None:
        """A node, in one of its lives, takes a datagram from its socket."""
        if address in self._addresses:
            self._heard[life, address] += len(datagram)

    def sending(self, life: Hashable, datagram: bytes, address: Address) -> None:
        """A node sends a datagram."""
        if address not in self._addresses:
            return
        self._counts["bytes to victims"] += len(datagram)
        self._told[life, address] += len(datagram)
        heard, told = self._heard[life, address], self._told[life, address]
        if told > AMPLIFICATION * heard:
            raise Violation("no amplification", f"{told} bytes go to {address}, in whose name {heard} came")


class Forger:
    """All that it sends, but for its own client's requests, goes in the name of a victim. ``send`` takes the victim's
    port, the node's address and the datagram; ``pause_us`` lies between two times on the average."""

    def __init__(
        self,
        events: Events,
        random: Random,
        client: OwnClient,
        group: int,
        servers: Sequence[Address],
        pause_us: int,
        send: Callable[[int, Address, bytes], None],
    ) -> None:
        self._events = events
        self._random = random
        self._client = client
        self._group = group
        self._servers = servers
        self._pause_us = pause_us
        self._put = send
        self._going = True
        self._sent: list[bytes] = []
        """The latest, to be sent once more."""
        self._seen: list[int] = [0, 1, 2]
        """Message ids that may be near others: those that its own client was sent."""
        events.after(1, self._look)
        self._next()

    def receive(self, datagram: bytes, address: Address) -> None:
        """A datagram arrives for its own client."""
        if datagram[2] & _FRAGMENT:
            self._seen[3:] = [int.from_bytes(datagram[40:48], "big")]
        self._client.receive(datagram, address)

    def stop(self) -> None:
        self._going = False

    # -- what it sends ----------------------------------------------------------------------------------------------

    def _next(self) -> None:
        self._events.after(1 + self._random.randrange(2 * self._pause_us), self._send)

    def _look(self) -> None:
        """Keep the session."""
        if self._going:
            self._client.submit(Operation.READ_LIST, 10.0, self._ended, start=0, limit=50)

    def _ended(self, _call: Call) -> None:
        self._events.after(_LOOK_AGAIN_US, self._look)

    def _send(self) -> None:
        if not self._going:
            return
        port = self._random.choice(VICTIM_PORTS)
        target = self._random.choice(self._servers)
        if not self._sent or self._random.random() < 0.7:
            self._sent = list(self._forged())
        for datagram in self._sent:
            self._put(port, target, datagram)
        self._next()

    def _forged(self) -> Iterator[bytes]:
        kind = self._random.randrange(6)
        if kind < 2:
            yield self._header(self._random.getrandbits(20)).pack() + self._read().pack()
        elif kind == 2:
            many = self._random.choice((3, 20, 60))
            pairs = [(number, self._read().pack()) for number in range(1, many)]
            for index, more, payload in pack_batches(pairs):
                yield self._header(index, more).pack() + payload
            yield self._header(1, MORE).pack() + bytes(10 * many)
        elif kind == 3:
            yield from self._fragments()
        else:
            for _ in range(_GUESSES):
                guess = self._random.choice(self._seen) + self._random.randrange(2)
                total = self._random.choice((2, 5000))
                status = FragmentStatus(guess % 2**64, total, total, ((0, 1),))
                header = self._header(self._random.randrange(4), kind=MessageType.CLIENT_FRAGMENT_STATUS)
                yield header.pack() + status.pack()

    def _fragments(self) -> Iterator[bytes]:
        """Fragments of a message with as many gaps as there are fragments, or of a whole one, each twice."""
        header = self._header(self._random.getrandbits(20), int(Flag.FRAGMENT))
        number = self._random.getrandbits(64)
        if self._random.random() < 0.5:
            for at in range(self._random.choice((2, 20, 110))):
                yield pack_fragment(header, Fragment(number, 10 * at + 5, 5000, b"x"))
        else:
            whole = self._read().pack()
            for _ in range(2):
                yield pack_fragment(header, Fragment(number, 0, len(whole), whole))

    def _read(self) -> Request:
        nonce = self._client.nonce
        if self._random.random() < 0.5:
            return Request(nonce, Operation.READ_LIST, start=0, limit=self._random.choice((1, 5, 65_535)))
        if self._random.random() < 0.2:
            return Request(nonce, Operation.GET, key=b"\xc1")
        return Request(nonce, Operation.GET, key=values.encode(self._random.choice("abcde")))

    def _header(self, index: int, flags: int = 0, kind: MessageType = MessageType.CLIENT_REQUEST) -> Header:
        return Header(kind, group=self._group, index=index, log_term=self._client.session, flags=flags)
