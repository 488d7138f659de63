"""What a recording says of the network: switches, hosts, links and groups of a topology."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from topo.topology import Group, Topology


def describe(topology: Topology, *, switches: bool = True, also: Collection[str] = ()) -> dict[str, Any]:
    """The header's ``network``. ``also``: spare hosts that are shown as members of the first cluster's groups."""
    members = {host: number for group in topology.groups for number, host in group.members.items()}
    spares = {number: host for number, host in topology.spares.items() if host in also}
    members |= {host: number for number, host in spares.items()}

    def of(group: Group) -> dict[str, str]:
        more = spares if group in topology.clusters[0] else {}
        return {str(number): host for number, host in {**group.members, **more}.items()}

    return {
        "port": topology.port,
        "switches": [one.name for one in topology.switches] if switches else [],
        "hosts": [
            {
                "name": host.name,
                "ip": str(host.ip),
                "mac": host.mac,
                "switch": host.switch,
                "port": host.port,
                **({"member": members[host.name]} if host.name in members else {}),
            }
            for host in topology.hosts
        ],
        "links": [[one.a, one.a_port, one.b, one.b_port] for one in topology.links] if switches else [],
        "groups": [
            {
                "id": group.id,
                "service": str(group.service) if group.service is not None else None,
                "members": of(group),
            }
            for group in topology.groups
        ],
        "heartbeat_us": 1000 * topology.heartbeat_ms,
        "election_us": 1000 * topology.election_timeout_ms,
    }
