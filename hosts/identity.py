"""Whose log a folder holds: a member that took up another one's would vote twice in a term, and count twice."""

from __future__ import annotations

from pathlib import Path

from hosts.durable import replace_text
from hosts.ownership import give_to_invoking_user

FILE = "member"


class NotOurs(ValueError):
    """The folder is another member's; the text says what to do."""


def claim(folder: Path, cluster: int, group: int, member: int) -> None:
    """Note whose folder this is, or find that it is so noted. Raises NotOurs and OSError."""
    path = folder / FILE
    ours = f"cluster {cluster} group {group} member {member}\n"
    try:
        noted = path.read_text(errors="replace")
    except FileNotFoundError:
        replace_text(path, ours)
        give_to_invoking_user(path)
        return
    if noted != ours:
        raise NotOurs(
            f"{folder} holds the log of {noted.strip()}, and this is {ours.strip()}: "
            "it must not go on with another's votes; set 'data', 'names' or --id right"
        )
