"""``python -m tests.web.measure [FOLDER]``: how the page does with the largest run that it must show well.

Nine members, six switches, 120 s and 2,000 operations: how long it takes to open and to jump, how smoothly it plays,
what memory it holds, and how large the one file is. No test: the figures are the machine's as much as the page's.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from aiohttp import web

from tests.web.browser import Page, chromium
from tests.web.runs import record_nine
from web import one_file
from web.server import make_app

PLAYS = """
const [seconds, speed, done] = arguments;
const frames = [], long = [];
const observer = new PerformanceObserver(list => long.push(...list.getEntries().map(e => e.duration)));
observer.observe({entryTypes: ['longtask']});
const begin = performance.now();
const frame = now => { frames.push(now); if (now - begin < 1000 * seconds) requestAnimationFrame(frame);
  else { switchraft.player.pause(); done([frames.length / ((now - begin) / 1000), Math.max(0, ...long)]); } };
switchraft.player.seek(20e6); switchraft.player.speed = speed; switchraft.player.play(); requestAnimationFrame(frame);
"""

JUMPS = """
const done = arguments[0], took = [];
let n = 0;
const jump = () => { if (n++ === 40) return done(took);
  const t = Math.random() * switchraft.run.end, begin = performance.now();
  switchraft.player.seek(t); switchraft.draw();
  took.push(performance.now() - begin); requestAnimationFrame(jump); };
jump();
"""


def measure(folder: Path) -> None:
    """Print all figures. Files that are in the folder already are used again."""
    recording, html = folder / "nine.rec", folder / "nine.html"
    if not recording.exists():
        began = time.monotonic()
        result = record_nine(recording)
        assert not result.failure, result.failure
        print(f"recorded in {time.monotonic() - began:.0f} s: {result.counts['operations']} operations")
    one_file.write(recording, html)
    print(f"recording {recording.stat().st_size / 1e6:.2f} MB, one file {html.stat().st_size / 1e6:.2f} MB")
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(make_app(recording))
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with (
            tempfile.TemporaryDirectory() as profile,
            chromium(Path(profile), "--enable-precise-memory-info") as driver,
        ):
            page = Page(driver)
            page.size(1280, 720)
            driver.set_script_timeout(900)
            for name, place in (("served", address), ("from disk", html.as_uri())):
                began = time.monotonic()
                page.open(place)
                print(f"{name}: opens in {time.monotonic() - began:.2f} s")
            jumps = driver.execute_async_script(JUMPS)
            print(f"jumps: median {statistics.median(jumps):.0f} ms, at most {max(jumps):.0f} ms")
            for speed in (0.01, 0.1, 1, 5):
                rate, longest = driver.execute_async_script(PLAYS, 6, speed)
                print(f"plays at {speed}: {rate:.0f} frames a second, longest task {longest:.0f} ms")
            for minute in range(3):
                driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
                print(f"memory: {page.js('return performance.memory.usedJSHeapSize') / 1e6:.0f} MB")
                if minute < 2:
                    driver.execute_async_script(PLAYS, 60, 1)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        measure(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made))
