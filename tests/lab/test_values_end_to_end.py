"""Values of every kind go in at a client and come out equal on all nodes; the ways to send them."""

from __future__ import annotations

import os
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

from hosts.service.values import from_json, to_json
from tests.lab.conftest import Lab, wait
from topo import paths
from topo.lab.namespace import on_host
from topo.views.client_requests import Route, append, ask

LARGE = "".join(random.Random(3).choices(string.printable, k=1 << 20))


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("0",), 0),
        (("-1",), -1),
        (("3.5",), 3.5),
        (("héllo",), "héllo"),
        (("--hex", "00ff10"), b"\x00\xff\x10"),
        (("null",), None),
        (('{"a": [1, {"b": null}], "ü": true}',), {"a": [1, {"b": None}], "ü": True}),
        (("9223372036854775808",), 2**63),
        (("--str", "42"), "42"),
        (("",), ""),
        (('"\\ud800"',), "\ud800"),
        (("--file", "LARGE", "--str"), LARGE),
    ],
    ids=[
        "0",
        "-1",
        "3.5",
        "umlaut",
        "bytes",
        "null",
        "map",
        "2^63",
        "str",
        "empty",
        "half a surrogate pair",
        "1-MiB",
    ],
)
def test_a_value_is_equal_on_all_nodes(lab: Lab, tmp_path: Path, arguments: tuple[str, ...], value: object) -> None:
    file = tmp_path / "large"
    file.write_text(LARGE, newline="")
    answer = lab.json("send", *(str(file) if word == "LARGE" else word for word in arguments))
    assert from_json(answer["value"]) == value
    for node in lab.live.topology.members:
        held = wait("value", lambda node=node: lab.values(node)[answer["position"] :])  # type: ignore[misc]
        assert from_json(held[0]) == value and type(from_json(held[0])) is type(value)
        assert held[0] == to_json(value)


def test_keys(lab: Lab) -> None:
    assert lab.json("put", "colour", "green")["existed"] is False
    assert lab.json("put", "colour", "blue", "--to", "h3")["existed"] is True
    assert lab.json("get", "colour", "--from", "h22")["value"] == "blue"
    assert "\\udfff" in lab.run("put", "half", '"\\udfff"') + lab.run("get", "half")
    assert "\\udfff" in lab.run("log", "h1", "--raw")
    assert "colour is deleted" in lab.run("delete", "colour", "--to", "h1")
    for command in ("get", "delete"):
        missing = lab.try_(command, "colour")
        assert missing.returncode == 1
        assert missing.stderr.strip() == "switchraft: there is no key 'colour'"


@pytest.mark.parametrize("origin", ["h1", "h11", "h2", "h22", "h3"])
def test_from_everywhere_to_everywhere(lab: Lab, origin: str) -> None:
    """From the leader's own host too, whose requests come back to it."""
    leader = lab.leader()
    for target in ("h1", "h2", "h3", "service", "10.0.2.2", "10.0.100.1:26410"):
        route, call = Route(origin, target), append(f"{origin} to {target}")
        way, result = on_host(lab.live.holder(origin), lambda route=route, call=call: ask(route, call))
        assert way.name(result.address[0]) == leader


def test_the_answer_for_programs(lab: Lab) -> None:
    answer = lab.json("send", "x", "--from", "h22", "--to", "h3")
    assert answer["served_by"] == lab.leader()
    assert (answer["type"], answer["value"], answer["position"]) == ("str", "x", len(lab.values("h1")) - 1)
    assert answer["index"] > answer["position"] and answer["term"] >= 1 and answer["ms"] > 0


def test_at_a_hosts_own_prompt(lab: Lab) -> None:
    python = [sys.executable, "-m", "topo.cli"]
    lab.run("exec", "h11", "--", *python, "client", "-s", "10.0.1.11", "-d", "10.0.1.1", "-da", "1")
    lab.run("exec", "h22", "--", *python, "send", "from where it is")
    values = lab.equal_values()
    assert values[-2:] == [1, "from where it is"]
    assert lab.run("exec", "h3", "hostname", "-I").split() == ["10.0.3.3"]
    assert lab.try_("exec", "h3", "--", "sh", "-c", "exit 7").returncode == 7


def test_counters_show_what_was_redirected(lab: Lab) -> None:
    leader = lab.leader()
    other = next(name for name in lab.live.topology.members if name != leader)

    def redirected() -> int:
        return int(lab.json("counters")["s1"]["redirects"].get("0", {"packets": 0})["packets"])

    before = redirected()
    lab.run("send", "count me", "--from", "h11", "--to", other)
    wait("counted redirect", lambda: redirected() > before)


def test_a_cluster_file_instead_of_a_lab(lab: Lab, tmp_path: Path) -> None:
    """Three nodes on loopback addresses, without Mininet and without a switch between them."""
    config = tmp_path / "cluster.yaml"
    members = "{1: '127.0.1.1', 2: '127.0.1.2', 3: '127.0.1.3'}"
    config.write_text(f"port: 26411\ndata: {tmp_path}/data\ngroups:\n  - id: 1\n    members: {members}\n")
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "topo.cli", "node", "run", str(index), "--config", str(config)],
            stderr=subprocess.DEVNULL,
            env={**os.environ},
            cwd=paths.ROOT,
        )
        for index in range(3)
    ]
    try:
        first = lab.json("send", "no lab needed", "--cluster", str(config), "--timeout", "60")
        assert first["position"] == 0
        second = lab.json("send", "2", "--cluster", str(config), "--to", "node2")
        assert second["position"] == 1
    finally:
        for node in nodes:
            node.terminate()
        assert [node.wait(30) for node in nodes] == [0, 0, 0]


def test_capture_decodes_what_passes(lab: Lab, tmp_path: Path) -> None:
    leader = lab.leader()
    interface = lab.live.topology.host(leader).switch_interface
    pcap = tmp_path / "seen.pcap"
    shown = lab.run("capture", interface, "--count", "6", "--write", str(pcap))
    assert len(shown.splitlines()) == 6
    assert "APPEND_ENTRIES" in shown and f"{leader} > " in shown
    from scapy.utils import rdpcap

    assert len(rdpcap(str(pcap))) == 6


def test_status_for_programs_and_people(lab: Lab) -> None:
    def agreed() -> str | None:
        """The leader that commands name one after the other: on a busy machine it may change in between."""
        leader = lab.leader()
        told = lab.json("status")["groups"][0]["host"]
        return leader if told == leader and f"{leader} leads in term" in lab.run("leader") else None

    leader = wait("leader named alike by the commands", agreed)
    told = lab.json("status")
    assert all(node["state"] == "running" for node in told["nodes"].values())
    assert all(switch["programmed"] for switch in told["switches"].values())
    shown = lab.run("status")
    assert all(name in shown for name in ("h1", "h2", "h3", "s1", "s2", "s3", "leader"))
    assert "ipv4_lpm (5)" in lab.run("tables", "s2")
    raw = lab.json("log", leader, "--raw")["entries"]
    assert [entry["index"] for entry in raw] == list(range(raw[0]["index"], raw[-1]["index"] + 1))
