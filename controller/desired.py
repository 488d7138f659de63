"""What the switches' tables ought to hold, and the writes that make them hold it. Pure.

The order of tables is the order of writing. Routes come last and the guard before them, so that a switch never
forwards packets that it does not check yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address
from itertools import groupby

from controller.network import Group, Link, Network
from controller.routes import routes

Value = int | tuple[int, int]
"""An exact key, or an LPM key as (value, prefix length)."""


@dataclass(frozen=True)
class Entry:
    """A table entry by the program's names. Order of ``match`` and ``params`` is the program's."""

    table: str
    match: tuple[tuple[str, Value], ...]
    action: str
    params: tuple[tuple[str, int], ...] = ()

    @property
    def key(self) -> tuple[str, tuple[tuple[str, Value], ...]]:
        """What makes two entries the same one."""
        return self.table, self.match

    def __str__(self) -> str:
        match = " ".join(f"{name}={value}" for name, value in self.match)
        params = ", ".join(f"{name}={value}" for name, value in self.params)
        return f"{self.table}[{match}] {self.action}({params})"


@dataclass(frozen=True)
class Leadership:
    """Who leads a group, as installed in switches. ``leader`` 0: nobody is known to, and ``standin`` is the member
    that gets the service address's requests (0: the group's first)."""

    leader: int = 0
    term: int = 0
    standin: int = 0


@dataclass(frozen=True)
class View:
    """What the controller knows of the moment."""

    links: frozenset[Link]
    """Links that work."""
    leaders: Mapping[int, Leadership] = field(default_factory=dict)
    """By group id."""
    features: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def _number(address: str) -> int:
    return int(IPv4Address(address))


def desired_entries(network: Network, switch: str, view: View) -> tuple[Entry, ...]:
    """A switch's entries, in the order of writing."""
    found = [Entry("port_roles", (("ingress_port", port),), "set_trunk") for port in network.trunks(switch)]
    found += _featured(_GUARDS, network, switch, view)
    found += [_group_entry(network, group, view.leaders.get(group.id, Leadership())) for group in network.groups]
    found += _featured(_FEATURES, network, switch, view)
    for service in dict.fromkeys(group.service for group in network.groups if group.service):
        found.append(Entry("service_addresses", (("address", _number(service)),), "is_service"))
    for route in routes(network, switch, view.links):
        key = (("dst_addr", (_number(route.host.ip), 32)),)
        found.append(Entry("ipv4_lpm", key, "forward", (("dst_mac", route.mac), ("port", route.port))))
    return tuple(found)


def _group_key(group: Group) -> tuple[tuple[str, Value], ...]:
    return (("group", group.id),)


def _featured(features: Iterable[Feature], network: Network, switch: str, view: View) -> Iterator[Entry]:
    for feature in features:
        if feature.name in view.features:
            yield from feature.entries(network, switch)


def _guard(network: Network, switch: str) -> Iterator[Entry]:
    """A group's members at this switch's edge; then, and only then, what makes the guard drop strangers."""
    for group in network.groups:
        yield from _members(network, switch, group)
    for group in network.groups:
        yield Entry("guard_enforce", _group_key(group), "enforce")


def _watch(network: Network, _switch: str) -> Iterator[Entry]:
    window = (("window_us", network.filter_window_ms * 1000),)
    return (Entry("leader_watch", _group_key(group), "watch", window) for group in network.groups)


def _for_each_group(table: str, action: str) -> Callable[[Network, str], Iterator[Entry]]:
    def entries(network: Network, _switch: str) -> Iterator[Entry]:
        return (Entry(table, _group_key(group), action) for group in network.groups)

    return entries


def _members(network: Network, switch: str, group: Group) -> Iterator[Entry]:
    for member in group.members:
        host = network.host(member.host)
        if host.switch == switch:
            address = _number(host.ip)
            key: tuple[tuple[str, Value], ...] = (
                *_group_key(group),
                ("source", member.id),
                ("address", address),
                ("ingress_port", host.port),
            )
            yield Entry("members", key, "is_member")


def _group_entry(network: Network, group: Group, leadership: Leadership) -> Entry:
    leader = group.member(leadership.leader)
    served_by = leader or group.member(leadership.standin) or group.members[0]
    params = (
        ("slot", group.slot),
        ("quorum", group.quorum),
        ("leader", leader.id if leader else 0),
        ("term", leadership.term),
        ("address", _number(network.host(served_by.host).ip)),
        ("udp_port", group.port),
    )
    return Entry("groups", _group_key(group), "set_group", params)


@dataclass(frozen=True)
class Feature:
    """Something that switches do for Raft beyond forwarding, with the tables that it fills, in the order of writing,
    and their entries for a switch. Without its entries packets just pass."""

    name: str
    tables: tuple[str, ...]
    entries: Callable[[Network, str], Iterator[Entry]]


_GUARDS = (Feature("member_guard", ("members", "guard_enforce"), _guard),)
"""The features whose entries stand before the groups' entries."""
_FEATURES = (
    Feature("leader_watch", ("leader_watch",), _watch),
    Feature("term_filter", ("term_filter",), _for_each_group("term_filter", "drop_stale")),
    Feature("leader_route", ("leader_route",), _for_each_group("leader_route", "steer_to_leader")),
    Feature("configuration", ("configuration",), _for_each_group("configuration", "tell_controller")),
)
FEATURES = (*_GUARDS, *_FEATURES)

TABLES = (
    "port_roles",
    *(table for feature in _GUARDS for table in feature.tables),
    "groups",
    *(table for feature in _FEATURES for table in feature.tables),
    "service_addresses",
    "ipv4_lpm",
)
"""Every table that the controller fills, in the order of writing."""


def installed_leaders(entries: Iterable[Entry]) -> dict[int, Leadership]:
    """Who leads each group by what a switch's ``groups`` entries say."""
    found = {}
    for entry in entries:
        if entry.table == "groups" and entry.action == "set_group":
            group = dict(entry.match)["group"]
            params = dict(entry.params)
            assert isinstance(group, int)
            found[group] = Leadership(params["leader"], params["term"])
    return found


def installed_members(entries: Iterable[Entry]) -> Iterator[tuple[int, int, int]]:
    """(group id, member id, address) of a switch's ``members`` entries."""
    for entry in entries:
        if entry.table == "members":
            match = dict(entry.match)
            group, source, address = match["group"], match["source"], match["address"]
            assert isinstance(group, int) and isinstance(source, int) and isinstance(address, int)
            yield group, source, address


class Operation(Enum):
    """A P4Runtime update's type."""

    INSERT = "insert"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True)
class Write:
    """One update of one entry."""

    operation: Operation
    entry: Entry


def diff(desired: Iterable[Entry], actual: Iterable[Entry]) -> tuple[Write, ...]:
    """The writes that turn ``actual`` into ``desired``, in order: what is new or changed by the order of tables, then
    what must go in reverse order. An entry whose key stays is modified in place, so no packet finds it missing."""
    wanted = {entry.key: entry for entry in desired}
    held = {entry.key: entry for entry in actual}
    writes = []
    for key, entry in sorted(wanted.items(), key=lambda item: _rank(item[1])):
        if key not in held:
            writes.append(Write(Operation.INSERT, entry))
        elif held[key] != entry:
            writes.append(Write(Operation.MODIFY, entry))
    gone = [entry for key, entry in held.items() if key not in wanted]
    writes += [Write(Operation.DELETE, entry) for entry in sorted(gone, key=_rank, reverse=True)]
    return tuple(writes)


def _rank(entry: Entry) -> int:
    """Tables that the program has and this page does not know come last, and so go first."""
    return TABLES.index(entry.table) if entry.table in TABLES else len(TABLES)


def batches(writes: Iterable[Write]) -> Iterator[tuple[Write, ...]]:
    """Writes that may share a request. A server may reorder within one (P4Runtime 1.4, section 12.1), so no request
    spans two tables."""
    for _, batch in groupby(writes, key=lambda write: (write.operation is Operation.DELETE, write.entry.table)):
        yield tuple(batch)


def apply(writes: Iterable[Write], actual: Iterable[Entry]) -> tuple[Entry, ...]:
    """What a table holds after the writes."""
    held = {entry.key: entry for entry in actual}
    for write in writes:
        if write.operation is Operation.DELETE:
            held.pop(write.entry.key, None)
        else:
            held[write.entry.key] = write.entry
    return tuple(held.values())
