"""Questions for an index that ride on answers to a leader, and its answers that ride on its AppendEntries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hosts.raft.core import Raft
from hosts.raft.message import EVERYBODY, Answers, Message, MessageType, Question
from hosts.raft.reads import Answering, AskingCounts
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    HEARTBEAT_TICKS,
    answer,
    drain,
    only,
    readies,
    settled_leader,
    tick,
)
from tests.raft.test_fanout import cluster, others
from tests.raft.test_read_index import ANSWER, QUESTION, asked, follower, question_to, served, told


def beat(raft: Raft, answers: Answers | None = None, round: int = 5, **changed: int) -> Message:
    """A heartbeat of the leader that a member follows."""
    message = Message(APPEND, raft.leader, raft.id, raft.current_term, commit=1, round=round, answers=answers)
    return replace(message, **changed)  # type: ignore[arg-type]


def riding(raft: Raft) -> list[Question | None]:
    """What the answers to AppendEntries ask that leave now; nothing asks alone."""
    out = drain(raft)
    assert not only(out, QUESTION)
    return [one.question for one in only(out, APPEND_REPLY)]


def knowing_follower() -> tuple[Raft, int]:
    """A follower that knows that its leader takes what rides, and the number of its last question."""
    raft = follower()
    raft.read_here()
    question = asked(raft)
    assert question.more, "it says that it takes what rides"
    raft.step(replace(told(question), more=True))
    assert len(served(raft)) == 1
    return raft, question.round


# -- who asks ------------------------------------------------------------------------------------------------------


def test_a_question_rides_on_an_answer_that_leaves_at_the_same_time_and_its_answer_brings_the_next() -> None:
    raft, last = knowing_follower()
    first = raft.read_here()
    raft.step(beat(raft))
    assert riding(raft) == [Question(last + 1)]
    second = raft.read_here()
    assert riding(raft) == [], "one at a time"
    raft.step(beat(raft, Answers(7, ((1, last + 1), (3, 99)))))
    out = readies(raft)
    assert [read for ready in out for read in ready.reads] == [(first, 7)]
    (reply,) = only([one for ready in out for one in ready.messages], APPEND_REPLY)
    assert reply.question == Question(last + 2)
    raft.step(beat(raft, Answers(8, ((1, last + 2),))))
    assert served(raft) == [(second, 8)]
    counts = raft.asking_counts
    assert (counts.asked, counts.asked_along, counts.answered, counts.void) == (3, 2, 3, 0)


def test_a_question_goes_alone_where_nothing_leaves() -> None:
    raft, last = knowing_follower()
    raft.read_here()
    assert asked(raft).round == last + 1


def test_answers_to_others_and_to_other_questions_serve_nothing() -> None:
    raft, last = knowing_follower()
    raft.read_here()
    assert asked(raft).round == last + 1
    for answers in (Answers(7, ((3, last + 1),)), Answers(7, ((1, last),)), Answers(7, ())):
        raft.step(beat(raft, answers))
        assert served(raft) == []
    raft.step(beat(raft, Answers(7, ((1, last + 1),)), term=raft.current_term - 1))
    assert served(raft) == [], "of a term before"
    raft.step(replace(beat(raft, Answers(7, ((1, last + 1),))), source=3))
    assert served(raft) == [], "by another member"
    assert raft.asking_counts.void == 1


@pytest.mark.parametrize("why", ["never shown", "another term"])
def test_a_leader_that_has_not_shown_that_it_takes_what_rides_is_asked_alone(why: str) -> None:
    if why == "never shown":
        raft = follower()
        raft.read_here()
        raft.step(told(asked(raft)))
    else:
        raft, _ = knowing_follower()
        raft.step(beat(raft, term=raft.current_term + 1))
    drain(raft)
    raft.read_here()
    raft.step(beat(raft))
    out = drain(raft)
    assert len(only(out, QUESTION)) == 1 and [one.question for one in only(out, APPEND_REPLY)] == [None]


def test_what_is_asked_again_goes_alone() -> None:
    """A leader takes answers from members only, and questions from everybody who follows it."""
    raft, last = knowing_follower()
    raft.read_here()
    raft.step(beat(raft))
    assert riding(raft) == [Question(last + 1)]
    tick(raft, HEARTBEAT_TICKS)
    raft.step(beat(raft))
    out = drain(raft)
    assert [one.round for one in only(out, QUESTION)] == [last + 1]
    assert [one.question for one in only(out, APPEND_REPLY)] == [None]


def test_no_question_rides_before_the_term_is_durable() -> None:
    raft, _ = knowing_follower()
    raft.read_here()
    raft.step(beat(raft, term=raft.current_term + 1))
    ready = raft.ready()
    assert ready is not None and ready.hard_state is not None
    assert not ready.messages and {one.type for one in ready.after} == {QUESTION, APPEND_REPLY}


def test_nothing_rides_on_an_answer_that_the_network_may_gather() -> None:
    raft, _ = knowing_follower()
    raft.read_here()
    question = asked(raft)
    out = raft._out  # the core's own, filled as it fills it
    out.now.append(Message(APPEND_REPLY, 1, question.target, question.term, round=3, gather=True))
    assert not out.carry(question)
    out.now.append(Message(APPEND_REPLY, 1, question.target, question.term, round=4))
    assert out.carry(question) and not out.carry(question), "one on each"
    assert [one.question is None for one in out.now] == [True, False]


# -- who answers ---------------------------------------------------------------------------------------------------


def knowing_leader(size: int = 5, *takers: int, **options: int) -> Raft:
    """A leader whom members have asked before, who take what rides."""
    raft = settled_leader(size=size, **options)
    for member in takers:
        raft.step(replace(question_to(raft, member, 1), more=True))
    for one in only(drain(raft), APPEND):
        raft.step(answer(one))
    drain(raft)
    return raft


def reply_that_asks(request: Message, number: int) -> Message:
    return replace(answer(request), question=Question(number))


def test_an_answer_rides_on_the_round_that_begins_for_the_next_questions() -> None:
    raft = knowing_leader(5, 2, 3, 4, 5)
    raft.step(replace(question_to(raft, 2, 8), more=True))
    first = only(drain(raft), APPEND)
    raft.step(reply_that_asks(first[1], 20))  # of member 3
    assert drain(raft) == [], "one of five is no quorum with the leader"
    raft.step(reply_that_asks(first[0], 9))
    out = drain(raft)
    assert not only(out, ANSWER)
    index = raft.commit_index
    assert {one.target: one.answers for one in only(out, APPEND)} == {
        2: Answers(index, ((2, 8),)),
        3: None,
        4: None,
        5: None,
    }, "what came on the answers to a round waits for the next one"
    second = only(out, APPEND)
    raft.step(answer(second[2]))
    raft.step(reply_that_asks(second[3], 30))
    out = drain(raft)
    assert not only(out, ANSWER)
    told_now = [one.answers for one in only(out, APPEND)]
    assert told_now == [Answers(index, ((2, 9),)), Answers(index, ((3, 20),)), None, None]
    assert raft.asking_counts.told_along == 3


def test_where_no_round_begins_answers_go_alone() -> None:
    raft = knowing_leader(5, 2)
    raft.step(replace(question_to(raft, 2, 8), more=True))
    beats = only(drain(raft), APPEND)
    for one in beats[:2]:
        raft.step(answer(one))
    out = drain(raft)
    assert [(one.type, one.target, one.round, one.more) for one in out] == [(ANSWER, 2, 8, True)]


@pytest.mark.parametrize("since", ["never shown", "shown no more"])
def test_who_does_not_take_what_rides_is_answered_alone(since: str) -> None:
    raft = knowing_leader(5, *([2] if since == "shown no more" else []))
    raft.step(question_to(raft, 2, 8))
    beats = only(drain(raft), APPEND)
    raft.step(reply_that_asks(beats[1], 20))
    raft.step(answer(beats[0]))
    out = drain(raft)
    assert [(one.target, one.round) for one in only(out, ANSWER)] == [(2, 8)]
    assert [one.answers for one in only(out, APPEND)] == [None] * 4


def test_a_question_on_the_answer_to_a_round_is_not_confirmed_by_it() -> None:
    raft = knowing_leader(5, 2, 3)
    raft.step(replace(question_to(raft, 3, 7), more=True))
    beats = only(drain(raft), APPEND)
    raft.step(reply_that_asks(beats[0], 8))
    raft.step(answer(beats[2]))
    out = drain(raft)
    assert [one.answers for one in only(out, APPEND) if one.answers] == [Answers(raft.commit_index, ((3, 7),))]
    assert not only(out, ANSWER)


def test_a_question_of_who_is_no_member_is_not_taken_from_an_answer() -> None:
    raft = knowing_leader(3)
    raft.step(Message(APPEND_REPLY, 9, raft.id, raft.current_term, question=Question(5)))
    assert not only(drain(raft), ANSWER) and not only(drain(raft), APPEND)


@pytest.mark.parametrize("field", ["held", "log"])
def test_a_question_out_of_range_is_dropped_with_its_answer(field: str) -> None:
    raft = knowing_leader(5, 2)
    tick(raft, HEARTBEAT_TICKS)
    first = only(drain(raft), APPEND)[0]
    question = Question(5)._replace(**{field: 1 << 63})
    raft.step(replace(answer(first), question=question))
    assert drain(raft) == []


# -- by copies -----------------------------------------------------------------------------------------------------


def test_answers_to_many_ride_on_one_copy() -> None:
    """Members that always have reads to ask for: a cycle is one message to everybody, and one from each."""
    network, lead = cluster(5, heartbeat_ticks=20, election_timeout_ticks=100)
    network.run(60)
    rest = others(network, lead)
    members = [network.members[one] for one in rest]
    cores = [raft for raft in (one.raft for one in members) if raft is not None]

    def run(ticks: int) -> None:
        for _ in range(ticks):
            for member in members:
                network.ask(member)
            network.run(1)

    run(20)
    before = {core.id: core.asking_counts.answered for core in cores}
    told_before, left = lead.asking_counts.told_along, len(network.left)
    run(60)
    answered = sum(core.asking_counts.answered - before[core.id] for core in cores)
    assert answered > 20
    assert lead.asking_counts.told_along - told_before > 0.8 * answered
    sent = network.left[left:]
    copies = [one for one in only(sent, APPEND, to=EVERYBODY) if one.answers is not None]
    assert copies and max(len(one.answers.questions) for one in copies if one.answers) > 1
    alone = only(sent, QUESTION) + only(sent, ANSWER)
    assert len(alone) < 0.3 * answered


def test_a_copy_carries_answers_only_if_all_who_get_it_take_them() -> None:
    network, lead = cluster(5)
    rest = others(network, lead)
    for member in rest[:3]:
        lead.step(replace(Message(QUESTION, member, lead.id, lead.current_term, round=4), more=True))
    lead.step(Message(QUESTION, rest[3], lead.id, lead.current_term, round=4))
    (copy,) = only(drain(lead), APPEND, to=EVERYBODY)
    for member in rest[:2]:
        lead.step(reply_that_asks(replace(copy, target=member), 5))
    out = drain(lead)
    assert {one.target for one in only(out, ANSWER)} == set(rest)
    assert [one.answers for one in only(out, APPEND)] == [None]


def test_a_copy_carries_nothing_for_who_is_served_alone() -> None:
    """It may be a trial, whose copies never come."""
    raft = knowing_leader(5, 2, 3, 4, 5, fanout=True, fanout_trial_ticks=1)
    raft.step(replace(question_to(raft, 2, 8), more=True))
    tick(raft, HEARTBEAT_TICKS)
    first = [one for one in only(drain(raft), APPEND) if one.target != EVERYBODY]
    tick(raft, 1)
    for one in first[:2]:
        raft.step(reply_that_asks(one, 9))
    out = only(drain(raft), APPEND)
    assert [one.answers for one in out if one.target == EVERYBODY] == [None]
    assert [one.answers.questions for one in out if one.answers is not None] == [((2, 8),)]


def test_an_answer_that_rode_and_was_lost_goes_alone_when_it_is_asked_for_again() -> None:
    """The way that it went may be closed: a copy that does not come would not come the next time, either."""
    answering = Answering(AskingCounts())
    for member in (2, 3):
        answering.asked_by(member, takes=True)
    answering.answer(2, 8, 5)
    answering.answer(3, 9, 5)
    assert answering.for_copies((2, 3), (2, 3)) == Answers(5, ((2, 8), (3, 9)))
    answering.answer(2, 8, 6)
    answering.answer(3, 10, 6)
    assert answering.for_copies((2, 3), (2, 3)) == Answers(6, ((3, 10),))
    assert answering.for_one(2) is None
    assert answering.rest() == Answers(6, ((2, 8),))
    answering.answer(2, 11, 7)
    assert answering.for_one(2) == Answers(7, ((2, 11),)), "the next one may ride again"


def test_a_question_that_is_asked_again_goes_alone_and_its_answer_is_taken() -> None:
    raft, last = knowing_follower()
    read = raft.read_here()
    raft.step(beat(raft))
    assert riding(raft) == [Question(last + 1)]
    tick(raft, HEARTBEAT_TICKS)
    again = asked(raft)
    assert (again.type, again.round) == (MessageType.READ_INDEX, last + 1)
    raft.step(told(again, index=1))
    assert served(raft) == [(read, 1)]
