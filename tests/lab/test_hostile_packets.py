"""Old terms, impossible terms and forged members: what switches drop, and that nobody is impressed by the rest."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from hosts.raft.message import MAX_TERM, MessageType
from hosts.wire import Header
from tests.lab.conftest import Lab, wait
from tests.lab.forge import datagram, send
from topo import status
from topo.capturing import Capture

COPIES = 5
FOREIGN_CLUSTER = (0xBAD).to_bytes(8, "big") + bytes(8)
"""A peer payload's beginning that no host of this cluster accepts; switches do not look at it."""
MARK = 2**40
"""A term that no node of a test reaches."""


def in_second_term(lab: Lab) -> tuple[str, int]:
    """A leader whose term is at least 2, so that there are older ones."""
    leader = lab.leader()
    if lab.term() < 2:
        lab.run("node", "kill", leader)
        lab.leader(other_than=leader)
        lab.run("node", "start", leader)
        leader = lab.leader()
    return leader, lab.term()


def a_follower(lab: Lab, leader: str) -> str:
    return next(name for name in lab.live.topology.members if name != leader)


def nodes_terms(lab: Lab) -> set[int]:
    nodes = status.gather(lab.live)["nodes"]
    return {entry["term"] for node in nodes.values() for entry in node["groups"]}


@pytest.mark.parametrize("kind", [MessageType.APPEND_ENTRIES, MessageType.REQUEST_VOTE])
def test_an_old_term_is_dropped_in_the_first_switch(lab: Lab, kind: MessageType) -> None:
    leader, term = in_second_term(lab)
    live, replayer = lab.live, a_follower(lab, leader)
    topology = live.topology
    first = topology.host(replayer).switch
    old = Header(kind, source=topology.member_id(replayer), target=topology.member_id(leader), group=1, term=term - 1)
    before = {switch.name: lab.drops(switch.name).get("stale_term", 0) for switch in topology.switches}
    for _ in range(COPIES):
        send(live, replayer, [datagram(live, old, at=replayer, to=leader)])
    wait("dropped packets", lambda: lab.drops(first).get("stale_term", 0) >= before[first] + COPIES)
    for switch in topology.switches:
        if switch.name != first:
            assert lab.drops(switch.name).get("stale_term", 0) == before[switch.name], "it came past the first switch"
    assert (lab.leader(), lab.term()) == (leader, term)


@pytest.mark.parametrize("term", [MAX_TERM + 1, 2**64 - 1])
@pytest.mark.parametrize("kind", [MessageType.APPEND_ENTRIES, MessageType.REQUEST_VOTE])
def test_a_term_out_of_range_is_dropped_and_adopted_by_nobody(lab: Lab, kind: MessageType, term: int) -> None:
    leader, own_term = lab.leader(), lab.term()
    live, sender = lab.live, a_follower(lab, leader)
    switch = live.topology.host(sender).switch
    huge = Header(kind, source=live.topology.member_id(sender), target=0, group=1, term=term)
    before = lab.drops(switch).get("term_range", 0)
    for name in live.topology.members:
        if name != sender:
            forged = replace(huge, target=live.topology.member_id(name))
            send(live, sender, [datagram(live, forged, at=sender, to=name)])
    wait("dropped packets", lambda: lab.drops(switch).get("term_range", 0) >= before + 2)
    assert nodes_terms(lab) == {own_term}
    assert (lab.leader(), lab.term()) == (leader, own_term)


def test_a_forged_high_term_mutes_the_leader_for_a_moment_only(lab: Lab) -> None:
    """From a member's own port, so the switch must believe it; the hosts do not, as it is of another cluster."""
    leader, term = lab.leader(), lab.term()
    live, sender = lab.live, a_follower(lab, leader)
    other = next(name for name in live.topology.members if name not in (leader, sender))
    header = Header(
        MessageType.APPEND_ENTRIES,
        source=live.topology.member_id(sender),
        target=live.topology.member_id(other),
        group=1,
        term=term + 1000,
    )
    packet = datagram(live, header.pack() + FOREIGN_CLUSTER, at=sender, to=other)
    for _ in range(3):
        send(live, sender, [packet])
        time.sleep(0.5)
    # Longer than any election timeout: had a follower missed the leader, there would be a higher term by now.
    time.sleep(1.5)
    assert nodes_terms(lab) == {term}
    assert lab.leader() == leader
    lab.run("send", "after the forged term")


def test_a_client_cannot_speak_for_a_member(lab: Lab) -> None:
    leader, term = lab.leader(), lab.term()
    live = lab.live
    before = lab.drops("s2").get("not_member", 0)
    sent = 0
    for member in live.topology.members:
        number = live.topology.member_id(member)
        for kind in (MessageType.APPEND_ENTRIES, MessageType.REQUEST_VOTE, MessageType.APPEND_ENTRIES_REPLY):
            for target in live.topology.members:
                if target != member:
                    header = Header(kind, source=number, target=live.topology.member_id(target), group=1, term=MARK)
                    send(live, "h22", [datagram(live, header, at="h22", to=target, claiming=member)])
                    sent += 1
    wait("dropped packets", lambda: lab.drops("s2").get("not_member", 0) >= before + sent)
    assert nodes_terms(lab) == {term}
    for switch in live.topology.switches:
        (entry,) = lab.json("tables", switch.name)["groups"]
        assert entry["params"]["term"] == term and entry["params"]["leader"] == live.topology.member_id(leader)


def test_no_member_is_believed_while_its_switch_restarts_and_nobody_programs_it(lab: Lab) -> None:
    lab.leader()
    live, topology = lab.live, lab.live.topology
    number = topology.member_id("h2")
    header = Header(MessageType.APPEND_ENTRIES, source=number, target=topology.member_id("h1"), group=1, term=MARK)
    packet = datagram(live, header, at="h22", to="h1", claiming="h2")
    captures = [Capture(name) for port, name in topology.ports("s2").items() if name != "s2-eth2"]
    done = threading.Event()

    def keep_sending() -> None:
        while not done.is_set():
            send(live, "h22", [packet] * 5)
            time.sleep(0.01)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        lab.run("controller", "kill")
        lab.run("switch", "restart", "s2")
        time.sleep(0.5)
        lab.run("controller", "start")
        before = lab.drops("s2").get("not_member", 0)
        wait("packets that the guard drops", lambda: lab.drops("s2").get("not_member", 0) > before + 20)
    finally:
        done.set()
        sender.join()
    leaked = 0
    for capture in captures:
        for seen in capture.packets(0):
            raft = seen.raft(topology.port) if seen.outgoing else None
            leaked += raft is not None and raft.term == MARK
        capture.close()
    assert leaked == 0
    assert MARK not in nodes_terms(lab)
    for switch in topology.switches:
        (entry,) = lab.json("tables", switch.name)["groups"]
        assert entry["params"]["term"] < MARK
    lab.leader()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", b"\x02" + bytes(39), b"\x01\xff" + bytes(38), b"\x01\x05\x80" + bytes(37), bytes(range(256)) * 5],
    ids=["empty", "one-byte", "version-2", "type-255", "unknown-flag", "noise"],
)
def test_garbage_on_the_raft_port_harms_nobody(lab: Lab, data: bytes) -> None:
    leader, term = lab.leader(), lab.term()
    live = lab.live
    for origin in ("h11", "h22", a_follower(lab, leader)):
        for target in live.topology.members:
            if origin != target:
                send(live, origin, [datagram(live, data, at=origin, to=target)] * COPIES)
    lab.run("send", "still here")
    assert (lab.leader(), lab.term()) == (leader, term)
