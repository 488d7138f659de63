"""Forged ICMP: somebody writes to members that nobody is at their leader's address, while it is there, and quotes
what they may have sent: who writes that has seen their replies once, but does not see those of now. And forged hints
of the controller's: switches let none in, so it takes somebody who can write behind the last of them."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from controller import hints
from hosts.net.udp import Refusal
from hosts.raft.core import Role
from hosts.raft.following import ROUNDS_OF_LATE
from hosts.raft.message import EVERYBODY, NOBODY, Message, MessageType
from hosts.raft.replication import ROUNDS_APART
from hosts.wire import Header, pack_peer
from sim import frames
from sim.events import MS
from sim.frames import Sender
from sim.network import Network
from sim.node import Node
from sim.scene import Scene

HINTS_EVERY = 4
"""Once in so many rounds hints are forged as well, behind the switches to every member, and into them."""


class FalseWord:
    """Goes on from ``begin`` until ``end``."""

    def __init__(self, scene: Scene, nodes: Mapping[int, Node], network: Network, random: Random) -> None:
        self._scene = scene
        self._nodes = nodes
        self._network = network
        self._random = random
        self._everybody = random.random() < 0.5
        """Whether all members are deceived at the same time."""
        self._pause_us = random.choice((10, 50, 200)) * MS
        self._goes_on = True
        self._rounds = 0
        plan = scene.plan
        self._network_hints = plan.switches and "leader_gone" in plan.features and plan.cluster.takes_hints
        self._hint_random = Random(f"false hints/{plan.seed}/{scene.events.now}")
        self._quote_random = Random(f"false quotes/{plan.seed}/{scene.events.now}")

    def begin(self) -> None:
        """Forge some, and go on later."""
        if not self._goes_on:
            return
        random = self._random
        for leader in self._leaders():
            others = [node for node in self._nodes.values() if node is not leader]
            refusal = self._draw(leader)
            for deceived in others if self._everybody else random.sample(others, min(1, len(others))):
                host, port = deceived.host, deceived.address[1]
                quoting = refusal._replace(quoted=self._quote(leader, deceived))
                self._network.tell_refusal(host, port, quoting, 1 + random.randrange(200))
                self._scene.counts["forged refusals"] += 1
            if self._network_hints and not self._rounds % HINTS_EVERY:
                self._forge_hints(leader)
        self._rounds += 1
        self._scene.events.after(1 + random.randrange(2 * self._pause_us), self.begin)

    def end(self) -> None:
        """It is over."""
        self._goes_on = False

    def _leaders(self) -> list[Node]:
        return [
            node
            for node in self._nodes.values()
            if node.process and any(group.core.role is Role.LEADER for group in node.process.groups.values())
        ]

    def _forge_hints(self, leader: Node) -> None:
        """Hints behind the switches about terms of now, of once and to come; and into the switches, from hosts."""
        random, network, plan = self._hint_random, self._network, self._scene.plan
        assert leader.process is not None
        for number, group in leader.process.groups.items():
            term = group.core.current_term
            for node in self._nodes.values():
                drawn = random.choice((term, term, term, max(1, term - 1), term + 1))
                target = random.choice((node.member, node.member, node.member, EVERYBODY))
                source = random.choice((NOBODY, NOBODY, NOBODY, leader.member))
                cause = random.choice((1, 1, 2, 2, 3))
                hint = Header(MessageType.CAMPAIGN_HINT, source, target, number, drawn, commit=cause).pack()
                network.forge_hint(node.host, node.address[1], (hints.ADDRESS, plan.topology.port), hint)
                self._scene.counts["forged hints"] += 1
                at = random.choice(plan.topology.hosts)
                sender = Sender(str(at.ip), at.mac, at.gateway_mac)
                network.raw(at.name, frames.pack(sender, plan.topology.port, node.address, hint, checksum=False))
        self._forge_icmp(leader)

    def _forge_icmp(self, leader: Node) -> None:
        """From a client's host as if from the leader's, and from the leader's own host about others and other ports;
        the answer to a request that nobody has made."""
        random, network, topology = self._hint_random, self._network, self._scene.plan.topology
        own = topology.host(leader.host)
        others = [node for node in self._nodes.values() if node is not leader] or [leader]
        other = random.choice(others)
        clients = [host for host in topology.hosts if host.name not in topology.members]
        host, port = leader.address
        about = random.choice(((host, port), other.address, (host, port + 1)))
        at = random.choice(clients) if about == leader.address else own
        mac = Sender(host, at.mac, at.gateway_mac)
        network.raw(at.name, frames.pack_refusal(mac, other.address, about))
        rest = hints.IDENTIFIER.to_bytes(2, "big") + random.getrandbits(16).to_bytes(2, "big")
        network.raw(own.name, frames.pack_icmp(mac, hints.ADDRESS, frames.ECHO_REPLY, rest))

    def _quote(self, leader: Node, deceived: Node) -> bytes:
        """A reply of the deceived member's to the leader, as it might be: of a round that was guessed, or is long
        over for that member; of the round of now in another term, or another group."""
        random, plan = self._quote_random, self._scene.plan
        assert leader.process is not None
        number, group = random.choice(list(leader.process.groups.items()))
        core = group.core
        now = core._leadership.round if core._leadership is not None else 0
        term = random.choice((core.current_term, core.current_term, max(0, core.current_term - 1)))
        rounds = [0, 1, random.randrange(ROUNDS_APART), random.getrandbits(64)]
        own = deceived.process.groups.get(number) if deceived.process is not None else None
        if own is not None:
            rounds.append(max(0, own.core._following._heard_round - ROUNDS_OF_LATE - random.randrange(200)))
        if term != core.current_term:
            rounds = [now]
        elif random.random() < 0.2:
            rounds, number = [now], number + 1
        sender, chosen = deceived.member, random.choice(rounds)
        reply = Message(MessageType.APPEND_ENTRIES_REPLY, sender, leader.member, term, round=chosen)
        cluster = plan.topology.cluster if deceived.process is None else deceived.process._transport._cluster
        header, payload = pack_peer(reply, group=number, cluster=cluster)
        return random.choice((b"", header.pack() + payload, header.pack() + payload, header.pack()))

    def _draw(self, leader: Node) -> Refusal:
        """Mostly right in all but that it is not true."""
        host, port = leader.address
        which = self._random.random()
        if which < 0.2:
            return Refusal((host, port + 1), True)
        return Refusal((host, port), which < 0.9)
