"""The words of --wait: what they let through, and what is said of those that cannot be read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hosts.raft.message import MessageType
from hosts.wire import Flag, Header
from tests.follow.network import TRIANGLE, Lab
from topo.errors import UsageError
from topo.follow.filters import parse, sent


def fits(text: str, host: str, frame: bytes) -> bool:
    return parse(text, TRIANGLE).matches(sent(1, host, frame, TRIANGLE.port))


PEER = Header(MessageType.APPEND_ENTRIES, source=1, target=3, group=1, term=7, index=12, log_term=6, commit=11)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=AppendEntries", True),
        ("type=append_entries", True),
        ("type=APPEND-ENTRIES,RequestVote", True),
        ("type=AppendEntriesReply", False),
        ("type=malformed", False),
        ("from=h1 to=h3", True),
        ("from=10.0.1.1", True),
        ("from=h2", False),
        ("to=h1", False),
        ("host=h3", True),
        ("host=h2", False),
        ("term=7 index=12 log_term=6 commit=11 source=1 target=3 group=1", True),
        ("term=6,7", True),
        ("term=8", False),
        ("flag=reject", False),
        ("type=AppendEntries term=8", False),
        ("drop=any", True),
    ],
)
def test_all_words_must_hold_and_of_values_one(net: Lab, text: str, expected: bool) -> None:
    assert fits(text, "h1", net.peer("h1", "h3", PEER)) is expected


@pytest.mark.parametrize(
    ("word", "most"),
    [
        ("term=-1", "18446744073709551615"),
        (f"term={10**23}", "18446744073709551615"),
        ("source=256", "255"),
        ("group=65536", "65535"),
        ("session=10000000000000000", "ffffffffffffffff"),
    ],
)
def test_what_no_header_can_hold_is_not_waited_for(word: str, most: str) -> None:
    name = word.partition("=")[0]
    with pytest.raises(UsageError, match=f"--wait {word}: no packet has that {name}: it is from 0 to {most}$"):
        parse(word, TRIANGLE)


@pytest.mark.parametrize("flag", ["lazy", "no-steer"])
def test_a_bit_with_two_names_is_asked_for_by_that_of_its_message(net: Lab, flag: str) -> None:
    bit = int(Flag.LAZY)
    request = Header(MessageType.CLIENT_REQUEST, group=1, index=4, log_term=0xAB, flags=bit)
    frames = {"lazy": net.peer("h1", "h3", replace(PEER, flags=bit)), "no-steer": net.peer("h1", "h3", request)}
    assert [fits(f"flag={flag}", "h1", frame) for frame in frames.values()] == [name == flag for name in frames]
    assert [sent(1, "h1", one, TRIANGLE.port).header.flag_names for one in frames.values()] == [
        ("LAZY",),
        ("NO_STEER",),
    ]


def test_a_clients_words(net: Lab) -> None:
    header = Header(MessageType.CLIENT_REQUEST, group=1, index=4, log_term=0xAB)
    frame = net.frame("h11", ("10.0.100.1", TRIANGLE.port), header.pack(), port=40_000)
    assert fits("to=service session=00000000000000ab sequence=4", "h11", frame)
    assert not fits("session=ac", "h11", frame) and not fits("sequence=5", "h11", frame)


def test_who_claims_to_be_another_is_found_by_the_port_and_by_the_name(net: Lab) -> None:
    frame = net.peer("h22", "h3", PEER, claiming="h1")
    assert fits("from=h22", "h22", frame) and fits("from=h1", "h22", frame) and not fits("from=h2", "h22", frame)


def test_what_is_no_header_is_malformed(net: Lab) -> None:
    frame = net.frame("h22", ("10.0.1.1", TRIANGLE.port), b"\x02 nonsense")
    assert fits("type=malformed", "h22", frame) and fits("from=h22", "h22", frame)
    assert not fits("type=AppendEntries", "h22", frame) and not fits("term=0", "h22", frame)
    assert sent(1, "h22", frame, TRIANGLE.port).fault


def test_a_reason_is_looked_at_at_the_end() -> None:
    wanted = parse("type=AppendEntries drop=stale_term,not_member", TRIANGLE)
    assert wanted.ends(["stale_term"]) and not wanted.ends(["no_route"]) and not wanted.ends([])
    assert parse("drop=any", TRIANGLE).ends(["no_route"]) and not parse("drop=any", TRIANGLE).ends([])
    assert parse("term=1", TRIANGLE).ends([]) and parse("term=1", TRIANGLE).ends(["no_route"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name what to wait for"),
        ("nonsense", "NAME=VALUE"),
        ("colour=red", "names: type, from"),
        ("type=", "NAME=VALUE"),
        ("type=AppendEntries,", "NAME=VALUE"),
        ("type=Append", "AppendEntriesReply"),
        ("from=h9", "h1, h11"),
        ("to=10.0.0", "service, or an IPv4 address"),
        ("term=x", "term is a number"),
        ("session=xyz", "hexadecimal"),
        ("flag=LOUD", "REJECT"),
        ("drop=hunger", "stale_term"),
    ],
)
def test_a_word_that_cannot_be_read_is_named_with_what_there_is(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as told:
        parse(text, TRIANGLE)
    assert text in str(told.value)
