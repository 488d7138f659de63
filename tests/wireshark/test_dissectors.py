"""Dissectors say of a packet what the switch's parser has found in it: tshark beside p4switch's trace, all fields."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from tests.wireshark.shark import ETHERNET, USER0, Values, shown, traced, tshark, write_dissector, write_pcap

HERE = Path(__file__).parent
REPOSITORY = Path(__file__).parents[2]
PAIRS = (
    *("advance", "emit_order", "empty_value_set", "extract_dont_care", "header_stack_index", "header_stack_push_pop"),
    *(
        "header_stack_runtime_index",
        "header_union",
        "lookahead",
        "packet_too_short",
        "parser_last_index",
        "parser_loop",
    ),
    *("parser_variables", "reject", "select_masks", "select_no_match", "select_ranges", "select_tuples"),
    *("serializable_enums", "stack_overflow", "sub_parser", "varbit_copy", "varbit_field", "verify_error"),
    *("arithmetic_odd_width", "arithmetic_signed", "arithmetic_wide", "zero_width_field"),
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wireshark-cache")


def both(program: Path, script: Path, dissector: Path, cache: Path, folder: Path) -> list[tuple[Values, Values]]:
    """By packet: what tshark shows, and what the switch has parsed."""
    found = []
    packets = traced(program, script, cache)
    for port in sorted({port for port, _, _ in packets}):
        frames = [(frame, values) for at, frame, values in packets if at == port]
        pcap = write_pcap(folder / f"{port}.pcap", USER0, (frame for frame, _ in frames))
        preference = f"p4_{dissector.stem}.ingress_port:{port}"
        said = shown(dissector, pcap, "-o", preference)
        found += list(zip(said, (values for _, values in frames), strict=True))
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_every_field_is_as_the_switch_has_parsed_it(name: str, cache: Path, tmp_path: Path) -> None:
    program = REPOSITORY / "tests" / "stf" / f"{name}.p4"
    found = both(program, program.with_suffix(".stf"), write_dissector(program, tmp_path), cache, tmp_path)
    assert found
    for said, wanted in found:
        assert sorted(said) == sorted(wanted)


def test_every_field_of_raft_is_as_the_switch_has_parsed_it(cache: Path, tmp_path: Path) -> None:
    program, script = REPOSITORY / "p4" / "raft.p4", REPOSITORY / "tests" / "p4" / "raft.stf"
    found = both(program, script, write_dissector(program, tmp_path), cache, tmp_path)
    for said, wanted in found:
        assert said == wanted
    assert {name.partition(".")[0] for said, _ in found for name, _ in said} == {
        *("packet_out", "ethernet", "ipv4", "udp", "raft")
    }


def packets_file(folder: Path, frames: Iterable[bytes]) -> Path:
    file = folder / "packets.stf"
    file.write_text("".join(f"packet 1 {frame.hex()}\n" for frame in frames), encoding="utf-8")
    return file


def test_numbers_of_any_width_are_computed_as_the_switch_does(cache: Path, tmp_path: Path) -> None:
    program = HERE / "sums.p4"
    random = Random(0)
    edges = [bytes(16), b"\xff" * 16, b"\x80" + bytes(15), b"\x7f" + b"\xff" * 15, bytes(15) + b"\x01"]
    frames = [
        b"".join([*random.choices([random.choice(edges), random.randbytes(16)], k=2), random.choice(ends), bytes(16)])
        for ends in ([random.randbytes(15), random.choice(edges)[:6] + random.randbytes(9)] for _ in range(150))
    ]
    dissector = write_dissector(program, tmp_path)
    found = both(program, packets_file(tmp_path, frames), dissector, cache, tmp_path)
    assert len(found) == 150
    headers = [{name.partition(".")[0] for name, _ in wanted} for _, wanted in found]
    assert set.intersection(*headers) == {"w"} and len(set.union(*headers)) == 11, "each sum goes both ways"
    for said, wanted in found:
        assert said == wanted


# -- where they hang ------------------------------------------------------------------------------------------------

TUNNEL = bytes.fromhex("0001 0a000001 1111 05 82")
HOPS = bytes.fromhex("05 06 87")
TO, ADDRESSES = {"dst": "00:00:00:00:00:02", "src": "00:00:00:00:00:01"}, {"src": "10.0.0.1", "dst": "10.0.0.2"}
HOOKED = {
    "an EtherType": (Ether(type=0x1212, **TO) / TUNNEL, "tunnel"),
    "one behind a VLAN": (Ether(**TO) / Dot1Q(vlan=5, type=0x1213) / HOPS, "hops"),
    "a protocol of IP": (Ether(**TO) / IP(proto=0xC8, **ADDRESSES) / HOPS, "hops"),
    "a port of UDP": (Ether(**TO) / IP(**ADDRESSES) / UDP(sport=4000, dport=6000) / TUNNEL, "tunnel"),
    "the other that its mask allows": (
        Ether(**TO) / IP(**ADDRESSES) / UDP(sport=4000, dport=6001) / TUNNEL,
        "tunnel",
    ),
    "the last of a range": (Ether(**TO) / IP(**ADDRESSES) / UDP(sport=4000, dport=6102) / HOPS, "hops"),
    "a port behind options": (
        Ether(**TO) / IP(options=IPOption(b"\x01\x01\x01\x00"), **ADDRESSES) / UDP(sport=4000, dport=6000) / TUNNEL,
        "tunnel",
    ),
    "a port over IPv6": (Ether(**TO) / IPv6(dst="::2", src="::1") / UDP(sport=4000, dport=6000) / TUNNEL, "tunnel"),
    "a port of TCP": (Ether(**TO) / IP(**ADDRESSES) / TCP(sport=4000, dport=7000) / TUNNEL, "tunnel"),
}


@pytest.fixture(scope="module")
def tunnel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dissector(HERE / "tunnel.p4", tmp_path_factory.mktemp("tunnel"))


def test_it_hangs_where_wireshark_knows_no_further(tunnel: Path, cache: Path, tmp_path: Path) -> None:
    frames = [bytes(frame) for frame, _ in HOOKED.values()]
    packets = traced(HERE / "tunnel.p4", packets_file(tmp_path, frames), cache)
    pcap = write_pcap(tmp_path / "hooked.pcap", ETHERNET, frames)
    for name, said, (_, _, wanted) in zip(HOOKED, shown(tunnel, pcap), packets, strict=True):
        first = HOOKED[name][1]
        own = [one for one in wanted if one[0].startswith(("tunnel.", "hops."))]
        assert own and own[0][0].startswith(first)
        assert said == own, name
    whole = shown(tunnel, pcap, "-o", "p4_tunnel.frames:TRUE", "-Y", "p4_tunnel_frame", whole=True)
    assert whole == [wanted for _, _, wanted in packets]


def test_it_leaves_alone_what_wireshark_knows(tunnel: Path, tmp_path: Path) -> None:
    frames = [
        bytes(Ether(**TO) / IP(**ADDRESSES) / UDP(sport=4000, dport=6002) / TUNNEL),
        bytes(Ether(**TO) / ARP()),
        bytes(Ether(**TO) / IP(**ADDRESSES) / ICMP()),
    ]
    pcap = write_pcap(tmp_path / "others.pcap", ETHERNET, frames)
    assert shown(tunnel, pcap) == [[], [], []]


def test_what_the_switch_would_not_parse_is_shown_and_said(tunnel: Path, tmp_path: Path) -> None:
    two_tags = Ether(**TO) / Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP(**ADDRESSES) / UDP(sport=4000, dport=6000) / TUNNEL
    pcap = write_pcap(tmp_path / "tags.pcap", ETHERNET, [bytes(two_tags)])
    (said,) = shown(tunnel, pcap)
    assert said == [("tunnel.kind", 1), ("tunnel.node", 0x0A000001), ("tunnel.type", 0x1111), *hops((0, 5), (1, 2))]
    assert "no switch would parse this" in tshark(tunnel, pcap, "-V")


def hops(*each: tuple[int, int]) -> Values:
    return [one for last, node in each for one in (("hops.last", last), ("hops.node", node))]


def test_values_have_the_names_of_the_program(tunnel: Path, tmp_path: Path) -> None:
    pcap = write_pcap(tmp_path / "named.pcap", ETHERNET, [bytes(HOOKED["an EtherType"][0])])
    text = tshark(tunnel, pcap, "-V")
    assert re.search(r"kind: request \(1\)", text)
    assert [line.strip() for line in text.splitlines() if re.match(r" +(tunnel|hops)", line)] == [
        *("tunnel (tunnel_h)", "hops[0] (hop_h)", "hops[1] (hop_h)")
    ]
    assert tshark(tunnel, pcap, "-Y", "p4_tunnel.tunnel.kind == 1 && p4_tunnel.hops.node == 2").strip()
    assert not tshark(tunnel, pcap, "-Y", "p4_tunnel.hops.node == 3").strip()


def test_why_a_parser_ends_is_said(tunnel: Path, tmp_path: Path) -> None:
    short = Ether(type=0x1212, **TO) / TUNNEL[:-1]
    long = Ether(type=0x1212, **TO) / (TUNNEL[:-1] + bytes(20))
    pcap = write_pcap(tmp_path / "short.pcap", ETHERNET, [bytes(short), bytes(long)])
    text = tshark(tunnel, pcap, "-V")
    assert "the parser ends: PacketTooShort" in text and "the parser ends: StackOutOfBounds" in text


# -- and would find it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("include/headers.p4", "bit<8> flags;\n  bit<8> source;", "bit<8> source;\n  bit<8> flags;"),
        ("include/headers.p4", "bit<8> reserved;\n  bit<16> group;", "bit<16> group;\n  bit<8> reserved;"),
        ("include/parser.p4", "PROTOCOL_UDP): parse_udp", "6): parse_udp"),
        ("include/parser.p4", "0x00 &&& 0xC0", "0x40 &&& 0xC0"),
    ],
)
def test_another_program_s_dissector_is_found_out(
    file: str, before: str, after: str, cache: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "p4"
    shutil.copytree(REPOSITORY / "p4", copy)
    text = (copy / file).read_text(encoding="utf-8")
    assert before in text
    (copy / file).write_text(text.replace(before, after), encoding="utf-8")
    dissector = write_dissector(copy / "raft.p4", tmp_path)
    program, script = REPOSITORY / "p4" / "raft.p4", REPOSITORY / "tests" / "p4" / "raft.stf"
    assert any(said != wanted for said, wanted in both(program, script, dissector, cache, tmp_path))
