"""``python -m tests.live.measure [FOLDER]``: how the living page does, and what it costs the lab, beside its bars.

rate      a lab of three members under full load, with `switchraft web` and a reader of its stream, and without; and
          the processor time that `switchraft web` takes meanwhile, which tells more where the rate goes up and down
stream    the page on a recorded run of nine members, over and over, as if they ran now: frames, tasks, memory
half      a lab at half of the full load with a page in a browser: frames, and the cluster's rate
frozen    a page that the browser freezes for a minute
stopped   a browser whose processes stand still for a minute

The exit status is 1 if a bar is missed. No test: the figures are the machine's as much as the project's, so measure
on one that does nothing else. ``rate`` and ``half`` start a lab, so they need root.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.consensus import grounds
from bench.consensus.grounds import Ground, Timing
from bench.consensus.pairs import WARMUP_S, Pair, commits_per_s, load, measured, ratios
from bench.consensus.systems import Switchraft
from tests.live.living import LivePage, Stage, descendants, stage, web_command
from tests.web.browser import chromium
from tests.web.measure import FRAMES, TASK_MS, Played, Row, add_arguments, ask, chosen, finish, heap_mb, memory_row
from tests.web.runs import record_nine
from topo import paths
from topo.errors import LabError
from web import recording
from web.window import Window

ROWS = ("rate", "stream", "half", "frozen", "stopped")
RATIO, HALF_FRAMES, CORE = 0.97, 10, 0.08
"""The rate watched to not; frames of a page beside half the load; how much of a core the server may take."""
OUTSTANDING = 64
AWAY_S, BACK_S = 60, 10
"""How long a page is away, and how long it may take to have caught up."""
BATCH_S = 0.1
"""From one batch of events to the next, as the recorder has it."""
SETTLE_S = 1.0
"""After a watcher has begun, until anything is counted."""
NUMBERED = ("m", "call", "fault")
WINDOW_US = 60_000_000
"""Of the stream: the page holds all of it after a minute, and its memory must not grow from then on. Ten minutes, as
of a lab, are ten times as much."""


def say(text: object) -> None:
    print(text, file=sys.stderr, flush=True)


# -- with a lab -----------------------------------------------------------------------------------------------------


@contextmanager
def laboratory() -> Iterator[tuple[Ground, Switchraft]]:
    """A lab of three members, which it has started itself."""
    with grounds.lab(3, 1, Timing(), "embedded", say, starts="auto") as ground:
        yield ground, Switchraft(ground)


@contextmanager
def reading() -> Iterator[None]:
    """`switchraft web`, and somebody who reads its stream."""
    with web_command() as address:
        command = [sys.executable, "-m", "tests.live.reader", address()]
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=paths.ROOT)
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        time.sleep(SETTLE_S)
        try:
            yield
        finally:
            told, _ = reader.communicate()
            say(f"read {int(told) / 1e6:.2f} MB")


def rate(pairs: int, seconds: float) -> Iterator[Row]:
    """What the page's server costs a cluster under full load."""
    found: list[Pair] = []
    took: list[float] = []

    @contextmanager
    def watching() -> Iterator[None]:
        with reading():
            began, before = time.monotonic(), server_s()
            yield
            took.append((server_s() - before) / (time.monotonic() - began))

    with laboratory() as (ground, system), load(ground, system, OUTSTANDING):
        time.sleep(WARMUP_S)
        for number in range(pairs):
            found.append(measured(ground, watching, seconds, number % 2 == 0))
            one = found[-1]
            say(f"pair {number + 1}/{pairs}: {one.watched:,.0f}/s watched, {one.alone:,.0f}/s not: {one.ratio:.3f}")
    yield ratio_row("rate under full load, watched to not", found)
    core = statistics.median(took)
    spread = f"{core:.1%} of a core ({min(took):.1%} to {max(took):.1%})"
    yield Row("processor time of the server meanwhile", spread, f"≤ {CORE:.0%}", core <= CORE)


def server_s() -> float:
    """Seconds of processor time that `switchraft web`, started here, has taken so far."""
    for pid in descendants(os.getpid()):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        if words[-2:] == [b"topo.cli", b"web"]:
            stat = Path(f"/proc/{pid}/stat").read_text()
            user, system = stat[stat.rindex(")") + 2 :].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    raise LabError("`switchraft web` has ended")


def ratio_row(what: str, pairs: Sequence[Pair]) -> Row:
    """The median beside its bar, with the spread."""
    all_ = ratios(pairs)
    figure = (
        f"{all_.median:.3f} ({all_.least:.3f} to {all_.most:.3f}; extremes {all_.lowest:.3f}, {all_.highest:.3f})"
    )
    figure += f" of {len(pairs)} pairs; {statistics.median(one.alone for one in pairs):,.0f}/s alone"
    return Row(what, figure, f"≥ {RATIO}", all_.median >= RATIO)


def half(pairs: int, seconds: float) -> Iterator[Row]:
    """A page beside a cluster at half of what it can do."""
    shown: list[Played] = []
    with ExitStack() as stack:
        ground, system = stack.enter_context(laboratory())
        with load(ground, system, OUTSTANDING):
            time.sleep(WARMUP_S)
            full = commits_per_s(ground, seconds)
        stack.enter_context(load(ground, system, OUTSTANDING, full / 2))
        time.sleep(WARMUP_S)

        @contextmanager
        def looking() -> Iterator[None]:
            with web_command() as address, browser() as page:
                page.enter(address())
                page.until(page.is_current)
                yield
                shown.append(watches(page, seconds))

        found = [measured(ground, looking, seconds, number % 2 == 0) for number in range(pairs)]
    yield ratio_row(f"half of {full:,.0f}/s, with a page to without", found)
    tasks = [task for one in shown for task in one.tasks]
    played = Played(statistics.mean(one.rate for one in shown), min(one.slowest for one in shown), tasks)
    yield played.row("the page beside it", HALF_FRAMES, None)


# -- without one ----------------------------------------------------------------------------------------------------


@contextmanager
def browser() -> Iterator[LivePage]:
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile), quiet=True) as driver:
        page = LivePage(driver)
        page.size(1280, 720)
        driver.set_script_timeout(900)
        yield page


def watches(page: LivePage, seconds: float, see: str = "") -> Played:
    """The page as it goes on by itself."""
    rate_, slowest, tasks = ask(page, "watches", seconds, see)
    return Played(rate_, slowest, [(at, lasted, ran) for at, lasted, ran in tasks])


async def replay(window: Window, events: Sequence[dict[str, Any]]) -> None:
    """A run's events at their times, from now on, over and over; as numbers of messages, calls and faults go on."""
    most = {name: max((event.get(name, 0) for event in events), default=0) for name in NUMBERED}
    length = events[-1]["t"] + 1
    turn = 0
    while True:
        for event in events:
            while turn * length + event["t"] > (time.time() - window.header["began"]) * 1e6:
                await asyncio.sleep(BATCH_S)
            later = {name: event[name] + turn * most[name] for name in NUMBERED if name in event}
            window.add({**event, **later, "t": turn * length + event["t"]})
        turn += 1


@contextmanager
def recorded(folder: Path, seconds: int) -> Iterator[Stage]:
    """The living page's server, with nine members that ran once."""
    file = folder / f"nine-{seconds}.rec"
    if not file.exists():
        result = record_nine(file, seconds)
        if result.failure:
            raise SystemExit(f"the run failed, so there is nothing to measure: {result.failure}")
    run = recording.read(file)
    events = [dict(event) for event in run.events if event["k"] != "end"]
    say(f"{len(events) / seconds:,.0f} events/s")
    header = {name: value for name, value in run.header.items() if name not in ("format", "version")}
    with stage(Window({**header, "source": "lab", "began": time.time()}, WINDOW_US)) as served:
        going = served.begin(replay(served.window, events))
        try:
            yield served
        finally:
            going.cancel()


def stream(served: Stage, minutes: int) -> Iterator[Row]:
    """Frames, tasks and memory of a page on which one thing after the other is opened."""
    with browser() as page:
        page.enter(served.address())
        page.until(page.is_current)
        page.until(lambda: page.js("return switchraft.run.begin") > 0)
        things = ["", "member:h1/1", "switch:s1", "controller:controller"]
        readings, played = [heap_mb(page)], list[Played]()
        for minute in range(1, minutes + 1):
            played += [watches(page, 60 / len(things), see) for see in things]
            readings.append(heap_mb(page))
            say(
                f"minute {minute}: {readings[-1]:.1f} MB, {min(one.slowest for one in played[-len(things) :])} frames"
            )
    tasks = [task for one in played for task in one.tasks]
    whole = Played(statistics.mean(one.rate for one in played), min(one.slowest for one in played), tasks)
    yield whole.row(f"nine members, {minutes} minutes", FRAMES, TASK_MS)
    yield memory_row(f"memory, {minutes} minutes", readings)


def away(served: Stage, how: str) -> Iterator[Row]:
    """A page that stands still for a minute: when it is back, and what it says."""
    with browser() as page:
        page.enter(served.address())
        page.until(page.is_current)
        if how == "frozen":
            page.freeze(True)
            time.sleep(AWAY_S)
            page.freeze(False)
        else:
            with page.stopped():
                time.sleep(AWAY_S)
        began = time.monotonic()
        page.until(lambda: page.news and page.is_current())
        took, news = time.monotonic() - began, page.news
    yield Row(f"{how} for {AWAY_S} s", f"goes on after {took:.1f} s: {news}", f"≤ {BACK_S} s", took <= BACK_S)


def measure(folder: Path, given: argparse.Namespace, only: Sequence[str]) -> Iterator[Row]:
    """Every row, as it is measured. A recording that is in the folder already is used again."""
    if "rate" in only:
        yield from rate(given.pairs, given.seconds)
    if "half" in only:
        yield from half(max(1, given.pairs // 2), given.seconds)
    if {"stream", "frozen", "stopped"} & set(only):
        with recorded(folder, given.run) as served:
            if "stream" in only:
                yield from stream(served, given.minutes)
            for how in ("frozen", "stopped"):
                if how in only:
                    yield from away(served, how)


def main() -> int:
    """Print the figures; 1 where a bar is missed."""
    about = "How the living page does, and what it costs the lab, beside its bars."
    parser = argparse.ArgumentParser(prog="python -m tests.live.measure", description=about)
    add_arguments(parser, ROWS)
    parser.add_argument("--minutes", type=int, default=10, help="of the stream (default: 10)")
    parser.add_argument("--pairs", type=int, default=9, help="of stretches with and without (default: 9)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each stretch (default: 10)")
    parser.add_argument("--run", type=int, default=60, metavar="SECONDS", help="of the recorded run (default: 60)")
    given = parser.parse_args()
    only = chosen(parser, given, ROWS)
    if min(given.minutes, given.pairs, given.seconds) < 1 or given.run < 30:
        parser.error("--minutes, --pairs, --seconds: at least 1; --run: at least 30")
    rows = []
    with tempfile.TemporaryDirectory() as made:
        try:
            for row in measure(given.folder or Path(made), given, only):
                say(f"{row.what}: {row.figure}{'' if row.holds else '  MISSED'}")
                rows.append(row)
        except LabError as error:
            parser.exit(1, f"{parser.prog}: {error}\n")
    return finish(rows, given, "The living page")


if __name__ == "__main__":
    sys.exit(main())
