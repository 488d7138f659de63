"""Packets that a filter names: waited for, and told as soon as their ways are whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from topo.errors import LabError, UsageError
from topo.follow import disks, filters
from topo.follow.journeys import Follower, Journey
from topo.follow.watch import Shown, Watch
from topo.lab.running_lab import Live
from topo.root import check_root
from topo.views.output import print_json

MOST_PACKETS = 1000
HELD_NS = 200_000_000
"""What was seen so long ago has been told by all ports."""

Json = dict[str, Any]


def wait(text: str, count: int, seconds: float, shown: Shown) -> None:
    """Tell the ways of the next ``count`` packets that fit. Raises UsageError for a filter that cannot be read,
    LabError if fewer came within ``seconds`` (0: there is no end), KeyboardInterrupt if Ctrl-C ended it before."""
    if not 1 <= count <= MOST_PACKETS:
        raise UsageError(f"--count {count}: choose 1 to {MOST_PACKETS}")
    live = Live.find()
    wanted = filters.parse(text, live.topology)
    check_root("following packets")
    with Watch(live, shown) as watch:
        follower = Follower(watch.topology, watch.shadows, lambda one: "packet" if wanted.matches(one) else "")
        watch.recording.members(time.time_ns(), disks.status(live))
        print(f"Waiting for {text}; Ctrl-C ends it", file=sys.stderr, flush=True)
        deadline = time.monotonic() + seconds if seconds else None
        found: list[Json] = []
        for journey in _whole(watch, follower, wanted, count, deadline):
            found.append(_tell(watch, follower, journey, first=not found))
        watch.recording.members(time.time_ns(), disks.status(live))
        watch.recording.tell(follower.events)
        if shown.as_json:
            print_json({"filter": text, "packets": found, "looked_at": follower.packets})
        watch.finish(f"packets with {text}")
        if len(found) < count and (deadline is None or time.monotonic() < deadline):
            raise KeyboardInterrupt
        if len(found) < count:
            came = f"only {len(found)} of {count} packets with" if found else "no packet with"
            raise LabError(f"{came} {text} came within {seconds:g} s; {follower.packets} packets were looked at")


def _tell(watch: Watch, follower: Follower, journey: Journey, *, first: bool) -> Json:
    """Print a way, unless JSON is wanted; its JSON."""
    watch.reread()
    teller = watch.doubts(watch.teller(follower, journey.sent.time_ns), [journey])
    if not watch.shown.as_json:
        print("\n".join([*([] if first else [""]), *teller.journey(journey)]), flush=True)
    return teller.json(journey)


def _whole(
    watch: Watch, follower: Follower, wanted: filters.Filter, count: int, deadline: float | None
) -> Iterator[Journey]:
    """Ways that fit, as they become whole, until there are ``count`` of them. No others are left in ``follower``."""
    told: list[Journey] = []
    for frames in watch.frames():
        follower.take(frames)
        for journey in follower.take_whole(frames[-1].time_ns if frames else time.time_ns() - HELD_NS):
            if len(told) < count and wanted.ends(journey.reasons):
                told.append(journey)
                yield journey
            else:
                follower.forget(journey)
        watch.keep_up()
        late = deadline is not None and time.monotonic() > deadline
        if len(told) == count or (late and not follower.open()):
            break
    for journey in [one for one in follower.journeys.values() if one not in told]:
        follower.forget(journey)
