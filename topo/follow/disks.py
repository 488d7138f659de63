"""What members say of an entry on their control sockets: on whose disk it is, and how long a leader's stages took.

Members tell no time of a single entry. A leader counts how often each stage of a commit took how long
(``hosts.measures``); where exactly one batch went through between two looks, the difference is that batch's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hosts.control import socket as control
from hosts.measures import STAGES
from topo.errors import LabError
from topo.lab.running_lab import Live, node_socket
from topo.topology import Group

PATIENCE_S = 3.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Disk:
    """An entry at a member, as it said when it was asked. ``error``: why it said nothing, "" if it did."""

    member: str
    durable: bool = False
    committed: bool = False
    what: str = ""
    error: str = ""


def status(live: Live) -> dict[str, Json]:
    """What each node that answers says of itself, with how long things took, by name."""
    found = {}
    for name in live.expected_nodes:
        try:
            found[name] = live.ask_node(name, {"cmd": "status", "durations": True}, PATIENCE_S)
        except LabError:
            continue
    return found


def nodes_of(live: Live, group: Group) -> list[str]:
    """The nodes that run and may hold a group's log: its members, and of the first cluster's groups the spares."""
    topology = live.topology
    spares = set(topology.nodes) - set(topology.members) if group in topology.clusters[0] else set()
    return [name for name in live.expected_nodes if name in spares or name in group.members.values()]


def entry(live: Live, group: int, index: int) -> list[Disk]:
    """An entry at each node of its group."""
    (asked,) = [one for one in live.topology.groups if one.id == group]
    return [_entry(name, group, index) for name in nodes_of(live, asked)]


def _entry(name: str, group: int, index: int) -> Disk:
    request = {"cmd": "raw", "group": group, "from": index, "brief": True}
    try:
        for line in control.ask(node_socket(name), request, PATIENCE_S):
            if line.get("ok") is False:
                return Disk(name, error=str(line.get("error")))
            if line.get("index") == index:
                words = [str(line[word]) for word in ("operation", "key", "value") if word in line]
                return Disk(name, line["durable"], line["committed"], " ".join(words))
    except LabError as error:
        return Disk(name, error=str(error))
    except (OSError, ValueError) as error:
        return Disk(name, error=f"it does not answer: {error}")
    return Disk(name, error=f"its log holds no entry {index}")


def stages(before: Json | None, after: Json | None, group: int) -> dict[str, float]:
    """Seconds that each stage of the one commit between two looks took at its leader; nothing where there were more
    commits than one, or none."""
    if before is None or after is None or before.get("pid") != after.get("pid"):
        return {}
    first, last = _stages(before, group), _stages(after, group)
    found = {}
    for stage in STAGES:
        if stage not in first or stage not in last:
            return {}
        if sum(last[stage]["counts"]) - sum(first[stage]["counts"]) != 1:
            return {}
        found[stage] = float(last[stage]["sum_s"] - first[stage]["sum_s"])
    return found


def _stages(status: Json, group: int) -> Mapping[str, Json]:
    for one in status.get("groups", ()):
        if one.get("group") == group:
            stages: Mapping[str, Json] = one.get("durations", {}).get("stages", {})
            return stages
    return {}
