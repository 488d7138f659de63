"""The simulated disk: what is synced stays, what is not may go in any way."""

from __future__ import annotations

from random import Random

import pytest

from sim.disk import PowerLoss, SimDisk


def disk_with(data: bytes, seed: int = 0) -> SimDisk:
    disk = SimDisk(Random(seed), "disk")
    file = disk.create("f", 0)
    file.write(data, 0)
    file.sync()
    disk.sync_folder()
    return disk


def test_synced_data_survive() -> None:
    for seed in range(20):
        disk = disk_with(b"abc", seed)
        disk.open("f").write(b"x" * 5000, 3)
        disk.lose_power()
        assert disk.read("f")[:3] == b"abc"


def test_unsynced_data_survive_whole_in_part_or_not() -> None:
    seen = set()
    for seed in range(200):
        disk = disk_with(b"", seed)
        disk.open("f").write(b"x" * 2000, 0)
        disk.lose_power()
        left = disk.read("f")
        torn = b"x" in left and left != b"x" * 2000
        assert disk.torn_writes == torn
        seen.add("torn" if torn else len(left))
    assert seen == {"torn", 0, 2000}


def test_a_name_needs_the_folder_to_be_synced() -> None:
    fates = set()
    for seed in range(50):
        disk = disk_with(b"old", seed)
        file = disk.create("g", 0)
        file.write(b"new", 0)
        file.sync()
        disk.rename("g", "f")
        disk.lose_power()
        fates.add(disk.read("f"))
    assert fates == {b"old", b"new"}


def test_a_killed_process_leaves_the_page_cache() -> None:
    disk = disk_with(b"")
    disk.open("f").write(b"unsynced", 0)
    disk.kill_process()
    assert disk.read("f") == b"unsynced"


def test_the_power_fails_in_the_middle_of_a_call() -> None:
    disk = disk_with(b"")
    disk.fuse = 1
    with pytest.raises(PowerLoss):
        disk.open("f").write(b"half", 0)
    disk.lose_power()
    disk.open("f").write(b"again", 0)


def test_a_broken_disk() -> None:
    disk = disk_with(b"")
    disk.broken = True
    with pytest.raises(OSError):
        disk.open("f").sync()
    disk.kill_process()
    disk.open("f").sync()
