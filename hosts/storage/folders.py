"""Making folders so that a power loss does not take them away again, with all that is in them.

A new folder is a name in the one above it, and that name is durable only once the folder above is synced. Tests and
the simulator put folders in memory in the operating system's place.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol


class Folders(Protocol):
    """The folders of a machine. Every call raises OSError for an I/O error."""

    def exists(self, folder: Path) -> bool:
        """Whether anything has this name."""

    def make(self, folder: Path) -> None:
        """Make a folder whose parent is there; durable only after ``sync`` of the parent. FileExistsError if the
        name is taken."""

    def above(self, folder: Path) -> Path | None:
        """The folder that holds this one's name. None at the top of a file system: that was there before us."""

    def sync(self, folder: Path) -> None:
        """Make the names in a folder durable."""


class RealFolders:
    """The operating system's."""

    def exists(self, folder: Path) -> bool:
        return folder.exists()

    def make(self, folder: Path) -> None:
        folder.mkdir()

    def above(self, folder: Path) -> Path | None:
        parent = folder.parent
        return None if parent == folder or parent.stat().st_dev != folder.stat().st_dev else parent

    def sync(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_durably(folders: Folders, folder: Path) -> list[Path]:
    """Make a folder and what is missing above it; on return they survive a power loss. The new ones, the outermost
    first. Raises OSError.

    Every folder up to the top is synced, also if none is new: a process that was killed may have made them and not
    come to it."""
    missing: list[Path] = []
    at = folder
    while not folders.exists(at):
        missing.append(at)
        at = at.parent
    made: list[Path] = []
    for new in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was quicker
            folders.make(new)
            made.append(new)
    holders = {folders.above(new) for new in made}
    above = folders.above(folder)
    while above is not None:
        try:
            folders.sync(above)
        except OSError:
            # What was there before may be another's, or on a file system that cannot sync folders.
            if above in holders:
                raise
        above = folders.above(above)
    return made
