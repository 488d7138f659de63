"""Out of which log a member answers. One that has lost its data comes back with another log, and none of what it has
promised, in votes and acknowledgements, is true any more.

Configurations record the ids of the members' logs. Four rules make such a member harmless as long as the others are a
quorum:

1. Where the logs of a quorum are recorded, a voter whose log is not counts in no quorum and gets no entries, until a
   configuration that records it is *committed*, by the others. A later leader, who may not know whether that is so,
   sees it where the voter holds that configuration.
2. Who answers out of another log than the one that is recorded, or than the one that it had before in this term,
   counts in no quorum and gets no entries, for the rest of the term. Candidates count no such vote (``election``).
3. A newcomer learns unrecorded, but votes only after its log is recorded and that is committed.
4. A member that holds nothing and has not voted since its folder was made votes only for who holds nothing
   (``core``).

So whatever holds entries and may vote is recorded by a committed entry. Any later leader has that entry; one of an
earlier term commits nothing more, for the quorum that committed the entry has moved on, and it was one without the
member in question. What cannot be known so is a group's birth: its first entry records the logs of those who elected
the first leader, and until that is committed whoever loses its data is not found out.
"""

from __future__ import annotations

from collections.abc import Mapping

from hosts.raft.configuration import Configuration

ANOTHER_LOG = "answers out of another log than the group knows it by"
FORGOTTEN = "rejects what it had acknowledged"


class Identities:
    """What one term's leader knows of the others' logs."""

    __slots__ = ("lost", "told", "unrecorded")

    def __init__(self, told: Mapping[int, int]) -> None:
        """``told``: the ids that the leader has from its election, with its own."""
        self.told = {member: log_id for member, log_id in told.items() if log_id}
        self.lost: dict[int, str] = {}
        """Who has lost its data, and how that came to light."""
        self.unrecorded: dict[int, int] = {}
        """The logs of voters that are known and not recorded."""

    def adopt(self, latest: Configuration) -> None:
        """Take over who the members are now. A member that is gone is forgotten: it may come back with a new log."""
        everyone = latest.membership.everyone()
        self.told = {member: log_id for member, log_id in self.told.items() if member in everyone}
        self.lost = {member: why for member, why in self.lost.items() if member in everyone}
        self.unrecorded = {
            member: log_id
            for member, log_id in self.told.items()
            if latest.membership.is_voter(member) and member not in latest.log_ids
        }

    def hear(self, member: int, log_id: int, latest: Configuration) -> bool:
        """A member answers out of the log of that id, 0 if it does not say. True if it has another than before."""
        if not log_id:
            return False
        known = latest.log_ids.get(member) or self.told.get(member)
        if known is None:
            self.told[member] = log_id
            self.adopt(latest)
        return known not in (None, log_id)

    def first_recorded(self, current: Configuration, step: Configuration) -> Configuration | None:
        """What must be written before the joint configuration ``step``, or that itself: those who come to vote by it
        are recorded before, and that is committed without them. None as long as one has not named its log."""
        have = current.membership
        newcomers = step.membership.voters - have.voters - current.log_ids.keys()
        if not newcomers:
            return step
        if newcomers <= self.told.keys():
            return current.with_log_ids({**self.unrecorded, **{one: self.told[one] for one in newcomers}})
        return None if current.is_identified else step

    def counts_with(self, member: int, latest: Configuration, agreed: Configuration) -> int | None:
        """The entry that a member must hold so that its answers count; it gets what follows that entry. None: they
        do not count, and it gets nothing. ``agreed``: the last configuration that is surely committed."""
        if member in self.lost:
            return None
        judge = agreed if agreed.is_identified else latest
        if not latest.membership.is_voter(member) or not judge.is_identified or member in judge.log_ids:
            return 0
        return latest.index if member in latest.log_ids else None
