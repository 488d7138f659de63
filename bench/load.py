"""One client process that keeps a number of appends outstanding for a while, and prints what it saw as JSON.

Run inside a host's namespace by ``bench.commit``; also by hand:
``python -m bench.load --server 127.0.0.1:26411 --outstanding 64 --seconds 5``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

from hosts.client import Client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="append", required=True, help="ADDRESS:PORT; may be repeated")
    parser.add_argument("--bind", help="the client's own address")
    parser.add_argument("--group", type=int, default=1)
    parser.add_argument("--outstanding", type=int, default=1)
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--warmup", type=float, default=0.5, help="seconds before anything is counted")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    servers = [(address, int(port)) for address, _, port in (text.rpartition(":") for text in options.server)]
    with Client(servers, options.group, bind=options.bind) as client:
        print(json.dumps(measure(client, options.outstanding, options.value_bytes, options.warmup, options.seconds)))


def measure(client: Client, outstanding: int, value_bytes: int, warmup_s: float, seconds: float) -> dict[str, float]:
    """Commits per second, and latency quantiles in milliseconds, of appends answered after the warm-up."""
    start = time.monotonic()
    counted_from, end = start + warmup_s, start + warmup_s + seconds

    def values() -> Iterator[bytes]:
        while time.monotonic() < end:
            yield bytes(value_bytes)

    latencies = sorted(
        result.elapsed_s
        for result in client.append_many(values(), outstanding)
        if counted_from <= time.monotonic() <= end
    )
    if not latencies:
        raise SystemExit("nothing was committed in time")
    return {
        "commits_per_s": len(latencies) / seconds,
        "p50_ms": quantile(latencies, 0.50) * 1000,
        "p99_ms": quantile(latencies, 0.99) * 1000,
    }


def quantile(ordered: list[float], share: float) -> float:
    """The value below which ``share`` of an ordered list lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    main()
