"""Shortest paths over the links that work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import networkx as nx

from controller.network import Host, Link, Network

_GATEWAY_MAC = 0x0800_0000_0000


@dataclass(frozen=True)
class Hop:
    """The next switch on a path, the own port that leads there, and its port at the link's other end."""

    switch: str
    port: int
    far_port: int


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
            found.append(Route(host, host.port, host_mac(host)))
            continue
        for graph in (working, whole):
            hop = _next_hop(network, graph, switch, host.switch)
            if hop is not None:
                found.append(Route(host, hop.port, gateway_mac(network, hop.switch)))
                break
    return tuple(found)


@lru_cache(maxsize=256)
def hops_towards(network: Network, target: str, links: frozenset[Link]) -> dict[str, Hop]:
    """The next hop towards the switch ``target`` from every other switch that has a path there over ``links``, as
    routes take it. Distances fall at every hop, so the hops make a tree whose root is ``target``."""
    graph = _graph(network, links)
    hops = ((switch.name, _next_hop(network, graph, switch.name, target)) for switch in network.switches)
    return {name: hop for name, hop in hops if hop is not None}


def gateway_mac(network: Network, switch: str) -> int:
    """The MAC address that packets for a switch are sent to."""
    return _GATEWAY_MAC | network.switch(switch).device_id << 8


def host_mac(host: Host) -> int:
    """A host's MAC address as a number."""
    return int(host.mac.replace(":", ""), 16)


def _graph(network: Network, links: Iterable[Link]) -> nx.Graph[str]:
    """Switches and working links. Of parallel links, the first in the file that works is used."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(switch.name for switch in network.switches)
    usable = frozenset(links)
    for link in network.links:
        if link in usable and not graph.has_edge(link.a, link.b):
            graph.add_edge(link.a, link.b, ports=dict(link.ends))
    return graph


def _next_hop(network: Network, graph: nx.Graph[str], switch: str, target: str) -> Hop | None:
    """The next hop on a shortest path; of several, by the order of switches in the file."""
    distance = nx.single_source_shortest_path_length(graph, target)
    if switch not in distance:
        return None
    for candidate in network.switches:
        name = candidate.name
        if graph.has_edge(switch, name) and distance[name] == distance[switch] - 1:
            ports = graph.edges[switch, name]["ports"]
            return Hop(name, ports[switch], ports[name])
    return None
