"""What a limit is worth: other clients' latency while one host floods, with `switchraft limit` and beside a flood
that no limit need stop.

In the lab, h11 sends client requests as fast as it is told, and a client at the other host writes small values. A
pair is two stretches of time: in one the flood goes to the group's service, under a limit; in the other the same
datagrams go to a port that switches do not know as Raft's and an address that they have no route to, so that they are
dropped at the same switch without any limit. What is left of a difference is what the limit lets through. Which of
them comes first changes from pair to pair. A third stretch, without the limit, shows what the limit is for.

``python -m bench.consensus.limit --flood ADDRESS:PORT PER_SECOND`` is the flood alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from bench import record
from bench.arguments import count
from bench.arguments import seconds as in_seconds
from bench.consensus import grounds
from bench.consensus.grounds import Ground, Timing
from bench.consensus.loopback import show
from bench.consensus.pairs import Pair, ratios
from bench.consensus.systems import Switchraft
from bench.plot import Series
from hosts.net.udp import UdpSocket
from hosts.raft.message import MessageType
from hosts.wire import Header
from topo import paths
from topo.errors import LabError, UsageError
from topo.lab import namespace
from topo.lab.running_lab import Live

MOST = 1.5
"""The greatest median of p99 under a limit to p99 beside a flood that is dropped."""
LATENCY = "p99, ms"
NOWHERE = "10.99.99.99"
"""No switch has a route there."""
TICK_S = 0.001
WARMUP_S = 0.5
SETTLE_S = 0.3
"""Before a stretch, once the flood has begun."""


@dataclass(frozen=True)
class Stretch:
    """What the other client saw, and what of the flood left its host and was over the limit."""

    p99_ms: float
    p50_ms: float
    commits_per_s: float
    sent_per_s: float
    over: int


@dataclass(frozen=True)
class Three:
    """One round."""

    limited: Stretch
    dropped: Stretch
    unlimited: Stretch

    @property
    def pair(self) -> Pair:
        return Pair(self.limited.p99_ms, self.dropped.p99_ms)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=count, default=12, help="of stretches of time")
    parser.add_argument("--seconds", type=in_seconds, default=4.0, help="of each stretch")
    parser.add_argument("--flood", type=count, default=20_000, metavar="PER_SECOND", help="datagrams from h11")
    parser.add_argument("--limit", type=count, default=500, metavar="PER_SECOND", help="requests that h11 may send")
    parser.add_argument("--outstanding", type=count, default=4, help="of the other client")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every round's figures, for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if the median is above MOST."""
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        rounds = run(options, progress.print)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    figures = summary(rounds)
    series = [
        Series(LATENCY, f"flood under a limit of {options.limit}/s", "switchraft", _p99s(rounds, "limited")),
        Series(LATENCY, "flood to a port that is dropped", "switchraft", _p99s(rounds, "dropped")),
        Series(LATENCY, "flood without a limit", "switchraft", _p99s(rounds, "unlimited")),
    ]
    conditions = [f"triangle, {options.switch} switch; {options.flood}/s from h11; {record.DURABLE}"]
    record.keep(options.words, conditions, series, figures)
    every = [{name: vars(getattr(one, name)) for name in ("limited", "dropped", "unlimited")} for one in rounds]
    show({**figures, "rounds": every} if options.json else figures, options.json)
    return int(not figures[f"at most {MOST}"])


def _p99s(rounds: Sequence[Three], name: str) -> tuple[float, ...]:
    return tuple(getattr(one, name).p99_ms for one in rounds)


def run(options: argparse.Namespace, say: Callable[[str], None]) -> list[Three]:
    """All rounds. Raises LabError, UsageError."""
    rounds: list[Three] = []
    with grounds.lab(3, 1, Timing(), options.switch, say) as ground:
        live = Live.find()
        flooder, other = live.topology.clients[:2]
        system = Switchraft(ground)
        system.start()
        try:
            for number in range(options.pairs):
                found = {}
                for which in _order(number):
                    _set_limit(live, flooder, None if which == "unlimited" else options.limit)
                    target = (NOWHERE, ground.port + 1) if which == "dropped" else (_service(ground), ground.port)
                    with flooding(live, flooder, target, options.flood) as sent:
                        found[which] = stretch(live, ground, other, options, flooder, sent)
                rounds.append(Three(**found))
                say(f"round {number + 1}/{options.pairs}: {_told(rounds[-1])}")
        finally:
            system.stop()
    return rounds


def _order(number: int) -> tuple[str, ...]:
    """The two of a pair one after the other, this one or that one first."""
    pair = ("limited", "dropped") if number % 2 == 0 else ("dropped", "limited")
    return (*pair, "unlimited")


def _told(three: Three) -> str:
    limited, dropped, unlimited = three.limited, three.dropped, three.unlimited
    return (
        f"p99 {limited.p99_ms:.2f} ms under the limit, {dropped.p99_ms:.2f} beside what is dropped "
        f"({three.pair.ratio:.2f}), {unlimited.p99_ms:.2f} without the limit; {limited.sent_per_s:,.0f}/s sent"
    )


def _service(ground: Ground) -> str:
    service = next(iter(ground.groups.values()))
    assert service is not None
    return service


def _set_limit(live: Live, host: str, per_second: int | None) -> None:
    live.ask_controller({"cmd": "limit", "host": host, "per_second": per_second})


def stretch(
    live: Live, ground: Ground, other: str, options: argparse.Namespace, flooder: str, sent: Callable[[], float]
) -> Stretch:
    """Load from another client's host while the flood goes on."""
    time.sleep(SETTLE_S)
    before = _over(live, flooder)
    words = ["--server", f"{_service(ground)}:{ground.port}", "--outstanding", str(options.outstanding)]
    words += ["--value-bytes", "64", "--warmup", str(WARMUP_S), "--seconds", str(options.seconds)]
    command = namespace.wrap(live.holder(other), [sys.executable, "-m", "bench.consensus.load", *words])
    done = subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT, check=False)
    if done.returncode:
        raise LabError(f"the other client: {done.stderr.strip() or 'nothing was committed'}")
    told = json.loads(done.stdout)
    over = _over(live, flooder) - before
    return Stretch(told["p99_ms"], told["p50_ms"], told["commits_per_s"], sent(), over)


def _over(live: Live, host: str) -> int:
    """How many requests the host's switch has dropped for the limit."""
    from topo.views import counters

    at = live.topology.host(host)
    return int(counters.of(live, at.switch)["over_limits"].get(str(at.port), {"packets": 0})["packets"])


@contextmanager
def flooding(live: Live, host: str, target: tuple[str, int], per_second: int) -> Iterator[Callable[[], float]]:
    """A flood for the time of the block; what it gives tells its rate once it has ended."""
    words = [sys.executable, "-m", "bench.consensus.limit", "--flood", f"{target[0]}:{target[1]}", str(per_second)]
    process = subprocess.Popen(
        namespace.wrap(live.holder(host), words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=paths.ROOT,
        env=os.environ,
    )
    assert process.stdin is not None and process.stdout is not None

    def end() -> float:
        """Raises LabError if the flood has failed."""
        told, _ = process.communicate()
        if process.returncode:
            raise LabError("the flood has ended; its words are above")
        return float(told)

    try:
        yield end
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def flood(target: tuple[str, int], per_second: int) -> float:
    """Send requests until this process's stdin ends; datagrams per second that left."""
    request = Header(MessageType.CLIENT_REQUEST, group=1, index=1, log_term=1).pack() + bytes(40)
    batch = [request] * max(1, round(per_second * TICK_S))
    own = UdpSocket(("", 0), len(request))
    began, sent, ended = time.monotonic(), 0, _stdin_ended()
    while not ended():
        own.send_all(batch, target)
        sent += len(batch)
        # What a slow moment has left undone is made up for, and no more than that.
        ahead = began + sent / per_second - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    return sent / (time.monotonic() - began)


def _stdin_ended() -> Callable[[], bool]:
    import select

    waiting = select.poll()
    waiting.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
    return lambda: bool(waiting.poll(0))


def summary(rounds: Sequence[Three]) -> dict[str, Any]:
    """The figures for people."""
    found = ratios([one.pair for one in rounds])
    return {
        "pairs": len(rounds),
        "p99 ms, flood under the limit": statistics.median(one.limited.p99_ms for one in rounds),
        "p99 ms, flood that is dropped": statistics.median(one.dropped.p99_ms for one in rounds),
        "p99 ms, flood without a limit": statistics.median(one.unlimited.p99_ms for one in rounds),
        "p50 ms, flood under the limit": statistics.median(one.limited.p50_ms for one in rounds),
        "p50 ms, flood that is dropped": statistics.median(one.dropped.p50_ms for one in rounds),
        "p50 ms, flood without a limit": statistics.median(one.unlimited.p50_ms for one in rounds),
        "flood, datagrams/s": statistics.median(one.limited.sent_per_s for one in rounds),
        "over the limit, a stretch": statistics.median(one.limited.over for one in rounds),
        "ratio of p99, median": f"{found.median:.3f}",
        "ratio, 95 % of confidence": f"{found.least:.3f} to {found.most:.3f}",
        "ratio, extremes": f"{found.lowest:.3f} to {found.highest:.3f}",
        f"at most {MOST}": found.median <= MOST,
    }


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flood", nargs=2, required=True, metavar=("ADDRESS:PORT", "PER_SECOND"))
    address, _, port = (given := parser.parse_args().flood)[0].rpartition(":")
    print(flood((address, int(port)), int(given[1])))


if __name__ == "__main__":
    _main()
