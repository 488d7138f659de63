"""A member as a whole, three of them in memory: with sockets, disks and a clock that a test holds in its hand."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from hosts.client.calls import Call, result
from hosts.client.protocol import ClientProtocol
from hosts.config import Address, Cluster, Group, Hints, Network, Reads
from hosts.member import MAX_LATE_TICKS, Delay, Member, MemberOutputs, lease_ticks
from hosts.net.transport import Surroundings
from hosts.net.udp import Socket
from hosts.raft.core import Ready, Role
from hosts.raft.message import Entry, HardState, Message, MessageType
from hosts.raft.snapshot import MemorySink, Snapshot
from hosts.service import values
from hosts.service.requests import Operation, Request
from hosts.storage.log_writer import Unsaved
from tests.hosts.memory_socket import MemorySocket

MEMBERS = {number: (f"10.0.0.{number}", 26410) for number in (1, 2, 3)}
CLIENT = ("10.0.0.9", 40_000)
SERVICE = "10.9.9.9"
ELECTION_TICKS = 30


class Log:
    """One that holds nothing."""

    log_id = 7
    hard_state = HardState()
    entries: tuple[Entry, ...] = ()
    snapshot: Snapshot | None = None


class Mesh:
    """Three members and a client."""

    def __init__(self, reads: Reads = Reads.QUORUM, service: str | None = None, snapshot_entries: int = 0) -> None:
        self.cluster = Cluster(
            id=1,
            port=26410,
            heartbeat_ms=50,
            election_timeout_ms=10 * ELECTION_TICKS,
            data=Path(),
            reassembly_mib=1,
            groups=(Group(1, service, MEMBERS),),
            names={},
            reads=reads,
            snapshot_entries=snapshot_entries,
        )
        self.now = 0.0
        self.overdue = 0
        self.cut: set[int] = set()
        self.carried: list[tuple[bytes, Address, Address]] = []
        self.notes: list[str] = []
        self.has_room = True
        self._sockets: dict[Address, MemorySocket] = {}
        self._disk: deque[tuple[int, int, Ready | Snapshot | Unsaved]] = deque()
        self.members = {number: self.start(number) for number in MEMBERS}
        self.protocol = ClientProtocol([MEMBERS[1]], 1, Random(5), timeout_s=1000)
        self._answers: deque[tuple[bytes, Address]] = deque()

    def start(self, number: int, *, joins: bool = False) -> Member:
        member = Member(
            self.cluster,
            number,
            MemberOutputs(
                write=lambda group, ready: self._disk.append((number, group, ready)),
                save=lambda group, snapshot: self._disk.append((number, group, self._saved(snapshot))),
                stage=lambda _: MemorySink(),
                note=self.notes.append,
                moved=lambda _: None,
                overdue_ticks=lambda: self.overdue,
            ),
            joins=joins,
            surroundings=Surroundings(lambda: self.now, self._open, lambda: 77 * number),
        )
        member.begin(1, Log(), Random(number))
        return member

    def _saved(self, snapshot: Snapshot) -> Snapshot | Unsaved:
        return snapshot if self.has_room else Unsaved(snapshot, "no room")

    def _open(self, address: Address, _largest: int, _wants_refusals: bool) -> Socket:
        self._sockets[address] = MemorySocket(lambda datagram, to: self.carry(datagram, address, to))
        return self._sockets[address]

    def carry(self, datagram: bytes, source: Address, target: Address) -> None:
        self.carried.append((datagram, source, target))
        if target == CLIENT:
            self._answers.append((datagram, source))
        elif target in self._sockets and not {number for number in self.cut if MEMBERS[number] in (source, target)}:
            self._sockets[target].waiting.append((datagram, source))

    def settle(self) -> None:
        """Until nothing is on its way."""
        while True:
            for member in self.members.values():
                member.transport.drain()
                member.groups[1].flush()
            for datagram, address in self.protocol.datagrams_to_send():
                self.carry(datagram, CLIENT, address)
            while self._answers:
                self.protocol.receive(*self._answers.popleft(), self.now)
            if self._disk:
                number, group, work = self._disk.popleft()
                self.members[number].done(group, work)
            elif not any(one.waiting for one in self._sockets.values()) and not self._answers:
                return

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += 0.01
            for member in self.members.values():
                member.tick(1)
            self.settle()

    def lead(self) -> Member:
        """Member 1, elected, with a term of its own."""
        core = self.members[1].groups[1].core
        while core.role is not Role.LEADER:
            self.cut = {1} if core.leader else set()
            self.tick()
            for number, other in self.members.items():
                if other.groups[1].core.role is Role.LEADER and number != 1:
                    self.cut = set()
                    self.tick(20)
                    other.groups[1].core.transfer(1)
                    self.settle()
        self.cut = set()
        self.tick(20)
        return self.members[1]

    def ask(self, operation: Operation, **operands: bytes) -> Call:
        call = self.protocol.submit(Request(self.protocol.nonce, operation, **operands), self.now)
        self.settle()
        return call


def elected(reads: Reads) -> tuple[Mesh, Member]:
    mesh = Mesh(reads)
    leader = mesh.lead()
    assert result(mesh.ask(Operation.PUT, key=values.encode("k"), value=values.encode(1))).value is False
    mesh.tick(10)
    return mesh, leader


def get(mesh: Mesh) -> Call:
    return mesh.ask(Operation.GET, key=values.encode("k"))


def test_a_read_under_a_lease_needs_nobody() -> None:
    mesh, _ = elected(Reads.LEASE)
    mesh.cut = {2, 3}
    assert result(get(mesh)).value == [True, 1]


def test_a_read_by_quorum_waits_for_one() -> None:
    mesh, _ = elected(Reads.QUORUM)
    mesh.cut = {2, 3}
    call = get(mesh)
    assert not call.done
    mesh.cut = set()
    mesh.tick(10)
    assert result(call).value == [True, 1]


def test_a_lease_runs_out_with_ticks_that_have_not_been_given_yet() -> None:
    mesh, _ = elected(Reads.LEASE)
    mesh.cut = {2, 3}
    mesh.overdue = lease_ticks(ELECTION_TICKS)
    assert not get(mesh).done
    mesh.overdue = 0
    assert get(mesh).done


def test_no_lease_outlasts_ticks_that_are_never_given() -> None:
    mesh, leader = elected(Reads.LEASE)
    mesh.cut = {2, 3}
    leader.tick(1, dropped=1)
    assert not get(mesh).done


def test_with_leases_no_tick_is_made_up_for() -> None:
    _, leader = elected(Reads.LEASE)
    assert leader.after_delay(1) == Delay(1, 0)
    assert leader.after_delay(10) == Delay(1, 9)
    _, other = elected(Reads.QUORUM)
    assert other.after_delay(1) == Delay(1, 0)
    assert other.after_delay(10) == Delay(1 + MAX_LATE_TICKS, 9 - MAX_LATE_TICKS)
    assert other.after_delay(3) == Delay(3, 0)


def test_nor_at_a_member_without_leases_whose_leader_relies_on_them() -> None:
    mesh, leader = elected(Reads.QUORUM)
    term = leader.groups[1].core.current_term
    mesh.members[2].step(1, Message(MessageType.APPEND_ENTRIES, 1, 2, term, round=1 << 40, lease=True))
    assert mesh.members[2].after_delay(10) == Delay(1, 9)
    mesh.tick(20)
    assert mesh.members[2].after_delay(10).given == 1 + MAX_LATE_TICKS, "it says now that it does not"


@pytest.mark.parametrize("ticks", range(6, 400, 7))
def test_a_lease_holds_for_clocks_that_differ_by_a_quarter(ticks: int) -> None:
    """While the leader's clock counts the lease and one tick more, a follower's may count a quarter more, and one
    that was due when it heard its leader."""
    least = lease_ticks(ticks)
    assert least >= 0 and (least + 1) * 1.25 + 1 <= ticks


def test_reads_through_the_log_take_an_entry() -> None:
    mesh, leader = elected(Reads.LOG)
    before = leader.groups[1].core.last_index
    assert result(get(mesh)).value == [True, 1]
    assert leader.groups[1].core.last_index == before + 1


def test_a_member_that_joins_begins_with_nothing() -> None:
    mesh = Mesh()
    assert mesh.members[3].groups[1].core.membership.voters == {1, 2, 3}
    assert mesh.start(3, joins=True).groups[1].core.membership.voters == set()
    spare = replace(mesh.cluster.groups[0], members={1: MEMBERS[1], 2: MEMBERS[2]}, spares={3: MEMBERS[3]})
    mesh.cluster = replace(mesh.cluster, groups=(spare,))
    assert mesh.start(3).groups[1].core.membership.voters == set()


@pytest.mark.parametrize("service", [SERVICE, None])
def test_the_network_is_told_by_way_of_the_service_address_or_another_member(service: str | None) -> None:
    mesh = Mesh(service=service)
    mesh.lead()
    told = {target for datagram, _, target in mesh.carried if datagram[1] == MessageType.CONFIGURATION}
    assert told == {(SERVICE, 26410)} if service else told <= set(MEMBERS.values()) and told


def test_a_snapshot_that_was_not_saved_does_not_stand_for_the_log() -> None:
    def base(has_room: bool) -> int:
        mesh = Mesh(snapshot_entries=10)
        mesh.has_room = has_room
        leader = mesh.lead()
        for number in range(30):
            mesh.ask(Operation.APPEND, value=values.encode(number))
        mesh.tick(30)
        snapshot = leader.groups[1].core.log.snapshot
        return snapshot.index if snapshot is not None else 0

    assert base(True) > 0 and base(False) == 0


@pytest.mark.parametrize(
    ("heartbeat_ms", "hints", "network", "ticks"),
    [
        (10, Hints.BOTH, Network.PLAIN, 2),
        (11, Hints.BOTH, Network.PLAIN, 3),
        (50, Hints.HOSTS, Network.P4, 8),
        (50, Hints.NETWORK, Network.P4, 8),
        (50, Hints.NETWORK, Network.PLAIN, 0),
        (50, Hints.NONE, Network.P4, 0),
    ],
)
def test_a_leader_is_asked_after_once_it_has_been_silent_for_one_and_a_half_heartbeats(
    heartbeat_ms: int, hints: Hints, network: Network, ticks: int
) -> None:
    mesh = Mesh()
    mesh.cluster = replace(mesh.cluster, heartbeat_ms=heartbeat_ms, hints=hints, network=network)
    assert mesh.start(1).groups[1].core.config.probe_ticks == ticks


def test_leaders_send_to_everybody_by_way_of_the_service_address_where_switches_copy() -> None:
    """Nobody copies here: so it stays at trials, and all goes on alone."""
    mesh = Mesh(service="10.0.100.1")
    mesh.cluster = replace(mesh.cluster, network=Network.P4)
    mesh.members = {number: mesh.start(number) for number in MEMBERS}
    leader = mesh.lead()
    config = leader.groups[1].core.config
    assert config.fanout and config.fanout_trial_ticks == 100
    mesh.tick(20)
    assert leader.groups[1].status()["counts"]["fanout_trials"] >= 1
    to = {target for _, _, target in mesh.carried}
    assert ("10.0.100.1", 26410) in to
    assert not any(shown["fanned"] for shown in leader.groups[1].status()["progress"].values())
    for cluster in (
        replace(mesh.cluster, network=Network.PLAIN),
        replace(mesh.cluster, groups=(Group(1, None, MEMBERS),)),
    ):
        mesh.cluster = cluster
        assert not mesh.start(1).groups[1].core.config.fanout
