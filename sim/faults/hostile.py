"""Whoever sends what must not pass: garbage, and forged messages from client hosts' ports.

A forged peer message carries a mark. Where switches guard members, none may arrive at a member; where members have a
key, none may be taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

from hosts.config import Address
from hosts.net.seal import SEAL_BYTES
from hosts.raft.message import MessageType
from hosts.wire import FIRST_CLIENT_TYPE, HEADER_BYTES, Flag, Header
from sim import frames
from sim.fabric import Fabric
from sim.frames import PAYLOAD_AT, Sender, fold, word_sum
from sim.network import Network
from sim.node import Node
from sim.scene import Scene

MARK = 0xBAD0_BAD0_BAD0_BAD0
"""The round of forged messages."""

_MARK = MARK.to_bytes(8, "big")
_UNKNOWN_HOST = "10.9.9.9"
_SOURCE_AT, _TARGET_AT = 3, 4


class Hostile:
    """Sends something every now and then. On a plain network a member's address is what the others know it by; so
    there nothing comes under it unless they have a key."""

    def __init__(self, scene: Scene, network: Network, fabric: Fabric | None, nodes: Mapping[int, Node]) -> None:
        self._scene = scene
        self._network = network
        self._fabric = fabric
        self._nodes = nodes
        self._random = Random(f"hostile/{scene.plan.seed}")
        self._going = True
        self._cluster = scene.plan.topology.cluster
        self._next()

    def stop(self) -> None:
        self._going = False

    def _next(self) -> None:
        if self._going:
            self._scene.events.after(1 + self._random.randrange(2 * self._scene.plan.hostile_us), self._send)

    def _send(self) -> None:
        if not self._going:
            return
        self._scene.counts["hostile packets"] += 1
        topology = self._scene.plan.topology
        host = topology.host(self._random.choice(topology.clients or topology.members))
        group = self._random.choice(topology.groups)
        member = self._random.choice(list(group.members))
        target = self._scene.member_addresses[member]
        if self._fabric is None:
            forged = self._forged(group.id, member)
            choices = [(host.name, target, datagram) for datagram in (bytes(2), bytes(50), b"\x01" * 60, forged)]
            if self._scene.plan.sealed:
                choices += [(self._nodes[forged[_SOURCE_AT]].host, target, forged), *self._altered()]
            who, there, datagram = self._random.choice(choices)
            self._network.enter(who, topology.port, there, datagram)
        elif self._random.random() < 0.05:
            self._bad_packet_out()
        else:
            sender = Sender(str(host.ip), host.mac, host.gateway_mac)
            self._network.raw(host.name, self._frame(sender, group.id, member, target))
        self._next()

    def _altered(self) -> Iterator[tuple[str, Address, bytes]]:
        """A message of a member's with a bit of its header turned, or for another member than it was."""
        random = self._random
        kept = [one for one in self._network.sent if one[3][1] < FIRST_CLIENT_TYPE]
        if not kept:
            return
        host, _, target, datagram = random.choice(kept)
        # Without a counter of its own it would be a replay, and for that alone be refused.
        datagram = datagram[:-SEAL_BYTES] + random.randbytes(SEAL_BYTES)
        yield host, target, _with(datagram, 8 + random.randrange(HEADER_BYTES - 8), 1 << random.randrange(8))
        other = random.choice(list(self._scene.member_addresses))
        if other != datagram[_TARGET_AT]:
            yield host, self._scene.member_addresses[other], _with(datagram, _TARGET_AT, datagram[_TARGET_AT] ^ other)

    def _bad_packet_out(self) -> None:
        fabric = self._fabric
        assert fabric is not None
        switch = self._random.choice(list(fabric.switches))
        kind = self._random.choice((2, 9))
        fabric.enter(switch, 510, bytes([0, kind, self._random.choice((0, 200))]) + bytes(60))

    def _forged(self, group: int, member: int, kind: MessageType | None = None, **fields: int) -> bytes:
        """A message that claims to come from another member of the group."""
        random = self._random
        source = self._another(group, member)
        kind = kind or random.choice(
            (
                MessageType.APPEND_ENTRIES,
                MessageType.APPEND_ENTRIES_REPLY,
                MessageType.REQUEST_VOTE,
                MessageType.REQUEST_VOTE_REPLY,
                MessageType.PRE_VOTE,
                MessageType.TIMEOUT_NOW,
            )
        )
        term = random.choice((1, 5, 1000, 2**62))
        header = Header(kind, source, member, group, **{"term": term, "index": random.randrange(100), **fields})
        return header.pack() + self._cluster.to_bytes(8, "big") + MARK.to_bytes(8, "big")

    def _another(self, group: int, member: int) -> int:
        """Another member of the group, or where there is none, of any."""
        others = [other for other in self._scene.watches[group].members if other != member]
        return self._random.choice(others or [other for other in self._scene.member_addresses if other != member])

    def _frame(self, sender: Sender, group: int, member: int, target: tuple[str, int]) -> bytes:
        random, port = self._random, target[1]
        forged = self._forged(group, member)
        # Claims a member's address as well, so that hosts would take it.
        source = self._another(group, member)
        impostor = Sender(self._scene.member_addresses[source][0], sender.mac, sender.gateway_mac)

        def whole(datagram: bytes = forged, who: Sender = sender, to: tuple[str, int] = target) -> bytearray:
            return bytearray(frames.pack(who, port, to, datagram, checksum=False))

        choice = random.randrange(16)
        frame = whole()
        if choice == 0:
            frame[12:14] = random.choice((b"\x08\x06", b"\x86\xdd"))
        elif choice == 1:
            frame[14] = 0x46
        elif choice == 2:
            frame[24] ^= 0x5A
        elif choice == 3:
            frame[22] = 1
            _fix(frame)
        elif choice == 4:
            frame = whole(forged[: random.randrange(1, 40)])
        elif choice == 5:
            frame[PAYLOAD_AT] = 9
        elif choice == 6:
            frame[PAYLOAD_AT + 8] = 0x80
        elif choice == 7:
            frame = whole(self._forged(group, member, MessageType.REQUEST_VOTE, flags=int(Flag.FANOUT)))
        elif choice == 8:
            frame = whole(to=(_UNKNOWN_HOST, port), datagram=bytes([64]) * 60)
        elif choice == 9:
            frame[12:14] = b"\x88\xb5"
        elif choice == 10:
            frame = frame[: random.randrange(1, 34)]
        elif choice == 11:
            frame[PAYLOAD_AT + 4] = 255
        elif choice == 12:
            frame[20] = 0x20
            _fix(frame)
        elif self._scene.guarded:
            frame = whole(who=impostor)
        return bytes(frame)


def _with(datagram: bytes, at: int, bits: int) -> bytes:
    """The datagram with some bits of a byte turned."""
    return datagram[:at] + bytes([datagram[at] ^ bits]) + datagram[at + 1 :]


def _fix(frame: bytearray) -> None:
    """Make the IPv4 header's checksum right again."""
    frame[24:26] = b"\0\0"
    frame[24:26] = (~fold(word_sum(bytes(frame[14:34]))) & 0xFFFF).to_bytes(2, "big")


def is_forged(datagram: bytes) -> bool:
    """Whether a datagram is one that was forged here."""
    return len(datagram) == 56 and datagram[48:] == _MARK
