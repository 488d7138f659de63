"""metrics: a running lab's state for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from topo.commands.numbers import amount
from topo.metrics.files import TARGET


def add_to(app: typer.Typer) -> None:
    app.command()(metrics)


def metrics(
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS:PORT", help="Where to serve /metrics. Port 0: a free one.")
    ] = TARGET,
    node: Annotated[
        list[Path] | None,
        typer.Option("--node", metavar="SOCKET", help="A node's control.sock, in place of the lab; may be repeated."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            parser=amount("--timeout", "seconds", 0.01, 60),
            metavar="SECONDS",
            help="For whoever is asked; who takes longer is down.",
        ),
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print the metrics, and end.")] = False,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FOLDER", help="Write alert rules, a dashboard, prometheus.yml; and end."),
    ] = None,
) -> None:
    """Serve the running lab's metrics for Prometheus, until Ctrl-C."""
    from topo.views import metrics

    if write is not None:
        metrics.write(write, listen)
        return
    metrics.run(listen, node or [], timeout, once)
