"""Network files: what is accepted, and what a mistake is told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.network import BY_DEFAULT, NetworkError, load, parse
from tests.controller.triangle import triangle


def test_the_triangle(tmp_path: Path) -> None:
    as_json, as_yaml = tmp_path / "network.json", tmp_path / "network.yaml"
    as_json.write_text(json.dumps(triangle()))
    as_yaml.write_text(yaml.safe_dump(triangle()))
    network = load(as_json)
    assert network == load(as_yaml)
    assert [switch.name for switch in network.switches] == ["s1", "s2", "s3"]
    assert network.trunks("s3") == (2, 3)
    assert network.groups[0].quorum == 2
    assert network.features == BY_DEFAULT
    hash(network)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("switches", 1, "grpc"), "localhost", "switches.1.grpc: 'localhost' is not an address like 127.0.0.1:9559"),
        (("switches", 1, "device_id"), 1, "switches.1.device_id: 1 is there twice"),
        (("switches",), [], "switches: "),
        (("hosts", 0, "ip"), "10.0.1", "hosts.0.ip: '10.0.1' is not an IPv4 address"),
        (("hosts", 0, "mac"), "1:2:3", "hosts.0.mac: '1:2:3' is not a MAC address"),
        (("hosts", 0, "switch"), "s9", "hosts.0.switch: no switch is called 's9'"),
        (("hosts", 1, "port"), 1, "hosts.1.port: port 1 of s1 is already used by hosts.0"),
        (("hosts", 1, "port"), 510, "hosts.1.port: "),
        (("links", 2, "b"), "s4", "links.2.b: no switch is called 's4'"),
        (("links", 2, "a_port"), "four", "links.2.a_port: "),
        (("groups", 0, "members", 1, "host"), "h9", "groups.0.members.1.host: no host is called 'h9'"),
        (("groups", 0, "members", 1, "id"), 1, "groups.0.members.1.id: 1 is there twice"),
        (("groups", 0, "members", 1, "id"), 255, "groups.0.members.1.id: "),
        (("groups", 0, "slot"), 64, "groups.0.slot: "),
        (("groups", 0, "service"), "10.0.1.1", "groups.0.service: 10.0.1.1 is a host's address"),
        (
            ("groups", 0, "members", 1, "id"),
            True,
            "groups.0.members.1.id: Input should be a valid integer (it is True)",
        ),
        (("hosts", 1, "port"), "2", "hosts.1.port: Input should be a valid integer (it is '2')"),
        (("hosts", 1, "port"), 2.0, "hosts.1.port: Input should be a valid integer (it is 2.0)"),
        (("hosts", 1, "ip"), "0.0.0.0", "hosts.1.ip: '0.0.0.0' is no address that others can send to"),
        (("hosts", 1, "ip"), "10.0.1.1", "hosts.1.ip: '10.0.1.1' is there twice"),
        (("hosts", 1, "mac"), "ff:ff:ff:ff:ff:ff", "hosts.1.mac: 'ff:ff:ff:ff:ff:ff' is no host's MAC address"),
        (("groups", 0, "service"), "239.0.0.1", "groups.0.service: '239.0.0.1' is the address of many"),
        (("switches", 1, "grpc"), "127.0.0.1:9559", "switches.1.grpc: '127.0.0.1:9559' is there twice"),
        (("switches", 1, "grpc"), "localhost:²", "switches.1.grpc: '²' is no port"),
        (("control_socket",), "x" * 81, "control_socket: 'xxx"),
        (("control_socket",), "", "control_socket: '' must end in the name of a file"),
        (("filter_window",), 100, "filter_window: "),
        (("features",), ["fanout"], "features.0: 'fanout' is none of member_guard, leader_watch, term_filter, "),
    ],
)
def test_mistakes_name_their_field(path: tuple[str | int, ...], value: object, message: str) -> None:
    data: Any = triangle()
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(NetworkError) as error:
        parse(data, "lab.json")
    assert str(error.value).startswith(f"lab.json: {message}")
    assert "\n" not in str(error.value)


def test_files_that_are_no_network(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    with pytest.raises(NetworkError, match=r"network\.json: cannot be read: No such file"):
        load(path)
    path.write_text('{"switches": [}')
    with pytest.raises(NetworkError, match=r"network\.json:1: not JSON: .*column 15"):
        load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(NetworkError, match=r"network\.json: not JSON: nested more than 16 deep"):
        load(path)
    path.write_text('{"switches": [{"name": "s1", "name": "s2"}]}')
    with pytest.raises(NetworkError, match=r"network\.json: switches\.0\.name: stands twice"):
        load(path)
    path.write_text('{"switches": "\\ud800"}')
    with pytest.raises(NetworkError, match=r"network\.json: switches: holds the control character U\+D800"):
        load(path)
    for number in ("NaN", "1e400", "9" * 5000):
        path.write_text(json.dumps(triangle()).replace('"port": 26410', f'"port": {number}'))
        with pytest.raises(NetworkError, match=r"network\.json: groups\.0\.port: Input should be"):
            load(path)
    path.write_text(json.dumps(triangle()), encoding="utf-8-sig")
    assert load(path) == parse(triangle())
    path.write_text("[]")
    with pytest.raises(NetworkError, match=r"network\.json: "):
        load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(NetworkError, match="not UTF-8"):
        load(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NetworkError, match="it is a pipe, not a file"):
        load(path)
    path = tmp_path / "network.yaml"
    path.write_text("switches: &s [*s]")
    with pytest.raises(NetworkError, match=r"network\.yaml:1: switches\.0: an alias stands inside"):
        load(path)
    path.write_text("switches: [\nhosts: }")
    with pytest.raises(NetworkError, match=r"network\.yaml:2: not YAML"):
        load(path)


def test_many_hosts_are_compared_in_little_time() -> None:
    """Each with all before it would take hours."""
    data = triangle()
    data["hosts"] += [
        {"name": f"x{n}", "ip": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "mac": "00:00:00:00:00:01",
         "switch": "s1", "port": 9} for n in range(1 << 17, (1 << 17) + 60_000)
    ]  # fmt: skip
    with pytest.raises(NetworkError, match=r"port 9 of s1 is already used by hosts\.5"):
        parse(data)
