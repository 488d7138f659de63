"""What it costs to be watched: commits per second with a watcher and without, in turn, under one load.

One cluster and one client run all the time, so that nothing but the watching changes. A pair is two stretches of
time, one after the other, one of them watched. Which of them comes first changes from pair to pair, so that a machine
that becomes slower is on nobody's side.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from math import comb

from bench.consensus.grounds import Ground
from bench.consensus.systems import Switchraft
from hosts import config
from hosts.control import socket as control
from topo import paths
from topo.errors import LabError

VALUE_BYTES = 64

WARMUP_S = 3.0
"""Of load, before anything is counted."""

FEWEST_PAIRS = 6
"""Of fewer not even the least and the greatest enclose the median with a confidence of 95 %."""


@dataclass(frozen=True)
class Pair:
    """Commits per second of both stretches."""

    watched: float
    alone: float

    @property
    def ratio(self) -> float:
        return self.watched / self.alone


@contextmanager
def load(ground: Ground, system: Switchraft, outstanding: int, rate: float | None = None) -> Iterator[None]:
    """A client that keeps so many puts on their way for the time of the block, ``rate`` a second at most."""
    words = [*system.pulse_words(), "--outstanding", str(outstanding), "--value-bytes", str(VALUE_BYTES)]
    words += ["--warmup", "0", "--seconds", "100000", "--at-most", "100000"]
    words += [] if rate is None else ["--rate", str(rate)]
    command = ground.at_client([sys.executable, "-m", "bench.consensus.load", *words])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=paths.ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measured(
    ground: Ground, watching: Callable[[], AbstractContextManager[object]], seconds: float, watched_first: bool
) -> Pair:
    """Two stretches of so many seconds. Raises LabError if nobody answers."""
    found = {}
    for watched in (watched_first, not watched_first):
        with watching() if watched else nullcontext():
            found[watched] = commits_per_s(ground, seconds)
    return Pair(found[True], found[False])


def commits_per_s(ground: Ground, seconds: float) -> float:
    """While so many seconds go by. Raises LabError if nobody answers."""
    began, before = time.monotonic(), _committed(ground)
    time.sleep(seconds)
    count = _committed(ground) - before
    return count / (time.monotonic() - began)


def _committed(ground: Ground) -> int:
    """The commit index of whoever is ahead. Raises LabError if nobody answers."""
    cluster, found = config.load(ground.cluster), []
    for member in ground.addresses:
        with suppress(OSError, ValueError):
            (status,) = control.ask(cluster.folder_of(member) / "control.sock", {"cmd": "status"}, 5.0)
            found.append(int(status["groups"][0]["commit"]))
    if not found:
        raise LabError("no node answers")
    return max(found)


@dataclass(frozen=True)
class Ratios:
    """Watched to alone, of all pairs: the median, where it lies with a confidence of 95 %, and the extremes."""

    median: float
    least: float
    most: float
    lowest: float
    highest: float


def ratios(pairs: Sequence[Pair]) -> Ratios:
    ordered = sorted(pair.ratio for pair in pairs)
    return Ratios(statistics.median(ordered), *interval_of_median(ordered), ordered[0], ordered[-1])


def interval_of_median(ordered: Sequence[float]) -> tuple[float, float]:
    """Where the median lies with a confidence of 95 %, whatever the distribution (sign test). All of it for few."""
    count, below = len(ordered), 0.0
    for rank in range(count // 2):
        below += comb(count, rank) / 2**count
        if below > 0.025:
            return ordered[max(0, rank - 1)], ordered[min(count - 1, count - rank)]
    return ordered[0], ordered[-1]
