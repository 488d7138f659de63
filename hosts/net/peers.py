"""What a node sends to other members: small messages at once, large ones in fragments. Without socket and clock.

What goes to everybody leaves once, for the network to copy (``hosts.net.fanout``). Each member's address has an
``Outbox`` of its own, which knows what of large messages is still to arrive there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from hosts.config import Address
from hosts.net.fanout import FanOut, to_one
from hosts.net.fragments import Outbox
from hosts.net.path import PathSize, largest_datagram
from hosts.raft.message import EVERYBODY, Message
from hosts.wire import (
    HEADER_BYTES,
    LARGE,
    MAX_DATAGRAM,
    FragmentStatus,
    Header,
    Payload,
    pack_large,
    pack_peer,
    split_append,
)

MAX_OUTBOX_BYTES = 64 << 20
"""Messages to one address that wait; one of any size may wait alone. What everybody gets counts for each."""


def _place(header: Header) -> tuple[int, int, int, int]:
    """What a member has to say to another one once only."""
    return header.group, header.type, header.term, header.index


@dataclass(frozen=True, slots=True)
class Everybody:
    """Who is to get a message to EVERYBODY."""

    service: Address
    """Where the network copies it."""
    receivers: Mapping[int, Address]
    """By id. The network may bring copies to others, too."""
    needed: int
    """So many of them, one at least, make a quorum with the sender: what it sends goes at their pace."""


class Peers:
    """The messages of one node to other members, of all its groups. ``put`` sends a datagram of a type, ``put_all``
    fragments; ``draw`` draws 64 bits."""

    def __init__(
        self,
        put: Callable[[int, bytes, Address], None],
        put_all: Callable[[Sequence[bytes], Address], None],
        draw: Callable[[], int],
        cluster: int,
        mtu: int,
        overhead: int,
    ) -> None:
        """``cluster``: the number that payloads begin with. ``mtu``: bytes of the largest IP packet that is tried;
        ``overhead``: bytes that are added to each datagram."""
        self._put = put
        self._put_all = put_all
        self._draw = draw
        self._cluster = cluster
        self._mtu = mtu
        self._overhead = overhead
        self.outboxes: dict[Address, Outbox] = {}
        self.fan_outs: dict[Address, FanOut] = {}
        """By the address to which the network's copies are sent."""
        self._answered: dict[Address, Outbox] = {}
        """Those that may send more, because a status has come."""
        self.drops: Counter[str] = Counter()
        """Messages that were not sent, by reason."""

    def __bool__(self) -> bool:
        """Whether ``poll`` may have something to do."""
        return any(self.outboxes.values())

    @property
    def shrunk(self) -> int:
        """How often the way to a member has come to take smaller datagrams only."""
        return sum(outbox.path.shrunk for outbox in self.outboxes.values())

    def paths(self) -> dict[str, dict[str, int]]:
        """What ``Transport.paths`` shows."""
        return {
            f"{host}:{port}": {
                "datagram": outbox.path.size,
                "shrunk": outbox.path.shrunk,
                "window": round(outbox.window.size),
            }
            for (host, port), outbox in sorted(self.outboxes.items())
        }

    def keep_only(self, known: Container[Address]) -> None:
        """Forget what is on its way to other addresses than these."""
        for address in [one for one in self.outboxes if one not in known]:
            self.outboxes.pop(address).clear()

    # -- out ----------------------------------------------------------------------------------------------------

    def send(self, group: int, message: Message, address: Address, now: float) -> None:
        """Send a message to one member: now if it is small, else in fragments."""
        for part in split_append(message, MAX_DATAGRAM) if message.entries else (message,):
            header, payload = self._pack(group, part)
            outbox = self.outboxes.get(address)
            # What follows a large AppendEntries queues up behind it, or it would be rejected for the gap.
            queue = outbox is not None and len(outbox) > 0 and bool(part.entries)
            if HEADER_BYTES + len(payload) <= MAX_DATAGRAM and not queue:
                self._put(part.type, header.pack() + payload[:], address)
            else:
                self._send_fragmented(header, payload, address, now)

    def send_everybody(
        self,
        group: int,
        message: Message,
        to: Everybody,
        now: float,
    ) -> None:
        """Send an AppendEntries to EVERYBODY once, for the network to copy."""
        if not message.entries:
            header, payload = self._pack(group, message)
            self._put(message.type, header.pack() + payload[:], to.service)
            return
        for part in split_append(message, MAX_DATAGRAM):
            header, payload = self._pack(group, part)
            if not self._goes_at_once(header, payload, to, now):
                self._fan_out(header, payload, to, now)

    def _pack(self, group: int, message: Message) -> tuple[Header, Payload]:
        fanout = message.target == EVERYBODY
        if len(message.entries) == 1 and len(message.entries[0].data) > LARGE:
            return pack_large(message, group=group, cluster=self._cluster, fanout=fanout)
        return pack_peer(message, group=group, cluster=self._cluster, fanout=fanout)

    def _send_fragmented(self, header: Header, payload: Payload, address: Address, now: float) -> None:
        outbox = self._outbox(address)
        if self._makes_room(outbox, header, len(payload)):
            outbox.add(header, payload, now)
        else:
            # Who sends it alone waits no longer for those who are to get it with this receiver.
            known = outbox.find(header)
            if known is None or not outbox.shares(known):
                return
            outbox.go_alone(known)
        self._pump(address, outbox, now)

    def _goes_at_once(
        self,
        header: Header,
        payload: Payload,
        to: Everybody,
        now: float,
    ) -> bool:
        """Send what fits a datagram, unless something large goes to everybody, or to too many, before it. Who alone
        is to get something large first gets this once more, behind it."""
        if HEADER_BYTES + len(payload) > MAX_DATAGRAM or self.fan_outs.get(to.service):
            return False
        busy = [member for member, address in to.receivers.items() if self.outboxes.get(address)]
        if len(to.receivers) - len(busy) < min(to.needed, len(to.receivers)):
            return False
        self._put(header.type, header.pack() + payload[:], to.service)
        for member in busy:
            self._send_fragmented(to_one(header, member), payload, to.receivers[member], now)
        return True

    def _fan_out(
        self,
        header: Header,
        payload: Payload,
        to: Everybody,
        now: float,
    ) -> None:
        """Send it in fragments to all who do not have it on their way already."""
        outboxes = {member: self._outbox(address) for member, address in to.receivers.items()}
        takers = {
            member: outbox for member, outbox in outboxes.items() if self._makes_room(outbox, header, len(payload))
        }
        if len(takers) == 1 < len(to.receivers):
            ((member, outbox),) = takers.items()
            outbox.add(to_one(header, member), payload, now)
        elif takers:
            if to.service not in self.fan_outs:
                self.fan_outs[to.service] = FanOut(self._draw())
            self.fan_outs[to.service].add(header, payload, takers, to.needed, now)
            self._pump_fan_outs(now)
        for member, outbox in takers.items():
            self._pump(to.receivers[member], outbox, now)

    def _outbox(self, address: Address) -> Outbox:
        outbox = self.outboxes.get(address)
        if outbox is None:
            path = PathSize(largest_datagram(address[0], self._mtu, self._overhead))
            outbox = self.outboxes[address] = Outbox(self._draw(), path, _place)
        return outbox

    def _makes_room(self, outbox: Outbox, header: Header, size: int) -> bool:
        """Forget what an older term left behind. False if the same is on its way already, or too much is."""
        outbox.forget_older(header.group, header.term)
        known = outbox.find(header)
        if known is not None:
            if outbox.size_of(known) >= size:
                self.drops["sent_already"] += 1
                return False
            outbox.remove(known)
        if outbox.payload_bytes + size > MAX_OUTBOX_BYTES and len(outbox) > 0:
            self.drops["outbox_full"] += 1
            return False
        return True

    # -- what has become of it ----------------------------------------------------------------------------------

    def on_status(self, status: FragmentStatus, address: Address, now: float) -> None:
        """A member says what it has of a message's fragments; ``go_on`` then sends what there is room for."""
        outbox = self.outboxes.get(address)
        if outbox is not None:
            outbox.on_status(status, address, now)
            self._answered[address] = outbox

    def go_on(self, now: float) -> None:
        """Send what the statuses that have come make room for."""
        if not self._answered:
            return
        answered, self._answered = self._answered, {}
        for address, outbox in answered.items():
            self._pump(address, outbox, now)
        self._pump_fan_outs(now)

    def poll(self, now: float) -> None:
        """Send what is due again; to be called now and then, at least every tick."""
        for address, outbox in self.outboxes.items():
            self._pump(address, outbox, now)
        self._pump_fan_outs(now)

    def _pump(self, address: Address, outbox: Outbox, now: float) -> None:
        datagrams = outbox.poll(now)
        if datagrams:
            self._put_all(datagrams, address)

    def _pump_fan_outs(self, now: float) -> None:
        for service, fan_out in self.fan_outs.items():
            datagrams = fan_out.poll(now) if fan_out else ()
            if datagrams:
                self._put_all(datagrams, service)
