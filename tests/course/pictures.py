"""``python -m tests.course.pictures``: the key moment of each lesson as a picture in docs/course/pictures.

Needs chromium and chromium-driver. Look at what it has drawn before you commit it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from course import lesson_run
from course.lessons import LESSONS
from tests.web.browser import Page, chromium
from topo.paths import ROOT
from web import recording

FOLDER = ROOT / "docs" / "course" / "pictures"
KEY = {"election": 4, "figure-8": 10, "stale-leader": 10, "steering": 4, "joint-change": 4, "stranger": 4}
"""By lesson: the step that is shown."""


def draw(page: Page, folder: Path) -> None:
    """All pictures."""
    for lesson in LESSONS:
        run, html = folder / f"{lesson.name}.rec", folder / f"{lesson.name}.html"
        lesson_run.record(lesson, run)
        lesson_run.write_html(lesson, run, lesson_run.follow(lesson, recording.read(run)), html)
        page.open(html.as_uri())
        page.size(1280, 720)
        page.theme("light")
        page.js(f"document.querySelectorAll('#lesson a')[{KEY[lesson.name] - 1}].click()")
        page.js("document.querySelector('#lesson .here')?.scrollIntoView({block: 'center'})")
        page.frames(5)
        assert page.driver.save_screenshot(str(FOLDER / f"{lesson.name}.png"))
        print(f"{lesson.name}.png: step {KEY[lesson.name]}")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder) / "profile") as driver:
        draw(Page(driver), Path(folder))


if __name__ == "__main__":
    main()
