"""read_route: requests that only read go to the members in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from controller.names import DropReason
from hosts.raft.message import MessageType
from hosts.wire import DEFAULT_PORT, Flag, Header
from p4switch.pipeline.entities import Group
from p4switch.pipeline.pipeline import Exact
from tests.p4.triangle import ADDRESS, CLIENT, GROUP, H1, H11, SERVICE, TO_S2, TO_S3, Switch, datagram, ipv4, peer

READ = int(Flag.READ)
PORT_OF = {ADDRESS[1]: H1, ADDRESS[2]: TO_S2, ADDRESS[3]: TO_S3}


def request(index: int = 1, session: int = 9, *, dst: str = SERVICE, flags: int = READ, group: int = GROUP) -> bytes:
    header = Header(MessageType.CLIENT_REQUEST, group=group, index=index, log_term=session, flags=flags)
    return datagram(header, src=CLIENT, dst=dst, sport=40_000, payload=b"\0" * 9 + b"\xa1k")


def set_readers(switch: Switch, members: Iterable[int]) -> None:
    pipeline = switch.pipeline
    made = []
    for member in members:
        params = [member, ipv4(ADDRESS[member]), DEFAULT_PORT]
        made.append(pipeline.add_member("readers", "ingress.read_route.read_at", params))
        switch.insert("reads_by_member", [Exact(GROUP), Exact(member)], "count_read")
    group = pipeline.add_group("readers", made)
    key = [Exact(GROUP), Exact(ipv4(SERVICE))]
    pipeline.insert(switch.full_name("tables", "read_route"), key, Group(group))


@pytest.fixture
def spreading(switch: Switch) -> Switch:
    set_readers(switch, (1, 2, 3))
    return switch


def went_to(switch: Switch, frame: bytes, port: int = H11) -> str:
    ((out, left),) = switch.send(port, frame).packets
    address = str(Ether(left)[IP].dst)
    assert out == PORT_OF[address]
    return address


def reads_counted(switch: Switch) -> dict[int, int]:
    table = switch.full_name("tables", "reads_by_member")
    found = {}
    for entry in switch.pipeline.entries(table):
        member = entry.match[1]
        assert isinstance(member, Exact)
        found[member.value] = switch.pipeline.entry_counter(table, entry.handle)[0]
    return found


def test_each_member_gets_about_as_many(spreading: Switch) -> None:
    seen = Counter(went_to(spreading, request(index, session)) for session in (7, 8, 9) for index in range(1, 301))
    assert seen.keys() == set(ADDRESS.values())
    assert max(seen.values()) <= 1.1 * 300
    assert reads_counted(spreading) == {member: seen[address] for member, address in ADDRESS.items()}


def test_a_request_that_comes_twice_goes_to_one_member(spreading: Switch) -> None:
    for index in range(1, 50):
        assert went_to(spreading, request(index)) == went_to(spreading, request(index))


def test_addresses_and_checksum_are_those_of_the_member(spreading: Switch) -> None:
    for index in range(1, 30):
        frame = request(index)
        ((_, left),) = spreading.send(H11, frame).packets
        packet = Ether(left)
        checksum = packet[UDP].chksum
        packet[UDP].chksum = None
        assert Ether(bytes(packet))[UDP].chksum == checksum
        assert packet[UDP].dport == DEFAULT_PORT and packet[IP].src == CLIENT
        assert left[42:] == frame[42:], "nothing of what was said is changed"


def test_without_a_checksum_it_stays_without(spreading: Switch) -> None:
    frame = bytearray(request())
    frame[40:42] = b"\0\0"
    ((_, left),) = spreading.send(H11, bytes(frame)).packets
    assert left[40:42] == b"\0\0"


@pytest.mark.parametrize(
    ("frame", "to"),
    [
        (request(flags=0), ADDRESS[1]),
        (request(dst=ADDRESS[2]), ADDRESS[1]),
        (request(dst=ADDRESS[2], flags=READ | Flag.NO_STEER), ADDRESS[2]),
        (request(dst=ADDRESS[3], flags=int(Flag.NO_STEER)), ADDRESS[3]),
    ],
    ids=["no READ", "a member's address", "NO_STEER", "NO_STEER without READ"],
)
def test_all_else_goes_where_it_went(spreading: Switch, frame: bytes, to: str) -> None:
    assert went_to(spreading, frame) == to
    assert sum(reads_counted(spreading).values()) == 0


def test_whoever_wants_no_steering_gets_none(spreading: Switch) -> None:
    """A service address is no node's."""
    assert spreading.send(H11, request(flags=READ | Flag.NO_STEER)).packets == ()
    assert spreading.drops() == {DropReason.NO_ROUTE: 1}


def test_without_entries_reads_go_to_the_leader(switch: Switch) -> None:
    for index in range(1, 30):
        assert went_to(switch, request(index)) == ADDRESS[1]


def test_a_request_over_a_trunk_was_taken_somewhere_already(spreading: Switch) -> None:
    assert spreading.send(TO_S2, request()).packets == (), "there is no route to the service address"
    assert spreading.drops() == {DropReason.NO_ROUTE: 1}


def test_a_group_of_one(switch: Switch) -> None:
    set_readers(switch, (3,))
    assert {went_to(switch, request(index)) for index in range(1, 30)} == {ADDRESS[3]}


@pytest.mark.parametrize("kind", [kind for kind in MessageType if kind is not MessageType.CLIENT_REQUEST])
def test_read_is_for_requests_only(spreading: Switch, kind: MessageType) -> None:
    header = Header(kind, 1, 2, GROUP, 5, flags=READ)
    assert spreading.send(H1, datagram(header, src=ADDRESS[1], dst=ADDRESS[2], payload=bytes(16))).packets == ()
    reason = DropReason.FORGED_HINT if kind is MessageType.CAMPAIGN_HINT else DropReason.BAD_FLAGS
    assert spreading.drops() == {reason: 1}


@pytest.mark.parametrize("kind", [MessageType.READ_INDEX, MessageType.READ_INDEX_REPLY])
def test_questions_are_members_messages(spreading: Switch, kind: MessageType) -> None:
    frame = peer(kind, 1, 2, 5)
    ((port, left),) = spreading.send(H1, frame).packets
    assert port == TO_S2 and left[42:] == frame[42:]
    assert spreading.count("messages", kind) == 1
    assert spreading.send(H11, frame).packets == ()
    assert spreading.drops() == {DropReason.NOT_MEMBER: 1}


def test_types_beyond_are_unknown(spreading: Switch) -> None:
    raw = bytearray(peer(MessageType.READ_INDEX, 1, 2, 5))
    raw[43] = 15
    raw[40:42] = b"\0\0"
    assert spreading.send(H1, bytes(raw)).packets == ()
    assert spreading.drops() == {DropReason.BAD_VERSION: 1}
