from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.__main__ import main
from tests.p4compiler.short import HEAD, TAIL, compile_bad, with_ingress

PROGRAM = """#include <core.p4>
struct s { bit<8> x; }
control c(inout s v) {
	apply {
		v.y = 1;
		v.x = true;
	}
}
"""


def test_message_shows_file_line_column_source_and_caret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "prog.p4"
    path.write_text(PROGRAM)
    assert main([str(path), "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"{path}:5:3: error: s has no member 'y'\n"
        "  \t\tv.y = 1;\n"
        "  \t\t^^^\n"
        f"{path}:6:9: error: a value of type bool cannot be assigned to bit<8>\n"
        "  \t\tv.x = true;\n"
        "  \t\t      ^^^^\n"
    )
    assert not (tmp_path / "prog.json").exists()


def test_error_in_an_included_file_names_that_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inc.p4").write_text("struct s { bit<8> x; ]\n")
    path = tmp_path / "prog.p4"
    path.write_text('#include "inc.p4"\n')
    assert main([str(path), "-o", str(tmp_path)]) == 1
    assert f"{tmp_path}/inc.p4:1:22: error: expected a type, found ']'" in capsys.readouterr().err


def test_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "no.p4"), "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/no.p4: No such file or directory\n"


def test_wrong_define_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["x.p4", "-D", "1=2"])
    assert stop.value.code == 2


def test_writes_both_files(tmp_path: Path) -> None:
    path = tmp_path / "prog.p4"
    path.write_text(with_ingress("sm.egress_spec = PORT;"))
    assert main([str(path), "-o", str(tmp_path / "out"), "-D", "PORT=3"]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"prog.json", "prog.p4info.txtpb"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("hdr.h.a = hdr.h.c;", "a value of type bit<16> cannot be assigned to bit<8>"),
        ("hdr.h.a = undefined;", "'undefined' is not declared"),
        ("hdr.h.a = meta.xx;", "meta_t has no member 'xx'; did you mean 'x'?"),
        ("hdr.h.aa = 1;", "h_t has no member 'aa'; did you mean 'a'?"),
        ("hdr.hh.a = 1;", "headers_t has no member 'hh'; did you mean 'h'?"),
        ("hdr.h.isvalid();", "h_t has no member 'isvalid'; did you mean 'isValid'?"),
        ("if (hdr.h.a) { }", "a condition is a bool, not bit<8>"),
        ("hdr.h.a = hdr.h.a + hdr.h.c;", "'+' does not apply to bit<8> and bit<16>"),
        ("hdr.h.a = hdr.h.a + hdr.h.s;", "'+' does not apply to bit<8> and int<8>"),
        ("hdr.h.a = hdr.h.c[16:9];", "[16:9] is no part of bit<16>"),
        ("hdr.h.a = (bit<8>) meta.flag;", "bool cannot be cast to bit<8>"),
        ("hdr.h.a = -true;", "'-' does not apply to bool"),
        ("hdr.st[3].a = 1;", "index 3 is outside of h_t[3]"),
        ("mark_to_drop(sm, 1);", "'mark_to_drop' takes 0 arguments (nothing), not 2"),
        ("hdr.h = 1;", "a value of type int cannot be assigned to h_t"),
        ("hdr.h.setValid(1);", "'setValid' takes no arguments"),
        ("1 = hdr.h.a;", "this cannot be assigned to"),
        ("return 1;", "nothing can be returned here"),
        ("break;", "'break' stands outside of a loop"),
        ("bit<8> x = 1; bit<8> x = 2;", "'x' is declared twice"),
        ("random(hdr.h.a, 8w0, 16w3);", "parameter 'hi' of 'random' is bit<8>, not bit<16>"),
        ("switch (hdr.h.a) { 1: { } 1: { } }", "this label appears twice"),
        ("hdr.h.a = 8w1 / 0;", "division by zero"),
        ("hdr.h.c = hdr.h.a ++ 3;", "'++' does not apply to bit<8> and int"),
        ("hdr.h.a = hdr.h.a << hdr.h.s;", "'<<' does not apply to bit<8> and int<8>"),
        ("sm.egress_port = 1w1 ? 1 : 2;", "a condition is a bool, not bit<1>"),
        ("hdr = { hdr.h };", "a value of type tuple<h_t> cannot be assigned to headers_t"),
    ],
)
def test_checked_mistakes(body: str, message: str) -> None:
    assert message in compile_bad(with_ingress(body))


@pytest.mark.parametrize(
    ("locals_", "message"),
    [
        ("table t { key = { hdr.h.a: fuzzy; } actions = { NoAction; } }", "unknown match kind 'fuzzy'; there are"),
        ("table t { key = { hdr.h.a: exact; } actions = { nothing; } }", "'nothing' is not declared"),
        ("table t { actions = { NoAction; } default_action = go(); } action go() { }", "'go' is not declared"),
        (
            "action go() { } table t { actions = { NoAction; } default_action = go(); }",
            "'go' is not among the actions",
        ),
        (
            "action go(bit<8> v) { } table t { actions = { go; } default_action = go(); }",
            "takes 1 arguments (v), not 0",
        ),
        ("table t { key = { hdr.h.a: exact; } }", "table 't' has no list of actions"),
        (
            "table t { actions = { NoAction; } const entries = { 1: NoAction(); } }",
            "table 't' has entries but no key",
        ),
        ("action go(in bit<8> v) { v = 1; }", "'v' cannot be written: it is an 'in' parameter"),
        ("action go(bit<8> v) { v = 1; }", "'v' cannot be written: it is a parameter without direction"),
        (
            "table t { key = { hdr.h.a: exact; meta.x: exact; } actions = { NoAction; } entries = { 1: NoAction; } }",
            "table 't' has 2 keys, this entry 1",
        ),
        ("register<bit<8>>(4, 5) r;", "'register' takes 1 arguments (size), not 2"),
        ("registers<bit<8>>(4) r;", "expected a type, but 'registers' is not declared"),
        ("int x = 1;", "a variable cannot have the type int"),
    ],
)
def test_checked_declarations(locals_: str, message: str) -> None:
    assert any(message in m for m in compile_bad(with_ingress("", locals_)))


def test_several_independent_errors_in_one_run() -> None:
    found = compile_bad(with_ingress("hdr.h.a = nope;\nhdr.h.b = hdr.h.c;\nif (1) { }"))
    assert len(found) == 3


def test_one_mistake_gives_one_message() -> None:
    assert compile_bad(with_ingress("bit<8> v = nope + 1;\nv = v + 2;\nhdr.h.a = v;")) == ["'nope' is not declared"]


def test_misspelt_name_gets_a_hint() -> None:
    assert compile_bad(with_ingress("hdr.h.a = metta.x;"))[0].startswith(
        "'metta' is not declared; did you mean 'meta'?"
    )


def test_parser_mistakes() -> None:
    text = HEAD.replace("transition accept;", "transition select(hdr.h.c) { 8w1: nowhere; (1, 2): accept; }")
    found = compile_bad(
        text + "control ingress_c(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) "
        "{ apply { } }" + TAIL
    )
    assert "there is no state 'nowhere' in this parser" in found
    assert "a value of type bit<8> cannot be compared with a key of type bit<16>" in found
    assert "this case has 2 values for 1 keys" in found


def test_program_without_main() -> None:
    assert compile_bad(HEAD) == ["the program has no 'main'; expected V1Switch(...) main;"]


def test_table_followed_in_two_ways() -> None:
    body = "if (meta.flag) { t.apply(); hdr.h.a = 1; } else { t.apply(); hdr.h.a = 2; }"
    (message,) = compile_bad(with_ingress(body, "table t { actions = { NoAction; } }"))
    assert message.startswith("table 'ingress_c.t' is applied at two places")


@pytest.mark.parametrize("number", ["8sm", "3x", "0b12", "8w", "0x", "1_0z"])
def test_a_number_with_something_behind_it_is_no_number(number: str) -> None:
    messages = compile_bad(with_ingress(f"bit<32> v = {number};"))
    assert any(f"found '{number}'" in one for one in messages), messages
