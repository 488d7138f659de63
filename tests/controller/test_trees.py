"""Trees of switches along which an AppendEntries to everybody is copied."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from controller.desired import Entry, Leadership, MulticastGroup, Operation, View, apply, desired_entries, diff
from controller.network import Link, Network, parse
from controller.trees import branches
from tests.controller.triangle import H3, triangle

TRIANGLE = parse(triangle())
ALL = frozenset(TRIANGLE.links)
FANOUT = ("fanout_copy", "multicast_groups", "append_fanout")


def held(switch: str, leader: int, links: frozenset[Link] = ALL, network: Network = TRIANGLE) -> list[str]:
    """What a switch is to hold for the feature, in the order of writing."""
    view = View(links, {1: Leadership(leader, 5)}, frozenset({"append_fanout"}))
    writes = diff(desired_entries(network, switch, view), ())
    return [str(write.entry) for write in writes if write.entry.table in FANOUT]


def test_the_leaders_switch_copies_to_both_others() -> None:
    assert held("s1", 1) == [
        f"fanout_copy[group=1 egress_port=3 member=0] over_trunk(dst_mac={0x080000000200})",
        f"fanout_copy[group=1 egress_port=4 member=0] over_trunk(dst_mac={0x080000000300})",
        "multicast_groups[1] 3/0 4/0",
        "append_fanout[group=1 source=1] copy_along(from_port=1, multicast_group=1)",
    ]
    assert held("s3", 1) == [
        f"fanout_copy[group=1 egress_port=1 member=3] to_member(dst_mac={0x0303}, address={H3}, udp_port=26410)",
        "multicast_groups[1] 1/3",
        "append_fanout[group=1 source=1] copy_along(from_port=2, multicast_group=1)",
    ]


def test_a_lost_link_is_gone_round() -> None:
    lost = next(link for link in TRIANGLE.links if str(link) == "s1-s3")
    links = ALL - {lost}
    assert held("s1", 1, links)[1:] == [
        "multicast_groups[1] 3/0",
        "append_fanout[group=1 source=1] copy_along(from_port=1, multicast_group=1)",
    ]
    assert held("s2", 1, links)[2:] == [
        "multicast_groups[1] 1/2 4/0",
        "append_fanout[group=1 source=1] copy_along(from_port=3, multicast_group=1)",
    ]
    assert held("s3", 1, links)[2:] == ["append_fanout[group=1 source=1] copy_along(from_port=3, multicast_group=1)"]


def test_without_a_leader_or_anybody_to_reach_there_is_no_tree() -> None:
    for switch in ("s1", "s2", "s3"):
        assert held(switch, 0) == held(switch, 9) == held(switch, 1, frozenset()) == []


def test_a_switch_off_the_way_holds_nothing() -> None:
    data = triangle()
    data["groups"][0]["members"] = [{"id": 1, "host": "h1"}, {"id": 2, "host": "h2"}]
    network = parse(data)
    assert held("s3", 1, network=network) == []
    assert "multicast_groups[1] 3/0" in held("s1", 1, network=network)


def test_members_at_one_switch_need_no_trunk() -> None:
    data = triangle()
    data["groups"][0]["members"] = [{"id": 7, "host": "h1"}, {"id": 8, "host": "h11"}]
    network = parse(data)
    assert "multicast_groups[1] 2/8" in held("s1", 7, network=network)
    assert held("s2", 7, network=network) == held("s3", 7, network=network) == []


def test_another_leader_changes_what_is_there_and_removes_what_is_left_last() -> None:
    def wanted(leader: int) -> tuple[Entry | MulticastGroup, ...]:
        return desired_entries(TRIANGLE, "s1", View(ALL, {1: Leadership(leader, 5)}, frozenset({"append_fanout"})))

    before = wanted(1)
    writes = diff(wanted(2), before)
    said = [(write.operation, write.entry.table) for write in writes if write.entry.table in FANOUT]
    assert said == [
        (Operation.INSERT, "fanout_copy"),
        (Operation.MODIFY, "multicast_groups"),
        (Operation.INSERT, "append_fanout"),
        (Operation.DELETE, "append_fanout"),
        (Operation.DELETE, "fanout_copy"),
        (Operation.DELETE, "fanout_copy"),
    ]
    assert set(apply(writes, before)) == set(wanted(2))


def test_another_port_towards_the_leader_is_one_change_in_place() -> None:
    def wanted(links: frozenset[Link]) -> tuple[Entry | MulticastGroup, ...]:
        return desired_entries(TRIANGLE, "s3", View(links, {1: Leadership(1, 5)}, frozenset({"append_fanout"})))

    lost = next(link for link in TRIANGLE.links if str(link) == "s1-s3")
    writes = [write for write in diff(wanted(ALL - {lost}), wanted(ALL)) if write.entry.table in FANOUT]
    assert [(write.operation, write.entry.table) for write in writes] == [(Operation.MODIFY, "append_fanout")]


@st.composite
def networks(draw: st.DrawFn) -> tuple[Network, frozenset[Link], int]:
    """Switches in any order of links, with members somewhere; the links that work, and who leads."""
    size = draw(st.integers(1, 7))
    pairs = [(a, b) for a in range(size) for b in range(a)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    data = triangle()
    data["switches"] = [{"name": f"s{i}", "device_id": i, "grpc": f"127.0.0.1:{9000 + i}"} for i in range(size)]
    data["links"] = [
        {"a": f"s{a}", "a_port": 20 + 2 * at, "b": f"s{b}", "b_port": 21 + 2 * at} for at, (a, b) in enumerate(chosen)
    ]
    places = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=9))
    data["hosts"] = [
        {
            "name": f"h{i}",
            "ip": f"10.0.0.{i + 1}",
            "mac": f"00:00:00:00:0{i}:01",
            "switch": f"s{at}",
            "port": i + 1,
        }
        for i, at in enumerate(places)
    ]
    data["groups"][0]["members"] = [{"id": i + 1, "host": f"h{i}"} for i in range(len(places))]
    network = parse(data)
    working = frozenset(draw(st.lists(st.sampled_from(network.links), unique=True))) if network.links else frozenset()
    return network, working, draw(st.integers(1, len(places)))


@given(networks())
def test_each_member_that_a_path_reaches_gets_one_copy(drawn: tuple[Network, frozenset[Link], int]) -> None:
    network, links, leader = drawn
    group = network.groups[0]
    tree = branches(network, group, leader, links)
    peers = {end: other for link in links for end, other in (link.ends, link.ends[::-1])}
    root = network.host(group.members[leader - 1].host)
    reached = {root.switch}
    while more := {there[0] for here, there in peers.items() if here[0] in reached} - reached:
        reached |= more
    copies: Counter[int] = Counter()
    todo = [(root.switch, root.port)] if root.switch in tree else []
    while todo:
        switch, port = todo.pop()
        branch = tree[switch]
        assert port == branch.from_port
        copies.update(receiver.member.id for receiver in branch.receivers)
        for after, out in branch.onward:
            assert peers[switch, out][0] == after
            todo.append(peers[switch, out])
    expected = {m.id for m in group.members if network.host(m.host).switch in reached} - {leader}
    assert copies == dict.fromkeys(expected, 1)
