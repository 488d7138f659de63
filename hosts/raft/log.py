"""The log as a member sees it in memory: what is durable, what was handed to the disk, what is committed.

``durable_index <= handed_index <= last_index``; ``applied_index <= commit_index <= last_index``. The commit index may
pass the durable index: a quorum of others can hold an entry before the own disk does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from hosts.raft.configuration import Configuration, History
from hosts.raft.message import Entry, EntryKind
from hosts.raft.quorum import NO_MEMBERS, Membership
from hosts.raft.snapshot import Snapshot

ENTRY_OVERHEAD = 16
"""Bytes that an entry costs beside its data, on the wire and on disk (rounded up)."""

_TERM = attrgetter("term")


class SafetyViolation(RuntimeError):
    """A committed entry would have been replaced. Never expected; the member must stop rather than go on."""


_NOBODY = Configuration(0, Membership(NO_MEMBERS))


class MemoryLog:
    """Entries after ``base_index``; that one's term is ``base_term`` (0 and 0 for a log from the beginning).

    ``snapshot`` holds at least what is before the entries; it may reach further.
    """

    __slots__ = (
        "_entries",
        "applied_index",
        "base_index",
        "base_term",
        "commit_index",
        "configurations",
        "durable_index",
        "handed_index",
        "last_index",
        "last_term",
        "snapshot",
        "truncations",
    )

    def __init__(
        self, entries: Sequence[Entry], birth: Configuration = _NOBODY, snapshot: Snapshot | None = None
    ) -> None:
        """``entries`` are durable, in order and without a gap, and follow ``snapshot``, or lie in part before its
        end; ``birth`` is the configuration at the group's birth. ValueError if they do not fit each other."""
        self.snapshot = snapshot
        if snapshot is not None:
            birth = snapshot.configuration
            entries = [one for one in entries if one.index > snapshot.index]
        base_index = self.base_index = snapshot.index if snapshot is not None else 0
        base_term = self.base_term = snapshot.term if snapshot is not None else 0
        self.configurations = History(birth, entries)
        self._entries: list[Entry] = list(entries)
        expected, term = base_index, base_term
        for entry in self._entries:
            expected += 1
            if entry.index != expected or entry.term < term:
                raise ValueError(f"entry {entry.index} of term {entry.term} stands where {expected} was expected")
            term = entry.term
        self.last_index = expected
        self.last_term = term
        self.durable_index = self.handed_index = expected
        self.commit_index = self.applied_index = base_index
        self.truncations = 0
        """How often the end was cut off; tells a write of the log's present end from a write of a former one."""

    def term_at(self, index: int) -> int | None:
        """The term of the entry at ``index``, 0 for index 0; None where nothing is known."""
        offset = index - self.base_index
        if offset > 0:
            return self._entries[offset - 1].term if index <= self.last_index else None
        return self.base_term if offset == 0 else None

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log with that end is at least as up to date as this one (thesis, section 3.6.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def append(self, entry: Entry) -> None:
        """A leader's own new entry."""
        self._entries.append(entry)
        self.last_index = entry.index
        self.last_term = entry.term
        if entry.kind is EntryKind.CONFIGURATION:
            self.configurations.extend((entry,))

    def merge(self, entries: Sequence[Entry]) -> None:
        """Take a leader's entries, whose predecessor matches. What is there already stays: only an entry of another
        term at the same index cuts the log off, or a late duplicate would undo what came after it."""
        start = self._first_news(entries)
        if start == len(entries):
            return
        if entries[start].index <= self.last_index:
            self._truncate(entries[start].index)
        news = entries[start:]
        self._entries.extend(news)
        self.configurations.extend(news)
        self.last_index = entries[-1].index
        self.last_term = entries[-1].term

    def _first_news(self, entries: Sequence[Entry]) -> int:
        """The position in ``entries`` of the first that is missing here or has another term here."""
        for at, entry in enumerate(entries):
            if self.term_at(entry.index) != entry.term:
                return at
        return len(entries)

    def _truncate(self, index: int) -> None:
        if index <= self.commit_index:
            raise SafetyViolation(f"entry {index} is committed ({self.commit_index}) and would be replaced")
        del self._entries[index - self.base_index - 1 :]
        self.configurations.cut(index)
        self.last_index = index - 1
        self.handed_index = min(self.handed_index, index - 1)
        self.durable_index = min(self.durable_index, index - 1)
        self.truncations += 1

    def compact(self, snapshot: Snapshot, index: int) -> None:
        """Forget the entries up to ``index``, for which ``snapshot`` stands from now on."""
        self.snapshot = snapshot
        if index > self.base_index:
            term = self.term_at(index)
            assert term is not None and index <= min(snapshot.index, self.applied_index)
            del self._entries[: index - self.base_index]
            self.base_index, self.base_term = index, term
            self.configurations.forget(index)

    def restore(self, snapshot: Snapshot) -> None:
        """Nothing but the snapshot is left, and it is not durable yet."""
        if snapshot.index <= self.commit_index:
            raise SafetyViolation(
                f"a snapshot at {snapshot.index} would undo what is committed ({self.commit_index})"
            )
        self._entries.clear()
        self.snapshot = snapshot
        self.base_index = self.last_index = self.handed_index = snapshot.index
        self.base_term = self.last_term = snapshot.term
        self.commit_index = self.applied_index = snapshot.index
        self.durable_index = 0
        self.configurations = History(snapshot.configuration)
        self.truncations += 1

    def between(self, first: int, last: int, max_entries: int, max_bytes: int) -> tuple[tuple[Entry, ...], int]:
        """Entries ``first``..``last``, cut at the limits but never below one entry, and their size in bytes."""
        start = first - self.base_index - 1
        stop = min(last - self.base_index, start + max_entries)
        chosen = self._entries[start:stop]
        size = 0
        for count, entry in enumerate(chosen):
            cost = len(entry.data) + ENTRY_OVERHEAD
            if count and size + cost > max_bytes:
                return tuple(chosen[:count]), size
            size += cost
        return tuple(chosen), size

    def behind(self, index: int, max_entries: int, max_bytes: int) -> int:
        """How many entries up to ``index`` are within both limits, counted back from it."""
        count = size = 0
        for at in range(index - self.base_index - 1, -1, -1):
            size += len(self._entries[at].data) + ENTRY_OVERHEAD
            if count == max_entries or size > max_bytes:
                break
            count += 1
        return count

    def last_with_term_at_most(self, term: int, up_to: int) -> int:
        """The last index of at most ``up_to`` whose entry has at most ``term``; the base's index if none has."""
        stop = max(0, min(up_to, self.last_index) - self.base_index)
        return self.base_index + bisect_right(self._entries, term, 0, stop, key=_TERM)

    def take_unwritten(self) -> tuple[Entry, ...]:
        """What the disk has not been given yet; now it counts as given."""
        if self.handed_index == self.last_index:
            return ()
        taken = tuple(self._entries[self.handed_index - self.base_index :])
        self.handed_index = self.last_index
        return taken

    def take_committed(self, max_bytes: int) -> tuple[Entry, ...]:
        """Committed entries that have not been given out to be applied; now they count as given out."""
        if self.applied_index == self.commit_index:
            return ()
        taken, _ = self.between(self.applied_index + 1, self.commit_index, 1 << 30, max_bytes)
        self.applied_index += len(taken)
        return taken

    def written(self, index: int, truncations: int) -> None:
        """The disk holds everything up to ``index`` as it stood when ``truncations`` was the count. A write from
        before a truncation says nothing: its entries may have been cut off, and even have come back since."""
        if truncations == self.truncations and index > self.durable_index:
            self.durable_index = index
