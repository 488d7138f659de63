"""Latency over offered rates, in an open loop: a client begins requests at a constant rate, whatever answers do.

A closed loop of 64 outstanding says what rate R is within reach. Then the rate is a share of R, one stretch after the
other, from the lowest to the highest; and after the highest it falls at once to 50 %, which shows how long the
cluster has to do with what it could not. Latency counts from the time at which a request was due. Knee and recovery
are as ``bench.open.report`` says. All of it is done in rounds, on one cluster for each number of members.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from bench import record
from bench.arguments import count, real
from bench.consensus import grounds
from bench.consensus.commit import numbers, sizes
from bench.consensus.grounds import TOPOLOGIES, Ground, Timing
from bench.consensus.systems import Switchraft, run_load
from bench.consensus.window import Lengths
from bench.open import samples
from bench.open.load import OPERATIONS, PATIENCE_S
from bench.open.report import HALF, LOWEST, Case, Curve, Round, series, shown_ms, shown_recovery, table, told
from bench.open.report import samples as all_samples
from bench.open.schedule import Stretch
from topo import paths
from topo.errors import LabError, UsageError

SHARES = [25, 50, 70, 80, 90, 100, 110, 125]
MOST_SHARE = 1000
OUTSTANDING = 64
CLOSED_S = 3.0
WARMUP_S = 0.5
"""Of each rate, before anything is counted."""
SLACK_S = 60.0
"""For a client to start, and to make its figures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=numbers, default=[3, 5], metavar="N[,N]", help="3, 5, 7, 9")
    parser.add_argument("--size", type=sizes, default=[64], metavar="BYTES[,BYTES]", help="of a value")
    parser.add_argument(
        "--operation", default=",".join(OPERATIONS), metavar="NAME[,NAME]", help=f"{', '.join(OPERATIONS)}: put, get"
    )
    parser.add_argument(
        "--shares",
        type=numbers,
        default=SHARES,
        metavar="N[,N]",
        help=f"in percent of what 64 outstanding reach; {LOWEST} and {HALF} are always among them",
    )
    parser.add_argument("--seconds", type=real(0.1, 1e4), default=5.0, help="of each stretch")
    parser.add_argument(
        "--recovery",
        type=real(0.5, 1e4),
        default=10.0,
        metavar="SECONDS",
        help=f"at {HALF} %% after the highest share",
    )
    parser.add_argument("--rounds", type=count, default=3, help="of all shares, of which the median is shown")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every stretch's figures and histogram, for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 0 once all was measured, whatever that is."""
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    options.operations = [name for name in options.operation.split(",") if name]
    wrong = wrong_in(options)
    if wrong:
        print(f"bench: {wrong}", file=sys.stderr)
        return 2
    options.shares = sorted({LOWEST, HALF, *options.shares})
    curves: dict[Case, Curve] = {}
    try:
        if not samples.installed():
            raise LabError(samples.INSTALL)
        run(options, curves, progress.print)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    about = [
        f"lab, {options.switch} switch; {record.DURABLE}; reads are linearizable",
        f"one Python client, an open loop; {processors()} for it, the members and the switches",
    ]
    words = {case: told(curve, options.recovery) for case, curve in curves.items()}
    facts = {f"{case}: {name}": text for case, found in words.items() for name, text in found.items()}
    record.keep(options.words, about, series(curves), facts)
    if options.json:
        found = {"conditions": about, "machine": record.machine(), "cases": all_samples(curves, options.recovery)}
        print(json.dumps(found, indent=2, allow_nan=False))
        return 0
    console = Console(width=170)
    for case, curve in curves.items():
        title = f"{case}; {'; '.join(about)}; median (min-max) of {options.rounds} rounds"
        console.print(table(case, curve, title))
        for name, text in words[case].items():
            print(f"{name}: {text}")
    return 0


def wrong_in(options: argparse.Namespace) -> str:
    """What is impossible in the options; nothing if all is possible."""
    if not options.operations or not set(options.operations) <= set(OPERATIONS):
        return f"--operation {options.operation}: choose {', '.join(OPERATIONS)}"
    if not set(options.nodes) <= set(TOPOLOGIES):
        return f"--nodes: there are labs of {', '.join(map(str, TOPOLOGIES))} members"
    if max(options.shares) > MOST_SHARE:
        return f"--shares: percent, 1 to {MOST_SHARE}"
    return ""


def processors() -> str:
    """Those that the benchmark may use, of those that the machine has."""
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 0
    cores = "1 core" if usable == 1 else f"{usable} cores"
    return cores if usable == there else f"{cores} of {there}"


def run(options: argparse.Namespace, curves: dict[Case, Curve], say: Callable[[str], None]) -> None:
    """Measure everything that was asked for. Raises LabError, UsageError."""
    for nodes in options.nodes:
        cases = [Case(nodes, size, operation) for size in options.size for operation in options.operations]
        with grounds.lab(nodes, 1, Timing(), options.switch, say) as ground:
            system = Switchraft(ground)
            try:
                system.start()
                for case in cases:
                    curves[case] = Curve(closed_per_s(ground, system, case))
                    say(f"{case}: {OUTSTANDING} outstanding reach {curves[case].closed_per_s:,.0f}/s")
                for number in range(options.rounds):
                    for case in cases:
                        say(f"{case}, round {number + 1}/{options.rounds}")
                        curves[case].rounds.append(one_round(ground, system, case, curves[case], options, say))
            finally:
                system.stop()


def closed_per_s(ground: Ground, system: Switchraft, case: Case) -> float:
    """What a closed loop reaches, in operations a second. Raises LabError."""
    lengths = Lengths(seconds=CLOSED_S)
    if case.operation == "commit":
        return system.load(OUTSTANDING, case.size, lengths)["commits_per_s"]
    words = [*system.pulse_words(), "--reads", "1"]
    figures = run_load(ground, "bench.reads.load", words, OUTSTANDING, case.size, lengths, system.pids())
    return figures["commits_per_s"]


def one_round(
    ground: Ground,
    system: Switchraft,
    case: Case,
    curve: Curve,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> Round:
    """All shares once, and the recovery after the highest. Raises LabError."""
    found = Round()
    for share in options.shares:
        rate = curve.closed_per_s * share / 100
        stretches = [Stretch(rate, WARMUP_S), Stretch(rate, options.seconds)]
        if share == options.shares[-1]:
            stretches.append(Stretch(curve.closed_per_s * HALF / 100, options.recovery))
        measured, found.counters[share] = open_loop(ground, system, case, stretches)
        found.shares[share] = measured[1]
        retries = found.counters[share].get("retries", 0)
        say(f"  {share} %: {_line(measured[1])}" + (f", {retries:,} retries" if retries else ""))
        if len(measured) > 2:
            found.after = measured[2]
            recovery = shown_recovery(found.recovery_s(), options.recovery)
            say(f"  {HALF} % after it: {_line(measured[2])}; recovery: {recovery}")
    return found


def _line(one: samples.Measured) -> str:
    return (
        f"{one.offered_per_s:,.0f}/s offered, {one.achieved_per_s:,.0f}/s achieved, p50 {shown_ms(one.p50_ms)}, "
        f"p99 {shown_ms(one.p99_ms)}, client's lag {shown_ms(one.lag_p99_ms)}"
        + (f", {one.not_begun:,} not begun" if one.not_begun else "")
        + (f", {one.errors:,} errors" if one.errors else "")
    )


def open_loop(
    ground: Ground, system: Switchraft, case: Case, stretches: Sequence[Stretch]
) -> tuple[list[samples.Measured], dict[str, int]]:
    """Run a client in its place: each stretch's figures, and what the client library counted. Raises LabError."""
    words = [*system.pulse_words(), "--operation", case.operation, "--value-bytes", str(case.size)]
    for one in stretches:
        words += ["--stretch", f"{one.rate}:{one.seconds}"]
    command = ground.at_client([sys.executable, "-m", "bench.open.load", *words])
    patience = sum(one.seconds for one in stretches) + 2 * PATIENCE_S + SLACK_S
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT, check=False, timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"the client has not ended within {patience:.0f} s: choose lower --shares") from error
    if done.returncode:
        raise LabError(f"the client has failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
    told = json.loads(done.stdout)
    return [samples.unpacked(one) for one in told["stretches"]], told["counters"]
