"""Majority arithmetic, for one configuration and for the joint one of a membership change (thesis, section 4.3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass

NO_MEMBERS: frozenset[int] = frozenset()


def majority(count: int) -> int:
    """The least number of ``count`` members that any other such set must overlap: 2 of 3, 3 of 4, 3 of 5."""
    return count // 2 + 1


def has_majority(voters: Collection[int], ids: Set[int]) -> bool:
    """Whether ``ids`` hold a majority of ``voters``. No voters, no majority."""
    return len([voter for voter in voters if voter in ids]) >= majority(len(voters))


def reached_by_majority(voters: Collection[int], values: Mapping[int, int], missing: int = 0) -> int:
    """The highest value that a majority of ``voters`` has reached; whoever is missing counts as ``missing``."""
    if not voters:
        return missing
    ordered = sorted([values.get(voter, missing) for voter in voters], reverse=True)
    return ordered[majority(len(ordered)) - 1]


@dataclass(frozen=True, slots=True)
class Membership:
    """Who takes part. While ``outgoing`` is not empty the configuration is joint: every decision needs a majority of
    ``voters`` and one of ``outgoing``. Learners receive entries and decide nothing."""

    voters: frozenset[int]
    outgoing: frozenset[int] = NO_MEMBERS
    learners: frozenset[int] = NO_MEMBERS

    def everyone(self) -> frozenset[int]:
        """All who receive entries."""
        return self.voters | self.outgoing | self.learners

    def includes(self, member: int) -> bool:
        return member in self.voters or member in self.outgoing or member in self.learners

    def is_voter(self, member: int) -> bool:
        return member in self.voters or member in self.outgoing

    def is_quorum(self, ids: Set[int]) -> bool:
        """Whether ``ids`` may decide."""
        return has_majority(self.voters, ids) and (not self.outgoing or has_majority(self.outgoing, ids))

    def needed_beside(self, member: int) -> int:
        """How many others at least make a quorum with ``member``: in a joint configuration those that the larger of
        the two majorities wants."""
        return max(majority(len(voters)) - (member in voters) for voters in (self.voters, self.outgoing) if voters)

    def reached(self, values: Mapping[int, int], missing: int = 0) -> int:
        """The highest value that a quorum has reached; whoever is missing counts as ``missing``."""
        value = reached_by_majority(self.voters, values, missing)
        return min(value, reached_by_majority(self.outgoing, values, missing)) if self.outgoing else value
