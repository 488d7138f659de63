"""exec, ping, capture, trace: looking at the network from its hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from topo.commands.numbers import seconds as in_seconds


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
    interface: Annotated[
        str | None, typer.Argument(metavar="INTERFACE", show_default=False, help="As in s1-eth1 or h1-eth0.")
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="INTERFACE|all", help="The same; or all ports of switches.")
    ] = None,
    pcap: Annotated[
        Path | None, typer.Option("--pcap", metavar="FILE", help="Every packet into a pcapng file, and no lines.")
    ] = None,
    wireshark: Annotated[
        bool, typer.Option("--wireshark", help="With --pcap: write a dissector beside it, and open Wireshark.")
    ] = False,
    count: Annotated[int, typer.Option("--count", "-c", min=0, help="End after so many packets; 0: never.")] = 0,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", parser=in_seconds("--seconds"), metavar="SECONDS", help="End after those; 0: never."
        ),
    ] = 0,
    write: Annotated[str | None, typer.Option("--write", "-w", metavar="FILE", help="A pcap file as well.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Not only Raft's packets.")] = False,
) -> None:
    """Show packets on an interface, Raft's header decoded, until interrupted; or write them for Wireshark."""
    from topo.errors import UsageError
    from topo.views import capture, taps
    from topo.views import pcap as pcaps

    if interface is not None and on is not None:
        raise UsageError("name the interface once: INTERFACE or --on")
    where = interface or on or (taps.ALL if pcap is not None else None)
    if where is None:
        raise UsageError("name an interface, as in: switchraft capture s1-eth1; or --pcap FILE for all")
    if pcap is not None:
        if write is not None or everything:
            raise UsageError("--write and --all go without --pcap, which takes every packet")
        pcaps.record(where, pcap, count, seconds, wireshark)
        return
    if wireshark:
        raise UsageError("--wireshark goes with --pcap FILE")
    if where == taps.ALL:
        raise UsageError("--on all goes with --pcap FILE")
    capture.show(where, count, seconds, write, everything)


def trace(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="SWITCH|PROG.p4", help="A switch of the lab, or a program.")],
    wanted: Annotated[
        str, typer.Option("--filter", "-f", metavar="WHICH", help="raft, all, udp=PORT or host=ADDRESS.")
    ] = "all",
    count: Annotated[int, typer.Option("--count", "-c", min=0, help="End after so many packets; 0: never.")] = 0,
) -> None:
    """Show packets' ways through a switch's program: parser, tables, entries, changes, drops.

    For a program instead of a switch: --port N --hex BYTES [--entries FILE.stf] [-I FOLDER], without a network.
    """
    from topo.errors import UsageError
    from topo.views import trace

    if what.endswith((".p4", ".json")):
        if count or wanted != "all":
            raise UsageError("--filter and --count go with a switch, not with a program")
        raise typer.Exit(trace.offline([what, *context.args]))
    if context.args:
        raise UsageError(f"{context.args[0]} goes with a program, not with a switch: try --filter, --count")
    trace.live(what, wanted, count)
