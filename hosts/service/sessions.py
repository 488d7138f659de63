"""Client sessions: a retry is answered, never carried out twice (thesis, section 6.3).

A session is opened by a log entry and bears its index. For each write the reply is kept until the client says, with
the lowest sequence that it still waits for, that it has it. A session that is forgotten leaves a trace: the highest
sequence that it may have carried out. What its client asks beyond that surely was never carried out, and never will
be, for no later session bears the same number. Every decision follows from the log alone, so that all members forget
the same sessions at the same entry.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hosts.service.requests import Outcome, Reply

MAX_OUTSTANDING = 1024
"""Sequences from the lowest unanswered one on that a client may use; so as many replies are kept for it at most."""

KEPT_REPLY_BYTES = 120
"""Memory that a kept reply takes, about. Results of writes are short: a position, or whether a key was there."""

_KEPT = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a group keeps for its clients. What is forgotten depends on it, so it must be the same on all members,
    and for a log from its first entry on."""

    sessions: int = 4096
    """When another session opens, the one longest unused is forgotten."""
    expiry_entries: int = 1_000_000
    """A session unused for so many log entries is forgotten."""
    traces: int = 65_536
    """When another session is forgotten, the oldest trace is dropped. A trace takes about 250 bytes."""
    replies: int = 262_144
    """From so many replies on that are kept for all sessions together, a session gets no more than its share. This is
    for the leader to see to before it takes a write into the log; what stands there is carried out. One takes about
    KEPT_REPLY_BYTES."""

    @property
    def share(self) -> int:
        """Replies that any session may have kept, whatever others have."""
        return max(1, self.replies // self.sessions)


DEFAULT_LIMITS = Limits()

NO_SESSION = b"the session was never opened, or has expired"
EXPIRED = b"the session has expired, and this was never carried out"
"""What a client is told that has no session."""


@dataclass(slots=True)
class Session:
    """One client's. ``replies`` holds those of writes from ``lowest`` on, by sequence: ``index:64 term:64`` and the
    result."""

    nonce: int
    used_at: int
    lowest: int = 0
    replies: dict[int, bytes] = field(default_factory=dict)

    @property
    def highest(self) -> int:
        """No sequence above this one was carried out; 0 if none was."""
        return max(self.lowest - 1, max(self.replies, default=0), 0)


class Trace(NamedTuple):
    """What is left of a session that is forgotten. ``highest`` is as the session's."""

    nonce: int
    highest: int


class Sessions:
    """All sessions of a group, in order of their last use."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        self._by_nonce: dict[int, int] = {}
        self._traces: OrderedDict[int, Trace] = OrderedDict()
        """What is kept of forgotten sessions, the oldest first."""
        self.kept = 0
        """Replies, of all sessions."""
        self._former: dict[int, list[Any]] | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def traces(self) -> Iterator[tuple[int, int, int]]:
        """Number, nonce and highest sequence of each forgotten session, the oldest first."""
        return ((number, *trace) for number, trace in self._traces.items())

    def preserve(self) -> list[int]:
        """All sessions, in order of last use. Until ``stop_preserving``, ``preserved`` gives them as they are now."""
        self._former = {}
        return list(self._sessions)

    def preserved(self, number: int) -> list[Any]:
        """A session as it was, in msgpack's terms. Equal sessions give equal terms."""
        assert self._former is not None
        former = self._former.get(number)
        return former if former is not None else _dump(number, self._sessions[number])

    def stop_preserving(self) -> None:
        self._former = None

    def add(self, dumped: Iterable[list[Any]]) -> None:
        """Take up sessions as ``preserved`` gives them. Raises ValueError or TypeError for anything else."""
        for number, nonce, used_at, lowest, replies in dumped:
            kept = {sequence: _keep(Reply.unpack(packed)) for sequence, packed in replies}
            self._sessions[number] = Session(nonce, used_at, lowest, kept)
            self._by_nonce[nonce] = number
            self.kept += len(kept)

    def add_traces(self, dumped: Iterable[list[int]]) -> None:
        """Take up traces as ``traces`` gives them. Raises ValueError or TypeError for anything else."""
        for number, nonce, highest in dumped:
            self._traces[number] = Trace(nonce, highest)

    @property
    def trace_count(self) -> int:
        return len(self._traces)

    def knows(self, session: int, nonce: int) -> bool:
        """Whether this client has opened this session, and it has not expired."""
        found = self._sessions.get(session)
        return found is not None and found.nonce == nonce

    def __contains__(self, session: int) -> bool:
        return session in self._sessions

    def open(self, nonce: int, index: int) -> int:
        """The session of the client with this nonce: a new one that is called ``index``, unless it has one."""
        self._expire(index)
        known = self._by_nonce.get(nonce)
        if known is not None:
            self._touch(known, index)
            return known
        if len(self._sessions) >= self.limits.sessions:
            self._forget(next(iter(self._sessions)))
        self._sessions[index] = Session(nonce, index)
        self._by_nonce[nonce] = index
        return index

    def admit(self, session: int, nonce: int, sequence: int, lowest: int, index: int) -> Reply | None:
        """The answer to a request that must not be carried out (again), or None if it must.

        ``index`` is the entry's that brought it. UNKNOWN_SESSION, SESSION_EXPIRED, STALE, BAD_REQUEST, or the reply
        that a write of this sequence had.
        """
        self._expire(index)
        found = self._sessions.get(session)
        if found is None or found.nonce != nonce:
            return self._no_session(session, nonce, sequence)
        self._touch(session, index)
        if lowest > found.lowest:
            found.lowest = lowest
            old = [number for number in found.replies if number < lowest]
            for number in old:
                del found.replies[number]
            self.kept -= len(old)
        kept = found.replies.get(sequence)
        if kept is not None:
            return _reply(nonce, kept)
        if sequence < found.lowest:
            return Reply(nonce, Outcome.STALE, body=b"the client no longer waits for this")
        if sequence >= found.lowest + MAX_OUTSTANDING:
            text = f"more than {MAX_OUTSTANDING} requests are outstanding"
            return Reply(nonce, Outcome.BAD_REQUEST, body=text.encode())
        return None

    def _no_session(self, session: int, nonce: int, sequence: int) -> Reply:
        trace = self._traces.get(session)
        if trace is not None and trace.nonce == nonce and sequence > trace.highest:
            return Reply(nonce, Outcome.SESSION_EXPIRED, body=EXPIRED)
        return Reply(nonce, Outcome.UNKNOWN_SESSION, body=NO_SESSION)

    def keep(self, session: int, sequence: int, reply: Reply) -> None:
        """Remember a write's reply. ``admit`` has let it pass just before."""
        self._sessions[session].replies[sequence] = _keep(reply)
        self.kept += 1

    def has_room(self, session: int, sequence: int, lowest: int, coming: int, coming_here: int) -> bool:
        """Whether a leader may take another write into the log. ``coming`` are the entries there that are not applied
        yet, ``coming_here`` those of this session.

        Its oldest request may always go: the session keeps nothing for long that comes before it.
        """
        if self.kept + coming < self.limits.replies or sequence <= lowest:
            return True
        found = self._sessions.get(session)
        held = 0 if found is None else sum(number >= lowest for number in found.replies)
        return held + coming_here < self.limits.share

    def reply_of(self, session: int, nonce: int, sequence: int) -> Reply | None:
        """A write's reply, if it is kept: it was carried out, so this may be said at any time."""
        found = self._sessions.get(session)
        kept = found.replies.get(sequence) if found is not None and found.nonce == nonce else None
        return _reply(nonce, kept) if kept is not None else None

    def _touch(self, session: int, index: int) -> None:
        """A session is about to change: keep its former value if a snapshot needs that."""
        if self._former is not None and session not in self._former:
            self._former[session] = _dump(session, self._sessions[session])
        self._sessions[session].used_at = index
        self._sessions.move_to_end(session)

    def _expire(self, index: int) -> None:
        while self._sessions:
            number, session = next(iter(self._sessions.items()))
            if index - session.used_at <= self.limits.expiry_entries:
                return
            self._forget(number)

    def _forget(self, number: int) -> None:
        session = self._sessions.pop(number)
        del self._by_nonce[session.nonce]
        self.kept -= len(session.replies)
        self._traces[number] = Trace(session.nonce, session.highest)
        if len(self._traces) > self.limits.traces:
            self._traces.popitem(last=False)
        if self._former is not None and number not in self._former:
            self._former[number] = _dump(number, session)


def _keep(reply: Reply) -> bytes:
    """The bytes that are kept of a reply; the rest of it is known."""
    if reply.outcome is not Outcome.OK:
        raise ValueError(f"a reply that is kept says {reply.outcome.name}")
    return _KEPT.pack(reply.index, reply.term) + reply.body


def _reply(nonce: int, kept: bytes) -> Reply:
    index, term = _KEPT.unpack_from(kept)
    return Reply(nonce, Outcome.OK, index=index, term=term, body=kept[_KEPT.size :])


def _dump(number: int, session: Session) -> list[Any]:
    nonce, replies = session.nonce, session.replies
    packed = [[sequence, _reply(nonce, replies[sequence]).pack()] for sequence in sorted(replies)]
    return [number, nonce, session.used_at, session.lowest, packed]
