"""The benchmarks of snapshots and large values, small: all arrives, and by the way that they mean to measure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import pytest

from bench.consensus import bulk, catchup, loopback
from tests import forked


@pytest.fixture(autouse=True)
def forked_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members without a start of Python for each."""

    def launch(self: loopback.Loopback, command: Sequence[str], output: int) -> forked.Forked:
        return forked.start_command(command, output)

    monkeypatch.setattr(loopback.Loopback, "launch", launch)


def test_a_large_value_and_a_snapshot_arrive() -> None:
    figures = bulk.run(2 << 20, 6 << 20, 300 << 10, extra="snapshot_mib: 1", seconds=0.5)
    assert figures["value is the same"] and figures["all values are the same"]
    assert figures["snapshot at entry"] >= 20
    assert figures["small values/s"] > 0 and figures["while a snapshot goes to it"] > 0
    assert figures["elections beside small values"] == 0
    assert figures["holds"], figures


def test_a_value_larger_than_any_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    bulk.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--value-mib", "65"])
    assert "--value-mib: 65 is not a whole number from 1 to 64" in capsys.readouterr().err


def test_a_node_that_was_away_catches_up_by_snapshot() -> None:
    figures = catchup.run(3000, seconds=0.5, snapshot_entries=500)
    assert figures["by a snapshot"] and figures["the disk is bounded"] and figures["the same node still leads"], (
        figures
    )


def test_catchup_holds_if_the_median_does_and_every_round_was_as_meant() -> None:
    def rounds(*drops: float, by_snapshot: bool = True) -> list[dict[str, Any]]:
        return [{catchup.DROP: drop, catchup.BY_SNAPSHOT: by_snapshot, catchup.BOUNDED: True} for drop in drops]

    figures = catchup.summary(rounds(-3.0, 5.0, 24.0))
    assert figures["holds"] and figures[catchup.DROP] == "5.0 (-3.0 to 24.0)"
    assert not catchup.summary(rounds(5.0, 21.0, 24.0))["holds"]
    assert not catchup.summary([*rounds(5.0, 6.0), *rounds(7.0, by_snapshot=False)])["holds"]


@pytest.mark.parametrize("fails", ["nothing", "value", "snapshot", "beside"])
def test_bulk_holds_only_if_all_parts_do(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk.Loopback, "start", lambda self: None)
    monkeypatch.setattr(bulk, "_value", lambda cluster, size: ({"value": size}, fails != "value"))
    monkeypatch.setattr(
        bulk, "_snapshot", lambda cluster, size, part, value_bytes: ({"state": size}, fails != "snapshot")
    )
    monkeypatch.setattr(bulk, "_beside_small_values", lambda cluster, size, seconds: ({"s": size}, fails != "beside"))
    assert bulk.run(1, 2, 3) == {"value": 1, "state": 2, "s": 1, "holds": fails == "nothing"}
