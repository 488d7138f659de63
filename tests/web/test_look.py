"""How the page looks, with nine members: nothing overlaps, all is legible, and axe-core finds nothing serious."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import Page
from tests.web.conftest import NINE_SECONDS
from web import one_file

DESKTOP, PHONE = (1280, 720), (390, 844)


@pytest.fixture(scope="module")
def nine(browser: Page, serve: Callable[[Path], str], nine_file: Path) -> Page:
    browser.open(serve(nine_file))
    return browser


@pytest.fixture
def page(nine: Page) -> Page:
    nine.size(*DESKTOP)
    nine.theme("light")
    nine.js("switchraft.choose(null)")
    return nine


def seen(page: Page) -> list[str]:
    """Things to open, one of each kind."""
    message, call = page.js(
        "const m = switchraft.run.messages.findLast(m => m?.hops?.length > 1 && m.ended > 0);"
        "const c = switchraft.run.calls.findLast(c => c?.answer > 0);"
        "return [m.m, switchraft.run.events[c.call].call]"
    )
    host = page.js("return switchraft.run.network.hosts.find(h => !h.member).name")
    leader = page.js("return switchraft.run.leaders.at(-1).host")
    return [
        "",
        f"member:{leader}/1",
        "switch:s1",
        f"message:{message}",
        f"call:{call}",
        f"host:{host}",
        "controller:controller",
    ]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_overlaps_and_nothing_is_too_small(size: tuple[int, int], page: Page) -> None:
    page.size(*size)
    for t in (1.0, 8.2, 17.3):
        page.at(t)
        assert len(page.ask("nodes")) == 19
        assert page.ask("overlaps") == []
        assert page.ask("controls") == []
    for see in seen(page):
        page.at(17.3, see)
        assert page.ask("small") == [], see
        assert page.ask("cutOff") == [], see


def test_no_boxes_overlap_beside_an_open_panel(page: Page) -> None:
    for see in seen(page):
        page.at(17.3, see)
        page.frames(3)
        assert page.ask("overlaps") == [], see


def test_the_questions_would_find_it(page: Page) -> None:
    page.at(1.0)
    page.js(
        "const [a, b] = document.querySelectorAll('#network .node');"
        "a.setAttribute('transform', b.getAttribute('transform'))"
    )
    assert page.ask("overlaps")
    style = "document.getElementById(arguments[0]).style[arguments[1]] = arguments[2]"
    page.js(style, "clock", "fontSize", "10px")
    page.js(style, "line", "width", "2000px")
    assert page.ask("small") and page.ask("cutOff")
    page.js(style, "clock", "fontSize", "")
    page.js(style, "line", "width", "")
    page.size(1200, 700)
    page.size(*DESKTOP)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(size: tuple[int, int], theme: str, page: Page) -> None:
    page.size(*size)
    page.theme(theme)
    for see in [*seen(page), "help:"]:
        page.at(17.3, see)
        page.frames(3)
        assert page.serious() == [], see


def test_axe_would_find_it(page: Page) -> None:
    page.js(
        "document.getElementById('clock').style.color = '#e0e0e0'; document.getElementById('play').ariaLabel = ''"
    )
    page.js("document.getElementById('play').replaceChildren()")
    assert {"color-contrast", "button-name"} <= {rule for rule, _ in page.serious()}
    page.js("document.getElementById('clock').style.color = ''; document.getElementById('play').dataset.playing = ''")
    page.at(1.0)


def test_dots_when_there_are_few_and_wide_links_when_there_are_many(page: Page) -> None:
    def drawn() -> tuple[int, float]:
        dots, width = page.ask("traffic")
        return dots, width

    page.at(9.0)
    page.js("document.getElementById('kind').value = 'message'; document.getElementById('step').click()")
    page.frames(3)
    dots, width = drawn()
    assert dots >= 1 and width < 2
    page.js("switchraft.player.speed = 5; document.getElementById('play').click()")
    widest: list[Any] = []
    page.until(lambda: widest.append(drawn()) or widest[-1][1] > 4)
    page.js("switchraft.player.pause()")
    assert widest[-1][0] == 0


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_dot_lies_on_the_words_of_a_node(size: tuple[int, int], page: Page) -> None:
    page.size(*size)
    page.at(9.0)
    page.js("document.getElementById('kind').value = 'message'")
    seen = 0
    for _ in range(12):
        page.js("document.getElementById('step').click()")
        page.frames(3)
        seen += page.ask("traffic")[0]
        assert page.ask("covering") == []
    assert seen >= 12
    page.js(
        "const dots = [...document.querySelectorAll('.dot')];"
        "dots.find((one) => one.getAttribute('visibility') !== 'hidden').setAttribute('transform', "
        "document.querySelector('#network .node').getAttribute('transform'))"
    )
    assert page.ask("covering"), "the question would find it"
    page.js("document.getElementById('kind').value = 'any event'")
    page.size(1200, 700)


def test_a_file_of_two_minutes_can_be_mailed(nine_file: Path, tmp_path: Path) -> None:
    """Two minutes of nine members are to take 5 MB at most; this is what a part of them may take."""
    html = tmp_path / "nine.html"
    one_file.write(nine_file, html)
    empty = len(one_file.page_with(b""))
    assert (html.stat().st_size - empty) * 120 / NINE_SECONDS + empty <= 5_000_000
