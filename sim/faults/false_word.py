"""Forged ICMP: somebody writes to members that nobody is at their leader's address, while it is there."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hosts.net.udp import Refusal
from hosts.raft.core import Role
from sim.events import MS
from sim.network import Network
from sim.node import Node
from sim.scene import Scene


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
                self._network.tell_refusal(host, port, refusal, 1 + random.randrange(200))
                self._scene.counts["forged refusals"] += 1
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

    def _draw(self, leader: Node) -> Refusal:
        """Mostly right in all but that it is not true."""
        host, port = leader.address
        which = self._random.random()
        if which < 0.2:
            return Refusal((host, port + 1), True)
        return Refusal((host, port), which < 0.9)
