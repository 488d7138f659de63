"""Forged GATHERED: from clients' hosts and over links between switches, which no switch may let pass; and behind the
last switch, changed or out of its time, which a leader with a key must refuse."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hosts.net.gathered import split
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, PEER_PREFIX_BYTES, Flag, Header
from sim import frames
from sim.fabric import Fabric
from sim.frames import Sender
from sim.network import Network
from sim.node import Node
from sim.scene import Scene

_SEALED_RECORD = 50
_TERM_AT = 8
_INDEX_AT, _COUNTER_AT = 2, 26
"""In a record."""


class FalseGathering:
    """Sends something every now and then where leaders let acknowledgements be gathered."""

    def __init__(self, scene: Scene, network: Network, fabric: Fabric, nodes: Mapping[int, Node]) -> None:
        self._scene = scene
        self._network = network
        self._fabric = fabric
        self._nodes = nodes
        self._random = Random(f"false gathering/{scene.plan.seed}")
        self._goes_on = scene.plan.cluster.gathers
        self._next()

    def stop(self) -> None:
        self._goes_on = False

    def _next(self) -> None:
        if self._goes_on:
            self._scene.events.after(1 + self._random.randrange(2 * self._scene.plan.hostile_us), self._send)

    def _send(self) -> None:
        if not self._goes_on:
            return
        if self._scene.plan.sealed and self._fabric.gathered and self._random.random() < 0.7:
            self._alter()
        else:
            self._forge()
        self._next()

    def _forge(self) -> None:
        """To a member, from a client's host under a member's address or over a link of switches."""
        random, plan = self._random, self._scene.plan
        group = random.choice(plan.topology.groups)
        members = list(group.members)
        target, source = random.choice(members), random.choice(members)
        flags = int(Flag.GATHER | Flag.GATHERED)
        kind, term = MessageType.APPEND_ENTRIES_REPLY, random.choice((1, 2, 3, 1000))
        header = Header(kind, source, target, group.id, term, random.randrange(100), flags=flags)
        record = bytes((random.choice(members), 0)) + random.randbytes(16)
        datagram = header.pack() + record + plan.topology.cluster.to_bytes(8, "big") + bytes(8)
        host = plan.topology.host(random.choice(plan.topology.clients or plan.topology.members))
        sender = Sender(self._scene.member_addresses[source][0], host.mac, host.gateway_mac)
        frame = frames.pack(sender, plan.topology.port, self._scene.member_addresses[target], datagram, checksum=True)
        trunks = [end for link in plan.topology.links for end in ((link.a, link.a_port), (link.b, link.b_port))]
        if trunks and random.random() < 0.5:
            self._fabric.enter(*random.choice(trunks), frame)
        else:
            self._network.raw(host.name, frame)
        self._scene.counts["forged gatherings"] += 1

    def _alter(self) -> None:
        """What a leader has got once reaches it again: with a bit of a record turned, or with what another term's
        carried, or as one of another term."""
        random = self._random
        host, source, datagram = random.choice(self._fabric.gathered)
        altered = bytearray(datagram)
        records = (len(datagram) - HEADER_BYTES - PEER_PREFIX_BYTES) // _SEALED_RECORD
        at = HEADER_BYTES + random.randrange(records) * _SEALED_RECORD
        choice = random.randrange(4)
        if choice == 0:
            altered[at + random.randrange(_SEALED_RECORD)] ^= 1 << random.randrange(8)
        elif choice == 1:
            altered[_TERM_AT + 7] ^= 1
        elif choice == 2:
            other = random.choice(self._fabric.gathered)[2]
            altered[at : at + _SEALED_RECORD] = other[HEADER_BYTES : HEADER_BYTES + _SEALED_RECORD]
        else:
            _raise(altered, at + _INDEX_AT, 1)
        if choice != 2:
            # Without a counter of its own it would be a replay, and for that alone count for nothing.
            _raise(altered, at + _COUNTER_AT, 1 + random.randrange(500))
        assert split(datagram, 0, sealed=True)
        self._network.arrives_behind(host, source, bytes(altered))
        self._scene.counts["gatherings altered"] += 1


def _raise(datagram: bytearray, at: int, by: int) -> None:
    """Make a number of 64 bits larger."""
    number = (int.from_bytes(datagram[at : at + 8], "big") + by) % 2**64
    datagram[at : at + 8] = number.to_bytes(8, "big")
