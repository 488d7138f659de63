"""Cutting a part out of a source of the project, so that a student writes it anew.

A part is found by what the source calls it: the sources bear no marks, and an exercise follows them as they change.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from topo.errors import LabError

_INDENT = re.compile(r"[ ]*")


@dataclass(frozen=True, slots=True)
class ApplyBlock:
    """What a P4 control does: the body of its ``apply``."""

    file: str
    control: str
    instead: str

    def span(self, text: str) -> tuple[int, int]:
        """Where the part stands: from the first line of the body to its last one. LabError if it is not there."""
        body = _block(self.file, text, f"control {self.control}(", 0)
        at = re.compile(r"\n  apply (?=\{)").search(text, *body)
        if at is None:
            raise LabError(f"{self.file} has no apply in control {self.control}")
        start, end = _block(self.file, text, "{", at.end())
        return text.index("\n", start) + 1, text.rindex("\n", start, end) + 1


@dataclass(frozen=True, slots=True)
class P4Statement:
    """One statement of a P4 control, from its first words to its semicolon."""

    file: str
    control: str
    begins: str
    instead: str

    def span(self, text: str) -> tuple[int, int]:
        """As for ApplyBlock."""
        start, end = _block(self.file, text, f"control {self.control}(", 0)
        found = [at.start() for at in re.finditer(re.escape(self.begins), text) if start < at.start() < end]
        if len(found) != 1:
            raise LabError(f"{self.file} has {len(found)} statements that begin with {self.begins}")
        return text.rindex("\n", 0, found[0]) + 1, text.index("\n", text.index(";", found[0])) + 1


@dataclass(frozen=True, slots=True)
class PythonStatement:
    """One statement of a method, ``if`` with all its branches."""

    file: str
    method: str
    begins: str
    instead: str

    def span(self, text: str) -> tuple[int, int]:
        """As for ApplyBlock."""
        lines = text.splitlines(keepends=True)
        found = [
            one
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and node.name == self.method
            for one in node.body
            if lines[one.lineno - 1].strip().startswith(self.begins)
        ]
        if len(found) != 1:
            raise LabError(f"{self.file} has {len(found)} statements in {self.method} that begin with {self.begins}")
        last = found[0].end_lineno
        assert last is not None
        return sum(map(len, lines[: found[0].lineno - 1])), sum(map(len, lines[:last]))


Blank = ApplyBlock | P4Statement | PythonStatement


def cut(root: Path, blanks: tuple[Blank, ...]) -> dict[str, str]:
    """The files with the blanks' stand-ins in place of the parts, by their paths below ``root``."""
    texts: dict[str, str] = {}
    for blank in blanks:
        text = texts.get(blank.file) or (root / blank.file).read_text(encoding="utf-8")
        start, end = blank.span(text)
        indent = _INDENT.match(text, start)
        assert indent is not None
        lines = (indent[0] + line if line else "" for line in blank.instead.strip("\n").split("\n"))
        texts[blank.file] = text[:start] + "\n".join(lines) + "\n" + text[end:]
    return texts


def _block(file: str, text: str, opening: str, after: int) -> tuple[int, int]:
    """From the brace that follows ``opening`` to the one that closes it."""
    at = text.find(opening, after)
    if at < 0:
        raise LabError(f"{file} has no {opening.rstrip('(')}")
    start = text.index("{", at)
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return start, place
    raise LabError(f"{file}: the brace after {opening.rstrip('(')} is not closed")
