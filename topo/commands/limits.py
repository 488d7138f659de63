"""limit: how many requests a second clients may send, by host."""

from __future__ import annotations

from typing import Annotated

import typer

HostArgument = Annotated[str | None, typer.Argument(metavar="HOST", help="A host of clients. Default: list all.")]
RateArgument = Annotated[
    str | None, typer.Argument(metavar="RATE", help="Requests per second, as in 500/s, or off. Default: list.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(limit)


def limit(
    host: HostArgument = None,
    rate: RateArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """How many requests a second the switch lets in from a host of clients. What is more is dropped there."""
    from topo.views import limits

    if host is not None and rate is not None:
        limits.change(host, rate, as_json)
    else:
        limits.show(host, as_json)
