"""Topology files: what they come to, and what is said about broken ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from hosts import config
from hosts.config import Reads
from topo import paths, topology
from topo.errors import FileError, UsageError
from topo.lab import configs

GOOD = """\
switches: [s1, s2]
hosts:
  h1: {ip: 10.0.1.1, switch: s1}
  h2:
    ip: 10.0.2.2
    switch: s2
links:
  - [s1, s2]
groups:
  - id: 1
    service: 10.0.100.1
    members: [h1, h2]
"""


def read(tmp_path: Path, text: str) -> topology.Topology:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return topology.read(file)


def test_triangle_is_as_designed() -> None:
    triangle = topology.find("triangle")
    assert {host.name: (str(host.ip), host.switch) for host in triangle.hosts} == {
        "h1": ("10.0.1.1", "s1"),
        "h11": ("10.0.1.11", "s1"),
        "h2": ("10.0.2.2", "s2"),
        "h22": ("10.0.2.22", "s2"),
        "h3": ("10.0.3.3", "s3"),
    }
    assert {frozenset((link.a, link.b)) for link in triangle.links} == {
        frozenset(("s1", "s2")),
        frozenset(("s1", "s3")),
        frozenset(("s2", "s3")),
    }
    assert triangle.members == ("h1", "h2", "h3")
    assert triangle.clients == ("h11", "h22")
    (group,) = triangle.groups
    assert (group.id, group.slot, str(group.service)) == (1, 0, "10.0.100.1")
    assert group.members == {1: "h1", 2: "h2", 3: "h3"}


@pytest.mark.parametrize("name", topology.names())
def test_every_topology_that_comes_along(name: str) -> None:
    found = topology.find(name)
    for switch in found.switches:
        ports = found.ports(switch.name)
        assert list(ports) == list(range(1, len(ports) + 1)), "ports count from 1 without gaps"
    for link in found.links:
        assert found.ports(link.a)[link.a_port] == link.a_interface
        assert found.ports(link.b)[link.b_port] == link.b_interface
    assert len({host.mac for host in found.hosts}) == len(found.hosts)
    assert all(len(name) <= 15 for switch in found.switches for name in found.ports(switch.name).values())


def test_the_expected_topologies_are_there() -> None:
    assert {"triangle", "five", "seven", "single", "line", "leaf-spine", "nine"} <= set(topology.names())
    assert len(topology.find("five").members) == 5
    assert len(topology.find("seven").members) == 7
    assert len(topology.find("nine").members) == 9


def test_the_controller_reads_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from controller.network import load

    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    for name in topology.names():
        found = topology.find(name)
        configs.write(found)
        network = load(str(paths.network()))
        assert [switch.device_id for switch in network.switches] == [switch.device_id for switch in found.switches]
        assert network.switches[0].grpc == "127.0.0.1:9559"
        assert {host.name: host.port for host in network.hosts} == {host.name: host.port for host in found.hosts}


def test_the_filter_window_is_at_most_half_the_election_timeout() -> None:
    for name in topology.names():
        found = topology.find(name)
        assert 2 * configs.network(found)["filter_window_ms"] <= found.election_timeout_ms


def test_cluster_file_names_members(tmp_path: Path) -> None:
    cluster = configs.cluster(topology.find("triangle"))
    assert cluster["groups"] == [
        {
            "id": 1,
            "service": "10.0.100.1",
            "members": {1: "10.0.1.1", 2: "10.0.2.2", 3: "10.0.3.3"},
            "spares": {4: "10.0.1.11", 5: "10.0.2.22"},
        }
    ]
    assert cluster["network"] == "p4"
    assert cluster["names"] == {1: "h1", 2: "h2", 3: "h3", 4: "h11", 5: "h22"}


def test_links_are_of_1500_unless_the_file_says_more(tmp_path: Path) -> None:
    for more, mtu in (("", 1500), ("mtu: 9000\n", 9000)):
        found = read(tmp_path, GOOD + more)
        assert found.mtu == mtu
        assert config.parse(yaml.safe_dump(configs.cluster(found))).cluster.mtu == mtu, "and the members know"


def test_a_host_has_one_id_in_all_its_groups(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD + "  - id: 2\n    members: [h2]\n")
    assert [group.members for group in found.groups] == [{1: "h1", 2: "h2"}, {2: "h2"}]
    assert [group.slot for group in found.groups] == [0, 1]
    assert found.member_id("h2") == 2


def test_name_of_a_file_names_the_topology(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.name == "mine"
    assert found.ends("s1", "s2") == ("s1-eth2", "s2-eth2")
    assert found.ends("s2", "s1") == ("s2-eth2", "s1-eth2")
    assert found.ends("h1", "s1") == ("h1-eth0", "s1-eth1")
    assert found.ends("s1", "h1") == ("s1-eth1", "h1-eth0")


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "told"),
    [
        ("switch: s1}", "switch: s9}", 3, "hosts.h1.switch", "unknown switch 's9' (there are s1, s2)"),
        ("ip: 10.0.2.2", "ip: 10.0.2.333", 5, "hosts.h2.ip", "10.0.2.333"),
        ("ip: 10.0.2.2", "ip: 10.0.1.1", 5, "hosts.h2.ip", "h1's already"),
        ("ip: 10.0.2.2", "ip: 10.0.2.254", 5, "hosts.h2.ip", "gateway"),
        ("    switch: s2", "    swich: s2", 6, "hosts.h2.swich", "known are ip, switch"),
        ("    switch: s2", "    switch: s2\n    color: red", 7, "hosts.h2.color", "known are ip, switch"),
        ("- [s1, s2]", "- [s1, s3]", 8, "links.0.1", "unknown switch 's3'"),
        ("- [s1, s2]", "- [s1, s1]", 8, "links.0", "to itself"),
        ("- [s1, s2]", "- [s1]", 8, "links.0", "at least 2"),
        ("- [s1, s2]", "- [s1, s2]\n  - [s2, s1]", 9, "links.1", "linked already"),
        ("  - [s1, s2]\n", "", 7, "links", "valid list"),
        ("links:\n  - [s1, s2]\n", "links: []\n", 7, "links", "no way from s1 to s2"),
        ("id: 1", "id: one", 10, "groups.0.id", "valid integer"),
        ("id: 1", "id: 0", 10, "groups.0.id", "greater than or equal to 1"),
        ("members: [h1, h2]", "members: [h1, h7]", 12, "groups.0.members.1", "unknown host 'h7'"),
        ("members: [h1, h2]", "members: [h1, h1]", 12, "groups.0.members.1", "stands twice"),
        ("members: [h1, h2]", "members: []", 12, "groups.0.members", "at least 1"),
        ("service: 10.0.100.1", "service: 10.0.1.1", 11, "groups.0.service", "h1's address already"),
        ("switches: [s1, s2]", "switches: [s1, s1]", 1, "switches.1", "stands twice"),
        ("  h2:", "  h1:", 4, "hosts.h1", "stands twice, first in line 3"),
        ("  h2:", "  S-2:", 4, "hosts.S-2", "a letter and then"),
        ("groups:", "heartbeat_ms: 100\ngroups:", 1, "election_timeout_ms", "less than six heartbeats"),
        ("groups:", "extra: 1\ngroups:", 9, "extra", "unknown field"),
        ("links:", "links: [", 8, "not YAML", ""),
    ],
)
def test_errors_name_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, field: str, told: str
) -> None:
    assert old in GOOD
    with pytest.raises(FileError) as failed:
        read(tmp_path, GOOD.replace(old, new, 1))
    text = str(failed.value)
    assert text.startswith(f"{tmp_path / 'mine.yaml'}:{line}: {field}"), text
    assert told in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("old", "new", "field", "told"),
    [
        ("h1: {ip: 10.0.1.1", "010: {ip: 10.0.1.1", "hosts.010", "'010': write the number in plain decimal"),
        ("switches: [s1, s2]", "switches: [on, s2]", "switches.0", "'on': some readers of YAML take it for true"),
        ("id: 1", "id: 0x1", "groups.0.id", "'0x1': write the number in plain decimal"),
        ("id: 1", "id: true", "groups.0.id", "valid integer (it is True)"),
        ("id: 1", "id: 1.0", "groups.0.id", "valid integer (it is 1.0)"),
        ("members: [h1, h2]", "members: {1: h1, 1.0: h2}", "groups.0.members.1.0", "a key must be"),
        ("members: [h1, h2]", "members: {1: h1, '1': h2}", "groups.0.members.1", "stands twice"),
        ("ip: 10.0.2.2", "ip: 5", "hosts.h2.ip", "an IPv4 address is expected (it is 5)"),
        ("ip: 10.0.2.2", "ip: 0.0.2.2", "hosts.h2.ip", "no address that others can send to"),
        ("ip: 10.0.2.2", "ip: 224.0.2.2", "hosts.h2.ip", "the address of many"),
        ("ip: 10.0.2.2", "ip: 127.0.2.2", "hosts.h2.ip", "every host's own address"),
        ("service: 10.0.100.1", "service: 0.0.0.0", "groups.0.service", "no address that others can send to"),
        ("service: 10.0.100.1", "service: 255.255.255.255", "groups.0.service", "the address of many"),
        ("service: 10.0.100.1", "service: 127.0.0.1", "groups.0.service", "never leaves a host"),
        ("  h2:", "  lab:", "hosts.lab", "'lab' means something else to the lab"),
        ("  h2:", "  controller:", "hosts.controller", "at most 9"),
        ("groups:", "heartbeat_ms: 1000000\ngroups:", "heartbeat_ms", "less than or equal to 30000"),
        ("groups:", "mtu: 1459\ngroups:", "mtu", "greater than or equal to 1460 (it is 1459)"),
        ("groups:", "mtu: 9217\ngroups:", "mtu", "less than or equal to 9216 (it is 9217)"),
        ("groups:", "mtu: jumbo\ngroups:", "mtu", "valid integer (it is 'jumbo')"),
        ("groups:", "mtu: 1500.0\ngroups:", "mtu", "valid integer (it is 1500.0)"),
        ("links:", "links: &l [*l]\nx:", "links.0", "stands inside the value that it repeats"),
    ],
)
def test_what_is_ambiguous_or_nothing_to_send_to(tmp_path: Path, old: str, new: str, field: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(FileError) as failed:
        read(tmp_path, GOOD.replace(old, new, 1))
    text = str(failed.value)
    assert f": {field}: " in text and told in text and "\n" not in text, text


def with_ports(switch: str, count: int) -> str:
    """A topology whose switch has so many ports, each a host's."""
    hosts = [f"  a{n}: {{ip: 10.{n // 200}.{n % 200 + 1}.1, switch: {switch}}}" for n in range(count)]
    return f"switches: [{switch}]\nhosts:\n" + "\n".join(hosts) + "\ngroups: [{id: 1, members: [a0]}]\n"


def test_no_interface_has_a_name_that_linux_does_not_take(tmp_path: Path) -> None:
    assert len(read(tmp_path, with_ports("leafswtch", 99)).ports("leafswtch")) == 99
    with pytest.raises(
        FileError, match=r"mine\.yaml:102: hosts\.a99\.switch: .*leafswtch-eth100, of 16 .* allows 15"
    ):
        read(tmp_path, with_ports("leafswtch", 100))
    assert len(read(tmp_path, with_ports("leafswit", 509)).ports("leafswit")) == 509
    with pytest.raises(
        FileError, match=r"hosts\.a509\.switch: leafswit has ports 1 to 509, and this would be port 510"
    ):
        read(tmp_path, with_ports("leafswit", 510))
    hosts = with_ports("leafswtch", 99).replace("switches: [leafswtch]", "switches: [leafswtch, s2]")
    with pytest.raises(FileError, match=r"links\.0\.0: .*leafswtch-eth100, of 16"):
        read(tmp_path, hosts + "links:\n  - [leafswtch, s2]\n")


def test_ids_end_at_254(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = with_ports("s1", 300).partition("groups:")[0]
    found = read(tmp_path, f"{many}groups: [{{id: 1, members: {{253: a0}}}}]\n")
    assert found.spares == {254: "a1"}
    with pytest.raises(UsageError, match="a2 is no member"):
        found.node_id("a2")
    groups = [f"{{id: {n + 1}, members: [{', '.join(f'a{9 * n + i}' for i in range(9))}]}}" for n in range(29)]
    with pytest.raises(FileError, match=r"groups\.28\.members: .* would be member 255, and ids end at 254: give ids"):
        read(tmp_path, f"{many}groups: [{', '.join(groups)}]\n")


def test_an_id_is_one_hosts_where_groups_share_hosts(tmp_path: Path) -> None:
    hosts = "".join(f"  h{number}: {{ip: 10.0.1.{number}, switch: s1}}\n" for number in range(1, 4))
    groups = "  - {id: 1, members: {1: h1, 2: h2}}\n  - {id: 2, members: {1: h1, 2: h3}}\n"
    with pytest.raises(FileError, match=r"mine\.yaml:8: groups\.1\.members\.2: 2 is h2 in another group of the same"):
        read(tmp_path, f"switches: [s1]\nhosts:\n{hosts}groups:\n{groups}")


@pytest.mark.parametrize("text", ["", "[]", "just words", "a: 1\n- b", "\x00", "{" * 2000])
def test_what_is_no_topology_at_all(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileError) as failed:
        read(tmp_path, text)
    assert "mine.yaml:" in str(failed.value)


def test_binary_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="UTF-8"):
        topology.read(tmp_path / "mine.yaml")
    with pytest.raises(FileError, match="No such file"):
        topology.read(tmp_path / "other.yaml")
    with pytest.raises(FileError, match="it is a directory"):
        topology.read(tmp_path)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(FileError, match="it is a pipe"):
        topology.read(tmp_path / "pipe.yaml")


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match=r"unknown topology 'circle': choose .*triangle"):
        topology.find("circle")
    triangle = topology.find("triangle")
    with pytest.raises(UsageError, match="unknown host 'h9': the hosts are h1"):
        triangle.host("h9")
    with pytest.raises(UsageError, match="unknown switch 's9'"):
        triangle.switch("s9")
    with pytest.raises(UsageError, match="no link between h1 and s2"):
        triangle.ends("h1", "s2")
    with pytest.raises(UsageError, match="unknown host or switch 'x'"):
        triangle.ends("x", "s2")
    with pytest.raises(UsageError, match="h11 is no member"):
        triangle.member_id("h11")


def test_members_by_id_and_clusters_of_groups() -> None:
    """Groups without a host in common have cluster files of their own, and may use the same member ids."""
    found = topology.find("two-groups")
    first, second = found.groups
    assert (first.id, second.id - first.id) == (1, 256)
    assert first.members == {1: "h1", 2: "h5", 3: "h3"} and second.members == {1: "h4", 2: "h2", 3: "h6"}
    assert found.clusters == ((first,), (second,))
    assert [found.cluster_of(host) for host in ("h1", "h2", "h6", "h11")] == [0, 1, 1, 0]
    assert [found.node_id(host) for host in ("h5", "h2", "h11", "h22")] == [2, 2, 4, 5]
    one, other = configs.cluster(found, 0), configs.cluster(found, 1)
    assert [group["id"] for group in one["groups"]] == [1] and [group["id"] for group in other["groups"]] == [257]
    assert one["names"] == {1: "h1", 2: "h5", 3: "h3", 4: "h11", 5: "h22"}
    assert other["names"] == {1: "h4", 2: "h2", 3: "h6"} and "spares" not in other["groups"][0]
    assert paths.cluster(0).name == "cluster.yaml" and paths.cluster(1).name == "cluster-2.yaml"


def test_groups_that_share_hosts_are_one_cluster(tmp_path: Path) -> None:
    hosts = "".join(f"  h{number}: {{ip: 10.0.1.{number}, switch: s1}}\n" for number in range(1, 6))
    groups = "  - {id: 1, members: [h1, h2]}\n  - {id: 2, members: [h3]}\n  - {id: 3, members: [h2, h4]}\n"
    found = read(tmp_path, f"switches: [s1]\nhosts:\n{hosts}groups:\n{groups}")
    assert [[group.id for group in one] for one in found.clusters] == [[1, 3], [2]]
    assert found.groups[2].members == {2: "h2", 4: "h4"}


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ("  - {id: 1, members: {1: h1, 2: h1}}", "h1 stands twice"),
        ("  - {id: 1, members: {1: h1, 2: h9}}", "unknown host 'h9'"),
        ("  - {id: 1, members: {1: h1, x: h2}}", "groups.0.members.x: Input should be a valid integer"),
        ("  - {id: 1, members: {255: h1}}", "groups.0.members.255"),
        ("  - {id: 1, members: {}}", "at least 1 item"),
        ("  - {id: 1, members: 7}", "valid list"),
        ("  - {id: 1, members: {1: h1}}\n  - {id: 2, members: {2: h1}}", "h1 is member 1 of another group"),
        ("  - {id: 1, members: {1: h1}}\n  - {id: 2, members: [h1]}", "ids in all groups, or in none"),
    ],
)
def test_wrong_ids(tmp_path: Path, groups: str, told: str) -> None:
    with pytest.raises(FileError) as wrong:
        read(tmp_path, GOOD[: GOOD.index("groups:")] + f"groups:\n{groups}\n")
    assert told in str(wrong.value) and "mine.yaml:" in str(wrong.value)


def test_how_reads_are_done_goes_into_the_cluster_file(tmp_path: Path) -> None:
    triangle = (topology.FOLDER / "triangle.yaml").read_text()
    file = tmp_path / "leases.yaml"
    for text, reads in ((triangle, Reads.QUORUM), (f"{triangle}\nreads: lease\n", Reads.LEASE)):
        file.write_text(text)
        made = configs.cluster(topology.find(str(file)))
        assert config.parse(yaml.safe_dump(made)).cluster.reads is reads
