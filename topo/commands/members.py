"""member, transfer: who the members are, and who leads."""

from __future__ import annotations

from typing import Annotated

import typer

HostArgument = Annotated[str, typer.Argument(metavar="HOST")]
GroupOption = Annotated[int | None, typer.Option("--group", metavar="ID", help="Default: the first.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add and remove members, or list them.")
    group.command("add")(add)
    group.command("remove")(remove)
    group.command("list")(list_members)
    app.add_typer(group, name="member")
    app.command()(transfer)


def add(host: HostArgument, group: GroupOption = None) -> None:
    """Start a node on a host if none runs there, and make it a member once it has caught up."""
    from topo.lab import membership

    membership.add(host, group)


def remove(host: HostArgument, group: GroupOption = None) -> None:
    """Make a member none any more; also the leader."""
    from topo.lab import membership

    membership.remove(host, group)


def list_members(group: GroupOption = None, as_json: JsonOption = False) -> None:
    """Who the members are, as their leader sees it."""
    from topo.lab import membership

    membership.show(group, as_json=as_json)


def transfer(host: HostArgument, group: GroupOption = None) -> None:
    """Hand leadership to a member."""
    from topo.lab import membership

    membership.transfer(host, group)
