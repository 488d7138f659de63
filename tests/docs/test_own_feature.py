"""docs/write-your-own-feature.md does what it says: its blocks make a feature that compiles, drops, and is tested."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sim import mutant_list
from tests.docs import own_feature

FEATURE = "source_guard"
SEEDS = range(8)
"""Of the simulator. Each takes some seconds, and the first mostly suffice."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the document's changes."""
    return own_feature.changed_copy(tmp_path_factory.mktemp("checkout"))


def test_the_document_changes_every_part_that_a_feature_has() -> None:
    changed = {block.file for block in own_feature.blocks()}
    assert changed == {
        "p4/include/reasons.p4",
        f"p4/include/{FEATURE}.p4",
        "p4/raft.p4",
        f"tests/p4/test_{FEATURE}.py",
        "controller/desired.py",
        "controller/network.py",
        "controller/names.py",
        "topo/views/effects.py",
        "topo/views/features.py",
        "sim/faults/hostile.py",
        "sim/mutants.txt",
    }


def test_its_packets_are_dropped_or_pass(checkout: Path) -> None:
    done = own_feature.run(
        checkout,
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"tests/p4/test_{FEATURE}.py",
        "tests/controller/test_names.py",
        "tests/topo/test_effects.py",
        "tests/controller/test_desired.py::test_a_network_file_knows_the_features_that_there_are",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


def test_without_the_drop_its_own_test_fails(tmp_path: Path) -> None:
    """The page's test is run on the program without the line that drops."""
    broken = own_feature.changed_copy(tmp_path)
    control = broken / "p4" / "include" / f"{FEATURE}.p4"
    line = "        meta.drop_reason = DropReason.forged_source;\n"
    assert line in control.read_text()
    control.write_text(control.read_text().replace(line, ""))
    done = own_feature.run(broken, "pytest", "-q", "-p", "no:cacheprovider", f"tests/p4/test_{FEATURE}.py")
    assert done.returncode == 1
    assert "1 failed" in done.stdout


def _replay(root: Path, seed: int) -> subprocess.CompletedProcess[str]:
    return own_feature.run(root, "sim", "--replay", str(seed))


def test_the_simulator_meets_it(checkout: Path) -> None:
    for seed in SEEDS:
        done = _replay(checkout, seed)
        assert done.returncode == 0, done.stdout + done.stderr
        if "dropped: forged_source" in done.stdout:
            return
    pytest.fail(f"nothing was dropped for its source in {SEEDS}")


def test_its_mutant_is_found(checkout: Path, tmp_path: Path) -> None:
    mutant = mutant_list.read(checkout / "sim" / "mutants.txt")[-1]
    assert FEATURE in mutant.name and not mutant.test
    broken = own_feature.changed_copy(tmp_path)
    for edit in mutant.edits:
        file = broken / edit.file
        assert file.read_text().count(edit.old) == 1
        file.write_text(file.read_text().replace(edit.old, edit.new))
    done = next((one for one in (_replay(broken, seed) for seed in SEEDS) if one.returncode), None)
    assert done is not None and "FAILED" in done.stderr, f"not found in {SEEDS}"
