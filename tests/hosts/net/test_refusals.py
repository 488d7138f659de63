"""What a transport makes of ICMP's answers: which member is gone, if any."""

from __future__ import annotations

import pytest

from hosts.config import Address
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.net.udp import Refusal
from tests.hosts.memory_socket import MemorySocket

PEERS = {1: {2: ("10.0.0.2", 26410), 3: ("10.0.0.3", 26410)}, 7: {3: ("10.0.0.3", 26410)}}


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
    socket, told = MemorySocket(), []
    handlers = Handlers(
        lambda *_: None, lambda *_: None, lambda *_: False, lambda *who: told.append(who), lambda *_: None
    )
    surroundings = Surroundings(open_socket=lambda *_: socket)
    transport = Transport(1, ("10.0.0.1", 26410), 7, PEERS, 1 << 20, handlers, surroundings)
    socket.refusals.append(Refusal(destination, nobody_there))
    transport.take_refusals()
    transport.take_refusals()
    assert told == gone
    assert transport.counters()["drops"] == {"port_unreachable" if gone else "icmp_error": 1}


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
