"""What reads that are spread cost, and which bars that meets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.__main__ import main as bench
from bench.consensus.accel import Pairs
from bench.reads.compare import FIGURES, Case, Found, Look, costs, misses, series, table, told
from bench.reads.steering import Waits
from topo.errors import LabError

BEFORE = Look(leader=1, reads={1: 10, 2: 0, 3: 5}, packets=1000, leader_s=1.0, all_s=2.0)
AFTER = Look(leader=1, reads={1: 40, 2: 45, 3: 50}, packets=1012, leader_s=1.06, all_s=2.18)
CASE = Case(3, 100, 64)


def pairs(**on: float) -> Pairs:
    usual = {"most": 1.1, "packets": 0.1, "leader_us": 40.0}
    return Pairs([{**dict.fromkeys(FIGURES, 50.0), **usual, **on}] * 3, [dict.fromkeys(FIGURES, 100.0)] * 3)


def waits(**took: float) -> Waits:
    usual = {"steered": 0.001, "redirected": 0.002, "leader": 0.001}
    return Waits({way: [one] * 4 for way, one in {**usual, **took}.items()})


def test_costs_are_of_what_was_read_between_two_moments() -> None:
    found = costs(BEFORE, AFTER, 1.0)
    assert found == pytest.approx({"most": 45 * 3 / 120, "packets": 0.1, "leader_us": 500.0, "all_us": 1500.0})
    assert costs(BEFORE, AFTER, 0.5)["leader_us"] == pytest.approx(250.0), "as many writes cost, too"


@pytest.mark.parametrize("wrong", [{"leader": 2}, {"reads": BEFORE.reads}])
def test_a_stretch_without_reads_or_under_another_leader_is_no_measurement(wrong: dict[str, object]) -> None:
    with pytest.raises(LabError, match="measure again"):
        costs(BEFORE, replace(AFTER, **wrong), 1.0)  # type: ignore[arg-type]


def test_what_meets_the_bars() -> None:
    assert list(misses(Found({CASE: pairs()}, {3: waits()}))) == []


@pytest.mark.parametrize(
    ("on", "says"),
    [({"most": 1.4}, "its share"), ({"packets": 0.2}, "packets"), ({"leader_us": 60.0}, "processor time")],
)
def test_what_misses_one(on: dict[str, float], says: str) -> None:
    (text,) = misses(Found({CASE: pairs(**on)}))
    assert says in text and str(CASE) in text


def test_a_steered_client_waits_no_longer_and_meets_no_follower() -> None:
    slow, met = waits(steered=0.0012), waits()
    met.at_follower = 3
    assert ["waits" in text for text in slow.misses()] == [True]
    assert ["3 packets" in text for text in met.misses()] == [True]
    assert "1.200 times" in str(slow)


def test_table_and_bars_show_both_ways() -> None:
    found = Found({CASE: pairs()}, {3: waits()})
    assert table(found.cases, "title").row_count == 1
    assert len(list(series(found))) == 2 * len(FIGURES) + 3
    assert "0.400" in told(pairs())


def test_impossible_numbers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "read", "--pairs", "0"])
    with pytest.raises(SystemExit) as ended:
        bench()
    assert ended.value.code == 2
    assert "--pairs" in capsys.readouterr().err
