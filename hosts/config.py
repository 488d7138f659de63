"""``cluster.yaml``: who the members are and how they keep time. All nodes and clients read the same file.

Mistakes are reported with file, line and field, and with what to do about them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hosts.files.checked_file import Document, FileFault, UnreadableFile, read_text
from hosts.files.fields import Address as Address
from hosts.files.fields import HostAddress, MemberAddress, MemberId, Port, Whole, parse_member_address
from hosts.files.fields import parse_address as parse_address
from hosts.wire import DEFAULT_PORT

TICK_MS = 10
"""One tick of the core. Heartbeats and election timeouts are rounded up to ticks."""

MIN_HEARTBEATS_PER_ELECTION = 6
"""A switch may mute an outdated leader for two heartbeats, and a busy machine delays some more."""

DEFAULT_SNAPSHOT_ENTRIES = 25_000
DEFAULT_SNAPSHOT_MIB = 64
DEFAULT_MTU = 1500
LEAST_MTU = 1460
"""Bytes of the IP packet that holds a datagram of 1,400 bytes and a seal: so much every path must take."""


class ConfigError(ValueError):
    """A cluster file that cannot be used; one line that names file, line and field."""


@dataclass(frozen=True)
class Group:
    """One Raft group. ``service`` is an address that only switches know; ``members`` maps ids to addresses:
    those of the group's birth, from which the log goes on. ``spares`` may be added later."""

    id: int
    service: str | None
    members: Mapping[int, Address]
    spares: Mapping[int, Address] = field(default_factory=dict)


class Reads(Enum):
    """How a leader makes sure that it still leads before it answers a read (thesis, section 6.4)."""

    QUORUM = "quorum"
    """By a round of heartbeats that a majority answers."""
    LEASE = "lease"
    """By such a round not long ago: while clocks run at almost one speed, nobody else can lead yet."""
    LOG = "log"
    """By an entry in the log, as for a write."""


class Acknowledgements(Enum):
    """When members acknowledge entries that they hold durably."""

    EAGER = "eager"
    """At once."""
    LAZY = "lazy"
    """The fastest that a quorum needs at once, the others some milliseconds later, several with one message."""
    GATHERED = "gathered"
    """At once; the leader's switch keeps what no quorum needs, and brings it along with what one does."""


class Network(Enum):
    """What lies between the members."""

    PLAIN = "plain"
    """Any network that carries datagrams."""
    P4 = "p4"
    """Switches that run raft.p4."""


class Hints(Enum):
    """Whose word that a leader has ended makes members wait for less than the election timeout; as in the files."""

    NONE = False
    BOTH = True
    HOSTS = "hosts"
    """That of the leader's host, by ICMP."""
    NETWORK = "network"
    """That of the network's controller."""

    @property
    def from_hosts(self) -> bool:
        """Whether what hosts answer counts."""
        return self in (Hints.BOTH, Hints.HOSTS)

    @property
    def from_network(self) -> bool:
        """Whether what the controller says counts."""
        return self in (Hints.BOTH, Hints.NETWORK)


def parse_hints(value: object) -> Hints:
    """What a file says. Raises ValueError."""
    if isinstance(value, Hints):
        return value
    for one in Hints:
        # No 0 or 1, which are equal to truth values.
        if type(value) is type(one.value) and value == one.value:
            return one
    raise ValueError(f"{value!r} is none of true, false, hosts, network")


HintsField = Annotated[Hints, BeforeValidator(parse_hints)]


@dataclass(frozen=True)
class Cluster:
    """What a cluster file says. Times are in milliseconds."""

    id: int
    port: int
    heartbeat_ms: int
    election_timeout_ms: int
    """The minimum; timeouts are drawn from one to one and a half times this."""
    data: Path
    reassembly_mib: int
    """Memory for messages of members that have come in part; as much again for those of clients, and at most half of
    it for one client's. A fragment costs more than its bytes: count 2.4 times the largest value."""
    groups: tuple[Group, ...]
    names: Mapping[int, str]
    key_file: Path | None = None
    """Holds the key that members prove themselves with to each other; clients need none."""
    snapshot_entries: int = DEFAULT_SNAPSHOT_ENTRIES
    """A snapshot is due after so many log entries; 0: however many there are."""
    snapshot_mib: int = DEFAULT_SNAPSHOT_MIB
    """A snapshot is due after so many MiB of log entries; 0: however many. With both 0 there are no snapshots."""
    reads: Reads = Reads.QUORUM
    """What makes a read linearizable."""
    mtu: int = DEFAULT_MTU
    """Bytes of the largest IP packet that nodes try to send. On loopback it is 65,535, whatever stands here."""
    hints: Hints = Hints.BOTH
    """On whose word of a leader's end followers wait for less than the election timeout."""
    acknowledgements: Acknowledgements = Acknowledgements.EAGER
    """What leaders ask of members; each leader goes by its own file."""
    network: Network = Network.PLAIN
    """Whether switches that run raft.p4 lie between the members: then leaders try to have the network copy what goes
    to everybody, in groups with a service address."""

    @property
    def takes_hints(self) -> bool:
        """Whether members take CampaignHints: only behind switches that let in nobody's but their controller's."""
        return self.hints.from_network and self.network is Network.P4

    @property
    def gathers(self) -> bool:
        """Whether leaders let the network gather acknowledgements: without a key they believe of such ones only what
        comes through switches that let in none but their members'."""
        trusted = self.network is Network.P4 or self.key_file is not None
        return self.acknowledgements is Acknowledgements.GATHERED and trusted

    @property
    def listens_for_ends(self) -> bool:
        """Whether anybody's word of a leader's end counts, so that followers ask after a silent one."""
        return self.hints.from_hosts or self.takes_hints

    @property
    def member_ids(self) -> list[int]:
        """The ids of the members of all groups, rising."""
        return sorted({member for group in self.groups for member in group.members})

    @property
    def node_ids(self) -> list[int]:
        """The ids of members and spares, rising."""
        return sorted({node for group in self.groups for node in (*group.members, *group.spares)})

    def address_of(self, member: int) -> Address:
        """A member's or spare's IPv4 address and UDP port. KeyError for an unknown one."""
        for group in self.groups:
            for known in (group.members, group.spares):
                if member in known:
                    return known[member]
        raise KeyError(member)

    def group(self, group: int) -> Group:
        """A group by id. KeyError for an unknown one."""
        for candidate in self.groups:
            if candidate.id == group:
                return candidate
        raise KeyError(group)

    def copying_service(self, group: Group) -> Address | None:
        """Where the network takes what it is to copy to all members of a group; None if it copies nothing."""
        if self.network is not Network.P4 or group.service is None:
            return None
        return group.service, self.port

    def groups_of(self, member: int) -> list[Group]:
        """The groups that a member belongs to, or may come to."""
        return [group for group in self.groups if member in group.members or member in group.spares]

    def name_of(self, member: int) -> str:
        """The member's name, which is also its data folder's: from ``names``, else ``node<id>``."""
        return self.names.get(member, f"node{member}")

    def member_named(self, text: str) -> int:
        """A member by name or id. Raises ConfigError that lists those there are."""
        for member in self.member_ids:
            if text in (self.name_of(member), str(member)):
                return member
        known = ", ".join(f"{self.name_of(member)} ({member})" for member in self.member_ids)
        raise ConfigError(f"there is no member {text!r}; the cluster has {known}")

    def folder_of(self, member: int) -> Path:
        """Where the member keeps its data; a relative path counts from the working directory."""
        return self.data / self.name_of(member)


def _node_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) or name in (".", ".."):
        raise ValueError(f"{name!r} must be 1 to 64 letters, digits, '_', '.' and '-': it names a folder")
    return name


Members = dict[MemberId, MemberAddress]
NonEmpty = Annotated[str, Field(min_length=1)]


class _GroupFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[Whole, Field(ge=0, le=0xFFFF)]
    service: HostAddress | None = None
    members: Annotated[Members, Field(min_length=1)]
    spares: Members = {}


class _ClusterFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cluster: Annotated[Whole, Field(ge=0, lt=2**64)] = 1
    port: Port = DEFAULT_PORT
    heartbeat_ms: Annotated[Whole, Field(ge=TICK_MS, le=60_000)] = 50
    election_timeout_ms: Annotated[Whole, Field(le=600_000)] = 300
    data: NonEmpty = "build/nodes"
    reassembly_mib: Annotated[Whole, Field(ge=16, le=65_536)] = 192
    groups: Annotated[list[_GroupFile], Field(min_length=1)]
    names: dict[MemberId, Annotated[str, AfterValidator(_node_name)]] = {}
    key_file: NonEmpty | None = None
    snapshot_entries: Annotated[Whole, Field(ge=0)] = DEFAULT_SNAPSHOT_ENTRIES
    snapshot_mib: Annotated[Whole, Field(ge=0, le=65_536)] = DEFAULT_SNAPSHOT_MIB
    reads: Literal["quorum", "lease", "log"] = "quorum"
    mtu: Annotated[Whole, Field(ge=LEAST_MTU, le=65_535)] = DEFAULT_MTU
    hints: HintsField = Hints.BOTH
    acknowledgements: Literal["eager", "lazy", "gathered"] = "eager"
    network: Literal["plain", "p4"] = "plain"

    def cluster_of(self, folder: Path) -> Cluster:
        groups = tuple(
            Group(
                group.id,
                group.service,
                {member: parse_member_address(text, self.port) for member, text in group.members.items()},
                {member: parse_member_address(text, self.port) for member, text in group.spares.items()},
            )
            for group in self.groups
        )
        return Cluster(
            id=self.cluster,
            port=self.port,
            heartbeat_ms=self.heartbeat_ms,
            election_timeout_ms=self.election_timeout_ms,
            data=Path(self.data),
            reassembly_mib=self.reassembly_mib,
            groups=groups,
            names=self.names,
            key_file=None if self.key_file is None else folder / self.key_file,
            snapshot_entries=self.snapshot_entries,
            snapshot_mib=self.snapshot_mib,
            reads=Reads(self.reads),
            mtu=self.mtu,
            hints=self.hints,
            acknowledgements=Acknowledgements(self.acknowledgements),
            network=Network(self.network),
        )


@dataclass(frozen=True)
class Loaded:
    """A cluster file and what is doubtful about it without being wrong."""

    cluster: Cluster
    warnings: tuple[str, ...]


def load(path: str | Path) -> Cluster:
    """Read a cluster file. Raises ConfigError."""
    return load_with_warnings(path).cluster


def load_with_warnings(path: str | Path) -> Loaded:
    """Read a cluster file. Raises ConfigError."""
    try:
        text = read_text(path)
    except UnreadableFile as fault:
        raise ConfigError(f"{fault}; name a cluster file with --config") from fault
    return parse(text, str(path))


def parse(text: str, source: str = "cluster.yaml") -> Loaded:
    """Read a cluster file's text. ``source`` names it in errors. Raises ConfigError."""
    try:
        document = Document.of_yaml(text, source)
        file = document.check(_ClusterFile)
        for check in (_check_timing, _check_members, _check_services, _check_names, _check_gathering):
            check(file, document)
    except FileFault as fault:
        raise ConfigError(str(fault)) from fault
    cluster = file.cluster_of(Path(source).parent)
    return Loaded(cluster, tuple(f"{source}: {warning}" for warning in _doubts(cluster)))


def _check_timing(file: _ClusterFile, document: Document) -> None:
    least = MIN_HEARTBEATS_PER_ELECTION * file.heartbeat_ms
    if file.election_timeout_ms < least:
        raise document.fault(
            ("election_timeout_ms",),
            f"{file.election_timeout_ms} is less than {MIN_HEARTBEATS_PER_ELECTION} heartbeats of "
            f"{file.heartbeat_ms} ms; use {least} or more",
        )


def _check_members(file: _ClusterFile, document: Document) -> None:
    seen: set[int] = set()
    owner: dict[Address, int] = {}
    address: dict[int, Address] = {}
    for number, group in enumerate(file.groups):
        if group.id in seen:
            raise document.fault(("groups", number, "id"), f"group {group.id} is there twice")
        seen.add(group.id)
        both = sorted(set(group.members) & set(group.spares))
        if both:
            raise document.fault(("groups", number, "spares", both[0]), f"{both[0]} is a member already")
        named = [("members", *item) for item in group.members.items()]
        named += [("spares", *item) for item in group.spares.items()]
        for part, member, text in named:
            place = ("groups", number, part, member)
            own = parse_member_address(text, file.port)
            if owner.setdefault(own, member) != member:
                raise document.fault(place, f"{own[0]}:{own[1]} is member {owner[own]}'s address already")
            if address.setdefault(member, own) != own:
                raise document.fault(place, f"member {member} has another address in another group")


def _check_services(file: _ClusterFile, document: Document) -> None:
    """Switches turn a service address into a member's: no member and no second group can have it."""
    taken: dict[str, str] = {}
    for group in file.groups:
        for member, text in (*group.members.items(), *group.spares.items()):
            taken[parse_member_address(text, file.port)[0]] = f"member {member}'s address"
    for number, group in enumerate(file.groups):
        if group.service is None:
            continue
        if group.service in taken:
            raise document.fault(("groups", number, "service"), f"{group.service} is {taken[group.service]} already")
        taken[group.service] = f"group {group.id}'s service"


def _check_names(file: _ClusterFile, document: Document) -> None:
    """A node is asked for by name or by id, and keeps its data in a folder of its name."""
    ids = {member for group in file.groups for member in (*group.members, *group.spares)}
    owner = {f"node{member}": member for member in ids - set(file.names)}
    owner |= {str(member): member for member in ids}
    for member, name in file.names.items():
        if owner.setdefault(name, member) != member:
            raise document.fault(("names", member), f"{name!r} is member {owner[name]}'s name or id already")


def _check_gathering(file: _ClusterFile, document: Document) -> None:
    """What a packet says of others than its sender is believed by the key, or for the switches that let it in."""
    if file.acknowledgements == "gathered" and file.network == "plain" and file.key_file is None:
        raise document.fault(
            ("acknowledgements",),
            "gathered is for switches that run raft.p4 (network: p4), or for members with a key (key_file)",
        )


def _doubts(cluster: Cluster) -> Iterator[str]:
    """Copies that are wanted without an address for them, and ports that the kernel may give to another socket."""
    if cluster.network is Network.P4 and all(group.service is None for group in cluster.groups):
        yield "network: p4 is of no use: switches copy what goes to a group's 'service', and no group has one"
    try:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        return
    ports = {cluster.address_of(member)[1] for member in cluster.member_ids}
    for port in sorted(ports):
        if low <= port <= high:
            yield (
                f"port {port} lies in the kernel's ephemeral range {low}-{high}: another program may hold it "
                f"when a node starts; a port below {low} is safe"
            )
