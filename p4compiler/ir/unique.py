"""Names of which no two are the same."""

from __future__ import annotations

from collections.abc import Iterable


class UniqueNames:
    """The names that are taken."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, *names: str) -> None:
        self._taken.update(names)

    def unique(self, name: str) -> str:
        """The name, with a number behind it if it is taken; now it is."""
        candidate, number = name, 0
        while candidate in self._taken:
            candidate, number = f"{name}_{number}", number + 1
        self._taken.add(candidate)
        return candidate
