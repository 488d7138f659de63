"""The lab's page in all its states: away for a while, with every hand in reach, on every screen."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.lab.conftest import Lab, wait
from tests.live.living import LivePage

DESKTOP, PHONE = (1280, 720), (390, 844)
AWAY_S = 4.5
"""Longer than what a page may be behind without saying so."""
NEWCOMER = "h22"


@pytest.fixture
def wide(live: LivePage) -> Iterator[LivePage]:
    """The page as it is at rest; another test's size and colours are gone."""
    live.size(*DESKTOP)
    live.theme("light")
    live.until(live.is_current)
    yield live
    live.size(*DESKTOP)


def things(page: LivePage) -> list[tuple[str, str | int]]:
    """Kind and name of things to open: one of each kind."""
    page.until(lambda: page.js("return switchraft.run.messages.some((one) => one?.hops && one.ended > 0)"))
    message = page.js("return switchraft.run.messages.findLast((one) => one?.hops && one.ended > 0).m")
    return [
        ("member", "h1/1"),
        ("switch", "s1"),
        ("controller", "controller"),
        ("host", "h11"),
        ("link", "s1-s2"),
        ("message", message),
        ("help", ""),
    ]


def opened(page: LivePage) -> Iterator[str]:
    """Each kind of thing in turn, and at last none."""
    for kind, name in things(page):
        if kind == "link":
            page.choose_link(str(name))
        else:
            page.choose(kind, name)
        page.frames(3)
        yield kind
    page.js("switchraft.choose(null); switchraft.live.toNow()")
    page.frames(3)
    yield "nothing"


@pytest.mark.parametrize("how", ["frozen", "stopped"])
def test_a_page_that_stood_still_goes_on_by_itself_and_says_so(how: str, lab: Lab, wide: LivePage) -> None:
    end = wide.js("return switchraft.run.end")
    if how == "frozen":
        wide.freeze(True)
        time.sleep(AWAY_S)
        lab.run("node", "pause", "h3")
        wide.freeze(False)
    else:
        with wide.stopped():
            time.sleep(AWAY_S)
            lab.run("node", "pause", "h3")
    said = "The browser had frozen this page" if how == "frozen" else "This page stood still for"
    wide.until(lambda: said in wide.news)
    wide.until(wide.is_current)
    assert wide.js("return switchraft.run.end") > end + 1e6 * AWAY_S / 2
    wide.until(lambda: wide.js("return switchraft.state.members['h3/1'].paused"))
    wide.close_news()
    assert wide.news == ""
    lab.run("node", "resume", "h3")
    wide.until(lambda: not wide.js("return switchraft.state.members['h3/1'].paused"))
    wide.frames()


def test_a_switch_is_paused_and_goes_on_by_clicks(lab: Lab, wide: LivePage) -> None:
    wide.choose("switch", "s2")
    assert wide.press("switch pause s2") == "switch s2 paused"
    wide.until(lambda: wide.classes('#marks [data-on="s2"][data-by="hand"]') == "by-hand")
    assert not wide.driver.find_element(By.CSS_SELECTOR, '[data-does="switch pause s2"]').is_enabled()
    wide.until(lambda: wide.classes('#marks [data-on="h2"][data-by="found"], [data-link="s1-s2"].found'))
    assert wide.press("switch resume s2") == "switch s2 resumed"
    wide.until(lambda: wide.js("return document.querySelectorAll('#marks [data-on], .wire.found').length") == 0)
    wide.until(lambda: wide.route("s2") == wide.route("s1"))
    lab.run("send", "after the pause")
    assert "after the pause" in lab.equal_values()
    wide.quiet()


def test_a_member_is_added_and_removed_by_clicks(lab: Lab, wide: LivePage) -> None:
    number = lab.live.topology.node_id(NEWCOMER)

    def voters() -> list[int]:
        found: list[int] = wide.js(
            "return Object.values(switchraft.state.members)"
            ".find((one) => one.up && one.role === 'leader')?.voters ?? []"
        )
        return found

    wide.choose("host", NEWCOMER)
    assert sorted(voters()) == [1, 2, 3]
    wide.click(f"member add {NEWCOMER}")
    # One more is drawn, so the page opens the stream anew, and says so.
    wide.until(lambda: "has more members" in wide.news)
    wide.ready()
    wide.until(lambda: number in voters())
    wide.until(lambda: wide.js("return switchraft.state.members[arguments[0]]?.up", f"{NEWCOMER}/1"))
    assert NEWCOMER in wide.ask("nodes")
    assert wide.ask("overlaps") == []
    wide.choose("member", f"{NEWCOMER}/1")
    assert "is no member" in wide.press(f"member remove {NEWCOMER}")
    wide.until(lambda: sorted(voters()) == [1, 2, 3])
    wait("no entry of it", lambda: number not in {one["source"] for one in lab.entries("s1", "members")})
    wide.quiet()


def test_all_is_legible_and_axe_finds_nothing_serious(lab: Lab, wide: LivePage) -> None:
    """Also what is broken, by hand and found out."""
    lab.run("node", "kill", "h3")
    lab.run("link", "down", "s1", "s2", "--one-way")
    wide.until(lambda: wide.classes('#marks [data-on="h3"][data-by="found"]'))
    for size in (DESKTOP, PHONE):
        wide.size(*size)
        for what in opened(wide):
            for question in ("overlaps", "controls", "small", "cutOff"):
                assert wide.ask(question) == [], (size, what, question)
            for theme in ("light", "dark"):
                wide.theme(theme)
                assert wide.serious() == [], (size, what, theme)
    wide.quiet()


def test_every_hand_is_reached_and_moved_by_keyboard(lab: Lab, wide: LivePage) -> None:
    def press(key: str) -> None:
        ActionChains(wide.driver).send_keys(key).perform()

    def focused(name: str) -> str:
        """The id of what has the focus, or another name of it."""
        return str(wide.js("return document.activeElement.dataset[arguments[0]] ?? document.activeElement.id", name))

    def reached(name: str, most: int) -> set[str]:
        """What the focus comes to from where it is."""
        found = {focused(name)}
        for _ in range(most):
            press(Keys.TAB)
            found.add(focused(name))
        return found

    topology = lab.live.topology
    links = {f"{one.a}-{one.b}" for one in topology.links} | {f"{one.name}-{one.switch}" for one in topology.hosts}
    assert links <= reached("link", 50)
    places = ['[data-name="h1"]', '[data-name="s1"]', '[data-name="controller"]', '[data-name="h11"]']
    for place in [*places, '[data-link="s1-s2"]']:
        wide.js("document.querySelector(arguments[0]).focus()", place)
        press(Keys.ENTER)
        wide.frames(3)
        wanted = wide.js(
            "return [...document.querySelectorAll('#acts button:enabled, #acts select, #acts input')]"
            ".filter((one) => one.getClientRects().length).map((one) => one.dataset.does ?? one.id)"
        )
        assert len(wanted) >= 2, place
        press("h")
        assert set(wanted) <= reached("does", len(wanted) + 2), place
        press(Keys.ESCAPE)
    wide.js("document.querySelector('[data-name=\"h3\"]').focus()")
    press(Keys.ENTER)
    wide.until(lambda: wide.js("return document.querySelector('[data-does=\"node pause h3\"]')?.disabled === false"))
    wide.js("document.querySelector('[data-does=\"node pause h3\"]').focus()")
    press(Keys.ENTER)
    wide.until(lambda: wide.done == "node h3 paused")
    wide.until(lambda: wide.js("return document.querySelector('[data-does=\"node resume h3\"]').disabled === false"))
    wide.js("document.querySelector('[data-does=\"node resume h3\"]').focus()")
    press(Keys.SPACE)
    wide.until(lambda: wide.done == "node h3 resumed")
    wide.quiet()
