"""Names in scope while the checker walks the tree."""

from __future__ import annotations

from difflib import get_close_matches

from p4compiler import syntax as s


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
    """Functions may share a name if the number of their parameters or the names of these differ."""
    if not isinstance(first, s.Function) or not isinstance(second, s.Function):
        return False
    if len(first.parameters) != len(second.parameters):
        return True
    return [p.name for p in first.parameters] != [p.name for p in second.parameters]
