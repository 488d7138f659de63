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
from bench.consensus.commit import Case, Results, panels, table
from bench.consensus.core import run as run_cores
from bench.consensus.window import cpu_s, quantile
from bench.plot import picture

REPOSITORY = Path(__file__).parents[2]


def bench(tmp_path: Path, words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SWITCHRAFT_BUILD": str(tmp_path)}
    command = [sys.executable, "-m", "bench", *words.split()]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def results() -> Results:
    made = Results()
    for system, rate in (("switchraft", 9000.0), ("etcd", 6000.0)):
        for more in (0.0, 10.0, 1000.0):
            figures = {"commits_per_s": rate + more, "p50_ms": 5.0, "p99_ms": 9.0, "client_us": 20, "servers_us": 80}
            made.runs.setdefault(Case(system, 3, 1, 64, 64), []).append(figures)
    return made


def test_every_core_commits_every_entry() -> None:
    rate, count = run_cores(3000, 64, 16)
    assert rate > 0 and count == 47 * 64


def test_table_and_picture() -> None:
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(table(results(), "title"))
    shown = console.export_text()
    assert "9010 (9000-10000)" in shown and "1.50x, 1.00x" in shown
    drawn = picture(list(panels(results())))
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


def test_a_short_run(tmp_path: Path) -> None:
    done = bench(tmp_path, "commit --loopback --rounds 1 --seconds 0.5 --with none --groups 2 --json")
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)
    assert [case["outstanding"] for case in cases] == [1, 64]
    assert all(case["runs"][0]["commits_per_s"] > 0 and case["runs"][0]["servers_us"] > 0 for case in cases)


def test_a_leader_that_dies(tmp_path: Path) -> None:
    words = "failover --loopback --kills 1 --without-etcd --load-minutes 0.01 --json"
    done = bench(tmp_path, words)
    told = json.loads(done.stdout)
    (seconds,) = told["seconds"]["switchraft, 50/300 ms"]
    assert 0.1 < seconds < 60 and told["load"][0] > 0, done.stderr


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
