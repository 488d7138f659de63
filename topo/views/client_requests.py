"""A client's request from the command line, and its answer for people and programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hosts.service.values import Value, ValueFault, describe_type, parse_text, to_json
from topo.errors import LabError, UsageError
from topo.views.destination import Destination, choose
from topo.views.log import value_text
from topo.views.output import print_json

if TYPE_CHECKING:
    from hosts.client.blocking import Client
    from hosts.client.calls import Result


@dataclass(frozen=True)
class Answer:
    """What an answer means: one line for people, ``value`` and ``facts`` for programs."""

    text: str
    value: Value
    facts: dict[str, Any]


@dataclass(frozen=True)
class ClientCall:
    """What to ask, and how to tell the answer."""

    ask: Callable[[Client], Result]
    tell: Callable[[Result], Answer]


@dataclass(frozen=True)
class Route:
    """Where a request goes, as said on the command line: host to speak from, host or address to speak to, a cluster
    file instead of a lab, and which group."""

    origin: str | None = None
    target: str | None = None
    cluster: Path | None = None
    seconds: float = 10.0
    group: int | None = None


def append(value: Value) -> ClientCall:
    """Append ``value`` to the list."""

    def tell(result: Result) -> Answer:
        return Answer(f"{_shown(value)} is value {result.value} of the list", value, {"position": result.value})

    return ClientCall(lambda client: client.append(value), tell)


def put(key: str, value: Value) -> ClientCall:
    """Store ``value`` under ``key``."""

    def tell(result: Result) -> Answer:
        known = "replaced" if result.value else "new"
        return Answer(f"{key} = {_shown(value)}, {known}", value, {"key": key, "existed": result.value})

    return ClientCall(lambda client: client.put(key, value), tell)


def get(key: str, stale_ms: int | None = None) -> ClientCall:
    """Read what is under ``key``, or was up to ``stale_ms`` before; raises LabError if nothing is."""

    def tell(result: Result) -> Answer:
        there, value = result.value
        if not there:
            raise LabError(f"there is no key {key!r}")
        return Answer(f"{key} = {_shown(value)}", value, {"key": key})

    return ClientCall(lambda client: client.get(key, stale_ms), tell)


def call_of(operation: str, operands: Sequence[str]) -> ClientCall:
    """What the command of this name asks: send VALUE, put KEY VALUE, get KEY, delete KEY; a value is JSON if it
    parses. Raises UsageError."""
    known: Mapping[str, tuple[str, Callable[..., ClientCall]]] = {
        "send": ("VALUE", lambda value: append(parse_text(value))),
        "put": ("KEY VALUE", lambda key, value: put(key, parse_text(value))),
        "get": ("KEY", get),
        "delete": ("KEY", delete),
    }
    if operation not in known:
        raise UsageError(f"no client asks {operation!r}: choose {', '.join(known)}")
    form, make = known[operation]
    if len(operands) != len(form.split()):
        words = "1 word" if form.count(" ") == 0 else f"{len(form.split())} words"
        raise UsageError(f"{operation} takes {form}: {words}, not {len(operands)}")
    try:
        return make(*operands)
    except ValueFault as error:
        raise UsageError(str(error)) from error


def require_leases(cluster: Path | None) -> None:
    """Raises UsageError unless the members of this cluster, or of the lab, answer reads under a lease."""
    from hosts import config
    from topo.lab.running_lab import Live

    if cluster is not None:
        try:
            reads, file = config.load(cluster).reads.value, "cluster"
        except config.ConfigError as error:
            raise UsageError(str(error)) from error
    else:
        reads, file = Live.find().topology.reads, "topology"
    if reads != "lease":
        raise UsageError(f"--lease: reads are by {reads} here; 'reads: lease' in the {file} file turns leases on")


def delete(key: str) -> ClientCall:
    """Remove ``key``; raises LabError if it is not there."""

    def tell(result: Result) -> Answer:
        if not result.value:
            raise LabError(f"there is no key {key!r}")
        return Answer(f"{key} is deleted", None, {"key": key})

    return ClientCall(lambda client: client.delete(key), tell)


def ask(route: Route, call: ClientCall) -> tuple[Destination, Result]:
    """Ask as ``route`` says; this thread moves into the origin's namespace. Raises LabError where no answer comes,
    UsageError for an impossible value."""
    way = choose(route.origin, route.target, route.cluster, route.group)
    return way, ask_on(way, call, route.seconds)


def ask_on(way: Destination, call: ClientCall, seconds: float) -> Result:
    """Ask from where this thread is. Raises as ``ask``."""
    with opened(way, seconds) as client:
        return call.ask(client)


@contextmanager
def opened(way: Destination, seconds: float) -> Iterator[Client]:
    """A client where this thread is. What its calls raise becomes what ``ask`` raises."""
    from hosts.client.blocking import Client, ClientError

    if not seconds > 0:
        raise UsageError(f"--timeout {seconds:g}: choose seconds, more than 0")
    try:
        with Client(way.servers, way.group, bind=way.source, timeout_s=seconds) as client:
            yield client
    except ValueFault as error:
        raise UsageError(str(error)) from error
    except ClientError as error:
        raise LabError(str(error)) from error


def show(route: Route, call: ClientCall, as_json: bool) -> None:
    """Ask, and print the answer. Raises LabError."""
    way, result = ask(route, call)
    _print(way, result, call.tell(result), as_json)


def show_from(source: str, destination: str, value: Value, seconds: float) -> None:
    """Append a value as ``send`` does, by addresses alone: from an address of this host. Raises LabError."""
    way = choose(source, destination, None)
    call = append(value)
    result = ask_on(way, call, seconds)
    _print(way, result, call.tell(result), as_json=False)


def _print(way: Destination, result: Result, told: Answer, as_json: bool) -> None:
    if not as_json:
        print(text_of(way, result, told))
        return
    print_json(
        {
            "value": to_json(told.value),
            "type": describe_type(told.value),
            **told.facts,
            "index": result.index,
            "term": result.term,
            "served_by": way.name(result.address[0]),
            "ms": round(result.elapsed_s * 1000, 3),
        }
    )


def text_of(way: Destination, result: Result, told: Answer) -> str:
    """A line for people."""
    return f"{told.text}; {how(way, result)}"


def how(way: Destination, result: Result) -> str:
    """Where and how fast a request was carried out."""
    by = way.name(result.address[0])
    return f"index {result.index}, term {result.term}, served by {by}, {result.elapsed_s * 1000:.1f} ms"


def _shown(value: Value) -> str:
    return f"{value_text(to_json(value))} ({describe_type(value)})"
