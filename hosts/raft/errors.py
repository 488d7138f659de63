"""Why a member does not take a proposal, a read or a change."""

from __future__ import annotations


class NotLeader(RuntimeError):
    """This member does not lead. ``leader`` is who does, 0 if unknown."""

    def __init__(self, leader: int) -> None:
        super().__init__(f"not the leader; it is member {leader}" if leader else "not the leader, and none is known")
        self.leader = leader


class Busy(RuntimeError):
    """The leader takes no proposal now: it holds as many uncommitted bytes as it may, or hands its leadership over.
    Try again later."""


class ChangeInProgress(Busy):
    """The members are changing already: one change at a time (thesis, section 4.1)."""


class InvalidChange(ValueError):
    """A change of members that makes no sense; its text says why."""


class Unreachable(ValueError):
    """Members who do not answer would be needed at once: a successor, or a quorum of the voters of a change. Its text
    names them."""
