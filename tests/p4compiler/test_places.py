"""No message of the compiler is without a place: file, line, column, the line itself and a caret.

What the compiler can say is taken from its code: each place that reports something or raises a fault. The programs
of `mistakes`, `test_rules` and `test_diagnostics` bring it to say all of that, but for what is listed here, with why.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from p4compiler import arithmetic
from p4compiler.check import types as check_types
from p4compiler.compile import compile_text
from p4compiler.source import CompileFailed, Diagnostic, Diagnostics, Fault
from p4compiler.syntax import conditions
from p4compiler.syntax import expressions as parse_expressions
from tests.p4compiler import test_diagnostics, test_rules
from tests.p4compiler.mistakes import CHECKED, PROGRAMS, TEXTS, ingress

COMPILER = Path(arithmetic.__file__).parent
REPORTS = frozenset({"error", "warning", "fault"})
FAULTS = frozenset({"Fault", "SyntaxFault", "_Bad", "ConstantFault"})
# The fourth of these is raised with text alone; who does the operation adds the place of the expression.
PLACED = frozenset({"error", "warning", "Fault", "SyntaxFault", "_Bad"})

MACHINE = "about the machine or the command line, not about a place in the program; it names the file"
CHECKED_BEFORE = "the checker lets nothing through that this could be said of; for what it may overlook"
PARSED_BEFORE = "the parser knows the types and has said it"
NO_SUCH_STATEMENT = "no pass makes such a statement; for what a change may overlook"

NOT_REACHED = {
    "options: --p4runtime-files {}: the suffix must be one of {}": MACHINE,
    "options: --wireshark-with goes with --wireshark": MACHINE,
    "options: -D {}: expected NAME or NAME=VALUE": MACHINE,
    "check/types: '{}' is not a type": PARSED_BEFORE,
    "check/types: type '{}' is not declared": PARSED_BEFORE,
    "bmv2/checksums: the checksum must be a field of a header or of metadata": CHECKED_BEFORE,
    "bmv2/controls: this statement is not supported in a control": NO_SUCH_STATEMENT,
    "elaborate/program: a parser cannot select on this": CHECKED_BEFORE,
    "elaborate/program: the size of a value set must be known at compile time": CHECKED_BEFORE,
    "elaborate/program: this case does not fit the keys": CHECKED_BEFORE,
    "elaborate/calls: '{}' must be known at compile time": CHECKED_BEFORE,
    "elaborate/calls: only one package, 'main', can be instantiated": "nothing makes a second package be looked at",
    "elaborate/calls: the argument of {} must be known at compile time": CHECKED_BEFORE,
    "elaborate/calls: the condition of static_assert must be known at compile time": CHECKED_BEFORE,
    "elaborate/calls: this call is not understood": CHECKED_BEFORE,
    "elaborate/calls: this object is not known at compile time": CHECKED_BEFORE,
    "elaborate/expressions: '{}' has no value here": CHECKED_BEFORE,
    "elaborate/expressions: '{}' is not supported for these values": CHECKED_BEFORE,
    "elaborate/expressions: action_run can only be used in switch": CHECKED_BEFORE,
    "elaborate/expressions: bits of this cannot be written": CHECKED_BEFORE,
    "elaborate/expressions: expected a simple value": CHECKED_BEFORE,
    "elaborate/expressions: the bounds of a slice must be known at compile time": CHECKED_BEFORE,
    "elaborate/expressions: this call returns nothing": CHECKED_BEFORE,
    "elaborate/expressions: this has no value": CHECKED_BEFORE,
    "elaborate/expressions: this type's member has no value": CHECKED_BEFORE,
    "elaborate/statements: a loop cannot go over this": CHECKED_BEFORE,
    "elaborate/tables: arguments of actions must be known at compile time": CHECKED_BEFORE,
    "elaborate/tables: the size of a table must be known at compile time": CHECKED_BEFORE,
    'elaborate/tables: this key needs a name: add @name("...")': CHECKED_BEFORE,
    "elaborate/values: '.{}' is not supported here": CHECKED_BEFORE,
    "elaborate/values: these cannot be compared": CHECKED_BEFORE,
    "elaborate/values: this cannot be assigned to": CHECKED_BEFORE,
    "elaborate/values: this cannot be indexed": CHECKED_BEFORE,
    "elaborate/values: this has no validity": CHECKED_BEFORE,
    "elaborate/values: this is not supported for an element of a stack": CHECKED_BEFORE,
    "elaborate/values: this value cannot be assigned to a header": CHECKED_BEFORE,
    "elaborate/values: this value cannot be assigned to a struct": CHECKED_BEFORE,
    "bmv2/expressions: an element chosen at run time is not supported here": CHECKED_BEFORE,
    "bmv2/expressions: this expression is not supported": CHECKED_BEFORE,
    "bmv2/externs: '{}.{}' cannot be called here": "v1model's objects have no other methods",
    "bmv2/externs: the index of a field list must be known at compile time": CHECKED_BEFORE,
    "bmv2/parsers: '{}' is not supported in a parser": "packet_in has no other method without a result",
    "bmv2/parsers: a packet is extracted into a header": CHECKED_BEFORE,
    "syntax/preprocessor: cannot read {}: {}": "it takes a file that may not be read",
    "syntax/preprocessor: includes are nested more than {} deep": "it takes a file; test_preprocessor has one",
    "bmv2/primitives: a jump leaves its action": NO_SUCH_STATEMENT,
    "bmv2/primitives: this statement is not supported here": NO_SUCH_STATEMENT,
}
"""What no program here makes the compiler say, and why."""


def template(node: ast.expr) -> str:
    """A message as the code makes it, with {} for what varies."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    if isinstance(node, ast.IfExp):
        return f"{template(node.body)} / {template(node.orelse)}"
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return f"<{ast.unparse(node)}>"


def sites(names: frozenset[str]) -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call of one of the names in the compiler: its file, the call, the name."""
    for path in sorted(COMPILER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in names:
                    yield path, node, name


def texts() -> list[str]:
    """All programs with mistakes."""
    front = "#include <core.p4>\n" + test_rules.HEADERS
    rules = [case[0] for case in cases(test_rules.test_forbidden)]
    new = [test_rules.NAMED + case[0] for case in cases(test_rules.test_what_a_new_type_does_not_have)]
    tables = [test_rules.TABLE.format(*case[:2]) for case in cases(test_rules.test_forbidden_in_tables)]
    bodies = [ingress(case[0]) for case in cases(test_diagnostics.test_checked_mistakes)]
    locals_ = [ingress("", case[0]) for case in cases(test_diagnostics.test_checked_declarations)]
    return [*TEXTS, *(front + one for one in (*CHECKED, *rules, *new, *tables)), *PROGRAMS, *bodies, *locals_]


def cases(test: Callable[..., None]) -> list[tuple[str, ...]]:
    """What a test is parametrized with."""
    (mark,) = (one for one in test.pytestmark if one.name == "parametrize")  # type: ignore[attr-defined]
    return list(mark.args[1])


Said = tuple[list[tuple[str, list[Diagnostic]]], set[tuple[str, int]]]


@pytest.fixture(scope="module")
def said() -> Iterator[Said]:
    """The diagnostics of every program, and the places in the code (file, line) that made them."""
    reached: set[tuple[str, int]] = set()

    def recorded(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **more: Any) -> Any:
            frame = sys._getframe(1)
            reached.add((frame.f_code.co_filename, frame.f_lineno))
            return original(*args, **more)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in [
            (Diagnostics, "error"),
            (Diagnostics, "warning"),
            (check_types.TypeChecks, "error"),
            (parse_expressions.ExpressionParser, "fault"),
            (Fault, "__init__"),
            (parse_expressions.SyntaxFault, "__init__"),
            (conditions._Bad, "__init__"),
            (arithmetic.ConstantFault, "__init__"),
        ]:
            patch.setattr(owner, name, recorded(getattr(owner, name)))
        found: list[tuple[str, list[Diagnostic]]] = []
        for text in texts():
            diagnostics = Diagnostics()
            with suppress(CompileFailed):
                compile_text(text, diagnostics, "t.p4")
            found.append((text, list(diagnostics)))
    yield found, reached


def test_every_message_has_its_place(said: Said) -> None:
    for text, diagnostics in said[0]:
        assert diagnostics, text
        for one in diagnostics:
            first, line, caret, *_ = one.render().splitlines()
            where = one.location
            assert first == f"{where.source.path}:{where.line}:{where.column}: {one.severity}: {one.message}"
            assert line == f"  {where.source.line(where.line)}" and set(caret) <= {" ", "\t", "^"} and "^" in caret
            assert 1 <= where.line <= where.source.text.count("\n") + 1


def test_the_programs_bring_the_compiler_to_say_all_that_it_can_say(said: Said) -> None:
    reached = said[1]
    silent = {
        f"{path.relative_to(COMPILER).with_suffix('')}: {template(node.args[0]) if node.args else ''}"
        for path, node, _ in sites(REPORTS | FAULTS)
        if not any((str(path), line) in reached for line in range(node.lineno, (node.end_lineno or 0) + 1))
    }
    assert sorted(silent) == sorted(NOT_REACHED)


def test_every_report_passes_a_place() -> None:
    """mypy sees to it that what reports get is one; a fault without one gets it where the statement is known."""
    without = [
        (path.parent.name, name)
        for path, node, name in sites(PLACED)
        if len(node.args) < 2 or (isinstance(node.args[1], ast.Constant) and node.args[1].value is None)
    ]
    assert set(without) <= {("bmv2", "Fault"), ("p4compiler", "error")}, without
