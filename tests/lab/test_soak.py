"""A little of what `switchraft soak` does for ten minutes, and of its two hundred kills."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import Lab, running
from topo import topology
from topo.lab.membership import Members
from topo.soak.conductor import Conductor, Wanted
from topo.soak.history import read, recording
from topo.soak.verdict import judge

SNAPSHOT_ENTRIES = 100
THINK_S = 0.06
"""Shorter than in the long soak, so that as much happens in less time."""


@pytest.fixture
def fresh_lab(build_folder: Path, tmp_path: Path) -> Iterator[Lab]:
    """Nothing has happened in it yet; snapshots come often."""
    file = tmp_path / "triangle.yaml"
    triangle = (topology.FOLDER / "triangle.yaml").read_text()
    file.write_text(f"{triangle}\nsnapshot_entries: {SNAPSHOT_ENTRIES}\n")
    with running("--topology", str(file)) as lab:
        yield lab


def soaked(lab: Lab, wanted: Wanted, file: Path) -> list[str]:
    """Soak; what is wrong, and what the history in the file says is."""
    told: list[str] = []
    with recording(file) as recorder:
        Conductor(lab.live, wanted, recorder, told.append).run()
        verdict = judge(recorder.history, timed=False)
    assert len(told) == len(recorder.history.faults)
    assert judge(read(file), timed=False) == verdict
    print("\n".join([*told, *verdict.facts]))
    return verdict.problems


def test_faults_of_many_kinds(fresh_lab: Lab, tmp_path: Path) -> None:
    """While each feature of the switches comes and goes twice."""
    wanted = Wanted(seed=3, seconds=20.0, think_s=THINK_S, features=2)
    assert soaked(fresh_lab, wanted, tmp_path / "soak.jsonl") == []


def test_kills_of_one_node(fresh_lab: Lab, tmp_path: Path) -> None:
    assert soaked(fresh_lab, Wanted(seed=4, kills=5, think_s=THINK_S), tmp_path / "kills.jsonl") == []


def test_a_group_that_shrinks_and_grows_under_many_threads(fresh_lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "sizes.jsonl"
    wanted = Wanted(seed=5, seconds=12.0, think_s=THINK_S, sizes=(1, 3), threads=3)
    assert soaked(fresh_lab, wanted, file) == []
    history = read(file)
    assert [size.size for size in history.sizes[:2]] == [1, 3][: len(history.sizes)]
    _, shown = Members(fresh_lab.live, fresh_lab.live.topology.groups[0].id).leader()
    assert {str(fresh_lab.live.topology.node_id(name)) for name in history.lists} == set(shown["members"])
    answered = {call.client for call in history.calls if call.ended is not None}
    assert len([name for name in answered if ".thread." in name]) == 3
