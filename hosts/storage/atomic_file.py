"""Small files that must be whole after a power loss."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it holds either the old text or the new one, and on return, durably, the new one.
    Raises OSError."""
    written = path.with_name(path.name + ".new")
    try:
        with written.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    except OSError as error:
        error.filename = str(path)
        with contextlib.suppress(OSError):
            written.unlink()
        raise
    _sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if it is there, so that a power loss does not bring it back. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
