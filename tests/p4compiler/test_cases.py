"""Small programs, each about one rule of the language: a folder of `cases` with what must hold.

`prog.p4` compiles, and treats packets as `test.stf` says; `bad*.p4` is refused in words, with its file and line; any
other program compiles.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.compile import Compiled, compile_file
from p4compiler.source import CompileFailed, Diagnostics
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import Run
from p4switch.stf.script import parse

CASES = Path(__file__).parent / "cases"
PROGRAMS = sorted(CASES.glob("*/*.p4"))


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def compiled(program: Path) -> Compiled:
    diagnostics = Diagnostics()
    try:
        return compile_file(program, diagnostics)
    except CompileFailed:
        pytest.fail("\n".join(one.render() for one in diagnostics))


@pytest.mark.parametrize("script", sorted(CASES.glob("*/*.stf")), ids=lambda p: p.parent.name)
def test_packets(script: Path, build_cache: Path) -> None:
    program = compiled(script.with_name("prog.p4"))
    with Pipeline.load(program.json, cache=build_cache, flags=QUICK) as pipeline:
        assert Run(pipeline).run(parse(script.read_text())) == []


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.stem.startswith("bad")], ids=name)
def test_bad_programs_are_refused_with_file_and_line(program: Path) -> None:
    diagnostics = Diagnostics()
    with pytest.raises(CompileFailed):
        compile_file(program, diagnostics)
    errors = [one for one in diagnostics if one.severity == "error"]
    assert errors
    for one in errors:
        assert one.location is not None and one.location.line > 0, one.message
        assert one.render().startswith(f"{program}:")


@pytest.mark.parametrize("program", [p for p in PROGRAMS if not p.stem.startswith("bad")], ids=name)
def test_other_programs_compile(program: Path) -> None:
    compiled(program)
