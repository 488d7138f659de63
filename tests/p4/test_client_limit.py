"""client_limit: no more requests a second enter at a host's port than its meter lets through, and nothing else is
metered."""

from __future__ import annotations

import pytest

from controller.limits import MOST_PER_SECOND, meter
from controller.names import DropReason
from hosts.raft.message import MessageType
from hosts.wire import Flag, Header
from p4switch.pipeline.pipeline import Exact, MeterRates
from tests.p4.triangle import ADDRESS, CLIENT, GROUP, H1, H11, SERVICE, TO_S2, Switch, datagram, peer

SECOND_US = 1_000_000


def request(sequence: int = 1, **fields: int) -> bytes:
    fields = {"group": GROUP, **fields}
    header = Header(MessageType.CLIENT_REQUEST, index=sequence, log_term=9, **fields)
    return datagram(header, src=CLIENT, dst=ADDRESS[2])


def limit(switch: Switch, port: int, rate: int, burst: int) -> int:
    """Give a port an entry and its meter; returns the entry's handle."""
    handle = switch.insert("client_limit", [Exact(port)], "limited", rate)
    name = switch.full_name("tables", "client_limit")
    switch.pipeline.set_entry_meter(name, handle, MeterRates(rate, burst, rate, burst))
    return handle


def passed(switch: Switch, port: int, frames: list[bytes]) -> int:
    return sum(len(switch.send(port, frame).packets) for frame in frames)


def test_what_is_beyond_the_limit_is_dropped_and_counted_by_port(switch: Switch) -> None:
    limit(switch, H11, 100, 3)
    assert passed(switch, H11, [request(n) for n in range(10)]) == 3
    assert switch.drops() == {DropReason.OVER_LIMIT: 7}
    assert switch.count("over_limits", H11) == 7
    name = switch.full_name("tables", "client_limit")
    (entry,) = switch.pipeline.entries(name)
    assert switch.pipeline.entry_counter(name, entry.handle)[0] == 10


def test_the_rate_holds_over_time(switch: Switch) -> None:
    limit(switch, H11, 100, 5)
    frame, came = request(), 0
    for _ in range(4000):
        switch.now_us += SECOND_US // 2000
        came += len(switch.send(H11, frame).packets)
    assert came == 5 + 2 * 100


def test_a_repeat_counts_and_so_does_each_fragment(switch: Switch) -> None:
    limit(switch, H11, 1, 2)
    assert passed(switch, H11, [request(1), request(1), request(1)]) == 2
    switch.now_us += 10 * SECOND_US
    fragments = [request(2, flags=int(Flag.FRAGMENT))] * 3
    assert passed(switch, H11, fragments) == 2


@pytest.mark.parametrize("flags", [0, int(Flag.NO_STEER)])
def test_a_request_of_any_group_to_any_address_is_one(switch: Switch, flags: int) -> None:
    limit(switch, H11, 0, 1)
    assert passed(switch, H11, [request(1, flags=flags)]) == 1
    assert passed(switch, H11, [request(2, flags=flags), request(3, group=777, flags=flags)]) == 0
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=4, log_term=9, flags=flags)
    assert passed(switch, H11, [datagram(header, src=CLIENT, dst=SERVICE)]) == 0
    assert switch.drops() == {DropReason.OVER_LIMIT: 3}


def test_another_port_has_its_own_or_none(switch: Switch) -> None:
    limit(switch, H11, 0, 1)
    assert passed(switch, H11, [request(1), request(2)]) == 1
    assert passed(switch, H1, [request(3)] * 20) == 20


def test_what_comes_over_a_trunk_was_metered_where_it_entered(switch: Switch) -> None:
    limit(switch, TO_S2, 0, 0)
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=1, log_term=9)
    assert passed(switch, TO_S2, [datagram(header, src="10.0.2.22", dst=ADDRESS[1])]) == 1
    assert switch.drops() == {}


def test_nothing_between_members_and_no_answer_is_metered_whatever_its_port(switch: Switch) -> None:
    """An entry at a member's own port, which no controller writes, may drop its requests only."""
    limit(switch, H1, 0, 0)
    for kind in MessageType:
        if kind < MessageType.CLIENT_REQUEST and kind not in (MessageType.CAMPAIGN_HINT, MessageType.CONFIGURATION):
            assert passed(switch, H1, [peer(kind, 1, 2, 5)]) == 1, kind.name
    for kind in (MessageType.CLIENT_REPLY, MessageType.CLIENT_FRAGMENT_STATUS):
        answer = datagram(Header(kind, source=1, group=GROUP, index=1, log_term=9), src=ADDRESS[1], dst=CLIENT)
        assert passed(switch, H1, [answer]) == 1, kind.name
    assert switch.drops() == {}
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=1, log_term=9)
    assert passed(switch, H1, [datagram(header, src=ADDRESS[1], dst=ADDRESS[2])]) == 0


def test_what_is_no_raft_message_is_not_metered(switch: Switch) -> None:
    limit(switch, H11, 0, 0)
    other = datagram(bytes(60), src=CLIENT, dst=ADDRESS[2], sport=40_000, dport=53)
    assert passed(switch, H11, [other] * 3) == 3


def test_what_another_reason_drops_spends_nothing(switch: Switch) -> None:
    limit(switch, H11, 0, 1)
    broken = bytearray(request())
    broken[24] ^= 0xFF  # the IPv4 checksum
    assert passed(switch, H11, [bytes(broken)] * 3) == 0
    assert passed(switch, H11, [request(2)]) == 1
    assert switch.drops() == {DropReason.BAD_CHECKSUM: 3}


def test_an_entry_without_a_meter_and_no_entry_limit_nothing(switch: Switch) -> None:
    assert passed(switch, H11, [request(n) for n in range(50)]) == 50
    switch.insert("client_limit", [Exact(H11)], "limited", 1)
    assert passed(switch, H11, [request(n) for n in range(50)]) == 50


def test_a_limit_that_is_taken_away_is_gone_and_one_that_is_changed_counts_anew(switch: Switch) -> None:
    handle = limit(switch, H11, 0, 1)
    assert passed(switch, H11, [request(1), request(2)]) == 1
    name = switch.full_name("tables", "client_limit")
    switch.pipeline.set_entry_meter(name, handle, MeterRates(0, 4, 0, 4))
    assert passed(switch, H11, [request(n) for n in range(9)]) == 4
    switch.pipeline.delete(name, handle)
    assert passed(switch, H11, [request(n) for n in range(50)]) == 50
    # The next entry takes the room of the one that went.
    switch.insert("client_limit", [Exact(H11)], "limited", 1)
    assert passed(switch, H11, [request(n) for n in range(50)]) == 50


@pytest.mark.parametrize("rate", [1, 7, 500, 20_000, MOST_PER_SECOND])
def test_the_rates_of_limits_are_what_comes_through(switch: Switch, rate: int) -> None:
    wished = meter(rate)
    limit(switch, H11, wished.per_second, wished.burst)
    frame, offered, came = request(), 5000, 0
    step_us = max(1, 400_000 // rate)
    for _ in range(offered):
        switch.now_us += step_us
        came += len(switch.send(H11, frame).packets)
    allowed = wished.burst + rate * offered * step_us // SECOND_US
    assert abs(came - min(offered, allowed)) <= 1
