"""Frames at ports become ways: of one packet those that are one, told as what the switches did to it."""

from __future__ import annotations

import pytest

from controller.desired import Leadership, View, desired_entries
from hosts.raft.message import MessageType
from hosts.wire import Header
from tests.follow.network import BEGAN_NS, GROUP, HOP_NS, LEADER, TERM, TRIANGLE, Lab, controllers_network
from topo.follow.filters import Sent
from topo.follow.journeys import GIVE_UP_NS, Journey
from topo.lab.configs import CPU_PORT
from web.recording import fault_of, read_hop

SERVICE = ("10.0.100.1", TRIANGLE.port)
HEARTBEAT = Header(MessageType.APPEND_ENTRIES, source=LEADER, target=3, group=GROUP, term=TERM)


def everything(_: Sent) -> str:
    return "packet"


def requests(one: Sent) -> str:
    return "request" if one.header is not None and one.header.type == MessageType.CLIENT_REQUEST else ""


def tables(journey: Journey, at: int = 0) -> dict[str, tuple[bool, str]]:
    """Of a hop, each table: whether an entry was hit, and the action."""
    lookups = journey.hops[at].traced.lookups
    return {one.table.rpartition(".")[2]: (one.hit, one.action.rpartition(".")[2]) for one in lookups}


def request(net: Lab, sequence: int = 1) -> bytes:
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=sequence, log_term=5)
    return net.frame("h22", SERVICE, header.pack() + b"a request's payload", port=40_000)


def test_a_steered_request_is_one_packet_on_its_whole_way(net: Lab) -> None:
    follower = net.follower(everything)
    frame = request(net)
    follower.take(net.send("h22", frame))
    (journey,) = follower.journeys.values()
    assert [(hop.switch, hop.port) for hop in journey.hops] == [("s2", 2), ("s1", 3)]
    assert [time_ns - journey.sent.time_ns for time_ns, _ in journey.arrivals] == [3 * HOP_NS]
    assert journey.arrivals[0][1] == "h1"
    assert journey.hops[0].steered == (SERVICE, ("10.0.1.1", TRIANGLE.port)) and journey.hops[1].steered is None
    assert tables(journey)["leader_route"] == (True, "steer_to_leader")
    assert tables(journey)["port_roles"] == (False, "set_edge")
    assert tables(journey, 1)["ipv4_lpm"] == (True, "forward")
    assert (journey.missing, journey.surprising, journey.reasons) == ([], [], [])


def test_packets_with_the_same_bytes_are_as_many_ways(net: Lab) -> None:
    follower = net.follower(everything)
    frame = request(net)
    seen = [one for _ in range(3) for one in net.send("h22", frame)]
    follower.take(sorted(seen, key=lambda one: one.time_ns))
    assert [len(journey.hops) for journey in follower.journeys.values()] == [2, 2, 2]
    assert [len(journey.arrivals) for journey in follower.journeys.values()] == [1, 1, 1]


def test_packets_with_the_same_bytes_that_overtake_nobody_are_paired_in_their_order(net: Lab) -> None:
    """All leave before the first has come to the second switch."""
    follower = net.follower(everything)
    frame = request(net)
    runs = [net.send("h22", frame) for _ in range(3)]
    shifted = [
        type(one)(runs[0][0].time_ns + number * 1000 + (one.time_ns - run[0].time_ns), *list(vars(one).values())[1:])
        for number, run in enumerate(runs)
        for one in run
    ]
    follower.take(sorted(shifted, key=lambda one: one.time_ns))
    for number, journey in enumerate(follower.journeys.values()):
        assert journey.hops[1].time_ns - journey.sent.time_ns == 2 * HOP_NS, number
        assert len(journey.arrivals) == 1


def test_one_that_was_lost_does_not_get_the_way_of_its_repetition(net: Lab) -> None:
    follower = net.follower(everything)
    frame = request(net)
    net.cut.add("s2-eth3")
    follower.take(net.send("h22", frame))
    net.cut.clear()
    net.now_ns += 200_000_000
    follower.take(net.send("h22", frame))
    first, second = follower.journeys.values()
    assert len(first.hops) == 1 and first.arrivals == []
    assert [str(place) for place in first.missing] == ["s1, port 3"]
    assert len(second.hops) == 2 and [host for _, host in second.arrivals] == ["h1"]
    assert follower.take_whole(first.last_ns + GIVE_UP_NS // 2) == [second]
    assert follower.open()
    assert follower.take_whole(first.last_ns + GIVE_UP_NS + 1) == [first]
    assert not follower.open()


def test_only_what_has_a_role_is_followed(net: Lab) -> None:
    follower = net.follower(requests)
    follower.take(net.send("h1", net.peer("h1", "h3", HEARTBEAT)))
    follower.take(net.send("h22", request(net)))
    (journey,) = follower.journeys.values()
    assert (journey.role, journey.sent.host, follower.packets) == ("request", "h22", 2)


def test_what_passed_before_decides_what_is_stale(net: Lab) -> None:
    """The shadow has learnt the term from a packet that nobody follows, as the switch has."""
    follower = net.follower(lambda one: "old" if one.header is not None and one.header.term < TERM else "")
    follower.take(net.send("h1", net.peer("h1", "h3", HEARTBEAT)))
    old = Header(MessageType.APPEND_ENTRIES, source=3, target=LEADER, group=GROUP, term=TERM - 1)
    follower.take(net.send("h3", net.peer("h3", "h1", old)))
    (journey,) = follower.journeys.values()
    assert journey.reasons == ["stale_term"] and [hop.switch for hop in journey.hops] == ["s3"]
    assert tables(journey)["term_filter"] == (True, "drop_stale")
    assert journey.missing == [] and follower.take_whole(journey.last_ns) == [journey]
    dropped = [event for _, event in follower.events if event["k"] == "dropped"]
    assert dropped == [{"k": "dropped", "who": "s3", "m": journey.m, "why": "stale_term"}]


def test_what_a_switch_had_learnt_before_is_believed_and_lapses(net: Lab) -> None:
    old = Header(MessageType.APPEND_ENTRIES, source=3, target=LEADER, group=GROUP, term=TERM - 1)
    frame = net.peer("h3", "h1", old)
    reasons = []
    for age_us in (10_000, 900_000):
        follower = net.follower(everything)
        frames = net.send("h3", frame)
        net.shadows.learn("s3", GROUP, {"term": TERM, "leader": LEADER, "age_us": age_us}, frames[0].time_ns)
        follower.take(frames[:1])
        reasons += [journey.reasons for journey in follower.journeys.values()]
    assert reasons == [["stale_term"], []]
    assert {name.rpartition(".")[2]: value for name, _, value in net.shadows.learnt("s3")}["heard_term"] == TERM - 1


def test_a_stranger_is_dropped_by_the_guard(net: Lab) -> None:
    follower = net.follower(everything)
    follower.take(net.send("h22", net.peer("h22", "h3", HEARTBEAT, claiming="h1")))
    (journey,) = follower.journeys.values()
    assert journey.reasons == ["not_member"]
    assert tables(journey)["members"][0] is False and tables(journey)["guard_enforce"] == (True, "enforce")


def test_what_the_controller_is_given_ends_there(net: Lab) -> None:
    follower = net.follower(everything)
    header = Header(MessageType.CONFIGURATION, source=LEADER, target=255, group=GROUP, term=TERM, index=1)
    follower.take(net.send("h1", net.frame("h1", SERVICE, header.pack() + bytes(16))))
    (journey,) = follower.journeys.values()
    (hop,) = journey.hops
    assert hop.to_controller and [port for port, _ in hop.traced.outputs] == [CPU_PORT]
    assert (hop.traced.reason, journey.missing, hop.steered) == ("", [], None)


def test_a_new_leader_is_told_by_a_digest(net: Lab) -> None:
    follower = net.follower(everything)
    header = Header(MessageType.APPEND_ENTRIES, source=3, target=1, group=GROUP, term=TERM + 1)
    follower.take(net.send("h3", net.peer("h3", "h1", header)))
    (journey,) = follower.journeys.values()
    ((name, values),) = journey.hops[0].traced.digests
    assert "leader_digest" in name and values == (GROUP, 0, 3, TERM + 1)


def test_where_entries_do_not_explain_what_was_seen_the_way_says_so(net: Lab) -> None:
    network = controllers_network()
    other = View(net.view.links, {GROUP: Leadership(2, TERM)}, net.view.features)
    assert net.shadows.hold("s2", desired_entries(network, "s2", other))
    assert not net.shadows.hold("s2", desired_entries(network, "s2", other))
    follower = net.follower(everything)
    follower.take(net.send("h22", request(net)))
    (journey,) = follower.journeys.values()
    assert [str(place) for place in journey.surprising] == ["s1, port 3"]
    assert [str(place) for place in journey.missing] == ["h2"]


def test_the_events_are_a_recordings(net: Lab) -> None:
    follower = net.follower(requests)
    follower.take(net.send("h22", request(net)))
    events = [event for _, event in follower.events]
    assert [fault_of({"t": 0, **event}) for event in events] == [""] * len(events)
    assert [event["k"] for event in events] == ["sent", "passed", "passed", "received"]
    ways = [read_hop(event["hops"][0]).way for event in events if event["k"] == "passed"]
    assert ways == [way for _, way in net.ways] and 0 not in ways and len(set(ways)) == 2
    assert all(at >= BEGAN_NS for at, _ in net.ways)
    (journey,) = follower.journeys.values()
    follower.forget(journey)
    assert (follower.journeys, follower.events) == ({}, [])


@pytest.mark.parametrize("switch", [one.name for one in TRIANGLE.switches])
def test_every_port_leads_somewhere(net: Lab, switch: str) -> None:
    follower = net.follower(everything)
    names = {str(follower.next_of(switch, port)).partition(",")[0] for port in TRIANGLE.ports(switch)}
    hosts = {host.name for host in TRIANGLE.hosts if host.switch == switch}
    assert names == hosts | ({one.name for one in TRIANGLE.switches} - {switch})
    assert follower.next_of(switch, 99) is None
