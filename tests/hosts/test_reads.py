"""Reads that take no log entry: answered only by who surely leads, and never with what is outdated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hosts.client.blocking import Client
from hosts.client.calls import NoLeader
from hosts.raft.message import Message, MessageType
from hosts.service import pending_reads, values
from hosts.service.requests import Operation, Outcome, Request
from tests.hosts.conftest import eventually
from tests.hosts.groups import ELECTION_TICKS, NONCE, Trio, append, get, put

BEATS = MessageType.APPEND_ENTRIES
ANSWERS = MessageType.APPEND_ENTRIES_REPLY


@pytest.fixture
def trio() -> Trio:
    """Member 1 leads; session 2 is open; "k" is "old"."""
    made = Trio()
    made.elect(1)
    assert made.open(1) == 2
    assert made.do(1, 2, 1, put("k", "old")).outcome is Outcome.OK
    return made


def test_a_read_takes_no_entry_and_names_the_last_that_it_saw(trio: Trio) -> None:
    core = trio.groups[1].core
    before = core.last_index
    reply = trio.do(1, 2, 2, get("k"))
    assert reply.outcome is Outcome.OK and values.decode(reply.body) == [True, "old"]
    assert (reply.index, reply.term) == (before, core.current_term)
    trio.do(1, 2, 3, append(7))
    reply = trio.do(1, 2, 4, Request(NONCE, Operation.READ_LIST, start=0, limit=9))
    assert values.decode(reply.body) == [1, [7]] and reply.index == core.last_index == before + 1


def test_through_the_log_if_so_wanted() -> None:
    trio = Trio(reads_through_log=True)
    trio.elect(1)
    session = trio.open(1)
    before = trio.groups[1].core.last_index
    assert values.decode(trio.do(1, session, 1, get("k")).body) == [False, None]
    assert trio.groups[1].core.last_index == before + 1


def test_one_member_is_its_own_quorum() -> None:
    trio = Trio(members=1)
    trio.elect(1)
    session = trio.open(1)
    trio.do(1, session, 1, put("k", 1))
    assert values.decode(trio.do(1, session, 2, get("k")).body) == [True, 1]


def test_one_member_answers_reads_that_come_just_before_a_heartbeat() -> None:
    """The node takes what its socket holds, then the ticks that are due, and only then does what they led to."""
    trio = Trio(members=1)
    trio.elect(1)
    session = trio.open(1)
    for number in range(20):
        trio.ask(1, session, number + 1, get("k"))
        trio.groups[1].tick()
        trio.settle()
        assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.OK], f"read {number}"


def test_a_follower_says_who_leads(trio: Trio) -> None:
    reply = trio.do(2, 2, 2, get("k"))
    assert (reply.outcome, reply.leader, reply.body) == (Outcome.NOT_LEADER, 1, b"10.0.0.1:26410")


@pytest.mark.parametrize(("session", "nonce"), [(2, NONCE + 1), (9, NONCE)])
def test_a_session_that_is_not_the_clients(trio: Trio, session: int, nonce: int) -> None:
    request = Request(nonce, Operation.GET, key=values.encode("k"))
    assert trio.do(1, session, 2, request).outcome is Outcome.UNKNOWN_SESSION


def test_what_is_no_key_is_refused(trio: Trio) -> None:
    assert trio.do(1, 2, 2, Request(NONCE, Operation.GET, key=b"\xc1")).outcome is Outcome.BAD_REQUEST


def test_nobody_reads_without_a_quorum(trio: Trio) -> None:
    """An old leader does not know of its successor, and must not answer from what it has."""
    trio.cut_off(1)
    trio.ask(1, 2, 2, get("k"))
    trio.elect(2)
    assert trio.leads(1) and trio.do(2, 2, 3, put("k", "new")).outcome is Outcome.OK
    trio.ask(1, 2, 4, get("k"))
    trio.settle()
    assert trio.take_replies() == []
    trio.tick(1, count=ELECTION_TICKS + 1)
    assert [(member, reply.outcome) for member, reply in trio.take_replies()] == [(1, Outcome.NOT_LEADER)] * 2
    assert len(trio.groups[1]._readers) == 0
    trio.heal()
    assert values.decode(trio.do(2, 2, 4, get("k")).body) == [True, "new"]


def test_answers_to_earlier_rounds_do_not_count(trio: Trio) -> None:
    """A quorum's answers to a round before the read prove nothing about the time since."""
    trio.pass_on = lambda message: message.type is not ANSWERS
    trio.tick(1, count=10)
    early = [message for message in trio.held if message.type is ANSWERS]
    assert early
    trio.cut_off(1)
    trio.elect(2)
    assert trio.do(2, 2, 2, put("k", "new")).outcome is Outcome.OK
    assert trio.leads(1)
    trio.ask(1, 2, 3, get("k"))
    trio.settle()
    for message in early:
        trio.groups[1].step(message)
        trio.settle()
    assert trio.take_replies() == []


def test_a_leader_that_hands_over_reads_nothing_outdated(trio: Trio) -> None:
    """raft-rs 234: during a transfer the successor may commit before the old leader hears of it."""
    trio.groups[1].core.transfer(2)
    from_successor: list[Message] = []

    def pass_on(message: Message) -> bool:
        late = message.source == 2 and message.target == 1
        if late:
            from_successor.append(message)
        return (not late and message.source != 1) or message.type is MessageType.TIMEOUT_NOW

    trio.pass_on = pass_on
    trio.settle()
    assert trio.leads(1) and trio.leads(2)
    assert trio.do(2, 2, 2, put("k", "new")).outcome is Outcome.OK
    trio.ask(1, 2, 3, get("k"))
    trio.settle()
    assert trio.take_replies() == []
    trio.heal()
    for message in from_successor:
        trio.groups[1].step(message)
    trio.settle()
    ((member, reply),) = trio.take_replies()
    assert (member, reply.outcome) == (1, Outcome.NOT_LEADER)


def test_a_retry_in_another_term_is_a_new_read(trio: Trio) -> None:
    """etcd 20418: an answer to the first try's round must not serve the second."""
    trio.pass_on = lambda message: message.type is not ANSWERS
    trio.ask(1, 2, 2, get("k"))
    trio.settle()
    answers = [message for message in trio.held if message.type is ANSWERS]
    assert answers
    trio.cut_off(1)
    trio.tick(1, count=ELECTION_TICKS + 1)
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.NOT_LEADER]
    trio.elect(2)
    trio.do(2, 2, 3, put("k", "new"))
    trio.heal()
    trio.tick(2, count=20)
    trio.groups[2].core.transfer(1)
    trio.tick(2, count=10)
    assert trio.leads(1) and not trio.leads(2)
    trio.pass_on = lambda message: message.type is not ANSWERS
    trio.ask(1, 2, 2, get("k"))
    trio.settle()
    for message in answers:
        trio.groups[1].step(message)
    trio.settle()
    assert trio.take_replies() == []
    trio.heal()
    trio.tick(count=10)
    ((member, reply),) = trio.take_replies()
    assert member == 1 and values.decode(reply.body) == [True, "new"]


def test_a_retry_while_the_first_waits_is_one_read(trio: Trio) -> None:
    trio.pass_on = lambda message: message.type is not ANSWERS
    trio.ask(1, 2, 2, get("k"))
    trio.ask(1, 2, 2, get("k"))
    trio.settle()
    trio.heal()
    trio.tick(count=10)
    assert len(trio.take_replies()) == 1


def test_a_read_waits_until_its_index_is_applied() -> None:
    """The commit index may be ahead of what one Ready brings to be applied."""
    trio = Trio(max_apply_bytes=1)
    trio.elect(1)
    session = trio.open(1)
    for sequence in range(1, 9):
        trio.ask(1, session, sequence, put("k", sequence))
    trio.ask(1, session, 9, get("k"))
    trio.settle()
    trio.tick(count=10)
    *_, (_, reply) = trio.take_replies()
    there, value = values.decode(reply.body)  # type: ignore[misc, union-attr]
    assert there and reply.index == trio.groups[1].machine.applied_index
    assert value == 8 or reply.index < trio.groups[1].core.last_index


def test_reads_that_wait_are_bounded_in_bytes(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a large key may wait, but not many of them, nor others beside them."""
    monkeypatch.setattr(pending_reads, "MAX_READER_BYTES", 1000)
    trio.cut_off(1)
    for sequence, size in enumerate((5000, 10), 2):
        trio.ask(1, 2, sequence, get("k" * size))
        trio.settle()  # a large key is looked through in steps
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.BUSY]
    trio.heal()
    trio.tick(count=10)
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.OK]
    trio.cut_off(1)
    for sequence in range(4, 11):
        trio.ask(1, 2, sequence, get("k" * 180))
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.BUSY] * 2
    trio.heal()
    trio.tick(count=10)
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.OK] * 5
    assert trio.do(1, 2, 11, get("k" * 900)).outcome is Outcome.OK, "what is answered holds no room"


def test_many_reads_share_rounds(trio: Trio) -> None:
    core = trio.groups[1].core
    before = core.status()["round"]
    for sequence in range(2, 102):
        trio.ask(1, 2, sequence, get("k"))
    trio.settle()
    assert len(trio.take_replies()) == 100 and core.status()["round"] == before + 1


# -- nodes ----------------------------------------------------------------------------------------------------------


def test_reads_leave_the_log_alone(cluster: Any) -> None:
    with cluster.client() as client:
        client.put("k", 1)
        before = cluster.group_status(cluster.leader())["last_index"]
        for _ in range(50):
            assert client.get("k").value == [True, 1]
        assert client.read_list().value == []
        status = cluster.group_status(cluster.leader())
    assert status["last_index"] == before and status["readers"] == 0


def test_no_quorum_no_read(cluster: Any) -> None:
    with cluster.client() as client:
        client.put("k", 1)
        leader = cluster.leader()
        cluster.kill(*[member for member in cluster.members if member != leader])
        with Client([cluster.address(leader)], timeout_s=3) as hasty, pytest.raises(NoLeader, match="no quorum"):
            hasty.get("k")


def test_a_cluster_file_may_ask_for_the_log(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster(members=1, extra="reads: log")
    made.start()
    with made.client() as client:
        before = client.put("k", 1).index
        assert client.get("k").index == before + 1


def test_reads_under_a_lease_share_the_heartbeats_rounds(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster(extra="reads: lease")
    made.start()
    with made.client() as client:
        client.put("k", 1)

        def few_rounds() -> bool:
            """For 200 reads: a leader that was not running for a while has lost its lease, and needs one."""
            before = made.group_status(made.leader())["round"]
            for _ in range(200):
                assert client.get("k").value == [True, 1]
            return bool(made.group_status(made.leader())["round"] - before < 100)

        eventually(few_rounds, "rounds that do not grow with the reads")
