"""Disks that fill up, cannot be written or have rotted, under real nodes of a cluster: the node stops or refuses to
start, in one clear line; the others go on; and once the disk is mended it is back."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hosts import config
from hosts.node import Node
from tests.hosts.conftest import DEADLINE_S, LocalCluster, eventually

MIB = 1 << 20
SIZE_MIB = 64
VALUE = "x" * MIB
VICTIM = 3
"""Of the tests in which it matters not who leads."""

Make = Callable[..., LocalCluster]


@pytest.fixture
def small_disks() -> Iterator[Callable[[Path], None]]:
    """Makes a folder a small file system of its own."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "none", str(folder)], check=True)
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


@contextmanager
def appending(cluster: LocalCluster) -> Iterator[list[int]]:
    """A client that appends numbers; those that were acknowledged. None may fail."""
    done = threading.Event()
    acknowledged: list[int] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            with cluster.client() as client:
                while not done.wait(0.01):
                    client.append(len(acknowledged))
                    acknowledged.append(len(acknowledged))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        goes_on(acknowledged)
        yield acknowledged
        goes_on(acknowledged)
    finally:
        done.set()
        thread.join()
    assert failed == []


def goes_on(acknowledged: list[int]) -> None:
    wanted = len(acknowledged) + 20
    eventually(lambda: len(acknowledged) >= wanted, "the others go on")


def refusal(cluster: LocalCluster, member: int) -> str:
    """What a node says that does not start: one line."""
    done = subprocess.run(
        [sys.executable, "-m", "hosts.node", "--config", str(cluster.config), "--id", str(member)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def numbers(cluster: LocalCluster, count: int) -> list[Any]:
    return [value for value in cluster.agree(count) if isinstance(value, int)]


@pytest.mark.root
@pytest.mark.parametrize("leads", [True, False], ids=["leader", "follower"])
def test_a_full_disk(make_cluster: Make, small_disks: Callable[[Path], None], leads: bool) -> None:
    cluster = make_cluster()
    folders = {member: cluster.folder / f"nodes/node{member}" for member in cluster.members}
    for folder in folders.values():
        small_disks(folder)
    cluster.start()
    leader = cluster.leader()
    victim = leader if leads else leader % 3 + 1
    filler = folders[victim] / "filler"
    with appending(cluster) as acknowledged:
        with filler.open("wb") as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(MIB))
                file.flush()
        # What is allocated to its segment holds for a while; then there is no room for the next one.
        with cluster.client() as client:
            for _ in range(SIZE_MIB):
                client.append(VALUE)
                if cluster.processes[victim].poll() is not None:
                    break
        process = cluster.processes.pop(victim)
        assert process.wait(DEADLINE_S) == 1
        (line,) = (line for line in cluster.output(victim).splitlines() if line.startswith("error: "))
        assert "stopped, because nothing more can be made durable" in line
        assert f"{folders[victim]}/group-1/log-00000000" in line
        assert "No space left on device; make room on that disk" in line and "start this member again" in line
        assert "Traceback" not in cluster.output(victim)
        goes_on(acknowledged)
        filler.unlink()
        cluster.start(victim)
        cluster.await_running(victim)
    assert numbers(cluster, len(acknowledged)) == acknowledged


LIMIT = 18 * MIB
"""Of a file: room for a segment of the log, and none for the snapshots of these tests."""

HUNDRED_KB = "x" * 100_000


def limit_files(cluster: LocalCluster, size: int) -> None:
    """As ``ulimit -f`` does, for the nodes that run."""
    for process in cluster.processes.values():
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))


def stages(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("group-1/*.new")]


def snapshot_of(cluster: LocalCluster, member: int) -> int:
    return int((cluster.group_status(member) or {"snapshot": 0})["snapshot"])


def test_the_log_has_room_and_the_snapshot_has_not(make_cluster: Make) -> None:
    """The log goes on, everybody says why there is no snapshot, and takes one once there is room for it."""
    cluster = make_cluster(extra="snapshot_entries: 200")
    cluster.start()
    limit_files(cluster, LIMIT)
    with cluster.client() as client:
        for _ in range(250):
            client.append(HUNDRED_KB)
        given_up = "group 1: the snapshot at "
        for member, process in cluster.processes.items():
            eventually(lambda member=member: given_up in cluster.output(member), "it says so")
            assert process.poll() is None, "and goes on"
            said = next(line for line in cluster.output(member).splitlines() if given_up in line)
            assert f"is given up: {cluster.data(member)}/group-1/stage-" in said
            assert "File too large; raise the limit of a file's size (ulimit -f)" in said and "next try is in" in said
            assert not stages(cluster.data(member)), "the disk has got its room back"
        limit_files(cluster, 64 * MIB)
        for member in cluster.members:
            eventually(lambda member=member: snapshot_of(cluster, member), "a snapshot is taken after all")
            assert not stages(cluster.data(member))
        client.append("goes on")
    cluster.kill()
    cluster.start()
    assert len(cluster.agree(251)) == 251


def test_a_node_that_starts_without_room_for_a_snapshot_goes_on(make_cluster: Make) -> None:
    """What it has is more than the limit allows; a stage that a killed process left behind is thrown away."""
    cluster = make_cluster(members=1, extra="snapshot_entries: 200")
    cluster.start()
    limit_files(cluster, LIMIT)
    with cluster.client() as client:
        for _ in range(250):
            client.append(HUNDRED_KB)
        eventually(lambda: "is given up" in cluster.output(1), "a snapshot is due")
        cluster.kill()
        left = cluster.data(1) / "group-1/stage-7.new"
        left.write_bytes(bytes(MIB))
        cluster.start()
        limit_files(cluster, LIMIT)
        for _ in range(10):
            client.append("goes on")
        eventually(lambda: cluster.output(1).count("is given up") == 2, "it is due again")
        assert not left.exists()
        client.append("goes on")


@pytest.mark.root
def test_a_disk_that_has_no_room_for_a_snapshot(make_cluster: Make, small_disks: Callable[[Path], None]) -> None:
    """Of its own first, and then of a leader's."""
    cluster = make_cluster(extra="snapshot_entries: 200")
    small_disks(cluster.data(VICTIM))
    remount(cluster.data(VICTIM), "size=44m")
    cluster.start()
    with cluster.client() as client:
        for _ in range(250):
            client.append(HUNDRED_KB)
        eventually(lambda: "is given up" in cluster.output(VICTIM), "it says so")
        said = next(line for line in cluster.output(VICTIM).splitlines() if "is given up" in line)
        assert f"{cluster.data(VICTIM)}/group-1/stage-" in said
        assert "No space left on device; make room on that disk" in said and not stages(cluster.data(VICTIM))
        client.append("goes on")
        eventually(lambda: len(cluster.values(VICTIM)) == 251, "the victim has it too")
        remount(cluster.data(VICTIM), f"size={SIZE_MIB}m")
        eventually(lambda: snapshot_of(cluster, VICTIM), "a snapshot is taken after all")
        assert cluster.processes[VICTIM].poll() is None


@pytest.mark.root
def test_a_disk_that_has_no_room_for_the_leaders_snapshot(
    make_cluster: Make, small_disks: Callable[[Path], None]
) -> None:
    cluster = make_cluster(extra="snapshot_entries: 100")
    small_disks(cluster.data(VICTIM))
    remount(cluster.data(VICTIM), "size=20m")
    cluster.start(1, 2)
    with cluster.client() as client:
        for _ in range(200):
            client.append(HUNDRED_KB)

        def is_compacted() -> bool:
            # Another snapshot begins with an entry, and not before the one that is being made is there.
            client.append(HUNDRED_KB)
            return min(snapshot_of(cluster, member) for member in (1, 2)) > 100

        eventually(is_compacted, "the beginning is compacted away")
        cluster.start(VICTIM)
        told = "group 1: the leader's snapshot cannot be kept: "
        eventually(lambda: told in cluster.output(VICTIM), "it says so")
        said = next(line for line in cluster.output(VICTIM).splitlines() if told in line)
        assert f"{cluster.data(VICTIM)}/group-1/stage-" in said and "No space left on device" in said
        assert "takes it again in 5 s" in said
        client.append("goes on")
        assert cluster.processes[VICTIM].poll() is None
        eventually(lambda: not stages(cluster.data(VICTIM)), "it waits, with all its room free")
        remount(cluster.data(VICTIM), f"size={SIZE_MIB}m")
        expected = client.read_list().value
    assert cluster.agree(len(expected)) == expected


@pytest.mark.root
def test_a_disk_too_small_to_begin_with(make_cluster: Make, small_disks: Callable[[Path], None]) -> None:
    cluster = make_cluster()
    folder = cluster.folder / f"nodes/node{VICTIM}"
    small_disks(folder)
    remount(folder, "size=1m")
    cluster.start(1, 2)
    with appending(cluster) as acknowledged:
        told = refusal(cluster, VICTIM)
        assert "No space left on device" in told and str(folder) in told
        remount(folder, f"size={SIZE_MIB}m")
        cluster.start(VICTIM)
    assert numbers(cluster, len(acknowledged)) == acknowledged


@pytest.mark.root
@pytest.mark.parametrize("new", [True, False], ids=["never-ran", "has-a-log"])
def test_a_read_only_disk(make_cluster: Make, small_disks: Callable[[Path], None], new: bool) -> None:
    cluster = make_cluster()
    folder = cluster.folder / f"nodes/node{VICTIM}"
    small_disks(folder)
    cluster.start(*(member for member in cluster.members if member != VICTIM or not new))
    with appending(cluster) as acknowledged:
        if not new:
            cluster.await_running(VICTIM)
            cluster.kill(VICTIM)
        remount(folder, "ro")
        told = refusal(cluster, VICTIM)
        assert "Read-only file system" in told and str(folder) in told
        goes_on(acknowledged)
        remount(folder, "rw")
        cluster.start(VICTIM)
    assert numbers(cluster, len(acknowledged)) == acknowledged


HALT = signal.SIGTERM
"""An end in good order: between a frame and its synced mark the damage would pass for a torn write."""


def flip(path: Path, where: str) -> None:
    """Flip one bit of what the file holds."""
    data = bytearray(path.read_bytes())
    held = len(data.rstrip(b"\0"))
    data[{"middle": held // 2, "end": held - 1}[where]] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("where", ["middle", "end"])
@pytest.mark.parametrize("kind", ["log", "snapshot"])
def test_a_flipped_bit(make_cluster: Make, kind: str, where: str) -> None:
    """Refused, until what was there before is back."""
    cluster = make_cluster(extra="snapshot_entries: 40" if kind == "snapshot" else "")
    cluster.start()
    with appending(cluster) as acknowledged:
        folder = cluster.folder / f"nodes/node{VICTIM}/group-1"
        eventually(lambda: _rotting(folder, kind), f"a {kind}")
        cluster.kill(VICTIM, how=HALT)
        damaged = _rotting(folder, kind)[-1]
        sound = damaged.read_bytes()
        flip(damaged, where)
        told = refusal(cluster, VICTIM)
        assert f"{damaged}: damaged at byte " in told and "rejoin" in told
        goes_on(acknowledged)
        damaged.write_bytes(sound)
        cluster.start(VICTIM)
    assert numbers(cluster, len(acknowledged)) == acknowledged


def _rotting(folder: Path, kind: str) -> list[Path]:
    """The files of a kind, the newest last: those that hold more than their beginning."""
    pattern = "snapshot-*[0-9]" if kind == "snapshot" else "*[0-9]"
    found = sorted(path for path in folder.glob(pattern) if kind == "snapshot" or "snapshot" not in path.name)
    return [path for path in found if len(path.read_bytes().rstrip(b"\0")) > 200]


@pytest.mark.parametrize("where", ["middle", "end"])
def test_who_lost_its_log_rejoins_as_somebody_else(make_cluster: Make, where: str) -> None:
    """What the refusal says: a fresh learner under a new member id, and the old one is removed."""
    cluster = make_cluster(spares=1)
    cluster.start()
    with appending(cluster) as acknowledged:
        folder = cluster.folder / f"nodes/node{VICTIM}"
        cluster.kill(VICTIM, how=HALT)
        flip(_rotting(folder / "group-1", "log")[-1], where)
        assert "a fresh learner under a new member id" in refusal(cluster, VICTIM)
        folder.rename(cluster.folder / "damaged")
        cluster.start(4)
        cluster.change(lambda shown: "3" not in shown["members"], cmd="member_remove", member=VICTIM)
        cluster.change(lambda shown: shown["members"].get("4", {}).get("votes", False), cmd="member_add", member=4)
    assert numbers(cluster, len(acknowledged)) == acknowledged
    assert set(cluster.processes) == {1, 2, 4}


@pytest.mark.parametrize("keyed", [False, True])
def test_all_that_a_new_member_relies_on_is_durable_before_it_answers_anybody(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch, keyed: bool
) -> None:
    """Its files, and their names, and those of the folders above them up to one that was there before."""
    cluster = make_cluster(extra="key_file: key" if keyed else "")
    (cluster.folder / "key").write_text("k" * 32)
    cluster.config.write_text(cluster.config.read_text().replace("/nodes", "/some/where/nodes"))
    synced: set[int] = set()
    names: dict[int, set[str]] = {}

    def watch(sync: Callable[[int], None]) -> Callable[[int], None]:
        def called(descriptor: int) -> None:
            status = os.fstat(descriptor)
            synced.add(status.st_ino)
            if stat.S_ISDIR(status.st_mode):
                names.setdefault(status.st_ino, set()).update(os.listdir(descriptor))
            sync(descriptor)

        return called

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, watch(getattr(os, name)))
    node = Node(config.load(cluster.config), 1)
    node.close()
    top = cluster.folder / "some"
    needed = {path for path in (top, *top.rglob("*")) if path.name not in ("lock", "control.sock")}
    kept = {"member", "synced", "log-0000000001", "group-1", "node1", "nodes", "where", "some"}
    assert {path.name for path in needed} == (kept | {"boot"} if keyed else kept)
    for path in needed:
        assert path.name in names.get(path.parent.stat().st_ino, ()), f"{path}: its name is not durable"
        assert path.is_dir() or path.stat().st_ino in synced, f"{path}: its content is not durable"
