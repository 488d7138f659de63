"""Programs that use the language broadly, compiled and run on packets: each `programs/NAME.p4` with its NAME.stf."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.compile import compile_file, compile_text
from p4compiler.source import CompileFailed, Diagnostics
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import Run
from p4switch.stf.script import parse

PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.parametrize("script", sorted(PROGRAMS.glob("*.stf")), ids=lambda p: p.stem)
def test_packets(script: Path, build_cache: Path) -> None:
    diagnostics = Diagnostics()
    compiled = compile_file(script.with_suffix(".p4"), diagnostics)
    assert not [d for d in diagnostics if d.severity == "error"]
    pipeline = Pipeline.load(compiled.json, cache=build_cache, flags=QUICK)
    try:
        assert Run(pipeline).run(parse(script.read_text())) == []
    finally:
        pipeline.close()


@pytest.mark.parametrize(("fields", "compiles"), [("", True), ("bit<8> a;", False)])
def test_headers_may_be_one_header_if_it_holds_nothing(fields: str, compiles: bool) -> None:
    """p4c takes both; a header with fields would need a place of its own among BMv2's headers."""
    program = f"""
#include <core.p4>
#include <v1model.p4>
header h_t {{ {fields} }}
struct m_t {{ }}
parser p(packet_in packet, out h_t hdr, inout m_t meta, inout standard_metadata_t sm) {{
  state start {{ transition accept; }}
}}
control c(inout h_t hdr, inout m_t meta) {{ apply {{ }} }}
control i(inout h_t hdr, inout m_t meta, inout standard_metadata_t sm) {{ apply {{ sm.egress_spec = 1; }} }}
control d(packet_out packet, in h_t hdr) {{ apply {{ }} }}
V1Switch(p(), c(), i(), i(), c(), d()) main;
"""
    diagnostics = Diagnostics()
    if compiles:
        assert compile_text(program, diagnostics).json
    else:
        with pytest.raises(CompileFailed):
            compile_text(program, diagnostics)
        assert "headers and user metadata are structs" in [one.message for one in diagnostics]
