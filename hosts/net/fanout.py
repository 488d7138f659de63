"""Messages larger than a datagram to everybody at once: the network copies each datagram for every receiver.

A ``FanOut`` cuts each message once. What it sends it enters into the ``Outbox`` of each receiver, as on its way where
that receiver's window has room. Else it goes again, to that receiver alone, when there is room, unless its copy has
come by then. What is lost that outbox sends again; statuses, timeouts and probes of the path are its own. So a slow
receiver holds back nobody: a message goes on at the pace of those that a quorum needs.

Without sockets and clocks. Times are seconds of any monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from hosts.net.flight import OVERHEAD_BYTES, cut, pack_head
from hosts.net.fragments import Outbox
from hosts.wire import Flag, Header, Payload

LOOK_AHEAD = 16
"""Messages that may wait at a time for their receivers while what follows goes on to others. Who waits for one may
then hear a later one first, as from any network."""

_FANOUT = int(Flag.FANOUT)


def to_one(header: Header, member: int) -> Header:
    """The header of what everybody gets, as one member gets it alone."""
    return Header(  # ``replace`` takes ten times as long
        header.type,
        header.source,
        member,
        header.group,
        header.term,
        header.index,
        header.log_term,
        header.commit,
        header.flags & ~_FANOUT,
    )


@dataclass(slots=True)
class _Shared:
    """A message of which not all has gone to everybody."""

    message_id: int
    head: bytes
    payload: Payload = field(repr=False)
    receivers: list[Outbox] = field(repr=False)
    needed: int
    next: int = 0
    """From this byte on nothing was ever sent."""


class FanOut:
    """The large messages of one group that everybody gets, in order of their coming."""

    def __init__(self, first_message_id: int) -> None:
        self._next_id = first_message_id
        self._unsent: deque[_Shared] = deque()

    def __len__(self) -> int:
        """How many messages have not all gone to everybody."""
        return len(self._unsent)

    def add(self, header: Header, payload: Payload, receivers: Mapping[int, Outbox], needed: int, now: float) -> None:
        """Queue a message to EVERYBODY, with FANOUT; ``poll`` then yields its datagrams. ``receivers``: the outboxes
        of those who are to get it, by their ids. It goes on while ``needed`` of them have room."""
        message_id = self._next_id
        self._next_id = (self._next_id + 1) % 2**64
        for member, outbox in receivers.items():
            outbox.add(to_one(header, member), payload, now, message_id)
        head = pack_head(header, message_id)
        self._unsent.append(_Shared(message_id, head, payload, list(receivers.values()), needed))

    def poll(self, now: float) -> list[bytes]:
        """The datagrams to send to everybody now. What one receiver is to get again its outbox knows."""
        datagrams: list[bytes] = []
        unsent = self._unsent
        waiting: list[_Shared] = []
        while unsent and len(waiting) < LOOK_AHEAD:
            message = unsent.popleft()
            if not self._is_sent(message, datagrams, now):
                waiting.append(message)
        unsent.extendleft(reversed(waiting))
        return datagrams

    def _is_sent(self, message: _Shared, datagrams: list[bytes], now: float) -> bool:
        """Send as much of it as may go now. True if the rest goes to nobody or to each alone."""
        message_id, count = message.message_id, len(message.receivers)
        receivers = message.receivers = [outbox for outbox in message.receivers if outbox.shares(message_id)]
        if not receivers:
            return True
        if len(receivers) == 1 < count:
            receivers[0].go_alone(message_id)
            return True
        # Who has been silent for long gets what is sent, but nobody waits for that.
        awake = [outbox for outbox in receivers if not outbox.silent] or receivers
        step = min(outbox.path.size for outbox in awake) - OVERHEAD_BYTES
        reaches = sorted((outbox.reach(message_id, step) for outbox in awake), reverse=True)
        end = reaches[min(message.needed, len(awake)) - 1]
        if end > message.next:
            datagrams += cut(message.head, message.payload, message.next, end, step)
            message.next = end
            for outbox in receivers:
                outbox.went_to_everybody(message_id, end, step, now)
        return end >= len(message.payload)
