"""lab, stop, demo: the lab as a whole."""

from __future__ import annotations

from typing import Annotated

import typer

from topo.errors import LabError, UsageError

TopologyOption = Annotated[str, typer.Option("--topology", "-t", metavar="NAME|FILE", help="What to build.")]
SwitchOption = Annotated[str, typer.Option("--switch", metavar="auto|bmv2|embedded", help="Which switch runs.")]
CompilerOption = Annotated[
    str | None, typer.Option("--compiler", metavar="p4c|p4compiler", help="Default: the switch's own.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(lab)
    app.command()(stop)
    app.command()(demo)


def lab(
    topology: TopologyOption = "triangle",
    switch: SwitchOption = "auto",
    compiler: CompilerOption = None,
    nodes: Annotated[
        str, typer.Option(metavar="auto|manual", help="manual: start them yourself, at the prompt.")
    ] = "auto",
    detach: Annotated[bool, typer.Option("--detach", help="No prompt: return once a leader serves.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Carry on with the last lab's node data.")] = False,
    page: Annotated[bool, typer.Option("--web", help="Serve the lab's page, too, and print its address.")] = False,
) -> None:
    """Build the lab: network, switches, controller and nodes; then open Mininet's prompt."""
    from topo.lab import supervisor
    from topo.lab.options import Options

    if nodes not in ("auto", "manual"):
        raise UsageError(f"unknown choice --nodes {nodes}: choose auto or manual")
    options = Options(topology, switch, compiler, nodes, keep, page=page)
    if detach:
        supervisor.detached(options)
        print("The lab is up. Look: switchraft status. End it: switchraft stop")
    else:
        supervisor.in_foreground(options)


def stop() -> None:
    """End the lab and leave nothing behind, also after a crash."""
    from topo.lab import stop

    print(stop.stop())


def demo(switch: SwitchOption = "auto", compiler: CompilerOption = None) -> None:
    """The whole story in under a minute: elections, failures, and what the switches do."""
    from topo.demo import Demo

    if not Demo(switch, compiler).run():
        raise LabError("the demo did not go as told; see above")
