"""sim: the whole under one seed, many times."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("sim")(simulate)


def simulate(
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="How many. [default: 100]")] = None,
    first: Annotated[int | None, typer.Option("--first", min=0, help="The first one. [default: 0]")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes. [default: all CPUs]")] = None,
    replay: Annotated[int | None, typer.Option("--replay", metavar="SEED", min=0, help="Run one seed again.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="With --replay: print all that happens.")] = False,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="With --replay: record the run; see `view`.")
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="With --replay: show the run in a browser.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="With --replay: the run as one page, in a file.")
    ] = None,
    unoptimized: Annotated[bool, typer.Option("--O0", help="The switches' C code without optimization.")] = False,
) -> None:
    """Simulate the cluster with its real code, switches included: faults of all kinds, every promise checked."""
    import os

    from sim import run
    from topo.commands import view
    from topo.errors import UsageError

    optimize = "-O0" if unoptimized else "-O2"
    if replay is not None:
        for many, name in ((seeds, "--seeds"), (first, "--first"), (jobs, "--jobs")):
            if many is not None:
                raise UsageError(f"{name} is about many seeds, and --replay about one: leave one of them out")
        with view.wanted(record, html, serve=web) as file:
            code = run.replay(replay, optimize, trace=trace, record=file)
        raise typer.Exit(code)
    for given, name in ((trace, "--trace"), (record, "--record"), (web, "--web"), (html, "--html")):
        if given:
            raise UsageError(f"{name} is about one seed: name it with --replay SEED")
    raise typer.Exit(run.simulate(first or 0, seeds or 100, jobs or os.cpu_count() or 1, optimize))
