"""``python -m bench commit``, ``recovery`` and ``switch``: see --help."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from topo.errors import LabError, UsageError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of switchraft.")
    commands = parser.add_subparsers(dest="command", required=True)
    commit = commands.add_parser("commit", help="commits per second and latency, durable, in the lab (needs root)")
    commit.add_argument("--topology", default="triangle")
    commit.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    commit.add_argument("--outstanding", type=int, nargs="+", default=[1, 64], metavar="N")
    commit.add_argument("--rounds", type=int, default=5, help="alternating runs, of which the median is shown")
    commit.add_argument("--seconds", type=float, default=3.0, help="of each run")
    commit.add_argument("--value-bytes", type=int, default=64)
    commit.add_argument("--json", action="store_true", help="every run's figures, for programs")
    recovery = commands.add_parser("recovery", help="how fast the lab works again after what breaks (needs root)")
    recovery.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    recovery.add_argument("--compiler", choices=("p4c", "p4compiler"))
    recovery.add_argument("--rounds", type=int, default=3, help="of all cases; the median is shown")
    from bench import switch

    switch.add_arguments(
        commands.add_parser("switch", help="P4 switches, a bridge and a bare forwarder side by side (needs root)")
    )
    options = parser.parse_args()
    run = {"commit": _commit, "recovery": _recovery, "switch": switch.main}[options.command]
    return run(options)


def _recovery(options: argparse.Namespace) -> int:
    """The exit code is 1 if a median misses its limit."""
    from rich.console import Console

    from bench import recovery
    from topo.options import Options

    try:
        runs = recovery.run(Options(switch=options.switch, compiler=options.compiler), options.rounds)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    rows = recovery.summary(runs)
    title = f"triangle, {options.switch} switch; median (min - max) of {options.rounds} rounds"
    Console(width=110).print(recovery.table(rows, title))
    return int(any(figure.seconds > figure.limit for figure, _ in rows))


def _commit(options: argparse.Namespace) -> int:
    from bench import commit as bench_commit

    try:
        runs = bench_commit.run(
            options.topology,
            options.switch,
            options.outstanding,
            options.rounds,
            options.seconds,
            options.value_bytes,
        )
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"bench: the client failed (exit code {error.returncode}); its words are above", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({str(count): results for count, results in runs.items()}, indent=2))
        return 0
    from rich.console import Console

    title = (
        f"{options.topology}, {options.switch} switch, {options.value_bytes} B values, durable; median (min - max)"
    )
    Console(width=110).print(bench_commit.table(runs, title))
    return 0


if __name__ == "__main__":
    sys.exit(main())
