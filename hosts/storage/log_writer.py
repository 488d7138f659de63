"""The storage thread: takes what must be durable, makes it durable in as few syncs as possible, reports back.

While one sync runs, more work queues up; the next sync covers all of it (group commit).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from hosts.raft.core import Ready
from hosts.raft.message import Entry, HardState
from hosts.raft.snapshot import Snapshot


class Log(Protocol):
    """What the thread needs of ``hosts.storage.log.DiskLog``."""

    def append(
        self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None = None
    ) -> None: ...

    def save_snapshot(self, snapshot: Snapshot) -> str: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Unsaved:
    """A snapshot that could not be made durable, and why. Nothing depends on it: the log goes on."""

    snapshot: Snapshot
    why: str


Work = Ready | Snapshot
Done = Ready | Snapshot | Unsaved
"""What became of work."""


class Writer:
    """One thread for all groups of a node. ``logs`` maps groups to their logs, which it owns from now on."""

    def __init__(self, logs: dict[int, Log]) -> None:
        self._logs = logs
        self._queue: SimpleQueue[tuple[int, Work] | None] = SimpleQueue()
        self._done: deque[tuple[int, Done]] = deque()
        self.failure: BaseException | None = None
        """Why the thread has stopped; the node must stop too."""
        self.syncs = 0
        self.wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable when ``take_done`` has something to give, or the thread has failed."""
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)
        self._thread.start()

    def write(self, group: int, ready: Ready) -> None:
        """Make a Ready durable, after all that came before it."""
        self._queue.put((group, ready))

    def save(self, group: int, snapshot: Snapshot) -> None:
        """Make a snapshot durable that was taken here."""
        self._queue.put((group, snapshot))

    def wake(self) -> None:
        """Make ``wakeup`` readable. From any thread."""
        os.eventfd_write(self.wakeup, 1)

    def take_done(self) -> list[tuple[int, Done]]:
        """What has been done since the last call, in the order of the work of each group."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.wakeup)
        done = []
        while self._done:
            done.append(self._done.popleft())
        return done

    def close(self, timeout_s: float) -> None:
        """Finish what is queued, then end the thread and close the logs. Gives up after ``timeout_s``."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            os.close(self.wakeup)

    def _run(self) -> None:
        try:
            going = True
            while going:
                going = self._write_batch()
        except BaseException as error:
            self.failure = error
            os.eventfd_write(self.wakeup, 1)
        finally:
            for log in self._logs.values():
                log.close()

    def _write_batch(self) -> bool:
        """Wait for work and do all there is. False at the end."""
        item = self._queue.get()
        batch: list[tuple[int, Work]] = []
        while item is not None:
            batch.append(item)
            if self._queue.empty():
                break
            item = self._queue.get()
        for group in {group for group, _ in batch}:
            done, syncs = write_all(self._logs[group], [work for number, work in batch if number == group])
            self.syncs += syncs
            self._done.extend((group, one) for one in done)
        if batch:
            os.eventfd_write(self.wakeup, 1)
        return item is not None


def write_all(log: Log, works: Iterable[Work]) -> tuple[list[Done], int]:
    """Make one group's work durable in its order, with one sync for all Readys between two snapshots. What became of
    each, and the number of syncs."""
    syncs = 0
    run: list[Ready] = []
    done: list[Done] = []
    for work in works:
        if isinstance(work, Ready) and work.snapshot is None:
            run.append(work)
            done.append(work)
            continue
        syncs += _append(log, run)
        run = []
        if isinstance(work, Ready):
            log.append(work.hard_state, work.entries, work.snapshot)
            syncs += 1
            done.append(work)
        else:
            why = log.save_snapshot(work)
            done.append(Unsaved(work, why) if why else work)
    return done, syncs + _append(log, run)


def _append(log: Log, run: list[Ready]) -> int:
    state, entries = merge(run)
    if state is None and not entries:
        return 0
    log.append(state, entries)
    return 1


def merge(readies: Iterable[Ready]) -> tuple[HardState | None, list[Entry]]:
    """What several Readys leave on disk, as one: the last state, and entries less those that later ones replace."""
    state: HardState | None = None
    entries: list[Entry] = []
    for ready in readies:
        state = ready.hard_state or state
        if ready.entries:
            if entries:
                keep = ready.entries[0].index - entries[0].index
                if keep < 0:
                    keep = 0
                del entries[keep:]
            entries.extend(ready.entries)
    return state, entries
