"""``python -m tests.live.pictures``, as root: pictures of the living page for docs/live.md, in docs/live.

Starts a lab and breaks it by the page's own buttons. Needs chromium and chromium-driver. Look at what it has drawn
before you commit it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.live.living import LivePage, web_command
from tests.web.browser import chromium
from topo.lab.options import Options
from topo.lab.supervisor import running
from topo.paths import ROOT

FOLDER = ROOT / "docs" / "live"
MOST_BYTES = 150_000
RUN_S = 8.0
"""Of the lab at rest, so that the line of time has something to show."""


def save(page: LivePage, name: str) -> None:
    page.frames(5)
    file = FOLDER / f"{name}.png"
    assert page.driver.save_screenshot(str(file))
    size = file.stat().st_size
    print(f"{name}.png: {size:,} bytes")
    assert size <= MOST_BYTES, f"{name}.png is larger than {MOST_BYTES:,} bytes"


def draw(page: LivePage) -> None:
    """All pictures, in the order of the document."""
    page.until(lambda: page.leader() is not None)
    time.sleep(RUN_S)
    page.js("switchraft.choose(null)")
    save(page, "rest")

    leader = page.leader()
    assert leader is not None
    host, term = leader
    page.choose("member", f"{host}/1")
    page.press(f"node kill {host}")
    page.until(lambda: (page.leader() or ("", 0))[1] > term)
    page.until(lambda: page.classes(f'#marks [data-on="{host}"][data-by="found"]'))
    save(page, "killed")
    page.press(f"node start {host}")
    page.until(lambda: not page.classes(f'#marks [data-on="{host}"]'))

    page.choose("switch", "s3")
    page.press("switch pause s3")
    page.choose_link("s1-s2")
    page.press("link down s1 s2")
    page.until(lambda: page.js("return document.querySelectorAll('.wire.found').length") == 3)
    save(page, "links")
    page.press("link up s1 s2")
    page.choose("switch", "s3")
    page.press("switch resume s3")
    page.until(lambda: page.js("return document.querySelectorAll('.wire.found, #marks > *').length") == 0)

    page.until(lambda: page.js(f"return Boolean({APPEND})"))
    page.js(f"switchraft.choose({{kind: 'message', id: ({APPEND}).m}})")
    page.until(lambda: page.js("return document.querySelectorAll('.steps li.table').length"))
    save(page, "packet")


APPEND = "switchraft.run.messages.findLast((one) => one?.hops?.length > 1 && one.ended > 0)"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    options = Options(topology="triangle", switch="embedded", nodes="auto")
    with (
        running(options, lambda text: print(text, file=sys.stderr)),
        web_command() as address,
        tempfile.TemporaryDirectory() as profile,
        chromium(Path(profile)) as driver,
    ):
        page = LivePage(driver)
        page.size(1280, 720)
        page.enter(address())
        page.theme("light")
        draw(page)


if __name__ == "__main__":
    main()
