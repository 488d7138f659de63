"""What ``bench curve`` tells of an open loop: knee, recovery, tables, bars, JSON; and what it refuses."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram

from bench import record
from bench.__main__ import main as bench
from bench.open import curve
from bench.open.report import Case, Curve, Round, is_client_late, knee, recovery_s, series, table, told
from bench.open.samples import Measured, Window, measured
from bench.open.schedule import OpenLoop, Stretch
from topo.errors import LabError

CASE = Case(3, 64, "commit")


def test_the_knee_is_the_greatest_share_below_five_times_the_lowest() -> None:
    assert knee({25: 2.0, 50: 3.0, 80: 9.9, 90: 10.0, 125: math.inf}) == 80
    assert knee({25: 2.0, 50: 30.0, 80: 9.9, 90: 10.0}) == 80
    assert knee({25: math.inf, 50: 3.0}) is None


def windows(*p99_ms: float) -> tuple[Window, ...]:
    return tuple(Window(number / 10, one) for number, one in enumerate(p99_ms))


@pytest.mark.parametrize(
    ("p99_ms", "took"),
    [
        ((1, 1, 1), 0.1),
        ((math.inf, 50, 9, 8, 7), 0.3),
        ((50, 9, 50, 9, 8, 50, 9, 9, 9, 50), 0.7),
        ((50, 9, 9), math.inf),
        ((), math.inf),
    ],
)
def test_recovery_is_the_end_of_the_first_of_three_good_windows(p99_ms: tuple[float, ...], took: float) -> None:
    assert recovery_s(windows(*p99_ms), 10.0) == pytest.approx(took)


def test_nothing_recovers_to_what_was_no_value() -> None:
    assert recovery_s(windows(1, 1, 1), math.inf) == math.inf


def stretch(rate: float, p99_s: float, lag_s: float = 0.0) -> Measured:
    loop = OpenLoop([Stretch(rate, 0.5)], 0.0)
    now = lag_s
    while not loop.done:
        for number in loop.begin(now, 1000):
            loop.answered(number, loop.due[number] + p99_s)
        now += 0.01
    return measured(loop, 0, 0.1)


def made_up(rounds: int = 2) -> Curve:
    found = Curve(1000.0)
    for _ in range(rounds):
        shares = {25: stretch(250, 0.02), 50: stretch(500, 0.03), 125: stretch(1250, 0.5)}
        found.rounds.append(Round(shares, stretch(500, 0.03), {125: {"retries": 3}}))
    return found


def test_table_bars_and_words_of_a_curve() -> None:
    found = made_up()
    assert table(CASE, found, "title").row_count == 3
    bars = list(series({CASE: found}))
    assert len(bars) == 3 * 4 and all(len(bar.values) == 2 for bar in bars)
    words = told(found, 10.0)
    assert words["knee"].startswith("50 % of 1,000/s") and words["recovery after 125 %"] == "0.1 s"


def test_what_has_no_value_gets_no_bar_and_is_told() -> None:
    found = made_up()
    lost = OpenLoop([Stretch(100, 0.2)], 0.0)
    lost.close(1.0)
    found.rounds[1].shares[125] = measured(lost, 0, 0.0)
    found.rounds[1].after = None
    assert len([bar for bar in series({CASE: found}) if bar.label.startswith("125 %")]) == 1
    words = told(found, 10.0)
    assert words["more than 1 % got no answer at"] == "125 %"
    assert words["recovery after 125 %"] == "not within 10 s (0.1 s to not within 10 s)"


def test_a_client_that_is_late_itself_is_told() -> None:
    found = made_up(1)
    assert not is_client_late(found, 125)
    found.rounds[0].shares[125] = stretch(1250, 0.5, lag_s=0.4)
    assert is_client_late(found, 125) and told(found, 1.0)["the client itself was late at"] == "125 %"


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    return record.folder()


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["bench", "curve", *words])
    return bench()


def fill(options: argparse.Namespace, curves: dict[Case, Curve], say: object) -> None:
    assert options.shares == [25, 50, 125]
    curves[CASE] = made_up()


def test_json_holds_histograms_that_can_be_decoded(
    records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(curve, "run", fill)
    assert call(monkeypatch, "--shares", "125", "--json") == 0
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    assert case["knee_percent"] == 50 and case["recovery_s"] == pytest.approx([0.1, 0.1])
    assert [len(one["shares"]) for one in case["rounds"]] == [3, 3]
    for one in case["rounds"]:
        for share in (*one["shares"], one["after"]):
            assert HdrHistogram.decode(share["histogram"]).get_total_count() == share["due"]
            assert HdrHistogram.decode(share["lags"]).get_total_count() == share["due"]
    (kept,) = record.read_all(records)
    assert kept.bench == "curve" and kept.facts[f"{CASE}: knee"].startswith("50 %")


def test_people_read_what_is_durable_which_switch_and_how_many_cores(
    records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(curve, "run", fill)
    assert call(monkeypatch, "--shares", "125,25") == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (record.DURABLE, "reads are linearizable", "embedded switch", "core", "knee: 50 %"):
        assert words in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--operation", "write"], "--operation"),
        (["--operation", ","], "--operation"),
        (["--nodes", "4"], "--nodes"),
        (["--shares", "5000"], "--shares"),
    ],
)
def test_impossible_options_are_refused(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--shares", "0"], ["--shares", "a"], ["--size", "9999999"], ["--nodes", ""]])
def test_what_is_no_list_of_numbers_is_refused(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *words)
    assert ended.value.code == 2


def test_a_lab_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise LabError("no lab here")

    monkeypatch.setattr(curve, "run", fail)
    assert call(monkeypatch) == 1
    assert capsys.readouterr().err == "bench: no lab here\n"
