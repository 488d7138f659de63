"""From which host a client speaks, and to which address."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from hosts.files.fields import parse_port
from topo.errors import LabError, UsageError
from topo.lab import namespace
from topo.lab.running_lab import Live
from topo.root import check_root
from topo.topology import Group, Topology

Address = tuple[str, int]


@dataclass(frozen=True)
class Destination:
    """``servers``: whom to ask, in turn. ``source``: the client's own address, or None for any. ``names``: address
    to host name."""

    servers: tuple[Address, ...]
    group: int
    source: str | None = None
    names: dict[str, str] | None = None

    def name(self, address: str) -> str:
        return (self.names or {}).get(address, address)


def choose(origin: str | None, target: str | None, cluster: Path | None, group: int | None = None) -> Destination:
    """The way from host ``origin`` to ``target`` (a host, "service", or an address) for a group: if none is named,
    the first that the target is part of. In a lab this process moves into the origin's namespace; with ``cluster``, a
    cluster.yaml, it stays where it is. Raises LabError."""
    if cluster is not None:
        if origin is not None:
            raise UsageError("--from is for hosts of a lab; with --cluster the client is this machine")
        return _in_cluster(cluster, target, group)
    live = Live.find()
    here = _host_of_this_namespace(live)
    if origin is not None:
        origin = _host_by_name_or_address(live, origin)
    elif here is not None:
        origin = here
    else:
        origin = (live.topology.clients or live.topology.members)[0]
    asked = _group(live.topology, target, group)
    servers = _servers(live, target, asked)
    if origin != here:
        check_root("speaking from a lab host")
        namespace.enter(live.holder(origin))
    names = {str(host.ip): host.name for host in live.topology.hosts}
    return Destination(servers, asked.id, str(live.topology.host(origin).ip), names)


def _group(topology: Topology, target: str | None, wanted: int | None) -> Group:
    if wanted is not None:
        for group in topology.groups:
            if group.id == wanted:
                return group
        known = ", ".join(str(group.id) for group in topology.groups)
        raise UsageError(f"there is no group {wanted}; there are {known}")
    for group in topology.groups:
        hosts = [topology.host(name) for name in group.members.values()]
        if target in {str(group.service), *(host.name for host in hosts), *(str(host.ip) for host in hosts)}:
            return group
    return topology.groups[0]


def _servers(live: Live, target: str | None, group: Group) -> tuple[Address, ...]:
    topology = live.topology
    if target is None:
        target = "service" if group.service is not None else group.members[min(group.members)]
    if target == "service":
        if group.service is None:
            raise UsageError(f"group {group.id} has no service address in this topology")
        return ((str(group.service), topology.port),)
    address = _address(target)
    if address is not None:
        return ((address[0], address[1] or topology.port),)
    if target not in topology.members:
        topology.host(target)
        raise UsageError(f"{target} runs no node: the members are {', '.join(topology.members)}")
    return ((str(topology.host(target).ip), topology.port),)


def _in_cluster(file: Path, target: str | None, wanted: int | None) -> Destination:
    from hosts.config import ConfigError, load

    try:
        cluster = load(file)
    except ConfigError as error:
        raise LabError(str(error)) from error
    try:
        group = cluster.groups[0] if wanted is None else cluster.group(wanted)
    except KeyError:
        known = ", ".join(str(group.id) for group in cluster.groups)
        raise UsageError(f"{file} has no group {wanted}; it has {known}") from None
    names = {address[0]: cluster.name_of(member) for member, address in group.members.items()}
    if len(names) < len(group.members):  # members that differ by port only
        names = {}
    servers: tuple[Address, ...] = tuple(group.members.values())
    if target is not None:
        address = _address(target)
        if target == "service" and group.service is not None:
            servers = ((group.service, cluster.port),)
        elif address is not None:
            servers = ((address[0], address[1] or cluster.port),)
        else:
            try:
                servers = (group.members[cluster.member_named(target)],)
            except (ConfigError, KeyError) as error:
                raise UsageError(str(error)) from error
    return Destination(servers, group.id, None, names)


def _address(text: str) -> tuple[str, int | None] | None:
    """(address, port or None) of ``A.B.C.D`` or ``A.B.C.D:PORT``; None for anything else."""
    ip, colon, port = text.partition(":")
    try:
        IPv4Address(ip)
    except (AddressValueError, ValueError):
        return None
    if not colon:
        return ip, None
    try:
        return ip, parse_port(port)
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from None


def _host_by_name_or_address(live: Live, text: str) -> str:
    """At Mininet's prompt host names in a command have become addresses."""
    for host in live.topology.hosts:
        if str(host.ip) == text:
            return host.name
    return live.topology.host(text).name


def _host_of_this_namespace(live: Live) -> str | None:
    """The host whose namespace this process is in already, as at Mininet's prompt."""
    own = _namespace_of("thread-self")
    for name, holder in live.record.hosts.items():
        if own is not None and holder.alive and _namespace_of(holder.pid) == own:
            return name
    return None


def _namespace_of(process: int | str) -> str | None:
    try:
        return os.readlink(f"/proc/{process}/ns/net")
    except OSError:
        return None
