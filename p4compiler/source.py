"""Source texts, positions in them, and the diagnostics that point at a position."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class Source:
    """One file's text. `path` is what messages show; `system` marks the compiler's own include files."""

    path: str
    text: str
    system: bool = False
    _starts: list[int] | None = field(default=None, repr=False)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        if self._starts is None:
            starts = [0]
            starts.extend(i + 1 for i, c in enumerate(self.text) if c == "\n")
            self._starts = starts
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a line (from 1) without its end."""
        self.position(0)
        assert self._starts is not None
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")


@dataclass(frozen=True, slots=True, eq=False)
class Location:
    """A stretch of a source: offsets [start, end)."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    def to(self, last: Location) -> Location:
        """From here to the end of `last`; macros may put the two in different files, then just here."""
        if last.source is not self.source or last.end < self.end:
            return self
        return Location(self.source, self.start, last.end)

    @property
    def fragment(self) -> str:
        """The text, cut to its first line."""
        return self.source.text[self.start : self.end].split("\n", 1)[0]

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.path}:{line}:{column}"


@dataclass(frozen=True)
class Diagnostic:
    """One message for the user. `notes` point at other places that explain it."""

    severity: str
    message: str
    location: Location
    notes: tuple[tuple[str, Location], ...] = ()

    def render(self) -> str:
        """File, line, column, message; then the source line with a caret."""
        parts = [f"{self.location}: {self.severity}: {self.message}", excerpt(self.location)]
        for text, where in self.notes:
            parts += [f"{where}: note: {text}", excerpt(where)]
        return "\n".join(parts)


def excerpt(location: Location) -> str:
    """The source line and, below it, carets under the stretch that is meant."""
    line, column = location.source.position(location.start)
    text = location.source.line(line)
    width = max(1, min(location.end - location.start, len(text) - column + 1))
    lead = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
    return f"  {text}\n  {lead}{'^' * width}"


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Room for trees as deep as the parser lets them be, and for long chains of operators."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 10_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class Fault(Exception):
    """The program cannot be compiled at this place; reported and the next statement is tried.

    Where an expression is written for the target its place is not known any more: `at` adds that of the statement.
    """

    def __init__(self, message: str, loc: Location | None) -> None:
        super().__init__(message)
        self.loc = loc


@contextmanager
def at(loc: Location) -> Iterator[None]:
    """A fault inside that has no place of its own gets this one."""
    try:
        yield
    except Fault as fault:
        fault.loc = fault.loc or loc
        raise


class CompileFailed(Exception):
    """The program has errors; they are in the `Diagnostics` that the pass was given."""


class Diagnostics:
    """Collects messages so that a run reports several. Stops after `limit` errors."""

    def __init__(self, limit: int = 20) -> None:
        self.items: list[Diagnostic] = []
        self.limit = limit
        self._seen: set[tuple[int, int, str]] = set()

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    @property
    def error_count(self) -> int:
        return sum(1 for d in self.items if d.severity == "error")

    def error(self, message: str, location: Location, *notes: tuple[str, Location]) -> None:
        self._add(Diagnostic("error", message, location, notes))
        if self.error_count >= self.limit:
            self.items.append(Diagnostic("error", f"stopped here after {self.limit} errors", location))
            raise CompileFailed

    def warning(self, message: str, location: Location, *notes: tuple[str, Location]) -> None:
        self._add(Diagnostic("warning", message, location, notes))

    def _add(self, diagnostic: Diagnostic) -> None:
        where = diagnostic.location
        key = (id(where.source), where.start, diagnostic.message)
        if key not in self._seen:
            self._seen.add(key)
            self.items.append(diagnostic)

    def stop_if_errors(self) -> None:
        """Raise CompileFailed if a pass has reported an error."""
        if self.error_count:
            raise CompileFailed
