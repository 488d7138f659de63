"""raft.p4 with a student's files in place of the project's own, compiled."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from course.working_copy import WorkingCopy
from hosts.wire import DEFAULT_PORT
from sim.run import compile_program
from topo import paths
from topo.lab.program import run_compiler


class DoesNotCompile(Exception):
    """The text is the compiler's, with the names of the student's files."""


@dataclass(frozen=True, slots=True)
class Unused:
    """What raft.p4 has and the student's program has not: nothing uses it, so the compiler has left it out."""

    tables: frozenset[str]
    counters: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.tables or self.counters)

    def sentences(self) -> list[str]:
        """For people."""
        return [
            *(f"table {_short(name)} is never applied" for name in sorted(self.tables)),
            *(f"nothing is ever counted in {_short(name)}" for name in sorted(self.counters)),
        ]


def program(copy: WorkingCopy, work: Path) -> Path:
    """The compiled program, in a folder of its own below ``work``. Raises DoesNotCompile."""
    sources, out = work / "p4", work / "out"
    shutil.copytree(paths.ROOT / "p4", sources)
    shown = {}
    for source in copy.exercise.files:
        shutil.copyfile(copy.file(source), work / source)
        shown[str(work / source)] = str(copy.file(source))
    told = run_compiler("p4compiler", sources / "raft.p4", out, DEFAULT_PORT)
    if told:
        for inner, outer in shown.items():
            told = told.replace(inner, outer)
        raise DoesNotCompile(told.replace(str(sources), "p4"))
    return out / "raft.json"


def unused(compiled: Path) -> Unused:
    """Tables and counters that the project's own program has and this one has not."""
    own, students = _names(compile_program()), _names(compiled)
    return Unused(own.tables - students.tables, own.counters - students.counters)


def _names(compiled: Path) -> Unused:
    data = json.loads(compiled.read_text(encoding="utf-8"))
    # A table whose name has no point is the compiler's own: it stands for statements outside actions.
    tables = (table["name"] for pipeline in data["pipelines"] for table in pipeline["tables"] if "." in table["name"])
    counters = (one["name"] for one in data["counter_arrays"] if not one.get("is_direct"))
    return Unused(frozenset(tables), frozenset(counters))


def _short(name: str) -> str:
    return name.rsplit(".", 1)[-1]
