"""Pre-vote, check-quorum, the lease against disruption, rounds, resending and back-pressure."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hosts.raft.core import Busy, NotLeader, Role
from hosts.raft.message import MAX_TERM, EntryKind, HardState, Message
from tests.raft.network import Faults, Network
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    PRE_VOTE,
    PRE_VOTE_REPLY,
    VOTE,
    VOTE_REPLY,
    acknowledge_all,
    answer,
    append,
    campaign,
    candidate,
    drain,
    entries,
    leader,
    member,
    only,
    readies,
    settled_leader,
    tick,
)


def quiet(size: int = 3, seed: int = 1, **options: int) -> Network:
    return Network(seed, size, Faults(propose=0), **options)


# -- pre-vote ------------------------------------------------------------------------------------------------------


def test_a_pre_vote_touches_neither_term_nor_vote_and_needs_no_disk() -> None:
    raft = member([1], vote=3)
    raft.step(Message(PRE_VOTE, 2, 1, 9, 5, 5))
    (ready,) = readies(raft)
    assert ready.hard_state is None and not ready.after
    (reply,) = ready.messages
    assert (reply.type, reply.reject, reply.term, reply.log_term) == (PRE_VOTE_REPLY, False, 9, 9)
    assert (raft.current_term, raft.voted_for, raft.role) == (1, 3, Role.FOLLOWER)


def test_pre_votes_may_be_given_to_many() -> None:
    raft = member([1])
    for source in (2, 3):
        raft.step(Message(PRE_VOTE, source, 1, 2, 5, 5))
    assert [reply.reject for reply in drain(raft)] == [False, False]


def test_a_granted_pre_vote_of_a_higher_term_does_not_raise_the_term() -> None:
    raft = member([1], term=1)
    (request, *_) = only(campaign(raft), PRE_VOTE)
    raft.step(answer(request, term=50))
    assert raft.current_term in (1, 2)


def test_an_isolated_member_does_not_raise_its_term_and_does_not_disturb_on_return() -> None:
    network = quiet()
    first = network.run_until_leader()
    away = next(one for one in network.members if one != first.id)
    network.cut = {pair for one in network.members for pair in ((one, away), (away, one))}
    network.run(20 * ELECTION_TICKS)
    assert network.raft(away).current_term == first.current_term
    assert network.raft(away).role is Role.PRE_CANDIDATE
    network.cut.clear()
    network.run(4 * ELECTION_TICKS)
    assert first.role is Role.LEADER and network.raft(away).leader == first.id


def test_a_rejected_pre_vote_names_a_higher_term_and_the_asker_takes_it() -> None:
    raft = member([1], term=1)
    (request, *_) = only(campaign(raft), PRE_VOTE)
    raft.step(answer(request, reject=True, term=7))
    assert (raft.current_term, raft.role) == (7, Role.FOLLOWER)


def test_a_late_pre_vote_reply_is_no_vote() -> None:
    raft = member(size=5)
    requests = only(campaign(raft), PRE_VOTE)
    for request in requests[:2]:
        raft.step(answer(request))
    drain(raft)
    assert raft.role is Role.CANDIDATE
    for request in requests[2:]:
        raft.step(answer(request))
    assert raft.role is Role.CANDIDATE


def test_a_vote_reply_of_an_earlier_question_is_not_counted() -> None:
    raft, requests = candidate()
    old = answer(requests[0])
    campaign(raft)
    for request in only(campaign(raft), PRE_VOTE):
        raft.step(answer(request))
    drain(raft)
    assert (raft.role, raft.current_term) == (Role.CANDIDATE, 2)
    raft.step(old)
    raft.step(Message(VOTE_REPLY, 2, 1, raft.current_term, log_term=raft.current_term - 1))
    assert raft.role is Role.CANDIDATE
    raft.step(Message(VOTE_REPLY, 2, 1, raft.current_term, log_term=raft.current_term))
    assert raft.role is Role.LEADER


def test_a_pre_vote_reply_of_an_earlier_question_is_not_counted() -> None:
    raft = member([1], term=1)
    campaign(raft)
    raft.step(Message(PRE_VOTE_REPLY, 2, 1, 1, log_term=1))
    assert raft.role is Role.PRE_CANDIDATE


def test_a_duplicated_vote_counts_once() -> None:
    raft, requests = candidate(size=5)
    for _ in range(4):
        raft.step(answer(requests[0]))
    assert raft.role is Role.CANDIDATE


# -- check-quorum and the lease ------------------------------------------------------------------------------------


def test_a_leader_without_a_quorum_steps_down_within_an_election_timeout() -> None:
    network = quiet()
    first = network.run_until_leader()
    network.run(3 * ELECTION_TICKS)
    network.cut = {pair for one in network.members for pair in ((one, first.id), (first.id, one)) if one != first.id}
    network.run(ELECTION_TICKS + 1)
    assert first.role is not Role.LEADER
    with pytest.raises(NotLeader):
        first.propose(b"value")


@pytest.mark.parametrize("direction", ["deaf", "mute"])
def test_a_leader_that_only_hears_or_only_speaks_steps_down(direction: str) -> None:
    network = quiet()
    first = network.run_until_leader()
    others = [one for one in network.members if one != first.id]
    network.cut = {(one, first.id) if direction == "deaf" else (first.id, one) for one in others}
    network.run(ELECTION_TICKS + 1)
    assert first.role is not Role.LEADER
    network.run(10 * ELECTION_TICKS)
    if direction == "mute":
        assert network.leader() is not None and network.leader() is not first


def test_a_leader_with_a_quorum_stays() -> None:
    network = quiet(5)
    first = network.run_until_leader()
    away = [one for one in network.members if one != first.id][:2]
    network.cut = {pair for gone in away for one in network.members for pair in ((one, gone), (gone, one))}
    network.run(20 * ELECTION_TICKS)
    assert first.role is Role.LEADER


def test_only_replies_to_recent_rounds_keep_a_leader() -> None:
    """A follower's old answers, delivered late and again and again, prove nothing of the present."""
    raft = settled_leader()
    tick(raft, HEARTBEAT_TICKS)
    old = [answer(beat) for beat in only(drain(raft), APPEND)]
    for reply in old:
        raft.step(reply)
    for _ in range(ELECTION_TICKS):
        assert raft.role is Role.LEADER
        raft.tick()
        drain(raft)
        for reply in old:
            raft.step(reply)
    assert raft.role is Role.FOLLOWER


def test_a_reply_counts_from_the_beginning_of_its_round() -> None:
    raft = settled_leader()
    tick(raft, HEARTBEAT_TICKS)
    beats = only(drain(raft), APPEND)
    tick(raft, ELECTION_TICKS - 2 * HEARTBEAT_TICKS)
    for beat in beats:
        raft.step(answer(beat))
    drain(raft)
    tick(raft, 2 * HEARTBEAT_TICKS - 1)
    assert raft.role is Role.LEADER
    raft.tick()
    assert raft.role is Role.FOLLOWER


def test_a_round_that_never_began_is_no_contact() -> None:
    raft = settled_leader()
    for _ in range(ELECTION_TICKS):
        raft.tick()
        drain(raft)
        for source in (2, 3):
            raft.step(Message(APPEND_REPLY, source, 1, raft.current_term, raft.last_index, round=10**6))
    assert raft.role is Role.FOLLOWER


@pytest.mark.parametrize("kind", [PRE_VOTE, VOTE])
def test_votes_are_refused_while_the_leader_is_heard(kind: object) -> None:
    raft = member([1])
    raft.step(append(1, 1, 1))
    drain(raft)
    tick(raft, ELECTION_TICKS - 1)
    raft.step(Message(kind, 3, 1, 9, 9, 9))  # type: ignore[arg-type]
    assert not drain(raft) and raft.current_term == 1
    raft.tick()
    raft.step(Message(kind, 3, 1, 9, 9, 9))  # type: ignore[arg-type]
    assert not only(drain(raft), PRE_VOTE_REPLY if kind is PRE_VOTE else VOTE_REPLY)[0].reject


def test_a_leader_with_its_quorum_refuses_votes() -> None:
    raft = settled_leader()
    raft.step(Message(VOTE, 3, 1, 9, 9, 9))
    assert raft.role is Role.LEADER and not drain(raft)


def test_a_member_stuck_in_a_higher_term_makes_the_leader_step_down_and_rejoins() -> None:
    network = quiet()
    first = network.run_until_leader()
    stuck = network.members[next(one for one in network.members if one != first.id)]
    stuck.disk.hard_state = HardState(first.current_term + 5, stuck.config.id)
    stuck.start()
    network.run(20 * ELECTION_TICKS)
    now = network.leader()
    assert now is not None and now.current_term > 5
    assert all(network.raft(one).leader == now.id for one in network.members)


def test_two_of_four_elect_nobody() -> None:
    network = quiet(4)
    for one in (3, 4):
        network.members[one].raft = None
    network.run(20 * ELECTION_TICKS)
    assert network.leader() is None and not network.committed


# -- a new leader --------------------------------------------------------------------------------------------------


def test_a_new_leader_begins_with_a_no_op_that_commits_what_came_before() -> None:
    raft = leader([1, 1])
    (ready,) = [one for one in readies(raft) if one.entries]
    assert [(one.kind, one.term, one.index) for one in ready.entries] == [(EntryKind.NOOP, 2, 3)]
    raft.advance(ready)
    raft.step(Message(APPEND_REPLY, 2, 1, 2, 3, round=1))
    assert raft.commit_index == 3


def test_a_second_leader_of_the_same_term_is_not_believed() -> None:
    raft = settled_leader()
    raft.step(append(raft.current_term, terms=[1]))
    assert raft.role is Role.LEADER
    raft = member([1])
    raft.step(append(1, 1, 1, source=2))
    raft.step(append(1, 1, 1, [1], source=3))
    assert raft.leader == 2 and raft.last_index == 1


# -- replication ---------------------------------------------------------------------------------------------------


def test_append_entries_do_not_wait_for_the_own_disk() -> None:
    raft = settled_leader()
    raft.propose(b"value")
    (ready,) = readies(raft)
    assert [one.target for one in ready.messages] == [2, 3] and not ready.after
    for message in ready.messages:
        raft.step(answer(message))
    assert raft.commit_index == raft.last_index and raft.durable_index < raft.last_index


def test_a_leaders_own_entry_counts_only_when_durable() -> None:
    raft = settled_leader()
    raft.propose(b"value")
    (ready,) = readies(raft)
    assert raft.commit_index < raft.last_index
    raft.advance(ready)
    raft.step(answer(only(ready.messages, APPEND)[0]))
    assert raft.commit_index == raft.last_index
    raft = settled_leader(size=5)
    raft.propose(b"value")
    (ready,) = readies(raft)
    raft.step(answer(only(ready.messages, APPEND)[0]))
    raft.step(answer(only(ready.messages, APPEND)[1]))
    assert raft.commit_index < raft.last_index, "two disks of five"
    raft.advance(ready)
    assert raft.commit_index == raft.last_index


def test_proposals_are_batched_and_pipelined() -> None:
    raft = settled_leader(max_entries_per_append=10)
    for _ in range(25):
        raft.propose(b"value")
    sizes = [len(one.entries) for one in only(drain(raft), APPEND, to=2)]
    assert sizes == [10, 10, 5]


def test_the_window_stops_the_leader_and_an_acknowledgement_lets_it_go_on() -> None:
    raft = settled_leader(max_entries_per_append=1, max_inflight=3)
    for _ in range(5):
        raft.propose(b"value")
    flying = [one for one in only(drain(raft), APPEND, to=2) if one.entries]
    assert len(flying) == 3
    raft.step(answer(flying[1]))
    assert len(only(drain(raft), APPEND, to=2)) == 2


def test_an_append_is_bounded_in_bytes_but_takes_one_entry_of_any_size() -> None:
    raft = settled_leader(max_bytes_per_append=1000)
    raft.propose(bytes(5000))
    for _ in range(4):
        raft.propose(bytes(400))
    assert [len(one.entries) for one in only(drain(raft), APPEND, to=2)] == [1, 2, 2]


def test_a_busy_leader_says_so_and_takes_proposals_again_later() -> None:
    raft = settled_leader(max_uncommitted_bytes=1000)
    raft.propose(bytes(5000))
    with pytest.raises(Busy):
        raft.propose(b"value")
    acknowledge_all(raft)
    raft.propose(b"value")


def test_what_is_lost_is_sent_again_when_the_follower_shows_signs_of_life() -> None:
    raft = settled_leader()
    raft.propose(b"value")
    lost = only(drain(raft), APPEND, to=2)
    resent: list[Message] = []
    for _ in range(3 * HEARTBEAT_TICKS):
        raft.tick()
        for beat in only(drain(raft), APPEND, to=2):
            if beat.entries:
                resent.append(beat)
            else:
                raft.step(answer(beat))
        resent += [one for one in only(drain(raft), APPEND, to=2) if one.entries]
    assert resent and resent[0].entries == lost[0].entries


def test_a_dead_follower_is_sent_heartbeats_only() -> None:
    raft = settled_leader()
    for _ in range(200):
        raft.propose(bytes(1000))
    flying = len([one for one in only(drain(raft), APPEND, to=2) if one.entries])
    for _ in range(5 * ELECTION_TICKS):
        raft.tick()
        for message in drain(raft):
            if message.target == 3:
                raft.step(answer(message))
            else:
                assert not message.entries
    assert flying and raft.role is Role.LEADER


def test_a_rejected_append_makes_the_leader_probe_with_one_message_at_a_time() -> None:
    raft = settled_leader(max_entries_per_append=1)
    for _ in range(5):
        raft.propose(b"value")
    flying = [one for one in only(drain(raft), APPEND, to=2) if one.entries]
    for message in flying[1:]:
        raft.step(answer(message, reject=True, index=message.index))
    (probe,) = only(drain(raft), APPEND, to=2)
    assert probe.index == flying[0].index and probe.entries == flying[0].entries
    raft.step(answer(probe))
    assert len(only(drain(raft), APPEND, to=2)) == 4


def test_conflict_hints_step_back_by_terms_not_by_entries() -> None:
    """A log of 200 entries of a lost term against another of 100: a few round trips, not two hundred."""
    network = quiet()
    for one, terms in ((1, [1] * 50 + [5] * 200), (2, [1] * 50 + [2] * 100 + [3] * 100), (3, [1] * 50)):
        network.members[one].disk.entries = list(entries(terms))
        network.members[one].disk.hard_state = HardState(5)
        network.members[one].start()
    rejects: list[Message] = []
    send = network.send

    def count(sender: object, messages: tuple[Message, ...]) -> None:
        rejects.extend(one for one in messages if one.type is APPEND_REPLY and one.reject)
        send(sender, messages)  # type: ignore[arg-type]

    network.send = count  # type: ignore[method-assign]
    network.members[2].raft = None
    assert network.run_until_leader().id == 1
    network.members[2].start()
    network.run(5 * ELECTION_TICKS)
    assert network.raft(2).last_index == network.raft(1).last_index
    assert len([one for one in rejects if one.source == 2]) <= 3


def test_commit_reaches_followers_within_a_tick_without_another_entry() -> None:
    raft = settled_leader()
    tick(raft, 2 * HEARTBEAT_TICKS)
    drain(raft)
    raft.propose(b"value")
    for message in only(drain(raft), APPEND):
        raft.step(answer(message))
    raft.tick()
    assert {one.commit for one in only(drain(raft), APPEND)} == {raft.commit_index}


def test_a_heartbeat_is_the_same_for_everyone() -> None:
    raft = settled_leader()
    raft.propose(b"value")
    for message in only(drain(raft), APPEND, to=3):
        raft.step(answer(message))
    assert raft.commit_index == 2
    tick(raft, HEARTBEAT_TICKS)
    beats = [one for one in only(drain(raft), APPEND) if not one.entries]
    assert {one.target: (one.index, one.log_term, one.commit) for one in beats} == {2: (0, 0, 2), 3: (0, 0, 2)}


def test_a_heartbeat_is_answered_with_what_is_durable_while_the_disk_stalls() -> None:
    raft = member(term=1)
    raft.step(append(1, terms=[1, 1]))
    stalled = readies(raft)
    assert [len(one.after) for one in stalled] == [1]
    raft.step(append(1, 2, 1, round=2))
    (ready,) = readies(raft)
    (reply,) = ready.messages
    assert (reply.index, reply.reject, reply.round) == (0, False, 2)
    raft.advance(stalled[0])
    raft.step(append(1, 2, 1, round=3))
    assert readies(raft)[0].messages[0].index == 2


def test_a_batch_shares_one_acknowledgement() -> None:
    raft = member(term=1)
    for at in range(5):
        raft.step(append(1, at, 1 if at else 0, [1], round=at))
    (reply,) = drain(raft)
    assert (reply.index, reply.round) == (5, 4)


def test_a_ready_that_only_waits_for_earlier_ones_needs_no_disk() -> None:
    raft = member(term=1)
    raft.step(append(1, terms=[1]))
    first = raft.ready()
    assert first is not None and first.needs_disk
    raft.step(append(1, terms=[1]))
    second = raft.ready()
    assert second is not None and second.after and not second.needs_disk and not second.messages
    raft.advance(first)
    raft.step(append(1, terms=[1]))
    third = raft.ready()
    assert third is not None and third.messages and not third.after


def test_readies_are_durable_in_their_order() -> None:
    raft = settled_leader()
    raft.propose(b"one")
    first = raft.ready()
    raft.propose(b"two")
    second = raft.ready()
    assert first is not None and second is not None
    with pytest.raises(ValueError, match="oldest"):
        raft.advance(second)
    raft.advance(first)
    raft.advance(second)
    with pytest.raises(ValueError, match="oldest"):
        raft.advance(second)


# -- hostile and misdelivered messages -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        append(2**63),
        append(2**64 - 1),
        append(9, 2**63),
        append(9, commit=2**63),
        append(9, 1, 2**63),
        append(0),
        append(-1),
        Message(APPEND, 3, 2, 9),
        Message(APPEND, 1, 1, 9),
        Message(APPEND, 255, 1, 9),
        Message(APPEND, 0, 1, 9),
        Message(APPEND, 2, 255, 9),
        Message(VOTE, 2, 3, 9, 9, 9),
        Message(VOTE, 0, 1, 9, 9, 9),
    ],
)
@pytest.mark.parametrize("role", ["follower", "leader"])
def test_malformed_and_misdelivered_messages_change_nothing(role: str, message: Message) -> None:
    raft = member([1]) if role == "follower" else settled_leader([1])
    drain(raft)
    before = raft.status()
    raft.step(message)
    assert raft.status() == before and not drain(raft)


def test_entries_that_do_not_follow_prev_are_dropped() -> None:
    good = append(5, 0, 0, [1, 2, 3])
    for bad in (good.entries[1:], good.entries[:1] + good.entries[2:], (replace(good.entries[0], term=9),)):
        raft = member(term=5)
        raft.step(replace(good, entries=bad))
        assert raft.last_index == 0


def test_an_acknowledgement_beyond_the_log_commits_nothing() -> None:
    raft = settled_leader()
    raft.propose(b"value")
    drain(raft)
    commit = raft.commit_index
    raft.step(Message(APPEND_REPLY, 2, 1, raft.current_term, raft.last_index + 5))
    assert raft.commit_index == commit


def test_the_highest_term_is_the_end_and_not_a_crash() -> None:
    raft = member(term=MAX_TERM)
    campaign(raft)
    assert (raft.current_term, raft.role) == (MAX_TERM, Role.FOLLOWER)


def test_status_is_plain() -> None:
    raft = settled_leader([1])
    status = json.loads(json.dumps(raft.status()))
    assert status["role"] == "leader" and status["progress"]["2"]["match_index"] == 2
