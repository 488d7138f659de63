"""When a leader lets the network gather acknowledgements: while it needs nobody's in particular.

The switch before it then sends on what a quorum has said, and the rest later. If a commit comes about by answers to
heartbeats, which are never gathered, then something was kept too long, or lost: so it asks for every acknowledgement
again, for a while that doubles each time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hosts.raft.config import Config
from hosts.raft.message import Message

MOST_DOUBLED = 30
"""A pause grows to so many times the first one. After as long without any it begins with the first again."""


@dataclass(slots=True)
class GatherCounts:
    """What has happened while this member led, in all its terms."""

    asked: int = 0
    """AppendEntries with entries whose acknowledgements the network may gather."""
    pauses: int = 0
    """How often they were not to be gathered for a while, as a commit had come by heartbeats' replies alone."""


class Gathering:
    """One term's."""

    __slots__ = ("_config", "_counts", "_pause_ticks", "_paused_until", "_unsynced", "asks", "ungathered")

    def __init__(self, config: Config, counts: GatherCounts) -> None:
        self._config = config
        self._counts = counts
        self.asks = False
        """Whether what is sent now may be acknowledged by what is gathered."""
        self.ungathered = 0
        """The last entry that was sent to somebody who was to acknowledge it by itself."""
        self._unsynced: deque[tuple[int, int]] = deque()
        """Of entries that the own disk does not hold: the last one of each tick, and that tick."""
        self._paused_until = 0
        self._pause_ticks = config.gather_pause_ticks

    def appended(self, now: int, index: int) -> None:
        """The log has a new entry."""
        unsynced = self._unsynced
        if unsynced and unsynced[-1][1] == now:
            unsynced.pop()
        unsynced.append((index, now))

    def synced(self, index: int) -> None:
        """The own disk holds the log up to ``index``."""
        unsynced = self._unsynced
        while unsynced and unsynced[0][0] <= index:
            unsynced.popleft()

    def may_ask(self, now: int) -> bool:
        """Whether the own disk keeps up, so that no entry has waited for it for a tick, and no pause is on."""
        is_young = not self._unsynced or now == self._unsynced[0][1]
        return is_young and now >= self._paused_until

    def sent(self, last_index: int, gather: bool) -> None:
        """Entries up to ``last_index`` have been sent to somebody."""
        if gather:
            self._counts.asked += 1
        else:
            self.ungathered = max(self.ungathered, last_index)

    def committed_by(self, reply: Message, had: int, now: int) -> None:
        """A reply has brought a commit; its member was known to hold the log up to ``had``. Whatever it has not
        acknowledged since may be gathered, if that is behind ``ungathered``: then a reply without GATHER answers a
        heartbeat."""
        if reply.gather or reply.reject or had < self.ungathered or not self.asks or now < self._paused_until:
            return
        first = self._config.gather_pause_ticks
        if now - self._paused_until > MOST_DOUBLED * first:
            self._pause_ticks = first
        self._counts.pauses += 1
        self._paused_until = now + self._pause_ticks
        self._pause_ticks = min(2 * self._pause_ticks, MOST_DOUBLED * first)
