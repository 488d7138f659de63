"""Shortest paths over the links that work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import networkx as nx

from controller.network import Host, Link, Network

_GATEWAY_MAC = 0x0800_0000_0000


@dataclass(frozen=True)
class Route:
    """How a switch sends a host's packets on: out of ``port``, with this destination MAC."""

    host: Host
    port: int
    mac: int


@lru_cache(maxsize=256)
def routes(network: Network, switch: str, links: frozenset[Link]) -> tuple[Route, ...]:
    """The switch's route to every host, in the file's order, over ``links``.

    A host that no path over ``links`` reaches keeps the route that it has when every link works: nothing is lost by
    that, and the first packet after the repair gets through. No loop comes of it: a switch that is cut off from the
    host's switch follows the full topology's distances, which fall at every hop.
    """
    working = _graph(network, links)
    whole = _graph(network, network.links)
    found = []
    for host in network.hosts:
        if host.switch == switch:
            found.append(Route(host, host.port, int(host.mac.replace(":", ""), 16)))
            continue
        for graph in (working, whole):
            hop = _next_hop(network, graph, switch, host.switch)
            if hop is not None:
                found.append(Route(host, hop[1], _GATEWAY_MAC | network.switch(hop[0]).device_id << 8))
                break
    return tuple(found)


def _graph(network: Network, links: Iterable[Link]) -> nx.Graph[str]:
    """Switches and working links. Of parallel links, the first in the file that works is used."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(switch.name for switch in network.switches)
    usable = frozenset(links)
    for link in network.links:
        if link in usable and not graph.has_edge(link.a, link.b):
            graph.add_edge(link.a, link.b, ports=dict(link.ends))
    return graph


def _next_hop(network: Network, graph: nx.Graph[str], switch: str, target: str) -> tuple[str, int] | None:
    """(next switch, own port) on a shortest path; of several, by the order of switches in the file."""
    distance = nx.single_source_shortest_path_length(graph, target)
    if switch not in distance:
        return None
    for candidate in network.switches:
        name = candidate.name
        if graph.has_edge(switch, name) and distance[name] == distance[switch] - 1:
            return name, graph.edges[switch, name]["ports"][switch]
    return None
