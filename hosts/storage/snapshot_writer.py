"""The snapshot thread: writes snapshots' data to files while the log's own thread goes on.

What it is given waits in memory, a little at a time: a ``FileSink`` without room takes no more until the disk has
done some. Files are synced piece by piece, so that the log's syncs never queue behind a large one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from weakref import WeakSet

from hosts.raft.snapshot import Data
from hosts.storage.errors import explain
from hosts.storage.snapshots import Stage

QUEUED_BYTES = 8 << 20
"""A sink has no room while so much of it is not written yet."""


class FileSink:
    """Implements ``hosts.raft.snapshot.Sink``."""

    def __init__(self, jobs: SimpleQueue[Callable[[], None] | None], open_stage: Callable[[], Stage]) -> None:
        self._jobs = jobs
        self._open_stage = open_stage
        self._stage: Stage | None = None
        self._given = 0
        self._written = 0
        self._data: Data | None = None
        self._ending = False
        self._failure = ""

    def has_room(self) -> bool:
        return self._given - self._written < QUEUED_BYTES

    def write(self, part: bytes) -> None:
        self._given += len(part)
        self._jobs.put(lambda: self._write(part))

    def finish(self) -> Data | None:
        if not self._ending:
            self._ending = True
            self._jobs.put(self._finish)
        return self._data

    def discard(self) -> None:
        self._jobs.put(self.give_up)

    def failure(self) -> str:
        return self._failure

    # In the thread ---------------------------------------------------------------------------------------------

    def _write(self, part: bytes) -> None:
        if not self._failure:
            try:
                self._open().write(part)
            except OSError as error:
                self._fail(error)
        self._written += len(part)

    def _finish(self) -> None:
        if not self._failure:
            try:
                self._data = self._open().finish()
                self._stage = None
            except OSError as error:
                self._fail(error)

    def _open(self) -> Stage:
        if self._stage is None:
            self._stage = self._open_stage()
        return self._stage

    def _fail(self, error: OSError) -> None:
        """Give the disk back what the stage has taken of it."""
        self._failure = explain(error, self._stage.path if self._stage is not None else "a snapshot's file")
        self.give_up()

    def give_up(self) -> None:
        """Remove what is there of a file that is not finished."""
        if self._stage is not None:
            self._stage.discard()
            self._stage = None


class Stager:
    """One thread for all groups of a node. What a disk does not take is the failure of that sink alone; ``alarm`` is
    called, from the thread, when the thread itself has failed."""

    def __init__(self, alarm: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        """Why the thread has stopped; the node must stop too."""
        self._alarm = alarm
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._sinks: WeakSet[FileSink] = WeakSet()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    def sink(self, open_stage: Callable[[], Stage]) -> FileSink:
        """A place for one snapshot's data, in a file that ``open_stage`` makes."""
        sink = FileSink(self._jobs, open_stage)
        self._sinks.add(sink)
        return sink

    def close(self, timeout_s: float) -> None:
        """End the thread and throw away what is not finished; what a killed process leaves goes at the next start."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while True:
                job = self._jobs.get()
                if job is None:
                    break
                job()
            for sink in list(self._sinks):
                sink.give_up()
        except BaseException as error:
            self.failure = error
            self._alarm()
