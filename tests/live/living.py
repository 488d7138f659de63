"""The living page in a browser, and its real server without a lab."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

import typer
from aiohttp import web
from selenium.webdriver.common.by import By

from tests.web.browser import Page
from topo import cli, paths
from topo.live.recorder import Recorder
from topo.live.server import Server
from web.access import Access
from web.window import Window

CURRENT_S = 2.0
"""Behind the machine's clock, at most, is what a page shows that has caught up."""

Result = TypeVar("Result")


class LivePage(Page):
    """The page, kept at what happens now."""

    def enter(self, address: str) -> None:
        """Open it by an address that is good once."""
        self.driver.get(address)
        self.ready()

    def ready(self) -> None:
        self.until(lambda: self.js("return document.documentElement.dataset.ready === 'true'"))
        self.until(lambda: self.js("return switchraft.live?.following"))

    def choose(self, kind: str, name: str | int) -> None:
        self.js("switchraft.choose({kind: arguments[0], id: arguments[1]})", kind, name)

    def choose_link(self, name: str) -> None:
        """Click a link, in its middle, as a person does."""
        self.js("switchraft.choose(null)")
        self.frames()
        wire = f'[data-link="{name}"]'
        self.js("document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('click', {bubbles: true}))", wire)

    def click(self, does: str) -> None:
        """Click a button, as soon as it can be."""
        button = f'#acts [data-does="{does}"]'
        self.until(lambda: self.driver.find_element(By.CSS_SELECTOR, button).is_enabled())
        self.driver.find_element(By.CSS_SELECTOR, button).click()

    def press(self, does: str) -> str:
        """Click a button, wait for what came of it, and return that."""
        self.click(does)
        self.until(lambda: self.js("return document.getElementById('done').className"))
        assert self.js("return document.getElementById('done').className") == "ok", self.done
        return self.done

    @property
    def done(self) -> str:
        return str(self.js("return document.getElementById('done').textContent"))

    @property
    def same(self) -> str:
        return str(self.js("return document.getElementById('same').textContent"))

    @property
    def news(self) -> str:
        """What has happened to the page itself, by its own words; "" if there is nothing."""
        return str(self.js("return document.querySelector('#news span')?.textContent ?? ''"))

    def close_news(self) -> None:
        self.js("document.querySelector('#news button')?.click()")

    def is_current(self) -> bool:
        """Whether it shows what happens now, and knows of the last seconds."""
        return bool(
            self.js(
                "if (document.documentElement.dataset.ready !== 'true' || !switchraft.live.following) return false;"
                "const { run, player } = switchraft, began = 1e6 * run.header.began, now = 1000 * Date.now();"
                "return Math.max(now - began - run.end, run.end - player.t) < 1e6 * arguments[0]",
                CURRENT_S,
            )
        )

    def to_front(self) -> None:
        """Show this page, of several in the browser: what is not shown draws nothing, and time stands still in it."""
        self.driver.execute_cdp_cmd("Page.bringToFront", {})
        self.frames()

    def freeze(self, frozen: bool) -> None:
        """As the browser does with a page that nobody has looked at for a while."""
        # Freezing hides the page, and it takes more than "active" to show it again. What is shown is never frozen.
        if frozen:
            self.driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": False})
        state = "frozen" if frozen else "active"
        self.driver.execute_cdp_cmd("Page.setWebLifecycleState", {"state": state})
        if not frozen:
            self.driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The browser's processes do not run, as while a laptop sleeps."""
        assert self.driver.service.process is not None
        pids = descendants(self.driver.service.process.pid)
        assert len(pids) > 1
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def leader(self) -> tuple[str, int] | None:
        """(host, term) of the leader that is drawn; of several the one of the highest term."""
        found = self.js(
            "return Object.values(switchraft.state.members).filter((one) => one.up && one.role === 'leader')"
            ".map((one) => [one.term, one.host]).sort().at(-1) ?? null"
        )
        return None if found is None else (found[1], found[0])

    def route(self, switch: str) -> list[int]:
        """[leader, term] of the group's entry, as the switch's panel has it from the stream."""
        entry = self.js(
            "return Object.values(switchraft.state.switches[arguments[0]].tables.groups ?? {})[0]", switch
        )
        names = self.js(
            "return switchraft.run.program.actions.find((one) => one.name.endsWith(arguments[0])).params",
            entry["action"],
        )
        held = dict(zip(names, entry["values"], strict=True))
        return [held["leader"], held["term"]]

    def classes(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0])?.getAttribute('class') ?? ''", selector))

    def account(self) -> dict[str, Any]:
        asked = (
            "const { run, player, state, live } = globalThis.switchraft ?? {}; if (!run) return null;"
            "return { now_us: 1000 * Date.now() - 1e6 * run.header.began, end: run.end, t: player.t,"
            " count: player.count, events: run.events.length, playing: player.playing, following: live.following,"
            " broken: run.broken, socket: live.socket.readyState,"
            " up: Object.values(state.members).map((one) => [one.host, one.up]),"
            " last: run.events.slice(-12).map((one) => JSON.stringify(one).slice(0, 160)),"
            " banner: document.getElementById('banner')?.textContent }"
        )
        return super().account() | {"run": self.js(asked), "news": self.news}

    def quiet(self) -> None:
        """Asserts that the browser has nothing to complain of."""
        assert self.logs("SEVERE") == []


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue
        children.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(int(entry))
    found, new = list[int](), children.get(pid, [])
    while new:
        found += new
        new = [child for one in new for child in children.get(one, [])]
    return found


@contextmanager
def web_command() -> Iterator[Callable[[], str]]:
    """`switchraft web`, which outlives labs; gives addresses."""
    command = [sys.executable, "-m", "topo.cli", "web"]
    with TemporaryFile("w+") as complaints:
        process = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=complaints, text=True)
        assert process.stdout is not None
        process.stdout.readline()

        def address() -> str:
            told = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True)
            return told.stdout.split()[-1]

        try:
            yield address
        finally:
            process.terminate()
            try:
                code = process.wait(timeout=60)
                complaints.seek(0)
                assert code == 0, f"ended with {code}, and said: {complaints.read()}"
            finally:
                process.kill()
                process.wait()


class Stage:
    """The server of a window that is filled from outside, on a thread of its own."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.recorder = Recorder()
        self.recorder.window = window
        self._loop = asyncio.new_event_loop()
        listening = socket.create_server(("127.0.0.1", 0))
        self._access = Access(listening.getsockname()[1])
        server = Server(self.recorder, self._access, typer.main.get_command(cli.app))
        self._runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1.0)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.run(self._runner.setup())
        self.run(web.SockSite(self._runner, listening).start())

    def run(self, what: Coroutine[Any, Any, Result]) -> Result:
        """Carry something out where the server runs."""
        return self.begin(what).result()

    def begin(self, what: Coroutine[Any, Any, Result]) -> Any:
        """Begin something there."""
        return asyncio.run_coroutine_threadsafe(what, self._loop)

    def address(self) -> str:
        return self._access.new_address()

    def add(self, events: Iterable[dict[str, Any]]) -> None:
        """These happen."""

        async def put() -> None:
            for event in events:
                self.window.add(event)

        self.run(put())

    def close(self) -> None:
        self.run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def stage(window: Window) -> Iterator[Stage]:
    """Serve a window."""
    one = Stage(window)
    try:
        yield one
    finally:
        one.close()
