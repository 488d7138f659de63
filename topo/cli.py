"""The `switchraft` command. Here is only its shape: what a command does is in ``topo/commands``."""

from __future__ import annotations

import os

import typer

from topo.commands import (
    exercises,
    faults,
    features,
    follow,
    labs,
    lessons,
    limits,
    members,
    metrics,
    nodes,
    simulator,
    soaks,
    state,
    tools,
    values,
    view,
    web,
)
from topo.ending import told

app = typer.Typer(
    name="switchraft",
    help="A Raft cluster behind P4 switches, in a lab on this machine. Begin with: switchraft lab",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    labs,
    state,
    values,
    faults,
    features,
    limits,
    members,
    tools,
    follow,
    nodes,
    soaks,
    simulator,
    view,
    web,
    exercises,
    lessons,
    metrics,
):
    module.add_to(app)


def main() -> None:
    """Run the command line."""
    # Before it is imported: what gRPC has to say of a switch that ends is said in fewer words, or is no news.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with told("switchraft"):
        app(prog_name="switchraft")


if __name__ == "__main__":
    main()
