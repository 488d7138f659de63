"""Whoever writes another one's address as the source of requests, so that the answers hit that one.

The victims never speak. So none of them may get more than ``AMPLIFICATION`` times what nodes have taken in its name,
whatever that is: reads of much, batches, fragments with gaps, repeats, and guesses at message ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from hosts import values
from hosts.batches import MORE, pack_batches
from hosts.calls import Call
from hosts.config import Address
from hosts.raft.message import MessageType
from hosts.requests import Operation, Request
from hosts.validation import AMPLIFICATION
from hosts.wire import Flag, Fragment, FragmentStatus, Header, pack_fragment
from sim.client import Client
from sim.violation import Violation

if TYPE_CHECKING:
    from sim.node import Process
    from sim.world import World

_OWN_PORT = 47_000
_VICTIM_PORTS = range(47_001, 47_005)
_GUESSES = 4
_LOOK_AGAIN_US = 2_000_000


class Forger:
    """Has a client of its own, for a session that nodes know; all else it sends in the name of a victim."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._random = Random(f"forger/{world.plan.seed}")
        self._going = True
        topology = world.plan.topology
        self._group = self._random.choice(topology.groups)
        self._host = self._random.choice(topology.clients or topology.members)
        self._servers = [world.member_addresses[member] for member in self._group.members]
        self._client = Client(world, "forger", self._host, _OWN_PORT, self._group.id, self._servers, steer=True)
        self.own_address = self._host, _OWN_PORT
        """Host and port of its client."""
        self.victims = {(str(topology.host(self._host).ip), port) for port in _VICTIM_PORTS}
        self._heard: Counter[tuple[Process, Address]] = Counter()
        self._told: Counter[tuple[Process, Address]] = Counter()
        self._sent: list[bytes] = []
        """The latest, to be sent once more."""
        self._seen: list[int] = [0, 1, 2]
        """Message ids that may be near others: those that its own client was sent."""
        world.events.after(1, self._look)
        self._next()

    def receive(self, datagram: bytes, address: Address) -> None:
        """A datagram arrives for its own client."""
        if datagram[2] & Flag.FRAGMENT:
            self._seen[3:] = [int.from_bytes(datagram[40:48], "big")]
        self._client.receive(datagram, address)

    def stop(self) -> None:
        self._going = False

    # -- what nodes take and send -----------------------------------------------------------------------------------

    def taken(self, process: Process, datagram: bytes, address: Address) -> None:
        """A node takes a datagram from its socket."""
        if address in self.victims:
            self._heard[process, address] += len(datagram)

    def sending(self, process: Process, datagram: bytes, address: Address) -> None:
        """A node sends a datagram."""
        if address not in self.victims:
            return
        self.world.counts["bytes to victims"] += len(datagram)
        self._told[process, address] += len(datagram)
        heard, told = self._heard[process, address], self._told[process, address]
        if told > AMPLIFICATION * heard:
            text = f"{process.node.host} has sent {told} bytes to {address}, in whose name it has taken {heard}"
            raise Violation("no amplification", text)

    # -- what it sends ----------------------------------------------------------------------------------------------

    def _next(self) -> None:
        self.world.events.after(1 + self._random.randrange(2 * self.world.plan.hostile_us), self._send)

    def _look(self) -> None:
        """Keep the session."""
        if self._going:
            self._client.submit(Operation.READ_LIST, 10.0, self._ended, start=0, limit=50)

    def _ended(self, _call: Call) -> None:
        self.world.events.after(_LOOK_AGAIN_US, self._look)

    def _send(self) -> None:
        if not self._going:
            return
        port = self._random.choice(_VICTIM_PORTS)
        target = self._random.choice(self._servers)
        if not self._sent or self._random.random() < 0.7:
            self._sent = list(self._forged())
        for datagram in self._sent:
            self.world.counts["forged requests"] += 1
            self.world.network.enter(self._host, port, target, datagram)
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
        """Of a message with as many gaps as there are fragments, or of a whole one, each twice."""
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
        return Header(kind, group=self._group.id, index=index, log_term=self._client.session, flags=flags)
