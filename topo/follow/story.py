"""Which packets belong to a client's call, and what each of them is for. Pure.

A write is an entry of the leader's log: its AppendEntries to each member, the replies that cover it, and the first
AppendEntries to each that says it is committed. A read makes the leader ask the members whether it still leads: all
of its rounds between request and answer. A member that does not lead asks its leader first, and is told once that
has done so; question and answer may ride on the rounds' own messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hosts.config import Address
from hosts.raft.message import MessageType
from hosts.wire import Flag, Header, WireError, unpack_peer
from topo.follow.filters import Sent

REQUEST, ANSWER = "request", "answer"
APPEND, ACKNOWLEDGEMENT, COMMIT = "append", "acknowledgement", "commit"
ROUND, ROUND_REPLY = "round", "round reply"
QUESTION, INDEX = "question", "index"
ROLES = (REQUEST, APPEND, ACKNOWLEDGEMENT, COMMIT, QUESTION, ROUND, ROUND_REPLY, INDEX, ANSWER)


@dataclass(frozen=True)
class Call:
    """A client's call. ``index`` and ``term`` of its entry, 0 if it has none or is not known; ``leader``: the member
    that answered, 0 if none did."""

    client: Address
    group: int
    cluster: int
    leader: int = 0
    index: int = 0
    term: int = 0


def window(packets: Iterable[Sent], client: Address) -> tuple[int, int]:
    """When the first packet of a client left, and when the last one to it did, in nanoseconds; (0, 0) without any."""
    ours = [one.time_ns for one in packets if client in (one.source, one.destination)]
    return (min(ours), max(ours)) if ours else (0, 0)


@dataclass
class Story:
    """Says of each packet, in the order of time, what it is for. ``between``: when the call began and was
    answered."""

    call: Call
    between: tuple[int, int]
    _acknowledged: set[int] = field(default_factory=set)
    _told: set[int] = field(default_factory=set)
    _asked: int = 0
    """Whom the member that answered has asked, if it does not lead."""

    def role(self, one: Sent) -> str:
        """One of ROLES; "" for a packet that has nothing to do with it."""
        if one.source == self.call.client:
            return REQUEST
        if one.destination == self.call.client:
            return ANSWER
        header = one.header
        if header is None or header.group != self.call.group or not self.call.leader or one.fault:
            return ""
        if not self.call.index and self._during(one):
            rides = self._question(header)
            if rides:
                return rides
        leader = self._asked or self.call.leader
        if header.type == MessageType.APPEND_ENTRIES and header.source == leader:
            return self._append(one, header)
        if header.type == MessageType.APPEND_ENTRIES_REPLY and header.target == leader:
            return self._reply(one, header)
        return ""

    def _question(self, header: Header) -> str:
        asks = _is(header, MessageType.READ_INDEX, MessageType.APPEND_ENTRIES_REPLY)
        if asks and header.source == self.call.leader:
            self._asked = header.target
            return QUESTION
        tells = _is(header, MessageType.READ_INDEX_REPLY, MessageType.APPEND_ENTRIES)
        return INDEX if tells and header.target == self.call.leader else ""

    def _append(self, one: Sent, header: Header) -> str:
        if not self.call.index:
            return ROUND if self._during(one) else ""
        if header.term < self.call.term or one.time_ns < self.between[0]:
            return ""
        if covers(one, header, self.call.index, self.call.cluster):
            return APPEND
        if header.commit >= self.call.index and header.target not in self._told:
            self._told.add(header.target)
            return COMMIT
        return ""

    def _reply(self, one: Sent, header: Header) -> str:
        if not self.call.index:
            return ROUND_REPLY if self._during(one) else ""
        new = header.source not in self._acknowledged and one.time_ns >= self.between[0]
        if not new or header.flags & Flag.REJECT or header.index < self.call.index:
            return ""
        self._acknowledged.add(header.source)
        return ACKNOWLEDGEMENT

    def _during(self, one: Sent) -> bool:
        return self.between[0] <= one.time_ns <= self.between[1]


def _is(header: Header, kind: MessageType, carrier: MessageType) -> bool:
    """Whether this is a message of that kind, or carries one."""
    return header.type == kind or (header.type == carrier and header.flags & Flag.MORE != 0)


def covers(one: Sent, header: Header, index: int, cluster: int) -> bool:
    """Whether an AppendEntries carries the entry of this index. A fragment shows only behind which entry its message
    begins."""
    if header.is_fragment:
        return header.index == index - 1
    try:
        message = unpack_peer(header, one.payload, cluster=cluster)
    except WireError:
        return False
    return header.index < index <= header.index + len(message.entries)
