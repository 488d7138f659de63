"""Whose log a folder holds: a member that took up another one's would vote twice in a term, and count twice."""

from __future__ import annotations

from pathlib import Path

from hosts.storage.atomic_file import replace_text
from hosts.storage.sudo_owner import give_to_invoking_user

FILE = "member"


class NotOurs(ValueError):
    """The folder is another member's; the text says what to do."""


def claim(folder: Path, cluster: int, group: int, member: int) -> None:
    """Note whose folder this is, or find that it is so noted. Raises NotOurs and OSError."""
    if not _is_noted(folder, cluster, group, member):
        replace_text(folder / FILE, _note(cluster, group, member))
        give_to_invoking_user(folder / FILE)


def check(folder: Path, cluster: int, group: int, member: int) -> None:
    """Find that a folder is noted to be this member's. Raises NotOurs, also where nothing is noted, and OSError."""
    if not _is_noted(folder, cluster, group, member):
        raise NotOurs(f"{folder} does not say whose log it holds: the file '{FILE}' is missing")


def _note(cluster: int, group: int, member: int) -> str:
    return f"cluster {cluster} group {group} member {member}\n"


def _is_noted(folder: Path, cluster: int, group: int, member: int) -> bool:
    """False if nothing is noted. Raises NotOurs for another's note."""
    ours = _note(cluster, group, member)
    try:
        noted = (folder / FILE).read_text(errors="replace")
    except FileNotFoundError:
        return False
    if noted != ours:
        raise NotOurs(
            f"{folder} holds the log of {noted.strip()}, and this is {ours.strip()}: "
            "it must not go on with another's votes; set 'data', 'names' or --id right"
        )
    return True
