"""All passes in a row: text to BMv2 JSON and P4Info."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p4compiler.bmv2.lower import lower
from p4compiler.check.checker import check
from p4compiler.elaborate.program import Program, elaborate
from p4compiler.p4info.control_plane_names import check_names
from p4compiler.source import Diagnostics, Source, deep_recursion
from p4compiler.syntax.lexer import Token
from p4compiler.syntax.parser import parse
from p4compiler.syntax.preprocessor import Preprocessor


@dataclass(frozen=True)
class Compiled:
    """What a program became. `files`: the program and everything that it includes."""

    program: Program
    json: dict[str, Any]
    files: tuple[Path, ...]

    def p4info_text(self) -> str:
        """P4Info in protobuf's text format."""
        from p4compiler.p4info.writer import p4info_text

        return p4info_text(self.program)

    def p4info(self, form: str) -> bytes:
        """P4Info as a file has it: "text", "json" or "binary"."""
        from p4compiler.p4info.writer import p4info_bytes

        return p4info_bytes(self.program, form)


def compile_file(
    path: Path, diagnostics: Diagnostics, include_dirs: Sequence[Path] = (), defines: Mapping[str, str] | None = None
) -> Compiled:
    """Compiles a file. CompileFailed if it has errors (see `diagnostics`); OSError if it cannot be read."""
    preprocessor = Preprocessor(diagnostics, include_dirs, defines)
    tokens = preprocessor.run(path)
    return _compile(tokens, preprocessor, diagnostics, str(path), path)


def compile_text(text: str, diagnostics: Diagnostics, name: str = "program.p4") -> Compiled:
    """Compiles a text in memory, which may include the compiler's own files. CompileFailed if it has errors."""
    preprocessor = Preprocessor(diagnostics)
    tokens = preprocessor.run_source(Source(name, text))
    return _compile(tokens, preprocessor, diagnostics, name, Path(name))


def _compile(
    tokens: list[Token], preprocessor: Preprocessor, diagnostics: Diagnostics, name: str, path: Path
) -> Compiled:
    with deep_recursion():
        return _passes(tokens, preprocessor, diagnostics, name, path)


def _passes(
    tokens: list[Token], preprocessor: Preprocessor, diagnostics: Diagnostics, name: str, path: Path
) -> Compiled:
    program = parse(tokens, diagnostics)
    # What could be parsed is checked too, so that one run reports more; but an unread declaration makes
    # everything that uses it look wrong.
    diagnostics.stop_if_errors()
    facts = check(program, diagnostics)
    diagnostics.stop_if_errors()
    elaborated = elaborate(facts, diagnostics)
    check_names(elaborated, diagnostics)
    diagnostics.stop_if_errors()
    json = lower(elaborated, name, diagnostics)
    return Compiled(elaborated, json, (path, *preprocessor.included))
