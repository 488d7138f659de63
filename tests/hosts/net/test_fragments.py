"""Fragments arrive whole through loss, duplication and reordering, and cost a hostile sender's bytes at most."""

from __future__ import annotations

import heapq
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts.net import fragments, reassembly
from hosts.net.fragments import FRAGMENT_BYTES, WINDOW, Outbox
from hosts.net.reassembly import Inbox
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Flag, Fragment, FragmentStatus, Header, unpack_fragment

HEADER = Header(MessageType.CLIENT_REQUEST, group=1, index=7, log_term=9)
HEAD = HEADER.pack()


def inbox(limit: int = 1 << 26) -> Inbox:
    return Inbox(limit, limit, 1 << 24)


class Net:
    """An outbox and an inbox with a bad network between them, in simulated seconds."""

    def __init__(self, seed: int, loss: float, duplicate: float, jitter_s: float) -> None:
        self.random = random.Random(seed)
        self.loss, self.duplicate, self.jitter_s = loss, duplicate, jitter_s
        self.queue: list[tuple[float, int, bytes]] = []
        self.count = 0
        self.now = 100.0
        self.outbox = Outbox(2**64 - 1)
        self.inbox = inbox()
        self.got: list[bytes] = []
        self.sent = 0
        self.most_waiting = 0

    def send(self, data: bytes) -> None:
        copies = 2 if self.random.random() < self.duplicate else 1
        for _ in range(copies):
            if self.random.random() >= self.loss:
                self.count += 1
                delay = 0.001 + self.random.random() * self.jitter_s
                heapq.heappush(self.queue, (self.now + delay, self.count, data))

    def run(self, until_s: float = 120.0) -> None:
        end = self.now + until_s
        while self.outbox and self.now < end:
            for datagram in self.outbox.poll(self.now):
                assert len(datagram) <= MAX_DATAGRAM
                self.sent += 1
                self.send(b"f" + datagram)
            self.most_waiting = max(self.most_waiting, sum(item[2][:1] == b"f" for item in self.queue))
            timeout = self.outbox.next_timeout()
            if timeout is None:
                assert not self.outbox
                break
            if self.queue and self.queue[0][0] <= timeout:
                self.now, _, data = heapq.heappop(self.queue)
                self.arrive(data)
            else:
                self.now = max(self.now, timeout)

    def arrive(self, data: bytes) -> None:
        kind, data = data[:1], data[1:]
        if kind == b"s":
            self.outbox.on_status(FragmentStatus.unpack(data), "receiver", self.now)
            return
        header = Header.unpack(data)
        assert header.flags & Flag.FRAGMENT and header.index == HEADER.index
        received = self.inbox.receive("sender", data[:HEADER_BYTES], unpack_fragment(data[HEADER_BYTES:]), self.now)
        if received.payload is not None:
            self.got.append(received.payload)
        if received.status is not None:
            self.send(b"s" + received.status.pack())


def test_a_megabyte_without_loss() -> None:
    net = Net(1, loss=0, duplicate=0, jitter_s=0)
    payload = random.Random(1).randbytes(1 << 20)
    net.outbox.add(HEADER, payload, net.now)
    start = net.now
    net.run()
    assert net.got == [payload]
    assert net.sent == -(-len(payload) // FRAGMENT_BYTES), "nothing is sent twice when nothing is lost"
    assert net.most_waiting <= WINDOW
    assert net.now - start < 1.0
    assert len(net.inbox) == 0 and net.inbox.held_bytes == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(1, 60_000), min_size=1, max_size=5),
    loss=st.floats(0, 0.4),
    duplicate=st.floats(0, 0.5),
    jitter_ms=st.floats(0, 60),
)
def test_bad_networks(seed: int, sizes: list[int], loss: float, duplicate: float, jitter_ms: float) -> None:
    net = Net(seed, loss, duplicate, jitter_ms / 1000)
    payloads = [random.Random(seed + number).randbytes(size) for number, size in enumerate(sizes)]
    wanted, asked = Counter(payloads), Counter[bytes]()
    for _ in range(50):
        # The outbox gives up after seconds without any answer, which happens; then who wants it sent asks again.
        missing = wanted - Counter(net.got)
        for payload in missing.elements():
            net.outbox.add(HEADER, payload, net.now)
        asked += missing
        net.run()
        assert not net.outbox, "all of it must get through"
    assert not wanted - Counter(net.got), "all of it must get through"
    assert not Counter(net.got) - asked, "nothing may come more often than it was sent"


def test_a_megabyte_through_loss_stays_quick() -> None:
    net = Net(3, loss=0.05, duplicate=0.02, jitter_s=0.0)
    net.outbox.add(HEADER, bytes(1 << 20), net.now)
    start = net.now
    net.run()
    assert len(net.got) == 1
    assert net.now - start < 2.0
    assert net.sent < 1.3 * (1 << 20) / FRAGMENT_BYTES


def test_another_receiver_gets_all_of_it() -> None:
    payload = random.Random(5).randbytes(100_000)
    outbox, first, second = Outbox(1), inbox(), inbox()
    outbox.add(HEADER, payload, 0.0)
    now, target, got = 0.0, first, None
    for turn in range(2000):
        now += 0.005
        if turn == 3:
            target = second
        for datagram in outbox.poll(now):
            received = target.receive("c", datagram[:HEADER_BYTES], unpack_fragment(datagram[HEADER_BYTES:]), now)
            got = received.payload or got
            if received.status is not None:
                outbox.on_status(received.status, "first" if target is first else "second", now)
    assert got == payload and not outbox


def test_a_receiver_that_forgot_gets_it_again() -> None:
    payload = random.Random(6).randbytes(60_000)
    outbox, target = Outbox(1), inbox()
    outbox.add(HEADER, payload, 0.0)
    now, got = 0.0, None
    for turn in range(2000):
        now += 0.005
        if turn == 2:
            target = inbox()
        for datagram in outbox.poll(now):
            received = target.receive("c", datagram[:HEADER_BYTES], unpack_fragment(datagram[HEADER_BYTES:]), now)
            got = received.payload or got
            if received.status is not None:
                outbox.on_status(received.status, "same", now)
    assert got == payload and not outbox


def test_a_dead_receiver_is_given_up() -> None:
    outbox = Outbox(1)
    outbox.add(HEADER, bytes(100_000), 0.0)
    sent, now = 0, 0.0
    while outbox and now < 60:
        sent += len(outbox.poll(now))
        now += 0.01
    assert not outbox and fragments.GIVE_UP_S <= now < fragments.GIVE_UP_S + 1
    assert sent < 100
    outbox.add(HEADER, bytes(1000), now)
    assert len(outbox.poll(now)) == 1


def test_removed_messages_give_their_window_back() -> None:
    outbox = Outbox(1)
    first = outbox.add(HEADER, bytes(100_000), 0.0)
    assert len(outbox.poll(0.0)) == WINDOW
    second = outbox.add(HEADER, bytes(100_000), 0.0)
    assert outbox.poll(0.0) == []
    outbox.remove(first)
    assert len(outbox.poll(0.0)) == WINDOW
    assert [number for number, _ in outbox.headers()] == [second]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 900), st.sampled_from([3000, 5000])), max_size=60))
def test_hostile_offsets(items: list[tuple[int, int, int]]) -> None:
    target = inbox()
    for offset, size, total in items:
        if offset + size <= total:
            received = target.receive("x", HEAD, Fragment(1, offset, total, bytes(size)), 0.0)
            assert received.payload is None or len(received.payload) == total
            if received.status is not None:
                assert FragmentStatus.unpack(received.status.pack()) == received.status
    target.expire(reassembly.EXPIRY_S + 1)
    assert target.held_bytes == 0 and len(target) == 0


def test_memory_is_bounded() -> None:
    target = Inbox(limit_bytes=100_000, source_limit_bytes=40_000, max_message_bytes=1 << 20)
    for source in range(10):
        for number in range(100):
            target.receive(source, HEAD, Fragment(number, 0, 1 << 20, bytes(1000)), 0.0)
    assert 90_000 < target.held_bytes <= 100_000
    assert target.drops["reassembly_full"] > 800
    # Tiny fragments are charged with what they cost to hold; a length that is only announced costs nothing.
    target = Inbox(limit_bytes=100_000, source_limit_bytes=100_000, max_message_bytes=1 << 20)
    for number in range(10_000):
        target.receive("a", HEAD, Fragment(number, 0, 1 << 20, b"x"), 0.0)
    assert len(target) <= 500
    # What has expired makes room.
    received = target.receive("b", HEAD, Fragment(1, 0, 2000, bytes(1000)), 100.0)
    assert received == reassembly.Received() and len(target) == 1
    assert target.receive("b", HEAD, Fragment(2, 0, (1 << 20) + 1, b"x"), 100.0) == reassembly.Received()
    assert target.drops["message_too_large"] == 1


def test_gaps_are_bounded_and_named() -> None:
    target = inbox()
    status = None
    for number in range(reassembly.MAX_GAPS + 50):
        received = target.receive("a", HEAD, Fragment(1, 10 + number * 20, 1_000_000, bytes(10)), 0.0)
        status = received.status or status
    assert status is not None and len(status.missing) == reassembly.MAX_GAPS
    seen = FragmentStatus.unpack(status.pack())
    assert seen.missing == status.missing[: len(seen.missing)]
    assert seen.highest == status.missing[len(seen.missing)][0]
    assert len(status.pack()) + HEADER_BYTES + 16 <= MAX_DATAGRAM


def test_late_duplicates_of_a_complete_message() -> None:
    target = inbox()
    fragment = Fragment(5, 0, 100, bytes(100))
    assert target.receive("a", HEAD, fragment, 0.0).payload == bytes(100)
    again = target.receive("a", HEAD, fragment, 1.0)
    assert again.payload is None and again.status is not None and again.status.complete
    assert target.receive("b", HEAD, fragment, 1.0).payload == bytes(100), "another source's is another message"


@pytest.mark.parametrize("seed", range(3))
def test_random_statuses_do_no_harm(seed: int) -> None:
    source = random.Random(seed)
    outbox = Outbox(1)
    outbox.add(HEADER, bytes(50_000), 0.0)
    for turn in range(500):
        outbox.poll(turn * 0.004)
        highest = source.randrange(50_001)
        cuts = sorted(source.sample(range(highest + 1), min(highest, source.choice([0, 2, 4]))))
        missing = tuple(zip(cuts[::2], cuts[1::2], strict=True))
        outbox.on_status(
            FragmentStatus(1, 50_000, highest, missing or ((0, 1),) if highest else ()),
            source.choice("ab"),
            turn * 0.004,
        )
        assert 0 <= outbox._in_flight <= WINDOW


def test_no_status_is_dear() -> None:
    """What lacks only its beginning for ever is sent no further than a span, so each status looks at no more."""
    outbox = Outbox(1)
    total = 60_000 * FRAGMENT_BYTES
    outbox.add(HEADER, bytes(total), 0.0)
    outbox.poll(0.0)
    (message,) = outbox._messages.values()
    for turn in range(1, 3 * fragments.SPAN):
        highest = min(total, message.next_piece * FRAGMENT_BYTES) if turn % 2 else total
        outbox.on_status(FragmentStatus(1, total, highest, ((0, 1),)), "hostile", turn / 1000)
        outbox.poll(turn / 1000)
        assert len(message.pieces) <= fragments.SPAN and message.first_open == 0
    assert message.next_piece == fragments.SPAN


def test_what_a_receiver_has_beyond_a_span_is_not_sent_again() -> None:
    payload = random.Random(7).randbytes(3 * fragments.SPAN * FRAGMENT_BYTES)
    outbox, target = Outbox(1), inbox()
    number = outbox.add(HEADER, payload, 0.0)
    now, sent, restarted, got = 0.0, 0, False, None
    while outbox:
        now += 0.002
        for datagram in outbox.poll(now):
            sent += 1
            received = target.receive("c", datagram[:HEADER_BYTES], unpack_fragment(datagram[HEADER_BYTES:]), now)
            got = received.payload or got
            if received.status is not None:
                outbox.on_status(received.status, "receiver", now)
        if sent > 2 * fragments.SPAN and not restarted:
            restarted = True
            outbox.restart(number, now)
    assert got == payload and sent < 3 * fragments.SPAN + 8 * WINDOW


def test_messages_of_one_header_and_their_bytes() -> None:
    outbox = Outbox(1)
    first, second = outbox.add(HEADER, bytes(5000), 0.0), outbox.add(HEADER, bytes(3000), 0.0)
    assert outbox.payload_bytes == 8000 and outbox.find(HEADER) == second
    outbox.remove(second)
    assert outbox.payload_bytes == 5000 and outbox.find(HEADER) is None
    outbox.remove(first)
    assert outbox.payload_bytes == 0 and not outbox
    outbox.add(HEADER, bytes(5000), 0.0)
    outbox.poll(0.0)
    outbox.poll(fragments.GIVE_UP_S + 1)
    assert outbox.payload_bytes == 0 and outbox.find(HEADER) is None
