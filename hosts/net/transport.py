"""A node's UDP socket: what comes in is checked and counted, what goes out is cut to datagrams and paced.

Of peer messages only those pass that name this member as target, a known group, one of its members as source, and
that come from that member's configured address and port; so members must be reached at the address that they bind,
without translation on the way. With a cluster key only those pass, too, that are sealed with it (``hosts.net.seal``).
Everything else is dropped and counted under its reason.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hosts.config import Address
from hosts.net.batches import MORE, unpack_batch
from hosts.net.fragments import Outbox
from hosts.net.reassembly import Inbox
from hosts.net.replies import Replies, status_header
from hosts.net.seal import SEAL_BYTES, Seal
from hosts.net.validation import AMPLIFICATION
from hosts.raft.config import MAX_ID
from hosts.raft.message import NOBODY, Message, MessageType
from hosts.service.requests import MAX_REQUEST_BYTES, Encoded
from hosts.wire import (
    FIRST_CLIENT_TYPE,
    HEADER_BYTES,
    LARGE,
    MAX_DATAGRAM,
    PEER_PREFIX_BYTES,
    Fragment,
    FragmentStatus,
    Header,
    Payload,
    WireError,
    pack_large,
    pack_peer,
    split_append,
    unpack_fragment,
    unpack_peer,
)

RECEIVE_BYTES = 2048
"""Room for a datagram; a longer one is none of ours."""

SOCKET_BUFFER_BYTES = 4 << 20
MAX_DRAIN = 256
DRAIN_S = 0.005
"""Datagrams taken from the socket, and time spent on them, before anything else has its turn."""

MAX_PEER_OUTBOX_BYTES = 64 << 20
"""Messages to one address that wait; one of any size may wait alone."""

MESSAGE_OVERHEAD_BYTES = 1 << 20
"""An AppendEntries may carry this much beside the largest value."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """Whom the transport tells. ``refuse`` is asked about the first fragment of a large request, and answers it
    itself if this node cannot serve it; the rest of it is then not gathered."""

    peer: Callable[[int, Message], None]
    request: Callable[[Header, Encoded, Address], None]
    refuse: Callable[[Header, bytes, Address], bool]


def open_socket(address: Address) -> socket.socket:
    """A bound socket that never blocks. Raises OSError if the address cannot be bound."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            opened.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened


def draw_message_id() -> int:
    """Where an outbox's message ids begin: unlike those of an earlier life."""
    return int.from_bytes(os.urandom(8), "big")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a transport takes from outside itself; a simulator has its own. ``clock`` is monotonic, in seconds."""

    clock: Callable[[], float] = time.monotonic
    open_socket: Callable[[Address], socket.socket] = open_socket
    draw_message_id: Callable[[], int] = draw_message_id


class Transport:
    """The socket at ``address``. ``peers`` maps each group to its other members' addresses."""

    def __init__(
        self,
        member: int,
        address: Address,
        cluster: int,
        peers: Mapping[int, Mapping[int, Address]],
        reassembly_bytes: int,
        handlers: Handlers,
        surroundings: Surroundings = Surroundings(),
        seal: Seal | None = None,
    ) -> None:
        """Without ``seal`` whoever has a member's address is believed. Raises OSError if ``address`` is unusable."""
        self._member = member
        self._seal = seal
        self._cluster = cluster if seal is None else seal.cluster
        self._peers = {group: dict(members) for group, members in peers.items()}
        self._guests: dict[tuple[int, int], Address] = {}
        """By group and id: who has proved with the key to be a member, but is not known yet."""
        self._handlers = handlers
        self._clock = surroundings.clock
        self._draw_message_id = surroundings.draw_message_id
        self.received: Counter[int] = Counter()
        self.sent: Counter[int] = Counter()
        self.drops: Counter[str] = Counter()
        largest = MAX_REQUEST_BYTES + MESSAGE_OVERHEAD_BYTES
        self._peer_inbox = Inbox(reassembly_bytes, reassembly_bytes, largest)
        self._client_inbox = Inbox(reassembly_bytes, reassembly_bytes // 2, MAX_REQUEST_BYTES)
        self._peer_outboxes: dict[Address, Outbox] = {}
        self._replies = Replies(self._put, surroundings.draw_message_id)
        self.socket = surroundings.open_socket(address)

    def close(self) -> None:
        self.socket.close()

    def counters(self) -> dict[str, dict[str, int]]:
        """Datagrams received and sent by type, dropped by reason."""
        drops = self.drops + self._replies.drops + self._peer_inbox.drops + self._client_inbox.drops
        return {
            "received": {MessageType(kind).name: count for kind, count in sorted(self.received.items())},
            "sent": {MessageType(kind).name: count for kind, count in sorted(self.sent.items())},
            "drops": dict(sorted(drops.items())),
        }

    # -- in -----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take what has come, for DRAIN_S and up to MAX_DRAIN datagrams, and hand on what is complete and right."""
        receive, clock = self.socket.recvfrom, self._clock
        until = clock() + DRAIN_S
        for _ in range(MAX_DRAIN):
            try:
                datagram, address = receive(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.drops["socket_error"] += 1
                return
            self._take(datagram, address)
            if clock() > until:
                return

    def _take(self, datagram: bytes, address: Address) -> None:
        try:
            header = Header.unpack(datagram)
            self.received[header.type] += 1
            if header.type < FIRST_CLIENT_TYPE:
                self._take_peer(header, datagram, address)
            else:
                self._take_client(header, datagram, address)
        except WireError:
            self.drops["malformed"] += 1

    def _take_peer(self, header: Header, datagram: bytes, address: Address) -> None:
        reason = self._refusal(header, datagram, address)
        if reason:
            self.drops[reason] += 1
            return
        if self._seal is not None:
            datagram = datagram[:-SEAL_BYTES]
        payload: Encoded = datagram[HEADER_BYTES:]
        if header.is_fragment:
            fragment = unpack_fragment(datagram[HEADER_BYTES:])
            whole = self._gather(self._peer_inbox, header, datagram, fragment, address)
            if whole is None:
                return
            payload = whole
        message = unpack_peer(header, payload, cluster=self._cluster)
        if message.type is MessageType.FRAGMENT_STATUS:
            outbox = self._peer_outboxes.get(address)
            if outbox is not None:
                outbox.on_status(FragmentStatus.unpack(message.data), address, self._clock())
                self._pump(address, outbox)
        else:
            self._handlers.peer(header.group, message)

    def _refusal(self, header: Header, datagram: bytes, address: Address) -> str:
        """Why a peer message is none for this member, "" if it is one."""
        if header.target != self._member:
            return "for_the_network" if header.type == MessageType.CONFIGURATION else "misdelivered"
        members = self._peers.get(header.group)
        if members is None:
            return "unknown_group"
        expected = members.get(header.source)
        if expected is not None and expected != address:
            return "wrong_address"
        if self._seal is None:
            return "" if expected is not None else "not_member"
        # The own configuration may be too old to know the sender. Only the key tells such a one from an impostor.
        if not 0 < header.source <= MAX_ID:
            return "not_member"
        if len(datagram) < HEADER_BYTES + SEAL_BYTES or not self._seal.is_right(datagram):
            return "bad_mac"
        if not self._seal.is_new(header.source, datagram):
            return "replayed"
        if expected is None and self._guests.get((header.group, header.source)) != address:
            self._guests[header.group, header.source] = address
            self._forget_strangers()
        return ""

    def _take_client(self, header: Header, datagram: bytes, address: Address) -> None:
        payload = datagram[HEADER_BYTES:]
        self._replies.heard(address, len(datagram), self._clock())
        if header.source != NOBODY or header.type == MessageType.CLIENT_REPLY:
            self.drops["not_a_request"] += 1
        elif header.group not in self._peers:
            self.drops["unknown_group"] += 1
        elif header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            self._replies.on_status(FragmentStatus.unpack(payload), address, self._clock())
        elif not header.is_fragment:
            if header.flags & MORE:
                self._take_batch(header, payload, address)
            else:
                self._handlers.request(header, payload, address)
        else:
            fragment = unpack_fragment(payload)
            if fragment.offset == 0 and self._handlers.refuse(header, fragment.data, address):
                return
            whole = self._gather(self._client_inbox, header, datagram, fragment, address)
            if whole is not None:
                self._handlers.request(header, whole, address)

    def _take_batch(self, header: Header, payload: bytes, address: Address) -> None:
        kind, group, session, lowest, flags = header.type, header.group, header.log_term, header.commit, header.flags
        for sequence, request in unpack_batch(payload):
            one = Header(
                kind, 0, 0, group, term=header.term, index=sequence, log_term=session, commit=lowest, flags=flags
            )
            self._handlers.request(one, request, address)

    def _gather(
        self, inbox: Inbox, header: Header, datagram: bytes, fragment: Fragment, address: Address
    ) -> Encoded | None:
        now = self._clock()
        inbox.expire(now)
        received = inbox.receive(address, datagram[:HEADER_BYTES], fragment, now)
        if received.status is not None and header.type < FIRST_CLIENT_TYPE:
            # Without a key, whoever has this member's address may have sent it: that one is not to hear much more.
            room = AMPLIFICATION * len(datagram) - HEADER_BYTES - PEER_PREFIX_BYTES
            body = received.status.pack(room)
            answer = Message(MessageType.FRAGMENT_STATUS, self._member, header.source, header.term, data=body)
            reply, body = pack_peer(answer, group=header.group, cluster=self._cluster)
            self._put(reply.type, reply.pack() + body, address)
        elif received.status is not None:
            self._replies.send_status(status_header(header, self._member), received.status, address, now)
        return received.payload

    # -- members ------------------------------------------------------------------------------------------------

    def set_members(self, group: int, addresses: Mapping[int, Address]) -> None:
        """Where the members of a group are from now on."""
        self._peers[group] = {member: place for member, place in addresses.items() if member != self._member}
        for member in addresses:
            self._guests.pop((group, member), None)
        self._forget_strangers()

    def _forget_strangers(self) -> None:
        """Nothing is kept for addresses at which nobody is any more."""
        known = {place for members in self._peers.values() for place in members.values()}
        known.update(self._guests.values())
        for address in [one for one in self._peer_outboxes if one not in known]:
            del self._peer_outboxes[address]

    def tell_network(self, group: int, message: Message, address: Address) -> None:
        """Send a message that is for switches on its way to ``address``."""
        header, payload = pack_peer(message, group=group, cluster=self._cluster)
        self._put(message.type, header.pack() + payload, address)

    # -- out ----------------------------------------------------------------------------------------------------

    def send_peer(self, group: int, message: Message) -> None:
        """Send a message to another member: now if it is small, else in fragments."""
        address = self._peers[group].get(message.target) or self._guests.get((group, message.target))
        if address is None:
            self.drops["address_unknown"] += 1
            return
        if not message.entries:
            self._send_whole(group, message, address)
            return
        for part in split_append(message, MAX_DATAGRAM):
            self._send_whole(group, part, address)

    def _send_whole(self, group: int, message: Message, address: Address) -> None:
        if len(message.entries) == 1 and len(message.entries[0].data) > LARGE:
            self._send_fragmented(*pack_large(message, group=group, cluster=self._cluster), address)
            return
        header, payload = pack_peer(message, group=group, cluster=self._cluster)
        outbox = self._peer_outboxes.get(address)
        # What follows a large AppendEntries queues up behind it, or it would be rejected for the gap.
        queue = outbox is not None and len(outbox) > 0 and bool(message.entries)
        if HEADER_BYTES + len(payload) <= MAX_DATAGRAM and not queue:
            self._put(message.type, header.pack() + payload, address)
            return
        self._send_fragmented(header, payload, address)

    def _send_fragmented(self, header: Header, payload: Payload, address: Address) -> None:
        outbox = self._peer_outboxes.get(address)
        if outbox is None:
            outbox = self._peer_outboxes[address] = Outbox(self._draw_message_id())
        if self._makes_room(outbox, header, len(payload)):
            outbox.add(header, payload, self._clock())
            self._pump(address, outbox)

    def _makes_room(self, outbox: Outbox, header: Header, size: int) -> bool:
        """Forget what an older term left behind. False if the same is on its way already, or too much is."""
        for number, other in list(outbox.headers()):
            if other.group != header.group:
                continue
            if other.term < header.term:
                outbox.remove(number)
            elif (other.type, other.term, other.index) == (header.type, header.term, header.index):
                if outbox.size_of(number) >= size:
                    self.drops["sent_already"] += 1
                    return False
                outbox.remove(number)
        if outbox.payload_bytes + size > MAX_PEER_OUTBOX_BYTES and len(outbox) > 0:
            self.drops["outbox_full"] += 1
            return False
        return True

    def send_client(self, header: Header, payload: Payload, address: Address) -> None:
        """Send a reply to a client's address."""
        self._replies.send(header, payload, address, self._clock())

    def poll(self) -> None:
        """Send what is due again; to be called now and then, at least every tick."""
        for address, outbox in self._peer_outboxes.items():
            self._pump(address, outbox)
        self._replies.poll(self._clock())

    @property
    def waits(self) -> bool:
        """Whether ``poll`` may have something to do."""
        return bool(self._replies) or any(self._peer_outboxes.values())

    def _pump(self, address: Address, outbox: Outbox) -> None:
        for datagram in outbox.poll(self._clock()):
            self._put(datagram[1], datagram, address)

    def _put(self, kind: int, datagram: bytes, address: Address) -> None:
        if self._seal is not None and kind < FIRST_CLIENT_TYPE:
            datagram = self._seal.close_up(datagram)
        try:
            self.socket.sendto(datagram, address)
            self.sent[kind] += 1
        except OSError:
            # A full buffer or no route: for Raft the same as a datagram lost on the way.
            self.drops["not_sent"] += 1
