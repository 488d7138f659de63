"""The simulated network carries the copies that switches make of an AppendEntries to everybody, and judges them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller import network as controller_network
from controller.desired import Leadership, View, desired_entries, diff
from controller.network import FEATURES, Link
from hosts.config import Address
from hosts.raft.message import MessageType
from hosts.wire import Flag, Header
from sim import plan as plans
from sim.events import SECOND
from sim.fabric import Fabric
from sim.network import Network
from sim.run import compile_program
from sim.scene import Scene
from sim.violation import Violation
from topo import topology
from topo.lab import configs

EVERYBODY = 255
TERM = 5
TOPOLOGIES = ("triangle", "five", "seven", "single", "line", "leaf-spine")


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_program()


class Lab:
    """Switches that are programmed for a leader, between hosts that only listen."""

    def __init__(self, program: Path, name: str) -> None:
        drawn = replace(plans.draw(0), topology=topology.find(name), switches=True, features=frozenset(FEATURES))
        plan = replace(drawn, trouble=0.0, client_trouble=0.0)
        self.scene = Scene(plan, trace=False)
        self.arrived: list[tuple[str, Address, Header]] = []
        self.network = Network(self.scene, self._deliver, lambda host, port, refusal: None, lambda host: True)
        self.fabric = Fabric(self.scene, program, "-O0", self.network.from_switch)
        self.network.into_switches = self.fabric.from_host
        self.known = controller_network.parse(configs.network(plan.topology))
        self.group = self.known.groups[0]
        for switch in self.fabric.switches.values():
            switch.start(0)

    def _deliver(self, host: str, _port: int, datagram: bytes, source: Address) -> None:
        self.arrived.append((host, source, Header.unpack(datagram)))

    def lead(self, leader: int, *switches: str, links: frozenset[Link] | None = None, **changes: object) -> None:
        """Program these switches, or all, for a leader and the links that work."""
        view = View(
            frozenset(self.known.links) if links is None else links,
            {self.group.id: Leadership(leader, TERM)},
            frozenset(FEATURES),
        )
        for name in switches or self.fabric.switches:
            one = self.fabric.switches[name]
            for write in diff(desired_entries(self.known, name, replace(view, **changes)), one.entries()):  # type: ignore[arg-type]
                one.write(write)

    def send(self, source: int, flags: Flag = Flag.FANOUT) -> None:
        """A member's AppendEntries to everybody."""
        assert self.group.service is not None
        header = Header(MessageType.APPEND_ENTRIES, source, EVERYBODY, self.group.id, TERM, flags=flags)
        member = self.group.member(source)
        assert member is not None
        # Switches may learn that it leads.
        self.scene.watches[self.group.id].leaders[TERM] = source
        self.network.send(member.host, 26410, (self.group.service, 26410), header.pack() + bytes(17))
        self.scene.events.run(self.scene.events.now + SECOND)

    def expect(self, source: int, members: set[int]) -> None:
        """Exactly these members have got a copy each, made out to them, from the sender's address."""
        hosts = {member.host: member.id for member in self.group.members}
        got = sorted((hosts[host], header.target) for host, _, header in self.arrived)
        assert got == [(member, member) for member in sorted(members)]
        sender = self.group.member(source)
        assert sender is not None
        address = (self.known.host(sender.host).ip, 26410)
        assert all(origin == address and header.source == source for _, origin, header in self.arrived)
        self.arrived.clear()

    @property
    def ids(self) -> set[int]:
        return {member.id for member in self.group.members}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_other_member_gets_one_copy(program: Path, name: str) -> None:
    lab = Lab(program, name)
    for leader in sorted(lab.ids):
        lab.lead(leader)
        for flags in (Flag.FANOUT, Flag.FANOUT | Flag.FRAGMENT):
            lab.send(leader, flags)
            lab.expect(leader, lab.ids - {leader})
    assert lab.scene.counts["bad UDP checksums"] == 0


@pytest.mark.parametrize("name", ["triangle", "leaf-spine", "seven"])
def test_a_link_fails_and_the_tree_goes_round_it(program: Path, name: str) -> None:
    lab = Lab(program, name)
    for lost in lab.known.links:
        lab.lead(1, links=frozenset(lab.known.links) - {lost})
        for end in lost.ends:
            lab.fabric.cut[end] += 1
        lab.send(1)
        for end in lost.ends:
            lab.fabric.cut[end] -= 1
        lab.expect(1, lab.ids - {1})


def test_switches_that_disagree_about_the_tree_send_nothing_in_circles(program: Path) -> None:
    """Each mixture of the triangle's trees for leader 1, with all links and without one: nobody gets two copies."""
    lab = Lab(program, "triangle")
    whole = frozenset(lab.known.links)
    views = [whole, *(whole - {lost} for lost in lab.known.links)]
    lost = 0
    for first in views:
        for second in views:
            for third in views:
                for name, links in zip(("s1", "s2", "s3"), (first, second, third), strict=True):
                    lab.lead(1, name, links=links)
                lab.send(1)
                copies = [header.target for _, _, header in lab.arrived]
                assert len(copies) == len(set(copies)) and set(copies) <= {2, 3}
                lost += len(copies) < 2
                lab.arrived.clear()
    for switch in lab.fabric.switches.values():
        switch.collect()
    assert lost > 0 and lab.scene.counts["dropped: wrong_port"] > 0


def test_only_the_leader_is_served_and_only_while_the_feature_is_on(program: Path) -> None:
    lab = Lab(program, "triangle")
    lab.lead(1)
    lab.send(2)
    lab.expect(2, set())
    lab.lead(1, features=frozenset(FEATURES) - {"append_fanout"})
    lab.send(1)
    lab.expect(1, set())


def test_a_copy_does_not_pass_a_partition(program: Path) -> None:
    lab = Lab(program, "triangle")
    lab.lead(1)
    lab.network.conditions.cut["h1", "h2"] = 1
    lab.send(1)
    lab.expect(1, {3})


def test_a_copy_that_is_not_what_was_sent_is_a_violation(program: Path) -> None:
    """An entry that names the wrong member is none of the switch's business; a copy for the sender is forged."""
    lab = Lab(program, "triangle")
    header = Header(MessageType.APPEND_ENTRIES, 1, EVERYBODY, lab.group.id, TERM, flags=Flag.FANOUT)
    sent = bytes(42) + header.pack() + b"payload"
    for left in (
        bytes(42) + replace(header, target=1).pack() + b"payload",
        bytes(42) + replace(header, target=2, term=TERM + 1).pack() + b"payload",
        bytes(42) + replace(header, target=2).pack() + b"changed",
    ):
        with pytest.raises(Violation):
            lab.fabric._check_unforged(lab.fabric.switches["s1"], 1, sent, left)
    lab.fabric._check_unforged(
        lab.fabric.switches["s1"], 1, sent, bytes(42) + replace(header, target=2).pack() + b"payload"
    )
