"""The benchmark of limits: its flood, and its figures."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from bench.consensus.limit import MOST, Stretch, Three, summary
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, Header


def test_a_flood_is_of_requests_at_its_rate_until_it_is_ended() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        target.settimeout(30)
        words = ["--flood", f"127.0.0.1:{target.getsockname()[1]}", "2000"]
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.consensus.limit", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        datagrams = [target.recv(2048) for _ in range(200)]
        told, _ = process.communicate()
    assert all(Header.unpack(one[:HEADER_BYTES]).type == MessageType.CLIENT_REQUEST for one in datagrams)
    assert 0 < float(told) < 2100


def _stretch(p99_ms: float) -> Stretch:
    return Stretch(p99_ms, p99_ms / 2, 100.0, 20_000.0, 1000)


@pytest.mark.parametrize(("limited", "holds"), [((1.0, 1.6, 1.4), True), ((1.0, 1.6, 1.7), False)])
def test_the_bar_is_the_median_of_the_pairs(limited: tuple[float, ...], holds: bool) -> None:
    rounds = [Three(_stretch(one * 2), _stretch(2.0), _stretch(50.0)) for one in limited]
    told = summary(rounds)
    assert told[f"at most {MOST}"] is holds
    assert told["p99 ms, flood without a limit"] == 50.0 and told["pairs"] == 3
    assert told["ratio, extremes"] == f"1.000 to {max(limited):.3f}"
