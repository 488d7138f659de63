"""What it costs to be scraped: commits per second while `switchraft metrics` is scraped and while it is not, in turn.

One cluster, one exporter and one client run all the time, so that nothing but the scraping changes: see ``pairs``.
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
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from bench import record
from bench.arguments import count
from bench.arguments import seconds as in_seconds
from bench.consensus import grounds
from bench.consensus.commit import RATE
from bench.consensus.grounds import Ground, Timing
from bench.consensus.loopback import show
from bench.consensus.pairs import WARMUP_S, Pair, load, measured, ratios
from bench.consensus.systems import Switchraft
from bench.consensus.window import cpu_s
from bench.plot import Series
from hosts import config
from topo import paths
from topo.errors import LabError, UsageError

LIMIT = 0.98
"""The least median ratio, scraped to not scraped."""

SHIPPED_INTERVAL_S = 10.0
"""Between two scrapes, in topo/metrics/files/prometheus.yml: what is measured by default."""


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=count, default=15, help="of stretches of time, scraped and not")
    parser.add_argument("--seconds", type=in_seconds, default=SHIPPED_INTERVAL_S, help="of each stretch")
    parser.add_argument("--outstanding", type=count, default=64, help="requests on their way")
    parser.add_argument(
        "--interval", type=in_seconds, default=SHIPPED_INTERVAL_S, metavar="SECONDS", help="between scrapes"
    )
    parser.add_argument("--nodes", type=count, default=3, help="3, 5, 7")
    parser.add_argument("--loopback", action="store_true", help="no lab, no switches: 127.0.0.x; needs no root")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every pair's figures, for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if scraping costs more than LIMIT allows."""
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    if options.interval > options.seconds:
        print("bench: --interval: no longer than --seconds", file=sys.stderr)
        return 2
    try:
        figures, pairs = run(options, progress.print)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    every = [{"scraped": pair.watched, "alone": pair.alone} for pair in pairs]
    series = [
        Series(RATE, "scraped", "switchraft", tuple(pair.watched for pair in pairs)),
        Series(RATE, "not scraped", "switchraft", tuple(pair.alone for pair in pairs)),
    ]
    record.keep(options.words, [f"{options.nodes} members; {record.DURABLE}"], series, figures)
    show({**figures, "pairs": every} if options.json else figures, options.json)
    return int(not figures["costs less than 2 %"])


def run(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Pair]]:
    """The figures, and commits per second of each pair. Raises LabError, UsageError."""
    pairs: list[Pair] = []
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
                    pairs.append(measured(ground, scraper.running, options.seconds, number % 2 == 0))
                    say(f"pair {number + 1}/{options.pairs}: {_told(pairs[-1])}")
                used = cpu_s([pid]) - used
        finally:
            system.stop()
    return summary(pairs, scraper, used), pairs


def _told(pair: Pair) -> str:
    return f"{pair.watched:,.0f}/s scraped, {pair.alone:,.0f}/s not: {pair.ratio:.3f}"


def summary(pairs: Sequence[Pair], scraper: Scraper, exporter_cpu_s: float) -> dict[str, Any]:
    """The figures for people."""
    found = ratios(pairs)
    return {
        "pairs": len(pairs),
        "commits/s, not scraped": statistics.median(pair.alone for pair in pairs),
        "commits/s, scraped": statistics.median(pair.watched for pair in pairs),
        "ratio, median": f"{found.median:.4f}",
        "ratio, 95 % of confidence": f"{found.least:.3f} to {found.most:.3f}",
        "ratio, extremes": f"{found.lowest:.3f} to {found.highest:.3f}",
        "costs less than 2 %": found.median >= LIMIT,
        "seconds between scrapes": scraper.interval_s,
        "scrapes": len(scraper.seconds),
        "ms a scrape takes, median": statistics.median(scraper.seconds) * 1000,
        "exporter's CPU ms a scrape": exporter_cpu_s / len(scraper.seconds) * 1000,
        "bytes of a scrape": scraper.bytes,
    }
