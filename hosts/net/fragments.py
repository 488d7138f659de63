"""Messages larger than a datagram: cutting, pacing and resending, without sockets or clocks.

An ``Outbox`` holds what goes to one address. How large its datagrams are ``hosts.net.path`` finds out, how many may
be on their way ``hosts.net.congestion``. The receiver names what it lacks (``wire.FragmentStatus``); a piece counts
as lost when REORDER later ones have arrived, or when nothing has come back for a while.

``hosts.net.reassembly`` is the other end. Times are seconds of any monotonic clock, given by the caller.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from hosts.net.congestion import CongestionWindow
from hosts.net.path import PathSize
from hosts.raft.message import MessageType
from hosts.wire import FIRST_CLIENT_TYPE, FRAGMENT_PREFIX_BYTES, HEADER_BYTES, Flag, FragmentStatus, Header, Payload

REORDER = 3
SPAN = 512
"""Pieces from the first that has not arrived to the last that may be sent: so much a receiver must bear."""

PERSISTENT = 2
"""Timeouts in a row after which all that was on its way counts as lost."""

REPEATED = 2
"""Pieces that are sent again at a timeout before: what has come their receiver then says."""

GIVE_UP_S = 3.0
"""An outbox without any answer for so long drops what it holds: whoever wanted it sent asks again."""

OVERHEAD_BYTES = HEADER_BYTES + FRAGMENT_PREFIX_BYTES

_MESSAGE_ID = struct.Struct(">Q")
_PLACE = struct.Struct(">II")


@dataclass(slots=True)
class _Piece:
    """Part of a message on its way."""

    offset: int
    end: int
    order: int
    """The outbox's count of sendings when this piece went out."""
    sent_at: float
    again: bool
    """Whether these bytes went out before: an answer does not say which time it is to."""


@dataclass(slots=True)
class _Outgoing:
    header: Header
    message_id: int
    payload: Payload = field(repr=False)
    total: int
    head: bytes
    """Header and message id, as each fragment carries them."""
    next: int = 0
    """From this byte on nothing was ever sent."""
    first_open: int = 0
    """All bytes before this one have arrived."""
    flying: dict[int, _Piece] = field(default_factory=dict, repr=False)
    """By offset, in the order in which they went out."""
    lost: int = 0
    """How many pieces wait to be sent again."""
    again: bool = False
    """Whether all of it is sent for the second time."""
    receiver: Hashable = None
    moved_at: float = -math.inf
    """When another receiver answered than before."""


class Outbox:
    """The fragmented messages to one address, in order of their coming, interleaved as the window allows."""

    def __init__(self, first_message_id: int, path: PathSize | None = None) -> None:
        """``path`` is by default one that takes no larger datagrams than every path does."""
        self.path = PathSize() if path is None else path
        self.window = CongestionWindow(self.path.size)
        self._next_id = first_message_id
        self._messages: OrderedDict[int, _Outgoing] = OrderedDict()
        self._by_header: dict[Header, int] = {}
        self.payload_bytes = 0
        """How many bytes the messages have that have not fully arrived."""
        self._unsent: deque[_Outgoing] = deque()
        """Messages of which something was never sent; those before the first such are done with."""
        self._resend: deque[tuple[_Outgoing, int, int]] = deque()
        """Message, offset and end of what is lost."""
        self._in_flight = 0
        """Bytes of datagrams."""
        self._held_back = False
        """Whether the window was what held back more."""
        self._order = 0
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
        """The message id of what was added last with this header, if it has not fully arrived."""
        return self._by_header.get(header)

    def size_of(self, message_id: int) -> int:
        """Bytes of a queued message's payload. KeyError for an unknown one."""
        return self._messages[message_id].total

    def add(self, header: Header, payload: Payload, now: float) -> int:
        """Queue a message; ``poll`` then yields its datagrams. Returns its message id."""
        message_id = self._draw_id()
        if not self._messages:
            self._last_answer = self._timer = now
            self._silences = 0
        head = replace(header, flags=header.flags | int(Flag.FRAGMENT)).pack() + _MESSAGE_ID.pack(message_id)
        message = self._messages[message_id] = _Outgoing(header, message_id, payload, len(payload), head)
        self._by_header[header] = message_id
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
            if self._by_header.get(message.header) == message_id:
                del self._by_header[message.header]

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
            self._arrived(message, list(message.flying.values()), now)
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
        if message.next >= message.total and not message.flying and not message.lost:
            # It has all that was said to have arrived, yet says it is not complete: it has forgotten some.
            self._start_over(message)
        return False

    def poll(self, now: float) -> list[bytes]:
        """The datagrams to send now."""
        if not self._messages:
            return []
        if now - self._last_answer > GIVE_UP_S:
            self._give_up()
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
        head = replace(header, type=kind, flags=int(Flag.FRAGMENT)).pack()
        room = size - OVERHEAD_BYTES
        return head + _MESSAGE_ID.pack(self._probe[0]) + _PLACE.pack(0, room) + bytes(room)

    def _send_lost(self, datagrams: list[bytes], now: float) -> None:
        resend, window, most = self._resend, self.window.size, self.path.size - OVERHEAD_BYTES
        while resend and self._in_flight < window:
            message, offset, end = resend.popleft()
            if end > message.first_open:
                if end - offset > most:
                    resend.appendleft((message, offset + most, end))
                    end = offset + most
                else:
                    message.lost -= 1
                datagrams.append(self._send(message, offset, end, now, again=True))
            else:
                message.lost -= 1

    def _send_new(self, datagrams: list[bytes], now: float) -> None:
        window, most = self.window.size, self.path.size - OVERHEAD_BYTES
        unsent = self._unsent
        for message in unsent:
            until = min(message.total, message.first_open + SPAN * most)
            while message.next < until and self._in_flight < window:
                offset = message.next
                message.next = min(offset + most, message.total)
                datagrams.append(self._send(message, offset, message.next, now, again=message.again))
            if self._in_flight >= window:
                break
        while unsent and unsent[0].next >= unsent[0].total:
            unsent.popleft()
        self._held_back = self._in_flight >= window

    def _send(self, message: _Outgoing, offset: int, end: int, now: float, *, again: bool) -> bytes:
        if not self._in_flight:
            self._timer = now
        self._order += 1
        self._in_flight += end - offset + OVERHEAD_BYTES
        message.flying[offset] = _Piece(offset, end, self._order, now, again)
        return message.head + _PLACE.pack(offset, message.total) + message.payload[offset:end]

    # -- what has become of it ----------------------------------------------------------------------------------

    def _take_in(self, message: _Outgoing, status: FragmentStatus, now: float) -> None:
        """Note which pieces have arrived, and which must be lost."""
        highest, missing = status.highest, status.missing
        arrived = [
            piece
            for piece in message.flying.values()
            if piece.end <= highest and (not missing or status.covers(piece.offset, piece.end))
        ]
        message.first_open = max(message.first_open, missing[0][0] if missing else highest)
        if not arrived:
            return
        self._arrived(message, arrived, now)
        self._note_answer(now)
        newest = max(piece.order for piece in arrived)
        lost = []
        for piece in message.flying.values():
            if piece.order > newest - REORDER:
                break
            lost.append(piece)
        if lost:
            self.window.lost(lost[-1].sent_at, now, self.path.size)
            self._lose(message, lost)

    def _arrived(self, message: _Outgoing, pieces: list[_Piece], now: float) -> None:
        if not pieces:
            return
        size = 0
        for piece in pieces:
            del message.flying[piece.offset]
            size += piece.end - piece.offset + OVERHEAD_BYTES
        self._in_flight -= size
        newest = max(pieces, key=lambda piece: piece.order)
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
            oldest = [(message, piece) for message in self._messages.values() for piece in message.flying.values()]
            oldest.sort(key=lambda item: item[1].order)
            for message, piece in oldest[:REPEATED]:
                self._in_flight -= piece.end - piece.offset + OVERHEAD_BYTES
                del message.flying[piece.offset]
                datagrams.append(self._send(message, piece.offset, piece.end, now, again=True))
            return
        self.path.fell_silent(now)
        self.window.fell_silent(now, self.path.size)
        for message in self._messages.values():
            self._lose(message, list(message.flying.values()))

    def _lose(self, message: _Outgoing, pieces: Iterable[_Piece]) -> None:
        for piece in pieces:
            del message.flying[piece.offset]
            self._in_flight -= piece.end - piece.offset + OVERHEAD_BYTES
            message.lost += 1
            self._resend.append((message, piece.offset, piece.end))

    def _start_over(self, message: _Outgoing) -> None:
        self._forget_pieces(message)
        message.again = True
        message.next = message.first_open = 0
        message.receiver = None
        self._unsent = deque(one for one in self._unsent if one is not message)
        self._unsent.appendleft(message)

    def _forget_pieces(self, message: _Outgoing) -> None:
        for piece in message.flying.values():
            self._in_flight -= piece.end - piece.offset + OVERHEAD_BYTES
        message.flying.clear()
        if message.lost:
            message.lost = 0
            self._resend = deque(item for item in self._resend if item[0] is not message)

    def _give_up(self) -> None:
        self._messages.clear()
        self._by_header.clear()
        self._unsent.clear()
        self._resend.clear()
        self._in_flight = self.payload_bytes = 0
