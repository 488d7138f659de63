from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.source import Diagnostics, Source
from p4compiler.syntax.preprocessor import Preprocessor
from tests.p4compiler.short import errors, parse_text, tokens_of


def words(text: str, **options: object) -> str:
    tokens, diagnostics = tokens_of(text, **options)
    assert not diagnostics.error_count, errors(diagnostics)
    return " ".join(tokens)


def test_object_macro_and_undef() -> None:
    assert words("#define N 4\nN M\n#undef N\nN") == "4 M N"


def test_function_macro_with_nested_use() -> None:
    assert words("#define ADD(a, b) a + b\n#define TWO ADD(1, 1)\nADD(TWO, (2, 3))") == "1 + 1 + ( 2 , 3 )"


def test_function_macro_without_parenthesis_is_a_name() -> None:
    assert words("#define F(x) x\nF ; F(3)") == "F ; 3"


def test_recursive_macro_ends() -> None:
    assert words("#define A A + B\n#define B A\nA") == "A + A"


def test_object_macro_whose_body_begins_with_a_parenthesis() -> None:
    assert words("#define P (1)\nP") == "( 1 )"


def test_paste_and_stringify() -> None:
    assert words("#define JOIN(a, b) a##b\n#define STR(x) #x\nJOIN(et, h0) STR(a b)") == 'eth0 "a b"'


def test_continued_line_and_comments() -> None:
    assert words("#define LONG 1 \\\n  + 2 // three\nLONG /* and\nmore */ x") == "1 + 2 x"


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("1", True),
        ("0", False),
        ("defined(X)", True),
        ("defined Y", False),
        ("X == 3 && !defined(Y)", True),
        ("X > 3 || X < 2", False),
        ("(1 << 4) == 16", True),
        ("7 / 2 == 3 && 7 % 4 == 3", True),
        ("UNKNOWN", False),
        ("0x10 == 16 ? 1 : 0", True),
        ("~0 == -1", True),
    ],
)
def test_conditions(condition: str, taken: bool) -> None:
    assert words(f"#define X 3\n#if {condition}\nyes\n#else\nno\n#endif") == ("yes" if taken else "no")


def test_elif_takes_the_first_that_holds() -> None:
    text = "#if 0\na\n#elif 1\nb\n#elif 1\nc\n#else\nd\n#endif\ne"
    assert words(text) == "b e"


def test_skipped_sections_nest_and_hold_anything() -> None:
    text = '#ifdef NO\n#if 1\n#error never\nit\'s "open\n#else\nx\n#endif\n#include "missing"\n#else\ny\n#endif'
    assert words(text) == "y"


def test_defines_from_the_command_line() -> None:
    assert words("PORT\n#ifdef PORT\nset\n#endif", defines={"PORT": "16w26410"}) == "16w26410 set"


def test_include_guard_and_search(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "b.p4").write_text("#ifndef B\n#define B\nfrom_b\n#endif\n")
    (tmp_path / "a.p4").write_text('#include "b.p4"\nfrom_a\n')
    main = tmp_path / "main.p4"
    main.write_text('#include "a.p4"\n#include <b.p4>\nend\n')
    diagnostics = Diagnostics()
    preprocessor = Preprocessor(diagnostics, [tmp_path / "inc"])
    tokens = preprocessor.run(main)
    assert [t.text for t in tokens[:-1]] == ["from_b", "from_a", "end"]
    assert [p.name for p in preprocessor.included] == ["a.p4", "b.p4", "b.p4"]


def test_tokens_keep_their_positions_through_macros() -> None:
    diagnostics = Diagnostics()
    tokens = Preprocessor(diagnostics).run_source(Source("t.p4", "#define N 4\n\n  bit<N> x;"))
    four = next(t for t in tokens if t.text == "4")
    assert (four.loc.line, four.loc.column) == (3, 7)
    assert tokens[-2].loc.column == 11


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#if 1\n", "this condition has no #endif"),
        ("#else\n", "#else without #if"),
        ("#endif\n", "#endif without #if"),
        ("#if 1\n#else\n#else\n#endif", "#else after #else"),
        ("#error too old\n", "#error too old"),
        ("#frobnicate\n", "unknown preprocessor directive '#frobnicate'"),
        ("#define F(a, b) a\nF(1)", "macro 'F' takes 2 arguments, not 1"),
        ("#define F(a) a\nF(1", "the arguments of macro 'F' are never closed"),
        ("#if 1 +\n#endif", "expected an expression at the end of this condition"),
        ("#define", "#define needs a name"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    _, diagnostics = tokens_of(text)
    assert errors(diagnostics) == [message]


def test_missing_include_says_where_it_looked() -> None:
    _, diagnostics = tokens_of('#include "nowhere.p4"\nx')
    (message,) = errors(diagnostics)
    assert message.startswith("cannot find 'nowhere.p4'; looked in ")


def test_an_include_of_no_possible_name_is_missing() -> None:
    _, diagnostics = tokens_of('#include "' + "n" * 5000 + '"\nx')
    (message,) = errors(diagnostics)
    assert message.startswith("cannot find 'nnn")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """Editors on Windows write one before UTF-8; cpp skips it in each file."""
    (tmp_path / "inc.p4").write_bytes(b"\xef\xbb\xbfconst bit<8> A = 1;\n")
    (tmp_path / "prog.p4").write_bytes(b'\xef\xbb\xbf#include "inc.p4"\nconst bit<8> B = 2;\n')
    diagnostics = Diagnostics()
    tokens = Preprocessor(diagnostics).run(tmp_path / "prog.p4")
    assert " ".join(t.text for t in tokens[:-1]) == "const bit < 8 > A = 1 ; const bit < 8 > B = 2 ;"
    assert (tokens[0].loc.line, tokens[0].loc.column) == (1, 1)
    assert not diagnostics.items


def test_file_that_includes_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop.p4"
    path.write_text('#include "loop.p4"\n')
    diagnostics = Diagnostics()
    Preprocessor(diagnostics).run(path)
    assert errors(diagnostics) == ["includes are nested more than 64 deep"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('@a("x\n  y") b', '@ a ( "x\n  y" ) b'),
        ('"x\n#if 1\ny\n#else\nz "quote" z\n#endif\n  w" + 1', '"x\n\ny\n\n\n\n  w" + 1'),
        ('"x\n#define N 5\nN a.N b"; N', '"x\n\n5 a.5 b" ; 5'),
        ('#define F(a, b) b a\n"x\n  F((1, 2), y) F"', '"x\n  y ( 1 , 2 ) F"'),
        ('"x\n  y // don\'t\n /* z */ " // end', '"x\n  y // don\'t\n /* z */ "'),
        ('"x\n// y " z // w "\nv', '"x\n// y " z v'),
        # A quote with a backslash before it does not close, one with two does.
        ('"x\n a \\" b \\\\" c', '"x\n a \\" b \\\\" c'),
        # What looks like a string to cpp ends this one, and begins the next.
        ('"x\ny" + "z\nw"', '"x\ny" + "z\nw"'),
        ('"x\ny "z" w"\nv', '"x\ny " z " w" v'),
        ('#if 0\n"x\n#endif\n1', "1"),
        ('@pragma name "a\n#define N\nb" + "c\nd"\ne', '@ name ( "a\n\nb" + "c\nd" ) e'),
        ('"x # y\n # if 0\n"\n#endif\n"', '"x # y\n\n\n\n"'),
    ],
)
def test_directives_on_lines_inside_a_string_count(text: str, expected: str) -> None:
    """To cpp a string ends with its line."""
    assert words(text) == expected


def test_places_behind_a_long_string_stay_right() -> None:
    tokens = Preprocessor(Diagnostics()).run_source(Source("t.p4", '@a("x\n#if 1\n  y") b;\n c'))
    assert [(t.text, t.loc.line, t.loc.column) for t in tokens[-5:-1]] == [
        (")", 3, 5),
        ("b", 3, 7),
        (";", 3, 8),
        ("c", 4, 2),
    ]
    assert (tokens[3].loc.line, tokens[3].loc.column) == (1, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"x\n#include <core.p4>\n"', "a file cannot be included inside a string"),
        ('"x\n#if 1\n"', "this condition has no #endif"),
        ('"x\n#nonsense\n"', "unknown preprocessor directive '#nonsense'"),
    ],
)
def test_mistakes_inside_a_string(text: str, message: str) -> None:
    assert errors(tokens_of(text)[1]) == [message]


def test_a_string_without_end_is_one_mistake() -> None:
    _, diagnostics = parse_text('const string a = "x;\n#define N 1\nconst bit<8> b = N;\n')
    (only,) = diagnostics
    assert only.message == "expected an expression, found a string that is never closed"
    assert only.location is not None and (only.location.line, only.location.column) == (1, 18)
