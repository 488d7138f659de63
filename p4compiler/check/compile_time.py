"""Which expressions are known at compile time (P4_16 specification, section "Compile-time known and local
compile-time known values")."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.check.facts import CallFact, CallKind, Facts
from p4compiler.syntax import tree as s


def runtime_part(expression: s.Expression, facts: Facts) -> s.Expression | None:
    """The first part of an expression that only a running program knows; None if there is none."""
    if isinstance(expression, s.Name):
        return expression if _varies(facts.uses.get(expression)) else None
    if isinstance(expression, s.Member):
        base = facts.types.get(expression.base)
        if isinstance(base, t.MetaType) or (isinstance(base, t.Stack) and expression.name == "size"):
            return None
        return runtime_part(expression.base, facts)
    if isinstance(expression, s.Call):
        fact = facts.calls.get(expression)
        if fact is None or (
            fact.kind is CallKind.BUILTIN and fact.name not in ("isValid", "push_front", "pop_front")
        ):
            return None
        if fact.kind in (CallKind.TABLE, CallKind.APPLY, CallKind.METHOD, CallKind.BUILTIN):
            return expression
        if isinstance(fact.declaration, s.Function) and not _is_known_by_arguments(fact, fact.declaration):
            return expression
    return next((found for part in _parts(expression) if (found := runtime_part(part, facts)) is not None), None)


def _is_known_by_arguments(fact: CallFact, function: s.Function) -> bool:
    """Whether the result is known where the arguments are: static_assert, @pure, and what makes an object."""
    pure = fact.name == "static_assert" or s.find_annotation(function.annotations, "pure") is not None
    return function.body is None and (pure or isinstance(fact.result, t.Extern))


def _varies(declaration: s.Declaration | None) -> bool:
    if isinstance(declaration, s.Parameter):
        return bool(declaration.direction)
    return isinstance(declaration, s.Variable)


def may_be_known(part: s.Expression, facts: Facts) -> bool:
    """Whether a later pass may still find a variable's value: it begins with a constant."""
    declaration = facts.uses.get(part)
    if not isinstance(declaration, s.Variable) or declaration.initializer is None:
        return False
    return runtime_part(declaration.initializer, facts) is None


def _parts(expression: s.Expression) -> tuple[s.Expression, ...]:
    if isinstance(expression, (s.Unary, s.Cast)):
        return (expression.operand,)
    if isinstance(expression, s.Binary):
        return (expression.left, expression.right)
    if isinstance(expression, s.Ternary):
        return (expression.condition, expression.yes, expression.no)
    if isinstance(expression, s.Index):
        return (expression.base, expression.index)
    if isinstance(expression, s.Slice):
        return (expression.base, expression.high, expression.low)
    if isinstance(expression, s.ListExpression):
        return expression.items
    if isinstance(expression, s.RecordExpression):
        return tuple(f.value for f in expression.fields)
    if isinstance(expression, s.Call):
        return tuple(a.value for a in expression.arguments if a.value is not None)
    if isinstance(expression, s.Masked):
        return (expression.value, expression.mask)
    if isinstance(expression, s.Range):
        return (expression.low, expression.high)
    return ()
