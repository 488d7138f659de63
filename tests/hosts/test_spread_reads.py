"""Reads by members that do not lead: by the leader's index, or as old as the client takes them."""

from __future__ import annotations

import pytest

from hosts.config import TICK_MS
from hosts.raft.message import Message, MessageType
from hosts.raft.reads import PATIENCE_HEARTBEATS
from hosts.service import values
from hosts.service.requests import Operation, Outcome, Reply, Request, RequestFault
from hosts.wire import Flag, Header, WireError
from tests.hosts.groups import ELECTION_TICKS, NONCE, Trio, append, get, put

READ = int(Flag.READ)
QUESTION, ANSWER = MessageType.READ_INDEX, MessageType.READ_INDEX_REPLY


def stale(key: object, age_ms: int) -> Request:
    return Request(NONCE, Operation.GET_STALE, key=values.encode(key), age_ms=age_ms)


def read_of(reply: Reply) -> object:
    assert reply.outcome is Outcome.OK, reply
    return values.decode(reply.body)


@pytest.fixture
def trio() -> Trio:
    """Member 1 leads; session 2 is open; "k" is "old"."""
    made = Trio()
    made.elect(1)
    assert made.open(1) == 2
    assert made.do(1, 2, 1, put("k", "old")).outcome is Outcome.OK
    made.tick(count=2)
    return made


def patience(trio: Trio, member: int = 2) -> int:
    return PATIENCE_HEARTBEATS * trio.groups[member].core.config.heartbeat_ticks


def arrive(trio: Trio) -> None:
    """All that was kept on its way arrives at last."""
    trio.heal()
    late, trio.held = trio.held, []
    for message in late:
        trio.groups[message.target].step(message)
    trio.settle()


# -- the flag ------------------------------------------------------------------------------------------------------


def test_a_follower_reads_if_the_client_lets_it(trio: Trio) -> None:
    before = trio.groups[1].core.last_index
    assert read_of(trio.do(2, 2, 2, get("k"), READ)) == [True, "old"]
    lists = Request(NONCE, Operation.READ_LIST, start=0, limit=9)
    assert read_of(trio.do(3, 2, 3, lists, READ)) == [0, []]
    assert trio.groups[1].core.last_index == before, "no entry is needed"
    assert trio.groups[2].status()["counts"]["reads_follower"] == 1
    assert trio.groups[2].status()["counts"]["reads_questions_asked"] == 1
    assert trio.groups[1].status()["counts"]["reads_questions_taken"] == 2


def test_without_the_flag_a_follower_says_who_leads(trio: Trio) -> None:
    reply = trio.do(2, 2, 2, get("k"))
    assert (reply.outcome, reply.leader) == (Outcome.NOT_LEADER, 1)


@pytest.mark.parametrize(
    "request_", [put("k", 1), append(1), Request(NONCE, Operation.DELETE, key=values.encode("k"))]
)
def test_the_operation_decides_and_not_the_flag(trio: Trio, request_: Request) -> None:
    """A write that says it reads is none: a follower does not take it, and a leader carries it out."""
    reply = trio.do(2, 2, 2, request_, READ)
    assert (reply.outcome, reply.leader) == (Outcome.NOT_LEADER, 1)
    before = trio.groups[1].core.last_index
    assert trio.do(1, 2, 2, request_, READ).outcome is Outcome.OK
    assert trio.groups[1].core.last_index == before + 1


def test_opening_a_session_is_no_read(trio: Trio) -> None:
    opening = Request(NONCE + 1, Operation.OPEN_SESSION)
    assert trio.do(2, 0, NONCE + 1, opening, READ).outcome is Outcome.NOT_LEADER


def test_reads_through_the_log_are_the_leaders() -> None:
    trio = Trio(reads_through_log=True)
    trio.elect(1)
    session = trio.open(1)
    assert trio.do(2, session, 1, get("k"), READ).outcome is Outcome.NOT_LEADER
    assert read_of(trio.do(1, session, 1, get("k"), READ)) == [False, None]


def test_the_flag_is_for_requests_only() -> None:
    header = Header(MessageType.CLIENT_REQUEST, group=1, index=1, log_term=1, flags=READ)
    assert Header.unpack(header.pack()).flags == READ
    for kind in MessageType:
        if kind is not MessageType.CLIENT_REQUEST:
            with pytest.raises(WireError, match="READ"):
                Header.unpack(Header(kind, flags=READ).pack())


# -- one question for all -----------------------------------------------------------------------------------------


def test_what_waits_shares_a_question(trio: Trio) -> None:
    questions: list[Message] = []

    def pass_on(message: Message) -> bool:
        questions.extend([message] if message.type is QUESTION else [])
        return True

    trio.pass_on = pass_on
    for sequence in range(2, 12):
        trio.ask(2, 2, sequence, get("k"), flags=READ)
    trio.settle()
    assert len(trio.take_replies()) == 10 and len(questions) == 1


def test_a_lost_question_is_asked_again(trio: Trio) -> None:
    lost = [True]

    def pass_on(message: Message) -> bool:
        return message.type is not QUESTION or not lost.pop()

    trio.pass_on = pass_on
    trio.ask(2, 2, 2, get("k"), flags=READ)
    trio.settle()
    assert trio.take_replies() == []
    trio.pass_on = lambda message: True
    trio.tick(count=trio.groups[2].core.config.heartbeat_ticks)
    ((_, reply),) = trio.take_replies()
    assert read_of(reply) == [True, "old"]
    assert trio.groups[2].status()["counts"]["reads_questions_asked_again"] == 1


def test_a_retry_is_the_same_read(trio: Trio) -> None:
    trio.pass_on = lambda message: message.type is not QUESTION
    trio.ask(2, 2, 2, get("k"), flags=READ)
    trio.ask(2, 2, 2, get("k"), flags=READ)
    trio.settle()
    trio.heal()
    trio.tick(count=trio.groups[2].core.config.heartbeat_ticks)
    assert len(trio.take_replies()) == 1


def test_it_waits_until_it_has_applied_what_the_leader_had_committed(trio: Trio) -> None:
    """The index of the answer is one that the follower does not know to be committed yet."""
    trio.pass_on = lambda message: 2 not in (message.target, message.source)
    assert trio.do(1, 2, 2, put("k", "new")).outcome is Outcome.OK
    # From now on only question and answer pass between the two.
    trio.pass_on = lambda message: message.type in (QUESTION, ANSWER) or 2 not in (message.target, message.source)
    trio.ask(2, 2, 3, get("k"), flags=READ)
    trio.settle()
    assert trio.take_replies() == [], "what it holds is older than the question"
    arrive(trio)
    trio.tick(1)
    ((member, reply),) = trio.take_replies()
    assert member == 2 and read_of(reply) == [True, "new"]


def test_who_cannot_answer_in_time_says_who_leads(trio: Trio) -> None:
    trio.pass_on = lambda message: message.type is not QUESTION
    trio.ask(2, 2, 2, get("k"), flags=READ)
    trio.tick(count=patience(trio) - 1)
    assert trio.take_replies() == []
    trio.tick()
    ((member, reply),) = trio.take_replies()
    assert (member, reply.outcome, reply.leader) == (2, Outcome.NOT_LEADER, 1)
    assert trio.groups[2].status()["counts"]["reads_given_up"] == 1
    trio.heal()
    trio.tick(count=patience(trio))
    assert trio.take_replies() == [] and trio.groups[2].core.idle_ticks > 1, "nothing is left of it"


def test_who_is_told_an_index_that_it_does_not_get_gives_up_too(trio: Trio) -> None:
    trio.pass_on = lambda message: 2 not in (message.target, message.source)
    assert trio.do(1, 2, 2, put("k", "new")).outcome is Outcome.OK
    trio.pass_on = lambda message: message.type in (QUESTION, ANSWER) or 2 not in (message.target, message.source)
    trio.ask(2, 2, 3, get("k"), flags=READ)
    trio.tick(1, 3, count=1)
    trio.tick(1, 2, 3, count=patience(trio))
    ((member, reply),) = trio.take_replies()
    assert (member, reply.outcome) == (2, Outcome.NOT_LEADER)


def test_a_member_without_a_leader_gives_up(trio: Trio) -> None:
    trio.cut_off(2)
    trio.tick(2, count=2 * ELECTION_TICKS)
    trio.take_replies()
    trio.ask(2, 2, 2, get("k"), flags=READ)
    trio.tick(2, count=patience(trio))
    assert [(member, reply.outcome) for member, reply in trio.take_replies()] == [(2, Outcome.NOT_LEADER)]


def test_who_comes_to_lead_serves_what_has_waited(trio: Trio) -> None:
    trio.pass_on = lambda message: message.type is not QUESTION
    trio.ask(2, 2, 2, get("k"), flags=READ)
    trio.settle()
    trio.groups[1].core.transfer(2)
    trio.settle()
    assert trio.leads(2)
    ((member, reply),) = trio.take_replies()
    assert member == 2 and read_of(reply) == [True, "old"]


# -- as old as the client takes it ---------------------------------------------------------------------------------


def test_a_follower_reads_at_once_what_is_recent_enough(trio: Trio) -> None:
    """Its state is as old as the question whose answer it has applied."""
    assert read_of(trio.do(2, 2, 2, stale("k", 1000), READ)) == [True, "old"], "it asks, the first time"
    trio.tick(count=2)
    trio.cut_off(2)
    assert trio.do(1, 2, 3, put("k", "new")).outcome is Outcome.OK
    assert read_of(trio.do(2, 2, 4, stale("k", 1000), READ)) == [True, "old"]
    assert trio.groups[2].status()["counts"]["reads_stale"] == 1


def test_what_is_too_old_is_asked_for_first(trio: Trio) -> None:
    read_of(trio.do(2, 2, 2, stale("k", 1000), READ))
    trio.cut_off(2)
    trio.do(1, 2, 3, put("k", "new"))
    trio.tick(2, count=9)
    assert read_of(trio.do(2, 2, 4, stale("k", 10 * TICK_MS), READ)) == [True, "old"], "9 ticks, and part of one"
    trio.tick(2)
    trio.ask(2, 2, 5, stale("k", 10 * TICK_MS), flags=READ)
    trio.settle()
    assert trio.take_replies() == [], "it is older than that"
    arrive(trio)
    trio.tick(1, 2)
    ((_, reply),) = trio.take_replies()
    assert read_of(reply) == [True, "new"]


def test_the_age_counts_from_the_question_and_not_from_its_answer(trio: Trio) -> None:
    trio.pass_on = lambda message: message.type is not ANSWER
    trio.ask(2, 2, 2, get("k"), flags=READ)
    trio.settle()
    (answer,) = [message for message in trio.held if message.type is ANSWER]
    trio.tick(2, count=4)
    trio.cut_off(2)
    trio.groups[2].step(answer)
    trio.settle()
    assert len(trio.take_replies()) == 1
    assert trio.groups[2]._age_ms() == 5 * TICK_MS


def test_without_the_flag_a_follower_serves_only_what_is_recent(trio: Trio) -> None:
    assert trio.do(2, 2, 2, stale("k", 1000)).outcome is Outcome.NOT_LEADER
    read_of(trio.do(2, 2, 3, get("k"), READ))
    assert read_of(trio.do(2, 2, 4, stale("k", 1000))) == [True, "old"]


def test_a_leader_reads_at_once_after_a_round(trio: Trio) -> None:
    trio.tick(count=trio.groups[1].core.config.heartbeat_ticks)
    trio.cut_off(1)
    assert read_of(trio.do(1, 2, 2, stale("k", 100))) == [True, "old"]
    trio.tick(1, count=10)
    trio.ask(1, 2, 3, stale("k", 100))
    trio.settle()
    assert trio.take_replies() == [], "nobody has confirmed for 100 ms that it leads"


def test_time_that_was_lost_makes_every_age_unknown(trio: Trio) -> None:
    read_of(trio.do(2, 2, 2, get("k"), READ))
    assert trio.groups[2]._age_ms() is not None
    trio.groups[2].core.clock_slipped()
    assert trio.groups[2]._age_ms() is None


def test_who_does_not_know_the_session_yet_asks(trio: Trio) -> None:
    """A client must not be told that it has no session by a member that only is behind."""
    read_of(trio.do(2, 2, 2, get("k"), READ))
    trio.cut_off(2)
    opening = Request(NONCE + 1, Operation.OPEN_SESSION)
    session = values.decode(trio.do(1, 0, NONCE + 1, opening).body)
    assert isinstance(session, int)
    request = Request(NONCE + 1, Operation.GET_STALE, key=values.encode("k"), age_ms=60_000)
    trio.ask(2, session, 1, request, flags=READ)
    trio.settle()
    assert trio.take_replies() == []
    arrive(trio)
    trio.tick()
    ((_, reply),) = trio.take_replies()
    assert read_of(reply) == [True, "old"]


@pytest.mark.parametrize("age", [0, 1, 2**32 - 1])
def test_an_age_on_the_wire(age: int) -> None:
    request = stale("k", age)
    assert Request.unpack(request.pack()) == request


@pytest.mark.parametrize("age", [-1, 2**32])
def test_an_age_that_cannot_be(age: int) -> None:
    with pytest.raises(RequestFault, match="age"):
        stale("k", age).pack()


def test_a_read_of_an_age_without_its_age() -> None:
    with pytest.raises(RequestFault, match="age"):
        Request.unpack(stale("k", 1).pack()[:11])
