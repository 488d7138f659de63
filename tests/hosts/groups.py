"""Three groups in memory: real cores and state machines, a network and disks that a test holds in its hand."""

from __future__ import annotations

import random
from collections.abc import Callable

from hosts.config import Address
from hosts.group import Group, GroupOutputs
from hosts.net.batches import MORE
from hosts.raft.config import Config
from hosts.raft.core import Raft, Ready, Role
from hosts.raft.message import HardState, Message, MessageType
from hosts.service import values
from hosts.service.requests import Operation, Outcome, Reply, Request
from hosts.wire import Header

CLIENT: Address = ("10.9.9.9", 40000)
NONCE = 77
ELECTION_TICKS = 30


class Trio:
    """Members 1, 2, 3. ``pass_on`` says of each message whether it arrives; what does not is in ``held``."""

    def __init__(self, members: int = 3, *, reads_through_log: bool = False, max_apply_bytes: int = 4 << 20) -> None:
        self.pass_on: Callable[[Message], bool] = lambda message: True
        self.held: list[Message] = []
        self.told: list[Message] = []
        """What the network has been told."""
        self.replies: list[tuple[int, Header, Reply]] = []
        self.batches: list[tuple[Header, bytes]] = []
        """Replies that share datagrams."""
        self._mail: list[Message] = []
        self._disks: list[tuple[int, Ready]] = []
        self.groups: dict[int, Group] = {}
        everyone = range(1, members + 1)
        addresses = {member: (f"10.0.0.{member}", 26410) for member in everyone}
        for member in everyone:
            config = Config(
                id=member,
                members=frozenset(everyone),
                election_timeout_ticks=ELECTION_TICKS,
                max_apply_bytes=max_apply_bytes,
            )
            core = Raft(config, HardState(), (), random.Random(member))
            outputs = GroupOutputs(
                send=lambda _, message: self._mail.append(message),
                write=lambda _, ready, member=member: self._disks.append((member, ready)),
                reply=lambda header, payload, _, member=member: self._take_reply(member, header, bytes(payload[:])),
                note=lambda text: None,
                tell_network=lambda _, message: self.told.append(message),
            )
            self.groups[member] = Group(1, core, addresses, outputs, reads_through_log=reads_through_log)

    def _take_reply(self, member: int, header: Header, payload: bytes) -> None:
        if header.flags & MORE:
            self.batches.append((header, payload))
        else:
            self.replies.append((member, header, Reply.unpack(payload)))

    def settle(self, *, to_the_end: bool = True) -> None:
        """Until nothing is on its way, and, ``to_the_end``, nobody has anything to do."""
        while True:
            for group in self.groups.values():
                group.flush()
                while to_the_end and group.busy:
                    group.flush()
            if not self._mail and not self._disks:
                return
            disks, self._disks = self._disks, []
            for member, ready in disks:
                self.groups[member].durable(ready)
            mail, self._mail = self._mail, []
            for message in mail:
                if self.pass_on(message):
                    self.groups[message.target].step(message)
                else:
                    self.held.append(message)

    def tick(self, *members: int, count: int = 1) -> None:
        for _ in range(count):
            for member in members or self.groups:
                self.groups[member].tick()
            self.settle()

    def elect(self, member: int) -> None:
        """``member`` campaigns, alone, once the others have forgotten whom they followed."""
        others = [other for other in self.groups if other != member]
        for _ in range(50):
            if self.leads(member):
                return
            for _ in range(2 * ELECTION_TICKS):
                self.groups[member].tick()
                for other in others:
                    if self.groups[other].core.idle_ticks > 1 and not self.leads(other):
                        self.groups[other].tick()
                self.settle()
                if self.leads(member):
                    return
        raise AssertionError(f"member {member} was not elected")

    def leads(self, member: int) -> bool:
        return self.groups[member].core.role is Role.LEADER

    def cut_off(self, member: int) -> None:
        """Nothing reaches ``member`` and nothing leaves it."""
        self.pass_on = lambda message: member not in (message.source, message.target)

    def heal(self) -> None:
        self.pass_on = lambda message: True

    def ask(
        self, member: int, session: int, sequence: int, request: Request, lowest: int = 0, flags: int = 0
    ) -> None:
        """A client's request arrives; ``settle`` has it dealt with. ``lowest``: what the client waits for still, 0 if
        for nothing else."""
        commit = lowest or sequence
        kind = MessageType.CLIENT_REQUEST
        header = Header(kind, group=1, index=sequence, log_term=session, commit=commit, flags=flags)
        self.groups[member].request(header, request.pack(), CLIENT)

    def take_replies(self) -> list[tuple[int, Reply]]:
        """(member, reply) of all answers since the last call."""
        taken, self.replies = self.replies, []
        return [(member, reply) for member, _, reply in taken]

    def do(self, member: int, session: int, sequence: int, request: Request, flags: int = 0) -> Reply:
        """A request that is answered at once."""
        self.ask(member, session, sequence, request, flags=flags)
        self.settle()
        ((served_by, reply),) = self.take_replies()
        assert served_by == member
        return reply

    def open(self, member: int) -> int:
        reply = self.do(member, 0, NONCE, Request(NONCE, Operation.OPEN_SESSION))
        assert reply.outcome is Outcome.OK
        session = values.decode(reply.body)
        assert isinstance(session, int)
        return session


def put(key: object, value: object) -> Request:
    return Request(NONCE, Operation.PUT, key=values.encode(key), value=values.encode(value))


def get(key: object) -> Request:
    return Request(NONCE, Operation.GET, key=values.encode(key))


def append(value: object) -> Request:
    return Request(NONCE, Operation.APPEND, value=values.encode(value))
