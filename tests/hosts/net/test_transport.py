"""What datagrams make a node's transport send, keep, and spend its time on."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hosts.config import Address
from hosts.net.batches import pack_batches
from hosts.net.transport import DRAIN_S
from hosts.net.validation import AMPLIFICATION
from hosts.raft.message import Entry, EntryKind, Message, MessageType
from hosts.service.requests import Operation, Request
from hosts.wire import HEADER_BYTES, Flag, Fragment, FragmentStatus, Header, pack_fragment
from tests.hosts.conftest import eventually
from tests.hosts.net.test_seal import ADDRESSES, KEY, Member

FRAGMENT = Header(MessageType.APPEND_ENTRIES, 1, 2, 1, term=7, flags=int(Flag.FRAGMENT))
REQUEST = Header(MessageType.CLIENT_REQUEST, group=1, index=3, log_term=5)


def gaps(header: Header, count: int, data: bytes = b"x") -> list[bytes]:
    """Fragments of a message with a gap before each."""
    step = len(data) + 8
    return [pack_fragment(header, Fragment(9, 8 + step * at, 1 << 20, data)) for at in range(count)]


def sizes(member: Member) -> dict[Address, int]:
    """Bytes sent to each address since the last time."""
    found: dict[Address, int] = {}
    for datagram, address in member.socket.sent:
        found[address] = found.get(address, 0) + len(datagram)
    member.socket.sent.clear()
    return found


def test_who_writes_a_members_address_has_little_sent_to_it() -> None:
    """Without a key a stranger's fragments are taken for the member's; what is told of them stays small."""
    two = Member(2, None)
    for datagram in gaps(FRAGMENT, 150):
        two.take(datagram)
        told = sizes(two)
        assert 0 < told[ADDRESSES[1]] <= AMPLIFICATION * len(datagram)
    large = gaps(FRAGMENT, 90, bytes(1000))
    two.take(*large)
    last = two.socket.sent[-1][0][HEADER_BYTES + 16 :]
    assert len(FragmentStatus.unpack(last).missing) > 80, "of a member's own fragments all is told"


def test_with_a_key_nothing_is_sent_there_at_all() -> None:
    two = Member(2)
    assert two.take(*gaps(FRAGMENT, 150)) == {"bad_mac": 150}
    assert sizes(two) == {}


@pytest.mark.parametrize("key", [None, KEY])
def test_clients_messages_from_a_members_address_are_a_strangers(key: bytes | None) -> None:
    two = Member(2, key)
    reply = Header(MessageType.CLIENT_REPLY, 2, 0, 1, index=3, log_term=5)
    request = REQUEST.pack() + Request(7, Operation.READ_LIST, start=0, limit=9).pack()
    two.take(request)
    two.transport.send_client(reply, bytes(72_800), ADDRESSES[1])
    assert sizes(two)[ADDRESSES[1]] <= AMPLIFICATION * len(request)


@pytest.mark.parametrize("key", [None, KEY])
def test_messages_of_one_sender_are_put_together_apart(key: bytes | None) -> None:
    """Their fragments come one by one or many at once, in turn or not, and each message is whole."""
    one, two = Member(1, key), Member(2, key)
    chance = random.Random(3)
    entries = [
        Entry(7, index, EntryKind.COMMAND, chance.randbytes(chance.choice((3000, 9000)))) for index in range(1, 9)
    ]
    for entry in entries:
        message = Message(MessageType.APPEND_ENTRIES, 1, 2, 7, index=entry.index - 1, round=1, entries=(entry,))
        one.transport.send_peer(1, message)
    turns = 0
    while len(two.heard) < len(entries):
        datagrams = [datagram for datagram, _ in one.socket.sent]
        one.socket.sent.clear()
        chance.shuffle(datagrams) if turns % 2 else datagrams.sort(key=lambda datagram: datagram[48:52])
        two.take(*datagrams)
        two.transport.poll()
        answers = [datagram for datagram, _ in two.socket.sent]
        two.socket.sent.clear()
        one.take(*answers, source=2)
        turns += 1
        assert turns < 100
    assert {entry for message in two.heard for entry in message.entries} == set(entries)


def test_a_message_that_was_forgotten_meanwhile_is_not_gone_on_with() -> None:
    two, now = Member(2), 0.0
    two.transport._clock = lambda: now
    large = Header(MessageType.CLIENT_REQUEST, group=1, index=3, log_term=5, flags=int(Flag.FRAGMENT))
    two.take(pack_fragment(large, Fragment(9, 0, 5000, bytes(1000))))
    now = 60.0
    small = REQUEST.pack() + Request(7, Operation.GET, b"\x01").pack()
    other = pack_fragment(replace(large, index=4), Fragment(10, 0, 5000, bytes(1000)))
    assert two.take(other, small) == {} and two.transport.counters()["drops"] == {"reassembly_expired": 1}
    assert two.take(small, pack_fragment(large, Fragment(9, 1000, 5000, bytes(1000)))) == {}


def test_time_spent_on_what_has_come_is_bounded() -> None:
    """However much has come, and however long each takes: then something else has its turn, and then the rest."""
    two = Member(2)
    now = 0.0

    def slow(*_: object) -> None:
        nonlocal now
        now += DRAIN_S / 3

    two.transport._clock = lambda: now
    object.__setattr__(two.transport._handlers, "request", slow)
    request = REQUEST.pack() + Request(7, Operation.GET, b"\x01").pack()
    two.take(*[request] * 100)
    left = len(two.transport._received) + len(two.socket.waiting)
    assert left == 96
    while two.transport.has_more or two.socket.waiting:
        two.take()
        before, left = left, len(two.transport._received) + len(two.socket.waiting)
        assert before - 4 <= left < before


def test_nothing_is_kept_for_who_is_no_member_any_more() -> None:
    one = Member(1)
    entry = Entry(7, 1, EntryKind.COMMAND, bytes(10_000))
    for member, address in ((2, ADDRESSES[2]), (3, ADDRESSES[3]), (3, ("10.0.0.33", 26410))):
        one.transport.set_members(1, {1: ADDRESSES[1], 2: ADDRESSES[2], member: address})
        one.send(Message(MessageType.APPEND_ENTRIES, 1, member, 7, entries=(entry,), round=1))
    assert set(one.transport._outgoing.outboxes) == {ADDRESSES[2], ("10.0.0.33", 26410)}
    one.transport.set_members(1, {1: ADDRESSES[1]})
    assert one.transport._outgoing.outboxes == {} and not one.transport.waits


def test_guests_are_forgotten_once_they_are_members() -> None:
    """Who has the key and is not known yet is answered where it was heard last, and only there."""
    one = Member(1)
    vote = Message(MessageType.REQUEST_VOTE, 9, 1, 7, index=5, log_term=3, round=1)
    nine = Member(9)
    nine.transport._peers[1] = {1: ADDRESSES[1]}
    entry = Entry(7, 1, EntryKind.COMMAND, bytes(10_000))
    for number in range(50):
        (datagram,) = nine.send(vote)
        one.socket.waiting.append((datagram, ("10.0.9.9", number)))
        one.transport.drain()
        one.send(Message(MessageType.APPEND_ENTRIES, 1, 9, 7, entries=(entry,), round=1))
    assert one.transport._guests == {(1, 9): ("10.0.9.9", 49)}
    assert set(one.transport._outgoing.outboxes) == {("10.0.9.9", 49)}
    one.transport.set_members(1, {1: ADDRESSES[1], 9: ("10.0.9.9", 49)})
    assert one.transport._guests == {} and set(one.transport._outgoing.outboxes) == {("10.0.9.9", 49)}


# -- a cluster ------------------------------------------------------------------------------------------------------


def test_a_silent_address_gets_three_times_what_it_sent(cluster: Any) -> None:
    """A read of much, whose answer is never acknowledged: all that comes, until the node has given up."""
    with cluster.client() as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        for number in range(10):
            client.append(str(number) * 8000)
        assert len(client.read_list().value) == 10
        leader = cluster.leader()
        header = Header(
            MessageType.CLIENT_REQUEST,
            group=1,
            index=900,
            log_term=client._protocol.session,
            flags=int(Flag.NO_STEER),
        )
        request = header.pack() + Request(client._protocol.nonce, Operation.READ_LIST, start=0, limit=99).pack()
        silent.setblocking(False)
        silent.sendto(request, cluster.address(leader))
        got = 0

        def given_up() -> bool:
            nonlocal got
            try:
                while True:
                    got += len(silent.recv(65_536))
                    assert got <= AMPLIFICATION * len(request)
            except BlockingIOError:
                return bool(cluster.status(leader)["counters"]["drops"].get("not_validated"))

        eventually(given_up, "the node gives up")
        assert got > 0, "a challenge at least"


def test_readers_that_answer_get_what_they_ask_for(cluster: Any) -> None:
    """Whatever the size of the answer: the first one, and those after it."""
    chance = random.Random(4)
    values = [chance.randbytes(size) for size in (10, 100, 300, 1000, 1300, 2000, 70_000, 900_000)]
    for first in values:
        with cluster.client() as client:
            client.put("k", first)
        with cluster.client() as client:
            assert client.get("k").value == [True, first]
            assert client.get("k").value == [True, first]


def test_an_answer_beyond_three_times_costs_a_round_trip_once(make_cluster: Callable[..., Any]) -> None:
    """The address is challenged once, not for each answer of a whole series."""
    made = make_cluster()
    made.start()
    made.leader()
    with made.client() as client:
        client.put("k", bytes(1000))
    with made.client() as client:
        for _ in range(50):
            assert client.get("k").value == [True, bytes(1000)]
        leader = made.leader()
        sent = made.status(leader)["counters"]["sent"]["CLIENT_REPLY"]
        received = made.status(leader)["counters"]["received"]["CLIENT_FRAGMENT_STATUS"]
        assert 1 <= received <= 3 and sent >= 50


@pytest.mark.parametrize("second", [Operation.GET, Operation.PUT])
def test_a_batch_that_says_it_reads_and_holds_a_write_does_not(second: Operation) -> None:
    """Whoever leads carries it all out, and nobody else any of it."""
    two = Member(2)
    taken: list[Header] = []
    two.transport._handlers = replace(two.transport._handlers, request=lambda header, *_: taken.append(header))
    requests = [(3, Request(7, Operation.GET, key=b"a")), (4, Request(7, second, key=b"a"))]
    ((index, more, payload),) = pack_batches([(sequence, one.pack()) for sequence, one in requests])
    two.take(replace(REQUEST, index=index, flags=int(Flag.READ) | more).pack() + payload)
    assert [one.index for one in taken] == [3, 4]
    assert [bool(one.flags & Flag.READ) for one in taken] == [second is Operation.GET] * 2
