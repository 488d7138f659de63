"""Operations on constants, with P4's wrap-around (P4_16 specification, section 8.5 to 8.8)."""

from __future__ import annotations

from p4compiler.types import Bits, Type


class ConstantFault(Exception):
    """A constant expression has no value; the message says why."""


def wrap(value: int, type_: Type) -> int:
    """The value as the type holds it: modulo 2**width, two's complement if signed; unchanged for int."""
    if not isinstance(type_, Bits):
        return value
    value &= (1 << type_.width) - 1
    if type_.signed and type_.width and value >> (type_.width - 1):
        value -= 1 << type_.width
    return value


def saturate(value: int, type_: Bits) -> int:
    """The nearest value that the type holds."""
    if type_.signed:
        return max(-(1 << (type_.width - 1)), min((1 << (type_.width - 1)) - 1, value))
    return max(0, min((1 << type_.width) - 1, value))


def binary(operator: str, left: int, right: int, type_: Type) -> int:
    """left operator right in `type_`, the type of the result (for comparisons: of the operands)."""
    if operator in ("/", "%"):
        if right == 0:
            raise ConstantFault("division by zero")
        if left < 0 or right < 0:
            raise ConstantFault(f"'{operator}' is not defined for negative numbers")
        return wrap(left // right if operator == "/" else left % right, type_)
    if operator in ("<<", ">>"):
        if right < 0:
            raise ConstantFault("a shift by a negative number")
        width = type_.width if isinstance(type_, Bits) else None
        if operator == "<<":
            if width is not None and right >= width:
                return 0
            if right > 1 << 16:
                raise ConstantFault("this shift makes a number of more than 65,536 bits")
            return wrap(left << right, type_)
        return wrap(left >> min(right, 1 << 20), type_)
    if operator in ("|+|", "|-|"):
        assert isinstance(type_, Bits)
        return saturate(left + right if operator == "|+|" else left - right, type_)
    results = {
        "+": left + right,
        "-": left - right,
        "&": left & right,
        "|": left | right,
        "^": left ^ right,
    }
    if operator == "*":
        return wrap(left * right, type_)
    return wrap(results[operator], type_)


def compare(operator: str, left: int, right: int) -> bool:
    return {
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


def unary(operator: str, value: int, type_: Type) -> int:
    if operator == "-":
        return wrap(-value, type_)
    if operator == "~":
        return wrap(~value, type_)
    return value


def concatenate(left: int, left_width: int, right: int, right_width: int) -> int:
    """The bits of left followed by those of right, unsigned."""
    return (left & ((1 << left_width) - 1)) << right_width | (right & ((1 << right_width) - 1))


def bit_slice(value: int, high: int, low: int) -> int:
    return (value >> low) & ((1 << (high - low + 1)) - 1)
