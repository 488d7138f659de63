"""Members that have moved to other addresses while nobody could commit that.

The log says where each member is; after a network was renumbered with all nodes stopped, it is wrong, and with it no
quorum can be reached that could put it right. Addresses are no part of Raft's safety, member ids are: so a node may
be told, beside its log, which addresses of its configuration have become which others. That lasts until the group
commits a configuration with the new ones; the first leader to be elected sees to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hosts.addresses import pack_address, shown, unpack_address
from hosts.config import Address
from hosts.raft.configuration import Configuration


class Move(NamedTuple):
    """From where to where."""

    old: Address
    new: Address

    def __str__(self) -> str:
        return f"{shown(self.old)} -> {shown(self.new)}"


_FIRST_LINE = re.compile(r"configuration ([0-9]{1,19})")
_LINE = re.compile(r"member ([0-9]{1,3}) from ([0-9.]{7,15}:[0-9]{1,5}) to ([0-9.]{7,15}:[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Moves:
    """``index`` is that of the latest configuration that was known when the members moved. An older one is as wrong;
    of a later one nobody knows when it was written, so in that only the very addresses that were left are."""

    index: int = 0
    by_member: Mapping[int, Move] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_member)

    def wrong_in(self, configuration: Configuration) -> dict[int, Address]:
        """The new addresses of the members who have others in ``configuration``."""
        found = {}
        for member, move in self.by_member.items():
            place = unpack_address(configuration.addresses.get(member, b""))
            is_known = place is not None and (configuration.index <= self.index or place == move.old)
            if is_known and place != move.new:
                found[member] = move.new
        return found

    def is_settled(self, committed: Configuration) -> bool:
        """Whether the group has committed where its members are now, so that nothing here is needed any more."""
        return committed.index > self.index and not self.wrong_in(committed)

    def pack(self) -> str:
        """The text of a file that holds these moves."""
        lines = [f"configuration {self.index}"]
        for member, move in sorted(self.by_member.items()):
            lines.append(f"member {member} from {shown(move.old)} to {shown(move.new)}")
        return "\n".join(lines) + "\n"

    @classmethod
    def unpack(cls, text: str) -> Moves:
        """The inverse of ``pack``. Raises ValueError that names the line."""
        lines = text.splitlines()
        first = _FIRST_LINE.fullmatch(lines[0]) if lines else None
        if first is None:
            raise ValueError("line 1 does not say 'configuration INDEX'")
        found = {}
        for number, line in enumerate(lines[1:], start=2):
            match = _LINE.fullmatch(line)
            old, new = (unpack_address(match[at].encode()) for at in (2, 3)) if match else (None, None)
            if match is None or old is None or new is None:
                raise ValueError(f"line {number} does not say 'member ID from ADDRESS:PORT to ADDRESS:PORT'")
            found[int(match[1])] = Move(old, new)
        return cls(int(first[1]), found)


def moves_to(configuration: Configuration, places: Mapping[int, Address]) -> Moves:
    """What takes the members of ``configuration``, the latest that is known, to where ``places`` has them."""
    found = {}
    for member, packed in configuration.addresses.items():
        old, new = unpack_address(packed), places.get(member)
        if old is not None and new is not None and old != new:
            found[member] = Move(old, new)
    return Moves(configuration.index, found)


def corrected(
    configuration: Configuration, places: Mapping[int, Address]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """``places`` as a change of the members that changes nothing else: of those who vote, and of those who learn."""
    membership = configuration.membership
    voters = {one: pack_address(place) for one, place in places.items() if one in membership.voters}
    learners = {one: pack_address(place) for one, place in places.items() if one in membership.learners}
    return voters, learners
