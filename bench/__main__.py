"""``python -m bench COMMAND``; its help lists the commands.

What a command has measured it leaves in build/bench/records; ``figures`` draws that."""

from __future__ import annotations

import argparse
import sys

from topo.errors import LabError, UsageError
from topo.lab.supervisor import Asked


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of switchraft.")
    commands = parser.add_subparsers(dest="command", required=True)
    from bench import figures
    from bench.arguments import count
    from bench.consensus import accel, bulk, catchup, commit, core, failover, limit, lossy, metrics
    from bench.open import curve
    from bench.reads import compare
    from bench.switch import comparison as switch

    accel.add_arguments(
        commands.add_parser("accel", help="what the network's copies are worth, off and on in turn (needs root)")
    )
    commit.add_arguments(
        commands.add_parser("commit", help="commits per second and latency, beside etcd, in the lab (needs root)")
    )
    core.add_arguments(commands.add_parser("core", help="entries per second through three Raft cores in one process"))
    curve.add_arguments(
        commands.add_parser("curve", help="latency over offered rates, and recovery from too much (needs root)")
    )
    failover.add_arguments(
        commands.add_parser(
            "failover", help="seconds without a commit after the leader's death, beside etcd (needs root)"
        )
    )
    catchup.add_arguments(
        commands.add_parser("catchup", help="a node that was away catches up by snapshot, under load")
    )
    bulk.add_arguments(commands.add_parser("bulk", help="a large value and a large snapshot, and their memory"))
    limit.add_arguments(
        commands.add_parser("limit", help="what a limit is worth while one host floods, in turn (needs root)")
    )
    lossy.add_arguments(commands.add_parser("lossy", help="large values over paths that lose, delay and reorder"))
    metrics.add_arguments(
        commands.add_parser("metrics", help="what it costs to be scraped, with and without in turn (needs root)")
    )
    compare.add_arguments(
        commands.add_parser("read", help="reads spread by the switches, beside the leader's, in turn (needs root)")
    )
    recovery = commands.add_parser("recovery", help="how fast the lab works again after what breaks (needs root)")
    recovery.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    recovery.add_argument("--compiler", choices=("p4c", "p4compiler"))
    recovery.add_argument("--rounds", type=count, default=3, help="of all cases; the median is shown")
    switch.add_arguments(
        commands.add_parser("switch", help="P4 switches, a bridge and a bare forwarder side by side (needs root)")
    )
    figures.add_arguments(commands.add_parser("figures", help="a page of all that was measured"))
    options = parser.parse_args()
    options.words = sys.argv[1:]
    run = {
        "accel": accel.main,
        "commit": commit.main,
        "core": core.main,
        "curve": curve.main,
        "failover": failover.main,
        "figures": figures.main,
        "catchup": catchup.main,
        "bulk": bulk.main,
        "limit": limit.main,
        "lossy": lossy.main,
        "metrics": metrics.main,
        "read": compare.main,
        "recovery": _recovery,
        "switch": switch.main,
    }[options.command]
    try:
        return run(options)
    except (KeyboardInterrupt, Asked):
        print("bench: interrupted", file=sys.stderr)
        return 130


def _recovery(options: argparse.Namespace) -> int:
    """The exit code is 1 if a median misses its limit."""
    from rich.console import Console

    from bench import record
    from bench.consensus import recovery
    from topo.lab.options import Options

    try:
        runs = recovery.run(Options(switch=options.switch, compiler=options.compiler), options.rounds)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    rows = recovery.summary(runs)
    record.keep(options.words, [f"triangle, {options.switch} switch"], recovery.series(rows))
    title = f"triangle, {options.switch} switch; median (min - max) of {options.rounds} rounds"
    Console(width=110).print(recovery.table(rows, title))
    return int(any(figure.seconds > figure.limit for figure, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
