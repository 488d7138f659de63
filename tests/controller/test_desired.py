"""Desired entries, routes, and the writes that lead there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.desired import (
    FEATURES,
    TABLES,
    Entry,
    Held,
    Leadership,
    Operation,
    View,
    Write,
    apply,
    batches,
    desired_entries,
    diff,
    installed_leaders,
)
from controller.network import FEATURES as NAMES
from controller.network import Network, parse
from controller.routes import routes
from tests.controller.triangle import H1, H2, H3, SERVICE, triangle

CONTROLLER = 0xA9FE1A29

TRIANGLE = parse(triangle())
ALL = frozenset(TRIANGLE.links)


def _view(**changes: object) -> View:
    return View(**{"links": ALL, "features": frozenset(NAMES), **changes})  # type: ignore[arg-type]


def _table(entries: Iterable[Held], name: str) -> list[Entry]:
    return [entry for entry in entries if isinstance(entry, Entry) and entry.table == name]


def test_what_s1_of_the_triangle_holds() -> None:
    entries = desired_entries(TRIANGLE, "s1", _view(leaders={1: Leadership(2, 7)}))
    assert [str(entry) for entry in entries] == [
        "port_roles[ingress_port=3] set_trunk()",
        "port_roles[ingress_port=4] set_trunk()",
        f"members[group=1 source=1 address={H1} ingress_port=1] is_member()",
        "guard_enforce[group=1] enforce()",
        f"groups[group=1] set_group(slot=0, quorum=2, leader=2, term=7, address={H2}, udp_port=26410)",
        "leader_watch[group=1] watch(window_us=100000)",
        "term_filter[group=1] drop_stale()",
        f"readers.member[1] read_at(member=1, member_address={H1}, member_port=26410)",
        "reads_by_member[group=1 member=1] count_read()",
        f"readers.member[2] read_at(member=2, member_address={H2}, member_port=26410)",
        "reads_by_member[group=1 member=2] count_read()",
        f"readers.member[3] read_at(member=3, member_address={H3}, member_port=26410)",
        "reads_by_member[group=1 member=3] count_read()",
        "readers.group[1] 1 2 3",
        f"read_route[group=1 service_addr={SERVICE}] select(group=1)",
        "leader_route[group=1] steer_to_leader()",
        "configuration[group=1] tell_controller()",
        f"fanout_copy[group=1 egress_port=1 member=1] to_member(dst_mac={0x0101}, address={H1}, udp_port=26410)",
        "multicast_groups[1] 1/1",
        "append_fanout[group=1 source=2] copy_along(from_port=3, multicast_group=1)",
        f"leader_gone[ingress_port=1 address={H1}] "
        f"is_members_host(controller_address={CONTROLLER}, identifier=29286)",
        "leader_silence[group=1] tell_silence()",
        f"service_addresses[address={SERVICE}] is_service()",
        f"ipv4_lpm[dst_addr=({H1}, 32)] forward(dst_mac={0x0101}, port=1)",
        f"ipv4_lpm[dst_addr=({H1 + 10}, 32)] forward(dst_mac={0x010B}, port=2)",
        f"ipv4_lpm[dst_addr=({H2}, 32)] forward(dst_mac={0x080000000200}, port=3)",
        f"ipv4_lpm[dst_addr=({H2 + 20}, 32)] forward(dst_mac={0x080000000200}, port=3)",
        f"ipv4_lpm[dst_addr=({H3}, 32)] forward(dst_mac={0x080000000300}, port=4)",
    ]


def test_a_member_is_known_only_at_its_own_edge() -> None:
    for name, member in (("s1", 1), ("s2", 2), ("s3", 3)):
        found = _table(desired_entries(TRIANGLE, name, _view()), "members")
        assert [dict(entry.match)["source"] for entry in found] == [member]


def test_without_a_leader_the_service_is_the_standins() -> None:
    def group(leadership: Leadership) -> dict[str, int]:
        return dict(_table(desired_entries(TRIANGLE, "s3", _view(leaders={1: leadership})), "groups")[0].params)

    assert group(Leadership())["address"] == H1
    assert group(Leadership(0, 9, standin=3)) == {**group(Leadership(3, 9)), "leader": 0}
    assert group(Leadership(2, 9, standin=3))["address"] == H2


def test_features_can_be_left_out() -> None:
    def tables(*features: str) -> set[str]:
        return {entry.table for entry in desired_entries(TRIANGLE, "s1", _view(features=frozenset(features)))}

    forwarding = {"port_roles", "groups", "service_addresses", "ipv4_lpm"}
    assert tables() == forwarding
    assert tables("member_guard") == forwarding | {"members", "guard_enforce"}
    assert tables("leader_watch") == forwarding | {"leader_watch"}
    assert tables("term_filter") == forwarding | {"term_filter"}
    assert tables("client_limit") == forwarding, "nobody has a limit"
    assert tables("leader_route") == forwarding | {"leader_route"}
    assert tables("configuration") == forwarding | {"configuration"}
    assert tables("append_fanout") == forwarding, "nobody is known to lead"
    assert tables("leader_gone") == forwarding | {"leader_gone", "leader_silence"}
    assert tables("ack_gather") == forwarding, "nobody is known to lead"


def test_a_host_of_members_of_two_groups_is_known_once_and_a_clients_not_at_all() -> None:
    data = triangle()
    data["groups"].append({**data["groups"][0], "id": 2, "slot": 1, "service": None})
    entries = desired_entries(parse(data), "s1", _view())
    assert [dict(entry.match) for entry in _table(entries, "leader_gone")] == [{"ingress_port": 1, "address": H1}]
    assert [dict(entry.match) for entry in _table(entries, "leader_silence")] == [{"group": 1}, {"group": 2}]


def test_a_network_file_knows_the_features_that_there_are() -> None:
    assert tuple(feature.name for feature in FEATURES) == NAMES
    assert len(set(TABLES)) == len(TABLES)


def test_installed_leaders_are_read_back() -> None:
    entries = desired_entries(TRIANGLE, "s1", _view(leaders={1: Leadership(2, 2**63 - 1, standin=3)}))
    assert installed_leaders(entries) == {1: Leadership(2, 2**63 - 1)}


def _ring(size: int) -> Network:
    data = triangle()
    data["switches"] = [{"name": f"s{i}", "device_id": i, "grpc": f"127.0.0.1:{9000 + i}"} for i in range(size)]
    data["hosts"] = [
        {"name": f"h{i}", "ip": f"10.0.{i}.1", "mac": f"00:00:00:00:00:{i:02x}", "switch": f"s{i}", "port": 1}
        for i in range(size)
    ]
    data["links"] = [{"a": f"s{i}", "a_port": 2, "b": f"s{(i + 1) % size}", "b_port": 3} for i in range(size)] + [
        {"a": "s0", "a_port": 4, "b": f"s{size // 2}", "b_port": 4}
    ]
    data["groups"][0]["members"] = [{"id": i + 1, "host": f"h{i}"} for i in range(min(size, 9))]
    return parse(data)


RING = _ring(6)


def _walk(network: Network, start: str, host: str, up: frozenset[object]) -> list[str]:
    """The switches that a packet passes; ends early at a link that is down."""
    ports = {end: other for link in network.links for end, other in (link.ends, link.ends[::-1])}
    links = {end: link for link in network.links for end in link.ends}
    path = [start]
    while path[-1] != network.host(host).switch:
        route = next(r for r in routes(network, path[-1], up) if r.host.name == host)  # type: ignore[arg-type]
        end = (path[-1], route.port)
        if links[end] not in up:
            return path
        path.append(ports[end][0])
        assert len(path) <= len(network.switches), f"a loop: {path}"
    return path


@given(st.sets(st.sampled_from(RING.links)))
@settings(max_examples=100, deadline=None)
def test_routes_never_loop_and_arrive_where_there_is_a_way(down: set[object]) -> None:
    up = frozenset(RING.links) - down
    reachable: dict[str, set[str]] = {switch.name: {switch.name} for switch in RING.switches}
    for _ in RING.switches:
        for link in up:
            merged = reachable[link.a] | reachable[link.b]
            for name in merged:
                reachable[name] = merged
    for switch, host in itertools.product(RING.switches, RING.hosts):
        path = _walk(RING, switch.name, host.name, frozenset(up))
        assert (path[-1] == host.switch) is (host.switch in reachable[switch.name])


def test_traffic_goes_round_by_s3() -> None:
    up = ALL - {TRIANGLE.links[0]}
    assert _walk(TRIANGLE, "s1", "h2", frozenset(up)) == ["s1", "s3", "s2"]
    assert _walk(TRIANGLE, "s1", "h2", frozenset(ALL)) == ["s1", "s2"]


ENTRIES = st.builds(
    Entry,
    table=st.sampled_from((*TABLES, "another")),
    match=st.integers(0, 3).map(lambda value: (("key", value),)),
    action=st.sampled_from(("one", "two")),
    params=st.integers(0, 2).map(lambda value: (("param", value),)),
)
HOLDINGS = st.lists(ENTRIES, unique_by=lambda entry: entry.key)


@given(HOLDINGS, HOLDINGS)
def test_diff_leads_to_what_is_desired(desired: list[Entry], actual: list[Entry]) -> None:
    writes = diff(desired, actual)
    assert set(apply(writes, actual)) == set(desired)
    assert diff(desired, desired) == ()
    keys = {entry.key for entry in actual}
    for write in writes:
        assert (write.operation is Operation.INSERT) == (write.entry.key not in keys)
    assert len({write.entry.key for write in writes}) == len(writes)


@given(HOLDINGS, HOLDINGS)
def test_writes_follow_the_order_of_tables(desired: list[Entry], actual: list[Entry]) -> None:
    def rank(write: Write) -> int:
        order = (*TABLES, "another")
        place = order.index(write.entry.table)
        return 2 * len(order) - place if write.operation is Operation.DELETE else place

    writes = diff(desired, actual)
    assert list(map(rank, writes)) == sorted(map(rank, writes))
    assert tuple(write for batch in batches(writes) for write in batch) == writes
    for batch in batches(writes):
        assert len({write.entry.table for write in batch}) == 1
