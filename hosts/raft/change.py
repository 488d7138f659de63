"""One change of the members, step by step (thesis, sections 4.2.1 and 4.3).

Newcomers who are to vote come in as learners and catch up; then the joint configuration, then the new one. Where the
voters stay as they are, one entry is enough.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hosts.raft.config import MAX_ID
from hosts.raft.configuration import Configuration
from hosts.raft.errors import InvalidChange
from hosts.raft.quorum import NO_MEMBERS, has_majority

MAX_ROUNDS = 10
MAX_ADDRESS_BYTES = 0xFFFF


def target_of(
    current: Configuration, add: Mapping[int, bytes], remove: Collection[int], learners: Mapping[int, bytes]
) -> Configuration:
    """What ``current`` becomes when ``add`` vote, ``learners`` learn and ``remove`` are gone. Raises
    InvalidChange."""
    named = [*add, *remove, *learners]
    if len(set(named)) != len(named):
        raise InvalidChange(f"a member is named twice in {sorted(named)}")
    for one in named:
        if not isinstance(one, int) or not 1 <= one <= MAX_ID:
            raise InvalidChange(f"{one!r} is not a member id of 1..{MAX_ID}")
    for one, address in (*add.items(), *learners.items()):
        if len(address) > MAX_ADDRESS_BYTES:
            raise InvalidChange(
                f"the address of member {one} has {len(address)} bytes, more than {MAX_ADDRESS_BYTES}"
            )
    membership = current.membership
    gone = frozenset(remove)
    voters = (membership.voters | frozenset(add)) - gone - frozenset(learners)
    if not voters:
        raise InvalidChange("no voters would be left")
    return current.with_membership(
        voters, (membership.learners | frozenset(learners)) - gone - voters, NO_MEMBERS, {**add, **learners}
    )


def next_step(current: Configuration, target: Configuration, *, caught_up: bool) -> Configuration | None:
    """What to write into the log after ``current``, which is committed and not joint; None to wait, or when it is
    ``target`` already. ``caught_up``: newcomers may vote, and a quorum of those who will is there."""
    have, want = current.membership, target.membership
    if have.voters == want.voters:
        if current.same_as(target):
            return None
        return current.with_membership(want.voters, want.learners, NO_MEMBERS, target.addresses)
    newcomers = want.voters - have.voters
    if not newcomers <= have.learners:
        step = current.with_membership(have.voters, have.learners | newcomers, NO_MEMBERS, target.addresses)
        return step.on_the_way_to(want.voters)
    if not caught_up:
        return None
    return current.with_membership(want.voters, want.learners, have.voters, target.addresses)


class CatchUp:
    """How far one newcomer is: in rounds, each up to where the log ended when it began. The newcomer can keep up once
    a round takes less than an election timeout."""

    __slots__ = ("_began", "_goal", "_round_ticks", "done", "rounds")

    def __init__(self, last_index: int, now: int, round_ticks: int) -> None:
        self._goal = last_index
        self._began = now
        self._round_ticks = round_ticks
        self.rounds = 1
        self.done = False

    def reached(self, match_index: int, last_index: int, now: int) -> None:
        """The newcomer holds everything up to ``match_index``."""
        if self.done or match_index < self._goal:
            return
        if now - self._began < self._round_ticks:
            self.done = True
        else:
            self.rounds += 1
            self._goal = last_index
            self._began = now


class Change:
    """The change that a leader is about. A new leader finishes what it finds in the log: a joint configuration, and
    the promise to newcomers that they will vote.

    What a member has acknowledged before does not show that it lives: only who answers ``round``, which began after
    the change was asked for, or a later one counts as here.
    """

    __slots__ = ("_catch_up", "began", "here", "newcomers", "round", "target")

    def __init__(
        self, current: Configuration, target: Configuration, last_index: int, now: int, ticks: int, round: int
    ) -> None:
        self.target = target
        self.began = now
        self.round = round
        self.here = NO_MEMBERS
        """Voters-to-be that were here when ``heard`` was called last."""
        self.newcomers = target.membership.voters - current.membership.voters
        self._catch_up = {one: CatchUp(last_index, now, ticks) for one in sorted(self.newcomers)}

    def heard(self, match: Mapping[int, int], last_index: int, now: int) -> None:
        """What each voter-to-be that is here holds now; the leader among them holds all."""
        self.here = frozenset(match)
        for one, catch_up in self._catch_up.items():
            if one in match:
                catch_up.reached(match[one], last_index, now)

    def next_step(self, current: Configuration) -> Configuration | None:
        return next_step(current, self.target, caught_up=self._quorum_is_here() and not self.waits_for())

    def _quorum_is_here(self) -> bool:
        return has_majority(self.target.membership.voters, self.here)

    def is_done(self, current: Configuration) -> bool:
        return current.same_as(self.target)

    def waits_for(self) -> list[int]:
        """Newcomers who have not caught up, or are not here."""
        return [one for one, catch_up in self._catch_up.items() if not catch_up.done or one not in self.here]

    def too_slow(self) -> int | None:
        """A newcomer that cannot keep up, if there is one."""
        return next((one for one, catch_up in self._catch_up.items() if catch_up.rounds > MAX_ROUNDS), None)

    def describe(self) -> str:
        """What it waits for, for people."""
        newcomers = self.waits_for()
        if newcomers:
            return f"members {newcomers} catch up"
        if not self._quorum_is_here():
            return f"members {sorted(self.target.membership.voters - self.here)} have yet to answer"
        return "under way"
