"""What the switches' tables ought to hold, and the writes that make them hold it. Pure.

The order of tables is the order of writing. Routes come last and the guard before them, so that a switch never
forwards packets that it does not check yet.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address
from itertools import groupby

from controller import hints, limits
from controller.gathering import gathering
from controller.network import Group, Host, Link, Network
from controller.routes import gateway_mac, hops_towards, host_mac, routes
from controller.selectors import PROFILE_GROUPS, PROFILE_MEMBERS, PROFILES, SELECT, ProfileGroup, ProfileMember
from controller.trees import Branch, branches

Value = int | tuple[int, int]
"""An exact key, or an LPM key as (value, prefix length)."""


@dataclass(frozen=True)
class Entry:
    """A table entry by the program's names. Order of ``match`` and ``params`` is the program's."""

    table: str
    match: tuple[tuple[str, Value], ...]
    action: str
    params: tuple[tuple[str, int], ...] = ()
    meter: limits.Meter | None = None
    """Of the entry alone; None lets everything through."""

    @property
    def key(self) -> tuple[str, tuple[tuple[str, Value], ...]]:
        """What makes two entries the same one."""
        return self.table, self.match

    def __str__(self) -> str:
        match = " ".join(f"{name}={value}" for name, value in self.match)
        params = ", ".join(f"{name}={value}" for name, value in self.params)
        return f"{self.table}[{match}] {self.action}({params})"


MULTICAST_GROUPS = "multicast_groups"
"""What multicast groups are called beside tables."""


@dataclass(frozen=True)
class MulticastGroup:
    """What a switch copies packets to: (port, instance) of each copy, in ascending order."""

    id: int
    replicas: tuple[tuple[int, int], ...]

    @property
    def table(self) -> str:
        """Its place in the order of writing."""
        return MULTICAST_GROUPS

    @property
    def key(self) -> tuple[str, tuple[tuple[str, Value], ...]]:
        """What makes two multicast groups the same one, in the form of an entry's key."""
        return MULTICAST_GROUPS, (("id", self.id),)

    def __str__(self) -> str:
        return f"{self.table}[{self.id}] {' '.join(f'{port}/{instance}' for port, instance in self.replicas)}"


Held = Entry | MulticastGroup | ProfileMember | ProfileGroup
"""What a switch can hold for the controller."""


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
    limits: Mapping[str, int] = field(default_factory=dict)
    """Requests per second, by host."""
    deserted: frozenset[str] = frozenset()
    """Hosts that have said of late that no member is there."""


@lru_cache(maxsize=4096)
def _number(address: str) -> int:
    return int(IPv4Address(address))


def desired_entries(network: Network, switch: str, view: View) -> tuple[Held, ...]:
    """All that a switch is to hold. ``diff`` puts their writing in order."""
    found: list[Held] = [
        Entry("port_roles", (("ingress_port", port),), "set_trunk") for port in network.trunks(switch)
    ]
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


def _featured(features: Iterable[Feature], network: Network, switch: str, view: View) -> Iterator[Held]:
    for feature in features:
        if feature.name in view.features:
            yield from feature.entries(network, switch, view)


def _guard(network: Network, switch: str, _view: View) -> Iterator[Held]:
    """A group's members at this switch's edge; then, and only then, what makes the guard drop strangers."""
    for group in network.groups:
        yield from _members(network, switch, group)
    for group in network.groups:
        yield Entry("guard_enforce", _group_key(group), "enforce")


def _watch(network: Network, _switch: str, _view: View) -> Iterator[Held]:
    window = (("window_us", network.filter_window_ms * 1000),)
    return (Entry("leader_watch", _group_key(group), "watch", window) for group in network.groups)


def _limits(network: Network, switch: str, view: View) -> Iterator[Held]:
    """Of each host at this switch that has a limit, by the host's port."""
    for host in network.hosts:
        rate = view.limits.get(host.name)
        if host.switch == switch and rate is not None:
            params = (("per_second", rate),)
            yield Entry("client_limit", (("ingress_port", host.port),), "limited", params, limits.meter(rate))


def _for_each_group(table: str, action: str) -> Callable[[Network, str, View], Iterator[Held]]:
    def entries(network: Network, _switch: str, _view: View) -> Iterator[Held]:
        return (Entry(table, _group_key(group), action) for group in network.groups)

    return entries


def _fanout(network: Network, switch: str, view: View) -> Iterator[Held]:
    """Of each group whose leader is known, the switch's branch of the tree."""
    for group in network.groups:
        leader = view.leaders.get(group.id, Leadership()).leader
        branch = branches(network, group, leader, view.links).get(switch)
        if branch is not None:
            yield from _copies(network, group, branch)
            where = (("from_port", branch.from_port), ("multicast_group", _tree_id(group)))
            yield Entry(*_tree_of(group, view), "copy_along", where)


def _gather(network: Network, switch: str, view: View) -> Iterator[Held]:
    """Of each group whose leader hangs on this switch: whose acknowledgements are gathered for it."""
    window_us = network.filter_window_ms * 500
    for group in network.groups:
        leader = view.leaders.get(group.id, Leadership()).leader
        found = gathering(network, group, leader, switch)
        if found is not None:
            of_generation = ("of_generation", found.generation)
            for member, at in found.positions.items():
                key = (*_group_key(group), ("source", member))
                yield Entry("ack_positions", key, "has_position", (("at", at), of_generation))
            what = (("port", found.port), ("others", found.needed), ("window_us", window_us), of_generation)
            yield Entry("ack_gather", (*_group_key(group), ("target", leader)), "gather", what)


def _hosts_of_members(network: Network, switch: str, _view: View) -> Iterator[Held]:
    """The members' hosts at this switch's edge, each once; then the groups of which a missed leader is told."""
    names = dict.fromkeys(member.host for group in network.groups for member in group.members)
    params = (("controller_address", _number(hints.ADDRESS)), ("identifier", hints.IDENTIFIER))
    for host in map(network.host, names):
        if host.switch == switch:
            yield Entry("leader_gone", _host_key(host), "is_members_host", params)
    yield from (Entry("leader_silence", _group_key(group), "tell_silence") for group in network.groups)


def _host_key(host: Host) -> tuple[tuple[str, Value], ...]:
    return ("ingress_port", host.port), ("address", _number(host.ip))


def knows_host(entries: Iterable[Held], host: Host) -> bool:
    """Whether a switch that holds ``entries`` passes on what the host says of its members, and what it answers."""
    return any(entry.key == ("leader_gone", _host_key(host)) for entry in entries)


def _tree_id(group: Group) -> int:
    """A group's tree is the multicast group of this number; 0 is none."""
    return group.slot + 1


def _copies(network: Network, group: Group, branch: Branch) -> Iterator[Held]:
    """Where copies go. Their instance is the member's id, and 0 towards another switch."""
    replicas = []
    for receiver in branch.receivers:
        host, member = receiver.host, receiver.member.id
        replicas.append((host.port, member))
        params = (("dst_mac", host_mac(host)), ("address", _number(host.ip)), ("udp_port", group.port))
        yield Entry("fanout_copy", _copy_key(group, host.port, member), "to_member", params)
    for after, port in branch.onward:
        replicas.append((port, 0))
        yield Entry(
            "fanout_copy", _copy_key(group, port, 0), "over_trunk", (("dst_mac", gateway_mac(network, after)),)
        )
    yield MulticastGroup(_tree_id(group), tuple(sorted(replicas)))


def _copy_key(group: Group, port: int, member: int) -> tuple[tuple[str, Value], ...]:
    return (*_group_key(group), ("egress_port", port), ("member", member))


READERS = PROFILES["read_route"]


def _readers(network: Network, switch: str, view: View) -> Iterator[Held]:
    """Of each group with a service address: the voters who can be asked to read, to choose from. Where there is none
    there is no entry either, and reads go where all requests do."""
    for group in network.groups:
        chosen = []
        for member in group.members if group.service else ():
            host = network.host(member.host)
            if not member.votes or host.name in view.deserted or not _reaches(network, switch, host, view):
                continue
            chosen.append(group.slot << 8 | member.id)
            params = (("member", member.id), ("member_address", _number(host.ip)), ("member_port", group.port))
            yield ProfileMember(READERS, chosen[-1], "read_at", params)
            yield Entry("reads_by_member", (*_group_key(group), ("member", member.id)), "count_read")
        if chosen and group.service:
            yield ProfileGroup(READERS, group.slot + 1, tuple(chosen))
            key = (*_group_key(group), ("service_addr", _number(group.service)))
            yield Entry("read_route", key, SELECT, (("group", group.slot + 1),))


def _reaches(network: Network, switch: str, host: Host, view: View) -> bool:
    return host.switch == switch or switch in hops_towards(network, host.switch, view.links)


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
    and what a switch is to hold of them. Without its entries packets just pass."""

    name: str
    tables: tuple[str, ...]
    entries: Callable[[Network, str, View], Iterator[Held]]


_GUARDS = (Feature("member_guard", ("members", "guard_enforce"), _guard),)
"""The features whose entries stand before the groups' entries."""
_FEATURES = (
    Feature("leader_watch", ("leader_watch",), _watch),
    Feature("term_filter", ("term_filter",), _for_each_group("term_filter", "drop_stale")),
    Feature("client_limit", ("client_limit",), _limits),
    Feature("read_route", ("reads_by_member", "read_route"), _readers),
    Feature("leader_route", ("leader_route",), _for_each_group("leader_route", "steer_to_leader")),
    Feature("configuration", ("configuration",), _for_each_group("configuration", "tell_controller")),
    Feature("append_fanout", ("fanout_copy", "append_fanout"), _fanout),
    Feature("leader_gone", ("leader_gone", "leader_silence"), _hosts_of_members),
    Feature("ack_gather", ("ack_positions", "ack_gather"), _gather),
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
_BEFORE = {"append_fanout": (MULTICAST_GROUPS,), "read_route": (PROFILE_MEMBERS, PROFILE_GROUPS)}
_ORDER = [name for table in TABLES for name in (*_BEFORE.get(table, ()), table)]
"""Copies are described before they are made, and made before anything asks for them; so is what can be chosen."""


def with_paths_kept(network: Network, view: View, wanted: Iterable[Held], held: Iterable[Held]) -> tuple[Held, ...]:
    """What a switch ought to hold before it is known which links work: what is ``wanted``, but the ways that it holds
    stay. Those are its routes, and the trees of leaders that lead still; a tree stays or goes as a whole."""
    held = tuple(held)
    on = "append_fanout" in view.features
    trees = {group.id: _tree_of(group, view) for group in network.groups if on}
    kept = {group: tree for group, tree in trees.items() if any(entry.key == tree for entry in held)}
    groups = {_tree_id(group) for group in network.groups if group.id in kept}
    routes = [entry for entry in held if entry.table == "ipv4_lpm"]
    branches = [entry for entry in held if _is_of_tree(entry, kept, groups) and _leads_still(entry, kept)]
    keys = {entry.key for entry in routes}
    others = (entry for entry in wanted if entry.key not in keys and not _is_of_tree(entry, kept, groups))
    return (*others, *branches, *routes)


def _tree_of(group: Group, view: View) -> tuple[str, tuple[tuple[str, Value], ...]]:
    """The key of the entry that begins copying for the group's leader."""
    leader = view.leaders.get(group.id, Leadership()).leader
    return "append_fanout", (*_group_key(group), ("source", leader))


def _is_of_tree(entry: Held, group_ids: Container[int], tree_ids: Container[int]) -> bool:
    if not isinstance(entry, Entry):
        return isinstance(entry, MulticastGroup) and entry.id in tree_ids
    return entry.table in ("append_fanout", "fanout_copy") and dict(entry.match)["group"] in group_ids


def _leads_still(entry: Held, trees: Mapping[int, object]) -> bool:
    return entry.table != "append_fanout" or entry.key in trees.values()


def installed_leaders(entries: Iterable[Held]) -> dict[int, Leadership]:
    """Who leads each group by what a switch's ``groups`` entries say."""
    found = {}
    for entry in entries:
        if isinstance(entry, Entry) and entry.table == "groups" and entry.action == "set_group":
            group = dict(entry.match)["group"]
            params = dict(entry.params)
            assert isinstance(group, int)
            found[group] = Leadership(params["leader"], params["term"])
    return found


def installed_members(entries: Iterable[Held]) -> Iterator[tuple[int, int, int]]:
    """(group id, member id, address) of a switch's ``members`` entries."""
    for entry in entries:
        if isinstance(entry, Entry) and entry.table == "members":
            match = dict(entry.match)
            group, source, address = match["group"], match["source"], match["address"]
            assert isinstance(group, int) and isinstance(source, int) and isinstance(address, int)
            yield group, source, address


def installed_limits(network: Network, switch: str, entries: Iterable[Held]) -> dict[str, int | None]:
    """Requests per second of the hosts at a switch, as the switch's entries say; None for a host without a limit. A
    switch without routes, which are written last, does not say that: not all was written yet."""
    held = [entry for entry in entries if isinstance(entry, Entry)]
    rates = {entry.match[0][1]: entry.params[0][1] for entry in held if entry.table == "client_limit"}
    is_whole = any(entry.table == "ipv4_lpm" for entry in held)
    names = {host.port: host.name for host in network.hosts if host.switch == switch}
    return {name: rates.get(port) for port, name in names.items() if is_whole or port in rates}


class Operation(Enum):
    """A P4Runtime update's type."""

    INSERT = "insert"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True)
class Write:
    """One update of one entry or multicast group."""

    operation: Operation
    entry: Held


def diff(desired: Iterable[Held], actual: Iterable[Held]) -> tuple[Write, ...]:
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


def _rank(entry: Held) -> int:
    """Where an entry's table stands in the order of writing. Tables unknown here come last, and so go first."""
    return _ORDER.index(entry.table) if entry.table in _ORDER else len(_ORDER)


def batches(writes: Iterable[Write]) -> Iterator[tuple[Write, ...]]:
    """Writes that may share a request. A server may reorder within one (P4Runtime 1.4, section 12.1), so no request
    spans two tables."""
    for _, batch in groupby(writes, key=lambda write: (write.operation is Operation.DELETE, write.entry.table)):
        yield tuple(batch)


def apply(writes: Iterable[Write], actual: Iterable[Held]) -> tuple[Held, ...]:
    """What a table holds after the writes."""
    held = {entry.key: entry for entry in actual}
    for write in writes:
        if write.operation is Operation.DELETE:
            held.pop(write.entry.key, None)
        else:
            held[write.entry.key] = write.entry
    return tuple(held.values())
