"""Processes by pid and start time, and the record by which a crashed lab is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from topo import paths
from topo.lab import record
from topo.lab.process import TOKEN_VARIABLE, Child, Process, end, last_words, printed, with_token
from topo.lab.record import Record, Running

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(300)"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    paths.make(paths.logs())
    return tmp_path


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    popen = subprocess.Popen(SLEEP)
    yield popen
    popen.kill()
    popen.wait()


def own() -> Process:
    process = Process.of(os.getpid())
    assert process is not None
    return process


def test_a_pid_alone_is_no_process(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    assert process is not None and process.alive
    stranger = Process(process.pid, process.started + 1)
    assert not stranger.alive
    assert not stranger.signal(signal.SIGKILL)
    assert end([stranger], grace_s=0.1) == []
    assert sleeper.poll() is None, "a process with the same pid, but another start, was ended"
    assert end([process]) == []
    assert not process.alive


def test_an_exit_status_alone_is_no_process(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    assert process is not None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert Process.of(sleeper.pid) is None
    assert not process.alive
    assert Process.of(2**22 + 1) is None


def test_end_kills_what_does_not_listen_and_what_is_paused() -> None:
    stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    paused = subprocess.Popen(SLEEP)
    paused.send_signal(signal.SIGSTOP)
    processes = [process for popen in (stubborn, paused) if (process := Process.of(popen.pid)) is not None]
    assert end(processes, grace_s=0.3) == []
    assert not any(process.alive for process in processes)
    stubborn.stdout.close()


def test_descendants_are_found_by_token_and_the_caller_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    token = f"test-{time.monotonic_ns()}"
    shell = subprocess.Popen(
        ["sh", "-c", "sleep 300 & sleep 300"], env={**os.environ, TOKEN_VARIABLE: token}, start_new_session=True
    )
    deadline = time.monotonic() + 20
    while len(with_token(token)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    found = with_token(token)
    assert len(found) == 3
    assert end(found) == []
    assert with_token(token) == []
    shell.wait()


def test_child_starts_again_and_says_how_it_ended(tmp_path: Path) -> None:
    child = Child("c", "node", ["sh", "-c", "echo one; echo two; exit 3"], tmp_path / "c.log", os.environ, tmp_path)
    assert child.process is None and child.exit_text == "not started"
    child.start()
    assert child.wait(20)
    assert child.exit_text == "exit code 3"
    assert child.last_words() == "  one\n  two"
    assert child.obituary() == f"exit code 3; its last lines, of {tmp_path}/c.log:\n  one\n  two" and child.failed
    child.command = SLEEP
    child.start()
    first = child.process
    assert first is not None
    child.kill()
    assert child.process is None and child.exit_text == "signal SIGKILL"
    assert child.last_words() == "", "only what the last start said"
    assert child.obituary() == "signal SIGKILL" and not child.failed, "it was told to end"
    child.start()
    assert child.process not in (None, first)
    child.kill()


def test_last_words_of_a_long_log_are_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = tmp_path / "c.log"
    lines = [f"line {number}" for number in range(100_000)]
    log.write_text("earlier\n" + "\n\n".join(lines) + "\n\x1b[31mred\x1b[0m\x07\n\n")
    shown = last_words(log, len("earlier\n")).splitlines()
    assert shown[:5] == ["  line 0", "  line 1", "  line 2", "  line 3", "  ..."]
    assert shown[5:] == [*(f"  line {number}" for number in range(99_993, 100_000)), "  red"]
    log.write_bytes(b"x" * 100_000)
    assert max(map(len, last_words(log).splitlines())) < 1000
    assert last_words(tmp_path / "none.log") == ""
    assert printed(tmp_path / "none.log").startswith("it printed nothing to ")


def test_leftovers_of_this_boot_are_ended_and_others_left_alone(build: Path) -> None:
    inside, outside = subprocess.Popen(SLEEP), subprocess.Popen(SLEEP)
    process = Process.of(inside.pid)
    assert process is not None
    running = (
        Running("s1", "switch", process.pid, process.started, "running", "s1.log"),
        Running("s2", "switch", outside.pid, 1, "running", "s2.log"),
    )
    left = Record("none", record.boot_id(), Process(1, 0), "triangle", "embedded", processes=running)
    left.write()
    paths.lab_socket().touch()
    try:
        assert record.remove_leftovers(left) == []
        assert inside.wait(20) != 0
        assert outside.poll() is None
        assert not paths.record().exists() and not paths.lab_socket().exists()
    finally:
        outside.kill()
        outside.wait()


def test_an_earlier_boots_processes_are_nobodys(build: Path, sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    assert process is not None
    running = Running("s1", "switch", process.pid, process.started, "running", "s1.log")
    left = Record("none", "an earlier boot", process, "triangle", "embedded", processes=(running,))
    left.write()
    assert not left.alive
    assert record.remove_leftovers(left) == []
    assert sleeper.poll() is None
    assert record.load() is None


def test_who_is_paused_has_stopped_with_all_threads(tmp_path: Path) -> None:
    """A stop takes its time to come to every thread, and longer where others have the processors."""
    forever = "lambda: hashlib.pbkdf2_hmac('sha256', b'', b'', 1 << 30)"
    busy = f"import hashlib, threading\nfor _ in range(16): threading.Thread(target={forever}).start()"
    child = Child("c", "switch", [sys.executable, "-c", busy], tmp_path / "c.log", os.environ, tmp_path)
    child.start()
    assert child.process is not None
    tasks = Path(f"/proc/{child.process.pid}/task")
    try:
        while len(list(tasks.iterdir())) < 17:
            time.sleep(0.01)
        for _ in range(20):
            child.pause()
            stats = [stat.read_text() for stat in tasks.glob("*/stat")]
            assert {stat[stat.rindex(")") + 2] for stat in stats} == {"T"}
            child.pause()
            assert child.paused
            child.resume()
            assert not child.paused
    finally:
        child.kill()
    child.pause()
    assert not child.paused, "it has ended"
