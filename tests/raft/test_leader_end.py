"""A follower asks after a silent leader, and takes that host's word that nobody is there: as advice."""

from __future__ import annotations

import pytest

from hosts.raft.core import Config, Raft, Role
from hosts.raft.message import Message
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    PRE_VOTE,
    PRE_VOTE_REPLY,
    VOTE,
    VOTE_REPLY,
    drain,
    entries,
    member,
    only,
    settled_leader,
    tick,
)

PROBE = 3
"""One and a half heartbeats."""


def follower(leader: int = 3, *, size: int = 3, **options: int) -> Raft:
    """Member 1, whose turn is the first after the last member has ended. It has just heard its leader of term 1."""
    raft = member(size=size, **{"probe_ticks": PROBE, "election_spread_ticks": 6, **options})
    hear(raft, leader)
    return raft


def hear(raft: Raft, leader: int = 3, term: int = 1) -> None:
    raft.step(Message(APPEND, leader, raft.id, term, round=1))
    drain(raft)


def is_granted(raft: Raft, candidate: int = 2) -> bool:
    """Whether ``raft`` says yes to a pre-vote for the next term."""
    raft.step(Message(PRE_VOTE, candidate, raft.id, raft.current_term + 1))
    replies = only(drain(raft), PRE_VOTE_REPLY, candidate)
    return any(not one.reject for one in replies)


# -- asking -----------------------------------------------------------------------------------------------------


def test_a_silent_leader_is_asked_after_once_a_heartbeat_and_told_what_agrees() -> None:
    raft = member(probe_ticks=PROBE, seed=3)
    raft.step(Message(APPEND, 3, 1, 1, entries=entries([1, 1]), round=7))
    drain(raft)
    asked = []
    for now in range(1, ELECTION_TICKS):
        tick(raft, 1)
        asked += [(now, one) for one in only(drain(raft), APPEND_REPLY)]
    question = Message(APPEND_REPLY, 1, 3, 1, 2, round=7)
    assert asked == [(now, question) for now in range(PROBE, ELECTION_TICKS, HEARTBEAT_TICKS)]


def test_who_asks_after_a_leader_acknowledges_nothing_that_this_leader_has_not_shown() -> None:
    """What stands in the log by an earlier leader may differ from this one's."""
    raft = member(probe_ticks=PROBE, seed=3)
    raft.step(Message(APPEND, 3, 1, 1, entries=entries([1, 1]), round=7))
    raft.step(Message(APPEND, 2, 1, 2, 5, log_term=2, round=1))
    drain(raft)
    tick(raft, PROBE)
    assert only(drain(raft), APPEND_REPLY) == [Message(APPEND_REPLY, 1, 2, 2, 0, round=1)]


def test_a_leader_that_is_heard_is_not_asked_after() -> None:
    raft = follower()
    for _ in range(20):
        tick(raft, HEARTBEAT_TICKS)
        assert not drain(raft)
        hear(raft)


def test_idle_ticks_end_with_the_next_question() -> None:
    raft = follower()
    assert raft.idle_ticks == PROBE
    assert raft.pass_idle_ticks(PROBE - 1) and not raft.pass_idle_ticks(1)
    tick(raft, 1)
    assert only(drain(raft), APPEND_REPLY)
    assert raft.idle_ticks == HEARTBEAT_TICKS


@pytest.mark.parametrize("options", [{"probe_ticks": 0}, {"lease_ticks": 5}])
def test_without_hints_or_with_leases_nobody_asks_or_is_believed(options: dict[str, int]) -> None:
    raft = follower(**options)
    raft.leader_unreachable(3)
    tick(raft, ELECTION_TICKS - 1)
    assert not drain(raft) and raft.role is Role.FOLLOWER and not is_granted(raft)
    tick(raft, 1)
    assert is_granted(raft)


def test_the_leader_takes_an_unasked_answer_as_an_acknowledgement_only() -> None:
    raft = settled_leader()
    before = raft.status()["progress"]["2"]
    raft.step(Message(APPEND_REPLY, 2, 1, raft.current_term, 0))
    assert raft.status()["progress"]["2"] == before and not drain(raft)


# -- the word ---------------------------------------------------------------------------------------------------


def test_who_is_next_asks_for_votes_as_soon_as_it_has_been_silent_for_long_enough_and_was_told() -> None:
    raft = follower()
    tick(raft, PROBE)
    drain(raft)
    raft.leader_unreachable(3)
    assert raft.role is Role.PRE_CANDIDATE and raft.current_term == 1
    assert {one.target for one in only(drain(raft), PRE_VOTE)} == {2, 3}


def test_word_that_comes_while_the_leader_is_heard_waits_for_its_silence() -> None:
    raft = follower()
    raft.leader_unreachable(3)
    for _ in range(PROBE - 1):
        assert not is_granted(raft) and raft.role is Role.FOLLOWER
        tick(raft, 1)
    tick(raft, 1)
    assert raft.role is Role.PRE_CANDIDATE and is_granted(raft)


def test_the_others_turns_come_later_and_they_give_their_votes_at_once() -> None:
    raft = follower(leader=2)
    tick(raft, PROBE)
    raft.leader_unreachable(2)
    drain(raft)
    assert raft.role is Role.FOLLOWER and is_granted(raft, candidate=3)
    raft.step(Message(VOTE, 3, 1, 2))
    assert not only(drain(raft), VOTE_REPLY, 3)[0].reject and raft.current_term == 2


def test_who_asks_in_vain_asks_again_soon() -> None:
    """The others' hosts may tell them later; then by themselves they find out after an election timeout."""
    raft = follower()
    tick(raft, PROBE)
    raft.leader_unreachable(3)
    drain(raft)
    asked = 0
    for _ in range(ELECTION_TICKS):
        tick(raft, 1)
        asked += len(only(drain(raft), PRE_VOTE, 2))
    assert asked == ELECTION_TICKS // (HEARTBEAT_TICKS // 2)
    tick(raft, 10 * ELECTION_TICKS)
    asked = len(only(drain(raft), PRE_VOTE, 2))
    assert asked < 20, "it does not go on for ever"


@pytest.mark.parametrize("gone", [1, 2])
def test_that_anybody_but_the_leader_is_gone_counts_for_nothing(gone: int) -> None:
    raft = follower()
    tick(raft, PROBE)
    raft.leader_unreachable(gone)
    tick(raft, 2)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)


def test_a_leader_that_speaks_again_is_not_gone() -> None:
    raft = follower()
    tick(raft, 1)
    raft.leader_unreachable(3)
    hear(raft)
    tick(raft, ELECTION_TICKS - 1)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)


def test_who_was_deceived_follows_again_and_waits_as_long_as_ever() -> None:
    raft = follower()
    tick(raft, PROBE)
    raft.leader_unreachable(3)
    assert raft.role is Role.PRE_CANDIDATE
    drain(raft)
    hear(raft)
    assert raft.role is Role.FOLLOWER and raft.leader == 3 and raft.current_term == 1
    tick(raft, ELECTION_TICKS - 1)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)


def test_nobody_who_hears_the_leader_can_be_talked_into_a_vote() -> None:
    """All members are told at once that the living leader is gone: two heartbeats later all is as it was."""
    raft = follower(size=5, leader=4)
    for _ in range(50):
        raft.leader_unreachable(4)
        tick(raft, HEARTBEAT_TICKS)
        assert not is_granted(raft)
        raft.step(Message(VOTE, 2, 1, 2))
        assert raft.current_term == 1 and raft.role is Role.FOLLOWER
        hear(raft, 4)


def test_in_another_term_members_wait_for_the_election_timeout_again() -> None:
    raft = follower(leader=2)
    tick(raft, 1)
    raft.leader_unreachable(2)
    tick(raft, PROBE)
    raft.step(Message(VOTE, 3, 1, 2))
    drain(raft)
    assert raft.current_term == 2 and raft.voted_for == 3
    tick(raft, ELECTION_TICKS - 1)
    assert raft.role is Role.FOLLOWER and not drain(raft)
    hear(raft, 3, term=2)
    tick(raft, PROBE)
    assert not is_granted(raft)


# -- a hint of the network's controller -----------------------------------------------------------------------------

HINTED = 5
"""Two and a half heartbeats."""


def test_a_hint_counts_after_two_and_a_half_heartbeats_of_the_members_own_silence() -> None:
    raft = follower()
    tick(raft, PROBE)
    drain(raft)
    assert raft.hint(1) and not raft.hint(1)
    for _ in range(HINTED - PROBE):
        assert raft.role is Role.FOLLOWER and not is_granted(raft)
        tick(raft, 1)
    assert {one.target for one in only(drain(raft), PRE_VOTE)} == {2, 3}
    assert raft.role is Role.PRE_CANDIDATE and raft.current_term == 1 and is_granted(raft)


def test_a_hint_that_comes_later_counts_at_once_and_raises_no_term() -> None:
    raft = follower()
    tick(raft, HINTED)
    drain(raft)
    assert raft.hint(1)
    assert raft.role is Role.PRE_CANDIDATE and raft.current_term == 1 and raft.voted_for == 0
    assert {one.type for one in drain(raft)} == {PRE_VOTE}


def test_the_others_turns_come_later_after_a_hint_too() -> None:
    raft = follower(leader=2)
    tick(raft, HINTED)
    drain(raft)
    assert raft.hint(1) and raft.role is Role.FOLLOWER and is_granted(raft, candidate=3)


def test_nobody_who_hears_the_leader_minds_any_number_of_hints() -> None:
    raft = follower(size=5, leader=4)
    for _ in range(50):
        raft.hint(1)
        tick(raft, HEARTBEAT_TICKS)
        assert not is_granted(raft)
        raft.step(Message(VOTE, 2, 1, 2))
        assert raft.current_term == 1 and raft.role is Role.FOLLOWER
        hear(raft, 4)


def test_a_leader_that_speaks_after_the_hint_is_waited_for_as_long_as_ever() -> None:
    raft = follower()
    tick(raft, 1)
    assert raft.hint(1)
    hear(raft)
    tick(raft, ELECTION_TICKS - 1)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)


@pytest.mark.parametrize("term", [0, 1, 3, 2**63 - 1])
def test_a_hint_about_another_term_counts_for_nothing(term: int) -> None:
    raft = member(probe_ticks=PROBE, election_spread_ticks=6)
    hear(raft, 3, term=2)
    tick(raft, HINTED)
    drain(raft)
    assert not raft.hint(term)
    tick(raft, 2)
    assert raft.role is Role.FOLLOWER and raft.current_term == 2 and not is_granted(raft)


def test_a_hint_does_not_outlive_its_term() -> None:
    raft = follower()
    tick(raft, 1)
    assert raft.hint(1)
    hear(raft, 2, term=2)
    tick(raft, ELECTION_TICKS - 1)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)


@pytest.mark.parametrize("options", [{"probe_ticks": 0}, {"lease_ticks": 5}])
def test_without_hints_or_with_leases_no_hint_counts(options: dict[str, int]) -> None:
    raft = follower(**options)
    assert not raft.hint(1)
    tick(raft, ELECTION_TICKS - 1)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)


def test_a_hosts_own_word_counts_sooner_than_the_hint_before_it() -> None:
    raft = follower()
    tick(raft, PROBE)
    assert raft.hint(1) and raft.role is Role.FOLLOWER
    assert raft.leader_unreachable(3) and raft.role is Role.PRE_CANDIDATE
    assert not raft.hint(1)


def test_nobody_but_a_follower_minds_a_hint() -> None:
    leader = settled_leader()
    assert not leader.hint(leader.current_term) and leader.role is Role.LEADER
    alone = member(probe_ticks=PROBE)
    tick(alone, 3 * ELECTION_TICKS)
    assert alone.role is Role.PRE_CANDIDATE and not alone.hint(alone.current_term)


def test_a_member_that_was_given_no_hint_gives_no_vote_for_it() -> None:
    raft = follower(leader=2)
    tick(raft, HINTED)
    drain(raft)
    assert not is_granted(raft, candidate=3)
    raft.hint(1)
    assert is_granted(raft, candidate=3)


@pytest.mark.parametrize("ticks", [HEARTBEAT_TICKS, ELECTION_TICKS])
def test_a_probe_lies_between_heartbeat_and_election_timeout(ticks: int) -> None:
    with pytest.raises(ValueError, match=f"probe_ticks: {ticks} does not lie between"):
        Config(1, frozenset({1}), ELECTION_TICKS, HEARTBEAT_TICKS, probe_ticks=ticks)
