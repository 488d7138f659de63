"""A node's UDP socket: what comes in is checked and counted, what goes out is cut to datagrams and paced.

Of peer messages only those pass that name this member as target, a known group, one of its members as source, and
that come from that member's configured address and port; so members must be reached at the address that they bind,
without translation on the way. With a cluster key only those pass, too, that are sealed with it (``hosts.net.seal``).
Everything else is dropped and counted under its reason.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hosts.clock import boottime
from hosts.config import DEFAULT_MTU, Address
from hosts.net import gathered
from hosts.net.batches import MORE, unpack_batch
from hosts.net.path import largest_datagram
from hosts.net.peers import Everybody, Peers
from hosts.net.reassembly import CROWDED_S, HEAD_BYTES, Datagram, Inbox, Key, Told, key_of
from hosts.net.replies import Replies, status_header
from hosts.net.seal import SEAL_BYTES, Seal
from hosts.net.udp import BATCH, Socket, UdpSocket
from hosts.net.validation import AMPLIFICATION
from hosts.raft.config import MAX_ID
from hosts.raft.message import EVERYBODY, NOBODY, NOTHING_QUOTED, REPLIES_TO_LEADERS, Message, MessageType, Quoted
from hosts.raft.patience import Cause
from hosts.service.requests import MAX_REQUEST_BYTES, READS, Encoded, operation_in
from hosts.wire import (
    FIRST_CLIENT_TYPE,
    HEADER_BYTES,
    PEER_PREFIX_BYTES,
    Flag,
    FragmentStatus,
    Header,
    Payload,
    WireError,
    pack_peer,
    unpack_fragment,
    unpack_peer,
    unpack_start,
)

MAX_DRAIN = 256
DRAIN_S = 0.005
"""Datagrams taken from the socket, and time spent on them, before anything else has its turn."""

MESSAGE_OVERHEAD_BYTES = 1 << 20
"""An AppendEntries may carry this much beside the largest value."""

STRANGERS = ("not_member", "wrong_address", "bad_mac", "replayed")
"""The reasons for which a datagram is dropped that speaks for a member and does not come from it."""

_CAUSES = frozenset(Cause)
_FRAGMENT, _READ, _GATHERED = int(Flag.FRAGMENT), int(Flag.READ), int(Flag.GATHERED)
_PROBES = frozenset({int(MessageType.FRAGMENT_STATUS), int(MessageType.CLIENT_FRAGMENT_STATUS)})
"""As fragments they only prove that datagrams of their size arrive."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """Whom the transport tells. ``refuse`` is asked about the first fragment of a large request, and answers it
    itself if this node cannot serve it; the rest of it is then not gathered."""

    peer: Callable[[int, Message], None]
    request: Callable[[Header, Encoded, Address], None]
    refuse: Callable[[Header, bytes, Address], bool]
    unreachable: Callable[[int, int, Quoted], None]
    """Told the group and the member at whose address nobody listens, by that host's own word."""
    hint: Callable[[int, int, Cause], None]
    """Told the group, term and cause of a CampaignHint."""
    is_news: Callable[[Header, int], bool] = lambda header, round: True
    """Asked whether an acknowledgement, by its header and round, says more than is known."""


def draw_message_id() -> int:
    """Where an outbox's message ids begin: unlike those of an earlier life."""
    return int.from_bytes(os.urandom(8), "big")


def open_udp(address: Address, largest: int, wants_refusals: bool) -> Socket:
    """The kernel's socket. Raises what ``UdpSocket`` raises."""
    return UdpSocket(address, largest, wants_refusals=wants_refusals)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a transport takes from outside itself; a simulator has its own. ``clock`` is monotonic, in seconds;
    ``open_socket`` takes an address, the largest datagram that is expected, and whether refusals are wanted."""

    clock: Callable[[], float] = boottime
    open_socket: Callable[[Address, int, bool], Socket] = open_udp
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
        mtu: int = DEFAULT_MTU,
        *,
        refusals: bool = True,
        hints: bool = False,
        gathers: bool = False,
        services: Mapping[int, Address] = {},
    ) -> None:
        """Without ``seal`` whoever has a member's address is believed. ``mtu``: bytes of the largest IP packet that
        is tried. ``refusals``: what other hosts' kernels answer is of interest. ``hints``: so is what the network's
        controller says. ``gathers``: acknowledgements may be gathered on their way here. ``services``: by group,
        where to send what the network is to copy to everybody. Raises OSError if ``address`` is unusable."""
        self._takes_hints = hints
        self._gathers = gathers
        self._asked: dict[int, int] = {}
        """By group: the latest term in which this member has let the network gather acknowledgements."""
        self.gathered: Counter[str] = Counter()
        """Packets with gathered acknowledgements that have come, and the records in them: taken, known already, or
        refused. Those of no use are looked at no further, so that they are neither right nor wrong."""
        self._member = member
        self._seal = seal
        self._cluster = cluster if seal is None else seal.cluster
        self._peers = {group: dict(members) for group, members in peers.items()}
        self._guests: dict[tuple[int, int], Address] = {}
        """By group and id: who has proved with the key to be a member, but is not known yet."""
        self._handlers = handlers
        self._clock = surroundings.clock
        self.received: Counter[int] = Counter()
        self.sent: Counter[int] = Counter()
        self.drops: Counter[str] = Counter()
        self.peer_bytes_sent: Counter[Address] = Counter()
        self.peer_bytes_received: Counter[Address] = Counter()
        """Bytes of members' datagrams, by the address that they went to or came from: UDP's payload."""
        largest = MAX_REQUEST_BYTES + MESSAGE_OVERHEAD_BYTES
        self._peer_inbox = Inbox(reassembly_bytes, reassembly_bytes, largest, CROWDED_S)
        self._client_inbox = Inbox(reassembly_bytes, reassembly_bytes // 2, MAX_REQUEST_BYTES)
        self._received: deque[tuple[Datagram, Address]] = deque()
        """What was taken from the socket and not looked at yet."""
        self._latest: tuple[Key, bytes] | None = None
        """The message whose fragment was looked at last, and how that began, if only its end is to come and none of
        it is sealed."""
        self._services = dict(services)
        overhead = SEAL_BYTES if seal is not None else 0
        self._outgoing = Peers(self._put, self._put_all, surroundings.draw_message_id, self._cluster, mtu, overhead)
        self._replies = Replies(self._put, self._put_all, surroundings.draw_message_id, mtu)
        self.socket = surroundings.open_socket(address, largest_datagram(address[0], mtu), refusals)

    def close(self) -> None:
        self.socket.close()

    def counters(self) -> dict[str, dict[str, int]]:
        """Datagrams received and sent by type, dropped by reason."""
        drops = (
            self.drops
            + self._outgoing.drops
            + self._replies.drops
            + self._peer_inbox.drops
            + self._client_inbox.drops
        )
        shrunk = self._outgoing.shrunk + self._replies.shrunk
        if shrunk:
            drops["path_shrunk"] = shrunk
        return {
            "received": {MessageType(kind).name: count for kind, count in sorted(self.received.items())},
            "sent": {MessageType(kind).name: count for kind, count in sorted(self.sent.items())},
            "drops": dict(sorted(drops.items())),
        }

    def peers(self) -> dict[str, dict[str, Any]]:
        """By the id of each other member: its address, and bytes of datagrams sent to and received from there."""
        places = {member: place for members in self._peers.values() for member, place in members.items()}
        return {
            str(member): {
                "address": f"{place[0]}:{place[1]}",
                "sent_bytes": self.peer_bytes_sent[place],
                "received_bytes": self.peer_bytes_received[place],
            }
            for member, place in sorted(places.items())
        }

    def fan_outs(self) -> dict[str, dict[str, Any]]:
        """By group: the address where the network copies what goes to everybody, and bytes of datagrams sent."""
        return {
            str(group): {"address": f"{place[0]}:{place[1]}", "sent_bytes": self.peer_bytes_sent[place]}
            for group, place in sorted(self._services.items())
        }

    def paths(self) -> dict[str, dict[str, int]]:
        """By the address of a member that large messages went to: bytes of the largest datagram that surely arrives,
        how often one that did has stopped to, and bytes that may be on their way."""
        return self._outgoing.paths()

    # -- in -----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take what has come, for DRAIN_S and up to MAX_DRAIN datagrams, and hand on what is complete and right."""
        clock = self._clock
        now = clock()
        until = now + DRAIN_S
        for _ in range(MAX_DRAIN // BATCH):
            whole = False
            if not self._received:
                try:
                    batch = self.socket.receive()
                except OSError:
                    self.drops["socket_error"] += 1
                    return
                whole = len(batch) == BATCH
                self._received.extend(batch)
            received = self._received
            while received and now <= until:
                datagram, address = received.popleft()
                self._latest = None
                self._take(datagram, address, now)
                if received and self._latest is not None:
                    self._take_next(now, *self._latest)
                now = clock()
            self._answer_fragments()
            if received or not whole:
                return

    def take_refusals(self) -> None:
        """Take what hosts have answered to datagrams that were sent, and hand on which members are not there, and
        which replies they have refused. To be called after a ``drain`` that has left nothing: what a member had said
        before its end counts for less than its host's word."""
        for refusal in self.socket.take_refusals():
            gone = [
                (group, member)
                for group, members in self._peers.items()
                for member, place in members.items()
                if refusal.nobody_there and place == refusal.destination
            ]
            self.drops["port_unreachable" if gone else "icmp_error"] += 1
            for group, member in gone:
                self._handlers.unreachable(group, member, self._quoted(refusal.quoted, group, member))

    def _quoted(self, datagram: bytes, group: int, member: int) -> Quoted:
        """What the quote of a datagram says, if that is this member's reply to a leader."""
        try:
            header, cluster, round = unpack_start(datagram)
        except WireError:
            return NOTHING_QUOTED
        is_reply = header.type in REPLIES_TO_LEADERS and not header.is_fragment and cluster == self._cluster
        is_mine = (header.source, header.target, header.group) == (self._member, member, group)
        return Quoted(header.term, round) if is_reply and is_mine else NOTHING_QUOTED

    @property
    def has_more(self) -> bool:
        """Whether ``drain`` has left something that is in the socket no more."""
        return bool(self._received)

    def _take(self, datagram: Datagram, address: Address, now: float) -> None:
        try:
            if len(datagram) > HEAD_BYTES and datagram[2] & _FRAGMENT:
                self._take_fragment(datagram, address, now)
                return
            datagram = bytes(datagram)
            header = Header.unpack(datagram)
            self.received[header.type] += 1
            if header.type == MessageType.CAMPAIGN_HINT:
                self._take_hint(header)
            elif header.flags & _GATHERED:
                self._take_gathered(header, datagram, address)
            elif header.type < FIRST_CLIENT_TYPE:
                self._take_peer(header, datagram, address)
            else:
                self._take_client(header, datagram, address, now)
        except WireError:
            self.drops["malformed"] += 1

    def _take_next(self, now: float, key: Key, head: bytes) -> None:
        """Go on with the message whose fragment came last: as a rule its next ones have come with it."""
        received = self._received
        kind = key.head[1]
        inbox = self._peer_inbox if kind < FIRST_CLIENT_TYPE else self._client_inbox
        count, size, whole = inbox.receive_next(key, head, received, now)
        if not count:
            return
        for _ in range(count):
            received.popleft()
        self.received[kind] += count
        assert isinstance(key.source, tuple)
        if kind >= FIRST_CLIENT_TYPE:
            self._replies.heard(key.source, size, now)
        else:
            self.peer_bytes_received[key.source] += size
        if whole is not None:
            self._complete(key, whole)

    def _take_fragment(self, datagram: Datagram, address: Address, now: float) -> None:
        """Most datagrams of a large message: what its first fragment has shown is not looked at again."""
        kind, head = datagram[1], bytes(datagram[:HEAD_BYTES])
        key = key_of(address, head)
        inbox = self._peer_inbox if kind < FIRST_CLIENT_TYPE else self._client_inbox
        if key in inbox and (self._seal is None or kind >= FIRST_CLIENT_TYPE):
            self.received[kind] += 1
            if kind >= FIRST_CLIENT_TYPE:
                self._replies.heard(address, len(datagram), now)
            else:
                self.peer_bytes_received[address] += len(datagram)
        else:
            datagram = bytes(datagram)
            header = Header.unpack(datagram)
            self.received[kind] += 1
            if kind < FIRST_CLIENT_TYPE:
                opened = self._open(header, datagram, address)
                if opened is None:
                    return
                datagram = opened
            elif not self._is_request(header, datagram, address, now):
                return
            if self._is_beside_the_point(header, datagram, address, now):
                return
        inbox.expire(now)
        whole = inbox.receive(key, datagram, now)
        if whole is not None:
            self._complete(key, whole)
        elif inbox.lacks_only_the_end_of(key) and (self._seal is None or kind >= FIRST_CLIENT_TYPE):
            self._latest = key, head

    def _complete(self, key: Key, whole: Encoded) -> None:
        """All of a message has come."""
        header, address = Header.unpack(key.head), key.source
        if header.type < FIRST_CLIENT_TYPE:
            self._hand_on(header, whole)
        else:
            assert isinstance(address, tuple)
            self._handlers.request(header, whole, address)

    def _is_beside_the_point(self, header: Header, datagram: bytes, address: Address, now: float) -> bool:
        """Whether a fragment need not be gathered: it only proves that its size arrives, or it begins a request that
        is in vain here, and is answered."""
        if header.type in _PROBES:
            fragment = unpack_fragment(datagram[HEADER_BYTES:])
            arrived = FragmentStatus(fragment.message_id, fragment.total, len(fragment.data))
            answer = self._make_answer(Told(address, datagram[:HEADER_BYTES], arrived, len(datagram)), now)
            if answer is not None:
                self._put_all([answer], address)
            return True
        if header.type < FIRST_CLIENT_TYPE:
            return False
        fragment = unpack_fragment(datagram[HEADER_BYTES:])
        return fragment.offset == 0 and self._handlers.refuse(header, fragment.data, address)

    def _take_peer(self, header: Header, datagram: bytes, address: Address) -> None:
        opened = self._open(header, datagram, address)
        if opened is None:
            return
        payload = opened[HEADER_BYTES:]
        if header.type == MessageType.FRAGMENT_STATUS:
            message = unpack_peer(header, payload, cluster=self._cluster)
            self._outgoing.on_status(FragmentStatus.unpack(message.data), address, self._clock())
        else:
            self._hand_on(header, payload)

    def _take_gathered(self, header: Header, datagram: bytes, address: Address) -> None:
        """Acknowledgements of several members, each of which counts as what its own member has said."""
        if not self._gathers or self._asked.get(header.group) != header.term:
            self.drops["gathered_unwanted"] += 1
            return
        carrier, *records = gathered.split(datagram, self._cluster, sealed=self._seal is not None)
        self.gathered["packets"] += 1
        own = Header.unpack(carrier)
        opened = self._open(own, carrier, address)
        if opened is not None:
            self._hand_on(own, opened[HEADER_BYTES:])  # or it is another cluster's, and so are the records
        elif self._seal is None:
            return  # nothing else speaks for the records either
        for record in records:
            self.gathered[self._take_record(record)] += 1

    def _take_record(self, record: bytes) -> str:
        """Take a member's acknowledgement that has come in another one's packet; what became of it. A seal is looked
        at only of what is news: for the switch, or who doubles packets, may well bring something twice."""
        header = Header.unpack(record)
        if header.target != self._member or header.source not in self._peers.get(header.group, {}):
            self.drops["not_member"] += 1
            return "refused"
        seal, end = self._seal, HEADER_BYTES + PEER_PREFIX_BYTES
        message = unpack_peer(header, record[HEADER_BYTES:end], cluster=self._cluster)
        if not self._handlers.is_news(header, message.round):
            return "known"
        if seal is not None and not seal.is_right(record):
            self.drops["bad_mac"] += 1
            return "refused"
        if seal is not None and not seal.is_new(header.source, record):
            return "known"
        self._handlers.peer(header.group, message)
        return "taken"

    def _take_hint(self, header: Header) -> None:
        """A CampaignHint has no seal, for the controller is no member and has no key. It is taken all the same: it
        moves nothing but the moment at which a member that hears its leader no more asks for votes. And it is taken
        only behind switches that let in none but their controller's."""
        if not self._takes_hints:
            self.drops["hint_unwanted"] += 1
        elif header.target != self._member or header.source != NOBODY:
            self.drops["misdelivered"] += 1
        elif header.group not in self._peers:
            self.drops["unknown_group"] += 1
        elif header.commit not in _CAUSES:
            self.drops["malformed"] += 1
        else:
            self._handlers.hint(header.group, header.term, Cause(header.commit))

    def _open(self, header: Header, datagram: bytes, address: Address) -> bytes | None:
        """A member's datagram without its seal; None if it is none for this member."""
        reason = self._refusal(header, datagram, address)
        if reason:
            self.drops[reason] += 1
            return None
        self.peer_bytes_received[address] += len(datagram)
        return datagram if self._seal is None else datagram[:-SEAL_BYTES]

    def _hand_on(self, header: Header, payload: Encoded) -> None:
        self._handlers.peer(header.group, unpack_peer(header, payload, cluster=self._cluster))

    def _refusal(self, header: Header, datagram: bytes, address: Address) -> str:
        """Why a peer message is none for this member, "" if it is one."""
        if header.target != self._member:
            # What everybody is to get reaches a member as a copy that names it.
            network = header.target == EVERYBODY or header.type == MessageType.CONFIGURATION
            return "for_the_network" if network else "misdelivered"
        members = self._peers.get(header.group)
        if members is None:
            return "unknown_group"
        expected = members.get(header.source)
        if expected is not None and expected != address:
            return "wrong_address"
        if self._seal is None:
            return "" if expected is not None else "not_member"
        # The own configuration may be too old to know the sender. Only the key tells such a one from an impostor. And
        # what this member has sent to everybody may come back with its id as target: its seal is right.
        if not 0 < header.source <= MAX_ID or header.source == self._member:
            return "not_member"
        if len(datagram) < HEADER_BYTES + SEAL_BYTES or not self._seal.is_right(datagram):
            return "bad_mac"
        if not self._seal.is_new(header.source, datagram):
            return "replayed"
        if expected is None and self._guests.get((header.group, header.source)) != address:
            self._guests[header.group, header.source] = address
            self._forget_strangers()
        return ""

    def _take_client(self, header: Header, datagram: bytes, address: Address, now: float) -> None:
        if not self._is_request(header, datagram, address, now):
            return
        payload = datagram[HEADER_BYTES:]
        if header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            self._replies.on_status(FragmentStatus.unpack(payload), address, now)
        elif header.flags & MORE:
            self._take_batch(header, payload, address)
        else:
            self._handlers.request(header, payload, address)

    def _is_request(self, header: Header, datagram: bytes, address: Address, now: float) -> bool:
        """Whether a client may have sent this to a group of this node."""
        self._replies.heard(address, len(datagram), now)
        if header.source != NOBODY or header.type == MessageType.CLIENT_REPLY:
            self.drops["not_a_request"] += 1
        elif header.group not in self._peers:
            self.drops["unknown_group"] += 1
        else:
            return True
        return False

    def _take_batch(self, header: Header, payload: bytes, address: Address) -> None:
        """A batch that is said to read, and does not only, is taken for one of writes: it is all for the leader."""
        kind, group, session, lowest, flags = header.type, header.group, header.log_term, header.commit, header.flags
        requests: Iterable[tuple[int, bytes]] = unpack_batch(payload)
        if flags & _READ:
            requests = list(requests)
            if not all(operation_in(request) in READS for _, request in requests):
                flags &= ~_READ
        for sequence, request in requests:
            one = Header(
                kind, 0, 0, group, term=header.term, index=sequence, log_term=session, commit=lowest, flags=flags
            )
            self._handlers.request(one, request, address)

    def _answer_fragments(self, *, waited: bool = False) -> None:
        """Tell senders of fragments what has come, and send what the answers to the own ones make room for."""
        now = self._clock()
        for inbox in (self._peer_inbox, self._client_inbox):
            answers: dict[Address, list[bytes]] = {}
            for told in inbox.take_statuses(waited=waited):
                answer = self._make_answer(told, now)
                if answer is not None:
                    answers.setdefault(_address_of(told), []).append(answer)
            for address, datagrams in answers.items():
                self._put_all(datagrams, address)
        self._outgoing.go_on(now)

    def _make_answer(self, told: Told, now: float) -> bytes | None:
        """What to tell a sender of fragments; None if it may not hear that."""
        header = Header.unpack(told.header)
        if header.type >= FIRST_CLIENT_TYPE:
            return self._replies.make_status(status_header(header, self._member), told.status, _address_of(told), now)
        # Without a key, whoever has this member's address may have sent it: that one is not to hear much more.
        room = AMPLIFICATION * told.size - HEADER_BYTES - PEER_PREFIX_BYTES
        body = told.status.pack(room)
        answer = Message(MessageType.FRAGMENT_STATUS, self._member, header.source, header.term, data=body)
        reply, body = pack_peer(answer, group=header.group, cluster=self._cluster)
        return reply.pack() + body[:]

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
        known.update(self._guests.values(), self._services.values())
        self._outgoing.keep_only(known)
        for kept in (self.peer_bytes_sent, self.peer_bytes_received):
            for address in [one for one in kept if one not in known]:
                del kept[address]

    def tell_network(self, group: int, message: Message, address: Address) -> None:
        """Send a message that is for switches on its way to ``address``."""
        header, payload = pack_peer(message, group=group, cluster=self._cluster)
        self._put(message.type, header.pack() + payload, address)

    # -- out ----------------------------------------------------------------------------------------------------

    def send_peer(self, group: int, message: Message) -> None:
        """Send a message to another member, or to EVERYBODY: now if it is small, else in fragments."""
        if message.gather and message.type is MessageType.APPEND_ENTRIES:
            self._asked[group] = message.term
        if message.target == EVERYBODY:
            self._send_everybody(group, message)
            return
        address = self._address_of(group, message.target)
        if address is None:
            return
        self._outgoing.send(group, message, address, self._clock())

    def _address_of(self, group: int, member: int) -> Address | None:
        address = self._peers[group].get(member) or self._guests.get((group, member))
        if address is None:
            self.drops["address_unknown"] += 1
        return address

    def _send_everybody(self, group: int, message: Message) -> None:
        """Send an AppendEntries once, for the network to copy; to each of its receivers where the network cannot."""
        service = self._services.get(group)
        if service is None:
            for member in message.receivers:
                self.send_peer(group, replace(message, target=member, receivers=(), needed=0))
            return
        receivers: dict[int, Address] = {}
        for member in message.receivers:
            address = self._address_of(group, member)
            # Where one member takes another one's place, two are at one address, and only one of them is there.
            if address is not None and address not in receivers.values():
                receivers[member] = address
        to = Everybody(service, receivers, max(1, message.needed))
        self._outgoing.send_everybody(group, message, to, self._clock())

    def send_client(self, header: Header, payload: Payload, address: Address) -> None:
        """Send a reply to a client's address."""
        self._replies.send(header, payload, address, self._clock())

    def poll(self) -> None:
        """Send what is due again; to be called now and then, at least every tick."""
        self._answer_fragments(waited=True)
        self._outgoing.poll(self._clock())
        self._replies.poll(self._clock())

    @property
    def waits(self) -> bool:
        """Whether ``poll`` may have something to do."""
        owes = self._peer_inbox.owes or self._client_inbox.owes
        return owes or bool(self._replies) or bool(self._outgoing)

    def _put(self, kind: int, datagram: bytes, address: Address) -> None:
        if self._seal is not None and kind < FIRST_CLIENT_TYPE:
            datagram = self._seal.close_up(datagram)
        try:
            self.socket.send(datagram, address)
            self.sent[kind] += 1
            if kind < FIRST_CLIENT_TYPE:
                self.peer_bytes_sent[address] += len(datagram)
        except OSError:
            # A full buffer or no route: for Raft the same as a datagram lost on the way.
            self.drops["not_sent"] += 1

    def _put_all(self, datagrams: Sequence[bytes], address: Address) -> None:
        """Send fragments to one address."""
        for datagram in datagrams:
            self.sent[datagram[1]] += 1
        if self._seal is not None and datagrams[0][1] < FIRST_CLIENT_TYPE:
            datagrams = [self._seal.close_up(datagram) for datagram in datagrams]
        failed = len(datagrams) - self.socket.send_all(datagrams, address)
        if datagrams[0][1] < FIRST_CLIENT_TYPE:
            self.peer_bytes_sent[address] += sum(map(len, datagrams[: len(datagrams) - failed]))
        if failed:
            self.sent[datagrams[-1][1]] -= failed
            self.drops["not_sent"] += failed


def _address_of(told: Told) -> Address:
    assert isinstance(told.source, tuple)
    return told.source
