"""One seed: everything put together, run, and judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from controller.decisions import Decisions
from controller.desired import Write, diff
from hosts.client.calls import Call
from hosts.config import Address
from hosts.net.udp import Refusal
from hosts.raft.core import Raft, Role
from hosts.raft.message import EntryKind, Message, MessageType
from hosts.service import values
from hosts.service.requests import Operation
from hosts.wire import pack_peer
from linearizability import linear
from sim.client import Client, Hoarder, Rover
from sim.control_plane import ControlPlane
from sim.events import MS, SECOND
from sim.fabric import Fabric, SimSwitch
from sim.faults.false_gathering import FalseGathering
from sim.faults.forger import OWN_PORT, Forger, Victims
from sim.faults.hostile import Hostile, is_forged
from sim.faults.limiting import Limiting
from sim.faults.nemesis import Nemesis
from sim.network import Network
from sim.node import Node
from sim.observer import Observer
from sim.plan import END_US, FAULTS_UNTIL_US, LEARNING, LEAST_OPERATIONS, Plan, draw
from sim.scene import Scene
from sim.trace import describe
from sim.violation import Violation
from sim.workload import KEYS, Eager, History, Hoard, Worker

ELECTION_TIMEOUTS_TO_COMMIT = 10
"""After the faults have ended, a new value commits within so many."""

MENDING_US = 30 * SECOND
"""Within that time after the faults have ended a member that lost its data is one again."""

LONGEST_US = 180 * SECOND
EARLIER_LIFE_US = 800 * MS
"""By then the switches are programmed."""

_HOARDER_PORT = 49_999
_EAGER_PORT = 49_998
_PROBE_PORT = 50_000


Record = Callable[["World", "Options"], Observer]
"""What makes whoever looks on at a run."""


@dataclass(slots=True)
class Result:
    """What became of a seed. ``failure`` is "" if all held."""

    seed: int
    counts: Counter[str]
    digest: str
    plan: str
    failure: str = ""
    rule: str = ""
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Options:
    """What is the same for all seeds. ``program``: the compiled raft.p4."""

    program: Path
    optimize: str = "-O2"


def run(seed: int, options: Options, *, trace: bool = False, record: Record | None = None) -> Result:
    """Simulate one seed."""
    return run_plan(draw(seed), options, trace=trace, record=record)


def run_plan(plan: Plan, options: Options, *, trace: bool = False, record: Record | None = None) -> Result:
    """Simulate what a plan says."""
    world = World(plan, options, trace=trace)
    observer = record(world, options) if record is not None else None
    result = Result(plan.seed, world.counts, "", plan.describe())
    try:
        world.run()
    except Violation as violation:
        result.failure, result.rule = str(violation), violation.rule
        world.trace.note(world.events.now, "FAILED", str(violation))
    except (Exception, RecursionError) as error:
        # A crash of the code under test is a finding like any other.
        result.failure, result.rule = f"{type(error).__name__}: {error}", "no exception"
        result.lines = _frames(error)
        world.trace.note(world.events.now, "FAILED", result.failure)
    for client in world.clients:
        world.counts.update(client.counts())
    result.digest = world.trace.digest()
    if observer is not None:
        observer.end(result.failure, result.rule, result.digest)
    result.lines = world.trace.lines + result.lines
    return result


def _frames(error: BaseException) -> list[str]:
    import traceback

    return traceback.format_exception(error)


class World:
    """All that there is under one seed."""

    def __init__(self, plan: Plan, options: Options, *, trace: bool) -> None:
        self.plan = plan
        self.scene = scene = Scene(plan, trace=trace)
        self.events, self.counts, self.trace = scene.events, scene.counts, scene.trace
        self.watches, self.member_addresses = scene.watches, scene.member_addresses
        topology = plan.topology
        self._port = topology.port
        self.network = Network(scene, self._deliver, self._deliver_refusal, self._host_is_up)
        self.fabric: Fabric | None = None
        if plan.switches:
            self.fabric = Fabric(scene, options.program, options.optimize, self.network.from_switch)
            self.network.into_switches = self.fabric.from_host
        self.control = ControlPlane(scene, self.fabric)
        self._forgers_host = Random(f"forger's host/{plan.seed}").choice(topology.clients or topology.members)
        self.victims = Victims(str(topology.host(self._forgers_host).ip), self.counts)
        hosts = {topology.member_id(name): name for name in topology.members}
        self.nodes = {
            member: Node(scene, self.network, self.victims, member, hosts[member], address)
            for member, address in self.member_addresses.items()
        }
        self._nodes_by_host = {node.host: node for node in self.nodes.values()}
        self._receivers: dict[tuple[str, int], Callable[[bytes, Address], None]] = {}
        self.histories = {group.id: History() for group in topology.groups}
        self.clients: list[Client] = []
        self.nemesis = Nemesis(scene, self.nodes, self.network, self.fabric, self.control)

    # -- running ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """All of it. Raises Violation."""
        self.scene.note("plan", self.plan.describe())
        for trait in self.plan.traits():
            self.counts[f"seeds {trait}"] += 1
        if self.fabric is not None:
            for switch in self.fabric.switches.values():
                switch.start(0)
            self.control.start_controller()
        if self.plan.earlier_term:
            self.events.run(EARLIER_LIFE_US)
            self._earlier_life()
            self.events.run(EARLIER_LIFE_US + 50 * MS)
        for node in self.nodes.values():
            node.start()
        self._start_clients()
        self._limit_a_client()
        hostile = Hostile(self.scene, self.network, self.fabric, self.nodes)
        false_gathering = None
        if self.fabric is not None:
            false_gathering = FalseGathering(self.scene, self.network, self.fabric, self.nodes)
        forger = self._start_forger()
        self.nemesis.plan_all()
        until = FAULTS_UNTIL_US
        self.events.run(until)
        while self.counts["operations"] < LEAST_OPERATIONS and until < LONGEST_US:
            until += SECOND
            self.events.run(until)
        hostile.stop()
        forger.stop()
        if false_gathering is not None:
            false_gathering.stop()
        self.nemesis.heal()
        self._check_liveness()
        self._await_mending()
        self.events.run(max(END_US - 4 * SECOND, self.events.now + SECOND))
        self.scene.quiet = True
        self.events.run(max(END_US, self.events.now + 4 * SECOND))
        if self.counts["operations"] < LEAST_OPERATIONS:
            raise Violation("enough to do", f"{self.counts['operations']} operations only")
        self._check_end()
        for switch in self.switches().values():
            switch.collect()
            switch.pipeline.close()

    def _earlier_life(self) -> None:
        """The last words of the leaders of a cluster whose data are gone: switches remember its terms."""
        plan = self.plan
        for group in plan.topology.groups:
            leader = min(group.members)
            for member in group.members:
                beat = Message(MessageType.APPEND_ENTRIES, leader, member, plan.earlier_term)
                header, payload = pack_peer(beat, group=group.id, cluster=plan.topology.cluster)
                host, address = group.members[leader], self.member_addresses[member]
                if member != leader:
                    self.network.enter(host, plan.topology.port, address, header.pack() + payload)

    def _start_forger(self) -> Forger:
        plan, host = self.plan, self._forgers_host
        random = Random(f"forger/{plan.seed}")
        group = random.choice(plan.topology.groups)
        servers = [self.member_addresses[member] for member in group.members]
        client = Client(self.scene, self.network, "forger", host, OWN_PORT, group.id, servers, steer=True)

        def send(port: int, target: Address, datagram: bytes) -> None:
            self.counts["forged requests"] += 1
            self.network.enter(host, port, target, datagram)

        forger = Forger(self.events, random, client, group.id, servers, plan.hostile_us, send)
        self._receivers[host, OWN_PORT] = forger.receive
        return forger

    def _start_clients(self) -> None:
        plan, topology = self.plan, self.plan.topology
        random = Random(f"clients/{plan.seed}")
        hosts = topology.clients or topology.members
        widths = random.choices((1, 2, 4), (2, 1, 1), k=plan.clients)
        think_us = sum(widths) * SECOND // plan.operations_per_s
        readers = Random(f"readers/{plan.seed}")
        for number, width in enumerate(widths):
            group = topology.groups[number % len(topology.groups)]
            servers = [self.member_addresses[member] for member in group.members]
            random.shuffle(servers)
            if plan.switches and group.service is not None and random.random() < 0.4:
                servers = [(str(group.service), topology.port), *servers]
            steer = random.random() < 0.8
            host, port = hosts[number % len(hosts)], 40_000 + number
            if plan.spreads and group.service is not None and readers.random() < 0.6:
                # By other addresses none would be spread.
                servers, steer = [(str(group.service), topology.port)], True
            spread = readers.random() < 0.9
            kind = Rover if plan.roving and readers.random() < 0.7 else Client
            name = f"c{number + 1}"
            client = self._client(kind, name, host, port, group.id, servers, steer=steer, spread=spread)
            Worker(self.scene, client, self.histories[group.id], width, think_us)
        if plan.hoarder_think_us:
            group = topology.groups[0]
            servers = [self.member_addresses[member] for member in group.members]
            hoarder = self._client(Hoarder, "hoarder", hosts[0], _HOARDER_PORT, group.id, servers, steer=True)
            Hoard(self.scene, hoarder, self.histories[group.id], 4, plan.hoarder_think_us)

    def _limit_a_client(self) -> None:
        limit, group = self.plan.limit, self.plan.topology.groups[0]
        if limit is None or self.fabric is None:
            return
        Limiting(self.scene, self.fabric, self.control, limit)
        servers = [self.member_addresses[member] for member in group.members]

        def begin() -> None:
            client = self._client(Client, "eager", limit.host, _EAGER_PORT, group.id, servers, steer=True)
            Eager(self.scene, client, self.histories[group.id], 4, limit.until_us)

        self.events.at(limit.from_us, begin)

    def _client(
        self,
        kind: type[Client],
        name: str,
        host: str,
        port: int,
        group: int,
        servers: list[Address],
        *,
        steer: bool,
        spread: bool = True,
    ) -> Client:
        client = kind(self.scene, self.network, name, host, port, group, servers, steer=steer, spread=spread)
        self._receivers[host, port] = client.receive
        self.clients.append(client)
        return client

    def _check_liveness(self) -> None:
        """Now that all is well, a new value commits soon, and a read is answered."""
        slowest = max(self.plan.tick_us.values()) / (10 * MS)
        limit = round(ELECTION_TIMEOUTS_TO_COMMIT * self.plan.election_us * slowest)
        began = self.events.now
        before = {number: len(watch.committed) for number, watch in self.watches.items()}
        wanted = {}
        unread = set(self.watches)
        for number, watch in self.watches.items():
            for at, member in enumerate(watch.members):
                host = (self.plan.topology.clients or self.plan.topology.members)[0]
                port = _PROBE_PORT + 100 * number % 10_000 + at
                name = f"probe {number}.{member}"
                servers = [self.member_addresses[member]]
                client = self._client(Client, name, host, port, number, servers, steer=False)
                operation = self.histories[number].begin(name, "append", None, name)
                wanted[name] = number
                client.submit(Operation.APPEND, 1e9, self._ending(number, operation), value=values.encode(name))
                operation = self.histories[number].begin(name, "get", KEYS[0], None)
                client.submit(Operation.GET, 1e9, self._ending(number, operation, unread), key=values.encode(KEYS[0]))
        late = set(wanted)
        while late or unread:
            self.events.run(self.events.now + 10 * MS)
            for number, start in before.items():
                for entry in self.watches[number].committed[start:]:
                    if entry.kind is EntryKind.COMMAND:
                        late -= {name for name in late if wanted[name] == number and name.encode() in entry.data}
                if any(group == number and name not in late for name, group in wanted.items()):
                    late -= {name for name, group in wanted.items() if group == number}
                before[number] = len(self.watches[number].committed)
            if (late or unread) and self.events.now - began > limit:
                groups = sorted({wanted[name] for name in late} or unread)
                what = "value" if late else "read"
                raise Violation(
                    "liveness",
                    f"no new {what} of group {groups} within {limit / SECOND:.1f} s of the last fault's end; "
                    + "; ".join(self._roles(number) for number in groups),
                )
        self.counts["ms to commit after faults"] += (self.events.now - began) // MS

    def _await_mending(self) -> None:
        """A member that has lost its data is named by a leader, and comes back as a newcomer."""
        until = self.events.now + MENDING_US
        wiping = self.nemesis.wiping
        while wiping.victim is not None:
            self.events.run(self.events.now + 100 * MS)
            if self.events.now > until:
                raise Violation(
                    "a wiped member is named and mended",
                    f"{wiping.victim.host}; " + "; ".join(map(self._roles, wiping.victim.watches)),
                )

    def _ending(
        self, number: int, operation: linear.Operation, unread: set[int] | None = None
    ) -> Callable[[Call], None]:
        def done(call: Call) -> None:
            if call.reply is not None and not call.reply.outcome:
                if unread is not None:
                    unread.discard(number)
                self.histories[number].end(
                    operation, tuple(call.value) if isinstance(call.value, list) else call.value
                )

        return done

    def _roles(self, number: int) -> str:
        parts = []
        for node in self.nodes.values():
            if number not in node.disks:
                continue
            if node.process is None:
                parts.append(f"{node.host} down")
                continue
            core = node.process.groups[number].core
            parts.append(f"{node.host} {core.role.value} term {core.current_term} commit {core.commit_index}")
        return ", ".join(parts)

    # -- the end ------------------------------------------------------------------------------------------------

    def _check_end(self) -> None:
        for number, watch in self.watches.items():
            for node in self.nodes.values():
                if number not in node.disks or not watch.takes_part(node.member):
                    continue
                assert node.process is not None
                machine = node.process.groups[number].machine
                if machine.applied_index != len(watch.committed):
                    watch.fail(
                        "all catch up",
                        f"{node.host} has applied {machine.applied_index} of {len(watch.committed)}; "
                        + self._roles(number),
                    )
            anomalies = linear.check(self.histories[number].operations)
            if anomalies:
                watch.fail("linearizable", "; ".join(map(str, anomalies)))
            self.counts["log entries"] += len(watch.committed)
        self._check_switches()
        self._check_disks()

    def _check_switches(self) -> None:
        """Every switch holds what the controller wants, and the controller knows who leads."""
        if self.control.controller is None:
            return
        decisions = self.control.controller.decisions
        for switch in self.switches().values():
            until = self.events.now + SECOND  # what was decided just now is still being written
            while wrong := self._wrong_entries(decisions, switch):
                if self.events.now >= until:
                    text = "; ".join(f"{write.operation.value} {write.entry}" for write in wrong[:3])
                    raise Violation("switches are programmed", f"{switch.name} lacks: {text}")
                self.events.run(self.events.now + 20 * MS)
        self._check_leaders(decisions)

    def _wrong_entries(self, decisions: Decisions, switch: SimSwitch) -> list[Write]:
        """The writes that a switch's entries lack."""
        return list(diff(decisions.desired(switch.name, self.events.now / SECOND), switch.entries()))

    def _check_leaders(self, decisions: Decisions) -> None:
        for number, watch in self.watches.items():
            leads = [core for core in self._cores(number) if core.role is Role.LEADER]
            latest = max(leads, key=lambda core: core.current_term, default=None)
            held = decisions.leaders[number]
            if latest is None or not decisions.features >= LEARNING:
                continue
            if latest.membership.everyone() == {latest.id} and not held.leader:
                continue  # alone it sends no heartbeats, which switches could learn from
            if (held.leader, held.term) != (latest.id, latest.current_term):
                what = f"{latest.id} leads term {latest.current_term}"
                watch.fail(
                    "the controller knows the leader", f"{what}; it believes in {held.leader}, term {held.term}"
                )

    def _cores(self, number: int) -> Iterator[Raft]:
        for node in self.nodes.values():
            if node.process is not None and number in node.disks:
                yield node.process.groups[number].core

    def _check_disks(self) -> None:
        """What every disk holds, once more, after a last loss of power."""
        for node in self.nodes.values():
            node.crash(power=True, random=Random(0))
            node.open_logs()
            self.counts["writes without room"] += sum(disk.refusals for disk in node.disks.values())
            for number, watch in self.watches.items():
                if number in node.disks and watch.takes_part(node.member):
                    held = watch.disks[node.member].entries[: len(watch.committed)]
                    if held != watch.committed:
                        watch.fail("committed is durable", f"{node.host}'s disk differs at the end")

    # -- what its parts tell each other ---------------------------------------------------------------------------

    def _deliver(self, host: str, port: int, datagram: bytes, source: Address) -> None:
        """A datagram has arrived at a host."""
        node = self._nodes_by_host.get(host)
        if node is not None and port == self._port:
            if is_forged(datagram) and self.scene.guarded:
                raise Violation("the guard holds", f"a forged message reached {host}: {describe(datagram)}")
            if node.process is not None:
                node.process.receive(datagram, source)
            elif node.host_is_up:
                self.network.refuse(host, port, source, datagram)
            return
        receiver = self._receivers.get((host, port))
        if receiver is not None:
            receiver(datagram, source)

    def _host_is_up(self, host: str) -> bool:
        """Whether a host's kernel runs, whatever its member's process does."""
        node = self._nodes_by_host.get(host)
        return node is None or node.host_is_up

    def _deliver_refusal(self, host: str, port: int, refusal: Refusal) -> None:
        """An answer to a datagram has reached the socket that sent it, if it is still there."""
        node = self._nodes_by_host.get(host)
        if node is not None and port == self._port and node.process is not None:
            node.process.hear_refusal(refusal)

    def switches(self) -> dict[str, SimSwitch]:
        """All switches, by name."""
        return self.fabric.switches if self.fabric is not None else {}
