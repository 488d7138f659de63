"""A lesson's run, recorded, and its steps found in it."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from pathlib import Path

from course.history import History
from course.lessons import Lesson, Step
from course.stage import NotSo, Stage, plan
from sim.run import compile_program, recording
from sim.world import Options
from topo.errors import LabError
from web import one_file
from web import recording as recordings
from web.recording import Recording, RecordingError

SEEDS = 4000
"""So many are looked at, from the lesson's own on, for one that leads to what it shows."""

_STYLE = """
#lesson { position: fixed; inset: 0 auto 0 0; width: 23rem; overflow-y: auto; box-sizing: border-box;
  scroll-padding: 8px 0 72px;
  padding: 12px 16px 24px; background: var(--card); border-right: 1px solid var(--faint); font-size: 14px;
  line-height: 1.45; }
#lesson h2 { font-size: 16px; margin: 0 0 8px; }
#lesson ol { padding-left: 1.6em; margin: 12px 0 0; }
#lesson li { margin: 0 0 12px; }
#lesson a { color: var(--accent); display: inline-block; min-height: 24px; }
#lesson .why { color: var(--soft); display: block; }
#lesson p.next { position: sticky; bottom: -24px; margin: 0 -16px -24px; padding: 8px 16px 12px;
  background: var(--card); border-top: 1px solid var(--faint); }
#lesson li.here { background: var(--mark); outline: 6px solid var(--mark); }
body { padding-left: 23rem; box-sizing: border-box; }
@media (min-width: 961px) and (max-width: 1600px) { #panel.wide { width: 60%; } }
@media (max-width: 960px), (orientation: portrait) {
  #lesson { inset: auto 0 0 0; width: auto; height: 34dvh; border-right: 0; border-top: 1px solid var(--faint); }
  body { padding-left: 0; padding-bottom: 34dvh; }
}
"""

_SCRIPT = """
const links = [...document.querySelectorAll("#lesson a")];
const next = document.querySelector("#lesson button");
let here = -1;
for (const [number, link] of links.entries()) link.addEventListener("click", () => {
  here = number;
  for (const one of links) {
    one.closest("li").classList.toggle("here", one === link);
    if (one === link) one.setAttribute("aria-current", "step"); else one.removeAttribute("aria-current");
  }
  const last = number === links.length - 1;
  if (last && document.activeElement === next) link.focus();
  next.disabled = last;
});
next.addEventListener("click", () => {
  links[here + 1].click();
  links[here].closest("li").scrollIntoView({ block: "center" });
});
addEventListener("keydown", (event) => {
  if (event.key !== "n" || event.altKey || event.ctrlKey || event.metaKey || next.disabled) return;
  next.click();
});
"""


class LessonError(LabError):
    """The run does not show what the text says of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A step with its moment: the number of its event, and the time in microseconds."""

    step: Step
    event: int
    t: int


def record(lesson: Lesson, file: Path) -> None:
    """Simulate the lesson's run, and write its recording. Raises LabError."""
    options = Options(compile_program())
    for seed in range(lesson.seed, lesson.seed + SEEDS):
        if _shows(lesson, seed, options):
            break
    else:
        raise LessonError(f"{lesson.name}: none of {SEEDS} seeds leads to what it shows")
    stage = _stage(lesson, seed, options)
    try:
        with recording(file) as begin:
            recorder = begin(stage.world, options)
            lesson.script(stage)
            recorder.end("", "", stage.world.trace.digest())
    finally:
        stage.close()


def _shows(lesson: Lesson, seed: int, options: Options) -> bool:
    stage = _stage(lesson, seed, options)
    try:
        lesson.script(stage)
    except NotSo:
        return False
    finally:
        stage.close()
    return True


def _stage(lesson: Lesson, seed: int, options: Options) -> Stage:
    found = plan(
        seed,
        lesson.topology,
        switches=lesson.switches,
        slow_clock=lesson.slow_clock,
        one_at_a_time=lesson.one_at_a_time,
    )
    return Stage(found, options)


def follow(lesson: Lesson, run: Recording) -> list[Found]:
    """The steps' moments. Raises LessonError where something that the text says is not so."""
    history = History(run)
    found: list[Found] = []
    steps = iter(lesson.steps)
    step = next(steps, None)
    for number, event, state in history.walk():
        if step is None:
            break
        if not step.find(event, state, history.frames):
            continue
        for sentence, holds in step.also:
            if not holds(state):
                raise LessonError(f"{lesson.name}: at {event['t'] / 1e6:.6f} s it is not so: {sentence}")
        found.append(Found(step, number, event["t"]))
        step = next(steps, None)
    if step is not None:
        after = f"after {found[-1].t / 1e6:.6f} s " if found else ""
        raise LessonError(f"{lesson.name}: {after}it does not happen: {step.says}")
    return found


def as_text(lesson: Lesson, found: list[Found]) -> str:
    """For a terminal."""
    lines = [lesson.title, "", *textwrap.wrap(lesson.about, 100), ""]
    for number, one in enumerate(found, 1):
        step = one.step
        said = " ".join([step.says, *(sentence for sentence, _ in step.also)])
        look = f"  look at {step.see.partition(':')[2].removesuffix('/1')}" if step.see else ""
        lines.append(f"{number:>2}. at {one.t / 1e6:.6f} s{look}")
        lines += textwrap.wrap(said, 96, initial_indent="    ", subsequent_indent="    ")
        lines += textwrap.wrap(step.why, 94, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def link(one: Found, run: Recording) -> str:
    """The address of a step's moment in the page."""
    parts = [f"t={one.t / 1e6:.6f}", f"e={one.event + 1}"]
    if one.step.see:
        parts.append(f"see={one.step.see}")
    else:
        number = run.events[one.event].get("m")
        parts += [f"see=message:{number}"] if number else []
    return "#" + "&".join(parts)


def write_html(lesson: Lesson, run: Path, found: list[Found], out: Path) -> None:
    """Page, run and text in one file. Raises RecordingError."""
    one_file.write(run, out)
    try:
        page = out.read_text(encoding="utf-8")
        before, end, after = page.rpartition("</body>")
        out.write_text(before + _aside(lesson, recordings.read(run), found) + end + after, encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{error.filename or out}: {error.strerror}") from None


def _aside(lesson: Lesson, run: Recording, found: list[Found]) -> str:
    items = []
    for one in found:
        said = html.escape(" ".join([one.step.says, *(sentence for sentence, _ in one.step.also)]))
        why = f'<span class="why">{html.escape(one.step.why)}</span>' if one.step.why else ""
        href = html.escape(link(one, run))
        items.append(f'<li><a href="{href}">{one.t / 1e6:.6f} s</a><br>{said}{why}</li>')
    return (
        f'<style>{_STYLE}</style>\n<aside id="lesson" aria-label="Lesson" tabindex="0">'
        f"<h2>{html.escape(lesson.title)}</h2><p>{html.escape(lesson.about)}</p>\n<ol>\n"
        + "\n".join(items)
        + '\n</ol><p class="next"><button type="button" aria-keyshortcuts="n">Next step</button> <kbd>n</kbd></p>'
        + "</aside>\n"
        + f'<script type="module">{_SCRIPT}</script>\n'
    )
