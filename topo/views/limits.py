"""The limits of clients' requests in a running lab: listing and changing them through the controller."""

from __future__ import annotations

from typing import Any

from controller.limits import parse
from topo.errors import LabError, UsageError
from topo.lab.running_lab import Live
from topo.views import counters
from topo.views.output import print_json


def change(host: str, rate: str, as_json: bool) -> None:
    """Set a host's limit or take it away, and say so; in JSON null is no limit. Raises UsageError, LabError."""
    live = Live.find()
    try:
        per_second = parse(rate)
    except ValueError as error:
        raise UsageError(f"{error}") from None
    live.topology.host(host)
    live.ask_controller({"cmd": "limit", "host": host, "per_second": per_second})
    if as_json:
        print_json({host: {"per_second": per_second}})
        return
    print(f"{host}: {'no limit' if per_second is None else f'{per_second}/s'}")


def show(host: str | None, as_json: bool) -> None:
    """Print each limit with what has come and what was too much. Raises UsageError, LabError."""
    live = Live.find()
    if host is not None:
        live.topology.host(host)
    limits: dict[str, int] = live.ask_controller({"cmd": "limits"})["limits"]
    found = {name: _counted(live, name, rate) for name, rate in sorted(limits.items()) if host in (None, name)}
    if as_json:
        print_json(found)
        return
    for name, held in found.items():
        print(describe(name, held))
    if not found:
        print("no host has a limit; to set one: switchraft limit h11 500/s" if host is None else f"{host}: no limit")


def describe(name: str, held: dict[str, Any]) -> str:
    """A limit in one line."""
    if "error" in held:
        return f"{name:<8} {held['per_second']}/s   {held['error']}"
    return f"{name:<8} {held['per_second']}/s   {held['requests']} requests, {held['over']} over the limit"


def _counted(live: Live, name: str, per_second: int) -> dict[str, Any]:
    """A limit, and what the host's switch has counted of it."""
    at = live.topology.host(name)
    try:
        held = counters.tables(live, at.switch).get("client_limit", [])
        over = counters.of(live, at.switch)["over_limits"].get(str(at.port), {"packets": 0})["packets"]
    except LabError as error:
        return {"per_second": per_second, "error": str(error)}
    requests = sum(entry["packets"] for entry in held if entry["match"]["ingress_port"] == at.port)
    return {"per_second": per_second, "requests": requests, "over": over}
