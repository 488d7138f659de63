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


def key(number: int) -> bytes:
    """The key of a load's request of that number."""
    return b"%04d" % (number % KEYS)


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


@dataclass
class Window:
    """``seconds`` that begin ``warmup`` seconds after this object's making. ``servers`` are processes to watch."""

    warmup: float
    seconds: float
    servers: Sequence[int] = ()
    latencies: list[float] = field(default_factory=list)
    _cpu: list[tuple[float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.begins = time.monotonic() + self.warmup
        self.ends = self.begins + self.seconds

    def open(self) -> bool:
        """Whether requests should still be begun."""
        return time.monotonic() < self.ends

    def answered(self, elapsed_s: float) -> None:
        """A request has just been answered, that long after it began."""
        now = time.monotonic()
        with self._lock:
            if now >= (self.ends if self._cpu else self.begins) and len(self._cpu) < 2:
                self._cpu.append((cpu_s(self.servers), time.process_time()))
        if self.begins <= now <= self.ends:
            self.latencies.append(elapsed_s)

    def figures(self) -> dict[str, float]:
        """commits_per_s, quantiles in milliseconds, CPU microseconds per commit of the client and of all servers
        together. Ends the process if nothing was answered."""
        if not self.latencies:
            raise SystemExit("nothing was committed in time")
        if len(self._cpu) == 1:
            self._cpu.append((cpu_s(self.servers), time.process_time()))
        (servers, client), (servers_after, client_after) = self._cpu
        ordered, count = sorted(self.latencies), len(self.latencies)
        return {
            "commits_per_s": count / self.seconds,
            "p50_ms": quantile(ordered, 0.50) * 1000,
            "p99_ms": quantile(ordered, 0.99) * 1000,
            "client_us": (client_after - client) / count * 1e6,
            "servers_us": (servers_after - servers) / count * 1e6,
        }


def parser(description: str | None) -> argparse.ArgumentParser:
    """What the command lines of all loads have in common."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--outstanding", type=int, default=1)
    made.add_argument("--value-bytes", type=int, default=64)
    made.add_argument("--warmup", type=float, default=0.5, help="seconds before anything is counted")
    made.add_argument("--seconds", type=float, default=3.0)
    made.add_argument("--watch", type=int, nargs="*", default=[], metavar="PID", help="the servers' processes")
    return made


def window_of(options: argparse.Namespace) -> Window:
    return Window(options.warmup, options.seconds, options.watch)


def tell(figures: dict[str, float]) -> None:
    """Print figures as the program that started the load reads them."""
    print(json.dumps(figures), flush=True)
