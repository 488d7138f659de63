"""Why a member does not take a proposal or a read."""

from __future__ import annotations


class NotLeader(RuntimeError):
    """This member does not lead. ``leader`` is who does, 0 if unknown."""

    def __init__(self, leader: int) -> None:
        super().__init__(f"not the leader; it is member {leader}" if leader else "not the leader, and none is known")
        self.leader = leader


class Busy(RuntimeError):
    """The leader takes no proposal now: it holds as many uncommitted bytes as it may, or hands its leadership over.
    Try again later."""
