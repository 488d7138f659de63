from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.preprocessor import Preprocessor
from p4compiler.source import Diagnostics, Source
from tests.p4compiler.short import errors, tokens_of


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


def test_file_that_includes_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop.p4"
    path.write_text('#include "loop.p4"\n')
    diagnostics = Diagnostics()
    Preprocessor(diagnostics).run(path)
    assert errors(diagnostics) == ["includes are nested more than 64 deep"]
