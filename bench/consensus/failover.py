"""How long nothing is committed after the leader was killed (kill -9), or its host cut off, beside etcd; and whether
load costs a leader.

Under load the leader may also be stopped for less than that, again and again: that is to cost no election.

A client begins a put every 10 ms. What counts is the time from the kill to the first answer to a put that was begun
after it. With --idle no client sends anything, and what counts is the time until another leader has committed the
entry that its term begins with, as the members' control sockets tell it. The killed member comes back, and has time
to catch up, before the next kill.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial

from rich.console import Console
from rich.table import Table

from bench import record
from bench.arguments import A_DAY_S, count, real
from bench.consensus import etcd, grounds
from bench.consensus.grounds import Ground, Timing
from bench.consensus.systems import Etcd, Switchraft, System
from bench.consensus.window import Lengths, quantile
from bench.plot import Series
from hosts.config import MIN_HEARTBEATS_PER_ELECTION, Hints
from topo import paths
from topo.errors import LabError, UsageError

PATIENCE_S = 60.0
SETTLE_S = 1.0
"""Between a member's return and the next kill; a random part of the same length comes on top."""

SILENCE = "seconds to the next commit"
LIMIT_S = 0.8
PAUSE_S = (0.5, 1.5)
"""Between two stops of a leader under load."""
ETCD_DEFAULTS = Timing(100, 1000)
HINTS = {one.name.lower(): one for one in Hints}


class Pulse:
    """The client's process, and what it tells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._told: list[tuple[float, float]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            began, answered = line.split()
            self._told.append((float(began), float(answered)))

    def await_commit(self) -> None:
        """Return once a put is answered that begins from now on. Raises LabError if none is for long."""
        self.first_after(time.monotonic())

    def silence(self, end: Callable[[], None]) -> float:
        """Seconds without a commit from the moment at which ``end`` begins. Raises LabError if they are many."""
        moment = time.monotonic()
        end()
        return self.first_after(moment) - moment

    def first_after(self, moment: float) -> float:
        """When the first put was answered that was begun after a moment. Raises LabError if none is for long."""
        deadline = time.monotonic() + PATIENCE_S
        seen = 0
        while time.monotonic() < deadline:
            told = self._told[seen:]
            seen += len(told)
            for began, answered in told:
                if began > moment:
                    return answered
            if self._process.poll() is not None:
                raise LabError("the client has ended; its words are above")
            time.sleep(0.005)
        raise LabError(f"nothing was committed within {PATIENCE_S:.0f} s")


class Quiet:
    """In a client's place: nobody sends anything."""

    def __init__(self, system: Switchraft) -> None:
        self._system = system
        self._term = 0

    def await_commit(self) -> None:
        """Return once there is a leader that has committed all that it holds. Raises LabError if none is for long."""
        self._term = self._settled_above(0)

    def silence(self, end: Callable[[], None]) -> float:
        """Seconds from the moment at which ``end`` begins until a leader of a later term than there was has committed
        all that it holds. Raises LabError if they are many."""
        moment = time.monotonic()
        end()
        self._settled_above(self._term)
        return time.monotonic() - moment

    def _settled_above(self, above: int) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            term = self._system.settled_term()
            if term > above:
                return term
            time.sleep(0.001)
        raise LabError(f"no leader of a term above {above} has committed anything within {PATIENCE_S:.0f} s")


@contextmanager
def pulse(ground: Ground, system: System) -> Iterator[Pulse]:
    """A client of ``system`` for as long as the block runs."""
    command = ground.at_client([sys.executable, "-m", "bench.consensus.pulse", *system.pulse_words()])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=paths.ROOT)
    try:
        one = Pulse(process)
        one.first_after(0.0)
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def kills(
    ground: Ground,
    system: System,
    count: int,
    say: Callable[[str], None],
    client: AbstractContextManager[Pulse | Quiet],
    *,
    cut: bool = False,
) -> list[float]:
    """Seconds without a commit, for each kill of whoever leads, as ``client`` sees them. ``cut``: its host's link is
    broken, and mended, instead. Raises LabError, and UsageError where there is no such link."""
    if cut and ground.set_link is None:
        raise UsageError("--cut breaks the link between a host and its switch: it takes the lab, not --loopback")
    found: list[float] = []
    try:
        system.start()
        with client as watcher:
            for number in range(count):
                time.sleep(SETTLE_S * (1 + random.random()))
                watcher.await_commit()
                leader = _leader(system)
                if cut and ground.set_link is not None:
                    end, mend = partial(ground.set_link, leader, False), partial(ground.set_link, leader, True)
                else:
                    end, mend = partial(system.kill, leader), partial(system.revive, leader)
                found.append(watcher.silence(end))
                what = "cut" if cut else "kill"
                say(f"{system.name}: {what} {number + 1}/{count} of member {leader}: {found[-1]:.3f} s")
                mend()
    finally:
        system.stop()
    return found


def _leader(system: System) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        leader, _ = system.leadership()
        if leader is not None:
            return leader
        time.sleep(0.05)
    raise LabError(f"{system.name}: no leader within {PATIENCE_S:.0f} s")


@dataclass(frozen=True)
class Loaded:
    """What a long load saw: elections are terms. ``stops``: how often the leader was stopped meanwhile."""

    commits_per_s: float
    elections: int
    longest_s: float
    """That a put took."""
    stops: int = 0


class Stops:
    """While the block runs, whoever leads is stopped (SIGSTOP) for a random time of so many milliseconds, least and
    most, and goes on again; once in a second or so."""

    def __init__(self, system: Switchraft, milliseconds: tuple[int, int]) -> None:
        self._system, self._milliseconds = system, milliseconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count = 0

    def __enter__(self) -> Stops:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(random.uniform(*PAUSE_S)):
            leader, _ = self._system.leadership()
            if leader is None:
                continue
            pid = self._system.pid_of(leader)
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(random.uniform(*self._milliseconds) / 1000)
            finally:
                os.kill(pid, signal.SIGCONT)
            self.count += 1


def load(system: Switchraft, minutes: float, outstanding: int, stops: tuple[int, int] | None = None) -> Loaded:
    """What that many minutes of full load see, while the leader is stopped for so many milliseconds."""
    lengths = Lengths(seconds=minutes * 60, at_most=minutes * 60 + PATIENCE_S)
    try:
        system.start()
        _, before = system.leadership()
        with Stops(system, stops) if stops else nullcontext() as stopping:
            figures = system.load(outstanding, 64, lengths)
        _, after = system.leadership()
    finally:
        system.stop()
    return Loaded(
        figures["commits_per_s"], after - before, figures["longest_ms"] / 1000, stopping.count if stopping else 0
    )


def milliseconds(text: str) -> tuple[int, int]:
    """``20-100``: the least and the most. Raises ArgumentTypeError."""
    least, dash, most = text.partition("-")
    if not (dash and least.isdecimal() and most.isdecimal() and 0 < int(least) <= int(most) <= 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not LEAST-MOST milliseconds, as in 20-100")
    return int(least), int(most)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=count, default=20, help="of the leader, for each system and setting")
    parser.add_argument("--without-etcd", action="store_true")
    parser.add_argument(
        "--hints",
        default="both",
        choices=tuple(HINTS),
        help="whose word of a leader's end counts: 'hints' in the cluster file",
    )
    parser.add_argument("--without-hints", dest="hints", action="store_const", const="none", help="--hints none")
    parser.add_argument(
        "--idle", action="store_true", help="no client: until another leader has committed; etcd is left out"
    )
    parser.add_argument("--cut", action="store_true", help="the leader's host is cut off instead (needs the lab)")
    parser.add_argument(
        "--load-minutes", type=real(0, A_DAY_S / 60), default=0.0, help="then full load for so long: no elections?"
    )
    parser.add_argument(
        "--stop",
        type=milliseconds,
        metavar="LEAST-MOST",
        help="with --load-minutes: the leader's process is stopped for so many milliseconds, once in a second or so",
    )
    usual, ours = Timing(), "of this project's members"
    parser.add_argument("--heartbeat", type=count, default=usual.heartbeat, metavar="MS", help=ours)
    parser.add_argument("--election-timeout", type=count, default=usual.election_timeout, metavar="MS", help=ours)
    parser.add_argument("--outstanding", type=count, default=256, help="requests on their way, under load")
    parser.add_argument("--loopback", action="store_true", help="no lab, no switches: 127.0.0.x; needs no root")
    parser.add_argument("--switch", default="embedded", choices=("auto", "bmv2", "embedded"))
    parser.add_argument("--json", action="store_true", help="every kill's figure, for programs")


def main(options: argparse.Namespace) -> int:
    """The exit code is 1 if a limit is missed: 0.8 s, etcd's median, no election under load."""
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    if options.stop and not options.load_minutes:
        print("bench: --stop needs --load-minutes: the leader is stopped under load", file=sys.stderr)
        return 2
    if options.heartbeat < 1 or options.election_timeout < MIN_HEARTBEATS_PER_ELECTION * options.heartbeat:
        print(
            f"bench: --election-timeout: at least {MIN_HEARTBEATS_PER_ELECTION} heartbeats, here"
            f" {MIN_HEARTBEATS_PER_ELECTION * max(1, options.heartbeat)} ms",
            file=sys.stderr,
        )
        return 2
    try:
        found, loaded = run(options, progress.print)
    except (LabError, UsageError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    where = "loopback" if options.loopback else f"lab, {options.switch} switch"
    beside = [] if options.without_etcd or options.idle else [etcd.version()]
    about = [f"{where}, 3 members{', idle' if options.idle else ''}; {record.DURABLE}", *beside]
    facts = {} if loaded is None else {f"under load: {name}": value for name, value in asdict(loaded).items()}
    series = [Series(SILENCE, name, name.split(",")[0], tuple(times)) for name, times in found.items() if times]
    record.keep(options.words, about, series, facts)
    if options.json:
        print(json.dumps({"seconds": found, "load": loaded and asdict(loaded)}, indent=2))
    else:
        if found:
            what = "host cut off" if options.cut else "killed"
            Console(width=110).print(table(found, f"{what}, idle" if options.idle else what))
        if loaded is not None:
            stops = f"the leader stopped {loaded.stops} times; " if options.stop else ""
            print(
                f"{options.load_minutes:g} minutes of load, {options.heartbeat}/{options.election_timeout} ms, hints:"
                f" {options.hints}; {stops}{loaded.commits_per_s:.0f} commits/s, {loaded.elections} elections, the"
                f" longest put {loaded.longest_s:.2f} s"
            )
    medians = {name: statistics.median(times) for name, times in found.items() if times}
    ours = next((one for name, one in medians.items() if name.startswith("switchraft")), 0.0)
    return int(
        ours > LIMIT_S or any(ours > one for one in medians.values()) or (loaded is not None and loaded.elections > 0)
    )


def run(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[dict[str, list[float]], Loaded | None]:
    """Seconds by system and setting, and what ``load`` gives. Raises LabError, UsageError."""
    timing = Timing(options.heartbeat, options.election_timeout)
    found: dict[str, list[float]] = {}
    hints = HINTS[options.hints]
    with grounds.open(options.loopback, 3, 1, timing, options.switch, say, hints=hints) as ground:
        runs: list[tuple[Timing, System]] = [(timing, Switchraft(ground))] if options.kills else []
        if not (options.without_etcd or options.idle) and options.kills:
            if etcd.installed():
                runs += [(one, Etcd(ground, one)) for one in (Timing(), ETCD_DEFAULTS)]
            else:
                say(etcd.INSTALL)
        for one, system in runs:
            name = label(system.name, one)
            if hints is not Hints.BOTH and isinstance(system, Switchraft):
                name += f", hints: {options.hints}"
            client: AbstractContextManager[Pulse | Quiet] = (
                nullcontext(Quiet(system))
                if options.idle and isinstance(system, Switchraft)
                else pulse(ground, system)
            )
            found[name] = kills(ground, system, options.kills, say, client, cut=options.cut)
        loaded = None
        if options.load_minutes:
            loaded = load(Switchraft(ground), options.load_minutes, options.outstanding, options.stop)
    return found, loaded


def label(system: str, timing: Timing) -> str:
    """A system with its settings."""
    return f"{system}, {timing.heartbeat}/{timing.election_timeout} ms"


def table(found: dict[str, list[float]], what: str = "killed") -> Table:
    shown = Table("system, heartbeat/election timeout", "times", title=f"leader {what}: seconds to the next commit")
    for name in ("median", "least", "p90", "most"):
        shown.add_column(name, justify="right")
    for name, times in found.items():
        ordered = sorted(times)
        figures = (statistics.median(ordered), ordered[0], quantile(ordered, 0.9), ordered[-1])
        shown.add_row(name, str(len(times)), *(f"{figure:.3f}" for figure in figures))
    return shown
