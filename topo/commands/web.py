"""web: the running lab in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from topo.commands.numbers import seconds as in_seconds
from topo.errors import UsageError


def add_to(app: typer.Typer) -> None:
    app.command("web")(web)


def web(
    context: typer.Context,
    opens: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On loopback; 0: any that is free.")] = 0,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write what the served page remembers; see `view`.")
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", hidden=True)] = False,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            parser=in_seconds("--seconds"),
            metavar="SECONDS",
            help="With --save: only the last ones; 0: all.",
        ),
    ] = 0,
) -> None:
    """Show the running lab in a browser: see it, go back ten minutes, break and mend it.

    An address is good once. Where the page is served already, as by `make run`, this prints another one."""
    from topo.live import command

    if save is not None:
        if opens or port:
            raise UsageError("--save goes without --open and --port: it asks the page that is served")
        print(command.save(save, seconds))
        return
    if seconds:
        raise UsageError("--seconds goes with --save FILE")
    command.run(context.find_root().command, port, opens=opens, silent=silent)
