"""Break the code one mutant at a time, in a copy, and see who notices: ``python -m sim.mutants``.

Verdicts are kept in ``build/sim/mutants.json``, so that ``--resume`` need not judge a mutant twice. At the end the
code as it is must pass as many seeds as the slowest mutant took.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from p4switch.pipeline.native import default_cache
from sim.mutant_list import Mutant, read
from topo import paths
from topo.ending import told
from topo.paths import ROOT

COPIED = (
    "hosts",
    "p4",
    "p4compiler",
    "p4switch",
    "controller",
    "linearizability",
    "sim",
    "topo",
    "tests",
    "pyproject.toml",
)
TEST_TIMEOUT_S = 900


class DoesNotApply(RuntimeError):
    """The text that a mutant replaces does not stand exactly once in its file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who found a mutant, and how; ``found`` False if nobody did. ``seeds``: how many the simulator took."""

    mutant: Mutant
    found: bool
    how: str
    took_s: float
    seeds: int = 0


UNBROKEN = Mutant("none: the code as it is", ())


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
    found, how, used = _read(finished, mutant, first)
    return Verdict(mutant, found, how, time.monotonic() - began, used)


def _read(finished: subprocess.CompletedProcess[str], mutant: Mutant, first: int) -> tuple[bool, str, int]:
    text = finished.stdout + finished.stderr
    if mutant.test:
        match = re.search(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
        found = match is not None and finished.returncode == 1
        return found, match[1] if match and found else f"{mutant.test} passes", 0
    match = re.search(r"^seed (\d+) FAILED: (.*)$", text, re.MULTILINE)
    if match:
        used = int(match[1]) - first + 1
        return True, f"seed {match[1]}, the {used}. one: {match[2].split(':')[0]}", used
    last = text.strip().splitlines()[-1] if text.strip() else "no output"
    return False, "not found" if "passed in" in text else last, 0


class Kept:
    """Verdicts of earlier runs, by the text of the mutant."""

    def __init__(self) -> None:
        self._file = paths.build() / "sim" / "mutants.json"
        self._all: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            self._all = json.loads(self._file.read_text(encoding="utf-8"))

    @staticmethod
    def _key(mutant: Mutant) -> str:
        return f"{mutant.name}/{blake2b(repr(mutant).encode(), digest_size=8).hexdigest()}"

    def find(self, mutant: Mutant) -> Verdict | None:
        """The kept verdict of a mutant that was found. One that was missed is judged again."""
        kept = self._all.get(self._key(mutant))
        return Verdict(mutant, **kept) if kept and kept["found"] else None

    def keep(self, verdict: Verdict) -> None:
        fields = {"found": verdict.found, "how": verdict.how, "took_s": verdict.took_s, "seeds": verdict.seeds}
        self._all[self._key(verdict.mutant)] = fields
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._all, indent=1), encoding="utf-8")


def judge_all(mutants: list[Mutant], arguments: argparse.Namespace) -> int:
    """Judge and print, one line each; how many were missed."""
    kept, missed, longest = Kept(), 0, 0
    for mutant in mutants:
        verdict = kept.find(mutant) if arguments.resume else None
        if verdict is None:
            try:
                verdict = judge(mutant, arguments.seeds, arguments.first, arguments.jobs)
            except DoesNotApply as problem:
                verdict = Verdict(mutant, False, str(problem), 0.0)
            kept.keep(verdict)
        missed += not verdict.found
        longest = max(longest, verdict.seeds)
        mark = "found " if verdict.found else "MISSED"
        print(f"{mark} {mutant.name:<48} {verdict.took_s:6.0f} s  {verdict.how}", flush=True)
        if mutant.why:
            print(f"       {'':<48}          only a test can: {mutant.why}")
    print(f"{len(mutants) - missed} of {len(mutants)} found")
    if longest:
        verdict = judge(UNBROKEN, longest, arguments.first, arguments.jobs)
        print(f"the code as it is: {f'passes {longest} seeds' if verdict.how == 'not found' else verdict.how}")
        missed += verdict.how != "not found"
    return missed


def main() -> int:
    """The command line; 0 if every mutant was found."""
    parser = argparse.ArgumentParser(prog="python -m sim.mutants", description="Break the code; see who notices.")
    parser.add_argument("names", nargs="*", help="mutants whose name holds one of these; all if none is given")
    parser.add_argument("--seeds", type=int, default=500, help="that the simulator has for each")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", action="store_true", help="do not judge again what an earlier run found")
    parser.add_argument("--list", action="store_true", help="only say whether they apply")
    arguments = parser.parse_args()
    chosen = [one for one in read() if not arguments.names or any(part in one.name for part in arguments.names)]
    if not arguments.list:
        return 1 if judge_all(chosen, arguments) else 0
    try:
        for mutant in chosen:
            check_applies(mutant, ROOT)
            print(f"{mutant.name:<48} {mutant.test or 'the simulator'}")
    except DoesNotApply as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    with told("sim.mutants"):
        sys.exit(main())
