"""What p4c warns of, this compiler warns of: with the place, and once."""

from __future__ import annotations

import pytest

from p4compiler.compile import compile_text
from p4compiler.source import Diagnostics
from tests.p4compiler.short import HEAD, check_text, with_ingress
from tests.p4compiler.test_rules import CORE, HEADERS


def warned(text: str) -> list[tuple[int, str]]:
    """The line and the text of each warning of a whole program."""
    diagnostics = Diagnostics()
    compile_text(text, diagnostics, "t.p4")
    assert all(one.severity == "warning" for one in diagnostics)
    return [(one.location.line, one.message) for one in diagnostics]


def checked(declarations: str) -> list[str]:
    """The warnings of the checker."""
    _, diagnostics = check_text(CORE + HEADERS + declarations)
    assert all(one.severity == "warning" for one in diagnostics), [one.message for one in diagnostics]
    return [one.message for one in diagnostics]


WIDE = "300 does not fit in bit<8>: it becomes 44"


@pytest.mark.parametrize(
    ("declarations", "expected"),
    [
        # Where an int becomes a bit<N> by itself
        ("const bit<8> x = 300;", WIDE),
        ("void f(out bit<8> x) { x = 300; }", WIDE),
        ("void f() { bit<8> x = 300; }", WIDE),
        ("void f(inout bit<8> x) { x += 300; }", WIDE),
        ("void f(inout bit<8> x) { x = x + 300; }", WIDE),
        ("bool f(in bit<8> x) { return 300 == x; }", WIDE),
        ("bit<8> f() { return 300; }", WIDE),
        ("bit<8> f(in bool c, in bit<8> x) { return c ? x : 300; }", WIDE),
        ("void g(in bit<8> x) { } void f() { g(300); }", WIDE),
        ("void g(in bit<8> x = 300) { }", WIDE),
        ("extern X { X(bit<8> n); } X(300) x;", WIDE),
        ("void f(inout bit<8> x) { switch (x) { 300: { } } }", WIDE),
        ("parser p(in bit<8> x) { state start { transition select(x) { 300: accept; } } }", WIDE),
        ("parser p(in bit<8> x) { state start { transition select(x, x) { (1, 7 &&& 300): accept; } } }", WIDE),
        ("parser p(in bit<8> x) { state start { transition select(x) { 8w1 &&& 300: accept; } } }", WIDE),
        ("parser p(in bit<8> x) { state start { transition select(x) { 1 .. 300: accept; } } }", WIDE),
        # In the parts of a value
        ("const st x = { 300 };", WIDE),
        ("const st x = { x = 300 };", WIDE),
        ("const st x = (st) { x = 300 };", WIDE),
        ("const tuple<bit<4>, st> x = { 1, { 300 } };", WIDE),
        ("void f() { bit<8>[2] x = { 1, 300 }; }", WIDE),
        # Other types
        ("const bit<8> x = -1;", "-1 does not fit in bit<8>: it becomes 255"),
        ("const int<8> x = 128;", "128 does not fit in int<8>: it becomes -128"),
        ("const bit<0> x = 1;", "1 does not fit in bit<0>: it becomes 0"),
        ("typedef bit<8> byte; const byte x = 300;", WIDE),
        ("type bit<8> byte; const byte x = 300;", "300 does not fit in byte: it becomes 44"),
        ("const int N = 299; const bit<8> x = N + 1;", WIDE),
        # Literals with a width
        ("const bit<8> x = 8w300;", WIDE),
        ("const int<8> x = 8s128;", "128 does not fit in int<8>: it becomes -128"),
    ],
)
def test_a_constant_that_an_implicit_cast_changes(declarations: str, expected: str) -> None:
    assert checked(declarations) == [expected]


@pytest.mark.parametrize(
    "declarations",
    [
        "const bit<8> x = (bit<8>) 300;",
        "const bit<8> x = 255; const int<8> y = -128; const int<8> z = 127;",
        "const bit<8> x = 8w1 << 300;",
        "const int x = 300;",
        "const bit<16> x = 8w1 ++ 8w2;",
        "void f(inout bit<8> x) { x = x << 300; x <<= 300; x = (bit<8>) (16w300 + 300); }",
        "void g<T>(in T x) { } void f() { g(16w300); }",
    ],
)
def test_what_is_cast_in_words_or_fits_is_not_warned_of(declarations: str) -> None:
    assert checked(declarations) == []


def test_the_place_is_that_of_the_constant() -> None:
    locals_ = """action go(bit<8> v) { hdr.h.b = v; }
table t { key = { hdr.h.a: exact; } actions = { go; }
  const entries = { 300: go(1);
    1: go(301); }
  default_action = go(302); }"""
    found = warned(with_ingress("t.apply();", locals_))
    assert sorted(found) == [
        (20, "300 does not fit in bit<8>: it becomes 44"),
        (21, "301 does not fit in bit<8>: it becomes 45"),
        (22, "302 does not fit in bit<8>: it becomes 46"),
    ]


def test_a_state_without_transition() -> None:
    parser = "parser q() {{ {} state start {{ }} }}"
    expected = "state 'start' has no transition, so it rejects; write 'transition reject;' or another"
    assert checked(parser.format("")) == [expected]
    assert checked(parser.format('@noWarn("parser-transition")')) == []
    assert checked("parser q() { state start { transition reject; } }") == []


def test_a_range_that_holds_nothing_in_a_select() -> None:
    text = with_ingress("").replace("transition accept;", "transition select(hdr.h.s) {\n 5 .. -5: accept; }")
    assert warned(text) == [(11, "this range holds no number: it ends before it begins; the case never matches")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("mark_to_drop();", "'mark_to_drop' is deprecated: Use mark_to_drop(standard_metadata)."),
        ("resubmit(meta);", "'resubmit' is deprecated: Use resubmit_preserving_field_list."),
        ("clone3(CloneType.I2E, 1, meta);", "'clone3' is deprecated: Use clone_preserving_field_list."),
        ("old();", "'old' is deprecated"),
        ("bit<8> x = OLD;", "'OLD' is deprecated: Count anew."),
        ("old_t x; x.f = 1;", "'old_t' is deprecated"),
        ("mark_to_drop(sm);", None),
    ],
)
def test_what_is_deprecated(body: str, message: str | None) -> None:
    before = """@deprecated void old() { }
@deprecated("Count " "anew.") const bit<8> OLD = 1;
@deprecated struct old_t { bit<8> f; }"""
    line = with_ingress(body, "", before).split("\n").index(body) + 1
    assert warned(with_ingress(body, "", before)) == ([(line, message)] if message is not None else [])


def test_the_frame_of_the_tests_has_no_warnings() -> None:
    assert HEAD in with_ingress("") and warned(with_ingress("")) == []
