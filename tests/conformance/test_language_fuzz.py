"""Random programs against the interpreter: a few of those of `make fuzz`, and that they would find a fault."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from conformance.fuzz import language
from conformance.fuzz.language import run
from conformance.fuzz.language import tree as g
from conformance.fuzz.language.generate import program
from conformance.fuzz.language.interpret import Env, Exited, Interpreter, Place
from conformance.fuzz.language.reduce import reduced
from conformance.fuzz.language.show import source
from conformance.fuzz.language.values import UNDEFINED, HeaderValue, Undefined, copy, new
from p4compiler.elaborate.arguments import Arguments, is_constant
from p4compiler.elaborate.statements import Statements
from p4compiler.elaborate.values import Values
from p4compiler.ir import nodes as ir
from p4compiler.syntax import tree as s

FOLDER = Path(language.__file__).parent


def test_programs_do_what_the_specification_says(tmp_path: Path) -> None:
    total = run.Total()
    assert [fault.text for fault in run.run(range(1, 41), tmp_path, total)] == []
    assert total.programs == 40
    assert total.packets > 150, "too few packets have a defined result"


def test_a_seed_is_always_the_same_program() -> None:
    assert run.text(5) == run.text(5) != run.text(6)
    assert program(5).packets == program(5).packets


@pytest.mark.parametrize("module", sorted(FOLDER.glob("*.py")), ids=lambda p: p.stem)
def test_the_interpreter_shares_no_code_with_compiler_or_switch(module: Path) -> None:
    if module.stem in ("compare", "run", "__main__", "reduce"):
        return
    for node in ast.walk(ast.parse(module.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.startswith("p4")]


# Faults that the compiler does not have


def not_saved(self: Values, place: ir.Value) -> ir.Value:
    return place


def never_copied(self: Arguments, given: list, number: int, by_name: bool) -> bool:  # type: ignore[type-arg]
    value = given[number].value
    return self.is_fixed(value) or (not given[number].is_written and is_constant(value))


def copied_in_reverse(self: Arguments, back: list) -> None:  # type: ignore[type-arg]
    for one in reversed(back):
        self.assign(one.place, one.copy)


def exit_without_copies(self: Statements, statement: s.Statement) -> None:
    if isinstance(statement, s.Exit):
        self.emit(ir.Exit(statement.loc))
    else:
        _statement(self, statement)


_statement = Statements._statement


@pytest.mark.parametrize(
    ("owner", "name", "fault", "seeds"),
    [
        (Values, "saved", not_saved, (50, 115)),
        (Arguments, "_is_direct", never_copied, (39, 56)),
        (Arguments, "copy_back", copied_in_reverse, (33, 39)),
        (Statements, "_statement", exit_without_copies, (30, 40)),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_planted_fault_is_found(
    owner: type, name: str, fault: object, seeds: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the generator has changed, other seeds find them: a hundred or two from 1 on are enough for each."""
    assert list(run.run(seeds, tmp_path, run.Total())) == []
    monkeypatch.setattr(owner, name, fault)
    found = list(run.run(seeds, tmp_path, run.Total()))
    assert [one.seed for one in found] == list(seeds)
    assert all(one.difference.frame is not None for one in found), "the program must still compile"
    assert run.command(seeds[0]) == f"python -m conformance language --first {seeds[0]} --seeds 1"


# The interpreter, by examples of the specification

B8 = g.Bit(8)
ROW = g.Header("row", (("z", B8),))
ROWS = g.Stack(ROW, 2)


def var(name: str, type_: g.Type = B8) -> g.Var:
    return g.Var(type_, name)


def number(value: int, type_: g.Type = B8) -> g.Literal:
    return g.Literal(type_, value)


def plus(left: g.Expr, right: g.Expr, operator: str = "+") -> g.Binary:
    return g.Binary(left.type, operator, left, right)


def interpreter(**variables: object) -> Interpreter:
    made = Interpreter(b"")
    made.env = Env(dict(variables))  # type: ignore[arg-type]
    return made


ADD = g.Function(
    "f",
    [g.Param("x", B8, "inout"), g.Param("y", B8, "in")],
    None,
    [g.Assign(var("x"), None, plus(var("x"), var("y")))],
)
BUMP = g.Function(
    "g",
    [g.Param("z", B8, "inout")],
    B8,
    [g.Assign(var("z"), None, plus(var("z"), number(1))), g.Return(var("z"))],
)


def test_arguments_are_saved_before_later_ones_change_them() -> None:
    """Section "Calling convention": f(a, g(a))."""
    run_ = interpreter(a=5)
    run_.block([g.CallStatement(g.Call(B8, ADD, g.Arguments([var("a"), g.Call(B8, BUMP, g.Arguments([var("a")]))])))])
    assert run_.env.variables["a"] == 11


def test_an_l_value_keeps_its_index() -> None:
    """Section "Calling convention": f(s[a].z, g(a))."""
    run_ = interpreter(a=0, s=new(ROWS))
    rows = var("s", ROWS)
    for at in (0, 1):
        run_.block([g.Assign(g.Element(ROW, rows, number(at)), None, g.Parts(ROW, [number(10 * at)], False))])
    element = g.Field(B8, g.Element(ROW, rows, var("a")), "z")
    call = g.Call(B8, ADD, g.Arguments([element, g.Call(B8, BUMP, g.Arguments([var("a")]))]))
    run_.block([g.CallStatement(call)])
    assert run_.value(rows) == copy(run_.env.variables["s"])
    values = [run_.value(g.Field(B8, g.Element(ROW, rows, number(at)), "z")) for at in (0, 1)]
    assert values == [1, 10] and run_.env.variables["a"] == 1


def test_exit_copies_back_through_all_callers() -> None:
    leave = g.Action("leave", [g.Param("q", B8, "inout")], [g.Assign(var("q"), None, number(7)), g.Exit()])
    inner = g.Control("inner", [g.Param("p", B8, "inout")], [], [], [leave], [], [])
    inner.body += [g.Run(leave, g.Arguments([var("p")])), g.Assign(var("p"), None, number(9))]
    run_ = interpreter(a=1, b=2)
    with pytest.raises(Exited):
        run_.block([g.Apply("i", inner, g.Arguments([var("a")])), g.Assign(var("b"), None, number(9))])
    assert run_.env.variables == {"a": 7, "b": 2}


def test_operators() -> None:
    run_ = interpreter()
    i8 = g.Int(8)
    assert run_.value(plus(number(250), number(10), "|+|")) == 255
    assert run_.value(plus(number(-100, i8), number(100, i8), "|-|")) == -128
    assert run_.value(plus(number(-5, i8), number(1), ">>")) == -3
    assert run_.value(plus(number(-5, i8), number(200), ">>")) == -1
    assert run_.value(plus(number(1), number(8), "<<")) == 0
    assert run_.value(g.Binary(g.Bit(16), "++", number(-1, i8), number(2))) == 0xFF02
    assert run_.value(g.Slice(g.Bit(4), number(-1, i8), 7, 4)) == 15
    assert run_.value(g.Cast(g.Int(16), number(-2, i8))) == -2
    assert run_.value(g.Cast(B8, number(-2, i8))) == 254


def test_what_is_undefined_is_not_decided() -> None:
    run_ = interpreter(h=new(ROW), s=new(ROWS))
    header = var("h", ROW)
    assert run_.value(g.Field(B8, header, "z")) is UNDEFINED
    assert run_.value(plus(g.Field(B8, header, "z"), number(1))) is UNDEFINED
    with pytest.raises(Undefined):
        run_.block([g.If(g.Binary(g.BOOL, "<", g.Field(B8, header, "z"), number(1)), [], [])])
    with pytest.raises(Undefined):
        run_.value(g.Element(ROW, var("s", ROWS), number(2)))
    before = copy(run_.env.variables["s"])
    run_.block([g.Assign(g.Element(ROW, var("s", ROWS), number(2)), None, g.Parts(ROW, [number(1)], False))])
    run_.block([g.Assign(g.Field(B8, header, "z"), None, number(1))])
    assert run_.env.variables["s"] == before and run_.value(header) == new(ROW)


def test_a_program_is_made_smaller_while_it_is_bad() -> None:
    whole = next(made for made in map(program, range(1, 50)) if "push_front" in source([made]))
    small = reduced(whole, lambda candidate: "push_front" in source([candidate]), 600)
    assert "push_front" in source([small])
    assert len(source([small])) < len(source([whole])) / 2


def test_a_union_keeps_nothing_of_the_member_that_was_valid_before() -> None:
    """Written or read, it is an invalid header: what is read of it is undefined."""
    narrow, wide = g.Header("narrow", (("f", g.Bit(8)),)), g.Header("wide", (("f", g.Bit(16)),))
    kind = g.Union_("either", (("a", narrow), ("b", wide)))
    union = new(kind)
    place = Place({"u": union}, "u", ["a"])
    place.put(HeaderValue(True, {"f": 7}))
    assert Place({"u": union}, "u", ["a", "f"]).get() == 7
    Place({"u": union}, "u", ["b"]).put(HeaderValue(True, {"f": 9}))
    Place({"u": union}, "u", ["a", "f"]).put(8)
    assert Place({"u": union}, "u", ["a", "f"]).get() is UNDEFINED
    assert Place({"u": union}, "u", ["b", "f"]).get() == 9
