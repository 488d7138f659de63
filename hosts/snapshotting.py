"""When a group takes snapshots, and how it makes and loads them without ever stopping for long.

A snapshot is due when the log behind the last one has so many entries or bytes, and has become worth another: at
least WORTH of that one's size (so a large state is not written again and again for little news; thesis, section
5.1.2). Then a few slices leave at each tick. One that came from a leader is loaded in slices, too; the entries behind
it wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hosts.dump import Dump, Loading
from hosts.machine import Machine
from hosts.raft.core import Raft
from hosts.raft.log import ENTRY_OVERHEAD
from hosts.raft.message import Entry
from hosts.raft.snapshot import MemorySink, Sink, Snapshot

WORTH = 0.25
KEEP_ENTRIES = 10_000
KEEP_BYTES = 16 << 20
"""Kept in memory before a snapshot's end, for members who are not far behind: at most so many entries and bytes, and
no more than make the next snapshot due."""

DUMPED_PER_TICK = 2
LOADED_PER_TICK = 8
"""Slices, each of about 0.2 ms if its values are small."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What makes a snapshot due: entries, or their bytes, since the last. 0 and 0: nothing ever does. At most
    ``keep_entries`` before its end stay in memory."""

    entries: int = 0
    log_bytes: int = 0
    keep_entries: int = KEEP_ENTRIES

    def is_due(self, entries: int, log_bytes: int, last_size: int) -> bool:
        many = 0 < self.entries <= entries or 0 < self.log_bytes <= log_bytes
        return many and log_bytes >= WORTH * last_size


NEVER = Policy()


class Unusable(RuntimeError):
    """A snapshot that arrived whole, or was stored, and is of no state machine that this version knows."""


class Snapshots:
    """A group's. ``save`` makes one durable; tell of it with ``saved``."""

    def __init__(
        self,
        core: Raft,
        machine: Machine,
        policy: Policy,
        save: Callable[[Snapshot], None],
        make_sink: Callable[[], Sink] = MemorySink,
    ) -> None:
        """Loads the snapshot that the core begins with, if any: that takes its time. Raises Unusable."""
        self._core = core
        self._machine = machine
        self._policy = policy
        self._save = save
        self._make_sink = make_sink
        self._entries = self._bytes = 0
        """Applied since the last snapshot."""
        self._last_size = 0
        self._index = 0
        self._dump: Dump | None = None
        self._sink: Sink | None = None
        self._loading: Loading | None = None
        self._saving = False
        if core.log.snapshot is not None:
            self.restore(core.log.snapshot)
            while not self.tick():
                pass

    @property
    def loading(self) -> bool:
        """The machine is not there yet: nothing can be applied."""
        return self._loading is not None

    @property
    def working(self) -> bool:
        """Whether ``tick`` has something to do."""
        return self._loading is not None or self._sink is not None

    def applied(self, entries: Sequence[Entry]) -> None:
        """The machine has applied these. Begins a snapshot if one is due."""
        self._entries += len(entries)
        self._bytes += sum([len(entry.data) for entry in entries]) + ENTRY_OVERHEAD * len(entries)
        if self._policy.is_due(self._entries, self._bytes, self._last_size):
            self.begin()

    def begin(self) -> int:
        """Begin a snapshot, due or not; the index that it will be of. 0 if that cannot be now."""
        index = self._machine.applied_index
        if self.working or self._saving or index <= self._index:
            return 0
        if not self._core.committed_configuration.membership.voters:
            return 0
        self._entries = self._bytes = 0
        self._index = index
        self._dump = Dump(self._machine)
        self._sink = self._make_sink()
        return index

    def tick(self) -> bool:
        """Go on a little. True if the machine has just been loaded. Raises Unusable if it cannot be."""
        if self._loading is not None:
            for _ in range(LOADED_PER_TICK):
                if self._load(self._loading):
                    self._loading = None
                    return True
        elif self._sink is not None:
            self._go_on_dumping(self._sink)
        return False

    def _load(self, loading: Loading) -> bool:
        try:
            done = loading.step()
        except ValueError as error:
            raise Unusable(str(error)) from error
        if done and self._machine.applied_index != self._index:
            raise Unusable(f"the snapshot at {self._index} is of a machine at {self._machine.applied_index}")
        return done

    def _go_on_dumping(self, sink: Sink) -> None:
        if self._dump is not None:
            for _ in range(DUMPED_PER_TICK):
                if not sink.has_room():
                    return
                part = next(self._dump, None)
                if part is None:
                    self._dump.close()
                    self._dump = None
                    break
                sink.write(part)
            else:
                return
        data = sink.finish()
        if data is not None:
            self._sink = None
            self._saving = True
            self._last_size = len(data)
            self._save(self._core.take_snapshot(self._index, data))

    def saved(self, snapshot: Snapshot) -> None:
        """It is durable: it stands for the log, save the last entries."""
        self._saving = False
        policy = self._policy
        entries = min(policy.keep_entries, policy.entries or policy.keep_entries)
        keep = self._core.log.behind(snapshot.index, entries, min(KEEP_BYTES, policy.log_bytes or KEEP_BYTES))
        self._core.compact(snapshot, keep)

    def restore(self, snapshot: Snapshot) -> None:
        """One from the leader takes the place of everything, also of one that was being made."""
        if self._dump is not None:
            self._dump.close()
            self._dump = None
        if self._sink is not None:
            self._sink.discard()
            self._sink = None
        self._entries = self._bytes = 0
        self._last_size = len(snapshot.data)
        self._index = snapshot.index
        self._machine.clear()
        self._loading = self._machine.begin_loading(snapshot.data)
