"""A host's word that nobody is there counts at once where it quotes what only this member's leader was sent."""

from __future__ import annotations

import pytest

from hosts.raft.core import Raft, Role
from hosts.raft.following import ROUNDS_OF_LATE
from hosts.raft.message import NOTHING_QUOTED, Message, MessageType, Quoted
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    PRE_VOTE,
    VOTE,
    drain,
    entries,
    only,
    tick,
)
from tests.raft.test_leader_end import PROBE, follower, hear, is_granted

FIRST = 1 << 39
"""The leader's round that members heard first."""


def led(leader: int = 3, rounds: int = 1, **options: int) -> Raft:
    """Member 1, which has heard so many rounds of its leader of term 1, the last of them just now."""
    raft = follower(leader, **options)
    for number in range(rounds):
        raft.step(Message(APPEND, leader, 1, 1, round=FIRST + number))
    drain(raft)
    return raft


def has_doubts(raft: Raft) -> bool:
    """Whether it asks for votes, or would give its own."""
    return raft.role is Role.PRE_CANDIDATE or is_granted(raft)


def test_a_proof_counts_at_once_and_raises_no_term() -> None:
    raft = led()
    assert raft.leader_unreachable(3, Quoted(1, FIRST))
    assert raft.role is Role.PRE_CANDIDATE and raft.current_term == 1
    assert len(only(drain(raft), PRE_VOTE)) == 2
    assert not raft.leader_unreachable(3, Quoted(1, FIRST))


def test_whose_turn_comes_later_waits_for_it_and_gives_its_vote_at_once() -> None:
    raft = led(leader=2)
    assert not is_granted(raft, candidate=3)
    assert raft.leader_unreachable(2, Quoted(1, FIRST))
    assert raft.role is Role.FOLLOWER and is_granted(raft, candidate=3)
    tick(raft, 2)
    assert raft.role is Role.FOLLOWER
    tick(raft, 1)
    assert raft.role is Role.PRE_CANDIDATE, "a spread of 6 ticks has room for two turns"


@pytest.mark.parametrize(
    "quoted",
    [
        NOTHING_QUOTED,
        Quoted(1, 0),
        Quoted(0, FIRST + 99),
        Quoted(2, FIRST + 99),
        Quoted(1, FIRST + 100),
        Quoted(1, FIRST + 99 - ROUNDS_OF_LATE),
        Quoted(1, 1 << 63),
    ],
)
def test_what_a_stranger_may_guess_is_no_proof(quoted: Quoted) -> None:
    raft = led(rounds=100)
    assert raft.leader_unreachable(3, quoted), "it is a word still"
    assert not has_doubts(raft)
    tick(raft, PROBE - 1)
    assert not has_doubts(raft)
    tick(raft, 1)
    assert raft.role is Role.PRE_CANDIDATE


@pytest.mark.parametrize("late", [0, ROUNDS_OF_LATE - 1])
def test_every_reply_that_may_be_under_way_is_proof(late: int) -> None:
    raft = led(rounds=100)
    assert raft.leader_unreachable(3, Quoted(1, FIRST + 99 - late)) and raft.role is Role.PRE_CANDIDATE


def test_a_round_of_an_earlier_leader_proves_nothing_of_this_one() -> None:
    raft = led(rounds=3)
    raft.step(Message(APPEND, 2, 1, 2, round=FIRST + 700))
    drain(raft)
    assert raft.leader_unreachable(2, Quoted(2, FIRST + 2))
    assert not has_doubts(raft)


def test_rounds_that_begin_at_0_prove_nothing() -> None:
    """Of a leader of version 0.1."""
    raft = follower()
    raft.step(Message(APPEND, 3, 1, 1, round=1000))
    drain(raft)
    assert raft.leader_unreachable(3, Quoted(1, 1000)) and not has_doubts(raft)


def test_a_word_that_proves_nothing_makes_a_member_ask_once_for_one_that_does() -> None:
    """What was refused was no reply to the leader, say a question."""
    raft = led()
    assert raft.leader_unreachable(3) and raft.role is Role.FOLLOWER
    (question,) = only(drain(raft), APPEND_REPLY)
    assert (question.target, question.round) == (3, FIRST)
    assert not raft.leader_unreachable(3) and not drain(raft)


def test_a_proof_after_a_word_counts_at_once() -> None:
    raft = led()
    assert raft.leader_unreachable(3) and raft.role is Role.FOLLOWER
    assert raft.leader_unreachable(3, Quoted(1, FIRST)) and raft.role is Role.PRE_CANDIDATE


def test_another_members_end_is_not_the_leaders() -> None:
    raft = led()
    assert not raft.leader_unreachable(2, Quoted(1, FIRST)) and not has_doubts(raft)


def test_a_round_of_a_snapshots_chunk_is_proof_too() -> None:
    raft = follower()
    chunk = Message(MessageType.INSTALL_SNAPSHOT, 3, 1, 1, 9, 1, more=True, round=FIRST, data=b"x")
    raft.step(chunk)
    drain(raft)
    assert raft.leader_unreachable(3, Quoted(1, FIRST)) and raft.role is Role.PRE_CANDIDATE


def test_a_leader_that_speaks_after_its_proven_end_is_believed_to_be_there() -> None:
    """An address that a packet filter closes for a while, or that another process has: no proof is taken twice."""
    raft = led()
    raft.leader_unreachable(3, Quoted(1, FIRST))
    raft.step(Message(APPEND, 3, 1, 1, round=FIRST + 1))
    drain(raft)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)
    assert raft.leader_unreachable(3, Quoted(1, FIRST + 1)), "it is a word still"
    assert not has_doubts(raft)
    tick(raft, PROBE)
    assert raft.role is Role.PRE_CANDIDATE
    raft.step(Message(APPEND, 2, 1, 2, round=FIRST + 7))
    drain(raft)
    assert raft.leader_unreachable(2, Quoted(2, FIRST + 7)) and is_granted(raft, candidate=3), "another term's leader"


@pytest.mark.parametrize("options", [{"probe_ticks": 0}, {"lease_ticks": 5}])
def test_without_hints_or_with_leases_no_proof_counts(options: dict[str, int]) -> None:
    raft = led(**options)
    assert not raft.leader_unreachable(3, Quoted(1, FIRST))
    tick(raft, ELECTION_TICKS - 1)
    assert raft.role is Role.FOLLOWER and not is_granted(raft)


@pytest.mark.parametrize(
    ("heartbeat", "asked"),
    [(4, [1, 2, 3, 4, 5, 6, 8, 10, 12]), (40, [*range(4, 61, 4), 80, 100, 120])],
)
def test_who_knows_first_asks_again_soon_until_others_know_by_silence(heartbeat: int, asked: list[int]) -> None:
    """Ten times a heartbeat, or at every tick; and then twice."""
    raft = led(
        heartbeat_ticks=heartbeat,
        probe_ticks=3 * heartbeat // 2,
        election_timeout_ticks=5 * heartbeat,
        election_spread_ticks=5 * heartbeat,
    )
    raft.leader_unreachable(3, Quoted(1, FIRST))
    drain(raft)
    found = []
    for now in range(1, 3 * heartbeat + 1):
        tick(raft, 1)
        if only(drain(raft), PRE_VOTE):
            found.append(now)
    assert found == asked


def test_a_hint_makes_a_member_ask_after_its_leader_in_a_round_that_proves_its_end() -> None:
    raft = led()
    raft.step(Message(APPEND, 3, 1, 1, entries=entries([1, 1]), round=FIRST + 5))
    drain(raft)
    assert raft.hint(1)
    (question,) = only(drain(raft), APPEND_REPLY)
    assert question == Message(APPEND_REPLY, 1, 3, 1, 2, round=FIRST + 5)
    assert raft.leader_unreachable(3, Quoted(question.term, question.round)) and raft.role is Role.PRE_CANDIDATE


def test_a_hint_makes_a_member_ask_once_for_each_word_of_its_leaders() -> None:
    raft = led()
    assert raft.hint(1) and drain(raft)
    assert not raft.hint(1) and not drain(raft)
    hear(raft)
    assert raft.hint(1) and drain(raft)


def test_a_hint_that_is_enough_by_itself_asks_nobody() -> None:
    raft = led()
    tick(raft, 5)
    drain(raft)
    assert raft.hint(1) and raft.role is Role.PRE_CANDIDATE
    assert not only(drain(raft), APPEND_REPLY)


@pytest.mark.parametrize("reject", [True, False])
def test_a_proof_moves_the_moment_at_which_a_member_asks_and_votes_decide(reject: bool) -> None:
    raft = led()
    raft.leader_unreachable(3, Quoted(1, FIRST))
    drain(raft)
    raft.step(Message(MessageType.PRE_VOTE_REPLY, 2, 1, 1, log_term=2, reject=reject))
    assert (raft.role, raft.current_term) == ((Role.PRE_CANDIDATE, 1) if reject else (Role.CANDIDATE, 2))
    assert [one.target for one in only(drain(raft), VOTE)] == ([] if reject else [2, 3])
