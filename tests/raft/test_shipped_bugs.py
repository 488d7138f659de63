"""Bugs that shipped in other implementations, each as a test of this one. Those of the log on disk (etcd #5230's torn
write, #22442's resurrected entries) have more tests in ``tests/storage``."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from hosts.raft.configuration import Configuration
from hosts.raft.core import Busy, Config, Raft, Role, Snapshot
from hosts.raft.message import Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.quorum import Membership
from hosts.raft.snapshot import Outgoing
from hosts.storage.log import DiskLog
from tests.raft.network import soak
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    PRE_VOTE,
    VOTE,
    VOTE_REPLY,
    acknowledge_all,
    answer,
    answer_all,
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
    tick,
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


@pytest.mark.parametrize("sent", [[1], []], ids=["entries", "heartbeat"])
def test_a_follower_acknowledges_no_more_than_agrees(sent: list[int]) -> None:
    """Behind what the leader has sent, a follower's own tail may be another term's: not a word about that."""
    raft = member([1, 1, 1, 1], term=2)
    raft.step(append(2, 1, 1, sent, commit=1))
    (reply,) = only(drain(raft), APPEND_REPLY)
    assert not reply.reject and reply.index == 1 + len(sent)
    assert log_terms(raft) == [1, 1, 1, 1]


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


def test_replay_does_not_resurrect_truncated_entries(tmp_path: Path) -> None:
    """etcd #22442."""
    log = DiskLog.open(tmp_path)
    log.append(HardState(1), entries([1, 1, 1, 1]))
    log.append(HardState(2), entries([2], 2))
    log.close()
    log = DiskLog.open(tmp_path)
    log.append(HardState(3), entries([3], 3))
    log.close()
    assert [(one.index, one.term) for one in DiskLog.open(tmp_path).entries] == [(1, 1), (2, 2), (3, 3)]


def test_a_torn_last_write_is_left_out_and_what_was_acknowledged_is_not(tmp_path: Path) -> None:
    """etcd #5230."""
    log = DiskLog.open(tmp_path)
    log.append(HardState(1), entries([1, 1]))
    log.close()
    file = tmp_path / "log-0000000001"
    data, used = file.read_bytes(), len(file.read_bytes().rstrip(b"\0"))
    file.write_bytes(data[:used] + b"\xf5RF\x01 half a frame" + data[used + 17 :])
    found = DiskLog.open(tmp_path)
    assert [one.index for one in found.entries] == [1, 2] and found.notes


def test_an_installed_snapshot_brings_its_members() -> None:
    """openraft #1808: the membership of the former log stayed."""
    raft = member([1])
    former = Configuration(0, Membership(frozenset({1, 2, 3, 4, 5})))
    raft.step(Message(APPEND, 2, 1, 1, 1, 1, round=1, entries=(Entry(1, 2, EntryKind.CONFIGURATION, former.pack()),)))
    members = Configuration(4, Membership(frozenset({1, 6})), {1: b"", 6: b"there"})
    stream = Outgoing(Snapshot(9, 2, members, b""))
    raft.step(Message(MessageType.INSTALL_SNAPSHOT, 2, 1, 2, 9, 2, data=stream.chunk(0, stream.size)))
    assert raft.configuration == raft.committed_configuration == members
    assert raft.status()["voters"] == [1, 6]


def test_no_lease_read_while_leadership_is_handed_over() -> None:
    """raft-rs #234; more in test_leases.py."""
    raft = settled_leader(lease_ticks=7)
    tick(raft, 2)
    for beat in only(drain(raft), APPEND):
        raft.step(answer(beat))
    assert any(ready.reads for ready in [raft.read() and raft.ready()] if ready)
    raft.transfer(2)
    drain(raft)
    raft.read()
    assert not any(ready.reads for ready in readies(raft))


def test_a_reads_number_is_never_used_again() -> None:
    """etcd #20418: a retry under the same number was served by the answers to the first try."""
    raft = settled_leader()
    first = raft.read()
    old = [answer(beat) for beat in only(drain(raft), APPEND)]
    raft.step(Message(APPEND, 2, 1, raft.current_term + 1, round=1))
    assert raft.role is Role.FOLLOWER
    drain(raft)
    for request in only(campaign(raft), PRE_VOTE):
        raft.step(answer(request))
    for request in only(drain(raft), VOTE):
        raft.step(answer(request))
    acknowledge_all(raft)
    second = raft.read()
    drain(raft)
    for reply in old:
        raft.step(reply)
    assert second > first and not any(ready.reads for ready in readies(raft))


def test_no_change_of_members_before_the_terms_own_first_entry_is_committed() -> None:
    """raft-dev, 2015: two leaders that each change one member of the same old configuration can both commit."""
    raft = leader([1, 1])
    with pytest.raises(Busy, match="own term"):
        raft.change_membership(remove={3})
    acknowledge_all(raft)
    raft.change_membership(remove={3})
    answer_all(raft)
    drain(raft)
    assert raft.configuration.is_joint
