"""Entries per second through the Raft core alone: three cores in one process, no network, no disk, no clock.

Each turn the leader takes a batch of proposals; then Readys are done and messages handed over until nothing more is
to be done, so that the batch is in all three logs and committed at all three. A Ready counts as durable at once.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import deque
from collections.abc import Callable

from bench import record
from bench.arguments import count
from bench.plot import Series
from hosts.raft.config import Config
from hosts.raft.core import Raft, Role
from hosts.raft.message import HardState, Message
from p4switch.options import whole

MEMBERS = frozenset({1, 2, 3})
WARM_UP = 50
"""Batches before anything is counted."""

COMPACT = 20_000
"""Entries after which the log is compacted, as nodes do with snapshots: so that it is not its length that is
measured."""


class Cores:
    """The members of one group, of whom member 1 leads."""

    def __init__(self) -> None:
        self.cores = {
            member: Raft(Config(id=member, members=MEMBERS), HardState(), (), random.Random(member))
            for member in sorted(MEMBERS)
        }
        self.applied = dict.fromkeys(self.cores, 0)
        """Committed entries that each has given out."""
        self.leader = self.cores[1]
        while self.leader.role is not Role.LEADER:
            self.leader.tick()
            self.settle()

    def settle(self) -> None:
        """Do what the cores want done, until they want nothing more."""
        messages: deque[Message] = deque()
        busy = True
        while busy:
            busy = False
            for member, core in self.cores.items():
                ready = core.ready()
                while ready is not None:
                    busy = True
                    messages.extend(ready.messages)
                    core.advance(ready)
                    messages.extend(ready.after)
                    self.applied[member] += len(ready.committed)
                    ready = core.ready()
            while messages:
                message = messages.popleft()
                self.cores[message.target].step(message)

    def batch(self, size: int, data: bytes) -> None:
        """Propose, and have all members commit."""
        for _ in range(size):
            self.leader.propose(data)
        self.settle()
        for member, core in self.cores.items():
            if core.commit_index < self.leader.last_index:
                # What followers have not been told rides on the next append, or goes with the next tick.
                assert member != self.leader.id
                self.leader.tick()
                self.settle()
        if self.leader.last_index - self.leader.log.base_index > COMPACT:
            for core in self.cores.values():
                core.compact(core.take_snapshot(core.commit_index, b""))


def run(
    entries: int, batch: int, value_bytes: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, int]:
    """Entries per second, and how many entries were proposed and committed for that: at least ``entries``."""
    cores, data = Cores(), bytes(value_bytes)
    for _ in range(WARM_UP):
        cores.batch(batch, data)
    before = dict(cores.applied)
    began = clock()
    for _ in range(-(-entries // batch)):
        cores.batch(batch, data)
    took = clock() - began
    done = {cores.applied[member] - before[member] for member in cores.cores}
    (count,) = done  # the same at every member
    return count / took, count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--entries", type=count, default=200_000, help="in each run")
    parser.add_argument("--batch", type=count, default=64, help="entries proposed at a time")
    parser.add_argument("--size", type=whole(0, 8 << 20), default=64, metavar="BYTES", help="of an entry's data")
    parser.add_argument("--rounds", type=count, default=5, help="of which the median is shown")
    parser.add_argument("--json", action="store_true", help="every run's figure, for programs")


def main(options: argparse.Namespace) -> int:
    rates = [run(options.entries, options.batch, options.size)[0] for _ in range(options.rounds)]
    told = f"batches of {options.batch}, {options.size} B; no network, no disk"
    values = tuple(rates)
    record.keep(options.words, [told], [Series("entries/s through three cores", "switchraft", "switchraft", values)])
    if options.json:
        print(json.dumps({"batch": options.batch, "size": options.size, "entries_per_s": rates}))
    else:
        print(
            f"{statistics.median(rates):,.0f} entries/s ({min(rates):,.0f} - {max(rates):,.0f}), "
            f"median of {len(rates)} runs of {options.entries:,}: proposed at one of three cores in batches of "
            f"{options.batch} ({options.size} B), committed at all three; no network, no disk"
        )
    return 0
