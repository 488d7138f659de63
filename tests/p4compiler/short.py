"""Small programs and short cuts to the passes."""

from __future__ import annotations

from typing import Any

import pytest

from p4compiler.check.checker import check
from p4compiler.check.facts import Facts
from p4compiler.compile import Compiled, compile_text
from p4compiler.source import CompileFailed, Diagnostics, Source
from p4compiler.syntax.parser import parse
from p4compiler.syntax.preprocessor import Preprocessor
from p4compiler.syntax.tree import Program

HEAD = """
#include <core.p4>
#include <v1model.p4>

header h_t { bit<8> a; bit<8> b; bit<16> c; int<8> s; bit<8> v; }
struct headers_t { h_t h; h_t g; h_t[3] st; }
struct meta_t { bit<8> x; bit<16> y; bool flag; }

parser p(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
  state start { packet.extract(hdr.h); transition accept; }
}
control verify_c(inout headers_t hdr, inout meta_t meta) { apply { } }
control compute_c(inout headers_t hdr, inout meta_t meta) { apply { } }
control egress_c(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply { } }
control deparse_c(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }
"""
TAIL = "\nV1Switch(p(), verify_c(), ingress_c(), egress_c(), compute_c(), deparse_c()) main;\n"


def with_ingress(body: str, locals_: str = "", before: str = "") -> str:
    """A whole program around the ingress control's body."""
    control = "control ingress_c(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm)"
    return f"{HEAD}{before}\n{control} {{\n{locals_}\napply {{\n{body}\n}}\n}}{TAIL}"


def tokens_of(text: str, **options: Any) -> tuple[list[str], Diagnostics]:
    diagnostics = Diagnostics()
    tokens = Preprocessor(diagnostics, **options).run_source(Source("t.p4", text))
    return [t.text for t in tokens[:-1]], diagnostics


def parse_text(text: str) -> tuple[Program, Diagnostics]:
    diagnostics = Diagnostics()
    return parse(Preprocessor(diagnostics).run_source(Source("t.p4", text)), diagnostics), diagnostics


def check_text(text: str) -> tuple[Facts, Diagnostics]:
    program, diagnostics = parse_text(text)
    assert not diagnostics.error_count, [d.render() for d in diagnostics]
    return check(program, diagnostics), diagnostics


def errors(diagnostics: Diagnostics) -> list[str]:
    return [d.message for d in diagnostics if d.severity == "error"]


def compile_ok(text: str) -> Compiled:
    diagnostics = Diagnostics()
    try:
        return compile_text(text, diagnostics, "t.p4")
    except CompileFailed:
        pytest.fail("\n".join(d.render() for d in diagnostics))


def compile_bad(text: str) -> list[str]:
    """Messages of a program that must not compile."""
    diagnostics = Diagnostics()
    with pytest.raises(CompileFailed):
        compile_text(text, diagnostics, "t.p4")
    return errors(diagnostics)
