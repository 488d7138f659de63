"""Expressions in C give what infinite precision gives, at every width: random trees against Python."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from p4switch.codegen.text import opposite
from p4switch.pipeline.pipeline import Pipeline, ProgramError
from tests.p4switch.bmv2json import Json, Programs, assign, fld, hexstr, op, send_to

FIELDS = {
    "a": 8,
    "b": 32,
    "c": 64,
    "d": 64,
    "e": 3,
    "f": 5,
    "w": 128,
    "v": 200,
    "s": -8,
    "t": -64,
    "u": -128,
}
"""Of the header that comes in; negative: signed."""


def read(values: dict[str, int], name: str) -> int:
    width, value = FIELDS[name], values[name]
    if width < 0 and value >> (-width - 1):
        return value - (1 << -width)
    return value


def evaluate(item: Any, values: dict[str, int]) -> int:
    """What BMv2 computes: integers of any size."""
    if item["type"] == "field":
        return read(values, item["value"][1])
    if item["type"] == "hexstr":
        return int(item["value"], 16)
    tree = item["value"]
    name = tree["op"]
    if name == "?":
        return evaluate(tree["left"] if evaluate(tree["cond"], values) else tree["right"], values)
    b = evaluate(tree["right"], values)
    if name == "~":
        return ~b
    if name in ("d2b", "b2d"):
        return int(b != 0)
    if name == "not":
        return int(not b)
    a = evaluate(tree["left"], values)
    return calculate(name, a, b)


def calculate(name: str, a: int, b: int) -> int:
    if name == "two_comp_mod":
        low = a & ((1 << b) - 1)
        return low - (1 << b) if low >> (b - 1) else low
    if name == "usat_cast":
        return max(0, min(a, (1 << b) - 1))
    if name == "sat_cast":
        return max(-(1 << (b - 1)), min(a, (1 << (b - 1)) - 1))
    if name == "/":
        return a // b if b else 0
    if name == "%":
        return a % b if b else 0
    simple = {
        "+": a + b,
        "-": a - b,
        "*": a * b,
        "&": a & b,
        "|": a | b,
        "^": a ^ b,
        "==": int(a == b),
        "!=": int(a != b),
        "<": int(a < b),
        "<=": int(a <= b),
        ">": int(a > b),
        ">=": int(a >= b),
        "and": int(bool(a) and bool(b)),
        "or": int(bool(a) or bool(b)),
    }
    if name in simple:
        return simple[name]
    return a << min(b, 8192) if name == "<<" else a >> min(b, 8192)


class Trees:
    """Random expressions of the forms that compilers write."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def number(self, depth: int) -> Json:
        r = self.random
        if depth == 0 or r.random() < 0.15:
            if r.random() < 0.3:
                return hexstr(
                    r.choice([0, 1, 7, 0xFF, 1 << 31, (1 << 64) - 1, 1 << 100, -1, -200, r.getrandbits(40)])
                )
            return fld("h", r.choice(list(FIELDS)))
        kind = r.random()
        if kind < 0.35:
            return op(r.choice("+-*&|^"), self.number(depth - 1), self.number(depth - 1))
        if kind < 0.5:
            width = r.choice([1, 8, 13, 32, 63, 64, 65, 128, 200])
            return op("&", self.number(depth - 1), (1 << width) - 1)
        if kind < 0.6:
            amount: Json | int = r.choice([0, 1, 7, 31, 32, 63, 64, 65, 130]) if r.random() < 0.7 else fld("h", "a")
            return op(r.choice(["<<", ">>"]), self.number(depth - 1), amount)
        if kind < 0.68:
            return op("~", None, self.number(depth - 1))
        if kind < 0.8:
            cast = r.choice(["two_comp_mod", "usat_cast", "sat_cast"])
            return op(cast, self.number(depth - 1), r.choice([2, 8, 16, 63, 64, 65, 128, 200]))
        if kind < 0.85:
            positive = [op("&", self.number(depth - 1), (1 << w) - 1) for w in (r.choice([8, 64, 128]), 9)]
            return op(r.choice("/%"), *positive)
        if kind < 0.92:
            return op("b2d", None, self.condition(depth - 1))
        return op("?", self.number(depth - 1), self.number(depth - 1), cond=self.condition(depth - 1))

    def condition(self, depth: int) -> Json:
        r = self.random
        kind = r.random()
        if depth <= 0 or kind < 0.6:
            compare = r.choice(["==", "!=", "<", "<=", ">", ">="])
            return op(compare, self.number(max(depth - 1, 0)), self.number(max(depth - 1, 0)))
        if kind < 0.75:
            return op("d2b", None, self.number(depth - 1))
        if kind < 0.85:
            return op("not", None, self.condition(depth - 1))
        return op(r.choice(["and", "or"]), self.condition(depth - 1), self.condition(depth - 1))


OUT_WIDTHS = (8, 13, 64, 128, 224, -8, -64, -128)


@pytest.mark.parametrize("seed", range(4))
def test_random_expressions(seed: int, build_cache: Path) -> None:
    trees = Trees(seed)
    program = Programs(parse=["h"])
    program.header("h", FIELDS)
    cases = [(f"o{i}", trees.random.choice(OUT_WIDTHS), trees.number(4)) for i in range(60)]
    widths: dict[str, int | str] = {name: width for name, width, _ in cases}
    widths["fill"] = -sum(abs(w) for _, w, _ in cases) % 8 or 8
    program.header("o", widths)
    program.emit = ["o"]
    program.run(send_to(1), {"op": "add_header", "parameters": [{"type": "header", "value": "o"}]})
    for name, _, tree in cases:
        program.run(assign(("o", name), tree))
    bits = sum(abs(w) for w in FIELDS.values())
    with Pipeline.load(program.json(), cache=build_cache) as pipeline:
        for _ in range(30):
            values = {
                name: trees.random.choice([trees.random.getrandbits(abs(w)), 0, (1 << abs(w)) - 1, 1 << (abs(w) - 1)])
                for name, w in FIELDS.items()
            }
            packed = 0
            for name, width in FIELDS.items():
                packed = packed << abs(width) | values[name]
            (_, frame), *_ = pipeline.step(0, packed.to_bytes(bits // 8, "big"), 0).packets
            got, left = int.from_bytes(frame, "big"), len(frame) * 8
            for name, width, tree in cases:
                left -= abs(width)
                mask = (1 << abs(width)) - 1
                assert got >> left & mask == evaluate(tree, values) & mask, (name, width, tree, values)


def test_a_number_where_a_header_is_expected_is_refused(build_cache: Path) -> None:
    program = Programs(parse=["h"])
    program.header("h", {"a": 8})
    program.run(assign(("h", "a"), {"type": "header", "value": "h"}))
    with pytest.raises(ProgramError, match="act_0"):
        Pipeline.load(program.json(), cache=build_cache)


@pytest.mark.parametrize(
    ("condition", "negation"),
    [
        ("p->h.valid", "!p->h.valid"),
        ("!p->h.valid", "p->h.valid"),
        ("!(p->h.valid)", "p->h.valid"),
        ("(p->h.a == 1)", "(p->h.a != 1)"),
        ("(p->h.a != p->h.b)", "(p->h.a == p->h.b)"),
        ("(p->h.a < 1)", "!(p->h.a < 1)"),
        ("!(p->h.a < 1)", "(p->h.a < 1)"),
        ("(a && b) || (c && d)", "!((a && b) || (c && d))"),
        ("!(a && b) || (c && d)", "!(!(a && b) || (c && d))"),
        ("!p4w_zero(w, 2)", "p4w_zero(w, 2)"),
        ("p4w_zero(w, 2)", "!p4w_zero(w, 2)"),
        ("((a == 1) && (b == 1))", "!((a == 1) && (b == 1))"),
    ],
)
def test_a_negation_takes_a_negation_away(condition: str, negation: str) -> None:
    assert opposite(condition) == negation
