"""`switchraft capture --pcap`: what a lab's packets look like to tshark, with the dissector beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.lab.conftest import Lab, wait
from tests.wireshark.shark import tshark
from topo import paths


def told(script: Path, pcap: Path, wanted: str, *fields: str) -> list[list[str]]:
    words = [word for name in fields for word in ("-e", name)]
    text = tshark(script, pcap, "-2", "-R", "frame", "-Y", wanted, "-T", "fields", *words)
    return [line.split("\t") for line in text.splitlines()]


def capture(lab: Lab, folder: Path, *words: str) -> tuple[str, Path, Path]:
    """What the command prints where there is no Wireshark; the capture, and the dissector."""
    pcap = folder / "seen.pcapng"
    done = lab.try_("capture", "--pcap", str(pcap), "--wireshark", *words, PATH=str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout, pcap, pcap.with_suffix(".lua")


def test_all_ports_in_one_file(lab: Lab, tmp_path: Path) -> None:
    shown, pcap, script = capture(lab, tmp_path, "--seconds", "4")
    assert "packets" in shown and "There is no wireshark on the PATH" in shown and str(script) in shown
    topology = lab.live.topology
    ports = {name for switch in topology.switches for name in topology.ports(switch.name).values()}
    members = {topology.host(name).switch_interface for name in topology.groups[0].members.values()}
    seen = told(script, pcap, "p4_raft", "frame.interface_name", "p4_raft.raft.type", "frame.time_epoch")
    interfaces = {name for name, *_ in seen}
    assert members < interfaces <= ports, "those of members, and links between switches"
    times = [float(one[2]) for one in seen]
    assert times == sorted(times)
    replies = told(script, pcap, "p4_raft.raft.type == 6", "p4_raft.response_to", "p4_raft.response_time")
    matched = [one for one in replies if one[0]]
    assert len(matched) > len(replies) / 2, "all but those whose request came before"


def test_a_frame_is_there_once_for_each_link(lab: Lab, tmp_path: Path) -> None:
    _, pcap, script = capture(lab, tmp_path, "--on", "all", "--seconds", "3")
    fields = ("p4_raft.raft.source", "p4_raft.raft.target", "p4_raft.round", "frame.interface_name", "eth.dst")
    beats = told(script, pcap, "p4_raft.raft.type == 5", *fields)
    assert beats
    assert set(Counter(map(tuple, beats)).values()) == {1}


def test_one_interface_both_ways_until_there_are_enough(lab: Lab, tmp_path: Path) -> None:
    interface = lab.live.topology.host(lab.leader()).switch_interface
    shown, pcap, script = capture(lab, tmp_path, "--on", interface, "--count", "40")
    assert "40 packets" in shown
    kinds = [one[0] for one in told(script, pcap, "p4_raft", "p4_raft.raft.type")]
    assert {"5", "6"} <= set(kinds)


def test_an_interrupt_ends_it(lab: Lab, tmp_path: Path) -> None:
    pcap = tmp_path / "seen.pcapng"
    process = subprocess.Popen(
        [sys.executable, "-m", "topo.cli", "capture", "--on", "h1-eth0", "--pcap", str(pcap)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=paths.ROOT,
        env={**os.environ, "SWITCHRAFT_BUILD": str(lab.build)},
    )
    wait("packets in the file", lambda: pcap.exists() and pcap.stat().st_size > 5000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0 and out.endswith(" packets\n") and "Traceback" not in err


def test_mistakes_end_in_a_line(lab: Lab, tmp_path: Path) -> None:
    pcap = str(tmp_path / "seen.pcapng")
    for words, said in (
        (("--on", "eth7", "--pcap", pcap), "unknown interface 'eth7'"),
        (("s1-eth1", "--on", "s1-eth2"), "name the interface once"),
        (("s1-eth1", "--wireshark"), "--wireshark goes with --pcap FILE"),
        (("--on", "all"), "--on all goes with --pcap FILE"),
        ((), "name an interface"),
        (("--pcap", "/no/such/folder/x.pcapng"), "cannot write /no/such/folder/x.pcapng: No such file"),
        (("--pcap", pcap, "--write", pcap), "go without --pcap"),
    ):
        done = lab.try_("capture", *words)
        assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr, words
