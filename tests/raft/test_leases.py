"""Reads under a lease (thesis, 6.4.1): counted from a round's beginning, void where a promise may be broken."""

from __future__ import annotations

import pytest

from hosts.raft.core import Config, Raft, Role
from hosts.raft.message import Message, MessageType
from tests.raft.network import Faults, Network
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    PRE_VOTE,
    VOTE,
    VOTE_REPLY,
    acknowledge_all,
    answer,
    append,
    campaign,
    drain,
    leader,
    member,
    only,
    readies,
    settled_leader,
    tick,
)

LEASE = ELECTION_TICKS - 3


def served(raft: Raft) -> list[int]:
    """The numbers of the reads that are answered without anybody's help."""
    return [number for ready in readies(raft) for number, _ in ready.reads]


def with_lease(size: int = 3) -> Raft:
    """A leader whose quorum has just answered a round."""
    raft = settled_leader(size=size, lease_ticks=LEASE)
    tick(raft, HEARTBEAT_TICKS)
    for beat in only(drain(raft), APPEND):
        raft.step(answer(beat))
    return raft


def test_a_read_under_the_lease_needs_no_round() -> None:
    raft = with_lease()
    number = raft.read()
    (ready,) = readies(raft)
    assert ready.reads == ((number, raft.commit_index),) and not ready.messages


def test_without_leases_every_read_has_a_round() -> None:
    raft = settled_leader()
    raft.read()
    assert not served(raft)


def test_a_lease_counts_from_the_rounds_beginning_and_not_from_the_answers_arrival() -> None:
    raft = settled_leader(lease_ticks=LEASE)
    tick(raft, HEARTBEAT_TICKS)
    beats = only(drain(raft), APPEND)
    tick(raft, LEASE - 1)
    drain(raft)
    raft.step(answer(beats[-1]))
    assert raft.read() in served(raft)
    tick(raft, 1)
    drain(raft)
    number = raft.read()
    assert number not in served(raft), "the answer has just come, but it is to an old round"


def test_a_new_leader_has_no_lease_before_anyone_has_answered() -> None:
    """That nobody counts as silent yet is no promise of anybody."""
    raft = leader(lease_ticks=LEASE)
    for message in only(drain(raft), APPEND):
        if message.entries and message.target == 2:
            raft.step(Message(APPEND_REPLY, 2, 1, 1, 1))
    assert raft.commit_index == 1
    number = raft.read()
    assert number not in served(raft)


def test_a_lease_needs_a_quorum() -> None:
    raft = settled_leader(size=5, lease_ticks=LEASE)
    tick(raft, LEASE)
    (first, *_) = [beat for beat in only(drain(raft), APPEND) if beat.round == raft.status()["round"]]
    raft.step(answer(first))
    number = raft.read()
    assert number not in served(raft)


def test_time_that_has_passed_unseen_counts() -> None:
    raft = with_lease()
    assert raft.read(overdue_ticks=LEASE - 1) in served(raft)
    assert raft.read(overdue_ticks=LEASE) not in served(raft)
    raft = with_lease()
    raft.clock_slipped()
    assert raft.read() not in served(raft)


def test_no_lease_once_another_member_was_told_to_take_over() -> None:
    """raft-rs #234: it is elected although everyone hears this leader. Its order may take any time to arrive, so the
    lease does not come back when the leader has stopped waiting for it."""
    raft = with_lease()
    raft.transfer(2)
    assert only(drain(raft), MessageType.TIMEOUT_NOW)
    assert raft.read() not in served(raft)
    for _ in range(3 * ELECTION_TICKS):
        tick(raft, 1)
        for beat in only(drain(raft), APPEND):
            raft.step(answer(beat))
    drain(raft)
    assert raft.role is Role.LEADER and raft.status()["successor"] == 0
    assert raft.read() not in served(raft)


def test_who_promised_keeps_the_promise_in_a_later_term_too() -> None:
    raft = member([1], term=1, lease_ticks=LEASE)
    tick(raft, ELECTION_TICKS)
    drain(raft)
    raft.step(append(1, 1, 1))
    drain(raft)
    raft.step(Message(APPEND_REPLY, 3, 1, 5, reject=True))
    assert (raft.current_term, raft.leader) == (5, 0)
    raft.step(Message(VOTE, 3, 1, 6, 9, 9))
    assert not only(drain(raft), VOTE_REPLY) and raft.current_term == 5
    tick(raft, ELECTION_TICKS)
    drain(raft)
    raft.step(Message(VOTE, 3, 1, 6, 9, 9))
    assert [one.reject for one in only(drain(raft), VOTE_REPLY)] == [False]


@pytest.mark.parametrize("kind", [APPEND, MessageType.INSTALL_SNAPSHOT])
def test_who_uses_no_leases_keeps_the_promise_to_a_leader_that_does(kind: MessageType) -> None:
    raft = member([1], term=1, probe_ticks=3, election_spread_ticks=6)
    raft.step(Message(kind, 3, 1, 1, round=1, lease=True))
    assert raft.is_promised
    drain(raft)
    # Neither the word that its leader has ended counts, nor does the promise end with the term.
    raft.leader_unreachable(3)
    assert not raft.hint(1)
    tick(raft, ELECTION_TICKS - 1)
    assert not drain(raft) and raft.role is Role.FOLLOWER
    raft.step(Message(APPEND_REPLY, 3, 1, 5, reject=True))
    raft.step(Message(VOTE, 2, 1, 6, 9, 9))
    assert not drain(raft) and raft.current_term == 5
    tick(raft, 1)
    raft.step(Message(VOTE, 2, 1, 6, 9, 9))
    assert [one.reject for one in only(drain(raft), VOTE_REPLY)] == [False]


def test_the_promise_is_to_the_leader_that_was_heard_last() -> None:
    raft = member([1], term=1, probe_ticks=3, election_spread_ticks=6)
    raft.step(Message(APPEND, 3, 1, 1, round=1, lease=True))
    raft.step(Message(APPEND, 2, 1, 2, round=1))
    assert not raft.is_promised
    drain(raft)
    assert raft.hint(2)
    own = member([1], term=1, lease_ticks=LEASE)
    own.step(append(1, 1, 1))
    assert own.is_promised


@pytest.mark.parametrize("lease_ticks", [LEASE, 0])
def test_a_leader_says_in_all_that_it_sends_whether_it_relies_on_leases(lease_ticks: int) -> None:
    raft = settled_leader(lease_ticks=lease_ticks)
    raft.propose(b"x")
    tick(raft, HEARTBEAT_TICKS)
    sent = drain(raft)
    assert {bool(one.entries) for one in sent} == {True, False}
    assert {one.lease for one in sent} == {lease_ticks > 0}


def test_a_restarted_member_may_have_promised() -> None:
    raft = member([1], term=1, lease_ticks=LEASE)
    for kind in (PRE_VOTE, VOTE):
        raft.step(Message(kind, 3, 1, 2, 9, 9))
    assert not drain_votes(raft) and raft.current_term == 1
    assert campaign(raft), "but it is not silent for ever"


def drain_votes(raft: Raft) -> list[Message]:
    return [one for one in drain(raft) if one.type is not APPEND]


def test_leases_are_shorter_than_the_election_timeout() -> None:
    with pytest.raises(ValueError, match="lease_ticks"):
        Config(1, frozenset({1}), lease_ticks=28)
    with pytest.raises(ValueError, match="lease_ticks"):
        Config(1, frozenset({1}), lease_ticks=-1)


@pytest.mark.parametrize("seed", range(8))
def test_a_cut_off_leader_serves_no_read_once_another_has_committed(seed: int) -> None:
    network = Network(seed, 5, Faults(propose=0.0, read=1.0), lease_ticks=LEASE)
    first = network.run_until_leader()
    network.run(3 * HEARTBEAT_TICKS)
    network.cut = {pair for one in network.members for pair in ((one, first.id), (first.id, one)) if one != first.id}
    for _ in range(6 * ELECTION_TICKS):
        network.faults.propose = 1.0
        network.run(1)  # every read is checked against what was committed when it was asked
    assert network.counts["lease reads"] and network.leader() is not first
    assert len(network.committed) > first.commit_index


def test_acknowledgements_renew_the_lease_too() -> None:
    raft = with_lease()
    tick(raft, HEARTBEAT_TICKS)
    drain(raft)
    raft.propose(b"value")
    acknowledge_all(raft)
    tick(raft, LEASE - 1)
    drain(raft)
    assert raft.read() in served(raft)
