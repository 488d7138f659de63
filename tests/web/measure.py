"""``python -m tests.web.measure [FOLDER]``: how the page does with the largest run that it must show well.

Nine members, six switches, 120 s and 2,000 operations: how long it takes to open and to jump, how smoothly it plays,
what memory it holds over ten minutes at play, and how large the one file is, each beside its bar. The exit status is
1 if a bar is missed. No test: the figures are the machine's as much as the page's, so measure on one that does
nothing else; memory alone does not need that, and takes ten minutes (``--only memory``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.table import Table

from tests.web.browser import Page, chromium
from tests.web.runs import record_nine
from web import one_file
from web.server import make_app

SCRIPT = Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
ROWS = ("run", "open", "jump", "play", "memory")

MEMBERS, SWITCHES, RUN_S, OPERATIONS = 9, 6, 120, 2_000
OPEN_S, JUMP_MS, FRAMES, TASK_MS, FILE_MB = 3.0, 200, 30, 100, 5.0
GROWTH, RISE = 0.02, 0.005
"""Memory is flat if no reading lies further above the first one than this share of it, once all has run once, and if
a straight line through the readings from the first minute on rises by no more than that one."""

OPENINGS = 5
MOMENTS = 40
SPEEDS = {0.001: 6, 0.01: 6, 0.1: 8, 0.5: 8, 1: 12, 5: 26}
"""The page's speeds, and seconds on the clock at each: at the greatest speed the whole run goes by."""
OPEN_PLAY_S = 5
"""With each kind of thing open, at the two greatest speeds."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside its bar. ``tasks``: those that were too long, with what ran in them."""

    what: str
    figure: str
    bar: str
    holds: bool
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """How smoothly the run went by: frames a second, those of the slowest second, and (start, ms, what) of tasks."""

    rate: float
    slowest: int
    tasks: Sequence[tuple[float, float, str]]

    @property
    def longest(self) -> float:
        """Milliseconds; 0 where no task reached the 50 that the browser reports."""
        return max((lasted for _, lasted, _ in self.tasks), default=0)

    def row(self, what: str, frames: int = FRAMES, task_ms: float | None = TASK_MS) -> Row:
        """Beside bars: frames in any second at least, and milliseconds of a task at most; None: as they are."""
        longest = f"{self.longest:.0f} ms" if self.tasks else "below 50 ms"
        return Row(
            what,
            f"{self.rate:.0f} frames/s, {self.slowest} in the slowest second, longest task {longest}",
            f"≥ {frames} in any second" + ("" if task_ms is None else f", ≤ {task_ms:.0f} ms"),
            self.slowest >= frames and (task_ms is None or self.longest <= task_ms),
            tuple(f"{lasted:.0f} ms: {ran}" for _, lasted, ran in self.tasks if lasted > TASK_MS),
        )


def ask(page: Page, name: str, *arguments: Any) -> Any:
    """The answer of one of ``measure.js``."""
    page.js(SCRIPT)
    return page.driver.execute_async_script("measures[arguments[0]](...[...arguments].slice(1))", name, *arguments)


def plays(page: Page, seconds: float, speed: float, start: float | None, see: str = "") -> Played:
    """``start``: from there on, in seconds of the run; None: from where it stands."""
    rate, slowest, tasks = ask(page, "plays", seconds, speed, start, see)
    return Played(rate, slowest, [(at, lasted, ran) for at, lasted, ran in tasks])


def opening(page: Page, name: str, address: str) -> Row:
    """Opened several times; the slowest counts."""
    took, longest = [], 0.0
    for _ in range(OPENINGS):
        page.driver.get("about:blank")
        page.driver.get(address)
        at, tasks = ask(page, "opened")
        took.append(at / 1000)
        longest = max(longest, *(lasted for _, lasted, _ in tasks), 0.0)
    figure = f"median {statistics.median(took):.2f} s, at most {max(took):.2f} s; longest task {longest:.0f} ms"
    return Row(f"opens, {name}", figure, f"≤ {OPEN_S:.0f} s", max(took) <= OPEN_S)


def jumping(page: Page, things: Sequence[str], end_us: float) -> Iterator[Row]:
    """To the ends and to moments between them that are the same in each run, with each kind of thing open."""
    drawn = random.Random(1)
    moments = [0.0, end_us, *(drawn.uniform(0, end_us) for _ in range(MOMENTS - 2))]
    for see in things:
        if see.startswith(("message", "call")):
            continue  # these do not change with the moment
        took = ask(page, "jumps", moments, see)
        figure = f"median {statistics.median(took):.0f} ms, at most {max(took):.0f} ms"
        yield Row(f"jumps, {_named(see)}", figure, f"≤ {JUMP_MS} ms", max(took) <= JUMP_MS)


def playing(page: Page, things: Sequence[str]) -> Iterator[Row]:
    for speed, seconds in SPEEDS.items():
        start = 0 if speed == max(SPEEDS) else 20
        yield plays(page, seconds, speed, start).row(f"plays, speed {speed}, {_named('')}")
    for speed in sorted(SPEEDS)[-2:]:
        for see in things[1:]:
            yield plays(page, OPEN_PLAY_S, speed, 60, see).row(f"plays, speed {speed}, {_named(see)}")


def remembering(page: Page, things: Sequence[str], minutes: int) -> Iterator[Row]:
    """Memory of a page at play with one thing after the other open, at speed 1, from the start again at the end."""
    readings = [heap_mb(page)]
    for minute in range(1, minutes + 1):
        for see in things:
            plays(page, 60 / len(things), 1, None, see)
        readings.append(heap_mb(page))
        print(f"minute {minute}: {readings[-1]:.2f} MB", file=sys.stderr, flush=True)
    yield memory_row(f"memory, {minutes} minutes at play", readings)


def memory_row(what: str, readings: Sequence[float]) -> Row:
    """MB at the beginning and after each minute, beside the bar for what is flat."""
    growth, rise = max(readings[1:]) / readings[0] - 1, _rise(readings[1:])
    figure = f"{' '.join(f'{one:.1f}' for one in readings)} MB: at most {growth:+.1%}, by a line {rise:+.1%}"
    bar = f"≤ {GROWTH:+.1%}, by a line from minute 1 on ≤ {RISE:+.1%}"
    return Row(what, figure, bar, growth <= GROWTH and rise <= RISE)


def _rise(readings: Sequence[float]) -> float:
    """What a straight line through readings rises by from first to last, as a share of where it begins."""
    if len(readings) < 2:
        return 0.0
    line = statistics.linear_regression(range(len(readings)), readings)
    return line.slope * (len(readings) - 1) / line.intercept


def heap_mb(page: Page) -> float:
    """What JavaScript holds when garbage is gone."""
    for _ in range(2):
        page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return float(page.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]) / 1e6


def _named(see: str) -> str:
    kind = see.partition(":")[0]
    return f"{kind} open" if kind else "nothing open"


def is_the_run(run: dict[str, Any], html: Path) -> Iterator[Row]:
    """The run is as large as it must be, and its one file no larger than it may be."""
    size = html.stat().st_size / 1e6
    figure = f"{run['members']}, {run['switches']}, {run['seconds']:.0f} s, {run['operations']:,}"
    holds = (run["members"], run["switches"]) == (MEMBERS, SWITCHES)
    holds = holds and run["seconds"] >= RUN_S - 0.1 and run["operations"] >= OPERATIONS
    bar = f"{MEMBERS}, {SWITCHES}, {RUN_S} s, ≥ {OPERATIONS:,}"
    yield Row("members, switches, length, operations answered", figure, bar, holds)
    yield Row("one file", f"{size:.2f} MB", f"≤ {FILE_MB:.0f} MB", size <= FILE_MB)


@contextmanager
def served(recording: Path) -> Iterator[str]:
    """The address of a recording's page."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(make_app(recording))
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.close()


def measure(folder: Path, only: Sequence[str] = ROWS, minutes: int = 10) -> Iterator[Row]:
    """Every row, as it is measured. A recording that is in the folder already is used again."""
    recording, html = folder / "nine.rec", folder / "nine.html"
    if not recording.exists():
        began = time.monotonic()
        result = record_nine(recording)
        if result.failure:
            raise SystemExit(f"the run failed, so there is nothing to measure: {result.failure}")
        print(f"recorded in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    one_file.write(recording, html)
    at = html.resolve().as_uri()
    with (
        served(recording) as address,
        tempfile.TemporaryDirectory() as profile,
        chromium(Path(profile), quiet=True) as driver,
    ):
        page = Page(driver)
        page.size(1280, 720)
        driver.set_script_timeout(900)
        if "open" in only:
            yield opening(page, "served", address)
            yield opening(page, "from disk", at)
        page.open(at)
        run = ask(page, "run")
        if "run" in only:
            yield from is_the_run(run, html)
        if "jump" in only:
            yield from jumping(page, run["things"], 1e6 * run["seconds"])
        if "play" in only:
            yield from playing(page, run["things"])
        if "memory" in only:
            # As it is when somebody opens it.
            page.open(at)
            yield from remembering(page, run["things"], minutes)


def add_arguments(parser: argparse.ArgumentParser, rows: Sequence[str]) -> None:
    """What scripts that measure pages have in common."""
    parser.add_argument("folder", nargs="?", type=Path, help="where the recording is kept, or is to be")
    parser.add_argument("--only", default=",".join(rows), help=f"some of {','.join(rows)} (default: all)")
    parser.add_argument("--json", action="store_true", help="for programs")


def chosen(parser: argparse.ArgumentParser, given: argparse.Namespace, rows: Sequence[str]) -> list[str]:
    """The rows that were asked for. Makes the folder. Ends the process where one or the other cannot be."""
    only: list[str] = given.only.split(",")
    if unknown := set(only) - set(rows):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {', '.join(rows)}")
    if given.folder:
        try:
            given.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"{given.folder} can be no folder ({error.strerror}): name another")
    return only


def finish(rows: Sequence[Row], given: argparse.Namespace, title: str) -> int:
    """Print the rows; the exit code."""
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(table(rows, title))
    return 0 if all(row.holds for row in rows) else 1


def table(rows: Sequence[Row], title: str) -> Table:
    shown = Table("what", "figure", "bar", "", title=title)
    for row in rows:
        shown.add_row(row.what, "\n".join((row.figure, *row.tasks)), row.bar, "holds" if row.holds else "MISSED")
    return shown


def main() -> int:
    """Print the figures; 1 where a bar is missed."""
    about = "How the page does with the largest run that it must show well, beside its bars."
    parser = argparse.ArgumentParser(prog="python -m tests.web.measure", description=about)
    add_arguments(parser, ROWS)
    parser.add_argument("--minutes", type=int, default=10, help="at play, for memory (default: 10)")
    given = parser.parse_args()
    only = chosen(parser, given, ROWS)
    if given.minutes < 1:
        parser.error("--minutes: at least 1")
    with tempfile.TemporaryDirectory() as made:
        rows = []
        for row in measure(given.folder or Path(made), only, given.minutes):
            print(f"{row.what}: {row.figure}{'' if row.holds else '  MISSED'}", file=sys.stderr, flush=True)
            rows.append(row)
    return finish(rows, given, "The page, with the largest run")


if __name__ == "__main__":
    sys.exit(main())
