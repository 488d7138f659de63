"""How a lesson looks beside its run, and that it is followed without a mouse: as much is asked as of the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium.webdriver.common.keys import Keys

from course import lesson_run
from course.lessons import LESSONS, Lesson, find
from tests.web.browser import Page
from tests.web.test_look import DESKTOP, PHONE
from tests.web.test_page import press
from web import recording

EACH = pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.name)
SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Lesson], Path]:
    """The page of a lesson, written once."""
    folder = tmp_path_factory.mktemp("lessons")

    def write(lesson: Lesson) -> Path:
        run, html = folder / f"{lesson.name}.rec", folder / f"{lesson.name}.html"
        if not html.exists():
            lesson_run.record(lesson, run)
            lesson_run.write_html(lesson, run, lesson_run.follow(lesson, recording.read(run)), html)
        return html

    return write


@pytest.fixture
def opened(browser: Page, written: Callable[[Lesson], Path]) -> Callable[[Lesson], Page]:
    def open_it(lesson: Lesson) -> Page:
        address = written(lesson).as_uri()
        if browser.driver.current_url.partition("#")[0] != address:
            browser.open(address)
        browser.size(*DESKTOP)
        browser.theme("light")
        browser.js("switchraft.choose(null)")
        return browser

    return open_it


def go(page: Page, step: int) -> None:
    page.js("document.querySelectorAll('#lesson a')[arguments[0]].click()", step)
    page.until(lambda: there(page, step))
    page.frames(3)


def there(page: Page, step: int) -> bool:
    """The page shows the step's moment, and what the step looks at."""
    return bool(
        page.js(
            "const link = document.querySelectorAll('#lesson a')[arguments[0]];"
            "const given = new URLSearchParams(link.hash.slice(1)), { player, chosen } = switchraft;"
            "const see = chosen ? `${chosen.kind}:${chosen.id}` : null;"
            "return player.count === Number(given.get('e')) && see === given.get('see')"
            " && document.getElementById('clock').textContent === link.textContent",
            step,
        )
    )


def kinds(page: Page, lesson: Lesson) -> list[int]:
    """One step for each kind of thing that the lesson opens, and its last."""
    found: dict[str, int] = {}
    for number in range(len(lesson.steps)):
        see = page.js("return document.querySelectorAll('#lesson a')[arguments[0]].hash", number).partition("see=")[2]
        found[see.partition(":")[0]] = number
    return sorted({*found.values(), len(lesson.steps) - 1})


@SIZES
@EACH
def test_nothing_overlaps_and_nothing_is_too_small(
    lesson: Lesson, size: tuple[int, int], opened: Callable[[Lesson], Page]
) -> None:
    page = opened(lesson)
    page.size(*size)
    several = kinds(page, lesson)
    for number in range(len(lesson.steps)):
        go(page, number)
        for question in ("small", "cutOff", "covered", "controls"):
            assert page.ask(question) == [], (question, number)
        if number in several:
            page.js("switchraft.choose(null)")
            page.frames(3)
            assert page.ask("overlaps") == [], number


@pytest.mark.parametrize("theme", ["light", "dark"])
@SIZES
@EACH
def test_axe_finds_nothing_serious(
    lesson: Lesson, size: tuple[int, int], theme: str, opened: Callable[[Lesson], Page]
) -> None:
    page = opened(lesson)
    page.size(*size)
    page.theme(theme)
    page.js(AXE_SCRIPT)
    for number in kinds(page, lesson):
        go(page, number)
        found = page.driver.execute_async_script(
            "const [rules, done] = arguments;"
            "axe.run({resultTypes: ['violations'], ...rules}).then(done, e => done({error: String(e)}))",
            # The themes differ in colours alone.
            {} if theme == "light" else {"runOnly": ["color-contrast", "link-in-text-block"]},
        )
        assert "error" not in found, found
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in serious] == [], number


@pytest.mark.parametrize(
    ("name", "says", "table"),
    [
        ("stale-leader", "Switch s2 drops", "table term_filter: hit"),
        ("stranger", "s1 drops it: not a member", "table guard_enforce: hit"),
        ("steering", "It arrives at h1", "table leader_route: hit"),
    ],
)
def test_an_opened_message_shows_the_table_that_decided(
    name: str, says: str, table: str, opened: Callable[[Lesson], Page]
) -> None:
    lesson = find(name)
    page = opened(lesson)
    go(page, next(number for number, step in enumerate(lesson.steps) if says in step.says))
    assert page.ask("lookedAt") == [table, True, True]
    assert page.ask("covering") == []


def test_a_change_of_voters_is_told(opened: Callable[[Lesson], Page]) -> None:
    lesson = find("joint-change")
    page = opened(lesson)
    go(page, next(number for number, step in enumerate(lesson.steps) if "acts by it at once" in step.says))
    text = page.ask("text", "line")
    assert "h1 counts two majorities: of h1, h2, h3 and of h1, h2, h3, h4, h5" in text


def focused(page: Page) -> str:
    return str(page.js("return document.activeElement.textContent"))


def seen(page: Page) -> bool:
    """What has the focus is in the window, not cut off and not behind anything."""
    return bool(
        page.js(
            "const one = document.activeElement, box = one.getBoundingClientRect();"
            "const top = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);"
            "return box.width > 0 && box.top >= 0 && box.bottom <= innerHeight && one.contains(top)"
        )
    )


@SIZES
@EACH
def test_it_is_followed_by_keyboard(lesson: Lesson, size: tuple[int, int], opened: Callable[[Lesson], Page]) -> None:
    page = opened(lesson)
    page.size(*size)
    links = page.js("return [...document.querySelectorAll('#lesson a')].map((one) => one.textContent)")
    page.js("document.getElementById('link').focus()")
    press(page, Keys.TAB)
    assert page.js("return document.activeElement.id") == "lesson"
    for number, text in enumerate(links):
        press(page, Keys.TAB)
        assert focused(page) == text
        assert seen(page), text
        if number in (0, 1, len(links) - 2):
            press(page, Keys.ENTER)
            page.until(lambda number=number: there(page, number))
            assert focused(page) == text, "the next tab leads to the next step"
    press(page, Keys.TAB)
    assert focused(page) == "Next step" and seen(page)
    press(page, Keys.ENTER)
    page.until(lambda: there(page, len(links) - 1))
    assert page.js("return document.querySelector('#lesson button').disabled")
    assert focused(page) == links[-1], "the focus is not lost with the button"
    assert page.js("return document.querySelector('#lesson [aria-current=step]').textContent") == links[-1]


def test_a_key_leads_from_step_to_step(opened: Callable[[Lesson], Page]) -> None:
    lesson = find("stranger")
    page = opened(lesson)
    page.js("document.activeElement.blur()")
    go(page, 0)
    for number in range(1, len(lesson.steps)):
        press(page, "n")
        page.until(lambda number=number: there(page, number))
    press(page, "n")
    assert there(page, len(lesson.steps) - 1)


def test_a_link_is_followed_again_after_the_run_was_played_on(opened: Callable[[Lesson], Page]) -> None:
    page = opened(find("stranger"))
    go(page, 3)
    page.until(lambda: page.js("return document.querySelectorAll('#lesson a')[3].hash === location.hash"))
    page.js("document.getElementById('play').click()")
    page.until(lambda: not there(page, 3))
    go(page, 3)
    assert not page.js("return switchraft.player.playing")


def test_a_link_is_followed_though_the_moment_before_is_being_remembered(opened: Callable[[Lesson], Page]) -> None:
    page = opened(find("stranger"))
    go(page, 3)
    page.js("document.querySelectorAll('#lesson a')[5].click(); history.replaceState(null, '', switchraft.hash())")
    page.until(lambda: there(page, 5))


def test_the_questions_would_find_it(opened: Callable[[Lesson], Page]) -> None:
    page = opened(find("stranger"))
    assert page.ask("covered") == []
    page.js("document.body.style.padding = '0'")
    page.frames(3)
    assert page.ask("covered")
    page.js("document.body.style.padding = ''; document.querySelector('#lesson li').style.width = '700px'")
    assert page.ask("covered")
    page.js("document.querySelector('#lesson li').style.width = ''")
    page.js("document.querySelector('#lesson .why').style.fontSize = '10px'")
    assert page.ask("small")
    page.js("document.querySelector('#lesson .why').style.fontSize = ''")
    page.js("document.querySelector('#lesson button').replaceChildren()")
    page.js(AXE_SCRIPT)
    found = page.driver.execute_async_script("const done = arguments[0]; axe.run().then(done)")
    assert "button-name" in {one["id"] for one in found["violations"]}
    page.js("document.querySelector('#lesson button').textContent = 'Next step'")
