"""Snapshots on disk: atomic, and files are dropped only behind one that is durable."""

from __future__ import annotations

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


class FailingDisk(SimDisk):
    """Cannot make new files once ``full``."""

    full = False

    def create(self, name: str, size: int):  # type: ignore[no-untyped-def]
        if self.full:
            raise OSError(28, "No space left on device")
        return super().create(name, size)


def test_a_full_disk_ends_the_log_but_not_the_staging() -> None:
    disk = FailingDisk(Random(1))
    log = DiskLog(disk)
    log.append(HardState(1, 0), [entry(1), entry(2)])
    disk.full = True
    with pytest.raises(OSError, match="No space left"):
        log.open_stage()
    log.append(None, [entry(3)])
    with pytest.raises(LogError, match="No space left"):
        log.save_snapshot(snapshot(1))
    with pytest.raises(LogError, match="nothing more can be written"):
        log.append(None, [entry(4)])


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
