"""What a client lets switches spread, and what it does where nobody answers that."""

from __future__ import annotations

from random import Random

import pytest

from hosts.client.calls import Call
from hosts.client.protocol import ClientProtocol
from hosts.config import Address
from hosts.net.batches import unpack_batch
from hosts.raft.message import MessageType
from hosts.service import values
from hosts.service.requests import Operation, Outcome, Reply, Request
from hosts.wire import HEADER_BYTES, Flag, Header

SERVICE: Address = ("10.0.100.1", 26410)
LEADER: Address = ("10.0.1.1", 26410)
FOLLOWER: Address = ("10.0.2.2", 26410)
KEY = values.encode("k")


class Asked:
    """A client with a session, and what it has sent."""

    def __init__(self, *servers: Address, spread: bool = True) -> None:
        self.protocol = ClientProtocol(servers or (SERVICE,), 1, Random(1), spread=spread)
        self.now = 0.0
        self.begin(Operation.PUT, key=KEY, value=KEY)
        ((opening, _),) = self.sent()
        self.reply(opening, body=values.encode(5))
        ((put, _),) = self.sent()
        self.reply(put, body=values.encode(False))

    def begin(self, operation: Operation, **operands: object) -> Call:
        return self.protocol.submit(Request(self.protocol.nonce, operation, **operands), self.now)  # type: ignore[arg-type]

    def sent(self) -> list[tuple[Header, Address]]:
        datagrams = self.protocol.datagrams_to_send()
        self.bodies = [datagram[HEADER_BYTES:] for datagram, _ in datagrams]
        return [(Header.unpack(datagram), address) for datagram, address in datagrams]

    def reply(
        self, to: Header, outcome: Outcome = Outcome.OK, source: int = 1, body: bytes = b"", by: Address = LEADER
    ) -> None:
        header = Header(MessageType.CLIENT_REPLY, source=source, group=1, index=to.index, log_term=to.log_term)
        payload = Reply(self.protocol.nonce, outcome, 1, 1, 1, body).pack()
        self.protocol.receive(header.pack() + payload, by, self.now)


def reads(header: Header) -> bool:
    return header.flags & Flag.READ != 0


@pytest.mark.parametrize(
    ("operation", "operands"),
    [
        (Operation.GET, {"key": KEY}),
        (Operation.GET_STALE, {"key": KEY, "age_ms": 5}),
        (Operation.READ_LIST, {"start": 0, "limit": 5}),
    ],
)
def test_what_only_reads_may_be_spread(operation: Operation, operands: dict[str, object]) -> None:
    asked = Asked()
    asked.begin(operation, **operands)
    ((header, address),) = asked.sent()
    assert reads(header) and address == SERVICE
    assert asked.protocol.counters["reads spread"] == 1


@pytest.mark.parametrize("operation", [Operation.PUT, Operation.APPEND, Operation.DELETE])
def test_what_writes_may_not(operation: Operation) -> None:
    asked = Asked()
    asked.begin(operation, key=KEY)
    ((header, _),) = asked.sent()
    assert not reads(header)


def test_a_client_that_wants_its_reads_from_the_leader() -> None:
    asked = Asked(spread=False)
    asked.begin(Operation.GET, key=KEY)
    ((header, _),) = asked.sent()
    assert not reads(header)


def test_reads_and_writes_share_no_datagram() -> None:
    asked = Asked()
    for operation in (Operation.GET, Operation.PUT, Operation.GET, Operation.APPEND):
        asked.begin(operation, key=KEY)
    (writes, _), (gets, _) = asked.sent()
    assert (reads(writes), reads(gets)) == (False, True)
    assert [[sequence for sequence, _ in unpack_batch(body)] for body in asked.bodies] == [[3, 5], [2, 4]]


def test_nor_do_they_where_they_wait_for_their_turn() -> None:
    asked = Asked()
    asked.protocol._pace.on = True
    for operation in (Operation.GET, Operation.PUT, Operation.GET, Operation.APPEND):
        asked.begin(operation, key=KEY)
    assert asked.sent() == []
    asked.now = 0.001
    asked.protocol.handle_timer(asked.now)
    (gets, _), (writes, _) = asked.sent()
    assert (reads(gets), reads(writes)) == (True, False)
    assert [[sequence for sequence, _ in unpack_batch(body)] for body in asked.bodies] == [[2, 4], [3, 5]]
    asked.now = 1.0
    asked.protocol.handle_timer(asked.now)
    asked.protocol.handle_timer(asked.now)
    again = asked.sent()
    assert again and not any(reads(header) for header, _ in again), "once is enough"


def test_a_repeated_read_is_for_the_leader() -> None:
    asked = Asked()
    call = asked.begin(Operation.GET, key=KEY)
    ((first, _),) = asked.sent()
    asked.now = 1.0
    asked.protocol.handle_timer(asked.now)
    again = asked.sent()
    assert [(header.index, reads(header)) for header, _ in again] == [(first.index, False)]
    asked.reply(first, body=values.encode([False, None]))
    assert call.done


def test_who_cannot_read_is_not_asked_again_but_the_leader_at_once() -> None:
    """The address stays: reads that come later may be spread."""
    asked = Asked()
    asked.begin(Operation.GET, key=KEY)
    ((first, _),) = asked.sent()
    asked.reply(first, Outcome.NOT_LEADER, 2, b"10.0.1.1:26410", by=FOLLOWER)
    ((again, address),) = asked.sent()
    assert again.index == first.index and not reads(again) and address == SERVICE
    asked.begin(Operation.GET, key=KEY)
    ((later, address),) = asked.sent()
    assert reads(later) and address == SERVICE


def test_a_silent_reader_is_not_taken_for_a_silent_leader() -> None:
    """Behind an address that others have answered for, the next request may meet another one."""
    asked = Asked(SERVICE, FOLLOWER)
    asked.begin(Operation.GET, key=KEY)
    asked.sent()
    asked.now = 0.3
    asked.protocol.handle_timer(asked.now)
    assert [(reads(header), address) for header, address in asked.sent()] == [(False, SERVICE)]
    asked.now = 0.6
    asked.protocol.handle_timer(asked.now)
    assert FOLLOWER in [address for _, address in asked.sent()], "nor is the leader waited for without end"


def test_a_silent_node_that_answers_for_itself_is_left_at_once() -> None:
    asked = Asked(LEADER, FOLLOWER)
    asked.begin(Operation.GET, key=KEY)
    asked.sent()
    asked.now = 0.3
    asked.protocol.handle_timer(asked.now)
    assert FOLLOWER in [address for _, address in asked.sent()]


def test_a_path_is_probed_to_whom_switches_steer() -> None:
    """They steer requests and nothing else, and nobody has the service address."""
    asked = Asked()
    asked.protocol.may_send(8972)
    asked.begin(Operation.PUT, key=KEY, value=values.encode(bytes(20_000)))
    probes = {address for header, address in asked.sent() if header.type == MessageType.CLIENT_FRAGMENT_STATUS}
    assert probes == {LEADER}
    alone = Asked(LEADER)
    alone.protocol.may_send(8972)
    alone.begin(Operation.PUT, key=KEY, value=values.encode(bytes(20_000)))
    assert {address for _, address in alone.sent()} == {LEADER}
