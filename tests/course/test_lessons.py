"""The lessons: what each text says of its run is so in that run, and would be missed if it were not."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from course import lesson_run
from course.history import History, without
from course.lesson_run import LessonError
from course.lessons import LESSONS, Lesson, find
from course.scripts import stranger
from course.stage import NotSo, Stage, plan
from sim.run import compile_program
from sim.world import Options
from tests.web.browser import Page, chromium
from topo.cli import app
from topo.errors import UsageError
from web import recording
from web.recording import Recording

PANELS_TITLE = "return document.querySelector('#panel:not([hidden]) h2')?.textContent ?? ''"

EACH = pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.name)


@cache
def run_of(lesson: Lesson) -> Recording:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.rec"
        lesson_run.record(lesson, file)
        return recording.read(file)


@EACH
def test_the_claims_hold(lesson: Lesson) -> None:
    run = run_of(lesson)
    found = lesson_run.follow(lesson, run)
    assert [one.step for one in found] == list(lesson.steps)
    assert [one.event for one in found] == sorted({one.event for one in found})
    assert all(run.events[one.event]["t"] == one.t for one in found)
    assert not [event for event in run.events if event["k"] == "broken"]


@EACH
def test_each_step_is_missed_if_it_does_not_happen(lesson: Lesson) -> None:
    run = run_of(lesson)
    history = History(run)
    for step in lesson.steps:
        told = [at for at, event, state in history.walk() if step.find(event, state, history.frames)]
        with pytest.raises(LessonError, match=r"it does not happen|it is not so"):
            lesson_run.follow(lesson, without(run, told))


@EACH
def test_each_further_claim_is_false_at_some_other_moment(lesson: Lesson) -> None:
    """So it says something of its moment."""
    history = History(run_of(lesson))
    claims = {sentence: holds for step in lesson.steps for sentence, holds in step.also}
    assert claims
    for _, _, state in history.walk():
        claims = {sentence: holds for sentence, holds in claims.items() if holds(state)}
    assert not claims


@EACH
def test_the_first_seed_that_is_tried_leads_to_what_the_lesson_shows(lesson: Lesson) -> None:
    """Or a reader waits while others are tried: put the seed that ``record`` finds into the lesson."""
    assert run_of(lesson).header["seed"] == lesson.seed


def test_a_run_is_the_same_each_time(tmp_path: Path) -> None:
    lesson = find("stranger")
    for name in ("one", "two"):
        lesson_run.record(lesson, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_script_rejects_a_seed_that_does_not_lead_there() -> None:
    options = Options(compile_program())
    rejected = []
    for seed in range(6):
        stage = Stage(plan(seed, "triangle"), options)
        try:
            stranger(stage)
        except NotSo as error:
            rejected.append(str(error))
        finally:
            stage.close()
    assert "h1 leads first" in rejected


def test_a_lesson_that_no_seed_shows_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_run, "_shows", lambda *_: False)
    with pytest.raises(LessonError, match="none of 4000 seeds"):
        lesson_run.record(find("stranger"), tmp_path / "run.rec")


@EACH
def test_the_text_names_each_moment(lesson: Lesson) -> None:
    found = lesson_run.follow(lesson, run_of(lesson))
    text = lesson_run.as_text(lesson, found)
    assert re.findall(r"^ *\d+\. at (\d+\.\d{6}) s", text, re.MULTILINE) == [f"{one.t / 1e6:.6f}" for one in found]
    flat = " ".join(text.split())
    for step in lesson.steps:
        for said in (step.says, step.why, *(sentence for sentence, _ in step.also)):
            assert said in flat
    assert all(len(line) <= 100 for line in text.splitlines())


def test_the_list_and_a_name_that_is_none() -> None:
    result = CliRunner().invoke(app, ["lesson", "list"])
    assert [line.split()[0] for line in result.output.splitlines()] == [one.name for one in LESSONS]
    assert len(LESSONS) == 6
    with pytest.raises(UsageError, match="there is no lesson dancing: there are election"):
        find("dancing")


def test_the_page_leads_through_a_lesson(tmp_path: Path) -> None:
    file = tmp_path / "lesson.html"
    result = CliRunner().invoke(app, ["lesson", "stale-leader", "--html", str(file)])
    assert result.exit_code == 0, result.output
    assert file.stat().st_size < 5_000_000
    lesson = find("stale-leader")
    found = lesson_run.follow(lesson, run_of(lesson))
    with chromium(tmp_path / "profile") as browser:
        page = Page(browser)
        page.size(1280, 800)
        page.open(file.as_uri())
        for number, one in enumerate(found):
            page.js("document.querySelector('#lesson button').click()")
            page.until(
                lambda t=one.t: page.js("return document.querySelector('#clock').textContent") == f"{t / 1e6:.6f} s"
            )
            here = "return [...document.querySelectorAll('#lesson li')].findIndex((li) => li.matches('.here'))"
            assert page.js(here) == number
            if one.step.see:
                kind, name = one.step.see.split(":")
                page.until(lambda name=name: name.removesuffix("/1") in page.js(PANELS_TITLE).lower())
                assert page.js("return document.querySelector('#panel').dataset.kind") == kind
                assert page.js("return document.querySelector('#panel').children.length") > 1
        assert page.js("return document.querySelector('#lesson button').disabled")
        assert page.logs() == []
