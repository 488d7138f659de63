"""Whom the network's copies reach: a leader finds out by rounds that nothing but a copy carries.

A heartbeat that the network is to copy has a round of its own. Who answers that round has got a copy. The round after
it is that of entries to everybody, so that an answer to these is told from one to what was sent to its member alone.

Who answers no copies for a while is asked alone as well. If it answers that first, its copies are lost, and it is
served alone again: who is slow answers in the order in which it was asked. Who answers nothing may be slow for an
election timeout; to serve it alone would make it slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hosts.raft.config import Config
from hosts.raft.progress import Progress

SILENT_HEARTBEATS = 2
"""Who has answered no copy for so many heartbeats is asked alone as well."""

FEWEST = 2
"""For fewer members one message each is as cheap."""


@dataclass(slots=True)
class FanoutCounts:
    """What has happened by the network's copies while this member led, in all its terms."""

    rounds: int = 0
    """Rounds whose heartbeat was copied for those whom copies reach."""
    appends: int = 0
    """AppendEntries with entries that were sent once for all whom copies reach."""
    trials: int = 0
    """Heartbeats sent to be copied in order to see whom copies reach."""
    trials_in_vain: int = 0
    """Trials that nobody had answered when the next one began."""
    fallbacks: int = 0
    """How often a member whom copies had reached was served alone again."""
    fallbacks_entries: int = 0
    """Of these, because it had answered copies of heartbeats and not those of entries; of the others neither."""
    laggards: int = 0
    """AppendEntries with entries to one member alone while copies went to others."""
    rejects: int = 0
    """REJECTs of copies that turned nobody back: those entries come otherwise, or their turn has not come yet."""


class Fanout:
    """One term's. ``Progress.fanned`` says whom copies reach: nobody, or at least FEWEST."""

    __slots__ = (
        "_began",
        "_config",
        "_counts",
        "_next_trial",
        "_reached",
        "_trial_round",
        "_trial_was_answered",
        "round",
    )

    def __init__(self, config: Config, counts: FanoutCounts) -> None:
        self._config = config
        self._counts = counts
        self.round = 0
        """The latest round of a heartbeat that was copied. Entries to everybody have the next one."""
        self._began: dict[int, int] = {}
        """Ticks at which such rounds began, those of an election timeout."""
        self._reached: set[int] = set()
        self._trial_round = 0
        self._trial_was_answered = True
        self._next_trial = 0

    @property
    def active(self) -> bool:
        """Whether some members get what goes to everybody by copies."""
        return len(self._reached) >= FEWEST

    def is_of_entries(self, round: int) -> bool:
        """Whether a round is one of entries to everybody."""
        return round - 1 in self._began

    def begin_round(self, now: int, round: int, progress: Mapping[int, Progress], may_try: bool) -> tuple[int, ...]:
        """Whom a heartbeat of ``round`` is to reach by copies; nobody if there shall be none."""
        self._forget_silent(now, progress)
        trial = may_try and now >= self._next_trial and len(progress) >= FEWEST
        if trial and self.active and len(self._reached) == len(progress):
            trial = False
        if not (trial or self.active):
            return ()
        self._begin(now, round)
        self._counts.rounds += self.active
        if not trial:
            return tuple(sorted(self._reached))
        self._begin_trial(now, round)
        return tuple(sorted(progress))

    def _begin(self, now: int, round: int) -> None:
        """Reads begin rounds, too, thousands in a second: no more of them are looked at than there are to forget."""
        self.round = round
        began = self._began
        began[round] = now
        while now - began[oldest := next(iter(began))] >= self._config.election_timeout_ticks:
            del began[oldest]

    def _begin_trial(self, now: int, round: int) -> None:
        """As long as copies reach too few, each trial begins anew."""
        self._counts.trials += 1
        self._counts.trials_in_vain += not self._trial_was_answered
        self._trial_was_answered = False
        self._trial_round = round
        self._next_trial = now + self._config.fanout_trial_ticks
        if not self.active:
            self._reached.clear()

    def answered(self, member: int, round: int, progress: Mapping[int, Progress]) -> None:
        """A member has answered a round: if that was one of copies, they reach it. An answer to entries to everybody
        says nothing: what is lost of a large copy is sent again to its member alone (``hosts.net.fanout``)."""
        one = progress[member]
        began = self._began.get(round)
        if began is None:
            if 0 < one.alone_round <= round and not self.is_of_entries(round):
                self.fall_back(member, progress, gets_heartbeats=False)
            return
        one.alone_round = 0
        one.copied_tick = max(one.copied_tick, began)
        if round == self._trial_round and member not in self._reached:
            self._trial_was_answered = True
            self._reached.add(member)
            self._settle(progress)

    def asks_alone(self, now: int, round: int, one: Progress) -> bool:
        """Whether a member whom copies reach is to get a heartbeat of this round for itself: one in a heartbeat's
        time, as reads begin rounds, too."""
        heartbeat_ticks = self._config.heartbeat_ticks
        is_silent = one.fanned and now - one.copied_tick >= SILENT_HEARTBEATS * heartbeat_ticks
        if not is_silent or now - one.alone_tick < heartbeat_ticks:
            return False
        one.alone_tick = now
        one.alone_round = one.alone_round or round
        return True

    def _forget_silent(self, now: int, progress: Mapping[int, Progress]) -> None:
        limit = self._config.election_timeout_ticks
        for member in sorted(self._reached) if self.active else ():
            if now - progress[member].copied_tick >= limit:
                self.fall_back(member, progress, gets_heartbeats=False)

    def fall_back(self, member: int, progress: Mapping[int, Progress], gets_heartbeats: bool) -> None:
        """A member is served alone again, until a later trial. ``gets_heartbeats``: and entries it does not."""
        if progress[member].fanned:
            self._counts.fallbacks += 1
            self._counts.fallbacks_entries += gets_heartbeats
            progress[member].give_up_copies()
            self.forget(member, progress)

    def forget(self, member: int, progress: Mapping[int, Progress]) -> None:
        """Nothing is known of a member any more. With it the others lose copies if they are too few then."""
        was_active = self.active
        self._reached.discard(member)
        if was_active and not self.active:
            self._reached.clear()
        self._settle(progress)

    def _settle(self, progress: Mapping[int, Progress]) -> None:
        for member, one in progress.items():
            one.fanned = self.active and member in self._reached
            one.waits = one.waits and one.fanned
