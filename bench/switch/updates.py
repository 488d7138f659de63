"""Table updates while packets flow: WriteRequests of 100 that change entries, and every packet accounted for.

The traffic goes to as many addresses as there are entries. A round of writes gives each entry a new mark, which the
entry writes into the packets that it meets; no packet may be lost, and each must carry the old mark or a new one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from finsy.proto import p4r

from bench.switch import devices, workload
from bench.switch.measure import Traffic, reached
from bench.switch.runtime import Rule, Runtime

ENTRIES = 1000
UPDATES_PER_S = 10_000
IN_ONE = 100
PPS = 100_000
FIRST_MARK = 1


def rule(at: int, mark: int) -> Rule:
    return Rule("routes", ((0x0A01_0000 + at, 32),), "forward_marked", (mark, workload.PORT_B))


class Writer(threading.Thread):
    """Writes requests that are ready beforehand, evenly at a rate, for some seconds. `done`: updates written."""

    def __init__(self, runtime: Runtime, requests: Sequence[tuple[int, p4r.WriteRequest]], seconds: float) -> None:
        super().__init__()
        self.runtime, self.requests, self.seconds = runtime, requests, seconds
        self.done = 0
        self.took = 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        start = time.monotonic()
        try:
            for count, request in self.requests:
                wait = start + self.done / UPDATES_PER_S - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                if time.monotonic() - start > self.seconds:
                    break
                self.runtime.send(request)
                self.done += count
        except Exception as error:
            self.error = error
        self.took = time.monotonic() - start


def measure(
    folder: Path, tool: Path, in_one: int = IN_ONE, pps: float = PPS, seconds: float = 2.0
) -> dict[str, float]:
    """updates_per_s that were done, offered_pps, lost; foreign: packets that carried no mark ever written."""
    compiled = workload.compile_l3(folder / "l3")
    frames = [workload.plain_frame(64, 0x0A01_0000 + at) for at in range(ENTRIES)]
    there = workload.write_frames(folder / "updates.there", frames)
    with devices.switch("embedded", compiled, folder, folder / "cache") as running:
        runtime = running.runtime
        assert runtime is not None
        runtime.push(compiled.program)
        runtime.insert(rule(at, FIRST_MARK) for at in range(ENTRIES))
        marks = range(FIRST_MARK + 1, 250)
        requests = []
        for number in range(int(UPDATES_PER_S * (seconds + 1)) // in_one):
            first = number * in_one
            changed = [
                runtime.update(rule(at % ENTRIES, marks[at // ENTRIES % len(marks)]), p4r.Update.MODIFY)
                for at in range(first, first + in_one)
            ]
            requests.append((in_one, runtime.request(changed)))
        traffic = Traffic(tool, there, there)
        traffic.first_ns()
        writer = Writer(runtime, requests, seconds)
        writer.start()
        result = traffic.check(pps, seconds)
        writer.join()
        if writer.error is not None:
            raise writer.error
        written = {FIRST_MARK, *(marks[at // ENTRIES % len(marks)] for at in range(writer.done))}
        foreign = sum(count for tag, count in result["tags"].items() if int(tag) not in written)
        lost = result["sent"] - result["received"] - result["reader_drops"]
        return {
            "updates_per_s": writer.done / writer.took,
            "offered_pps": reached(result),
            "sent": float(result["sent"]),
            "lost": float(lost),
            "foreign": float(foreign),
            "marks_seen": float(len(result["tags"])),
            "reader_drops": float(result["reader_drops"]),
        }
