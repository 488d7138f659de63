"""Old terms, impossible terms and forged members: what switches drop, and that nobody is impressed by the rest."""

from __future__ import annotations

import threading
import time

import pytest

from hosts.raft.message import MAX_TERM, MessageType
from hosts.wire import Header
from tests.lab.conftest import Lab, wait
from tests.lab.forge import datagram, send
from tests.lab.hostile import a_follower, all_drops, nodes_terms, only_at, undisturbed
from topo.views.capture import Capture

COPIES = 5
FOREIGN_CLUSTER = (0xBAD).to_bytes(8, "big") + bytes(8)
"""A peer payload's beginning that no host of this cluster accepts; switches do not look at it."""
MARK = 2**40
"""A term that no node of a test reaches."""


@pytest.mark.parametrize("kind", [MessageType.APPEND_ENTRIES, MessageType.REQUEST_VOTE])
def test_an_old_term_is_dropped_in_the_first_switch(lab: Lab, kind: MessageType) -> None:
    live, topology = lab.live, lab.live.topology

    def replay(leader: str, term: int) -> None:
        replayer = a_follower(lab, leader)
        source, target = topology.member_id(replayer), topology.member_id(leader)
        packet = datagram(live, Header(kind, source, target, 1, term - 1), at=replayer, to=leader)

        def act() -> int:
            send(live, replayer, [packet] * COPIES)
            return COPIES

        only_at(lab, topology.host(replayer).switch, "stale_term", act)

    undisturbed(lab, replay)


@pytest.mark.parametrize("huge", [MAX_TERM + 1, 2**64 - 1])
@pytest.mark.parametrize("kind", [MessageType.APPEND_ENTRIES, MessageType.REQUEST_VOTE])
def test_a_term_out_of_range_is_dropped_and_adopted_by_nobody(lab: Lab, kind: MessageType, huge: int) -> None:
    live, topology = lab.live, lab.live.topology

    def forge(leader: str, term: int) -> None:
        sender = a_follower(lab, leader)

        def act() -> int:
            others = [name for name in topology.members if name != sender]
            for name in others:
                header = Header(kind, topology.member_id(sender), topology.member_id(name), 1, huge)
                send(live, sender, [datagram(live, header, at=sender, to=name)])
            return len(others)

        only_at(lab, topology.host(sender).switch, "term_range", act)

    undisturbed(lab, forge)


def test_a_forged_high_term_mutes_the_leader_for_a_moment_only(lab: Lab) -> None:
    """From a member's own port, so the switch must believe it; the hosts do not, as it is of another cluster. How
    long the moment is, `python -m bench recovery` measures."""
    live, topology = lab.live, lab.live.topology

    def forge(leader: str, term: int) -> None:
        sender = a_follower(lab, leader)
        other = next(name for name in topology.members if name not in (leader, sender))
        source, target = topology.member_id(sender), topology.member_id(other)
        header = Header(MessageType.APPEND_ENTRIES, source, target, 1, term + 1000)
        stale = sum(drops.get("stale_term", 0) for drops in all_drops(lab).values())
        for _ in range(3):
            send(live, sender, [datagram(live, header, FOREIGN_CLUSTER, at=sender, to=other)])
            time.sleep(0.5)
        # Longer than any election timeout: had a follower missed the leader, there would be a higher term by now.
        time.sleep(1.5)
        muted = sum(drops.get("stale_term", 0) for drops in all_drops(lab).values()) - stale
        assert muted > 0, "no switch has believed it, so nothing was shown"

    undisturbed(lab, forge)
    lab.run("send", "after the forged term")


def test_a_client_cannot_speak_for_a_member(lab: Lab) -> None:
    live, topology = lab.live, lab.live.topology
    kinds = (MessageType.APPEND_ENTRIES, MessageType.REQUEST_VOTE, MessageType.APPEND_ENTRIES_REPLY)
    claims = [(kind, member, to) for kind in kinds for member in topology.members for to in topology.members]
    claims = [(kind, member, to) for kind, member, to in claims if member != to]

    def forge(leader: str, term: int) -> None:
        def act() -> int:
            for kind, member, to in claims:
                header = Header(kind, topology.member_id(member), topology.member_id(to), 1, MARK)
                send(live, "h22", [datagram(live, header, at="h22", to=to, claiming=member)])
            return len(claims)

        only_at(lab, "s2", "not_member", act)
        for switch in topology.switches:
            (entry,) = lab.json("tables", switch.name)["groups"]
            assert (entry["params"]["term"], entry["params"]["leader"]) == (term, topology.member_id(leader))

    undisturbed(lab, forge)


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
    live = lab.live

    def throw(leader: str, term: int) -> None:
        for origin in ("h11", "h22", a_follower(lab, leader)):
            for target in live.topology.members:
                if origin != target:
                    send(live, origin, [datagram(live, data, at=origin, to=target)] * COPIES)
        lab.run("send", "still here")

    undisturbed(lab, throw)
