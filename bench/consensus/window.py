"""What a load measures: the requests that are answered between two moments, and the CPU that they cost."""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TICKS_PER_S = 100
"""The unit of the times in /proc/PID/stat, on Linux always."""

KEYS = 10_000
"""Different keys that a load writes, one after the other: the state stays small, however long it runs."""


STATE_BYTES = 64 << 20
"""Of large values there are fewer, so that all together take no more."""


def key(number: int, size: int = 0) -> bytes:
    """The key of a load's request of that number, where values have ``size`` bytes."""
    return b"%04d" % (number % max(1, min(KEYS, STATE_BYTES // max(1, size))))


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds, user and system, that processes have used until now; those that are gone count nothing."""
    ticks = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        fields = stat[stat.rindex(")") + 2 :].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` of an ordered list lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Lengths:
    """How long is measured: for ``seconds`` between two answers, the first of them after ``warmup`` seconds.

    With ``least`` from the first request, of at least so many, to the last's answer: of many large values a second
    may bring none, or all that were begun at once. After ``at_most`` seconds no more are begun."""

    warmup: float = 0.5
    seconds: float = 3.0
    least: int = 0
    at_most: float = 60.0


@dataclass(frozen=True)
class _Mark:
    """A moment, and the CPU seconds that servers, switches and this process had used then."""

    at: float
    servers: float
    switches: float
    client: float


@dataclass
class Window:
    """The window that ``lengths`` says. ``servers`` and ``switches`` are processes to watch."""

    lengths: Lengths
    servers: Sequence[int] = ()
    switches: Sequence[int] = ()
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    _begun: int = 0
    _begin: _Mark | None = None
    _end: _Mark | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._made = time.monotonic()
        if self.lengths.least:
            self._begin = self._mark(self._made)

    def open(self) -> bool:
        """Whether another request should be begun, which is counted then."""
        now, lengths = time.monotonic(), self.lengths
        with self._lock:
            if lengths.least:
                more = self._begun < lengths.least or now < self._made + lengths.seconds
            else:
                more = self._end is None
            more = more and now < self._made + lengths.at_most
            self._begun += more
            return more

    def answered(self, elapsed_s: float) -> None:
        """A request has just been answered, that long after it began."""
        now, lengths = time.monotonic(), self.lengths
        with self._lock:
            if self._begin is None:
                if now >= self._made + lengths.warmup:
                    self._begin = self._mark(now)
            elif lengths.least:
                self.latencies.append(elapsed_s)
                self._end = self._mark(now)
            elif self._end is None:
                self.latencies.append(elapsed_s)
                if now >= min(self._begin.at + lengths.seconds, self._made + lengths.at_most):
                    self._end = self._mark(now)

    def failed(self) -> None:
        """A request was not answered in time, and is made again."""
        with self._lock:
            self.errors += 1

    def _mark(self, now: float) -> _Mark:
        return _Mark(now, cpu_s(self.servers), cpu_s(self.switches), time.process_time())

    def figures(self) -> dict[str, float]:
        """commits_per_s, quantiles and the greatest latency in milliseconds, CPU microseconds per commit of the
        client, of all servers together and of all switches together; of how many commits in how many seconds. Ends
        the process if there were none."""
        if self._begin is None or not self.latencies:
            raise SystemExit("nothing was committed in time")
        end = self._end or self._mark(time.monotonic())
        ordered, count = sorted(self.latencies), len(self.latencies)
        return {
            "commits_per_s": count / (end.at - self._begin.at),
            "p50_ms": quantile(ordered, 0.50) * 1000,
            "p99_ms": quantile(ordered, 0.99) * 1000,
            "longest_ms": ordered[-1] * 1000,
            "client_us": (end.client - self._begin.client) / count * 1e6,
            "servers_us": (end.servers - self._begin.servers) / count * 1e6,
            "switches_us": (end.switches - self._begin.switches) / count * 1e6,
            "commits": count,
            "seconds": end.at - self._begin.at,
            "errors": self.errors,
        }


def parser(description: str | None) -> argparse.ArgumentParser:
    """What the command lines of all loads have in common."""
    usual = Lengths()
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--outstanding", type=int, default=1)
    made.add_argument("--value-bytes", type=int, default=64)
    made.add_argument("--warmup", type=float, default=usual.warmup, help="seconds before anything is counted")
    made.add_argument("--seconds", type=float, default=usual.seconds)
    made.add_argument("--least", type=int, default=usual.least, help="requests, all of which are counted")
    made.add_argument("--at-most", type=float, default=usual.at_most, help="seconds in which requests are begun")
    made.add_argument("--watch", type=int, nargs="*", default=[], metavar="PID", help="the servers' processes")
    made.add_argument("--switches", type=int, nargs="*", default=[], metavar="PID", help="the switches' processes")
    return made


def window_of(options: argparse.Namespace) -> Window:
    lengths = Lengths(options.warmup, options.seconds, options.least, options.at_most)
    return Window(lengths, options.watch, options.switches)


def tell(figures: dict[str, float]) -> None:
    """Print figures as the program that started the load reads them."""
    print(json.dumps(figures), flush=True)
