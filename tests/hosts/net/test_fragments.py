"""Fragments arrive whole through loss, duplication and reordering, and cost a hostile sender's bytes at most."""

from __future__ import annotations

import heapq
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts.net import fragments, reassembly
from hosts.net.congestion import INITIAL_DATAGRAMS, MAX_BYTES
from hosts.net.fragments import OVERHEAD_BYTES, Outbox
from hosts.net.path import BASE, PathSize
from hosts.net.reassembly import HEAD_BYTES, Inbox, Key
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Flag, Fragment, FragmentStatus, Header, pack_fragment

HEADER = Header(MessageType.CLIENT_REQUEST, group=1, index=7, log_term=9)
FRAGMENT_BYTES = BASE - OVERHEAD_BYTES
FLIGHT_BYTES = INITIAL_DATAGRAMS * BASE


def inbox(limit: int = 1 << 26) -> Inbox:
    return Inbox(limit, limit, 1 << 24)


def take(target: Inbox, source: object, datagram: bytes, now: float) -> bytes | None:
    payload = target.receive(Key(source, datagram[:HEAD_BYTES]), datagram, now)
    return None if payload is None else bytes(payload)


def fragment(number: int, offset: int, total: int, data: bytes) -> bytes:
    return pack_fragment(HEADER, Fragment(number, offset, total, data))


def statuses(target: Inbox) -> list[FragmentStatus]:
    return [told.status for told in target.take_statuses(waited=True)]


class Net:
    """An outbox and an inbox with a bad network between them, in simulated seconds."""

    def __init__(self, seed: int, loss: float, duplicate: float, jitter_s: float, largest: int = BASE) -> None:
        self.random = random.Random(seed)
        self.loss, self.duplicate, self.jitter_s = loss, duplicate, jitter_s
        self.takes = largest
        """Bytes of the largest datagram that the network takes."""
        self.queue: list[tuple[float, int, bytes]] = []
        self.count = 0
        self.now = 100.0
        self.outbox = Outbox(2**64 - 1, PathSize(largest))
        self.inbox = inbox()
        self.got: list[bytes] = []
        self.sent = 0
        self.most_in_flight = 0

    def send(self, data: bytes) -> None:
        copies = 2 if self.random.random() < self.duplicate else 1
        for _ in range(copies):
            if self.random.random() >= self.loss and len(data) - 1 <= self.takes:
                self.count += 1
                delay = 0.001 + self.random.random() * self.jitter_s
                heapq.heappush(self.queue, (self.now + delay, self.count, data))

    def run(self, until_s: float = 120.0) -> None:
        end = self.now + until_s
        while self.outbox and self.now < end:
            for datagram in self.outbox.poll(self.now):
                self.sent += 1
                self.send(b"f" + datagram)
            self.most_in_flight = max(self.most_in_flight, self.outbox.in_flight_bytes)
            timeout = self.outbox.next_timeout()
            if timeout is None:
                assert not self.outbox
                break
            if self.queue and self.queue[0][0] <= timeout:
                self.now, _, data = heapq.heappop(self.queue)
                self.arrive(data)
                while self.queue and self.queue[0][0] <= self.now:
                    self.arrive(heapq.heappop(self.queue)[2])
                for status in statuses(self.inbox):
                    self.send(b"s" + status.pack())
            else:
                self.now = max(self.now, timeout)

    def arrive(self, data: bytes) -> None:
        kind, data = data[:1], data[1:]
        if kind == b"s":
            self.outbox.on_status(FragmentStatus.unpack(data), "receiver", self.now)
            return
        header = Header.unpack(data)
        assert header.flags & Flag.FRAGMENT and header.index == HEADER.index
        if header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            number, total = int.from_bytes(data[HEADER_BYTES:HEAD_BYTES], "big"), len(data) - OVERHEAD_BYTES
            self.send(b"s" + FragmentStatus(number, total, total).pack())
            return
        payload = take(self.inbox, "sender", data, self.now)
        if payload is not None:
            self.got.append(payload)


def test_a_megabyte_without_loss() -> None:
    net = Net(1, loss=0, duplicate=0, jitter_s=0)
    payload = random.Random(1).randbytes(1 << 20)
    net.outbox.add(HEADER, payload, net.now)
    start = net.now
    net.run()
    assert net.got == [payload]
    assert net.sent == -(-len(payload) // FRAGMENT_BYTES), "nothing is sent twice when nothing is lost"
    assert FLIGHT_BYTES < net.most_in_flight <= MAX_BYTES + BASE, "the window grows, and not for ever"
    assert net.now - start < 1.0
    assert len(net.inbox) == 0 and net.inbox.held_bytes == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(1, 60_000), min_size=1, max_size=5),
    loss=st.floats(0, 0.4),
    duplicate=st.floats(0, 0.5),
    jitter_ms=st.floats(0, 60),
    largest=st.sampled_from([BASE, 1472, 8972, 65_507]),
    takes=st.sampled_from([BASE, 1472, 3000, 65_507]),
)
def test_bad_networks(
    seed: int, sizes: list[int], loss: float, duplicate: float, jitter_ms: float, largest: int, takes: int
) -> None:
    net = Net(seed, loss, duplicate, jitter_ms / 1000, largest)
    net.takes = takes
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
    assert net.outbox.in_flight_bytes == 0


def test_a_megabyte_through_loss() -> None:
    net = Net(3, loss=0.05, duplicate=0.02, jitter_s=0.0)
    net.outbox.add(HEADER, bytes(1 << 20), net.now)
    net.run()
    assert len(net.got) == 1
    assert net.sent < 1.3 * (1 << 20) / FRAGMENT_BYTES


def test_large_datagrams_once_they_are_proved() -> None:
    net = Net(4, loss=0, duplicate=0, jitter_s=0, largest=8972)
    payload = random.Random(4).randbytes(1 << 20)
    net.outbox.add(HEADER, payload, net.now)
    net.run()
    assert net.got == [payload] and net.outbox.path.size == 8972
    assert net.sent < (1 << 20) / 8000 + INITIAL_DATAGRAMS + 2


def test_a_path_that_takes_less_than_was_allowed() -> None:
    net = Net(5, loss=0, duplicate=0, jitter_s=0, largest=8972)
    net.takes = 4100
    payloads = [random.Random(number).randbytes(1 << 20) for number in range(12)]
    for payload in payloads:
        net.outbox.add(HEADER, payload, net.now)
        net.run()
        net.now += 0.1
    assert net.got == payloads and net.outbox.path.size == 4096 - 28


def test_a_path_that_comes_to_take_less_under_way() -> None:
    """Within a second, and what was lost is cut smaller."""
    net = Net(6, loss=0, duplicate=0, jitter_s=0, largest=8972)
    net.outbox.add(HEADER, bytes(100_000), net.now)
    net.run()
    net.now += 0.2
    net.outbox.add(HEADER, bytes(100_000), net.now)
    net.run()
    assert net.outbox.path.size == 8972
    payload = random.Random(6).randbytes(300_000)
    net.outbox.add(HEADER, payload, net.now)
    net.outbox.poll(net.now)
    net.takes, start = 1500, net.now
    net.run()
    assert net.got[-1] == payload and net.outbox.path.shrunk == 1
    assert net.now - start < 1.0
    assert net.outbox.path.size <= 1500


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
            got = take(target, "c", datagram, now) or got
        for status in statuses(target):
            outbox.on_status(status, "first" if target is first else "second", now)
    assert got == payload and not outbox


def test_receivers_that_take_turns_make_no_storm() -> None:
    """Some of a request's fragments come to one member and some to another, as where switches steer by different
    leaders: each answer says that another one has nothing."""
    outbox = Outbox(1)
    targets = {"first": inbox(), "second": inbox()}
    outbox.add(HEADER, bytes(1 << 20), 0.0)
    now, flying = 0.0, outbox.poll(0.0)
    while now < 0.2:
        now += 0.0002
        arriving, flying = flying, []
        assert len(arriving) <= 3 * INITIAL_DATAGRAMS, "more than what the window allows, and one start over"
        for number, datagram in enumerate(arriving):
            name = "second" if number % 2 else "first"
            take(targets[name], "c", datagram, now)
            for status in statuses(targets[name]) if number % 4 < 2 else ():
                outbox.on_status(status, name, now)
                flying += outbox.poll(now)


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
            got = take(target, "c", datagram, now) or got
        for status in statuses(target):
            outbox.on_status(status, "same", now)
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


def test_a_timeout_asks_what_has_come_even_where_the_window_is_full() -> None:
    outbox, target = Outbox(1), inbox()
    outbox.add(HEADER, bytes(100_000), 0.0)
    flying = outbox.poll(0.0)
    for datagram in (flying[0], flying[4]):
        take(target, "c", datagram, 0.0)
    for status in statuses(target):
        outbox.on_status(status, "c", 0.01)
    assert outbox.in_flight_bytes > outbox.window.size, "it was halved, for one is lost"
    assert outbox.poll(0.01) == []
    assert outbox.poll(1.0) == flying[2:4]


def test_removed_messages_give_their_window_back() -> None:
    outbox = Outbox(1)
    first = outbox.add(HEADER, bytes(100_000), 0.0)
    assert len(outbox.poll(0.0)) == INITIAL_DATAGRAMS
    second = outbox.add(HEADER, bytes(100_000), 0.0)
    assert outbox.poll(0.0) == []
    outbox.remove(first)
    assert len(outbox.poll(0.0)) == INITIAL_DATAGRAMS
    assert [number for number, _ in outbox.headers()] == [second]


def test_messages_go_on_beside_one_that_has_a_gap() -> None:
    """The window is shared: what is lost of one message holds no other back."""
    outbox, target, got = Outbox(1), inbox(), []
    outbox.add(HEADER, bytes(3000), 0.0)
    outbox.add(HEADER, bytes(range(200)), 0.0)
    lost, *others = outbox.poll(0.0)
    for datagram in others:
        got.append(take(target, "c", datagram, 0.0))
    assert got[-1] == bytes(range(200))
    for status in statuses(target):
        outbox.on_status(status, "c", 0.01)
    assert len(outbox) == 1
    assert lost in outbox.poll(0.2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 900), st.sampled_from([3000, 5000])), max_size=60))
def test_hostile_offsets(items: list[tuple[int, int, int]]) -> None:
    target = inbox()
    for offset, size, total in items:
        if offset + size <= total:
            payload = take(target, "x", fragment(1, offset, total, bytes(size)), 0.0)
            assert payload is None or len(payload) == total
            for status in statuses(target):
                assert FragmentStatus.unpack(status.pack()) == status
    target.expire(reassembly.EXPIRY_S + 1)
    assert target.held_bytes == 0 and len(target) == 0


def test_what_never_comes_whole_makes_room_where_that_is_wanted() -> None:
    """As copies that are meant for others, of which this receiver lacks something that nobody sends it."""
    for crowded_s, served in ((reassembly.EXPIRY_S, False), (reassembly.CROWDED_S, True)):
        target, now = Inbox(100_000, 100_000, 1 << 20, crowded_s), 0.0
        take(target, "a", fragment(0, 0, 3000, bytes(1000)), now)
        for number in range(1, 200):
            now += reassembly.CROWDED_S / 50
            take(target, "a", fragment(number, 1000, 3000, bytes(1000)), now)
            assert target.held_bytes <= 100_000
            if number % 20 == 0:  # what goes on growing is kept
                take(target, "a", fragment(0, 990 + number // 2, 3000, b"0123456789"), now)
        whole = [take(target, "a", fragment(500, offset, 3000, bytes(1000)), now) for offset in (0, 1000, 2000)]
        assert (whole[-1] is not None) is served
        rest = take(target, "a", fragment(0, 1000, 3000, bytes(2000)), now)
        assert (rest is not None) is served
        target.expire(now + reassembly.EXPIRY_S + 1)
        assert target.held_bytes == 0 and len(target) == 0


@pytest.mark.parametrize("crowded_s", [reassembly.CROWDED_S, reassembly.EXPIRY_S])
def test_messages_that_wait_for_each_others_room_go_on(crowded_s: float) -> None:
    """Each sender repeats what is missing; none of the messages fits beside what the others have brought."""
    target, now, size = Inbox(100_000, 100_000, 1 << 20, crowded_s), 0.0, 1000
    total, done = 60 * size, set[str]()
    for source in ("a", "b", "c"):
        for offset in range(0, 30 * size, size):
            take(target, source, fragment(1, offset, total, bytes(size)), now)
    assert target.drops["reassembly_full"] > 0
    for _ in range(40):
        now += crowded_s / 4
        for source in {"a", "b", "c"} - done:
            for offset in range(0, total, size):
                if take(target, source, fragment(1, offset, total, bytes(size)), now) is not None:
                    done.add(source)
                    break
        assert target.held_bytes <= 100_000
    assert done == {"a", "b", "c"}
    assert target.held_bytes == 0


def test_memory_is_bounded() -> None:
    target = Inbox(limit_bytes=100_000, source_limit_bytes=40_000, max_message_bytes=1 << 20)
    for source in range(10):
        for number in range(100):
            take(target, source, fragment(number, 0, 1 << 20, bytes(1000)), 0.0)
    assert 90_000 < target.held_bytes <= 100_000
    assert target.drops["reassembly_full"] > 800
    assert len(statuses(target)) == len(target), "nothing is kept for what was refused"
    # Tiny fragments are charged with what they cost to hold; a length that is only announced costs nothing.
    target = Inbox(limit_bytes=100_000, source_limit_bytes=100_000, max_message_bytes=1 << 20)
    for number in range(10_000):
        take(target, "a", fragment(number, 0, 1 << 20, b"x"), 0.0)
    assert len(target) <= 500
    # What has expired makes room.
    assert take(target, "b", fragment(1, 0, 2000, bytes(1000)), 100.0) is None and len(target) == 1
    assert take(target, "b", fragment(2, 0, (1 << 20) + 1, b"x"), 100.0) is None and len(target) == 1
    assert target.drops["message_too_large"] == 1


def test_gaps_are_bounded_and_named() -> None:
    target = inbox()
    for number in range(reassembly.MAX_GAPS + 50):
        take(target, "a", fragment(1, 10 + number * 20, 1_000_000, bytes(10)), 0.0)
    (status,) = statuses(target)
    assert len(status.missing) == reassembly.MAX_GAPS
    seen = FragmentStatus.unpack(status.pack())
    assert seen.missing == status.missing[: len(seen.missing)]
    assert seen.highest == status.missing[len(seen.missing)][0]
    assert len(status.pack()) + HEADER_BYTES + 16 <= MAX_DATAGRAM


def test_what_closes_a_gap_is_taken_however_many_there_are() -> None:
    target = inbox()
    for number in range(reassembly.MAX_GAPS):
        take(target, "a", fragment(1, 10 + number * 20, 1_000_000, bytes(10)), 0.0)
    take(target, "a", fragment(1, 1_000, 1_000_000, bytes(10)), 0.0)
    take(target, "a", fragment(1, 0, 1_000_000, bytes(10)), 0.0)
    (status,) = statuses(target)
    assert status.missing[0] == (20, 30) and (990, 1_010) not in status.missing
    assert len(status.missing) == reassembly.MAX_GAPS - 2


@given(st.data())
def test_pieces_that_overlap_make_one_message(data: st.DataObject) -> None:
    """As when a message goes on in datagrams of another size and what was lost of the first ones comes late."""
    payload = random.Random(1).randbytes(3000)
    sizes = data.draw(st.lists(st.integers(200, 900), min_size=2, max_size=3, unique=True))
    cuts = [(at, min(at + size, 3000)) for size in sizes for at in range(0, 3000, size)]
    target, got = inbox(), []
    for start, end in [*data.draw(st.permutations(cuts)), *cuts]:
        got.append(take(target, "a", fragment(1, start, 3000, payload[start:end]), 0.0))
    assert [one for one in got if one is not None] == [payload]
    assert target.held_bytes == 0


def test_a_status_speaks_for_many_fragments() -> None:
    target = inbox()
    for number in range(40):
        take(target, "a", fragment(1, 100 * number, 1_000_000, bytes(100)), 0.0)
    (told,) = target.take_statuses()
    assert told.status == FragmentStatus(1, 1_000_000, 4000) and told.size == 40 * (100 + OVERHEAD_BYTES)
    assert not target.owes and not list(target.take_statuses(waited=True))


def test_a_lone_fragment_is_told_of_a_little_later() -> None:
    target = inbox()
    take(target, "a", fragment(1, 0, 1_000_000, bytes(100)), 0.0)
    assert not list(target.take_statuses()) and target.owes
    assert statuses(target) == [FragmentStatus(1, 1_000_000, 100)]
    take(target, "a", fragment(1, 200, 1_000_000, bytes(100)), 0.0)
    (told,) = target.take_statuses()
    assert told.status.missing == ((100, 200),), "but a gap at once"


def test_who_hears_of_a_whole_message_hears_of_the_others_a_little_later() -> None:
    target = inbox()
    for source in ("a", "b"):
        for number in range(5):
            take(target, source, fragment(1, 100 * number, 1_000_000, bytes(100)), 0.0)
    take(target, "a", fragment(2, 0, 200, bytes(100)), 0.0)
    take(target, "a", fragment(2, 100, 200, bytes(100)), 0.0)
    told = {(one.source, one.status.message_id) for one in target.take_statuses()}
    assert told == {("a", 2), ("b", 1)}
    assert target.owes
    assert [one.status for one in target.take_statuses()] == [FragmentStatus(1, 1_000_000, 500)], "the next time"
    assert not target.owes


def test_late_duplicates_of_a_complete_message() -> None:
    target, whole = inbox(), fragment(5, 0, 100, bytes(100))
    assert take(target, "a", whole, 0.0) == bytes(100)
    assert [status.complete for status in statuses(target)] == [True]
    assert take(target, "a", whole, 1.0) is None
    assert [status.complete for status in statuses(target)] == [True]
    assert take(target, "b", whole, 1.0) == bytes(100), "another source's is another message"


@pytest.mark.parametrize("seed", range(3))
def test_random_statuses_do_no_harm(seed: int) -> None:
    source = random.Random(seed)
    outbox = Outbox(1, PathSize(8972))
    outbox.add(HEADER, bytes(50_000), 0.0)
    for turn in range(500):
        outbox.poll(turn * 0.004)
        highest = source.randrange(50_001)
        cuts = sorted(source.sample(range(highest + 1), min(highest, source.choice([0, 2, 4]))))
        missing = tuple(zip(cuts[::2], cuts[1::2], strict=True))
        outbox.on_status(
            FragmentStatus(source.choice((1, 1, 2)), 50_000, highest, missing or ((0, 1),) if highest else ()),
            source.choice("ab"),
            turn * 0.004,
        )
        assert 0 <= outbox.in_flight_bytes <= MAX_BYTES


def test_what_lacks_its_beginning_is_sent_no_further_than_a_span() -> None:
    """Whatever statuses say, a receiver need not bear more gaps, nor a sender remember more pieces."""
    outbox = Outbox(1)
    total = 60_000 * FRAGMENT_BYTES
    outbox.add(HEADER, bytes(total), 0.0)
    outbox.poll(0.0)
    (message,) = outbox._messages.values()
    for turn in range(1, 3 * fragments.SPAN):
        outbox.on_status(FragmentStatus(1, total, message.next if turn % 2 else total, ((0, 1),)), "x", turn / 1000)
        outbox.poll(turn / 1000)
        assert len(message.flying) <= fragments.SPAN and message.first_open == 0
    assert message.next == fragments.SPAN * FRAGMENT_BYTES


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
