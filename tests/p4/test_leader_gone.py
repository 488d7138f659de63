"""leader_gone and leader_silence: a host's own word that nobody is there, and a leader that is missed."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from controller.names import ControllerKind, DropReason, EndFate
from hosts.raft.message import MessageType
from hosts.wire import DEFAULT_PORT, Header
from p4switch.pipeline.pipeline import Exact, Output
from tests.p4.triangle import (
    ADDRESS,
    CLIENT,
    CPU_PORT,
    GATEWAY,
    GROUP,
    H1,
    H11,
    SLOT,
    TO_S2,
    TO_S3,
    WINDOW_US,
    Switch,
    datagram,
    host_mac,
    ipv4,
    peer,
)

CONTROLLER, IDENTIFIER = "169.254.26.41", 0x7266
PERIOD_US = 200_000
PACKET_IN_BYTES = 24


@pytest.fixture
def watched(switch: Switch) -> Switch:
    """The feature is on: h1 is a member's host."""
    key = [Exact(H1), Exact(ipv4(ADDRESS[1]))]
    switch.insert("leader_gone", key, "is_members_host", ipv4(CONTROLLER), IDENTIFIER)
    switch.insert("leader_silence", [Exact(GROUP)], "tell_silence")
    return switch


def unreachable(
    src: str = ADDRESS[1],
    dst: str = ADDRESS[2],
    *,
    about: str | None = None,
    port: int = DEFAULT_PORT,
    kind: int = 3,
    code: int = 3,
) -> bytes:
    """An ICMP of ``src`` about a datagram of ``dst`` to ``about`` (default: ``src``)."""
    quoted = IP(src=dst, dst=about or src) / UDP(sport=DEFAULT_PORT, dport=port) / Raw(bytes(40))
    frame = Ether(src=host_mac(src), dst=GATEWAY) / IP(src=src, dst=dst) / ICMP(type=kind, code=code) / quoted
    return bytes(frame)


def is_forwarded(switch: Switch, port: int, frame: bytes) -> Output:
    """Send ``frame``: it leaves as it came, but for what routing changes, and is counted as no drop."""
    output = switch.send(port, frame)
    ((_, left),) = output.packets
    assert left[34:] == frame[34:] and left[26:34] == frame[26:34] and switch.drops() == {}
    return output


def ends(switch: Switch) -> dict[EndFate, int]:
    counts = {fate: switch.count("ends", fate) for fate in EndFate}
    return {fate: count for fate, count in counts.items() if count}


def test_a_members_host_says_that_nobody_is_there(watched: Switch) -> None:
    output = is_forwarded(watched, H1, unreachable())
    assert output.digests == (("leader_gone_digest_t", (ipv4(ADDRESS[1]),)),)
    assert ends(watched) == {EndFate.TOLD: 1}


def test_it_is_told_once_in_a_while(watched: Switch) -> None:
    told = []
    for _ in range(5):
        told.append(len(is_forwarded(watched, H1, unreachable(dst=CLIENT)).digests))
        watched.now_us += PERIOD_US // 2
    assert told == [1, 0, 1, 0, 1]
    assert ends(watched) == {EndFate.TOLD: 3, EndFate.TOO_SOON: 2}


@pytest.mark.parametrize(
    ("port", "frame", "fate"),
    [
        (H11, unreachable(), EndFate.NO_ENTRY),
        (H11, unreachable(src=CLIENT), EndFate.NO_ENTRY),
        (H1, unreachable(src=CLIENT), EndFate.NO_ENTRY),
        (H1, unreachable(about=ADDRESS[3]), EndFate.OTHER_ADDRESS),
        (H1, unreachable(port=DEFAULT_PORT + 1), EndFate.OTHER_PORT),
        (TO_S2, unreachable(src=ADDRESS[2], dst=ADDRESS[1]), None),
        (TO_S3, unreachable(), None),
        (H1, unreachable(code=1), None),
        (H1, unreachable(kind=11, code=0), None),
    ],
    ids=["spoofed", "client", "lent", "other host", "other port", "trunk", "spoofed trunk", "host", "late"],
)
def test_other_icmp_is_told_to_nobody(watched: Switch, port: int, frame: bytes, fate: EndFate | None) -> None:
    assert is_forwarded(watched, port, frame).digests == ()
    assert ends(watched) == ({fate: 1} if fate is not None else {})


def test_without_an_entry_nothing_is_told(switch: Switch) -> None:
    assert is_forwarded(switch, H1, unreachable()).digests == ()
    assert ends(switch) == {EndFate.NO_ENTRY: 1}


def _cut(frame: bytes, at: int) -> bytes:
    """The frame's first ``at`` bytes of IPv4, as a packet of that length."""
    whole = IP(frame[14:])
    body = bytes(whole.payload)[: at - 20]
    packet = IP(src=whole.src, dst=whole.dst, proto=1) / Raw(body)
    return frame[:14] + bytes(packet)


@pytest.mark.parametrize("size", [20, 23, 27, 28, 40, 47, 48, 55])
def test_icmp_cut_short_passes_as_ever(watched: Switch, size: int) -> None:
    assert is_forwarded(watched, H1, _cut(unreachable(), size)).digests == ()


def test_what_is_quoted_with_options_or_is_no_udp_is_not_about_rafts_port(watched: Switch) -> None:
    frame = bytearray(unreachable())
    frame[14 + 28] = 0x46
    is_forwarded(watched, H1, bytes(frame))
    frame = bytearray(unreachable())
    frame[14 + 28 + 9] = 6
    is_forwarded(watched, H1, bytes(frame))
    assert ends(watched) == {EndFate.OTHER_PORT: 2}


# -- echo -------------------------------------------------------------------------------------------------------


def echo_reply(src: str = ADDRESS[1], dst: str = CONTROLLER, identifier: int = IDENTIFIER, kind: int = 0) -> bytes:
    frame = Ether(src=host_mac(src), dst=GATEWAY) / IP(src=src, dst=dst) / ICMP(type=kind, id=identifier, seq=77)
    return bytes(frame / Raw(b"switch"))


def test_the_answer_to_the_controllers_request_goes_to_the_controller_as_it_is(watched: Switch) -> None:
    frame = echo_reply()
    ((port, left),) = watched.send(H1, frame).packets
    assert port == CPU_PORT and left[PACKET_IN_BYTES:] == frame
    assert int.from_bytes(left[:2], "big") == H1 << 7 | ControllerKind.ECHO_REPLY


@pytest.mark.parametrize(
    ("port", "frame"),
    [
        (H1, echo_reply(dst=ADDRESS[2])),
        (H1, echo_reply(identifier=IDENTIFIER + 1, dst=ADDRESS[2])),
        (H1, echo_reply(kind=8, dst=ADDRESS[2])),
        (H11, echo_reply(dst=ADDRESS[2])),
    ],
)
def test_other_echoes_are_forwarded(watched: Switch, port: int, frame: bytes) -> None:
    ((left_by, _),) = watched.send(port, frame).packets
    assert left_by == TO_S2


@pytest.mark.parametrize(
    ("port", "frame"),
    [
        (H1, echo_reply(identifier=IDENTIFIER + 1)),
        (H1, echo_reply(src=CLIENT)),
        (H11, echo_reply()),
        (H11, echo_reply(src=CLIENT)),
        (TO_S2, echo_reply()),
    ],
)
def test_who_was_not_asked_does_not_reach_the_controller(watched: Switch, port: int, frame: bytes) -> None:
    assert watched.send(port, frame).packets == ()
    assert watched.drops() == {DropReason.NO_ROUTE: 1}


# -- silence ----------------------------------------------------------------------------------------------------

APPEND, REPLY = MessageType.APPEND_ENTRIES, MessageType.APPEND_ENTRIES_REPLY


def asked(switch: Switch, source: int = 1, target: int = 2, term: int = 5, kind: MessageType = REPLY) -> object:
    """What is told of the silence when a member asks after its leader."""
    frame = peer(kind, source, target, term)
    output = switch.send(H1 if source == 1 else TO_S2, frame)
    return [fields for name, fields in output.digests if name == "leader_silence_digest_t"]


def hear(switch: Switch, leader: int = 2) -> None:
    switch.send(TO_S2, peer(APPEND, leader, 1, 5))


def test_who_asks_after_a_leader_that_the_switch_misses_too_makes_it_known(watched: Switch) -> None:
    hear(watched)
    watched.now_us += WINDOW_US
    assert asked(watched) == []
    watched.now_us += 1
    assert asked(watched) == [(GROUP, SLOT, 2, 5)]
    watched.now_us += PERIOD_US - 1
    assert asked(watched) == []
    watched.now_us += 1
    assert asked(watched) == [(GROUP, SLOT, 2, 5)]


def test_a_leader_that_is_heard_is_not_silent(watched: Switch) -> None:
    for _ in range(20):
        hear(watched)
        watched.now_us += WINDOW_US
        assert asked(watched) == []


@pytest.mark.parametrize(
    "question",
    [
        {"target": 3},
        {"source": 3, "target": 2},
        {"kind": MessageType.PRE_VOTE},
        {"kind": MessageType.REQUEST_VOTE},
    ],
    ids=["somebody else", "over a trunk", "pre-vote", "vote"],
)
def test_other_messages_say_nothing_of_a_silence(watched: Switch, question: dict[str, object]) -> None:
    hear(watched)
    watched.now_us += 10 * WINDOW_US
    assert asked(watched, **question) == []  # type: ignore[arg-type]


def test_a_stranger_says_nothing_of_a_silence(watched: Switch) -> None:
    hear(watched)
    watched.now_us += 10 * WINDOW_US
    assert watched.send(H11, peer(REPLY, 1, 2, 5)).digests == ()


def test_of_a_leader_that_was_never_heard_nothing_is_told(watched: Switch) -> None:
    assert asked(watched) == []


def test_without_its_entry_no_silence_is_told(switch: Switch) -> None:
    hear(switch)
    switch.now_us += 10 * WINDOW_US
    assert asked(switch) == []


# -- hints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [H1, H11, TO_S2])
def test_no_hint_comes_in_at_any_port(switch: Switch, port: int) -> None:
    hint = Header(MessageType.CAMPAIGN_HINT, 0, 2, GROUP, 5, commit=1)
    for source in (ADDRESS[1], CONTROLLER):
        assert switch.send(port, datagram(hint, src=source, dst=ADDRESS[2])).packets == ()
    assert switch.drops() == {DropReason.FORGED_HINT: 2}


def test_without_any_entry_no_hint_comes_in_either(bare: Switch) -> None:
    hint = Header(MessageType.CAMPAIGN_HINT, 0, 2, GROUP, 5, commit=1)
    assert bare.send(H11, datagram(hint, src=CLIENT, dst=ADDRESS[2])).packets == ()
    assert bare.drops() == {DropReason.FORGED_HINT: 1}
