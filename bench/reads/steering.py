"""A client that asks a follower's address: with switches that steer it to the leader, without, and beside one that
asks the leader. Each client is a new one, which opens a session and reads once."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.consensus.grounds import Ground
from topo import paths
from topo.errors import LabError
from topo.views import features

FEATURE = "leader_route"
MOST = 1.05
ROUNDS = 4
"""Of all three ways, one after the other, so that a machine that becomes slower is on nobody's side."""
SETTLE_S = 0.5


@dataclass
class Waits:
    """Seconds from a client's beginning to its answer, by way; and requests that reached the follower with
    steering."""

    took: dict[str, list[float]] = field(default_factory=dict)
    at_follower: int = 0

    def ratio(self, way: str) -> float:
        """The median's, to that of asking the leader."""
        return statistics.median(self.took[way]) / statistics.median(self.took["leader"])

    def misses(self) -> Iterator[str]:
        if self.ratio("steered") > MOST:
            yield f"a client that is steered waits {self.ratio('steered'):.2f} times as long, not {MOST}"
        if self.at_follower:
            yield f"{self.at_follower} packets of steered clients at the follower"

    def shown(self) -> dict[str, Any]:
        return {"took_s": self.took, "at_follower": self.at_follower}

    def __str__(self) -> str:
        medians = {way: 1000 * statistics.median(took) for way, took in self.took.items()}
        return (
            f"a client that asks a follower's address has its answer after {medians['steered']:.2f} ms where it is "
            f"steered ({self.ratio('steered'):.3f} times), {medians['redirected']:.2f} ms where not "
            f"({self.ratio('redirected'):.3f} times); that of the leader after {medians['leader']:.2f} ms; "
            f"{self.at_follower} of its packets at the follower where it is steered"
        )


def measure(ground: Ground, ask: Callable[[int], dict[str, Any]], clients: int) -> Waits:
    """``ask`` gives a member's status. Raises LabError."""
    leader = next((one for one in ground.addresses if ask(one)["groups"][0]["role"] == "leader"), None)
    if leader is None:
        raise LabError("nobody leads")
    follower = next(one for one in ground.addresses if one != leader)
    waits = Waits()
    try:
        for number in range(ROUNDS):
            for way in ("steered", "redirected", "leader")[:: 1 if number % 2 else -1]:
                features.changed(FEATURE, way == "steered", None)
                time.sleep(SETTLE_S)
                before = _requests(ask(follower))
                asked = leader if way == "leader" else follower
                waits.took.setdefault(way, []).extend(_firsts(ground, asked, -(-clients // ROUNDS)))
                if way == "steered":
                    waits.at_follower += _requests(ask(follower)) - before
    finally:
        features.changed(FEATURE, True, None)
    return waits


def _requests(status: dict[str, Any]) -> int:
    """Datagrams of clients that a member has got."""
    return sum(count for kind, count in status["counters"]["received"].items() if kind.startswith("CLIENT"))


def _firsts(ground: Ground, member: int, clients: int) -> list[float]:
    words = ["--server", f"{ground.addresses[member]}:{ground.port}", "--bind", ground.client]
    command = [sys.executable, "-m", "bench.reads.firsts", *words, "--clients", str(clients)]
    done = subprocess.run(ground.at_client(command), capture_output=True, text=True, cwd=paths.ROOT, check=False)
    if done.returncode:
        raise LabError(f"clients fail: {done.stderr.strip().splitlines()[-1:]}")
    found: list[float] = json.loads(done.stdout)
    return found
