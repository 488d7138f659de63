"""Every host pings every other."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from topo.errors import LabError
from topo.lab import namespace
from topo.lab.running_lab import Live
from topo.root import check_root

WAIT_S = 2


@dataclass(frozen=True)
class Pings:
    """``answers``: (from, to) -> whether the answer came."""

    answers: dict[tuple[str, str], bool]

    @property
    def received(self) -> int:
        return sum(self.answers.values())

    @property
    def dropped_percent(self) -> float:
        return 100 * (1 - self.received / len(self.answers)) if self.answers else 0.0


def all_pairs(live: Live) -> Pings:
    """One ping from each host to each other, those of one host at a time, all hosts at once."""
    hosts = live.topology.hosts
    answers: dict[tuple[str, str], bool] = {}
    for shift in range(1, len(hosts)):
        running = {}
        for place, host in enumerate(hosts):
            other = hosts[(place + shift) % len(hosts)]
            line = namespace.wrap(live.holder(host.name), ["ping", "-n", "-c1", f"-W{WAIT_S}", str(other.ip)])
            running[host.name, other.name] = subprocess.Popen(
                line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        for pair, ping in running.items():
            answers[pair] = ping.wait() == 0
    return Pings(answers)


def show(as_json: bool) -> None:
    """Print who reaches whom. Raises LabError if somebody does not reach somebody."""
    check_root("pinging from hosts")
    live = Live.find()
    pings = all_pairs(live)
    if as_json:
        rows = [{"from": a, "to": b, "ok": ok} for (a, b), ok in sorted(pings.answers.items())]
        print(json.dumps({"dropped_percent": pings.dropped_percent, "pings": rows}))
    else:
        names = [host.name for host in live.topology.hosts]
        for name in names:
            reached = [other if pings.answers[name, other] else "X" * len(other) for other in names if other != name]
            print(f"{name:>4} -> {' '.join(reached)}")
        print(f"{pings.dropped_percent:.0f} % dropped ({pings.received}/{len(pings.answers)} received)")
    if pings.received < len(pings.answers):
        raise LabError("not every host reaches every other")
