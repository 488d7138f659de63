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
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
