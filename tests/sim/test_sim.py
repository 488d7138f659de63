"""Some seeds, that they can be replayed, and that the simulator would notice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hosts.net.seal import Seal
from hosts.raft.leadership import Leadership
from hosts.service.sessions import Sessions
from hosts.storage.log import DiskLog
from p4switch.pipeline.entities import Output
from p4switch.pipeline.pipeline import Pipeline
from sim import plan
from sim.run import EXPECTED, compile_program
from sim.world import Options, run

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def options() -> Options:
    return Options(compile_program())


@pytest.mark.parametrize("seed", [2, 5, 8, 12, 13])
def test_seed(seed: int, options: Options) -> None:
    result = run(seed, options)
    assert not result.failure, "\n".join([result.plan, result.failure])
    assert result.counts["operations"] >= plan.LEAST_OPERATIONS
    assert result.counts["answered"] > result.counts["operations"] / 2
    assert result.counts["elections"]


def test_plans_hold_what_a_seed_must() -> None:
    plans = [plan.draw(seed) for seed in range(300)]
    assert {len(one.topology.members) for one in plans} == {3, 5, 7}
    assert {len(one.topology.groups) for one in plans} == {1, 2}
    assert {(one.switches, one.sealed) for one in plans} == {(a, b) for a in (True, False) for b in (True, False)}
    assert all(len(one.faults) >= plan.LEAST_FAULTS for one in plans)
    assert {fault.kind for one in plans for fault in one.faults} == set(plan.Kind)
    assert plan.END_US >= 60_000_000
    for one in plans:
        assert one.topology.election_timeout_ms >= 6 * one.topology.heartbeat_ms


def replayed(seed: int, *flags: str, hash_seed: str) -> str:
    command = [sys.executable, "-m", "sim", "--replay", str(seed), *flags]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    finished = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return next(line for line in finished.stdout.splitlines() if "trace hash" in line)


def test_the_same_seed_is_the_same_trace_whatever_the_optimization() -> None:
    seed = next(seed for seed in range(100) if plan.draw(seed).switches)
    assert replayed(seed, hash_seed="1") == replayed(seed, "--O0", hash_seed="2")


# -- would it notice? -----------------------------------------------------------------------------------------------


def first_failure(options: Options, seeds: range) -> str:
    for seed in seeds:
        result = run(seed, options)
        if result.failure:
            return result.rule
    return ""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any, str, Any], None]]:
    def replace(owner: Any, name: str, by: Any) -> None:
        monkeypatch.setattr(owner, name, by)

    yield replace


def test_notices_a_log_that_does_not_sync(broken: Callable[..., None], options: Options) -> None:
    write = DiskLog._write

    def unsynced(log: DiskLog, *arguments: Any) -> None:
        file = log._file
        assert file is not None
        sync, type(file).sync = type(file).sync, lambda _self: None  # type: ignore[method-assign]
        try:
            write(log, *arguments)
        finally:
            type(file).sync = sync  # type: ignore[method-assign]

    broken(DiskLog, "_write", unsynced)
    assert first_failure(options, range(20)) in ("promised is durable", "logs open after a crash")


def test_notices_commits_that_no_quorum_holds(broken: Callable[..., None], options: Options) -> None:
    def eager(self: Leadership) -> bool:
        advanced = self._log.last_index > self._log.commit_index
        self._log.commit_index = self._log.last_index
        return advanced

    broken(Leadership, "_advance_commit", eager)
    assert first_failure(options, range(5)) == "committed is durable"


def test_notices_a_key_that_is_not_asked_for(broken: Callable[..., None], options: Options) -> None:
    """Whoever has a member's address on a plain network would be believed."""
    seeds = [seed for seed in range(100) if plan.draw(seed).sealed and not plan.draw(seed).switches]
    sound = run(seeds[0], options)
    assert not sound.failure
    assert sound.counts["refused: bad_mac"]
    broken(Seal, "is_right", lambda *_: True)
    assert any(run(seed, options).failure for seed in seeds[:5])


def test_notices_requests_carried_out_twice(broken: Callable[..., None], options: Options) -> None:
    broken(Sessions, "keep", lambda *_: None)
    assert first_failure(options, range(20)) in ("carried out once", "linearizable")


def test_notices_a_switch_that_forges(broken: Callable[..., None], options: Options) -> None:
    step = Pipeline.step

    def forging(self: Pipeline, port: int, frame: bytes, now_us: int, random: int = 0) -> Output:
        output = step(self, port, frame, now_us, random)
        packets = tuple((out, left[:50] + bytes([left[50] ^ 1]) + left[51:]) for out, left in output.packets)
        return Output(packets, output.digests, output.log)

    broken(Pipeline, "step", forging)
    seeds = (seed for seed in range(100) if plan.draw(seed).switches)
    seed = next(seeds)
    assert first_failure(options, range(seed, seed + 1)) == "nothing is forged"


def test_what_is_expected_has_a_name() -> None:
    assert len(set(EXPECTED)) == len(EXPECTED)
