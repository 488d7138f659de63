"""status, leader, counters, tables, log: what nodes and switches really hold."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Keep showing it, until Ctrl-C.")]


def add_to(app: typer.Typer) -> None:
    for command in (status, leader, counters, tables, log):
        app.command()(command)


def status(watch: WatchOption = False, as_json: JsonOption = False) -> None:
    """Nodes with their terms and logs, switches, links, the controller."""
    from topo.lab.running_lab import Live
    from topo.views import output, status

    output.show(lambda: status.gather(Live.find()), status.render, watch=watch, as_json=as_json)


def leader(as_json: JsonOption = False) -> None:
    """Who leads, and to whom the switches steer. Exit code 1 where a group has no leader."""
    from topo.errors import LabError
    from topo.lab.running_lab import Live
    from topo.views import output, status

    found = status.leaders(Live.find())
    if as_json:
        output.print_json(found)
    for group in found:
        if group["leader"] is None:
            raise LabError(f"group {group['group']} has no leader now")
        if not as_json:
            print(f"group {group['group']}: {group['leader']} leads in term {group['term']}")
            for name, entry in group["switches"].items():
                print(f"  {name} steers to {entry['leader'] or 'nobody in particular'} (term {entry['term']})")


def counters(watch: WatchOption = False, as_json: JsonOption = False) -> None:
    """What each switch has counted: messages by type, drops by reason, redirects, copies, ports."""
    from topo.lab.running_lab import Live
    from topo.views import counters, output

    output.show(lambda: counters.gather(Live.find()), counters.render, watch=watch, as_json=as_json)


def tables(
    switch: Annotated[str, typer.Argument(metavar="SWITCH")],
    as_json: JsonOption = False,
) -> None:
    """The entries that a switch holds, read from the switch itself."""
    from topo.lab.running_lab import Live
    from topo.views import counters, output

    output.show(lambda: counters.tables(Live.find(), switch), counters.render_tables, watch=False, as_json=as_json)


def log(
    node: Annotated[str, typer.Argument(metavar="NODE")],
    raw: Annotated[bool, typer.Option("--raw", help="Its Raft log, with terms and indexes.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check what its disk holds; it need not run.")] = False,
    group: Annotated[int | None, typer.Option("--group", metavar="ID", help="Default: the first.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The values that a node has applied, in order."""
    from topo.errors import UsageError
    from topo.views import log

    if raw and verify:
        raise UsageError("--raw and --verify exclude each other")
    if verify:
        log.verify(node, group=group, as_json=as_json)
        return
    log.show(node, raw=raw, group=group, as_json=as_json)
