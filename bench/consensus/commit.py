"""Commits per second, durable: one client process, this project beside other systems, in the same place in turn.

Of small values those are counted that are answered within --seconds. Of large ones so many are written that a rate
means something; all are counted, and no more are begun after --at-most seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import record
from bench.arguments import count
from bench.arguments import seconds as in_seconds
from bench.consensus import etcd, grounds, pysyncobj
from bench.consensus.grounds import Ground, Timing
from bench.consensus.pysyncobj import PySyncObj
from bench.consensus.systems import Etcd, Loaded, Switchraft
from bench.consensus.window import Lengths
from bench.plot import Series, panels_of, picture
from hosts.config import DEFAULT_MTU
from hosts.net.path import LOOPBACK_MTU
from topo.errors import LabError, UsageError

OTHERS = ("etcd", "pysyncobj")
FIGURES = ("commits_per_s", "p50_ms", "p99_ms", "client_us", "servers_us", "switches_us")
DIGITS = (0, 2, 2, 0, 0, 0)
RATE = "commits/s"
PIECE = 1400
"""Bytes of a value in a datagram, about: by the CPU for a piece values of different sizes can be compared."""

EVERYTHING = {
    "nodes": [3, 5, 7],
    "groups": [1, 8],
    "size": [16, 64, 1024, 65536, 1 << 20],
    "outstanding": [1, 8, 64, 256],
}
MOST_BYTES = 1 << 20
LARGE_BYTES = 256 << 10
LEAST_COMMITS = 16


@dataclass(frozen=True)
class Case:
    """What is measured again in every round."""

    system: str
    nodes: int
    groups: int
    size: int
    outstanding: int

    def __str__(self) -> str:
        load = f"{self.nodes} nodes, {self.groups} groups, {self.size} B, {self.outstanding} at once"
        return f"{self.system}: {load}"


@dataclass
class Results:
    """Each case's runs, and what is to be said beside them."""

    runs: dict[Case, list[dict[str, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def median(self, case: Case, figure: str) -> float:
        return statistics.median(run[figure] for run in self.runs[case])

    def us_per_piece(self, case: Case, figure: str) -> float | None:
        """Median CPU microseconds for PIECE bytes of a value; None where a value has no more than one."""
        return self.median(case, figure) * PIECE / case.size if case.size > PIECE else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=numbers, default=[3], metavar="N[,N]", help="3, 5, 7")
    parser.add_argument(
        "--groups", type=numbers, default=[1], metavar="N[,N]", help="they share the load; one request each at least"
    )
    parser.add_argument(
        "--size", type=sizes, default=[64], metavar="BYTES[,BYTES]", help=f"of a value, up to {MOST_BYTES}"
    )
    parser.add_argument("--outstanding", type=numbers, default=[1, 64], metavar="N[,N]", help="requests on their way")
    parser.add_argument("--everything", action="store_true", help=f"in place of these: {_words(EVERYTHING)}")
    parser.add_argument(
        "--with", dest="others", default="etcd", metavar="NAME[,NAME]", help=f"{', '.join(OTHERS)}; or none"
    )
    parser.add_argument(
        "--check-perf", choices=("s", "m", "l", "xl"), help="run `etcdctl check perf`, too (a minute)"
    )
    parser.add_argument("--rounds", type=count, default=5, help="alternating runs, of which the median is shown")
    parser.add_argument("--seconds", type=in_seconds, default=3.0, help="of each run")
    parser.add_argument(
        "--at-most",
        type=in_seconds,
        default=60.0,
        metavar="SECONDS",
        help="of a run whose values are slow to be answered",
    )
    parser.add_argument(
        "--mtu",
        type=int,
        choices=(1500, 9000),
        help=f"of the lab's links (default: {DEFAULT_MTU}); loopback's cannot be chosen",
    )
    parser.add_argument("--loopback", action="store_true", help="no lab, no switches: 127.0.0.x; needs no root")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every run's figures, for programs")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw a picture, too")


def numbers(text: str) -> list[int]:
    """Whole numbers from 1 on, between commas. Raises argparse.ArgumentTypeError."""
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text}: whole numbers from 1 on, with commas between them")
    return [int(part) for part in parts]


def sizes(text: str) -> list[int]:
    """Bytes of values, between commas. Raises argparse.ArgumentTypeError."""
    found = numbers(text)
    if max(found) > MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{text}: a value has 1 to {MOST_BYTES} bytes")
    return found


def _words(lists: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {','.join(map(str, numbers))}" for name, numbers in lists.items())


def main(options: argparse.Namespace) -> int:
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    if options.everything:
        for name, numbers in EVERYTHING.items():
            setattr(options, name, numbers)
    if options.loopback and options.mtu:
        print("bench: --mtu is of the lab's links: leave it out with --loopback", file=sys.stderr)
        return 2
    mtu = LOOPBACK_MTU if options.loopback else options.mtu or DEFAULT_MTU
    try:
        others = _others(options.others, progress.print)
        results = run(options, others, progress.print)
        if "pysyncobj" in others:
            results.notes.append(pysyncobj.CONDITIONS)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    where = "loopback" if options.loopback else f"lab, {options.switch} switch, links of {mtu}"
    conditions = [f"{where}; {record.DURABLE}; one Python client", *_versions(others), *results.notes]
    record.keep(options.words, conditions, series(results))
    if options.plot:
        record.leave(options.plot, picture(panels_of(series(results))))
    if options.json:
        cases = [{**asdict(case), "mtu": mtu, "runs": runs} for case, runs in results.runs.items()]
        print(json.dumps(cases, indent=2))
        return 0
    title = f"{where}; one Python client, durable; us: of CPU; median (min-max) of {options.rounds} alternating runs"
    Console(width=190).print(table(results, title))
    for note in results.notes:
        print(note)
    return 0


def _others(text: str, say: Callable[[str], None]) -> list[str]:
    """The systems in ``text`` that can be run. Raises UsageError."""
    names = [name for name in text.split(",") if name and name != "none"]
    for name in names:
        if name not in OTHERS:
            raise UsageError(f"--with {name}: choose {', '.join(OTHERS)}, or none")
    if "etcd" in names and not etcd.installed():
        say(etcd.INSTALL)
        names.remove("etcd")
    if "pysyncobj" in names and not pysyncobj.installed():
        say(pysyncobj.INSTALL)
        names.remove("pysyncobj")
    return names


def _versions(others: Sequence[str]) -> list[str]:
    return [{"etcd": etcd, "pysyncobj": pysyncobj}[name].version() for name in others]


def run(options: argparse.Namespace, others: Sequence[str], say: Callable[[str], None]) -> Results:
    """Measure everything that was asked for. Raises LabError, UsageError."""
    results = Results()
    for nodes in options.nodes:
        for groups in options.groups:
            ground_of = (options.loopback, nodes, groups, Timing(), options.switch, say, options.mtu or DEFAULT_MTU)
            with grounds.open(*ground_of) as ground:
                systems = list(_systems(ground, others if groups == 1 else ()))
                for number in range(options.rounds):
                    for system in systems:
                        _round(system, nodes, groups, options, results, f"{number + 1}/{options.rounds}", say)
                if options.check_perf and etcd.installed("etcdctl") and "etcd" in others and groups == 1:
                    results.notes.append(_check_perf(ground, options.check_perf, nodes))
    return results


def _systems(ground: Ground, others: Sequence[str]) -> Iterator[Loaded]:
    yield Switchraft(ground)
    if "etcd" in others:
        yield Etcd(ground, Timing())
    if "pysyncobj" in others:
        yield PySyncObj(ground)


def _round(
    system: Loaded,
    nodes: int,
    groups: int,
    options: argparse.Namespace,
    results: Results,
    number: str,
    say: Callable[[str], None],
) -> None:
    try:
        system.start()
        for size in options.size:
            for outstanding in options.outstanding:
                case = Case(system.name, nodes, groups, size, outstanding)
                lengths = lengths_of(size, outstanding, options.seconds, options.at_most)
                figures = system.load(outstanding, size, lengths)
                results.runs.setdefault(case, []).append(figures)
                say(
                    f"round {number}: {system.name}, {nodes} nodes, {groups} groups, {size} B, "
                    f"{outstanding} outstanding: {figures['commits_per_s']:,.4g}/s, p50 {figures['p50_ms']:.2f} ms"
                    + _shortcomings(figures)
                )
    finally:
        system.stop()


def lengths_of(size: int, outstanding: int, seconds: float, at_most: float) -> Lengths:
    """Of large values half as many again as are outstanding, at least: what is begun at once may be answered so."""
    least = max(LEAST_COMMITS, outstanding * 3 // 2) if size >= LARGE_BYTES else 0
    return Lengths(seconds=seconds, least=least, at_most=at_most)


def _shortcomings(figures: dict[str, float]) -> str:
    short = f" (only {figures['commits']:.0f} in time)" if figures["commits"] < LEAST_COMMITS else ""
    return short + (f" ({figures['errors']:.0f} made again)" if figures["errors"] else "")


def _check_perf(ground: Ground, load: str, nodes: int) -> str:
    system = Etcd(ground, Timing())
    try:
        system.start()
        return f"etcdctl check perf --load={load}, {nodes} nodes: {system.check_perf(load)}"
    finally:
        system.stop()


def table(results: Results, title: str) -> Table:
    """Medians, and in brackets minimum and maximum; and how switchraft's medians compare to etcd's."""
    shown = Table("nodes", "groups", "bytes", "outstanding", "system", title=title)
    pieces = f"us per {PIECE:,} B: servers, switches"
    headings = ("commits/s", "p50 ms", "p99 ms", "client us", "servers us", "switches us", pieces)
    for name in (*headings, "of etcd: rate, p50"):
        shown.add_column(name, justify="right")
    for case in sorted(results.runs, key=lambda one: (one.nodes, one.groups, one.size, one.outstanding)):
        cells = []
        for figure, digits in zip(FIGURES, DIGITS, strict=True):
            values = [run[figure] for run in results.runs[case]]
            least, middle, most = min(values), statistics.median(values), max(values)
            if figure == "commits_per_s" and middle < 100:
                digits = 1
            spread = f" ({least:.{digits}f}-{most:.{digits}f})" if len(values) > 1 else ""
            cells.append(f"{middle:.{digits}f}{spread}")
        pieces_us = [results.us_per_piece(case, figure) for figure in ("servers_us", "switches_us")]
        cells.append(", ".join(f"{one:.1f}" for one in pieces_us if one is not None))
        place = (str(case.nodes), str(case.groups), str(case.size), str(case.outstanding), case.system)
        shown.add_row(*place, *cells, _compared(results, case))
    return shown


def _compared(results: Results, case: Case) -> str:
    other = Case("etcd", case.nodes, case.groups, case.size, case.outstanding)
    if case.system == "etcd" or other not in results.runs:
        return ""
    rate, p50 = (results.median(case, one) / results.median(other, one) for one in ("commits_per_s", "p50_ms"))
    return f"{rate:.2f}x, {p50:.2f}x"


def series(results: Results) -> Iterator[Series]:
    """For the picture: rate and latency, a bar for each case."""
    for figure, title in (("commits_per_s", RATE), ("p50_ms", "p50 in ms")):
        for case, figures in results.runs.items():
            yield Series(title, str(case), case.system, tuple(one[figure] for one in figures))
