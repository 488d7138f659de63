"""What people are told of members that have lost their data, or may have."""

from __future__ import annotations

from collections.abc import Callable, Collection

from hosts.raft.core import Raft


def problems(
    core: Raft, name_of: Callable[[int], str], *, known: Collection[int] = (), refusal_known: bool = False
) -> list[str]:
    """What this member has found out, and the way to mend it. Of members in ``known``, and of its own refusal if that
    is known, nothing is said."""
    found = []
    for member, why in sorted(core.lost.items()):
        if member not in known:
            name = name_of(member)
            found.append(
                f"member {member} ({name}) {why}: it has lost data, does not count and gets no entries until it is "
                f"removed and added again: {_mending(name)}"
            )
    if core.refuses_votes and not refusal_known:
        found.append(
            "the log here is empty and others' are not, so this member votes for nobody: it may have lost its data. "
            f"If it is new, the next leader that reaches it ends this; if it is not: {_mending(name_of(core.id))}"
        )
    return found


def _mending(name: str) -> str:
    return (
        f"switchraft member remove {name}; end its node, delete its data folder, start it again with --join; "
        f"switchraft member add {name}"
    )
