"""lesson: a simulated run, and a text that leads through it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("lesson")(lesson)


def lesson(
    name: Annotated[str, typer.Argument(metavar="NAME|list", help="`list` says which there are.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="OUT", help="Page, run and text in one file, for any browser.")
    ] = None,
) -> None:
    """Lead through a simulated run, step by step: an election, figure 8 of the Raft paper, a stale leader..."""
    from course.lessons import LESSONS, find
    from topo.errors import UsageError

    if name == "list":
        if html is not None:
            raise UsageError("--html is about one lesson: name it in place of `list`")
        for one in LESSONS:
            print(f"{one.name:<14} {one.title}")
        return
    import tempfile

    from course import lesson_run
    from web import recording

    chosen = find(name)
    with tempfile.TemporaryDirectory(prefix="switchraft-") as folder:
        run = Path(folder) / "run.rec"
        lesson_run.record(chosen, run)
        found = lesson_run.follow(chosen, recording.read(run))
        if html is None:
            print(lesson_run.as_text(chosen, found))
            print(f"\nTo see it: switchraft lesson {name} --html {name}.html")
            return
        lesson_run.write_html(chosen, run, found, html)
    print(f"{html}: {html.stat().st_size / 1e6:.1f} MB; open it in any browser")
