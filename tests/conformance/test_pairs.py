"""When `against_bmv2 pairs` finds fault, with the four ways of running a test made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.bmv2 import pairs
from conformance.bmv2.pairs import Built, Outcome, Pairs

SAME, OTHER = Outcome({1: ["00"]}), Outcome({1: ["01"]})
OURS, THEIRS = ".ours.json", ".json"


def faults(
    name: str, bmv2: dict[str, Outcome], p4switch: dict[str, Outcome], folder: Path, patch: pytest.MonkeyPatch
) -> tuple[str, ...]:
    """Of a test of that name; outcomes by whose JSON it is."""
    ours, theirs = (Built(folder / f"{name}{ending}", folder / "info") for ending in (OURS, THEIRS))

    def made_up(outcomes: dict[str, Outcome], built: Built) -> Outcome:
        return outcomes[OURS if built is ours else THEIRS]

    patch.setattr(Pairs, "_bmv2", lambda self, built, statements: made_up(bmv2, built))
    patch.setattr(pairs, "embedded", lambda built, statements, cache: made_up(p4switch, built))
    return Pairs(folder, None)._compare(name, ours, theirs, []).faults


def test_all_four_ways_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {OURS: SAME, THEIRS: SAME}
    assert faults("one", same, same, tmp_path, monkeypatch) == ()
    for wrong in (OURS, THEIRS):
        assert len(faults("one", same, same | {wrong: OTHER}, tmp_path, monkeypatch)) == 4
    assert len(faults("one", same | {OURS: OTHER}, same, tmp_path, monkeypatch)) == 4


@pytest.mark.parametrize("name", pairs.P4C_DIFFERS)
def test_a_listed_difference_must_be_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same, known = {OURS: SAME, THEIRS: SAME}, {OURS: SAME, THEIRS: OTHER}
    assert faults(name, known, known, tmp_path, monkeypatch) == ()
    assert "take it out" in faults(name, same, same, tmp_path, monkeypatch)[0]
    assert len(faults(name, known, same, tmp_path, monkeypatch)) == 4
