"""Acknowledgements that a switch has gathered: each counts as what its own member has sent, and as nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hosts.config import Acknowledgements, ConfigError, parse
from hosts.net.gathered import own_part, split
from hosts.net.seal import SEAL_BYTES, Seal
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.raft.message import Entry, EntryKind, Message, MessageType
from hosts.wire import HEADER_BYTES, Flag, Header, WireError, pack_peer
from tests.hosts.memory_socket import MemorySocket

KEY, CLUSTER, GROUP, TERM = b"k" * 32, 7, 1, 5
ADDRESSES = {member: (f"10.0.0.{member}", 26410) for member in range(1, 10)}
LEADER = 1
WAYS = pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without"])


class Follower:
    """A member that acknowledges; what leaves it."""

    def __init__(self, member: int, key: bytes | None, boot: int = 1) -> None:
        self.member = member
        self._seal = None if key is None else Seal(key, CLUSTER, boot)
        self._cluster = CLUSTER if self._seal is None else self._seal.cluster

    def reply(self, index: int, round: int = 3, term: int = TERM, **fields: int) -> Message:
        kind = MessageType.APPEND_ENTRIES_REPLY
        return replace(Message(kind, self.member, LEADER, term, index, round=round, gather=True), **fields)

    def says(self, message: Message) -> bytes:
        header, payload = pack_peer(message, group=GROUP, cluster=self._cluster)
        datagram = header.pack() + payload[:]
        return datagram if self._seal is None else self._seal.close_up(datagram)


def record(datagram: bytes) -> bytes:
    """What a switch keeps of an acknowledgement."""
    return datagram[3:4] + bytes(1) + datagram[16:24] + datagram[HEADER_BYTES + 8 :]


def gathered(carrier: bytes, *others: bytes) -> bytes:
    """What a switch sends on."""
    header = bytearray(carrier[:HEADER_BYTES])
    header[2] |= int(Flag.GATHERED)
    return bytes(header) + b"".join(map(record, others)) + carrier[HEADER_BYTES:]


class Leader:
    """The leader's transport, on a socket that a test moves datagrams into."""

    def __init__(self, key: bytes | None, *, gathers: bool = True, asks: bool = True) -> None:
        self.socket = MemorySocket()
        self.heard: list[Message] = []
        self.known: dict[int, tuple[int, int]] = {}
        """By member: index and round of what is known of it."""
        peers = {GROUP: {member: place for member, place in ADDRESSES.items() if member != LEADER}}
        handlers = Handlers(
            lambda _, message: self.heard.append(message),
            lambda *_: None,
            lambda *_: False,
            lambda *_: None,
            lambda *_: None,
            self._is_news,
        )
        surroundings = Surroundings(clock=lambda: 0.0, open_socket=lambda *_: self.socket)
        seal = None if key is None else Seal(key, CLUSTER, 1)
        self.transport = Transport(
            LEADER, ADDRESSES[LEADER], CLUSTER, peers, 16 << 20, handlers, surroundings, seal, gathers=gathers
        )
        if asks:
            self.asks()

    def asks(self, term: int = TERM) -> None:
        entry = Entry(term, 1, EntryKind.COMMAND, b"x")
        self.transport.send_peer(
            GROUP, Message(MessageType.APPEND_ENTRIES, LEADER, 2, term, entries=(entry,), gather=True)
        )

    def _is_news(self, header: Header, round: int) -> bool:
        index, known = self.known.get(header.source, (0, 0))
        return header.index > index or round > known

    def take(self, datagram: bytes, source: int = 2) -> dict[str, int]:
        """The drops since the last time."""
        before = dict(self.transport.drops)
        self.socket.waiting.append((datagram, ADDRESSES[source]))
        self.transport.drain()
        return {k: n - before.get(k, 0) for k, n in self.transport.drops.items() if n != before.get(k, 0)}


@WAYS
@pytest.mark.parametrize("count", range(1, 8))
def test_each_is_taken_as_it_was_sent(key: bytes | None, count: int) -> None:
    leader = Leader(key)
    others = [Follower(3 + at, key) for at in range(count)]
    replies = [other.reply(10 + other.member, round=other.member) for other in others]
    carrier = Follower(2, key)
    datagram = gathered(
        carrier.says(carrier.reply(9)), *(one.says(reply) for one, reply in zip(others, replies, strict=True))
    )
    assert leader.take(datagram) == {}
    assert leader.heard == [carrier.reply(9), *replies]
    assert leader.transport.gathered == {"packets": 1, "taken": count}


@WAYS
@pytest.mark.parametrize("count", range(1, 8))
def test_the_carriers_own_is_found_without_the_key(key: bytes | None, count: int) -> None:
    own = Follower(2, key).says(Follower(2, key).reply(9))
    others = [Follower(3 + at, key).says(Follower(3 + at, key).reply(9)) for at in range(count)]
    assert own_part(gathered(own, *others)) == own
    with pytest.raises(WireError):
        own_part(gathered(own, *others) + b"x")


@WAYS
def test_what_is_known_is_not_looked_at_and_no_replay(key: bytes | None) -> None:
    leader, two, three = Leader(key), Follower(2, key), Follower(3, key)
    said = three.says(three.reply(7))
    assert leader.take(said, 3) == {}
    leader.known[3] = 7, 3
    assert leader.take(gathered(two.says(two.reply(8)), said)) == {}
    assert leader.heard == [three.reply(7), two.reply(8)]
    wrong = said[:-1] + bytes((said[-1] ^ 1,)) if key else said
    assert leader.take(gathered(two.says(two.reply(9)), wrong)) == {}
    assert leader.transport.gathered == {"packets": 2, "known": 2}


def test_a_repeat_of_what_seems_to_be_news_is_no_replay() -> None:
    """A late round may have come before, and the core have had no use for it."""
    leader, two, three = Leader(KEY), Follower(2, KEY), Follower(3, KEY)
    said = three.says(three.reply(7))
    for index in (8, 9):
        assert leader.take(gathered(two.says(two.reply(index)), said)) == {}
    assert leader.heard == [two.reply(8), three.reply(7), two.reply(9)]
    assert leader.transport.gathered == {"packets": 2, "taken": 1, "known": 1}


@pytest.mark.parametrize("at", range(50))
def test_a_changed_record_is_refused_and_the_others_are_not(at: int) -> None:
    leader, two, three, four = Leader(KEY), *(Follower(member, KEY) for member in (2, 3, 4))
    datagram = bytearray(gathered(two.says(two.reply(8)), three.says(three.reply(7)), four.says(four.reply(6))))
    datagram[HEADER_BYTES + at] ^= 4
    drops = leader.take(bytes(datagram))
    if at == 1:
        assert drops == {"malformed": 1} and leader.heard == []
        return
    assert drops in ({"bad_mac": 1}, {"not_member": 1})
    assert leader.heard == [two.reply(8), four.reply(6)]
    assert leader.transport.gathered == {"packets": 1, "taken": 1, "refused": 1}


def test_a_carrier_with_a_wrong_seal_is_dropped_and_the_records_are_not() -> None:
    leader, two, three = Leader(KEY), Follower(2, KEY), Follower(3, KEY)
    datagram = bytearray(gathered(two.says(two.reply(8)), three.says(three.reply(7))))
    datagram[-1] ^= 1
    assert leader.take(bytes(datagram)) == {"bad_mac": 1}
    assert leader.heard == [three.reply(7)]


@pytest.mark.parametrize("at", [6, 8, 15, 24, 39])
def test_records_are_of_the_group_and_term_that_they_were_sent_in(at: int) -> None:
    """A changed header is nobody's."""
    leader, two, three = Leader(KEY), Follower(2, KEY), Follower(3, KEY)
    datagram = bytearray(gathered(two.says(two.reply(8)), three.says(three.reply(7))))
    datagram[at] ^= 1
    drops = leader.take(bytes(datagram))
    assert leader.heard == [] and drops


def test_a_record_of_another_term_is_refused() -> None:
    leader, two, three = Leader(KEY), Follower(2, KEY), Follower(3, KEY)
    old = three.says(three.reply(99, term=TERM - 1))
    assert leader.take(gathered(two.says(two.reply(8)), old)) == {"bad_mac": 1}
    assert leader.heard == [two.reply(8)]


@WAYS
def test_a_record_of_no_member_is_refused(key: bytes | None) -> None:
    leader, two = Leader(key), Follower(2, key)
    for stranger in (0, LEADER, 20):
        one = Follower(stranger, key)
        assert leader.take(gathered(two.says(two.reply(8)), one.says(one.reply(7)))) == {"not_member": 1}
    assert leader.heard == [two.reply(8)] * 3


@WAYS
def test_nothing_that_was_gathered_is_taken_unasked(key: bytes | None) -> None:
    two, three = Follower(2, key), Follower(3, key)
    datagram = gathered(two.says(two.reply(8)), three.says(three.reply(7)))
    for leader in (Leader(key, asks=False), Leader(key, gathers=False)):
        assert leader.take(datagram) == {"gathered_unwanted": 1} and leader.heard == []
    leader = Leader(key)
    leader.asks(TERM + 1)
    assert leader.take(datagram) == {"gathered_unwanted": 1} and leader.heard == []


def test_without_a_key_a_stranger_carries_nothing() -> None:
    leader, two, three = Leader(None), Follower(2, None), Follower(3, None)
    datagram = gathered(two.says(two.reply(8)), three.says(three.reply(7)))
    assert leader.take(datagram, 3) == {"wrong_address": 1} and leader.heard == []
    other = bytearray(datagram)
    other[-9] ^= 1
    assert leader.take(bytes(other)) == {"malformed": 1} and leader.heard == []


@pytest.mark.parametrize("sealed", [False, True])
def test_other_lengths_are_malformed(sealed: bool) -> None:
    size = 18 + SEAL_BYTES * sealed
    own = HEADER_BYTES + 16 + SEAL_BYTES * sealed
    number = CLUSTER.to_bytes(8, "big")
    for length in range(own + 9 * size):
        datagram = bytes(max(0, length - 16 - SEAL_BYTES * sealed)) + number + bytes(8 + SEAL_BYTES * sealed)
        datagram = datagram[-length:] if length else b""
        if length in (own + count * size for count in range(1, 8)):
            assert len(split(datagram, CLUSTER, sealed=sealed)) == 1 + (length - own) // size
        else:
            with pytest.raises(WireError):
                split(datagram, CLUSTER, sealed=sealed)


@pytest.mark.parametrize(
    "header",
    [
        Header(MessageType.APPEND_ENTRIES, flags=int(Flag.GATHER | Flag.GATHERED)),
        Header(MessageType.APPEND_ENTRIES_REPLY, flags=int(Flag.GATHERED)),
        Header(MessageType.APPEND_ENTRIES_REPLY, flags=int(Flag.GATHER | Flag.GATHERED | Flag.REJECT)),
        Header(MessageType.APPEND_ENTRIES_REPLY, flags=int(Flag.GATHER | Flag.GATHERED | Flag.FRAGMENT)),
        Header(MessageType.APPEND_ENTRIES_REPLY, flags=int(Flag.GATHER | Flag.GATHERED), log_term=1),
        Header(MessageType.APPEND_ENTRIES_REPLY, flags=int(Flag.GATHER | Flag.GATHERED), commit=1),
        Header(MessageType.CLIENT_REQUEST, flags=int(Flag.GATHER | Flag.GATHERED)),
    ],
)
def test_gathered_stands_in_acknowledgements_with_gather_alone(header: Header) -> None:
    with pytest.raises(WireError):
        Header.unpack(header.pack())


# -- the cluster file ------------------------------------------------------------------------------------------------

TEXT = "groups: [{id: 1, service: 10.0.0.9, members: {1: 10.0.0.1, 2: 10.0.0.2, 3: 10.0.0.3}}]\n"


def test_the_cluster_file_says_whether_leaders_let_them_be_gathered() -> None:
    gathered_text = TEXT + "acknowledgements: gathered\n"
    assert not parse(TEXT + "network: p4\n").cluster.gathers
    assert parse(gathered_text + "network: p4\n").cluster.gathers
    behind_a_key = parse(gathered_text + "key_file: cluster.key\n").cluster
    assert behind_a_key.gathers and behind_a_key.acknowledgements is Acknowledgements.GATHERED
    with pytest.raises(ConfigError, match=r"acknowledgements: gathered is for .*network: p4.*key_file"):
        parse(gathered_text)
