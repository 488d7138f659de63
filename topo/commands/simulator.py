"""sim: the whole under one seed, many times."""

from __future__ import annotations

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("sim")(simulate)


def simulate(
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many.")] = 100,
    first: Annotated[int, typer.Option("--first", min=0, help="The first one.")] = 0,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes. [default: all CPUs]")] = None,
    replay: Annotated[int | None, typer.Option("--replay", metavar="SEED", help="Run one seed again.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="With --replay: print all that happens.")] = False,
    unoptimized: Annotated[bool, typer.Option("--O0", help="The switches' C code without optimization.")] = False,
) -> None:
    """Simulate the cluster with its real code, switches included: faults of all kinds, every promise checked."""
    import os

    from sim import run
    from topo.errors import UsageError

    optimize = "-O0" if unoptimized else "-O2"
    if replay is not None:
        raise typer.Exit(run.replay(replay, optimize, trace=trace))
    if trace:
        raise UsageError("--trace shows one seed: name it with --replay SEED")
    raise typer.Exit(run.simulate(first, seeds, jobs or os.cpu_count() or 1, optimize))
