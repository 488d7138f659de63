"""The benchmarks of commits and of failover: a short run of the real thing on loopback, and what is pure in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from bench.consensus import etcd
from bench.consensus.commit import Case, Results, lengths_of, series, table
from bench.consensus.core import run as run_cores
from bench.consensus.window import Lengths, Window, cpu_s, key, quantile
from bench.plot import panels_of, picture
from tests import forked

REPOSITORY = Path(__file__).parents[2]


def bench(tmp_path: Path, words: str) -> subprocess.CompletedProcess[str]:
    return forked.run("bench.__main__", *words.split(), timeout=300, SWITCHRAFT_BUILD=str(tmp_path))


def results() -> Results:
    made = Results()
    for system, rate in (("switchraft", 9000.0), ("etcd", 6000.0)):
        for more in (0.0, 10.0, 1000.0):
            figures = {"commits_per_s": rate + more, "p50_ms": 5.0, "p99_ms": 9.0, "client_us": 20}
            figures.update(servers_us=80, switches_us=7)
            for size in (64, 14_000):
                made.runs.setdefault(Case(system, 3, 1, size, 64), []).append(figures)
    return made


def test_every_core_commits_every_entry() -> None:
    rate, count = run_cores(3000, 64, 16)
    assert rate > 0 and count == 47 * 64


def test_table_and_picture() -> None:
    console = Console(width=190, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(table(results(), "title"))
    shown = console.export_text()
    assert "9010 (9000-10000)" in shown and "1.50x, 1.00x" in shown
    small, large = (line for line in shown.splitlines() if "switchraft" in line)
    assert "8.0, 0.7" in large and "8.0, 0.7" not in small, "a tenth, in 14,000 bytes"
    drawn = picture(panels_of(series(results())))
    assert ElementTree.fromstring(drawn).tag.endswith("svg") and "etcd: 3 nodes" in drawn


def test_messages_of_etcd() -> None:
    assert etcd.put_request(b"k", b"v" * 200) == b"\x0a\x01k\x12\xc8\x01" + b"v" * 200
    header = b"\x08\x07\x10\x2a"
    status = b"\x0a" + etcd.varint(len(header)) + header + b"\x12\x053.4.2" + b"\x20\x2a" + b"\x30\xac\x02"
    assert etcd.status_of(status) == (42, 42, 300)
    assert etcd.status_of(b"") == (0, 0, 0)
    with pytest.raises(ValueError, match="wire type 5"):
        list(etcd.fields_of(b"\x0d\0\0\0\0"))


def test_figures() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 3 and quantile([1], 0.99) == 1
    before = cpu_s([os.getpid()])
    while cpu_s([os.getpid()]) <= before:
        pass
    assert cpu_s([2**30]) == 0


def test_a_window_goes_by_what_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)

    def run(lengths: Lengths, *answers: float) -> dict[str, float]:
        """One at a time, answered at these moments."""
        nonlocal now
        now, ends = 0.0, iter(answers)
        window = Window(lengths)
        while window.open():
            began, now = now, next(ends)
            window.answered(now - began)
        return window.figures()

    every_half = [0.5 * number for number in range(1, 100)]
    # From an answer after the warm-up to one after the end.
    figures = run(Lengths(warmup=1, seconds=2), *every_half)
    assert (figures["commits"], figures["seconds"], figures["commits_per_s"]) == (4, 2, 2)
    assert figures["p50_ms"] == 500
    assert run(Lengths(warmup=1, seconds=20, at_most=5), *every_half)["seconds"] == 4
    # Large ones: from the beginning, and all.
    figures = run(Lengths(warmup=1, seconds=2, least=6), *every_half)
    assert (figures["commits"], figures["seconds"]) == (6, 3), "so many, though it takes longer"
    assert run(Lengths(seconds=2, least=2), *every_half)["commits"] == 4, "so long, though that is more"
    assert run(Lengths(seconds=2, least=30, at_most=8), *every_half)["commits"] == 16, "no longer than allowed"
    with pytest.raises(SystemExit, match="nothing was committed"):
        run(Lengths(warmup=1, at_most=2), 2.0)


def test_large_values_that_are_begun_at_once_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    window = Window(lengths_of(1 << 20, 64, 1.0, 60.0))
    begun = [0.0] * sum(window.open() for _ in range(64))
    assert len(begun) == 64
    while begun:
        now += 16.0
        ended, begun = begun, []
        for began in ended:
            window.answered(now - began)
            begun += [now] * window.open()
    figures = window.figures()
    assert (figures["commits"], figures["seconds"], figures["commits_per_s"]) == (96, 32, 3)


def test_keys_of_large_values_are_few() -> None:
    assert len({key(number) for number in range(20_000)}) == 10_000
    assert len({key(number, 1 << 20) for number in range(20_000)}) == 64
    assert len({key(number, 1 << 30) for number in range(10)}) == 1


def test_a_short_run(tmp_path: Path) -> None:
    words = "commit --loopback --rounds 1 --seconds 0.5 --with none --groups 2 --size 64,1048576 --json"
    done = bench(tmp_path, words)
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)
    assert [(case["size"], case["outstanding"]) for case in cases] == [(64, 1), (64, 64), (1 << 20, 1), (1 << 20, 64)]
    assert all(case["runs"][0]["commits"] >= max(16, case["outstanding"]) for case in cases)
    assert all(case["runs"][0]["commits_per_s"] > 0 and case["runs"][0]["servers_us"] > 0 for case in cases)


def test_a_leader_that_dies(tmp_path: Path) -> None:
    words = "failover --loopback --kills 1 --without-etcd --load-minutes 0.05 --stop 20-30 --json"
    done = bench(tmp_path, words)
    told = json.loads(done.stdout)
    (seconds,) = told["seconds"]["switchraft, 50/300 ms"]
    loaded = told["load"]
    assert 0 < seconds < 60 and loaded["commits_per_s"] > 0, done.stderr
    assert loaded["stops"] > 0 and loaded["longest_s"] >= 0.02


def test_a_leader_that_dies_while_no_client_sends(tmp_path: Path) -> None:
    done = bench(tmp_path, "failover --loopback --kills 2 --idle --json")
    told = json.loads(done.stdout)
    assert list(told["seconds"]) == ["switchraft, 50/300 ms"], done.stderr
    assert all(0 < seconds < 60 for seconds in told["seconds"]["switchraft, 50/300 ms"])
    assert len(told["seconds"]["switchraft, 50/300 ms"]) == 2


@pytest.mark.parametrize(
    "words", ["--stop 20", "--stop 0-3", "--stop 30-20", "--stop 20-30", "--election-timeout 299"]
)
def test_stops_and_timeouts_that_are_none(tmp_path: Path, words: str) -> None:
    done = bench(tmp_path, f"failover --loopback {words}")
    assert done.returncode == 2 and any(
        says in done.stderr for says in ("LEAST-MOST", "--load-minutes", "at least 6 heartbeats, here 300 ms")
    )


@pytest.mark.parametrize(
    ("size", "says"), [("0", "whole numbers from 1 on"), ("64,1048577", "a value has 1 to 1048576 bytes")]
)
def test_sizes_that_are_not_measured(tmp_path: Path, size: str, says: str) -> None:
    done = bench(tmp_path, f"commit --loopback --size {size}")
    assert done.returncode == 2 and f"{size}: {says}" in done.stderr


def test_loopback_is_as_it_is(tmp_path: Path) -> None:
    done = bench(tmp_path, "commit --loopback --mtu 1500")
    assert done.returncode == 2 and "--mtu is of the lab's links" in done.stderr


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    done = bench(tmp_path, "commit --loopback --with consul")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "choose etcd" in done.stderr


def test_an_interrupted_bench_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    environment = {**os.environ, "SWITCHRAFT_BUILD": str(tmp_path)}
    command = [sys.executable, "-m", "bench", "failover", "--loopback", "--kills", "1000", "--without-etcd"]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell, they are to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        assert running.stderr is not None
        told = next(line for line in running.stderr if "kill 1/1000" in line)
        running.send_signal(signal.SIGINT)
        told += running.stderr.read()
    assert running.returncode == 130
    assert "Traceback" not in told and told.endswith("bench: interrupted\n")
    mark = f"SWITCHRAFT_BUILD={tmp_path}".encode()
    assert [at for at in Path("/proc").glob("[0-9]*") if mark in environment_of(at)] == []


def environment_of(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
