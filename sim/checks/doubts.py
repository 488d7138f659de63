"""Who hears its leader keeps to it: neither does it ask for votes, nor does it give one.

A member may doubt a leader after an election timeout of silence. Sooner it may only on its leader's host's word that
nobody is there, or on a hint, which has come since it heard that leader last, and only if it has heard nothing for a
while itself, or that leader's process has indeed ended; and never where the leader that it heard last holds leases,
or it does itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from hosts.raft.core import Raft, Role
from hosts.raft.message import NOBODY


@dataclass(frozen=True, slots=True)
class Stance:
    """Where a member stands before something happens to it."""

    role: Role
    term: int
    leader: int
    elapsed: int
    heard_ago: int

    @classmethod
    def of(cls, core: Raft) -> Stance:
        """Where it stands now."""
        return cls(core.role, core.current_term, core.leader, core._elapsed, core._heard_ago)


class Doubts:
    """Of one group."""

    def __init__(self, fail: Callable[[str, str], None], counts: Counter[str]) -> None:
        self._fail = fail
        self._counts = counts
        self._gone: dict[int, set[tuple[int, int]]] = {}
        """By member: the terms and leaders whose end its host has told it since it heard them last."""

        self._hinted: dict[int, set[tuple[int, int]]] = {}
        """By member: the terms and leaders of which it was hinted that they have ended, since it heard them last."""

        self._ended: dict[int, int] = {}
        """By member whose process has ended: its term then. It leads no term up to that any more."""

        self._with_leases: set[int] = set()
        """The terms whose leaders hold leases."""

        self._promised: WeakKeyDictionary[Raft, bool] = WeakKeyDictionary()
        """By member that has heard a leader in this life: whether the last one holds leases."""

    def elected(self, leader: Raft) -> None:
        """A term has a leader."""
        if leader.config.lease_ticks:
            self._with_leases.add(leader.current_term)

    def _is_promised(self, core: Raft) -> bool:
        return core.config.lease_ticks > 0 or self._promised.get(core, False)

    def told_of_end(self, core: Raft, gone: int) -> None:
        """A member takes word that nobody is at the address of ``gone``."""
        if core.leader == gone:
            self._gone.setdefault(core.id, set()).add((core.current_term, gone))

    def hinted(self, core: Raft, term: int) -> None:
        """A member takes a hint that the leader of ``term`` has ended."""
        if core.current_term == term:
            self._hinted.setdefault(core.id, set()).add((term, core.leader))

    def ends(self, core: Raft) -> None:
        """A member's process ends."""
        self._ended[core.id] = max(core.current_term, self._ended.get(core.id, 0))

    def hears(self, core: Raft) -> None:
        """A member takes something from its leader."""
        self._gone.pop(core.id, None)
        self._hinted.pop(core.id, None)
        self._promised[core] = core.current_term in self._with_leases

    def campaigns(self, core: Raft, before: Stance, ticks: int) -> None:
        """A follower has begun to ask for votes, within so many ticks."""
        if before.elapsed + ticks < core.config.election_timeout_ticks:
            self._counts["campaigns on a hint"] += 1
            self._check(core, before, before.heard_ago + ticks, "asks for votes")

    def grants(self, core: Raft, before: Stance) -> None:
        """A member has given its vote, or said that it would."""
        timeout, heard_ago = core.config.election_timeout_ticks, before.heard_ago
        if self._is_promised(core) and heard_ago < timeout:
            # Also without a leader in this term; but whoever has just started has heard nobody in this life.
            self._check(core, before, heard_ago, "gives its vote")
        elif before.leader not in (NOBODY, core.id) and heard_ago < timeout:
            self._counts["votes on a hint"] += 1
            self._check(core, before, heard_ago, "gives its vote")

    def _check(self, core: Raft, before: Stance, heard_ago: int, what: str) -> None:
        config = core.config
        led = before.term, before.leader
        told, hinted = led in self._gone.get(core.id, ()), led in self._hinted.get(core.id, ())
        least = 1.5 if told else 2.5
        if not self._is_promised(core):
            if (told or hinted) and heard_ago >= least * config.heartbeat_ticks:
                self._counts["doubts of the network's"] += not told
                return
            if told and self._ended.get(before.leader, 0) >= before.term:
                self._counts["doubts at once"] += 1
                return
        why = "which it was told is gone" if told or hinted else "which nobody says is gone"
        self._fail(
            "who hears its leader keeps to it",
            f"member {core.id} {what} in term {before.term}, {heard_ago} ticks after it heard its leader "
            f"{before.leader} last, {why}",
        )
