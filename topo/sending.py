"""A client's request from the command line, and its answer for people and programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hosts.values import ValueFault, describe_type, to_json
from topo.applied import value_text
from topo.errors import LabError, UsageError
from topo.showing import print_json
from topo.whereabouts import Way, choose

if TYPE_CHECKING:
    from hosts.client import Client, Result

Call = Callable[["Client"], "Result"]


def ask(
    origin: str | None, target: str | None, cluster: Path | None, seconds: float, call: Call
) -> tuple[Way, Result]:
    """Ask from host ``origin`` (this thread moves there) and return the way and the answer. Raises LabError."""
    way = choose(origin, target, cluster)
    return way, ask_on(way, seconds, call)


def ask_on(way: Way, seconds: float, call: Call) -> Result:
    """Ask from where this thread is. Raises LabError where no answer comes, UsageError for an impossible value."""
    from hosts.client import Client, ClientError

    try:
        with Client(list(way.servers), group=way.group, timeout=seconds) as client:
            return call(client)
    except ValueFault as error:
        raise UsageError(str(error)) from error
    except ClientError as error:
        raise LabError(str(error)) from error


def answer_text(way: Way, result: Result) -> str:
    """The answer in one line."""
    value = f"{value_text(to_json(result.value))} ({describe_type(result.value)})"
    by = way.name(result.served_by[0])
    return f"{value}: index {result.index}, term {result.term}, served by {by}, {result.elapsed_s * 1000:.1f} ms"
