"""What a lab's parts show becomes the events of a recording, and only what has changed is told."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError

from controller.desired import Entry
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import HEADER_BYTES, Flag
from tests.live.test_sampling import frame
from topo.live.command import complain
from topo.live.decisions import Decisions
from topo.live.faults import Fault, SeenFaults, by_hand, found
from topo.live.members import LAST_ENTRIES, SeenMember
from topo.live.messages import FLAGS_AT, LOST_NS, MOST_BYTES, TARGET_AT, Messages
from topo.live.switches import SeenSwitch
from topo.topology import find
from web.recording import PAYLOAD_AT, fault_of, patched, read_hop

TRIANGLE = find("triangle")


def fits(events: list[Any]) -> None:
    assert [fault_of({"t": 0, **event}) for event in events] == [""] * len(events)


# -- members --------------------------------------------------------------------------------------------------------


def status(**more: Any) -> dict[str, Any]:
    known = {
        "role": "follower",
        "term": 2,
        "voted_for": 1,
        "leader": 1,
        "commit": 5,
        "applied": 5,
        "last_index": 5,
        "last_term": 2,
        "durable_index": 5,
        "first_index": 1,
        "snapshot": 0,
        "snapshot_term": 0,
        "voters": [1, 2, 3],
        "outgoing": [],
        "learners": [],
        "timer_ticks": [3, 30],
    }
    return {**known, **more}


def entries(first: int, last: int, term: int = 2) -> list[dict[str, Any]]:
    shown = [
        {"index": n, "term": term, "kind": "command", "operation": "append", "value": n}
        for n in range(first, last + 1)
    ]
    return [*shown, {"ok": True, "count": len(shown)}]


def test_a_member_tells_what_has_changed() -> None:
    member = SeenMember("h2", 1)
    (first,) = member.seen(status(), 0)
    fits([first])
    assert first["set"]["role"] == "follower" and first["set"]["timer"] == [30_000, 300_000]
    assert member.seen(status(timer_ticks=[5, 30]), 50_000) == []
    (timer,) = member.seen(status(timer_ticks=[5, 30]), 400_000)
    assert timer["set"] == {"timer": [50_000, 300_000]}
    (leads,) = member.seen(status(role="leader", term=2**60, timer_ticks=None), 500_000)
    assert leads["set"] == {"role": "leader", "term": str(2**60), "timer": None}
    assert member.paused(True)[0]["set"] == {"paused": True}
    assert member.gone()[0]["set"]["up"] is False and member.gone() == []


def test_a_log_is_told_by_its_new_end_and_from_where_it_was_replaced() -> None:
    member = SeenMember("h2", 1)
    member.seen(status(), 0)
    assert member.log_from() == 5
    (log,) = member.log_seen(entries(5, 5)) or []
    assert log["at"] == 5 and log["entries"] == [[2, "command", "append 5"]]
    assert member.log_from() is None
    member.seen(status(last_index=8, commit=6), 0)
    assert member.log_from() == 5
    (log,) = member.log_seen(entries(5, 8)) or []
    assert log["at"] == 6 and len(log["entries"]) == 3
    member.seen(status(last_index=7, last_term=3, commit=6), 0)
    assert member.log_from() == 6
    member.seen(status(last_index=9, last_term=3, commit=6), 0)
    assert member.log_seen(entries(8, 9, term=3)) is None
    assert member.committed_from() == 6
    (log,) = member.log_replaced(entries(6, 9, term=3))
    assert log["at"] == 6 and [one[0] for one in log["entries"]] == [3, 3, 3, 3]
    fits([log])


def test_of_a_log_that_grows_fast_the_end_is_told() -> None:
    member = SeenMember("h2", 1)
    member.seen(status(), 0)
    member.log_seen(entries(5, 5))
    member.seen(status(last_index=10_000), 0)
    assert member.log_from() == 10_000 - LAST_ENTRIES + 1


def test_a_log_that_grows_fast_is_looked_at_less_often() -> None:
    member = SeenMember("h2", 1, gap_us=500_000)
    member.seen(status(), 0)
    member.log_seen(entries(5, 5))
    assert not member.races
    member.seen(status(last_index=1000), 100_000)
    assert member.log_from() is None and member.races
    member.seen(status(last_index=1000), 500_000)
    first = 1000 - LAST_ENTRIES + 1
    assert member.log_from() == first
    member.log_seen(entries(first, 1000))
    member.seen(status(last_index=1003), 600_000)
    assert member.log_from() == 1000 and not member.races


# -- switches -------------------------------------------------------------------------------------------------------


def test_a_switch_tells_entries_and_counters_that_have_changed() -> None:
    switch = SeenSwitch("s1", ["ingress.leader_watch.heard_term", "ingress.leader_watch.heard_leader"], {1: 0})
    old = Entry("groups", (("group", 1),), "set_group", (("leader", 1), ("term", 2)))
    new = Entry("groups", (("group", 1),), "set_group", (("leader", 3), ("term", 2**60)))
    route = Entry("ipv4_lpm", (("address", (10, 24)),), "forward", (("port", 1),))
    assert switch.holds([old], 1) == []
    events = [*switch.runs(True), *switch.holds([old, route], 2), *switch.count({("c", 0): (5, 100)})]
    fits(events)
    assert [event["k"] for event in events] == ["switch", "table", "table", "counters"]
    assert events[2]["match"] == [[10, 24]]
    (moved,) = switch.holds([new, route], 3)
    assert (moved["do"], moved["values"]) == ("modify", [3, str(2**60)])
    assert switch.count({("c", 0): (5, 100)}) == []
    (taken,) = switch.holds([new], 4)
    assert taken["do"] == "delete"
    (cells,) = switch.heard(1, {"leader": 3, "term": 7, "age_us": 5}, 5)
    assert cells["set"] == [["ingress.leader_watch.heard_term", 0, 7], ["ingress.leader_watch.heard_leader", 0, 3]]
    assert [event["up"] for event in switch.restarted()] == [False, True]


# -- messages -------------------------------------------------------------------------------------------------------


def seen(at_us: int, interface: str, outgoing: int, data: bytes) -> list[Any]:
    return [at_us * 1000, interface, outgoing, data.hex()]


def routed(data: bytes) -> bytes:
    """As a switch forwards it: other MAC addresses, a lower TTL."""
    return b"\x11" * 12 + data[12:22] + bytes([data[22] - 1]) + data[23:]


def test_a_message_is_followed_from_port_to_port() -> None:
    messages = Messages(TRIANGLE)
    sent = frame(MessageType.APPEND_ENTRIES, 1, 2, round_=9)
    between = routed(sent)
    timed = messages.take(
        [
            seen(10, "s1-eth1", 0, sent),
            seen(20, "s2-eth3", 0, between),
            seen(30, "s2-eth1", 1, routed(between)),
            seen(31, "s2-eth1", 1, routed(between)),
            seen(32, "s3-eth1", 1, routed(between)),
        ]
    )
    fits([event for _, event in timed])
    events = [event for _, event in timed]
    assert [event["k"] for event in events] == ["sent", "passed", "passed", "received", "received", "received"]
    assert (events[0]["who"], events[0]["to"], events[0]["frame"]) == ("h1", "h2", sent.hex())
    hop = read_hop(events[2]["hops"][0])
    assert (hop.switch, hop.port, hop.way) == ("s2", 3, 0)
    assert patched(sent, hop.patch)[:24] == between[:24] and patched(sent, hop.patch)[26:] == between[26:]
    assert "copy" not in events[3] and events[4]["copy"] and events[5]["astray"]
    assert messages.look_back(3 * LOST_NS) == []


def test_a_message_to_everybody_comes_to_each_for_the_first_time() -> None:
    messages = Messages(TRIANGLE)
    asked = bytearray(frame(MessageType.APPEND_ENTRIES, 1, EVERYBODY, round_=9))
    asked[FLAGS_AT] |= Flag.FANOUT
    sent = bytes(asked)
    at_2, at_3 = (sent[:TARGET_AT] + bytes([target]) + sent[TARGET_AT + 1 :] for target in (2, 3))
    timed = messages.take(
        [
            seen(10, "s1-eth1", 0, sent),
            seen(20, "s2-eth1", 1, at_2),
            seen(21, "s3-eth1", 1, at_3),
            seen(22, "s3-eth1", 1, at_3),
        ]
    )
    came = [(event["who"], event["m"], "copy" in event) for _, event in timed if event["k"] == "received"]
    assert came == [("h2", 1, False), ("h3", 1, False), ("h3", 1, True)]


@pytest.mark.parametrize("seal", [b"", bytes(range(32))])
def test_an_acknowledgement_that_carries_others_is_the_one_that_was_sent(seal: bytes) -> None:
    messages = Messages(TRIANGLE)
    body = PAYLOAD_AT + HEADER_BYTES
    replies = (frame(MessageType.APPEND_ENTRIES_REPLY, source, 1, round_=9) for source in (2, 3))
    sent, kept = (bytearray(reply[: body + 16] + seal) for reply in replies)
    for one in (sent, kept):
        one[FLAGS_AT] |= Flag.GATHER
    carries = routed(bytes(sent))
    carries = carries[:FLAGS_AT] + bytes([carries[FLAGS_AT] | Flag.GATHERED]) + carries[FLAGS_AT + 1 :]
    record = bytes(18) + seal
    timed = messages.take(
        [
            seen(5, "s3-eth1", 0, bytes(kept)),
            seen(10, "s2-eth1", 0, bytes(sent)),
            seen(20, "s1-eth1", 1, carries[:body] + record + carries[body:]),
        ]
    )
    came = [(event["k"], event["m"]) for _, event in timed if event["k"] != "passed"]
    assert came == [("sent", 1), ("sent", 2), ("received", 2)]


def test_a_copy_that_is_not_seen_to_arrive_is_lost_where_it_was_seen_last() -> None:
    messages = Messages(TRIANGLE)
    asked = bytearray(frame(MessageType.APPEND_ENTRIES, 1, EVERYBODY, round_=9))
    asked[FLAGS_AT] |= Flag.FANOUT
    sent = bytes(asked)
    messages.take(
        [
            seen(10, "s1-eth1", 0, sent),
            seen(15, "s2-eth3", 0, sent),
            seen(16, "s3-eth3", 0, sent),
            seen(20, "s2-eth1", 1, sent),
        ]
    )
    lost = messages.look_back(2 * LOST_NS)
    assert [(event["k"], event["m"], event["who"]) for _, event in lost] == [("dropped", 1, "s3")]
    assert messages.look_back(4 * LOST_NS) == []


def test_messages_that_differ_by_their_target_alone_are_two() -> None:
    messages = Messages(TRIANGLE)
    both = [frame(MessageType.APPEND_ENTRIES, 1, n, round_=9) for n in (2, 3)]
    timed = messages.take([seen(10, "s1-eth1", 0, both[0]), seen(11, "s1-eth1", 0, both[1])])
    timed += messages.take([seen(20, "s3-eth1", 1, both[1])])
    assert [(event["k"], event["m"]) for _, event in timed if event["k"] != "passed"] == [
        ("sent", 1),
        ("sent", 2),
        ("received", 2),
    ]
    assert "again" not in timed[2][1]


def test_what_is_not_seen_to_arrive_is_lost_unless_packets_were_missed() -> None:
    messages = Messages(TRIANGLE)
    messages.take([seen(1_000_000, "s1-eth1", 0, frame(MessageType.REQUEST_VOTE, 1, 2, round_=1))])
    messages.take([seen(1_000_001, "s1-eth1", 0, frame(MessageType.CONFIGURATION, 1, 2))])
    assert messages.look_back(1_500_000_000) == []
    lost = messages.look_back(2_100_000_000)
    assert [(event["m"], event["who"], event["why"]) for _, event in lost] == [(1, "s1", "not seen again")]
    messages.take([seen(3_000_000, "s1-eth1", 0, frame(MessageType.REQUEST_VOTE, 1, 2, round_=2))])
    messages.blurred(3_000_000_005)
    assert messages.look_back(9_000_000_000) == []


def test_of_a_large_frame_the_beginning_is_told() -> None:
    messages = Messages(TRIANGLE)
    large = frame(MessageType.APPEND_ENTRIES, 1, 2) + b"x" * 1000
    ((_, event), _) = messages.take([seen(1, "s1-eth1", 0, large)])
    assert (len(event["frame"]), event["size"]) == (2 * MOST_BYTES, len(large))


# -- faults ---------------------------------------------------------------------------------------------------------

QUIET: dict[str, Any] = {"processes": {"h1": "running"}, "cut": [], "parted": []}


def test_what_was_broken_by_hand_and_what_was_found_out_are_two_things() -> None:
    cut = {
        "processes": {"h1": "killed", "h2": "paused", "s1": "died"},
        "cut": ["s1-eth3", "s2-eth3", "h3-eth0"],
        "parted": [("h1", "h3"), ("h3", "h1")],
    }
    hand = by_hand(TRIANGLE, cut)
    assert {fault.on for fault in hand} == {"h1", "h2", "s1-s2", "h3>s3", ""}
    controller = {
        "links": [{"a": "s1", "b": "s2", "up": False}, {"a": "s1", "b": "s3", "up": True}],
        "switches": {"s1": {"standing": "away"}, "s2": {"standing": "ready"}},
    }
    leader = {"id": 1, "role": "leader", "progress": {"2": {"silent_ticks": 300}, "3": {"silent_ticks": 1}}}
    noticed = found(TRIANGLE, cut, controller, [leader, {"role": "follower"}])
    assert {fault.on for fault in noticed} == {"s1-s2", "s1", "h2"}
    assert not any(fault.by_hand for fault in noticed) and all(fault.by_hand for fault in hand)
    assert by_hand(TRIANGLE, QUIET) == found(TRIANGLE, QUIET, {}, []) == set()


def test_a_fault_is_told_once_and_healed_once() -> None:
    faults = SeenFaults()
    one, other = Fault("h1", "h1 killed", by_hand=True), Fault("s1-s2", "down", by_hand=False)
    events = [*faults.now({one}), *faults.now({one, other}), *faults.now({other}), *faults.now(set())]
    fits(events)
    assert [(event["k"], event["fault"]) for event in events] == [
        ("fault", 1),
        ("fault", 2),
        ("healed", 1),
        ("healed", 2),
    ]
    assert [event.get("by") for event in events] == ["hand", "found", None, None]


# -- the controller's log -------------------------------------------------------------------------------------------


def test_the_controllers_lines_are_told_as_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "controller.log"
    now = time.time_ns()
    clock = time.strftime("%H:%M:%S", time.localtime(now / 1e9))
    log.write_text("--- a command\n00:00:00.000 before\n")
    decisions = Decisions(log)
    assert decisions.take(now) == []
    with log.open("a") as file:
        file.write(f"{clock}.000 leader h1\nno line of a log\n{clock}.00")
        file.flush()
        ((at, text),) = decisions.take(now)
        assert text == "leader h1" and 0 <= now - at < 2 * 10**9
        file.write("1 leader h2\n")
    assert [text for _, text in decisions.take(now)] == ["leader h2"]
    log.write_text(f"{clock}.000 anew\n")
    assert [text for _, text in decisions.take(now)] == ["anew"]
    log.unlink()
    assert decisions.take(now) == []


@pytest.mark.parametrize("name", ["triangle", "two-groups", "leaf-spine"])
def test_every_port_of_a_topology_is_known(name: str) -> None:
    topology = find(name)
    messages = Messages(topology)
    for host in topology.hosts:
        assert messages._edges[host.switch_interface] == host.name


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "told"), [(ClientConnectionResetError("gone"), False), (ConnectionError("a mistake"), True)]
)
async def test_what_a_page_that_has_gone_does_not_get_is_no_complaint(
    error: Exception, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise error

    asyncio.get_running_loop().set_exception_handler(complain)
    task = asyncio.ensure_future(fails())
    await asyncio.wait((task,))
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert ("never retrieved" in caplog.text) is told
