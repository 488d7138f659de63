"""Members that have lost what they had promised: found out, named, and counted on for nothing.

``scenarios/wiped_follower.txt`` and ``late_at_birth.txt`` tell the whole story; here are its rules one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest

from hosts.raft.configuration import Configuration, History
from hosts.raft.core import Config, InvalidChange, Raft, Role, Unreachable
from hosts.raft.election import Ballot
from hosts.raft.identities import ANOTHER_LOG, FORGOTTEN
from hosts.raft.message import NO_VOTE, Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.quorum import Membership
from tests.raft.network import Disk, Faults, Network
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
    entries,
    leader,
    log_terms,
    only,
    settled_leader,
    tick,
)

LOGS = {1: 10, 2: 20, 3: 30}
MEMBERS = Membership(frozenset(LOGS))


def recorded(index: int, term: int = 1, log_ids: Mapping[int, int] = LOGS) -> Entry:
    """A configuration of members 1 to 3, whose logs are these."""
    return Entry(term, index, EntryKind.CONFIGURATION, Configuration(0, MEMBERS, log_ids=log_ids).pack())


def member(log: Sequence[Entry] = (), state: HardState | None = None, *, log_id: int = 10, **options: int) -> Raft:
    """Member 1 of three, which knows the id of its own log."""
    chosen = {"election_timeout_ticks": ELECTION_TICKS, "heartbeat_ticks": HEARTBEAT_TICKS, **options}
    state = state or HardState(max((one.term for one in log), default=0))
    return Raft(Config(1, frozenset(LOGS), log_id=log_id, **chosen), state, log, Random(0))


def says(request: Message, log_id: int = 0, *, reject: bool = False, index: int = 0) -> Message:
    """The answer to it, out of the log of that id."""
    return replace(answer(request, reject=reject, index=index), log_id=log_id)


def elect(raft: Raft, log_ids: Mapping[int, int]) -> Raft:
    """Have the others vote for it, out of these logs; those who are not named do not answer."""
    for kind in (PRE_VOTE, VOTE):
        for request in only(campaign(raft) if kind is PRE_VOTE else drain(raft), kind):
            if request.target in log_ids:
                raft.step(says(request, log_ids[request.target]))
    assert raft.role is Role.LEADER
    return raft


def beat(raft: Raft) -> dict[int, Message]:
    """The heartbeats of a new round, by target."""
    drain(raft)
    tick(raft, HEARTBEAT_TICKS)
    return {one.target: one for one in only(drain(raft), APPEND) if not one.entries}


def acknowledge(raft: Raft, *members: int) -> None:
    """Everything that is sent to these is answered until nothing more is."""
    while sent := [one for one in only(drain(raft), APPEND) if one.target in members]:
        for message in sent:
            raft.step(says(message))


def progress(raft: Raft, one: int) -> dict[str, object]:
    found = raft.status()["progress"][str(one)]
    assert isinstance(found, dict)
    return found


# -- a REJECT of what was acknowledged ------------------------------------------------------------------------------


def test_a_reject_of_what_was_acknowledged_before_its_round_began_is_no_late_one() -> None:
    raft = settled_leader([1] * 5)
    match = raft.last_index
    late = beat(raft)[2]
    raft.propose(b"value")
    acknowledge(raft, 2, 3)
    raft.step(answer(late, reject=True, index=match))
    assert raft.lost == {}, "its round began before what it acknowledged since"
    raft.step(answer(beat(raft)[2], reject=True, index=match + 2))
    assert raft.lost == {}, "it never acknowledged that"
    raft.step(answer(beat(raft)[2], reject=True, index=match))
    assert raft.lost == {2: FORGOTTEN}


def with_a_lost_member(**options: int) -> Raft:
    """Member 2 has rejected what it had acknowledged; member 3 has all that is committed."""
    raft = settled_leader([1] * 5, **options)
    raft.step(answer(beat(raft)[2], reject=True, index=raft.last_index))
    assert raft.lost == {2: FORGOTTEN}
    return raft


def test_what_it_acknowledged_counts_for_nothing_any_more() -> None:
    raft = settled_leader([1] * 5, size=5)
    _, index = raft.propose(b"value")
    sent = {one.target: one for one in only(drain(raft), APPEND)}
    raft.step(answer(sent[2]))
    raft.step(answer(beat(raft)[2], reject=True, index=index))
    raft.step(answer(sent[3]))
    assert raft.commit_index == index - 1, "of the leader, 2 and 3 one has lost it"
    raft.step(answer(sent[4]))
    assert raft.commit_index == index


def test_it_is_in_no_quorum_and_gets_no_entries() -> None:
    raft = with_a_lost_member()
    assert progress(raft, 2)["match_index"] == 0 and not progress(raft, 2)["counts"]
    _, index = raft.propose(b"value")
    sent = only(drain(raft), APPEND)
    assert [one.target for one in sent if one.entries] == [3]
    heartbeats = beat(raft)
    assert (heartbeats[2].index, heartbeats[2].entries) == (0, ()), "it hears who leads, and no more"
    raft.step(Message(APPEND_REPLY, 2, 1, raft.current_term, index, round=raft.status()["round"]))
    assert raft.commit_index == index - 1
    number = raft.read()
    asked = {one.target: one for one in only(drain(raft), APPEND)}
    raft.step(answer(asked[2]))
    assert drain(raft) == [] and not served(raft)
    raft.step(answer(asked[3]))
    assert served(raft) == [number]


def served(raft: Raft) -> list[int]:
    found = []
    while (ready := raft.ready()) is not None:
        found += [number for number, _ in ready.reads]
    return found


def test_its_answers_keep_no_leader_in_office() -> None:
    raft = with_a_lost_member()
    for _ in range(ELECTION_TICKS):
        raft.tick()
        for message in only(drain(raft), APPEND, 2):
            raft.step(answer(message))
    assert raft.role is not Role.LEADER
    assert raft.lost == {2: FORGOTTEN}, "it still says why nothing goes on"
    raft.step(append(raft.current_term + 1, source=3))
    assert raft.lost == {}, "now it is for the new leader to know"


def test_no_lease_rests_on_it() -> None:
    raft = with_a_lost_member(lease_ticks=ELECTION_TICKS - 3)
    heartbeats = beat(raft)
    raft.step(answer(heartbeats[2]))
    tick(raft, 4)
    drain(raft)
    raft.read()
    assert not served(raft), "the third member has not answered for longer than a lease lasts"


def test_leadership_is_not_handed_to_it() -> None:
    raft = with_a_lost_member(size=4)
    with pytest.raises(ValueError, match="has lost its data"):
        raft.transfer(2)
    raft.change_membership(remove=[1])
    sent: list[Message] = []
    while raft.role is Role.LEADER:
        sent = drain(raft)
        for message in only(sent, APPEND):
            if message.target != 2:
                raft.step(answer(message))
    sent += drain(raft)
    assert [one.target for one in only(sent, MessageType.TIMEOUT_NOW)] == [3]


def test_a_change_that_would_need_it_is_refused() -> None:
    raft = with_a_lost_member()
    with pytest.raises(Unreachable, match=r"\[2\] are silent \(of these \[2\] have lost their data\)"):
        raft.change_membership(remove=[3])
    with pytest.raises(InvalidChange, match="remove it first"):
        raft.change_membership(add={2: b"elsewhere"})
    raft.change_membership(remove=[2])
    acknowledge(raft, 3)
    assert raft.membership.voters == {1, 3} and raft.lost == {}


# -- another log ----------------------------------------------------------------------------------------------------


def test_who_answers_out_of_another_log_than_recorded_has_lost_its_data() -> None:
    raft = elect(member([recorded(1), *entries([1], 2)]), {2: 20, 3: 30})
    first = {one.target: one for one in only(drain(raft), APPEND) if one.entries}
    raft.step(says(first[2], 21))
    assert raft.lost == {2: ANOTHER_LOG} and raft.commit_index == 0
    raft.step(says(first[3], 30))
    assert raft.commit_index == 3
    raft.propose(b"value")
    assert [one.target for one in only(drain(raft), APPEND) if one.entries] == [3]


def test_a_log_that_is_not_recorded_yet_must_not_change_within_the_term() -> None:
    raft = elect(member(entries([1])), {2: 20})
    acknowledge(raft, 2)
    heartbeats = beat(raft)
    raft.step(says(heartbeats[2], 20))
    assert raft.lost == {}
    raft.step(says(beat(raft)[2], 21))
    assert raft.lost == {2: ANOTHER_LOG}


def test_a_candidate_counts_no_stranger() -> None:
    raft = member([recorded(1)])
    requests = {one.target: one for one in only(campaign(raft), PRE_VOTE)}
    raft.step(says(requests[2], 21))
    assert raft.role is Role.PRE_CANDIDATE and raft.lost == {2: ANOTHER_LOG}
    raft.step(says(requests[2], 20))
    assert raft.role is Role.CANDIDATE
    requests = {one.target: one for one in only(drain(raft), VOTE)}
    raft.step(says(requests[3], 31))
    raft.step(says(requests[3]))
    assert raft.role is Role.CANDIDATE, "nor one that does not say out of which log it votes"
    raft.step(says(requests[3], 30))
    assert raft.role is Role.LEADER


def test_a_ballot_does_not_count_a_log_that_may_be_younger_than_the_group() -> None:
    birth = Ballot(Configuration(0, MEMBERS))
    birth.record(2, granted=True, log_id=20)
    birth.record(3, granted=True)
    assert birth.won()
    known = Ballot(Configuration(1, MEMBERS, log_ids={1: 10, 2: 20}))
    known.record(1, granted=True, log_id=10)
    known.record(3, granted=True, log_id=30)
    assert not known.won()
    known.record(2, granted=True, log_id=20)
    assert known.won() and known.log_ids == LOGS


# -- what a member says of its log ----------------------------------------------------------------------------------


def test_answers_name_the_log_until_it_is_known_to_be_recorded() -> None:
    raft = member()

    def reply(request: Message) -> Message:
        raft.step(request)
        (found,) = drain(raft)
        return found

    assert reply(append(1)).log_id == 10
    first = Message(APPEND, 2, 1, 1, round=1, entries=(recorded(1),))
    assert reply(first).log_id == 10, "that entry may come to nothing"
    assert reply(append(1, 1, 1, commit=1)).log_id == 10, "it was not known when this was answered"
    assert reply(append(1, 1, 1, commit=1)).log_id == 0
    tick(raft, 2 * ELECTION_TICKS)
    drain(raft)
    vote = reply(Message(VOTE, 3, 1, 9, 5, 1))
    assert vote.type is VOTE_REPLY and not vote.reject and vote.log_id == 10, "votes always do"


def test_an_answer_to_a_request_of_another_term_names_no_round() -> None:
    """Rounds count from each election on: a leader of both terms would take it for an answer to a round of now."""
    raft = member([recorded(1)], HardState(5), log_id=0)
    for request in (append(4, 1, 1, round=7), Message(MessageType.INSTALL_SNAPSHOT, 2, 1, 4, 1, 1, round=7)):
        raft.step(request)
        (reply,) = drain(raft)
        assert reply.reject and (reply.term, reply.round) == (5, 0)


# -- an empty log ---------------------------------------------------------------------------------------------------


def vote(raft: Raft, request: Message) -> Message:
    raft.step(request)
    (reply,) = drain(raft)
    return reply


def test_who_holds_nothing_votes_for_who_holds_nothing() -> None:
    for kind in (PRE_VOTE, VOTE):
        raft = member()
        refused = vote(raft, Message(kind, 2, 1, 4, 7, 3))
        assert refused.reject and refused.log_id == 10 and raft.refuses_votes
        assert not vote(raft, Message(kind, 3, 1, 5)).reject
        assert vote(member(log_id=0), Message(kind, 2, 1, 4, 7, 3)).reject is False, "nothing is known of folders"
    assert vote(member(), Message(PRE_VOTE, 2, 1, 4, 7, 3)).term == 3, "or who asks would not hear it"


def restarted(raft: Raft) -> Raft:
    """From what is on its disk."""
    state, log = HardState(raft.current_term, raft.voted_for), raft.log.between(1, raft.last_index, 99, 1 << 20)[0]
    return member(log, state, log_id=raft.config.log_id)


def test_votes_for_the_log_that_it_has_lost_do_not_elect_it() -> None:
    """It was a candidate, its votes are on their way, and it begins anew with nothing in a term before that."""
    before = member([recorded(1), *(Entry(1, index, EntryKind.COMMAND, b"") for index in (2, 3))])
    for request in only(campaign(before), PRE_VOTE):
        before.step(says(request, LOGS[request.target]))
    asked = only(drain(before), VOTE)
    after = member(log_id=11)
    late = [says(request, LOGS[request.target]) for request in asked]
    own = only(campaign(after), PRE_VOTE)
    for request in own:
        after.step(says(request, LOGS[request.target]))
    assert after.role is Role.CANDIDATE and only(drain(after), VOTE)[0].term <= asked[0].term
    while after.current_term < asked[0].term:
        for request in only(campaign(after), PRE_VOTE):
            after.step(says(request, LOGS[request.target]))
        drain(after)
    for vote in late:
        after.step(vote)
    assert after.role is Role.CANDIDATE


def test_who_holds_nothing_does_not_take_over() -> None:
    raft = member(log_id=11)
    raft.step(Message(APPEND, 2, 1, 4, round=9))
    assert raft.leader == 2
    raft.step(Message(MessageType.TIMEOUT_NOW, 2, 1, 4))
    assert raft.role is Role.FOLLOWER and raft.current_term == 4


def test_no_term_that_it_hears_of_makes_it_a_voter() -> None:
    raft = member()
    raft.step(append(3, 7, 3))
    drain(raft)
    assert (raft.current_term, raft.voted_for, raft.status()["voted_for"]) == (3, NO_VOTE, 0)
    for again in (raft, restarted(raft)):
        tick(again, ELECTION_TICKS)
        drain(again)
        assert vote(again, Message(VOTE, 2, 1, 9, 7, 3)).reject
        assert again.voted_for == NO_VOTE


def test_whoever_elected_the_first_leader_may_elect_the_next_before_it_holds_anything() -> None:
    raft = member()
    assert not vote(raft, Message(VOTE, 2, 1, 1)).reject
    for again in (raft, restarted(raft)):
        tick(again, ELECTION_TICKS)
        drain(again)
        assert not vote(again, Message(VOTE, 2, 1, 9, 1, 1)).reject


def test_who_is_given_entries_votes_from_the_next_term_on() -> None:
    """In this term it may have voted out of a folder that was lost."""
    raft = member()
    raft.step(append(3, terms=[1, 3]))
    drain(raft)
    again = restarted(raft)
    assert log_terms(again) == [1, 3]
    assert vote(again, Message(VOTE, 2, 1, 3, 7, 3)).reject
    assert not vote(again, Message(VOTE, 2, 1, 4, 7, 3)).reject


# -- the record -----------------------------------------------------------------------------------------------------


def record_in(raft: Raft) -> list[tuple[int, dict[int, int]]]:
    found = raft.log.between(1, raft.last_index, 99, 1 << 20)[0]
    chosen = [one for one in found if one.kind is EntryKind.CONFIGURATION]
    return [(one.index, dict(Configuration.unpack(one.index, one.data).log_ids)) for one in chosen]


def test_a_groups_first_entry_records_who_elected_its_leader() -> None:
    raft = elect(member(), {2: 20, 3: 30})
    assert record_in(raft) == [(1, LOGS)], "in place of a no-op"
    assert [entry.kind for entry in raft.log.between(1, 9, 9, 999)[0]] == [EntryKind.CONFIGURATION]
    acknowledge(raft, 2)
    assert raft.commit_index == 1
    assert record_in(elect(member(), {2: 20})) == [(1, {1: 10, 2: 20})]
    assert record_in(elect(member(), {2: 0, 3: 0})) == [], "those of an older version name no log"
    assert record_in(leader()) == []


def test_who_comes_later_is_recorded_by_the_others_and_counts_then() -> None:
    raft = elect(member(), {2: 20})
    acknowledge(raft, 2)
    assert not progress(raft, 3)["counts"]
    heartbeats = beat(raft)
    raft.step(says(heartbeats[3], 30))
    sent = only(drain(raft), APPEND)
    assert [(one.target, [entry.index for entry in one.entries]) for one in sent if one.entries] == [(2, [2])]
    assert record_in(raft)[-1] == (2, LOGS)
    raft.step(says(beat(raft)[3], 30))
    assert not progress(raft, 3)["counts"], "the others have not agreed yet"
    raft.step(Message(APPEND_REPLY, 2, 1, raft.current_term, 2, round=raft.status()["round"]))
    assert raft.commit_index == 2
    assert [one.target for one in only(drain(raft), APPEND) if one.entries] == [3]
    assert progress(raft, 3)["counts"]


def test_those_who_come_later_share_an_entry_but_do_not_wait_for_ever() -> None:
    everyone = frozenset(range(1, 6))
    config = Config(1, everyone, election_timeout_ticks=ELECTION_TICKS, heartbeat_ticks=HEARTBEAT_TICKS, log_id=10)
    raft = elect(Raft(config, HardState(), (), Random(0)), {2: 20, 3: 30})
    acknowledge(raft, 2, 3)
    raft.step(says(beat(raft)[4], 40))
    for _ in range(ELECTION_TICKS - HEARTBEAT_TICKS - 1):
        for request in beat_answers(raft, 2, 3):
            raft.step(says(request))
    assert len(record_in(raft)) == 1
    for _ in range(2):
        for request in beat_answers(raft, 2, 3):
            raft.step(says(request))
    assert record_in(raft)[-1][1] == {1: 10, 2: 20, 3: 30, 4: 40}
    acknowledge(raft, 2, 3)
    raft.step(says(beat(raft)[5], 50))
    assert len(record_in(raft)) == 2


def beat_answers(raft: Raft, *members: int) -> list[Message]:
    """A tick, and what it sends these."""
    raft.tick()
    return [one for one in only(drain(raft), APPEND) if one.target in members]


def test_a_group_of_an_older_version_is_recorded_as_soon_as_its_members_tell() -> None:
    raft = elect(member(entries([1, 1])), {2: 20})
    acknowledge(raft, 2)
    assert raft.commit_index == 3 and record_in(raft) == []
    raft.step(says(beat(raft)[3], 30, reject=True, index=3))
    acknowledge(raft, 2, 3)
    assert record_in(raft) == [(4, LOGS)]
    assert raft.commit_index == 4


def test_a_leader_that_does_not_know_whether_a_record_is_committed_sees_it_at_the_member() -> None:
    """Members 1 and 2 began without 3; then 2 went for good, and all have restarted."""
    log = [recorded(1, log_ids={1: 10, 2: 20}), *entries([1], 2), recorded(3)]
    raft = elect(member(log), {3: 30})
    assert not progress(raft, 3)["counts"], "it may be on its way to 3 for the first time"
    sent = [one for one in only(drain(raft), APPEND, 3) if one.entries]
    assert [one.index for one in sent] == [3], "no blank log is filled before that is known"
    raft.step(says(sent[0]))
    assert raft.commit_index == 4 and progress(raft, 3)["counts"]


def test_a_blank_log_is_not_filled_as_long_as_its_record_may_come_to_nothing() -> None:
    log = [recorded(1, log_ids={1: 10, 2: 20}), *entries([1], 2), recorded(3)]
    raft = elect(member(log), {2: 20})
    (probe,) = [one for one in only(drain(raft), APPEND, 3) if one.entries]
    raft.step(replace(answer(probe, reject=True, index=3), log_id=30))
    for _ in range(3):
        for message in beat_answers(raft, 3):
            assert not message.entries
            raft.step(says(message, 30))
    raft.propose(b"value")
    assert not [one for one in only(drain(raft), APPEND, 3) if one.entries]
    term, round = raft.current_term, raft.status()["round"]
    raft.step(Message(APPEND_REPLY, 2, 1, term, raft.last_index, round=round))
    assert raft.commit_index == raft.last_index
    assert [one.index for one in only(drain(raft), APPEND, 3) if one.entries] == [0]


def test_a_record_says_nothing_of_addresses_and_old_ones_are_read() -> None:
    birth = Configuration(0, MEMBERS, {1: b"one", 2: b"two", 3: b"three"})
    assert Configuration.unpack(5, birth.pack()) == replace(birth, index=5)
    record = birth.with_log_ids({1: 2**64 - 1})
    history = History(birth, [Entry(1, 4, EntryKind.CONFIGURATION, record.pack())])
    assert history.latest == Configuration(4, MEMBERS, birth.addresses, log_ids={1: 2**64 - 1})
    assert Configuration.unpack(0, record.pack()).addresses == {1: b"", 2: b"", 3: b""}
    for broken in (record.pack()[:-1], record.pack() + b"\0", b"\x01\x01\x20\0\0" + bytes(8)):
        with pytest.raises(ValueError):
            Configuration.unpack(1, broken)


# -- newcomers ------------------------------------------------------------------------------------------------------


def with_logs(size: int = 3, **options: int) -> Network:
    network = Network(1, size, Faults(propose=0), identified=True, **options)
    network.run_until_leader()
    network.run(2 * ELECTION_TICKS)
    return network


def lead(network: Network) -> Raft:
    raft = network.leader()
    assert raft is not None
    return raft


def configurations(raft: Raft) -> list[Configuration]:
    found = raft.log.between(1, raft.last_index, 99, 1 << 20)[0]
    return [Configuration.unpack(one.index, one.data) for one in found if one.kind is EntryKind.CONFIGURATION]


def test_a_newcomers_log_is_recorded_before_it_votes_and_forgotten_when_it_goes() -> None:
    network = with_logs()
    network.add_member(4)
    lead(network).change_membership(add={4: b"there"})
    network.run(10 * ELECTION_TICKS)
    own = network.members[4].disk.log_id
    steps = [(one.log_ids.get(4), 4 in one.membership.voters) for one in configurations(lead(network))[1:]]
    assert steps == [(None, False), (own, False), (own, True), (own, True)]
    lead(network).change_membership(remove=[4])
    network.run(10 * ELECTION_TICKS)
    assert 4 not in lead(network).configuration.log_ids
    network.members[4].crash(network.random)
    network.members[4].disk = Disk(log_id=own + 1)
    network.members[4].start()
    lead(network).change_membership(add={4: b"there"})
    network.run(10 * ELECTION_TICKS)
    assert lead(network).configuration.log_ids[4] == own + 1
    network.check_end()


def test_who_loses_its_data_while_it_catches_up_does_not_become_a_voter() -> None:
    network = with_logs(max_entries_per_append=1, max_inflight=1)
    network.add_member(4)
    for _ in range(30):
        network.propose(b"value")
    network.run(30 * HEARTBEAT_TICKS)
    lead(network).change_membership(add={4: b"there"})
    while "4" not in lead(network).status()["progress"] or not progress(lead(network), 4)["match_index"]:
        network.tick()
    network.wiped.add(4)
    network.members[4].crash(network.random)
    network.members[4].disk = Disk(log_id=4444)
    network.members[4].start()
    network.run(5 * ELECTION_TICKS)
    assert 4 not in lead(network).membership.voters
    assert 4 in lead(network).lost and "lost their data" in lead(network).status()["change"]


def test_answers_of_a_member_that_had_the_id_before_are_not_the_newcomers() -> None:
    raft = settled_leader([1] * 5)
    raft.propose(b"value")
    old = only(drain(raft), APPEND, 3)[-1]
    acknowledge_all(raft)
    index = raft.last_index
    raft.step(answer(old, index=index))
    for change in ({"remove": [3]}, {"add": {3: b"there"}}):
        raft.change_membership(**change)  # type: ignore[arg-type]
        acknowledge(raft, 2)
    assert raft.membership.learners == {3}
    raft.step(answer(old, index=index))
    assert progress(raft, 3)["match_index"] == 0 and raft.membership.learners == {3}
    beats = beat(raft)
    raft.step(answer(beats[3], index=1))
    assert progress(raft, 3)["match_index"] == 1


def test_a_change_whose_voters_were_never_heard_of_is_refused() -> None:
    raft = elect(member(), {2: 20})
    acknowledge(raft, 2)
    with pytest.raises(Unreachable, match=r"members \[3\] are silent, and without them"):
        raft.change_membership(remove=[2])


@pytest.mark.parametrize(
    ("log_id", "commit", "said"),
    [(10, 1, (2, 10)), (10, 0, (0, 0)), (11, 1, (0, 0))],
    ids=["as recorded", "the record is not committed", "another log than is recorded"],
)
def test_who_asks_for_an_index_says_whether_it_counts_by_asking(
    log_id: int, commit: int, said: tuple[int, int]
) -> None:
    raft = member([recorded(1)], log_id=log_id)
    raft.step(append(3, 1, 1, commit=commit))
    drain(raft)
    raft.read_here()
    (question,) = only(drain(raft), MessageType.READ_INDEX)
    assert (question.index, question.commit) == said


def test_who_has_lost_its_data_is_not_believed_when_it_asks() -> None:
    """Its word that it is known may be of the time before."""
    raft = elect(member([recorded(1)]), LOGS)
    acknowledge(raft, 2, 3)
    raft.step(says(beat(raft)[2], 21))
    assert raft.lost == {2: ANOTHER_LOG}
    drain(raft)
    held = raft.last_index + 1
    for source, log_id, index, answers in (
        (2, 20, held, 0),
        (3, 30, held - 1, 0),
        (3, 31, held, 0),
        (3, 30, held, 1),
    ):
        question = Message(MessageType.READ_INDEX, source, 1, raft.current_term, index, commit=log_id, round=9)
        raft.step(question)
        assert len(only(drain(raft), MessageType.READ_INDEX_REPLY)) == answers


# -- answers to what another leader has said --------------------------------------------------------------------


def test_a_leaders_rounds_begin_elsewhere_in_each_term_and_the_logs_id_does_not_tell_where() -> None:
    begun = set()
    for seed in range(20):
        raft = member([recorded(1)])
        raft._random.seed(seed)
        elect(raft, LOGS)
        begun.add(raft.status()["round"])
    assert len(begun) == 20 and max(begun) - min(begun) > 1 << 39


@pytest.mark.parametrize("past", ["none", "before", "to come"])
def test_what_answers_nothing_of_this_leader_counts_for_nothing(past: str) -> None:
    # As of a leader that led in this term before all members began anew with empty folders.
    log_id = 5 << 40 | 1000
    raft = member([recorded(1, 1, {**LOGS, 1: log_id})], log_id=log_id)
    elect(raft, LOGS)
    drain(raft)
    tick(raft, HEARTBEAT_TICKS)
    (sent, *_) = only(drain(raft), APPEND, to=2)
    assert sent.round > 1000, "rounds begin at a random number"
    others = {"none": 0, "before": 999, "to come": sent.round + 1}
    raft.step(replace(says(sent, index=raft.last_index), round=others[past]))
    assert raft.commit_index == 0 and raft.status()["progress"]["2"]["match_index"] == 0
    raft.step(says(sent, index=raft.last_index))
    assert raft.commit_index == raft.last_index
