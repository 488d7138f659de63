"""raft.p4's dissector shows payloads as the hosts pack them, and which reply answers which request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from hosts.net.batches import pack_batches
from hosts.net.fragments import OVERHEAD_BYTES, Outbox
from hosts.net.path import PathSize
from hosts.net.seal import Seal
from hosts.raft.message import Answers, Entry, EntryKind, Message, MessageType, Question
from hosts.service.requests import Operation, Outcome, Reply, Request
from hosts.service.values import encode
from hosts.wire import (
    DEFAULT_PORT,
    HEADER_BYTES,
    MAX_DATAGRAM,
    Flag,
    Fragment,
    FragmentStatus,
    Header,
    ToldMember,
    pack_fragment,
    pack_members,
    pack_peer,
)
from tests.wireshark.shark import ETHERNET, shown, trees, tshark, write_dissector, write_pcap
from topo.paths import ROOT

MORE = ROOT / "topo" / "wireshark" / "raft_payloads.lua"
CLUSTER, GROUP, SESSION = 0xC0FFEE, 3, 0x1122334455667788
ENTRIES = (
    Entry(5, 10, EntryKind.NOOP),
    Entry(5, 11, EntryKind.COMMAND, b"sixsix"),
    Entry(6, 12, EntryKind.CONFIGURATION, bytes(40)),
)
KINDS = MessageType


@pytest.fixture(scope="module")
def dissector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raft")
    return write_dissector(ROOT / "p4" / "raft.p4", folder, [MORE.read_text(encoding="utf-8")])


def frame(datagram: bytes, sport: int = DEFAULT_PORT, dport: int = DEFAULT_PORT) -> bytes:
    ends = Ether(src="00:00:00:00:00:01", dst="00:00:00:00:00:02") / IP(src="10.0.1.1", dst="10.0.2.2")
    return bytes(ends / UDP(sport=sport, dport=dport) / datagram)


def peer(kind: MessageType, source: int, target: int, seal: Seal | None = None, **more: Any) -> bytes:
    message = Message(kind, source, target, 6, **more)
    header, payload = pack_peer(message, group=GROUP, cluster=CLUSTER, fanout=target == 255)
    datagram = header.pack() + payload
    return frame(seal.close_up(datagram) if seal else datagram)


def client(kind: MessageType, sequence: int, payload: bytes, flags: int = 0) -> bytes:
    header = Header(kind, group=GROUP, index=sequence, log_term=SESSION, flags=flags)
    asks = kind is KINDS.CLIENT_REQUEST
    return frame(header.pack() + payload, *((40000, DEFAULT_PORT) if asks else (DEFAULT_PORT, 40000)))


def payloads(dissector: Path, folder: Path, frames: Iterable[bytes], *words: str) -> list[dict[str, list[Any]]]:
    """By frame, the fields that come behind the header's, each with its values."""
    pcap = write_pcap(folder / "raft.pcap", ETHERNET, frames)
    found = []
    for values in shown(dissector, pcap, *words):
        names: dict[str, list[Any]] = {}
        for name, value in values:
            if not name.startswith("raft."):
                names.setdefault(name, []).append(value)
        found.append(names)
    return found


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


@pytest.mark.parametrize("sealed", [False, True], ids=["without a key", "sealed"])
def test_entries(sealed: bool, dissector: Path, tmp_path: Path) -> None:
    seal = Seal(bytes(32), CLUSTER, 1_700_000_000_123_456_789) if sealed else None
    kinds = [ENTRIES[:0], ENTRIES[:1], ENTRIES[:2], ENTRIES]
    frames = [peer(KINDS.APPEND_ENTRIES, 1, 2, seal, index=9, round=77, entries=entries) for entries in kinds]
    for entries, found in zip(kinds, payloads(dissector, tmp_path, frames), strict=True):
        assert found["cluster"] == [CLUSTER] and found["round"] == [77]
        assert found.get("entry.index", []) == [entry.index for entry in entries]
        assert found.get("entry.term", []) == [entry.term for entry in entries]
        assert found.get("entry.kind", []) == [entry.kind for entry in entries]
        assert found.get("entry.length", []) == [len(entry.data) for entry in entries]
        assert found.get("entry.data", []) == [number(entry.data) for entry in entries if entry.data]
        assert found.get("boot", []) == ([1_700_000_000_123_456_789] if sealed else [])
        assert "extra" not in found


@pytest.mark.parametrize("sealed", [False, True], ids=["without a key", "sealed"])
def test_what_members_say(sealed: bool, dissector: Path, tmp_path: Path) -> None:
    seal = Seal(bytes(32), CLUSTER, 1_700_000_000_123_456_789) if sealed else None
    told = [ToldMember(1, True, "10.0.1.1", 26410), ToldMember(2, False, "10.0.2.2", 26411)]
    status = FragmentStatus(0xABCDEF, 5000, 3000, ((100, 200), (1000, 2000)))
    frames = [
        peer(KINDS.REQUEST_VOTE, 1, 2, seal, round=5),
        peer(KINDS.REQUEST_VOTE_REPLY, 2, 1, seal, round=5, log_id=0xFACE),
        peer(KINDS.APPEND_ENTRIES_REPLY, 2, 1, seal, round=6, reject=True),
        peer(KINDS.CONFIGURATION, 1, 255 - 1, seal, round=7, data=pack_members(told)),
        peer(KINDS.FRAGMENT_STATUS, 2, 1, seal, data=status.pack()),
        peer(KINDS.TIMEOUT_NOW, 1, 2, seal, round=8),
        peer(KINDS.APPEND_ENTRIES, 1, 2, seal, round=9, lazy=True),
    ]
    found = payloads(dissector, tmp_path, frames)
    assert [one["round"] for one in found] == [[5], [5], [6], [7], [0], [8], [9]]
    assert found[1]["log_id"] == [0xFACE] and all("log_id" not in one for one in (found[0], *found[2:]))
    assert found[2]["flag.reject"] == [1] and "flag.reject" not in found[1]
    assert [one.get("flag.lazy") for one in found] == [None] * 6 + [[1]]
    assert all("flag.no_steer" not in one for one in found)
    assert found[3]["member.id"] == [1, 2] and found[3]["member.votes"] == [1, 0]
    assert found[3]["member.address"] == [0x0A000101, 0x0A000202] and found[3]["member.port"] == [26410, 26411]
    assert (found[4]["message_id"], found[4]["total"], found[4]["highest"]) == ([0xABCDEF], [5000], [3000])
    assert (found[4]["missing.start"], found[4]["missing.end"]) == ([100, 1000], [200, 2000])
    for place, one in enumerate(found, 1):
        assert one.get("counter", []) == ([place] if sealed else [])
        assert "extra" not in one


@pytest.mark.parametrize("sealed", [False, True], ids=["without a key", "sealed"])
def test_what_rides(sealed: bool, dissector: Path, tmp_path: Path) -> None:
    seal = Seal(bytes(32), CLUSTER, 1_700_000_000_123_456_789) if sealed else None
    answers = Answers(40, ((2, 0xA2), (3, 0xA3)))
    frames = [
        peer(KINDS.APPEND_ENTRIES, 1, 255, seal, round=9, answers=answers),
        peer(KINDS.APPEND_ENTRIES_REPLY, 2, 1, seal, round=9, question=Question(0xB2, 41, 0xFACE)),
        peer(KINDS.APPEND_ENTRIES_REPLY, 3, 1, seal, round=9, log_id=0xDEED, question=Question(0xB3)),
    ]
    told, asked, named = payloads(dissector, tmp_path, frames)
    assert (told["answers.index"], told["count"]) == ([40], [2])
    assert (told["answer.member"], told["answer.number"]) == ([2, 3], [0xA2, 0xA3]) and "entry" not in told
    for found, number, held, log in ((asked, 0xB2, 41, 0xFACE), (named, 0xB3, 0, 0)):
        assert [found[f"question.{name}"] for name in ("number", "held", "log")] == [[number], [held], [log]]
    assert named["log_id"] == [0xDEED] and "log_id" not in asked
    for place, one in enumerate((told, asked, named), 1):
        assert one["round"] == [9] and one.get("counter", []) == ([place] if sealed else []) and "extra" not in one


@pytest.mark.parametrize("sealed", [False, True], ids=["without a key", "sealed"])
def test_what_a_switch_has_gathered(sealed: bool, dissector: Path, tmp_path: Path) -> None:
    seal = Seal(bytes(32), CLUSTER, 1_700_000_000_123_456_789) if sealed else None
    at = len(frame(b"")) + HEADER_BYTES
    asked = peer(KINDS.APPEND_ENTRIES, 1, 2, round=9, index=9, gather=True)
    others = [peer(KINDS.APPEND_ENTRIES_REPLY, 3 + n, 1, seal, index=20 + n, round=9, gather=True) for n in range(7)]
    own = peer(KINDS.APPEND_ENTRIES_REPLY, 2, 1, seal, index=30, round=9, gather=True)
    records = b"".join(
        bytes((3 + n, 0)) + (20 + n).to_bytes(8, "big") + one[at + 8 :] for n, one in enumerate(others)
    )
    header = bytearray(own[at - HEADER_BYTES : at])
    header[2] |= int(Flag.GATHERED)
    found = payloads(
        dissector, tmp_path, [asked, own, frame(bytes(header) + records + own[at:])], "-2", "-R", "frame"
    )
    assert found[1]["ack.round"] == [9] and found[1]["response_to"] == [1]
    assert found[2]["flag.gathered"] == found[2]["flag.gather"] == [1]
    assert found[2]["record.source"] == list(range(3, 10)) and found[2]["record.index"] == list(range(20, 27))
    assert found[2]["record.round"] == [9] * 7 and found[2]["round"] == [9]
    assert all("extra" not in one for one in found)


def test_what_clients_ask_and_get(dissector: Path, tmp_path: Path) -> None:
    key, value = encode("k"), encode([1, "two"])
    put = Request(7, Operation.PUT, key, value).pack()
    frames = [
        client(KINDS.CLIENT_REQUEST, 1, put),
        client(KINDS.CLIENT_REQUEST, 2, Request(8, Operation.READ_LIST, start=2**40, limit=9).pack()),
        client(KINDS.CLIENT_REPLY, 1, Reply(7, Outcome.OK, 2, 30, 6, encode(True)).pack()),
        client(KINDS.CLIENT_REPLY, 2, Reply(8, Outcome.NOT_LEADER, 3, body=b"10.0.3.3:26410").pack(), Flag.REJECT),
        frame(pack_fragment(Header(16, flags=Flag.FRAGMENT), Fragment(99, 1000, 9000, b"abc")), 40000),
        client(KINDS.CLIENT_FRAGMENT_STATUS, 1, FragmentStatus(99, 9000, 2000, ((0, 1000),)).pack()),
    ]
    found = payloads(dissector, tmp_path, frames)
    assert found[0]["operation"] == [3] and found[0]["key"] == [number(key)] and found[0]["value"] == [number(value)]
    assert found[1]["start"] == [2**40] and found[1]["limit"] == [9] and found[1]["nonce"] == [8]
    assert found[2]["outcome"] == [0] and found[2]["leader"] == [2] and found[2]["log_index"] == [30]
    assert found[2]["log_term"] == [6] and found[2]["result"] == [number(encode(True))]
    assert found[3]["outcome"] == [1] and found[3]["text"] == ["10.0.3.3:26410"] and found[3]["flag.reject"] == [1]
    assert (found[4]["message_id"], found[4]["offset"], found[4]["total"]) == ([99], [1000], [9000])
    assert found[4]["fragment"] == [number(b"abc")]
    assert (found[5]["missing.start"], found[5]["missing.end"]) == ([0], [1000])
    assert not any("extra" in one for one in found)


@pytest.mark.parametrize("kind", [KINDS.APPEND_ENTRIES, KINDS.CLIENT_REQUEST])
def test_probes_are_no_fragments(kind: MessageType, dissector: Path, tmp_path: Path) -> None:
    outbox = Outbox(500, PathSize(9000))
    outbox.add(Header(kind, group=GROUP), bytes(20_000), 0.0)
    probe = next(datagram for datagram in outbox.poll(0.0) if len(datagram) > MAX_DATAGRAM)
    port = 40000 if kind is KINDS.CLIENT_REQUEST else DEFAULT_PORT
    (found,) = payloads(dissector, tmp_path, [frame(probe, port)])
    assert found["message_id"] == [501] and found["offset"] == [0]
    assert found["total"] == [len(probe) - OVERHEAD_BYTES] and "padding" in found
    assert not {"fragment", "highest", "extra", "boot"} & found.keys()
    assert "Status (probe)" in tshark(dissector, tmp_path / "raft.pcap")


def test_several_in_one_datagram(dissector: Path, tmp_path: Path) -> None:
    asked = [(sequence, Request(sequence, Operation.GET, encode(f"k{sequence}")).pack()) for sequence in (5, 6, 9)]
    ((first, flags, payload),) = pack_batches(asked)
    (found,) = payloads(dissector, tmp_path, [client(KINDS.CLIENT_REQUEST, first, payload, flags)])
    assert found["sequence"] == [5, 6, 9] and found["nonce"] == [5, 6, 9]
    assert found["key"] == [number(encode(f"k{sequence}")) for sequence in (5, 6, 9)]


def test_what_is_cut_short_is_said_and_what_is_too_long_is_shown(dissector: Path, tmp_path: Path) -> None:
    whole = peer(KINDS.APPEND_ENTRIES, 1, 2, index=9, round=77, entries=ENTRIES)[14 + 20 + 8 :]
    put = Request(7, Operation.PUT, encode("k"), encode(1)).pack()
    frames = [
        frame(whole[:50]),
        frame(whole[:-1]),
        client(KINDS.CLIENT_REQUEST, 1, put[:11]),
        client(KINDS.CLIENT_REPLY, 1, put[:11]),
    ]
    pcap = write_pcap(tmp_path / "cut.pcap", ETHERNET, frames)
    assert tshark(dissector, pcap, "-V").count("Info (Warning/Malformed): the payload is too short]") == 3
    assert "extra" in payloads(dissector, tmp_path, frames)[1]


# -- what answers what ----------------------------------------------------------------------------------------------


def matched(dissector: Path, folder: Path, frames: Iterable[bytes]) -> tuple[dict[int, int], dict[int, int]]:
    """By reply its request, and by request its reply, as frames' numbers."""
    found = payloads(dissector, folder, frames, "-2", "-R", "frame")
    asks = {at: one["response_to"][0] for at, one in enumerate(found, 1) if "response_to" in one}
    answers = {at: one["response_in"][0] for at, one in enumerate(found, 1) if "response_in" in one}
    return asks, answers


def test_clients_replies_are_matched_by_session_and_sequence(dissector: Path, tmp_path: Path) -> None:
    get, ok = Request(7, Operation.GET, encode("k")).pack(), Reply(7, Outcome.OK).pack()
    ((first, flags, several),) = pack_batches([(5, get), (6, get)])
    frames = [
        client(KINDS.CLIENT_REQUEST, 1, get),
        client(KINDS.CLIENT_REQUEST, 2, get),
        client(KINDS.CLIENT_REQUEST, first, several, flags),
        client(KINDS.CLIENT_REPLY, 2, ok),
        client(KINDS.CLIENT_REPLY, 6, ok),
        client(KINDS.CLIENT_REPLY, 1, ok),
        client(KINDS.CLIENT_REPLY, 8, ok),
    ]
    assert matched(dissector, tmp_path, frames) == ({4: 2, 5: 3, 6: 1}, {1: 6, 2: 4, 3: 5})


def test_members_replies_are_matched_by_round(dissector: Path, tmp_path: Path) -> None:
    frames = [
        peer(KINDS.APPEND_ENTRIES, 1, 2, round=7),
        peer(KINDS.APPEND_ENTRIES, 1, 3, round=7),
        peer(KINDS.APPEND_ENTRIES, 1, 2, round=8),
        peer(KINDS.PRE_VOTE, 1, 2, round=8),
        peer(KINDS.APPEND_ENTRIES_REPLY, 3, 1, round=7),
        peer(KINDS.APPEND_ENTRIES_REPLY, 2, 1, round=8),
        peer(KINDS.APPEND_ENTRIES_REPLY, 2, 1, round=7),
        peer(KINDS.PRE_VOTE_REPLY, 2, 1, round=8),
        peer(KINDS.APPEND_ENTRIES_REPLY, 3, 1, round=8),
        peer(KINDS.APPEND_ENTRIES, 1, 255, round=9),
        peer(KINDS.APPEND_ENTRIES_REPLY, 3, 1, round=9),
    ]
    asks, answers = matched(dissector, tmp_path, frames)
    assert asks == {5: 2, 6: 3, 7: 1, 8: 4, 11: 10}
    assert answers == {2: 5, 3: 6, 1: 7, 4: 8, 10: 11}


def test_the_list_of_packets_says_what_each_is(dissector: Path, tmp_path: Path) -> None:
    pcap = write_pcap(
        tmp_path / "list.pcap", ETHERNET, [peer(KINDS.APPEND_ENTRIES, 1, 2, index=9, log_term=5, commit=8)]
    )
    line = tshark(dissector, pcap)
    assert "AppendEntries 1->2 group 3 term 6 index 9 log_term 5 commit 8" in line and " Raft " in line


def test_types_have_names(dissector: Path, tmp_path: Path) -> None:
    pcap = write_pcap(tmp_path / "types.pcap", ETHERNET, [frame(Header(kind).pack()) for kind in MessageType])
    text = tshark(dissector, pcap, "-V")
    for kind in MessageType:
        name = kind.name.title().replace("_", "")
        assert f"type: {name} ({kind})" in text


@pytest.mark.parametrize(
    ("table", "names"),
    [("TYPES", MessageType), ("KINDS", EntryKind), ("OPERATIONS", Operation), ("OUTCOMES", Outcome)],
)
def test_every_number_of_the_hosts_has_a_name(table: str, names: type[IntEnum]) -> None:
    _, _, behind = MORE.read_text(encoding="utf-8").partition(f"local {table} = {{")
    assert set(map(int, re.findall(r"\[(\d+)\] =", behind.partition("}")[0]))) == set(names)


def test_entries_are_nested(dissector: Path, tmp_path: Path) -> None:
    pcap = write_pcap(tmp_path / "e.pcap", ETHERNET, [peer(KINDS.APPEND_ENTRIES, 1, 2, entries=ENTRIES)])
    names = [name for name, value in trees(dissector, pcap)[0] if isinstance(value, list)]
    assert names.count("p4_raft.entry") == 3
