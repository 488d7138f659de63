"""What a member shows to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hosts.raft.message import NO_VOTE, NOBODY

if TYPE_CHECKING:
    from hosts.raft.core import Raft


def status_of(raft: Raft) -> dict[str, Any]:
    """Plain values that json can write."""
    log, configuration = raft.log, raft.configuration
    membership = configuration.membership
    return {
        "id": raft.id,
        "role": raft.role.value,
        "term": raft.current_term,
        "voted_for": raft.voted_for if raft.voted_for != NO_VOTE else NOBODY,
        "leader": raft.leader,
        "members": sorted(membership.everyone()),
        "voters": sorted(membership.voters),
        "outgoing": sorted(membership.outgoing),
        "learners": sorted(membership.learners),
        "configuration": configuration.index,
        "last_index": log.last_index,
        "last_term": log.last_term,
        "durable_index": log.durable_index,
        "commit": log.commit_index,
        "applied": log.applied_index,
        "first_index": log.base_index + 1,
        "snapshot": log.snapshot.index if log.snapshot is not None else 0,
        "lost": {str(member): why for member, why in raft.lost.items()},
        "refuses_votes": raft.refuses_votes,
    }
