"""What clients ask and nodes answer: the payloads of ClientRequest and ClientReply, and of log entries.

A request's payload is ``nonce:64 operation:8`` and the operation's operands; header fields name the session, the
sequence and the lowest unanswered sequence. The nonce is a random number that a client draws once. It opens a
session at most once, keeps another client from using it by mistake, and is echoed in replies, so that only who has
seen the request can answer it. A log entry holds ``session:64 sequence:64 lowest:64`` and the request's payload.

A reply's payload is ``nonce:64 outcome:8 leader:8 index:64 term:64`` and, with OK, the result as a value; with
other outcomes a text for people, or with NOT_LEADER the leader's ``address:port``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from hosts.service import values
from hosts.service.checking import STEPS, Checks, Steps, begin_all
from hosts.service.values import MAX_LARGE_BYTES, Value, ValueFault
from hosts.wire import LARGE, Payload, Rope

_REQUEST = struct.Struct(">QB")
_REPLY = struct.Struct(">QBBQQ")
_COMMAND = struct.Struct(">QQQ")
_KEY_LENGTH = struct.Struct(">I")
_READ_LIST = struct.Struct(">QI")
_AGE = struct.Struct(">I")
_OPERATION_AT = 8

MAX_REQUEST_BYTES = MAX_LARGE_BYTES + 64
"""A key and a value share MAX_LARGE_BYTES."""

MAX_U32 = 2**32 - 1
MAX_U64 = 2**64 - 1
MAX_TEXT_BYTES = 400
"""The longest text that a node says to people."""


Encoded: TypeAlias = bytes | memoryview
"""An encoded value, or what holds one."""


class RequestFault(ValueError):
    """A request that no node carries out; the text says why."""


class Operation(IntEnum):
    """What a client can ask."""

    OPEN_SESSION = 1
    APPEND = 2
    PUT = 3
    GET = 4
    DELETE = 5
    READ_LIST = 6
    GET_STALE = 7
    """A GET that may see the state as it was up to ``age_ms`` before it was asked for."""


WRITES = frozenset({Operation.APPEND, Operation.PUT, Operation.DELETE})
"""Operations that must not be executed twice; the others may be."""


READS = frozenset({Operation.GET, Operation.READ_LIST, Operation.GET_STALE})
"""Operations that change nothing, and so need no log entry."""


class Outcome(IntEnum):
    """How a request ended. All but OK come with REJECT in the header."""

    OK = 0
    NOT_LEADER = 1
    """``leader`` leads, 0 if this node knows none. Nothing was done."""
    BUSY = 2
    """The leader has too much to do. Nothing was done; try again later."""
    LOST_LEADERSHIP = 3
    """The request was taken, but this node leads no more: it may or may not be carried out. Ask again."""
    UNKNOWN_SESSION = 4
    """Never opened, or expired. Nothing was done now; whether it was done before is not known."""
    STALE = 5
    """The client has said that it waits for this sequence no longer. Nothing was done now."""
    BAD_REQUEST = 6
    """Nothing was done, and never will be."""
    SESSION_EXPIRED = 7
    """This sequence was never carried out, and never will be: it may be repeated under a new session. Clients that do
    not say that they know this (KNOWS_EXPIRED) get UNKNOWN_SESSION."""


KNOWS_EXPIRED = 1
"""The header field ``term`` of a request whose client knows SESSION_EXPIRED; 0 in those that do not."""


@dataclass(frozen=True, slots=True)
class Request:
    """An operation with its operands, each an encoded value (``hosts.service.values``)."""

    nonce: int
    operation: Operation
    key: bytes = b""
    value: Encoded = field(default=b"", repr=False)
    start: int = 0
    limit: int = 0
    age_ms: int = 0

    def pack(self) -> bytes:
        """The payload. Raises RequestFault if it is too large, or for a place in the list that cannot be."""
        head = _REQUEST.pack(self.nonce, self.operation)
        if self.operation is Operation.PUT:
            tail = b"".join((_KEY_LENGTH.pack(len(self.key)), self.key, self.value))
        elif self.operation is Operation.READ_LIST:
            if not (0 <= self.start <= MAX_U64 and 0 <= self.limit <= MAX_U32):
                raise RequestFault(f"{self.limit} values from {self.start} on: neither can be negative, nor so large")
            tail = _READ_LIST.pack(self.start, self.limit)
        elif self.operation is Operation.GET_STALE:
            if not 0 <= self.age_ms <= MAX_U32:
                raise RequestFault(f"an age of {self.age_ms} ms: it cannot be negative, nor above {MAX_U32}")
            tail = _AGE.pack(self.age_ms) + self.key
        else:
            tail = self.key or bytes(self.value)
        if len(tail) > MAX_LARGE_BYTES + _KEY_LENGTH.size:
            raise RequestFault(f"key and value take {len(tail)} bytes; at most {MAX_LARGE_BYTES} are possible")
        return head + tail

    @classmethod
    def unpack(cls, payload: Encoded) -> Request:
        """The inverse of pack. Raises RequestFault; does not look into the values (see ``check_values``)."""
        if len(payload) < _REQUEST.size or len(payload) > MAX_REQUEST_BYTES:
            raise RequestFault(f"a request of {len(payload)} bytes")
        nonce, number = _REQUEST.unpack_from(payload)
        operation = _OPERATIONS.get(number)
        if operation is None:
            raise RequestFault(f"unknown operation {number}")
        tail = _behind(payload, _REQUEST.size)
        if operation is Operation.APPEND:
            return cls(nonce, operation, value=tail)
        if operation is Operation.PUT:
            if len(tail) < _KEY_LENGTH.size:
                raise RequestFault("a put without a key")
            (length,) = _KEY_LENGTH.unpack_from(tail)
            end = _KEY_LENGTH.size + length
            return cls(nonce, operation, key=bytes(tail[_KEY_LENGTH.size : end]), value=tail[end:])
        if operation is Operation.READ_LIST:
            if len(tail) != _READ_LIST.size:
                raise RequestFault("read_list takes a start and a limit")
            start, limit = _READ_LIST.unpack(tail)
            return cls(nonce, operation, start=start, limit=limit)
        if operation is Operation.GET_STALE:
            if len(tail) < _AGE.size:
                raise RequestFault("a read of an age without its age")
            return cls(nonce, operation, key=bytes(tail[_AGE.size :]), age_ms=_AGE.unpack_from(tail)[0])
        return cls(nonce, operation, key=bytes(tail))

    def begin_check(self, steps: Steps = STEPS) -> Checks | None:
        """What finds out whether key and value are values, None if they are: done once, before a request enters the
        log. Raises RequestFault if it is clear at once that they are none."""
        if self.operation is Operation.OPEN_SESSION and self.key:
            raise RequestFault("opening a session takes no operands")
        operands: tuple[Encoded, ...] = ()
        if self.operation is Operation.APPEND:
            operands = (self.value,)
        elif self.operation is Operation.PUT:
            operands = (self.key, self.value)
        elif self.operation in (Operation.GET, Operation.GET_STALE, Operation.DELETE):
            operands = (self.key,)
        try:
            return begin_all(operands, steps)
        except ValueFault as fault:
            raise RequestFault(str(fault)) from fault

    def check_values(self) -> None:
        """Raises RequestFault if key or value are none; all of ``begin_check`` at once."""
        checks = self.begin_check()
        try:
            while checks is not None and not checks.step():
                pass
        except ValueFault as fault:
            raise RequestFault(str(fault)) from fault


def operation_in(payload: Encoded) -> Operation | None:
    """What a request's payload asks for, if that is known."""
    return _OPERATIONS.get(payload[_OPERATION_AT]) if len(payload) > _OPERATION_AT else None


_OPERATIONS = {int(operation): operation for operation in Operation}
_OUTCOMES = {int(outcome): outcome for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class Command:
    """A request in the log, with the session that it belongs to."""

    session: int
    sequence: int
    lowest: int
    request: Request

    def pack(self) -> bytes:
        """The data of a log entry with this command."""
        return pack_command(self.session, self.sequence, self.lowest, self.request.pack())

    @classmethod
    def unpack(cls, data: bytes) -> Command:
        """The inverse of pack. Raises RequestFault."""
        if len(data) < _COMMAND.size:
            raise RequestFault("a command cut short")
        session, sequence, lowest = _COMMAND.unpack_from(data)
        return cls(session, sequence, lowest, Request.unpack(_behind(data, _COMMAND.size)))


def _behind(packed: Encoded, start: int) -> Encoded:
    return memoryview(packed)[start:] if len(packed) > LARGE else packed[start:]


def pack_command(session: int, sequence: int, lowest: int, payload: Encoded) -> bytes:
    """A log entry's data from a ClientRequest's header fields and payload."""
    return b"".join((_COMMAND.pack(session, sequence, lowest), payload))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``index`` and ``term`` are those of the log entry that carried the request out, or of the last one
    whose effect a read saw; 0 if there is none."""

    nonce: int
    outcome: Outcome
    leader: int = 0
    index: int = 0
    term: int = 0
    body: bytes = field(default=b"", repr=False)
    large: Encoded = field(default=b"", repr=False)
    """Stands behind the body, and is not copied for that."""

    def pack(self) -> bytes:
        """The payload."""
        head = _REPLY.pack(self.nonce, self.outcome, self.leader, self.index, self.term)
        return b"".join((head, self.body, self.large))

    def payload(self) -> Payload:
        """The same bytes as ``pack`` gives, without a copy of what is large."""
        if not self.large:
            return self.pack()
        head = _REPLY.pack(self.nonce, self.outcome, self.leader, self.index, self.term)
        return Rope((head, self.body, self.large))

    @classmethod
    def unpack(cls, payload: bytes) -> Reply:
        """The inverse of pack. Raises RequestFault."""
        if len(payload) < _REPLY.size:
            raise RequestFault("a reply cut short")
        nonce, number, leader, index, term = _REPLY.unpack_from(payload)
        outcome = _OUTCOMES.get(number)
        if outcome is None:
            raise RequestFault(f"unknown outcome {number}")
        return cls(nonce, outcome, leader, index, term, payload[_REPLY.size :])

    @property
    def text(self) -> str:
        """The body of an answer that is not OK, as one line for people."""
        text = self.body[:MAX_TEXT_BYTES].decode(errors="replace")
        return "".join(character if character.isprintable() else " " for character in text)


def unpack_result(request: Request, body: bytes) -> Value:
    """The result in an OK reply to ``request``. Raises RequestFault or ValueFault for what such a request never
    gives."""
    result = values.decode(body)
    if not _is_result(request, result):
        raise RequestFault(f"no result of {request.operation.name}")
    return result


def _is_result(request: Request, result: Value) -> bool:
    operation = request.operation
    if operation is Operation.OPEN_SESSION:
        return type(result) is int and 0 < result <= MAX_U64
    if operation is Operation.APPEND:
        return type(result) is int and result >= 0
    if operation in (Operation.PUT, Operation.DELETE):
        return type(result) is bool
    if type(result) is not list or len(result) != 2:
        return False
    if operation in (Operation.GET, Operation.GET_STALE):
        return type(result[0]) is bool
    total, part = result
    return type(total) is int and total >= 0 and type(part) is list and len(part) <= request.limit
