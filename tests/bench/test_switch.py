"""The bench of switches: short runs of its parts, and its figures as tables, JSON and a picture."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from rich.console import Console

from bench import record
from bench.figures import ROWS
from bench.switch import measure, workload
from bench.switch.comparison import Device, as_json, chosen_devices
from bench.switch.devices import BenchError, niceness_of
from bench.switch.report import drawn, tables
from bench.switch.results import Results, spread

REPOSITORY = Path(__file__).parents[2]
RUN = {"rtt_p50_us": 30.0, "rtt_p99_us": 90.0, "no_loss_pps": 1e5, "little_loss_pps": 2e5, "overload_pps": 3e5}


def results() -> Results:
    found = Results()
    found.rates["embedded raft.p4"] = {64: [RUN, {**RUN, "rtt_p50_us": 50.0}, {**RUN, "rtt_p50_us": 31.0}]}
    found.rates["bridge"] = {64: [RUN]}
    found.starts["embedded"] = [{"cold_s": 0.5, "cached_s": 0.05}]
    found.tables["lpm"] = {1: [{**RUN, "busy_us": 1.0, "memory_mb": 40.0}], 1000: [{**RUN, "busy_us": 2.0}]}
    found.updates[100] = [{"updates_per_s": 1e4, "offered_pps": 1e5, "sent": 2e5, "lost": 0.0, "foreign": 0.0}]
    return found


def test_tables_show_the_median_and_the_spread() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    for one in tables(results()):
        console.print(one)
    text = console.export_text()
    assert "31 (30 - 50)" in text and "embedded raft.p4" in text and "bridge" in text
    assert "50%" in text, "1000 entries take twice the time of one"
    assert spread([RUN], "memory_mb") is None


def test_json_and_picture_hold_every_device() -> None:
    data = json.loads(as_json(results()))
    assert len(data["rates"]["embedded raft.p4"]["64"]) == 3
    picture = drawn(results())
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert "bridge, 64 B" in picture


@pytest.mark.parametrize(("content", "niceness"), [("", None), ("/autogroup-7 nice -3\n", "-3"), (None, None)])
def test_the_group_of_a_session_may_be_unknown(content: str | None, niceness: str | None, tmp_path: Path) -> None:
    group = tmp_path / "autogroup"
    if content is not None:
        group.write_text(content, encoding="ascii")
    assert niceness_of(group) == niceness


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert [str(d) for d in chosen_devices(None)] == ["embedded raft.p4", "embedded l3.p4", "bridge", "forwarder"]
    with pytest.raises(BenchError, match="not on the PATH"):
        chosen_devices(["bmv2"])
    assert chosen_devices(["bridge"]) == [Device("bridge")]


@pytest.mark.parametrize("flooded_pps", [1e5, 1.5e4], ids=["as much when flooded", "less when flooded"])
def test_the_search_finds_the_rate_of_a_device_with_a_known_limit(flooded_pps: float) -> None:
    class Limited(measure.Traffic):
        """Drops what is above 100,000 frames per second; 0.5 % above 50,000; can send 400,000."""

        def rate(self, pps: float, seconds: float) -> dict[str, float]:
            sent = min(pps or 4e5, 4e5)
            passed = min(sent if sent < 5e4 else sent * 0.995, 1e5 if sent < 2e5 else flooded_pps)
            return {"sent": sent, "received": passed, "seconds": 1.0, "steady_pps": passed}

    class Idle:
        def cpu_seconds(self) -> None:
            return None

    nowhere = Path("/nonexistent")
    found = measure.rates(Limited(nowhere, nowhere, nowhere), Idle())  # type: ignore[arg-type]
    assert 0.9e5 <= found["little_loss_pps"] <= 1.02e5
    assert 0.3e5 <= found["no_loss_pps"] < 5e4
    assert found["overload_pps"] == flooded_pps


def test_one_bad_moment_does_not_end_the_search_and_two_do() -> None:
    class Losing(measure.Traffic):
        def rate(self, pps: float, seconds: float) -> dict[str, float]:
            lost = moments.pop(0) if moments else 0.0
            return {"sent": pps, "received": pps * (1 - lost), "seconds": 1.0, "steady_pps": pps}

    nowhere = Path("/nonexistent")
    for moments, carried in (([0.0, 0.0], 1e5), ([0.5, 0.0], 1e5), ([0.0, 0.5, 0.5], 0.0), ([0.5, 0.5], 0.0)):
        trials = measure.tried(Losing(nowhere, nowhere, nowhere), 1e5)
        assert (measure.carried(trials), moments) == (carried, [])


def test_every_entry_of_a_large_table_is_met_by_its_address() -> None:
    for match in ("exact", "lpm", "ternary"):
        rules, addresses = workload.many_rules(match, 500)
        keys = [rule.match[0] for rule in rules]
        assert len(set(keys)) == 500
        for key in keys:
            if isinstance(key, str):
                value, mask = (int(part) for part in key.split("&"))
            else:
                value, length = key if isinstance(key, tuple) else (key, 32)
                mask = 0xFFFF_FFFF << (32 - length) & 0xFFFF_FFFF
            assert any(address & mask == value for address in addresses), key


def test_tables_of_all_sizes_meet_equally_many_different_frames() -> None:
    for addresses in ([workload.B], [workload.A, workload.B]):
        frames = workload.table_frames(addresses)
        assert len(set(frames)) == workload.FRAMES
        assert {frame[30:34] for frame in frames} == {address.to_bytes(4, "big") for address in addresses}


@pytest.mark.root
def test_a_short_bench_runs_from_end_to_end(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "bench",
        "switch",
        "--rounds",
        "1",
        "--size",
        "64",
        "--no-tables",
        "--trial",
        "0.02",
        "--json",
    ]
    command += ["--device", "embedded", "--device", "forwarder", "--plot", str(tmp_path / "rates.svg")]
    environment = {**os.environ, "SWITCHRAFT_BUILD": str(tmp_path)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (kept,) = record.read_all(tmp_path / "bench" / "records")
    (row,) = (row for row in ROWS if row.words == "switch")
    assert (row.panel, row.ours) in {(one.panel, one.label) for one in kept.series}
    data = json.loads(done.stdout)
    assert set(data["rates"]) == {"embedded raft.p4", "embedded l3.p4", "forwarder"}
    for device, by_size in data["rates"].items():
        (figures,) = by_size["64"]
        assert figures["rtt_p50_us"] > 0 and figures["overload_pps"] > 0 and figures["little_loss_pps"] > 0, device
    assert data["starts"]["embedded"][0]["cached_s"] > 0
    assert (tmp_path / "rates.svg").read_text().startswith("<svg")


def output_of(script: str, *words: object) -> str:
    """Of a Python of its own, which may enter a namespace."""
    command = [sys.executable, "-c", script, *map(str, words)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.root
@pytest.mark.parametrize("size", [64, 1400])
@pytest.mark.parametrize("count", [1, 1500], ids=["one", "more than its ring has places for"])
def test_the_generator_sends_the_frames_that_it_was_given(tmp_path: Path, size: int, count: int) -> None:
    """Also those that the kernel cuts out of one datagram, but for the IP id and a UDP checksum, zero before."""
    script = (
        "import sys, socket\nfrom pathlib import Path\nfrom bench.switch import devices, measure, workload\n"
        "devices.enter_namespace()\nfolder, size, count = Path(sys.argv[1]), *map(int, sys.argv[2:])\n"
        "tool = devices.build_tool('traffic', folder)\n"
        "given = [workload.plain_frame(size, address) for address in range(count)]\n"
        "frames = workload.write_frames(folder / 'frames', given)\n"
        "end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n"
        "end.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)\nend.settimeout(20)\nend.bind((devices.NEAR_A, 0x0800))\n"
        "sent = measure.Traffic(tool, frames, frames).rate(40_000, 0.5)['sent']\n"
        "def told(got):\n"
        "    return got[:18] + got[20:24] + got[26:40] + got[42:]\n"
        "for number in range(sent):\n"
        "    got, frame = end.recv(65536), given[number % count]\n"
        "    assert told(got) == told(frame), (got.hex(), frame.hex())\n"
        "    assert workload.checksum(got[14:34]) == 0\n"
        "end.setblocking(False)\n"
        "try:\n    raise AssertionError(end.recv(65536))\nexcept BlockingIOError:\n    print(sent)\n"
    )
    assert int(output_of(script, tmp_path, size, count)) >= (100 if count == 1 else 1100)


@pytest.mark.root
def test_raft_p4_forwards_large_messages_both_ways(tmp_path: Path) -> None:
    """Between small ones, byte by byte but for what forwarding changes: addresses, TTL and the IPv4 checksum."""
    script = (
        "import sys, socket\nfrom pathlib import Path\nfrom bench.switch import devices, workload\n"
        "from bench.switch.comparison import Bench, Device\n"
        "devices.enter_namespace(9000)\nbench = Bench(Path(sys.argv[1]), print)\n"
        "ends = []\n"
        "for name in (devices.SIDE_A, devices.SIDE_B):\n"
        "    ends.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))\n"
        "    ends[-1].setsockopt(263, 23, 1)\n    ends[-1].bind((name, 0x0800))\n    ends[-1].settimeout(20)\n"
        "with bench.open(Device('embedded', 'raft.p4')):\n"
        "    for size in (64, 1400, 8900, 8972, 64, 8900) * 20:\n"
        "        for back in (False, True):\n"
        "            frame = workload.raft_frame(size, back=back)\n"
        "            ends[back].send(frame)\n            got = ends[not back].recv(65536)\n"
        "            assert len(got) == len(frame) == size + 42, (len(got), size)\n"
        "            assert workload.checksum(got[14:34]) == 0 and got[22] == frame[22] - 1\n"
        "            assert got[26:] == frame[26:], size\n"
        "print('all')\n"
    )
    assert output_of(script, tmp_path).splitlines()[-1] == "all"


@pytest.mark.root
def test_a_table_is_measured_with_different_frames(tmp_path: Path) -> None:
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom bench.switch import devices\n"
        "from bench.switch.comparison import Bench\nfrom bench.switch.measure import Lengths\n"
        "devices.enter_namespace()\nbench = Bench(Path(sys.argv[1]), print, Lengths.of_trial(0.1))\n"
        "print(json.dumps(bench.tables('lpm', 50)))"
    )
    figures = json.loads(output_of(script, tmp_path))
    assert figures["busy_us"] > 0 and figures["little_loss_pps"] > 0 and figures["insert_per_s"] > 0


@pytest.mark.root
def test_table_updates_lose_no_packet_and_show_no_third_entry(tmp_path: Path) -> None:
    """At a rate that a busy machine can bear: what counts is that every packet is accounted for."""
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom bench.switch import devices, updates\n"
        "devices.enter_namespace()\nfolder = Path(sys.argv[1])\ntool = devices.build_tool('traffic', folder)\n"
        "print(json.dumps(updates.measure(folder, tool, pps=5000, seconds=1.5)))"
    )
    figures = json.loads(output_of(script, tmp_path))
    assert figures["sent"] > 0 and figures["updates_per_s"] > 0 and figures["marks_seen"] >= 2
    assert (figures["lost"], figures["foreign"]) == (0, 0)
