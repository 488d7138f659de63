"""Names that the control plane sees for things that the program does not name."""

from __future__ import annotations

from p4compiler import syntax as s
from p4compiler.facts import Facts
from p4compiler.storage import control_plane_name


def key_name(expression: s.Expression, facts: Facts) -> str | None:
    """The name of a table key, from its expression; None if it needs an @name annotation."""
    if isinstance(expression, s.Name):
        declaration = facts.uses.get(expression)
        return expression.name if declaration is None else control_plane_name(declaration)
    if isinstance(expression, s.Member):
        base = key_name(expression.base, facts)
        return f"{base}.{expression.name}" if base is not None else None
    if isinstance(expression, s.Index):
        base, index = key_name(expression.base, facts), _constant(expression.index, facts)
        return f"{base}[{index}]" if base is not None and index is not None else None
    if isinstance(expression, s.Slice):
        base = key_name(expression.base, facts)
        high, low = _constant(expression.high, facts), _constant(expression.low, facts)
        return f"{base}[{high}:{low}]" if base is not None and high is not None and low is not None else None
    if isinstance(expression, s.Binary) and expression.operator == "&":
        if _constant(expression.right, facts) is not None:
            return key_name(expression.left, facts)
        if _constant(expression.left, facts) is not None:
            return key_name(expression.right, facts)
        return None
    if isinstance(expression, s.Call) and isinstance(expression.function, s.Member):
        if expression.function.name == "isValid":
            base = key_name(expression.function.base, facts)
            return f"{base}.$valid$" if base is not None else None
    if isinstance(expression, s.IntLiteral):
        return str(expression.value)
    return None


def _constant(expression: s.Expression, facts: Facts) -> int | None:
    from p4compiler.constants import ConstantEvaluator

    value = ConstantEvaluator(facts).evaluate(expression)
    return value if isinstance(value, int) else None
