"""ack_gather: acknowledgements are kept until a quorum has news, and go on together, each as it was sent."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from controller.names import AckFate, DropReason
from controller.network import MAX_GROUPS, MAX_MEMBERS
from hosts.raft.message import MessageType
from hosts.wire import Flag, Header
from p4switch.pipeline.pipeline import Exact
from tests.p4.gathering import (
    CLUSTER,
    GENERATION,
    TERM,
    WINDOW_US,
    Ack,
    address,
    arrive,
    clear,
    fates,
    gathers,
    leads,
    sealed,
)
from tests.p4.triangle import ADDRESS, GROUP, H1, H11, SLOT, TO_S2, TO_S3, Switch, datagram


@pytest.fixture
def three(switch: Switch) -> Switch:
    """Members 2 and 3; one of them makes a quorum with the leader."""
    return gathers(switch, 2, 1)


@pytest.fixture
def five(switch: Switch) -> Switch:
    """Members 2 to 5; two of them are needed."""
    return gathers(switch, 4, 2)


@pytest.fixture
def nine(switch: Switch) -> Switch:
    """Members 2 to 9; four of them are needed."""
    return gathers(switch, 8, 4)


def begin(switch: Switch, index: int = 10) -> None:
    """Something has just gone on: members 2 and 3, or as many as are needed, have said ``index``."""
    assert arrive(switch, Ack(2, index)) is not None
    assert arrive(switch, Ack(3, index)) is not None


def test_the_first_goes_on_and_those_after_wait_for_enough(five: Switch) -> None:
    begin(five)
    assert arrive(five, Ack(4, 12)) is None
    assert arrive(five, Ack(5, 11)) == (Ack(5, 11), (Ack(4, 12).record,))
    assert arrive(five, Ack(2, 11)) is None, "members 4 and 5 have said so"
    assert arrive(five, Ack(3, 12)) == (Ack(3, 12), (Ack(2, 11).record,))
    assert fates(five) == {AckFate.ANEW: 1, AckFate.NEWS: 3, AckFate.KEPT: 2, AckFate.CARRIED: 2}
    assert five.drops() == {DropReason.KEPT: 2}


def test_of_three_members_every_other_acknowledgement_goes_on(three: Switch) -> None:
    for index in range(1, 20):
        faster, slower = Ack(2, index, round=2 * index), Ack(3, index, round=2 * index)
        found = arrive(three, faster)
        assert found == (faster, (Ack(3, index - 1, round=2 * index - 2).record,) if index > 1 else ())
        assert arrive(three, slower) is None


@pytest.mark.parametrize("make", [Ack, sealed])
def test_up_to_seven_records_are_carried_each_as_it_was_sent(nine: Switch, make: type[Ack]) -> None:
    def all_at(index: int) -> None:
        for source in range(2, 10):
            arrive(nine, make(source, index))

    all_at(1)
    nine.now_us += 10
    held = [make(source, 2) for source in (2, 3, 4)]
    for ack in held:
        assert arrive(nine, ack) is None
    found = arrive(nine, make(5, 2))
    assert found is not None
    assert set(found[1]) == {make(source, 1).record for source in (6, 7, 8, 9)} | {ack.record for ack in held}
    assert len(found[1]) == 7
    packet_bytes = len(found[0].payload) + 40 + 8 + sum(map(len, found[1]))
    assert packet_bytes == (446 if make is sealed else 190)


@pytest.mark.parametrize("count", range(8))
def test_any_number_of_records(nine: Switch, count: int) -> None:
    """One is needed here, so that the next acknowledgement carries all that were kept."""
    clear(nine, "ack_gather")
    nine.insert("ack_gather", [Exact(GROUP), Exact(1)], "gather", H1, 1, WINDOW_US, GENERATION)
    assert arrive(nine, Ack(2, 5)) == (Ack(2, 5), ())
    held = [Ack(3 + at, 5) for at in range(count)]
    for ack in held:
        assert arrive(nine, ack) is None
    found = arrive(nine, Ack(2, 6))
    assert found is not None and set(found[1]) == {ack.record for ack in held}


def test_a_record_is_carried_once_and_is_the_latest(three: Switch) -> None:
    assert arrive(three, Ack(2, 9)) is not None
    assert arrive(three, Ack(3, 7)) is None
    assert arrive(three, Ack(3, 9, round=8)) is None
    assert arrive(three, Ack(3, 8, round=9)) is None, "it is late"
    assert arrive(three, Ack(2, 10)) == (Ack(2, 10), (Ack(3, 9, round=8).record,))
    assert arrive(three, Ack(2, 11)) == (Ack(2, 11), ())
    assert fates(three)[AckFate.SUPERSEDED] == 1


def test_who_goes_on_itself_carries_no_record_of_its_own(three: Switch) -> None:
    assert arrive(three, Ack(2, 9)) is not None
    assert arrive(three, Ack(2, 9, round=8)) is None
    assert arrive(three, Ack(2, 10)) == (Ack(2, 10), ())
    assert arrive(three, Ack(3, 11)) == (Ack(3, 11), ())
    assert fates(three) == {AckFate.NEWS: 3, AckFate.KEPT: 1, AckFate.SUPERSEDED: 1}


def test_one_member_that_says_something_twice_is_one(five: Switch) -> None:
    begin(five)
    for index in (11, 11, 12, 13):
        assert arrive(five, Ack(4, index)) is None


def test_after_a_heartbeat_without_any_the_next_goes_on(five: Switch) -> None:
    begin(five)
    assert arrive(five, Ack(4, 11)) is None
    five.now_us += WINDOW_US
    assert arrive(five, Ack(4, 12)) is None
    five.now_us += 1
    assert arrive(five, Ack(4, 13)) == (Ack(4, 13), ())
    assert arrive(five, Ack(2, 5)) == (Ack(2, 5), ()), "all that was known is forgotten: these two are news"
    assert fates(five)[AckFate.ANEW] == 2


@pytest.mark.parametrize("change", ["term", "generation", "cluster", "sealed", "leader"])
def test_what_was_kept_is_carried_with_its_like_only(five: Switch, change: str) -> None:
    begin(five)
    assert arrive(five, Ack(4, 12)) is None
    other = Ack(5, 12)
    if change == "term":
        leads(five, TERM + 1)
        other = dataclasses.replace(other, term=TERM + 1)
    elif change == "generation":
        clear(five, "ack_gather", "ack_positions")
        gathers(five, 4, 2, generation=GENERATION + 1)
    elif change == "cluster":
        other = dataclasses.replace(other, cluster=CLUSTER + 1)
    elif change == "sealed":
        other = sealed(5, 12)
    else:
        five.insert("ack_gather", [Exact(GROUP), Exact(9)], "gather", H1, 2, WINDOW_US, GENERATION)
        five.set_leader(9, TERM, ADDRESS[1])
        header = Header(MessageType.APPEND_ENTRIES_REPLY, 5, 9, GROUP, TERM, 12, flags=int(Flag.GATHER))
        frame = datagram(header, src=address(5), dst=ADDRESS[1], payload=other.payload)
        ((port, out),) = five.send(TO_S2, frame).packets
        assert (port, bytes(Ether(out)[UDP].payload)) == (H1, header.pack() + other.payload)
        return
    assert arrive(five, other) == (other, ())
    assert AckFate.CARRIED not in fates(five)


def test_entries_of_two_generations_are_never_mixed(five: Switch) -> None:
    begin(five)
    clear(five, "ack_positions")
    for at, member in enumerate((3, 4, 5, 6)):
        five.insert("ack_positions", [Exact(GROUP), Exact(member)], "has_position", at, GENERATION + 1)
    assert arrive(five, Ack(4, 10)) == (Ack(4, 10), ())
    assert arrive(five, Ack(4, 10)) == (Ack(4, 10), ())


LIKE = Ack(4, 10)
REPLY = MessageType.APPEND_ENTRIES_REPLY


@pytest.mark.parametrize(
    "header",
    [
        dataclasses.replace(LIKE.header, flags=0),
        dataclasses.replace(LIKE.header, flags=int(Flag.GATHER | Flag.REJECT)),
        dataclasses.replace(LIKE.header, flags=int(Flag.GATHER | Flag.MORE)),
        dataclasses.replace(LIKE.header, flags=int(Flag.GATHER | Flag.FRAGMENT)),
        dataclasses.replace(LIKE.header, log_term=1),
        dataclasses.replace(LIKE.header, commit=1),
        dataclasses.replace(LIKE.header, target=3),
        dataclasses.replace(LIKE.header, term=TERM + 1),
        dataclasses.replace(LIKE.header, term=TERM - 1),
        dataclasses.replace(LIKE.header, source=7),
        dataclasses.replace(LIKE.header, group=GROUP + 1),
        dataclasses.replace(LIKE.header, type=MessageType.APPEND_ENTRIES),
        dataclasses.replace(LIKE.header, type=MessageType.INSTALL_SNAPSHOT_REPLY),
    ],
)
def test_all_else_passes_untouched(five: Switch, header: Header) -> None:
    begin(five)
    for _ in range(2):
        frame = datagram(header, src=address(header.source), dst=ADDRESS[1], payload=LIKE.payload)
        ((port, out),) = five.send(TO_S2, frame).packets
        assert (port, bytes(Ether(out)[UDP].payload)) == (H1, header.pack() + LIKE.payload)
    assert AckFate.KEPT not in fates(five)


@pytest.mark.parametrize("size", [0, 15, 17, 24, 40, 47, 49, 56, 66, 98])
def test_of_another_length_it_passes_untouched(five: Switch, size: int) -> None:
    """24 bytes: it names its log."""
    begin(five)
    payload = bytes(range(size))
    frame = datagram(LIKE.header, src=address(4), dst=ADDRESS[1], payload=payload)
    ((_, out),) = five.send(TO_S2, frame).packets
    assert bytes(Ether(out)[UDP].payload) == LIKE.header.pack() + payload
    assert AckFate.KEPT not in fates(five)


def test_to_another_port_or_address_it_passes_untouched(five: Switch) -> None:
    begin(five)
    frame = datagram(LIKE.header, src=address(4), dst=ADDRESS[1], dport=26411, payload=LIKE.payload)
    assert len(five.send(TO_S2, frame).packets) == 1
    frame = datagram(LIKE.header, src=address(4), dst=ADDRESS[3], payload=LIKE.payload)
    ((port, _),) = five.send(TO_S2, frame).packets
    assert port == TO_S3
    assert AckFate.KEPT not in fates(five)


def test_at_another_switch_than_the_leaders_own_it_passes_untouched(five: Switch) -> None:
    """The route to the leader has moved: its port is a trunk now."""
    clear(five, "ack_gather")
    five.insert("ack_gather", [Exact(GROUP), Exact(1)], "gather", TO_S3, 2, WINDOW_US, GENERATION)
    for _ in range(3):
        assert arrive(five, Ack(4, 10)) == (Ack(4, 10), ())


def test_a_strangers_is_neither_kept_nor_counted(five: Switch) -> None:
    begin(five)
    assert arrive(five, Ack(4, 10), H11) is None
    assert five.drops() == {DropReason.NOT_MEMBER: 1}
    clear(five, "guard_enforce")
    assert arrive(five, Ack(4, 10), H11) == (Ack(4, 10), ())
    assert fates(five) == {AckFate.ANEW: 1, AckFate.NEWS: 1}


@pytest.mark.parametrize("port", [H1, H11, TO_S2, TO_S3])
@pytest.mark.parametrize("kind", [REPLY, MessageType.APPEND_ENTRIES, MessageType.CLIENT_REQUEST])
def test_gathered_comes_in_at_no_port(five: Switch, bare: Switch, port: int, kind: MessageType) -> None:
    flags = int(Flag.GATHER | Flag.GATHERED)
    header = Header(kind, 2, 1, GROUP, TERM, 10, flags=flags)
    frame = datagram(header, src=address(2), dst=ADDRESS[1], payload=Ack(3, 9).record + LIKE.payload)
    assert five.send(port, frame).packets == ()
    assert five.drops()[DropReason.BAD_FLAGS] == 1


def test_with_the_feature_off_each_passes(switch: Switch) -> None:
    for _ in range(3):
        for source in (2, 3):
            assert arrive(switch, Ack(source, 10)) == (Ack(source, 10), ())
    assert fates(switch) == {}


def test_taken_away_and_put_back_it_begins_anew_after_a_heartbeat(five: Switch) -> None:
    begin(five)
    assert arrive(five, Ack(4, 12)) is None
    clear(five, "ack_gather", "ack_positions")
    assert arrive(five, Ack(4, 13)) == (Ack(4, 13), ())
    five.now_us += 2 * WINDOW_US
    gathers(five, 4, 2)
    assert arrive(five, Ack(5, 13)) == (Ack(5, 13), ())


def test_without_udp_checksum_it_stays_without(five: Switch) -> None:
    begin(five)
    assert arrive(five, Ack(4, 12)) is None
    packet = Ether(Ack(5, 12).frame())
    packet[UDP].chksum = 0
    ((_, out),) = five.send(TO_S2, bytes(packet)).packets
    assert (Ether(out)[UDP].chksum, Ether(out)[UDP].len) == (0, 8 + 40 + 16 + 18)


def test_bytes_behind_the_packet_stay_behind_it(five: Switch) -> None:
    begin(five)
    assert arrive(five, Ack(4, 12)) is None
    ((_, out),) = five.send(TO_S2, Ack(5, 12).frame() + b"tail").packets
    assert out.endswith(Ack(5, 12).payload + b"tail")
    assert Ether(out)[IP].len == len(out) - 14 - 4


def test_groups_do_not_meet(five: Switch) -> None:
    begin(five)
    other = GROUP + 1
    five.insert("groups", [Exact(other)], "set_group", 63, 3, 1, TERM, int.from_bytes(bytes((10, 0, 1, 1))), 26410)
    for at in range(4):
        five.insert("ack_positions", [Exact(other), Exact(2 + at)], "has_position", at, 1)
    five.insert("ack_gather", [Exact(other), Exact(1)], "gather", H1, 2, WINDOW_US, 1)
    assert arrive(five, Ack(4, 12)) is None
    assert arrive(five, Ack(5, 3, group=other)) == (Ack(5, 3, group=other), ())
    assert arrive(five, Ack(5, 12)) == (Ack(5, 12), (Ack(4, 12).record,))


def test_a_slot_that_goes_to_another_group_begins_anew(five: Switch) -> None:
    begin(five)
    assert arrive(five, Ack(4, 12)) is None
    other = GROUP + 1
    leader = int.from_bytes(bytes((10, 0, 1, 1)), "big")
    five.insert("groups", [Exact(other)], "set_group", SLOT, 3, 1, TERM, leader, 26410)
    for at in range(4):
        five.insert("ack_positions", [Exact(other), Exact(2 + at)], "has_position", at, GENERATION)
    five.insert("ack_gather", [Exact(other), Exact(1)], "gather", H1, 2, WINDOW_US, GENERATION)
    assert arrive(five, Ack(5, 12, group=other)) == (Ack(5, 12, group=other), ())


def test_there_is_room_for_all_groups_and_their_next_leaders(switch: Switch) -> None:
    for group in range(1, MAX_GROUPS + 1):
        for target in (1, 2):
            switch.insert("ack_gather", [Exact(group), Exact(target)], "gather", H1, 1, 1, 1)
        for member in range(MAX_MEMBERS):
            switch.insert("ack_positions", [Exact(group), Exact(member + 1)], "has_position", member, 1)


class Model:
    """What the switch ought to do, in Python."""

    def __init__(self, others: int, needed: int) -> None:
        self._needed = needed
        self._others = range(2, 2 + others)
        self._went_on = -(1 << 40)
        self._forget()

    def _forget(self) -> None:
        self._said = dict.fromkeys(self._others, 0)
        self._kept: dict[int, Ack] = {}
        self._high = 0

    def arrive(self, ack: Ack, now: int) -> tuple[Ack, tuple[bytes, ...]] | None:
        anew = now - self._went_on > WINDOW_US
        if anew:
            self._forget()
        latest = ack.index >= self._said[ack.source]
        self._said[ack.source] = max(self._said[ack.source], ack.index)
        above = [index for index in self._said.values() if index > self._high]
        if len(above) >= self._needed:
            self._high = min(above)
        elif not anew:
            if latest:
                self._kept[ack.source] = ack
            return None
        self._kept.pop(ack.source, None)
        carried = tuple(self._kept[one].record for one in sorted(self._kept, reverse=True))
        self._kept, self._went_on = {}, now
        return ack, carried


@pytest.mark.parametrize(("others", "needed"), [(2, 1), (3, 2), (4, 2), (6, 3), (7, 4), (8, 4)])
@pytest.mark.parametrize("with_seal", [False, True])
def test_it_does_what_a_model_does(switch: Switch, others: int, needed: int, with_seal: bool) -> None:
    gathers(switch, others, needed)
    random = Random(f"{others} {needed} {with_seal}")
    model = Model(others, needed)
    reached = dict.fromkeys(range(2, 2 + others), 0)
    for number in range(600):
        source = random.choice(list(reached))
        reached[source] += random.randrange(4)
        index = reached[source] - random.choice((0, 0, 0, 2)) if reached[source] > 1 else reached[source]
        ack = sealed(source, index, number, number) if with_seal else Ack(source, index, number)
        switch.now_us += random.choice((1, 500, 500, 3 * WINDOW_US if random.random() < 0.1 else 5))
        assert arrive(switch, ack) == model.arrive(ack, switch.now_us), number
