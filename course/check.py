"""``switchraft exercise check``: does it compile, what do packets say, what do simulated seeds say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from course import build, packet_tests, seeds
from course.build import DoesNotCompile, Unused
from course.entries import EntriesError
from course.packet_tests import Failed
from course.seeds import NeverEnds
from course.working_copy import WorkingCopy
from p4switch.errors import PipelineError
from p4switch.stf.script import StfError
from sim.run import compile_program
from topo.errors import LabError

_SHOWN = 2
"""Failed cases that are told in full: those behind often fail because of the first."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What was found. It passes if nothing was."""

    found: list[str] = field(default_factory=list)
    failed_seeds: list[int] = field(default_factory=list)
    simulated: bool = False

    @property
    def passed(self) -> bool:
        return not self.found


def check(copy: WorkingCopy, say: Say, *, simulate: bool = True) -> Report:
    """All of it, told as it goes on. ``simulate``: with the seeds, which take most of the time."""
    report = Report()

    def step(name: str, lines: list[str]) -> None:
        report.found += lines
        say(f"  {name:<14} {'ok' if not lines else ''}".rstrip())
        for line in lines:
            say("    " + line.replace("\n", "\n    "))

    say(f"{copy.exercise.name}: {copy.exercise.title}")
    with tempfile.TemporaryDirectory(prefix="switchraft-course-") as folder:
        try:
            is_p4 = copy.exercise.is_p4
            program = _check_p4(copy, Path(folder), step) if is_p4 else _check_python(copy, step)
            if simulate and program is not None:
                report.simulated = True
                _check_seeds(copy, program, step, report)
        except NeverEnds as error:
            step("tests", [str(error)])
    say("Passed." if report.passed else "Not yet.")
    if not report.passed and report.simulated:
        if not report.failed_seeds:
            say("  No simulated seed fails because of it.")
        for line in how_to_replay(copy, (report.failed_seeds or copy.exercise.seeds)[0]):
            say(line)
    return report


def replay(copy: WorkingCopy, seed: int, say: Say, *, trace: bool, record: Path | None) -> int:
    """One seed with a student's work; the exit code. LabError if it does not compile."""
    with tempfile.TemporaryDirectory(prefix="switchraft-course-") as folder:
        program = compile_program()
        if copy.exercise.is_p4:
            try:
                program = build.program(copy, Path(folder))
            except DoesNotCompile as error:
                raise LabError(f"{error}\n{copy.folder} does not compile; see above") from None
            if unused := build.unused(program):
                raise LabError(f"nothing can be simulated: {'; '.join(unused.sentences())}")
        try:
            told = seeds.replay(copy, program, seed, trace=trace, record=record)
        except NeverEnds as error:
            raise LabError(str(error)) from None
    for line in told.lines:
        say(line)
    say(f"seed {seed}: {told.plan}")
    for line in told.why:
        say(line)
    say("It shows a mistake." if told.why else "Every promise was kept.")
    return 1 if told.why else 0


def how_to_replay(copy: WorkingCopy, seed: int) -> list[str]:
    """The commands, for people."""
    return [
        f"  see what your work does in seed {seed}:  switchraft exercise check {copy.folder} --replay {seed} --web",
        f"  and what the project's own does there:  switchraft sim --replay {seed} --web",
    ]


_Step = Callable[[str, list[str]], None]


def _check_p4(copy: WorkingCopy, work: Path, step: _Step) -> Path | None:
    """The program to simulate, if it can be."""
    try:
        program = build.program(copy, work)
    except DoesNotCompile as error:
        step("compiler", [str(error)])
        return None
    step("compiler", [])
    unused = build.unused(program)
    if unused:
        step("tables", unused.sentences())
    step("packets", _packets(program, copy.exercise.tests(), unused, copy.exercise.tests_file))
    own = copy.folder / copy.exercise.tests_file
    if own.is_file() and own.read_text(encoding="utf-8", errors="replace") != copy.exercise.tests():
        step("your packets", _packets(program, own.read_text(encoding="utf-8", errors="replace"), unused, str(own)))
    return None if unused else program


def _packets(program: Path, text: str, unused: Unused, file: str) -> list[str]:
    try:
        count, failed = packet_tests.run(program, text, unused)
    except (StfError, PipelineError) as error:
        return [f"{file}: {error}"]
    return _tell(count, failed)


def _check_python(copy: WorkingCopy, step: _Step) -> Path | None:
    """The program to simulate with the student's module, if it can be."""
    for source in copy.exercise.files:
        file = copy.file(source)
        try:
            compile(file.read_text(encoding="utf-8"), str(file), "exec")
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            step("python", [f"{file}{line}: {getattr(error, 'msg', error)}"])
            return None
    step("python", [])
    own = copy.folder / copy.exercise.tests_file
    step("entries", _entries(copy, copy.exercise.tests(), copy.exercise.tests_file))
    if own.is_file() and own.read_text(encoding="utf-8", errors="replace") != copy.exercise.tests():
        step("your entries", _entries(copy, own.read_text(encoding="utf-8", errors="replace"), str(own)))
    return compile_program()


def _entries(copy: WorkingCopy, text: str, file: str) -> list[str]:
    try:
        count, failed = seeds.try_cases(copy, text)
    except EntriesError as error:
        return [f"{file}: {error}"]
    return _tell(count, failed)


def _tell(count: int, failed: list[Failed]) -> list[str]:
    lines = []
    for one in failed[:_SHOWN]:
        lines += [one.says, *(f"  {why}" for why in one.why)]
    if len(failed) > _SHOWN:
        lines.append(f"and {len(failed) - _SHOWN} more; {len(failed)} of {count} cases fail")
    return lines


def _check_seeds(copy: WorkingCopy, program: Path, step: _Step, report: Report) -> None:
    lines = []
    for one in seeds.try_seeds(copy, program, copy.exercise.seeds):
        report.failed_seeds.append(one.seed)
        lines.append(f"seed {one.seed}: {one.why[0]}")
        lines += [f"  {why}" for why in one.why[1:]]
    step("seeds", lines)
