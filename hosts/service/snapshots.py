"""When a group takes snapshots, and how it makes and loads them without ever stopping for long.

A snapshot is due when the log behind the last one has so many entries or bytes, and has become worth another: at
least WORTH of that one's size (so a large state is not written again and again for little news; thesis, section
5.1.2). Then a few slices leave at each tick. One that came from a leader is loaded in slices, too; the entries behind
it wait. One that cannot be written is given up, and tried again after a pause: the log does without it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hosts.raft.core import Raft
from hosts.raft.log import ENTRY_OVERHEAD
from hosts.raft.message import Entry
from hosts.raft.snapshot import MemorySink, Sink, Snapshot
from hosts.service.machine import Machine
from hosts.service.machine_snapshot import Dump, Loading
from hosts.service.retries import Pauses

WORTH = 0.25
KEEP_ENTRIES = 10_000
KEEP_BYTES = 16 << 20
"""Kept in memory before a snapshot's end, for members who are not far behind: at most so many entries and bytes, and
no more than make the next snapshot due."""

DUMPED_PER_TICK = 2
LOADED_PER_TICK = 8
"""Slices, each of about 0.2 ms if its values are small."""

_IDLE = 1 << 30
"""Ticks: nothing is to be done."""


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


@dataclass(slots=True)
class _Basis:
    """What decides when the next snapshot is due: the index and size of the last one, and the entries and bytes
    applied since."""

    index: int = 0
    size: int = 0
    entries: int = 0
    log_bytes: int = 0


class Snapshots:
    """A group's. ``save`` makes one durable; tell of it with ``saved`` or ``not_saved``."""

    def __init__(
        self,
        core: Raft,
        machine: Machine,
        policy: Policy,
        save: Callable[[Snapshot], None],
        make_sink: Callable[[], Sink] = MemorySink,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Loads the snapshot that the core begins with, if any: that takes its time. Raises Unusable."""
        self._core = core
        self._machine = machine
        self._policy = policy
        self._save = save
        self._make_sink = make_sink
        self._note = note
        self._now = _Basis()
        self._before = self._now
        """What ``_now`` was before the snapshot that is being made: it may come to nothing."""
        self._pauses = Pauses()
        self._ticks = 0
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
    def idle_ticks(self) -> int:
        """The tick that may do something next: 1 for the very next one."""
        if self._loading is not None or self._sink is not None:
            return 1
        return self._pauses.left(self._ticks) or _IDLE

    def applied(self, entries: Sequence[Entry]) -> None:
        """The machine has applied these. Begins a snapshot if one is due."""
        self._now.entries += len(entries)
        self._now.log_bytes += sum([len(entry.data) for entry in entries]) + ENTRY_OVERHEAD * len(entries)
        if not self._pauses.left(self._ticks):
            self._begin_if_due()

    def _begin_if_due(self) -> None:
        if self._policy.is_due(self._now.entries, self._now.log_bytes, self._now.size):
            self.begin()

    def begin(self) -> int:
        """Begin a snapshot, due or not; the index that it will be of. 0 if that cannot be now."""
        index = self._machine.applied_index
        if self._loading is not None or self._sink is not None or self._saving or index <= self._now.index:
            return 0
        if not self._core.committed_configuration.membership.voters:
            return 0
        self._before = self._now
        self._now = _Basis(index, self._before.size)
        self._dump = Dump(self._machine)
        self._sink = self._make_sink()
        return index

    def pass_idle_ticks(self, count: int) -> bool:
        """So many ticks have passed, fewer than ``idle_ticks``; False if that is not so."""
        if count >= self.idle_ticks:
            return False
        self._ticks += count
        return True

    def tick(self) -> bool:
        """Go on a little. True if the machine has just been loaded. Raises Unusable if it cannot be."""
        paused = self._pauses.left(self._ticks)
        self._ticks += 1
        if self._loading is not None:
            for _ in range(LOADED_PER_TICK):
                if self._load(self._loading):
                    self._loading = None
                    return True
        elif self._sink is not None:
            self._go_on_dumping(self._sink)
        elif paused == 1:
            self._begin_if_due()
        return False

    def _load(self, loading: Loading) -> bool:
        try:
            done = loading.step()
        except ValueError as error:
            raise Unusable(str(error)) from error
        if done and self._machine.applied_index != self._now.index:
            raise Unusable(f"the snapshot at {self._now.index} is of a machine at {self._machine.applied_index}")
        return done

    def _go_on_dumping(self, sink: Sink) -> None:
        if self._core.log.base_index > self._now.index:
            # One from the leader has taken the log's place; the machine hears of it with the core's next Ready.
            self._stop_making()
            return
        why = sink.failure()
        if why:
            self._stop_making()
            self._give_up(why)
            return
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
            self._now.size = len(data)
            self._save(self._core.take_snapshot(self._now.index, data))

    def not_saved(self, snapshot: Snapshot, why: str) -> None:
        """The snapshot could not be made durable."""
        self._saving = False
        if snapshot.index == self._now.index:  # no other one has come from a leader since
            self._give_up(why)

    def _give_up(self, why: str) -> None:
        """The snapshot counts as never begun, and is tried again later."""
        index, before = self._now.index, self._before
        before.entries += self._now.entries
        before.log_bytes += self._now.log_bytes
        self._now = before
        pause = self._pauses.failed(self._ticks)
        self._note(
            f"the snapshot at {index} is given up: {why}. The log goes on without it as long as the disk has room; "
            f"the next try is in {pause}"
        )

    def _stop_making(self) -> None:
        if self._dump is not None:
            self._dump.close()
            self._dump = None
        if self._sink is not None:
            self._sink.discard()
            self._sink = None

    def saved(self, snapshot: Snapshot) -> None:
        """The snapshot is durable: it takes the place of the log, save the last entries."""
        self._saving = False
        self._pauses.succeeded()
        policy = self._policy
        entries = min(policy.keep_entries, policy.entries or policy.keep_entries)
        keep = self._core.log.behind(snapshot.index, entries, min(KEEP_BYTES, policy.log_bytes or KEEP_BYTES))
        self._core.compact(snapshot, keep)

    def restore(self, snapshot: Snapshot) -> None:
        """One from the leader takes the place of everything, also of one that was being made."""
        self._stop_making()
        self._now = _Basis(snapshot.index, len(snapshot.data))
        self._machine.clear()
        self._loading = Loading(self._machine, snapshot.data)
