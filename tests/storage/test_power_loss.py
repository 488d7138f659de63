"""Simulated power losses: everything acknowledged is still there, whatever became of the rest."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from hosts.raft.message import Entry, EntryKind, HardState
from hosts.storage.folders import make_durably
from hosts.storage.log import DiskLog
from sim.disk import PowerLoss, SimDisk, SimFolders

SEGMENT = 2048
State = tuple[HardState, tuple[Entry, ...]]


def _next(random: Random, state: State) -> State:
    """The state after one more append, drawn at random."""
    hard, entries = state
    if random.random() < 0.3:
        hard = HardState(hard.current_term + random.randrange(1, 3), random.randrange(0, 4))
    keep = len(entries) - random.randrange(0, min(4, len(entries) + 1)) if random.random() < 0.2 else len(entries)
    new = [
        Entry(
            hard.current_term,
            keep + 1 + at,
            EntryKind.COMMAND,
            random.randbytes(random.choice((0, 3, 200, 900, 3000))),
        )
        for at in range(random.randrange(1, 4))
    ]
    return hard, (*entries[:keep], *new)


def _append(log: DiskLog, old: State, new: State) -> None:
    same = 0
    while same < len(old[1]) and same < len(new[1]) and old[1][same] is new[1][same]:
        same += 1
    log.append(new[0] if new[0] != old[0] else None, new[1][same:])


def _found(log: DiskLog) -> State:
    return log.hard_state, tuple(log.entries)


def power_losses(seed: int, losses: int) -> int:
    """Work on one disk through ``losses`` power losses and kills; the number of appends that were torn away."""
    random = Random(seed)
    disk = SimDisk(random)
    state: State = (HardState(), ())
    candidates = {state}
    lost = 0
    for _ in range(losses):
        disk.fuse = random.randrange(1, 60)
        attempted = state
        try:
            log = DiskLog(disk, segment_bytes=SEGMENT)
            found = _found(log)
            assert found in candidates, f"seed {seed}: {found} is none of {candidates}"
            lost += found == state and len(candidates) > 1
            state = attempted = found
            candidates = {state}
            while True:
                attempted = _next(random, state)
                _append(log, state, attempted)
                state = attempted
                candidates = {state}
        except PowerLoss:
            candidates |= {state, attempted}
        if random.random() < 0.8:
            disk.lose_power()
        else:
            disk.kill_process()
    return lost


@pytest.mark.parametrize("first", range(0, 500, 50))
def test_everything_acknowledged_survives_power_losses(first: int) -> None:
    lost = sum(power_losses(seed, 8) for seed in range(first, first + 50))
    assert lost > 10, "no unacknowledged append was ever lost: the disk loses nothing, and this test shows nothing"


def test_power_lost_at_every_single_call_of_opening_and_the_first_appends() -> None:
    """No call of making a log, filling two segments and opening again is one that may not be the last."""
    fuse = 0
    while True:
        disk = SimDisk(Random(fuse))
        disk.fuse = fuse
        written: list[Entry] = []
        try:
            log = DiskLog(disk, segment_bytes=SEGMENT)
            for index in range(1, 6):
                entry = Entry(1, index, EntryKind.COMMAND, bytes(700))
                log.append(HardState(1, 1), [entry])
                written.append(entry)
            DiskLog(disk, segment_bytes=SEGMENT)
        except PowerLoss:
            disk.lose_power()
            found = DiskLog(disk, segment_bytes=SEGMENT).entries
            assert len(found) in (len(written), len(written) + 1), fuse
            assert list(found[: len(written)]) == written, fuse
            fuse += 1
        else:
            break
    assert fuse > 40


def test_an_append_costs_one_sync() -> None:
    disk = SimDisk(Random(1))
    log = DiskLog(disk)
    before = disk.syncs
    for index in range(1, 101):
        log.append(None, [Entry(1, index, EntryKind.COMMAND, b"value")])
    assert disk.syncs == before + 100


# -- folders -------------------------------------------------------------------------------------------------------

FOLDER = Path("/data/nodes/node1/group-1")


def lives_in_a_new_folder(seed: int, lives: int) -> bool:
    """Begin in a folder that is not there, again and again; whether a power loss ever took it away."""
    random = Random(seed)
    machine, disk = SimFolders(random), SimDisk(random)
    acknowledged, lost = 0, False
    for _ in range(lives):
        machine.fuse = random.randrange(1, 40)
        try:
            make_durably(machine, FOLDER)
            disk.fuse, machine.fuse = machine.fuse, None
            log = DiskLog(disk, segment_bytes=SEGMENT)
            assert len(log.entries) >= acknowledged, f"seed {seed}: of {acknowledged} there are {len(log.entries)}"
            acknowledged = len(log.entries)
            while True:
                log.append(HardState(1, 1), [Entry(1, acknowledged + 1, EntryKind.COMMAND, b"value")])
                acknowledged += 1
        except PowerLoss:
            machine.fuse = None
        if random.random() < 0.5:
            disk.kill_process()
            continue
        was_there = machine.exists(FOLDER)
        machine.lose_power()
        disk.lose_power()
        if not machine.exists(FOLDER):
            disk.vanish()
            lost |= was_there
    return lost


def test_new_folders_survive_power_losses_once_anything_is_acknowledged() -> None:
    """Also where the process that made them was killed before it had synced them."""
    assert sum(lives_in_a_new_folder(seed, 8) for seed in range(300)) > 20, "no folder was lost: this shows nothing"


def test_new_folders_are_made_in_order_and_told() -> None:
    machine = SimFolders(Random(1))
    above = [Path("/data"), Path("/data/nodes"), Path("/data/nodes/node1")]
    assert make_durably(machine, above[-1]) == above
    assert make_durably(machine, FOLDER) == [FOLDER]
    assert make_durably(machine, FOLDER) == []
    machine.lose_power()
    assert machine.exists(FOLDER)
