"""Packets at the switches' ports as they come, a share of them, for one who asks on the lab's socket.

    {"cmd": "frames", "most": 1500}     "most": packets a second that are looked at; what they cost is bounded by that

A line every tenth of a second that has any: "frames", each [nanoseconds since 1970, interface, 1 if the interface's
own side sent it, hexadecimal], in the order of time; "share", which part of the exchanges is let through; "blurred",
whether packets of those were missed since the last line, so that nothing follows from not seeing one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from topo.lab.process import Process
from topo.live.sampling import WHOLE, Share, program
from topo.topology import Topology
from topo.views.taps import Frame, Tap, batches, taps_at_ports

MOST_PER_S = 1500
LEAST_S, USUAL_S = 0.2, 1.0
"""From one measurement of the rate to the next."""
GIVES_WAY = 10
"""How nice whoever looks is to those who work (setpriority(2)): on a machine that is busy the lab comes first."""
QUIET_S = 2.0
"""A line at least so often: whoever asked may have gone."""

Json = dict[str, Any]


def stream(topology: Topology, holders: Mapping[str, Process], most_per_s: int) -> Iterator[Json]:
    """The lines, until closed. ``holders``: of the hosts' namespaces. Raises LabError where one cannot listen."""
    share = Share(most_per_s)
    with ExitStack() as stack:
        stack.enter_context(_giving_way())
        taps: list[Tap] = []
        for tap in taps_at_ports(topology, holders):
            stack.callback(tap.close)
            taps.append(tap)
        _choose(taps, topology.port, share)
        counted, since, told = 0, time.monotonic(), time.monotonic()
        for frames in batches(taps, 0):
            now = time.monotonic()
            counted += len(frames)
            blurred = len(frames) > most_per_s
            # A request's packets at a member at rest come at once, too: that is no rate.
            rushes = counted > most_per_s / 2 and counted > most_per_s * (now - since)
            if now - since >= USUAL_S or (rushes and now - since >= LEAST_S):
                if share.seen(counted, now - since):
                    _choose(taps, topology.port, share)
                    blurred = True
                blurred = sum(tap.lost() for tap in taps) > 0 or blurred
                counted, since = 0, now
            if frames or blurred or now - told > QUIET_S:
                told = now
                shown = [_shown(frame) for frame in frames[:most_per_s]]
                yield {"frames": shown, "share": round(share.value / WHOLE, 6), "blurred": blurred}


@contextmanager
def _giving_way() -> Iterator[None]:
    """This thread looks, and members and switches come first where there is not time for all (sched(7))."""
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, before + GIVES_WAY)
    try:
        yield
    finally:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, before)


def _choose(taps: list[Tap], port: int, share: Share) -> None:
    instructions = program(port, share.value)
    for tap in taps:
        tap.filter(instructions)


def _shown(frame: Frame) -> list[Any]:
    return [frame.time_ns, frame.interface, int(frame.outgoing), frame.data.hex()]
