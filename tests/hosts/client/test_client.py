"""The client against scripted servers, and against a cluster behind a bad network."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from hosts import config
from hosts.client import calls
from hosts.client.blocking import Client, ClientError
from hosts.client.calls import NoLeader, Overloaded, Refused, Servers, SessionExpired, Timeout
from hosts.client.outgoing import send_outgoing
from hosts.net.batches import MORE, unpack_batch
from hosts.net.udp import Socket
from hosts.node import Node
from hosts.raft.message import Entry, EntryKind, MessageType
from hosts.service import sessions, values
from hosts.service.machine import Machine
from hosts.service.requests import Operation, Outcome, Reply, Request, pack_command
from hosts.service.sessions import Limits
from hosts.service.values import ValueFault
from hosts.wire import HEADER_BYTES, Flag, Header

Address = tuple[str, int]
Script = Callable[["Server", Header, Request, Address], "Reply | None"]


class Server:
    """A scripted node: ``script`` answers each request, or None for silence. Keeps a real state machine."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.machine = Machine()
        self.seen: list[tuple[Header, Request]] = []
        self.socket = udp()
        self.answers_from = self.socket
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @property
    def address(self) -> Address:
        name = self.socket.getsockname()
        return name[0], name[1]

    def execute(self, header: Header, request: Request) -> Reply:
        data = pack_command(header.log_term, header.index, header.commit, request.pack())
        entry = Entry(1, self.machine.applied_index + 1, EntryKind.COMMAND, data)
        answer = self.machine.apply(entry)
        assert answer is not None
        return answer.reply

    def run(self) -> None:
        while True:
            datagram, address = self.socket.recvfrom(2048)
            if not datagram:
                return
            whole, payload = Header.unpack(datagram), datagram[HEADER_BYTES:]
            parts = unpack_batch(payload) if whole.flags & MORE else [(whole.index, payload)]
            for sequence, part in parts:
                header, request = replace(whole, index=sequence), Request.unpack(part)
                self.seen.append((header, request))
                reply = self.script(self, header, request, address)
                if reply is not None:
                    self.send(header, reply, address)

    def send(self, header: Header, reply: Reply, address: Address, **change: Any) -> None:
        fields = {"source": 1, "group": header.group, "index": header.index, "log_term": header.log_term, **change}
        self.answers_from.sendto(Header(MessageType.CLIENT_REPLY, **fields).pack() + reply.pack(), address)

    def close(self) -> None:
        with udp() as stopper:
            while self.thread.is_alive():  # a full buffer takes nothing
                stopper.sendto(b"", self.address)
                self.thread.join(0.05)
        self.socket.close()


def udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Server]]:
    made: list[Server] = []

    def start(script: Script) -> Server:
        made.append(Server(script))
        return made[-1]

    yield start
    for server in made:
        server.close()


Serve = Callable[[Script], Server]


def obey(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
    return server.execute(header, request)


def say(outcome: Outcome, body: str = "") -> Script:
    return lambda server, header, request, address: Reply(request.nonce, outcome, body=body.encode())


def test_answers_may_come_from_another_address(serve: Serve) -> None:
    server = serve(obey)
    with udp() as other, Client([server.address], timeout_s=60) as client:
        server.answers_from = other
        result = client.append("steered")
        assert result.address == other.getsockname() and result.served_by == 1


def test_foreign_answers_are_ignored(serve: Serve) -> None:
    def confuse(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
        wrong = Reply(request.nonce ^ 1, Outcome.OK, index=99, body=values.encode(99))
        right = Reply(request.nonce, Outcome.OK, index=99, body=values.encode(99))
        server.send(header, wrong, address)
        server.send(header, right, address, index=header.index + 1)
        server.send(header, right, address, log_term=header.log_term + 1)
        server.send(header, right, address, group=header.group + 1)
        server.send(header, right, address, source=0)
        server.answers_from.sendto(b"\x01", address)
        server.answers_from.sendto(header.pack(), address)
        return server.execute(header, request)

    with Client([serve(confuse).address], timeout_s=60) as client:
        assert client.append("x").index == 2
        assert client.append("y").value == 1
        assert client.drops >= 7


def test_a_lost_answer_is_asked_for_again_under_the_same_sequence(serve: Serve) -> None:
    def lose_first(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
        reply = server.execute(header, request)
        again = [seen for seen, _ in server.seen].count(header) > 1
        return reply if again else None

    server = serve(lose_first)
    with Client([server.address], timeout_s=60) as client:
        for position in range(3):
            assert client.append(position).value == position
        assert client.read_list().value == [0, 1, 2]
    assert len(server.machine.items) == 3


def test_silence_makes_it_turn_to_another(serve: Serve) -> None:
    silent, serving = serve(lambda *_: None), serve(obey)
    with Client([silent.address, serving.address], timeout_s=60) as client:
        assert client.append(1).address == serving.address
        assert client.append(2).value == 1
    assert {header.index for header, _ in serving.seen} >= {1, 2}


def test_who_does_not_lead_says_who_does(serve: Serve) -> None:
    leader = serve(obey)
    follower = serve(say(Outcome.NOT_LEADER, f"{leader.address[0]}:{leader.address[1]}"))
    with Client([follower.address], timeout_s=60) as client:
        assert client.append(1).address == leader.address
        assert client.append(2).elapsed_s < 60
    assert len(follower.seen) == 1, "from then on the leader is asked"


def test_the_caller_may_say_whom_to_ask(serve: Serve) -> None:
    leader = serve(obey)
    other = serve(say(Outcome.NOT_LEADER, f"{leader.address[0]}:{leader.address[1]}"))
    with Client([leader.address, other.address], timeout_s=60) as client:
        client.append("to the first that is named")
        assert other.seen == []
        client.turn_to(other.address)
        assert client.append("by way of the other").address == leader.address
        assert [request.operation for _, request in other.seen] == [Operation.APPEND]


def test_a_part_of_the_list_comes_with_its_length(serve: Serve) -> None:
    with Client([serve(obey).address], timeout_s=60) as client:
        for number in range(5):
            client.append(number)
        assert client.read_part(1, 2).value == [5, [1, 2]]
        assert client.read_part(5, 2).value == [5, []]


def test_the_word_of_others_for_a_silent_leader_is_doubted(serve: Serve) -> None:
    silent, serving = serve(lambda *_: None), serve(obey)
    stubborn = serve(say(Outcome.NOT_LEADER, f"{silent.address[0]}:{silent.address[1]}"))
    with Client([stubborn.address, serving.address], timeout_s=60) as client:
        assert client.append(1).address == serving.address


def test_busy_and_lost_leadership_are_repeated(serve: Serve) -> None:
    outcomes = iter([Outcome.BUSY, Outcome.LOST_LEADERSHIP, Outcome.BUSY])

    def hesitate(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
        outcome = next(outcomes, None)
        return server.execute(header, request) if outcome is None else Reply(request.nonce, outcome)

    with Client([serve(hesitate).address], timeout_s=60) as client:
        assert client.append(1).value == 0


NOWHERE = [
    "10.0.0.1:99999",
    "10.0.0.1:0",
    "\udcff\udcfe:1",
    "localhost:1",
    "10.0.0.1:" + "9" * 900,
    "300.0.0.1:1",
    ":1",
]


@pytest.mark.parametrize("place", NOWHERE)
def test_a_leader_at_no_address_is_none(serve: Serve, place: str) -> None:
    def name(server: Server, header: Header, request: Request, address: Address) -> Reply:
        return Reply(request.nonce, Outcome.NOT_LEADER, 2, body=place.encode(errors="surrogateescape"))

    wrong = serve(name)
    with Client([wrong.address, serve(obey).address], timeout_s=60) as client:
        assert client.append("by way of the next").value == 0
    with Client([wrong.address], timeout_s=0.5) as client, pytest.raises(NoLeader, match="knows no leader"):
        client.append(1)


@pytest.mark.parametrize("body", [b"", b"\xc1", values.encode("7"), values.encode(0), values.encode(2**64)])
def test_a_result_that_is_none_is_no_answer(serve: Serve, body: bytes) -> None:
    """The numbers of sessions, and positions in the list, are numbers."""
    wrong = serve(lambda server, header, request, address: Reply(request.nonce, Outcome.OK, body=body))
    with Client([wrong.address, serve(obey).address], timeout_s=60) as client:
        assert client.append("to the next").value == 0
        assert client.drops >= 1


def test_a_server_that_gives_more_than_was_asked_for_is_not_believed(serve: Serve) -> None:
    def generous(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
        if request.operation is Operation.READ_LIST:
            return Reply(request.nonce, Outcome.OK, body=values.encode([9, [1] * (request.limit + 1)]))
        return server.execute(header, request)

    with Client([serve(generous).address], timeout_s=1) as client, pytest.raises(Timeout):
        client.read_list(limit=2)


def test_a_server_that_never_opens_a_session_is_not_asked_for_ever(serve: Serve) -> None:
    forgetful = serve(say(Outcome.UNKNOWN_SESSION))
    with (
        Client([forgetful.address], timeout_s=0.5) as client,
        pytest.raises(NoLeader, match="does not open a session"),
    ):
        client.append(1)
    assert len(forgetful.seen) < 20


def test_what_a_server_says_is_one_line(serve: Serve) -> None:
    with (
        Client([serve(say(Outcome.BAD_REQUEST, "\x1b[2Jno\nway" + "!" * 900)).address]) as client,
        pytest.raises(Refused) as refused,
    ):
        client.append(1)
    assert str(refused.value).isprintable() and "no way!" in str(refused.value) and len(str(refused.value)) < 500


def test_a_leader_that_takes_no_more_is_told_from_none(serve: Serve) -> None:
    server = serve(say(Outcome.BUSY, "too many answers are kept"))
    with (
        Client([server.address], timeout_s=0.5) as client,
        pytest.raises(Overloaded, match=r"the leader takes no more.*too many answers are kept"),
    ):
        client.append(1)


def test_no_leader_and_no_answer_are_told_apart(serve: Serve) -> None:
    clueless, silent = serve(say(Outcome.NOT_LEADER)), serve(lambda *_: None)
    with Client([clueless.address, silent.address], timeout_s=1.5) as client, pytest.raises(NoLeader) as none:
        client.append(1)
    for part in ("no quorum", "not committed", f"{clueless.address[1]} knows no leader", "no answer from"):
        assert part in str(none.value)
    serving = serve(obey)
    with Client([serving.address], timeout_s=60) as client:
        client.append(1)
        serving.script = lambda *_: None
        call = client.submit_append(2, timeout_s=0.5)
        with pytest.raises(Timeout, match=f"no answer.*{serving.address[1]}.*may still be committed"):
            client.wait(call)


def test_what_never_went_out_is_not_said_to_be_in_doubt(serve: Serve) -> None:
    """Without a session, only the request for one has been sent."""
    with Client([serve(lambda *_: None).address], timeout_s=0.5) as client:
        with pytest.raises(Timeout, match="no answer") as timeout:
            client.append(1)
        assert "may still be committed" not in str(timeout.value)


def evict(server: Server) -> None:
    """So many others open sessions that the client's is forgotten."""
    header = Header(MessageType.CLIENT_REQUEST, group=1)
    for nonce in range(server.machine.sessions.limits.sessions):
        server.execute(replace(header, index=nonce), Request(nonce, Operation.OPEN_SESSION))


def test_an_idle_client_whose_session_is_forgotten_opens_another(serve: Serve) -> None:
    server = serve(obey)
    server.machine = Machine(Limits(sessions=3))
    with Client([server.address], timeout_s=60) as client:
        for number in range(3):
            client.append(number)
            evict(server)
        assert client.put("k", "v").value is False
        evict(server)
        assert client.read_list().value == [0, 1, 2]
        assert sorted(result.value for result in client.append_many(range(3, 9), 4)) == list(range(3, 9))
    assert len([one for one, _ in server.seen if not one.log_term]) == 5, "a session after each time"


def test_a_request_that_was_never_carried_out_goes_again_however_often_it_was_sent(serve: Serve) -> None:
    server = serve(obey)
    server.machine = Machine(Limits(sessions=3))
    with Client([server.address], timeout_s=60) as client:
        client.append("before")
        evict(server)
        silent = [True, True]

        def mute(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
            reply = server.execute(header, request)
            return None if silent and silent.pop() else reply

        server.script = mute
        assert client.append("asked for three times").value == 1


@pytest.mark.parametrize("through", ["append", "append_many", "collect"])
def test_a_write_is_not_repeated_because_its_only_try_was_doubled(serve: Serve, through: str) -> None:
    """Its answer is lost, its session goes, and then the network delivers it once more."""
    server = serve(obey)
    server.machine = Machine(Limits(sessions=3))
    with Client([server.address], timeout_s=60) as client:
        client.append("before")

        def double(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
            server.execute(header, request)
            evict(server)
            server.script = obey
            return server.execute(header, request)

        server.script = double
        with pytest.raises(SessionExpired, match="not known"):
            if through == "append":
                client.append("once")
            elif through == "append_many":
                list(client.append_many(["once"], 4))
            else:
                client.result(client.collect([client.submit_append("once")])[0])
        assert client.append("after").value == 2
        assert client.read_list().value == ["before", "once", "after"]


def test_a_read_is_repeated_whatever_became_of_it(serve: Serve) -> None:
    server = serve(obey)
    with Client([server.address], timeout_s=60) as client:
        client.append("before")
        server.machine = Machine()
        assert client.read_list().value == []


def test_a_forgotten_session_without_a_trace_leaves_writes_open(serve: Serve) -> None:
    server = serve(obey)
    with Client([server.address], timeout_s=60) as client:
        client.append("before")
        server.machine = Machine()
        with pytest.raises(SessionExpired, match="not known"):
            client.append("maybe carried out by those whose data is gone")
        assert client.append("next").value == 0


def test_a_session_wrongly_called_unknown_lends_its_replies_to_nobody(serve: Serve) -> None:
    """Opened anew under the same nonce it would be the same session, whose replies would answer new requests."""
    server = serve(obey)
    with Client([server.address], timeout_s=60) as client:
        client.submit_append("kept: never collected")
        client.append("first")
        doubts = [True]

        def doubt(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
            if doubts and doubts.pop():
                return Reply(request.nonce, Outcome.SESSION_EXPIRED)
            return server.execute(header, request)

        server.script = doubt
        for value in ("second", "third"):
            client.append(value)
        held = [values.decode(item.value) for item in server.machine.items]
        assert sorted(map(str, held)) == sorted(["kept: never collected", "first", "second", "third"])


def test_given_up_sequences_are_never_carried_out_later(serve: Serve) -> None:
    server = serve(obey)
    with Client([server.address], timeout_s=60) as client:
        client.append("first")
        server.script = lambda *_: None
        call = client.submit_append("given up", timeout_s=0.3)
        with pytest.raises(ClientError):
            client.wait(call)
        server.script = obey
        client.append("after")
        (late,) = [seen for seen in server.seen if seen[0].index == 2][:1]
        assert server.execute(*late).outcome is Outcome.STALE
        assert client.read_list().value == ["first", "after"]


def test_what_no_node_carries_out(serve: Serve) -> None:
    with Client([serve(obey).address], timeout_s=60) as client:
        with pytest.raises(ValueFault):
            client.append(object())
        with pytest.raises(ValueFault, match="8388608"):
            client.append("x" * (9 << 20))
        with pytest.raises(Refused, match="67112960"):
            client.put(b"x" * (35 << 20), b"y" * (35 << 20))
        for start, limit in ((-1, 1), (0, -1), (2**64, 1)):
            with pytest.raises(Refused, match="neither can be negative"):
                client.read_part(start, limit)
        assert client.append("fine").value == 0
    with (
        pytest.raises(Refused, match="nonsense"),
        Client([serve(say(Outcome.BAD_REQUEST, "nonsense")).address]) as client,
    ):
        client.append(1)
    for bind in ("192.0.2.1", ("127.0.0.1", 99_999), "no such host.invalid"):
        with pytest.raises(ClientError, match="this machine's address"):
            Client([("127.0.0.1", 1)], bind=bind)
    with pytest.raises(ClientError, match="a port is a number from 1 to 65535"):
        Client([("127.0.0.1", 99_999)])
    with pytest.raises(ClientError, match="cannot be reached"), Client([("x" * 70, 1)], timeout_s=0.3) as client:
        client.append(1)
    with pytest.raises(ClientError, match="no address"):
        Client([])


def test_too_many_outstanding(serve: Serve) -> None:
    server = serve(obey)
    with Client([server.address], timeout_s=60) as client:
        client.append(0)
        server.script = lambda *_: None
        for number in range(sessions.MAX_OUTSTANDING):
            client.submit_append(number)
        with pytest.raises(Refused, match="outstanding"):
            client.submit_append("one more")


def test_the_flag_against_steering_and_the_own_address(serve: Serve) -> None:
    server = serve(obey)
    with udp() as spare:
        own = spare.getsockname()
    asked: list[Address] = []

    def note(server: Server, header: Header, request: Request, address: Address) -> Reply | None:
        asked.append(address)
        return server.execute(header, request)

    server.script = note
    with Client([server.address], bind=own, steer=False, timeout_s=60, group=9) as client:
        client.append(1)
    assert set(asked) == {own}
    assert all(header.flags == Flag.NO_STEER and header.group == 9 for header, _ in server.seen)
    with Client([server.address], bind="127.0.0.5", timeout_s=60) as client:
        client.append(1)
    assert asked[-1][0] == "127.0.0.5" and server.seen[-1][0].flags == 0


def test_many_outstanding(serve: Serve) -> None:
    server = serve(obey)
    with Client([server.address], timeout_s=60) as client:
        results = list(client.append_many(range(500), 64))
        assert sorted(result.value for result in results) == list(range(500))
        assert sorted(client.read_list().value) == list(range(500))
        running = [client.submit_append(number) for number in range(10)]
        done = client.collect(running, 10)
        assert len(done) == 10 and client.result(done[0]).index
        assert server.seen[-1][0].commit > 480, "the lowest unanswered sequence moves on"


def test_results_that_come_during_another_call_are_not_lost(serve: Serve) -> None:
    with Client([serve(obey).address], timeout_s=60) as client:
        kept = client.submit_append("not one of them")
        seen = [(result.value, client.put("k", result.value).value) for result in client.append_many(range(40), 8)]
        assert sorted(value for value, _ in seen) == list(range(1, 41))
        assert client.wait(kept).value == 0


def test_clients_in_different_threads_do_not_meet(serve: Serve) -> None:
    """One is in the middle of encoding a value when another sends one."""
    server = serve(obey)

    class Interrupting(dict[str, int]):
        def items(self) -> Any:
            thread = threading.Thread(target=append_x)
            thread.start()
            thread.join()
            return super().items()

    def append_x() -> None:
        with Client([server.address], timeout_s=60) as other:
            other.append("x")

    with Client([server.address], timeout_s=60) as client:
        client.append(["before", Interrupting(a=1), "after"])
        held = client.read_list().value
    assert set(map(repr, held)) == {"'x'", "['before', {'a': 1}, 'after']"}


def test_operations_are_known() -> None:
    assert {operation.name for operation in Operation} == {
        *("OPEN_SESSION", "APPEND", "PUT", "GET", "DELETE", "READ_LIST", "GET_STALE")
    }


def test_turning() -> None:
    a, b, c = ("a", 1), ("b", 1), ("c", 1)
    servers = Servers([a, b, a])
    assert servers.everyone() == [a, b]
    servers.turn()
    assert servers.current == b
    assert servers.follow(c, 0.0) and servers.current == c
    servers.turn()
    assert servers.current != c
    servers.fell_silent(c, 10.0)
    assert not servers.follow(c, 10.0 + calls.DISTRUST_S / 2)
    assert servers.follow(c, 10.1 + calls.DISTRUST_S)
    only = Servers([a])
    only.turn()
    assert only.current == a


class BadSocket:
    """A socket that loses, repeats and reorders what is sent."""

    def __init__(self, real: Socket, seed: int, loss: float) -> None:
        self.real, self.random, self.loss = real, random.Random(seed), loss
        self.held: list[tuple[bytes, Address]] = []

    def send(self, data: bytes, address: Address) -> None:
        if self.random.random() < self.loss:
            return
        self.held.append((data, address))
        if self.random.random() < 0.05:
            self.held.append((data, address))
        if self.random.random() < 0.05:
            return  # it leaves behind the next one
        while self.held:
            self.real.send(*self.held.pop())

    def send_all(self, datagrams: Sequence[bytes], address: Address) -> int:
        for data in datagrams:
            self.send(data, address)
        return len(datagrams)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("loss", [0.02, 0.1])
def test_values_of_all_sizes_through_a_bad_network(make_cluster: Callable[..., Any], loss: float) -> None:
    made = make_cluster(extra="election_timeout_ms: 600")
    cluster = config.load(made.config)
    nodes = [Node(cluster, member) for member in made.members]
    for number, node in enumerate(nodes):
        node._transport.socket = BadSocket(node._transport.socket, number, loss)  # type: ignore[assignment]
    threads = [threading.Thread(target=node.run) for node in nodes]
    for thread in threads:
        thread.start()
    try:
        sent = [1, "x" * 5000, random.Random(1).randbytes(1 << 20), *range(30), b"y" * 70_000]
        with made.client() as client:
            client._socket = BadSocket(client._socket, 9, loss)  # type: ignore[assignment]
            for value in sent:
                client.append(value)
            assert client.read_list().value == sent, "each once, in order"
    finally:
        for node in nodes:
            node.stop()
        for thread in threads:
            thread.join()
        for node in nodes:
            node.close()


class Unreachable:
    """A socket from which nothing leaves."""

    def send(self, datagram: bytes, address: Address) -> None:
        raise OSError(101, "Network is unreachable")

    def send_all(self, datagrams: Sequence[bytes], address: Address) -> int:
        return 0


@pytest.mark.parametrize("count", [1, 2])
def test_whatever_cannot_leave_is_told_with_its_reason(count: int) -> None:
    said: list[tuple[Address, str]] = []

    class Protocol:
        def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
            return [(b"x", ("10.0.0.1", 1))] * count

        def could_not_send(self, address: Address, reason: str) -> None:
            said.append((address, reason))

    send_outgoing(cast(Any, Protocol()), cast(Any, Unreachable()))
    assert said == [(("10.0.0.1", 1), "Network is unreachable")]
