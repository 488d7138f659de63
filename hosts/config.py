"""``cluster.yaml``: who the members are and how they keep time. All nodes and clients read the same file.

Mistakes are reported with file, line and field, and with what to do about them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hosts.raft.config import MAX_ID
from hosts.wire import DEFAULT_PORT

TICK_MS = 10
"""One tick of the core. Heartbeats and election timeouts are rounded up to ticks."""

MIN_HEARTBEATS_PER_ELECTION = 6
"""A switch may mute an outdated leader for two heartbeats, and a busy machine delays some more."""

DEFAULT_SNAPSHOT_ENTRIES = 25_000
DEFAULT_SNAPSHOT_MIB = 64

Address = tuple[str, int]
"""IPv4 address and UDP port."""


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
    """Log entries after which a snapshot takes their place, 0 for however many; or so many MiB of them:"""
    snapshot_mib: int = DEFAULT_SNAPSHOT_MIB
    """0 for however large. With both 0 there are no snapshots."""
    reads_through_log: bool = False
    """Whether reads take a log entry each, like writes, and not a round of heartbeats."""

    @property
    def member_ids(self) -> list[int]:
        """The ids of the members of all groups, rising."""
        return sorted({member for group in self.groups for member in group.members})

    @property
    def node_ids(self) -> list[int]:
        """Those of members and spares, rising."""
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


class _GroupFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[int, Field(strict=True, ge=0, le=0xFFFF)]
    service: str | None = None
    members: dict[Annotated[int, Field(ge=1, le=MAX_ID)], str]
    spares: dict[Annotated[int, Field(ge=1, le=MAX_ID)], str] = {}

    @field_validator("service")
    @classmethod
    def _service_is_an_address(cls, text: str | None) -> str | None:
        return None if text is None else parse_address(text, DEFAULT_PORT)[0]

    @field_validator("members")
    @classmethod
    def _there_are_members(cls, members: dict[int, str]) -> dict[int, str]:
        if not members:
            raise ValueError("a group needs at least one member, as 'id: address'")
        return members

    @field_validator("members", "spares")
    @classmethod
    def _all_have_addresses(cls, members: dict[int, str]) -> dict[int, str]:
        for text in members.values():
            parse_address(text, DEFAULT_PORT)
        return members


class _ClusterFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cluster: Annotated[int, Field(strict=True, ge=0, lt=2**64)] = 1
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = DEFAULT_PORT
    heartbeat_ms: Annotated[int, Field(strict=True, ge=TICK_MS, le=60_000)] = 50
    election_timeout_ms: Annotated[int, Field(strict=True, le=600_000)] = 300
    data: str = "build/nodes"
    reassembly_mib: Annotated[int, Field(strict=True, ge=16, le=65_536)] = 192
    groups: Annotated[list[_GroupFile], Field(min_length=1)]
    names: dict[Annotated[int, Field(ge=1, le=MAX_ID)], str] = {}
    key_file: Annotated[str, Field(min_length=1)] | None = None
    snapshot_entries: Annotated[int, Field(strict=True, ge=0)] = DEFAULT_SNAPSHOT_ENTRIES
    snapshot_mib: Annotated[int, Field(strict=True, ge=0, le=65_536)] = DEFAULT_SNAPSHOT_MIB
    reads: Literal["quorum", "log"] = "quorum"

    @field_validator("names")
    @classmethod
    def _names_are_folder_names(cls, names: dict[int, str]) -> dict[int, str]:
        for member, name in names.items():
            if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) or name in (".", ".."):
                raise ValueError(f"{name!r} of member {member} must be letters, digits, '_', '.' and '-'")
        if len(set(names.values())) != len(names):
            raise ValueError("two members have the same name")
        return names

    @model_validator(mode="after")
    def _parts_fit(self) -> _ClusterFile:
        least = MIN_HEARTBEATS_PER_ELECTION * self.heartbeat_ms
        if self.election_timeout_ms < least:
            raise ValueError(
                f"election_timeout_ms: {self.election_timeout_ms} is less than {MIN_HEARTBEATS_PER_ELECTION} "
                f"heartbeats of {self.heartbeat_ms} ms; use {least} or more"
            )
        seen: set[int] = set()
        owner: dict[Address, int] = {}
        address: dict[int, Address] = {}
        for number, group in enumerate(self.groups):
            if group.id in seen:
                raise ValueError(f"groups.{number}.id: group {group.id} is there twice")
            seen.add(group.id)
            both = sorted(set(group.members) & set(group.spares))
            if both:
                raise ValueError(f"groups.{number}.spares.{both[0]}: {both[0]} is a member already")
            named = [("members", *item) for item in group.members.items()]
            named += [("spares", *item) for item in group.spares.items()]
            for part, member, text in named:
                where = f"groups.{number}.{part}.{member}"
                own = parse_address(text, self.port)
                if owner.setdefault(own, member) != member:
                    raise ValueError(f"{where}: {own[0]}:{own[1]} is member {owner[own]}'s address already")
                if address.setdefault(member, own) != own:
                    raise ValueError(f"{where}: member {member} has another address in another group")
        return self

    def cluster_of(self, folder: Path) -> Cluster:
        groups = tuple(
            Group(
                group.id,
                group.service,
                {member: parse_address(text, self.port) for member, text in group.members.items()},
                {member: parse_address(text, self.port) for member, text in group.spares.items()},
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
            reads_through_log=self.reads == "log",
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
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}; name a cluster file with --config") from error
    return parse(text, str(path))


def parse(text: str, source: str = "cluster.yaml") -> Loaded:
    """Read a cluster file's text. ``source`` names it in errors. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"{mark.line + 1}: " if mark else " "
        raise ConfigError(f"{source}:{line}not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{source}:1: expected 'groups:' and other fields, found {_kind(content)}")
    duplicate = next(_duplicates(root), None)
    if duplicate is not None:
        raise ConfigError(f"{source}:{duplicate.start_mark.line + 1}: {duplicate.value}: is there twice")
    try:
        cluster = _ClusterFile.model_validate(content).cluster_of(Path(source).parent)
    except ValidationError as error:
        raise ConfigError(_explain(error, root, source)) from error
    return Loaded(cluster, tuple(f"{source}: {warning}" for warning in _doubts(cluster)))


def parse_address(text: str, default_port: int) -> Address:
    """``address`` or ``address:port``. Raises ValueError."""
    host, colon, port_text = str(text).partition(":")
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 address, nor address:port") from None
    if not colon:
        return str(address), default_port
    if not port_text.isascii() or not port_text.isdigit() or not 1 <= int(port_text) <= 65535:
        raise ValueError(f"{text!r} does not end in a port of 1..65535")
    return str(address), int(port_text)


def _explain(error: ValidationError, root: Any, source: str) -> str:
    """The first mistake as 'file:line: field: what is wrong' and how many more there are."""
    # A misspelt field is both unknown and missing; the unknown one has a line.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] == "missing")
    first = problems[0]
    path = [part for part in first["loc"] if part != "[key]"]
    message = first["msg"].removeprefix("Value error, ")
    named = re.match(r"([a-z_]+(?:\.\w+)*): ", message)
    if not path and named:
        path = [int(part) if part.isdigit() else part for part in named[1].split(".")]
        message = message[named.end() :]
    if first["type"] == "missing":
        message = "this field is missing"
    if first["type"] == "extra_forbidden":
        known = ", ".join((_GroupFile if len(path) > 1 else _ClusterFile).model_fields)
        message = f"unknown field; known are {known}"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{source}:{_line_of(root, path)}: {'.'.join(map(str, path)) or 'file'}: {message}{more}"


def _line_of(node: Any, path: list[Any]) -> int:
    """The line of the node at ``path``, or of the innermost one on the way there that exists."""
    line = int(node.start_mark.line) + 1 if node is not None else 1
    for part in path:
        step = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if getattr(key, "value", None) == str(part):
                    step, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            step = node.value[part]
            line = step.start_mark.line + 1
        if step is None:
            break
        node = step
    return line


def _duplicates(node: Any) -> Iterator[Any]:
    """Keys that a mapping has twice: YAML's loader would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item)


def _doubts(cluster: Cluster) -> Iterator[str]:
    """Ports that the kernel may give to someone else's socket."""
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


def _kind(content: Any) -> str:
    return "nothing" if content is None else f"a {type(content).__name__}"
