"""The wire format: struct and Scapy agree on every field, messages come back as they were, garbage is refused."""

from __future__ import annotations

import contextlib
import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.raft.message import MAX_TERM, Answers, Entry, EntryKind, Message, MessageType, Question
from hosts.wire import (
    HEADER_BYTES,
    MAX_DATAGRAM,
    Flag,
    Fragment,
    FragmentStatus,
    Header,
    WireError,
    pack_fragment,
    pack_peer,
    split_append,
    unpack_fragment,
    unpack_peer,
)

BYTE = st.integers(0, 255)
TERM = st.integers(0, MAX_TERM)
U64 = st.integers(0, 2**64 - 1)

PEER_TYPES = [kind for kind in MessageType if kind < MessageType.CLIENT_REQUEST]


@given(
    st.sampled_from(list(MessageType)),
    BYTE,
    BYTE,
    st.integers(0, 65535),
    TERM,
    TERM,
    TERM,
    TERM,
    st.integers(0, 0x3F),
)
def test_struct_and_scapy_agree(
    kind: MessageType,
    source: int,
    target: int,
    group: int,
    term: int,
    index: int,
    log_term: int,
    commit: int,
    flags: int,
) -> None:
    from hosts.scapy_layer import Raft

    if kind is not MessageType.APPEND_ENTRIES:
        flags &= ~Flag.FANOUT
    header = Header(kind, source, target, group, term, index, log_term, commit, flags)
    packed = header.pack()
    assert len(packed) == HEADER_BYTES
    assert Header.unpack(packed) == header
    layer = Raft(packed)
    names = ("version", "type", "source", "target", "reserved", "group", "term", "index", "log_term", "commit")
    assert all(getattr(layer, name) == getattr(header, name) for name in names) and int(layer.flags) == flags
    crafted = Raft(
        type=int(kind),
        flags=flags,
        source=source,
        target=target,
        group=group,
        term=term,
        index=index,
        log_term=log_term,
        commit=commit,
    )
    assert bytes(crafted) == packed


def test_scapy_binds_the_port_and_names_things() -> None:
    from scapy.layers.inet import IP, UDP

    from hosts.scapy_layer import Raft, bind_port

    packet = IP(dst="10.0.1.1") / UDP(sport=26410, dport=26410) / Raft(type="RequestVote", source=1, target=2, term=5)
    again = IP(bytes(packet))
    assert again[Raft].type == MessageType.REQUEST_VOTE and again[Raft].term == 5
    for ports in ({"sport": 5, "dport": 26410}, {"sport": 26410, "dport": 5}):
        assert Raft in IP(bytes(IP() / UDP(**ports) / Raft(flags="REJECT+MORE")))
    assert "RequestVote" in again[Raft].sprintf("%Raft.type%")
    assert int(Raft(flags="REJECT+MORE").flags) == Flag.REJECT | Flag.MORE
    assert [int(Raft(flags=flag.name).flags) for flag in Flag] == [int(flag) for flag in Flag]
    kinds = ("ClientRequest", "AppendEntries", "InstallSnapshot")
    shown = [Raft(type=kind, flags="REJECT+NO_STEER+MORE").sprintf("%flags%") for kind in kinds]
    assert shown == ["REJECT+NO_STEER+MORE", "LEASE+LAZY+MORE", "LEASE+NO_STEER+MORE"]
    bind_port(9999)
    assert Raft in IP(bytes(IP() / UDP(sport=1, dport=9999) / Raft()))
    reply = Raft(type="RequestVoteReply", source=2, target=1)
    assert reply.answers(again[Raft]) and not reply.answers(Raft(type="PreVote", source=1, target=2))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(PEER_TYPES))
    entries: list[Entry] = []
    index, term = draw(st.integers(0, 2**62)), draw(TERM)
    log_term = draw(st.integers(0, term))
    data, log_id = draw(st.binary(max_size=50)), 0
    if kind in (
        MessageType.PRE_VOTE_REPLY,
        MessageType.REQUEST_VOTE_REPLY,
        MessageType.APPEND_ENTRIES_REPLY,
        MessageType.INSTALL_SNAPSHOT_REPLY,
    ):
        data, log_id = b"", draw(st.just(0) | U64)
    more, question, answers = draw(st.booleans()), None, None
    if kind is MessageType.APPEND_ENTRIES_REPLY:
        more, question = False, draw(st.none() | st.builds(Question, U64, U64, U64))
    if kind is MessageType.APPEND_ENTRIES:
        told = st.lists(st.tuples(BYTE, U64), max_size=255).map(tuple)
        last, data, more, answers = log_term, b"", False, draw(st.none() | st.builds(Answers, U64, told))
        for number in range(0 if answers else draw(st.integers(0, 5))):
            last = draw(st.integers(last, term))
            body = draw(st.binary(max_size=30))
            entries.append(Entry(last, index + 1 + number, draw(st.sampled_from(list(EntryKind))), body))
    leads = kind in (MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT)
    return Message(
        kind,
        draw(BYTE),
        draw(BYTE),
        term,
        index,
        log_term,
        draw(TERM),
        not leads and draw(st.booleans()),
        more,
        draw(U64),
        tuple(entries),
        data,
        log_id,
        lease=leads and draw(st.booleans()),
        question=question,
        answers=answers,
    )


@given(messages(), U64, st.integers(0, 65535))
def test_peer_messages_round_trip(message: Message, cluster: int, group: int) -> None:
    header, payload = pack_peer(message, group=group, cluster=cluster)
    read = Header.unpack(header.pack())
    assert read.group == group
    assert unpack_peer(read, payload, cluster=cluster) == message
    with pytest.raises(WireError, match="cluster"):
        unpack_peer(read, payload, cluster=cluster ^ 1)


def test_a_reply_ends_with_its_log_or_with_its_round() -> None:
    reply = Message(MessageType.APPEND_ENTRIES_REPLY, 2, 1, 3, 4, round=5)
    header, payload = pack_peer(reply, group=1, cluster=9)
    assert len(payload) == 16, "as every version writes and reads it"
    for log_id in (1, 2**64 - 1):
        identified = replace(reply, log_id=log_id)
        assert pack_peer(identified, group=1, cluster=9) == (header, payload + log_id.to_bytes(8, "big"))
    for more in (b"\0", bytes(7), bytes(9), bytes(16)):
        with pytest.raises(WireError, match="a reply of"):
            unpack_peer(header, payload + more, cluster=9)


def test_what_rides_is_of_its_length() -> None:
    reply = Message(MessageType.APPEND_ENTRIES_REPLY, 2, 1, 3, 4, round=5, question=Question(6, 7, 8))
    header, payload = pack_peer(reply, group=1, cluster=9)
    assert header.flags == Flag.MORE and payload[16:] == struct.pack(">QQQ", 6, 7, 8)
    for cut in (payload[:-1], payload[:16], payload + b"\0"):
        with pytest.raises(WireError, match="a reply of"):
            unpack_peer(header, cut, cluster=9)
    append = Message(MessageType.APPEND_ENTRIES, 1, 255, 3, round=5, answers=Answers(7, ((2, 8), (3, 9))))
    header, payload = pack_peer(append, group=1, cluster=9, fanout=True)
    assert header.flags == Flag.MORE | Flag.FANOUT and payload[16:] == struct.pack(">QBBQBQ", 7, 2, 2, 8, 3, 9)
    for cut in (payload[:-1], payload[:24], payload[:16], payload + b"\0"):
        with pytest.raises(WireError, match="answers"):
            unpack_peer(header, cut, cluster=9)


@given(st.lists(st.integers(0, 5000), max_size=40))
def test_split_appends_hold_the_same_entries(sizes: list[int]) -> None:
    entries = tuple(Entry(3, 11 + at, EntryKind.COMMAND, bytes(size)) for at, size in enumerate(sizes))
    whole = Message(MessageType.APPEND_ENTRIES, 1, 2, 3, 10, 2, 7, round=9, entries=entries)
    parts = split_append(whole, MAX_DATAGRAM)
    assert tuple(entry for part in parts for entry in part.entries) == entries
    at, term = 10, 2
    for part in parts:
        assert (part.index, part.log_term) == (at, term), "each follows the one before"
        assert replace(part, index=10, log_term=2, entries=()) == replace(whole, entries=())
        assert part.entries or len(parts) == 1
        if part.entries:
            at, term = part.entries[-1].index, 3
        size = len(pack_peer(part, group=1, cluster=1)[1])
        large = any(len(entry.data) > 1200 for entry in part.entries)
        assert size + HEADER_BYTES <= MAX_DATAGRAM or large
        assert size < 64 * 1024 + 6000


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for attempt in (
        lambda: Header.unpack(data),
        lambda: Header.unpack(b"\x01\x05\x00" + data),
        lambda: unpack_peer(Header(MessageType.APPEND_ENTRIES, term=5), data, cluster=0),
        lambda: unpack_peer(Header(MessageType.APPEND_ENTRIES, term=5, flags=Flag.MORE), bytes(16) + data, cluster=0),
        lambda: unpack_peer(
            Header(MessageType.APPEND_ENTRIES_REPLY, term=5, flags=Flag.MORE), bytes(16) + data, cluster=0
        ),
        lambda: unpack_fragment(data),
        lambda: FragmentStatus.unpack(data),
    ):
        with contextlib.suppress(WireError):
            attempt()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"type": 99},
        {"type": 0},
        {"flags": int(Flag.READ)},
        {"flags": int(Flag.GATHERED)},
        {"flags": int(Flag.FANOUT)},
        {"reserved": 1},
        {"term": MAX_TERM + 1},
        {"index": 2**64 - 1},
        {"log_term": MAX_TERM + 1},
        {"commit": MAX_TERM + 1},
    ],
)
def test_what_a_header_may_not_say(change: dict[str, int]) -> None:
    good = Header(MessageType.REQUEST_VOTE, 1, 2, 3, 4, 5, 6, 7)
    Header.unpack(good.pack())
    with pytest.raises(WireError):
        Header.unpack(replace(good, **change).pack())  # type: ignore[arg-type]


def test_client_numbers_may_be_large() -> None:
    header = Header(MessageType.CLIENT_REQUEST, index=2**64 - 1, log_term=2**63)
    assert Header.unpack(header.pack()) == header
    with pytest.raises(WireError):
        Header(MessageType.CLIENT_REQUEST, index=2**64).pack()


def test_fragments_round_trip() -> None:
    fragment = Fragment(7, 100, 5000, b"abc")
    datagram = pack_fragment(Header(MessageType.CLIENT_REQUEST, flags=Flag.FRAGMENT), fragment)
    assert unpack_fragment(datagram[HEADER_BYTES:]) == fragment
    source = random.Random(1)
    for _ in range(300):
        cuts = sorted(source.sample(range(1000), 2 * source.randrange(5)))
        status = FragmentStatus(1, 1000, 1000, tuple(zip(cuts[::2], cuts[1::2], strict=True)))
        assert FragmentStatus.unpack(status.pack()) == status
    for broken in (((5, 5),), ((5, 4),), ((0, 10), (5, 20)), ((0, 1001),)):
        with pytest.raises(WireError):
            FragmentStatus.unpack(FragmentStatus(1, 1000, 1000, broken).pack())
    with pytest.raises(WireError):
        FragmentStatus.unpack(FragmentStatus(1, 10, 11).pack())
