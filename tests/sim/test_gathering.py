"""The simulated network carries acknowledgements that switches have gathered, and judges what they carry."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from controller.names import AckFate
from hosts.config import Acknowledgements, Network
from hosts.raft.message import Message, MessageType
from hosts.service.sessions import Limits
from hosts.wire import HEADER_BYTES, Flag, Header
from sim import plan as plans
from sim.gathered import Kept, is_gathered, may_be_gathered
from sim.invariants import Watch
from sim.run import compile_program
from sim.violation import Violation
from sim.world import Options, run
from tests.sim.test_fanout import TERM, Lab

LEADER = 1
_HEAD = bytes(42)


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_program()


def said(source: int, index: int, *, round: int = 3, seal: bytes = b"", term: int = TERM, cluster: int = 7) -> bytes:
    """A member's acknowledgement."""
    kind, flags = MessageType.APPEND_ENTRIES_REPLY, int(Flag.GATHER)
    header = Header(kind, source, LEADER, 1, term, index, flags=flags)
    return header.pack() + cluster.to_bytes(8, "big") + round.to_bytes(8, "big") + seal


def record(datagram: bytes) -> bytes:
    return datagram[3:4] + bytes(1) + datagram[16:24] + datagram[HEADER_BYTES + 8 :]


def carried(own: bytes, *records: bytes) -> bytes:
    return _HEAD + own[:2] + bytes((own[2] | Flag.GATHERED,)) + own[3:40] + b"".join(records) + own[40:]


class Acknowledging(Lab):
    """Members acknowledge to member 1, who leads."""

    def __init__(self, program: Path, name: str) -> None:
        self.datagrams: list[tuple[str, bytes]] = []
        super().__init__(program, name)

    def acknowledge(self, source: int, index: int) -> list[tuple[str, bytes]]:
        """What arrives then, and where."""
        member, leader = self.group.member(source), self.group.member(LEADER)
        assert member is not None and leader is not None
        address = (str(self.scene.plan.topology.host(leader.host).ip), 26410)
        self.datagrams.clear()
        datagram = said(source, index)
        datagram = datagram[:6] + self.group.id.to_bytes(2, "big") + datagram[8:]
        self.network.send(member.host, 26410, address, datagram)
        self.scene.events.run(self.scene.events.now + 1000)
        return list(self.datagrams)

    def _deliver(self, host: str, _port: int, datagram: bytes, source: tuple[str, int]) -> None:
        self.datagrams.append((host, datagram))


@pytest.mark.parametrize("name", ["triangle", "five", "seven", "leaf-spine"])
def test_a_quorums_acknowledgements_arrive_in_one_packet(program: Path, name: str) -> None:
    lab = Acknowledging(program, name)
    lab.lead(LEADER)
    others = [member.id for member in lab.group.members if member.id != LEADER]
    needed = lab.group.quorum - 1
    for one in others:  # the first passes, as nothing is known of the group; then it goes by quorums
        lab.acknowledge(one, 5)
    arrived = [lab.acknowledge(one, 6) for one in others]
    (at,) = [number for number, found in enumerate(arrived) if found]
    assert at == needed - 1
    ((host, datagram),) = arrived[at]
    assert host == "h1" and is_gathered(datagram)
    assert {one[0] for one in lab.fabric.gathered} == {"h1"}
    for switch in lab.fabric.switches.values():
        switch.collect()
    assert lab.scene.counts[f"acknowledgements at switches: {AckFate.CARRIED.name.lower()}"] >= needed - 1


def test_what_a_switch_may_carry_is_what_it_has_kept_and_once() -> None:
    kept, own, other = Kept(), said(2, 6), said(3, 5)
    kept.came_and_stayed(_HEAD + other)
    assert kept.fault(_HEAD + own, carried(own, record(other))) == ""
    assert kept.fault(_HEAD + own, carried(own, record(other))) == "carries what it has not kept"


@pytest.mark.parametrize(
    ("entered", "left", "fault"),
    [
        (said(2, 6), carried(said(2, 6), record(said(3, 6))), "carries what it has not kept"),
        (said(2, 6), carried(said(2, 6), record(said(3, 5, round=4))), "carries what it has not kept"),
        (said(2, 6, term=6), carried(said(2, 6, term=6), record(said(3, 5))), "carries what it has not kept"),
        (said(2, 6, cluster=8), carried(said(2, 6, cluster=8), record(said(3, 5))), "carries what it has not kept"),
        (said(2, 6), carried(said(2, 7), record(said(3, 5))), "changed who carries"),
        (said(2, 6), carried(said(2, 6)), "carries no whole records"),
        (said(2, 6), carried(said(2, 6), record(said(3, 5)), b"x"), "carries no whole records"),
        (said(2, 6), carried(said(2, 6), record(said(2, 5))), "carries its sender's own"),
        (b"\0" + said(2, 6)[1:-1], carried(said(2, 6), record(said(3, 5))), "gathered for what must pass as it is"),
    ],
)
def test_nothing_else_may_be_carried(entered: bytes, left: bytes, fault: str) -> None:
    kept = Kept()
    for one in (said(3, 5), said(2, 5)):
        assert may_be_gathered(one)
        kept.came_and_stayed(_HEAD + one)
    assert kept.fault(_HEAD + entered, left) == fault


def test_an_answer_that_its_member_has_not_given_is_a_violation() -> None:
    watch = Watch(1, (1, 2, 3), Counter(), Limits())
    reply = Message(MessageType.APPEND_ENTRIES_REPLY, 2, 1, 0, round=3, gather=True)
    watch.sending(reply)
    watch.takes(reply)
    watch.takes(replace(reply, gather=False))
    with pytest.raises(Violation, match="an answer is its member's own"):
        watch.takes(replace(reply, round=4))


def _drawn() -> plans.Plan:
    """A plan of five members with a key, whose switches gather."""
    for seed in range(400):
        plan = plans.draw(seed)
        gathers = plan.switches and plan.sealed and "ack_gather" in plan.features and plan.cluster.gathers
        if gathers and "member_guard" in plan.features and plan.core_options["max_inflight"] > 1:
            return plan
    raise AssertionError("no seed draws that")


def test_seeds_draw_it_and_it_is_seen(program: Path) -> None:
    plan = _drawn()
    assert plan.acknowledgements is Acknowledgements.GATHERED and plan.network in Network
    result = run(plan.seed, Options(program, "-O0"))
    assert not result.failure
    counts = result.counts
    assert counts["gathered: taken"] and counts["acknowledgements at switches: kept"]
    assert counts["gatherings altered"] and counts["forged gatherings"]
