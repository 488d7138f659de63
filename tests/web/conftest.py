"""Recordings, a server for them, and a browser: each made once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.web import runs
from tests.web.browser import Page, chromium
from tests.web.folded import Folded
from web import recording
from web.server import make_app

SEED = 2
"""Three members on a line of switches that restart, with elections, snapshots, members that change, and forgers."""


@pytest.fixture(scope="session")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("web") / "run.rec"
    assert not runs.record_seed(SEED, file).failure
    return file


@pytest.fixture(scope="session")
def run(run_file: Path) -> Folded:
    return Folded(recording.read(run_file))


NINE_SECONDS = 25


@pytest.fixture(scope="session")
def nine_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of the largest run that the page must show well; ``tests.web.measure`` is about all of it."""
    file = tmp_path_factory.mktemp("web") / "nine.rec"
    result = runs.record_nine(file, NINE_SECONDS)
    assert not result.failure
    assert result.counts["operations"] >= 400
    return file


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """What serves a recording, and says where."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runners: list[web.AppRunner] = []

    async def begin(file: Path) -> str:
        runner = web.AppRunner(make_app(file))
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/"

    async def end() -> None:
        for runner in runners:
            await runner.cleanup()

    yield lambda file: asyncio.run_coroutine_threadsafe(begin(file), loop).result()
    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile"), network=True) as driver:
        page = Page(driver)
        page.size(1280, 720)
        yield page


@pytest.fixture(scope="session")
def opened(browser: Page, serve: Callable[[Path], str], run_file: Path) -> Callable[[], Page]:
    """The page with the small run, opened anew unless it is open."""
    address = serve(run_file)

    def page() -> Page:
        if not browser.driver.current_url.startswith(address):
            browser.open(address)
        browser.size(1280, 720)
        browser.theme("light")
        browser.js("switchraft.choose(null)")
        return browser

    return page


@pytest.fixture
def page(opened: Callable[[], Page]) -> Page:
    return opened()
