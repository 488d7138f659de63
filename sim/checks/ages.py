"""Reads that may be as old as their client says: whether what they gave was current so recently."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hosts.raft.message import Entry, EntryKind
from hosts.service import values
from hosts.service.requests import Command, Encoded, Operation

Fail = Callable[[str, str], None]


class Ages:
    """Knows of each committed entry when it was committed, and what it made of a key. ``now``: in microseconds."""

    def __init__(self, fail: Fail) -> None:
        self.now: Callable[[], int] = lambda: 0
        self._fail = fail
        self._committed_at: list[int] = []
        self._applied = 0
        self._versions: dict[bytes, list[tuple[int, bytes | None]]] = {}
        """By key: what it held from an entry on."""

    def committed(self, count: int) -> None:
        """So many entries are committed."""
        self._committed_at += [self.now()] * (count - len(self._committed_at))

    def applied(self, entry: Entry, pairs: Mapping[bytes, Encoded]) -> None:
        """A member has applied an entry, and holds ``pairs`` now. The first who does so counts."""
        if entry.index <= self._applied:
            return
        self._applied = entry.index
        if entry.kind is EntryKind.COMMAND:
            request = Command.unpack(entry.data).request
            if request.operation in (Operation.PUT, Operation.DELETE):
                held = pairs.get(request.key)
                self._versions.setdefault(request.key, []).append(
                    (entry.index, None if held is None else bytes(held))
                )

    def was_over(self, index: int, now_us: int) -> bool:
        """Whether what entry ``index`` left was not the last any more at that time."""
        return index < len(self._committed_at) and self._committed_at[index] < now_us

    def read(self, who: str, index: int, key: bytes, result: object, oldest_us: int) -> None:
        """A read gave what stood under a key after entry ``index``. That was the last one at some time from
        ``oldest_us`` on."""
        superseded = self._committed_at[index] if index < len(self._committed_at) else None
        if superseded is not None and superseded < oldest_us:
            late = (oldest_us - superseded) / 1000
            self._fail("no read is too old", f"{who} read at {index}, {late:.1f} ms older than it would take")
        held = next((value for at, value in reversed(self._versions.get(key, [])) if at <= index), None)
        expected = [False, None] if held is None else [True, values.decode(held)]
        if result != expected:
            self._fail("reads give what was written", f"{who} read {result!r} at {index}, where {expected!r} was")
