"""What an acceleration is worth: the same load on the same cluster with it off and on, in turn.

It is fan-out by the network, or lazy or gathered acknowledgements, with fan-out and without. A pair is two stretches
of load, one after the other; which of them comes first changes from pair to pair, so that a machine that becomes
slower is on nobody's side. Before each, the benchmark waits until the leader knows whom the network's copies reach.
What is judged is the ratio of each pair.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from bench import record
from bench.arguments import count
from bench.arguments import seconds as in_seconds
from bench.consensus import grounds
from bench.consensus.commit import lengths_of, numbers, sizes
from bench.consensus.grounds import Ground, Timing
from bench.consensus.pairs import FEWEST_PAIRS, interval_of_median
from bench.consensus.systems import Switchraft
from bench.consensus.window import Lengths, cpu_s
from bench.plot import Series
from hosts.config import load as load_cluster
from hosts.control import socket as control
from topo.errors import LabError, UsageError
from topo.lab.running_lab import Live
from topo.views import features

FEATURE = "append_fanout"
GATHER = "ack_gather"


class Mode(Enum):
    """What is off and on in turn."""

    FANOUT = "fanout"
    """append_fanout; acknowledgements are eager."""
    LAZY = "lazy"
    """Lazy acknowledgements, with append_fanout."""
    LAZY_ALONE = "lazy-alone"
    """Lazy acknowledgements, without append_fanout."""
    GATHERED = "gathered"
    """Acknowledgements that the leader's switch gathers, with append_fanout."""
    GATHERED_ALONE = "gathered-alone"
    """Acknowledgements that the leader's switch gathers, without append_fanout."""


ACKNOWLEDGEMENTS = {
    Mode.LAZY: "lazy",
    Mode.LAZY_ALONE: "lazy",
    Mode.GATHERED: "gathered",
    Mode.GATHERED_ALONE: "gathered",
}
"""What cluster.yaml says while it is on; else they are eager."""


MOST_LOST = 5
"""Pairs of a case that are measured again, as the leader has changed: with more there is nothing to measure."""

SETTLE_S = 30.0
"""A leader that does not learn within so long whom copies reach has a fault."""

RATES = {"commits_per_s": "commits/s", "p50_ms": "p50, ms", "p99_ms": "p99, ms"}
COSTS = {
    "sent": "datagrams that the leader sends to members, a commit",
    "received": "datagrams that the leader gets from members, a commit",
    "sent_bytes": "bytes that the leader sends to members, a commit",
    "round_sent": "datagrams that the leader sends to members, a batch of entries",
    "round_received": "datagrams that the leader gets from members, a batch of entries",
    "leader_us": "leader's processor time, us a commit",
    "all_us": "members', switches' and controller's processor time, us a commit",
}
FIGURES = {**RATES, **COSTS}
STATUS = {"cmd": "status", "durations": True}
CLIENTS = "CLIENT"
"""The beginning of the names of types that are no members'."""


@dataclass(frozen=True)
class Case:
    """What is measured in pairs."""

    nodes: int
    size: int
    outstanding: int

    def __str__(self) -> str:
        return f"{self.nodes} members, {self.size} B, {self.outstanding} outstanding"


class LeaderChanged(LabError):
    """A stretch of load says nothing of one leader."""


@dataclass
class Pairs:
    """The figures of each stretch, with the feature and without, pair by pair."""

    on: list[dict[str, float]] = field(default_factory=list)
    off: list[dict[str, float]] = field(default_factory=list)
    lost: int = 0
    """Pairs that do not count, as the leader has changed meanwhile."""

    def ratios(self, figure: str) -> list[float]:
        """On to off, ascending."""
        pairs = zip(self.on, self.off, strict=True)
        return sorted(on[figure] / off[figure] for on, off in pairs if off[figure])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        default=Mode.FANOUT.value,
        choices=[mode.value for mode in Mode],
        help="what is off and on: append_fanout, or lazy or gathered acknowledgements, with append_fanout or without",
    )
    parser.add_argument("--nodes", type=numbers, default=[3, 5, 7, 9], metavar="N[,N]", help="3, 5, 7, 9")
    parser.add_argument("--size", type=sizes, default=[64, 8192, 65536], metavar="BYTES[,BYTES]")
    parser.add_argument("--outstanding", type=numbers, default=[1, 64], metavar="N[,N]", help="on their way")
    parser.add_argument("--pairs", type=count, default=15, help="of stretches of load, with the feature and without")
    parser.add_argument("--seconds", type=in_seconds, default=3.0, help="of each stretch")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every stretch's figures, for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code says whether it could be measured, not what came of it."""
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    found: dict[Case, Pairs] = {}
    try:
        run(options, found, progress.print)
    except (LabError, UsageError) as error:
        if found:  # a benchmark of an hour has found out something, even if its last cluster fails
            Console(width=190).print(
                table(found, f"not kept, as not all of it was measured; {_of_pairs(options.pairs)}")
            )
        print(f"bench: {error}", file=sys.stderr)
        return 1
    about = [f"lab, {options.switch} switch, links of 1500; {record.DURABLE}; one Python client; {options.mode}"]
    record.keep(options.words, about, series(found), {str(case): told(pairs) for case, pairs in found.items()})
    if options.json:
        cases = [
            {"case": str(case), "on": pairs.on, "off": pairs.off, "lost": pairs.lost} for case, pairs in found.items()
        ]
        print(json.dumps(cases, indent=2))
        return 0
    Console(width=190).print(table(found, f"{about[0]}; {_of_pairs(options.pairs)}"))
    return 0


def _of_pairs(count: int) -> str:
    """What the table's figures are of so many pairs."""
    where = "where it lies with a confidence of 95 %" if count >= FEWEST_PAIRS else "the least and the greatest"
    return f"median of {count} pairs, and in brackets {where}"


def run(options: argparse.Namespace, found: dict[Case, Pairs], say: Callable[[str], None]) -> None:
    """Measure everything that was asked for, and put it into ``found``, case by case. Raises LabError, UsageError."""
    for nodes in options.nodes:
        with grounds.lab(nodes, 1, Timing(), options.switch, say) as ground:
            system = Switchraft(ground)
            try:
                system.start()
                watch = Watch(ground, system, Mode(options.mode))
                for size in options.size:
                    for outstanding in options.outstanding:
                        case = Case(nodes, size, outstanding)
                        found[case] = measured(case, options, watch, say)
            finally:
                system.stop()


def measured(case: Case, options: argparse.Namespace, watch: Watch, say: Callable[[str], None]) -> Pairs:
    """All pairs of a case, those again during which the leader has changed. Raises LabError."""
    pairs = Pairs()
    lengths = lengths_of(case.size, case.outstanding, options.seconds, 60.0)
    while (number := len(pairs.on)) < options.pairs:
        try:
            found = {on: _stretch(case, watch, on, lengths) for on in (number % 2 == 0, number % 2 == 1)}
        except LeaderChanged as error:
            pairs.lost += 1
            if pairs.lost > MOST_LOST:
                raise
            say(f"{case}, pair {number + 1}/{options.pairs}: {error}; once more")
            continue
        pairs.on.append(found[True])
        pairs.off.append(found[False])
        told_now = ", ".join(
            f"{name} {pairs.on[-1][key] / pairs.off[-1][key]:.3f}" for key, name in list(RATES.items())[:2]
        )
        say(f"{case}, pair {number + 1}/{options.pairs}: {told_now}")
    return pairs


def _stretch(case: Case, watch: Watch, on: bool, lengths: Lengths) -> dict[str, float]:
    """Load with the feature or without. Raises LabError, LeaderChanged."""
    watch.switch(on)
    before = watch.look()
    figures = watch.system.load(case.outstanding, case.size, lengths)
    try:
        return {**figures, **costs(before, watch.look())}
    except LeaderChanged as error:
        raise LeaderChanged(f"{error} {'with' if on else 'without'} the feature") from None


@dataclass(frozen=True)
class Look:
    """Sums up to one moment: of the leader, and the processor seconds of processes."""

    commit: int
    batches: int
    sent: int
    received: int
    sent_bytes: int
    leader_s: float
    all_s: float
    leader: int


class Watch:
    """A running cluster, seen by its control sockets and processes."""

    def __init__(self, ground: Ground, system: Switchraft, mode: Mode) -> None:
        self.system = system
        self._mode = mode
        self._cluster = load_cluster(ground.cluster)
        self._ground = ground
        live = Live.find()
        self._others = [one.pid for one in live.record.processes if one.kind in ("switch", "controller")]

    def switch(self, on: bool) -> None:
        """Turn it on or off, and wait until the leader goes by that. Raises LabError."""
        if self._mode is Mode.FANOUT:
            self._copy(on)
        else:
            acknowledgements = ACKNOWLEDGEMENTS[self._mode]
            if acknowledgements == "gathered":
                features.changed(GATHER, on, None)
            self._start_anew(acknowledgements if on else "eager")
            self._copy(self._mode in (Mode.LAZY, Mode.GATHERED))

    def _start_anew(self, acknowledgements: str) -> None:
        """Members read their cluster file at the start only."""
        self.system.stop()
        drawn = yaml.safe_load(self._ground.cluster.read_text())
        self._ground.cluster.write_text(yaml.safe_dump({**drawn, "acknowledgements": acknowledgements}))
        self.system.start()

    def _copy(self, on: bool) -> None:
        features.changed(FEATURE, on, None)
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            _, status = self._leader()
            progress = status["groups"][0]["progress"].values()
            if progress and all(one["fanned"] is on for one in progress):
                return
            time.sleep(0.05)
        raise LabError(f"the leader has not learnt within {SETTLE_S:.0f} s that {FEATURE} is {'on' if on else 'off'}")

    def look(self) -> Look:
        """Raises LabError if nobody leads."""
        leader, status = self._leader()
        sent, received = (_of_members(status["counters"][way]) for way in ("sent", "received"))
        ways = [*status["peers"].values(), *status["fan_outs"].values()]
        pids = dict(zip(self._ground.addresses, self.system.pids(), strict=True))
        return Look(
            commit=status["groups"][0]["commit"],
            batches=sum(status["groups"][0]["durations"]["stages"]["network"]["counts"]),
            sent=sent,
            received=received,
            sent_bytes=sum(one["sent_bytes"] for one in ways),
            leader_s=cpu_s([pids[leader]]),
            all_s=cpu_s([*pids.values(), *self._others]),
            leader=leader,
        )

    def _leader(self) -> tuple[int, dict[str, Any]]:
        for member in self._ground.addresses:
            try:
                (status,) = control.ask(self._cluster.folder_of(member) / "control.sock", STATUS, 5.0)
            except (OSError, ValueError):
                continue
            if status["groups"][0]["role"] == "leader":
                return member, status
        raise LabError("nobody leads")


def _of_members(counts: dict[str, int]) -> int:
    """Datagrams between members, of a node's counts by type."""
    return sum(count for kind, count in counts.items() if not kind.startswith(CLIENTS))


def costs(before: Look, after: Look) -> dict[str, float]:
    """By COSTS' names, for each commit between two moments. Raises LeaderChanged."""
    if after.leader != before.leader or after.commit <= before.commit:
        raise LeaderChanged("the leader has changed under the load, or nothing was committed")
    count = after.commit - before.commit
    batches = max(1, after.batches - before.batches)
    return {
        "sent": (after.sent - before.sent) / count,
        "received": (after.received - before.received) / count,
        "sent_bytes": (after.sent_bytes - before.sent_bytes) / count,
        "round_sent": (after.sent - before.sent) / batches,
        "round_received": (after.received - before.received) / batches,
        "leader_us": (after.leader_s - before.leader_s) / count * 1e6,
        "all_us": (after.all_s - before.all_s) / count * 1e6,
    }


def series(found: dict[Case, Pairs]) -> Iterator[Series]:
    """Two bars for each case and figure."""
    for figure, title in FIGURES.items():
        for case, pairs in found.items():
            for way, runs in (("off", pairs.off), ("on", pairs.on)):
                yield Series(title, f"{case}, {way}", f"switchraft {way}", tuple(one[figure] for one in runs))


def told(pairs: Pairs) -> str:
    """The ratios of all figures, on to off, each with where its median lies."""
    lost = f"; measured again, as the leader has changed: {pairs.lost} pairs" if pairs.lost else ""
    return "; ".join(f"{title}: {_ratio(pairs.ratios(figure))}" for figure, title in FIGURES.items()) + lost


def _ratio(ordered: Sequence[float]) -> str:
    if not ordered:
        return "-"
    least, most = interval_of_median(ordered)
    return f"{statistics.median(ordered):.3f} ({least:.3f} to {most:.3f})"


def table(found: dict[Case, Pairs], title: str) -> Table:
    """Ratios on to off, and under them the medians of both."""
    shown = Table("members", "bytes", "outstanding", title=title)
    names = ("commits/s", "p50", "p99", "sent", "received", "bytes sent")
    for name in (*names, "sent/batch", "rec./batch", "leader's CPU", "all CPU"):
        shown.add_column(name, justify="right")
    for case, pairs in found.items():
        cells = []
        for figure in FIGURES:
            off, on = (statistics.median(one[figure] for one in runs) for runs in (pairs.off, pairs.on))
            ratio = _ratio(pairs.ratios(figure)).replace(" (", "\n(")
            cells.append(f"{ratio}\n{_short(off)} → {_short(on)}")
        members = f"{case.nodes}\n(leader changed\n{pairs.lost} times)" if pairs.lost else str(case.nodes)
        shown.add_row(members, str(case.size), str(case.outstanding), *cells)
    return shown


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
