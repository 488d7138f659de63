"""Telling stopped nodes that members have other addresses now: ``switchraft node readdress``.

What a node is told stands in the file ``moved`` in its group's folder, beside the log, until the group has committed
it. The file is replaced as a whole: a power loss leaves a node told or not told, and the command can be run again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hosts.addresses import shown, unpack_address
from hosts.config import Cluster
from hosts.raft.configuration import Configuration, History
from hosts.raft.quorum import NO_MEMBERS, Membership
from hosts.storage.atomic_file import remove_durably, replace_text
from hosts.storage.disk import RealDisk
from hosts.storage.errors import LogError, explain
from hosts.storage.folder_owner import NotOurs, check
from hosts.storage.moves import Moves, moves_to
from hosts.storage.replay import Replay, replay
from hosts.storage.sudo_owner import give_to_invoking_user

FILE = "moved"


class CannotReaddress(RuntimeError):
    """Nothing was changed; one line that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one member's node was told of one group, in lines for people."""

    member: int
    group: int
    moved: bool
    lines: tuple[str, ...]


def load_moves(folder: Path) -> Moves:
    """What a group's folder says of members that have moved. Raises ValueError and OSError."""
    try:
        text = (folder / FILE).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return Moves()
    try:
        return Moves.unpack(text)
    except ValueError as fault:
        raise ValueError(
            f"{folder / FILE}: {fault}; remove the file, and run 'switchraft node readdress' again if members moved"
        ) from fault


def forget_moves(folder: Path) -> None:
    """The group has committed where its members are. Raises OSError."""
    remove_durably(folder / FILE)


def readdress(cluster: Cluster, members: Collection[int]) -> list[Change]:
    """Tell the nodes of ``members``, which must be stopped and have data here, the addresses of the cluster file.
    Raises CannotReaddress, then nothing was changed; or else OSError, then some nodes were told and some were not."""
    with contextlib.ExitStack() as locks:
        folders = [found for member in sorted(members) for found in _folders_of(cluster, member, locks)]
        if not folders:
            raise CannotReaddress(f"{cluster.data}: no member has data here; 'data' in the cluster file says where")
        plans = [(member, group, folder, _plan(cluster, group, folder)) for member, group, folder in folders]
        changes = []
        for member, group, folder, (moves, lines) in plans:
            if moves:
                replace_text(folder / FILE, moves.pack())
                give_to_invoking_user(folder / FILE)
            else:
                forget_moves(folder)
            changes.append(Change(member, group, bool(moves), tuple(lines)))
        return changes


def _folders_of(cluster: Cluster, member: int, locks: contextlib.ExitStack) -> Iterator[tuple[int, int, Path]]:
    """A member's folders, each with member and group, which no process uses until ``locks`` are let go."""
    for group in cluster.groups_of(member):
        folder = cluster.folder_of(member) / f"group-{group.id}"
        if not folder.is_dir():
            continue
        try:
            check(folder, cluster.id, group.id, member)
            disk = RealDisk(folder)
            locks.callback(disk.close)
            disk.lock()
        except NotOurs as error:
            raise CannotReaddress(str(error)) from error
        except BlockingIOError as error:
            name = cluster.name_of(member)
            raise CannotReaddress(f"{name} runs and uses {folder}: stop it first; nothing was changed") from error
        except OSError as error:
            raise CannotReaddress(explain(error, folder)) from error
        yield member, group.id, folder


def _plan(cluster: Cluster, number: int, folder: Path) -> tuple[Moves, list[str]]:
    """What to tell a node of a group, and the same for people."""
    group = cluster.group(number)
    places = {**group.members, **group.spares}
    disk = RealDisk(folder)
    try:
        found = replay(disk)
    except LogError as error:
        raise CannotReaddress(str(error)) from error
    except OSError as error:
        raise CannotReaddress(explain(error, folder)) from error
    finally:
        disk.close()
    configuration = _latest(found or Replay())
    moves = moves_to(configuration, places)
    lines = [f"member {member}: {move}" for member, move in sorted(moves.by_member.items())]
    for member, packed in sorted(configuration.addresses.items()):
        place = unpack_address(packed)
        if member not in places and place is not None:
            lines.append(f"member {member} is not in the cluster file, and stays at {shown(place)}")
    return moves, lines


def _latest(found: Replay) -> Configuration:
    """The latest configuration that a log holds; one without members if the group's birth is all it knows: those
    addresses come from the cluster file at each start."""
    birth = Configuration(0, Membership(NO_MEMBERS))
    base = found.snapshot.configuration if found.snapshot is not None else birth
    return History(base, found.entries).latest
