"""cluster.yaml: what is right is read, what is wrong is named with file, line and field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hosts import config
from hosts.config import ConfigError
from hosts.files.checked_file import MAX_BYTES

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
        ("cluster: 7", "network: p5", 1, "network", "'plain' or 'p4'"),
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
        ("2: 10.0.2.2", "1: 10.0.2.2", 9, "groups.0.members.1", "twice"),
        ("service: 10.0.100.1", "service: nowhere", 8, "groups.0.service", "IPv4"),
        ("      1: 10.0.1.1\n", "      1: 10.0.1.2\n", 12, "groups.1.members.1", "another address"),
        ("names: {1: h1}", "names: {1: ../x}", 13, "names", "letters"),
        ("names: {1: h1}", "names: {1: a, 2: a}", 13, "names.2", "'a' is member 1's name"),
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


@pytest.mark.parametrize(
    ("members", "field", "says"),
    [
        ("1: 0.0.0.0", "members.1", "'0.0.0.0' is no address that others can send to"),
        ("1: 0.1.2.3", "members.1", "'0.1.2.3' is no address that others can send to"),
        ("1: 255.255.255.255", "members.1", "'255.255.255.255' is the address of many"),
        ("1: '239.1.2.3:5000'", "members.1", "'239.1.2.3' is the address of many"),
        ("1: 10.0.0.1, 2: '10.0.0.2:0026410'", "members.2", "'10.0.0.2:0026410' does not end in a port"),
        ("1: 10.0.0.1, 1: 10.0.0.2", "members.1", "stands twice, first in line 4"),
        ("1: 10.0.0.1, '1': 10.0.0.2", "members.1", "stands twice"),
        ("1: 10.0.0.1, 01: 10.0.0.2", "members.01", "'01': write the number in plain decimal digits"),
        ("1: 10.0.0.1, '01': 10.0.0.2", "members.01", "(it is '01')"),
        ("1: 10.0.0.1, 0x1: 10.0.0.2", "members.0x1", "'0x1': write the number in plain decimal"),
        ("1: 10.0.0.1, 1.0: 10.0.0.2", "members.1.0", "a key must be a word or a whole number"),
        ("1: 10.0.0.1, true: 10.0.0.2", "members.true", "a key must be a word or a whole number"),
        ("010: 10.0.0.1", "members.010", "'010': write the number in plain decimal digits"),
        ("1: 10.0.0.1, 1_0: 10.0.0.2", "members.1_0", "'1_0': write the number in plain decimal digits"),
        ("1: 10.0.0.1, [2]: 10.0.0.2", "members", "a key must be a word or a number, not a list"),
        ("1: 10.0.0.1, 2: ", "members.2", "(it is empty)"),
        ("1: 10.0.0.1, 2: [10.0.0.2]", "members.2", "(it is a list)"),
        ('1: "10.0.0.1\\0"', "members.1", "holds the control character U+0000"),
    ],
)
def test_members_have_one_id_and_an_address_that_others_reach(members: str, field: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(f"groups:\n  - id: 1\n    members:\n      {{{members}}}\n", "c.yaml")
    assert str(caught.value).startswith(f"c.yaml:4: groups.0.{field}: ")
    assert says in str(caught.value)


def test_ids_may_be_quoted_as_json_has_them() -> None:
    cluster = config.parse('{"groups": [{"id": 1, "members": {"1": "10.0.0.1", "20": "10.0.0.2"}}]}').cluster
    assert cluster.member_ids == [1, 20]


@pytest.mark.parametrize(
    ("old", "new", "field", "says"),
    [
        ("port: 26410", "port: 010", "port", "'010': write the number"),
        ("port: 26410", "'': 5", "''", "unknown field; known are cluster, port"),
        ("port: 26410", "'  port': 5", "'  port'", "unknown field"),
        ("port: 26410", "5: 5", "5", "unknown field; known are cluster, port"),
        ("port: 26410", "p\u200bort: 5", "p\\u200bort", "unknown field"),
        ("data: build/lab", "data: \ufeffbuild/lab", "data", "holds the control character U+FEFF"),
        (
            "  - id: 300\n    members:\n      1: 10.0.1.1",
            "  - 300",
            "groups.1",
            "expected fields and their values (it is 300)",
        ),
        ("port: 26410", "port: true", "port", "valid integer (it is True)"),
        ("port: 26410", "port: 26410.0", "port", "valid integer (it is 26410.0)"),
        ("heartbeat_ms: 50", "heartbeat_ms: 1:30", "heartbeat_ms", "'1:30': write the number"),
        ("heartbeat_ms: 50", "heartbeat_ms: .nan", "heartbeat_ms", "'.nan': write the number"),
        ("heartbeat_ms: 50", "heartbeat_ms: !!int '50'", "", "the tag !!int is not read here"),
        ("cluster: 7", "cluster: " + "9" * 5000, "cluster", "write the number"),
        ("data: build", "data: '' #", "data", "at least 1 character"),
        ("data: build/lab/nodes", 'data: "a\\0b"', "data", "control character U+0000"),
        ("data: build/lab/nodes", "<<: {port: 5}", "<<", "merged mappings are not read here"),
        ("names: {1: h1}", "names: {1: 2001-01-01}", "names.1", "take it for a date"),
        ("names: {1: h1}", "names: {1: no}", "names.1", "true or false"),
        ("names: {1: h1}", "names: {1: h1, 1: h2}", "names.1", "stands twice"),
        ("names: {1: h1}", "names: {1: node2}", "names.1", "'node2' is member 2's name"),
        ("names: {1: h1}", "names: {1: '3'}", "names.1", "'3' is member 3's name or id"),
        ("service: 10.0.100.1", "service: 0.0.0.0", "groups.0.service", "'0.0.0.0' is no address"),
        ("service: 10.0.100.1", "service: '10.0.100.1:5'", "groups.0.service", "is not an IPv4 address"),
        ("service: 10.0.100.1", "service: 10.0.2.2", "groups.0.service", "member 2's address already"),
        ("  - id: 300", "  - service: 10.0.100.1\n    id: 300", "groups.1.service", "group 1's service already"),
    ],
)
def test_what_readers_of_yaml_or_people_could_take_in_two_ways(old: str, new: str, field: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        config.parse(GOOD.replace(old, new, 1), "c.yaml")
    text = str(caught.value)
    place = text.split(": ", 1)[1]
    assert place.startswith(f"{field}: " if field else ""), text
    assert says in text and "\n" not in text and len(text) < 600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("groups: &g [*g]", "c.yaml:1: groups.0: an alias stands inside the value that it repeats"),
        ("groups: &g {a: *g}", "c.yaml:1: groups.a: an alias stands inside"),
        ("\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 12))]), "50,000 values"),
        ("[" * 100_000, "c.yaml:1: nested more than 16 deep"),
        ("- " * 100_000, "c.yaml:1: nested more than 16 deep"),
        ("a:\n\t- b", "c.yaml:2: not YAML: found character '\\t' that cannot start any token; indent with spaces"),
        ("a: 1\nb: \0", "c.yaml:2: not YAML: character U+0000 cannot be in it"),
        ('a: 1\nb: "\\UFFFFFFFF"', "c.yaml:2: not YAML: an escape stands for no character"),
        ("groups: []\n---\ngroups: []", "another document"),
        ("*a", "undefined alias"),
        ("? [a]\n: b", "c.yaml:1: a key must be"),
        ('"a\\nb": 1', "c.yaml:1: holds the control character U+000A"),
        ("x" * 1000 + ": 1", "xxxx ... xxxx"),
    ],
)
def test_yaml_that_goes_astray(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "c.yaml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_an_alias_repeats_its_value() -> None:
    text = "groups:\n  - {id: 1, members: &m {1: 10.0.0.1, 2: 10.0.0.2}}\n  - {id: 2, members: *m}\n"
    cluster = config.parse(text).cluster
    assert cluster.group(1).members == cluster.group(2).members == {1: ("10.0.0.1", 26410), 2: ("10.0.0.2", 26410)}


@pytest.mark.parametrize("text", ["", "[]", "5", "groups: []", "groups: 3", "port: 1"])
def test_not_even_close(text: str) -> None:
    with pytest.raises(ConfigError):
        config.parse(text)


def test_missing_and_unreadable(tmp_path: Path) -> None:
    pipe, long = tmp_path / "pipe", tmp_path / "long.yaml"
    os.mkfifo(pipe)
    long.write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"port: 1\n\xff\xfe\x00")
    for path, reason in (
        (tmp_path / "no.yaml", "No such file or directory"),
        (tmp_path, "it is a directory, not a file"),
        (pipe, "it is a pipe, not a file"),
        (Path("/dev/zero"), "it is a device or socket, not a file"),
        (long, "it is longer than 1,048,576 bytes"),
        (tmp_path / "nul\0", "no file can have such a name"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(ConfigError, match=f"cannot be read: {reason}.*; name a cluster file") as caught:
            config.load(path)
        assert "\0" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"binary:2: cannot be read: not UTF-8 text \(byte 0xff\)"):
        config.load(tmp_path / "binary")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert config.load(path) == config.parse(GOOD, str(path)).cluster
    path.write_text(GOOD, encoding="utf-16")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        config.load(path)


def test_the_network_copies_for_groups_with_a_service_address() -> None:
    plain = config.parse(GOOD).cluster
    assert plain.network is config.Network.PLAIN
    assert [plain.copying_service(group) for group in plain.groups] == [None, None]
    found = config.parse("network: p4\n" + GOOD)
    assert found.warnings == () and found.cluster.network is config.Network.P4
    assert [found.cluster.copying_service(group) for group in found.cluster.groups] == [("10.0.100.1", 26410), None]
    (warning,) = config.parse("network: p4\n" + GOOD.replace("    service: 10.0.100.1\n", "")).warnings
    assert "network: p4" in warning and "'service'" in warning


def test_ephemeral_ports_are_doubted() -> None:
    assert config.parse(GOOD).warnings == ()
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    (warning,) = config.parse(GOOD.replace("26410", str(low + 1))).warnings
    assert "ephemeral" in warning


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("true", config.Hints.BOTH),
        ("false", config.Hints.NONE),
        ("hosts", config.Hints.HOSTS),
        ("network", config.Hints.NETWORK),
    ],
)
def test_hints_say_whose_word_counts(text: str, hints: config.Hints) -> None:
    for network in config.Network:
        cluster = config.parse(f"network: {network.value}\nhints: {text}\n" + GOOD).cluster
        behind_switches = network is config.Network.P4
        assert cluster.hints is hints
        assert cluster.takes_hints == (behind_switches and hints in (config.Hints.BOTH, config.Hints.NETWORK))
        assert cluster.listens_for_ends == (hints.from_hosts or cluster.takes_hints)


@pytest.mark.parametrize("text", ["1", "0", "switches", "[]", "null", "'true'"])
def test_other_hints_are_refused(text: str) -> None:
    with pytest.raises(config.ConfigError, match=r"hints: .* is none of true, false, hosts, network"):
        config.parse(f"hints: {text}\n" + GOOD)
