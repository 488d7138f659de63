"""follow: a packet's whole way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from topo.commands.numbers import seconds
from topo.commands.values import FromOption, GroupOption, ToOption

TIMEOUT_S = 10.0


def add_to(app: typer.Typer) -> None:
    # Values such as -1 are no options.
    app.command(context_settings={"ignore_unknown_options": True})(follow)


def follow(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="put KEY VALUE|get KEY|send VALUE|delete KEY", show_default=False),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option("--wait", metavar="FILTER", help="A packet instead: 'type=AppendEntries from=h1 to=h3'."),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-c", help="With --wait: end after so many packets.")] = 1,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            parser=seconds("--timeout"),
            metavar="SECONDS",
            help="Give up after that; with --wait 0 is never.",
        ),
    ] = TIMEOUT_S,
    origin: FromOption = None,
    target: ToOption = None,
    group: GroupOption = None,
    brief: Annotated[bool, typer.Option("--brief", help="Without tables.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All that `switchraft trace` shows of a packet.")] = False,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Write a recording: see `switchraft view`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Follow a request and all that it leads to, or a packet that passes: switches, tables, disks, with times.

    A filter is words NAME=VALUE or NAME=VALUE,VALUE; all must hold. Names: type, from, to, host, flag, drop (a
    reason, or any), source, target, group, term, index, log_term, commit, session, sequence.
    """
    from topo.errors import UsageError
    from topo.follow import called, recorded, waited
    from topo.follow.watch import Shown
    from topo.views.client_requests import Route

    shown = Shown(as_json, not brief, full, record)
    if brief and full:
        raise UsageError("--brief and --full exclude each other")
    if (wait is None) == (not words):
        raise UsageError("name a request, as in: switchraft follow put KEY VALUE; or a packet, with --wait FILTER")
    if record is not None:
        recorded.check(record)
    if wait is not None:
        if origin is not None or target is not None or group is not None:
            raise UsageError("--from, --to and --group go with a request; with --wait they are words of the filter")
        waited.wait(wait, count, timeout, shown)
        return
    assert words
    if count != 1:
        raise UsageError("--count goes with --wait")
    called.call(Route(origin, target, None, timeout, group), words[0], words[1:], shown)
