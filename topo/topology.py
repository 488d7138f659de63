"""What the lab consists of: switches, hosts, links and groups, read from a file of ``topo/topologies``.

The file names things; this module gives each its port, address and id by rules that a person can foresee: the Nth
switch of the list has device id N; on a switch, hosts take the ports from 1 on in the file's order, then links do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from os.path import isfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from controller.network import MAX_GROUPS, MAX_MEMBERS
from hosts.config import DEFAULT_MTU, LEAST_MTU, MIN_HEARTBEATS_PER_ELECTION, Hints, HintsField
from hosts.files.checked_file import Document, FileFault, read_text
from hosts.files.fields import MemberId, Whole, parse_host_address
from hosts.files.strict_yaml import Place
from hosts.raft.config import MAX_ID
from hosts.wire import DEFAULT_PORT
from topo.errors import FileError, UsageError
from topo.paths import shown

FOLDER = Path(__file__).parent / "topologies"
SUFFIX = ".yaml"
PREFIX_LENGTH = 24
"""Prefix length of a host's own network, whose last address is the gateway's."""
MAX_SWITCHES = 64
MAX_PORT = 509
"""The highest port of a switch; 510 is the controller's, 511 drops."""
LONGEST_NAME = 9
LONGEST_INTERFACE = 15
"""Characters that Linux allows for an interface's name (IFNAMSIZ in linux/if.h, less the final NUL)."""
MAX_MTU = 9216
"""Bytes of the largest IPv4 packet on the lab's links: what switches with jumbo frames take."""
RESERVED_NAMES = ("lab", "service")
"""Logs have the names of switches and hosts, and ``lab.log`` is the lab's; ``service``, in commands, is a group's
address."""


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("an IPv4 address is expected")
    return given


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*", text) or len(text) > LONGEST_NAME:
        raise ValueError(
            f"{text!r} is no name: a letter and then letters or digits, in lower case, at most {LONGEST_NAME}"
        )
    if text in RESERVED_NAMES:
        raise ValueError(f"{text!r} means something else to the lab: choose another name")
    return text


Name = Annotated[str, AfterValidator(_name)]
Ip = Annotated[IPv4Address, BeforeValidator(lambda given: IPv4Address(parse_host_address(_text(given))))]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HostFile(_Strict):
    ip: Ip
    switch: Name


class GroupFile(_Strict):
    id: Whole = Field(ge=1, le=0xFFFF)
    service: Ip | None = None
    members: Annotated[
        Annotated[list[Name], Field(min_length=1, max_length=MAX_MEMBERS), Tag("[names]")]
        | Annotated[
            dict[MemberId, Name],
            Field(min_length=1, max_length=MAX_MEMBERS),
            Tag("[by id]"),
        ],
        Discriminator(lambda given: "[by id]" if isinstance(given, dict) else "[names]"),
    ]

    @property
    def hosts(self) -> list[str]:
        return list(self.members.values()) if isinstance(self.members, dict) else self.members


class TopologyFile(_Strict):
    """The fields of a topology file."""

    switches: list[Name] = Field(min_length=1, max_length=MAX_SWITCHES)
    hosts: dict[Name, HostFile] = Field(min_length=1)
    links: list[Annotated[list[Name], Field(min_length=2, max_length=2)]] = Field(default_factory=list)
    groups: list[GroupFile] = Field(min_length=1, max_length=MAX_GROUPS)
    cluster: Whole = Field(default=1, ge=0, lt=2**64)
    port: Whole = Field(default=DEFAULT_PORT, ge=1, le=32767)
    mtu: Whole = Field(default=DEFAULT_MTU, ge=LEAST_MTU, le=MAX_MTU)
    """Of every link, at both its ends."""
    heartbeat_ms: Whole = Field(default=50, ge=10, le=30_000)
    election_timeout_ms: Whole = Field(default=300, ge=60, le=600_000)
    snapshot_entries: Whole | None = Field(default=None, ge=0)
    """What the cluster file of the nodes says; None: the nodes' own default."""
    reads: Literal["quorum", "lease", "log"] = "quorum"
    hints: HintsField = Hints.BOTH
    acknowledgements: Literal["eager", "lazy", "gathered"] = "eager"
    """All three as in a cluster file."""


def interface_of(node: str, port: int) -> str:
    """The name of a host's or switch's interface, as Mininet gives it."""
    return f"{node}-eth{port}"


@dataclass(frozen=True)
class Host:
    """A host and where it hangs. ``port`` is its switch's."""

    name: str
    ip: IPv4Address
    switch: str
    port: int

    @property
    def interface(self) -> str:
        return interface_of(self.name, 0)

    @property
    def switch_interface(self) -> str:
        return interface_of(self.switch, self.port)

    @property
    def network(self) -> IPv4Network:
        return IPv4Interface(f"{self.ip}/{PREFIX_LENGTH}").network

    @property
    def mac(self) -> str:
        third, fourth = self.ip.packed[2:]
        return f"00:00:00:00:{third:02x}:{fourth:02x}"

    @property
    def gateway(self) -> IPv4Address:
        return self.network.broadcast_address - 1

    @property
    def gateway_mac(self) -> str:
        return f"08:00:00:00:{self.ip.packed[2]:02x}:00"


@dataclass(frozen=True)
class Switch:
    name: str
    device_id: int


@dataclass(frozen=True)
class Link:
    """A link between two switches, by name and port."""

    a: str
    a_port: int
    b: str
    b_port: int

    @property
    def a_interface(self) -> str:
        return interface_of(self.a, self.a_port)

    @property
    def b_interface(self) -> str:
        return interface_of(self.b, self.b_port)


@dataclass(frozen=True)
class Group:
    """A Raft group. ``members`` maps member id to host name; ``slot`` is its register slot in the switches."""

    id: int
    slot: int
    service: IPv4Address | None
    members: dict[int, str]


@dataclass(frozen=True)
class Topology:
    """A checked topology with everything numbered."""

    name: str
    switches: tuple[Switch, ...]
    hosts: tuple[Host, ...]
    links: tuple[Link, ...]
    groups: tuple[Group, ...]
    cluster: int
    port: int
    heartbeat_ms: int
    election_timeout_ms: int
    snapshot_entries: int | None = None
    reads: str = "quorum"
    mtu: int = DEFAULT_MTU
    hints: Hints = Hints.BOTH
    acknowledgements: str = "eager"

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Hosts that are a member of some group, in the file's order."""
        named = {host for group in self.groups for host in group.members.values()}
        return tuple(host.name for host in self.hosts if host.name in named)

    @cached_property
    def clients(self) -> tuple[str, ...]:
        """The other hosts."""
        return tuple(host.name for host in self.hosts if host.name not in self.members)

    @cached_property
    def clusters(self) -> tuple[tuple[Group, ...], ...]:
        """Groups that share hosts, and so processes and a cluster file. Members of two clusters may have the same
        id."""
        found: list[list[Group]] = []
        for group in self.groups:
            hosts = set(group.members.values())
            joined = [one for one in found if any(hosts & set(other.members.values()) for other in one)]
            found = [one for one in found if one not in joined] + [[*(g for one in joined for g in one), group]]
        found = [sorted(one, key=lambda group: group.slot) for one in found]
        return tuple(tuple(one) for one in sorted(found, key=lambda one: one[0].slot))

    def cluster_of(self, host: str) -> int:
        """Which of ``clusters`` a host's node belongs to; spares belong to the first."""
        for number, groups in enumerate(self.clusters):
            if any(host in group.members.values() for group in groups):
                return number
        return 0

    def member_id(self, host: str) -> int:
        """The id of ``host``, one for all its groups. Raises UsageError where it is no member."""
        for group in self.groups:
            for number, name in group.members.items():
                if name == host:
                    return number
        self.host(host)
        raise UsageError(f"{host} is no member of the cluster: the members are {', '.join(self.members)}")

    @cached_property
    def spares(self) -> dict[int, str]:
        """The other hosts by the ids that they would have as members: the next ones, as far as there are any."""
        taken = [number for group in self.groups for number in group.members]
        return dict(zip(range(max(taken) + 1, MAX_ID + 1), self.clients, strict=False))

    @property
    def nodes(self) -> tuple[str, ...]:
        """Hosts on which a node may run: members, then spares."""
        return (*self.members, *self.clients)

    def hosts_of(self, group: Group) -> dict[int, str]:
        """By id: the hosts of a group's members, and of spares, which may come to be members."""
        return {**self.spares, **group.members}

    def node_id(self, host: str) -> int:
        """The id of the node on ``host``, member or spare. Raises UsageError where it is no host."""
        spares = {name: number for number, name in self.spares.items()}
        return spares[host] if host in spares else self.member_id(host)

    def host(self, name: str) -> Host:
        """Raises UsageError for a name that is no host."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise UsageError(f"unknown host {name!r}: the hosts are {', '.join(host.name for host in self.hosts)}")

    def switch(self, name: str) -> Switch:
        """Raises UsageError for a name that is no switch."""
        for switch in self.switches:
            if switch.name == name:
                return switch
        raise UsageError(f"unknown switch {name!r}: the switches are {', '.join(s.name for s in self.switches)}")

    def ports(self, switch: str) -> dict[int, str]:
        """Port number to interface name."""
        ports = {host.port: host.switch_interface for host in self.hosts if host.switch == switch}
        for link in self.links:
            if link.a == switch:
                ports[link.a_port] = link.a_interface
            if link.b == switch:
                ports[link.b_port] = link.b_interface
        return dict(sorted(ports.items()))

    def ends(self, a: str, b: str) -> tuple[str, str]:
        """The interfaces of the link between ``a`` and ``b``: a's, then b's. Raises UsageError if there is none."""
        known = {host.name for host in self.hosts} | {switch.name for switch in self.switches}
        for name in (a, b):
            if name not in known:
                raise UsageError(f"unknown host or switch {name!r}: there are {', '.join(sorted(known))}")
        for link in self.links:
            if (link.a, link.b) == (a, b):
                return link.a_interface, link.b_interface
            if (link.a, link.b) == (b, a):
                return link.b_interface, link.a_interface
        for host in self.hosts:
            if (host.name, host.switch) == (a, b):
                return host.interface, host.switch_interface
            if (host.name, host.switch) == (b, a):
                return host.switch_interface, host.interface
        raise UsageError(f"there is no link between {a} and {b}")


def names() -> list[str]:
    """The topologies that come with the lab."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def find(name: str) -> Topology:
    """The topology ``name``: one of names(), or a file. Raises UsageError or FileError."""
    path = FOLDER / f"{name}{SUFFIX}"
    if name in names():
        return read(path)
    if isfile(name):
        return read(Path(name))
    raise UsageError(f"unknown topology {name!r}: choose {', '.join(names())}, or give a file")


def read(path: Path, name: str | None = None) -> Topology:
    """Read and check a topology file, whose own name names the topology unless ``name`` does. Raises FileError."""
    try:
        document = Document.of_yaml(read_text(path, shown(path)), shown(path))
        file = document.check(TopologyFile)
        for check in (_check_names, _check_hosts, _check_links, _check_groups, _check_timing):
            check(file, document)
        topology = _number(name or path.stem, file)
        _check_ids(topology, document)
        _check_ports(topology, document)
    except FileFault as fault:
        raise FileError(str(fault)) from fault
    return topology


def _number(name: str, file: TopologyFile) -> Topology:
    free_port = dict.fromkeys(file.switches, 1)

    def take(switch: str) -> int:
        free_port[switch] += 1
        return free_port[switch] - 1

    # A host is the same member in all its groups: where the file gives no ids, they go by first mention.
    mentions = dict.fromkeys(
        member for group in file.groups if isinstance(group.members, list) for member in group.members
    )
    ids = {member: number for number, member in enumerate(mentions, start=1)}

    return Topology(
        name=name,
        switches=tuple(Switch(switch, number) for number, switch in enumerate(file.switches, start=1)),
        hosts=tuple(Host(name, host.ip, host.switch, take(host.switch)) for name, host in file.hosts.items()),
        links=tuple(Link(a, take(a), b, take(b)) for a, b in file.links),
        groups=tuple(
            Group(
                group.id,
                slot,
                group.service,
                group.members
                if isinstance(group.members, dict)
                else {ids[member]: member for member in group.members},
            )
            for slot, group in enumerate(file.groups)
        ),
        cluster=file.cluster,
        port=file.port,
        heartbeat_ms=file.heartbeat_ms,
        election_timeout_ms=file.election_timeout_ms,
        snapshot_entries=file.snapshot_entries,
        reads=file.reads,
        mtu=file.mtu,
        hints=file.hints,
        acknowledgements=file.acknowledgements,
    )


def _check_names(file: TopologyFile, document: Document) -> None:
    for place, switch in enumerate(file.switches):
        if switch in file.switches[:place]:
            raise document.fault(("switches", place), f"{switch} stands twice")
    for host in file.hosts:
        if host in file.switches:
            raise document.fault(("hosts", host), f"{host} is a switch already")


def _check_hosts(file: TopologyFile, document: Document) -> None:
    owners: dict[IPv4Address, str] = {}
    for name, host in file.hosts.items():
        if host.switch not in file.switches:
            raise document.fault(("hosts", name, "switch"), _unknown("switch", host.switch, file.switches))
        if host.ip in owners:
            raise document.fault(("hosts", name, "ip"), f"{host.ip} is {owners[host.ip]}'s already")
        network = IPv4Interface(f"{host.ip}/{PREFIX_LENGTH}").network
        if host.ip in (network.network_address, network.broadcast_address, network.broadcast_address - 1):
            raise document.fault(("hosts", name, "ip"), f"{host.ip} is {network}'s own, broadcast or gateway address")
        if host.ip.is_loopback:
            raise document.fault(("hosts", name, "ip"), f"{host.ip} is every host's own address: choose another")
        owners[host.ip] = name


def _check_links(file: TopologyFile, document: Document) -> None:
    neighbours: dict[str, set[str]] = {switch: set() for switch in file.switches}
    for place, (a, b) in enumerate(file.links):
        for end, switch in enumerate((a, b)):
            if switch not in file.switches:
                raise document.fault(("links", place, end), _unknown("switch", switch, file.switches))
        if a == b:
            raise document.fault(("links", place), f"a link from {a} to itself")
        if b in neighbours[a]:
            raise document.fault(("links", place), f"{a} and {b} are linked already")
        neighbours[a].add(b)
        neighbours[b].add(a)
    first = file.switches[0]
    reached, frontier = {first}, [first]
    while frontier:
        new = neighbours[frontier.pop()] - reached
        reached |= new
        frontier.extend(new)
    alone = [switch for switch in file.switches if switch not in reached]
    if alone:
        raise document.fault(("links",), f"no way from {first} to {', '.join(alone)}")


def _check_groups(file: TopologyFile, document: Document) -> None:
    owners = {host.ip: f"{name}'s address" for name, host in file.hosts.items()}
    if len({type(group.members) for group in file.groups}) > 1:
        raise document.fault(("groups",), "give the members' ids in all groups, or in none")
    seen: set[int] = set()
    numbers: dict[str, int] = {}
    for place, group in enumerate(file.groups):
        if group.id in seen:
            raise document.fault(("groups", place, "id"), f"group {group.id} stands twice")
        seen.add(group.id)
        keys = list(group.members) if isinstance(group.members, dict) else list(range(len(group.members)))
        for number, (key, member) in enumerate(zip(keys, group.hosts, strict=True)):
            at: Place = ("groups", place, "members", key)
            if member not in file.hosts:
                raise document.fault(at, _unknown("host", member, list(file.hosts)))
            if member in group.hosts[:number]:
                raise document.fault(at, f"{member} stands twice")
            if isinstance(group.members, dict) and numbers.setdefault(member, key) != key:
                raise document.fault(
                    at, f"{member} is member {numbers[member]} of another group: it must be here too"
                )
        if group.service is not None:
            if group.service.is_loopback:
                raise document.fault(
                    ("groups", place, "service"), f"{group.service} never leaves a host: choose another"
                )
            if group.service in owners:
                raise document.fault(
                    ("groups", place, "service"), f"{group.service} is {owners[group.service]} already"
                )
            owners[group.service] = f"group {group.id}'s service address"


def _check_ids(topology: Topology, document: Document) -> None:
    """Groups that share hosts share a cluster file, in which an id is one host's."""
    for groups in topology.clusters:
        owners: dict[int, str] = {}
        for group in groups:
            for member, host in group.members.items():
                place: Place = ("groups", group.slot, "members")
                if member > MAX_ID:
                    raise document.fault(place, f"{host} would be member {member}, and ids end at {MAX_ID}: give ids")
                if owners.setdefault(member, host) != host:
                    told = f"{member} is {owners[member]} in another group of the same hosts: give {host} its own id"
                    raise document.fault((*place, member), told)


def _check_ports(topology: Topology, document: Document) -> None:
    """What Linux and the switches allow, so that Mininet does not fail half way."""
    ports: list[tuple[Place, str, int]] = [
        (("hosts", host.name, "switch"), host.switch, host.port) for host in topology.hosts
    ]
    for number, link in enumerate(topology.links):
        ports += [(("links", number, 0), link.a, link.a_port), (("links", number, 1), link.b, link.b_port)]
    for place, switch, port in ports:
        if port > MAX_PORT:
            raise document.fault(place, f"{switch} has ports 1 to {MAX_PORT}, and this would be port {port}")
        name = interface_of(switch, port)
        if len(name) > LONGEST_INTERFACE:
            raise document.fault(
                place,
                f"the interface would be called {name}, of {len(name)} characters where Linux allows "
                f"{LONGEST_INTERFACE}: give switch {switch} a shorter name",
            )


def _check_timing(file: TopologyFile, document: Document) -> None:
    least = MIN_HEARTBEATS_PER_ELECTION * file.heartbeat_ms
    if file.election_timeout_ms < least:
        raise document.fault(
            ("election_timeout_ms",),
            f"{file.election_timeout_ms} ms is less than six heartbeats ({least} ms), too little for the term filter",
        )


def _unknown(kind: Literal["switch", "host"], name: str, known: list[str]) -> str:
    return f"unknown {kind} {name!r} (there are {', '.join(known)})"
