"""What a transport makes of ICMP's answers: which member is gone, if any."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hosts.config import Address
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.net.udp import Refusal
from hosts.raft.message import NOTHING_QUOTED, Message, MessageType, Quoted
from hosts.wire import Flag, pack_peer
from tests.hosts.memory_socket import MemorySocket

CLUSTER = 7
PEERS = {1: {2: ("10.0.0.2", 26410), 3: ("10.0.0.3", 26410)}, 7: {3: ("10.0.0.3", 26410)}}


def listening() -> tuple[Transport, MemorySocket, list[object]]:
    """A transport, its socket, and what it says of members that are not there."""
    socket, told = MemorySocket(), list[object]()
    handlers = Handlers(
        lambda *_: None, lambda *_: None, lambda *_: False, lambda *who: told.append(who), lambda *_: None
    )
    surroundings = Surroundings(open_socket=lambda *_: socket)
    return Transport(1, ("10.0.0.1", 26410), CLUSTER, PEERS, 1 << 20, handlers, surroundings), socket, told


@pytest.mark.parametrize(
    ("destination", "nobody_there", "gone"),
    [
        (("10.0.0.2", 26410), True, [(1, 2)]),
        (("10.0.0.3", 26410), True, [(1, 3), (7, 3)]),
        (("10.0.0.3", 26411), True, []),
        (("10.0.0.4", 26410), True, []),
        (("10.0.0.2", 26410), False, []),
    ],
)
def test_who_is_gone_is_told_by_address_and_port(
    destination: Address, nobody_there: bool, gone: list[tuple[int, int]]
) -> None:
    transport, socket, told = listening()
    socket.refusals.append(Refusal(destination, nobody_there))
    transport.take_refusals()
    transport.take_refusals()
    assert told == [(group, member, NOTHING_QUOTED) for group, member in gone]
    assert transport.counters()["drops"] == {"port_unreachable" if gone else "icmp_error": 1}


REPLY = Message(MessageType.APPEND_ENTRIES_REPLY, 1, 3, 5, 9, round=77)
CHUNK = Message(MessageType.INSTALL_SNAPSHOT_REPLY, 1, 3, 5, 9, round=78)


def packed(message: Message, *, group: int = 1, cluster: int = CLUSTER, flags: int = 0) -> bytes:
    header, payload = pack_peer(message, group=group, cluster=cluster)
    return header.pack(also=flags) + payload


@pytest.mark.parametrize(
    ("quoted", "by_group"),
    [
        (packed(REPLY), {1: Quoted(5, 77)}),
        (packed(REPLY, group=7), {7: Quoted(5, 77)}),
        (packed(REPLY, flags=Flag.GATHER), {1: Quoted(5, 77)}),
        (packed(replace(REPLY, log_id=3)), {1: Quoted(5, 77)}),
        (packed(CHUNK), {1: Quoted(5, 78)}),
        (packed(REPLY)[:56], {1: Quoted(5, 77)}),
        (packed(REPLY)[:55], {}),
        (packed(REPLY)[:39], {}),
        (b"", {}),
        (packed(replace(REPLY, source=2)), {}),
        (packed(replace(REPLY, target=2)), {}),
        (packed(REPLY, cluster=CLUSTER + 1), {}),
        (packed(REPLY, flags=Flag.FRAGMENT), {}),
        (packed(Message(MessageType.REQUEST_VOTE_REPLY, 1, 3, 5, round=77)), {}),
        (packed(Message(MessageType.READ_INDEX, 1, 3, 5, round=77)), {}),
        (b"\xff" * 64, {}),
    ],
)
def test_what_is_quoted_counts_for_its_group_if_it_is_this_members_reply(
    quoted: bytes, by_group: dict[int, Quoted]
) -> None:
    transport, socket, told = listening()
    socket.refusals.append(Refusal(PEERS[1][3], True, quoted))
    transport.take_refusals()
    assert told == [(group, 3, by_group.get(group, NOTHING_QUOTED)) for group in (1, 7)]


@pytest.mark.parametrize("refusals", [True, False])
def test_refusals_are_listened_to_only_where_they_count(refusals: bool) -> None:
    wanted: list[bool] = []

    def open_socket(address: Address, largest: int, wants_refusals: bool) -> MemorySocket:
        wanted.append(wants_refusals)
        return MemorySocket()

    handlers = Handlers(lambda *_: None, lambda *_: None, lambda *_: False, lambda *_: None, lambda *_: None)
    surroundings = Surroundings(open_socket=open_socket)
    Transport(1, ("10.0.0.1", 26410), 7, PEERS, 1 << 20, handlers, surroundings, refusals=refusals)
    assert wanted == [refusals]
