"""Digest lists: specification, "DigestEntry". Pure: time is an argument, in nanoseconds of any steady clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from finsy.proto import p4r

from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.p4runtime.p4info import Digest

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
MAX_BUFFERED = 1024
"""Messages in one list where the client set no limit of its own."""
MAX_CACHED = 65536
"""Unacknowledged messages remembered per digest; beyond that the oldest list is forgotten."""

Fields = tuple[int, ...]


@dataclass(frozen=True)
class DigestList:
    """A list that is to be sent now."""

    digest: Digest
    list_id: int
    messages: tuple[Fields, ...]


@dataclass
class _Sent:
    """A list that has not been acknowledged."""

    messages: tuple[Fields, ...]
    sent_ns: int


@dataclass
class DigestQueue:
    """What one digest of the data plane has learned and not yet told: nothing is kept while it is not enabled."""

    digest: Digest
    config: p4r.DigestEntry.Config | None = None
    _buffer: dict[Fields, None] = field(default_factory=dict)
    _first_ns: int = 0
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _cached: set[Fields] = field(default_factory=set)
    _next_list: int = 1

    def write(self, kind: int, entry: p4r.DigestEntry) -> None:
        """Enable, change or disable the digest.

        Raises:
            RequestError: ALREADY_EXISTS, NOT_FOUND, or INVALID_ARGUMENT for negative numbers.
        """
        enabled = self.config is not None
        if kind == INSERT and enabled:
            raise RequestError(Code.ALREADY_EXISTS, f"the digest {self.digest.name} is enabled already: MODIFY it")
        if kind != INSERT and not enabled:
            raise RequestError(Code.NOT_FOUND, f"the digest {self.digest.name} is not enabled: INSERT it")
        if kind == DELETE:
            self.config = None
            self.forget()
            return
        given = entry.config
        if given.max_timeout_ns < 0 or given.max_list_size < 0 or given.ack_timeout_ns < 0:
            raise invalid("timeouts and sizes of a digest cannot be negative")
        self.config = p4r.DigestEntry.Config()
        self.config.CopyFrom(given)

    def learn(self, message: Fields, now_ns: int) -> DigestList | None:
        """Take a message of the data plane; the list that became full or due by it, if any."""
        if self.config is None:
            return None
        self._expire(now_ns)
        if message in self._cached or message in self._buffer:
            return None
        if not self._buffer:
            self._first_ns = now_ns
        self._buffer[message] = None
        if len(self._buffer) >= (self.config.max_list_size or MAX_BUFFERED) or self.config.max_timeout_ns == 0:
            return self._send(now_ns)
        return None

    def due(self, now_ns: int) -> DigestList | None:
        """The list whose first message has waited long enough, if any."""
        if self.config is None or not self._buffer or now_ns - self._first_ns < self.config.max_timeout_ns:
            return None
        return self._send(now_ns)

    def deadline(self) -> int | None:
        """When `due` will give a list, in nanoseconds."""
        return self._first_ns + self.config.max_timeout_ns if self.config is not None and self._buffer else None

    def acknowledge(self, list_id: int) -> None:
        """The client acted on a list: the same messages may come again. An unknown list id is no error."""
        sent = self._sent.pop(list_id, None)
        if sent is not None:
            self._cached.difference_update(sent.messages)

    def forget(self) -> None:
        """Drop all that is buffered and cached."""
        self._buffer.clear()
        self.forget_sent()

    def forget_sent(self) -> None:
        """Send again what was not acknowledged: there is a new primary."""
        self._sent.clear()
        self._cached.clear()

    def _send(self, now_ns: int) -> DigestList:
        assert self.config is not None
        ready = DigestList(self.digest, self._next_list, tuple(self._buffer))
        self._next_list += 1
        self._buffer.clear()
        if self.config.ack_timeout_ns:
            self._sent[ready.list_id] = _Sent(ready.messages, now_ns)
            self._cached.update(ready.messages)
            while len(self._cached) > MAX_CACHED:
                self.acknowledge(next(iter(self._sent)))
        return ready

    def _expire(self, now_ns: int) -> None:
        assert self.config is not None
        while self._sent:
            list_id, sent = next(iter(self._sent.items()))
            if now_ns - sent.sent_ns < self.config.ack_timeout_ns:
                return
            self.acknowledge(list_id)
