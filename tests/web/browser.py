"""A headless Chromium, and what the tests ask of the page in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 120
QUESTIONS = Path(__file__).with_name("questions.js").read_text(encoding="utf-8")

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-default-apps",
    "--no-first-run",
    "--no-pings",
    "--no-proxy-server",
    "--dns-prefetch-disable",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--force-prefers-reduced-motion",
    "--hide-scrollbars",
)


@contextmanager
def chromium(folder: Path, *more: str, quiet: bool = False, network: bool = False) -> Iterator[webdriver.Chrome]:
    """A browser with a profile in ``folder``. ``quiet``: without logs, which cost it time and memory; ``network``:
    with the log "performance", too, which has every request."""
    options = Options()
    options.binary_location = _found("chromium")
    for switch in (*SWITCHES, f"--user-data-dir={folder}", *more):
        options.add_argument(switch)
    if not quiet:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"} | ({"performance": "ALL"} if network else {}))
    driver = webdriver.Chrome(options=options, service=Service(_found("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def _found(name: str) -> str:
    path = shutil.which(name)
    # `make test` sets it where the system has no package of a browser.
    if path is None and "SWITCHRAFT_WITHOUT_BROWSER" in os.environ:
        pytest.skip(f"this system has no package of {name}")
    assert path is not None, f"{name} is missing: scripts/setup.sh --browser installs it"
    return path


class Page:
    """The page in a browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Load it, and wait for the whole run."""
        self.driver.get("about:blank")
        self.driver.get(address)
        self.until(lambda: self.js("return document.documentElement.dataset.ready === 'true'"))

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def ask(self, question: str, *arguments: Any) -> Any:
        """The answer to one of ``questions.js``."""
        if not self.js("return 'questions' in globalThis"):
            self.js(QUESTIONS)
        return self.js("return questions[arguments[0]](...[...arguments].slice(1))", question, *arguments)

    def serious(self) -> list[tuple[str, list[str]]]:
        """What axe-core finds that is serious or critical: its rule, and the first elements that break it."""
        if not self.js("return 'axe' in globalThis"):
            self.js(AXE_SCRIPT)
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run().then(done, e => done({error: String(e)}))"
        )
        assert "error" not in found, found
        return [
            (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds. What the page has to say for itself is told where it never does."""
        try:
            WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: holds())
        except TimeoutException:
            pytest.fail(f"not within {PATIENCE_S} s. The page: {self.account()}")

    def account(self) -> dict[str, Any]:
        """Where the page is, and what the browser has complained of."""
        asked = "return [location.href.split('?')[0], document.documentElement.dataset.ready, document.hidden]"
        return {"at, ready, hidden": self.js(asked), "errors": self.logs("SEVERE")}

    def frames(self, count: int = 2) -> None:
        """Wait until something was drawn."""
        self.driver.execute_async_script(
            "const done = arguments[1]; let left = arguments[0];"
            "const next = () => (left-- ? requestAnimationFrame(next) : done()); next();",
            count,
        )

    def size(self, width: int, height: int) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.frames(4)

    def theme(self, name: str) -> None:
        self.js("document.documentElement.dataset.theme = arguments[0]", name)
        self.frames()

    def at(self, seconds: float, see: str = "") -> None:
        """Follow a link to a moment."""
        hash_ = f"#t={seconds:.6f}" + (f"&see={see}" if see else "")
        self.js("switchraft.choose(null); switchraft.follow(arguments[0])", hash_)
        self.frames(3)

    def logs(self, *levels: str) -> list[str]:
        """What the console says since the last time: warnings and errors, or what is of these levels."""
        return [
            str(one["message"])
            for one in self.driver.get_log("browser")
            if one["level"] in (levels or ("SEVERE", "WARNING"))
        ]
