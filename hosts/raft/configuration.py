"""Configurations: who the members are and where they live, as of one entry of the log (thesis, chapter 4).

A member uses the latest configuration in its log, committed or not. The data of a CONFIGURATION entry is
``count:8`` and for each member, in rising order, ``id:8 parts:8 length:16 address``, then ``log_id:64`` if part 32 is
set. An address is opaque here; an empty one stands for where the member was before. Parts are bits: 1 votes, 2 votes
until a joint configuration ends, 4 learns; where the configuration is a step towards another, 8 learns to vote later,
16 votes and is to leave then; 32 the id of its log follows.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hosts.raft.config import MAX_ID
from hosts.raft.message import Entry, EntryKind
from hosts.raft.quorum import NO_MEMBERS, Membership

_MEMBER = struct.Struct(">BBH")
_LOG_ID = struct.Struct(">Q")
_VOTER, _OUTGOING, _LEARNER, _PROMISED, _LEAVING = 1, 2, 4, 8, 16
_IN_GROUPS = _VOTER | _OUTGOING | _LEARNER | _PROMISED | _LEAVING
_IDENTIFIED = 32


@dataclass(frozen=True, slots=True)
class Configuration:
    """``index`` is that of its entry; 0 for the members at the group's birth."""

    index: int
    membership: Membership
    addresses: Mapping[int, bytes] = field(default_factory=dict, hash=False)
    """Where each member is reached, as whoever proposed it wrote it; an empty one where nothing was said."""
    voters_next: frozenset[int] = NO_MEMBERS
    """Learners who are to vote once they have caught up: a later leader goes on with that."""
    voters_leaving: frozenset[int] = NO_MEMBERS
    """Voters who are to go then."""
    log_ids: Mapping[int, int] = field(default_factory=dict, hash=False)
    """The id of each member's log, as far as it is recorded: only what is answered out of that log counts."""

    @property
    def is_joint(self) -> bool:
        return bool(self.membership.outgoing)

    @property
    def is_identified(self) -> bool:
        """Whether the logs of a quorum are recorded. Then a voter whose log is not does not count: it may have lost
        what it had promised. Groups at their birth, and those of an older version, are not identified."""
        return self.membership.is_quorum(self.log_ids.keys())

    def with_membership(
        self,
        voters: frozenset[int],
        learners: frozenset[int],
        outgoing: frozenset[int],
        addresses: Mapping[int, bytes],
    ) -> Configuration:
        """A successor that is not in the log yet; addresses that are not in ``addresses`` stay."""
        membership = Membership(voters, outgoing, learners)
        known, everyone = {**self.addresses, **addresses}, sorted(membership.everyone())
        log_ids = {one: self.log_ids[one] for one in everyone if one in self.log_ids}
        return Configuration(0, membership, {one: known.get(one, b"") for one in everyone}, log_ids=log_ids)

    def with_log_ids(self, log_ids: Mapping[int, int]) -> Configuration:
        """A successor that differs in what it says of its members' logs; of their addresses it says nothing."""
        return replace(self, index=0, addresses={}, log_ids={**self.log_ids, **log_ids})

    def after(self, previous: Configuration) -> Configuration:
        """This configuration as it follows ``previous`` in a log: members without an address are where they were."""
        before = previous.addresses
        places = {one: place or before.get(one, b"") for one, place in self.addresses.items()}
        return replace(self, addresses=places)

    def leave_joint(self) -> Configuration:
        """C_new, which follows this joint configuration."""
        return self.with_membership(self.membership.voters, self.membership.learners, NO_MEMBERS, {})

    def on_the_way_to(self, voters: frozenset[int]) -> Configuration:
        """This configuration, marked as a step towards ``voters``, who are learners or voters already."""
        have = self.membership.voters
        return replace(self, voters_next=voters - have, voters_leaving=have - voters)

    @property
    def is_staging(self) -> bool:
        """Whether this configuration is a step towards other voters."""
        return bool(self.voters_next)

    def target(self) -> Configuration:
        """The configuration that this one is a step towards."""
        have = self.membership
        return self.with_membership(
            (have.voters | self.voters_next) - self.voters_leaving, have.learners - self.voters_next, NO_MEMBERS, {}
        )

    def without_promise(self) -> Configuration:
        """This configuration, no longer marked as a step."""
        return self.with_membership(self.membership.voters, self.membership.learners, self.membership.outgoing, {})

    def same_as(self, other: Configuration) -> bool:
        """Whether they differ at most in their index, and in what is known of their members' logs."""
        return (self.membership, dict(self.addresses), self.voters_next, self.voters_leaving) == (
            other.membership,
            dict(other.addresses),
            other.voters_next,
            other.voters_leaving,
        )

    def pack(self) -> bytes:
        """An entry's data."""
        membership = self.membership
        everyone = sorted(membership.everyone())
        packed = [bytes((len(everyone),))]
        for one in everyone:
            parts = (
                (_VOTER if one in membership.voters else 0)
                | (_OUTGOING if one in membership.outgoing else 0)
                | (_LEARNER if one in membership.learners else 0)
                | (_PROMISED if one in self.voters_next else 0)
                | (_LEAVING if one in self.voters_leaving else 0)
                | (_IDENTIFIED if one in self.log_ids else 0)
            )
            address = self.addresses.get(one, b"")
            packed += (_MEMBER.pack(one, parts, len(address)), address)
            if one in self.log_ids:
                packed.append(_LOG_ID.pack(self.log_ids[one]))
        return b"".join(packed)

    @classmethod
    def unpack(cls, index: int, data: bytes) -> Configuration:
        """The inverse of ``pack``. Raises ValueError for anything that ``pack`` does not write, or without
        voters."""
        groups: dict[int, set[int]] = {part: set() for part in (_VOTER, _OUTGOING, _LEARNER, _PROMISED, _LEAVING)}
        addresses: dict[int, bytes] = {}
        log_ids: dict[int, int] = {}
        at, last = 1, 0
        try:
            for _ in range(data[0]):
                one, parts, length = _MEMBER.unpack_from(data, at)
                at += _MEMBER.size + length
                known = parts & ~_IDENTIFIED
                if not last < one <= MAX_ID or not known or known & ~_IN_GROUPS or at > len(data):
                    raise ValueError(f"member {one} with parts {parts:#x} after member {last}")
                last = one
                addresses[one] = bytes(data[at - length : at])
                if parts & _IDENTIFIED:
                    (log_ids[one],) = _LOG_ID.unpack_from(data, at)
                    at += _LOG_ID.size
                for part, ids in groups.items():
                    if parts & part:
                        ids.add(one)
        except (IndexError, struct.error) as error:
            raise ValueError("a configuration cut short") from error
        if at != len(data) or not groups[_VOTER] or groups[_VOTER] & groups[_LEARNER]:
            raise ValueError("a configuration without voters, with a voter who is a learner too, or with more behind")
        if not groups[_PROMISED] <= groups[_LEARNER] or not groups[_LEAVING] <= groups[_VOTER]:
            raise ValueError("a configuration that promises a vote to who does not learn, or ends another's")
        voters, outgoing, learners, voters_next, voters_leaving = map(frozenset, groups.values())
        return cls(index, Membership(voters, outgoing, learners), addresses, voters_next, voters_leaving, log_ids)


def is_configuration(entry: Entry) -> bool:
    """Whether the entry's data is a configuration."""
    try:
        Configuration.unpack(entry.index, entry.data)
    except ValueError:
        return False
    return True


class History:
    """The configurations in a log, and the one that its base stands in. ``latest`` is the one in force."""

    __slots__ = ("_known", "latest", "previous")

    def __init__(self, base: Configuration, entries: Sequence[Entry] = ()) -> None:
        """Raises ValueError for an entry that holds none."""
        self._known = [base]
        self._set_latest()
        self.extend(entries)

    def extend(self, entries: Sequence[Entry]) -> None:
        """Take the configurations among entries that follow in the log."""
        news = [one for one in entries if one.kind is EntryKind.CONFIGURATION]
        if news:
            for one in news:
                self._known.append(Configuration.unpack(one.index, one.data).after(self._known[-1]))
            self._set_latest()

    def cut(self, index: int) -> None:
        """The log ends before ``index`` now."""
        if self.latest.index >= index:
            while self._known[-1].index >= index:
                self._known.pop()
            self._set_latest()

    def forget(self, index: int) -> None:
        """The log begins after ``index`` now."""
        known = self._known
        while len(known) > 1 and known[1].index <= index:
            del known[0]
        self._set_latest()

    def at(self, index: int) -> Configuration:
        """The one in force for a log that ends at ``index``, which must not lie before the base."""
        return next(one for one in reversed(self._known) if one.index <= index)

    def agreed(self, commit_index: int) -> Configuration:
        """The last one that is surely committed: each is proposed only once the one before is."""
        return self.latest if self.latest.index <= commit_index else self.previous

    def _set_latest(self) -> None:
        self.latest = self._known[-1]
        self.previous = self._known[-2] if len(self._known) > 1 else self.latest
        """What was in force before ``latest``, as far as the log tells."""
