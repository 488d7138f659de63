"""What raft.p4 does to packets, stage by stage, through the project's own compiler and switch."""

from __future__ import annotations

import re

import pytest
from scapy.layers.inet import IP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import DEFAULT_PORT, Flag, Header
from p4switch.pipeline.pipeline import Exact
from tests.p4.triangle import (
    ADDRESS,
    CLIENT,
    CPU_PORT,
    GATEWAY,
    GROUP,
    H1,
    H11,
    REPOSITORY,
    SERVICE,
    SLOT,
    TO_S2,
    TO_S3,
    WINDOW_US,
    Switch,
    datagram,
    host_mac,
    peer,
)

T = MessageType
REASON = {
    name: int(number)
    for name, number in re.findall(r"^  (\w+) = (\d+)", (REPOSITORY / "p4/include/reasons.p4").read_text(), re.M)
}


def request(dst: str, *, flags: int = 0, group: int = GROUP, payload: bytes = b"value", sport: int = 40000) -> bytes:
    header = Header(T.CLIENT_REQUEST, group=group, index=1, log_term=9, flags=flags)
    return datagram(header, src=CLIENT, dst=dst, sport=sport, payload=payload)


def with_good_checksums(frame: bytes) -> bytes:
    """The same frame with both checksums computed anew by Scapy."""
    packet = Ether(frame)
    del packet[IP].chksum, packet[UDP].chksum
    return bytes(packet)


def test_plain_forwarding_rewrites_macs_and_ttl(switch: Switch) -> None:
    frame = bytes(Ether(src="00:00:00:00:00:01", dst=GATEWAY) / IP(src=CLIENT, dst=ADDRESS[1], ttl=9) / b"ping")
    ((port, out),) = switch.send(H11, frame).packets
    packet = Ether(out)
    assert port == H1
    assert (packet.src, packet.dst, packet[IP].ttl) == (GATEWAY, host_mac(ADDRESS[1]), 8)
    del packet[IP].chksum
    assert bytes(packet) == out


def test_without_entries_only_the_route_is_needed(bare: Switch) -> None:
    ((port, _),) = bare.send(H11, request(ADDRESS[2])).packets
    assert port == TO_S2
    ((port, _),) = bare.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 5)).packets
    assert port == TO_S2
    assert bare.drops() == {}


def options_in(frame: bytes) -> bytes:
    """The same packet with IPv4 options before UDP."""
    packet = Ether(frame)
    packet[IP].options = [IPOption_NOP()] * 4
    del packet[IP].ihl, packet[IP].len, packet[IP].chksum
    return bytes(packet)


def with_udp_length(frame: bytes, length: int) -> bytes:
    packet = Ether(frame)
    packet[UDP].len = length
    return bytes(packet)


def padded(frame: bytes, size: int) -> bytes:
    """With bytes behind the IPv4 packet that look like a Raft header's beginning."""
    return frame + b"\x01" * size


@pytest.mark.parametrize(
    ("reason", "frame"),
    [
        ("not_ip", bytes(Ether() / ARP(pdst=ADDRESS[1]))),
        ("not_ip", bytes(Ether() / IPv6() / UDP())),
        ("parser_error", b"\x00" * 9),
        ("bad_ipv4", bytes(Ether(dst=GATEWAY, type=0x0800)) + b"\x45\x00"),
        ("bad_ipv4", datagram(b"", src=CLIENT, dst=ADDRESS[1], len=2000)),
        ("bad_ipv4", datagram(b"x" * 40, src=CLIENT, dst=ADDRESS[1], dport=5, len=65535)),
        ("bad_ipv4", datagram(b"", src=CLIENT, dst=ADDRESS[1], version=6)),
        ("not_ip", bytes(Ether(dst=GATEWAY) / Dot1Q(vlan=1) / Ether(peer(T.APPEND_ENTRIES, 1, 2, 5))[IP])),
        ("bad_ipv4", options_in(peer(T.APPEND_ENTRIES, 1, 2, 5))),
        ("short_raft", with_udp_length(peer(T.APPEND_ENTRIES, 1, 2, 5), 7)),
        ("short_raft", with_udp_length(peer(T.APPEND_ENTRIES, 1, 2, 5), 65535)),
        ("short_raft", padded(datagram(b"", src=ADDRESS[1], dst=ADDRESS[2]), 60)),
        ("bad_checksum", datagram(b"x" * 40, src=CLIENT, dst=ADDRESS[1], chksum=0x1234, dport=5)),
        ("ttl_expired", datagram(b"x" * 40, src=CLIENT, dst=ADDRESS[1], ttl=1, dport=5)),
        ("udp_fragment", datagram(b"x" * 40, src=CLIENT, dst=ADDRESS[1], flags=1)),
        ("udp_fragment", datagram(b"x" * 40, src=CLIENT, dst=ADDRESS[1], frag=8)),
        ("short_raft", datagram(b"", src=CLIENT, dst=ADDRESS[1])),
        ("short_raft", datagram(b"\x01" * 39, src=CLIENT, dst=ADDRESS[1])),
        ("bad_version", datagram(b"\x02" * 40, src=CLIENT, dst=ADDRESS[1])),
        ("bad_version", datagram(Header(T.CLIENT_REQUEST, reserved=1), src=CLIENT, dst=ADDRESS[1])),
        ("bad_version", datagram(Header(0), src=CLIENT, dst=ADDRESS[1])),
        ("bad_version", datagram(Header(15), src=CLIENT, dst=ADDRESS[1])),
        ("bad_version", datagram(Header(255), src=CLIENT, dst=ADDRESS[1])),
        ("term_range", peer(T.APPEND_ENTRIES, 1, 2, 2**63)),
        ("term_range", peer(T.REQUEST_VOTE, 1, 2, 2**64 - 1)),
        ("term_range", peer(T.APPEND_ENTRIES, 1, 2, 5, index=2**63)),
        ("bad_flags", peer(T.REQUEST_VOTE, 1, 2, 5, flags=Flag.FANOUT)),
        ("bad_flags", peer(T.APPEND_ENTRIES_REPLY, 1, 2, 5, flags=Flag.GATHER | Flag.GATHERED)),
        ("bad_target", datagram(Header(T.APPEND_ENTRIES, 1, EVERYBODY, GROUP, 5), src=ADDRESS[1], dst=ADDRESS[2])),
        ("no_route", datagram(b"x" * 40, src=CLIENT, dst="192.0.2.1", dport=5)),
    ],
)
def test_each_kind_of_invalid_packet_is_dropped_under_its_reason(switch: Switch, reason: str, frame: bytes) -> None:
    assert switch.send(H1, frame).packets == ()
    assert switch.drops() == {REASON[reason]: 1}


def test_quic_on_the_raft_port_is_just_forwarded(switch: Switch) -> None:
    frame = datagram(b"\xc3" + b"quic" * 20, src=CLIENT, dst=ADDRESS[2])
    ((port, _),) = switch.send(H11, frame).packets
    assert port == TO_S2


def test_messages_are_counted_by_type_valid_or_not(switch: Switch) -> None:
    switch.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 5))
    switch.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 2**63))
    switch.send(H11, datagram(Header(200), src=CLIENT, dst=ADDRESS[1]))
    assert switch.count("messages", T.APPEND_ENTRIES) == 2
    assert switch.count("messages", 31) == 1


# --- member_guard


def test_a_peer_message_from_a_client_host_is_dropped_and_nothing_learnt(switch: Switch) -> None:
    """The same id, address and UDP port as h1, but from h11's switch port."""
    forged = peer(T.APPEND_ENTRIES, 1, 2, 900)
    out = switch.send(H11, forged)
    assert (out.packets, out.digests) == ((), ())
    assert switch.drops() == {REASON["not_member"]: 1}
    assert registers(switch) == (0, 0)


def test_a_member_cannot_speak_for_another(switch: Switch) -> None:
    header = Header(T.REQUEST_VOTE, 2, 3, GROUP, 6)
    assert switch.send(H1, datagram(header, src=ADDRESS[1], dst=ADDRESS[3])).packets == ()
    assert switch.send(H1, datagram(header, src=ADDRESS[2], dst=ADDRESS[3])).packets == ()
    assert switch.drops() == {REASON["not_member"]: 2}


def test_no_other_source_port_and_no_padding_gets_past_the_guard(switch: Switch) -> None:
    header = Header(T.APPEND_ENTRIES, 1, 2, GROUP, 900)
    tricks = [
        datagram(header, src=ADDRESS[1], dst=ADDRESS[2], sport=40000),
        datagram(header, src=ADDRESS[1], dst=ADDRESS[2], dport=40000),
        padded(peer(T.APPEND_ENTRIES, 1, 2, 900), 6),
        datagram(header, src=ADDRESS[1], dst=ADDRESS[2], flags=4),
        datagram(header, src=ADDRESS[1], dst=ADDRESS[2], tos=0xFF),
    ]
    for frame in tricks:
        assert switch.send(H11, frame).packets == ()
    assert switch.drops() == {REASON["not_member"]: len(tricks)}
    assert registers(switch) == (0, 0)


def test_a_client_reply_must_come_from_a_member(switch: Switch) -> None:
    reply = Header(T.CLIENT_REPLY, 1, group=GROUP)
    assert switch.send(H11, datagram(reply, src=ADDRESS[1], dst=CLIENT, dport=40000)).packets == ()
    assert switch.drops() == {REASON["not_member"]: 1}
    ((port, _),) = switch.send(H1, datagram(reply, src=ADDRESS[1], dst=CLIENT, dport=40000)).packets
    assert port == H11


def test_trunks_are_trusted(switch: Switch) -> None:
    ((port, _),) = switch.send(TO_S2, peer(T.APPEND_ENTRIES_REPLY, 2, 1, 5)).packets
    assert port == H1


# --- leader_watch and term_filter


def registers(switch: Switch, slot: int = SLOT) -> tuple[int, int]:
    """(term, leader) by the controller's tick: a packet-out that comes back as a packet-in."""
    ((port, frame),) = switch.send(CPU_PORT, bytes([0, 1, slot])).packets
    assert port == CPU_PORT
    value = int.from_bytes(frame, "big")
    assert len(frame) == 24
    assert (value >> (64 + 48 + 48 + 8)) & 0xFF == slot
    assert (value >> 176) & 0x7F == 1
    assert value & (2**48 - 1) == switch.now_us
    return (value >> 96) & (2**64 - 1), (value >> 160) & 0xFF


def test_it_learns_from_append_entries_and_drops_stale_requests(switch: Switch) -> None:
    switch.send(TO_S2, peer(T.APPEND_ENTRIES, 2, 1, 9))
    assert registers(switch) == (9, 2)
    for kind in (T.APPEND_ENTRIES, T.REQUEST_VOTE, T.PRE_VOTE, T.INSTALL_SNAPSHOT, T.TIMEOUT_NOW):
        assert switch.send(H1, peer(kind, 1, 2, 8)).packets == ()
    assert switch.drops() == {REASON["stale_term"]: 5}
    for kind in (T.APPEND_ENTRIES_REPLY, T.REQUEST_VOTE_REPLY, T.PRE_VOTE_REPLY):
        assert len(switch.send(H1, peer(kind, 1, 2, 8)).packets) == 1
    assert registers(switch) == (9, 2)


@pytest.mark.parametrize("kind", [T.REQUEST_VOTE, T.PRE_VOTE, T.APPEND_ENTRIES_REPLY, T.REQUEST_VOTE_REPLY])
def test_it_never_learns_from_votes_or_replies(switch: Switch, kind: MessageType) -> None:
    assert len(switch.send(TO_S2, peer(kind, 2, 1, 900)).packets) == 1
    assert registers(switch) == (0, 0)


def test_a_dropped_message_does_not_refresh_and_a_window_later_the_term_may_go_down(switch: Switch) -> None:
    start = switch.now_us
    switch.send(TO_S2, peer(T.APPEND_ENTRIES, 2, 1, 1005))
    for after in range(10_000, WINDOW_US + 1, 10_000):
        switch.now_us = start + after
        assert switch.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 5)).packets == ()
    switch.now_us = start + WINDOW_US + 1
    assert len(switch.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 5)).packets) == 1
    assert registers(switch) == (5, 1)


def take_away(switch: Switch, table: str) -> None:
    name = switch.full_name("tables", table)
    (entry,) = switch.pipeline.entries(name)
    switch.pipeline.delete(name, entry.handle)


def test_without_the_watch_nothing_is_learnt_or_filtered(switch: Switch) -> None:
    switch.send(TO_S2, peer(T.APPEND_ENTRIES, 2, 1, 9))
    take_away(switch, "leader_watch")
    assert len(switch.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 3)).packets) == 1
    output = switch.send(TO_S2, peer(T.APPEND_ENTRIES, 2, 1, 10))
    assert len(output.packets) == 1 and output.digests == ()
    assert registers(switch) == (9, 2)


def test_without_the_filter_stale_requests_pass_and_leaders_are_still_followed(switch: Switch) -> None:
    take_away(switch, "term_filter")
    assert switch.send(TO_S2, peer(T.APPEND_ENTRIES, 2, 1, 9)).digests
    assert len(switch.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 3)).packets) == 1
    assert registers(switch) == (9, 2), "a lower term is not learnt while the leader is heard"
    assert switch.drops() == {}
    switch.now_us += WINDOW_US + 1
    switch.send(H1, peer(T.APPEND_ENTRIES, 1, 2, 3))
    assert registers(switch) == (3, 1)


def test_a_new_leader_is_told_by_digest_until_the_entry_agrees(switch: Switch) -> None:
    beat = peer(T.APPEND_ENTRIES, 2, 1, 6)
    ((name, values),) = switch.send(TO_S2, beat).digests
    assert (name, tuple(values)) == ("leader_digest_t", (GROUP, SLOT, 2, 6))
    switch.now_us += 50_000
    assert switch.send(TO_S2, beat).digests == ()
    switch.now_us += 150_000
    assert len(switch.send(TO_S2, beat).digests) == 1
    switch.set_leader(2, 6, ADDRESS[2])
    switch.now_us += 200_000
    assert switch.send(TO_S2, beat).digests == ()


def test_an_unknown_group_passes_unfiltered(switch: Switch) -> None:
    header = Header(T.APPEND_ENTRIES, 1, 2, GROUP + 256, 1)
    assert len(switch.send(H1, datagram(header, src=ADDRESS[1], dst=ADDRESS[2])).packets) == 1
    assert registers(switch) == (0, 0)


# --- leader_route


@pytest.mark.parametrize("dst", [ADDRESS[2], ADDRESS[3], SERVICE, "192.0.2.77"])
@pytest.mark.parametrize("size", [0, 1, 5, 1300])
def test_requests_reach_the_leader_with_right_checksums(switch: Switch, dst: str, size: int) -> None:
    ((port, out),) = switch.send(
        H11, request(dst, payload=bytes(range(256)) * 5 + bytes(20) if size > 5 else b"x" * size)
    ).packets
    packet = Ether(out)
    assert port == H1
    assert (packet[IP].src, packet[IP].dst, packet[UDP].dport) == (CLIENT, ADDRESS[1], DEFAULT_PORT)
    assert with_good_checksums(out) == out
    assert switch.count("redirects", SLOT) == 1


def test_checksums_stay_right_for_many_values(switch: Switch) -> None:
    for number in range(700):
        payload = (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")
        ((_, out),) = switch.send(H11, request(ADDRESS[3], payload=payload, sport=1024 + number * 89)).packets
        assert with_good_checksums(out) == out


def test_a_datagram_without_udp_checksum_stays_without(switch: Switch) -> None:
    packet = Ether(request(ADDRESS[2]))
    packet[UDP].chksum = 0
    ((_, out),) = switch.send(H11, bytes(packet)).packets
    assert Ether(out)[UDP].chksum == 0


def test_a_computed_zero_is_sent_as_ffff(switch: Switch) -> None:
    """RFC 768: 0 would mean that there is no checksum. The last two bytes are chosen so that the sum becomes 0."""
    whole = Ether(request(ADDRESS[1], payload=bytes(2)))
    word = int(whole[UDP].chksum)
    ((_, out),) = switch.send(H11, request(ADDRESS[3], payload=word.to_bytes(2, "big"))).packets
    assert Ether(out)[IP].dst == ADDRESS[1]
    assert Ether(out)[UDP].chksum == 0xFFFF


def test_a_request_for_the_leader_is_no_redirect(switch: Switch) -> None:
    ((port, _),) = switch.send(H11, request(ADDRESS[1])).packets
    assert port == H1
    assert switch.count("redirects", SLOT) == 0


def test_no_steer_passes_and_trunks_do_not_steer(switch: Switch) -> None:
    ((port, _),) = switch.send(H11, request(ADDRESS[2], flags=Flag.NO_STEER)).packets
    assert port == TO_S2
    ((port, _),) = switch.send(TO_S2, request(ADDRESS[3])).packets
    assert port == TO_S3


def test_without_a_leader_only_the_service_address_is_resolved(switch: Switch) -> None:
    switch.set_leader(0, 0, ADDRESS[3])
    ((port, _),) = switch.send(H11, request(ADDRESS[2])).packets
    assert port == TO_S2
    ((port, _),) = switch.send(H11, request(SERVICE)).packets
    assert port == TO_S3


def test_other_client_messages_are_not_steered(switch: Switch) -> None:
    header = Header(T.CLIENT_FRAGMENT_STATUS, group=GROUP)
    ((port, _),) = switch.send(H11, datagram(header, src=CLIENT, dst=ADDRESS[2], sport=40000)).packets
    assert port == TO_S2


# --- packet I/O and probes


def test_packet_out_leaves_as_it_is(switch: Switch) -> None:
    frame = b"any frame at all"
    assert switch.send(CPU_PORT, (TO_S3 << 15).to_bytes(3, "big") + frame).packets == ((TO_S3, frame),)
    assert switch.count("port_tx", TO_S3) == 1


def test_a_bad_packet_out_is_dropped(switch: Switch) -> None:
    assert switch.send(CPU_PORT, bytes([0, 1, 64])).packets == ()
    assert switch.send(CPU_PORT, bytes([0, 9, 0])).packets == ()
    assert switch.drops() == {REASON["bad_packet_out"]: 2}


def test_probes_over_trunks_reach_the_controller(switch: Switch) -> None:
    probe = bytes(Ether(src=GATEWAY, dst="ff:ff:ff:ff:ff:ff", type=0x88B5)) + b"\x00\x02\x00\x03\x00\x00\x00\x09"
    ((port, out),) = switch.send(TO_S2, probe).packets
    assert (port, out[24:]) == (CPU_PORT, probe)
    head = int.from_bytes(out[:24], "big")
    assert (head >> 183, (head >> 176) & 0x7F) == (TO_S2, 2)
    assert switch.send(H11, probe).packets == ()
    assert switch.drops() == {REASON["bad_probe"]: 1}


def test_the_members_that_a_leader_tells_reach_the_controller_from_the_edge_only(switch: Switch) -> None:
    header = Header(T.CONFIGURATION, 1, EVERYBODY, GROUP, 5, index=17)
    frame = datagram(header, src=ADDRESS[1], dst=SERVICE, payload=bytes(16) + b"members")
    assert switch.send(H1, frame).packets == ()
    assert switch.drops() == {REASON["no_route"]: 1}
    switch.insert("configuration", [Exact(GROUP)], "tell_controller")
    ((port, out),) = switch.send(H1, frame).packets
    head = int.from_bytes(out[:24], "big")
    assert (port, out[24:]) == (CPU_PORT, frame)
    assert (head >> 183, (head >> 176) & 0x7F, (head >> 160) & 0xFF, (head >> 96) & (2**64 - 1)) == (H1, 3, 1, 5)
    assert switch.send(H11, frame).packets == ()
    assert switch.send(TO_S2, frame).packets == ()
    assert switch.drops() == {REASON["no_route"]: 2, REASON["not_member"]: 1}


# --- the safety rule


def test_a_switch_changes_nothing_of_raft_header_or_payload(switch: Switch) -> None:
    for kind in MessageType:
        client = kind >= T.CLIENT_REQUEST
        header = Header(kind, 0 if client else 2, 0 if client else 1, GROUP, 0 if client else 7, 3, 2, 1)
        frame = datagram(header, src=CLIENT if client else ADDRESS[2], dst=ADDRESS[1], payload=b"payload" * 9)
        for _, out in switch.send(TO_S2, frame).packets:
            assert Ether(out)[UDP].load == Ether(frame)[UDP].load
