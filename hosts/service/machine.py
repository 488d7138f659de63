"""The replicated state machine of a group: an append-only list of values and a map of keys to values.

``apply`` takes committed entries in order and is deterministic: it looks at nothing but the entry and what earlier
entries have left. Values stay encoded; decoding them is for those who read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hosts.raft.message import Entry, EntryKind
from hosts.service import values
from hosts.service.requests import WRITES, Command, Encoded, Operation, Outcome, Reply, Request, RequestFault
from hosts.service.sessions import DEFAULT_LIMITS, NO_SESSION, Limits, Sessions
from hosts.wire import LARGE

READ_LIST_BYTES = 1 << 20
READ_LIST_VALUES = 10_000
"""A read_list returns at least one value and otherwise no more than so many bytes and values; the reader asks for the
rest."""


@dataclass(frozen=True, slots=True)
class Item:
    """A value of the list with the log entry that appended it."""

    index: int
    term: int
    value: Encoded = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What applying a command leads to: the reply, for whom."""

    session: int
    sequence: int
    reply: Reply


class Machine:
    """One group's state. ``items`` is only ever appended to; ``pairs`` maps encoded keys to encoded values."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """``limits`` must be the same on all members."""
        self.items: list[Item] = []
        self.pairs: dict[bytes, Encoded] = {}
        self.sessions = Sessions(limits)
        self._limits = limits
        self.applied_index = 0
        self.applied_term = 0
        self._former: dict[bytes, Encoded | None] | None = None

    def apply(self, entry: Entry) -> Answer | None:
        """Carry out the next entry; None for entries that no client waits for. ValueError for a gap."""
        if entry.index != self.applied_index + 1:
            raise ValueError(f"entry {entry.index} was to be applied after {self.applied_index}")
        self.applied_index, self.applied_term = entry.index, entry.term
        if entry.kind is not EntryKind.COMMAND:
            return None
        try:
            command = Command.unpack(entry.data)
        except RequestFault as fault:
            # The leader refuses these. Should one ever stand in the log, all members must skip it alike.
            return Answer(0, 0, Reply(0, Outcome.BAD_REQUEST, body=str(fault).encode()))
        return Answer(command.session, command.sequence, self._carry_out(command, entry))

    # -- snapshots ----------------------------------------------------------------------------------------------

    def blank(self) -> Machine:
        """An empty machine with the same limits."""
        return Machine(self._limits)

    def clear(self) -> None:
        """Become as at first: what comes takes the place of everything."""
        self.become(self.blank())

    def preserve_pairs(self) -> dict[bytes, Encoded | None]:
        """From now on, and until ``stop_preserving``, this gets the former value of each key that is changed."""
        self._former = {}
        return self._former

    def stop_preserving(self) -> None:
        """Keep former values of pairs and sessions no longer."""
        self._former = None
        self.sessions.stop_preserving()

    def add_items(self, items: Iterable[tuple[int, int, Encoded]]) -> None:
        """Make the list longer by (index, term, value) of each."""
        self.items.extend([Item(*item) for item in items])

    def become(self, other: Machine) -> None:
        """Take over another's state, which it must not use any more."""
        self.items, self.pairs, self.sessions = other.items, other.pairs, other.sessions
        self.applied_index, self.applied_term = other.applied_index, other.applied_term

    def _carry_out(self, command: Command, entry: Entry) -> Reply:
        request = command.request
        if request.operation is Operation.OPEN_SESSION:
            session = self.sessions.open(request.nonce, entry.index)
            return self._ok(request, entry, values.encode(session), b"")
        known = self.sessions.admit(command.session, request.nonce, command.sequence, command.lowest, entry.index)
        if known is not None:
            return known
        reply = self._ok(request, entry, *self._execute(request, entry))
        if request.operation in WRITES:
            self.sessions.keep(command.session, command.sequence, reply)
        return reply

    def _execute(self, request: Request, entry: Entry) -> tuple[bytes, Encoded]:
        """The encoded result: APPEND the position in the list, PUT and DELETE whether the key was there before, GET
        [there, value], READ_LIST [length of the list, values]."""
        if request.operation is Operation.APPEND:
            self.items.append(Item(entry.index, entry.term, request.value))
            return values.encode(len(self.items) - 1), b""
        if self._former is not None and request.operation in (Operation.PUT, Operation.DELETE):
            self._former.setdefault(request.key, self.pairs.get(request.key))
        if request.operation is Operation.PUT:
            known = request.key in self.pairs
            self.pairs[request.key] = request.value
            return values.encode(known), b""
        if request.operation is Operation.DELETE:
            return values.encode(self.pairs.pop(request.key, None) is not None), b""
        return self._read(request)

    def read(self, session: int, request: Request) -> Reply:
        """Answer one of READS from what has been applied. Who asks must know that this is recent enough."""
        if not self.sessions.knows(session, request.nonce):
            return Reply(request.nonce, Outcome.UNKNOWN_SESSION, body=NO_SESSION)
        body, large = self._read(request)
        return Reply(request.nonce, Outcome.OK, 0, self.applied_index, self.applied_term, body, large)

    def _read(self, request: Request) -> tuple[bytes, Encoded]:
        """The encoded result; the large value that is its end apart, so that it is not copied."""
        if request.operation in (Operation.GET, Operation.GET_STALE):
            value = self.pairs.get(request.key)
            front = _array(2) + values.encode(value is not None)
            if value is None:
                return front + _NONE, b""
            return (front, value) if len(value) > LARGE else (front + value, b"")
        return self._read_list(request.start, request.limit)

    def _read_list(self, start: int, limit: int) -> tuple[bytes, Encoded]:
        chosen: list[Encoded] = []
        size = 0
        for item in self.items[start : start + min(limit, READ_LIST_VALUES)]:
            if chosen and size + len(item.value) > READ_LIST_BYTES:
                break
            chosen.append(item.value)
            size += len(item.value)
        front = _array(2) + values.encode(len(self.items)) + _array(len(chosen))
        if len(chosen) == 1 and size > LARGE:
            return front, chosen[0]
        return b"".join((front, *chosen)), b""

    def _ok(self, request: Request, entry: Entry, result: bytes, large: Encoded) -> Reply:
        return Reply(request.nonce, Outcome.OK, 0, entry.index, entry.term, result, large)


def _array(length: int) -> bytes:
    """What stands before so many values of a list, in msgpack."""
    return bytes((0x90 | length,)) if length < 16 else b"\xdc" + length.to_bytes(2, "big")


_NONE = values.encode(None)
