"""`switchraft follow` on a real lab: the ways that it tells are those that the switches have counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hosts.raft.message import MessageType
from hosts.wire import Header
from tests.lab.conftest import Lab
from tests.lab.forge import datagram, send
from tests.lab.hostile import ATTEMPTS, a_follower, all_drops, undisturbed
from tests.web.browser import Page, chromium
from topo import paths
from web import recording
from web.recording import read_hop

Json = dict[str, Any]
REQUESTS = 3
"""A client's session is opened before its call is followed, and a read follows that: two more, by the same way."""
CLIENT_TYPES = ("ClientRequest", "ClientReply")


def counted(lab: Lab) -> dict[str, Counter[str]]:
    """Of each switch, what it has counted of clients' messages, redirects and drops."""
    found = {}
    for switch, held in lab.json("counters").items():
        one: Counter[str] = Counter()
        one.update({name: held["messages"].get(name, {}).get("packets", 0) for name in CLIENT_TYPES})
        one["redirects"] = sum(count["packets"] for count in held["redirects"].values())
        one["drops"] = sum(count["packets"] for why, count in held["drops"].items() if why != "not_ip")
        found[switch] = one
    return found


def told(packets: list[Json]) -> dict[str, Counter[str]]:
    """The same, by the ways of packets."""
    found: dict[str, Counter[str]] = {}
    for packet in packets:
        for hop in packet["hops"]:
            one = found.setdefault(hop["switch"], Counter())
            if packet["type"] in CLIENT_TYPES:
                one[packet["type"]] += 1
            one["redirects"] += hop["steered"] is not None
            one["drops"] += hop["dropped"] != ""
    return found


def as_counted(lab: Lab, *words: str) -> Json:
    """What `follow` says of a call; the switches have counted the same. A request that is repeated, as on a machine
    that stalls, is one more than was told: then the call is made again."""
    for attempt in range(ATTEMPTS):
        leader = lab.leader()
        before = counted(lab)
        said: Json = lab.json("follow", *words)
        after = counted(lab)
        ways = told(said["packets"])
        expected = {
            switch: Counter({name: REQUESTS * count for name, count in ways.get(switch, Counter()).items()})
            for switch in before
        }
        if {switch: after[switch] - before[switch] for switch in before} == {
            switch: +count for switch, count in expected.items()
        }:
            assert said["answer"]["served_by"] == leader
            return said
        assert attempt < ATTEMPTS - 1, (before, after, ways)
    raise AssertionError


def of(said: Json, role: str) -> list[Json]:
    return [packet for packet in said["packets"] if packet["role"] == role]


def tables(hop: Json) -> dict[str, Json]:
    return {one["table"].rpartition(".")[2]: one for one in hop["tables"]}


def whole(packet: Json) -> bool:
    """Whether its way was seen and explained from host to host."""
    return not packet["not_seen_at"] and not packet["unexplained_at"] and not packet["dropped"]


def test_a_write_is_followed_to_the_disks_of_a_quorum_and_back(lab: Lab) -> None:
    leader = lab.leader()
    follower = a_follower(lab, leader)
    said = as_counted(lab, "put", "colour", '"teal"', "--to", follower, "--from", "h11")
    (request,), (answer,) = of(said, "request"), of(said, "answer")
    assert whole(request) and whole(answer)
    first, topology = request["hops"][0], lab.live.topology
    assert (first["switch"], first["port"], request["host"]) == ("s1", topology.host("h11").port, "h11")
    assert first["steered"]["from"][0] == str(topology.host(follower).ip)
    assert first["steered"]["to"][0] == str(topology.host(leader).ip)
    assert tables(first)["leader_route"]["hit"] and tables(first)["port_roles"]["hit"] is False
    assert tables(request["hops"][-1])["ipv4_lpm"]["action"].endswith(".forward")
    assert [one["host"] for one in request["arrivals"]] == [leader]
    assert [one["host"] for one in answer["arrivals"]] == ["h11"]
    others = {name for name in topology.members if name != leader}
    assert {one["host"] for packet in of(said, "append") for one in packet["arrivals"]} == others
    acknowledged = of(said, "acknowledgement")
    assert {packet["host"] for packet in acknowledged} == others
    assert all(packet["header"]["index"] >= said["entry"]["index"] for packet in acknowledged)
    told_to = {one["host"] for packet in of(said, "commit") for one in packet["arrivals"]}
    assert told_to == others
    sent = [packet["sent_ns"] for packet in (request, of(said, "append")[0], acknowledged[0], answer)]
    assert sent == sorted(sent)
    durable = {one["member"] for one in said["entry"]["members"] if one["durable"]}
    assert leader in durable and len(durable) >= 2
    assert (said["entry"]["index"], said["answer"]["value"]) == (said["answer"]["index"], "teal")


def test_a_read_is_followed_with_the_round_that_it_waits_for(lab: Lab) -> None:
    lab.run("put", "colour", '"teal"')
    said = as_counted(lab, "get", "colour", "--from", "h22")
    (request,), (answer,) = of(said, "request"), of(said, "answer")
    assert whole(request) and whole(answer) and said["entry"] is None
    assert tables(request["hops"][0])["service_addresses"]["hit"]
    assert said["answer"]["value"] == "teal"
    rounds, replies = of(said, "round"), of(said, "round reply")
    assert rounds and replies, "a read by quorum asks the members"
    assert all(request["sent_ns"] <= packet["sent_ns"] <= answer["sent_ns"] for packet in (*rounds, *replies))


def test_for_people_it_is_a_story_in_the_order_of_time(lab: Lab) -> None:
    leader = lab.leader()
    said = lab.run("follow", "put", "colour", "red", "--from", "h11")
    assert f"steered from service (10.0.100.1:26410) to {leader}" in said
    assert said.index("the request") < said.index("append the entry") < said.index("the answer")
    assert f"{leader}: on disk, committed" in said
    assert said.rstrip().splitlines()[-1].startswith('colour = "red" (str)')


def test_a_key_that_is_not_there_is_told_and_fails_as_get_does(lab: Lab) -> None:
    done = lab.try_("follow", "get", "never written", "--brief")
    assert done.returncode == 1 and "there is no key 'never written'" in done.stderr
    assert "has it" in done.stdout and "ipv4_lpm" not in done.stdout


# -- packets that are waited for ------------------------------------------------------------------------------------


@contextmanager
def waiting(lab: Lab, wanted: str, *more: str) -> Iterator[Callable[[], Json]]:
    """`follow --wait`, which waits by now; the function gives what it says in the end."""
    command = [sys.executable, "-m", "topo.cli", "follow", "--wait", wanted, "--timeout", "60", "--json", *more]
    environment = {**os.environ, "SWITCHRAFT_BUILD": str(lab.build)}
    pipe = subprocess.PIPE
    running = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=paths.ROOT, env=environment)
    try:
        assert running.stderr is not None
        first = running.stderr.readline()
        assert first.startswith("Waiting for"), first + running.stderr.read()

        def said() -> Json:
            output, errors = running.communicate(timeout=90)
            assert running.returncode == 0, errors
            found: Json = json.loads(output)
            return found

        yield said
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def dropped_once(lab: Lab, switch: str, reason: str, wanted: str, act: Callable[[], None], *more: str) -> Json:
    """The packet that ``act`` sends, as `follow` tells it; the switch has counted just that one more."""
    before = all_drops(lab)
    with waiting(lab, f"{wanted} drop={reason}", *more) as said:
        act()
        (packet,) = said()["packets"]
    expected = {**before, switch: {**before[switch], reason: before[switch].get(reason, 0) + 1}}
    assert all_drops(lab) == expected
    assert packet["dropped"] == [{"switch": switch, "reason": reason}]
    assert [hop["switch"] for hop in packet["hops"]] == [switch]
    assert packet["arrivals"] == packet["not_seen_at"] == packet["unexplained_at"] == []
    found: Json = packet
    return found


def test_a_stale_term_is_followed_to_the_filter_that_drops_it(lab: Lab) -> None:
    live, topology = lab.live, lab.live.topology

    def replay(leader: str, term: int) -> None:
        replayer = a_follower(lab, leader)
        source, target = topology.member_id(replayer), topology.member_id(leader)
        old = datagram(live, Header(MessageType.APPEND_ENTRIES, source, target, 1, term - 1), at=replayer, to=leader)
        wanted = f"type=AppendEntries from={replayer} term={term - 1}"
        switch = topology.host(replayer).switch
        packet = dropped_once(lab, switch, "stale_term", wanted, lambda: send(live, replayer, [old]))
        found = tables(packet["hops"][0])
        assert found["term_filter"]["hit"] and found["term_filter"]["action"].endswith(".drop_stale")
        assert found["members"]["hit"] and "ipv4_lpm" not in found

    undisturbed(lab, replay)


def test_a_stranger_is_followed_to_the_guard(lab: Lab, tmp_path: Path) -> None:
    live, topology = lab.live, lab.live.topology
    file = tmp_path / "stranger.rec"

    def forge(leader: str, term: int) -> None:
        header = Header(MessageType.APPEND_ENTRIES, topology.member_id(leader), 3, 1, term)
        forged = datagram(live, header, at="h22", to="h3", claiming=leader)
        packet = dropped_once(
            lab,
            "s2",
            "not_member",
            "type=AppendEntries from=h22",
            lambda: send(live, "h22", [forged]),
            "--record",
            str(file),
        )
        events = [event for event in recording.read(file).events if "m" in event]
        assert [event["k"] for event in events] == ["sent", "passed", "dropped"]
        assert (events[2]["who"], events[2]["why"]) == ("s2", "not_member")
        found = tables(packet["hops"][0])
        assert found["members"]["hit"] is False and found["guard_enforce"]["hit"]
        assert (packet["host"], packet["from"].partition(":")[0]) == ("h22", str(topology.host(leader).ip))

    undisturbed(lab, forge)


def test_garbage_is_followed_to_its_reason(lab: Lab) -> None:
    live = lab.live

    def throw(leader: str, _term: int) -> None:
        garbage = datagram(live, b"\x02" + bytes(39), at="h22", to=leader)
        packet = dropped_once(lab, "s2", "bad_version", "type=malformed", lambda: send(live, "h22", [garbage]))
        assert (packet["type"], packet["header"]) == ("malformed", None)

    undisturbed(lab, throw)


def test_heartbeats_are_followed_as_they_come(lab: Lab) -> None:
    leader = lab.leader()
    with waiting(lab, f"type=AppendEntries from={leader}", "--count", "4") as said:
        packets = said()["packets"]
    assert len(packets) == 4 and all(whole(packet) for packet in packets)
    assert {packet["host"] for packet in packets} == {leader}
    assert {one["host"] for packet in packets for one in packet["arrivals"]} <= set(lab.live.topology.members)


def test_a_packet_that_a_switch_does_not_forward_is_missed(lab: Lab) -> None:
    """The switch is stopped: what comes into it stays there, and the way says by whose fault."""
    live, topology = lab.live, lab.live.topology
    leader = lab.leader()
    switch = topology.host(leader).switch
    other = next(name for name in topology.clients if topology.host(name).switch != switch)
    header = Header(MessageType.CLIENT_REQUEST, group=1, index=77, log_term=0xABC)
    frame = datagram(live, header, at=other, to=leader)
    with waiting(lab, "session=abc") as said:
        live.change({"cmd": "switch", "action": "pause", "name": switch})
        try:
            send(live, other, [frame])
            (packet,) = said()["packets"]
        finally:
            live.change({"cmd": "switch", "action": "resume", "name": switch})
    assert packet["arrivals"] == [] and [hop["switch"] for hop in packet["hops"]][-1] == switch
    assert packet["not_seen_at"] == [leader]


# -- recordings -----------------------------------------------------------------------------------------------------


def test_the_page_opens_the_same_message_with_the_same_tables(lab: Lab, tmp_path: Path) -> None:
    file, html = tmp_path / "followed.rec", tmp_path / "followed.html"
    said = lab.json("follow", "put", "colour", '"teal"', "--from", "h11", "--record", str(file))
    lab.run("view", str(file), "--html", str(html))
    events = list(recording.read(file).events)
    sent = {event["m"]: event for event in events if event["k"] == "sent"}
    assert [sent[m]["frame"] for m in sorted(sent)] == [packet["frame"] for packet in said["packets"]]
    told_ways = {event["id"] for event in events if event["k"] == "way"}
    assert {read_hop(hop).way for event in events if event["k"] == "passed" for hop in event["hops"]} == told_ways
    assert [event["key"] for event in events if event["k"] == "call"] == ["colour"]
    with chromium(tmp_path / "browser") as driver:
        page = Page(driver)
        page.open(html.as_uri())
        for m, packet in zip(sorted(sent), said["packets"], strict=True):
            last = max(event["t"] for event in events if event.get("m") == m)
            page.at(last / 1e6, f"message:{m}")
            for number, hop in enumerate(packet["hops"]):
                page.js("switchraft.chooseHop(arguments[0])", number)
                page.frames(1)
                shown = [(one[0], one[1]) for one in page.ask("tables")]
                assert shown == [(one["table"], "hit" if one["hit"] else "miss") for one in hop["tables"]]
        assert page.logs() == []


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--wait", "colour=red"], 2, "a word is NAME=VALUE"),
        (["--wait", "type=Append"], 2, "there are PreVote"),
        (["--wait", "from=h1", "--count", "0"], 2, "--count 0: choose 1 to"),
        (["--wait", "from=h1", "--timeout", "-1"], 2, "--timeout -1: choose seconds"),
        (["--wait", "from=h1", "--from", "h1"], 2, "words of the filter"),
        (["--wait", "session=1234567", "--timeout", "0.3"], 1, "no packet with session=1234567 came within 0.3 s"),
        ([], 2, "name a request"),
        (["dance"], 2, "no client asks 'dance'"),
        (["put", "key"], 2, "put takes KEY VALUE"),
        (["get", "key", "--count", "2"], 2, "--count goes with --wait"),
        (["get", "key", "--to", "h99"], 2, "unknown host"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(lab: Lab, words: list[str], code: int, says: str) -> None:
    done = lab.try_("follow", *words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert says in done.stderr


def test_a_call_that_fails_is_told_as_far_as_it_came(lab: Lab) -> None:
    leader = lab.leader()
    for name in lab.live.topology.members:
        if name != leader:
            lab.run("node", "kill", name)
    done = lab.try_("follow", "put", "a", "b", "--from", "h11", "--brief", "--timeout", "1.5")
    assert done.returncode == 1 and "CLIENT_REQUEST" in done.stdout and "no answer:" in done.stdout
    assert done.stderr.startswith("switchraft: ")


def test_without_its_controller_the_lab_is_followed_all_the_same(lab: Lab) -> None:
    leader = lab.leader()
    lab.run("controller", "kill")
    said = lab.json("follow", "put", "colour", '"teal"', "--from", "h11")
    (request,) = of(said, "request")
    assert [one["host"] for one in request["arrivals"]] == [leader] and whole(request)
    assert any(one["durable"] for one in said["entry"]["members"])
