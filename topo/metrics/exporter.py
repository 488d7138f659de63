"""Serves the metrics over HTTP. A scrape looks at the lab anew, but never sooner than ``LEAST_S`` after the last one:
however many ask, and however often, the lab is not asked more than that."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web
from prometheus_client import exposition

from topo.errors import LabError
from topo.metrics.gather import Gatherer, Seen
from topo.metrics.samples import Samples, samples

LEAST_S = 0.5
"""Between two looks at the lab."""

TIMEOUT_S = 1.0
"""For whoever is asked."""

SHARE_OF_TIMEOUT = 0.8
"""Of Prometheus' own patience, which it tells: the rest is for the way."""

NICENESS = 5
"""Of the exporter's process: where processors are short, the lab comes first."""

ASKED_AT_ONCE = 64


class Exporter:
    """Looks by ``gatherer`` when somebody scrapes."""

    def __init__(
        self, gatherer: Gatherer, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gatherer = gatherer
        self._timeout_s = timeout_s
        self._clock = clock
        self._looking = asyncio.Lock()
        self._looked_at: float | None = None
        self._samples = Samples()
        self._told: frozenset[str] = frozenset()

    async def samples(self, patience_s: float | None = None) -> Samples:
        """What was seen at most ``LEAST_S`` ago. ``patience_s``: of whoever asks."""
        async with self._looking:
            if self._looked_at is None or self._clock() - self._looked_at >= LEAST_S:
                timeout_s = self._timeout_s
                if patience_s is not None and patience_s > 0:
                    timeout_s = min(timeout_s, patience_s * SHARE_OF_TIMEOUT)
                seen = await self._gatherer.look(timeout_s)
                self._tell(seen)
                self._samples = samples(seen)
                self._looked_at = self._clock()
        return self._samples

    def _tell(self, seen: Seen) -> None:
        """Say on stderr who does not answer, once until that changes."""
        failures = frozenset(seen.failures)
        for line in sorted(failures - self._told):
            print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
        self._told = failures

    async def answer(self, request: web.Request) -> web.Response:
        """GET /metrics. In the text format, whatever else Prometheus would take: that is made three times as fast."""
        try:
            patience_s = float(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", ""))
        except ValueError:
            patience_s = None  # not from Prometheus
        return web.Response(
            body=exposition.generate_latest(await self.samples(patience_s)),
            headers={"Content-Type": exposition.CONTENT_TYPE_LATEST, "Cache-Control": "no-store"},
        )


async def text(gatherer: Gatherer, timeout_s: float = TIMEOUT_S) -> tuple[str, list[str]]:
    """One look, in Prometheus' text format, and a line for each that did not answer."""
    _make_room()
    try:
        seen = await gatherer.look(timeout_s)
        return exposition.generate_latest(samples(seen)).decode(), seen.failures
    finally:
        await gatherer.close()


async def serve(gatherer: Gatherer, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
    """Serve until SIGINT or SIGTERM. Raises LabError if the address cannot be had."""
    _make_room()
    os.nice(NICENESS)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell has started this in the background, with SIGINT ignored.
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    app = web.Application()
    app.add_routes([web.get("/metrics", Exporter(gatherer, timeout_s).answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise LabError(f"--listen {host}:{port}: {error.strerror}; choose another address") from None
        shown = runner.addresses[0][:2]
        print(f"http://{shown[0]}:{shown[1]}/metrics is for Prometheus; end with Ctrl-C", flush=True)
        await ended.wait()
    finally:
        await runner.cleanup()
        await gatherer.close()


def _make_room() -> None:
    """A thread for whomever is asked: who does not answer keeps nobody else waiting."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(ASKED_AT_ONCE, "asks"))
