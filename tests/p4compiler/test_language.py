"""Programs that use the language broadly, compiled and run on packets: each `programs/NAME.p4` with its NAME.stf."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.compile import compile_file
from p4compiler.source import Diagnostics
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import Run
from p4switch.stf.script import parse

PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.parametrize("script", sorted(PROGRAMS.glob("*.stf")), ids=lambda p: p.stem)
def test_packets(script: Path, tmp_path: Path) -> None:
    diagnostics = Diagnostics()
    compiled = compile_file(script.with_suffix(".p4"), diagnostics)
    assert not [d for d in diagnostics if d.severity == "error"]
    pipeline = Pipeline.load(compiled.json, cache=tmp_path)
    try:
        assert Run(pipeline).run(parse(script.read_text())) == []
    finally:
        pipeline.close()
