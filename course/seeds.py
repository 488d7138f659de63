"""Simulated seeds, and given messages, with a student's work: in a process of its own, told in words."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.packet_tests import Failed
from course.working_copy import WorkingCopy
from topo import paths

LONGEST_S = 600
"""A seed takes some seconds. What takes so long never ends."""

_MEANINGS = {
    "the guard holds": "A message that no member has sent has reached a member.",
    "the guard knows members": "What a member itself had sent was dropped as a stranger's.",
    "nothing is forged": "A switch has changed what it may not change.",
    "only leaders are learned": "A switch has learnt a leader that was none.",
    "log matching": "Two members hold entries of the same index and term, and they or those before them differ.",
    "leader completeness": "A leader lacks an entry that was committed before: a client was told that it is kept.",
    "committed is durable": "An entry counts as committed, and too few members hold it.",
    "what agrees is the leader's": "A member takes its log to agree with its leader's up to an entry that differs.",
    "leaders commit first": "A member has committed what no leader has.",
    "acknowledged is durable": "A member has acknowledged what its disk does not hold.",
    "commit within the log": "A member has committed what it does not hold.",
    "linearizable": "Clients have seen values that no single register could have held in that order.",
    "liveness": "The faults have ended, and still nothing new commits: what the group needs does not get through.",
    "one leader per term": "Two members lead in the same term.",
    "applied in order": "Members have applied different commands at the same index.",
    "the controller knows the leader": "The switches have not told the controller who leads.",
    "enough to do": "Clients got hardly anything done.",
    "no exception": "The code has raised an error.",
}
"""What a broken promise of the simulator's means."""


@dataclass(frozen=True, slots=True)
class SeedFailed:
    """A seed that shows the mistake."""

    seed: int
    why: list[str]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One seed, run once more. ``why``: what shows a mistake."""

    plan: str
    lines: list[str]
    why: list[str]


class NeverEnds(Exception):
    """It took longer than anything takes."""


def try_cases(copy: WorkingCopy, text: str) -> tuple[int, list[Failed]]:
    """Given messages for a follower: how many cases, and which failed. Raises NeverEnds, EntriesError."""
    from course import entries

    count = len(list(entries.read(text)))  # so that what cannot be read is told here
    told = _run(copy, {"cases": text, "seeds": [], "program": ""})
    return count, [Failed(one["says"], one["why"]) for one in told if one["why"]]


def try_seeds(copy: WorkingCopy, program: Path, seeds: Sequence[int]) -> list[SeedFailed]:
    """The seeds that fail. Raises NeverEnds."""
    failed = []
    for told in _run(copy, {"seeds": list(seeds), "program": str(program)}):
        why = _in_words(copy, told)
        if why:
            failed.append(SeedFailed(told["seed"], why))
    return failed


def replay(copy: WorkingCopy, program: Path, seed: int, *, trace: bool, record: Path | None) -> Replayed:
    """One seed, with its trace if that is wanted, and recorded if there is a file for it. Raises NeverEnds."""
    order = {
        "seeds": [seed],
        "program": str(program),
        "trace": trace,
        "record": str(record.absolute()) if record else "",
    }
    told, *_ = _run(copy, order)
    return Replayed(told.get("plan", ""), told.get("lines", []), _in_words(copy, told))


def _in_words(copy: WorkingCopy, told: dict[str, Any]) -> list[str]:
    if told["failure"]:
        meaning = _MEANINGS.get(told["rule"])
        return [*([meaning] if meaning else []), told["failure"], *([told["at"]] if told["at"] else [])]
    return [
        f"{says} With the project's own program it happens in this seed."
        for name, says in copy.exercise.must_count.items()
        if not told["counts"].get(name)
    ]


def _run(copy: WorkingCopy, order: dict[str, Any]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="switchraft-course-") as folder:
        findings = Path(folder) / "findings"
        whole = {"modules": modules(copy), "findings": str(findings), **order}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "course.trial"],
                cwd=paths.ROOT,
                input=json.dumps(whole),
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NeverEnds(f"it did not end within {LONGEST_S} s: is there a loop without an end?") from None
        told = [json.loads(line) for line in findings.read_text().splitlines()] if findings.is_file() else []
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"the process ended with {done.returncode}"]
            why = [f"It could not be run: {last[0]}"]
            told.append({"says": "", "why": why, "seed": 0, "failure": why[0], "rule": "", "at": "", "counts": {}})
        return told


def modules(copy: WorkingCopy) -> dict[str, str]:
    """The project's modules that a student's file takes the place of."""
    if copy.exercise.is_p4:
        return {}
    return {
        source.removesuffix(".py").replace("/", "."): str(copy.file(source).absolute())
        for source in copy.exercise.files
    }
