"""append_fanout: one AppendEntries to everybody becomes a copy for each other member, along a tree."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from controller.names import CopyFate, DropReason
from controller.network import MAX_GROUPS, MAX_MEMBERS
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, Flag, Header
from p4switch.pipeline.entities import Replica
from p4switch.pipeline.pipeline import Exact
from tests.p4.triangle import (
    ADDRESS,
    CLIENT,
    GROUP,
    H1,
    H11,
    SERVICE,
    TO_S2,
    TO_S3,
    Switch,
    datagram,
    host_mac,
    ipv4,
    mac,
)

TREE = 8
EVERYBODY = 255
NEIGHBOUR = 4
"""A member that hangs on port 2 of s1, where the triangle has its client."""
NEIGHBOUR_IP = "10.0.1.11"
NEIGHBOUR_PORT = 26411
S2_MAC, S3_MAC = "08:00:00:00:02:00", "08:00:00:00:03:00"


def beat(
    source: int = 1, *, term: int = 5, flags: Flag = Flag.FANOUT, payload: bytes = bytes(16), **fields: int
) -> bytes:
    """An AppendEntries to everybody, at the service address."""
    header = Header(
        MessageType.APPEND_ENTRIES,
        source,
        EVERYBODY,
        GROUP,
        term,
        index=9,
        log_term=5,
        commit=8,
        flags=flags,
        **fields,
    )
    return datagram(header, src=ADDRESS[source], dst=SERVICE, payload=payload)


def copy_to(switch: Switch, port: int, member: int, address: str, udp_port: int) -> None:
    key = [Exact(GROUP), Exact(port), Exact(member)]
    switch.insert("fanout_copy", key, "to_member", mac(host_mac(address)), ipv4(address), udp_port)


@pytest.fixture
def at_leader(switch: Switch) -> Switch:
    """The leader is h1, at s1: copies for h4 at port 2, and over both trunks."""
    switch.pipeline.set_multicast_group(TREE, [Replica(H11, NEIGHBOUR), Replica(TO_S2, 0), Replica(TO_S3, 0)])
    copy_to(switch, H1, 1, ADDRESS[1], 26410)
    copy_to(switch, H11, NEIGHBOUR, NEIGHBOUR_IP, NEIGHBOUR_PORT)
    for trunk, gateway in ((TO_S2, S2_MAC), (TO_S3, S3_MAC)):
        switch.insert("fanout_copy", [Exact(GROUP), Exact(trunk), Exact(0)], "over_trunk", mac(gateway))
    switch.insert("append_fanout", [Exact(GROUP), Exact(1)], "copy_along", H1, TREE)
    return switch


@pytest.fixture
def at_follower(switch: Switch) -> Switch:
    """The leader is member 2, behind the trunk to s2: copies for h1, and on to s3."""
    switch.pipeline.set_multicast_group(TREE, [Replica(H1, 1), Replica(TO_S3, 0)])
    copy_to(switch, H1, 1, ADDRESS[1], 26410)
    switch.insert("fanout_copy", [Exact(GROUP), Exact(TO_S3), Exact(0)], "over_trunk", mac(S3_MAC))
    switch.insert("append_fanout", [Exact(GROUP), Exact(2)], "copy_along", TO_S2, TREE)
    return switch


def copies(switch: Switch) -> dict[CopyFate, int]:
    """How many copies have met each fate, zeros left out."""
    counted = {fate: switch.count("copies", fate) for fate in CopyFate}
    return {fate: count for fate, count in counted.items() if count}


def with_good_checksums(frame: bytes) -> bytes:
    """The frame with checksums computed anew; the same bytes if they were right."""
    packet = Ether(frame)
    del packet[IP].chksum
    del packet[UDP].chksum
    return bytes(packet)


def readdressed(frame: bytes, *, src: str, dst: str, target: int, address: str, udp_port: int) -> bytes:
    """What a copy of ``frame`` must be."""
    packet = Ether(frame)
    packet.src, packet.dst = src, dst
    packet[IP].dst, packet[IP].ttl, packet[UDP].dport = address, packet[IP].ttl - 1, udp_port
    load = bytearray(bytes(packet[UDP].payload))
    load[4] = target
    packet[UDP].remove_payload()
    return with_good_checksums(bytes(packet / bytes(load)))


GATEWAY = "08:00:00:00:01:00"
LARGEST = 1500 - 20 - 8 - HEADER_BYTES
"""Bytes behind the Raft header in a packet of 1,500 bytes."""


@pytest.mark.parametrize("flags", [Flag.FANOUT, Flag.FANOUT | Flag.FRAGMENT, Flag.FANOUT | Flag.MORE | Flag.FRAGMENT])
@pytest.mark.parametrize("size", [0, 16, 33, 1300, LARGEST])
def test_at_the_leaders_switch_it_is_copied_to_members_and_trunks(at_leader: Switch, flags: Flag, size: int) -> None:
    frame = beat(flags=flags, payload=(bytes(range(250)) * 6)[:size])
    to_member = readdressed(
        frame,
        src=GATEWAY,
        dst=host_mac(NEIGHBOUR_IP),
        target=NEIGHBOUR,
        address=NEIGHBOUR_IP,
        udp_port=NEIGHBOUR_PORT,
    )
    onward = [
        readdressed(frame, src=GATEWAY, dst=gateway, target=EVERYBODY, address=SERVICE, udp_port=26410)
        for gateway in (S2_MAC, S3_MAC)
    ]
    assert sorted(at_leader.send(H1, frame).packets) == [(H11, to_member), (TO_S2, onward[0]), (TO_S3, onward[1])]
    assert at_leader.drops() == {}
    assert copies(at_leader) == {CopyFate.TO_MEMBER: 1, CopyFate.OVER_TRUNK: 2}
    assert [at_leader.count("port_tx", port) for port in (H1, H11, TO_S2, TO_S3)] == [0, 1, 1, 1]


def test_at_another_switch_it_is_copied_on(at_follower: Switch) -> None:
    frame = beat(2)
    to_member = readdressed(
        frame, src=GATEWAY, dst=host_mac(ADDRESS[1]), target=1, address=ADDRESS[1], udp_port=26410
    )
    onward = readdressed(frame, src=GATEWAY, dst=S3_MAC, target=EVERYBODY, address=SERVICE, udp_port=26410)
    assert sorted(at_follower.send(TO_S2, frame).packets) == [(H1, to_member), (TO_S3, onward)]


def test_from_another_port_it_is_dropped_and_counted(at_follower: Switch) -> None:
    assert at_follower.send(TO_S3, beat(2)).packets == ()
    assert at_follower.drops() == {DropReason.WRONG_PORT: 1}
    assert copies(at_follower) == {}


def test_from_a_trunk_it_is_dropped_at_the_leaders_own_switch(at_leader: Switch) -> None:
    assert at_leader.send(TO_S2, beat(1)).packets == ()
    assert at_leader.drops() == {DropReason.WRONG_PORT: 1}


@pytest.mark.parametrize("source", [1, 2])
def test_a_strangers_is_dropped(at_leader: Switch, source: int) -> None:
    """From a client's port, whomever it claims to be."""
    assert at_leader.send(H11, beat(source)).packets == ()
    header = Header(MessageType.APPEND_ENTRIES, source, EVERYBODY, GROUP, 5, flags=Flag.FANOUT)
    assert at_leader.send(H11, datagram(header, src=CLIENT, dst=SERVICE)).packets == ()
    assert at_leader.drops() == {DropReason.NOT_MEMBER: 2}


def test_without_the_guard_nobody_at_an_edge_has_copies_made(at_leader: Switch) -> None:
    for table in ("members", "guard_enforce"):
        name = at_leader.full_name("tables", table)
        for entry in at_leader.pipeline.entries(name):
            at_leader.pipeline.delete(name, entry.handle)
    assert at_leader.send(H1, beat()).packets == ()
    assert at_leader.drops() == {DropReason.NO_ROUTE: 1}


def test_a_members_who_does_not_lead_goes_as_addressed(at_follower: Switch) -> None:
    assert at_follower.send(H1, beat(1)).packets == ()
    assert at_follower.drops() == {DropReason.NO_ROUTE: 1}


def test_of_a_lower_term_it_is_dropped_while_the_leader_is_heard(at_leader: Switch) -> None:
    assert len(at_leader.send(H1, beat(term=6)).packets) == 3
    assert at_leader.send(H1, beat(term=5)).packets == ()
    assert at_leader.drops() == {DropReason.STALE_TERM: 1}


def test_a_fanout_teaches_who_leads(at_leader: Switch) -> None:
    ((name, values),) = at_leader.send(H1, beat(term=6)).digests
    assert (name, tuple(values)[2:]) == ("leader_digest_t", (1, 6))


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        (MessageType.APPEND_ENTRIES, 2, DropReason.BAD_TARGET),
        (MessageType.APPEND_ENTRIES, 0, DropReason.BAD_TARGET),
        (MessageType.APPEND_ENTRIES_REPLY, EVERYBODY, DropReason.BAD_FLAGS),
        (MessageType.REQUEST_VOTE, EVERYBODY, DropReason.BAD_FLAGS),
        (MessageType.INSTALL_SNAPSHOT, EVERYBODY, DropReason.BAD_FLAGS),
        (MessageType.CONFIGURATION, EVERYBODY, DropReason.BAD_FLAGS),
        (MessageType.CLIENT_REQUEST, EVERYBODY, DropReason.BAD_FLAGS),
    ],
)
def test_only_an_append_entries_to_everybody_may_ask_for_it(
    at_leader: Switch, kind: MessageType, target: int, reason: DropReason
) -> None:
    header = Header(kind, 1, target, GROUP, 5, flags=Flag.FANOUT)
    assert at_leader.send(H1, datagram(header, src=ADDRESS[1], dst=SERVICE)).packets == ()
    assert at_leader.drops() == {reason: 1}


def test_an_append_entries_to_one_member_is_just_forwarded(at_leader: Switch) -> None:
    header = Header(MessageType.APPEND_ENTRIES, 1, 2, GROUP, 5)
    ((port, _),) = at_leader.send(H1, datagram(header, src=ADDRESS[1], dst=ADDRESS[2])).packets
    assert port == TO_S2
    assert copies(at_leader) == {}


def test_with_the_feature_off_it_goes_as_addressed(switch: Switch) -> None:
    assert switch.send(H1, beat()).packets == ()
    assert switch.drops() == {DropReason.NO_ROUTE: 1}
    header = Header(MessageType.APPEND_ENTRIES, 1, EVERYBODY, GROUP, 5, flags=Flag.FANOUT)
    frame = datagram(header, src=ADDRESS[1], dst=ADDRESS[2])
    ((port, out),) = switch.send(H1, frame).packets
    assert (port, bytes(Ether(out)[UDP].payload)) == (TO_S2, bytes(Ether(frame)[UDP].payload))


def test_the_member_that_has_sent_it_gets_no_copy(at_leader: Switch) -> None:
    """A tree that was made for another leader may have the sender among its receivers."""
    at_leader.pipeline.set_multicast_group(TREE, [Replica(H1, 1), Replica(H11, NEIGHBOUR)])
    ((port, _),) = at_leader.send(H1, beat()).packets
    assert port == H11
    assert copies(at_leader) == {CopyFate.TO_SENDER: 1, CopyFate.TO_MEMBER: 1}


def test_a_member_behind_the_senders_port_gets_its_copy(at_leader: Switch) -> None:
    at_leader.pipeline.set_multicast_group(TREE, [Replica(H1, 2)])
    copy_to(at_leader, H1, 2, ADDRESS[2], 26410)
    ((port, out),) = at_leader.send(H1, beat()).packets
    assert (port, Ether(out)[IP].dst) == (H1, ADDRESS[2])


def test_nothing_goes_back_over_the_trunk_that_it_came_by(at_follower: Switch) -> None:
    at_follower.pipeline.set_multicast_group(TREE, [Replica(TO_S2, 0), Replica(TO_S3, 0)])
    at_follower.insert("fanout_copy", [Exact(GROUP), Exact(TO_S2), Exact(0)], "over_trunk", mac(S2_MAC))
    ((port, _),) = at_follower.send(TO_S2, beat(2)).packets
    assert port == TO_S3
    assert copies(at_follower) == {CopyFate.BACK: 1, CopyFate.OVER_TRUNK: 1}


def test_a_copy_that_no_entry_describes_is_not_made(at_leader: Switch) -> None:
    at_leader.pipeline.set_multicast_group(TREE, [Replica(H11, 9), Replica(TO_S2, 0)])
    ((port, _),) = at_leader.send(H1, beat()).packets
    assert port == TO_S2
    assert copies(at_leader) == {CopyFate.NO_ENTRY: 1, CopyFate.OVER_TRUNK: 1}


def test_checksums_of_copies_stay_right_for_many_values(at_leader: Switch) -> None:
    for number in range(400):
        payload = (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")
        for _, out in at_leader.send(H1, beat(payload=payload)).packets:
            assert with_good_checksums(out) == out


def test_all_groups_can_change_their_leader_at_once(switch: Switch) -> None:
    """The next leader's entry is written before the last one's goes."""
    for source in (1, 2):
        for group in range(1, MAX_GROUPS + 1):
            switch.insert("append_fanout", [Exact(group), Exact(source)], "copy_along", TO_S2, group)
            for member in range(1, MAX_MEMBERS):
                key = [Exact(group), Exact(10 * source + member), Exact(member)]
                switch.insert("fanout_copy", key, "to_member", 1, 2, 3)


def test_at_its_last_hop_it_is_not_copied(at_leader: Switch) -> None:
    packet = Ether(beat())
    packet[IP].ttl = 1
    assert at_leader.send(H1, with_good_checksums(bytes(packet))).packets == ()
    assert at_leader.drops() == {DropReason.TTL_EXPIRED: 1}


def test_a_datagram_without_udp_checksum_stays_without(at_leader: Switch) -> None:
    packet = Ether(beat())
    packet[UDP].chksum = 0
    out = [Ether(frame)[UDP].chksum for _, frame in at_leader.send(H1, bytes(packet)).packets]
    assert out == [0, 0, 0]


def test_a_copy_differs_in_its_target_only(at_leader: Switch) -> None:
    frame = beat(payload=bytes(range(99)))
    sent = bytes(Ether(frame)[UDP].payload)
    for port, out in at_leader.send(H1, frame).packets:
        load = bytes(Ether(out)[UDP].payload)
        assert (load[:4], load[5:]) == (sent[:4], sent[5:])
        assert load[4] == (NEIGHBOUR if port == H11 else EVERYBODY)
        assert len(load) == HEADER_BYTES + 99
