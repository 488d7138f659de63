"""What runs, who leads and what has committed: gathered from the lab's record, the nodes and the controller."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.network import ON_REQUEST
from topo.errors import LabError, NotPermitted
from topo.lab.running_lab import Live
from topo.views.effects import describe, given_up, reasons

GROUP_FIELDS = ("role", "term", "leader", "commit", "applied", "last_index")


def gather(live: Live, *, strictly: bool = False) -> dict[str, Any]:
    """Everything that ``switchraft status --json`` prints. ``strictly``: raises NotPermitted where this user may not
    ask."""
    with ThreadPoolExecutor() as pool:
        links = pool.submit(_or_error, lambda: {"ok": True, **live.links()})
        controller = pool.submit(_or_error, lambda: live.ask_controller({"cmd": "status"}))
        nodes = {
            name: pool.submit(_or_error, lambda name=name: live.ask_node(name, {"cmd": "status"}), strictly)
            for name in live.expected_nodes
        }
        links.result()
        record = Live.find().record
        running = {process.name: process for process in record.processes}

        def state(name: str) -> str:
            process = running.get(name)
            if process is None:
                return "not started" if "error" in nodes[name].result() else "by hand"
            return process.state if process.alive or process.state.startswith("dead") else "dead"

        told = controller.result()
        return {
            "topology": record.topology,
            "switch": record.switch,
            "lab_pid": record.lab.pid,
            "nodes": {name: {"state": state(name), **_node(answer.result())} for name, answer in nodes.items()},
            "switches": {
                switch.name: {"state": state(switch.name), **told.get("switches", {}).get(switch.name, {})}
                for switch in live.topology.switches
            },
            "controller": {"state": state("controller"), "error": told.get("error")},
            "groups": told.get("groups", []),
            "links": told.get("links", []),
            "features": told.get("features", {}),
            "limits": told.get("limits", {}),
            "broken": {key: value for key, value in links.result().items() if key != "ok"},
        }


def leaders(live: Live) -> list[dict[str, Any]]:
    """For each group: who says that it leads, in which term, and to whom the switches steer. Raises NotPermitted
    where this user may not ask."""
    whole = gather(live, strictly=True)
    steered = {group["group"]: group for group in whole["groups"]}
    found = []
    for group in live.topology.groups:
        claims = [
            (entry["term"], name)
            for name, node in whole["nodes"].items()
            for entry in node.get("groups", [])
            if entry["group"] == group.id and entry["role"] == "leader" and node["state"] != "paused"
        ]
        term, leader = max(claims, default=(None, None))
        route = steered.get(group.id, {})
        hosts = live.topology.hosts_of(group)
        found.append(
            {
                "group": group.id,
                "leader": leader,
                "term": term,
                "steered_to": route.get("host"),
                "switches": {
                    name: {"leader": hosts.get(entry["leader"]), "term": entry["term"]}
                    for name, entry in route.get("switches", {}).items()
                },
            }
        )
    return found


def _node(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        return {"error": answer["error"]}
    return {key: value for key, value in answer.items() if key != "ok"}


def _or_error(call: Any, strictly: bool = False) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = call()
        return answer
    except NotPermitted as error:
        if strictly:
            raise
        return {"error": str(error)}
    except (LabError, OSError, ValueError, KeyError) as error:
        return {"error": str(error)}


def render(whole: dict[str, Any]) -> RenderableType:
    """The state as tables for people."""
    return Group(_nodes_table(whole), _switches_table(whole), *_group_lines(whole), *_control_lines(whole))


def _group_lines(whole: dict[str, Any]) -> Iterator[Text]:
    """What there is to say of each group."""
    for group in whole["groups"]:
        steered = f"{group['host']} (term {group['term']})" if group.get("host") else "no leader known"
        given = [f"{count} {cause.replace('_', ' ')}" for cause, count in group.get("hints", {}).items() if count]
        hints = f", hints given: {', '.join(given)}" if given else ""
        yield Text(f"Group {group['group']}: switches steer clients to {steered}, service {group['service']}{hints}")
        reads = _reads(whole, group["group"])
        if reads:
            yield Text(f"Group {group['group']}: reads served by {', '.join(reads)}")
    for name, node in whole["nodes"].items():
        for entry in node.get("groups", []):
            for problem in entry.get("problems", []):
                yield Text(f"Group {entry['group']}, as {name} sees it: {problem}", style="bold red")


def _control_lines(whole: dict[str, Any]) -> Iterator[Text]:
    """The controller, what it was told and holds for down, and what was broken."""
    controller = whole["controller"]
    if controller["state"] != "running":
        yield Text(f"Controller: {controller['state']}", style="bold red")
    elif controller["error"]:
        yield Text(f"Controller: {controller['error']}", style="bold red")
    usual = {name: "off" if name in ON_REQUEST else "on" for name in whole["features"]}
    told = {name: describe(at) for name, at in whole["features"].items()}
    away = [f"{name} {text}" for name, text in told.items() if text != usual[name]]
    if away:
        yield Text(f"Features: {'; '.join(away)}", style="bold yellow")
    for name, counts in given_up(whole["nodes"]).items():
        yield Text(f"{name}, {reasons(counts)}")
    if whole["limits"]:
        limits = ", ".join(f"{host} {rate}/s" for host, rate in sorted(whole["limits"].items()))
        yield Text(f"Limits of clients' requests: {limits}")
    down = [f"{link['a']}-{link['b']}" for link in whole["links"] if not link["up"]]
    if down:
        yield Text(f"Links that the controller holds for down: {', '.join(down)}", style="bold yellow")
    for what, broken in whole["broken"].items():
        if broken:
            listed = ", ".join(broken) if isinstance(broken, list) else str(broken)
            yield Text(f"Broken by hand ({what}): {listed}", style="bold yellow")


def _reads(whole: dict[str, Any], group: int) -> list[str]:
    """How many reads each member has served without a log entry, and how."""
    told = []
    for name, node in whole["nodes"].items():
        for entry in node.get("groups", []):
            counts = entry.get("counts", {})
            served = {kind: counts.get(f"reads_{kind}", 0) for kind in ("leader", "follower", "stale")}
            if entry["group"] == group and any(served.values()):
                kinds = ", ".join(f"{count} as {kind}" for kind, count in served.items() if count)
                told.append(f"{name} {sum(served.values())} ({kinds.replace('as stale', 'at once')})")
    return told


def _nodes_table(whole: dict[str, Any]) -> Table:
    table = Table(title=f"{whole['topology']}, {whole['switch']} switches", title_justify="left")
    for heading in ("node", "state", "group", *GROUP_FIELDS):
        table.add_column({"last_index": "last"}.get(heading, heading), no_wrap=True)
    names = {
        entry["group"]: name
        for name, node in whole["nodes"].items()
        for entry in node.get("groups", [])
        if entry["role"] == "leader"
    }
    ids = {
        (entry["group"], node["id"]): name
        for name, node in whole["nodes"].items()
        for entry in node.get("groups", [])
    }
    for name, node in whole["nodes"].items():
        if "groups" not in node:
            table.add_row(name, Text(node["state"], style="red"))
            continue
        for entry in node["groups"]:
            cells = [_cell(field, entry.get(field), entry["group"], ids) for field in GROUP_FIELDS]
            style = "bold green" if names.get(entry["group"]) == name else ""
            table.add_row(name, node["state"], str(entry["group"]), *cells, style=style)
    return table


def _cell(field: str, value: Any, group: int, ids: dict[tuple[int, int], str]) -> str:
    if field == "leader":
        return ids.get((group, value), str(value)) if value else "-"
    return "-" if value is None else str(value)


def _switches_table(whole: dict[str, Any]) -> Table:
    table = Table()
    for heading in ("switch", "state", "programmed", "entries", "problem"):
        table.add_column(heading)
    for name, switch in whole["switches"].items():
        programmed = {True: "yes", False: "no"}.get(switch.get("programmed"), "?")
        cells = (name, switch["state"], programmed, str(switch.get("entries", "?")), switch.get("problem") or "")
        table.add_row(*cells, style="" if switch["state"] == "running" and programmed == "yes" else "red")
    return table
