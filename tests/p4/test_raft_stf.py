"""raft.p4 by the P4 community's simple test format, as anyone who changes the program would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.p4.triangle import REPOSITORY

STF = ("raft.stf", "append_fanout.stf", "leader_gone.stf", "client_limit.stf", "read_route.stf", "ack_gather.stf")


@pytest.mark.parametrize("script", STF)
def test_raft_stf(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "p4switch.stf", "p4/raft.p4", f"tests/p4/{script}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok" in done.stdout


def test_a_wrong_expectation_fails(tmp_path: Path) -> None:
    changed = tmp_path / "wrong.stf"
    text = (REPOSITORY / "tests/p4/raft.stf").read_text()
    changed.write_text(text.replace("packets == 2", "packets == 3"))
    done = subprocess.run(
        [sys.executable, "-m", "p4switch.stf", "p4/raft.p4", str(changed)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "redirects" in done.stdout
