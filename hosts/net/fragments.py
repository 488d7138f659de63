"""Messages larger than a datagram: cutting, pacing and resending, without sockets or clocks.

An ``Outbox`` holds what goes to one address. How large its datagrams are ``hosts.net.path`` finds out, how many may
be on their way ``hosts.net.congestion``. The receiver names what it lacks (``wire.FragmentStatus``); a piece counts
as lost when REORDER later ones have arrived, or when nothing has come back for a while.

``hosts.net.reassembly`` is the other end. Times are seconds of any monotonic clock, given by the caller.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace

from hosts.net.congestion import CongestionWindow
from hosts.net.flight import OVERHEAD_BYTES, Outgoing, Run, cut, pack_head, sort_all
from hosts.net.path import PathSize
from hosts.raft.message import MessageType
from hosts.wire import FIRST_CLIENT_TYPE, FragmentStatus, Header, Payload

REORDER = 3
SPAN = 512
"""Pieces from the first that has not arrived to the last that may be sent: so much a receiver must bear."""

PERSISTENT = 2
"""Timeouts in a row after which all that was on its way counts as lost."""

REPEATED = 2
"""Pieces that are sent again at a timeout before: what has come their receiver then says."""

LOST_COPIES = 8
"""Copies of a message that everybody gets, lost in a row at one receiver, after which it gets the rest alone."""

GIVE_UP_S = 3.0
"""An outbox without any answer for so long drops what it holds: whoever wanted it sent asks again."""


class Outbox:
    """The fragmented messages to one address, in order of their coming, interleaved as the window allows."""

    def __init__(
        self,
        first_message_id: int,
        path: PathSize | None = None,
        identity: Callable[[Header], Hashable] = lambda header: header,
    ) -> None:
        """``path`` is by default one that takes no larger datagrams than every path does. ``identity``: what tells
        messages apart for ``find``."""
        self.path = PathSize() if path is None else path
        self.window = CongestionWindow(self.path.size)
        self._next_id = first_message_id
        self._messages: OrderedDict[int, Outgoing] = OrderedDict()
        self._identity = identity
        self._by_identity: dict[Hashable, int] = {}
        self._terms: dict[int, int] = {}
        """By group: the term of what was given last to ``forget_older``."""
        self.payload_bytes = 0
        """How many bytes the messages have that have not fully arrived."""
        self._unsent: deque[Outgoing] = deque()
        """Messages of which something was never sent; those before the first such are done with."""
        self._resend: deque[tuple[Outgoing, int, int, int]] = deque()
        """Message, offset and end of what is lost, and how much of it a datagram had."""
        self._in_flight = 0
        """Bytes of datagrams."""
        self._held_back = False
        """Whether the window was what held back more."""
        self._order = 0
        """Datagrams with fragments sent until now."""
        self._silences = 0
        """Timeouts since the last answer."""
        self._last_answer = 0.0
        self._timer = 0.0
        self._probe = (-1, 0)
        """Message id and size of the latest probe of the path."""

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._messages

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of datagrams that are on their way, as far as is known."""
        return self._in_flight

    def headers(self) -> Iterator[tuple[int, Header]]:
        """Message id and header, as given to ``add``, of each message that has not fully arrived."""
        return ((number, message.header) for number, message in self._messages.items())

    def find(self, header: Header) -> int | None:
        """The message id of what was added last and is the same by its header, if it has not fully arrived."""
        return self._by_identity.get(self._identity(header))

    def forget_older(self, group: int, term: int) -> None:
        """Remove a group's messages of terms before this one."""
        if self._terms.get(group) == term:
            return
        self._terms[group] = term
        for number, header in list(self.headers()):
            if header.group == group and header.term < term:
                self.remove(number)

    def size_of(self, message_id: int) -> int:
        """Bytes of a queued message's payload. KeyError for an unknown one."""
        return self._messages[message_id].total

    def add(self, header: Header, payload: Payload, now: float, shared_as: int | None = None) -> int:
        """Queue a message; ``poll`` then yields its datagrams. Returns its message id. ``shared_as``: the id of a
        message that goes out to everybody at once; ``poll`` yields what of it this receiver gets once more."""
        message_id = self._draw_id() if shared_as is None else shared_as
        if not self._messages:
            self._last_answer = self._timer = now
            self._silences = 0
        message = self._messages[message_id] = Outgoing(
            header, message_id, payload, len(payload), pack_head(header, message_id), shared=shared_as is not None
        )
        self._by_identity[self._identity(header)] = message_id
        self.payload_bytes += message.total
        self._unsent.append(message)
        return message_id

    def remove(self, message_id: int) -> None:
        """Forget a message; whatever of it is in flight no longer counts."""
        message = self._messages.pop(message_id, None)
        if message is not None:
            self._forget_pieces(message)
            message.next = message.total
            self.payload_bytes -= message.total
            if self.find(message.header) == message_id:
                del self._by_identity[self._identity(message.header)]

    def restart(self, message_id: int, now: float) -> None:
        """Send a message from its beginning, because its receiver is another one now."""
        message = self._messages.get(message_id)
        if message is not None:
            self._start_over(message)
            self._last_answer = self._timer = now
            self._silences = 0

    def on_status(self, status: FragmentStatus, receiver: Hashable, now: float) -> bool:
        """Take in what ``receiver`` says it has. True if that completes a message.

        When another receiver answers than before (the request was steered to a new leader), what the former one
        had no longer counts. That happens once in a while only: where some fragments come to one receiver and some
        to another, each answer would bring a window's worth of datagrams otherwise, and each of those an answer.
        """
        if status.message_id == self._probe[0]:
            if status.complete:
                self.path.proved(self._probe[1], now)
            return False
        message = self._messages.get(status.message_id)
        if message is None or status.total != message.total:
            return False
        if status.complete:
            runs, message.flying = message.flying, []
            self._arrived(runs, now)
            self._note_answer(now)
            self.remove(status.message_id)
            return True
        if message.receiver is not None and message.receiver != receiver:
            if now < message.moved_at + self.window.timeout(0):
                return False
            message.moved_at = now
            self._start_over(message)
        message.receiver = receiver
        self._take_in(message, status, now)
        until = min(message.total, message.first_open + SPAN * (self.path.size - OVERHEAD_BYTES))
        if message.next >= until and not (message.flying or message.lost or message.beyond):
            # It has all that was said to have arrived, yet says it is not complete: it has forgotten some.
            self._start_over(message)
        return False

    def poll(self, now: float) -> list[bytes]:
        """The datagrams to send now."""
        if not self._messages:
            return []
        if now - self._last_answer > GIVE_UP_S:
            self.clear()
            return []
        datagrams: list[bytes] = []
        if self._in_flight and now >= self._timer + self.window.timeout(self._silences):
            self._on_timeout(datagrams, now)
        size = self.path.due(now)
        if size:
            datagrams.append(self._make_probe(size))
        self._send_lost(datagrams, now)
        self._send_new(datagrams, now)
        return datagrams

    def next_timeout(self) -> float | None:
        """When ``poll`` wants to be called again although nothing came in; None if never."""
        return self._timer + self.window.timeout(self._silences) if self._messages else None

    # -- out ----------------------------------------------------------------------------------------------------

    def _draw_id(self) -> int:
        drawn = self._next_id
        self._next_id = (self._next_id + 1) % 2**64
        return drawn

    def _make_probe(self, size: int) -> bytes:
        """A datagram of ``size`` bytes that says nothing; its receiver answers that it has come, as of fragments."""
        self._probe = (self._draw_id(), size)
        header = next(iter(self._messages.values())).header
        peers = header.type < FIRST_CLIENT_TYPE
        kind = MessageType.FRAGMENT_STATUS if peers else MessageType.CLIENT_FRAGMENT_STATUS
        head = pack_head(replace(header, type=kind, flags=0), self._probe[0])
        room = size - OVERHEAD_BYTES
        return cut(head, bytes(room), 0, room, room)[0]

    def _send_lost(self, datagrams: list[bytes], now: float) -> None:
        resend, most = self._resend, self.path.size - OVERHEAD_BYTES
        while resend and self._in_flight < self.window.size:
            message, offset, end, step = resend.popleft()
            message.lost -= 1
            if end <= message.first_open:
                continue
            offset = max(offset, message.first_open)
            # Each datagram is cut by itself where they were larger: what comes must not overlap what has come late.
            until = end if step <= most else min(offset + step, end)
            at = min(offset + self._room(min(step, most)) * min(step, most), until)
            self._send(message, offset, at, min(step, most), now, datagrams, again=True)
            for rest in ((until, end), (at, until)):
                if rest[0] < rest[1]:
                    message.lost += 1
                    resend.appendleft((message, *rest, step))

    def _send_new(self, datagrams: list[bytes], now: float) -> None:
        window, most = self.window.size, self.path.size - OVERHEAD_BYTES
        unsent = self._unsent
        waiting: tuple[int, ...] = ()
        for message in unsent:
            if message.beyond:
                self._send_copied(message, datagrams, now)
            if message.shared and message.next < message.total:
                # What is behind it in its group waits, as it would if this outbox sent it.
                waiting += (message.header.group,)
            if waiting and message.header.group in waiting:
                continue
            # What has come by copies since it goes to this receiver alone need not go again.
            if message.next < message.first_open:
                message.next = message.first_open
            end = self._end_of_new(message, most)
            if end > message.next:
                offset, message.next = message.next, end
                self._send(message, offset, end, most, now, datagrams, again=message.again)
            if self._in_flight >= window:
                break
        while unsent and unsent[0].next >= unsent[0].total and not unsent[0].beyond:
            unsent.popleft()
        self._held_back = self._in_flight >= window

    def _end_of_new(self, message: Outgoing, step: int) -> int:
        """How far what was never sent may go now, in datagrams of ``step`` bytes."""
        until = min(message.total, message.first_open + SPAN * step)
        if message.next >= until or self._in_flight >= self.window.size:
            return message.next
        # The last datagram before ``until`` is as long as the others, as its receiver knows no other end.
        count = min(-(-(until - message.next) // step), self._room(step))
        return min(message.total, message.next + count * step)

    def _room(self, step: int) -> int:
        """How many datagrams with ``step`` bytes the window, which has room, lets go."""
        return math.ceil((self.window.size - self._in_flight) / (step + OVERHEAD_BYTES))

    def _send(
        self, message: Outgoing, offset: int, end: int, step: int, now: float, datagrams: list[bytes], *, again: bool
    ) -> None:
        """Send this range, ``step`` bytes a datagram."""
        self._note_sent(message, offset, end, step, now, again=again)
        datagrams += cut(message.head, message.payload, offset, end, step)

    def _note_sent(self, message: Outgoing, offset: int, end: int, step: int, now: float, *, again: bool) -> None:
        if not self._in_flight:
            self._timer = now
        run = Run(offset, end, step, self._order + 1, now, again)
        self._order = run.last
        self._in_flight += run.size
        message.flying.append(run)

    # -- what goes to everybody ---------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        """Whether nothing has come back for so long that all that was on its way counts as lost."""
        return self._silences >= PERSISTENT

    def shares(self, message_id: int) -> bool:
        """Whether the rest of a message is to come to this receiver with what goes to everybody."""
        message = self._messages.get(message_id)
        return message is not None and message.shared

    def go_alone(self, message_id: int) -> None:
        """Send the rest of a shared message to this receiver alone."""
        self._messages[message_id].shared = False

    def reach(self, message_id: int, step: int) -> int:
        """Up to which byte a shared message may go to everybody as far as this receiver has room, in datagrams of
        ``step`` bytes. KeyError for an unknown one."""
        message = self._messages[message_id]
        for earlier in self._unsent:
            if earlier is message:
                break
            if earlier.next < earlier.total and earlier.header.group == message.header.group:
                return message.next
        return self._end_of_new(message, step)

    def went_to_everybody(self, message_id: int, end: int, step: int, now: float) -> None:
        """All of a shared message up to ``end`` has gone to everybody, what is new in datagrams of ``step`` bytes.
        KeyError for an unknown one."""
        message, reach = self._messages[message_id], min(self.reach(message_id, step), end)
        if reach > message.next:
            self._note_sent(message, message.next, reach, step, now, again=False)
        if end > reach:
            message.beyond.append(Run(reach, end, step, self._order + 1, now, again=False))
            self._order = message.beyond[-1].last
        message.next = end
        self._held_back = self._in_flight >= self.window.size

    def _send_copied(self, message: Outgoing, datagrams: list[bytes], now: float) -> None:
        """Send to this receiver alone what went to everybody when there was no room for it, and must be lost."""
        latest = now - self.window.timeout(self._silences)
        while message.beyond and self._in_flight < self.window.size:
            run = message.beyond[0]
            due = run.count if run.sent_at <= latest else message.overtaken + 1 - run.order
            if due <= 0:
                return
            front, rest = run.cut(min(due, self._room(run.step)))
            message.beyond[:1] = [rest] if rest is not None else []
            self._owe(message, front)
            self._send_lost(datagrams, now)

    # -- what has become of it ----------------------------------------------------------------------------------

    def _take_in(self, message: Outgoing, status: FragmentStatus, now: float) -> None:
        """Note which pieces have arrived, and which must be lost."""
        arrived, flying = sort_all(message.flying, status)
        message.flying = flying
        copies: list[Run] = []
        if message.beyond:
            copies, message.beyond = sort_all(message.beyond, status)
        message.first_open = max(message.first_open, status.missing[0][0] if status.missing else status.highest)
        if not arrived and not copies:
            return
        self._arrived(arrived, now)
        self._note_answer(now)
        if message.missed and (copies or not all(run.again for run in arrived)):
            message.missed = 0
        overtaken = message.overtaken = max(message.overtaken, max(run.last for run in (*arrived, *copies)) - REORDER)
        lost: list[Run] = []
        while flying and flying[0].order <= overtaken:
            front, rest = flying[0].cut(overtaken + 1 - flying[0].order)
            lost.append(front)
            flying[:1] = [rest] if rest is not None else []
        if lost:
            self.window.lost(lost[-1].sent_at, now, self.path.size)
            self._lose(message, lost)

    def _arrived(self, runs: list[Run], now: float) -> None:
        """These are on their way no more."""
        if not runs:
            return
        size = sum(run.size for run in runs)
        self._in_flight -= size
        newest = max(runs, key=lambda run: run.order)
        if not newest.again:
            self.window.round_trip(now - newest.sent_at)
        self.window.arrived(size, newest.sent_at, self.path.size, limited=self._held_back)

    def _note_answer(self, now: float) -> None:
        self._last_answer = self._timer = now
        self._silences = 0

    def _on_timeout(self, datagrams: list[bytes], now: float) -> None:
        """Nothing has come back. At first some of it goes again, to hear what has come; then all of it is lost."""
        self._timer = now
        self._silences += 1
        if self._silences < PERSISTENT:
            latest = self._order
            for _ in range(REPEATED):
                self._repeat_oldest(latest, datagrams, now)
            return
        self.path.fell_silent(now)
        self.window.fell_silent(now, self.path.size)
        for message in self._messages.values():
            runs, message.flying = message.flying, []
            self._lose(message, runs)

    def _repeat_oldest(self, latest: int, datagrams: list[bytes], now: float) -> None:
        """Send the datagram again that has been on its way for longest, of those up to the ``latest``."""
        flying = [message for message in self._messages.values() if message.flying]
        message = min(flying, key=lambda one: one.flying[0].order, default=None)
        if message is None or message.flying[0].order > latest:
            return
        front, rest = message.flying[0].cut(1)
        message.flying[:1] = [rest] if rest is not None else []
        self._in_flight -= front.size
        self._send(message, front.offset, front.end, front.step, now, datagrams, again=True)

    def _lose(self, message: Outgoing, runs: Iterable[Run]) -> None:
        for run in runs:
            self._in_flight -= run.size
            self._owe(message, run)
            if message.shared and not run.again:
                message.missed += run.count
        if message.missed >= LOST_COPIES:
            message.shared = False

    def _owe(self, message: Outgoing, run: Run) -> None:
        message.lost += 1
        self._resend.append((message, run.offset, run.end, run.step))

    def _start_over(self, message: Outgoing) -> None:
        self._forget_pieces(message)
        message.again = True
        message.shared = False
        message.next = message.first_open = 0
        message.receiver = None
        self._unsent = deque(one for one in self._unsent if one is not message)
        self._unsent.appendleft(message)

    def _forget_pieces(self, message: Outgoing) -> None:
        self._in_flight -= sum(run.size for run in message.flying)
        message.flying.clear()
        message.beyond.clear()
        if message.lost:
            message.lost = 0
            self._resend = deque(item for item in self._resend if item[0] is not message)

    def clear(self) -> None:
        """Forget all messages."""
        self._messages.clear()
        self._by_identity.clear()
        self._unsent.clear()
        self._resend.clear()
        self._in_flight = self.payload_bytes = 0
