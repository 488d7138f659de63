"""A node that was away for many entries catches up by snapshot, while the others go on committing.

Three nodes on loopback, one client process with many appends outstanding. The rate is that of the leader's commit
index. "with all three" is the rate before the node goes; "while one is away" that without it; "while it catches up"
counts from its start until its log is as long as the leader's. That takes a second or two, in which a rate scatters,
so the median of several clusters, one after the other, decides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench import record
from bench.arguments import count
from bench.arguments import seconds as in_seconds
from bench.consensus.loopback import MEMBERS, PATIENCE_S, Loopback, Stuck, load, show

MOST_DROP = 0.20
DROP, BY_SNAPSHOT, BOUNDED = "drop against all three, %", "by a snapshot", "the disk is bounded"
ENTRY_BYTES = 200
"""An entry of a small value, on disk and in a snapshot, with ample room."""

DISK_SLACK_BYTES = 96 << 20
"""Segments are made 16 MiB at a time; a snapshot is there twice while a new one is written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--entries", type=count, default=100_000, help="for which the node is away")
    parser.add_argument("--outstanding", type=count, default=64)
    parser.add_argument("--value-bytes", type=count, default=64)
    parser.add_argument(
        "--seconds", type=in_seconds, default=5.0, help="for which the rate with all three is measured"
    )
    parser.add_argument("--snapshot-entries", type=count, help="as in the cluster file (default: the default there)")
    parser.add_argument("--rounds", type=count, default=5, help="clusters, of which the median is shown")
    parser.add_argument("--folder", help="where the nodes write (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if a limit is missed."""
    runs = []
    try:
        for number in range(options.rounds):
            runs.append(
                run(
                    options.entries,
                    options.outstanding,
                    options.value_bytes,
                    options.seconds,
                    options.snapshot_entries,
                    options.folder,
                )
            )
            print(f"round {number + 1}/{options.rounds}: {runs[-1][DROP]:.1f} % fewer commits", file=sys.stderr)
    except Stuck as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    figures = summary(runs)
    record.keep(options.words, [f"loopback, 3 members; {record.DURABLE}"], facts=figures)
    show({"rounds": runs, **figures} if options.json else figures, options.json)
    return 0 if figures["holds"] else 1


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of several runs and, as text, their spread; what is said of each must be true of all."""
    figures: dict[str, Any] = {}
    for name, first in runs[0].items():
        values = [one[name] for one in runs]
        if isinstance(first, bool):
            figures[name] = all(values)
        elif isinstance(first, str):
            figures[name] = "; ".join(dict.fromkeys(values))
        else:
            places = ".1f" if isinstance(first, float) else ".0f"
            shown = [f"{value:,{places}}" for value in (statistics.median(values), min(values), max(values))]
            figures[name] = f"{shown[0]} ({shown[1]} to {shown[2]})"
    drop = statistics.median([one[DROP] for one in runs])
    figures["holds"] = bool(figures[BY_SNAPSHOT] and figures[BOUNDED] and drop <= 100 * MOST_DROP)
    return figures


class Rate:
    """Commits per second at a member since the last look."""

    def __init__(self, cluster: Loopback, member: int) -> None:
        self._cluster = cluster
        self._member = member
        self._at, self._commit = time.monotonic(), self.commit()

    def commit(self) -> int:
        status = self._cluster.group_status(self._member)
        return int(status["commit"]) if status else 0

    def take(self) -> float:
        now, commit = time.monotonic(), self.commit()
        rate = (commit - self._commit) / (now - self._at)
        self._at, self._commit = now, commit
        return rate


def run(
    entries: int,
    outstanding: int = 64,
    value_bytes: int = 64,
    seconds: float = 5.0,
    snapshot_entries: int | None = None,
    folder: str | None = None,
) -> dict[str, Any]:
    """One cluster's figures. Raises Stuck."""
    extra = "" if snapshot_entries is None else f"snapshot_entries: {snapshot_entries}"
    with Loopback(extra, folder) as cluster:
        cluster.start()
        leader = cluster.leader()
        away = next(member for member in MEMBERS if member != leader)
        most_disk = 0

        def commits_until(index: int) -> bool:
            nonlocal most_disk
            most_disk = max(most_disk, cluster.disk_bytes(leader))
            time.sleep(0.2)
            return rate.commit() >= index

        with load(cluster, outstanding, value_bytes):
            rate = Rate(cluster, leader)
            cluster.wait(lambda: rate.commit() > 100, "the first commits")
            rate.take()
            time.sleep(seconds)
            with_all = rate.take()
            cluster.kill(away)
            left_at = rate.commit()
            rate.take()
            cluster.wait(lambda: commits_until(left_at + entries), f"{entries} entries", PATIENCE_S + entries / 100)
            without = rate.take()
            began = time.monotonic()
            cluster.start(away)
            back = cluster.wait(lambda: has_caught_up(cluster, away, leader), "the node has caught up")
            took = time.monotonic() - began
            meanwhile = rate.take()
            disks = [cluster.disk_bytes(member) for member in MEMBERS]
            term = cluster.group_status(leader)
        allowed = DISK_SLACK_BYTES + 3 * ENTRY_BYTES * (rate.commit() + len(MEMBERS))
        drop = 1 - meanwhile / with_all
        by_snapshot = back["snapshot"] > left_at
        bounded = max(most_disk, *disks) < allowed
        return {
            "away for entries": entries,
            "commits/s with all three": with_all,
            "commits/s while one is away": without,
            "commits/s while it catches up": meanwhile,
            DROP: 100 * drop,
            "drop against one away, %": 100 * (1 - meanwhile / without),
            "caught up after s": took,
            BY_SNAPSHOT: by_snapshot,
            "which is of entry": back["snapshot"],
            "leader's disk at most, MiB": most_disk / 2**20,
            "disk of each at the end, MiB": ", ".join(f"{size / 2**20:.0f}" for size in disks),
            BOUNDED: bounded,
            "the same node still leads": bool(term and term["role"] == "leader"),
        }


def has_caught_up(cluster: Loopback, member: int, leader: int) -> dict[str, Any] | None:
    """A member's status, once it has applied what the leader had committed just before."""
    goal = cluster.group_status(leader)
    status = cluster.group_status(member)
    return status if goal and status and status["applied"] >= goal["commit"] else None
