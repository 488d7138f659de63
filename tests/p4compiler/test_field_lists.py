"""@field_list: which fields of the user metadata a copy of the packet keeps."""

from __future__ import annotations

import pytest

from p4compiler.compile import compile_text
from p4compiler.source import CompileFailed, Diagnostic, Diagnostics

PROGRAM = """
#include <core.p4>
#include <v1model.p4>
enum bit<8> kept_t {{ one = 1, two = 2 }}
enum plain_t {{ one, two }}
const bit<8> BASE = 4;
struct point_t {{ bit<8> x; {inner} bit<8> y; }}
struct headers_t {{ }}
struct meta_t {{ {outer} bit<8> a; bit<8> b; point_t p; }}
parser prs(packet_in pk, out headers_t h, inout meta_t m, inout standard_metadata_t s) {{
  state start {{ transition accept; }}
}}
control none(inout headers_t h, inout meta_t m) {{ apply {{ }} }}
control ing(inout headers_t h, inout meta_t m, inout standard_metadata_t s) {{
  apply {{ clone_preserving_field_list(CloneType.I2E, 1, {index}); }}
}}
control eg(inout headers_t h, inout meta_t m, inout standard_metadata_t s) {{ apply {{ }} }}
control dep(packet_out pk, in headers_t h) {{ apply {{ }} }}
V1Switch(prs(), none(), ing(), eg(), none(), dep()) main;
"""


def kept(outer: str = "", inner: str = "", index: str = "1") -> tuple[list[str], list[Diagnostic]]:
    """The names of the fields in the list, and what was said."""
    diagnostics = Diagnostics()
    try:
        json = compile_text(PROGRAM.format(outer=outer, inner=inner, index=index), diagnostics, "t.p4").json
    except CompileFailed:
        return [], list(diagnostics)
    (fields,) = json["field_lists"]
    return [element["value"][1].removeprefix("userMetadata.") for element in fields["elements"]], list(diagnostics)


@pytest.mark.parametrize(
    ("outer", "inner", "index", "expected"),
    [
        ("@field_list(1)", "", "1", ["a"]),
        ("@field_list(kept_t.two)", "", "kept_t.two", ["a"]),
        ("@field_list(0, BASE + 1, kept_t.one)", "", "BASE + 1", ["a"]),
        ("@field_list(1) @field_list(2)", "", "2", ["a"]),
        ("@field_list(0x2)", "@field_list(2, 3)", "2", ["a", "p.y"]),
        ("@field_list(2) point_t q; @field_list(2)", "", "2", ["q.x", "q.y", "a"]),
        ("@field_list(2) point_t q; @field_list(2)", "@field_list(2)", "2", ["q.x", "q.y", "a", "p.y"]),
    ],
)
def test_fields_that_are_kept(outer: str, inner: str, index: str, expected: list[str]) -> None:
    assert kept(outer, inner, index) == (expected, [])


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("@field_list(KEPT)", "'KEPT' is not declared"),
        ("@field_list(kept_t.three)", "'kept_t' has no member 'three'"),
        ("@field_list(plain_t.two)", "the members of plain_t have no numbers; write enum bit<8> plain_t"),
        ('@field_list("one")', "the number of a field list must be an integer known at compile time"),
        ("@field_list(1 2)", "expected ')' or ',' in @field_list, found '2'"),
    ],
)
def test_what_is_no_number_is_refused(annotation: str, message: str) -> None:
    fields, said = kept(annotation)
    assert fields == [] and message in said[0].message, said
    assert said[0].location is not None and said[0].location.line == 9


def test_a_list_without_fields_is_warned_of() -> None:
    fields, said = kept("@field_list(3)", index="7")
    assert fields == []
    assert [one.message for one in said] == ["no field of the user metadata has @field_list(7): nothing is kept"]
    assert said[0].location is not None and said[0].location.line == 15
