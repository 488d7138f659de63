"""The traced build shows what really happens, on the same state, and is not there when nobody traces."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4switch.pipeline.entities import Replica
from p4switch.pipeline.pipeline import Exact, Lpm, Pipeline
from p4switch.program_json import load_json
from p4switch.stf.runner import Run, compile_p4
from p4switch.stf.script import Expect, NoPacket, Packet, parse
from p4switch.trace.events import MOST_EVENTS, Kind, Term, Tracer, packets
from p4switch.trace.journey import Narrator, value_text
from tests import forked

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header ethernet_t { bit<48> dst_addr; bit<48> src_addr; bit<16> ether_type; }
header tag_t { bit<8> kind; bit<8> left; bit<32> target; }
struct headers_t { ethernet_t ethernet; tag_t[2] tags; }
struct metadata_t { bit<8> seen; }
parser p(packet_in b, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
  state start {
    b.extract(hdr.ethernet);
    transition select(hdr.ethernet.ether_type) { 0x1234: parse_tag; default: accept; }
  }
  state parse_tag {
    b.extract(hdr.tags.next);
    transition select(hdr.tags.last.left) { 0: accept; default: parse_tag; }
  }
}
control check(inout headers_t hdr, inout metadata_t meta) { apply {} }
control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
  register<bit<8>>(1) packets;
  action forward(bit<9> port) { sm.egress_spec = port; hdr.tags[0].kind = 7; }
  action drop() { mark_to_drop(sm); }
  action again() { resubmit_preserving_field_list(0); }
  table routes {
    key = { hdr.tags[0].target: lpm; }
    actions = { forward; drop; again; }
    default_action = drop();
  }
  table kinds {
    key = { hdr.tags[0].kind: exact; }
    actions = { forward; NoAction; }
    default_action = NoAction();
  }
  apply {
    packets.read(meta.seen, 0);
    meta.seen = meta.seen + 1;
    packets.write(0, meta.seen);
    if (hdr.tags[0].isValid()) { routes.apply(); }
    kinds.apply();
  }
}
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
  apply { if (sm.egress_port == 9) { mark_to_drop(sm); } }
}
control compute(inout headers_t hdr, inout metadata_t meta) { apply {} }
control deparser(packet_out b, in headers_t hdr) { apply { b.emit(hdr.ethernet); b.emit(hdr.tags); } }
V1Switch(p(), check(), ingress(), egress(), compute(), deparser()) main;
"""
ETHERNET = bytes.fromhex("080000000001 080000000002 1234".replace(" ", ""))


def frame(target: int, kind: int = 1) -> bytes:
    return ETHERNET + bytes([kind, 0]) + target.to_bytes(4, "big") + b"payload"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("trace")
    (folder / "tags.p4").write_text(PROGRAM)
    subprocess.run(
        [sys.executable, "-m", "p4compiler", str(folder / "tags.p4"), "-o", str(folder)], check=True, cwd=REPOSITORY
    )
    parsed: dict[str, object] = json.loads((folder / "tags.json").read_text())
    return parsed


@pytest.fixture
def pipeline(data: dict[str, object]) -> Iterator[Pipeline]:
    with Pipeline.load(data) as loaded:
        loaded.insert("ingress.routes", [Lpm(0x0A000000, 8)], "ingress.forward", [2])
        loaded.insert("ingress.routes", [Lpm(0x0B000000, 8)], "ingress.forward", [9])
        yield loaded


@pytest.fixture
def tracer(pipeline: Pipeline, data: dict[str, object]) -> Tracer:
    made = Tracer(pipeline, data)
    made.choose()
    return made


def told(tracer: Tracer, sent: bytes, port: int = 1) -> list[str]:
    (events,) = packets(tracer.step(port, sent, 5_000_000))
    return Narrator(tracer.pipeline, tracer.places).tell(events)


def test_a_packets_way_from_port_to_port(tracer: Tracer) -> None:
    lines = told(tracer, frame(0x0A000001))
    wanted = [
        "port 1: 27 bytes in, at 5.000000 s",
        "  state start",
        "    + ethernet: dst_addr 08:00:00:00:00:01, src_addr 08:00:00:00:00:02, ether_type 4660",
        "  state parse_tag",
        "    + tags[0]: kind 1, left 0, target 0xa000001",
        "ingress",
        "    hit entry 1 [0xa000000/8]: ingress.forward(port = 2)",
        "    tags[0].kind: 1 -> 7",
        "    miss: NoAction()",
        "egress, port 2",
        "port 2: 27 bytes out: " + frame(0x0A000001, kind=7).hex(),
    ]
    at = -1
    for line in wanted:
        assert line in lines[at + 1 :], f"{line!r} is not after line {at + 1} of\n" + "\n".join(lines)
        at = lines.index(line, at + 1)


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (frame(0x0C000001), "dropped after ingress: egress_spec is 511"),
        (frame(0x0B000001), "dropped at egress: egress_spec is 511"),
        (ETHERNET, "  parser error: PacketTooShort"),
    ],
    ids=("ingress", "egress", "parser"),
)
def test_a_drop_is_told_with_its_place(tracer: Tracer, sent: bytes, end: str) -> None:
    lines = told(tracer, sent)
    assert any(line.startswith(end) for line in lines), "\n".join(lines)


def test_the_drop_names_the_last_action(tracer: Tracer) -> None:
    tracer.pipeline.insert("ingress.kinds", [Exact(1)], "ingress.forward", [511])
    assert told(tracer, frame(0x0A000001, kind=5))[-1].startswith("port 2")
    routed = told(tracer, frame(0x0C000001, kind=1))
    assert routed[-1] == "dropped after ingress: egress_spec is 511 (last: ingress.forward of table ingress.kinds)"


def test_tracing_works_on_the_pipelines_own_state(tracer: Tracer) -> None:
    pipeline = tracer.pipeline
    for _ in range(2):
        tracer.step(1, frame(0x0A000001))
    plain = pipeline.step(1, frame(0x0A000001), 0)
    assert pipeline.register("ingress.packets", 0) == 3
    sent = [event for event in tracer.step(1, frame(0x0A000001)) if event.kind == Kind.SENT]
    assert [(event.number, event.frame) for event in sent] == list(plain.packets)


@pytest.mark.parametrize("name", ["stacks", "unions", "state"])
def test_the_traced_build_gives_what_the_plain_one_gives(name: str, tmp_path: Path) -> None:
    programs = REPOSITORY / "tests" / "p4compiler" / "programs"
    source = load_json(compile_p4(programs / f"{name}.p4", tmp_path, ()))
    with Pipeline.load(source) as plain, Pipeline.load(source) as shown:
        runs = Run(plain), Run(shown)
        traced = Tracer(shown, source)
        traced.choose()
        narrator = Narrator(shown, traced.places)
        packets_seen = 0
        for number, one in enumerate(parse((programs / f"{name}.stf").read_text())):
            if isinstance(one, Packet):
                packets_seen += 1
                output = plain.step(one.port, one.frame, 1000 * number, number)
                events = traced.step(one.port, one.frame, 1000 * number, number)
                sent = [(event.number, event.frame) for event in events if event.kind == Kind.SENT]
                assert sent == list(output.packets)
                (journey,) = packets(events)
                assert narrator.tell(journey)
            elif not isinstance(one, Expect | NoPacket):
                for run in runs:
                    run.run([one])
        assert packets_seen


def test_a_resubmitted_packet_is_one_journey(tracer: Tracer) -> None:
    handle = tracer.pipeline.find("ingress.routes", [Lpm(0x0A000000, 8)])
    assert handle is not None
    tracer.pipeline.modify("ingress.routes", handle, "ingress.again")
    (events,) = packets(tracer.step(1, frame(0x0A000001)))
    assert [event.kind for event in events].count(Kind.ENTER) > 1
    assert "resubmitted" in Narrator(tracer.pipeline, tracer.places).tell(events)


ROUNDS = """\
#include <core.p4>
#include <v1model.p4>
header ethernet_t { bit<48> dst; bit<48> src; bit<16> ether_type; }
header ipv4_t { bit<72> before; bit<8> protocol; bit<16> hdr_checksum; bit<32> src; bit<32> dst; }
struct headers_t { ethernet_t ethernet; ipv4_t ipv4; }
struct metadata_t { bit<48> arrived; bit<32> hop; }
parser p(packet_in b, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
  state start {
    b.extract(hdr.ethernet);
    transition select(hdr.ethernet.ether_type) { 0x800: ip; default: accept; }
  }
  state ip { b.extract(hdr.ipv4); transition accept; }
}
control check(inout headers_t hdr, inout metadata_t meta) { apply {} }
control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
  action to(bit<48> next, bit<32> target, bit<32> count, bit<9> port) {
    hdr.ethernet.dst = next;
    hdr.ipv4.dst = target;
    meta.hop = count;
    sm.egress_spec = port;
  }
  table routes {
    key = { hdr.ipv4.dst: lpm; hdr.ethernet.src: exact; }
    actions = { to; NoAction; }
    default_action = NoAction();
  }
  apply {
    meta.arrived = sm.ingress_global_timestamp;
    sm.egress_spec = 3;
    if (hdr.ipv4.isValid()) {
      routes.apply();
    } else if (hdr.ethernet.ether_type == 1) {
      resubmit_preserving_field_list(0);
    } else if (hdr.ethernet.ether_type == 3) {
      sm.mcast_grp = 1;
    } else if (hdr.ethernet.ether_type == 5) {
      clone_preserving_field_list(CloneType.I2E, 7, 0);
    } else if (hdr.ethernet.ether_type == 6) {
      hdr.ipv4.setValid();
    }
  }
}
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
  apply {
    if (hdr.ethernet.ether_type == 2 || hdr.ethernet.ether_type == 3 || hdr.ethernet.ether_type == 5) {
      recirculate_preserving_field_list(0);
    } else if (hdr.ethernet.ether_type == 4) {
      clone_preserving_field_list(CloneType.E2E, 7, 0);
      mark_to_drop(sm);
    }
  }
}
control compute(inout headers_t hdr, inout metadata_t meta) {
  apply {
    update_checksum(hdr.ipv4.isValid(), {hdr.ipv4.before, hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst},
                    hdr.ipv4.hdr_checksum, HashAlgorithm.csum16);
  }
}
control deparser(packet_out b, in headers_t hdr) { apply { b.emit(hdr.ethernet); b.emit(hdr.ipv4); } }
V1Switch(p(), check(), ingress(), egress(), compute(), deparser()) main;
"""
IPV4_HEADER = bytes.fromhex("4500001400000000401112340a0001010a000205")


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracer]:
    folder = tmp_path_factory.mktemp("rounds")
    (folder / "rounds.p4").write_text(ROUNDS)
    source = load_json(compile_p4(folder / "rounds.p4", folder, ()))
    with Pipeline.load(source) as loaded:
        loaded.set_multicast_group(1, [Replica(port, 0) for port in (1, 2, 3)])
        loaded.set_clone_session(7, [Replica(1, 0)])
        made = Tracer(loaded, source)
        made.choose()
        yield made


@pytest.mark.parametrize(
    ("ether_type", "end"),
    [
        (1, "lost: resubmitted, recirculated or cloned 1,024 times, the most there is"),
        (2, "lost: resubmitted, recirculated or cloned 1,024 times, the most there is"),
        (3, "lost: the frame has become 16,384 packets, the most there is"),
        (4, "lost: resubmitted, recirculated or cloned 1,024 times, the most there is"),
        (5, "lost: the frame has become 16,384 packets, the most there is"),
    ],
    ids=["resubmit", "recirculate", "multicast", "clone at egress", "clone at ingress"],
)
def test_a_way_without_end_is_told_in_few_lines_and_says_why_it_ended(
    rounds: Tracer, ether_type: int, end: str
) -> None:
    sent = ETHERNET[:12] + ether_type.to_bytes(2, "big")
    (events,) = packets(rounds.step(1, sent))
    assert len(events) == MOST_EVENTS + 2 and (events[0].kind, events[-1].kind) == (Kind.BEGIN, Kind.END)
    lines = Narrator(rounds.pipeline, rounds.places).tell(events)
    assert lines[0].startswith("port 1: 14 bytes in") and lines[-1] == end
    assert lines[-2].startswith("... ") and "no frame left" not in lines and len(lines) < 3 * MOST_EVENTS
    left_out = int(lines[-2].split()[1].replace(",", ""))
    assert left_out > 1024
    if ether_type in (1, 2):
        assert "times through the parser" in lines[-2]
        rounds.choose(most=0)
        (whole,) = packets(rounds.step(1, sent))
        rounds.choose()
        assert len(whole) == len(events) + left_out and whole[-2].kind == Kind.LOST
        assert [event.kind for event in whole[: len(events) - 1]] == [event.kind for event in events[:-1]]


def test_a_frame_that_grows_too_long_is_told(rounds: Tracer) -> None:
    assert told(rounds, ETHERNET[:12] + b"\x00\x06" + bytes(100))[-1].startswith("port 3: 134 bytes out")
    lines = told(rounds, ETHERNET[:12] + b"\x00\x06" + bytes(65535 - 14))
    assert lines[-1] == "lost: longer than 65,535 bytes, the most there is"


def test_arguments_and_checksums_read_as_people_write_them(rounds: Tracer) -> None:
    """An argument is what the field is that takes it; a checksum is updated after egress."""
    match = [Lpm(0x0A000200, 24), Exact(0x080000000002)]
    handle = rounds.pipeline.insert("ingress.routes", match, "ingress.to", [0x0800000000BB, 0x0A000202, 7, 2])
    lines = told(rounds, ETHERNET[:12] + b"\x08\x00" + IPV4_HEADER)
    rounds.pipeline.delete("ingress.routes", handle)
    call = "ingress.to(next = 08:00:00:00:00:bb, target = 10.0.2.2, count = 7, port = 2)"
    wanted = [
        "    key hdr.ipv4.dst = 10.0.2.5, hdr.ethernet.src = 08:00:00:00:00:02",
        f"    hit entry {handle} [10.0.2.0/24, 08:00:00:00:00:02]: {call}",
        "    ethernet.dst: 08:00:00:00:00:01 -> 08:00:00:00:00:bb",
        "egress, port 2",
        "checksums",
        "  ipv4.hdr_checksum: 0x1234 -> 0x63d7",
    ]
    at = [lines.index(line) for line in wanted]
    assert at == sorted(at) and lines[-1].startswith("port 2: 34 bytes out: ")
    assert "    arrived: 0 -> 0x4c4b40" in lines, "a time of 48 bits is no address"
    unchanged = bytearray(IPV4_HEADER)
    unchanged[10:12] = b"\x63\xd4"
    assert "checksums" not in told(rounds, ETHERNET[:12] + b"\x08\x00" + bytes(unchanged))


@pytest.mark.parametrize(
    ("names", "width", "value", "text"),
    [
        ("mac", 48, 1, "00:00:00:00:00:01"),
        ("hdr.ethernet.dst", 48, 1, "00:00:00:00:00:01"),
        ("scalars.userMetadata.next_mac", 48, 1, "00:00:00:00:00:01"),
        ("scalars.userMetadata.since", 48, 1, "1"),
        ("hdr.int.egress_timestamp", 48, 1, "1"),
        ("hdr.ipv4.src", 32, 0x0A000001, "10.0.0.1"),
        ("nhop", 32, 0x0A000001, "10.0.0.1"),
        ("arp.sender_ip", 32, 0x0A000001, "10.0.0.1"),
        ("tcp.seq_no", 32, 0x0A000001, "0xa000001"),
        ("description", 32, 5, "5"),
        ("hdr.ipv6.dst_addr", 128, 1, "::1"),
        ("hdr.udp.checksum", 16, 0x1F, "0x001f"),
        ("standard_metadata.checksum_error", 1, 1, "1"),
    ],
)
def test_values_by_what_they_are(names: str, width: int, value: int, text: str) -> None:
    assert value_text(names, width, value) == text


def test_mistakes_on_the_command_line_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "rounds.p4").write_text(ROUNDS)
    program = compile_p4(tmp_path / "rounds.p4", tmp_path, ())
    bad, binary = tmp_path / "bad.stf", tmp_path / "binary.stf"
    binary.write_bytes(b"\xff\xfe")
    bad.write_text("packet 1 00\nadd nowhere a:1 b()\n")
    long = tmp_path / "long.stf"
    long.write_text("packet 1 " + "00" * 65536)
    port = tmp_path / "port.stf"
    port.write_text("\npacket 600 00\n")
    for words, code, text in (
        (["--port", "600", "--hex", "00"], 2, "argument --port: there is no port 600: they are 0 to 511"),
        (["--port", "-1", "--hex", "00"], 2, "there is no port -1"),
        (["--port", "x", "--hex", "00"], 2, "there is no port x"),
        (["--entries", str(long)], 1, f"trace: {long}: line 1: a packet has at most 65,535 bytes: packet 1 00"),
        (["--entries", str(tmp_path / "no.stf")], 1, f"trace: {tmp_path}/no.stf: cannot be read: No such file"),
        (["--entries", str(tmp_path)], 1, f"trace: {tmp_path}: cannot be read: Is a directory"),
        (["--entries", str(binary)], 1, f"trace: {binary}: cannot be read: it is not UTF-8 text"),
        (["--entries", str(bad)], 1, f"trace: {bad}: line 2: no table nowhere"),
        (["--entries", str(port)], 1, f"trace: {port}: line 2: there is no port 600: they are 0 to 511"),
        (["--json", str(tmp_path / "no.json"), "--hex", "00"], 1, "no.json: cannot be read: No such file"),
        (["--json", str(binary), "--hex", "00"], 1, f"trace: {binary} is not JSON: it is not UTF-8 text"),
    ):
        done = forked.run("p4switch.trace.command", str(program), *words)
        assert (done.returncode, text in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr and "Errno" not in done.stderr


def test_only_chosen_frames_are_traced(tracer: Tracer) -> None:
    tracer.choose([[Term(12, 0xFFFF, 0x1234), Term(16, 0xFF00, 0x0B00)], [Term(0, 0xFFFF, 0x0900)]])
    assert not tracer.step(1, frame(0x0A000001))
    assert tracer.step(1, frame(0x0B000001))
    assert not tracer.step(1, b"\x08\x00")
    tracer.choose([], gap_us=100)
    assert [bool(tracer.step(1, frame(1), now)) for now in (1000, 1050, 1100)] == [True, False, True]


def test_the_command_traces_what_an_stf_file_sets_up(tmp_path: Path) -> None:
    (tmp_path / "tags.p4").write_text(PROGRAM)
    (tmp_path / "entries.stf").write_text("add routes hdr.tags[0].target:0x0a000000/8 forward(port:3)\n")
    program = str(tmp_path / "tags.p4")
    with_entries = [program, "--entries", str(tmp_path / "entries.stf")]
    command = [sys.executable, "-m", "p4switch.trace", *with_entries, "--port", "4", "--hex", frame(0x0A000001).hex()]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("port 4: 27 bytes in")
    assert "ingress.forward(port = 3)" in done.stdout
    for words, code in ((["--hex", "xyz"], 2), ([], 2)):
        done = forked.run("p4switch.trace.command", program, *words)
        assert done.returncode == code and "Traceback" not in done.stderr
    empty = forked.run("p4switch.trace.command", *with_entries)
    assert (empty.returncode, empty.stdout) == (1, "")
    assert "has no packets" in empty.stderr
