"""Packets at switches' ports, as messages on their way: sent by a host, passed through switches, received. Pure.

Packets are one message if they hold the same datagram from the same source: switches change addresses and the target
of a copy, nothing else. What is not seen to arrive is told as dropped, unless packets were missed meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hosts.net.gathered import own_part
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import Flag, WireError
from topo.topology import Topology
from web.recording import PAYLOAD_AT, hop_text, patch_of

AGAIN_NS = 50_000_000
"""Messages with the same bytes that were sent so long after one another are told apart by when they are seen."""
LOST_NS = 1_000_000_000
"""A message that has not arrived by then will not."""
KEPT_NS = 2_000_000_000
MOST_BYTES = 300
"""Of a frame that are told."""
TYPE_AT, FLAGS_AT, TARGET_AT = 43, 44, 46

Json = dict[str, Any]
Timed = tuple[int, Json]
"""Nanoseconds since 1970, and an event without its time."""
Way = Callable[[int, int, str, int, bytes], tuple[int, Sequence[int | str]]]
"""Given a message's number (0: not known), nanoseconds since 1970, switch, port and frame; gives the number of the
way through the switch's program and the hop's values, as recordings have them."""


def not_followed(_m: int, _time_ns: int, _switch: str, _port: int, _frame: bytes) -> tuple[int, Sequence[int | str]]:
    """Way 0: nobody knows."""
    return 0, ()


@dataclass(eq=False)
class _Message:
    m: int
    key: bytes
    sent_ns: int
    frame: bytes
    to: str | None
    at: set[str]
    """Where it was seen last: a host, or switches. Of one that is copied: those behind which no copy was seen yet."""
    received: set[str] = field(default_factory=set)
    been: set[str] = field(default_factory=set)
    """Interfaces at which it was seen."""
    judged: bool = False

    @property
    def is_for_all(self) -> bool:
        """Whether switches are to copy it."""
        frame = self.frame
        return len(frame) > TARGET_AT and frame[TARGET_AT] == EVERYBODY and bool(frame[FLAGS_AT] & Flag.FANOUT)

    @property
    def ends_at_switch(self) -> bool:
        """Whether the first switch takes it, and gives it to the controller."""
        return len(self.frame) > TYPE_AT and self.frame[TYPE_AT] == MessageType.CONFIGURATION

    @property
    def lost_at(self) -> list[str]:
        """Where it, or copies of it, were seen last that have not arrived."""
        if self.ends_at_switch or (self.received and not self.is_for_all):
            return []
        return sorted(self.at)


class Messages:
    """The messages of a lab that are on their way now."""

    def __init__(self, topology: Topology, first: int = 1, way: Way = not_followed) -> None:
        """``first``: the number of the first message. ``way`` is asked once for each frame that comes into a switch,
        in the order of time."""
        self.next = first
        self._way = way
        self._hosts = {str(host.ip): host.name for host in topology.hosts}
        self._edges = {host.switch_interface: host.name for host in topology.hosts}
        self._ports = {
            interface: (switch.name, port)
            for switch in topology.switches
            for port, interface in topology.ports(switch.name).items()
        }
        self._before = {(host.switch, host.port): host.name for host in topology.hosts}
        for link in topology.links:
            self._before |= {(link.a, link.a_port): link.b, (link.b, link.b_port): link.a}
        self._known: defaultdict[bytes, list[_Message]] = defaultdict(list)
        """By what they have in common, in the order in which they were sent."""
        self._recent: dict[int, _Message] = {}
        self._blurred_ns = 0

    def take(self, frames: Iterable[Sequence[Any]]) -> list[Timed]:
        """Frames in the order of time: each (nanoseconds, interface, whether it goes out, hexadecimal)."""
        events: list[Timed] = []
        for time_ns, interface, outgoing, text in frames:
            events += self.seen(time_ns, interface, bool(outgoing), bytes.fromhex(text))
        return events

    def seen(self, time_ns: int, interface: str, outgoing: bool, frame: bytes) -> list[Timed]:
        """A frame, no earlier than the one before."""
        if len(frame) < PAYLOAD_AT or interface not in self._ports:
            return []
        host = self._edges.get(interface)
        if outgoing:
            return self._arrives(time_ns, interface, host or "", frame)
        left = [self._leaves(time_ns, host, frame)] if host is not None else []
        return [*left, *self._passes(time_ns, interface, frame)]

    def blurred(self, now_ns: int) -> None:
        """Packets were missed: nothing follows for messages of this time."""
        self._blurred_ns = now_ns

    def _leaves(self, time_ns: int, host: str, frame: bytes) -> Timed:
        key = _key(frame)
        to = self._hosts.get(".".join(map(str, frame[30:34])))
        again = bool(self._known.get(key))
        message = _Message(self.next, key, time_ns, frame[:MOST_BYTES], to, {host})
        self.next += 1
        self._known[key].append(message)
        self._recent[message.m] = message
        event: Json = {"k": "sent", "who": host, "m": message.m, "frame": message.frame.hex()}
        event |= {"to": to} if to is not None else {}
        event |= {"again": True} if again else {}
        event |= {"size": len(frame)} if len(frame) > MOST_BYTES else {}
        return time_ns, event

    def _find(self, time_ns: int, interface: str, frame: bytes) -> _Message | None:
        """Which of the messages with these bytes is seen here: the oldest that was not here yet, unless a later one
        was sent long after it; the latest if all were."""
        equal = self._known.get(_key(frame))
        if not equal:
            return None
        new = [one for one in equal if interface not in one.been]
        message = next((one for one in new if time_ns - one.sent_ns < AGAIN_NS), new[-1] if new else equal[-1])
        message.been.add(interface)
        return message

    def _passes(self, time_ns: int, interface: str, frame: bytes) -> list[Timed]:
        message = self._find(time_ns, interface, frame)
        switch, port = self._ports[interface]
        way, values = self._way(0 if message is None else message.m, time_ns, switch, port, frame)
        if message is None:
            return []
        if message.is_for_all:
            message.at = message.at - {self._before[switch, port]} | {switch}
        else:
            message.at = {switch}
        hop = hop_text(switch, port, way, patch_of(message.frame, frame[:MOST_BYTES]), values)
        return [(time_ns, {"k": "passed", "m": message.m, "hops": [hop]})]

    def _arrives(self, time_ns: int, interface: str, host: str, frame: bytes) -> list[Timed]:
        message = self._find(time_ns, interface, frame)
        if message is None:
            return []
        event: Json = {"k": "received", "who": host, "m": message.m}
        event |= {"copy": True} if host in message.received else {}
        event |= {"astray": True} if message.to is not None and message.to != host else {}
        message.received.add(host)
        if message.is_for_all:
            message.at.discard(self._ports[interface][0])
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
                if self._blurred_ns < message.sent_ns:
                    events += [
                        (now_ns, {"k": "dropped", "who": where, "m": message.m, "why": "not seen again"})
                        for where in message.lost_at
                    ]
            if age > KEPT_NS:
                del self._recent[message.m]
                equal = self._known[message.key]
                equal.remove(message)
                if not equal:
                    del self._known[message.key]
        return events


def _key(frame: bytes) -> bytes:
    """What is the same at every port: source address and port, and the datagram, without the target of a copy that a
    switch makes."""
    if len(frame) > TARGET_AT and frame[TYPE_AT] == MessageType.APPEND_ENTRIES_REPLY:
        frame = _without_others(frame)
    whole = frame[26:30] + frame[34:36] + frame[PAYLOAD_AT:]
    if len(frame) <= TARGET_AT or not frame[FLAGS_AT] & Flag.FANOUT:
        return whole
    return frame[26:30] + frame[34:36] + frame[PAYLOAD_AT:TARGET_AT] + frame[TARGET_AT + 1 :]


def _without_others(frame: bytes) -> bytes:
    """An acknowledgement without those that the leader's switch has put in front of its payload."""
    if not frame[FLAGS_AT] & Flag.GATHERED:
        return frame
    try:
        return frame[:PAYLOAD_AT] + own_part(frame[PAYLOAD_AT:])
    except WireError:
        return frame
