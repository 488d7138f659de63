"""What a piece of generated code can name: variables and their parts, functions, actions, instances."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from conformance.fuzz.language import tree as g


@dataclass(frozen=True)
class Variable:
    name: str
    type: g.Type
    writable: bool = True
    whole: bool = True
    """Whether it may be used as a whole, not only its parts."""


@dataclass
class Scope:
    """`kind`: function, action, control, parser, sub-parser or main (the ingress control's apply block)."""

    kind: str
    variables: list[Variable] = field(default_factory=list)
    functions: list[g.Function] = field(default_factory=list)
    actions: list[g.Action] = field(default_factory=list)
    instances: list[tuple[str, g.Control]] = field(default_factory=list)
    result: g.Type | None = None
    loops: int = 0
    repeats: int = 1
    """How often the code here may be written out: the product of the loops around it that are unrolled."""

    def inner(self) -> Scope:
        """A block in here."""
        return replace(self, variables=list(self.variables))

    def loop(self, repeats: int = 1) -> Scope:
        """The body of a loop in here."""
        made = self.inner()
        made.loops += 1
        made.repeats *= repeats
        return made

    def add(self, name: str, type_: g.Type, writable: bool = True, whole: bool = True) -> g.Var:
        self.variables.append(Variable(name, type_, writable, whole))
        return g.Var(type_, name)

    def paths(self, writable: bool = False) -> list[g.Expr]:
        """Every variable, with all of its parts."""
        found: list[g.Expr] = []
        for variable in self.variables:
            if variable.writable or not writable:
                every = list(parts(g.Var(variable.type, variable.name)))
                found += every if variable.whole else every[1:]
        return found


def parts(expr: g.Expr) -> Iterator[g.Expr]:
    """An expression and all of its parts, elements of stacks by number."""
    yield expr
    if isinstance(expr.type, (g.Struct, g.Header, g.Union_)):
        for name, type_ in expr.type.fields:
            yield from parts(g.Field(type_, expr, name))
    elif isinstance(expr.type, g.Stack):
        for number in range(expr.type.size):
            yield from parts(g.Element(expr.type.element, expr, g.Literal(g.Bit(32), number)))


def fresh(expr: g.Expr) -> g.Expr:
    """A copy of a path, so that no two places of a tree share a node. Functions and actions stay shared."""
    if isinstance(expr, g.Field):
        return g.Field(expr.type, fresh(expr.base), expr.name)
    if isinstance(expr, g.Element):
        return g.Element(expr.type, fresh(expr.base), fresh(expr.index))
    return copy.copy(expr)
