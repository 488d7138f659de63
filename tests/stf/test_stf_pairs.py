"""A packet test for each feature of the language and of v1model: each NAME.p4 of this folder with its NAME.stf."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.compile import compile_file
from p4compiler.source import Diagnostics
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import Run
from p4switch.stf.script import parse

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("*.stf"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_packets(script: Path, build_cache: Path) -> None:
    compiled = compile_file(script.with_suffix(".p4"), Diagnostics())
    with Pipeline.load(compiled.json, cache=build_cache, flags=QUICK) as pipeline:
        assert Run(pipeline).run(parse(script.read_text())) == []


def test_there_is_a_pair_for_each_feature() -> None:
    assert len(SCRIPTS) >= 80
