"""A candidate's ballot: sets keyed by voter, so that a duplicated reply counts once."""

from __future__ import annotations

from hosts.raft.configuration import Configuration


class Ballot:
    """Votes for and against in one election or pre-election; a voter's first answer stands."""

    __slots__ = ("_configuration", "_membership", "granted", "log_ids", "rejected")

    def __init__(self, configuration: Configuration, log_ids: dict[int, int] | None = None) -> None:
        """``log_ids``: those that voters have named in the pre-election."""
        self._configuration = configuration
        self._membership = configuration.membership
        self.granted: set[int] = set()
        self.rejected: set[int] = set()
        self.log_ids: dict[int, int] = {} if log_ids is None else log_ids
        """The ids of the voters' logs, as the voters have named them in this candidacy."""

    def knows(self, voter: int, log_id: int) -> bool:
        """Take note out of which log a voter answers, 0 if it does not say. False if that used to be another: then it
        has forgotten what it has promised."""
        known = self._configuration.log_ids.get(voter) or self.log_ids.get(voter) or log_id
        self.log_ids[voter] = known
        return log_id in (0, known)

    def record(self, voter: int, *, granted: bool, log_id: int = 0) -> None:
        """Take a voter's answer, if it counts."""
        if not self._membership.is_voter(voter) or not self.knows(voter, log_id):
            return
        recorded = self._configuration.log_ids.get(voter)
        # An unrecorded log counts only where those of a quorum are unrecorded, too: it may be younger than the group.
        counts = not self._configuration.is_identified if recorded is None else recorded == log_id
        if counts and voter not in self.granted and voter not in self.rejected:
            (self.granted if granted else self.rejected).add(voter)

    def won(self) -> bool:
        return self._membership.is_quorum(self.granted)

    def lost(self) -> bool:
        """Whether no outstanding answer could still win it."""
        membership = self._membership
        open_or_granted = (membership.voters | membership.outgoing) - self.rejected
        return not membership.is_quorum(open_or_granted)
