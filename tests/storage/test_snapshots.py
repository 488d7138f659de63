"""Snapshots on disk: atomic, and files are dropped only behind one that is durable."""

from __future__ import annotations

import errno
import itertools
import os
import sys
from pathlib import Path
from random import Random

import pytest

from hosts.raft.configuration import Configuration
from hosts.raft.message import Entry, EntryKind, HardState
from hosts.raft.quorum import Membership
from hosts.raft.snapshot import Snapshot
from hosts.storage.log import DiskLog, LogDamaged, LogError
from hosts.storage.verify import verify
from sim.disk import PowerLoss, SimDisk

SEGMENT = 1024
MEMBERS = Configuration(
    0, Membership(frozenset({1, 2, 3}), learners=frozenset({4})), {1: b"a", 2: b"", 3: b"c", 4: b"d"}
)


def entry(index: int, term: int = 1, size: int = 100) -> Entry:
    return Entry(term, index, EntryKind.COMMAND, b"%d" % index + bytes(size))


def snapshot(index: int, term: int = 1, data: bytes = b"state") -> Snapshot:
    return Snapshot(index, term, MEMBERS, data)


def filled(folder: Path, count: int = 40) -> DiskLog:
    log = DiskLog.open(folder, segment_bytes=SEGMENT)
    log.append(HardState(1, 2), [])
    for index in range(1, count + 1):
        log.append(None, [entry(index)])
    return log


def reopened(folder: Path) -> DiskLog:
    log = DiskLog.open(folder, segment_bytes=SEGMENT)
    log.close()
    return log


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("log-*"))


def test_a_snapshot_comes_back_with_the_entries_behind_it(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.save_snapshot(snapshot(25, data=bytes(3000)))
    log.append(None, [entry(41)])
    log.close()
    again = reopened(tmp_path)
    assert again.snapshot == snapshot(25, data=bytes(3000)) and again.hard_state == HardState(1, 2)
    assert list(again.entries) == [entry(index) for index in range(26, 42)]
    assert "up to index 25" in str(verify(tmp_path)) and verify(tmp_path).damage is None


def test_files_before_a_snapshot_are_dropped_and_no_others(tmp_path: Path) -> None:
    log = filled(tmp_path)
    before = segments(tmp_path)
    log.save_snapshot(snapshot(25))
    after = segments(tmp_path)
    assert 1 < len(after) < len(before) and set(after) < set(before)
    log.save_snapshot(snapshot(30))
    log.save_snapshot(snapshot(28))
    assert [path.name for path in tmp_path.glob("snapshot-*")] == [f"snapshot-{30:020d}"]
    log.close()
    assert reopened(tmp_path).entries[0].index == 31


def test_disk_use_stays_bounded(tmp_path: Path) -> None:
    log = DiskLog.open(tmp_path, segment_bytes=SEGMENT)
    for index in range(1, 301):
        log.append(None, [entry(index)])
        if index % 10 == 0:
            log.append(HardState(1, 0), [])
            log.save_snapshot(snapshot(index))
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 16 * SEGMENT
    log.close()


def test_a_leaders_snapshot_takes_the_place_of_everything(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.append(HardState(5, 0), [entry(101, 5)], snapshot(100, 4))
    log.append(None, [entry(102, 5)])
    assert len(segments(tmp_path)) == 1
    log.close()
    again = reopened(tmp_path)
    assert (again.hard_state, again.snapshot) == (HardState(5, 0), snapshot(100, 4))
    assert list(again.entries) == [entry(101, 5), entry(102, 5)]


def test_a_leaders_snapshot_that_does_not_agree_voids_what_lies_behind_it(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.append(HardState(5, 0), [], snapshot(20, 4))
    log.close()
    again = reopened(tmp_path)
    assert again.snapshot == snapshot(20, 4) and not again.entries
    log = DiskLog.open(tmp_path, segment_bytes=SEGMENT)
    log.append(None, [entry(21, 5)])
    log.close()
    assert list(reopened(tmp_path).entries) == [entry(21, 5)]


def test_entries_must_follow_the_snapshot(tmp_path: Path) -> None:
    log = DiskLog.open(tmp_path)
    with pytest.raises(ValueError, match="do not fit"):
        log.append(HardState(5, 0), [entry(102, 5)], snapshot(100, 4))
    log.close()


def test_a_log_that_ends_before_the_snapshot_goes_on_behind_it(tmp_path: Path) -> None:
    """A member may apply, and so compact, what others hold before its own disk does."""
    log = filled(tmp_path, 10)
    log.save_snapshot(snapshot(12))
    log.close()
    assert not reopened(tmp_path).entries
    log = DiskLog.open(tmp_path, segment_bytes=SEGMENT)
    log.append(None, [entry(13)])
    log.close()
    assert list(reopened(tmp_path).entries) == [entry(13)]


def test_a_snapshot_may_be_staged_before(tmp_path: Path) -> None:
    log = filled(tmp_path, 10)
    stage = log.open_stage()
    for part in (b"st", b"", b"ate"):
        stage.write(part)
    staged = Snapshot(8, 1, MEMBERS, stage.finish())
    assert reopened_copy_has_no_snapshot(tmp_path)
    log.append(None, [entry(11)])
    log.save_snapshot(staged)
    log.close()
    again = reopened(tmp_path)
    assert again.snapshot == staged == snapshot(8) and [one.index for one in again.entries] == [9, 10, 11]


def reopened_copy_has_no_snapshot(folder: Path) -> bool:
    return verify(folder).snapshot_index == 0


@pytest.mark.parametrize("offset", [0, 9, 20, 50, -1])
def test_a_damaged_snapshot_is_refused(tmp_path: Path, offset: int) -> None:
    log = filled(tmp_path)
    log.save_snapshot(snapshot(25))
    log.close()
    (path,) = tmp_path.glob("snapshot-*")
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(LogDamaged, match="snapshot cannot be read"):
        DiskLog.open(tmp_path)
    assert verify(tmp_path).damage is not None


def test_a_lost_snapshot_is_noticed(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.save_snapshot(snapshot(25))
    log.close()
    next(tmp_path.glob("snapshot-*")).unlink()
    with pytest.raises(LogDamaged, match="no snapshot stands for it"):
        DiskLog.open(tmp_path)


def test_a_lost_leaders_snapshot_is_noticed(tmp_path: Path) -> None:
    log = DiskLog.open(tmp_path)
    log.append(HardState(5, 0), [], snapshot(100, 4))
    log.close()
    next(tmp_path.glob("snapshot-*")).unlink()
    with pytest.raises(LogDamaged):
        DiskLog.open(tmp_path)


def test_another_logs_snapshot_is_refused(tmp_path: Path) -> None:
    for name in ("one", "other"):
        log = filled(tmp_path / name)
        log.save_snapshot(snapshot(25))
        log.close()
    (mine,) = (tmp_path / "one").glob("snapshot-*")
    (theirs,) = (tmp_path / "other").glob("snapshot-*")
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(LogDamaged, match="another log"):
        DiskLog.open(tmp_path / "one")


def test_a_snapshot_without_its_log_is_refused(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.save_snapshot(snapshot(25))
    log.close()
    for path in (*tmp_path.glob("log-*"), tmp_path / "synced"):
        path.unlink()
    with pytest.raises(LogDamaged, match="files are gone"):
        DiskLog.open(tmp_path)


# -- disks without room --------------------------------------------------------------------------------------------


class FailingDisk(SimDisk):
    """Refuses its ``countdown``-th change from now on, once, with ``error``."""

    countdown = -1
    error = errno.ENOSPC
    refused_sync_of_folder = False

    def burn(self) -> None:
        super().burn()
        self.countdown -= 1
        if self.countdown == 0:
            self.refused_sync_of_folder = sys._getframe(1).f_code.co_name == "sync_folder"
            raise OSError(self.error, os.strerror(self.error), self.path("it"))


def staged(log: DiskLog, index: int, data: bytes = b"state") -> Snapshot:
    stage = log.open_stage()
    stage.write(data)
    return Snapshot(index, 1, MEMBERS, stage.finish())


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_the_log_goes_on_whichever_step_of_a_snapshot_fails(error: int) -> None:
    given_up = 0
    for countdown in itertools.count(1):
        disk = FailingDisk(Random(1))
        disk.error = error
        log = DiskLog(disk, segment_bytes=SEGMENT)
        log.append(HardState(1, 0), [entry(index) for index in range(1, 21)])
        taken = staged(log, 15)
        disk.countdown = countdown
        try:
            why = log.save_snapshot(taken)
        except LogError as failure:
            assert disk.refused_sync_of_folder, (
                f"the folder is the log's as well, but not call {countdown}: {failure}"
            )
            continue
        if disk.countdown > 0:
            break
        if why:
            given_up += 1
            assert why.startswith(f"disk/it: {os.strerror(error)}; ")
            assert not [name for name in disk.names() if name.endswith(".new")]
        log.append(None, [entry(21)])
        assert not log.save_snapshot(staged(log, 16)), "later there is room"
        log.close()
        again = DiskLog(disk, segment_bytes=SEGMENT)
        assert again.snapshot == snapshot(16) and [one.index for one in again.entries] == [17, 18, 19, 20, 21]
    assert given_up >= 6


def test_a_stage_that_finds_no_room_leaves_nothing() -> None:
    disk = SimDisk(Random(1))
    log = DiskLog(disk, segment_bytes=SEGMENT)
    log.append(HardState(1, 0), [entry(1), entry(2)])
    disk.capacity = disk.used + 1000
    stage = log.open_stage()
    stage.write(bytes(600))
    with pytest.raises(OSError, match="No space left"):
        stage.write(bytes(600))
    stage.discard()
    with pytest.raises(OSError, match="No space left"):
        staged(log, 1)  # there is room for its data, but not for its end
    disk.capacity = None
    log.append(None, [entry(3)])
    assert not log.save_snapshot(staged(log, 1))


def test_what_fits_as_data_becomes_a_snapshot_on_a_disk_that_is_full_by_then() -> None:
    disk = SimDisk(Random(1))
    log = DiskLog(disk, segment_bytes=SEGMENT)
    log.append(HardState(1, 0), [entry(index) for index in range(1, 21)])
    taken = staged(log, 15, bytes(5000))
    disk.capacity = disk.used
    assert not log.save_snapshot(taken)
    assert DiskLog(disk, segment_bytes=SEGMENT).snapshot == snapshot(15, data=bytes(5000))


def test_segments_are_smaller_where_there_is_no_room_for_a_usual_one() -> None:
    disk = SimDisk(Random(1))
    log = DiskLog(disk, segment_bytes=64 << 10)
    log.append(HardState(1, 0), [entry(1, size=60 << 10)])
    disk.capacity = disk.used + (20 << 10)
    acknowledged = 1
    with pytest.raises(LogError) as caught:
        while True:
            log.append(None, [entry(acknowledged + 1, size=1000)])
            acknowledged += 1
    assert acknowledged >= 15, "what there was is used"
    number = int(max(name for name in disk.names() if name.startswith("log-"))[4:]) + 1
    assert str(caught.value) == f"disk/log-{number:010d}.new: No space left on device; make room on that disk"
    for room in (0, None):
        disk.capacity = disk.used if room == 0 else None
        log = DiskLog(disk, segment_bytes=64 << 10)
        assert [one.index for one in log.entries] == list(range(1, acknowledged + 1))
    log.append(None, [entry(acknowledged + 1, size=1000)])
    assert max(len(disk.read(name)) for name in disk.names() if name.startswith("log-")) == 64 << 10


def test_a_torn_write_is_mended_on_a_full_disk_and_gives_no_room_away() -> None:
    disk = SimDisk(Random(1))
    log = DiskLog(disk, segment_bytes=4096)
    log.append(HardState(1, 0), [entry(1)])
    (name,) = (name for name in disk.names() if name.startswith("log-"))
    end = len(disk.read(name).rstrip(b"\0"))
    disk.open(name).write(b"torn" * 100, end + 200)
    disk.capacity = disk.used
    log = DiskLog(disk, segment_bytes=4096)
    assert log.notes and disk.used == disk.capacity
    log.append(None, [entry(index) for index in range(2, 12)])
    assert len(DiskLog(disk, segment_bytes=4096).entries) == 11


def test_a_leaders_snapshot_needs_no_room_for_a_usual_segment() -> None:
    disk = SimDisk(Random(1))
    log = DiskLog(disk, segment_bytes=64 << 10)
    log.append(HardState(1, 0), [entry(1)])
    taken = staged(log, 30)
    disk.capacity = disk.used + 100
    log.append(HardState(2, 0), [], taken)
    log.append(None, [entry(31)])
    assert "log-0000000001" not in disk.names()
    again = DiskLog(disk, segment_bytes=64 << 10)
    assert again.snapshot == snapshot(30) and list(again.entries) == [entry(31)]


# -- power losses --------------------------------------------------------------------------------------------------

State = tuple[HardState, int, int, tuple[tuple[int, int], ...]]
"""Hard state, snapshot's index and term, (index, term) of the entries behind it."""


def found(log: DiskLog) -> State:
    at = (log.snapshot.index, log.snapshot.term) if log.snapshot is not None else (0, 0)
    if log.snapshot is not None:
        assert log.snapshot.data == b"state %d" % at[0] * 50
    return log.hard_state, *at, tuple((one.index, one.term) for one in log.entries)


def step(random: Random, log: DiskLog, state: State, tried: list[State]) -> State:
    """One random operation; ``tried`` gets every state that a power loss may leave."""
    hard, at, at_term, behind = state
    kind = random.random()
    if kind < 0.2 and behind:  # a snapshot that is taken here
        place = random.randrange(len(behind))
        index, term = behind[place]
        after: State = (hard, index, term, behind[place + 1 :])
        tried.append(after)
        log.save_snapshot(Snapshot(index, term, MEMBERS, b"state %d" % index * 50))
        return after
    if kind < 0.3:  # one that comes from a leader, in a later term
        hard = HardState(hard.current_term + 1, 0)
        index = at + random.randrange(1, 12)
        news = tuple((index + 1 + more, hard.current_term) for more in range(random.randrange(3)))
        after = (hard, index, hard.current_term, news)
        tried += [(hard, at, at_term, behind), (hard, index, hard.current_term, ()), after]
        of = Snapshot(index, hard.current_term, MEMBERS, b"state %d" % index * 50)
        log.append(hard, [entry(*one) for one in news], of)
        return after
    keep = len(behind)
    if kind < 0.45:
        keep -= random.randrange(min(4, keep + 1))
        hard = HardState(hard.current_term + 1, random.randrange(4))
    first = at + keep + 1
    term = max(1, hard.current_term)
    if not hard.current_term:
        hard = HardState(1, 0)
    news = tuple((first + more, term) for more in range(random.randrange(1, 4)))
    after = (hard, at, at_term, (*behind[:keep], *news))
    tried.append(after)
    log.append(hard, [entry(*one, size=random.choice((0, 50, 400))) for one in news])
    return after


def power_losses(seed: int, losses: int) -> tuple[int, int]:
    """How many snapshots were lost with the power, and how many survived in the middle of their making."""
    random = Random(seed)
    disk = SimDisk(random)
    state: State = (HardState(), 0, 0, ())
    possible = [state]
    lost = kept = 0
    for _ in range(losses):
        disk.fuse = random.randrange(1, 80)
        tried: list[State] = []
        try:
            log = DiskLog(disk, segment_bytes=SEGMENT)
            now = found(log)
            assert now in possible, f"seed {seed}: {now} is none of {possible}"
            if len(possible) > 1 and possible[-1][1] != state[1]:
                lost, kept = lost + (now[1] == state[1]), kept + (now[1] != state[1])
            state, possible = now, [now]
            while True:
                tried = []
                state = step(random, log, state, tried)
                possible = [state]
        except PowerLoss:
            possible += tried
        if random.random() < 0.8:
            disk.lose_power()
        else:
            disk.kill_process()
    return lost, kept


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_snapshot_and_log_survive_power_losses(first: int) -> None:
    outcomes = [power_losses(seed, 8) for seed in range(first, first + 100)]
    assert sum(lost for lost, _ in outcomes) > 5 and sum(kept for _, kept in outcomes) > 5


@pytest.mark.parametrize("from_leader", [False, True])
def test_power_lost_at_every_single_call_of_a_snapshot(from_leader: bool) -> None:
    fuse, seen = 0, set()
    while True:
        disk = SimDisk(Random(fuse))
        log = DiskLog(disk, segment_bytes=SEGMENT)
        for index in range(1, 21):
            log.append(HardState(1, 1), [entry(index)])
        disk.fuse = fuse
        try:
            if from_leader:
                log.append(HardState(2, 0), [entry(31, 2)], snapshot(30, 2))
            else:
                log.save_snapshot(snapshot(15))
        except PowerLoss:
            disk.lose_power()
            log = DiskLog(disk, segment_bytes=SEGMENT)
            at = log.snapshot.index if log.snapshot is not None else 0
            last = log.entries[-1].index if log.entries else at
            seen.add((at, last))
            assert (at, last) in ({(0, 20), (30, 30), (30, 31)} if from_leader else {(0, 20), (15, 20)}), fuse
            log.append(HardState(3, 0), [entry(last + 1, 3)])
            assert DiskLog(disk, segment_bytes=SEGMENT).entries[-1] == entry(last + 1, 3)
            fuse += 1
        else:
            break
    assert len(seen) >= 2 and fuse > 8
