"""exec, ping, capture: looking at the network from its hosts."""

from __future__ import annotations

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(execute)
    app.command()(ping)
    app.command()(capture)


def execute(
    host: Annotated[str, typer.Argument(metavar="HOST")],
    command: Annotated[list[str], typer.Argument(metavar="[--] COMMAND...")],
) -> None:
    """Run a command in a host's namespace."""
    from topo import executing

    executing.execute(host, command)


def ping(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Let every host ping every other."""
    from topo import pinging

    pinging.show(as_json)


def capture(
    interface: Annotated[str, typer.Argument(metavar="INTERFACE", help="As in s1-eth1 or h1-eth0.")],
    count: Annotated[int, typer.Option("--count", "-c", help="End after so many packets.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", help="End after so many seconds.")] = 0,
    write: Annotated[str | None, typer.Option("--write", "-w", metavar="FILE", help="A pcap file as well.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Not only Raft's packets.")] = False,
) -> None:
    """Show packets on an interface, Raft's header decoded, until interrupted."""
    from topo import capturing

    capturing.show(interface, count, seconds, write, everything)
