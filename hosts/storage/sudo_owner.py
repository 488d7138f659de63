"""Files made under sudo belong to the user who invoked it, so that later work on them needs no root."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hosts.storage.folders import RealFolders, make_durably


def give_to_invoking_user(path: Path) -> None:
    """Hand a file that this process made as root under sudo to the user behind sudo; else do nothing."""
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and user.isdigit() and group.isdigit():
        with contextlib.suppress(OSError):
            os.chown(path, int(user), int(group), follow_symlinks=False)


def make_folder(path: Path) -> None:
    """Make a folder and what is missing above it, durably, owned by the invoking user. Raises OSError."""
    for made in make_durably(RealFolders(), path.absolute()):
        give_to_invoking_user(made)
