"""A large value, and a snapshot of many values, arrive whole, and no process takes much more memory than the state.

Three nodes on loopback. While one member is away, a client writes a state of ``--snapshot-gib``, in values of
``--part-kib``; then the member comes back and gets all that as a snapshot. Every value is random bytes made from its
key's number, and read back from the member that came back, which is made leader for that.

Then a value and a snapshot go by once more, while another client commits small values all the time: by how much their
rate falls meanwhile is what large data costs those who have none.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from typing import Any

from bench import record
from bench.arguments import real
from bench.arguments import seconds as in_seconds
from bench.consensus.catchup import Rate, has_caught_up
from bench.consensus.loopback import MEMBERS, PATIENCE_S, Loopback, Stuck, load, show
from hosts.client.blocking import Client
from hosts.service.values import MAX_LARGE_BYTES
from p4switch.options import whole

MIB = 1 << 20
PROCESS_MIB = 128
"""An idle node, with what its allocator keeps: about 60 MiB of it are the interpreter and its modules."""

COPIES_OF_A_VALUE = 4
"""A large value may be there so often for a moment: in fragments, put together, in the log."""

SMALL_BYTES, OUTSTANDING = 64, 16
"""Of the client that commits small values meanwhile."""

VALUES = 3
"""Large ones that go by meanwhile: of the rates beside them the median is told."""

SHARE = 1.3
"""Memory for the state against its bytes: also the log of the last quarter, kept until the next snapshot."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--value-mib", type=whole(1, MAX_LARGE_BYTES // MIB), default=64)
    parser.add_argument("--snapshot-gib", type=real(0.001, 1024), default=1.0)
    parser.add_argument(
        "--part-kib", type=whole(1, 1 << 20), default=1024, help="of each of the values that make up the snapshot"
    )
    parser.add_argument(
        "--seconds", type=in_seconds, default=3.0, help="for which a rate of small values is measured"
    )
    parser.add_argument("--folder", help="where the nodes write (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if something did not arrive, or took too much memory."""
    try:
        size = round(options.snapshot_gib * (1 << 30))
        figures = run(options.value_mib * MIB, size, options.part_kib << 10, options.folder, seconds=options.seconds)
    except Stuck as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    record.keep(options.words, [f"loopback, 3 members; {record.DURABLE}"], facts=figures)
    show(figures, options.json)
    return 0 if figures["holds"] else 1


def content(number: int, size: int) -> bytes:
    """The value under key ``number``."""
    return random.Random(number).randbytes(size)


def run(
    value_bytes: int,
    snapshot_bytes: int,
    part_bytes: int,
    folder: str | None = None,
    extra: str = "",
    seconds: float = 3.0,
) -> dict[str, Any]:
    """The figures; "holds" says whether all arrived within the memory allowed, and without an election. ``extra``:
    more lines of the cluster file. Raises Stuck."""
    with Loopback(extra, folder) as cluster:
        cluster.start()
        value, value_holds = _value(cluster, value_bytes)
        snapshot, snapshot_holds = _snapshot(cluster, snapshot_bytes, part_bytes, value_bytes)
        beside, beside_holds = _beside_small_values(cluster, value_bytes, seconds)
        return {**value, **snapshot, **beside, "holds": value_holds and snapshot_holds and beside_holds}


def _memory(cluster: Loopback, what: str = "VmHWM") -> str:
    return ", ".join(f"{cluster.memory_bytes(one, what) / MIB:.0f}" for one in sorted(cluster.processes))


def _value(cluster: Loopback, size: int) -> tuple[dict[str, Any], bool]:
    """A value of ``size`` bytes through the log to all members, and back: the figures, and whether all is well."""
    leader = cluster.leader()
    before = cluster.group_status(leader)
    with cluster.client(timeout_s=PATIENCE_S) as client:
        client.put("warm", 1)
        value = content(0, size)
        began = time.monotonic()
        written = client.put("large", value)
        wrote = time.monotonic() - began
        cluster.wait(lambda: all(_applied(cluster, one) >= written.index for one in MEMBERS), "all have applied it")
        everywhere = time.monotonic() - began
        began = time.monotonic()
        same = client.get("large").value == [True, value]
        read = time.monotonic() - began
        client.delete("large")
    after = cluster.group_status(leader)
    allowed = (PROCESS_MIB * MIB + COPIES_OF_A_VALUE * size) // MIB
    most = max(cluster.memory_bytes(one, "VmHWM") for one in MEMBERS) // MIB
    quiet = bool(before and after and (before["term"], before["leader"]) == (after["term"], after["leader"]))
    return {
        "value, MiB": size / MIB,
        "acknowledged after s": wrote,
        "acknowledged, MiB/s": size / MIB / wrote,
        "applied by all after s": everywhere,
        "read back after s": read,
        "value is the same": same,
        "no election meanwhile": quiet,
        "nodes' most resident memory, MiB": _memory(cluster),
        "allowed for the value, MiB": allowed,
    }, same and quiet and most <= allowed


def _snapshot(cluster: Loopback, size: int, part: int, value_bytes: int) -> tuple[dict[str, Any], bool]:
    leader = cluster.leader()
    away = next(member for member in MEMBERS if member != leader)
    cluster.kill(away)
    keys = max(1, size // part)
    began = time.monotonic()
    with cluster.client(timeout_s=PATIENCE_S) as client:
        _write(client, keys, part)
    wrote = time.monotonic() - began
    written = cluster.wait(lambda: _snapshot_of_all(cluster, leader), "the leader has taken a snapshot", 600)
    began = time.monotonic()
    cluster.start(away)
    patience = PATIENCE_S + size / (1 << 20)
    cluster.wait(lambda: _applied(cluster, away) >= written["commit"], "the snapshot has arrived", patience)
    took = time.monotonic() - began
    arrived = cluster.group_status(away)
    after = cluster.group_status(leader)
    quiet = bool(after and after["role"] == "leader" and after["term"] == written["term"])
    most = max(cluster.memory_bytes(one, "VmHWM") for one in MEMBERS)
    leaders, aways = (cluster.memory_bytes(one, "VmHWM") for one in (leader, away))
    now = _memory(cluster, "VmRSS")
    same = _read_back(cluster, away, keys, part)
    allowed = int((PROCESS_MIB + COPIES_OF_A_VALUE * value_bytes / MIB) * MIB + SHARE * size)
    disk = max(cluster.disk_bytes(one) for one in MEMBERS)
    return {
        "state, MiB": keys * part / MIB,
        "written in s": wrote,
        "snapshot at entry": arrived["snapshot"] if arrived else 0,
        "arrived after s": took,
        "MiB/s": keys * part / MIB / took,
        "all values are the same": same,
        "no election while it came": quiet,
        "most resident memory of the leader, MiB": leaders // MIB,
        "of the member that was away, MiB": aways // MIB,
        "nodes' resident memory, MiB": now,
        "nodes' most resident memory by then, MiB": _memory(cluster),
        "allowed, MiB": allowed // MIB,
        "largest disk use, MiB": disk // MIB,
    }, bool(same and quiet and most <= allowed and arrived and arrived["snapshot"])


def _beside_small_values(cluster: Loopback, size: int, seconds: float) -> tuple[dict[str, Any], bool]:
    """What the rate of small values is while a large one, and while a snapshot of the state, goes by."""
    leader = cluster.leader()
    away = next(member for member in MEMBERS if member != leader)
    before = cluster.group_status(leader)
    with load(cluster, OUTSTANDING, SMALL_BYTES), cluster.client(timeout_s=PATIENCE_S) as client:
        rate = Rate(cluster, leader)
        goal = rate.commit() + 100
        cluster.wait(lambda: rate.commit() > goal, "the first small values")
        usual = _rate_for(rate, seconds)
        by_value = []
        for number in range(VALUES):
            rate.take()
            client.put("large", content(number, size))
            by_value.append(rate.take())
        cluster.kill(away)
        left_at = rate.commit()
        client.put("large", content(0, size))  # more than the log that is kept for who was away for a moment
        deleted = client.delete("large").index
        cluster.wait(lambda: _has_snapshot_since(cluster, leader, deleted), "the leader has taken a snapshot", 600)
        one_away = _rate_for(rate, seconds)
        began = time.monotonic()
        cluster.start(away)
        back = cluster.wait(lambda: has_caught_up(cluster, away, leader), "the member has caught up", 600)
        by_snapshot, took = rate.take(), time.monotonic() - began
    after = cluster.group_status(leader)
    elections = after["term"] - before["term"] if before and after else -1
    value_rate = statistics.median(by_value)
    return {
        "small values/s": usual,
        "while a large value goes by": value_rate,
        "fall beside a large value, %": 100 * (1 - value_rate / usual),
        "small values/s with one member away": one_away,
        "while a snapshot goes to it": by_snapshot,
        "fall beside a snapshot, %": 100 * (1 - by_snapshot / one_away),
        "snapshot beside small values after s": took,
        "it was a snapshot": back["snapshot"] > left_at,
        "elections beside small values": elections,
    }, elections == 0 and back["snapshot"] > left_at


def _rate_for(rate: Rate, seconds: float) -> float:
    rate.take()
    time.sleep(seconds)
    return rate.take()


def _has_snapshot_since(cluster: Loopback, member: int, index: int) -> bool:
    """Whether the member's last snapshot has this entry; it is to take one if not."""
    status = cluster.group_status(member)
    if status and status["snapshot"] >= index:
        return True
    cluster.ask(member, cmd="snapshot")
    time.sleep(0.5)
    return False


def _write(client: Client, keys: int, part: int) -> None:
    for number in range(1, keys + 1):
        client.put(number, content(number, part))


def _read_back(cluster: Loopback, member: int, keys: int, part: int) -> bool:
    """From ``member`` itself, as the leader."""

    def leads() -> bool:
        status = cluster.group_status(member)
        if status and status["role"] == "leader":
            return True
        old = cluster.leader()
        cluster.ask(old, cmd="transfer", member=member)
        time.sleep(0.5)
        return False

    cluster.wait(leads, f"member {member} leads")
    with cluster.client(timeout_s=PATIENCE_S) as client:
        for number in range(1, keys + 1):
            result = client.get(number)
            if result.value != [True, content(number, part)] or result.served_by != member:
                return False
    return True


def _snapshot_of_all(cluster: Loopback, member: int) -> dict[str, Any] | None:
    """A member's status, once it has a snapshot of all that is applied."""
    status = cluster.group_status(member)
    if status and status["snapshot"] == status["applied"]:
        return status
    cluster.ask(member, cmd="snapshot")
    time.sleep(0.5)
    return None


def _applied(cluster: Loopback, member: int) -> int:
    status = cluster.group_status(member)
    return int(status["applied"]) if status else -1
