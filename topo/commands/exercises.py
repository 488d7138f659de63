"""exercise: parts of the project to write anew, for a course."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

exercise = typer.Typer(help="Exercises for a course: a part of the project is yours to write.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(exercise, name="exercise")


@exercise.command("list")
def show() -> None:
    """What there is."""
    from course.exercises import EXERCISES

    for one in EXERCISES:
        print(f"{one.name:<14} {one.title:<40} {one.minutes:>3} min   {'P4' if one.is_p4 else 'Python'}")


@exercise.command()
def start(
    name: Annotated[str, typer.Argument(help="See `switchraft exercise list`.")],
    folder: Annotated[Path | None, typer.Argument(help="To work in. [default: the exercise's name]")] = None,
) -> None:
    """Write a working copy, with a part left out, and a page that says what to do."""
    from course import working_copy
    from course.exercises import find

    copy = working_copy.start(find(name), folder or Path(name))
    print(f"{copy.folder}: read {working_copy.TEXT_FILE}, work on {' and '.join(map(_name, copy.exercise.files))}")
    print(f"then: switchraft exercise check {copy.folder}")


@exercise.command()
def check(
    folder: Annotated[Path, typer.Argument(help="That was made by `start`.")] = Path("."),
    quick: Annotated[bool, typer.Option("--quick", help="Without simulated seeds.")] = False,
    replay: Annotated[
        int | None, typer.Option("--replay", metavar="SEED", min=0, help="Run one seed with your work, and show it.")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="With --replay: print all that happens.")] = False,
    web: Annotated[bool, typer.Option("--web", help="With --replay: show the run in a browser.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="With --replay: the run as one page, in a file.")
    ] = None,
) -> None:
    """Compile it, send packets, simulate; say what is wrong and which seed shows it."""
    from course import check, working_copy
    from topo.commands import view
    from topo.errors import UsageError

    copy = working_copy.read(folder)
    if replay is not None:
        if quick:
            raise UsageError("--quick leaves simulated seeds out, and --replay is about one: leave one of them out")
        with view.wanted(None, html, serve=web) as file:
            code = check.replay(copy, replay, print, trace=trace, record=file)
        raise typer.Exit(code)
    for given, name in ((trace, "--trace"), (web, "--web"), (html, "--html")):
        if given:
            raise UsageError(f"{name} is about one seed: name it with --replay SEED")
    report = check.check(copy, print, simulate=not quick)
    raise typer.Exit(0 if report.passed else 1)


def _name(source: str) -> str:
    return Path(source).name
