"""What a node sends to its clients: replies, and what it has of their fragments. Without socket and clock.

A reply that fits neither a datagram nor what its client's address may get (``hosts.net.validation``) waits, and the
address is sent a challenge: a fragment of a message of two bytes, which lacks the first. Whoever gathers fragments
names what is missing, and with it the message's id, which nobody else knows. So that costs one round trip, once for
many replies, and only where they are larger than requests by far.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hosts.config import Address
from hosts.net.fragments import Outbox
from hosts.net.path import PathSize, largest_datagram
from hosts.net.validation import Validation
from hosts.raft.message import NOBODY, MessageType
from hosts.wire import (
    FRAGMENT_PREFIX_BYTES,
    HEADER_BYTES,
    MAX_DATAGRAM,
    Flag,
    Fragment,
    FragmentStatus,
    Header,
    Payload,
    pack_fragment,
)

MAX_BYTES = 64 << 20
"""How many bytes all large replies, and those that wait for a challenge's answer, may have; a single one may have
more."""

MAX_ADDRESSES = 1024
"""To which large replies are on their way; and so many others whose replies wait."""

MAX_REPLIES = 1024
"""Large ones to one address, or waiting for it: as many as a client may have outstanding."""

WAIT_S = 3.0
"""A reply waits no longer for a challenge's answer: whoever wanted it asks again."""

CHALLENGE_AGAIN_S = 0.1
CHALLENGE_BYTES = HEADER_BYTES + FRAGMENT_PREFIX_BYTES + 1


@dataclass(slots=True)
class _Waiting:
    """Replies to an address that has to answer a challenge first."""

    challenge: int
    since: float
    challenged: float = -math.inf
    replies: OrderedDict[Header, Payload] = field(default_factory=OrderedDict)
    size: int = 0


class Replies:
    """The replies of one node, to all addresses. ``put`` sends a datagram of a type; ``draw`` draws 64 bits; ``mtu``:
    bytes of the largest IP packet that is tried."""

    def __init__(
        self,
        put: Callable[[int, bytes, Address], None],
        put_all: Callable[[Sequence[bytes], Address], None],
        draw: Callable[[], int],
        mtu: int,
    ) -> None:
        """``put_all`` sends fragments."""
        self._put = put
        self._put_all = put_all
        self._draw = draw
        self._mtu = mtu
        self._paths: OrderedDict[Address, PathSize] = OrderedDict()
        """What is known of the ways to clients, the one that was used last at the end."""
        self._validation = Validation()
        self._outboxes: dict[Address, Outbox] = {}
        self._waiting: OrderedDict[Address, _Waiting] = OrderedDict()
        self._waiting_bytes = 0
        self.drops: Counter[str] = Counter()
        """Datagrams and replies that were not sent, by reason."""

    def __bool__(self) -> bool:
        """Whether ``poll`` may have something to do."""
        return bool(self._outboxes or self._waiting)

    @property
    def shrunk(self) -> int:
        """How often the way to a client has come to take smaller datagrams only."""
        return sum(path.shrunk for path in self._paths.values())

    def heard(self, address: Address, size: int, now: float) -> None:
        """A datagram of ``size`` bytes has come from a client."""
        self._validation.heard(address, size, now)

    def send(self, header: Header, payload: Payload, address: Address, now: float) -> None:
        """Send a reply: now, in fragments, or once the address has answered a challenge."""
        size = HEADER_BYTES + len(payload)
        if size <= MAX_DATAGRAM and self._validation.spend(address, size, now):
            self._put(header.type, header.pack() + payload[:], address)
        elif self._validation.is_valid(address, now):
            self._send_fragments(header, payload, address, now)
        else:
            self._wait(header, payload, address, now)

    def make_status(self, header: Header, status: FragmentStatus, address: Address, now: float) -> bytes | None:
        """The datagram that says what has come of a client's fragments, as far as its address may hear it now; None
        if it may hear nothing."""
        credit = self._validation.credit(address, now)
        datagram = header.pack() + status.pack(None if credit is None else credit - HEADER_BYTES)
        if self._validation.spend(address, len(datagram), now):
            return datagram
        self.drops["not_validated"] += 1
        return None

    def on_status(self, status: FragmentStatus, address: Address, now: float) -> None:
        """A client says what it has of a reply's fragments, or answers a challenge."""
        waiting, outbox = self._waiting.get(address), self._outboxes.get(address)
        if waiting is not None and status.message_id == waiting.challenge:
            self._validation.echoed(address, now)
            for header, payload in self._forget(address).replies.items():
                self.send(header, payload, address, now)
        elif outbox is not None:
            if status.message_id in outbox:
                self._validation.echoed(address, now)
            outbox.on_status(status, address, now)
            self._pump(address, outbox, now)

    def poll(self, now: float) -> None:
        """Send what is due again, and give up what has waited too long."""
        for address, outbox in list(self._outboxes.items()):
            self._pump(address, outbox, now)
        for address, waiting in list(self._waiting.items()):
            if now - waiting.since > WAIT_S:
                self._give_up(address)
            elif now - waiting.challenged >= CHALLENGE_AGAIN_S:
                self._challenge(waiting, address, now)

    # -- to valid addresses -------------------------------------------------------------------------------------

    def _send_fragments(self, header: Header, payload: Payload, address: Address, now: float) -> None:
        outbox = self._outboxes.get(address)
        if outbox is not None:
            known = outbox.find(header)
            if known is not None:
                outbox.remove(known)
        elif len(self._outboxes) < MAX_ADDRESSES:
            outbox = self._outboxes[address] = Outbox(self._draw(), self._path(address))
        if outbox is None or len(outbox) >= MAX_REPLIES or not self._make_room(len(payload), address):
            self.drops["outbox_full"] += 1
        else:
            outbox.add(header, payload, now)
        if outbox is not None:
            self._pump(address, outbox, now)

    def _path(self, address: Address) -> PathSize:
        path = self._paths.get(address)
        if path is None:
            path = self._paths[address] = PathSize(largest_datagram(address[0], self._mtu))
            if len(self._paths) > MAX_ADDRESSES:
                self._paths.popitem(last=False)
        self._paths.move_to_end(address)
        return path

    def _make_room(self, size: int, address: Address) -> bool:
        """Whether another reply of ``size`` bytes to ``address`` may be kept. Those that wait make room for it."""
        on_their_way = sum(outbox.payload_bytes for outbox in self._outboxes.values())
        if on_their_way + self._waiting_bytes + size > MAX_BYTES:
            for other in [one for one in self._waiting if one != address]:
                self._give_up(other)
                if on_their_way + self._waiting_bytes + size <= MAX_BYTES:
                    break
        kept = on_their_way + self._waiting_bytes
        return kept + size <= MAX_BYTES or not kept

    def _pump(self, address: Address, outbox: Outbox, now: float) -> None:
        unanswered = bool(outbox)
        datagrams = outbox.poll(now)
        if datagrams:
            self._put_all(datagrams, address)
        if not outbox:
            self._outboxes.pop(address, None)
            if unanswered:
                self._validation.doubt(address)

    # -- to others ----------------------------------------------------------------------------------------------

    def _wait(self, header: Header, payload: Payload, address: Address, now: float) -> None:
        waiting = self._waiting.get(address)
        if waiting is None:
            if len(self._waiting) >= MAX_ADDRESSES:
                self._give_up(next(iter(self._waiting)))
            waiting = self._waiting[address] = _Waiting(self._draw(), now)
        self._charge(waiting, -len(waiting.replies.pop(header, b"")))
        if len(waiting.replies) >= MAX_REPLIES or not self._make_room(len(payload), address):
            self.drops["outbox_full"] += 1
            return
        waiting.replies[header] = payload
        self._charge(waiting, len(payload))
        if now - waiting.challenged >= CHALLENGE_AGAIN_S:
            self._challenge(waiting, address, now)

    def _challenge(self, waiting: _Waiting, address: Address, now: float) -> None:
        """Send a challenge as a fragment of the latest reply, which its client surely still waits for."""
        if not waiting.replies or not self._validation.spend(address, CHALLENGE_BYTES, now):
            return
        waiting.challenged = now
        latest = next(reversed(waiting.replies))
        header = replace(latest, flags=latest.flags | int(Flag.FRAGMENT))
        self._put(header.type, pack_fragment(header, Fragment(waiting.challenge, 1, 2, b"\0")), address)

    def _charge(self, waiting: _Waiting, size: int) -> None:
        waiting.size += size
        self._waiting_bytes += size

    def _give_up(self, address: Address) -> None:
        self.drops["not_validated"] += len(self._forget(address).replies)

    def _forget(self, address: Address) -> _Waiting:
        waiting = self._waiting.pop(address)
        self._waiting_bytes -= waiting.size
        return waiting


def status_header(asked: Header, member: int) -> Header:
    """The header of what a member says of a client's fragments, whose header was ``asked``."""
    kind = MessageType.CLIENT_FRAGMENT_STATUS
    return Header(kind, member, NOBODY, asked.group, index=asked.index, log_term=asked.log_term)
