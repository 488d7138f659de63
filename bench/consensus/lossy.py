"""Large values over paths that lose datagrams, bring them late, twice and out of order; and without an election.

Three nodes on loopback, with a proxy between them. A leader's rate to a follower over such a path is bounded by its
congestion window, so it is compared with what NewReno's formula gives for the loss and the round-trip time.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from bench import record
from bench.arguments import count, real
from bench.consensus.bulk import content
from bench.consensus.loopback import MEMBERS, PATIENCE_S, Loopback, Stuck, show
from bench.consensus.path import Quality, newreno_bytes_per_s
from bench.consensus.proxy import OverPaths
from bench.consensus.window import cpu_s
from p4switch.options import whole

LEAST_SHARE = 0.5
HEADERS = 100
"""Bytes of a datagram that are no value's, about: IPv4, UDP, Raft, fragment, seal."""


class LossyLoopback(OverPaths, Loopback):
    """Three members over such paths, in a folder that goes with them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--values", type=count, default=16)
    parser.add_argument("--size", type=count, default=1 << 20, help="bytes of a value")
    parser.add_argument("--outstanding", type=count, default=4, help="values on their way")
    parser.add_argument("--loss", type=real(0, 100), default=5.0, help="per cent of datagrams, each way")
    parser.add_argument("--twice", type=real(0, 100), default=5.0, help="per cent that come twice")
    parser.add_argument("--overtaken", type=real(0, 100), default=5.0, help="per cent that come 5 ms late")
    parser.add_argument("--delay-ms", type=real(0, 60_000), default=20.0, help="each way")
    parser.add_argument("--largest", type=whole(576, 65_535), default=1500, help="bytes of the largest IPv4 packet")
    parser.add_argument("--seed", type=whole(0), default=1)
    parser.add_argument("--folder", help="where the nodes write (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if something did not arrive, was slower than half of the formula, or had an election."""
    quality = Quality(
        loss=options.loss / 100,
        twice=options.twice / 100,
        overtaken=options.overtaken / 100,
        delay_s=options.delay_ms / 1000,
        largest=options.largest,
    )
    try:
        figures = run(quality, options.values, options.size, options.outstanding, options.seed, options.folder)
    except (Stuck, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    record.keep(options.words, [f"loopback, 3 members; {record.DURABLE}"], facts=figures)
    show(figures, options.json)
    return 0 if figures["holds"] else 1


def run(
    quality: Quality, values: int, size: int, outstanding: int, seed: int = 1, folder: str | None = None
) -> dict[str, Any]:
    """The figures; "holds" says whether they are as they ought to be. Raises Stuck."""
    cluster = LossyLoopback(folder=folder)
    with cluster:
        cluster.open_paths(quality, seed)
        cluster.start()
        leader = cluster.leader()
        before = cluster.group_status(leader)
        patience = PATIENCE_S + values * size / 10_000
        pids = [process.pid for process in cluster.processes.values()]
        with cluster.client(timeout_s=patience) as client:
            client.put("warm", 1)
            used, began = cpu_s(pids), time.monotonic()
            written = list(client.put_many(((n, content(n, size)) for n in range(values)), outstanding))
            committed = time.monotonic() - began
            last = max(result.index for result in written)
            cluster.wait(lambda: all(_applied(cluster, one) >= last for one in MEMBERS), "all have it", patience)
            everywhere, used = time.monotonic() - began, cpu_s(pids) - used
            same = all(client.get(n).value == [True, content(n, size)] for n in range(values))
        after = cluster.group_status(leader)
        counts = cluster.proxy.counts()
    elections = after["term"] - before["term"] if before and after else -1
    formula = None
    if quality.loss and quality.delay_s:
        formula = newreno_bytes_per_s(quality.largest - HEADERS, 2 * quality.delay_s, quality.loss)
    share = None if formula is None else values * size / committed / formula
    return {
        "values": values,
        "bytes of each": size,
        "committed, KiB/s": values * size / committed / 1024,
        "applied by all, KiB/s": values * size / everywhere / 1024,
        "by NewReno's formula, KiB/s": "no loss or no delay" if formula is None else formula / 1024,
        "committed, of that": "" if share is None else round(share, 3),
        "all values are the same": same,
        "elections": elections,
        "members' CPU, us for 1,400 bytes": used * 1e6 / (values * size / 1400),
        "datagrams": ", ".join(f"{count} {what}" for what, count in sorted(counts.items())),
        "holds": same and elections == 0 and (share is None or share >= LEAST_SHARE),
    }


def _applied(cluster: Loopback, member: int) -> int:
    status = cluster.group_status(member)
    return int(status["applied"]) if status else -1
