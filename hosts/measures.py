"""How long things take in a node, as histograms with fixed buckets: a list of counters and a sum, and nothing else.

Whatever is measured here decides nothing. Times are seconds of a monotonic clock, which is an argument: the simulator
has its own. A measurement is taken for a batch of commands, never for each of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any

from hosts.raft.core import Ready
from hosts.raft.message import EVERYBODY, Message, MessageType

BOUNDS_S = tuple(0.0001 * (1 << step) for step in range(17))
"""Upper bounds of the buckets, 0.1 ms to 6.6 s; one more bucket takes what is longer. etcd's bounds for round trips
and for its disk are among them or close by."""

STAGES = ("queue", "disk", "network", "apply")


class Durations:
    """How often something took how long."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """By bucket, not added up."""
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """It has happened once more."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def shown(self) -> dict[str, Any]:
        """For JSON. The number of all is the sum of ``counts``."""
        return {"counts": list(self.counts), "sum_s": self.sum_s}


class CommitStages:
    """Where the time goes between a request that a leader takes into its log and the answer.

    A batch is what leaves in one go. ``queue`` lasts from the first of its requests until it leaves for the followers
    and for the own disk. ``disk`` lasts from then on until the own disk holds it, with what it waits for there. At
    the same time ``network`` lasts until it is committed: until a quorum's disks hold it. ``apply`` lasts from then
    on until the last of it is applied and answered.
    """

    __slots__ = ("_applying", "_at_disk", "_away", "_clock", "_taken_at", "durations")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.durations = {stage: Durations() for stage in STAGES}
        self._clock = clock
        self._taken_at: float | None = None
        """When the first request of the batch was taken that has not left yet."""
        self._at_disk: deque[tuple[Ready, float]] = deque()
        self._away: deque[tuple[int, float]] = deque()
        """The last index of each batch that is not committed, and when it left."""
        self._applying: deque[tuple[int, float]] = deque()

    def taken(self) -> None:
        """A request has been taken into the log."""
        if self._taken_at is None:
            self._taken_at = self._clock()

    def leaves(self, ready: Ready) -> None:
        """Entries are sent and given to the disk now."""
        if self._taken_at is None:
            return  # none of them is a client's
        now = self._clock()
        self.durations["queue"].observe(now - self._taken_at)
        self._taken_at = None
        self._at_disk.append((ready, now))
        self._away.append((ready.entries[-1].index, now))

    def durable(self, ready: Ready) -> None:
        """The own disk holds what a Ready brought."""
        if self._at_disk and self._at_disk[0][0] is ready:
            self.durations["disk"].observe(self._clock() - self._at_disk.popleft()[1])

    def committed(self, index: int) -> None:
        """All up to this entry is committed."""
        self._pass(self._away, index, "network", self._applying)

    def applied(self, index: int) -> None:
        """All up to this entry is applied and answered."""
        self._pass(self._applying, index, "apply", None)

    def _pass(
        self,
        batches: deque[tuple[int, float]],
        index: int,
        stage: str,
        following: deque[tuple[int, float]] | None,
    ) -> None:
        if not batches or batches[0][0] > index:
            return
        now = self._clock()
        while batches and batches[0][0] <= index:
            last, since = batches.popleft()
            self.durations[stage].observe(now - since)
            if following is not None:
                following.append((last, now))

    def forget(self) -> None:
        """This member leads no more: what is under way is no longer its to finish."""
        self._taken_at = None
        for batches in (self._at_disk, self._away, self._applying):
            batches.clear()


class RoundTrips:
    """How long members take to answer a heartbeat, of a group that this member leads. The first answer of each to the
    latest round counts."""

    __slots__ = ("_beats", "_clock", "_heard", "durations")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.durations: dict[int, Durations] = {}
        """By member."""
        self._clock = clock
        self._beats: dict[bool, tuple[int, float]] = {}
        """The latest round and when its heartbeat left: that to everybody (True), and that to each alone."""
        self._heard: dict[bool, set[int]] = {True: set(), False: set()}

    def sent(self, message: Message) -> None:
        """A message leaves. What a leader sends first in a round is a heartbeat."""
        if message.type is not MessageType.APPEND_ENTRIES or message.entries:
            return
        everybody = message.target == EVERYBODY
        if self._beats.get(everybody, (0, 0.0))[0] != message.round:
            self._beats[everybody] = message.round, self._clock()
            self._heard[everybody].clear()

    def received(self, message: Message) -> None:
        """A message has come."""
        if message.type is not MessageType.APPEND_ENTRIES_REPLY or not message.round:
            return
        for everybody, (round, began) in self._beats.items():
            heard = self._heard[everybody]
            if message.round == round and message.source not in heard:
                heard.add(message.source)
                self.durations.setdefault(message.source, Durations()).observe(self._clock() - began)
