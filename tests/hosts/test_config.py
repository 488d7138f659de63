"""cluster.yaml: what is right is read, what is wrong is named with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts import config
from hosts.config import ConfigError

GOOD = """\
cluster: 7
port: 26410
heartbeat_ms: 50
election_timeout_ms: 300
data: build/lab/nodes
groups:
  - id: 1
    service: 10.0.100.1
    members: {1: 10.0.1.1, 2: 10.0.2.2, 3: "10.0.3.3:9999"}
  - id: 300
    members:
      1: 10.0.1.1
names: {1: h1}
"""


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(GOOD)
    cluster = config.load(path)
    assert cluster.member_ids == [1, 2, 3]
    assert cluster.address_of(1) == ("10.0.1.1", 26410)
    assert cluster.address_of(3) == ("10.0.3.3", 9999)
    assert cluster.group(1).service == "10.0.100.1" and cluster.group(300).service is None
    assert [group.id for group in cluster.groups_of(1)] == [1, 300]
    assert [group.id for group in cluster.groups_of(2)] == [1]
    assert cluster.folder_of(1) == Path("build/lab/nodes/h1")
    assert cluster.folder_of(2) == Path("build/lab/nodes/node2")
    assert cluster.member_named("h1") == cluster.member_named("1") == 1
    with pytest.raises(ConfigError, match=r"no member 'h9'.*h1 \(1\)"):
        cluster.member_named("h9")


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "says"),
    [
        ("heartbeat_ms: 50", "heartbeat_ms: fast", 3, "heartbeat_ms", "integer"),
        ("heartbeat_ms: 50", "heartbeat_ms: 60", 4, "election_timeout_ms", "360 or more"),
        ("port: 26410", "port: 70000", 2, "port", "65535"),
        ("cluster: 7", "cluster: -1", 1, "cluster", "greater than or equal to 0"),
        ("cluster: 7", "clutser: 7", 1, "clutser", "unknown field"),
        ("cluster: 7", "cluster: {", 3, "", "not YAML"),
        ("  - id: 300", "  - id: 1", 10, "groups.1.id", "twice"),
        ("  - id: 300", "  - id: 65536", 10, "groups.1.id", "65535"),
        ("2: 10.0.2.2", "2: 10.0.1.1", 9, "groups.0.members.2", "member 1's address already"),
        ("2: 10.0.2.2", "2: 10.0.2", 9, "groups.0.members", "IPv4"),
        ("2: 10.0.2.2", "2: '10.0.2.2:0'", 9, "groups.0.members", "port"),
        ("2: 10.0.2.2", "255: 10.0.2.2", 9, "groups.0.members.255", "254"),
        ("2: 10.0.2.2", "1: 10.0.2.2", 9, "1", "twice"),
        ("service: 10.0.100.1", "service: nowhere", 8, "groups.0.service", "IPv4"),
        ("      1: 10.0.1.1\n", "      1: 10.0.1.2\n", 12, "groups.1.members.1", "another address"),
        ("names: {1: h1}", "names: {1: ../x}", 13, "names", "letters"),
        ("names: {1: h1}", "names: {1: a, 2: a}", 13, "names", "same name"),
        ("data: build", "data: 5 #", 5, "data", "string"),
    ],
)
def test_mistakes_are_named(old: str, new: str, line: int, field: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        config.parse(GOOD.replace(old, new, 1), "c.yaml")
    text = str(caught.value)
    assert text.startswith(f"c.yaml:{line}: {field}"), text
    assert says in text and "\n" not in text


@pytest.mark.parametrize("text", ["", "[]", "5", "groups: []", "groups: 3", "port: 1"])
def test_not_even_close(text: str) -> None:
    with pytest.raises(ConfigError):
        config.parse(text)


def test_missing_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "binary")


def test_ephemeral_ports_are_doubted() -> None:
    assert config.parse(GOOD).warnings == ()
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    (warning,) = config.parse(GOOD.replace("26410", str(low + 1))).warnings
    assert "ephemeral" in warning
