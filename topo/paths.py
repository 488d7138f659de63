"""Where the lab keeps what it generates, and whose files those are."""

from __future__ import annotations

import errno
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def build() -> Path:
    """The folder of everything generated: ``build/`` in the checkout, or ``$SWITCHRAFT_BUILD``."""
    return Path(os.environ.get("SWITCHRAFT_BUILD") or ROOT / "build").absolute()


def lab() -> Path:
    """What the running lab writes: configuration, logs, sockets, node data."""
    return build() / "lab"


def record(folder: Path | None = None) -> Path:
    return (folder or lab()) / "lab.json"


def lock() -> Path:
    return lab() / "lab.lock"


def lab_socket(folder: Path | None = None) -> Path:
    return (folder or lab()) / "lab.sock"


def controller_socket(folder: Path | None = None) -> Path:
    return (folder or lab()) / "controller.sock"


def network() -> Path:
    return lab() / "network.json"


def cluster(number: int = 0) -> Path:
    """The nodes' configuration; groups without a host in common are clusters of their own."""
    return lab() / (f"cluster-{number + 1}.yaml" if number else "cluster.yaml")


def logs() -> Path:
    return lab() / "logs"


def nodes() -> Path:
    return lab() / "nodes"


def pcaps() -> Path:
    return lab() / "pcaps"


def shown(path: Path) -> str:
    """``path`` as a person at the prompt would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def make(folder: Path) -> Path:
    """Create ``folder``, owned by whoever called sudo."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        give(made)
    return folder


def fault(error: OSError) -> str | None:
    """Why a file or folder cannot be used, and what to do about it, in a line; None where the error is of another
    kind."""
    no_room = error.errno in _NO_ROOM
    if not isinstance(error.filename, str):
        return _fault_of_build(error, build()) if no_room and is_full(build()) else None
    file = Path(error.filename).absolute()
    if file.is_relative_to(build()) or build().is_relative_to(file):
        missing = error.errno == errno.ENOENT and build().exists()
        return None if missing else _fault_of_build(error, file)
    if no_room:
        return f"{shown(file)}: {error.strerror}: make room there, or choose another place"
    return f"{shown(file)}: {error.strerror}: choose another place" if error.errno == errno.EROFS else None


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FULL_BYTES = 1 << 16


def _fault_of_build(error: OSError, file: Path) -> str:
    folder, reason = build(), error.strerror
    if folder.exists() and not folder.is_dir():
        reason = "it is a file"
    elif file != folder:
        reason = f"{file.relative_to(folder) if file.is_relative_to(folder) else file}: {reason}"
    advice = "name another folder in SWITCHRAFT_BUILD"
    if error.errno in _NO_ROOM:
        advice = f"make room there, or {advice}"
    elif isinstance(error, PermissionError) and os.geteuid() != 0:
        advice = f"use sudo, or {advice}"
    return f"the build folder {shown(folder)} cannot be used: {reason}: {advice}"


def is_full(folder: Path) -> bool:
    """Whether the disk of ``folder`` has no room for more."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _FULL_BYTES


def invoker() -> tuple[int, int] | None:
    """(uid, gid) of the user who called sudo; None where nobody did."""
    uid, gid = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() != 0 or uid is None or gid is None:
        return None
    return int(uid), int(gid)


def give(path: Path) -> None:
    """Hand ``path`` to the user who called sudo. A file that has just gone is nobody's."""
    owner = invoker()
    if owner is not None:
        try:
            os.lchown(path, *owner)
        except FileNotFoundError:
            return


def give_all(folder: Path) -> None:
    """Hand ``folder`` and all in it to the user who called sudo."""
    if invoker() is None:
        return
    give(folder)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            give(Path(parent, name))
