"""Reads spread by the switches beside reads at the leader: the same load on the same cluster with read_route on and
off, in turn, as ``bench.consensus.accel`` does it. And what a client finds that asks a follower's address.

Bars: with 100 % reads, 64 outstanding, no member serves more than 1.3 times its share; at the leader at most 0.15
packets of members a read with 3 members and 0.25 with 5, and of its processor time at most 0.5 times and 0.35 times
of what a read costs it when it serves them alone. A client that asks a follower's address waits at most 1.05 times as
long as one that asks the leader's where switches steer it, and no packet of it reaches the follower.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import record
from bench.arguments import count
from bench.arguments import seconds as in_seconds
from bench.consensus import grounds
from bench.consensus.accel import Pairs
from bench.consensus.commit import numbers
from bench.consensus.grounds import Ground, Timing
from bench.consensus.systems import Switchraft, run_load
from bench.consensus.window import Lengths, cpu_s
from bench.plot import Series
from bench.reads import steering
from hosts.config import load as load_cluster
from hosts.control import socket as control
from topo.errors import LabError, UsageError
from topo.views import features

FEATURE = "read_route"
FIGURES = {
    "reads_per_s": "operations/s",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "most": "reads of who serves most, times its share",
    "packets": "packets of members at the leader, a read",
    "leader_us": "leader's processor time, us an operation",
    "all_us": "members' processor time, us an operation",
}
KINDS = ("leader", "follower", "stale")
BYTES = 64
"""Of a value."""
MOST = 1.3
PACKETS = {3: 0.15, 5: 0.25}
LEADERS_TIME = {3: 0.5, 5: 0.35}
SETTLE_S = 1.0
"""After the feature was turned on or off: what is under way goes where it went."""


@dataclass(frozen=True)
class Case:
    """What is measured in pairs."""

    nodes: int
    percent: int
    outstanding: int

    def __str__(self) -> str:
        return f"{self.nodes} members, {self.percent} % reads, {self.outstanding} outstanding"


@dataclass(frozen=True)
class Look:
    """Sums up to one moment."""

    leader: int
    reads: dict[int, int]
    """Served by each member."""
    packets: int
    """Between the leader and other members, both ways."""
    leader_s: float
    all_s: float


@dataclass
class Found:
    """All that was measured."""

    cases: dict[Case, Pairs] = field(default_factory=dict)
    steering: dict[int, steering.Waits] = field(default_factory=dict)
    """By the number of members."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=numbers, default=[3, 5], metavar="N[,N]", help="3, 5")
    parser.add_argument("--reads", type=numbers, default=[100, 90], metavar="N[,N]", help="in percent of operations")
    parser.add_argument("--outstanding", type=numbers, default=[64], metavar="N[,N]", help="on their way")
    parser.add_argument("--pairs", type=count, default=7, help="of stretches of load, with the feature and without")
    parser.add_argument("--seconds", type=in_seconds, default=3.0, help="of each stretch")
    parser.add_argument("--clients", type=count, default=200, help="that ask a follower's address, each way")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every stretch's figures, for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if a median misses its bar."""
    found = Found()
    try:
        run(options, found, Console(stderr=True, highlight=False, soft_wrap=True).print)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    about = [f"lab, {options.switch} switch; {record.DURABLE}; reads are linearizable; one Python client"]
    record.keep(options.words, about, series(found), {str(case): told(pairs) for case, pairs in found.cases.items()})
    if options.json:
        cases = [{"case": str(case), "on": pairs.on, "off": pairs.off} for case, pairs in found.cases.items()]
        steered = {nodes: waits.shown() for nodes, waits in found.steering.items()}
        print(json.dumps({"cases": cases, "steering": steered}, indent=2))
    else:
        Console(width=170).print(table(found.cases, f"{about[0]}; medians of {options.pairs} pairs, off → on"))
        for nodes, waits in found.steering.items():
            print(f"{nodes} members: {waits}")
    missed = list(misses(found))
    for text in missed:
        print(f"missed: {text}", file=sys.stderr)
    return int(bool(missed))


def run(options: argparse.Namespace, found: Found, say: Callable[[str], None]) -> None:
    """Measure everything that was asked for. Raises LabError, UsageError."""
    for nodes in options.nodes:
        with grounds.lab(nodes, 1, Timing(), options.switch, say) as ground:
            system = Switchraft(ground)
            try:
                system.start()
                watch = Watch(ground, system)
                watch.prepare()
                for percent in options.reads:
                    for outstanding in options.outstanding:
                        case = Case(nodes, percent, outstanding)
                        found.cases[case] = _pairs(case, options, watch, say)
                features.changed(FEATURE, False, None)
                found.steering[nodes] = steering.measure(ground, watch.ask, options.clients)
                say(f"{nodes} members: {found.steering[nodes]}")
            finally:
                system.stop()


def _pairs(case: Case, options: argparse.Namespace, watch: Watch, say: Callable[[str], None]) -> Pairs:
    pairs = Pairs()
    for number in range(options.pairs):
        for on in (number % 2 == 0, number % 2 == 1):
            features.changed(FEATURE, on, None)
            time.sleep(SETTLE_S)
            before = watch.look()
            figures = watch.load(case, Lengths(seconds=options.seconds))
            figures |= costs(before, watch.look(), case.percent / 100)
            (pairs.on if on else pairs.off).append(figures)
        rate = pairs.on[-1]["reads_per_s"] / pairs.off[-1]["reads_per_s"]
        share = f"at most {pairs.on[-1]['most']:.2f} times a share"
        say(f"{case}, pair {number + 1}/{options.pairs}: operations/s {rate:.3f} times, {share}")
    return pairs


class Watch:
    """A running cluster, seen by its control sockets and processes."""

    def __init__(self, ground: Ground, system: Switchraft) -> None:
        self._ground = ground
        self._system = system
        self._cluster = load_cluster(ground.cluster)

    def ask(self, member: int) -> dict[str, Any]:
        """A member's status. Raises LabError."""
        try:
            (status,) = control.ask(self._cluster.folder_of(member) / "control.sock", {"cmd": "status"}, 5.0)
        except (OSError, ValueError) as error:
            raise LabError(f"member {member} does not answer: {error}") from error
        found: dict[str, Any] = status
        return found

    def prepare(self) -> None:
        """Have the keys put that are read: no stretch counts what that costs."""
        words = [*self._system.pulse_words(), "--reads", "1.0"]
        run_load(self._ground, "bench.reads.load", words, 1, BYTES, Lengths(warmup=0, seconds=0.1), [])

    def load(self, case: Case, lengths: Lengths) -> dict[str, float]:
        words = [*self._system.pulse_words(), "--reads", str(case.percent / 100), "--prepared"]
        pids = self._system.pids()
        told = run_load(self._ground, "bench.reads.load", words, case.outstanding, BYTES, lengths, pids)
        return {"reads_per_s": told["commits_per_s"], "p50_ms": told["p50_ms"], "p99_ms": told["p99_ms"]}

    def look(self) -> Look:
        """Raises LabError if nobody leads."""
        statuses = {member: self.ask(member) for member in self._ground.addresses}
        groups = {member: status["groups"][0] for member, status in statuses.items()}
        leader = next((member for member, group in groups.items() if group["role"] == "leader"), None)
        if leader is None:
            raise LabError("nobody leads")
        counters = statuses[leader]["counters"]
        pids = dict(zip(self._ground.addresses, self._system.pids(), strict=True))
        return Look(
            leader,
            {member: sum(group["counts"][f"reads_{kind}"] for kind in KINDS) for member, group in groups.items()},
            sum(
                count
                for way in ("sent", "received")
                for kind, count in counters[way].items()
                if not kind.startswith("CLIENT")
            ),
            cpu_s([pids[leader]]),
            cpu_s(list(pids.values())),
        )


def costs(before: Look, after: Look, share: float) -> dict[str, float]:
    """Of what lies between two moments: who served how much, and what it cost. Of all operations ``share`` were
    reads. Raises LabError if the leader has changed, or nothing was read."""
    reads = {member: after.reads[member] - before.reads[member] for member in after.reads}
    total = sum(reads.values())
    if after.leader != before.leader or not total:
        raise LabError("the leader has changed under the load: measure again on a machine that does nothing else")
    operations = total / share
    return {
        "most": max(reads.values()) * len(reads) / total,
        "packets": (after.packets - before.packets) / total,
        "leader_us": (after.leader_s - before.leader_s) / operations * 1e6,
        "all_us": (after.all_s - before.all_s) / operations * 1e6,
    }


def series(found: Found) -> Iterator[Series]:
    """Two bars for each case and figure; of who asks a follower's address three."""
    for figure, title in FIGURES.items():
        for case, pairs in found.cases.items():
            for way, runs in (("off", pairs.off), ("on", pairs.on)):
                yield Series(title, f"{case}, {way}", f"switchraft {way}", tuple(one[figure] for one in runs))
    for nodes, waits in found.steering.items():
        for way, took in waits.took.items():
            yield Series("first answer, ms", f"{nodes} members, {way}", way, tuple(1000 * one for one in took))


def told(pairs: Pairs) -> str:
    """The medians of all figures, and of the ratios on to off."""
    return "; ".join(f"{title}: {_medians(pairs, figure)}" for figure, title in FIGURES.items())


def _medians(pairs: Pairs, figure: str) -> str:
    off, on = (statistics.median(one[figure] for one in runs) for runs in (pairs.off, pairs.on))
    ratios = pairs.ratios(figure)
    ratio = f", {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})" if ratios else ""
    return f"{off:,.3g} → {on:,.3g}{ratio}"


def table(found: dict[Case, Pairs], title: str) -> Table:
    """Medians, and the median, least and greatest of the ratios."""
    shown = Table("members", "reads", "outstanding", title=title)
    for name in FIGURES.values():
        shown.add_column(name, justify="right")
    for case, pairs in found.items():
        cells = [_medians(pairs, figure).replace(", ", "\n", 1) for figure in FIGURES]
        shown.add_row(str(case.nodes), f"{case.percent} %", str(case.outstanding), *cells)
    return shown


def misses(found: Found) -> Iterator[str]:
    """Which bars the medians miss."""
    for case, pairs in found.cases.items():
        most, packets = (statistics.median(one[figure] for one in pairs.on) for figure in ("most", "packets"))
        if most > MOST:
            yield f"{case}: one member serves {most:.2f} times its share, not {MOST}"
        if packets > PACKETS.get(case.nodes, packets):
            yield f"{case}: {packets:.3f} packets of members a read at the leader, not {PACKETS[case.nodes]}"
        time = statistics.median(pairs.ratios("leader_us") or [0.0])
        if time > LEADERS_TIME.get(case.nodes, time):
            yield f"{case}: {time:.2f} times the leader's processor time, not {LEADERS_TIME[case.nodes]}"
    for nodes, waits in found.steering.items():
        yield from (f"{nodes} members: {text}" for text in waits.misses())
