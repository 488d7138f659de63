"""What the network's share is worth: the figures of pairs of stretches, with the feature and without."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from bench.__main__ import main as bench
from bench.consensus import accel
from bench.consensus.accel import (
    FIGURES,
    MOST_LOST,
    Case,
    LeaderChanged,
    Look,
    Pairs,
    Watch,
    costs,
    measured,
    series,
    table,
    told,
)
from topo.errors import LabError

BEFORE = Look(commit=100, batches=10, sent=1000, received=500, sent_bytes=10_000, leader_s=1.0, all_s=5.0, leader=1)


def pairs() -> Pairs:
    off = [dict.fromkeys(FIGURES, 100.0) for _ in range(3)]
    on = [dict.fromkeys(FIGURES, value) for value in (50.0, 40.0, 70.0)]
    return Pairs(on, off)


def test_costs_are_of_each_commit_between_two_moments() -> None:
    after = replace(
        BEFORE, commit=300, batches=30, sent=1100, received=1500, sent_bytes=30_000, leader_s=1.02, all_s=5.1
    )
    found = costs(BEFORE, after)
    assert found == pytest.approx(
        {
            "sent": 0.5,
            "received": 5.0,
            "sent_bytes": 100.0,
            "round_sent": 5.0,
            "round_received": 50.0,
            "leader_us": 100.0,
            "all_us": 500.0,
        }
    )


@pytest.mark.parametrize("wrong", [{"leader": 2}, {"commit": 100}])
def test_a_stretch_without_commits_or_under_another_leader_is_no_measurement(wrong: dict[str, int]) -> None:
    with pytest.raises(LeaderChanged):
        costs(BEFORE, replace(BEFORE, **{"commit": 300, **wrong}))


class Fickle:
    """A watched cluster whose leader changes during some stretches, by their number."""

    def __init__(self, changes: set[int]) -> None:
        self.system = self
        self.on: list[bool] = []
        self._changes, self._looks = changes, 0

    def switch(self, on: bool) -> None:
        self.on.append(on)

    def load(self, outstanding: int, size: int, lengths: object) -> dict[str, float]:
        return dict.fromkeys(FIGURES, 1.0)

    def look(self) -> Look:
        """Once before each stretch, once after it."""
        stretch, after = divmod(self._looks, 2)
        self._looks += 1
        return replace(BEFORE, commit=100 + self._looks, leader=2 if after and stretch in self._changes else 1)


def test_a_pair_during_which_the_leader_changes_is_measured_again_and_that_is_told() -> None:
    options = argparse.Namespace(pairs=2, seconds=1.0)
    watch, said = Fickle({1, 4}), list[object]()
    found = measured(Case(5, 64, 1), options, cast(Watch, watch), said.append)
    assert (len(found.on), len(found.off), found.lost) == (2, 2, 2)
    assert watch.on == [True, False, True, False, False, False, True], "whoever began begins again"
    assert sum("once more" in str(line) for line in said) == 2
    assert "has changed: 2 pairs" in told(found)
    with pytest.raises(LeaderChanged):
        measured(Case(5, 64, 1), options, cast(Watch, Fickle(set(range(100)))), said.append)
    assert sum("once more" in str(line) for line in said) == 2 + MOST_LOST


def test_ratios_are_of_pairs_and_a_pair_of_nothing_is_none() -> None:
    found = pairs()
    assert found.ratios("sent") == [0.4, 0.5, 0.7]
    found.off[0]["sent"] = 0.0
    assert found.ratios("sent") == [0.4, 0.7]
    assert "commits/s: 0.500 (0.400 to 0.700)" in told(found)


def test_table_and_bars_show_both_ways() -> None:
    found = {Case(3, 64, 1): pairs(), Case(9, 8192, 64): pairs()}
    console = Console(width=260, record=True, file=io.StringIO())
    console.print(table(found, "title"))
    text = console.export_text()
    assert "0.500" in text and "(0.400 to 0.700)" in text and "100 → 50" in text and "8192" in text
    bars = list(series(found))
    assert len(bars) == 2 * len(found) * len(FIGURES)
    assert {bar.kind for bar in bars} == {"switchraft off", "switchraft on"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--nodes 3,x", "3,x: whole numbers from 1 on"),
        ("--outstanding 0", "0: whole numbers from 1 on"),
        ("--size=-5", "-5: whole numbers from 1 on"),
        ("--size 8388609", "a value has 1 to"),
        ("--pairs 0", "--pairs: 0 is not a whole number from 1"),
        ("--seconds nan", "--seconds: nan is not a number from 0.01"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "accel", *words.split()])
    try:
        code: object = bench()
    except SystemExit as ended:
        code = ended.code
    assert code == 2 and says in capsys.readouterr().err


@pytest.mark.parametrize(("count", "says"), [("5", "the least and the greatest"), ("6", "a confidence of 95 %")])
def test_what_was_measured_is_shown_also_if_the_rest_fails(
    count: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: argparse.Namespace, found: dict[Case, Pairs], _say: Callable[[str], None]) -> None:
        found[Case(3, 64, 1)] = pairs()
        raise LabError("nobody leads")

    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    monkeypatch.setattr(accel, "run", run)
    monkeypatch.setattr("sys.argv", ["bench", "accel", "--pairs", count])
    assert bench() == 1
    told = capsys.readouterr()
    assert told.err == "bench: nobody leads\n"
    shown = " ".join(told.out.split())
    assert "0.500" in shown and "not all of it was measured" in shown and says in shown
    assert not list(tmp_path.rglob("*.json"))
