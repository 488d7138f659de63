"""feature: what the switches do for Raft beyond forwarding, taken away and put back while the lab runs."""

from __future__ import annotations

from typing import Annotated

import typer

NameArgument = Annotated[str, typer.Argument(metavar="FEATURE", help="As in: switchraft feature list")]
SwitchOption = Annotated[str | None, typer.Option("--switch", metavar="SWITCH", help="Default: all of them.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, take away and put back features.")
    group.command("list")(list_features)
    group.command("on")(on)
    group.command("off")(off)
    app.add_typer(group, name="feature")


def list_features(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """What switches can do for Raft, and whether they do. Each goes without the others; Raft needs none of them."""
    from topo.views import features

    features.show(as_json)


def on(name: NameArgument, switch: SwitchOption = None) -> None:
    """Put a feature back. It lasts until the controller is started anew."""
    from topo.views import features

    features.change(name, True, switch)


def off(name: NameArgument, switch: SwitchOption = None) -> None:
    """Take a feature away: packets just pass then. It lasts until the controller is started anew."""
    from topo.views import features

    features.change(name, False, switch)
