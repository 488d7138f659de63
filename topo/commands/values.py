"""send, put, get, delete, client: what a client does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from topo.commands.numbers import seconds
from topo.errors import UsageError

FromOption = Annotated[str | None, typer.Option("--from", metavar="HOST", help="Default: the first client host.")]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="HOST|service|ADDRESS", help="Default: the service address.")
]
ClusterOption = Annotated[
    Path | None, typer.Option("--cluster", metavar="FILE", help="A cluster.yaml: no lab is needed.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", parser=seconds("--timeout"), metavar="SECONDS", help="Give up after that.")
]
GroupOption = Annotated[
    int | None, typer.Option("--group", metavar="ID", help="Default: the first that --to is part of.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
StrOption = Annotated[bool, typer.Option("--str", help="VALUE is a string, even if it parses as JSON.")]
LeaseOption = Annotated[
    bool, typer.Option("--lease", help="Only where leaders answer reads under a lease: 'reads: lease' in the file.")
]
StaleOption = Annotated[
    str | None,
    typer.Option("--stale", metavar="MS", help="Whoever is asked may answer with what was so up to MS ms before."),
]
HexOption = Annotated[bool, typer.Option("--hex", help="VALUE is bytes, in hexadecimal.")]
FileOption = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The file's bytes are the value.")]
ValueArgument = Annotated[str | None, typer.Argument(metavar="VALUE", help="JSON if it parses, else a string.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY")]

TIMEOUT_S = 10.0


def add_to(app: typer.Typer) -> None:
    # Values such as -1 are no options.
    negative = {"ignore_unknown_options": True}
    for command in (send, put, get, delete, client):
        app.command(context_settings=negative)(command)


def send(
    value: ValueArgument = None,
    origin: FromOption = None,
    target: ToOption = None,
    as_str: StrOption = False,
    as_hex: HexOption = False,
    file: FileOption = None,
    cluster: ClusterOption = None,
    timeout: TimeoutOption = TIMEOUT_S,
    group: GroupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Append a value to the replicated list."""
    from topo.views import client_requests

    parsed = _parse(value, as_str, as_hex, file)
    route = client_requests.Route(origin, target, cluster, timeout, group)
    client_requests.show(route, client_requests.append(parsed), as_json)


def put(
    key: KeyArgument,
    value: ValueArgument = None,
    origin: FromOption = None,
    target: ToOption = None,
    as_str: StrOption = False,
    as_hex: HexOption = False,
    file: FileOption = None,
    cluster: ClusterOption = None,
    timeout: TimeoutOption = TIMEOUT_S,
    group: GroupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store a value under a key."""
    from topo.views import client_requests

    parsed = _parse(value, as_str, as_hex, file)
    route = client_requests.Route(origin, target, cluster, timeout, group)
    client_requests.show(route, client_requests.put(key, parsed), as_json)


def get(
    key: KeyArgument,
    origin: FromOption = None,
    target: ToOption = None,
    cluster: ClusterOption = None,
    timeout: TimeoutOption = TIMEOUT_S,
    group: GroupOption = None,
    lease: LeaseOption = False,
    stale: StaleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the value under a key. Exit code 1 if there is none."""
    from topo.views import client_requests

    age_ms = None if stale is None else _milliseconds(stale)
    if lease:
        client_requests.require_leases(cluster)
    route = client_requests.Route(origin, target, cluster, timeout, group)
    client_requests.show(route, client_requests.get(key, age_ms), as_json)


def delete(
    key: KeyArgument,
    origin: FromOption = None,
    target: ToOption = None,
    cluster: ClusterOption = None,
    timeout: TimeoutOption = TIMEOUT_S,
    group: GroupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a key."""
    from topo.views import client_requests

    route = client_requests.Route(origin, target, cluster, timeout, group)
    client_requests.show(route, client_requests.delete(key), as_json)


def client(
    source: Annotated[str, typer.Option("-s", metavar="ADDRESS", help="The client's own address.")],
    destination: Annotated[str, typer.Option("-d", metavar="ADDRESS", help="A node's, or the service address.")],
    data: Annotated[str, typer.Option("-da", metavar="VALUE", help="JSON if it parses, else a string.")],
    timeout: TimeoutOption = TIMEOUT_S,
) -> None:
    """Send one value by addresses alone, as at a host's prompt: client -s 10.0.1.11 -d 10.0.1.1 -da 1"""
    from topo.views import client_requests

    parsed = _parse(data, False, False, None)
    client_requests.show_from(source, destination, parsed, timeout)


def _milliseconds(text: str) -> int:
    from hosts.service.requests import MAX_U32

    if not (text.isascii() and text.isdigit() and int(text) <= MAX_U32):
        raise UsageError(f"--stale {text}: give milliseconds, a whole number from 0 to {MAX_U32}")
    return int(text)


def _parse(text: str | None, as_str: bool, as_hex: bool, file: Path | None) -> object:
    if (text is None) == (file is None):
        raise UsageError("give a VALUE, or --file with its bytes: one of them")
    if as_str and as_hex:
        raise UsageError("--str and --hex exclude each other")
    if file is not None:
        if as_hex:
            raise UsageError("--file takes the bytes as they are; --hex is for a VALUE")
        try:
            data = file.read_bytes()
            return data.decode() if as_str else data
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{file} is not UTF-8 text; leave out --str to send its bytes") from error
    assert text is not None
    if as_hex:
        try:
            return bytes.fromhex(text.removeprefix("0x"))
        except ValueError as error:
            raise UsageError(f"{text!r} is not hexadecimal") from error
    from hosts.service.values import ValueFault, parse_text

    try:
        return text if as_str else parse_text(text)
    except ValueFault as error:
        raise UsageError(f"{error}; with --str the text is sent as it is") from error
