"""What it costs to be scraped: commits per second while `switchraft metrics` is scraped and while it is not, in turn.

One cluster, one exporter and one client run all the time, so that nothing but the scraping changes. A pair is two
stretches of time, one after the other, one of them scraped. Which of them comes first changes from pair to pair, so
that a machine that becomes slower is on nobody's side.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from math import comb
from typing import Any

from rich.console import Console

from bench import record
from bench.consensus import grounds
from bench.consensus.grounds import Ground, Timing
from bench.consensus.loopback import show
from bench.consensus.systems import Switchraft
from bench.consensus.window import cpu_s
from bench.plot import Series
from hosts import config
from hosts.control import socket as control
from topo import paths
from topo.errors import LabError, UsageError

LIMIT = 0.98
"""The least median ratio, scraped to not scraped."""

SHIPPED_INTERVAL_S = 10.0
"""Between two scrapes, in topo/metrics/files/prometheus.yml: what is measured by default."""

VALUE_BYTES = 64

WARMUP_S = 3.0
"""Of load, before anything is counted."""


@dataclass
class Scraper:
    """Asks the exporter every ``interval_s``, as Prometheus would, while ``running``."""

    url: str
    interval_s: float
    seconds: list[float] = field(default_factory=list)
    """Of each scrape."""
    bytes: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """For the time of the block. Raises LabError if a scrape failed."""
        ended, failures = threading.Event(), list[OSError]()

        def scrape() -> None:
            # Half an interval from the beginning, and so from the end: none reaches into what follows.
            if ended.wait(self.interval_s / 2):
                return
            while not failures:
                began = time.monotonic()
                try:
                    with urllib.request.urlopen(self.url, timeout=10) as answer:
                        self.bytes = len(answer.read())
                except OSError as error:
                    failures.append(error)
                self.seconds.append(time.monotonic() - began)
                if ended.wait(max(0.0, self.interval_s - self.seconds[-1])):
                    return

        thread = threading.Thread(target=scrape, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if failures:
            raise LabError(f"{self.url} could not be scraped: {failures[0]}")


@contextmanager
def exporter(ground: Ground, on_loopback: bool) -> Iterator[tuple[int, str]]:
    """`switchraft metrics` for the ground's nodes: its process and its URL. Raises LabError if it does not start."""
    cluster = config.load(ground.cluster)
    words: list[str] = []
    for member in ground.addresses if on_loopback else ():
        words += ["--node", str(cluster.folder_of(member).absolute() / "control.sock")]
    command = [sys.executable, "-m", "topo.cli", "metrics", "--listen", "127.0.0.1:0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=paths.ROOT)
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        if not told:
            raise LabError("the exporter has ended; its words are above")
        yield process.pid, told.split()[0]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def load(ground: Ground, system: Switchraft, outstanding: int) -> Iterator[None]:
    """A client that keeps so many puts on their way for the time of the block."""
    words = [*system.pulse_words(), "--outstanding", str(outstanding), "--value-bytes", str(VALUE_BYTES)]
    words += ["--warmup", "0", "--seconds", "100000", "--at-most", "100000"]
    command = ground.at_client([sys.executable, "-m", "bench.consensus.load", *words])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=paths.ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=int, default=15, help="of stretches of time, scraped and not")
    parser.add_argument("--seconds", type=float, default=SHIPPED_INTERVAL_S, help="of each stretch")
    parser.add_argument("--outstanding", type=int, default=64, help="requests on their way")
    parser.add_argument(
        "--interval", type=float, default=SHIPPED_INTERVAL_S, metavar="SECONDS", help="between scrapes"
    )
    parser.add_argument("--nodes", type=int, default=3, help="3, 5, 7")
    parser.add_argument("--loopback", action="store_true", help="no lab, no switches: 127.0.0.x; needs no root")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every pair's figures, for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if scraping costs more than LIMIT allows."""
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    if options.pairs < 1 or options.interval > options.seconds:
        print("bench: --pairs: at least 1; --interval: no longer than --seconds", file=sys.stderr)
        return 2
    try:
        figures, pairs = run(options, progress.print)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    ways = {"scraped": "scraped", "not scraped": "alone"}
    series = [Series("commits/s", way, "switchraft", tuple(pair[key] for pair in pairs)) for way, key in ways.items()]
    record.keep(options.words, [f"{options.nodes} members; {record.DURABLE}"], series, figures)
    show({**figures, "pairs": pairs} if options.json else figures, options.json)
    return int(not figures["costs less than 2 %"])


def run(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """The figures, and commits per second of each pair. Raises LabError, UsageError."""
    pairs: list[dict[str, float]] = []
    with grounds.open(options.loopback, options.nodes, 1, Timing(), options.switch, say) as ground:
        system = Switchraft(ground)
        try:
            system.start()
            with load(ground, system, options.outstanding), exporter(ground, options.loopback) as (pid, url):
                with Scraper(url, options.interval).running():
                    time.sleep(WARMUP_S)  # the first scrape imports and connects
                scraper = Scraper(url, options.interval)
                used = cpu_s([pid])
                for number in range(options.pairs):
                    pairs.append(_pair(ground, scraper, options.seconds, number % 2 == 0))
                    say(f"pair {number + 1}/{options.pairs}: {_told(pairs[-1])}")
                used = cpu_s([pid]) - used
        finally:
            system.stop()
    return summary(pairs, scraper, used), pairs


def _pair(ground: Ground, scraper: Scraper, seconds: float, scraped_first: bool) -> dict[str, float]:
    """Commits per second of both stretches."""
    found = {}
    for scraped in (scraped_first, not scraped_first):
        began, before = time.monotonic(), _committed(ground)
        with scraper.running() if scraped else nullcontext():
            time.sleep(seconds)
        count = _committed(ground) - before
        found["scraped" if scraped else "alone"] = count / (time.monotonic() - began)
    return found


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


def _told(pair: dict[str, float]) -> str:
    ratio = pair["scraped"] / pair["alone"]
    return f"{pair['scraped']:,.0f}/s scraped, {pair['alone']:,.0f}/s not: {ratio:.3f}"


def interval_of_median(ordered: Sequence[float]) -> tuple[float, float]:
    """Where the median lies with a confidence of 95 %, whatever the distribution (sign test). All of it for few."""
    count, below = len(ordered), 0.0
    for rank in range(count // 2):
        below += comb(count, rank) / 2**count
        if below > 0.025:
            return ordered[max(0, rank - 1)], ordered[min(count - 1, count - rank)]
    return ordered[0], ordered[-1]


def summary(pairs: Sequence[dict[str, float]], scraper: Scraper, exporter_cpu_s: float) -> dict[str, Any]:
    """The figures for people."""
    ratios = sorted(pair["scraped"] / pair["alone"] for pair in pairs)
    median = statistics.median(ratios)
    least, most = interval_of_median(ratios)
    return {
        "pairs": len(pairs),
        "commits/s, not scraped": statistics.median(pair["alone"] for pair in pairs),
        "commits/s, scraped": statistics.median(pair["scraped"] for pair in pairs),
        "ratio, median": f"{median:.4f}",
        "ratio, 95 % of confidence": f"{least:.3f} to {most:.3f}",
        "ratio, extremes": f"{ratios[0]:.3f} to {ratios[-1]:.3f}",
        "costs less than 2 %": median >= LIMIT,
        "seconds between scrapes": scraper.interval_s,
        "scrapes": len(scraper.seconds),
        "ms a scrape takes, median": statistics.median(scraper.seconds) * 1000,
        "exporter's CPU ms a scrape": exporter_cpu_s / len(scraper.seconds) * 1000,
        "bytes of a scrape": scraper.bytes,
    }
