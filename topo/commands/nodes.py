"""node: a Raft node of the lab, or one run by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from topo.commands.faults import change


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run a node, or kill and pause the lab's.")
    for action, text in {
        "kill": "End a node at once (SIGKILL).",
        "start": "Start a node that does not run.",
        "pause": "Stop a node without ending it (SIGSTOP).",
        "resume": "Let a paused node go on.",
    }.items():
        group.command(action, help=text)(_changer(action))
    group.command("run")(run)
    group.command("readdress")(readdress)
    app.add_typer(group, name="node")


def _changer(action: str) -> Callable[[list[str]], None]:
    def act(names: Annotated[list[str], typer.Argument(metavar="HOST...")]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        # At once, as a node that starts is waited for.
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: change(cmd="node", action=action, name=name), names))

    return act


ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="cluster.yaml; default: $SWITCHRAFT_CLUSTER.")
]


def run(
    index: Annotated[
        int | None, typer.Argument(metavar="[INDEX]", help="Which member, counted from 0 in the file's order.")
    ] = None,
    config: ConfigOption = None,
    member: Annotated[int | None, typer.Option("--id", metavar="ID", help="Which member, by its id.")] = None,
) -> None:
    """Run a node here, in the foreground, until it is interrupted. Needs no lab."""
    from topo.lab import run_node

    run_node.run(config or _named_by_environment(), index, member)


def readdress(
    config: ConfigOption = None,
    member: Annotated[
        int | None, typer.Option("--id", metavar="ID", help="Only this member's; default: all that have data here.")
    ] = None,
) -> None:
    """Tell stopped nodes, where their data is, the addresses that the cluster file gives members now.

    For a network that was renumbered, or an address that was wrong from the beginning, once the members have
    committed, or a snapshot holds, the former one. Run it on every host, then start the nodes."""
    from topo.lab import run_node

    run_node.readdress(config or _named_by_environment(), member)


def _named_by_environment() -> Path | None:
    environment = os.environ.get("SWITCHRAFT_CLUSTER")
    return Path(environment) if environment else None
