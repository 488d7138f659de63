"""Transports of several members and a switch between them that copies what goes to all, in simulated seconds."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hosts.config import DEFAULT_MTU, Address
from hosts.net.seal import Seal
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.raft.message import EVERYBODY, Entry, EntryKind, Message, MessageType
from hosts.wire import Flag
from tests.hosts.memory_socket import MemorySocket

GROUP = 1
CLUSTER = 9
LEADER = 1
SERVICE: Address = ("10.0.0.100", 26410)
TICK_S = 0.01
DEADLINE_S = 60.0


@dataclass
class Way:
    """How datagrams come to one member."""

    delay_s: float = 0.001
    loss: float = 0.0
    """Of copies; what goes to this member alone arrives."""
    twice: bool = False
    """Whether every copy comes two times."""
    cut: bool = False
    largest: int = 65_507
    bytes_per_s: float = 1e9
    queue_bytes: int = 1 << 30
    """What may wait for its turn; more is dropped."""
    free_at: float = 0.0
    came: list[bytes] = field(default_factory=list)
    """All that has arrived."""


def address_of(member: int) -> Address:
    return f"10.0.0.{member}", 26410


def append(
    size: int,
    index: int = 1,
    term: int = 7,
    *,
    receivers: Sequence[int] = (2, 3),
    target: int = EVERYBODY,
    needed: int | None = None,
) -> Message:
    """An AppendEntries with one entry of random bytes, the same each time."""
    entry = Entry(term, index, EntryKind.COMMAND, random.Random(size + index).randbytes(size))
    return Message(
        MessageType.APPEND_ENTRIES,
        LEADER,
        target,
        term,
        index - 1,
        term if index > 1 else 0,
        round=3,
        entries=(entry,),
        receivers=tuple(receivers) if target == EVERYBODY else (),
        needed=(len(receivers) + 1) // 2 if needed is None else needed,
    )


class Network:
    """Member 1 leads. ``copies`` False: the network drops what goes to everybody. ``service`` False: members know no
    address for it."""

    def __init__(
        self,
        members: int = 3,
        *,
        key: bytes | None = None,
        mtu: int = DEFAULT_MTU,
        seed: int = 1,
        service: bool = True,
    ) -> None:
        self.numbers = range(1, members + 1)
        self.key, self.mtu, self.service = key, mtu, service
        self.copies = True
        self.now = 0.0
        self.random = random.Random(seed)
        self.ways = {number: Way() for number in self.numbers}
        self.heard: dict[int, list[Message]] = {number: [] for number in self.numbers}
        self.bytes: Counter[Address] = Counter()
        """That have left the leader, by where to."""
        self._queue: list[tuple[float, int, int, bytes, Address]] = []
        self._count = 0
        self.sockets: dict[int, MemorySocket] = {}
        self.transports: dict[int, Transport] = {}
        for number in self.numbers:
            self.start(number, boot=1)

    @property
    def leader(self) -> Transport:
        return self.transports[LEADER]

    @property
    def followers(self) -> Sequence[int]:
        return [number for number in self.numbers if number != LEADER]

    def start(self, number: int, boot: int) -> None:
        """A member's life begins, with nothing of an earlier one."""
        socket = MemorySocket(lambda datagram, address: self._carry(number, datagram, address))
        heard = self.heard[number] = []
        self.sockets[number] = socket
        self.transports[number] = Transport(
            number,
            address_of(number),
            CLUSTER,
            {GROUP: {one: address_of(one) for one in self.numbers if one != number}},
            16 << 20,
            Handlers(
                lambda _, message: heard.append(message),
                lambda *_: None,
                lambda *_: False,
                lambda *_: None,
                lambda *_: None,
            ),
            Surroundings(lambda: self.now, lambda *_: socket, lambda: self.random.getrandbits(64)),
            None if self.key is None else Seal(self.key, CLUSTER, boot),
            self.mtu,
            services={GROUP: SERVICE} if self.service else {},
        )

    def _carry(self, source: int, datagram: bytes, address: Address) -> None:
        if source == LEADER:
            self.bytes[address] += len(datagram)
        if address != SERVICE:
            (number,) = (one for one in self.numbers if address_of(one) == address)
            self._send(self.ways[number], number, datagram, address_of(source))
            return
        assert datagram[2] & Flag.FANOUT and datagram[4] == EVERYBODY
        for number in self.numbers if self.copies else ():
            way = self.ways[number]
            # As p4/include/fanout_copy.p4: each gets its own id as target, and the sender none.
            if number != source and self.random.random() >= way.loss:
                for _ in range(2 if way.twice else 1):
                    self._send(way, number, datagram[:4] + bytes((number,)) + datagram[5:], address_of(source))

    def _send(self, way: Way, number: int, datagram: bytes, source: Address) -> None:
        waits = max(0.0, way.free_at - self.now) * way.bytes_per_s
        if way.cut or len(datagram) > way.largest or waits + len(datagram) > way.queue_bytes:
            return
        way.free_at = max(self.now, way.free_at) + len(datagram) / way.bytes_per_s
        self._count += 1
        heapq.heappush(self._queue, (way.free_at + way.delay_s, self._count, number, datagram, source))

    def send(self, *messages: Message) -> None:
        """Have the leader send these."""
        for message in messages:
            self.leader.send_peer(GROUP, message)

    def run(self, done: Callable[[], bool], what: str = "it is done", until_s: float = DEADLINE_S) -> float:
        """Let time go on until ``done``. How long that took, in simulated seconds."""
        began = self.now
        while not done():
            assert self.now - began < until_s, f"not within {until_s:.0f} simulated seconds: {what}"
            self.step()
        return self.now - began

    def step(self) -> None:
        """Up to the next arrival or tick."""
        tick = (int(self.now / TICK_S + 1e-6) + 1) * TICK_S
        if self._queue and self._queue[0][0] < tick:
            self.now = max(self.now, self._queue[0][0])
            arrived = set()
            while self._queue and self._queue[0][0] <= self.now:
                _, _, number, datagram, source = heapq.heappop(self._queue)
                self.ways[number].came.append(datagram)
                self.sockets[number].waiting.append((datagram, source))
                arrived.add(number)
            for number in sorted(arrived):
                while self.sockets[number].waiting:
                    self.transports[number].drain()
            return
        self.now = tick
        for transport in self.transports.values():
            transport.poll()

    def have(self, message: Message, *numbers: int) -> bool:
        """Whether these have heard the message, each as for itself."""
        return all(
            any(
                heard.entries == message.entries and heard.target == number and heard.term == message.term
                for heard in self.heard[number]
            )
            for number in numbers or self.followers
        )

    def deliver(self, *messages: Message) -> float:
        """Send messages and wait until all that they name have them, and the leader holds none any more. The
        simulated seconds that it took until all had them."""
        self.send(*messages)
        took = self.run(lambda: all(self.have(message, *message.receivers) for message in messages), "all have it")
        self.run(lambda: not self.leader.waits, "nothing waits any more")
        return took

    def in_flight(self) -> deque[bytes]:
        """What is on its way to members."""
        return deque(datagram for _, _, _, datagram, _ in sorted(self._queue))
