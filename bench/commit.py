"""Commits per second in the lab: one client process on a client host, durable logs, asking the service address."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from topo import namespace
from topo.live import Live
from topo.options import Options
from topo.owner import running

FIGURES = ("commits_per_s", "p50_ms", "p99_ms")
Runs = dict[int, list[dict[str, float]]]


def run(
    topology: str, switch: str, outstanding: Sequence[int], rounds: int, seconds: float, value_bytes: int
) -> Runs:
    """Bring up a lab and measure: ``rounds`` alternating runs of each number of outstanding requests. LabError."""
    progress = Console(stderr=True)
    runs: Runs = {number: [] for number in outstanding}
    with running(Options(topology=topology, switch=switch), progress.print):
        live = Live.find()
        group = live.topology.groups[0]
        address = str(group.service or live.topology.host(group.members[min(group.members)]).ip)
        client = (live.topology.clients or live.topology.members)[0]
        for number in range(rounds):
            for count in outstanding:
                command = [sys.executable, "-m", "bench.load", "--server", f"{address}:{live.topology.port}"]
                command += ["--bind", str(live.topology.host(client).ip), "--group", str(group.id)]
                command += ["--outstanding", str(count), "--value-bytes", str(value_bytes)]
                command += ["--seconds", str(seconds)]
                done = subprocess.run(
                    namespace.wrap(live.holder(client), command), stdout=subprocess.PIPE, text=True, check=True
                )
                figures = json.loads(done.stdout)
                runs[count].append(figures)
                progress.print(
                    f"round {number + 1}/{rounds}, {count} outstanding: {figures['commits_per_s']:.0f} commits/s, "
                    f"p50 {figures['p50_ms']:.2f} ms, p99 {figures['p99_ms']:.2f} ms",
                    highlight=False,
                )
    return runs


def table(runs: Runs, title: str) -> Table:
    """Median, and in brackets minimum and maximum, over the runs."""
    shown = Table("outstanding", "commits/s", "p50 ms", "p99 ms", title=title)
    for count, results in runs.items():
        cells = []
        for figure, digits in zip(FIGURES, (0, 2, 2), strict=True):
            values = [result[figure] for result in results]
            low, middle, high = min(values), statistics.median(values), max(values)
            cells.append(f"{middle:.{digits}f} ({low:.{digits}f} - {high:.{digits}f})")
        shown.add_row(str(count), *cells)
    return shown
