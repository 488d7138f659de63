"""A member: its transport, and a core with its state machine for each of its groups, put together.

The node runs it with a socket, threads and a clock; the simulator runs the same object without. Whoever runs it
drains the transport, gives ticks, hands back what the disk has done, and flushes the groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, Protocol

from hosts.addresses import pack_address
from hosts.config import TICK_MS, Acknowledgements, Address, Cluster, Reads
from hosts.group import PACE, Group, GroupOutputs, Pace
from hosts.net.seal import Seal
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.raft.config import Config
from hosts.raft.core import Raft, Ready
from hosts.raft.message import Entry, HardState, Message, Quoted
from hosts.raft.patience import Cause
from hosts.raft.snapshot import Sink, Snapshot
from hosts.service.machine import Machine
from hosts.service.requests import Encoded
from hosts.service.retries import Receiving
from hosts.service.snapshots import KEEP_ENTRIES, Policy
from hosts.storage.log_writer import Done, Unsaved
from hosts.storage.moves import Moves
from hosts.wire import Header

MAX_LATE_TICKS = 3
"""Ticks made up for after a delay. A process that was stopped for longer treats the time as not passed: it first
hears what the others have to say before its own timers may run out."""

SNAPSHOT_PACE_TICKS = 4
"""A chunk of 256 KiB takes a leader's processor for about 5 ms: an eighth of the time at most, while it has other
work."""


FANOUT_TRIAL_MS = 1000
"""Between two trials of a leader whether the network's copies reach those whom it serves alone."""


class Delay(NamedTuple):
    """What becomes of ticks that are overdue: how many are given at once, and how many never."""

    given: int
    dropped: int


def lease_ticks(election_timeout_ticks: int) -> int:
    """How long a lease counts (thesis, section 6.4.1): almost three quarters of the election timeout, so that it
    holds while the fastest member's clock runs at most a quarter faster than the slowest one's. A loop takes
    datagrams before the tick that is due: that is one tick less than what ``Config.lease_ticks`` allows."""
    return max(0, min(election_timeout_ticks * 3 // 4 - 2, election_timeout_ticks - 4))


class StoredLog(Protocol):
    """What a group begins with."""

    @property
    def log_id(self) -> int: ...
    @property
    def hard_state(self) -> HardState: ...
    @property
    def entries(self) -> Sequence[Entry]: ...
    @property
    def snapshot(self) -> Snapshot | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOutputs:
    """Whom a member calls: its disk, people, and whoever keeps the time."""

    write: Callable[[int, Ready], None]
    """Makes a Ready's part durable; ``Member.done`` is called then."""
    save: Callable[[int, Snapshot], None]
    """Makes a snapshot durable; ``Member.done`` is called then."""
    stage: Callable[[int], Sink]
    """Makes a place for the data of a group's snapshot, made here or received."""
    note: Callable[[str], None]
    """Takes a line for people."""
    moved: Callable[[int], None]
    """Told when a group has committed where the members are that had moved."""
    overdue_ticks: Callable[[], int]
    """How many ticks have passed on the clock and have not been given to ``tick`` yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What no cluster file says. ``core``: fields of ``hosts.raft.config.Config`` with other values than usual."""

    core: Mapping[str, Any] = field(default_factory=dict)
    keep_entries: int = KEEP_ENTRIES
    pace: Pace = PACE
    make_core: type[Raft] = Raft


_SURROUNDINGS = Surroundings()
_TUNING = Tuning()


class Member:
    """Give ``begin`` each group's log; then it may be drained, ticked and flushed."""

    def __init__(
        self,
        cluster: Cluster,
        number: int,
        outputs: MemberOutputs,
        *,
        joins: bool = False,
        seal: Seal | None = None,
        surroundings: Surroundings = _SURROUNDINGS,
        tuning: Tuning = _TUNING,
    ) -> None:
        """Opens the socket. ``number``: the member's id. ``joins``: it begins with nothing, like a spare. Raises
        OSError if its address cannot be bound."""
        self.number = number
        self.groups: dict[int, Group] = {}
        self._cluster = cluster
        self._outputs = outputs
        self._joins = joins
        self._tuning = tuning
        self._clock = surroundings.clock
        peers = {
            group.id: {one: place for one, place in {**group.members, **group.spares}.items() if one != number}
            for group in cluster.groups_of(number)
        }
        self.transport = Transport(
            number,
            cluster.address_of(number),
            cluster.id,
            peers,
            cluster.reassembly_mib << 20,
            Handlers(self.step, self.request, self.refuse, self.unreachable, self.hint, self.is_news),
            surroundings,
            seal,
            cluster.mtu,
            refusals=cluster.hints.from_hosts,
            hints=cluster.takes_hints,
            gathers=cluster.gathers,
            services={
                group.id: service
                for group in cluster.groups_of(number)
                if (service := cluster.copying_service(group)) is not None
            },
        )

    def begin(
        self,
        group: int,
        log: StoredLog,
        random: Random,
        *,
        moves: Moves | None = None,
        machine: Machine | None = None,
    ) -> Group:
        """Begin a group with what its log holds. ``random`` draws election timeouts; ``moves``: members that are not
        where the log says; ``machine``: an empty one."""
        cluster, born = self._cluster, self._cluster.group(group)
        core = self._tuning.make_core(
            self._config(group, log.log_id),
            log.hard_state,
            log.entries,
            random,
            log.snapshot,
            Receiving(
                lambda: self._outputs.stage(group),
                lambda text: self._outputs.note(f"group {group}: {text}"),
                lambda: int(self._clock() * 1000 / TICK_MS),
            ).sink,
        )
        self.groups[group] = Group(
            group,
            core,
            {**born.members, **born.spares},
            GroupOutputs(
                send=self.send,
                write=self._outputs.write,
                reply=self.transport.send_client,
                note=self._outputs.note,
                save=self._outputs.save,
                stage=self._outputs.stage,
                learned=self.transport.set_members,
                tell_network=self._tell_network,
                moved=self._outputs.moved,
                overdue_ticks=self._outputs.overdue_ticks,
                clock=self._clock,
            ),
            reads_through_log=cluster.reads is Reads.LOG,
            snapshots=Policy(cluster.snapshot_entries, cluster.snapshot_mib << 20, self._tuning.keep_entries),
            machine=machine,
            name_of=cluster.name_of,
            moves=moves,
            pace=self._tuning.pace,
        )
        return self.groups[group]

    def _config(self, group: int, log_id: int) -> Config:
        cluster, born = self._cluster, self._cluster.group(group)
        members = {} if self._joins or self.number in born.spares else dict(born.members)
        timeout, heartbeat = -(-cluster.election_timeout_ms // TICK_MS), -(-cluster.heartbeat_ms // TICK_MS)
        usual = {
            "election_timeout_ticks": timeout,
            "election_spread_ticks": -(-cluster.election_timeout_ms // (2 * TICK_MS)),
            "heartbeat_ticks": heartbeat,
            "probe_ticks": -(-3 * heartbeat // 2) if cluster.listens_for_ends else 0,
            "lease_ticks": lease_ticks(timeout) if cluster.reads is Reads.LEASE else 0,
            "snapshot_pace_ticks": SNAPSHOT_PACE_TICKS,
            "fanout": cluster.copying_service(born) is not None,
            "fanout_trial_ticks": FANOUT_TRIAL_MS // TICK_MS,
            "gather": cluster.gathers,
            "lazy_acknowledgements": cluster.acknowledgements is Acknowledgements.LAZY,
        }
        return Config(
            id=self.number,
            members=frozenset(members),
            addresses={member: pack_address(address) for member, address in members.items()},
            log_id=log_id,
            **{**usual, **self._tuning.core},
        )

    # -- what happens -------------------------------------------------------------------------------------------

    def after_delay(self, overdue: int) -> Delay:
        """What a loop does that finds so many ticks overdue, the one that is due now among them.

        With leases nothing is made up for: a follower that hears its leader, and is given ticks right after that have
        passed before, would take its promise back too early.
        """
        promised = any(group.core.is_promised for group in self.groups.values())
        made_up = 0 if promised else MAX_LATE_TICKS
        given = min(overdue, 1 + made_up)
        return Delay(given, overdue - given)

    def tick(self, count: int, dropped: int = 0) -> None:
        """Tell every group that ``count`` ticks have passed. ``dropped`` ticks before them are never given."""
        groups = self.groups.values()
        for group in groups if dropped else ():
            group.core.clock_slipped()
        for group in groups:
            group.ticks(count)
        self.transport.poll()

    def done(self, group: int, work: Done) -> None:
        """What was given to the disk is there, or could not be written."""
        if isinstance(work, Snapshot):
            self.groups[group].saved(work)
        elif isinstance(work, Unsaved):
            self.groups[group].not_saved(work.snapshot, work.why)
        else:
            self.groups[group].durable(work)

    def step(self, group: int, message: Message) -> None:
        """A message from another member has arrived."""
        self.groups[group].step(message)

    def is_news(self, header: Header, round: int) -> bool:
        """Whether an acknowledgement that another member's packet has brought says more than is known."""
        core = self.groups[header.group].core
        return core.is_news(header.source, header.term, header.index, round)

    def unreachable(self, group: int, member: int, quoted: Quoted) -> None:
        """The host of another member says that nobody is there to take the reply that it quotes."""
        self.groups[group].unreachable(member, quoted)

    def hint(self, group: int, term: int, cause: Cause) -> None:
        """The network's controller hints that the leader of ``term`` has ended."""
        self.groups[group].hint(term, cause)

    def request(self, header: Header, payload: Encoded, address: Address) -> None:
        """A client's request has arrived whole."""
        self.groups[header.group].request(header, payload, address)

    def refuse(self, header: Header, start: bytes, address: Address) -> bool:
        """The first fragment of a client's large request has arrived. True if it is answered already."""
        return self.groups[header.group].refuse(header, start, address)

    def send(self, group: int, message: Message) -> None:
        """A group sends a message to another member."""
        self.transport.send_peer(group, message)

    def _tell_network(self, group: int, message: Message) -> None:
        """By way of the service address, which only switches know, or else of another member."""
        service = self._cluster.group(group).service
        others = [place for one, place in sorted(self.groups[group].addresses.items()) if one != self.number]
        if service is not None:
            self.transport.tell_network(group, message, (service, self._cluster.port))
        elif others:
            self.transport.tell_network(group, message, others[0])
