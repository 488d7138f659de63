"""Names in scope while the checker walks the tree."""

from __future__ import annotations

from difflib import get_close_matches

from p4compiler.syntax import tree as s


class Scope:
    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self.names: dict[str, list[s.Declaration]] = {}

    def add(self, declaration: s.Declaration) -> s.Declaration | None:
        """Declares a name; returns the earlier declaration if it may not be declared twice."""
        found = self.names.setdefault(declaration.name, [])
        clash = next((d for d in found if not _overloads(d, declaration)), None)
        found.append(declaration)
        return clash

    def find(self, name: str) -> list[s.Declaration]:
        """The declarations of a name in the innermost scope that has it; empty if none has."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found:
                return found
            scope = scope.parent
        return []

    def similar(self, name: str) -> str | None:
        """A name in scope that looks like a misspelt one."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            names += scope.names
            scope = scope.parent
        return next(iter(get_close_matches(name, names, 1, 0.75)), None)


def _overloads(first: s.Declaration, second: s.Declaration) -> bool:
    """Whether two declarations may share a name (P4_16 specification, section "Name resolution").

    Functions, packages, and parsers or controls by what their constructors take: a call by number or names of
    arguments tells them apart. One that nothing tells apart is an error where it is called.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, s.Function):
        return True
    if isinstance(first, s.Package) and isinstance(second, s.Package):
        return _names(first.parameters) != _names(second.parameters)
    if isinstance(first, s.Applicable) and isinstance(second, s.Applicable):
        return _names(first.constructor_parameters) != _names(second.constructor_parameters)
    return False


def _names(parameters: tuple[s.Parameter, ...]) -> list[str]:
    return [p.name for p in parameters]
