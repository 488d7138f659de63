"""Bugs that shipped in other implementations, each as a test of this one."""

from __future__ import annotations

from random import Random

import pytest

from hosts.raft.core import Config, Raft, Role
from hosts.raft.message import EntryKind, HardState, Message
from tests.raft.network import soak
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    PRE_VOTE,
    VOTE,
    VOTE_REPLY,
    answer,
    append,
    campaign,
    candidate,
    drain,
    entries,
    leader,
    log_terms,
    member,
    only,
    readies,
    settled_leader,
)


def test_a_vote_leaves_only_after_it_is_durable() -> None:
    """PySyncObj #84, #201: term and vote were not on disk when they were answered."""
    raft = member(term=1)
    raft.step(Message(VOTE, 2, 1, 2))
    (ready,) = readies(raft)
    assert ready.hard_state == HardState(2, 2)
    assert not ready.messages and [one.type for one in ready.after] == [VOTE_REPLY]
    # After a crash before that, nothing of it has left; after it, the vote still stands.
    again = Raft(raft.config, HardState(2, 2), (), Random(0))
    again.step(Message(VOTE, 3, 1, 2))
    assert drain(again)[0].reject


def test_a_vote_request_leaves_only_after_the_own_vote_is_durable() -> None:
    raft = member()
    for request in only(campaign(raft), PRE_VOTE):
        raft.step(answer(request))
    (ready,) = readies(raft)
    assert ready.hard_state == HardState(1, 1) and not ready.messages
    assert [one.type for one in ready.after] == [VOTE, VOTE]


def test_an_acknowledgement_leaves_only_after_its_entries_and_term_are_durable() -> None:
    raft = member()
    raft.step(append(3, terms=[3]))
    (ready,) = readies(raft)
    assert ready.hard_state == HardState(3, 0) and len(ready.entries) == 1
    assert not ready.messages and [(one.type, one.index) for one in ready.after] == [(APPEND_REPLY, 1)]


def test_a_heartbeats_answer_waits_for_its_term_to_be_durable() -> None:
    """Otherwise a restart forgets the term that it has spoken in."""
    raft = member()
    raft.step(append(3))
    (ready,) = readies(raft)
    assert not ready.messages and len(ready.after) == 1


def test_truncation_only_at_a_real_conflict() -> None:
    """openraft: a late duplicate of an old AppendEntries cut off committed entries."""
    raft = member()
    first = append(1, terms=[1, 1])
    raft.step(first)
    raft.step(append(1, 2, 1, [1, 1], commit=4))
    drain(raft)
    raft.step(first)
    raft.step(append(1, 1, 1, []))
    assert log_terms(raft) == [1, 1, 1, 1] and raft.commit_index == 4
    assert not [one for ready in readies(raft) for one in ready.entries]


def test_truncation_only_at_a_real_conflict_also_beyond_the_commit_index() -> None:
    raft = member()
    first = append(1, terms=[1, 1])
    raft.step(first)
    raft.step(append(1, 2, 1, [1, 1]))
    raft.step(first)
    assert log_terms(raft) == [1, 1, 1, 1]
    replies = only(drain(raft), APPEND_REPLY)
    assert max(one.index for one in replies) == 4


def test_a_single_member_commits_only_what_is_durable() -> None:
    """etcd #14370: a cluster of one acknowledged before its sync."""
    raft = member(size=1)
    campaign(raft)
    assert raft.role is Role.LEADER
    _, index = raft.propose(b"value")
    (ready,) = readies(raft)
    assert not ready.committed and raft.commit_index == index - 1
    raft.advance(ready)
    assert [one.data for one in readies(raft)[0].committed] == [b"value"]


def test_a_single_member_leads_only_after_its_vote_is_durable() -> None:
    raft = member(size=1)
    for _ in range(20):
        raft.tick()
    assert raft.role is Role.CANDIDATE
    (ready,) = readies(raft)
    assert ready.hard_state == HardState(1, 1)
    raft.advance(ready)
    assert raft.role is Role.LEADER


def test_a_pre_vote_does_not_reset_the_vote() -> None:
    """canonical/raft #196."""
    raft = member([1], term=2, vote=3)
    raft.step(Message(PRE_VOTE, 2, 1, 3, 9, 2))
    raft.step(Message(PRE_VOTE, 2, 1, 2, 9, 2))
    drain(raft)
    assert (raft.current_term, raft.voted_for) == (2, 3)
    raft.step(Message(VOTE, 2, 1, 2, 9, 2))
    assert drain(raft)[0].reject


def test_an_own_pre_election_does_not_reset_the_vote() -> None:
    raft = member([1], term=2, vote=3)
    campaign(raft)
    assert raft.role is Role.PRE_CANDIDATE
    assert (raft.current_term, raft.voted_for) == (2, 3)


def test_entries_of_a_former_term_do_not_commit_by_counting() -> None:
    """logcabin #44; the paper's figure 8."""
    raft = leader([1, 2], size=5, term=3)
    drain(raft)
    for source in (2, 3, 4, 5):
        raft.step(Message(APPEND_REPLY, source, 1, raft.current_term, 2))
    assert raft.commit_index == 0
    for source in (2, 3):
        raft.step(Message(APPEND_REPLY, source, 1, raft.current_term, 3))
    assert raft.commit_index == 3


def test_a_vote_meant_for_another_candidate_is_not_counted() -> None:
    """Misdelivery is not in Raft's model: the message names its target."""
    raft, requests = candidate()
    term = requests[0].term
    raft.step(Message(VOTE_REPLY, 3, 2, term, log_term=term))
    assert raft.role is Role.CANDIDATE


def test_votes_and_acknowledgements_are_not_counters() -> None:
    """In-switch predecessors counted a duplicate twice."""
    raft, _ = candidate(size=5)
    for _ in range(5):
        raft.step(Message(VOTE_REPLY, 2, 1, 1, log_term=1))
    assert raft.role is Role.CANDIDATE
    raft = settled_leader(size=5)
    raft.propose(b"value")
    drain(raft)
    for _ in range(5):
        raft.step(Message(APPEND_REPLY, 2, 1, raft.current_term, raft.last_index))
    assert raft.commit_index == raft.last_index - 1


def test_a_late_reject_does_not_undo_an_acknowledgement() -> None:
    raft = settled_leader()
    for _ in range(3):
        raft.propose(b"value")
    for message in only(drain(raft), APPEND, to=2):
        raft.step(Message(APPEND_REPLY, 2, 1, 1, message.index + len(message.entries)))
    match = raft.status()["progress"]["2"]["match_index"]
    for index in range(match + 1):
        raft.step(Message(APPEND_REPLY, 2, 1, 1, index, reject=True))
    progress = raft.status()["progress"]["2"]
    assert (progress["match_index"], progress["next_index"]) == (match, match + 1) and not drain(raft)


def test_a_new_leaders_first_entry_is_a_no_op() -> None:
    """raft-dev, 2015: membership may change only after an entry of the own term has committed."""
    raft = leader([1])
    assert [(one.kind, one.term) for ready in readies(raft) for one in ready.entries] == [(EntryKind.NOOP, 2)]


def test_an_entry_that_was_cut_off_and_came_back_is_durable_only_when_written_again() -> None:
    """etcd's append race with asynchronous storage."""
    raft = member(term=1)
    raft.step(append(1, terms=[1, 1, 1]))
    first = raft.ready()
    raft.step(append(2, terms=[2], source=3))
    second = raft.ready()
    raft.step(append(3, terms=[1, 1, 1], source=2))
    third = raft.ready()
    assert first is not None and second is not None and third is not None
    raft.advance(first)
    assert raft.durable_index == 0
    raft.advance(second)
    assert raft.durable_index == 0
    raft.advance(third)
    assert raft.durable_index == 3


def test_what_was_cut_off_is_no_longer_durable() -> None:
    raft = member([1, 1, 1], term=2)
    raft.step(append(2, 1, 1, [2, 2]))
    (stalled,) = readies(raft)
    raft.step(append(2, 3, 2))
    (ready,) = readies(raft)
    assert [one.index for one in ready.messages] == [1] and raft.durable_index == 1
    raft.advance(stalled)
    assert raft.durable_index == 3


def test_a_restart_with_a_log_newer_than_its_term_is_refused() -> None:
    with pytest.raises(ValueError, match="older than"):
        Raft(Config(1, frozenset({1})), HardState(1), entries([2]), Random(0))


def test_a_follower_does_not_commit_what_the_leader_has_not_confirmed() -> None:
    """A follower's own tail may be another term's: only what matched can be committed."""
    raft = member([1, 1, 1], term=2)
    raft.step(append(2, 1, 1, commit=3))
    assert raft.commit_index == 1
    raft.step(append(2, 1, 1, [2], commit=3))
    assert raft.commit_index == 2 and log_terms(raft) == [1, 2]


@pytest.mark.parametrize("seed", [11, 12])
def test_crashes_with_torn_writes_lose_nothing_acknowledged(seed: int) -> None:
    """etcd #5230, in the whole: see tests/storage for the log's part."""
    network = soak(seed, size=3, ticks=1500)
    assert network.counts["crashes"] and network.committed


def test_append_entries_never_carry_a_gap() -> None:
    """openraft #1795: an entry that could not be read became a malformed append."""
    raft = leader([1, 1, 1])
    for message in only(drain(raft), APPEND):
        indexes = [one.index for one in message.entries]
        assert indexes == list(range(message.index + 1, message.index + 1 + len(indexes)))
    raft.log.base_index = 2  # as if the entries before had been compacted away
    raft.log._entries = raft.log._entries[2:]
    with pytest.raises(LookupError):
        raft._leadership._replication.send_append(2, raft._leadership._progress[2], 1, 0)  # type: ignore[union-attr]
