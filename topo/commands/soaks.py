"""soak: load and faults for minutes, and the proof that nothing went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from topo.commands.labs import CompilerOption, SwitchOption, TopologyOption
from topo.commands.numbers import amount

MOST_MINUTES = 10_000
"""A week."""


def add_to(app: typer.Typer) -> None:
    app.command()(soak)


def soak(
    minutes: Annotated[
        float,
        typer.Option(
            parser=amount("--minutes", "minutes", 0.1, MOST_MINUTES),
            metavar="MINUTES",
            help="How long; not with --kills.",
        ),
    ] = 10.0,
    kills: Annotated[int, typer.Option(min=0, help="Instead: kill -9 of one node, so many times.")] = 0,
    members: Annotated[
        str,
        typer.Option(
            metavar="SIZES", help="The group's size changes meanwhile, to each in turn and again, as in 1,3,1."
        ),
    ] = "",
    features: Annotated[
        int, typer.Option(min=0, help="Each feature of the switches is taken away and put back so often meanwhile.")
    ] = 0,
    threads: Annotated[int, typer.Option(min=0, help="So many clients more, in threads of one process.")] = 0,
    values: Annotated[
        str,
        typer.Option(metavar="LEAST-MOST", help="Values of so many bytes, as in 100-200000; else of a few."),
    ] = "",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Decides which faults come, and when. [default: any]")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge the history of an earlier soak; needs no lab.")
    ] = None,
    topology: TopologyOption = "triangle",
    switch: SwitchOption = "auto",
    compiler: CompilerOption = None,
) -> None:
    """Load a lab of its own while nodes, links, switches and the controller fail; then judge what clients saw:
    linearizable, nothing acknowledged lost, and soon after each heal served again."""
    import random

    from topo.lab.options import Options
    from topo.soak import command
    from topo.soak.conductor import Wanted
    from topo.soak.resizing import parse_sizes
    from topo.soak.sizes import NAMES_ONLY, parse_value_bytes

    if check is not None:
        command.check(check)
        return
    sizes = parse_sizes(members) if members else ()
    value_bytes = parse_value_bytes(values) if values else NAMES_ONLY
    chosen = random.randrange(1_000_000) if seed is None else seed
    options = Options(topology, switch, compiler, snapshot_entries=command.SNAPSHOT_ENTRIES)
    wanted = Wanted(
        chosen, minutes * 60, kills, sizes=sizes, threads=threads, features=features, value_bytes=value_bytes
    )
    command.soak(options, wanted)
