"""The files from which the controller and the nodes learn what the lab is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from controller.network import DEFAULT_CPU_PORT, FEATURES
from topo import paths
from topo.topology import Topology

GRPC_FIRST_PORT = 9559
CPU_PORT = DEFAULT_CPU_PORT


def grpc_address(device_id: int) -> str:
    """Where the switch with this device id serves P4Runtime."""
    return f"127.0.0.1:{GRPC_FIRST_PORT + device_id - 1}"


def network(topology: Topology) -> dict[str, Any]:
    """The controller's ``network.json``."""
    return {
        "switches": [
            {"name": switch.name, "device_id": switch.device_id, "grpc": grpc_address(switch.device_id)}
            for switch in topology.switches
        ],
        "hosts": [
            {"name": host.name, "ip": str(host.ip), "mac": host.mac, "switch": host.switch, "port": host.port}
            for host in topology.hosts
        ],
        "links": [
            {"a": link.a, "a_port": link.a_port, "b": link.b, "b_port": link.b_port} for link in topology.links
        ],
        "groups": [
            {
                "id": group.id,
                "slot": group.slot,
                "service": str(group.service) if group.service else None,
                "port": topology.port,
                "members": [{"id": number, "host": host} for number, host in group.members.items()],
            }
            for group in topology.groups
        ],
        "pipeline": {"json": str(paths.build() / "raft.json"), "p4info": str(paths.build() / "raft.p4info.txtpb")},
        "cpu_port": CPU_PORT,
        "filter_window_ms": 2 * topology.heartbeat_ms,
        "control_socket": str(paths.controller_socket()),
        **({"features": list(FEATURES)} if topology.acknowledgements == "gathered" else {}),
    }


def cluster(topology: Topology, number: int = 0) -> dict[str, Any]:
    """The nodes' ``cluster.yaml``, of one of the topology's clusters. Spares may join the first."""
    groups: list[dict[str, Any]] = []
    spares = {} if number else topology.spares
    for group in topology.clusters[number]:
        entry: dict[str, Any] = {"id": group.id}
        if group.service is not None:
            entry["service"] = str(group.service)
        entry["members"] = {member: str(topology.host(host).ip) for member, host in group.members.items()}
        if spares:
            entry["spares"] = {member: str(topology.host(host).ip) for member, host in spares.items()}
        groups.append(entry)
    snapshots = {} if topology.snapshot_entries is None else {"snapshot_entries": topology.snapshot_entries}
    return {
        "cluster": topology.cluster,
        "port": topology.port,
        "mtu": topology.mtu,
        **snapshots,
        "heartbeat_ms": topology.heartbeat_ms,
        "election_timeout_ms": topology.election_timeout_ms,
        "reads": topology.reads,
        "hints": topology.hints.value,
        "acknowledgements": topology.acknowledgements,
        "network": "p4",
        "data": str(paths.nodes()),
        "groups": groups,
        "names": {
            **{member: host for group in topology.clusters[number] for member, host in group.members.items()},
            **spares,
        },
    }


def write(topology: Topology) -> None:
    """Write the files into build/lab."""
    _write(paths.network(), json.dumps(network(topology), indent=2) + "\n")
    for number in range(len(topology.clusters)):
        _write(paths.cluster(number), yaml.safe_dump(cluster(topology, number), sort_keys=False))


def _write(path: Path, text: str) -> None:
    paths.make(path.parent)
    path.write_text(text)
    paths.give(path)
