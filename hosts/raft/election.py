"""A candidate's ballot: sets keyed by voter, so that a duplicated reply counts once."""

from __future__ import annotations

from hosts.raft.quorum import Membership


class Ballot:
    """Votes for and against in one election or pre-election; a voter's first answer stands."""

    __slots__ = ("_membership", "granted", "rejected")

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.granted: set[int] = set()
        self.rejected: set[int] = set()

    def record(self, voter: int, *, granted: bool) -> None:
        if voter in self.granted or voter in self.rejected or not self._membership.is_voter(voter):
            return
        (self.granted if granted else self.rejected).add(voter)

    def won(self) -> bool:
        return self._membership.is_quorum(self.granted)

    def lost(self) -> bool:
        """Whether no outstanding answer could still win it."""
        membership = self._membership
        open_or_granted = (membership.voters | membership.outgoing) - self.rejected
        return not membership.is_quorum(open_or_granted)
