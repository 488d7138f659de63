from __future__ import annotations

import pytest

from p4compiler.syntax import tree as s
from tests.p4compiler.short import errors, parse_text


def expression(text: str, before: str = "") -> s.Expression:
    program, diagnostics = parse_text(f"{before}\nconst int c = {text};")
    assert not errors(diagnostics)
    constant = program.declarations[-1]
    assert isinstance(constant, s.Constant)
    return constant.value


def show(node: s.Expression) -> str:
    """A fully parenthesized expression."""
    if isinstance(node, s.Binary):
        return f"({show(node.left)} {node.operator} {show(node.right)})"
    if isinstance(node, s.Unary):
        return f"({node.operator}{show(node.operand)})"
    if isinstance(node, s.Ternary):
        return f"({show(node.condition)} ? {show(node.yes)} : {show(node.no)})"
    if isinstance(node, s.Cast):
        return f"(cast {show(node.operand)})"
    if isinstance(node, s.Member):
        return f"{show(node.base)}.{node.name}"
    if isinstance(node, s.Index):
        return f"{show(node.base)}[{show(node.index)}]"
    if isinstance(node, s.Slice):
        return f"{show(node.base)}[{show(node.high)}:{show(node.low)}]"
    if isinstance(node, s.Call):
        types = f"<{len(node.type_arguments)}>" if node.type_arguments is not None else ""
        arguments = ", ".join(show(a.value) if a.value else "_" for a in node.arguments)
        return f"{show(node.function)}{types}({arguments})"
    if isinstance(node, s.Name):
        return node.name
    if isinstance(node, s.IntLiteral):
        return str(node.value)
    return type(node).__name__


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)"),
        ("a & 1 == 2", "((a & 1) == 2)"),
        ("a | b ^ c & d", "(a | (b ^ (c & d)))"),
        ("a ++ b << 1", "((a ++ b) << 1)"),
        ("a == b && c != d || !e", "(((a == b) && (c != d)) || (!e))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("-a * ~b", "((-a) * (~b))"),
        ("(bit<8>) a + b", "((cast a) + b)"),
        ("(a) + b", "(a + b)"),
        ("a.b[3].c[7:0]", "a.b[3].c[7:0]"),
        ("a < b", "(a < b)"),
        ("a < b == (c > d)", "((a < b) == (c > d))"),
        ("a >> 2 > 1", "((a >> 2) > 1)"),
        ("a |+| b |-| c", "((a |+| b) |-| c)"),
        ("p.lookahead<bit<8>>()", "p.lookahead<1>()"),
        ("p.f<tuple<bit<8>, bit<9>>>(1, _)", "p.f<1>(1, _)"),
        ("f(a < b, c > (d))", "f((a < b), (c > d))"),
    ],
)
def test_precedence_and_angles(text: str, tree: str) -> None:
    assert show(expression(text)) == tree


def test_parenthesis_before_a_type_name_is_a_cast() -> None:
    assert show(expression("(t) a", "typedef bit<8> t;")) == "(cast a)"


@pytest.mark.parametrize(
    ("text", "value", "width", "signed"),
    [
        ("255", 255, None, False),
        ("8w0xFF", 255, 8, False),
        ("0b1010_1010", 0xAA, None, False),
        ("16s5", 5, 16, True),
        ("0o17", 15, None, False),
        ("4w0d9", 9, 4, False),
        ("8w257", 1, 8, False),
        ("8s200", -56, 8, True),
    ],
)
def test_numbers(text: str, value: int, width: int | None, signed: bool) -> None:
    literal = expression(text)
    assert isinstance(literal, s.IntLiteral)
    assert (literal.value, literal.width, literal.signed) == (value, width, signed)


def test_strings_join_and_escape() -> None:
    program, diagnostics = parse_text('@name("a\\"b" "c") const bit<8> x = 1;')
    assert not errors(diagnostics)
    annotation = s.find_annotation(program.declarations[0].annotations, "name")
    assert annotation is not None and s.string_body(annotation) == 'a"bc'


def test_generic_types_close_with_shift_token() -> None:
    program, diagnostics = parse_text(
        "extern e<T> { e(); }\nstruct q<T> { T x; }\ncontrol c() { e<q<bit<8>>>() i; apply { } }"
    )
    assert not errors(diagnostics)
    control = program.declarations[-1]
    assert isinstance(control, s.Control) and isinstance(control.locals[0], s.Instance)


def test_soft_keywords_are_names() -> None:
    text = "struct t { bit<8> key; bit<8> type; bit<8> state; bit<8> priority; bit<8> entries; bit<8> apply; }"
    program, diagnostics = parse_text(text)
    assert not errors(diagnostics)
    struct = program.declarations[0]
    assert isinstance(struct, s.StructLike)
    assert [f.name for f in struct.fields] == ["key", "type", "state", "priority", "entries", "apply"]


def test_local_variable_shadows_a_type_name() -> None:
    text = "struct t { bit<8> x; }\ncontrol c(inout t a) { apply { bit<8> t = 1; a.x = (t) + 1; } }"
    _, diagnostics = parse_text(text)
    assert not errors(diagnostics)


def test_several_syntax_errors_in_one_run() -> None:
    text = """
struct a { bit<8> x }
header b { bit<8> y; bit z }
control c(inout bit<8> v) {
  apply {
    v = ;
    v = 2;
    v = v + ;
  }
}
bogus thing;
"""
    _, diagnostics = parse_text(text)
    assert errors(diagnostics) == [
        "expected ';' after the field, found '}'",
        "expected ';' after the field, found '}'",
        "expected an expression, found ';'",
        "expected an expression, found ';'",
        "expected a declaration, found identifier 'bogus'",
    ]


def test_nesting_without_end_is_an_error_and_no_crash() -> None:
    _, diagnostics = parse_text("const bit<8> c = " + "(" * 3000 + "1" + ")" * 3000 + ";")
    assert errors(diagnostics) == ["this expression is nested too deeply, found '('"]


@pytest.mark.parametrize(
    "text", ["", "const", "control c(", "parser p() { state", "@name(", "{", "}}}}", "table t {", '"']
)
def test_cut_off_programs_are_diagnosed(text: str) -> None:
    _, diagnostics = parse_text(text)
    assert bool(errors(diagnostics)) == bool(text)
