"""What a seed decides before anything runs: the cluster, its network, its clients, and what befalls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

from controller.network import FEATURES
from hosts.config import DEFAULT_MTU, Acknowledgements, Cluster, Hints, Network, Reads
from hosts.config import Group as ClusterGroup
from hosts.net.path import UDP_OVERHEAD
from hosts.service.sessions import Limits
from sim.events import MS, SECOND
from topo import topology
from topo.topology import Group, Topology

FAULTS_FROM_US = 2 * SECOND
FAULTS_UNTIL_US = 48 * SECOND
END_US = 60 * SECOND
LEAST_OPERATIONS = 400
REASSEMBLY_MIB = 8
LEAST_FAULTS = 10
EARLIER_TERM = 1 << 40
DRAWN_APART = ("append_fanout", "leader_gone", "client_limit", "read_route", "ack_gather")
"""Features that were added later: whether a plan has them does not change what else it draws."""
SENT_BY_LEADERS = tuple(name for name in FEATURES if name not in DRAWN_APART)
"""The features with which leaders send to each member by itself."""
NUMBERS_OF_WIPES = (0, 0, 0, 1, 3)
NUMBERS_OF_PATHS = (0, 0, 1, 3)
NUMBERS_OF_FALSE_WORDS = (0, 1, 2, 4)
POWER_LOSS_WEIGHT = 3
"""Among the kinds of faults: where exactly it strikes matters most."""


class Kind(Enum):
    """What can befall a cluster."""

    POWER_LOSS = "power loss"
    KILL = "kill -9"
    PAUSE = "process paused"
    DISK_ERROR = "disk error"
    FULL_DISK = "disk full"
    SLOW_DISK = "slow disk"
    ISOLATE = "member cut off"
    ONE_WAY = "one-way partition"
    HEARS_LATE = "leader hears late"
    HALVES = "partition"
    LOSS = "loss"
    DUPLICATION = "duplication"
    DELAY = "delay and reordering"
    MISDELIVERY = "misdelivery"
    REPLAY = "late duplicates"
    TRANSFER = "leadership handed over"
    MEMBERS = "members changed"
    HASTY_CHANGE = "members changed at once after an election"
    ALONE = "shrunk to one voter and grown again"
    ABSENT_LEARNER = "a vote for an absent learner"
    ABSENT_SUCCESSORS = "leadership offered to absent members in turn"
    WIPE = "folder deleted"
    LINK = "link cut"
    SWITCH = "switch restarted"
    CONTROLLER = "controller restarted"
    TAKEOVER = "another controller takes over"
    FOREIGN_WRITE = "switch's entry changed by somebody else"
    SLOW_CONTROLLER = "slow controller"
    LOST_DIGESTS = "digests lost"
    FEATURE = "feature taken away"
    PATH = "large datagrams lost"
    FALSE_WORD = "leader's end forged"


HUGE_FROM = 100_000
"""Bytes of a snapshot's chunk from which on there may be values of a MiB."""

SWITCH_KINDS = frozenset(
    {
        Kind.LINK,
        Kind.SWITCH,
        Kind.CONTROLLER,
        Kind.TAKEOVER,
        Kind.FOREIGN_WRITE,
        Kind.SLOW_CONTROLLER,
        Kind.LOST_DIGESTS,
        Kind.FEATURE,
    }
)


LEARNING = frozenset({"member_guard", "leader_watch"})
"""The features without which a switch learns of no leader, and so tells of none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that befalls the cluster; ``draw`` seeds whatever else it needs to know."""

    at_us: int
    kind: Kind
    lasts_us: int
    draw: int


@dataclass(frozen=True, slots=True)
class ClientLimit:
    """An operator limits what enters at ``host``'s port for a time, in which a client there asks without end."""

    host: str
    per_second: int
    from_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is drawn before the start. Times in microseconds."""

    seed: int
    topology: Topology
    switches: bool
    features: frozenset[str]
    tick_us: dict[int, int]
    """Each member's own idea of 10 ms."""
    disk_us: int
    segment_bytes: int
    core_options: dict[str, Any]
    clients: int
    operations_per_s: int
    """By all clients together, if none has to wait."""
    hoarder_think_us: int
    """Between writes of a client that never says which answers it has; 0: there is none."""
    patience_s: float
    large_values: float
    limits: Limits
    """Limits of what is kept for clients: so low that sessions are forgotten, and their traces."""
    snapshot_entries: int
    """Log entries after which a snapshot is taken, 0 for never; ``kept_entries`` before its end are kept."""
    kept_entries: int
    trouble: float
    """Packets lost, doubled or late at any time, as a share."""
    client_trouble: float
    """Clients' datagrams lost or doubled at any time, as a share."""
    turn_at_once: float
    """How often a node looks at a datagram at once, rather than with the next one."""
    hostile_us: int
    lease_ticks: int
    """For which a leader answers reads without a round; 0: never."""
    unleased: frozenset[int]
    """Members that do not use leases yet."""
    earlier_term: int
    """A cluster of such a term has lived under the same switches, and its data were wiped; 0: none has."""
    faults: tuple[Fault, ...]
    sealed: bool
    """Members have a cluster key."""
    flushes: int
    """How often a group that is busy is flushed in a turn, beyond the first time."""
    effort: int
    """How much one flush of a group does: ``hosts.group.Pace``."""
    step_bytes: int
    """How many bytes of a value are looked through in a step."""
    mtu: int = DEFAULT_MTU
    """What the members are told that links take."""
    takes: int = DEFAULT_MTU - UDP_OVERHEAD
    """Bytes of the largest datagram that they take."""
    huge_values: float = 0.0
    """The share of values of a MiB."""
    hints: Hints = Hints.BOTH
    """To whom members listen about their leader's end."""
    network: Network = Network.PLAIN
    """What members are told that lies between them."""
    acknowledgements: Acknowledgements = Acknowledgements.EAGER
    """What leaders ask of members."""
    limit: ClientLimit | None = None
    stale_reads: float = 0.0
    """The share of reads of a key that may be of an age."""
    roving: bool = False
    """Whether clients send what may be spread to any member by themselves, as a switch would."""

    @property
    def cluster(self) -> Cluster:
        """What all members read as their cluster file."""
        found = self.topology
        return Cluster(
            id=found.cluster,
            port=found.port,
            heartbeat_ms=found.heartbeat_ms,
            election_timeout_ms=found.election_timeout_ms,
            data=Path("/nodes"),
            reassembly_mib=REASSEMBLY_MIB,
            groups=tuple(
                ClusterGroup(
                    group.id,
                    None if group.service is None else str(group.service),
                    {member: (str(found.host(host).ip), found.port) for member, host in group.members.items()},
                )
                for group in found.groups
            ),
            names={member: host for group in found.groups for member, host in group.members.items()},
            snapshot_entries=self.snapshot_entries,
            snapshot_mib=0,
            reads=Reads.LEASE if self.lease_ticks else Reads.QUORUM,
            mtu=self.mtu,
            hints=self.hints,
            network=self.network,
            acknowledgements=self.acknowledgements,
            key_file=Path("/cluster.key") if self.sealed else None,
        )

    @property
    def election_us(self) -> int:
        return self.topology.election_timeout_ms * MS

    @property
    def _copies(self) -> bool:
        return self.switches and "append_fanout" in self.features

    @property
    def spreads(self) -> bool:
        """Whether switches spread reads."""
        return self.switches and "read_route" in self.features

    @property
    def _gathers(self) -> bool:
        return self.switches and "ack_gather" in self.features

    def lease_ticks_of(self, member: int) -> int:
        """For how long a member's leases count; 0: it uses none."""
        return 0 if member in self.unleased else self.lease_ticks

    def traits(self) -> tuple[str, ...]:
        """What a summary of many seeds counts."""
        return (
            f"with {len(self.topology.members)} members",
            "with switches" if self.switches else "without switches",
            *(["with two groups"] if len(self.topology.groups) > 1 else []),
            *(["with a group of one"] if any(len(group.members) == 1 for group in self.topology.groups) else []),
            *(["with leases"] if self.lease_ticks else []),
            *(["with leases at some members"] if self.unleased else []),
            *(["after a wiped cluster"] if self.earlier_term else []),
            *(["with a cluster key"] if self.sealed else []),
            *(["with a hoarder of answers"] if self.hoarder_think_us else []),
            *(["with jumbo frames"] if self.mtu > DEFAULT_MTU else []),
            *(["with links that take less than members were told"] if self.takes < self.mtu - UDP_OVERHEAD else []),
            *(["without hints"] if self.hints is Hints.NONE else []),
            *(["with leader_gone"] if self.switches and "leader_gone" in self.features else []),
            *(["with hints of the network alone"] if self.hints is Hints.NETWORK else []),
            *(["that ask for copies"] if self.network is Network.P4 else []),
            *(["that ask for copies in vain"] if self.network is Network.P4 and not self._copies else []),
            *(["with append_fanout"] if self._copies else []),
            *(["with a limit"] if self.limit is not None else []),
            *(["with read_route"] if self.spreads else []),
            *(["whose clients rove"] if self.roving else []),
            *(["with lazy acknowledgements"] if self.acknowledgements is Acknowledgements.LAZY else []),
            *(["with gathered acknowledgements"] if self.cluster.gathers else []),
            *(["with acknowledgements gathered in vain"] if self.cluster.gathers and not self._gathers else []),
            *(["with ack_gather"] if self._gathers else []),
            *(["with clocks that differ"] if len(set(self.tick_us.values())) > 1 else []),
        )

    def describe(self) -> str:
        """For people."""
        topo = self.topology
        groups = "; ".join(f"group {g.id}: {', '.join(g.members.values())}" for g in topo.groups)
        return (
            f"{len(topo.members)} members ({groups}); heartbeat {topo.heartbeat_ms} ms, election "
            f"{topo.election_timeout_ms} ms; "
            + (
                f"{topo.name}, {', '.join(sorted(self.features)) or 'no features'}"
                if self.switches
                else "no switches"
            )
            + f"; {self.clients} clients; {len(self.faults)} faults"
        )


_TOPOLOGIES = {3: ("triangle", "triangle", "line", "leaf-spine", "single"), 5: ("five",), 7: ("seven",)}


@lru_cache
def _named(name: str) -> Topology:
    return topology.find(name)


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(f"switchraft/{seed}")
    size = random.choices((3, 5, 7), (66, 24, 10))[0]
    switches = random.random() < 0.65
    topology, clocks = _draw_topology(random, size), _draw_clocks(random, size)
    plan = Plan(
        seed=seed,
        topology=topology,
        switches=switches,
        features=_draw_features(random),
        tick_us=clocks,
        disk_us=random.choice((100, 200, 200, 1000)),
        segment_bytes=random.choice((500, 2_000, 64_000)),
        core_options=_draw_core(random),
        clients=random.choice((4, 6, 8)),
        operations_per_s=random.choice((9, 12)),
        hoarder_think_us=random.choice((0, 0, 500)) * MS,
        patience_s=random.choice((2.0, 5.0, 10.0)),
        large_values=random.choice((0.0, 0.0, 0.02, 0.05)),
        limits=_draw_limits(random),
        snapshot_entries=random.choice((0, 20, 60, 150)),
        kept_entries=random.choice((0, 10, 100)),
        trouble=random.choice((0.0, 0.002, 0.02)),
        client_trouble=random.choice((0.0, 0.0, 0.2)),
        turn_at_once=random.choice((1.0, 0.9, 0.6)),
        hostile_us=random.choice((300, 1000)) * MS,
        lease_ticks=random.choice((0, 0, 1)) * _longest_lease(topology, clocks),
        unleased=frozenset(),
        earlier_term=random.choice((0, 0, 0, EARLIER_TERM)) if switches else 0,
        faults=tuple(
            sorted(
                (*_draw_faults(random, switches), *_draw_wipes(seed), *_draw_paths(seed), *_draw_false_words(seed)),
                key=lambda fault: fault.at_us,
            )
        ),
        sealed=random.random() < 0.2,
        flushes=random.choice((0, 2, 100)),
        effort=random.choice((1, 8, 64)),
        step_bytes=random.choice((500, 16 << 10)),
    )
    plan = replace(plan, unleased=_draw_unleased(plan))
    plan = replace(plan, **_draw_sizes(seed, plan.core_options["snapshot_chunk_bytes"]))
    plan = _draw_reads(_draw_acknowledgements(plan))
    return _draw_limit(_draw_network_hints(_draw_copies(plan))) if switches else plan


def _draw_acknowledgements(plan: Plan) -> Plan:
    """Whether leaders let members hold acknowledgements back: drawn apart, so that seeds stay what they were where
    they do not."""
    lazy = Random(f"acknowledgements/{plan.seed}").random() < 0.5
    return _draw_gathering(replace(plan, acknowledgements=Acknowledgements.LAZY) if lazy else plan)


def _draw_gathering(plan: Plan) -> Plan:
    """Whether leaders let switches gather acknowledgements, and whether those do: drawn apart as well."""
    random = Random(f"gathering/{plan.seed}")
    features = plan.features | {"ack_gather"} if plan.switches and random.random() < 0.85 else plan.features
    if random.random() < 0.45:
        return replace(plan, features=features, acknowledgements=Acknowledgements.GATHERED)
    return replace(plan, features=features)


def _draw_reads(plan: Plan) -> Plan:
    """Who serves reads, and how old they may be: drawn apart, too."""
    random = Random(f"reads/{plan.seed}")
    features = plan.features | {"read_route"} if random.random() < 0.85 else plan.features
    stale = random.choice((0.0, 0.3, 0.3))
    return replace(plan, features=features, stale_reads=stale, roving=not plan.switches and random.random() < 0.7)


def _draw_copies(plan: Plan) -> Plan:
    """Whether members ask for copies and switches make them: drawn apart, so that seeds stay what they were where
    neither is so."""
    random = Random(f"copies/{plan.seed}")
    network = random.choices((Network.P4, Network.PLAIN), (3, 1))[0]
    features = plan.features | {"append_fanout"} if random.random() < 0.85 else plan.features
    return replace(plan, network=network, features=features)


def _draw_network_hints(plan: Plan) -> Plan:
    """Whether switches tell of a leader's end, and then perhaps hosts do not: drawn apart, as copies are."""
    random = Random(f"hints/{plan.seed}")
    if random.random() < 0.2:
        return plan
    alone = plan.hints is Hints.BOTH and plan.network is Network.P4 and random.random() < 0.5
    hints = Hints.NETWORK if alone else plan.hints
    return replace(plan, features=plan.features | {"leader_gone"}, hints=hints)


def _draw_limit(plan: Plan) -> Plan:
    """In some seeds a host of clients has a limit for some seconds: drawn apart, too."""
    random = Random(f"limit/{plan.seed}")
    hosts = plan.topology.clients
    if random.random() < 0.6 or not hosts:
        return plan
    begins = random.randrange(FAULTS_FROM_US, 20 * SECOND)
    ends = begins + random.randrange(6 * SECOND, 16 * SECOND)
    limit = ClientLimit(random.choice(hosts), random.choice((5, 10, 20, 40)), begins, ends)
    return replace(plan, features=plan.features | {"client_limit"}, limit=limit)


def _draw_sizes(seed: int, chunk_bytes: int) -> dict[str, Any]:
    """What was added later and draws apart, so that seeds stay what they were. Values of a MiB make snapshots that
    would take minutes in small chunks."""
    random = Random(f"sizes/{seed}")
    mtu = random.choice((DEFAULT_MTU, DEFAULT_MTU, 9000))
    takes = random.choice((mtu - UDP_OVERHEAD, mtu - UDP_OVERHEAD, 1450, 4068))
    huge = random.choice((0.0, 0.0, 0.01)) if chunk_bytes > HUGE_FROM else 0.0
    hints = Hints(random.random() < 0.8)
    return {"mtu": mtu, "takes": takes, "huge_values": huge, "hints": hints}


def _longest_lease(topology: Topology, tick_us: dict[int, int]) -> int:
    """In ticks, by what the core demands of clocks, for members that may hear each other while a tick is due."""
    timeout = -(-topology.election_timeout_ms // 10)
    return min((timeout - 2) * min(tick_us.values()) // max(tick_us.values()) - 1, timeout - 4)


def _draw_unleased(plan: Plan) -> frozenset[int]:
    """Drawn apart."""
    random = Random(f"unleased/{plan.seed}")
    if not plan.lease_ticks or random.random() < 0.5:
        return frozenset()
    members = sorted(plan.tick_us)
    return frozenset(random.sample(members, random.randrange(1, len(members))))


def _draw_topology(random: Random, size: int) -> Topology:
    found = _named(random.choice(_TOPOLOGIES[size]))
    heartbeat = random.choice((50, 100, 100) if size == 3 else (100, 100, 150))
    election = heartbeat * random.choice((6, 6, 8, 10))
    first = found.groups[0]
    identity = random.choice((1, 1, 2, 300))
    groups: tuple[Group, ...] = (replace(first, id=identity),)
    if random.random() < 0.35:
        # Ids that agree in their lower byte must not meet in any switch.
        other = random.choice((identity + 1, identity + 256))
        service = IPv4Address("10.0.100.2")
        # An even number, too: there two halves are no majority. And one alone, with nobody to wait for.
        few = random.choice((1, 3, 4, 4, size) if size > 3 else (1, size, size))
        members = dict(list(first.members.items())[-few:])
        groups += (replace(first, id=other, slot=random.choice((1, 63)), service=service, members=members),)
    return replace(found, groups=groups, heartbeat_ms=heartbeat, election_timeout_ms=election)


def _draw_features(random: Random) -> frozenset[str]:
    if random.random() < 0.7:
        return frozenset(SENT_BY_LEADERS)
    return frozenset(name for name in SENT_BY_LEADERS if random.random() < 0.7)


def _draw_clocks(random: Random, size: int) -> dict[int, int]:
    most = random.choice((0.0, 0.02, 0.2, 0.2))
    return {member: round(10 * MS * (1 + random.uniform(-most, most))) for member in range(1, size + 1)}


def _draw_core(random: Random) -> dict[str, Any]:
    return {
        "max_entries_per_append": random.choice((2, 16, 1024)),
        "max_bytes_per_append": random.choice((200, 2_000, 1 << 20)),
        "max_inflight": random.choice((1, 4, 64)),
        "max_uncommitted_bytes": random.choice((2_000, 64 << 20)),
        "max_apply_bytes": random.choice((300, 4 << 20)),
        "snapshot_chunk_bytes": random.choice((500, 5_000, 256 << 10)),
    }


def _draw_limits(random: Random) -> Limits:
    return Limits(
        sessions=random.choice((2, 5, 4096)),
        expiry_entries=random.choice((40, 200, 1_000_000)),
        traces=random.choice((1, 8, 65_536)),
        replies=random.choice((16, 60, 262_144)),
    )


def _draw_faults(random: Random, switches: bool) -> tuple[Fault, ...]:
    apart = (Kind.WIPE, Kind.PATH, Kind.FALSE_WORD)
    kinds = [kind for kind in Kind if kind not in apart and (switches or kind not in SWITCH_KINDS)]
    # Some seeds are about few kinds of faults, which then meet more often.
    chosen = random.sample(kinds, random.choice((3, 6, len(kinds))))
    weights = [POWER_LOSS_WEIGHT if kind is Kind.POWER_LOSS else 1 for kind in chosen]
    faults = []
    for _ in range(random.randrange(LEAST_FAULTS, 28)):
        lasts = random.choice((50 * MS, 400 * MS, 1 * SECOND, 3 * SECOND, 6 * SECOND))
        kind = random.choices(chosen, weights)[0]
        at = random.randrange(FAULTS_FROM_US, FAULTS_UNTIL_US)
        faults.append(Fault(at, kind, round(lasts * random.uniform(0.5, 1.5)), random.getrandbits(32)))
    return tuple(faults)


def _draw_wipes(seed: int) -> tuple[Fault, ...]:
    """In some seeds only: until a member that lost its data is mended, members change no other way."""
    return _draw_apart(f"wipes/{seed}", Kind.WIPE, (1, 400, 3000), NUMBERS_OF_WIPES)


def _draw_paths(seed: int) -> tuple[Fault, ...]:
    """In some seeds links come to take smaller datagrams only, for a while or for ever."""
    return _draw_apart(f"paths/{seed}", Kind.PATH, (400, 3000, 60_000), NUMBERS_OF_PATHS)


def _draw_false_words(seed: int) -> tuple[Fault, ...]:
    return _draw_apart(f"false words/{seed}", Kind.FALSE_WORD, (400, 3000, 10_000), NUMBERS_OF_FALSE_WORDS)


def _draw_apart(seed: str, kind: Kind, lengths_ms: Sequence[int], numbers: Sequence[int]) -> tuple[Fault, ...]:
    """Faults of one kind, drawn apart from the others, so that seeds stay what they were."""
    random = Random(seed)
    return tuple(
        Fault(
            random.randrange(FAULTS_FROM_US, FAULTS_UNTIL_US),
            kind,
            random.choice(lengths_ms) * MS,
            random.getrandbits(32),
        )
        for _ in range(random.choice(numbers))
    )
