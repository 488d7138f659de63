"""The code blocks of docs/write-your-own-feature.md, and a copy of the checkout to which they are applied.

A block counts if the line before it ends in a file's path in backquotes and a colon. A ``diff`` block is an edit: its
lines without ``+`` stand in the file exactly once, and give way to its lines without ``-``. Any other block is the
whole of a new file, or is put at the end of one that is there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from p4switch.pipeline.native import default_cache
from sim import mutants

DOCUMENT = Path(__file__).parents[2] / "docs" / "write-your-own-feature.md"
_BLOCK = re.compile(r"`([\w./-]+)`:\n\n```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One change of a file."""

    file: str
    language: str
    text: str

    def apply(self, root: Path) -> None:
        """Carry it out. Raises AssertionError where the file is not as the block has it."""
        path = root / self.file
        if self.language != "diff":
            before = path.read_text(encoding="utf-8") + "\n" if path.exists() else ""
            path.write_text(before + self.text, encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        assert text.count(self._side("-")) == 1, f"{self.file} does not hold this once:\n{self._side('-')}"
        path.write_text(text.replace(self._side("-"), self._side("+")), encoding="utf-8")

    def _side(self, sign: str) -> str:
        """The block's lines before (``-``) or after (``+``) the change."""
        lines = self.text.splitlines()
        assert all(line[:1] in ("+", "-", " ", "") for line in lines), f"{self.file}: a line of the block has no sign"
        return "".join(line[1:] + "\n" for line in lines if line[:1] in (sign, " ", ""))


def blocks() -> tuple[Block, ...]:
    """The document's changes, in its order."""
    return tuple(Block(*found) for found in _BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")))


def changed_copy(folder: Path) -> Path:
    """The checkout in ``folder``, with the document's changes."""
    mutants.copy(folder)
    for block in blocks():
        block.apply(folder)
    return folder


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python module of the copy."""
    environment = {
        **os.environ,
        "P4SWITCH_CACHE": str(default_cache().absolute()),
        "SWITCHRAFT_BUILD": str(root / "build"),
        "PYTHONPATH": str(root),
    }
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
