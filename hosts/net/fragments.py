"""Messages larger than a datagram: cutting, pacing, resending and reassembly, without sockets or clocks.

An ``Outbox`` holds what goes to one address. It keeps at most WINDOW fragments in flight there, because the egress
queues of a software switch are short (BMv2: 64 packets). The receiver names what it lacks (``wire.FragmentStatus``);
a fragment counts as lost when REORDER later ones have arrived, or when nothing has come back for a while.

``hosts.net.reassembly`` is the other end. Times are seconds of any monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from hosts.wire import (
    FRAGMENT_PREFIX_BYTES,
    HEADER_BYTES,
    MAX_DATAGRAM,
    Flag,
    FragmentStatus,
    Header,
    Payload,
    fragment_head,
)

WINDOW = 16
WINDOW_AFTER_TIMEOUT = 4
REORDER = 3
SPAN = 512
"""Fragments from the first that has not arrived to the last that may be sent, or is looked at when a status comes:
whatever it says, that costs no more."""

FIRST_RTO_S = 0.05
MIN_RTO_S = 0.03
MAX_RTO_S = 0.4
GIVE_UP_S = 3.0
"""An outbox without any answer for so long drops what it holds: whoever wanted it sent asks again."""

FRAGMENT_BYTES = MAX_DATAGRAM - HEADER_BYTES - FRAGMENT_PREFIX_BYTES


class _State(Enum):
    WAITING = 0
    FLYING = 1
    LOST = 2
    ARRIVED = 3


@dataclass(slots=True)
class _Piece:
    offset: int
    state: _State = _State.WAITING
    order: int = 0
    """The outbox's count of sendings when this piece went out last."""
    sent_at: float = 0.0
    resent: bool = False


@dataclass(slots=True)
class _Outgoing:
    header: Header
    message_id: int
    payload: Payload = field(repr=False)
    count: int
    """How many pieces the payload is cut to; ``pieces`` holds those that were needed so far."""
    head: bytes
    """The header as each fragment carries it."""
    pieces: list[_Piece] = field(default_factory=list, repr=False)
    unsettled: dict[int, _Piece] = field(default_factory=dict, repr=False)
    """By offset: those that were sent and have not arrived, as far as is known."""
    restarted: bool = False
    first_open: int = 0
    """All pieces before this one have arrived."""
    next_piece: int = 0
    """This piece and those behind it were never sent."""
    receiver: Hashable = None

    @property
    def end_of_span(self) -> int:
        """The piece behind the last that may be sent now."""
        return min(self.count, self.first_open + SPAN)

    def make_pieces(self, count: int, size: int) -> None:
        """Until there are so many."""
        pieces = self.pieces
        for number in range(len(pieces), min(count, self.count)):
            pieces.append(_Piece(number * size, resent=self.restarted))


class Outbox:
    """The fragmented messages to one address, in order of their coming, interleaved as the window allows."""

    def __init__(self, first_message_id: int, fragment_bytes: int = FRAGMENT_BYTES) -> None:
        self._next_id = first_message_id
        self._fragment_bytes = fragment_bytes
        self._messages: OrderedDict[int, _Outgoing] = OrderedDict()
        self._by_header: dict[Header, int] = {}
        self.payload_bytes = 0
        """How many bytes the messages have that have not fully arrived."""
        self._resend: deque[tuple[_Outgoing, _Piece]] = deque()
        self._in_flight = 0
        self._window = WINDOW
        self._order = 0
        self._smooth_rtt_s = FIRST_RTO_S / 4
        self._rto_s = FIRST_RTO_S
        self._last_answer = 0.0
        self._timer = 0.0

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._messages

    def headers(self) -> Iterator[tuple[int, Header]]:
        """Message id and header, as given to ``add``, of each message that has not fully arrived."""
        return ((number, message.header) for number, message in self._messages.items())

    def find(self, header: Header) -> int | None:
        """The message id of what was added last with this header, if it has not fully arrived."""
        return self._by_header.get(header)

    def size_of(self, message_id: int) -> int:
        """Bytes of a queued message's payload. KeyError for an unknown one."""
        return len(self._messages[message_id].payload)

    def add(self, header: Header, payload: Payload, now: float) -> int:
        """Queue a message; ``poll`` then yields its datagrams. Returns its message id."""
        message_id = self._next_id
        self._next_id = (self._next_id + 1) % 2**64
        if not self._messages:
            self._last_answer = self._timer = now
        count = -(-len(payload) // self._fragment_bytes)
        head = replace(header, flags=header.flags | int(Flag.FRAGMENT)).pack()
        self._messages[message_id] = _Outgoing(header, message_id, payload, count, head)
        self._by_header[header] = message_id
        self.payload_bytes += len(payload)
        return message_id

    def remove(self, message_id: int) -> None:
        """Forget a message; whatever of it is in flight no longer counts."""
        message = self._messages.pop(message_id, None)
        if message is not None:
            self._forget_pieces(message)
            self.payload_bytes -= len(message.payload)
            if self._by_header.get(message.header) == message_id:
                del self._by_header[message.header]

    def restart(self, message_id: int, now: float) -> None:
        """Send a message from its beginning, because its receiver is another one now."""
        message = self._messages.get(message_id)
        if message is not None:
            self._start_over(message)
            self._last_answer = self._timer = now

    def on_status(self, status: FragmentStatus, receiver: Hashable, now: float) -> bool:
        """Take in what ``receiver`` says it has. True if that completes the message.

        When another receiver answers than before (the request was steered to a new leader), what the former one
        had no longer counts.
        """
        message = self._messages.get(status.message_id)
        if message is None or status.total != len(message.payload):
            return False
        if status.complete:
            self._note_answer(now)
            self.remove(status.message_id)
            return True
        if message.receiver is not None and message.receiver != receiver:
            self._start_over(message)
        message.receiver = receiver
        if self._mark_arrived(message, status, now):
            self._note_answer(now)
        if message.first_open == message.count:
            # It has all that was said to have arrived, yet says it is not complete: it has forgotten some.
            self._start_over(message)
        return False

    def poll(self, now: float) -> list[bytes]:
        """The datagrams to send now."""
        if not self._messages:
            return []
        if now - self._last_answer > GIVE_UP_S:
            self._messages.clear()
            self._by_header.clear()
            self._resend.clear()
            self._in_flight = self.payload_bytes = 0
            return []
        if self._in_flight and now >= self._timer + self._rto_s:
            self._on_timeout(now)
        datagrams = []
        while self._resend and self._in_flight < self._window:
            message, piece = self._resend.popleft()
            if piece.state is _State.LOST:
                piece.resent = True
                datagrams.append(self._send(message, piece, now))
        for message in self._messages.values():
            end = message.end_of_span
            while message.next_piece < end and self._in_flight < self._window:
                message.make_pieces(message.next_piece + 1, self._fragment_bytes)
                piece = message.pieces[message.next_piece]
                message.next_piece += 1
                if piece.state is _State.WAITING:
                    datagrams.append(self._send(message, piece, now))
            if self._in_flight >= self._window:
                break
        return datagrams

    def next_timeout(self) -> float | None:
        """When ``poll`` wants to be called again although nothing came in; None if never."""
        return self._timer + self._rto_s if self._messages else None

    def _send(self, message: _Outgoing, piece: _Piece, now: float) -> bytes:
        if self._in_flight == 0:
            self._timer = now
        self._order += 1
        self._in_flight += 1
        piece.state, piece.order, piece.sent_at = _State.FLYING, self._order, now
        payload, offset = message.payload, piece.offset
        message.unsettled[offset] = piece
        head = fragment_head(message.head, message.message_id, offset, len(payload))
        return head + payload[offset : offset + self._fragment_bytes]

    def _mark_arrived(self, message: _Outgoing, status: FragmentStatus, now: float) -> bool:
        """Note which pieces have arrived and which must be lost. True if any has arrived that was not known to."""
        size = self._fragment_bytes
        named = min(-(-status.highest // size), message.end_of_span)
        message.make_pieces(named, size)
        looked_at = [*message.unsettled.values(), *message.pieces[message.next_piece : named]]
        length, highest, has_gaps = len(message.payload), status.highest, bool(status.missing)
        newest = 0
        for piece in looked_at:
            end = min(piece.offset + size, length)
            if end > highest or piece.state is _State.ARRIVED:
                continue
            if has_gaps and not status.covers(piece.offset, end):
                continue
            if piece.state is _State.FLYING:
                self._in_flight -= 1
                if not piece.resent:
                    self._smooth_rtt_s += (now - piece.sent_at - self._smooth_rtt_s) / 8
            piece.state = _State.ARRIVED
            message.unsettled.pop(piece.offset, None)
            newest = max(newest, piece.order)
        for piece in message.unsettled.values():
            if piece.state is _State.FLYING and piece.order <= newest - REORDER:
                self._lose(message, piece)
        pieces = message.pieces
        while message.first_open < len(pieces) and pieces[message.first_open].state is _State.ARRIVED:
            message.first_open += 1
        return newest > 0

    def _note_answer(self, now: float) -> None:
        self._last_answer = self._timer = now
        self._rto_s = min(max(4 * self._smooth_rtt_s, MIN_RTO_S), MAX_RTO_S)
        self._window = min(self._window * 2, WINDOW)

    def _on_timeout(self, now: float) -> None:
        """Nothing has come back: the oldest fragments go again, a few at first, and the wait doubles."""
        self._timer = now
        self._rto_s = min(self._rto_s * 2, MAX_RTO_S)
        self._window = WINDOW_AFTER_TIMEOUT
        flying = [
            (message, piece)
            for message in self._messages.values()
            for piece in message.unsettled.values()
            if piece.state is _State.FLYING
        ]
        flying.sort(key=lambda item: item[1].order)
        for message, piece in flying:
            self._lose(message, piece)

    def _lose(self, message: _Outgoing, piece: _Piece) -> None:
        piece.state = _State.LOST
        self._in_flight -= 1
        self._resend.append((message, piece))

    def _start_over(self, message: _Outgoing) -> None:
        self._forget_pieces(message)
        message.pieces.clear()
        message.restarted = True
        message.first_open = message.next_piece = 0
        message.receiver = None

    def _forget_pieces(self, message: _Outgoing) -> None:
        for piece in message.unsettled.values():
            if piece.state is _State.FLYING:
                self._in_flight -= 1
        message.unsettled.clear()
        self._resend = deque(item for item in self._resend if item[0] is not message)
