"""A message to everybody goes on at the pace of those that are needed, and each gets alone what it alone lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hosts.net import fragments
from hosts.net.fanout import FanOut
from hosts.net.fragments import Outbox
from hosts.net.path import BASE, PathSize
from hosts.net.reassembly import HEAD_BYTES, Inbox, key_of
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import HEADER_BYTES, Flag, FragmentStatus, Header

STEP = BASE - fragments.OVERHEAD_BYTES
TOTAL = 100 * STEP
ID = 7000
HEADER = Header(MessageType.APPEND_ENTRIES, 1, EVERYBODY, 1, term=7, index=3, flags=int(Flag.FANOUT))
PAYLOAD = bytes(range(256)) * (TOTAL // 256 + 1)


def piece(datagram: bytes) -> int:
    """Which of the message's pieces a datagram holds."""
    return int.from_bytes(datagram[HEAD_BYTES : HEAD_BYTES + 4], "big") // STEP


def pieces(datagrams: Iterable[bytes]) -> list[int]:
    return [piece(datagram) for datagram in datagrams]


class Sender:
    """A leader's outboxes with windows of so many datagrams, and a message to all of them."""

    def __init__(self, windows: Sequence[int], needed: int = 1) -> None:
        self.fan_out = FanOut(ID)
        self.outboxes = [Outbox(number * 100) for number in range(len(windows))]
        for outbox, window in zip(self.outboxes, windows, strict=True):
            outbox.window.size = window * BASE
        receivers = dict(enumerate(self.outboxes, 2))
        self.fan_out.add(HEADER, PAYLOAD[:TOTAL], receivers, needed, 0.0)

    def status(self, number: int, up_to: int, *missing: int, now: float = 0.01) -> list[int]:
        """A receiver has the pieces below ``up_to`` but the ``missing`` ones. What it gets alone then."""
        ranges = tuple((one * STEP, (one + 1) * STEP) for one in missing)
        self.outboxes[number].on_status(FragmentStatus(ID, TOTAL, up_to * STEP, ranges), "it", now)
        return self.alone(number, now)

    def alone(self, number: int, now: float) -> list[int]:
        datagrams = self.outboxes[number].poll(now)
        assert all(one[2] == Flag.FRAGMENT and one[4] == number + 2 for one in datagrams)
        return pieces(datagrams)

    def everybody(self, now: float = 0.01) -> list[int]:
        datagrams = self.fan_out.poll(now)
        assert all(one[2] == Flag.FRAGMENT | Flag.FANOUT and one[4] == EVERYBODY for one in datagrams)
        return pieces(datagrams)

    def in_flight(self) -> list[int]:
        return [outbox.in_flight_bytes // BASE for outbox in self.outboxes]


def test_it_goes_on_while_those_that_are_needed_have_room() -> None:
    sender = Sender([10, 4, 6], needed=2)
    assert sender.everybody() == list(range(6)), "the second fastest of three sets the pace"
    assert sender.in_flight() == [6, 4, 6] and sender.everybody() == []
    assert sender.status(0, 6) == [] and sender.everybody() == [], "one with room is not enough"
    assert sender.status(2, 6) == []
    assert sender.everybody()[0] == 6 and sender.in_flight()[1] == 4


def test_what_had_no_room_is_struck_off_when_its_copy_comes() -> None:
    sender = Sender([16, 4])
    assert sender.everybody() == list(range(16)) and sender.in_flight() == [16, 4]
    assert sender.status(1, 16) == [] and sender.in_flight() == [16, 0]
    assert sender.alone(1, 1.0) == []


def test_what_had_no_room_goes_again_once_its_copy_must_be_lost() -> None:
    """Later ones have come: at once. None has: after a while. Never more than that, and none before there is room."""
    sender = Sender([16, 4])
    sender.everybody()
    assert sender.status(1, 14, 6, 7) == [6, 7], "those behind it may still come"
    assert sender.alone(1, 0.02) == []
    sender = Sender([16, 4])
    sender.everybody()
    assert sender.status(1, 4) == [], "the others may be on their way"
    again = sender.alone(1, 0.2)
    assert again == list(range(4, 4 + len(again))) and 4 <= len(again) < 12
    assert sender.outboxes[1].poll(0.2) == []
    while len(again) < 12:
        again += sender.status(1, 4 + len(again), now=0.21)
    assert again == list(range(4, 16))
    assert sender.status(1, 16, now=0.22) == [] and sender.in_flight()[1] == 0


def test_all_of_it_comes_once_to_whom_the_window_is_always_too_small() -> None:
    """One receiver's copies beyond its window are all lost; it gets those, and nothing else, alone."""
    sender, inbox = Sender([200, 4]), Inbox(1 << 24, 1 << 24, 1 << 24)
    sent = sender.fan_out.poll(0.0)
    assert len(sent) == 100
    alone: list[int] = []
    arriving, whole, now = [one[:4] + b"\x03" + one[5:] for one in sent[:4]], None, 0.0
    while whole is None:
        now += 0.005
        assert now < 10
        for datagram in arriving:
            whole = inbox.receive(key_of("leader", datagram[:HEAD_BYTES]), datagram, now) or whole
        for told in inbox.take_statuses(waited=True):
            sender.outboxes[1].on_status(told.status, "it", now)
        arriving = sender.outboxes[1].poll(now)
        alone += pieces(arriving)
    assert alone == list(range(4, 100)) and bytes(whole) == PAYLOAD[:TOTAL]
    assert not sender.outboxes[1] and sender.outboxes[1].in_flight_bytes == 0
    assert not sender.fan_out


def test_who_loses_copy_after_copy_gets_the_rest_alone() -> None:
    sender = Sender([20, 20, 20])
    sender.everybody()
    lost = list(range(fragments.LOST_COPIES))
    assert set(lost) <= set(sender.status(1, 20, *lost))
    assert not sender.outboxes[1].shares(ID) and sender.outboxes[0].shares(ID)
    for _ in range(3):
        sender.everybody()
    sender.status(1, 20, now=0.02)
    assert 20 in sender.status(1, 20, now=0.02) or sender.in_flight()[1] > 0
    assert sender.status(0, 20) == [] and sender.everybody()[0] == 20, "the others go on"


def test_the_last_one_left_gets_the_rest_alone() -> None:
    sender = Sender([16, 16])
    sender.everybody()
    sender.outboxes[0].remove(ID)
    assert sender.everybody() == [] and not sender.fan_out
    assert sender.status(1, 16)[0] == 16


def test_nobody_waits_for_who_is_silent() -> None:
    sender = Sender([16, 4, 4], needed=2)
    assert sender.everybody(0.0) == [0, 1, 2, 3]
    now = 0.0
    while not sender.outboxes[1].silent:
        now += 0.01
        assert now < 0.5
        assert sender.status(0, 4, now=now) == [] and sender.everybody(now) == []
        for number in (1, 2):
            sender.alone(number, now)
    assert sender.everybody(now)[0] == 4


def test_who_has_to_get_something_else_first_has_no_room() -> None:
    sender = Sender([16, 200])
    earlier = sender.outboxes[1]
    other = FanOut(ID + 50)
    header = Header(MessageType.APPEND_ENTRIES, 1, EVERYBODY, 1, term=7, index=4, flags=int(Flag.FANOUT))
    other.add(header, bytes(5000), {3: earlier}, 1, 0.0)
    assert other.poll(0.0) == [], "the first has not all gone to everybody"
    earlier.add(Header(MessageType.APPEND_ENTRIES, 1, 3, 1, term=7, index=5), bytes(5000), 0.0)
    assert earlier.poll(0.0) == [], "nor does what comes alone pass it"
    assert sender.everybody(0.0) == list(range(100)), "one that has room is enough"
    assert not sender.fan_out
    assert [one[HEADER_BYTES:HEAD_BYTES] for one in other.poll(0.0)] == [(ID + 50).to_bytes(8, "big")] * 4
    assert len(earlier.poll(0.0)) == 4


def test_other_groups_do_not_wait() -> None:
    sender = Sender([4, 200], needed=2)
    assert sender.everybody(0.0) == [0, 1, 2, 3]
    other = FanOut(ID + 50)
    header = Header(MessageType.APPEND_ENTRIES, 1, EVERYBODY, 2, term=7, index=4, flags=int(Flag.FANOUT))
    other.add(header, bytes(5000), {3: sender.outboxes[1]}, 1, 0.0)
    sender.outboxes[1].add(Header(MessageType.INSTALL_SNAPSHOT, 1, 3, 2, term=7), bytes(5000), 0.0)
    assert len(other.poll(0.0)) == 4 and len(sender.outboxes[1].poll(0.0)) == 4


def test_datagrams_are_those_of_the_smallest_way_but_of_one_that_is_silent() -> None:
    fan_out, outboxes = FanOut(ID), {2: Outbox(1, PathSize(9000)), 3: Outbox(1, PathSize(9000))}
    for outbox in outboxes.values():
        outbox.path.proved(9000, 0.0)
    outboxes[3].path.size = 3000
    fan_out.add(HEADER, bytes(1 << 20), outboxes, 1, 0.0)
    assert {len(datagram) for datagram in fan_out.poll(0.0)} == {3000}
    outboxes[3]._silences = fragments.PERSISTENT
    outboxes[2].window.size = 1 << 20
    assert 9000 in {len(datagram) for datagram in fan_out.poll(0.0)}
