"""Along which switches an AppendEntries to everybody is copied: a tree from the leader to its group's other members.

A switch takes the message from the port by which it would send to the leader, and copies it to members at its own
edge and to the switches that would send to the leader through it. Branches without members are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from controller.network import Group, Host, Link, Member, Network
from controller.routes import Hop, hops_towards


@dataclass(frozen=True)
class Receiver:
    """A member, and the host that it runs on."""

    member: Member
    host: Host


@dataclass(frozen=True)
class Branch:
    """A switch's part of a tree. ``from_port`` lies towards the leader, ``receivers`` hang on the switch's own edge.
    ``onward`` has the next switches, each with the port that leads there."""

    from_port: int
    receivers: tuple[Receiver, ...]
    onward: tuple[tuple[str, int], ...]


@lru_cache(maxsize=1024)
def branches(network: Network, group: Group, leader: int, links: frozenset[Link]) -> dict[str, Branch]:
    """The tree of a group's leader over ``links``, by switch, in the order of the network's file. Members that no
    path reaches are left out. There is no tree where nobody else is reached, or no member has the id ``leader``."""
    root = group.member(leader)
    if root is None:
        return {}
    place = network.host(root.host)
    towards = hops_towards(network, place.switch, links)
    receivers: dict[str, list[Receiver]] = {}
    for member in group.members:
        host = network.host(member.host)
        if member.id != leader and (host.switch == place.switch or host.switch in towards):
            receivers.setdefault(host.switch, []).append(Receiver(member, host))
    on_the_way = _with_all_before(receivers, towards)
    found = {}
    for switch in (one.name for one in network.switches if one.name in on_the_way):
        onward = tuple(
            (after, hop.far_port) for after, hop in towards.items() if hop.switch == switch and after in on_the_way
        )
        from_port = towards[switch].port if switch in towards else place.port
        found[switch] = Branch(from_port, tuple(receivers.get(switch, ())), onward)
    return found


def _with_all_before(switches: Iterable[str], towards: Mapping[str, Hop]) -> set[str]:
    """The switches, and those on their paths to the root."""
    found: set[str] = set()
    for switch in switches:
        found.add(switch)
        while switch in towards:
            switch = towards[switch].switch
            found.add(switch)
    return found
