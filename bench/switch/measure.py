"""What is measured of one device that forwards: round-trip time, rates, and the time until the first packet."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.switch.devices import SIDE_A, SIDE_B, Running

HALT_S = 0.01
"""A device that is to be saturated is stopped, and goes on, by turns, for as long each."""
STEPS = 6
"""Halvings of the interval in which the rate with little loss lies."""
LITTLE_LOSS = 0.01


@dataclass(frozen=True)
class Lengths:
    """How long what is measured takes, in seconds. Shorter ones only show that it can be measured."""

    trial: float = 1.2
    """Of one rate, equally long for slow and fast devices: a machine that stands still for a moment costs each the
    same share of its frames."""
    longest_trial: float = 3.0
    trial_frames: int = 60_000
    """At least: so many that what a device's queues can hold (BMv2: some 2,000) is little of it."""
    overload: float = 0.8
    saturated: float = 1.6

    @classmethod
    def of_trial(cls, seconds: float) -> Lengths:
        """All of them in proportion."""
        share, usual = seconds / cls.trial, cls()
        return cls(
            seconds,
            usual.longest_trial * share,
            round(usual.trial_frames * share),
            usual.overload * share,
            usual.saturated * share,
        )


USUAL = Lengths()


@dataclass(frozen=True)
class Traffic:
    """The generator: `there` and `back` are files of frames."""

    tool: Path
    there: Path
    back: Path
    lengths: Lengths = USUAL

    def rate(self, pps: float, seconds: float) -> dict[str, Any]:
        return self._run("rate", self.there, f"{pps:.0f}", f"{seconds}")

    def trial(self, pps: float) -> dict[str, Any]:
        """Whether a rate gets through can be seen from this."""
        return self.rate(pps, self._trial_s(pps))

    def _trial_s(self, pps: float) -> float:
        lengths = self.lengths
        return min(max(lengths.trial, lengths.trial_frames / pps), lengths.longest_trial)

    def check(self, pps: float, seconds: float) -> dict[str, Any]:
        return self._run("check", self.there, f"{pps:.0f}", f"{seconds}")

    def rtt(self, count: int = 2000, seconds: float = 2.0) -> dict[str, Any]:
        return self._run("rtt", self.there, str(self.back), str(count), f"{seconds}")

    def first_ns(self, seconds: float = 20.0) -> int:
        """CLOCK_MONOTONIC when the first frame came out; 0: none did."""
        return int(self._run("first", self.there, f"{seconds}")["first_ns"])

    def _run(self, what: str, there: Path, *words: str) -> dict[str, Any]:
        command = [str(self.tool), what, SIDE_A, SIDE_B, str(there), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def loss(trial: dict[str, Any]) -> float:
    return 1.0 - float(min(trial["received"], trial["sent"])) / max(1.0, float(trial["sent"]))


def reached(trial: dict[str, Any]) -> float:
    """Frames per second that were really sent."""
    return float(trial["sent"]) / float(trial["seconds"])


def carried(trials: list[dict[str, Any]]) -> float:
    """The rate of these trials if the most of them lost little, else 0."""
    passed = [reached(trial) for trial in trials if loss(trial) < LITTLE_LOSS]
    return statistics.median(passed) if 2 * len(passed) > len(trials) else 0.0


def tried(traffic: Traffic, pps: float) -> list[dict[str, Any]]:
    """Two trials, and a third if they disagree: a machine that was busy elsewhere for a moment fails one."""
    trials = [traffic.trial(pps) for _ in range(2)]
    if len({loss(trial) < LITTLE_LOSS for trial in trials}) > 1:
        trials.append(traffic.trial(pps))
    return trials


def rates(traffic: Traffic, running: Running) -> dict[str, float]:
    """overload_pps received of all that can be sent; little_loss_pps and no_loss_pps: most sent with that loss;
    cpu_us: of the device's process per frame that it forwarded."""
    before = running.cpu_seconds()
    overload = traffic.rate(0, traffic.lengths.overload)
    after = running.cpu_seconds()
    found = {"offered_pps": reached(overload), "overload_pps": float(overload["steady_pps"])}
    if before is not None and after is not None and overload["received"]:
        found["cpu_us"] = (after - before) / overload["received"] * 1e6
    levels = [[overload]]
    if loss(overload) >= LITTLE_LOSS:
        # Flooded, a device may do less than at the rate that it can bear: so look upwards from there, too.
        low, high = 0.0, min(reached(overload), max(found["overload_pps"], 10_000.0))
        while high < reached(overload):
            levels.append(tried(traffic, high))
            if not carried(levels[-1]):
                break
            low, high = high, min(high * 1.5, reached(overload))
        for _ in range(STEPS):
            middle = (low + high) / 2
            levels.append(tried(traffic, middle))
            low, high = (middle, high) if carried(levels[-1]) else (low, middle)
    little = max(map(carried, levels))
    without = max((reached(one) for level in levels for one in level if loss(one) == 0), default=0.0)
    for share in (0.95, 0.85, 0.7, 0.5, 0.35, 0.2):
        if without >= share * little:
            break
        trial = traffic.trial(share * little)
        if loss(trial) == 0:
            without = reached(trial)
    return {**found, "little_loss_pps": little, "no_loss_pps": without}


def saturated(traffic: Traffic, running: Running) -> dict[str, float]:
    """busy_us: of the device's CPU per frame that it forwards, when some always wait for it.

    It is stopped by turns, so that this also holds where the generator is the slower one.
    """
    before = running.cpu_seconds()
    assert running.pid is not None and before is not None
    with ThreadPoolExecutor(1) as pool:
        flood = pool.submit(traffic.rate, 0, traffic.lengths.saturated)
        try:
            while not flood.done():
                os.kill(running.pid, signal.SIGSTOP)
                time.sleep(HALT_S)
                os.kill(running.pid, signal.SIGCONT)
                time.sleep(HALT_S)
        finally:
            os.kill(running.pid, signal.SIGCONT)
    after = running.cpu_seconds()
    assert after is not None
    return {"busy_us": (after - before) / max(1, flood.result()["received"]) * 1e6}


def round_trip(traffic: Traffic) -> dict[str, float]:
    result = traffic.rtt()
    return {"rtt_p50_us": float(result["p50_us"]), "rtt_p99_us": float(result["p99_us"])}
