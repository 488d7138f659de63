"""No address gets much that has not shown to receive it, and none that has waits for anything."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts.config import Address
from hosts.net import replies, validation
from hosts.net.fragments import GIVE_UP_S
from hosts.net.path import BASE, UDP_OVERHEAD
from hosts.net.reassembly import EXPIRY_S, HEAD_BYTES, Inbox, Key
from hosts.net.replies import CHALLENGE_BYTES, Replies, status_header
from hosts.net.validation import AMPLIFICATION, Validation
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, FragmentStatus, Header, unpack_fragment

CLIENT: Address = ("10.0.1.11", 40_000)
OTHER: Address = ("10.0.2.22", 40_000)
ASKED = 53
"""Bytes of a small request."""


def reply_header(index: int = 7) -> Header:
    return Header(MessageType.CLIENT_REPLY, source=1, group=1, index=index, log_term=5)


class Sent:
    """Replies, with all that they send, and clients that gather fragments as clients do."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[tuple[bytes, Address]] = []
        self._random = random.Random(1)
        self.replies = Replies(self._put, self._put_all, lambda: self._random.getrandbits(64), BASE + UDP_OVERHEAD)
        self._inbox = Inbox(1 << 28, 1 << 28, 1 << 27)
        self.payloads: list[bytes] = []

    def _put(self, kind: int, datagram: bytes, address: Address) -> None:
        assert kind == datagram[1] and len(datagram) <= MAX_DATAGRAM
        self.log.append((datagram, address))

    def _put_all(self, datagrams: Sequence[bytes], address: Address) -> None:
        for datagram in datagrams:
            self._put(datagram[1], datagram, address)

    def ask(self, payload: bytes, address: Address = CLIENT, *, size: int = ASKED, index: int = 7) -> None:
        """A request of ``size`` bytes comes from ``address`` and is answered."""
        self.replies.heard(address, size, self.now)
        self.replies.send(reply_header(index), payload, address, self.now)

    def say(self, status: FragmentStatus, address: Address = CLIENT) -> None:
        """What has come of the fragments of a client, if it may hear that."""
        header = status_header(reply_header(), 1)
        datagram = self.replies.make_status(header, status, address, self.now)
        if datagram is not None:
            self._put(header.type, datagram, address)

    def bytes_to(self, address: Address) -> int:
        return sum(len(datagram) for datagram, to in self.log if to == address)

    def listen(self, address: Address = CLIENT) -> None:
        """The client at ``address`` takes what has come and says what it lacks, until nothing comes any more."""
        while True:
            mine = [datagram for datagram, to in self.log if to == address]
            self.log = [item for item in self.log if item[1] != address]
            if not mine:
                return
            for datagram in mine:
                header, body = Header.unpack(datagram), datagram[HEADER_BYTES:]
                if not header.is_fragment:
                    self.payloads.append(body)
                    continue
                if header.type == MessageType.CLIENT_FRAGMENT_STATUS:
                    probe = unpack_fragment(body)
                    self._answer(FragmentStatus(probe.message_id, probe.total, len(probe.data)), address)
                    continue
                payload = self._inbox.receive(Key(address, datagram[:HEAD_BYTES]), datagram, self.now)
                if payload is not None:
                    self.payloads.append(bytes(payload))
            for told in self._inbox.take_statuses(waited=True):
                self._answer(told.status, address)

    def _answer(self, status: FragmentStatus, address: Address) -> None:
        packed = status.pack()
        self.replies.heard(address, HEADER_BYTES + len(packed), self.now)
        self.replies.on_status(FragmentStatus.unpack(packed), address, self.now)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.01
            self.replies.poll(self.now)


def test_a_stranger_gets_three_times_what_came_from_it() -> None:
    sent = Sent()
    sent.ask(bytes(72_800))
    sent.wait(60)
    assert 0 < sent.bytes_to(CLIENT) <= AMPLIFICATION * ASKED
    assert not sent.replies, "nothing is kept for it"
    assert sent.replies.drops["not_validated"] == 1


def test_repeats_count_as_well() -> None:
    sent = Sent()
    for turn in range(1, 50):
        sent.ask(bytes(1000 if turn % 2 else 60))
        sent.wait(0.3)
        assert sent.bytes_to(CLIENT) <= AMPLIFICATION * ASKED * turn


def test_who_echoes_gets_all_of_it() -> None:
    payload = random.Random(2).randbytes(200_000)
    sent = Sent()
    sent.ask(payload)
    assert sent.bytes_to(CLIENT) == CHALLENGE_BYTES
    sent.listen()
    assert sent.payloads == [payload] and not sent.replies
    sent.ask(payload)
    assert sent.bytes_to(CLIENT) > CHALLENGE_BYTES, "the next one goes out at once"


def test_small_answers_go_at_once() -> None:
    sent = Sent()
    sent.ask(bytes(AMPLIFICATION * ASKED - HEADER_BYTES))
    ((datagram, _),) = sent.log
    assert len(datagram) == AMPLIFICATION * ASKED and not Header.unpack(datagram).is_fragment
    assert not sent.replies


def test_an_answer_that_fits_a_datagram_waits_for_an_echo_too_and_then_comes_in_one() -> None:
    sent = Sent()
    sent.ask(bytes(900))
    assert sent.bytes_to(CLIENT) == CHALLENGE_BYTES
    sent.listen()
    assert sent.payloads == [bytes(900)]


def test_all_that_waits_comes_after_one_echo() -> None:
    sent = Sent()
    for index in range(20):
        sent.ask(bytes([index]) * 500, index=index)
    sent.listen()
    assert sorted(sent.payloads) == [bytes([index]) * 500 for index in range(20)]


def test_a_lost_challenge_is_sent_again() -> None:
    sent = Sent()
    sent.ask(bytes(5000))
    sent.log.clear()
    sent.wait(2 * replies.CHALLENGE_AGAIN_S)
    assert sent.bytes_to(CLIENT) == CHALLENGE_BYTES, "as often as what came allows"
    sent.listen()
    assert sent.payloads == [bytes(5000)]


def test_another_reply_to_the_same_request_takes_the_place_of_the_first() -> None:
    sent = Sent()
    for turn in range(5):
        sent.ask(bytes([turn]) * 5000)
    sent.listen()
    assert sent.payloads == [b"\x04" * 5000]


def test_only_the_number_that_was_sent_there_counts() -> None:
    sent = Sent()
    sent.ask(bytes(5000))
    sent.ask(bytes(5000), OTHER)
    others = [datagram for datagram, to in sent.log if to == OTHER]
    number = unpack_fragment(others[0][HEADER_BYTES:]).message_id
    for guess in (0, 1, number, number - 1, number + 1, 2**64 - 1):
        sent.replies.on_status(FragmentStatus(guess, 2, 2, ((0, 1),)), CLIENT, sent.now)
    assert sent.bytes_to(CLIENT) == CHALLENGE_BYTES
    sent.replies.on_status(FragmentStatus(number, 2, 2, ((0, 1),)), OTHER, sent.now)
    assert sent.bytes_to(OTHER) > 5000


def test_numbers_differ_from_address_to_address_and_from_time_to_time() -> None:
    sent = Sent()
    numbers = []
    for turn in range(10):
        for address in (CLIENT, OTHER):
            sent.ask(bytes(5000), address, index=turn)
            numbers.append(unpack_fragment(sent.log[-1][0][HEADER_BYTES:]).message_id)
        sent.wait(replies.WAIT_S + 1)
    assert len(set(numbers)) == 20
    assert all(abs(one - other) > 1 for one in numbers for other in numbers if one is not other)


def test_an_address_stays_valid_for_a_while_and_as_long_as_it_echoes() -> None:
    sent = Sent()
    sent.ask(bytes(5000))
    sent.listen()
    for _ in range(3):
        sent.now += 0.9 * validation.VALID_S
        sent.ask(bytes(5000))
        assert sent.bytes_to(CLIENT) > 5000
        sent.listen()
    sent.now += 1.1 * validation.VALID_S
    sent.ask(bytes(5000))
    assert sent.bytes_to(CLIENT) == CHALLENGE_BYTES


def test_who_stops_answering_is_valid_no_more() -> None:
    sent = Sent()
    sent.ask(bytes(5000))
    sent.listen()
    sent.ask(bytes(500_000))
    sent.wait(GIVE_UP_S + 1)
    sent.log.clear()
    sent.ask(bytes(500_000))
    assert sent.bytes_to(CLIENT) == CHALLENGE_BYTES


def test_a_status_says_no_more_than_three_times_the_fragments() -> None:
    sent = Sent()
    missing = tuple((20 * at, 20 * at + 10) for at in range(90))
    status = FragmentStatus(9, 100_000, 2000, missing)
    for turn in range(1, 30):
        sent.replies.heard(CLIENT, CHALLENGE_BYTES, sent.now)
        sent.say(status)
        assert sent.bytes_to(CLIENT) <= AMPLIFICATION * CHALLENGE_BYTES * turn
    told = FragmentStatus.unpack(sent.log[0][0][HEADER_BYTES:])
    assert 5 < len(told.missing) < 20 and told.missing == missing[: len(told.missing)]
    assert told.highest == missing[len(told.missing)][0]
    sent.replies.heard(OTHER, MAX_DATAGRAM, sent.now)
    sent.say(status, OTHER)
    assert FragmentStatus.unpack(sent.log[-1][0][HEADER_BYTES:]) == status, "a whole one for large fragments"


def test_replies_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent()
    for number in range(3 * replies.MAX_ADDRESSES):
        sent.ask(bytes(2000), ("10.1.1.1", number))
    assert len(sent.replies._waiting) == replies.MAX_ADDRESSES
    for index in range(2 * replies.MAX_REPLIES):
        sent.ask(bytes(2000), index=index)
    assert len(sent.replies._waiting[CLIENT].replies) == replies.MAX_REPLIES
    monkeypatch.setattr(replies, "MAX_BYTES", 1 << 20)
    for number in range(100):
        sent.ask(bytes(100_000), ("10.1.1.2", number))
        assert sent.replies._waiting_bytes <= replies.MAX_BYTES
    sent.ask(bytes(5 << 20), OTHER)
    assert list(sent.replies._waiting) == [OTHER], "one of any size may be alone"
    sent.listen(OTHER)
    assert sent.payloads == [bytes(5 << 20)] and sent.replies._waiting_bytes == 0


def test_replies_on_their_way_are_bounded_and_have_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(replies, "MAX_REPLIES", 8)
    sent = Sent()
    sent.ask(bytes(2000))
    sent.listen()
    sent.ask(bytes(900_000), OTHER)
    sent.ask(bytes(900_000))
    assert OTHER not in sent.replies._waiting, "what waits gives way"
    sent.ask(bytes(900_000), index=8)
    assert sent.replies.drops["outbox_full"] == 1
    sent.payloads.clear()
    sent.listen()
    assert [len(payload) for payload in sent.payloads] == [900_000]
    for index in range(20):
        sent.ask(bytes(2000), index=index)
    assert len(sent.replies._outboxes[CLIENT]) == 8


def test_what_is_known_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_VALID", 100)
    monkeypatch.setattr(validation, "MAX_CREDITS", 200)
    known = Validation()
    for number in range(1000):
        known.heard(("10.0.0.1", number), 50, 0.0)
        known.echoed(("10.0.0.2", number), 0.0)
    assert len(known) == 300
    assert known.credit(("10.0.0.1", 999), 0.0) == 150 and known.credit(("10.0.0.1", 1), 0.0) == 0
    assert known.is_valid(("10.0.0.2", 999), 1.0) and not known.is_valid(("10.0.0.2", 1), 1.0)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_whatever_comes_in_a_victims_name(seed: int) -> None:
    """Requests, fragments and guesses of any sizes, at any times: it gets three times as much at most."""
    chance = random.Random(seed)
    sent, heard = Sent(), Counter[Address]()
    for _ in range(200):
        victim = ("10.3.3.3", chance.randrange(3))
        size = chance.choice((41, 53, 57, 400, MAX_DATAGRAM))
        sent.replies.heard(victim, size, sent.now)
        heard[victim] += size
        what = chance.randrange(4)
        if what < 2:
            length = chance.choice((30, 81, 600, 1360, 5000, 100_000))
            sent.replies.send(reply_header(chance.randrange(5)), bytes(length), victim, sent.now)
        elif what == 2:
            missing = tuple((2 * at, 2 * at + 1) for at in range(chance.randrange(200)))
            status = FragmentStatus(chance.getrandbits(64), 10_000, 9000, missing)
            sent.say(status, victim)
        else:
            guess = chance.choice((0, 1, 2, chance.getrandbits(64)))
            sent.replies.on_status(FragmentStatus(guess, 2, 2, ((0, 1),)), victim, sent.now)
        sent.wait(chance.choice((0, 0, 0.02, 0.3, EXPIRY_S)))
        for address, size in heard.items():
            assert sent.bytes_to(address) <= AMPLIFICATION * size
