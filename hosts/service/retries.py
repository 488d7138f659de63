"""Trying again what the disk had no room for: snapshots, which the log can do without for a while.

Times are ticks of any clock that does not go back.
"""

from __future__ import annotations

from collections.abc import Callable

from hosts.config import TICK_MS
from hosts.raft.snapshot import Data, Sink

FIRST_PAUSE_TICKS = 5_000 // TICK_MS
MAX_PAUSE_TICKS = 64 * FIRST_PAUSE_TICKS
"""Between a failure and the next try; doubles from one to the other with each failure in a row."""


class Pauses:
    """When to try again."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0

    def failed(self, now: int) -> str:
        """A try has failed at ``now``. How long the pause until the next is, for people."""
        pause = min(FIRST_PAUSE_TICKS << min(self._failures, 16), MAX_PAUSE_TICKS)
        self._failures += 1
        self._until = now + pause
        return f"{pause * TICK_MS // 1000} s"

    def succeeded(self) -> None:
        """The next failure is a first one again."""
        self._failures = 0
        self._until = 0

    def left(self, now: int) -> int:
        """Ticks until the next try; 0 if it may be now."""
        return self._until - now if self._until > now else 0


class Receiving:
    """Makes the sinks for one group's snapshots from a leader. What the disk does not take is said, and the snapshot
    is taken from its beginning after a pause; meanwhile it has to wait."""

    def __init__(self, make_sink: Callable[[], Sink], note: Callable[[str], None], clock: Callable[[], int]) -> None:
        self._make_sink = make_sink
        self._note = note
        self._clock = clock
        self._pauses = Pauses()

    def sink(self) -> Sink:
        """For the next snapshot."""
        return _Received(self._make_sink(), self)

    def has_room(self) -> bool:
        """Whether no pause is on."""
        return not self._pauses.left(self._clock())

    def failed(self, why: str) -> None:
        """Say it, and pause."""
        pause = self._pauses.failed(self._clock())
        self._note(
            f"the leader's snapshot cannot be kept: {why}. This member lacks what is in it, and takes it again in "
            f"{pause}"
        )

    def succeeded(self) -> None:
        """A snapshot is there."""
        self._pauses.succeeded()


class _Received:
    """A sink that waits for the end of the pause."""

    def __init__(self, inner: Sink, owner: Receiving) -> None:
        self._inner = inner
        self._owner = owner
        self._told = False

    def has_room(self) -> bool:
        return self._owner.has_room() and self._inner.has_room()

    def write(self, part: bytes) -> None:
        self._inner.write(part)

    def finish(self) -> Data | None:
        data = self._inner.finish()
        if data is not None:
            self._owner.succeeded()
        return data

    def discard(self) -> None:
        self._inner.discard()

    def failure(self) -> str:
        why = self._inner.failure()
        if why and not self._told:
            self._told = True
            self._owner.failed(why)
        return why
