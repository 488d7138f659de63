"""Where the lab keeps what it generates, and whose files those are."""

from __future__ import annotations

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
