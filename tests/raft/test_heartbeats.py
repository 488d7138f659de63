"""Heartbeats that heal: what a follower knows to agree with its leader, and which losses the answers make up for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hosts.raft.core import Raft, Role
from hosts.raft.identities import FORGOTTEN
from hosts.raft.message import HardState, Message, MessageType
from hosts.raft.snapshot import Outgoing, Snapshot
from tests.raft.network import Faults, Network
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    answer,
    append,
    drain,
    entries,
    leader,
    log_terms,
    member,
    only,
    readies,
    settled_leader,
    tick,
)


def told(raft: Raft) -> tuple[int, bool]:
    """What the one answer that leaves now says: an index, and whether it is a REJECT."""
    (reply,) = only(drain(raft), APPEND_REPLY)
    return reply.index, reply.reject


# -- a follower ----------------------------------------------------------------------------------------------------


def test_a_heartbeat_neither_rejects_nor_commits_a_tail_of_its_own() -> None:
    raft = member([1, 1, 1], term=2)
    raft.step(append(2, commit=3))
    assert told(raft) == (0, False) and raft.commit_index == 0


@pytest.mark.parametrize(
    ("prev", "terms", "agreed"), [(1, [], 1), (1, [1], 2), (2, [2], 3), (3, [], 3), (3, [2, 2], 5), (0, [1], 1)]
)
def test_a_heartbeat_commits_what_agrees_and_no_more(prev: int, terms: list[int], agreed: int) -> None:
    raft = member([1, 1, 1], term=2)
    raft.step(append(2, prev, 1 if prev else 0, terms))
    assert told(raft) == (agreed, False) and raft.agreed_index == agreed and raft.commit_index == 0
    raft.step(append(2, commit=9))
    assert told(raft) == (agreed, False) and raft.commit_index == agreed
    raft.step(append(2, 1, 1, commit=9))
    assert told(raft) == (agreed, False), "what agrees is not forgotten by a late message"


def test_a_heartbeat_commits_no_more_than_its_leader() -> None:
    raft = member([1, 1, 1], term=2)
    raft.step(append(2, 3, 1))
    raft.step(append(2, commit=2))
    assert raft.commit_index == 2 and raft.agreed_index == 3


def test_what_agrees_with_one_leader_says_nothing_of_the_next() -> None:
    raft = member(term=2)
    raft.step(append(2, terms=[1, 2, 2], commit=1))
    assert told(raft) == (3, False)
    raft.step(append(3, commit=3, source=3))
    assert told(raft) == (1, False) and (raft.agreed_index, raft.commit_index) == (0, 1)
    raft.step(append(3, 2, 2, [3], commit=3, source=3))
    assert told(raft) == (3, False) and raft.commit_index == 3 and log_terms(raft) == [1, 2, 3]


def test_what_is_cut_off_agrees_no_more() -> None:
    """No leader does so; a forged message may. Nothing beyond the log is committed."""
    raft = member(term=2)
    raft.step(append(2, terms=[1, 1, 1, 1]))
    raft.step(append(2, 1, 1, [2]))
    raft.step(append(2, commit=9))
    assert (raft.last_index, raft.agreed_index, raft.commit_index) == (2, 2, 2)


def test_what_agrees_outlasts_a_pre_vote_in_vain() -> None:
    raft = member(term=2)
    raft.step(append(2, terms=[1, 2]))
    tick(raft, 2 * ELECTION_TICKS)
    assert raft.role is Role.PRE_CANDIDATE and raft.agreed_index == 0
    drain(raft)
    raft.step(append(2, commit=2))
    assert told(raft) == (2, False) and raft.commit_index == 2


def test_only_what_is_durable_is_told() -> None:
    raft = member(term=1)
    raft.step(append(1, terms=[1, 1]))
    (stalled,) = readies(raft)
    raft.step(append(1, commit=2))
    (ready,) = readies(raft)
    assert [one.index for one in ready.messages] == [0] and raft.commit_index == 2
    raft.advance(stalled)
    raft.step(append(1))
    assert told(raft) == (2, False)


def test_a_reject_says_what_agrees_and_is_durable() -> None:
    """It has no term then: who gets it may count on it."""
    raft = member([1, 1, 1], term=2)
    raft.step(append(2, 9, 2))
    (reply,) = drain(raft)
    assert (reply.reject, reply.index, reply.log_term, reply.commit) == (True, 9, 1, 3), "a guess: nothing was shown"
    raft.step(append(2, 2, 1))
    drain(raft)
    raft.step(append(2, 9, 2))
    (reply,) = drain(raft)
    assert (reply.reject, reply.index, reply.log_term, reply.commit) == (True, 9, 0, 2)
    raft.step(append(2, 3, 1, [2]))
    (stalled,) = readies(raft)
    raft.step(append(2, 9, 2))
    (reply,) = readies(raft)[0].messages
    assert (reply.reject, reply.log_term, reply.commit) == (True, 0, 3), "entry 4 is not durable"
    raft.advance(stalled)
    raft.step(append(2, 9, 2))
    assert [one.commit for one in drain(raft)] == [4]


def test_a_snapshot_shows_what_agrees() -> None:
    raft = member([1], term=2)
    stream = Outgoing(Snapshot(4, 1, raft.configuration, b"state"))
    chunk = stream.chunk(0, stream.size)
    raft.step(Message(MessageType.INSTALL_SNAPSHOT, 2, 1, 2, 4, 1, data=chunk, round=1))
    assert raft.agreed_index == raft.commit_index == 4
    held = member([1] * 6, term=2)
    held.step(Message(MessageType.INSTALL_SNAPSHOT, 2, 1, 2, 4, 1, data=chunk, round=1))
    assert held.agreed_index == held.commit_index == 4 and held.last_index == 6
    drain(held)
    held.step(append(2, commit=6))
    assert held.commit_index == 4, "the leader has shown nothing of what follows"


# -- a leader ------------------------------------------------------------------------------------------------------


def beats(raft: Raft) -> dict[int, Message]:
    """The next heartbeats."""
    tick(raft, raft.config.heartbeat_ticks)
    return {one.target: one for one in only(drain(raft), APPEND) if not one.entries}


def match(raft: Raft, one: int) -> int:
    return int(raft.status()["progress"][str(one)]["match_index"])


def test_a_lost_acknowledgement_is_healed_by_a_heartbeat() -> None:
    """The entries do not go out again, however often the acknowledgements are lost."""
    raft = settled_leader()
    for _ in range(3):
        _, index = raft.propose(b"value")
        sent = drain(raft)
        assert [one.target for one in only(sent, APPEND) if one.entries] == [2, 3]
        raft.step(answer(beats(raft)[2], index=index))
        assert (raft.commit_index, match(raft, 2)) == (index, index)
        raft.step(answer(beats(raft)[3], index=index))
        assert not [one for one in only(drain(raft), APPEND) if one.entries]
        assert raft.status()["progress"]["3"]["inflight"] == 0


def test_only_an_answer_to_a_later_round_says_that_entries_are_missing() -> None:
    raft = settled_leader()
    before = beats(raft)
    raft.propose(b"value")
    drain(raft)
    tick(raft, HEARTBEAT_TICKS)
    first = {one.target: one for one in only(drain(raft), APPEND)}
    tick(raft, HEARTBEAT_TICKS)
    drain(raft)
    for _ in range(3):
        raft.step(answer(before[2], index=1))
        assert not drain(raft), "that round began before the entry was sent"
    raft.step(answer(first[2], index=1))
    assert not drain(raft), "the wait begins"
    raft.step(answer(beats(raft)[2], index=1))
    (again,) = only(drain(raft), APPEND)
    assert (again.target, again.index, len(again.entries)) == (2, 1, 1)


def rejected(raft: Raft, prev: int, hint_term: int, hint: int) -> Message:
    round = raft.status()["round"]
    return Message(APPEND_REPLY, 2, 1, raft.current_term, prev, hint_term, hint, reject=True, round=round)


def test_a_rejects_hint_without_a_term_acknowledges() -> None:
    raft = settled_leader(max_entries_per_append=1)
    for _ in range(4):
        raft.propose(b"value")
    drain(raft)
    raft.step(rejected(raft, 4, 0, 3))
    assert (raft.commit_index, match(raft, 2)) == (3, 3)
    (again,) = only(drain(raft), APPEND, to=2)
    assert (again.index, len(again.entries)) == (3, 1)


@pytest.mark.parametrize(("hint_term", "hint"), [(1, 3), (0, 4), (0, 5), (0, 0)])
def test_no_other_hint_acknowledges(hint_term: int, hint: int) -> None:
    """One with a term is a guess, and perhaps not durable; one that is not below what is rejected is malformed."""
    raft = settled_leader(max_entries_per_append=1)
    for _ in range(4):
        raft.propose(b"value")
    drain(raft)
    raft.step(rejected(raft, 4, hint_term, hint))
    assert (raft.commit_index, match(raft, 2)) == (1, 1)


def test_a_late_hint_takes_nothing_back() -> None:
    raft = settled_leader([1] * 5)
    late = rejected(raft, 5, 0, 2)
    before = raft.status()["progress"]["2"]
    raft.step(late)
    assert raft.status()["progress"]["2"] == before and not raft.lost


def test_a_member_that_has_restarted_is_shown_what_agrees_once_a_round() -> None:
    raft = settled_leader([1] * 5)
    last = raft.last_index
    late = beats(raft)[2]
    beat = beats(raft)[2]
    raft.step(answer(beat, index=2))
    (shown,) = only(drain(raft), APPEND)
    assert (shown.target, shown.index, shown.entries, shown.commit) == (2, last, (), last)
    raft.step(answer(beat, index=2))
    raft.step(answer(late, index=2))
    assert not drain(raft)
    raft.step(answer(beats(raft)[2], index=2))
    assert [one.index for one in only(drain(raft), APPEND)] == [last], "a lost one is made up for"
    raft.step(answer(shown))
    raft.step(answer(beats(raft)[2], index=last))
    assert not drain(raft) and match(raft, 2) == last


def test_a_late_answer_shows_no_restart() -> None:
    """Its round began before the leader knew that the member holds more."""
    raft = settled_leader()
    beat = beats(raft)[2]
    raft.propose(b"value")
    for message in only(drain(raft), APPEND):
        raft.step(answer(message))
    raft.step(answer(beat, index=1))
    assert match(raft, 2) == 2 and not drain(raft)


def test_who_rejects_what_it_is_shown_has_lost_data() -> None:
    raft = settled_leader([1] * 5)
    raft.step(answer(beats(raft)[2], index=2))
    (shown,) = only(drain(raft), APPEND)
    raft.step(replace(answer(shown, reject=True), log_term=1, commit=2))
    assert raft.lost == {2: FORGOTTEN}


def test_nothing_can_be_shown_that_is_compacted_away() -> None:
    """What is missing behind it is on its way, or comes with the snapshot."""
    raft = settled_leader([1] * 5)
    for _ in range(3):
        raft.propose(b"value")
    for message in only(drain(raft), APPEND, to=3):
        raft.step(answer(message))
    drain(raft)
    raft.compact(raft.take_snapshot(raft.commit_index, b"state"))
    assert match(raft, 2) < raft.log.base_index
    for _ in range(3):
        raft.step(answer(beats(raft)[2], index=2))
    assert [one.type for one in drain(raft) if one.target == 2] == [MessageType.INSTALL_SNAPSHOT]


def test_a_transfer_goes_on_where_an_acknowledgement_was_lost() -> None:
    raft = settled_leader()
    _, index = raft.propose(b"value")
    drain(raft)
    raft.transfer(2)
    assert not only(drain(raft), MessageType.TIMEOUT_NOW)
    raft.step(answer(beats(raft)[2], index=index))
    assert len(only(drain(raft), MessageType.TIMEOUT_NOW, to=2)) == 1


def test_a_commit_is_announced_again_where_more_agrees() -> None:
    """Member 2 has acknowledged less than is committed: it is told anew once it has acknowledged more."""
    raft = settled_leader(max_entries_per_append=1, heartbeat_ticks=4)
    beats(raft)
    for _ in range(2):
        raft.propose(b"value")
    sent = only(drain(raft), APPEND)
    first, second = only(sent, APPEND, to=2)
    for message in only(sent, APPEND, to=3):
        raft.step(answer(message))
    drain(raft)
    for message in (first, second):
        raft.step(answer(message))
        raft.tick()
        assert [(one.index, one.commit) for one in only(drain(raft), APPEND, to=2)] == [(0, 3)]


def test_a_new_leader_begins_with_what_it_has_committed() -> None:
    raft = leader([1, 1], term=2)
    assert {(one.index, one.commit) for one in only(drain(raft), APPEND) if not one.entries} == {(0, 0)}


# -- members of version 0.1 ------------------------------------------------------------------------------------------


def test_a_heartbeat_at_match_index_is_answered_as_before() -> None:
    raft = member([1, 1], term=1)
    raft.step(append(1, 2, 1, commit=2))
    assert told(raft) == (2, False) and raft.commit_index == 2
    raft.step(append(1, 3, 1, commit=2))
    assert told(raft) == (3, True)


def test_a_member_that_knows_of_no_agreement_is_told_of_commits_all_the_same() -> None:
    """It answers a heartbeat at index 0 with what it has committed, and every round it is shown match_index."""
    raft = settled_leader([1] * 4)
    _, index = raft.propose(b"value")
    for message in only(drain(raft), APPEND):
        raft.step(answer(message))
    for _ in range(3):
        beat = beats(raft)[2]
        raft.step(answer(beat, index=index - 1))
        (shown,) = only(drain(raft), APPEND)
        assert (shown.target, shown.index, shown.commit) == (2, index, index)
        raft.step(answer(shown))
        assert match(raft, 2) == index and not raft.lost and not only(drain(raft), APPEND)


# -- a cluster -----------------------------------------------------------------------------------------------------


def idle(size: int = 3) -> tuple[Network, Raft]:
    """A cluster that has committed some values and has nothing more to do."""
    network = Network(3, size, Faults(propose=0))
    lead = network.run_until_leader()
    for number in range(20):
        lead.propose(b"%d" % number)
    network.run(4 * ELECTION_TICKS)
    assert all(one.applied == lead.last_index for one in network.members.values())
    return network, lead


def test_an_idle_member_that_restarts_applies_everything() -> None:
    network, lead = idle()
    last, term = lead.last_index, lead.current_term
    for one in (each for each in network.members if each != lead.id):
        network.members[one].crash(network.random)
        network.run(2)
        network.members[one].start()
        assert network.raft(one).commit_index == 0
        network.run(4 * HEARTBEAT_TICKS)
        assert network.members[one].applied == last
    assert (lead.role, lead.current_term, lead.last_index) == (Role.LEADER, term, last)


def test_an_idle_learner_that_restarts_applies_everything() -> None:
    network, lead = idle()
    network.add_member(4)
    lead.change_membership(learners={4: b"at 4"})
    network.run(4 * ELECTION_TICKS)
    assert network.members[4].applied == lead.last_index
    network.members[4].crash(network.random)
    network.members[4].start()
    network.run(4 * HEARTBEAT_TICKS)
    assert network.members[4].applied == lead.last_index and not lead.changing_members


def test_an_idle_member_with_an_older_folder_is_found_out() -> None:
    """Nothing is proposed: heartbeats alone show it."""
    network, lead = idle()
    one = next(each for each in network.members if each != lead.id)
    network.wiped.add(one)
    network.members[one].crash(network.random)
    del network.members[one].disk.entries[5:]
    network.members[one].start()
    network.run(4 * HEARTBEAT_TICKS)
    assert lead.lost == {one: FORGOTTEN} and network.raft(one).commit_index <= 5


def test_a_longer_log_that_differs_is_replaced_and_never_committed() -> None:
    """A member with a tail of its own hears heartbeats that commit more than the two logs have in common."""
    network = Network(1, 3, Faults(propose=0))
    for one, terms in ((1, [1] * 4 + [5] * 8), (2, [1] * 4 + [2] * 30), (3, [1] * 4 + [5] * 8)):
        network.members[one].disk.entries = list(entries(terms))
        network.members[one].disk.hard_state = HardState(5)
        network.members[one].start()
    network.members[2].raft = None
    lead = network.run_until_leader()
    network.members[2].start()
    lead._leadership._replication.served = {}  # type: ignore[union-attr]  # it gets heartbeats, and nothing else
    network.run(6 * HEARTBEAT_TICKS)
    assert lead.commit_index == 13 and network.raft(2).commit_index == 0 and network.raft(2).last_index == 34
    lead._leadership._know_members()  # type: ignore[union-attr]
    network.run(4 * ELECTION_TICKS)
    assert log_terms(network.raft(2)) == log_terms(lead) and network.members[2].applied == lead.last_index
