"""Whose acknowledgements a leader waits for: the fastest that a quorum needs answer at once, the others merge theirs.

Now and then all are asked to answer at once, and the order in which they do is the measure: it needs no clock, and
takes the way, the processor and the disk of each into account, as far as they matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hosts.raft.config import Config
from hosts.raft.progress import Progress

FIRST_SAMPLES = 4
"""So many samples a new leader takes before it chooses."""

WEIGHT = 1 / 8
"""Of a sample in a member's rank."""

SILENT_HEARTBEATS = 2
"""Who has not answered a round that began so many heartbeats ago is not waited for."""


LATE_TICKS = 3
"""So many ticks later than others one of the fastest may acknowledge."""


@dataclass(slots=True)
class AcknowledgementCounts:
    """What lazy acknowledgements have led to: of this member's own the first two, the others while it led."""

    merged: int = 0
    """Acknowledgements that were held back until a later one said the same."""
    late: int = 0
    """Acknowledgements that were held back until their time was over."""
    asked_again: int = 0
    """How often all were asked to answer at once, because one of the fastest was late."""
    choices: int = 0
    """How often it was chosen anew who answers at once."""


class Fastest:
    """One term's. Only voters whose answers count are chosen."""

    __slots__ = (
        "_config",
        "_counts",
        "_last_sent",
        "_missing",
        "_needed",
        "_next_sample",
        "_passed",
        "_place",
        "_ranks",
        "_sample",
        "_samples_left",
        "chosen",
        "sampling",
    )

    def __init__(self, config: Config, counts: AcknowledgementCounts) -> None:
        self._config = config
        self._counts = counts
        self.chosen: frozenset[int] = frozenset()
        """Who answers at once. Nobody: all do."""
        self.sampling = False
        """Whether what is sent now is to be answered at once by all, in order to see who is fast."""
        self._needed = 0
        self._ranks: dict[int, float] = {}
        """Of each, how many were faster, on the average."""
        self._sample = self._place = self._next_sample = 0
        self._missing: set[int] = set()
        """Who has not acknowledged the entry ``_sample`` yet, which others have, ``_place`` of them."""
        self._samples_left = FIRST_SAMPLES
        self._last_sent = 0
        self._passed = deque([0] * LATE_TICKS, LATE_TICKS)
        """The commit index at the last ticks."""

    def know(self, voters: Collection[int], needed: int) -> None:
        """Who can be waited for, and how many of them make a quorum with this leader."""
        if needed == self._needed and self._ranks.keys() == set(voters):
            return
        middle = (len(voters) - 1) / 2
        self._needed = needed
        self._ranks = {one: self._ranks.get(one, middle) for one in sorted(voters)}
        self._missing &= self._ranks.keys()
        self._ask_all()

    def _ask_all(self) -> None:
        self.chosen = frozenset()
        self._samples_left = max(1, self._samples_left)

    def may_wait(self, member: int) -> bool:
        """Whether a member may hold its acknowledgements back."""
        return bool(self.chosen) and member not in self.chosen

    # -- who is fast --------------------------------------------------------------------------------------------

    def takes_sample(self, now: int, last_index: int) -> bool:
        """Whether what is sent now shall be a sample: some entry is sent for the first time, and a heartbeat's time
        has passed since the last one. To be asked whenever entries may be sent."""
        is_new = last_index > self._last_sent
        self._last_sent = last_index
        return is_new and now >= self._next_sample

    def begin_sample(self, now: int, index: int, progress: Mapping[int, Progress]) -> None:
        """Entries up to ``index`` have been sent for all to answer at once. The last sample ends."""
        if self._place:  # what nobody has acknowledged says nothing
            self._rank_missing()
            self._samples_left = max(0, self._samples_left - 1)
            if not self._samples_left:
                self._choose(now, progress)
        self._sample, self._place = index, 0
        self._missing = set(self._ranks)
        self._next_sample = now + self._config.heartbeat_ticks

    def acknowledged(self, member: int, index: int) -> None:
        """A member has acknowledged more than before."""
        if index >= self._sample and member in self._missing:
            self._missing.discard(member)
            self._rank(member, self._place)
            self._place += 1

    def _rank(self, member: int, place: int) -> None:
        self._ranks[member] += (place - self._ranks[member]) * WEIGHT

    def _rank_missing(self) -> None:
        for member in sorted(self._missing):
            self._rank(member, len(self._ranks))

    def _choose(self, now: int, progress: Mapping[int, Progress]) -> None:
        """The fastest of those who answer; another one takes a place only if it is clearly faster than who has it."""
        ranks = self._ranks
        heard = [one for one in ranks if not self._is_silent(now, progress.get(one))]
        heard.sort(key=ranks.__getitem__)
        if not 0 < self._needed <= len(heard) or self._needed == len(ranks):
            self.chosen = frozenset()
            return
        chosen = set(self.chosen)
        if not chosen or not chosen <= set(heard):
            chosen = set(heard[: self._needed])
        else:
            slowest = max(chosen, key=ranks.__getitem__)
            others = [one for one in heard if one not in chosen]
            if others and ranks[others[0]] + len(ranks) / 4 < ranks[slowest]:
                chosen = chosen - {slowest} | {others[0]}
        if chosen != self.chosen:
            self._counts.choices += 1
            self.chosen = frozenset(chosen)

    def _is_silent(self, now: int, one: Progress | None) -> bool:
        limit = SILENT_HEARTBEATS * self._config.heartbeat_ticks
        return one is None or now - one.answered_tick > limit

    # -- who is late --------------------------------------------------------------------------------------------

    def watch(self, now: int, commit: int, progress: Mapping[int, Progress]) -> None:
        """A tick has passed. Who has not acknowledged what others have committed LATE_TICKS ago is late, and so is
        who is silent: all are asked to answer at once, until after the next sample others are chosen."""
        late = [
            one
            for one in sorted(self.chosen)
            if self._is_silent(now, progress.get(one)) or progress[one].match_index < self._passed[0]
        ]
        self._passed.append(commit)
        if late:
            self._counts.asked_again += 1
            for one in late:
                self._ranks[one] = float(len(self._ranks))
            self._ask_all()
