"""Integer expressions of #if and #elif, evaluated by precedence climbing."""

from __future__ import annotations

from collections.abc import Callable

from p4compiler.source import Diagnostics, Location
from p4compiler.syntax.lexer import Kind, Token, describe, parse_number

_LEVELS: dict[str, int] = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7, ">=": 7,
    "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "||": lambda a, b: int(bool(a) or bool(b)),
    "&&": lambda a, b: int(bool(a) and bool(b)),
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "&": lambda a, b: a & b,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "<<": lambda a, b: a << min(b, 64),
    ">>": lambda a, b: a >> b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: 0 if b == 0 else int(a / b),
    "%": lambda a, b: 0 if b == 0 else a - b * int(a / b),
}


class _Bad(Exception):
    def __init__(self, message: str, loc: Location) -> None:
        super().__init__(message)
        self.loc = loc


class _Evaluator:
    def __init__(self, tokens: list[Token], loc: Location) -> None:
        self.tokens = tokens
        self.index = 0
        self.loc = loc

    def peek(self) -> str:
        return self.tokens[self.index].text if self.index < len(self.tokens) else ""

    def ternary(self) -> int:
        condition = self.binary(1)
        if self.peek() != "?":
            return condition
        self.index += 1
        yes = self.ternary()
        self.expect(":")
        no = self.ternary()
        return yes if condition else no

    def binary(self, level: int) -> int:
        left = self.unary()
        while _LEVELS.get(self.peek(), 0) >= level:
            operator = self.peek()
            self.index += 1
            right = self.binary(_LEVELS[operator] + 1)
            if operator in ("<<", ">>") and right < 0:
                raise _Bad("negative shift in a condition", self.loc)
            left = _OPERATIONS[operator](left, right)
        return left

    def unary(self) -> int:
        if self.index >= len(self.tokens):
            raise _Bad("expected an expression at the end of this condition", self.loc)
        token = self.tokens[self.index]
        self.index += 1
        if token.text in ("!", "-", "+", "~"):
            value = self.unary()
            return {"!": int(not value), "-": -value, "+": value, "~": ~value}[token.text]
        if token.text == "(":
            value = self.ternary()
            self.expect(")")
            return value
        if token.kind is Kind.INT:
            return parse_number(token.text)[0]
        if token.kind in (Kind.NAME, Kind.KEYWORD):
            return int(token.text == "true")  # As in C: a name that is no macro counts as 0.
        raise _Bad(f"expected a number or a name in this condition, found {describe(token)}", token.loc)

    def expect(self, text: str) -> None:
        if self.peek() != text:
            raise _Bad(f"expected '{text}' in this condition", self.loc)
        self.index += 1


def evaluate_condition(tokens: list[Token], loc: Location, diagnostics: Diagnostics) -> bool:
    """Whether a condition with its macros expanded holds; False after an error."""
    evaluator = _Evaluator(tokens, loc)
    try:
        value = evaluator.ternary()
        if evaluator.index < len(tokens):
            raise _Bad(f"unexpected {describe(tokens[evaluator.index])} in this condition", loc)
    except _Bad as error:
        diagnostics.error(str(error), error.loc)
        return False
    return value != 0
