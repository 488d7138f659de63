"""Programs with one mistake each, so that together they make the compiler say as much of what it can say as possible.

`test_places` compiles all of them, and those of `test_rules` and `test_diagnostics`.
"""

from __future__ import annotations

from tests.p4compiler.short import HEAD, with_ingress

# Texts as they are: preprocessor and syntax.
TEXTS = [
    "#undef 3",
    "#include core.p4",
    "#include <nowhere.p4>",
    "#include 3",
    "#define M(a",
    "#define M(a b)",
    "#define M(a) a\nM(1",
    "#define M(a) a\nM(1, 2)",
    "#define 3 4",
    "#define C0 1\n" + "".join(f"#define C{i + 1} C{i} C{i}\n" for i in range(25)) + "C25",
    "#warning be careful",
    "#error stop",
    "#nonsense",
    "#else",
    "#if 1\n#else\n#else\n#endif",
    "#if 1",
    "#ifdef 3\n#endif",
    "#if defined(\n#endif",
    '#if "x"\n#endif',
    "#if (1\n#endif",
    "#if 1 2\n#endif",
    "#if 1 << -1\n#endif",
    "#if\n#endif",
    "#if 1 ? 2\n#endif",
    '"x\n#include <core.p4>\n"',
    "bit<8> x = 1;",
    "bit<8> f",
    "bit<8> f;",
    "3",
    "const bit<8> x = ;",
    "const bit<8> x = @;",
    "const bit<8> x = $;",
    "const bit<8> x = switch;",
    "const bit<8> x = 1\nconst bit<8> y = 2;",
    "const .key x = 1;",
    "struct s { bit<8> a;",
    "control c() { action a() { } table t { key = { } actions = { a; } } apply { t.apply(); } }",
    "const bit<8> x = 1 + ;",
    "const bit<8> x = a. + 1;",
    "const bit<8> x = 1s0;",
    "const bit<8> x = 0s1;",
    "const bit<8> x = 8w256;",
    "const void x = 1;",
    "const varbit x = 1;",
    "const list<bit<8>, bit<8>> x = { };",
    "const unknown x = 1;",
    "const bit<8> x = {#} + { # };",
    "const s x = { a = 1, 2 };",
    "struct s { bit<8> a; } const s x = { a = 1, 2 };",
    "const bit<8> x = " + "(" * 250 + "1" + ")" * 250 + ";",
    "const bit<8> x = " + "~" * 250 + "1;",
    "@3 struct s { }",
    "@name( struct s { }",
    "header { }",
    "struct s { bit<8> ; }",
    "struct s bit<8> a; }",
    "struct s { bit<8> a }",
    "enum e { a",
    "extern void f() { }",
    "extern X { Y(); }",
    "control c() { }",
    "control c() { apply { } apply { } }",
    "control c() { apply { const } }",
    "control c() { apply { 3 } }",
    "control c() { apply { x; } }",
    "control c() { apply { x } }",
    "control c() { apply { for (x) { } } }",
    "control c() { apply { for (const x = 1; true; ) { } } }",
    "control c() { apply { if (true) const bit<8> x = 1; } }",
    "control c() { table t { key = { } key = { } actions = { } } apply { } }",
    "control c() { table t { actions = { 3 } } apply { } }",
    "parser p() { state { } }",
    "parser p() { state start { transition select { } } }",
    "type bit<8>;",
    "void f(bit<8>) { }",
    "const bit<8> x = (bit<8) 1;",
]

# Declarations behind core.p4 and the headers of test_rules: what the checker says.
DECLARATIONS = [
    # Types
    "const bit<-1> x = 0;",
    "const bit<70000> x = 0;",
    "const int<0> x = 0;",
    "const h[-1] x = { };",
    "struct s { int[4] x; }",
    "struct s { nothing x; }",
    "struct s { bit<8> a; bit<16> a; }",
    "void f() { f x; }",
    "control c() { h<bit<8>> x; apply { } }",
    "typedef bit<8> byte; const byte<bit<8>> x = 1;",
    "struct g<T> { T f; } const g x = { 1 };",
    "struct g<T> { T f; } const g<bit<8>, bit<8>> x = { 1 };",
    "control c(); extern X<T> { X(); } X<c>() x;",
    "const bit<(1 / 0)> x = 1;",
    "const bit<true> x = 1;",
    "const bit<8> x = 300;",
    "@deprecated void g() { } void f() { g(); }",
    "void f() { int x; }",
    "void f() { string x; }",
    "void f() { match_kind x; }",
    "void f() { void x; }",
    "extern X { X(); } void f() { X x; }",
    "void f() { _ x; }",
    "tuple<bit<8>> f() { tuple<_> x = { 1 }; return x; }",
    "struct g<T> { bit<8> f; } const g<_> x = { 1 };",
    "int f() { return 1; }",
    "control c() { apply { } } c f();",
    "enum e { a, a }",
    "enum e { a = 1 }",
    "enum bit<8> e { a }",
    "enum bit<8> e { a = x }",
    "error { NoError }",
    "extern X { m(); }",
    "header h { }",
    "bit<8> f(in bool b) { if (b) { return 1; } }",
    "enum e { a } struct s { @field_list(e.a) bit<8> x; }",
    "action a(bit<8> x, in bit<8> y) { }",
    "void f(out bit<8> x = 1) { }",
    "void f(in bit<8> x = true) { }",
    "void f() { return 1; }",
    "bit<8> f() { return; }",
    "control c()(in bit<8> x) { apply { } }",
    # Expressions
    "const bit<8> x = h;",
    "void g() { } const bit<8> x = g();",
    "parser p() { state start { bit<8> x = start; transition accept; } }",
    "const bit<8> x = unknown_;",
    "const st x = { x = 1, x = 2 };",
    "const st x = { y = 1 };",
    "void f(in bit<8> a) { bit<8> x = a[0]; }",
    "void f(in bit<8> a, in bit<8> i) { bit<8> x = { 1, 2 }[i]; }",
    "const bit<8> x = ({ 8w1, 8w2 })[2];",
    "const bit<8> x = ({ 8w1, 8w2 })[true];",
    "void f(inout bit<8> x) { bit<4> y = x[6 +: 4]; }",
    "void f(inout bit<8> x) { bit<4> y = x[9:6]; }",
    "void f(in bool x) { bit<4> y = x[3:0]; }",
    "void f(in bool c, in bit<8> a) { bit<8> x = c ? a : true; }",
    "void f(in bit<8> a) { bit<8> x = a << -1; }",
    "const bool x = { a = 1 } == { a = 1 };",
    "const int x = 1 << 100000;",
    "const int x = 1 << -1;",
    "const int x = 5 % -2;",
    "const int x = 5 / 0;",
    "void f(in bit<8> x) { if (x) { } }",
    "void f() { e.nothing = 1; } enum e { a }",
    "enum e { a } const e x = e.b;",
    "const error x = error.Nothing;",
    "const bit<8> x = -true;",
    "const bit<8> x = 8w1 + true;",
    "const bool x = (bool) 8w1;",
    "void f(in bit<8> x) { x = 1; }",
    "const bit<8> K = 1; void f() { K = 2; }",
    "void f(inout bit<8> x) { (x + 1) = 2; }",
    "void f(inout h[2] s) { s.size = 3; }",
    "parser p(inout h[2] s) { state start { s.lastIndex = 3; } }",
    "void f(inout h x) { x.isValid = true; }",
    # Calls
    "void f() { (1)(); }",
    "void f() { h.minSizeInBits(1); }",
    "struct m { bit<8> a; } void f(inout m x) { x.a(); }",
    "const bit<8> K = 1; void f() { K(); }",
    "void f() { nothing(); }",
    "void g(in bit<8> a) { } void g(in bool b) { } void f() { g(1); }",
    "extern X { } X(1) x;",
    "void g(in bit<8> a, in bit<8> b) { } void f() { g(1, b = 2); }",
    "void g(in bit<8> a) { } void f() { g(b = 2); }",
    "void g(in bit<8> a) { } void f() { g(1, 2); }",
    "void g<T>(in T a) { } void f() { g<bit<8>, bit<8>>(1); }",
    "void g<T>(in T a) { } void f() { g<bit<8>>(true); }",
    "void g<T>(in T a) { } void f() { g({ a = 1 }); }",
    "void g<T>(in T a) { } control c() { table t { actions = { } default_action = NoAction; } apply { g(t); } }",
    "extern void g<T>(in T a); extern X { X(); } control c(X x) { apply { g(x); } }",
    "void g(out bit<8> a) { a = 1; } void f(inout bit<16> x) { g(x); }",
    "void g(out bit<8> a) { a = 1; } enum bit<8> e { one = 1 } void f(inout e x) { g(x); }",
    "extern X<T> { X(); void m(in T a); } control c() { X<_>() x; apply { x.m(1); } }",
    "control c() { apply { } } control d() { apply { c.apply(1); } }",
    "control c()(bit<8> n) { apply { } } control d() { apply { c.apply(); } }",
    "control c() { table t { actions = { NoAction; } } apply { t.apply(1); } }",
    "void f() { accept(); }",
    "void f(inout h x) { x.push_front(1); }",
    "void f(inout h[2] x) { x.push_front(); }",
    "extern T g<T>(); void f() { g(); }",
    # Instances
    "extern X { X(); abstract void m(); } extern Y { Y(X x); } Y(X()) y;",
    "extern X<T> { } X() x;",
    "control c(); c() x;",
    "control c(); package P(c x); P(c()) p;",
    "struct m { bit<8> a; } control c() { m() x; apply { } }",
    "control c() { apply { } } control d() { c() i = { void m() { } }; apply { } }",
    "extern X { X(in bit<8> a); }",
    # Statements
    "void f(inout bit<8> x) { x += true; }",
    "void f(inout bit<8> x) { x = true; }",
    "void f(in bit<8> x) { for (bit<8> i in x) { } }",
    "void f() { for (bool i in 1 .. 3) { } }",
    "void f(in bit<8> x) { switch (x) { default: { } 1: { } } }",
    "void f() { continue; }",
    # Parsers
    "parser p() { state start { } state start { } }",
    "parser p() { state accept { } }",
    "parser p() { state first { } }",
    "parser p(in bit<8> x, in bit<8> y) { state start { transition select(x) { y: accept; } } }",
    "parser p(in bit<8> x) { state start { transition select(x, x) { 1: accept; } } }",
    "parser p(in bit<8> x) { state start { transition select(x) { 1: nowhere; } } }",
    "parser p(in bit<8> x) { value_set<bit<16>>(4) w; state start { transition select(x) { w: accept; } } }",
    "parser p(in bit<8> x) { state start { transition select(x) { 8w1 &&& 16w1: accept; } } }",
    "parser p(in bit<8> x) { state start { transition select(x) { (1, 2): accept; } } }",
    "parser p(packet_in b, out h x) { state start { b.extract(x, x); } }",
]

# Properties of a table in a control with x: h and the actions go() and set(bit<8>).
TABLES = [
    "key = { x: exact; } actions = { go; }",
    "key = { x.a: almost; } actions = { go; }",
    "actions = { 3; }",
    "actions = { x; }",
    "actions = { go; go; }",
    "actions = { go(1); }",
    "actions = { in_(); }",
    "actions = { in_(true); }",
    "actions = { out_(1); }",
    "actions = { nothing; }",
    "actions = { go; } default_action = 3;",
    "actions = { go; } default_action = x;",
    "actions = { go; } default_action = set(1);",
    "actions = { set; } default_action = set;",
    "actions = { set; } default_action = nothing;",
    "actions = { in_(x.a); } default_action = in_(1);",
    "actions = { go; } size = -1;",
    "actions = { go; } size = x.a;",
    "actions = { go; } priority_delta = 0;",
    "actions = { go; } largest_priority_wins = 1;",
    "key = { x.a: ternary; } actions = { @defaultonly go; } entries = { 1: go; }",
    "key = { x.a: optional; } actions = { go; } entries = { 1 &&& 1: go; }",
    "key = { x.a: exact; } actions = { go; } entries = { x.a: go; }",
    "key = { x.a: exact; } actions = { go; } entries = { (1, 2): go; }",
    "key = { x.a: exact; } actions = { go; } entries = { true: go; }",
    "key = { x.a: ternary; } actions = { go; } entries = { priority = x.a: 1: go; }",
    "key = { x.a + 1: exact; } actions = { go; }",
    "key = { x.a: exact; }",
    "actions = { go; } entries = { 1: go; }",
    "key = { x.a: ternary; } actions = { go; } "
    "entries = { priority = 3: 1: go; priority = 3: 2: go; priority = 4: 3: go; }",
]
TABLE = (
    "control c(inout h x) {{ action go() {{ }} action set(bit<8> v) {{ x.a = v; }} "
    "action in_(in bit<8> v) {{ x.a = v; }} action out_(out bit<8> v) {{ v = 1; }} table t {{ {} }} "
    "apply {{ switch (t.apply().action_run) {{ {} }} }} }}"
)
SWITCHES = ["3: { }", "nothing: { }", "go: { } go: { }", "default: { } go: { }"]
CHECKED = [
    *DECLARATIONS,
    *(TABLE.format(properties, "") for properties in TABLES),
    *(TABLE.format("actions = { go; NoAction; } default_action = go;", cases) for cases in SWITCHES),
]


def ingress(body: str, locals_: str = "", before: str = "") -> str:
    return with_ingress(body, locals_, before)


def compute(body: str, before: str = "") -> str:
    """A program whose control for checksums is computed by the body."""
    empty = "control compute_c(inout headers_t hdr, inout meta_t meta) { apply { } }"
    assert empty in HEAD
    head = HEAD.replace(empty, f"{before}control compute_c(inout headers_t hdr, inout meta_t meta) {{ {body} }}")
    return with_ingress("").replace(HEAD, head)


def replaced(old: str, new: str, text: str = "") -> str:
    text = text or with_ingress("")
    assert old in text
    return text.replace(old, new)


def sub_control(body: str) -> str:
    """A program with a control that knows only as an instance what its constructor's n is: 9."""
    before = f"control sub_c(inout headers_t hdr, inout meta_t meta)(int n) {{ apply {{ {body} }} }}"
    return with_ingress("sub.apply(hdr, meta);", "sub_c(9) sub;", before)


NESTED = "bit<8> f0(in bit<8> a) { bit<8> b = a; return b; }\n" + "".join(
    f"bit<8> f{i + 1}(in bit<8> a) {{ bit<8> b = f{i}(a); return b; }}\n" for i in range(120)
)
PURE = "@pure extern bit<8> pure_();"
UNIONS = replaced("h_t[3] st; }", "h_t[3] st; u_t[2] us; }", with_ingress("hdr.us[meta.x].a.b = 1;"))

PARSE = "packet.extract(hdr.h); transition accept;"
DEPARSE = "packet.emit(hdr);"
KEYED = "table t {{ key = {{ hdr.h.a: {}; }} actions = {{ NoAction; }} const entries = {{ {}: NoAction(); }} }}"

# Whole programs: what the passes behind the checker say.
PROGRAMS = [
    HEAD,
    HEAD + "extern X { X(); } X() main;",
    HEAD + "control alone(); control mine() { apply { } } package Q(alone a); Q(mine()) main;",
    replaced("struct meta_t { bit<8> x; bit<16> y; bool flag; }", "header meta_t { bit<8> x; }"),
    # Checksums and the deparser
    compute("apply { hdr.h.a = 1; }"),
    compute("apply { verify_checksum(true, { hdr.h.a }, hdr.h.c, HashAlgorithm.csum16); }"),
    compute("apply { update_checksum(true, { hdr.h.a }, hdr.h.c[7:0], HashAlgorithm.csum16); }"),
    compute("apply { update_checksum(true, { hdr.h.a + 1 }, hdr.h.c, HashAlgorithm.csum16); }"),
    compute("HashAlgorithm how = HashAlgorithm.crc16; apply { update_checksum(true, { hdr.h.a }, hdr.h.c, how); }"),
    replaced(DEPARSE, "if (hdr.h.isValid()) { packet.emit(hdr); }"),
    replaced(DEPARSE, "packet.emit(hdr.h.isValid() ? hdr.h : hdr.g);"),
    replaced(DEPARSE, "packet.emit(hdr.h.a);"),
    # Headers
    replaced("header h_t { bit<8> a;", "header h_t { bit<7> a;"),
    ingress("two_t x; x.setValid();", before="header two_t { varbit<8> a; varbit<8> b; }"),
    ingress("wide_t w; w.setValid();", before="header wide_t { bit<40000> a; bit<40000> b; }"),
    ingress("bit<40000> a = 1; bit<40000> b = a + 1; hdr.h.a = (bit<8>) b;"),
    # Parsers
    replaced(PARSE, "transition select(hdr) { default: accept; }"),
    replaced(PARSE, f"transition select(hdr.h.c, hdr.h.c, hdr.h.c) {{ ({', '.join(['1 .. 65534'] * 3)}): accept; }}"),
    replaced(PARSE, "hdr.st.next.setValid(); transition accept;"),
    replaced(PARSE, "transition select(hdr.h.a) { 9 .. 3: accept; }"),
    replaced(PARSE, "bit<32> n = packet.length(); transition accept;"),
    replaced(PARSE, "verify_checksum(true, { hdr.h.a }, hdr.h.c, HashAlgorithm.csum16); transition accept;"),
    # Tables
    ingress("t.apply();", KEYED.format("ternary", "1 .. 3")),
    ingress("t.apply();", KEYED.format("range", "1 &&& 3")),
    ingress("t.apply();", KEYED.format("lpm", "1 &&& 5")),
    ingress("t.apply();", KEYED.format("exact", "_")),
    ingress("t.apply();", KEYED.format("range", "9 .. 3")),
    ingress("t.apply();", KEYED.format("lpm", "0x10 &&& 0xF0: NoAction(); 0x1F &&& 0xF0")),
    ingress(
        "t.apply();",
        "action_profile(4) p; table t { key = { hdr.h.a: exact; } actions = { NoAction; } implementation = p; "
        "entries = { 1: NoAction(); } }",
    ),
    ingress(
        "t.apply();",
        "action_selector(HashAlgorithm.crc16, 4, 4) p; "
        "table t { key = { hdr.h.a: exact; } actions = { NoAction; } implementation = p; }",
    ),
    ingress(
        "sub.apply(one); sub.apply(two);",
        "counter(4, CounterType.packets) one; counter(4, CounterType.packets) two; sub_c() sub;",
        "control sub_c(counter c) { table t { actions = { NoAction; } } apply { t.apply(); c.count(1); } }",
    ),
    ingress("t.apply();", "table t { key = { hdr.h.a: lpm; hdr.h.b: lpm; } actions = { NoAction; } }"),
    ingress("t.apply();", "table t { actions = { NoAction; } color = 3; }"),
    ingress("t.apply();", "table t { actions = { NoAction; } support_timeout = hdr.h.a == 1; }"),
    ingress("t.apply();", "register<bit<8>>(4) r; table t { actions = { NoAction; } implementation = r; }"),
    ingress("t.apply();", "action a(bit<0> n) { } table t { key = { hdr.h.a: exact; } actions = { a; } }"),
    ingress(
        "t.apply(); u.apply();",
        "action_selector(HashAlgorithm.crc16, 4, 4) p; "
        "table t { key = { hdr.h.a: exact; hdr.h.b: selector; } actions = { NoAction; } implementation = p; } "
        "table u { key = { hdr.h.a: exact; hdr.h.c: selector; } actions = { NoAction; } implementation = p; }",
    ),
    ingress(
        "t.apply(); u.apply();",
        "direct_counter(CounterType.packets) c; table t { actions = { NoAction; } counters = c; } "
        "table u { actions = { NoAction; } counters = c; }",
    ),
    ingress(
        "t.apply();",
        "direct_meter<bit<2>>(MeterType.packets) m; table t { actions = { NoAction; } meters = m; }",
    ),
    ingress(
        "t.apply();",
        "direct_meter<bit<8>>(MeterType.packets) m; action a() { m.read(hdr.h.a); } action b() { m.read(hdr.h.b); } "
        "table t { key = { hdr.h.c: exact; } actions = { a; b; } meters = m; default_action = a; }",
    ),
    ingress(
        "t.apply(); u.apply();",
        'table t { actions = { NoAction; } } @name("t") table u { actions = { NoAction; } }',
    ),
    ingress(
        "t.apply(); u.apply();",
        '@name("x") action a() { hdr.h.a = 1; } @name("x") action b() { hdr.h.b = 1; } '
        "table t { actions = { a; } default_action = a; } table u { actions = { b; } default_action = b; }",
    ),
    ingress("if (meta.flag) { t.apply(); hdr.h.a = 1; } else { t.apply(); }", "table t { actions = { NoAction; } }"),
    ingress("for (bit<8> i in 8w0 .. hdr.h.a) { t.apply(); }", "table t { actions = { NoAction; } }"),
    # Externs
    ingress("verify_checksum(true, { hdr.h.a }, hdr.h.c, HashAlgorithm.csum16);"),
    ingress("hash(hdr.h.c, HashAlgorithm.crc16, 16w0, { hdr.h.a }, hdr.h);"),
    ingress("hash(hdr.h, HashAlgorithm.crc16, 16w0, { hdr.h.a }, 16w9);"),
    ingress("HashAlgorithm how; how = HashAlgorithm.crc16; hash(hdr.h.c, how, 16w0, { hdr.h.a }, 16w9);"),
    ingress("headers_t all; own(all);", before="extern void own<T>(in T a);"),
    ingress("hdr.h.a = own();", before="extern bit<8> own();"),
    ingress("CloneType how; how = CloneType.I2E; clone(how, 1);"),
    ingress("clone(CloneType.E2E, 1);"),
    ingress("recirculate_preserving_field_list(1);"),
    ingress("clone_preserving_field_list(CloneType.I2E, 1, 7);"),
    ingress("r.read(hdr.h.a, 1);", "register<bit<8>>(0) r;"),
    ingress("r.read(meta, 1);", "register<meta_t>(4) r;"),
    ingress("c.count(1);", "counter(0xFFFFFFFF, CounterType.packets) c;"),
    ingress("", "V1Switch(p(), verify_c(), ingress_c(), egress_c(), compute_c(), deparse_c()) again;"),
    # Expressions and calls of the middle layer
    ingress("bit<8>[4] x; x[meta.x] = 1;"),
    ingress("one_t[4] x; one_t y = x[meta.x];", before="struct one_t { bit<8> a; }"),
    ingress("list<bit<8>> x = { 1 };"),
    ingress("own(hdr.st[meta.x]);", before="extern void own<T>(in T a);"),
    ingress("", before="bit<8> f(in bit<8> x) { return f(x); }"),
    ingress("hdr.h.a = f120(hdr.h.a);", before=NESTED),
    ingress("hdr.h.a = pure_();", before=PURE),
    ingress("", "bit<8> x = pure_();", before=PURE),
    ingress("", "register<bit<8>>((bit<32>) pure_()) r;", before=PURE),
    sub_control("static_assert(n == 4);"),
    sub_control("hdr.st[n].a = 1;"),
    sub_control("bit<8>[4] x; x[n] = 1;"),
    sub_control("hdr.h.a = hdr.h.a / (8w0 + (bit<8>) (n - 9));"),
    sub_control("hdr.h.a = (bit<8>) (n / (n - 9));"),
    replaced("struct headers_t", "header_union u_t { h_t a; h_t b; }\nstruct headers_t", UNIONS),
    replaced(PARSE, "bit<8> k = 1; k = hdr.h.a; transition select(hdr.h.b) { k: accept; }"),
    ingress("for (bit<32> i in 32w0 .. 32w9999999) { hdr.h.a = 1; }"),
    ingress("hdr.h.a = hdr.h.a / (hdr.h.b & 0);"),
    ingress("static_assert(N == 4);", before="const bit<8> N = 3;"),
    ingress("hdr.st[meta.x].setValid(); hdr.st.push_front((int) meta.x);"),
]
