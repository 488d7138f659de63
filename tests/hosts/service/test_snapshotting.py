"""When snapshots are taken, and what becomes of those that the disk does not take."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from queue import SimpleQueue
from random import Random

import pytest

from hosts.group import Group, GroupOutputs
from hosts.raft.core import Config, Raft
from hosts.raft.message import Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.snapshot import Data, MemorySink, Outgoing, Snapshot
from hosts.service.retries import FIRST_PAUSE_TICKS, MAX_PAUSE_TICKS, Pauses, Receiving
from hosts.service.snapshots import Policy
from hosts.storage.log import DiskLog
from hosts.storage.snapshot_writer import FileSink, Stager
from hosts.storage.snapshots import Stage
from sim.disk import SimDisk
from tests.hosts.conftest import eventually

# -- pauses ---------------------------------------------------------------------------------------------------------


def test_pauses_grow_with_failures_in_a_row() -> None:
    pauses = Pauses()
    now, lengths = 1000, []
    for _ in range(10):
        assert not pauses.left(now)
        pauses.failed(now)
        lengths.append(pauses.left(now))
        assert pauses.left(now + lengths[-1] - 1) == 1
        now += lengths[-1]
    assert lengths[:3] == [FIRST_PAUSE_TICKS, 2 * FIRST_PAUSE_TICKS, 4 * FIRST_PAUSE_TICKS]
    assert lengths[-1] == MAX_PAUSE_TICKS
    pauses.succeeded()
    assert not pauses.left(now)
    pauses.failed(now)
    assert pauses.left(now) == FIRST_PAUSE_TICKS


# -- the thread -----------------------------------------------------------------------------------------------------


def refuse() -> Stage:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/stage")


def test_a_failed_sink_harms_no_other_and_leaves_no_file() -> None:
    alarms: list[int] = []
    stager = Stager(lambda: alarms.append(1))
    disk = SimDisk(Random(1))
    bad = stager.sink(refuse)
    torn, good = stager.sink(lambda: Stage(disk, "torn")), stager.sink(lambda: Stage(disk, "good"))
    disk.capacity = 20_000
    for sink in (bad, torn, good):
        sink.write(b"begin")
    torn.write(bytes(30_000))
    good.write(b"end")
    for sink in (bad, torn):
        assert sink.finish() is None
    data = eventually(good.finish, "the good one is there")
    assert data[:8] == b"beginend" and not good.failure()
    assert bad.failure() == "/a/stage: No space left on device; make room on that disk"
    assert torn.failure().startswith("disk/torn.new: No space left")
    assert bad.finish() is None and torn.finish() is None
    assert disk.names() == ["good.new"], "the failed one has given its room back"
    stager.close(60)
    assert stager.failure is None and not alarms


def test_whatever_else_ends_the_thread_is_told() -> None:
    alarms: list[int] = []
    stager = Stager(lambda: alarms.append(1))

    def break_down() -> Stage:
        raise RuntimeError("a mistake")

    stager.sink(break_down).write(b"part")
    eventually(lambda: alarms, "the alarm")
    assert isinstance(stager.failure, RuntimeError)


# -- a group --------------------------------------------------------------------------------------------------------


class Disk:
    """Of a single member's group: ``takes`` says which step of a snapshot works."""

    def __init__(self) -> None:
        self.stages = True
        self.saves = True
        self.notes: list[str] = []
        self.kept: list[Snapshot] = []
        core = Raft(Config(1, frozenset({1})), HardState(), (), Random(1))
        outputs = GroupOutputs(
            send=lambda _, message: None,
            write=lambda _, ready: self.group.durable(ready),
            reply=lambda *reply: None,
            note=self.notes.append,
            save=self.save,
            stage=lambda _: Refusing(lambda: self.stages),
        )
        self.group = Group(7, core, {1: ("10.0.0.1", 1)}, outputs, snapshots=Policy(entries=10))
        while not core.leader:
            self.tick(1)

    def save(self, _: int, snapshot: Snapshot) -> None:
        if self.saves:
            self.kept.append(snapshot)
            self.group.saved(snapshot)
        else:
            self.group.not_saved(snapshot, "/disk/file: Disk quota exceeded; make room")

    def tick(self, count: int) -> None:
        for _ in range(count):
            self.group.tick()
            self.group.flush()

    def propose(self, count: int) -> None:
        for _ in range(count):
            self.group.core.propose(b"x")
            self.group.flush()


class Refusing(MemorySink):
    def __init__(self, takes: Callable[[], bool]) -> None:
        super().__init__()
        self._takes = takes
        self._why = ""

    def write(self, part: bytes) -> None:
        super().write(part)
        self._why = self._why or ("" if self._takes() else "/disk/stage: File too large; raise the limit")

    def finish(self) -> Data | None:
        return None if self._why else super().finish()

    def failure(self) -> str:
        return self._why


@pytest.mark.parametrize("step", ["stages", "saves"])
def test_a_snapshot_that_cannot_be_written_is_tried_again_after_ever_longer_pauses(step: str) -> None:
    disk = Disk()
    setattr(disk, step, False)
    disk.propose(10)
    disk.tick(20)
    (note,) = disk.notes[1:]
    assert note.startswith("group 7: the snapshot at 10 is given up: /disk/") and "next try is in 5 s" in note
    assert "File too large" in note or "Disk quota exceeded" in note
    disk.propose(5)
    disk.tick(FIRST_PAUSE_TICKS - 100)
    assert len(disk.notes) == 2, "no try before its time, whatever is applied"
    disk.tick(200)
    assert len(disk.notes) == 3 and "the snapshot at 16 is given up" in disk.notes[2] and "in 10 s" in disk.notes[2]
    disk.tick(2 * FIRST_PAUSE_TICKS + 100)
    assert len(disk.notes) == 4 and "in 20 s" in disk.notes[3], "also where nothing is applied any more"
    setattr(disk, step, True)
    disk.tick(4 * FIRST_PAUSE_TICKS + 100)
    assert [one.index for one in disk.kept] == [16] and len(disk.notes) == 4
    assert disk.group.core.log.snapshot is not None and disk.group.core.log.snapshot.index == 16
    setattr(disk, step, False)
    disk.propose(9)
    disk.tick(20)
    assert len(disk.notes) == 4, "the entries since the last one count"
    disk.propose(1)
    disk.tick(20)
    assert "in 5 s" in disk.notes[4], "the first failure in a row"


def test_an_operator_need_not_wait_for_the_pause_to_end() -> None:
    disk = Disk()
    disk.stages = False
    disk.propose(10)
    disk.tick(20)
    disk.stages = True
    assert disk.group.begin_snapshot() == 11
    disk.tick(20)
    assert [one.index for one in disk.kept] == [11]


def test_the_time_until_the_next_try_is_no_idle_time() -> None:
    """The simulator skips ticks in which nothing happens."""
    disk = Disk()
    disk.stages = False
    disk.propose(10)
    disk.tick(20)
    snapshots = disk.group._snapshots
    idle = snapshots.idle_ticks
    assert 0 < idle <= FIRST_PAUSE_TICKS
    notes = len(disk.notes)
    for _ in range(idle - 1):
        snapshots.tick()
    assert snapshots.idle_ticks == 1 and len(disk.notes) == notes
    snapshots.tick()
    assert snapshots._sink is not None


# -- what comes from a leader ---------------------------------------------------------------------------------------


def test_ticks_between_a_leaders_snapshot_and_the_ready_that_tells_of_it() -> None:
    """A node gives ticks between what arrives and what the core wants done."""
    leader = Disk()
    for _ in range(3):
        leader.propose(10)
        leader.tick(20)
    newer = leader.kept[-1]
    assert newer.index > 20
    kept: list[Snapshot] = []
    outputs = GroupOutputs(
        send=lambda _, message: None,
        write=lambda _, ready: group.durable(ready),
        reply=lambda *reply: None,
        note=lambda text: None,
        save=lambda _, snapshot: kept.append(snapshot),
    )
    core = Raft(Config(2, frozenset({1, 2, 3})), HardState(), (), Random(1))
    group = Group(7, core, {}, outputs, snapshots=Policy(entries=10))
    entries = tuple(Entry(1, index, EntryKind.COMMAND, b"x") for index in range(1, 13))
    group.step(Message(MessageType.APPEND_ENTRIES, 1, 2, 1, commit=12, entries=entries))
    group.flush()
    group.flush()
    assert core.log.applied_index == 12 and group.begin_snapshot() == 0, "one has begun"
    stream = Outgoing(newer)
    whole = stream.chunk(0, stream.size)
    group.step(Message(MessageType.INSTALL_SNAPSHOT, 1, 2, 1, newer.index, newer.term, data=whole))
    for _ in range(20):
        group.tick()
    assert not kept, "its own is given up"
    for _ in range(20):
        group.flush()
        group.tick()
    assert core.log.base_index == newer.index == core.log.applied_index
    assert group.begin_snapshot() == 0 and not group._snapshots.loading, "the machine is the leader's"


def test_a_leaders_snapshot_that_finds_no_room_waits_for_the_end_of_the_pause() -> None:
    now = 0
    notes: list[str] = []
    takes = False
    receiving = Receiving(lambda: Refusing(lambda: takes), notes.append, lambda: now)
    first = receiving.sink()
    assert first.has_room()
    first.write(b"part")
    assert first.failure() and first.failure() and len(notes) == 1, "said once"
    assert notes[0].startswith("the leader's snapshot cannot be kept: /disk/stage: File too large")
    assert notes[0].endswith("takes it again in 5 s")
    second = receiving.sink()
    assert not second.has_room() and not second.failure()
    now = FIRST_PAUSE_TICKS
    assert second.has_room()
    second.write(b"part")
    assert second.failure() and notes[1].endswith("in 10 s")
    now, takes = 10 * FIRST_PAUSE_TICKS, True
    third = receiving.sink()
    third.write(b"part")
    assert third.finish() == b"part" and not third.failure()
    takes = False
    fourth = receiving.sink()
    fourth.write(b"part")
    assert fourth.failure() and notes[2].endswith("in 5 s"), "it has succeeded meanwhile"


def test_a_real_log_keeps_on_beside_a_sink_that_fails() -> None:
    """The two threads' objects, on one disk that is full."""
    disk = SimDisk(Random(1))
    log = DiskLog(disk, segment_bytes=4096)
    jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
    sink = FileSink(jobs, log.open_stage)
    disk.capacity = disk.used
    sink.write(b"part")
    sink.finish()
    while not jobs.empty():
        job = jobs.get()
        assert job is not None
        job()
    assert sink.failure().startswith("disk/stage-1.new: No space left on device")
    log.append(HardState(1, 1), [])
    assert DiskLog(disk, segment_bytes=4096).hard_state == HardState(1, 1)
