"""Scenarios as transcripts. ``RAFT_REWRITE=1 pytest tests/raft/test_scenarios.py`` writes what happens now into the
files; read the difference before you commit it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.raft.transcript import Transcript

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    now = Transcript().run(text)
    if os.environ.get("RAFT_REWRITE"):
        path.write_text(now)
    assert now == path.read_text()


def test_there_are_scenarios_and_all_say_what_comes_of_them() -> None:
    assert len(SCENARIOS) >= 12
    assert all("\n    " in path.read_text() for path in SCENARIOS)
