"""What the controller is told about the network: switches, hosts, links, Raft groups, and the program to install.

A file in JSON or YAML is read into frozen dataclasses. ``load`` raises NetworkError with one line that names the file
and the field.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, ConfigDict, Field

from controller.limits import MOST_PER_SECOND
from hosts.files.checked_file import Document, FileFault, read_text
from hosts.files.fields import HostAddress, Port, Whole, parse_port
from hosts.files.strict_yaml import Place
from hosts.raft.config import MAX_ID
from hosts.wire import DEFAULT_PORT

MAX_GROUPS = 64
"""Register slots of the P4 program."""

MAX_MEMBERS = 9
DEFAULT_CPU_PORT = 510
LONGEST_SOCKET_NAME = 80
"""Bytes of the last part of a socket's path. A socket's address holds 107 (unix(7)): the rest of a long path goes
through a descriptor of its folder, as /proc/self/fd/N/NAME."""
FEATURES = (
    "member_guard",
    "leader_watch",
    "term_filter",
    "client_limit",
    "read_route",
    "leader_route",
    "configuration",
    "append_fanout",
    "leader_gone",
    "ack_gather",
)
"""What switches do for Raft beyond forwarding; each can be left out, and taken away at run time. What each fills in
which tables is in ``controller.desired``."""

ON_REQUEST = frozenset({"read_route", "ack_gather"})
"""Those that are off unless a file names them, or somebody turns them on: they change who serves clients, or what
leaders are told."""

BY_DEFAULT = tuple(name for name in FEATURES if name not in ON_REQUEST)


class NetworkError(ValueError):
    """A network file that cannot be used; its text names the file and the field."""


def _mac(text: str) -> str:
    if not re.fullmatch(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", text):
        raise ValueError(f"{text!r} is not a MAC address like 00:00:00:00:01:01")
    if int(text[:2], 16) & 1:
        raise ValueError(f"{text!r} is no host's MAC address, but one of many")
    return text.lower()


def _endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError(f"{text!r} is not an address like 127.0.0.1:9559")
    parse_port(port)
    return text


def _feature(text: str) -> str:
    if text not in FEATURES:
        raise ValueError(f"{text!r} is none of {', '.join(FEATURES)}")
    return text


def _socket_path(text: str) -> str:
    length = len(os.fsencode(Path(text).name))
    if not 0 < length <= LONGEST_SOCKET_NAME:
        raise ValueError(
            f"{text!r} must end in the name of a file, of at most {LONGEST_SOCKET_NAME} bytes, to be a socket's path"
        )
    return text


Name = Annotated[str, Field(min_length=1)]
Mac = Annotated[str, AfterValidator(_mac)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Feature = Annotated[str, AfterValidator(_feature)]
SwitchPort = Annotated[Whole, Field(ge=0, le=509)]
"""510 and 511 are the controller's port and the drop port."""

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Switch:
    """A switch; ``grpc`` is where its P4Runtime server listens."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Name
    device_id: Annotated[Whole, Field(ge=0, le=65535)]
    grpc: Endpoint


@dataclass(frozen=True)
class Host:
    """A host, and the edge port that it hangs on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Name
    ip: HostAddress
    mac: Mac
    switch: Name
    port: SwitchPort


@dataclass(frozen=True)
class Link:
    """A link between two switches."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    a: Name
    a_port: SwitchPort
    b: Name
    b_port: SwitchPort

    def __str__(self) -> str:
        return f"{self.a}-{self.b}"

    @property
    def ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """(switch, port) of both ends."""
        return (self.a, self.a_port), (self.b, self.b_port)


@dataclass(frozen=True)
class Member:
    """A member of a Raft group: its id there, and the host that it runs on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: Annotated[Whole, Field(ge=1, le=MAX_ID)]
    host: Name
    votes: bool = True


@dataclass(frozen=True)
class Group:
    """A Raft group. ``slot``: its place in the switches' registers; ``service``: an address only switches know."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: Annotated[Whole, Field(ge=0, le=65535)]
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    slot: Annotated[Whole, Field(ge=0, lt=MAX_GROUPS)]
    service: HostAddress | None = None
    port: Port = DEFAULT_PORT

    @property
    def quorum(self) -> int:
        """Members that make a majority of those who vote."""
        return sum(member.votes for member in self.members) // 2 + 1

    def member(self, member_id: int) -> Member | None:
        """The member with this id, or None."""
        return next((member for member in self.members if member.id == member_id), None)


@dataclass(frozen=True)
class Limit:
    """How many requests a second may enter at a host's port."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    host: Name
    per_second: Annotated[Whole, Field(ge=1, le=MOST_PER_SECOND)]


@dataclass(frozen=True)
class Pipeline:
    """The compiled P4 program: BMv2 JSON and P4Info, relative to the working directory."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    json: Name
    p4info: Name


@dataclass(frozen=True)
class Network:
    """The whole. ``filter_window_ms``: how long a switch lets the last heard leader shadow lower terms."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    switches: Annotated[tuple[Switch, ...], Field(min_length=1)]
    hosts: tuple[Host, ...]
    links: tuple[Link, ...]
    groups: Annotated[tuple[Group, ...], Field(max_length=MAX_GROUPS)]
    pipeline: Pipeline
    cpu_port: Annotated[Whole, Field(ge=1, le=DEFAULT_CPU_PORT)] = DEFAULT_CPU_PORT
    filter_window_ms: Annotated[Whole, Field(ge=1, le=60_000)] = 100
    control_socket: Annotated[str, AfterValidator(_socket_path)] = "build/lab/controller.sock"
    features: tuple[Feature, ...] = field(default=BY_DEFAULT)
    limits: tuple[Limit, ...] = ()

    def switch(self, name: str) -> Switch:
        """The switch of this name. Raises KeyError."""
        return _named(self.switches, name)

    def host(self, name: str) -> Host:
        """The host of this name. Raises KeyError."""
        return _named(self.hosts, name)

    def group(self, group_id: int) -> Group | None:
        """The group with this id, or None."""
        return next((group for group in self.groups if group.id == group_id), None)

    def trunks(self, switch: str) -> tuple[int, ...]:
        """The switch's ports that lead to other switches, in ascending order."""
        return tuple(sorted(port for link in self.links for name, port in link.ends if name == switch))


_Named = TypeVar("_Named", Switch, Host)


def _named(items: Iterable[_Named], name: str) -> _Named:
    for item in items:
        if item.name == name:
            return item
    raise KeyError(name)


def load(path: str | Path) -> Network:
    """Read a network file; .yaml and .yml are YAML, everything else JSON. Raises NetworkError."""
    try:
        text = read_text(path)
        is_yaml = Path(path).suffix in (".yaml", ".yml")
        return _checked(Document.of_yaml(text, str(path)) if is_yaml else Document.of_json(text, str(path)))
    except FileFault as fault:
        raise NetworkError(str(fault)) from None


def parse(data: object, source: str = "network") -> Network:
    """Check what a file held. Raises NetworkError; ``source`` begins its text."""
    try:
        return _checked(Document(source, data))
    except FileFault as fault:
        raise NetworkError(str(fault)) from None


def _checked(document: Document) -> Network:
    network = document.check(Network)
    for place, problem in _problems(network):
        raise document.fault(place, problem)
    return network


def _problems(network: Network) -> Iterator[tuple[Place, str]]:
    """What single fields cannot show: names that mean nothing, and things that are there twice."""
    switches = {switch.name for switch in network.switches}
    hosts = {host.name for host in network.hosts}
    yield from _twice(("switches",), "name", [switch.name for switch in network.switches])
    yield from _twice(("switches",), "device_id", [switch.device_id for switch in network.switches])
    yield from _twice(("switches",), "grpc", [switch.grpc for switch in network.switches])
    yield from _twice(("hosts",), "name", [host.name for host in network.hosts])
    yield from _twice(("hosts",), "ip", [host.ip for host in network.hosts])
    yield from _twice(("groups",), "id", [group.id for group in network.groups])
    yield from _twice(("groups",), "slot", [group.slot for group in network.groups])
    yield from _twice(("groups",), "service", [group.service for group in network.groups])
    yield from _twice(("limits",), "host", [limit.host for limit in network.limits])
    for i, limit in enumerate(network.limits):
        if limit.host not in hosts:
            yield ("limits", i, "host"), f"no host is called {limit.host!r}"
    taken: dict[tuple[str, int], str] = {}
    ends: list[tuple[Place, str, str, str, int]] = [
        (("hosts", i), "switch", "port", host.switch, host.port) for i, host in enumerate(network.hosts)
    ]
    for i, link in enumerate(network.links):
        ends.append((("links", i), "a", "a_port", link.a, link.a_port))
        ends.append((("links", i), "b", "b_port", link.b, link.b_port))
    for place, switch_field, port_field, switch, port in ends:
        if switch not in switches:
            yield (*place, switch_field), f"no switch is called {switch!r}"
        if (switch, port) in taken:
            yield (*place, port_field), f"port {port} of {switch} is already used by {taken[switch, port]}"
        taken[switch, port] = ".".join(map(str, place))
    yield from _group_problems(network, hosts)


def _group_problems(network: Network, hosts: set[str]) -> Iterator[tuple[Place, str]]:
    addresses = {host.ip for host in network.hosts}
    for i, group in enumerate(network.groups):
        members: Place = ("groups", i, "members")
        yield from _twice(members, "id", [member.id for member in group.members])
        yield from _twice(members, "host", [member.host for member in group.members])
        for j, member in enumerate(group.members):
            if member.host not in hosts:
                yield (*members, j, "host"), f"no host is called {member.host!r}"
        if group.service in addresses:
            yield ("groups", i, "service"), f"{group.service} is a host's address; a service needs one of its own"


def _twice(place: Place, name: str, values: list[Any]) -> Iterator[tuple[Place, str]]:
    seen = set()
    for i, value in enumerate(values):
        if value is not None and value in seen:
            yield (*place, i, name), f"{value!r} is there twice"
        seen.add(value)
