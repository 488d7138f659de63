"""Numbers of an expression as nodes that know the range their value can have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p4switch.codegen.layout import Place, limbs
from p4switch.errors import ProgramError

U64 = (1 << 64) - 1
MOST_BITS = 8192
"""Intermediate values beyond this many bits keep their low bits only."""


@dataclass(frozen=True)
class Const:
    value: int

    @property
    def low(self) -> int:
        return self.value

    @property
    def high(self) -> int:
        return self.value


@dataclass(frozen=True)
class Load:
    """The value of a field or parameter."""

    place: Place

    @property
    def low(self) -> int:
        return -(1 << (self.place.width - 1)) if self.place.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.place.width - (1 if self.place.signed else 0))) - 1


@dataclass(frozen=True)
class Operation:
    """`operator` with its operands, and the range of its value."""

    operator: str
    operands: tuple[Node, ...]
    low: int
    high: int


@dataclass(frozen=True)
class Choice:
    condition: str
    left: Node
    right: Node
    low: int
    high: int


@dataclass(frozen=True)
class Code:
    """A C expression of type uint64_t (or int64_t where `low` < 0)."""

    code: str
    low: int
    high: int


Node = Const | Load | Operation | Choice | Code


@dataclass(frozen=True)
class Bool:
    code: str


def literal(value: int) -> str:
    value &= U64
    if value < 10:
        return str(value)
    return hex(value) + ("ULL" if value > 0x7FFFFFFF else "")


def signed_bits(value: int) -> int:
    """Bits of a two's complement number."""
    return (value if value >= 0 else ~value).bit_length() + 1


def fill(value: int) -> int:
    return (1 << value.bit_length()) - 1


def words_literal(value: int, count: int) -> str:
    return "{" + ", ".join(literal(value >> (64 * i)) for i in range(count)) + "}"


def operands(node: Node) -> tuple[Node, ...]:
    return node.operands if isinstance(node, Operation) else ()


def fits_signed(low: int, high: int) -> bool:
    return low >= -(1 << 63) and high < 1 << 63


def fits_word(node: Node) -> bool:
    return (node.low >= 0 and node.high <= U64) or fits_signed(node.low, node.high)


def wide_limbs(low: int, high: int) -> int:
    return limbs(max(signed_bits(low), signed_bits(high)))


def cast_width(node: Operation) -> int:
    width = node.operands[1]
    if not isinstance(width, Const) or not 1 <= width.value <= MOST_BITS:
        raise ProgramError(f"{node.operator} needs a constant width")
    return width.value


def value_range(op: str, a: Node, b: Node) -> tuple[int, int]:
    """(least, greatest) value of a binary operation, computed without a limit."""
    if op in _CASTS:
        return _cast_range(op, b)
    if op not in _RANGES:
        raise ProgramError(f"operator {op} is not supported")
    return _RANGES[op](a, b)


def _sum(a: Node, b: Node) -> tuple[int, int]:
    return a.low + b.low, a.high + b.high


def _difference(a: Node, b: Node) -> tuple[int, int]:
    return a.low - b.high, a.high - b.low


def _product(a: Node, b: Node) -> tuple[int, int]:
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return min(corners), max(corners)


def _left_shift(a: Node, b: Node) -> tuple[int, int]:
    most = min(max(b.high, 0), MOST_BITS)
    corners = [a.low << most, a.high << most, a.low, a.high, 0]
    return min(corners), max(corners)


def _right_shift(a: Node, b: Node) -> tuple[int, int]:
    least = min(max(b.low, 0), MOST_BITS)
    return (0, a.high >> least) if a.low >= 0 else (min(a.low, 0), max(a.high, 0))


def _quotient(a: Node, _: Node) -> tuple[int, int]:
    return min(0, a.low), max(a.high, 0)


def _remainder(a: Node, b: Node) -> tuple[int, int]:
    return 0, max(min(a.high, b.high), 0)


def _and(a: Node, b: Node) -> tuple[int, int]:
    if a.low >= 0 and b.low >= 0:
        return 0, min(a.high, b.high)
    if a.low >= 0 or b.low >= 0:
        return 0, a.high if a.low >= 0 else b.high
    return _or(a, b)


def _or(a: Node, b: Node) -> tuple[int, int]:
    if a.low >= 0 and b.low >= 0:
        return 0, fill(max(a.high, b.high))
    most = max(signed_bits(v) for v in (a.low, a.high, b.low, b.high))
    return -(1 << (most - 1)), (1 << (most - 1)) - 1


def _cast_range(op: str, width: Node) -> tuple[int, int]:
    if not isinstance(width, Const) or not 1 <= width.value <= MOST_BITS:
        raise ProgramError(f"{op} needs a constant width")
    if op == "usat_cast":
        return 0, (1 << width.value) - 1
    return -(1 << (width.value - 1)), (1 << (width.value - 1)) - 1


_CASTS = ("two_comp_mod", "sat_cast", "usat_cast")
_RANGES: dict[str, Callable[[Node, Node], tuple[int, int]]] = {
    "+": _sum,
    "-": _difference,
    "*": _product,
    "<<": _left_shift,
    ">>": _right_shift,
    "/": _quotient,
    "%": _remainder,
    "&": _and,
    "|": _or,
    "^": _or,
}
