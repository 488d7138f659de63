"""Packets at switches' ports, as messages on their way: sent by a host, passed through switches, received. Pure.

Packets are one message if they hold the same datagram from the same source: switches change addresses and the target
of a copy, nothing else. What is not seen to arrive is told as dropped, unless packets were missed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hosts.raft.message import MessageType
from hosts.wire import Flag
from topo.topology import Topology
from web.recording import PAYLOAD_AT, hop_text, patch_of

LOST_NS = 1_000_000_000
"""A message that has not arrived by then will not."""
KEPT_NS = 2_000_000_000
MOST_BYTES = 300
"""Of a frame that are told."""
TYPE_AT, FLAGS_AT, TARGET_AT = 43, 44, 46

Json = dict[str, Any]
Timed = tuple[int, Json]
"""Nanoseconds since 1970, and an event without its time."""


@dataclass
class _Message:
    m: int
    key: bytes
    sent_ns: int
    frame: bytes
    to: str | None
    at: str
    received: set[str] = field(default_factory=set)
    judged: bool = False

    @property
    def ends_at_switch(self) -> bool:
        """Whether the first switch takes it, and gives it to the controller."""
        return len(self.frame) > TYPE_AT and self.frame[TYPE_AT] == MessageType.CONFIGURATION


class Messages:
    """The messages of a lab that are on their way now."""

    def __init__(self, topology: Topology, first: int = 1) -> None:
        """``first``: the number of the first message."""
        self.next = first
        self._hosts = {str(host.ip): host.name for host in topology.hosts}
        self._edges = {host.switch_interface: host.name for host in topology.hosts}
        self._ports = {
            interface: (switch.name, port)
            for switch in topology.switches
            for port, interface in topology.ports(switch.name).items()
        }
        self._known: dict[bytes, _Message] = {}
        self._recent: dict[int, _Message] = {}
        self._blurred_ns = 0

    def take(self, frames: Iterable[Sequence[Any]]) -> list[Timed]:
        """Frames in the order of time: each (nanoseconds, interface, whether it goes out, hexadecimal)."""
        events: list[Timed] = []
        for time_ns, interface, outgoing, text in frames:
            frame = bytes.fromhex(text)
            if len(frame) < PAYLOAD_AT or interface not in self._ports:
                continue
            host = self._edges.get(interface)
            if outgoing:
                events += self._arrives(time_ns, host or "", frame)
                continue
            if host is not None:
                events.append(self._leaves(time_ns, host, frame))
            events += self._passes(time_ns, interface, frame)
        return events

    def blurred(self, now_ns: int) -> None:
        """Packets were missed: nothing follows for messages of this time."""
        self._blurred_ns = now_ns

    def _leaves(self, time_ns: int, host: str, frame: bytes) -> Timed:
        key = _key(frame)
        to = self._hosts.get(".".join(map(str, frame[30:34])))
        again = key in self._known
        message = _Message(self.next, key, time_ns, frame[:MOST_BYTES], to, host)
        self.next += 1
        self._known[key] = self._recent[message.m] = message
        event: Json = {"k": "sent", "who": host, "m": message.m, "frame": message.frame.hex()}
        event |= {"to": to} if to is not None else {}
        event |= {"again": True} if again else {}
        event |= {"size": len(frame)} if len(frame) > MOST_BYTES else {}
        return time_ns, event

    def _passes(self, time_ns: int, interface: str, frame: bytes) -> list[Timed]:
        message = self._known.get(_key(frame))
        if message is None:
            return []
        switch, port = self._ports[interface]
        message.at = switch
        hop = hop_text(switch, port, 0, patch_of(message.frame, frame[:MOST_BYTES]), ())
        return [(time_ns, {"k": "passed", "m": message.m, "hops": [hop]})]

    def _arrives(self, time_ns: int, host: str, frame: bytes) -> list[Timed]:
        message = self._known.get(_key(frame))
        if message is None:
            return []
        event: Json = {"k": "received", "who": host, "m": message.m}
        event |= {"copy": True} if message.received else {}
        event |= {"astray": True} if message.to is not None and message.to != host else {}
        message.received.add(host)
        return [(time_ns, event)]

    def look_back(self, now_ns: int) -> list[Timed]:
        """What has not arrived in time. To be called when all frames up to ``now_ns`` were taken."""
        events: list[Timed] = []
        for message in list(self._recent.values()):
            age = now_ns - message.sent_ns
            if age < LOST_NS:
                break
            if not message.judged:
                message.judged = True
                if not message.received and not message.ends_at_switch and self._blurred_ns < message.sent_ns:
                    lost: Json = {"k": "dropped", "who": message.at, "m": message.m, "why": "not seen again"}
                    events.append((now_ns, lost))
            if age > KEPT_NS:
                del self._recent[message.m]
                if self._known.get(message.key) is message:
                    del self._known[message.key]
        return events


def _key(frame: bytes) -> bytes:
    """What is the same at every port: source address and port, and the datagram, without the target of a copy that a
    switch makes."""
    whole = frame[26:30] + frame[34:36] + frame[PAYLOAD_AT:]
    if len(frame) <= TARGET_AT or not frame[FLAGS_AT] & Flag.FANOUT:
        return whole
    return frame[26:30] + frame[34:36] + frame[PAYLOAD_AT:TARGET_AT] + frame[TARGET_AT + 1 :]
