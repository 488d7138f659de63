"""The list of mutants can be read, and says of each who finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.mutant_list import read
from sim.mutants import check_applies

REPOSITORY = Path(__file__).parents[2]


def test_the_list() -> None:
    mutants = read()
    assert len(mutants) >= 25
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        assert bool(mutant.test) == bool(mutant.why), mutant.name
        for edit in mutant.edits:
            assert edit.old and edit.old != edit.new, mutant.name
            assert (REPOSITORY / edit.file).is_file(), mutant.name
        check_applies(mutant, REPOSITORY)
        assert not mutant.test or (REPOSITORY / mutant.test.partition("::")[0]).exists(), mutant.name


@pytest.mark.parametrize(
    "text",
    [
        "mutant: without an edit\n",
        "mutant: without a reason\ntest: tests/raft\nfile: a.py\n-|x\n",
        "file: a.py\n-|x\n",
        "mutant: m\nfile: a.py\nx\n",
        "nothing of the kind\n",
    ],
)
def test_a_broken_list(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mutants.txt"
    path.write_text(text)
    with pytest.raises(ValueError):
        read(path)
