"""What the specification forbids gets one clear error; what looks like it and is allowed gets none."""

from __future__ import annotations

import pytest

from tests.p4compiler.short import check_text, compile_bad, compile_ok, errors, parse_text, with_ingress


def messages(text: str) -> list[str]:
    """Errors of parser and checker."""
    _, diagnostics = parse_text(text)
    return errors(diagnostics) or errors(check_text(text)[1])


CORE = "#include <core.p4>\n"
HEADERS = "header h { bit<8> a; }\nheader v { bit<8> n; varbit<64> d; }\nstruct st { bit<8> x; }\n"


@pytest.mark.parametrize(
    ("declarations", "message"),
    [
        # Type nesting rules
        ("header k { } struct s { k[4294967296] x; }", "a stack of 4294967296 elements is not supported"),
        ("extern X { X(); } struct s { X x; }", "a struct cannot have a field of type X"),
        ("struct p { error e; } header k { p f; }", "a header cannot have a field of type p"),
        ("header_union u { bit<8> b; }", "a header_union cannot have a field of type bit<8>"),
        ("extern X { X(); } void f(tuple<X> t) { }", "a tuple cannot have an element of type X"),
        ("header k<T> { T f; } struct s { k<int> f; }", "field 'f' of a header cannot have the type int"),
        ("extern X<T> { X(); } X<X<bit<8>>>() x;", "'X' cannot be a type argument of itself"),
        ("extern X { void m(X other); }", "'X' cannot be used inside of itself"),
        ("typedef match_kind kind;", "a typedef cannot name the type match_kind"),
        ("type int number;", "'type' needs bit<N>, int<N>, bool or another such type, not int"),
        ("type bit<8> b; enum b e { one = 1 }", "the members of an enum have a type bit<N> or int<N>, not b"),
        ("enum bit<4> e { big = 16 }", "16 does not fit in bit<4>"),
        ("match_kind { exact }", "match kind 'exact' is declared twice"),
        ("extern I { I(); } const I x = I();", "a constant cannot have the type I"),
        ("struct s<T> { T f; } const s<_> x = { 1 };", "field 'f' of a struct cannot have the type _"),
        # Parameters
        ("control c(); control d(c inner) { apply { } }", "a run-time parameter cannot be a c"),
        ("extern void f(in string text);", "a parameter of type string has no direction"),
        ("action a(in int n) { }", "a parameter of type int has no direction"),
        ("action a(int n) { }", "an action's parameter has a width, unlike int"),
        ("extern X { X(); } action a(X x) { }", "an action cannot have a parameter of the extern type X"),
        ("control c(); extern X { X(c inner); }", "a extern cannot be given a control when it is made"),
        ("parser p(); control c()(p inner) { apply { } }", "a control cannot be given a parser when it is made"),
        ("control c() { apply { } } control d()(c inner) { apply { } }", "'c' is a control, not the type of one"),
        ("void f(@optional bit<8> a) { }", "can be @optional"),
        (
            "control c(in bit<8> a, in bit<8> b = a) { apply { } }",
            "the default of a parameter must be known at compile time",
        ),
        # Calls and instances
        ("control c() { apply { } } c() made;", "control 'c' cannot be instantiated at the top level"),
        ("package P(); void f() { P() p; }", "package 'P' cannot be instantiated in a function"),
        ("control c() { c() again; apply { } }", "'c' cannot be used inside of itself"),
        ("action a() { } void f() { a(); }", "action 'a' cannot be called in a function"),
        ("action a() { } parser p() { state start { a(); transition accept; } }", "action 'a' cannot be called in a"),
        (
            "extern X { X(); } control c() { apply { X() x; } }",
            "extern 'X' cannot be instantiated in a control; declare it before 'apply'",
        ),
        (
            "extern X { X(); } parser p() { state start { X() x; transition accept; } }",
            "extern 'X' cannot be instantiated in a parser; declare it before the states",
        ),
        (
            "control d() { apply { } } control c() { apply { d() x; } }",
            "control 'd' cannot be instantiated in a control",
        ),
        (
            "bit<8> f(bit<8> n) { return n; } control c(inout bit<8> x) { apply { x = f(x + 1); } }",
            "'n' of 'f' has no direction, so its value must be known at compile time",
        ),
        ("extern void f(bit<8> n); action a(in bit<8> x) { f(x); }", "'n' of 'f' has no direction"),
        (
            "extern X { X(); void m(bit<8> n); } control c(inout bit<8> x) { X() e; apply { e.m(x); } }",
            "'n' of 'm' has no direction",
        ),
        (
            "control d(bit<8> n) { apply { } } control c(in bit<8> x) { d() i; apply { i.apply(x); } }",
            "'n' of 'd' has no direction",
        ),
        (
            "extern bit<8> g(); extern void f(bit<8> n); action a() { f(g()); }",
            "'n' of 'f' has no direction",
        ),
        ("control c() { apply { verify(true, error.NoMatch); } }", "verify cannot be called in a control"),
        (
            "control c(in bit<8> x)(bit<8> y) { apply { } } control d(in bit<8> z) { c(z) i; apply { } }",
            "known at com",
        ),
        ("extern void f(in bit<8> a); control c() { apply { f(_); } }", "only an out parameter may be given '_'"),
        ("extern void f<T>(in T a); control c() { apply { f(5); } }", "this number needs a width here, like 8w1"),
        ("extern X<T> { X(T a); } control c() { X(1) x; apply { } }", "this number needs a width here, like 8w1"),
        ("extern X<A, B> { X(A a); } control c() { X(8w1) x; apply { } }", "cannot infer the type B of 'X'"),
        ("extern X { X(); } X() main;", "'main' is the instance of a package"),
        ('const bool small = static_assert(1 > 2, "too big");', "this does not hold: too big"),
        # Abstract methods
        ("extern X { X(); abstract void m(); } X() x;", "'x' needs a body for the abstract method 'm'"),
        ("extern X { X(); } X() x = { void m() { } };", "X has no abstract method 'm'"),
        (
            "extern X { X(); abstract void m(in bit<8> a); } X() x = { void m(inout bit<8> a) { } };",
            "'m' differs from",
        ),
        ("extern X { X(); void m(bit<8> a); void m(bit<16> a); }", "method 'm' is declared twice"),
        ("extern X { void X(); }", "a constructor has no result type"),
        # Parsers
        ("parser p(packet_in b, out st s) { state start { b.extract(s); } }", "extracted into a header, not a st"),
        ("parser p(packet_in b, out v x) { state start { b.extract(x); } }", "extract needs a second argument"),
        ("parser p(packet_in b, out h x) { state start { b.extract(x, 8); } }", "for a header with one varbit field"),
        ("parser p(packet_in b, out v x) { state start { x = b.lookahead<v>(); } }", "needs a type of fixed width"),
        (
            "parser p(in st s) { state start { transition select(s) { default: accept; } } }",
            "not a st; name its fields",
        ),
        ("parser p() { state start { return; } }", "a parser's state does not return"),
        ("parser p() { state start { exit; } }", "a parser's state does not exit; write 'transition reject;'"),
        (
            "void f() { if (true) { exit; } }",
            "a function does not exit; write 'return', and 'exit' where it is called",
        ),
        ("extern X { X(); abstract void m(); } X() x = { void m() { exit; } };", "a function does not exit"),
        (
            "parser p(inout h[2] s) { state start { s.last.a = 1; transition accept; } }",
            "'last' of a stack can only be read; write the element by its index",
        ),
        (
            "parser p(inout h[2] s) { state start { h x; x = { 1 }; s.last = x; transition accept; } }",
            "'last' of a stack can only be read",
        ),
        (
            "void f(out bit<8> x) { x = 1; } "
            "parser p(inout h[2] s) { state start { f(s.last.a); transition accept; } }",
            "'last' of a stack can only be read",
        ),
        ("parser p(inout h[2] s) { state start { s.last.setInvalid(); transition accept; } }", "can only be read"),
        (
            "parser p(packet_in b, inout h[2] s) { state start { b.extract(s.last); transition accept; } }",
            "can only be read",
        ),
        ("parser p() { state start { transition start; } }", "never reaches accept or reject"),
        ("parser p() { value_set<int>(4) s; state start { } }", "a value set cannot have elements of type int"),
        # Expressions
        ("action a(inout bit<8> x) { x = x / 0; }", "division by zero"),
        ("action a(inout bit<8> x) { x = x % -1; }", "'%' is not defined for negative numbers"),
        ("action a(inout bit<8> x) { x = (bit<8>) (1 << x); }", "needs a width, like 16w1"),
        ("bit<8> f(in bool c) { return c ? 5 : 6; }", "one of these numbers needs a width, like 8w1"),
        ("bit<16> f(in bool c) { return c ? 8w5 : 6; }", "a value of type bit<8> cannot be returned as bit<16>"),
        ("const bool b = (bool) 2;", "only 0 and 1 can be cast to bool"),
        ("bool f<T>(in T a, in T b) { return a == b; }", "values of the type parameter T cannot be compared"),
        ("control c(inout h[2] s) { apply { s.last.a = 1; } }", "'last' of a stack exists only in a parser"),
        ("void f(out st s) { tuple<bit<8>> t = { 1 }; s = t; }", "a value of type tuple<bit<8>> cannot be assigned"),
        ("const h x = { # };", "the invalid header is written {#}, without blanks"),
        ('control c() { apply { switch ("a") { default: { } } } }', "a switch cannot be on a string"),
        (
            "control c(in bit<8> x, in bit<8> y) { apply { switch (x) { 1: { } y: { } } } }",
            "a label must be known at compile time; compare with 'if' instead",
        ),
        (
            "control c(in bit<8> x) { bit<8> y = 2; apply { switch (x) { y + 1: { } } } }",
            "a label must be known at compile time",
        ),
    ],
)
def test_forbidden(declarations: str, message: str) -> None:
    found = messages(CORE + HEADERS + declarations)
    assert any(message in m for m in found), found
    assert len(found) == 1, found


NAMED = """
type bit<32> id_t; type id_t inner_t; type bit<16> short_t; type bool yes_t; type bit<8> byte_t;
enum bit<8> e { one = 1 } enum bit<8> other { two = 2 } const int K = 5;
const id_t ID = (id_t) 5; const yes_t YES = (yes_t) true;
"""


@pytest.mark.parametrize(
    "declaration",
    [
        "const id_t x = 5;",
        "const id_t x = K + 1;",
        "id_t f() { id_t x = K; x = 5; return 5; }",
        "const id_t x = (id_t) 5;",
        "const id_t x = (id_t) -1;",
        "const id_t x = (id_t) K;",
        "const id_t x = (id_t) (K + 1);",
        "const id_t x = (id_t) (bit<32>) 8w5;",
        "const inner_t x = (inner_t) ID;",
        "const bit<32> x = (bit<32>) ID;",
        "const bool x = ID == (id_t) K;",
        "const bool x = (bool) YES;",
        "const e x = (e) 1;",
        "const e x = (e) 8w1;",
        "const e x = (e) other.two;",
        "const bit<16> x = (bit<16>) (bit<8>) e.one;",
    ],
)
def test_how_values_get_and_leave_a_new_type(declaration: str) -> None:
    assert messages(CORE + NAMED + declaration) == []


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        # An integer literal becomes a new type where it is assigned or returned, if that is made of bit<N> or int<N>.
        ("const id_t x = 32w5;", "a value of type bit<32> cannot be assigned to id_t"),
        ("const yes_t x = 1;", "a value of type int cannot be assigned to yes_t"),
        ("const inner_t x = 5;", "a value of type int cannot be assigned to inner_t"),
        ("void f(in id_t x) { } void g() { f(5); }", "parameter 'x' of 'f' is id_t, not int"),
        ("const tuple<id_t> x = { 5 };", "a value of type tuple<int> cannot be assigned to tuple<id_t>"),
        ("const yes_t x = (yes_t) 1;", "int cannot be cast to yes_t"),
        ("const inner_t x = (inner_t) 5;", "int cannot be cast to inner_t"),
        # Casts do not chain: only to and from the very type that got the name.
        ("const inner_t x = (inner_t) 32w5;", "bit<32> cannot be cast to inner_t"),
        ("const bit<32> x = (bit<32>) (inner_t) ID;", "inner_t cannot be cast to bit<32>"),
        ("const bit<8> x = (bit<8>) ID;", "id_t cannot be cast to bit<8>"),
        ("const int x = (int) ID;", "id_t cannot be cast to int"),
        ("const short_t x = (short_t) ID;", "id_t cannot be cast to short_t"),
        ("const yes_t x = (yes_t) 1w1;", "bit<1> cannot be cast to yes_t"),
        ("const byte_t x = (byte_t) e.one;", "e cannot be cast to byte_t"),
        ("const bit<16> x = (bit<16>) e.one;", "e cannot be cast to bit<16>"),
        ("const e x = (e) 16w1;", "bit<16> cannot be cast to e"),
        # A new type has assignment, == and != and casts, nothing else.
        ("const bool x = ID < ID;", "'<' does not apply to id_t and id_t"),
        ("const bool x = ID == 5;", "'==' does not apply to id_t and int"),
        ("const bit<32> x = ~ID;", "'~' does not apply to id_t"),
        ("const bit<8> x = ID[7:0];", "bits cannot be taken from id_t"),
        ("const bool x = !YES;", "'!' does not apply to yes_t"),
        ("const bool x = YES && true;", "'&&' does not apply to yes_t and bool"),
        ("void f() { if (YES) { } }", "a condition is a bool, not yes_t"),
        ("void f(inout h[2] s) { s[(id_t) 1].a = 1; }", "an index is an integer, not id_t"),
        (
            "parser p(in id_t x) { state start { transition select(x) { ID &&& ID: accept; } } }",
            "a mask or range is made of integers, not id_t",
        ),
    ],
)
def test_what_a_new_type_does_not_have(declaration: str, message: str) -> None:
    found = messages(CORE + HEADERS + NAMED + declaration)
    assert found and message in found[0], found


TABLE = (
    "control c(inout h x) {{ action go() {{ }} action set(bit<8> v) {{ x.a = v; }} table t {{ {} }} apply {{ {} }} }}"
)


@pytest.mark.parametrize(
    ("table", "apply", "message"),
    [
        ("default_action = go; actions = { go; }", "", "default_action comes after the list of actions"),
        ("key = { t: exact; } actions = { go; }", "", "'t' means the table itself here"),
        ("key = { x.a + 1: exact; } actions = { go; }", "", "this key has no name for the control plane"),
        ("actions = { @tableonly go; } default_action = go;", "", "marked @tableonly"),
        ("actions = { set; } default_action = set(x.a);", "", "must be known at compile time here"),
        ("key = { x.a: exact; } actions = { go; } entries = { 1: go; 1: go; }", "", "is there already"),
        ("key = { x.a: exact; } actions = { go; } entries = { priority = 1: 1: go; }", "", "have no priority"),
        (
            "key = { x.a: ternary; } actions = { go; } entries = { 1: go; priority = 3: 2: go; }",
            "",
            "first entry needs",
        ),
        ("key = { x.a: ternary; } actions = { go; } entries = { priority = 1: 1: go; 2: go; }", "", "would be 0"),
        (
            "key = { x.a: ternary; } actions = { go; } largest_priority_wins = false; "
            "entries = { priority = 0x7FFFFFFF: 1: go; }",
            "",
            "would be 2147483647; it is 0 to 2147483646",
        ),
        (
            "key = { x.a: ternary; } actions = { go; } const entries = { priority = 1: 1: go; }",
            "",
            "const entries have no priority",
        ),
        ("actions = { go; } largest_priority_wins = 3;", "", "largest_priority_wins is true or false"),
        ("actions = { go; }", "bool b = t.apply().action_run == t.apply().action_run;", "can only be switched on"),
    ],
)
def test_forbidden_in_tables(table: str, apply: str, message: str) -> None:
    found = messages(CORE + HEADERS + TABLE.format(table, apply))
    assert any(message in m for m in found), found


def test_table_applied_in_an_action() -> None:
    text = "control c() { action a() { } table t { actions = { a; } } action b() { t.apply(); } apply { b(); } }"
    assert messages(CORE + text)[0].startswith("table 't' cannot be applied in an action")


def test_bound_arguments_are_the_listed_ones() -> None:
    text = """control c(inout bit<8> x, inout bit<8> y) {
  action a(inout bit<8> b) { b = 1; }
  table t { actions = { a(x); } default_action = a(y); }
  apply { t.apply(); }
}"""
    assert messages(CORE + text) == ["'b' of 'a' is bound in the list of actions"]


def test_missing_core_is_named() -> None:
    text = "control c() { action a() { } table t { actions = { a; } } apply { t.apply(); } }"
    assert "write #include <core.p4> at the top" in messages(text)[0]


@pytest.mark.parametrize(
    "declarations",
    [
        "typedef struct point { bit<8> x; } place; const place here = { 1 };",
        "struct s { bit<8>[4] items; } "
        "header k { s[2] rows; } control c(inout k x) { apply { x.rows[1].items[2] = 1; } }",
        "extern X<T> { X(T a); T get(); } control c(out bit<8> r) { X(8w3) x[2]; apply { r = x[1].get(); } }",
        "extern X { X(); bit<8> get(); abstract bit<8> m(); } X() x = { bit<8> m() { return this.get(); } };",
        "control c()(bit<8> a) { apply { } } "
        "control c()(bit<8> b) { apply { } } control d() { c(b = 1) i; apply { } }",
        "control C(in bit<8> a, in bit<8> b = 3); package P(C c); "
        "control mine(in bit<8> a) { apply { } } P(mine()) main;",
        "extern void f<T, U>(in T a, @optional in U b); control c() { apply { f(8w1); } }",
        "bit<8> f(in bit<8> a) { const int<6> n = 1; return a << n; }",
        "control c(out bit<32> n) { apply { h[0] none; n = none[0].minSizeInBits(); } }",
        'const string text = "two\nlines";',
        "bit<8> f(bit<8> n) { return n; } const bit<8> K = 3; "
        "action a(out bit<8> x, bit<8> d) { x = f(K + 1) + f(d); }",
        "extern void f(bit<8> n); control c()(bit<8> n) { apply { f(n); switch (n) { 1: { } } } }",
        "parser p(packet_in b) { state start { b.advance(8); transition accept; } } "
        "parser q(packet_in b) { p() inner; state start { inner.apply(b); transition accept; } }",
        "control c() { action a() { exit; } apply { if (true) { exit; } a(); } }",
        "parser p(inout h[2] s, out bit<8> x) { state start { x = s.last.a; transition accept; } }",
        "extern X { X(); } control c() { X() x; apply { } } control d()(X x) { apply { } } "
        "control e() { d(X()) i; apply { } }",
        "struct i { bit<8> y; } struct s { bit<8> x; i n; } "
        "parser p(in bit<8> b) { value_set<s>(4) w; state start { transition select(b, b) { w: accept; } } }",
    ],
)
def test_allowed(declarations: str) -> None:
    assert messages(CORE + HEADERS + declarations) == []


def test_arrays_in_headers_become_fields() -> None:
    before = "header row_t { bit<8>[3] items; }\nstruct more_t { bit<8>[2] pair; }"
    body = "row_t r; more_t m; m.pair[0] = 1; r.setValid(); r.items[1] = m.pair[0]; hdr.h.a = r.items[hdr.h.b];"
    compiled = compile_ok(with_ingress(body, before=before))
    types = {h["name"]: [f[0] for f in h["fields"]] for h in compiled.json["header_types"]}
    assert types["row_t"] == ["items[0]", "items[1]", "items[2]"]


def test_a_string_that_ends_with_the_next_ones_quote_is_named() -> None:
    _, diagnostics = parse_text('const string a = "open;\n#define X 1\nconst string b = "closed";\n')
    assert "the string before it begins in line 1: is a quote missing there?" in errors(diagnostics)[0]


def test_extract_into_an_element_chosen_at_run_time() -> None:
    text = with_ingress("").replace(
        "packet.extract(hdr.h); transition accept;",
        "bit<8> i = packet.lookahead<bit<8>>(); packet.extract(hdr.st[i]); transition accept;",
    )
    states = compile_ok(text).json["parsers"][0]["parse_states"]
    operations = [o for state in states for o in state["parser_ops"]]
    extracted = [o["parameters"][0]["value"] for o in operations if o["op"] == "extract"]
    assert sorted(extracted) == ["st[0]", "st[1]", "st[2]"]
    assert sum(o["op"] == "verify" for o in operations) == 1


def test_source_fragments_keep_their_last_parenthesis() -> None:
    body = "if ((hdr.h.a == 1) && (hdr.h.b == 2)) { hdr.h.a = (hdr.h.a) + (hdr.h.b); }"
    json = compile_ok(with_ingress(body)).json
    fragments = [c["source_info"]["source_fragment"] for p in json["pipelines"] for c in p["conditionals"]]
    fragments += [p["source_info"]["source_fragment"] for a in json["actions"] for p in a["primitives"]]
    assert fragments and all(f.count("(") == f.count(")") for f in fragments), fragments


def test_two_tables_of_one_name() -> None:
    tables = '@name("x") table t { actions = { NoAction; } } @name("x") table u { actions = { NoAction; } }'
    (message,) = compile_bad(with_ingress("t.apply(); u.apply();", tables))
    assert message == "two tables are named 'ingress_c.x' for the control plane; change the @name of one"
