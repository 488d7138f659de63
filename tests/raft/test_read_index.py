"""A follower's question for an index, and when an answer counts (thesis, section 6.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hosts.raft.core import Raft, Role
from hosts.raft.message import Message, MessageType
from hosts.raft.reads import MAX_AWAITED
from tests.raft.single import (
    APPEND,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    acknowledge_all,
    answer,
    append,
    drain,
    leader,
    member,
    only,
    readies,
    settled_leader,
    tick,
)

QUESTION, ANSWER = MessageType.READ_INDEX, MessageType.READ_INDEX_REPLY


def follower(seed: int = 0, term: int = 3) -> Raft:
    """A member that follows member 2, and has nothing to say."""
    raft = member((1,), term=term, seed=seed)
    raft.step(append(term, 1, 1, commit=1))
    drain(raft)
    return raft


def asked(raft: Raft) -> Message:
    (question,) = only(drain(raft), QUESTION)
    return question


def told(question: Message, index: int = 1, **changed: int) -> Message:
    """The answer that the leader gives."""
    reply = Message(ANSWER, question.target, question.source, question.term, index, round=question.round)
    return replace(reply, **changed)  # type: ignore[arg-type]


def served(raft: Raft) -> list[tuple[int, int]]:
    return [read for ready in readies(raft) for read in ready.reads]


def question_to(raft: Raft, source: int = 2, number: int = 9) -> Message:
    return Message(QUESTION, source, raft.id, raft.current_term, round=number)


# -- who asks ------------------------------------------------------------------------------------------------------


def test_one_question_for_all_reads_and_their_index_from_its_answer() -> None:
    raft = follower()
    reads = [raft.read_here(), raft.read_here()]
    question = asked(raft)
    assert (question.target, question.term, question.index) == (2, 3, 0)
    raft.read_here()
    assert not only(drain(raft), QUESTION), "one at a time"
    raft.step(told(question, index=7))
    assert served(raft) == [(read, 7) for read in reads], "who came after it needs another one"


def test_the_next_question_has_the_next_number() -> None:
    raft = follower()
    raft.read_here()
    first = asked(raft)
    second_read = raft.read_here()
    raft.step(told(first))
    (question,) = only([one for ready in readies(raft) for one in ready.messages], QUESTION)
    assert question.round == first.round + 1
    raft.step(told(first))
    assert served(raft) == [], "an answer to the question before"
    raft.step(told(question))
    assert served(raft) == [(second_read, 1)]


def test_numbers_begin_at_a_random_one_in_each_life() -> None:
    numbers = set()
    for life in range(20):
        raft = follower(seed=life)
        raft.read_here()
        numbers.add(asked(raft).round)
    assert len(numbers) == 20 and min(numbers) > 1 << 48, "no answer to an earlier life is one to this"


@pytest.mark.parametrize(
    "changed",
    [{"round": 1}, {"source": 3}, {"term": 2}],
    ids=["another question's", "another member's", "of a term before"],
)
def test_an_answer_that_is_none(changed: dict[str, int]) -> None:
    raft = follower()
    raft.read_here()
    question = asked(raft)
    raft.step(told(question, **changed))
    assert served(raft) == []
    raft.step(told(question))
    assert len(served(raft)) == 1


def test_a_lost_question_is_asked_again_after_a_heartbeat_by_its_number() -> None:
    raft = follower()
    raft.read_here()
    question = asked(raft)
    for _ in range(HEARTBEAT_TICKS - 1):
        raft.tick()
        assert not only(drain(raft), QUESTION)
    raft.tick()
    assert only(drain(raft), QUESTION) == [question]
    assert raft.asking_counts.asked_again == 1


def test_another_term_is_another_question() -> None:
    raft = follower()
    read = raft.read_here()
    first = asked(raft)
    raft.step(append(4, 1, 1, commit=1))
    second = asked(raft)
    assert second.term == 4 and second.round != first.round
    raft.step(told(first, term=4))
    assert served(raft) == [], "the former leader's answer"
    raft.step(told(second))
    assert served(raft) == [(read, 1)]


def test_a_question_waits_until_the_term_is_durable() -> None:
    raft = follower()
    raft.step(append(5, 1, 1, commit=1))
    raft.read_here()
    ready = raft.ready()
    assert ready is not None and ready.hard_state is not None
    assert not only(ready.messages, QUESTION) and only(ready.after, QUESTION)


def test_who_follows_nobody_asks_nobody() -> None:
    raft = member((1,), term=3)
    raft.read_here()
    assert not only(drain(raft), QUESTION)
    raft.step(append(3, 1, 1, commit=1))
    assert asked(raft).target == 2


def test_forgotten_reads_are_not_asked_for() -> None:
    raft = follower()
    raft.forget_reads({raft.read_here()})
    assert not only(drain(raft), QUESTION)
    read = raft.read_here()
    asked(raft)
    raft.forget_reads({read})
    tick(raft, HEARTBEAT_TICKS)
    assert not only(drain(raft), QUESTION), "nor asked for again"
    assert raft.idle_ticks > 1


def test_ticks_are_given_one_by_one_while_a_question_is_open() -> None:
    raft = follower()
    assert raft.idle_ticks > 1
    raft.read_here()
    asked(raft)
    assert raft.idle_ticks == 1 and not raft.pass_idle_ticks(1)


# -- who answers ---------------------------------------------------------------------------------------------------


def test_a_leader_answers_after_a_round_that_began_later() -> None:
    raft = settled_leader(size=3)
    tick(raft, HEARTBEAT_TICKS)
    before = only(drain(raft), APPEND)
    raft.step(question_to(raft))
    for beat in before:
        raft.step(answer(beat))
    out = drain(raft)
    assert not only(out, ANSWER), "the answers are to a round before the question"
    (beat, _) = only(out, APPEND)
    raft.step(answer(beat))
    (reply,) = only(drain(raft), ANSWER)
    assert (reply.target, reply.index, reply.round) == (2, raft.commit_index, 9)
    assert raft.asking_counts.taken == 1


def test_a_leader_answers_nothing_before_it_has_committed_in_its_term() -> None:
    raft = leader()
    first = drain(raft)
    raft.step(question_to(raft))
    tick(raft, HEARTBEAT_TICKS)
    beats = [one for one in drain(raft) if one.type is APPEND and not one.entries]
    for beat in beats:
        raft.step(answer(beat, index=beat.index))
    assert not only(drain(raft), ANSWER)
    for one in only(first, APPEND):
        raft.step(answer(one))
    for beat in only(drain(raft), APPEND):
        raft.step(answer(beat))
    (reply,) = only(drain(raft), ANSWER)
    assert reply.index == raft.commit_index


def question_of_known(raft: Raft, source: int = 2, number: int = 9) -> Message:
    """Of a member that the group knows by its log."""
    return replace(question_to(raft, source, number), index=raft.last_index + 1)


def test_who_asks_and_the_leader_are_a_quorum_that_needs_no_round() -> None:
    raft = settled_leader(size=3)
    _, index = raft.propose(b"value")
    raft.step(answer(only(drain(raft), APPEND)[0]))
    assert raft.commit_index == index
    drain(raft)
    raft.step(question_of_known(raft))
    out = drain(raft)
    assert [(one.type, one.target, one.index, one.round) for one in out] == [(ANSWER, 2, index, 9)]
    assert (raft.asking_counts.taken, raft.asking_counts.taken_at_once) == (1, 1)


def test_who_may_have_lost_its_data_is_no_part_of_a_quorum_by_asking() -> None:
    """It may have voted for somebody else, and forgotten."""
    raft = settled_leader(size=3)
    raft.step(question_to(raft))
    out = drain(raft)
    assert only(out, APPEND) and not only(out, ANSWER) and raft.asking_counts.taken_at_once == 0


@pytest.mark.parametrize("size", [4, 5])
def test_two_are_no_quorum_of_more_than_three(size: int) -> None:
    raft = settled_leader(size=size)
    raft.step(question_of_known(raft))
    out = drain(raft)
    assert only(out, APPEND) and not only(out, ANSWER)
    for beat in only(out, APPEND)[: size // 2]:
        assert not only(drain(raft), ANSWER)
        raft.step(answer(beat))
    assert len(only(drain(raft), ANSWER)) == 1


def test_a_quorum_of_two_waits_for_the_terms_first_commit() -> None:
    raft = leader()
    first = only(drain(raft), APPEND)
    raft.step(question_of_known(raft))
    assert not only(drain(raft), ANSWER)
    for one in first:
        raft.step(answer(one))
    answers: list[Message] = []
    for _ in range(3):
        out = drain(raft)
        answers += only(out, ANSWER)
        for beat in only(out, APPEND):
            raft.step(answer(beat))
    assert [one.index for one in answers] == [raft.commit_index]


def test_a_learner_is_no_part_of_a_quorum() -> None:
    raft = settled_leader(size=3)
    learner = 4
    raft.step(question_of_known(raft, learner))
    assert not only(drain(raft), ANSWER)


def test_questions_of_many_share_a_round_and_of_one_the_last_counts() -> None:
    raft = settled_leader(size=5)
    raft.step(question_to(raft, 2, 8))
    raft.step(question_to(raft, 2, 9))
    raft.step(question_to(raft, 3, 1))
    own = raft.read()
    beats = only(drain(raft), APPEND)
    assert len(beats) == 4
    for beat in beats[:2]:
        raft.step(answer(beat))
    ready = readies(raft)
    answers = [one for each in ready for one in only(each.messages, ANSWER)]
    assert {(one.target, one.round) for one in answers} == {(2, 9), (3, 1)}
    assert [read for each in ready for read in each.reads] == [(own, raft.commit_index)]


def test_a_question_is_not_answered_under_a_lease() -> None:
    """The leader does not know how many ticks are overdue when it comes."""
    raft = settled_leader(lease_ticks=ELECTION_TICKS - 3)
    tick(raft, HEARTBEAT_TICKS)
    for beat in only(drain(raft), APPEND):
        raft.step(answer(beat))
    raft.step(question_to(raft))
    out = drain(raft)
    assert only(out, APPEND) and not only(out, ANSWER)


def test_who_does_not_lead_answers_nothing() -> None:
    raft = follower()
    raft.step(question_to(raft, 3))
    assert drain(raft) == []


def test_a_question_of_a_later_term_ends_a_leader() -> None:
    raft = settled_leader()
    raft.step(replace(question_to(raft), term=raft.current_term + 1))
    assert raft.role is Role.FOLLOWER and not only(drain(raft), ANSWER)


def test_reads_that_wait_at_who_is_elected_are_its_own() -> None:
    raft = member((1,), term=1)
    read = raft.read_here()
    for request in only(_campaigned(raft), MessageType.PRE_VOTE):
        raft.step(answer(request))
    for request in only(drain(raft), MessageType.REQUEST_VOTE):
        raft.step(answer(request))
    assert raft.role is Role.LEADER
    acknowledge_all(raft)
    reads = []
    for _ in range(3):
        for ready in readies(raft):
            reads += ready.reads
            for beat in only(ready.messages, APPEND):
                raft.step(answer(beat))
            raft.advance(ready)
        tick(raft, HEARTBEAT_TICKS)
    assert [number for number, _ in reads] == [read]


def _campaigned(raft: Raft) -> list[Message]:
    tick(raft, 2 * ELECTION_TICKS)
    return drain(raft)


# -- ages ----------------------------------------------------------------------------------------------------------


def test_a_state_is_as_old_as_the_question_whose_answer_is_applied() -> None:
    raft = follower()
    assert raft.age(99) is None
    raft.read_here()
    question = asked(raft)
    raft.tick()
    raft.step(told(question, index=5))
    drain(raft)
    assert raft.age(4) is None, "what the answer names is not applied"
    assert raft.age(5) == 2, "the tick that has passed, and the one that goes on"
    assert raft.age(5, overdue_ticks=3) == 5
    assert raft.pass_idle_ticks(1)
    assert raft.age(9) == 3


def test_however_far_behind_a_member_is_its_age_is_known_by_what_it_applies() -> None:
    """Four answers come while it applies one entry."""
    raft = follower()
    for index in range(2, 10 * MAX_AWAITED):
        answered(raft, index)
        applied = 1 + index // 4
        if applied > 1:
            age, least = raft.age(applied), index - applied + 1
            assert age is not None and least <= age <= 1.1 * least + 2


def test_of_answers_that_name_one_index_the_last_question_counts() -> None:
    raft = follower()
    for _ in range(2 * MAX_AWAITED):
        answered(raft, 5)
    answered(raft, 9)
    assert raft.age(5) == 3, "asked before the last one: a tick has passed since each, and one goes on"


def answered(raft: Raft, index: int) -> None:
    """A question is answered at once, and a tick passes, in which the leader is heard."""
    raft.read_here()
    raft.step(told(asked(raft), index=index))
    raft.tick()
    raft.step(append(raft.current_term, 1, 1, commit=1))
    drain(raft)


def test_no_age_is_known_once_ticks_were_lost() -> None:
    raft = follower()
    raft.read_here()
    question = asked(raft)
    raft.clock_slipped()
    raft.step(told(question, index=5))
    assert len(served(raft)) == 1 and raft.age(5) is None
    raft.read_here()
    raft.step(told(asked(raft), index=5))
    assert raft.age(5) == 1


def test_a_leaders_state_is_as_old_as_the_round_that_a_quorum_has_answered() -> None:
    raft = settled_leader()
    tick(raft, HEARTBEAT_TICKS)
    for beat in only(drain(raft), APPEND):
        raft.step(answer(beat))
    assert raft.age(raft.commit_index) == 1
    tick(raft, HEARTBEAT_TICKS)
    drain(raft)
    assert raft.age(raft.commit_index) == 1 + HEARTBEAT_TICKS, "nobody has answered the next one"
    assert raft.age(raft.commit_index - 1) is None
    raft.clock_slipped()
    assert raft.age(raft.commit_index) is None
