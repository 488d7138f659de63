"""What goes to everybody reaches each member once as a copy of the network's, whatever becomes of single copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hosts.net import peers
from hosts.net.fragments import GIVE_UP_S
from hosts.raft.message import EVERYBODY, Message, MessageType
from hosts.wire import (
    HEADER_BYTES,
    LARGE,
    MAX_DATAGRAM,
    Flag,
    Fragment,
    FragmentStatus,
    Header,
    pack_fragment,
    pack_peer,
)
from tests.hosts.net.copying import CLUSTER, GROUP, LEADER, SERVICE, Network, address_of, append

KEY = bytes(range(32))
KEYS = pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
SIZES = pytest.mark.parametrize("size", [64 << 10, 1 << 20])
FIVE = (2, 3, 4, 5)
BEAT = Message(MessageType.APPEND_ENTRIES, LEADER, EVERYBODY, 7, commit=3, round=9, receivers=(2, 3))
FANOUT, FRAGMENT = int(Flag.FANOUT), int(Flag.FRAGMENT)


def alone(network: Network, *members: int) -> list[int]:
    """How many bytes of the leader's went to each of these alone."""
    return [network.bytes[address_of(member)] for member in members]


def entries(network: Network, member: int) -> list[int]:
    """The indexes of the entries that a member has heard, in the order of their coming."""
    return [entry.index for message in network.heard[member] for entry in message.entries]


# -- what fits a datagram -------------------------------------------------------------------------------------------


@KEYS
def test_one_datagram_reaches_everybody(key: bytes | None) -> None:
    network = Network(5, key=key)
    small = append(64, receivers=FIVE)
    network.deliver(small, replace(BEAT, receivers=FIVE))
    for member in FIVE:
        found, beat = network.heard[member]
        assert found == replace(small, target=member, receivers=(), needed=0, copied=True)
        assert beat == replace(BEAT, target=member, receivers=(), needed=0, copied=True)
    assert network.heard[LEADER] == []
    assert set(network.bytes) == {SERVICE}
    assert network.leader.counters()["sent"] == {"APPEND_ENTRIES": 2}


def test_without_a_service_address_each_gets_its_own() -> None:
    network = Network(5, service=False)
    small, large = append(64, receivers=(2, 3, 5)), append(64 << 10, 2, receivers=(2, 3, 5))
    network.deliver(small, replace(BEAT, receivers=(2, 3, 5)), large)
    assert network.bytes[SERVICE] == 0 and network.heard[4] == []
    assert network.heard[5][0] == replace(small, target=5, receivers=(), needed=0)
    assert network.leader.fan_outs() == {}


def test_who_is_known_nowhere_is_counted_and_the_others_get_it() -> None:
    network = Network(3)
    network.deliver(replace(append(64), receivers=()))
    network.send(append(64 << 10, 2, receivers=(2, 3, 9)))
    network.run(lambda: network.have(append(64 << 10, 2)))
    assert network.leader.counters()["drops"] == {"address_unknown": 1}


# -- what does not --------------------------------------------------------------------------------------------------


@KEYS
@SIZES
def test_a_large_one_leaves_once(size: int, key: bytes | None) -> None:
    network = Network(5, key=key)
    network.deliver(append(size, receivers=FIVE))
    assert size < network.bytes[SERVICE] < 1.1 * size
    assert max(alone(network, *FIVE)) < 2 * MAX_DATAGRAM, "a probe of the path at most"
    assert [len(network.heard[member]) for member in FIVE] == [1] * 4
    assert all(not one.waits for one in network.transports.values())
    place = f"{SERVICE[0]}:{SERVICE[1]}"
    assert network.leader.fan_outs() == {str(GROUP): {"address": place, "sent_bytes": network.bytes[SERVICE]}}


@KEYS
@SIZES
@pytest.mark.parametrize("seed", range(3))
def test_each_gets_alone_what_it_lost(size: int, key: bytes | None, seed: int) -> None:
    network = Network(5, key=key, seed=seed)
    for way in network.ways.values():
        way.loss = 0.05
    network.deliver(append(size, receivers=FIVE))
    assert network.bytes[SERVICE] < 1.1 * size, "to everybody it goes once"
    assert sum(alone(network, *FIVE)) < 4 * 0.2 * size
    assert [len(network.heard[member]) for member in FIVE] == [1] * 4


def test_whose_copies_come_twice_hears_it_once() -> None:
    for key in (None, KEY):
        network = Network(key=key)
        network.ways[3].twice = True
        network.deliver(append(1 << 20))
        assert len(network.heard[3]) == 1
        assert network.transports[3].counters()["drops"].keys() == {"replayed" if key else "fragment_duplicate"}
        assert max(alone(network, 2, 3)) < 2 * MAX_DATAGRAM


def test_a_slow_one_holds_back_nobody_and_gets_all_of_it() -> None:
    fast = Network(5).deliver(append(1 << 20, receivers=FIVE))
    network = Network(5)
    network.ways[5].bytes_per_s, network.ways[5].queue_bytes = 1e6, 30_000
    messages = [append(1 << 20, index, receivers=FIVE) for index in (1, 2)]
    network.send(messages[0])
    assert network.run(lambda: network.have(messages[0], 2, 3, 4)) < 2 * fast
    network.send(messages[1])
    assert network.run(lambda: network.have(messages[1], 2, 3, 4)) < 2 * fast
    assert not network.have(messages[0], 5)
    assert network.run(lambda: network.have(messages[0], 5) and network.have(messages[1], 5)) > 1.0
    assert max(alone(network, 2, 3, 4)) < 2 * MAX_DATAGRAM
    network.run(lambda: not network.leader.waits)


def test_who_decides_nothing_holds_back_nobody() -> None:
    """Three voters, and four who only learn: over ways so slow that at their pace it would take seconds."""
    network = Network(7)
    for member in (4, 5, 6, 7):
        network.ways[member].bytes_per_s, network.ways[member].queue_bytes = 1e6, 30_000
    message = append(1 << 20, receivers=range(2, 8), needed=1)
    network.send(message)
    assert network.run(lambda: network.have(message, 2, 3)) < 0.2
    network.run(lambda: not network.leader.waits)
    assert network.have(message, *range(2, 8))


def test_copies_count_that_come_when_there_was_no_room_for_them() -> None:
    """One member's answers take longer, so its window has no room; it misses nothing, and gets little again."""
    network = Network(5)
    network.ways[5].delay_s = 0.02
    network.deliver(append(1 << 20, receivers=FIVE))
    assert alone(network, 5)[0] < (1 << 20) / 20


@KEYS
def test_a_silent_one_holds_back_nobody_and_is_given_up(key: bytes | None) -> None:
    network = Network(key=key)
    network.ways[3].cut = True
    message = append(1 << 20)
    network.send(message)
    assert network.run(lambda: network.have(message, 2)) < 0.1
    assert network.run(lambda: not network.leader.waits) <= GIVE_UP_S + 0.1
    assert alone(network, 3)[0] < 40 * MAX_DATAGRAM


def test_without_a_quorum_who_is_there_waits_a_moment_only() -> None:
    network = Network(5)
    for member in (3, 4, 5):
        network.ways[member].cut = True
    message = append(1 << 20, receivers=FIVE)
    network.send(message)
    assert network.run(lambda: network.have(message, 2)) < 0.5


@SIZES
def test_where_nothing_is_copied_each_gets_it_alone(size: int) -> None:
    network = Network(5)
    network.copies = False
    assert network.deliver(append(size, receivers=FIVE)) < 0.5
    assert network.bytes[SERVICE] < 40 * MAX_DATAGRAM


def test_a_network_that_stops_copying_under_way() -> None:
    network = Network(5)
    message = append(1 << 20, receivers=FIVE)
    network.send(message)
    network.run(lambda: network.bytes[SERVICE] > (1 << 19))
    network.copies = False
    assert network.run(lambda: network.have(message, *FIVE)) < 1.0


def test_datagrams_are_as_large_as_all_ways_take() -> None:
    network = Network(5, mtu=9000)
    network.ways[4].largest = 4096 - 28
    for index in range(1, 10):
        network.deliver(append(100_000, index, receivers=FIVE))
        network.run(lambda end=network.now + 0.2: network.now >= end)
    assert [path["datagram"] for path in network.leader.paths().values()] == [8972, 8972, 4068, 8972]
    for way in network.ways.values():
        way.came.clear()
    network.deliver(append(1 << 20, 10, receivers=FIVE))
    assert {max(map(len, network.ways[member].came)) for member in FIVE} == {4068}


def test_a_way_that_takes_less_than_before_is_that_members_matter() -> None:
    network = Network(5, mtu=9000)
    for index in (1, 2):
        network.deliver(append(1 << 20, index, receivers=FIVE))
        network.run(lambda end=network.now + 0.5: network.now >= end)
    network.ways[4].largest = 1500
    message = append(1 << 20, 3, receivers=FIVE)
    network.send(message)
    assert network.run(lambda: network.have(message, 2, 3, 5)) < 0.1
    assert network.run(lambda: network.have(message, 4)) < 2.0


@KEYS
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7])
def test_a_member_that_restarts_under_way(share: float, key: bytes | None) -> None:
    network = Network(key=key)
    message = append(1 << 20)
    network.send(message)
    network.run(lambda: network.bytes[SERVICE] > share * (1 << 20))
    network.start(3, boot=2)
    network.run(lambda: network.have(message), until_s=GIVE_UP_S - 0.5)
    assert alone(network, 2)[0] < 2 * MAX_DATAGRAM and alone(network, 3)[0] > 0.8 * share * (1 << 20)
    network.run(lambda: not network.leader.waits)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_who_is_sent_a_message_alone_may_restart_under_way(share: float) -> None:
    """More has gone than what a receiver must bear behind a gap, and in datagrams of two sizes."""
    network = Network()
    message = append(1 << 20, target=3, receivers=())
    network.send(message)
    network.run(lambda: network.bytes[address_of(3)] > share * (1 << 20))
    network.start(3, boot=2)
    network.run(lambda: network.have(message, 3), until_s=GIVE_UP_S - 0.5)


def test_a_new_term_under_way_ends_what_the_old_one_sent() -> None:
    network = Network()
    old, new = append(1 << 20, term=7), append(64 << 10, 2, term=8)
    network.send(old)
    network.run(lambda: network.bytes[SERVICE] > 100_000)
    before = network.bytes[SERVICE]
    network.deliver(new)
    assert network.bytes[SERVICE] - before < 80_000
    assert [[one.term for one in network.heard[member]] for member in (2, 3)] == [[8], [8]]


# -- in which order -------------------------------------------------------------------------------------------------


def test_what_follows_a_large_one_queues_up_behind_it() -> None:
    """To everybody behind to everybody, to one behind to everybody, and to everybody behind to one: nobody hears the
    later one first. Heartbeats wait for nothing."""
    first = append(300_000, 1)
    alone_2 = append(100, 2, target=2, receivers=())
    network = Network()
    network.send(first, append(100, 2), append(100_000, 3), append(100, 4), BEAT, alone_2)
    network.run(lambda: bool(network.heard[2] and network.heard[3]))
    assert [network.heard[member][0].round for member in (2, 3)] == [BEAT.round] * 2
    network.run(lambda: not network.leader.waits)
    assert entries(network, 2)[:4] == entries(network, 3) == [1, 2, 3, 4]

    network = Network()
    network.send(first, alone_2, append(100, 3, target=3, receivers=()))
    network.run(lambda: not network.leader.waits)
    assert (entries(network, 2), entries(network, 3)) == ([1, 2], [1, 3])

    network = Network()
    network.send(*(replace(first, target=member, receivers=()) for member in (2, 3)), append(100, 2))
    network.run(lambda: not network.leader.waits)
    # The small one waits for that of both which is done first.
    assert sorted((entries(network, 2), entries(network, 3))) in ([[1, 2], [1, 2]], [[1, 2], [2, 1]])


def test_a_large_one_to_everybody_waits_until_a_quorum_has_no_other_before_it() -> None:
    network = Network(5)
    before = [append(300_000, 1, target=member, receivers=()) for member in (2, 3, 4)]
    network.send(*before, append(100_000, 2, receivers=FIVE))
    network.run(lambda: not network.leader.waits)
    # Of four receivers two are needed: one that has nothing else to get, and the first that has got it.
    assert sum(entries(network, member) == [1, 2] for member in FIVE) >= 1
    assert entries(network, 5) == [2] and all(2 in entries(network, member) for member in FIVE)


def test_what_waits_for_slow_ones_holds_back_nobody_who_is_not_to_get_it() -> None:
    """The first goes to slow ones only. A quorum is not among them, and gets the second at once; then all get all."""
    network = Network(5)
    for member in (4, 5):
        network.ways[member].bytes_per_s, network.ways[member].queue_bytes = 2e5, 20_000
    first, second = append(600_000, 1, receivers=(4, 5)), append(60_000, 2, receivers=FIVE)
    network.send(first, second)
    network.run(lambda: network.have(second, 2, 3), until_s=0.5)
    assert not network.heard[4] and not network.heard[5]
    network.run(lambda: network.have(first, 4, 5) and network.have(second, 4, 5))
    network.run(lambda: not network.leader.waits)


def test_who_is_to_be_served_alone_waits_no_longer_for_those_who_get_it_with_it() -> None:
    """Of 2 and 4 both are needed, and 4 is slow. Then the leader gives up waiting, and sends 2 the same alone."""
    network = Network(5)
    network.ways[4].bytes_per_s, network.ways[4].queue_bytes = 2e5, 20_000
    message = append(600_000, receivers=(2, 4), needed=2)
    network.send(message)
    network.run(lambda: network.now >= 0.2)
    assert not network.heard[2]
    network.send(replace(message, target=2, receivers=()))
    network.run(lambda: network.have(message, 2), until_s=0.5)
    assert network.leader.counters()["drops"] == {"sent_already": 1}
    assert alone(network, 2)[0] < 600_000, "what has come by copies does not go again"
    network.run(lambda: network.have(message, 4) and not network.leader.waits)


def test_who_is_behind_gets_a_small_one_once_more_in_its_turn() -> None:
    network = Network(5)
    network.send(append(300_000, 1, target=5, receivers=()), append(100, 2, receivers=FIVE))
    network.run(lambda: not network.leader.waits)
    assert [entries(network, member) for member in FIVE] == [[2], [2], [2], [2, 1, 2]]
    assert alone(network, 2, 3, 4) == [0, 0, 0], "who is not behind owes no status for it"


# -- what is kept ---------------------------------------------------------------------------------------------------


def test_the_same_is_not_sent_twice() -> None:
    network = Network()
    message = append(64 << 10)
    network.send(message, message)
    network.run(lambda: not network.leader.waits)
    assert network.leader.counters()["drops"] == {"sent_already": 2}
    assert network.bytes[SERVICE] < 1.1 * (64 << 10)


def test_who_has_it_on_its_way_already_does_not_get_it_again() -> None:
    """Of three who are to get it one lacks it: it goes to that one alone."""
    network = Network(4)
    network.send(append(64 << 10, receivers=(2, 3)), append(64 << 10, receivers=(2, 3, 4)))
    network.run(lambda: not network.leader.waits)
    assert network.leader.counters()["drops"] == {"sent_already": 2}
    assert network.bytes[SERVICE] < 1.1 * (64 << 10) and alone(network, 4)[0] > 64 << 10


def test_memory_is_bounded_and_bytes_are_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_OUTBOX_BYTES", 1 << 20)
    network = Network(5)
    for way in network.ways.values():
        way.cut = True
    for index in range(1, 20):
        network.send(append(200_000, index, receivers=FIVE))
    outboxes = network.leader._outgoing.outboxes.values()
    assert [len(outbox) for outbox in outboxes] == [5] * 4
    assert all(outbox.payload_bytes <= 1 << 20 for outbox in outboxes)
    assert network.leader.counters()["drops"]["outbox_full"] == 14 * 4
    held = {id(message.payload) for outbox in outboxes for message in outbox._messages.values()}
    assert len(held) == 5, "each message's bytes once, however many are to get them"
    assert len(network.leader._outgoing.fan_outs[SERVICE]) == 5
    network.run(lambda: not network.leader.waits)
    network.leader.poll()
    assert not network.leader._outgoing.fan_outs[SERVICE] and not any(outbox.payload_bytes for outbox in outboxes)


def test_a_full_outbox_is_that_members_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_OUTBOX_BYTES", 1 << 20)
    network = Network(5)
    network.ways[5].cut = True
    for index in range(1, 8):
        message = append(200_000, index, receivers=FIVE)
        network.send(message)
        network.run(lambda message=message: network.have(message, 2, 3, 4), until_s=1.0)
    assert network.leader.counters()["drops"]["outbox_full"] == 2


def test_who_leaves_is_sent_nothing_more() -> None:
    network = Network(5)
    message = append(1 << 20, receivers=FIVE)
    network.ways[5].bytes_per_s, network.ways[5].queue_bytes = 1e6, 30_000
    network.send(message)
    network.run(lambda: network.bytes[SERVICE] > (1 << 18))
    network.leader.set_members(GROUP, {member: address_of(member) for member in range(1, 5)})
    before = alone(network, 5)
    network.run(lambda: network.have(message, 2, 3, 4))
    assert alone(network, 5) == before and address_of(5) not in network.leader._outgoing.outboxes
    network.run(lambda: not network.leader.waits)
    assert network.leader.fan_outs()[str(GROUP)]["sent_bytes"] == network.bytes[SERVICE]


def test_two_members_at_one_address_hold_back_nobody() -> None:
    """As while a new member is to take the place of one that has just stopped there."""
    network = Network(4)
    network.leader.set_members(GROUP, {1: address_of(1), 2: address_of(2), 3: address_of(3), 4: address_of(3)})
    message = append(64 << 10, receivers=(2, 3, 4))
    network.send(message)
    network.run(lambda: network.have(message, 2, 3), until_s=1.0)
    network.run(lambda: not network.leader.waits)


def test_a_closed_one_sends_nothing_more() -> None:
    network = Network()
    network.send(append(1 << 20))
    network.leader.close()
    assert network.in_flight()


# -- who takes what -------------------------------------------------------------------------------------------------


def fragments(count: int, step: int, flags: Sequence[int], target: int = 2) -> list[bytes]:
    """The datagrams of an AppendEntries with an entry of index 1, each with its flags."""
    header, payload = pack_peer(append(count * step - 29), group=GROUP, cluster=CLUSTER)
    assert len(payload) == count * step
    return [
        pack_fragment(
            replace(header, target=target, flags=FRAGMENT | flags[at]),
            Fragment(77, at * step, count * step, payload[at * step : (at + 1) * step]),
        )
        for at in range(count)
    ]


def take(network: Network, member: int, *datagrams: bytes) -> dict[str, int]:
    """A member takes these as the leader's. What it has dropped until then."""
    network.sockets[member].waiting.extend((datagram, address_of(LEADER)) for datagram in datagrams)
    network.transports[member].drain()
    return network.transports[member].counters()["drops"]


@pytest.mark.parametrize("size", [600, 6000])
def test_copies_and_what_comes_alone_make_one_message(size: int) -> None:
    """In any order, at once or apart."""
    flags = [FANOUT, FANOUT, 0, FANOUT, 0, 0, FANOUT, FANOUT]
    for apart in (False, True):
        network = Network()
        for datagrams in [[one] for one in fragments(8, size, flags)] if apart else [fragments(8, size, flags)]:
            take(network, 2, *datagrams)
        assert network.have(append(8 * size - 29), 2) and take(network, 2) == {}
        assert network.heard[2][0].target == 2
        (last, *_) = [datagram for _, _, _, datagram, _ in sorted(network._queue)][-1:]
        assert FragmentStatus.unpack(last[HEADER_BYTES + 16 :]).complete


def test_many_copies_in_a_row_are_taken_at_once() -> None:
    network = Network()
    transport = network.transports[2]
    looked_at = []
    take_one = transport._take
    transport._take = lambda *one: (looked_at.append(one), take_one(*one))[1]  # type: ignore[method-assign]
    take(network, 2, *fragments(50, 1000, [FANOUT] * 50))
    assert network.have(append(50_000 - 29), 2) and len(looked_at) == 1


@KEYS
def test_only_what_names_this_member_is_taken(key: bytes | None) -> None:
    """What the network has not made a copy for it, it drops; also in the midst of what it takes."""
    network = Network(key=key)
    message = append(100_000)
    network.send(message)
    first = network.in_flight()
    to_two = [datagram for datagram in first if datagram[4] == 2 and datagram[2] & FANOUT]
    to_three = [datagram for datagram in first if datagram[4] == 3 and datagram[2] & FANOUT]
    as_sent = [datagram[:4] + bytes((EVERYBODY,)) + datagram[5:] for datagram in to_two]
    assert take(network, 2, to_two[0], as_sent[1], to_three[2]) == {"for_the_network": 1, "misdelivered": 1}
    network.transports[2].poll()
    (told,) = [datagram for datagram in network.in_flight() if datagram not in first]
    assert FragmentStatus.unpack(told[56 : len(told) - (32 if key else 0)]).highest == len(to_two[0]) - 56 - (
        32 if key else 0
    )
    beat = [pack_peer(replace(BEAT, target=target), group=GROUP, cluster=CLUSTER, fanout=True) for target in (255, 3)]
    take(network, 2, *(header.pack() + payload for header, payload in beat))
    assert network.transports[2].counters()["drops"] == {"for_the_network": 2, "misdelivered": 2}
    assert network.heard[2] == []


def test_fanout_is_for_append_entries_only() -> None:
    """Also where fragments of the same message without it have come before."""
    network = Network()
    chunk = Header(MessageType.INSTALL_SNAPSHOT, LEADER, 2, GROUP, term=7, flags=FRAGMENT)
    begun, forged = (
        pack_fragment(replace(chunk, flags=FRAGMENT | also), Fragment(5, at, 3000, bytes(1000)))
        for at, also in ((0, 0), (1000, FANOUT))
    )
    assert take(network, 2, begun, forged) == {"malformed": 1}


def test_with_a_key_no_copy_becomes_a_message_to_one_nor_the_reverse() -> None:
    network = Network(key=KEY)
    network.send(append(100_000, 9, target=3, receivers=()), append(100_000))
    for datagram in network.in_flight():
        if datagram[1] == MessageType.APPEND_ENTRIES:
            take(network, datagram[4], datagram[:2] + bytes((datagram[2] ^ FANOUT,)) + datagram[3:])
    assert take(network, 2).keys() == take(network, 3).keys() == {"bad_mac"}
    assert take(network, 3)["bad_mac"] > take(network, 2)["bad_mac"] >= 16


@KEYS
def test_nobody_takes_what_it_has_sent_itself(key: bytes | None) -> None:
    """The network, or who writes target and addresses on the way, may send everybody's copy back to the leader."""
    network = Network(key=key)
    network.send(append(64))
    datagram = network.in_flight()[0]
    assert take(network, LEADER, datagram[:4] + bytes((LEADER,)) + datagram[5:]) == {"not_member": 1}
    assert network.heard[LEADER] == [] and network.leader._guests == {}


def test_large_enough_for_what_is_not_copied() -> None:
    """An entry that has a message to itself goes to everybody like others."""
    network = Network()
    small, large = append(LARGE - 100), append(LARGE + 1, 2)
    network.deliver(small, large)
    assert entries(network, 2) == entries(network, 3) == [1, 2]
