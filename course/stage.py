"""A run by hand: a small cluster in the simulator, in which what befalls it is scripted, not drawn.

It is the simulator's own world: the nodes' code, the compiled raft.p4, the controller's decisions, promises checked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from controller.names import DropReason
from hosts.addresses import pack_address
from hosts.client.calls import Call
from hosts.config import Address, Hints
from hosts.raft.core import Raft, Role
from hosts.service import values
from hosts.service.requests import Operation
from hosts.service.sessions import Limits
from sim.client import Client
from sim.events import MS, SECOND
from sim.plan import SENT_BY_LEADERS, Plan
from sim.world import Options, World
from topo import topology

GROUP = 1
_PATIENCE_S = 30.0
_FIRST_PORT = 40_000


def plan(seed: int, name: str, *, switches: bool = True, slow_clock: int = 0, one_at_a_time: bool = False) -> Plan:
    """A plan without faults, disturbance or clients. ``slow_clock``: that member's clock runs slow by a fifth.
    ``one_at_a_time``: a leader sends each member one entry, and waits for the answer. Followers wait for a silent
    leader as Raft's paper says, whatever its host knows of its end, and a leader sends to each by itself: lessons are
    about that."""
    found = topology.find(name)
    return Plan(
        seed=seed,
        topology=found,
        switches=switches,
        features=frozenset(SENT_BY_LEADERS),
        tick_us={member: (12 if member == slow_clock else 10) * MS for member in range(1, len(found.members) + 1)},
        disk_us=200,
        segment_bytes=64_000,
        core_options={"max_entries_per_append": 1, "max_inflight": 1} if one_at_a_time else {},
        clients=0,
        operations_per_s=1,
        hoarder_think_us=0,
        patience_s=_PATIENCE_S,
        large_values=0.0,
        limits=Limits(),
        snapshot_entries=0,
        kept_entries=0,
        trouble=0.0,
        client_trouble=0.0,
        turn_at_once=1.0,
        hostile_us=SECOND,
        lease_ticks=0,
        unleased=frozenset(),
        earlier_term=0,
        faults=(),
        sealed=False,
        hints=Hints.NONE,
        flushes=0,
        effort=64,
        step_bytes=16 << 10,
    )


class NotSo(Exception):
    """A run did not come as its script needs it: another seed may."""


class _World(World):
    """A world in which clients are added one by one."""

    def add_client(self, name: str, host: str, servers: list[Address], *, steer: bool) -> Client:
        port = _FIRST_PORT + len(self.clients)
        return self._client(Client, name, host, port, GROUP, servers, steer=steer)


class Stage:
    """One run, and what a script does to it. Times are in milliseconds since its beginning."""

    def __init__(self, plan: Plan, options: Options) -> None:
        self.world = _World(plan, options, trace=False)
        self.plan = plan
        self._hosts = {node.host: node for node in self.world.nodes.values()}
        self._clients: dict[str, Client] = {}

    # -- time ---------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> float:
        return self.world.events.now / MS

    def network_up(self, ms: int = 300) -> None:
        """Switches and controller start, and have time to be programmed."""
        for switch in self.world.switches().values():
            switch.start(0)
        self.world.control.start_controller()
        self.wait(ms)

    def wait(self, ms: float) -> None:
        """Time passes."""
        self.world.events.run(self.world.events.now + round(ms * MS))

    def _do(self, happen: Callable[[], None]) -> None:
        """Something happens at once, as an event of the run: so a recorder looks on."""
        self.world.events.after(0, happen)
        self.wait(0)

    def until(self, what: str, holds: Callable[[], bool], ms: int = 5000) -> None:
        """Time passes until something is so. Raises NotSo if it does not come about."""
        last = self.now_ms + ms
        while not holds():
            if self.now_ms > last:
                raise NotSo(f"not within {ms} ms: {what}")
            self.wait(1)

    # -- members ------------------------------------------------------------------------------------------------

    def core(self, host: str) -> Raft:
        """The Raft core of a member that lives."""
        process = self._hosts[host].process
        if process is None:
            raise NotSo(f"{host} is down")
        return process.groups[GROUP].core

    def start(self, *hosts: str) -> None:
        """Members' processes start; all, if none is named."""
        for host in hosts or self._hosts:
            self._do(self._hosts[host].start)

    def kill(self, host: str) -> None:
        """A member's process ends at once, as by kill -9."""
        self._do(partial(self._hosts[host].crash, power=False, random=Random(0)))

    def leads(self, host: str) -> bool:
        """Whether a member lives and leads."""
        process = self._hosts[host].process
        return process is not None and process.groups[GROUP].core.role is Role.LEADER

    def leader(self) -> str:
        """Who leads, in the highest term; "" if nobody does."""
        leading = [(self.core(host).current_term, host) for host in self._hosts if self.leads(host)]
        return max(leading)[1] if leading else ""

    def elect(self, above: int = 0, ms: int = 5000) -> str:
        """Wait for a leader of a term above another one."""
        self.until("a leader", lambda: self.leader() != "" and self.core(self.leader()).current_term > above, ms)
        return self.leader()

    def must(self, holds: bool, what: str) -> None:
        """Raises NotSo if a run is not as its script needs it."""
        if not holds:
            raise NotSo(what)

    def ask(self, host: str, do: Callable[[Raft], None]) -> None:
        """An operator asks a member something."""
        process = self._hosts[host].process
        if process is None:
            raise NotSo(f"{host} is down")
        self._do(partial(process.asked, GROUP, do))

    def places(self, *hosts: str) -> dict[int, bytes]:
        """Member ids and addresses, as a change of members names them."""
        return {self._hosts[host].member: pack_address(self._hosts[host].address) for host in hosts}

    # -- the network --------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """A line that the recording shows."""
        self.world.scene.note("lesson", text)

    def part(self, *sides: tuple[str, ...]) -> None:
        """Hosts of different sides do not reach each other."""
        cut = self.world.network.conditions.cut
        for side in sides:
            for other in sides:
                if side is not other:
                    cut.update(dict.fromkeys(((a, b) for a in side for b in other), 1))

    def mute(self, host: str) -> None:
        """What a host sends is lost."""
        cut = self.world.network.conditions.cut
        cut.update({(host, one.name): 1 for one in self.plan.topology.hosts if one.name != host})

    def join(self) -> None:
        """All reach each other."""
        self.world.network.conditions.cut.clear()
        self.world.network.conditions.slow.clear()

    def slow(self, a: str, b: str, ms: float) -> None:
        """What two hosts send each other is late."""
        self.world.network.conditions.slow.update({(a, b): round(ms * MS), (b, a): round(ms * MS)})

    def cut_links(self, *switches: str) -> None:
        """The links of these switches to others lose everything."""
        fabric = self.world.fabric
        assert fabric is not None
        for link in self.plan.topology.links:
            if link.a in switches or link.b in switches:
                fabric.cut[link.a, link.a_port] += 1
                fabric.cut[link.b, link.b_port] += 1

    def mend_links(self) -> None:
        """All links work."""
        assert self.world.fabric is not None
        self.world.fabric.cut.clear()

    def raw(self, host: str, frame: bytes) -> None:
        """A host sends a frame of its own making."""
        self._do(partial(self.world.network.raw, host, frame))

    def dropped(self, reason: DropReason) -> int:
        """Packets that switches have dropped for a reason."""
        total = 0
        for switch in self.world.switches().values():
            (drops,) = [name for name in switch.pipeline.program.counters if name.endswith(".drops")]
            total += switch.pipeline.counter(drops, reason)[0]
        return total

    # -- clients ------------------------------------------------------------------------------------------------

    def client(self, name: str, host: str, first: str, *, steer: bool = True) -> None:
        """A client on a host, that asks one member first."""
        addresses = self.world.member_addresses
        (group,) = self.plan.topology.groups
        members = sorted(group.members, key=lambda member: group.members[member] != first)
        servers = [addresses[member] for member in members]
        self._clients[name] = self.world.add_client(name, host, servers, steer=steer)

    def put(self, name: str, key: str, value: str) -> list[Call]:
        """A client writes; the list holds the call once it is done."""
        done: list[Call] = []
        self._clients[name].submit(
            Operation.PUT, _PATIENCE_S, done.append, key=values.encode(key), value=values.encode(value)
        )
        return done

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing happens any more."""
        for switch in self.world.switches().values():
            switch.pipeline.close()
