"""The kernel's filter lets whole exchanges through, each with the same chance, and never more than asked for."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterable

import pytest

from hosts.raft.message import MessageType
from hosts.wire import FIRST_CLIENT_TYPE, Header
from sim import frames
from topo.live.sampling import RARE, WHOLE, Share, program
from topo.views.taps import filter_of

PORT = 26410
SENDERS = [frames.Sender(f"10.0.{n}.{n}", f"00:00:00:00:0{n}:0{n}", f"08:00:00:00:0{n}:00") for n in (1, 2, 3)]


def frame(kind: int, source: int, target: int, *, round_: int = 0, index: int = 0, session: int = 0) -> bytes:
    header = Header(kind, source=source, target=target, group=1, term=3, index=index, log_term=session)
    datagram = header.pack() + struct.pack(">QQ", 1, round_) + b"payload"
    port, other = (PORT, PORT) if kind < FIRST_CLIENT_TYPE else (40_000, PORT)
    return frames.pack(SENDERS[source - 1], port, (f"10.0.{target}.{target}", other), datagram, checksum=True)


def passed(share: int, given: Iterable[bytes]) -> list[bytes]:
    """What the kernel lets through."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        filter_of(ours, program(PORT, share))
        ours.setblocking(False)
        found = []
        for one in given:
            theirs.send(one)
            try:
                found.append(ours.recv(65536))
            except BlockingIOError:
                continue
        return found


def exchange(round_: int) -> list[bytes]:
    """A leader's round, and its replies."""
    asked = [frame(MessageType.APPEND_ENTRIES, 1, n, round_=round_, index=7) for n in (2, 3)]
    return asked + [frame(MessageType.APPEND_ENTRIES_REPLY, n, 1, round_=round_, index=9) for n in (2, 3)]


def test_all_of_it_is_raft_and_nothing_else() -> None:
    everything = [frame(kind, 1, 2, round_=5) for kind in MessageType]
    assert passed(WHOLE, everything) == everything
    other = frames.pack(SENDERS[0], 53, ("10.0.2.2", 53), b"x" * 80, checksum=True)
    ipv6 = everything[0][:12] + b"\x86\xdd" + everything[0][14:]
    assert passed(WHOLE, [other, b"\x88\xb5" * 40, b"short", ipv6]) == []


def test_all_of_it_includes_what_is_too_short_for_an_exchange() -> None:
    short = [frames.pack(SENDERS[0], PORT, ("10.0.2.2", PORT), b"x" * size, checksum=True) for size in (0, 1, 39, 40)]
    assert passed(WHOLE, short) == short
    assert passed(WHOLE // 2, short[:2]) == []


@pytest.mark.parametrize("share", [WHOLE // 2, WHOLE // 10, WHOLE // 100])
def test_exchanges_are_chosen_as_a_whole_and_evenly(share: int) -> None:
    rounds = 2000
    chosen = passed(share, (one for number in range(rounds) for one in exchange(number)))
    sizes = Counter(struct.unpack_from(">Q", one, 90)[0] for one in chosen)
    assert set(sizes.values()) == {4}
    assert len(sizes) == pytest.approx(rounds * share / WHOLE, rel=0.1, abs=2)
    halves = Counter(number < rounds // 2 for number in sizes)
    assert halves[True] == pytest.approx(halves[False], rel=0.2, abs=2)


def test_a_call_and_its_answer_are_chosen_together() -> None:
    calls = [(session, index) for session in (77, 78, 991) for index in range(300)]
    asked = [frame(MessageType.CLIENT_REQUEST, 1, 2, index=index, session=session) for session, index in calls]
    told = [frame(MessageType.CLIENT_REPLY, 2, 1, index=index, session=session) for session, index in calls]
    chosen = Counter(one[58:74] for one in passed(WHOLE // 3, asked + told))
    assert set(chosen.values()) == {2}
    assert len(chosen) == pytest.approx(len(calls) / 3, rel=0.15)


def test_what_is_rare_is_never_left_out() -> None:
    rare = [frame(kind, 1, 2, round_=number) for kind in RARE for number in range(50)]
    assert passed(0, rare) == rare
    assert passed(0, exchange(3)) == []


def test_the_share_keeps_to_the_rate_and_comes_back() -> None:
    share = Share(400)
    assert not share.seen(300, 1.0) and share.value == WHOLE
    assert share.seen(40_000, 1.0)
    for _ in range(20):
        share.seen(int(100_000 * share.value / WHOLE), 1.0)
    assert 100 <= 100_000 * share.value / WHOLE <= 400
    for _ in range(40):
        share.seen(10, 1.0)
    assert share.value == WHOLE


def test_a_share_comes_back_to_all_of_what_it_can_bear() -> None:
    share = Share(400)
    assert share.seen(100_000, 1.0)
    for _ in range(20):
        share.seen(int(350 * share.value / WHOLE), 1.0)
    assert share.value == WHOLE and not share.seen(350, 1.0)
