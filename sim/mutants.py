"""Break the code one mutant at a time, in a copy, and see who notices: ``python -m sim.mutants``."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from p4switch.native import default_cache
from sim.mutant_list import Mutant, read
from topo.paths import ROOT

COPIED = ("hosts", "p4", "p4compiler", "p4switch", "controller", "sim", "topo", "tests", "pyproject.toml")
TEST_TIMEOUT_S = 900


class DoesNotApply(RuntimeError):
    """The text that a mutant replaces does not stand exactly once in its file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who found a mutant, and how; ``found`` False if nobody did."""

    mutant: Mutant
    found: bool
    how: str
    took_s: float


def copy(folder: Path) -> None:
    """The checkout, without what is generated."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)


def check_applies(mutant: Mutant, root: Path) -> None:
    """Raises DoesNotApply."""
    for edit in mutant.edits:
        count = (root / edit.file).read_text(encoding="utf-8").count(edit.old)
        if count != 1:
            raise DoesNotApply(f"{mutant.name}: its text stands {count} times in {edit.file}; bring it up to date")


def judge(mutant: Mutant, seeds: int, first: int, jobs: int) -> Verdict:
    """Break a copy and let the simulator, or the named test, find out."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        copy(folder)
        check_applies(mutant, folder)
        for edit in mutant.edits:
            file = folder / edit.file
            file.write_text(file.read_text(encoding="utf-8").replace(edit.old, edit.new), encoding="utf-8")
        environment = {
            **os.environ,
            "P4SWITCH_CACHE": str(default_cache().absolute()),
            "SWITCHRAFT_BUILD": str(folder / "build"),
            "PYTHONPATH": str(folder),
        }
        if mutant.test:
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutant.test]
        else:
            command = [sys.executable, "-m", "sim", "--seeds", str(seeds), "--first", str(first), "--jobs", str(jobs)]
        finished = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TEST_TIMEOUT_S if mutant.test else None,
        )
    found, how = _read(finished, mutant, first)
    return Verdict(mutant, found, how, time.monotonic() - began)


def _read(finished: subprocess.CompletedProcess[str], mutant: Mutant, first: int) -> tuple[bool, str]:
    text = finished.stdout + finished.stderr
    if mutant.test:
        match = re.search(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
        return (True, match[1]) if match and finished.returncode == 1 else (False, f"{mutant.test} passes")
    match = re.search(r"^seed (\d+) FAILED: (.*)$", text, re.MULTILINE)
    if match:
        return True, f"seed {int(match[1])} (number {int(match[1]) - first + 1}): {match[2].split(':')[0]}"
    last = text.strip().splitlines()[-1] if text.strip() else "no output"
    return False, last if finished.returncode else "not found"


def main() -> int:
    """The command line; 0 if every mutant was found."""
    parser = argparse.ArgumentParser(prog="python -m sim.mutants", description="Break the code; see who notices.")
    parser.add_argument("names", nargs="*", help="mutants whose name holds one of these; all if none is given")
    parser.add_argument("--seeds", type=int, default=500, help="that the simulator has for each")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="only say whether they apply")
    arguments = parser.parse_args()
    chosen = [one for one in read() if not arguments.names or any(part in one.name for part in arguments.names)]
    missed = 0
    for mutant in chosen:
        try:
            if arguments.list:
                check_applies(mutant, ROOT)
                print(mutant.name)
                continue
            verdict = judge(mutant, arguments.seeds, arguments.first, arguments.jobs)
        except DoesNotApply as problem:
            verdict = Verdict(mutant, False, str(problem), 0.0)
        missed += not verdict.found
        mark = "found " if verdict.found else "MISSED"
        print(f"{mark} {mutant.name:<48} {verdict.took_s:6.0f} s  {verdict.how}", flush=True)
        if mutant.why:
            print(f"       {'':<48}          only a test can: {mutant.why}")
    print(f"{len(chosen) - missed} of {len(chosen)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
