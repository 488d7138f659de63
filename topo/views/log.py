"""What a node has applied, and its Raft log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from hosts.control import socket as control
from hosts.storage import verify as storage
from hosts.storage.errors import LogError
from hosts.storage.verify import Report
from topo import paths
from topo.errors import LabError
from topo.lab.running_lab import Live, node_socket
from topo.views.output import print_json

PATIENCE_S = 10.0
"""From line to line of an answer."""
SHOWN_CHARACTERS = 100
"""How much of a value people are shown; --json shows all of it."""


def values_of(live: Live, node: str, group: int | None = None) -> list[Any]:
    """The values that ``node`` has applied, in the form of hosts.service.values.to_json. Raises LabError."""
    return [line["value"] for line in _ask(live, node, "log", group)]


def show(node: str, *, raw: bool, group: int | None, as_json: bool) -> None:
    """Print the applied values, or with ``raw`` the log's entries. Raises LabError."""
    live = Live.find()
    lines = list(_ask(live, node, "raw" if raw else "log", group))
    if as_json:
        if raw:
            print_json({"node": node, "entries": lines})
        else:
            print_json({"node": node, "values": [line["value"] for line in lines], "items": lines})
        return
    for line in lines:
        print(_entry_text(line) if raw else _item_text(line))
    if not lines:
        print("nothing yet")


def verify(node: str, *, group: int | None, as_json: bool) -> None:
    """Check the logs on a node's disk and print what they hold, of all its groups or one. Raises LabError for damage,
    also if the node does not run, or no lab does."""
    folder = paths.nodes() / node
    logs = sorted(folder.glob("group-*" if group is None else f"group-{group}"))
    if not logs:
        of_group = "" if group is None else f" of group {group}"
        raise LabError(f"{folder} holds no log{of_group}: is {node!r} a node that has run?")
    reports = {}
    for log in logs:
        try:
            reports[log.name] = storage.verify(log)
        except LogError as error:
            raise LabError(str(error)) from error
    if as_json:
        print_json({"node": node, "logs": {name: _report_json(report) for name, report in reports.items()}})
    for name, report in reports.items():
        if report.damage is not None:
            raise LabError(f"{node}, {name}: {report.damage}")
        if not as_json:
            print(f"{name}: {report}")


def _report_json(report: Report) -> dict[str, Any]:
    fields = asdict(replace(report, damage=None))
    return {**fields, "damage": None if report.damage is None else str(report.damage)}


def _ask(live: Live, node: str, command: str, group: int | None) -> Iterator[dict[str, Any]]:
    live.topology.node_id(node)
    request: dict[str, Any] = {"cmd": command, "group": live.topology.groups[0].id if group is None else group}
    try:
        for line in control.ask(node_socket(node), request, PATIENCE_S):
            if line.get("ok") is False:
                raise LabError(f"node {node}: {line.get('error')}")
            if "ok" in line:
                return
            yield line
    except PermissionError:
        raise LabError(f"node {node}'s control socket is another user's: use sudo") from None
    except (OSError, ValueError) as error:
        raise LabError(f"node {node} does not answer: {error}") from error
    raise LabError(f"node {node} ended before its answer did")


def _item_text(line: dict[str, Any]) -> str:
    value = value_text(line["value"])
    return f"{line['position']:>6}  {value}  ({line['type']}, index {line['index']}, term {line['term']})"


def _entry_text(line: dict[str, Any]) -> str:
    what = line.get("operation", line["kind"])
    operands = [value_text(line[name]) for name in ("key", "value") if name in line]
    state = "committed" if line["committed"] else "durable" if line["durable"] else "in memory"
    return f"{line['index']:>6}  term {line['term']:<4} {state:<10} {' '.join([what, *operands])}"


def value_text(value: Any) -> str:
    """A value of to_json's form, not longer than a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
