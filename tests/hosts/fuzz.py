"""Hostile datagrams against real members, until something gives: ``python -m tests.hosts.fuzz [--datagrams N]``.

Three members - transport, core, state machine - run in this process over a network in memory, and do what members do:
elections, commits, large values, snapshots, changes of the members. Their datagrams are recorded. Then random ones
and mutated recorded ones come in, mostly under the address of another member. No member may raise anything. With the
cluster key, no datagram of a peer's type may change anything: neither what a look at the core shows after each, nor,
after each hundred, anything at all that core, state machine and transport hold.

``--nodes N``: so many go to real node processes on loopback, too, from the address of a member of theirs.
``--replies N``: so many hostile answers go to a client's protocol (``tests.hosts.fuzz_replies``).
``--fragments N``: so many hostile fragments and statuses go to both ends of large messages
(``tests.hosts.fuzz_fragments``).
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import random
import struct
import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import replace
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from hosts.config import Address
from hosts.group import Group, GroupOutputs
from hosts.net.fragments import Outbox
from hosts.net.seal import SEAL_BYTES, Seal
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.raft.config import Config
from hosts.raft.core import Busy, ChangeInProgress, NotLeader, Raft, Ready, Role
from hosts.raft.message import EVERYBODY, HardState, Message, MessageType
from hosts.raft.snapshot import Snapshot
from hosts.service import values
from hosts.service.requests import Operation, Reply, Request
from hosts.service.snapshots import Policy
from hosts.wire import FIRST_CLIENT_TYPE, HEADER_BYTES, MAX_DATAGRAM, Flag, Header, WireError
from tests.hosts.memory_socket import MemorySocket

GROUP = 1
MEMBERS = (1, 2, 3)
PORT = 26410
ADDRESSES: dict[int, Address] = {member: (f"10.0.0.{member}", PORT) for member in MEMBERS}
SERVICE: Address = ("10.0.0.100", PORT)
CLIENT: Address = ("10.0.9.9", 40000)
KEY = bytes(range(32))
CLUSTER = 7
TICK_S = 0.01
RECORDED = 4000
PER_EPOCH = 1000
"""Datagrams between two times that the cluster goes on with its work."""

SOON_TICKS = 1000
DEEP_EVERY = 100
NUMBERS = (0, 1, 2, 3, 7, 255, 256, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)

Recorded = tuple[bytes, Address, int]
"""A datagram, where it came from, and the member that it was sent to."""


class Member:
    """One member, whose disk is done at once."""

    def __init__(self, number: int, mesh: Mesh, key: bytes | None, chance: random.Random) -> None:
        self.number = number
        self.socket = MemorySocket(lambda datagram, address: mesh.carry(datagram, ADDRESSES[number], address))
        self._written: list[tuple[int, Ready | Snapshot]] = []
        seal = None if key is None else Seal(key, CLUSTER, 1)
        self.transport = Transport(
            number,
            ADDRESSES[number],
            CLUSTER,
            {GROUP: {one: place for one, place in ADDRESSES.items() if one != number}},
            4 << 20,
            Handlers(
                lambda _, message: self.group.step(message),
                self._on_request,
                self._on_large_request,
                lambda _, member, quoted: self.group.unreachable(member, quoted),
                lambda _, term, cause: self.group.hint(term, cause),
            ),
            Surroundings(lambda: mesh.now, lambda *_: self.socket, lambda: chance.getrandbits(64)),
            seal,
            hints=True,
            services={GROUP: SERVICE},
        )
        self._chance = chance
        config = Config(
            id=number,
            members=frozenset(MEMBERS),
            snapshot_chunk_bytes=3000,
            addresses=dict.fromkeys(MEMBERS, b""),
        )
        outputs = GroupOutputs(
            send=self._send,
            write=lambda group, ready: self._written.append((group, ready)),
            reply=self.transport.send_client,
            note=lambda text: None,
            save=lambda group, snapshot: self._written.append((group, snapshot)),
            tell_network=lambda group, message: self.transport.tell_network(
                group, message, ADDRESSES[number % 3 + 1]
            ),
        )
        core = Raft(config, HardState(), (), random.Random(chance.getrandbits(64)))
        self.group = Group(GROUP, core, ADDRESSES, outputs, snapshots=Policy(40))

    def _send(self, group: int, message: Message) -> None:
        """Some of what the leader appends goes to everybody: it is as true for the others."""
        if message.type is MessageType.APPEND_ENTRIES and self._chance.random() < 0.3:
            others = tuple(one for one in MEMBERS if one != self.number)
            message = replace(message, target=EVERYBODY, receivers=others)
        self.transport.send_peer(group, message)

    def _on_request(self, header: Header, payload: bytes, address: Address) -> None:
        self.group.request(header, payload, address)

    def _on_large_request(self, header: Header, start: bytes, address: Address) -> bool:
        return self.group.refuse(header, start, address)

    def turn(self) -> None:
        """Take what has come and do what it leads to."""
        while self.socket.waiting:
            self.transport.drain()
        self.group.flush()
        while self._written:
            written, self._written = self._written, []
            for _, work in written:
                if isinstance(work, Snapshot):
                    self.group.saved(work)
                else:
                    self.group.durable(work)
            self.group.flush()
        while self.group.busy:
            self.group.flush()

    def look(self) -> tuple[Any, ...]:
        """What an unauthenticated datagram would change first, fast."""
        core, log = self.group.core, self.group.core.log
        leadership = core._leadership
        progress: Iterable[Any] = () if leadership is None else leadership._progress.values()
        return (
            (core.current_term, core.voted_for, core.role, core.leader, core._elapsed, core._heard_ago),
            (log.last_index, log.last_term, log.commit_index, log.durable_index, log.truncations, log.base_index),
            (len(core._out.now), len(core._out.after), self.group.machine.applied_index, core._timeout),
            [(one.match_index, one.next_index, one.contact_tick, one.answered_round, one.offset) for one in progress],
            len(self.transport._guests),
        )

    def everything(self) -> int:
        """A hash of all that core, state machine and the peers' side of the transport hold."""
        transport = self.transport
        seen: set[int] = set()
        parts: list[Any] = []
        for held in (
            self.group.core,
            self.group.machine,
            transport._peers,
            transport._guests,
            transport._peer_inbox._messages,
            transport._seal._windows if transport._seal is not None else None,
        ):
            _walk(held, parts, seen)
        return hash(tuple(parts))


_SKIPPED = (FunctionType, MethodType, BuiltinFunctionType, type)


def _walk(held: Any, parts: list[Any], seen: set[int]) -> None:
    """All atoms that can be reached from here, in a fixed order."""
    if held is None or isinstance(held, int | float | str | bytes | enum.Enum):
        parts.append(held)
        return
    if isinstance(held, _SKIPPED) or id(held) in seen:
        return
    seen.add(id(held))
    parts.append(type(held).__name__)
    if isinstance(held, random.Random):
        parts.append(held.getstate())
    elif isinstance(held, dict | OrderedDict):
        for key, value in held.items():
            _walk(key, parts, seen)
            _walk(value, parts, seen)
    elif isinstance(held, list | tuple | deque):
        for one in held:
            _walk(one, parts, seen)
    elif isinstance(held, set | frozenset):
        parts.append(frozenset(held))
    elif isinstance(held, memoryview):
        parts.append(bytes(held))
    else:
        names = [name for kind in type(held).__mro__ for name in getattr(kind, "__slots__", ())]
        names += sorted(getattr(held, "__dict__", {}))
        for name in names:
            _walk(getattr(held, name, None), parts, seen)


class Mesh:
    """The three members, the network between them, and a client."""

    def __init__(self, chance: random.Random, *, key: bytes | None) -> None:
        self.now = 0.0
        self.chance = chance
        self.recorded: dict[int, deque[Recorded]] = {number: deque(maxlen=RECORDED) for number in MEMBERS}
        """What came to each member."""
        self.cut_off: set[int] = set()
        self._sequence = 0
        self._session = 0
        self._client_outbox = Outbox(chance.getrandbits(64))
        self._nonce = chance.getrandbits(64) | 1
        self.members = {number: Member(number, self, key, chance) for number in MEMBERS}

    def carry(self, datagram: bytes, source: Address, target: Address) -> None:
        """On the network, which is fast and loses nothing but what those send and get who are cut off."""
        if target == SERVICE:
            # To all or none: another's copy brings what everybody was sent, late, to whom its own was lost.
            for number, address in ADDRESSES.items() if not self.cut_off else ():
                if address != source:
                    self.carry(datagram[:4] + bytes((number,)) + datagram[5:], source, address)
            return
        for number, address in ADDRESSES.items():
            if address == target:
                sender = next((one for one, place in ADDRESSES.items() if place == source), 0)
                if number not in self.cut_off and sender not in self.cut_off:
                    self.recorded[number].append((datagram, source, number))
                    self.members[number].socket.waiting.append((datagram, source))
                return
        self._to_client(datagram)

    def _to_client(self, datagram: bytes) -> None:
        header = Header.unpack(datagram)
        if header.type == MessageType.CLIENT_REPLY and not header.is_fragment and not header.flags & Flag.REJECT:
            reply = Reply.unpack(datagram[HEADER_BYTES:])
            if header.log_term == 0:
                self._session = int(values.decode(reply.body))

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += TICK_S
            for member in self.members.values():
                member.group.tick()
                member.transport.poll()
            for _ in range(200):
                for member in self.members.values():
                    member.turn()
                if not any(member.socket.waiting for member in self.members.values()):
                    break

    def leader(self) -> Member | None:
        leading = [one for one in self.members.values() if one.group.core.role is Role.LEADER]
        return max(leading, key=lambda one: one.group.core.current_term, default=None)

    def ask(self, operation: Operation, key: bytes = b"", value: bytes = b"") -> None:
        """A request to who leads, whole or in fragments; the answer is not waited for."""
        target = (self.leader() or self.members[self.chance.choice(MEMBERS)]).number
        self._sequence += 1
        sequence = self._nonce if operation is Operation.OPEN_SESSION else self._sequence
        session = 0 if operation is Operation.OPEN_SESSION else self._session
        payload = Request(self._nonce, operation, key, value).pack()
        header = Header(
            MessageType.CLIENT_REQUEST,
            group=GROUP,
            index=sequence,
            log_term=session,
            commit=max(0, sequence - 5) if session else 0,
        )
        if HEADER_BYTES + len(payload) <= MAX_DATAGRAM:
            self.carry(header.pack() + payload, CLIENT, ADDRESSES[target])
            return
        outbox = Outbox(self.chance.getrandbits(64))
        outbox.add(header, payload, self.now)
        for datagram in outbox.poll(self.now):
            self.carry(datagram, CLIENT, ADDRESSES[target])

    def commit(self) -> int:
        return max(member.group.core.commit_index for member in self.members.values())

    def goes_on(self, commit: int) -> bool:
        """Whether more than ``commit`` is committed, soon: votes may split a few times."""
        for _ in range(SOON_TICKS):
            if self.commit() > commit:
                break
            self.tick()
        return self.commit() > commit

    def work(self) -> None:
        """A stretch of a cluster's life, of all that it may do."""
        chance = self.chance
        if not self._session:
            self.tick(80)
            self.ask(Operation.OPEN_SESSION)
            self.tick(3)
        what = chance.randrange(6)
        leader = self.leader()
        if what == 0 and leader is not None:
            self.cut_off = {leader.number}
            self.tick(90)
        elif what == 1 and leader is not None:
            self.cut_off = {leader.number % 3 + 1}
            for number in range(60):
                self.ask(Operation.APPEND, value=values.encode(number))
                self.tick()
        elif what == 2 and leader is not None:
            with contextlib.suppress(Busy, NotLeader, ValueError):
                leader.group.core.transfer(leader.number % 3 + 1)
            self.tick(10)
        elif what == 3 and leader is not None:
            with contextlib.suppress(Busy, NotLeader, ChangeInProgress, ValueError):
                leader.group.core.change_membership(learners={chance.choice((4, 5)): b""})
            self.tick(10)
        self.cut_off = set()
        for number in range(12):
            self.ask(
                Operation.PUT, values.encode(number % 5), values.encode(chance.randbytes(chance.choice((8, 3000))))
            )
            self.ask(Operation.GET, values.encode(number % 5))
            self.tick()
        self.tick(8)


def mutate(mesh: Mesh, chance: random.Random, target: Member) -> tuple[bytes, Address]:
    """A datagram as nobody should send it, and the address that it claims to come from."""
    kind = chance.randrange(12)
    others = [ADDRESSES[one] for one in MEMBERS if one != target.number]
    source = chance.choice([*others, *others, CLIENT, ADDRESSES[target.number], ("10.0.0.4", PORT), ("10.0.0.1", 1)])
    if kind == 0:
        return chance.randbytes(chance.choice((0, 1, 39, 40, 41, 72, chance.randrange(1500)))), source
    if kind == 1:
        fields = [1, chance.randrange(20), chance.choice((0, 0, 1, 2, 16, 32, 34, 48, 63))]
        fields += [chance.randrange(5), target.number, 0]
        numbers = [chance.choice(NUMBERS) for _ in range(4)]
        head = struct.pack(">6BH4Q", *fields, chance.choice((GROUP, GROUP, 257)), *numbers)
        return head + chance.randbytes(chance.randrange(80)), source
    came_to = target.number if chance.random() < 0.85 else chance.choice(MEMBERS)
    datagram, came_from, _ = chance.choice(mesh.recorded[came_to] or mesh.recorded[target.number])
    if chance.random() < 0.8:
        source = came_from
    data = bytearray(datagram)
    if kind == 2:
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 3:
        del data[chance.randrange(len(data)) :]
    elif kind == 4:
        data += chance.randbytes(chance.randrange(1, 60))
    elif kind in (5, 6):
        at = 8 + 8 * chance.randrange(4)
        number = int.from_bytes(data[at : at + 8], "big") + chance.choice((-1, 1, 2, 100))
        data[at : at + 8] = (chance.choice(NUMBERS) if kind == 5 else number % 2**64).to_bytes(8, "big")
    elif kind == 7:
        data[chance.randrange(8)] = chance.randrange(256)
    elif kind == 8:
        # Another's message under this one's name: a vote for another candidate, an acknowledgement by somebody else.
        data[4] = target.number
        if chance.random() < 0.5:
            data[3] = chance.choice([one for one in MEMBERS if one != target.number])
            source = ADDRESSES[data[3]]
        data[2] ^= chance.choice((0, 0, int(Flag.FANOUT), int(Flag.REJECT)))
    elif kind == 9:
        other = chance.choice(mesh.recorded[target.number])[0]
        cut = chance.choice((8, 24, HEADER_BYTES, HEADER_BYTES + 16, len(data) - SEAL_BYTES))
        data = data[: max(0, cut)] + bytearray(other[max(0, cut) :])
    elif kind == 10 and len(data) > HEADER_BYTES + 20:
        at = chance.randrange(HEADER_BYTES, len(data) - 8)
        data[at : at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
    # else: the very same again, late
    return bytes(data), source


def is_for_clients(datagram: bytes) -> bool:
    """A client's message may change what it likes: clients need no key."""
    try:
        return Header.unpack(datagram).type >= FIRST_CLIENT_TYPE
    except WireError:
        return False


def in_process(count: int, seed: int, *, key: bytes | None) -> Counter[str]:
    """Throw ``count`` datagrams at members; why they were dropped. AssertionError if one changed what it must not."""
    chance = random.Random(f"{seed}/{key is not None}")
    mesh = Mesh(chance, key=key)
    drops: Counter[str] = Counter()
    done = 0
    while done < count:
        before = mesh.commit()
        mesh.work()
        if not mesh.goes_on(before) or (key is None and mesh.commit() > 2**40):
            assert key is None, f"with the key, the cluster goes on whatever comes (seed {seed}, after {done})"
            mesh = Mesh(chance, key=key)  # without it, forged messages may well have stopped this one
            continue
        target = mesh.members[chance.choice(MEMBERS)]
        everything = target.everything()
        mesh.cut_off = set(MEMBERS)  # nobody answers, and what is recorded has all been delivered
        for number in range(min(PER_EPOCH, count - done)):
            datagram, source = mutate(mesh, chance, target)
            look = target.look()
            target.socket.waiting.append((datagram, source))
            target.transport.drain()
            if key is None:
                target.turn()
            elif is_for_clients(datagram):
                target.turn()
                everything = 0
            else:
                assert target.look() == look, f"seed {seed}: {datagram.hex()} from {source} changed {look}"
            if key is not None and number % DEEP_EVERY == 0:
                now = target.everything()
                assert everything in (0, now), f"seed {seed}: one of {DEEP_EVERY} before {done} changed something"
                everything = now
            done += 1
        mesh.cut_off = set()
        drops += target.transport.drops
        target.transport.drops.clear()
    return drops


def retargeted_vote(key: bytes | None) -> bool:
    """Two candidates in one term; the vote that the third gives the first is sent on to the second. Whether that one
    counts it."""
    mesh = Mesh(random.Random(1), key=key)
    for one in (1, 2):
        core = mesh.members[one].group.core
        core.current_term = 4
        core._become_candidate()
        mesh.members[one].turn()
    assert [mesh.members[one].group.core.role for one in (1, 2)] == [Role.CANDIDATE] * 2
    third = mesh.members[3]
    request = next(one for one in mesh.recorded[3] if one[1] == ADDRESSES[1])
    third.socket.waiting.clear()
    third.socket.waiting.append((request[0], ADDRESSES[1]))
    third.turn()
    vote = next(one for one in mesh.recorded[1] if one[1] == ADDRESSES[3])[0]
    second = mesh.members[2]
    second.socket.waiting.clear()
    second.socket.waiting.append((vote, ADDRESSES[3]))
    second.transport.drain()
    assert second.group.core.role is Role.CANDIDATE, "misdelivered, it counts for nobody"
    second.socket.waiting.append((vote[:4] + bytes((2,)) + vote[5:], ADDRESSES[3]))
    second.transport.drain()
    return second.group.core.role is not Role.CANDIDATE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datagrams", type=int, default=1_000_000, help="half with the key, half without")
    parser.add_argument("--nodes", type=int, default=20_000, help="more for real node processes")
    parser.add_argument("--replies", type=int, default=500_000, help="answers for a client's protocol")
    parser.add_argument("--fragments", type=int, default=1_000_000, help="and statuses; half with the key")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    assert not retargeted_vote(KEY), "a vote for another candidate was counted"
    print(f"seed {options.seed}; a vote sent on to another candidate is not counted with the key")
    for key, name in ((KEY, "with the key"), (None, "without a key")):
        began = time.monotonic()
        drops = in_process(options.datagrams // 2, options.seed, key=key)
        took = time.monotonic() - began
        print(f"{name}: {options.datagrams // 2:,} datagrams in {took:.0f} s, no crash; dropped:")
        print("  " + ", ".join(f"{reason} {count:,}" for reason, count in drops.most_common()))
    if options.nodes:
        from tests.hosts import fuzz_processes

        for with_key in (True, False):
            print(fuzz_processes.run(options.nodes // 2, options.seed, with_key=with_key))
    if options.replies:
        from tests.hosts import fuzz_replies

        began = time.monotonic()
        ends = fuzz_replies.run(options.replies, options.seed)
        took = time.monotonic() - began
        print(f"a client: {options.replies:,} answers in {took:.0f} s, no crash; calls ended as:")
        print("  " + ", ".join(f"{name} {count:,}" for name, count in ends.most_common()))
    if options.fragments:
        from tests.hosts import fuzz_fragments

        for key, name in ((KEY, "with the key"), (None, "without a key")):
            began = time.monotonic()
            ends = fuzz_fragments.run(options.fragments // 2, options.seed, key)
            took = time.monotonic() - began
            print(
                f"large messages {name}: {options.fragments // 2:,} fragments and statuses in {took:.0f} s, no crash:"
            )
            print("  " + ", ".join(f"{what} {count:,}" for what, count in ends.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
