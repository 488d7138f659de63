"""What is printed of ways, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import Flag, Header
from tests.follow.network import GROUP, LEADER, TERM, TRIANGLE, Lab
from topo.follow import disks, story
from topo.follow.journeys import Follower, Journey
from topo.follow.told import Teller, disk_lines, disk_text, fragments_of

SERVICE = ("10.0.100.1", TRIANGLE.port)


def request(net: Lab) -> bytes:
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=1, log_term=5)
    return net.frame("h22", SERVICE, header.pack() + b"payload", port=40_000)


def followed(net: Lab, host: str, frame: bytes, role: str = story.REQUEST) -> tuple[Follower, Journey]:
    follower = net.follower(lambda _: role)
    follower.take(net.send(host, frame))
    (journey,) = follower.journeys.values()
    return follower, journey


def teller(follower: Follower, journey: Journey) -> Teller:
    return Teller(TRIANGLE, follower.next_of, journey.sent.time_ns)


def test_a_way_is_told_from_host_to_host(net: Lab) -> None:
    follower, journey = followed(net, "h22", request(net))
    told = list(replace(teller(follower, journey), tables=False).journey(journey))
    assert [line.strip() for line in told] == [
        "the request",
        "+0.000 ms  h22 > service  CLIENT_REQUEST group 1 session 0000000000000005 sequence 1",
        "+0.000     s2, in at port 2",
        "steered from service (10.0.100.1:26410) to h1 (10.0.1.1:26410)",
        "out of port 3, to s1, port 3",
        "+0.040     s1, in at port 3",
        "out of port 1, to h1",
        "+0.060     h1 has it",
    ]


def test_copies_for_everybody_are_told_with_whom_they_are_for(net: Lab) -> None:
    header = Header(MessageType.APPEND_ENTRIES, LEADER, EVERYBODY, GROUP, term=TERM, index=4, flags=int(Flag.FANOUT))
    follower, journey = followed(net, "h1", net.frame("h1", SERVICE, header.pack() + bytes(16)), story.APPEND)
    told = [line.strip() for line in replace(teller(follower, journey), tables=False).journey(journey)]
    assert told[0] == "the leader has everybody append the entry"
    assert not [line for line in told if "steered" in line or "never" in line or "explain" in line]
    assert [line for line in told if "copy" in line] == [
        "a copy for h2 out of port 1, to h2",
        "a copy for h3 out of port 1, to h3",
    ]
    assert sorted(host for _, host in journey.arrivals) == ["h2", "h3"]
    hops = teller(follower, journey).json(journey)["hops"]
    assert [hop["steered"] for hop in hops] == [None] * 3
    assert sorted(out["copy_for"] for hop in hops for out in hop["outputs"]) == ["", "", "h2", "h3"]


def test_what_is_not_raft_on_rafts_port_is_told_too(net: Lab) -> None:
    """Also where a switch lacks the tables that would drop it."""
    follower, journey = followed(net, "h22", net.frame("h22", ("10.0.1.1", TRIANGLE.port), b"\x07 nonsense"))
    (hop, *_) = journey.hops
    passed = replace(hop, traced=replace(hop.traced, reason="", outputs=((3, hop.frame),)))
    assert [line.strip() for line in teller(follower, journey).decisions(passed)] == ["out of port 3, to s1, port 3"]
    told = teller(follower, replace(journey, hops=[passed])).json(journey)
    assert told["type"] == "malformed" and [hop["switch"] for hop in told["hops"]] == ["s2"]


def test_tables_are_told_with_key_entry_and_action(net: Lab) -> None:
    follower, journey = followed(net, "h22", request(net))
    told = [" ".join(line.split()) for line in teller(follower, journey).journey(journey)]
    assert "leader_route group = 1: entry [1], steer_to_leader()" in told
    assert "port_roles ingress_port = 2: no entry, set_edge()" in told
    routed = [line for line in told if line.startswith("ipv4_lpm")]
    assert [line.split(": ")[1].split(",")[0] for line in routed] == ["entry [10.0.1.1/32]"] * 2
    full = "\n".join(replace(teller(follower, journey), full=True).journey(journey))
    assert "state start" in full and "table ingress.leader_route.leader_route" in full


def test_a_drop_is_told_with_its_reason_and_who_claims_what(net: Lab) -> None:
    header = Header(MessageType.APPEND_ENTRIES, LEADER, 3, GROUP, TERM)
    follower, journey = followed(net, "h22", net.peer("h22", "h3", header, claiming="h1"), "packet")
    told = "\n".join(teller(follower, journey).journey(journey))
    assert "dropped: not_member" in told
    assert "sent by h22, in the name of h1" in told
    assert "has it" not in told and "never seen" not in told


def test_what_is_lost_is_told_with_what_is_known_to_be_broken(net: Lab) -> None:
    net.cut.add("s2-eth3")
    follower, journey = followed(net, "h22", request(net))
    one = teller(follower, journey)
    assert list(one.journey(journey))[-1].strip() == "never seen at s1, port 3"
    down = replace(one, cut=frozenset({"s2-eth3"}))
    assert list(down.journey(journey))[-1].strip() == "never seen at s1, port 3: the link is down, by hand"
    paused = replace(down, stopped={"s2": "paused"})
    assert list(paused.journey(journey))[-1].strip() == "never seen at s1, port 3: s2 is paused"
    assert one.json(journey)["not_seen_at"] == ["s1, port 3"]


def test_a_host_whose_node_has_ended_has_nothing(net: Lab) -> None:
    follower, journey = followed(net, "h22", request(net))
    one = replace(teller(follower, journey), stopped={"h1": "dead"})
    assert list(one.journey(journey))[-1].endswith("it comes to h1, whose node is dead")
    assert one.json(journey)["arrivals"] == [{"host": "h1", "ms": 0.06, "node": "dead"}]


def test_what_is_not_sure_is_said(net: Lab) -> None:
    follower, journey = followed(net, "h22", request(net))
    one = replace(teller(follower, journey), troubles={"s2": "its tables cannot be read: no answer"})
    assert "not sure: its tables cannot be read: no answer" in "\n".join(one.journey(journey))
    assert [hop["not_sure"] for hop in one.json(journey)["hops"]] == ["its tables cannot be read: no answer", ""]


def test_json_says_the_same(net: Lab) -> None:
    follower, journey = followed(net, "h22", request(net))
    shown = json.loads(json.dumps(teller(follower, journey).json(journey)))
    assert (shown["role"], shown["type"], shown["host"], shown["ms"]) == ("request", "ClientRequest", "h22", 0.0)
    assert (shown["from"], shown["to"]) == ("10.0.2.22:40000", "10.0.100.1:26410")
    assert shown["header"] == {"flags": [], "group": 1, "session": "0000000000000005", "sequence": 1}
    first, second = shown["hops"]
    assert first["steered"] == {"from": ["10.0.100.1", 26410], "to": ["10.0.1.1", 26410]}
    assert (first["outputs"], second["outputs"]) == (
        [{"port": 3, "to": "s1, port 3", "copy_for": ""}],
        [{"port": 1, "to": "h1", "copy_for": ""}],
    )
    (route,) = [table for table in first["tables"] if table["table"].endswith(".leader_route")]
    assert route["hit"] and route["entry"] == "[1]" and route["key"] == {"group": "1"}
    assert route["action"].endswith(".steer_to_leader") and route["place"].startswith("leader_route.p4:")


def test_what_is_no_raft_header_is_told_as_malformed(net: Lab) -> None:
    frame = net.frame("h22", ("10.0.1.1", TRIANGLE.port), b"\x02" + bytes(39))
    follower, journey = followed(net, "h22", frame, "packet")
    shown = teller(follower, journey).json(journey)
    assert (shown["type"], shown["header"]) == ("malformed", None) and shown["fault"]
    assert shown["dropped"] == [{"switch": "s2", "reason": "bad_version"}]
    assert "malformed" in next(iter(teller(follower, journey).journey(journey)))


def test_roles_of_members_are_told_by_name(net: Lab) -> None:
    header = Header(MessageType.APPEND_ENTRIES_REPLY, 3, LEADER, GROUP, TERM, 12)
    follower, journey = followed(net, "h3", net.peer("h3", "h1", header), story.ACKNOWLEDGEMENT)
    assert teller(follower, journey).heading(journey) == "h3 acknowledges: its disk holds the log up to entry 12"
    header = Header(MessageType.APPEND_ENTRIES, LEADER, 3, GROUP, TERM, commit=12)
    follower, journey = followed(net, "h1", net.peer("h1", "h3", header), story.COMMIT)
    assert "tells h3 that everything up to entry 12" in teller(follower, journey).heading(journey)


def test_fragments_of_a_message_are_told_together(net: Lab) -> None:
    follower = net.follower(lambda _: story.REQUEST)
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=1, log_term=5, flags=0x20)
    for number in range(3):
        frame = net.frame("h22", SERVICE, header.pack() + bytes([number]) * 20, port=40_000)
        follower.take(net.send("h22", frame))
    journeys = list(follower.journeys.values())
    assert len({fragments_of(journey) for journey in journeys}) == 1
    told = list(teller(follower, journeys[0]).train(journeys))
    assert told[-1].strip().endswith("2 more fragments of this message; 2 have arrived")
    assert len([line for line in told if "CLIENT_REQUEST" in line]) == 1


# -- disks ----------------------------------------------------------------------------------------------------------


def status(counts: int, sum_s: float, pid: int = 7) -> disks.Json:
    shown = {"counts": [counts, 0], "sum_s": sum_s}
    stages = dict.fromkeys(("queue", "disk", "network", "apply"), shown)
    return {"pid": pid, "groups": [{"group": GROUP, "durations": {"stages": stages}}]}


def test_stages_are_known_where_one_batch_went_through() -> None:
    found = disks.stages(status(4, 1.0), status(5, 1.25), GROUP)
    assert found == dict.fromkeys(("queue", "disk", "network", "apply"), 0.25)
    assert disks.stages(status(4, 1.0), status(6, 1.25), GROUP) == {}
    assert disks.stages(status(4, 1.0), status(4, 1.0), GROUP) == {}
    assert disks.stages(status(4, 1.0), status(5, 1.25, pid=8), GROUP) == {}
    assert disks.stages(None, status(5, 1.25), GROUP) == disks.stages(status(4, 1.0), {"pid": 7}, GROUP) == {}


def test_the_leaders_disk_stands_where_it_was_in_time(net: Lab) -> None:
    follower, journey = followed(net, "h22", request(net))
    one = teller(follower, journey)
    left = journey.sent.time_ns + 1_000_000
    found = disks.stages(status(4, 1.0), status(5, 1.002), GROUP)
    told = list(disk_lines(one, 12, "h1", left, {**found, "network": 0.0005}))
    assert [time_ns - left for time_ns, _ in told] == pytest.approx([2_000_000, 500_000], abs=10)
    assert "~+3.000 ms" in told[0][1] and "h1's disk holds entry 12" in told[0][1]
    assert "~+1.500 ms" in told[1][1] and "committed" in told[1][1]
    assert list(disk_lines(one, 12, "h1", left, {})) == []


def test_what_members_say_of_an_entry() -> None:
    assert disk_text(disks.Disk("h1", durable=True, committed=True)) == "h1: on disk, committed"
    assert disk_text(disks.Disk("h2", durable=True)) == "h2: on disk, not known to be committed yet"
    assert disk_text(disks.Disk("h3")) == "h3: in memory only, not known to be committed yet"
    assert disk_text(disks.Disk("h3", error="it does not answer")) == "h3: it does not answer"
