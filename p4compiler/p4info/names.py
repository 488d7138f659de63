"""Names and ids that the control plane sees (P4Runtime specification, section on P4Info)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from p4compiler.check.constants import ConstantEvaluator
from p4compiler.check.facts import Facts
from p4compiler.elaborate.storage import control_plane_name
from p4compiler.syntax import tree as s
from p4compiler.syntax.lexer import Kind, parse_number


def key_name(expression: s.Expression, facts: Facts) -> str | None:
    """The name of a table key, from its expression; None if it needs an @name annotation."""
    if isinstance(expression, s.Name):
        declaration = facts.uses.get(expression)
        if isinstance(declaration, s.Constant):
            return _constant_text(declaration.value, facts)
        return expression.name
    if isinstance(expression, s.Member):
        return _member_name(expression, facts)
    if isinstance(expression, s.Index):
        base, index = key_name(expression.base, facts), _index_text(expression.index, facts)
        return f"{base}[{index}]" if base is not None and index is not None else None
    if isinstance(expression, s.Slice):
        base = key_name(expression.base, facts)
        high, low = _constant_text(expression.high, facts), _constant_text(expression.low, facts)
        return f"{base}[{high}:{low}]" if base is not None and high is not None and low is not None else None
    if isinstance(expression, s.Binary) and expression.operator == "&":
        left, right = key_name(expression.left, facts), key_name(expression.right, facts)
        return f"{left} & {right}" if left is not None and right is not None else None
    if isinstance(expression, s.Call) and isinstance(expression.function, s.Member):
        if expression.function.name != "isValid":
            return None
        base = key_name(expression.function.base, facts)
        return f"{base}.$valid$" if base is not None else None
    return _constant_text(expression, facts)


def _member_name(expression: s.Member, facts: Facts) -> str | None:
    from p4compiler import types as t

    base_type = t.strip(facts.types.get(expression.base, t.UNKNOWN))
    name = expression.name
    if isinstance(base_type, t.Struct):
        field = next((f for f in base_type.declaration.fields if f.name == name), None)
        if field is not None:
            name = control_plane_name(field)
    if name.startswith("."):
        return name[1:]
    base = key_name(expression.base, facts)
    return f"{base}.{name}" if base is not None else None


def _index_text(expression: s.Expression, facts: Facts) -> str | None:
    constant = _constant_text(expression, facts)
    return constant if constant is not None else key_name(expression, facts)


def _constant_text(expression: s.Expression, facts: Facts) -> str | None:
    """A number as it was written: in hexadecimal if the program has it so."""
    value = ConstantEvaluator(facts).evaluate(expression)
    if not isinstance(value, int):
        return None
    while isinstance(expression, s.Cast):
        expression = expression.operand
    text = expression.loc.fragment.lower() if isinstance(expression, s.IntLiteral) else ""
    return hex(value) if "0x" in text else str(int(value))


def annotation_number(annotations: s.Annotations, name: str) -> int | None:
    """The number in an annotation like @id(5)."""
    annotation = s.find_annotation(annotations, name)
    for token in (annotation.body or ()) if annotation is not None else ():
        if token.kind is Kind.INT:
            return parse_number(token.text)[0]
    return None


def name_hash(name: str) -> int:
    """Jenkins's one-at-a-time hash of the UTF-8 name, 32 bits."""
    value = 0
    for byte in name.encode():
        value = (value + byte) & 0xFFFFFFFF
        value = (value + (value << 10)) & 0xFFFFFFFF
        value ^= value >> 6
    value = (value + (value << 3)) & 0xFFFFFFFF
    value ^= value >> 11
    return (value + (value << 15)) & 0xFFFFFFFF


def assign_ids(prefix: int, names: dict[str, int | None], taken: set[int]) -> dict[str, int]:
    """An id for each name of one kind: the one that @id gives (OR-ed with the prefix), else from the name's hash.

    Names without @id are taken in sorted order; a collision tries the next hash.
    """
    ids = {name: prefix << 24 | given for name, given in names.items() if given is not None}
    taken.update(ids.values())
    for name in sorted(n for n, given in names.items() if given is None):
        hashed = name_hash(name)
        while (candidate := prefix << 24 | (hashed & 0xFFFFFF)) in taken:
            hashed += 1
        ids[name] = candidate
        taken.add(candidate)
    return ids


def aliases(names: Iterable[str]) -> dict[str, str]:
    """Each name's shortest dotted suffix that no other name has."""
    unique = set(names)
    counts = Counter(suffix for name in unique for suffix in _suffixes(name))
    result: dict[str, str] = {}
    for name in unique:
        result[name] = next((suffix for suffix in _suffixes(name) if counts[suffix] == 1), name)
    return result


def _suffixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]
