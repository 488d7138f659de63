"""AppendEntries to everybody: whom copies reach, who is served alone, and what REJECTs of copies mean."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, replace

import pytest

from hosts.raft.core import Raft, Role
from hosts.raft.fanout import SILENT_HEARTBEATS
from hosts.raft.message import EVERYBODY, Message, MessageType
from hosts.raft.progress import Mode, Progress
from tests.raft.network import Faults, Network, soak
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    answer,
    append,
    drain,
    leader,
    member,
    only,
    settled_leader,
    tick,
)

TRIAL_TICKS = 40


def cluster(size: int, seed: int = 1, **options: int) -> tuple[Network, Raft]:
    """A quiet network that copies, whose leader knows whom copies reach."""
    options = {"fanout": True, "fanout_trial_ticks": TRIAL_TICKS, **options}
    network = Network(seed, size, Faults(propose=0, read=0), **options)
    lead = network.run_until_leader()
    network.run(4 * HEARTBEAT_TICKS)
    return network, lead


def fanned(raft: Raft) -> set[int]:
    return {int(one) for one, shown in raft.status()["progress"].items() if shown["fanned"]}


def others(network: Network, lead: Raft) -> list[int]:
    return sorted(network.members.keys() - {lead.id})


def carried(messages: list[Message]) -> list[Message]:
    """AppendEntries with entries."""
    return [one for one in messages if one.type is APPEND and one.entries]


def since(network: Network, ticks: int) -> list[Message]:
    """What leaves members in the next ticks."""
    before = len(network.left)
    network.run(ticks)
    return network.left[before:]


def commit(network: Network, lead: Raft, values: int = 5, ticks: int = 6) -> list[Message]:
    """Let values be committed, one every few ticks; what has left meanwhile."""
    before = len(network.left)
    for number in range(values):
        _, index = lead.propose(b"value %d" % number)
        network.run(ticks)
        assert lead.commit_index >= index
    return network.left[before:]


# -- whom copies reach ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 5, 9])
def test_entries_are_sent_once_for_all(size: int) -> None:
    network, lead = cluster(size)
    rest = others(network, lead)
    assert fanned(lead) == set(rest)
    sent = commit(network, lead)
    assert [(one.target, one.receivers) for one in carried(sent)] == [(EVERYBODY, tuple(rest))] * 5
    assert not only(sent, MessageType.APPEND_ENTRIES_REPLY, to=0)
    heartbeats = [one for one in only(sent, APPEND) if not one.entries]
    assert heartbeats and {one.target for one in heartbeats} == {EVERYBODY}
    assert all(
        one.raft is not None and one.raft.commit_index == lead.commit_index for one in network.members.values()
    )
    counts = lead.fanout_counts
    assert (counts.appends, counts.trials, counts.fallbacks, counts.laggards) == (5, 1, 0, 0) and counts.rounds > 5


def test_without_the_setting_everybody_is_served_alone() -> None:
    network, lead = cluster(5, fanout=False)
    assert not only(commit(network, lead), APPEND, to=EVERYBODY) and not fanned(lead)
    assert not any(asdict(lead.fanout_counts).values())


def test_one_other_member_is_served_alone_and_never_tried() -> None:
    network, lead = cluster(2)
    assert not only(commit(network, lead) + since(network, 3 * TRIAL_TICKS), APPEND, to=EVERYBODY)


def test_a_new_leader_tries_only_once_it_has_committed() -> None:
    raft = leader(size=3, fanout=True)
    for _ in range(3):
        tick(raft, HEARTBEAT_TICKS)
        assert not only(drain(raft), APPEND, to=EVERYBODY)


def tried(size: int = 3, **options: int) -> tuple[Raft, list[Message]]:
    """A leader that has committed, and what leaves with its next heartbeat: a trial, and heartbeats."""
    raft = settled_leader([1], size=size, fanout=True, fanout_trial_ticks=TRIAL_TICKS, **options)
    tick(raft, raft.config.heartbeat_ticks)
    return raft, only(drain(raft), APPEND)


def copied(message: Message, to: int) -> Message:
    return replace(message, target=to, receivers=())


def test_a_trial_has_a_round_that_nothing_else_carries() -> None:
    raft, sent = tried(size=4)
    (trial,) = only(sent, APPEND, to=EVERYBODY)
    beats = [one for one in sent if one.target != EVERYBODY]
    assert trial.receivers == (2, 3, 4) and not trial.entries and trial.index == 0
    assert {one.target for one in beats} == {2, 3, 4}, "a trial that is lost costs nobody a heartbeat"
    raft.propose(b"value")
    later = only(drain(raft), APPEND)
    assert trial.round not in {one.round for one in beats + later}
    for beat in beats:
        raft.step(answer(beat))
    assert not fanned(raft), "an answer to what was sent alone shows nothing"
    for one in (2, 3):
        raft.step(answer(replace(copied(trial, one), round=trial.round + 1)))
    assert not fanned(raft), "nor does one to entries, which whoever sends them may send alone after all"
    raft.step(answer(copied(trial, 2)))
    assert not fanned(raft), "for one member a message of its own is as cheap"
    raft.step(answer(copied(trial, 4)))
    assert fanned(raft) == {2, 4}


def active(size: int = 4, **options: int) -> Raft:
    """A leader whose members are all reached by copies, and have acknowledged all."""
    raft, sent = tried(size, **options)
    for one in range(2, size + 1):
        for message in sent:
            if message.target in (one, EVERYBODY):
                raft.step(answer(copied(message, one)))
    drain(raft)
    assert fanned(raft) == set(range(2, size + 1))
    return raft


def test_commits_are_announced_once_for_all() -> None:
    raft = active(heartbeat_ticks=4)
    _, index = raft.propose(b"value")
    (entries,) = carried(drain(raft))
    for one in (2, 3, 4):
        raft.step(answer(copied(entries, one)))
    tick(raft, 1)
    (told,) = only(drain(raft), APPEND)
    assert (told.target, told.receivers, told.index, told.commit) == (EVERYBODY, (2, 3, 4), 0, index)


def test_members_that_no_copy_reaches_are_served_alone_and_the_others_by_copies() -> None:
    network, lead = cluster(5)
    deaf = others(network, lead)[1]
    network.uncopied = {deaf}
    network.run((SILENT_HEARTBEATS + 1) * HEARTBEAT_TICKS)
    rest = tuple(one for one in others(network, lead) if one != deaf)
    assert fanned(lead) == set(rest) and lead.fanout_counts.fallbacks == 1
    assert lead.fanout_counts.fallbacks_entries == 0, "heartbeats did not reach it either"
    sent = Counter((one.target, one.receivers) for one in carried(commit(network, lead)))
    assert sent == {(EVERYBODY, rest): 5, (deaf, ()): 5}
    network.uncopied = set()
    network.run(TRIAL_TICKS + 4 * HEARTBEAT_TICKS)
    assert deaf in fanned(lead)


def test_copies_stop_and_all_are_served_alone_within_three_heartbeats() -> None:
    network, lead = cluster(5)
    network.faults.copies = False
    _, index = lead.propose(b"value")
    network.run(SILENT_HEARTBEATS * HEARTBEAT_TICKS + 4)
    assert not fanned(lead) and lead.commit_index == index, "what was lost with the copies is sent again at once"
    assert lead.fanout_counts.fallbacks >= 3 and lead.role is Role.LEADER
    term, tries = lead.current_term, lead.fanout_counts.trials
    sent = commit(network, lead, values=8)
    assert all(one.target != EVERYBODY for one in carried(sent))
    network.run(2 * TRIAL_TICKS)
    assert lead.fanout_counts.trials - tries in (2, 3) and lead.fanout_counts.trials_in_vain >= 1
    network.faults.copies = True
    network.run(TRIAL_TICKS + 2 * HEARTBEAT_TICKS)
    assert fanned(lead) == set(others(network, lead)) and lead.current_term == term
    assert {one.target for one in carried(commit(network, lead))} == {EVERYBODY}


def beat(raft: Raft, member: int) -> list[Message]:
    """A round of heartbeats, which member 2 answers as it comes; those to another member, by copies and alone."""
    tick(raft, HEARTBEAT_TICKS)
    beats = [one for one in only(drain(raft), APPEND) if not one.entries]
    for one in beats:
        if one.target in (2, EVERYBODY):
            raft.step(answer(copied(one, 2)))
    return [one for one in beats if one.target in (member, EVERYBODY)]


def test_who_answers_late_goes_on_getting_copies() -> None:
    """In the order in which it was asked, three heartbeats late: to serve it alone would make it slower."""
    raft = active(size=3)
    late: deque[list[Message]] = deque()
    asked_alone = 0
    for _ in range(20):
        beats = beat(raft, 3)
        asked_alone += sum(one.target == 3 for one in beats)
        late.append(beats)
        if len(late) > 3:
            for one in late.popleft():
                raft.step(answer(copied(one, 3)))
        assert fanned(raft) == {2, 3}
    assert raft.fanout_counts.fallbacks == 0 and asked_alone > 0


def test_who_answers_what_is_for_it_alone_and_no_copy_is_served_alone() -> None:
    raft = active(size=3)
    for _ in range(SILENT_HEARTBEATS - 1):
        assert [one.target for one in beat(raft, 3)] == [EVERYBODY]
    by_copy, alone = beat(raft, 3)
    assert (by_copy.target, alone.target) == (EVERYBODY, 3) and fanned(raft) == {2, 3}
    raft.step(answer(alone))
    assert not fanned(raft) and raft.fanout_counts.fallbacks == 1


def test_who_is_silent_is_asked_alone_once_a_heartbeat_however_many_rounds_reads_begin() -> None:
    raft = active(size=3)
    for _ in range(SILENT_HEARTBEATS):
        beat(raft, 3)
    alone, copies = 0, 0
    for _ in range(10):
        raft.read()
        for one in only(drain(raft), APPEND):
            alone, copies = alone + (one.target == 3), copies + (one.target == EVERYBODY)
            if one.target in (2, EVERYBODY):
                raft.step(answer(copied(one, 2)))
    assert (alone, copies) == (0, 10)
    assert [one.target for one in beat(raft, 3)] == [EVERYBODY, 3]


def test_who_answers_late_is_asked_alone_once_a_heartbeat_however_many_rounds_reads_begin() -> None:
    """Its late answers are to copies, so that each round finds one that is silent anew."""
    raft = active(size=3)
    late: deque[tuple[int, Message]] = deque()
    alone, ticks, a_tick = 0, 20 * HEARTBEAT_TICKS, 10
    for now in range(ticks):
        raft.tick()
        for _ in range(a_tick):
            raft.read()
            for one in only(drain(raft), APPEND):
                alone += one.target == 3
                if one.target in (2, EVERYBODY):
                    raft.step(answer(copied(one, 2)))
                if one.target in (3, EVERYBODY):
                    late.append((now, copied(one, 3)))
            if late and now - late[0][0] > SILENT_HEARTBEATS * HEARTBEAT_TICKS:
                raft.step(answer(late.popleft()[1]))
    assert fanned(raft) == {2, 3} and raft.fanout_counts.fallbacks == 0
    assert 0 < alone <= ticks // HEARTBEAT_TICKS


def test_who_gets_no_copy_and_entries_alone_is_served_alone() -> None:
    """What is lost of a large copy is sent again to its member, and answered in the round of entries to everybody."""
    raft = active(size=3)
    for _ in range(SILENT_HEARTBEATS + 1):
        raft.propose(b"value")
        tick(raft, HEARTBEAT_TICKS)
        for one in only(drain(raft), APPEND):
            if one.target in (2, EVERYBODY):
                raft.step(answer(copied(one, 2)))
            if one.target == 3 or one.entries:
                raft.step(answer(copied(one, 3)))
    assert not fanned(raft) and raft.fanout_counts.fallbacks == 1


def test_who_answers_nothing_gets_copies_for_an_election_timeout() -> None:
    raft = active(size=3)
    silent = 0
    while fanned(raft):
        beat(raft, 3)
        silent += HEARTBEAT_TICKS
        assert silent <= ELECTION_TICKS
    assert silent == ELECTION_TICKS and raft.role is Role.LEADER


def test_heartbeats_get_through_and_entries_do_not() -> None:
    """As where only large copies are lost: who has to wait for entries is served alone until a later trial."""
    raft = active(size=3)
    raft.propose(b"value")
    assert [one.target for one in carried(drain(raft))] == [EVERYBODY]
    for _ in range(4):
        tick(raft, HEARTBEAT_TICKS)
        for beat in only(drain(raft), APPEND):
            for one in (2, 3):
                if beat.target in (one, EVERYBODY) and not beat.entries:
                    raft.step(answer(copied(beat, one), index=2))
        if not fanned(raft):
            break
    assert not fanned(raft) and {one.target for one in carried(drain(raft))} == {2, 3}
    counts = raft.fanout_counts
    assert (counts.fallbacks, counts.fallbacks_entries) == (1, 1), "the other one is not at fault"


def test_the_next_leader_begins_by_itself() -> None:
    network, lead = cluster(5)
    successor = others(network, lead)[0]
    lead.transfer(successor)
    before = len(network.left)
    network.run(4)
    new = network.raft(successor)
    assert new.role is Role.LEADER
    network.run(6 * HEARTBEAT_TICKS)
    own = [one for one in carried(network.left[before:]) if one.source == successor]
    assert {one.target for one in own} == set(others(network, new)) and fanned(new) == set(others(network, new))
    assert {one.target for one in carried(commit(network, new))} == {EVERYBODY}


# -- who is behind -------------------------------------------------------------------------------------------------


def test_a_laggard_is_served_alone_while_the_others_go_on_by_copies() -> None:
    network, lead = cluster(5, max_inflight=2, max_entries_per_append=1)
    slow = others(network, lead)[0]
    network.cut = {(slow, lead.id)}  # it hears, and is not heard
    for number in range(2 * ELECTION_TICKS):
        lead.propose(b"%d" % number)
        network.run(1)
    network.run(4)
    assert lead.commit_index == lead.last_index, "a quorum of others is enough"
    network.cut.clear()
    network.members[slow].crash(network.random)
    network.members[slow].start()
    network.run(TRIAL_TICKS + 4 * HEARTBEAT_TICKS)
    assert fanned(lead) == set(others(network, lead))
    assert network.members[slow].applied == lead.last_index
    assert {(one.target, one.receivers) for one in carried(commit(network, lead))} == {
        (EVERYBODY, tuple(others(network, lead)))
    }


def test_who_has_its_window_full_holds_nobody_back_whom_a_quorum_does_not_need() -> None:
    raft = active(size=4, max_inflight=2, max_entries_per_append=1)
    sent: list[Message] = []
    for number in range(8):
        raft.propose(b"%d" % number)
        new = carried(drain(raft))
        sent += new
        for message in new:
            for one in (2, 3):
                raft.step(answer(copied(message, one)))
    assert [one.target for one in sent] == [EVERYBODY] * 8
    assert [one.receivers for one in sent] == [(2, 3, 4)] * 4 + [(2, 3)] * 4, "4 is a window behind by then"
    assert raft.commit_index == raft.last_index
    for message in sent[:4]:
        raft.step(answer(copied(message, 4)))
    raft.propose(b"more")
    new = carried(drain(raft))
    assert [one.target for one in new if one.target != EVERYBODY] == [4, 4], "as much as its window takes"


def test_the_pace_is_that_of_those_whom_a_quorum_needs() -> None:
    raft = active(size=5, max_inflight=2, max_entries_per_append=1)
    sent: list[Message] = []
    for number in range(8):
        raft.propose(b"%d" % number)
        new = carried(drain(raft))
        sent += new
        for message in new:
            raft.step(answer(copied(message, 2)))
    assert len(sent) == 2, "one fast member is no quorum"


def test_who_has_its_window_full_holds_nobody_back_who_loses_a_copy() -> None:
    """Member 3 is far behind when member 2, without which nothing commits, has to be sent something again."""
    raft = active(size=3, max_inflight=2, max_entries_per_append=1)
    for number in range(8):
        raft.propose(b"%d" % number)
        for message in carried(drain(raft)):
            raft.step(answer(copied(message, 2)))
    assert raft.commit_index == raft.last_index
    raft.propose(b"lost for 2")
    (lost,) = carried(drain(raft))
    raft.propose(b"next")
    (second,) = carried(drain(raft))
    assert (lost.receivers, second.receivers) == ((2,), (2,))
    raft.step(rejected(raft, second, by=2, hint=lost.index))
    (again,) = carried(drain(raft))
    assert (again.target, again.index) == (2, lost.index)
    raft.step(answer(again))
    for message in carried(drain(raft)):
        raft.step(answer(copied(message, 2)))
    assert raft.commit_index == raft.last_index


def test_who_is_behind_is_brought_up_alone_before_it_gets_copies_again() -> None:
    raft = active(size=4, max_inflight=4)
    raft.propose(b"lost for 4")
    (first,) = carried(drain(raft))
    for one in (2, 3):
        raft.step(answer(copied(first, one)))
    raft.propose(b"second")
    (second,) = carried(drain(raft))
    raft.step(rejected(raft, second, by=4, hint=first.index))
    (again,) = carried(drain(raft))
    assert (again.target, again.index, len(again.entries)) == (4, first.index, 2)
    for one in (2, 3):
        raft.step(answer(copied(second, one)))
    raft.propose(b"third")
    (third,) = carried(drain(raft))
    assert third.receivers == (2, 3), "where 4 stands is not known yet"
    raft.step(answer(again))
    (rest,) = carried(drain(raft))
    assert (rest.target, rest.index) == (4, third.index)
    raft.propose(b"fourth")
    (fourth,) = carried(drain(raft))
    assert fourth.receivers == (2, 3, 4)


def test_a_learner_gets_copies_once_it_has_caught_up() -> None:
    network, lead = cluster(3)
    network.add_member(4)
    lead.change_membership(learners={4: b"at 4"})
    network.run(TRIAL_TICKS + 4 * ELECTION_TICKS)
    assert 4 in lead.membership.learners and 4 in fanned(lead)
    assert network.members[4].applied == lead.last_index
    sent = carried(commit(network, lead))
    assert {one.receivers for one in sent} == {tuple(others(network, lead))}
    assert {one.needed for one in sent} == {1}, "a learner does not count for the quorum"


def test_members_come_and_go_by_copies() -> None:
    network, lead = cluster(3)
    for one in (4, 5):
        network.add_member(one)
    lead.change_membership(add={4: b"at 4", 5: b"at 5"})
    network.run(TRIAL_TICKS + 6 * ELECTION_TICKS)
    assert lead.membership.voters == {1, 2, 3, 4, 5} and not lead.changing_members and {4, 5} <= fanned(lead)
    gone = others(network, lead)[0]
    lead.change_membership(remove={gone})
    network.run(4 * ELECTION_TICKS)
    assert not lead.changing_members and gone not in lead.membership.voters
    assert all(gone not in one.receivers for one in carried(commit(network, lead)))


def test_a_member_that_restarts_catches_up_and_gets_copies_again() -> None:
    network, lead = cluster(5)
    one = others(network, lead)[0]
    network.members[one].crash(network.random)
    commit(network, lead)
    network.members[one].start()
    network.run(TRIAL_TICKS + 4 * HEARTBEAT_TICKS)
    assert network.members[one].applied == lead.last_index and one in fanned(lead) and not lead.lost
    assert {each.receivers for each in carried(commit(network, lead))} == {tuple(others(network, lead))}


def test_a_member_that_needs_a_snapshot_gets_it_and_then_copies() -> None:
    network, lead = cluster(5)
    one = others(network, lead)[0]
    network.members[one].crash(network.random)
    commit(network, lead)
    lead.compact(lead.take_snapshot(lead.commit_index, network.members[lead.id].state))
    network.members[one].start()
    sent = since(network, TRIAL_TICKS + 4 * HEARTBEAT_TICKS) + commit(network, lead)
    assert only(sent, MessageType.INSTALL_SNAPSHOT, to=one)
    assert network.members[one].applied == lead.last_index and one in fanned(lead)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_fifth_of_the_copies_is_lost_and_all_commits(size: int, seed: int) -> None:
    network, lead = cluster(size, seed, election_timeout_ticks=6 * HEARTBEAT_TICKS)
    network.faults.copy_loss = 0.2
    for number in range(60):
        lead.propose(b"%d" % number)
        network.run(2)
    network.run(2 * TRIAL_TICKS)
    assert lead.role is Role.LEADER and lead.commit_index == lead.last_index
    assert all(one.applied == lead.last_index for one in network.members.values())
    assert lead.fanout_counts.appends > 0


def test_a_read_waits_for_a_round_of_copies() -> None:
    network, lead = cluster(5)
    before = len(network.left)
    network.reads[lead.id, network.members[lead.id].starts, lead.read()] = (
        len(network.committed),
        network.now,
        lead.current_term,
    )
    network.run(4)
    assert network.counts["reads"] == 1, "the invariants have judged it"
    assert {one.target for one in only(network.left[before:], APPEND)} == {EVERYBODY}


# -- REJECTs of copies ---------------------------------------------------------------------------------------------


def rejected(raft: Raft, message: Message, by: int, hint: int = 0) -> Message:
    """A member lacks what a message begins with; it agrees up to ``hint``, durably."""
    return Message(APPEND_REPLY, by, 1, raft.current_term, message.index, 0, hint, reject=True, round=message.round)


def test_a_copy_is_rejected_that_was_not_meant_for_its_member() -> None:
    """Member 4 is served alone, and has not got to what the others are sent."""
    raft = active(size=4)
    raft.propose(b"lost for 4")
    assert carried(drain(raft))
    raft.propose(b"second")
    (second,) = carried(drain(raft))
    raft.step(rejected(raft, second, by=4))
    assert raft.status()["progress"]["4"]["mode"] == Mode.PROBE.value
    assert [one.target for one in carried(drain(raft))] == [4]
    for one in (2, 3):
        raft.step(answer(copied(second, one)))
    raft.propose(b"third")
    (third,) = carried(drain(raft))
    assert third.receivers == (2, 3)
    before = raft.status()["progress"]["4"]
    raft.step(rejected(raft, third, by=4))
    assert raft.status()["progress"]["4"] == before and not carried(drain(raft))
    assert raft.fanout_counts.rejects == 1


def test_a_rejected_copy_turns_nobody_back_whose_entries_come_alone() -> None:
    progress = Progress(5, 0)
    progress.mode = Mode.REPLICATE
    progress.match_index = 4
    progress.sent(9, 10, 1)
    progress.sent(12, 10, 1)
    assert not progress.rejected(9, 0, copied=True) and not progress.rejected(20, 0, copied=True)
    assert (progress.mode, progress.next_index, progress.inflight) == (Mode.REPLICATE, 13, 2)


def test_copies_that_overtake_what_was_sent_alone_are_sent_again_and_nothing_else() -> None:
    progress = Progress(5, 0)
    progress.mode = Mode.REPLICATE
    progress.match_index = 4
    progress.sent(9, 10, 1)
    progress.sent(12, 7, 1, copied=True)
    progress.sent(14, 7, 1, copied=True)
    assert not progress.rejected(9, 0, copied=True)
    assert (progress.mode, progress.next_index, progress.inflight_bytes, progress.waits) == (
        Mode.REPLICATE,
        10,
        10,
        True,
    )
    assert progress.acknowledged(9) and not progress.waits


def test_a_lost_copy_turns_its_member_back() -> None:
    progress = Progress(5, 0)
    progress.mode = Mode.REPLICATE
    progress.match_index = 4
    progress.sent(9, 10, 1, copied=True)
    progress.sent(12, 10, 1, copied=True)
    assert progress.rejected(9, 0, copied=True)
    assert (progress.mode, progress.next_index, progress.inflight) == (Mode.PROBE, 5, 0)
    assert not progress.rejected(4, 0, copied=True), "a probe is answered in a round of its own"


def test_a_member_rejects_copies_once_a_round() -> None:
    raft = member([1, 1, 1], term=2, fanout=True)
    said = []
    for prev, round in ((9, 5), (12, 5), (15, 5), (12, 6), (7, 5), (15, 8)):
        raft.step(append(2, prev, 2, round=round))
        said += [(one.index, one.round) for one in only(drain(raft), APPEND_REPLY) if one.reject]
    assert said == [(9, 5), (12, 6), (7, 5), (15, 8)], "a lower one says more"
    raft.step(append(2, 3, 1, [2], round=8))
    drain(raft)
    raft.step(append(2, 15, 2, round=8))
    assert [one.reject for one in drain(raft)] == [True], "something of that round was placed"


def test_a_member_without_copies_rejects_each_time() -> None:
    raft = member([1, 1, 1], term=2)
    for prev in (9, 12, 15):
        raft.step(append(2, prev, 2))
    assert [one.index for one in drain(raft)] == [9, 12, 15]


def test_who_rejects_a_copy_of_what_it_had_acknowledged_has_lost_data() -> None:
    raft = active(size=4)
    for _ in range(2):
        raft.propose(b"value")
        for message in carried(drain(raft)):
            for one in (2, 3, 4):
                raft.step(answer(copied(message, one)))
        tick(raft, HEARTBEAT_TICKS)
        drain(raft)
    raft.propose(b"value")
    (message,) = carried(drain(raft))
    raft.step(replace(rejected(raft, message, by=4), log_term=1, commit=1))
    assert set(raft.lost) == {4} and fanned(raft) == {2, 3}


# -- under faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_safety_under_faults_and_liveness_after_them(first: int) -> None:
    totals: Counter[str] = Counter()
    for seed in range(first, first + 20):
        for one in soak(seed, fanout=True).members.values():
            if one.raft is not None:
                totals.update(asdict(one.raft.fanout_counts))
    assert all(totals.values()), f"they test too little: {totals}"
