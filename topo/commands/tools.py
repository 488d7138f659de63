"""exec, ping, capture, trace: looking at the network from its hosts."""

from __future__ import annotations

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(execute)
    app.command()(ping)
    app.command()(capture)
    app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(trace)


def execute(
    host: Annotated[str, typer.Argument(metavar="HOST")],
    command: Annotated[list[str], typer.Argument(metavar="[--] COMMAND...")],
) -> None:
    """Run a command in a host's namespace."""
    from topo.views import exec

    exec.execute(host, command)


def ping(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Let every host ping every other."""
    from topo.views import ping

    ping.show(as_json)


def capture(
    interface: Annotated[str, typer.Argument(metavar="INTERFACE", help="As in s1-eth1 or h1-eth0.")],
    count: Annotated[int, typer.Option("--count", "-c", help="End after so many packets.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", help="End after so many seconds.")] = 0,
    write: Annotated[str | None, typer.Option("--write", "-w", metavar="FILE", help="A pcap file as well.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Not only Raft's packets.")] = False,
) -> None:
    """Show packets on an interface, Raft's header decoded, until interrupted."""
    from topo.views import capture

    capture.show(interface, count, seconds, write, everything)


def trace(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="SWITCH|PROG.p4", help="A switch of the lab, or a program.")],
    wanted: Annotated[
        str, typer.Option("--filter", "-f", metavar="WHICH", help="raft, all, udp=PORT or host=ADDRESS.")
    ] = "all",
    count: Annotated[int, typer.Option("--count", "-c", help="End after so many packets.")] = 0,
) -> None:
    """Show packets' ways through a switch's program: parser, tables, entries, changes, drops.

    For a program instead of a switch: --port N --hex BYTES [--entries FILE.stf] [-I FOLDER], without a network.
    """
    from topo.errors import UsageError
    from topo.views import trace

    if what.endswith((".p4", ".json")):
        raise typer.Exit(trace.offline([what, *context.args]))
    if context.args:
        raise UsageError(f"{context.args[0]} goes with a program, not with a switch: try --filter, --count")
    trace.live(what, wanted, count)
