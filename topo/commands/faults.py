"""node, switch, controller, link, partition, heal: what may be done to a running lab."""

from __future__ import annotations

from typing import Annotated, Any

import typer

ActionArgument = Annotated[str, typer.Argument(metavar="kill|start|pause|resume")]


def add_to(app: typer.Typer) -> None:
    app.command()(switch)
    app.command()(controller)
    app.command()(link)
    app.command()(partition)
    app.command()(heal)


def change(**request: Any) -> None:
    """Have the lab do something, and print what it did."""
    from topo.lab.running_lab import Live

    print(Live.find().change(request))


def switch(
    action: Annotated[str, typer.Argument(metavar="kill|start|restart|pause|resume")],
    name: Annotated[str, typer.Argument(metavar="SWITCH")],
) -> None:
    """Kill, start or restart a switch. A started one is waited for until it is programmed."""
    change(cmd="switch", action=action, name=name)


def controller(action: ActionArgument) -> None:
    """Kill or start the controller."""
    change(cmd="controller", action=action)


def link(
    action: Annotated[str, typer.Argument(metavar="down|up")],
    a: Annotated[str, typer.Argument(metavar="A")],
    b: Annotated[str, typer.Argument(metavar="B")],
    one_way: Annotated[bool, typer.Option("--one-way", help="Only packets from A to B.")] = False,
) -> None:
    """Break or mend the link between two switches, or a host and its switch. Nobody is told."""
    from topo.errors import UsageError

    if action not in ("down", "up"):
        raise UsageError(f"unknown action {action!r}: choose down or up")
    change(cmd="link", a=a, b=b, up=action == "up", one_way=one_way)


def partition(sides: Annotated[list[str], typer.Argument(metavar="HOST... / HOST...")]) -> None:
    """Let hosts on different sides of the stroke not reach each other: partition h1 h2 / h3"""
    from topo.lab.links import sides_of

    change(cmd="partition", sides=sides_of(sides))


def heal() -> None:
    """Mend all links and the partition."""
    change(cmd="heal")
