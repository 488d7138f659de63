"""Changes of the members: joint consensus, newcomers, leavers (thesis, chapter 4)."""

from __future__ import annotations

from random import Random

import pytest

from hosts.raft.change import next_step, target_of
from hosts.raft.configuration import Configuration, History, is_configuration
from hosts.raft.core import Busy, ChangeInProgress, Config, InvalidChange, NotLeader, Raft, Role, Unreachable
from hosts.raft.message import Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.quorum import Membership
from tests.raft.network import ELECTION_TICKS, HEARTBEAT_TICKS, Faults, Network
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
    drain,
    leader,
    member,
    only,
    settled_leader,
    tick,
)

Ids = frozenset[int]


def configuration(voters: set[int], learners: set[int] = set(), outgoing: set[int] = set()) -> Configuration:  # noqa: B006
    membership = Membership(frozenset(voters), frozenset(outgoing), frozenset(learners))
    return Configuration(0, membership, {one: b"at %d" % one for one in sorted(membership.everyone())})


def entry(index: int, term: int, *args: set[int]) -> Entry:
    return Entry(term, index, EntryKind.CONFIGURATION, configuration(*args).pack())


def quiet(size: int = 3, seed: int = 1, **options: int) -> Network:
    network = Network(seed, size, Faults(propose=0), **options)
    network.run_until_leader()
    return network


def change(network: Network, ticks: int = 30 * ELECTION_TICKS, **parts: object) -> None:
    """Ask the leader for a change and wait until everyone concerned knows it."""
    for part in ("add", "learners"):
        ids = parts.get(part, ())
        for one in ids:  # type: ignore[attr-defined]
            if one not in network.members:
                network.add_member(one)
        parts[part] = {one: b"at %d" % one for one in ids}  # type: ignore[attr-defined]
    first = network.leader()
    assert first is not None
    first.change_membership(**parts)  # type: ignore[arg-type]
    for _ in range(ticks):
        network.tick()
        now = network.leader()
        if now is not None and not now.changing_members and now.commit_index == now.last_index:
            everyone = now.membership.everyone()
            if now.committed_configuration.index and all(
                network.raft(one).committed_configuration == now.committed_configuration for one in everyone
            ):
                return
    raise AssertionError(f"the change does not end: {network.roles()}")


def members_of(network: Network) -> tuple[set[int], set[int]]:
    now = network.leader()
    assert now is not None
    return set(now.membership.voters), set(now.membership.learners)


# -- configurations as data ----------------------------------------------------------------------------------------


def test_a_configuration_survives_packing() -> None:
    joint = configuration({1, 2, 254}, {5, 7}, {2, 3, 5})
    assert Configuration.unpack(0, joint.pack()) == joint
    assert joint.leave_joint() == configuration({1, 2, 254}, {5, 7})


GOOD = configuration({1, 2}, {3}).pack()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        GOOD + b"x",
        GOOD[:-1],
        b"\x04" + GOOD[1:],
        b"\x01\x01\x04\0\0",
        b"\x01\x01\x00\0\0",
        b"\x01\x01\x09\0\0",
        b"\x01\x00\x01\0\0",
        b"\x01\xff\x01\0\0",
        b"\x01\x01\x05\0\0",
        b"\x02\x02\x01\0\0\x01\x01\0\0",
        b"\x02\x01\x01\0\0\x01\x01\0\0",
        b"\x01\x01\x01\xff\xff",
    ],
)
def test_malformed_configurations_are_told_and_never_taken(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"member|configuration"):
        Configuration.unpack(1, data)
    bad = Entry(1, 1, EntryKind.CONFIGURATION, data)
    assert not is_configuration(bad)
    raft = member()
    raft.step(Message(APPEND, 2, 1, 1, round=1, entries=(bad,)))
    assert raft.last_index == 0 and not only(drain(raft), APPEND_REPLY)


def test_history_follows_the_log() -> None:
    birth = configuration({1, 2, 3})
    history = History(birth, [entry(2, 1, {1}), Entry(1, 3, EntryKind.NOOP), entry(4, 1, {1, 2})])
    assert [history.at(index).index for index in (0, 1, 2, 3, 4, 9)] == [0, 0, 2, 2, 4, 4]
    assert (history.previous.index, history.latest.index) == (2, 4)
    history.cut(5)
    assert history.latest.index == 4
    history.cut(3)
    assert (history.previous.index, history.latest.index) == (0, 2)
    history.extend([entry(5, 2, {4})])
    history.forget(4)
    assert (history.previous.index, history.latest.index) == (2, 5)
    history.cut(5)
    assert history.previous.index == history.latest.index == 2


@pytest.mark.parametrize(
    ("have", "want", "caught_up", "then"),
    [
        (({1, 2}, set()), ({1, 2}, set()), True, None),
        (({1, 2}, set()), ({1, 2}, {3}), False, ({1, 2}, {3}, set())),
        (({1, 2}, {3}), ({1, 2}, set()), False, ({1, 2}, set(), set())),
        (({1, 2}, set()), ({1, 2, 3}, set()), True, ({1, 2}, {3}, set())),
        (({1, 2}, {3}), ({1, 2, 3}, set()), False, None),
        (({1, 2}, {3}), ({1, 2, 3}, set()), True, ({1, 2, 3}, set(), {1, 2})),
        (({1, 2, 3}, set()), ({1, 2}, set()), True, ({1, 2}, set(), {1, 2, 3})),
        (({1, 2, 3}, set()), ({1, 2}, {3}), True, ({1, 2}, {3}, {1, 2, 3})),
        (({1}, {5}), ({2, 3}, {5}), True, ({1}, {2, 3, 5}, set())),
        (({1}, {2, 3, 5}), ({2, 3}, {5}), True, ({2, 3}, {5}, {1})),
    ],
)
def test_the_steps_of_a_change(
    have: tuple[set[int], set[int]],
    want: tuple[set[int], set[int]],
    caught_up: bool,
    then: tuple[set[int], set[int], set[int]] | None,
) -> None:
    step = next_step(configuration(*have), configuration(*want), caught_up=caught_up)
    assert (step and step.membership) == (None if then is None else configuration(*then).membership)
    if step is not None:
        newcomers = want[0] - have[0] - have[1]
        assert step.voters_next == (want[0] - have[0] if newcomers else set()), "another leader will go on"
        assert step.voters_leaving == (have[0] - want[0] if newcomers else set())
        assert not newcomers or step.target().same_as(configuration(*want))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"remove": {1, 2, 3}}, "no voters"),
        ({"learners": {1: b"", 2: b"", 3: b""}}, "no voters"),
        ({"add": {4: b""}, "remove": {4}}, "named twice"),
        ({"add": {4: b""}, "learners": {4: b""}}, "named twice"),
        ({"add": {0: b""}}, "member id"),
        ({"remove": {255}}, "member id"),
        ({"learners": {4: bytes(70000)}}, "70000 bytes"),
    ],
)
def test_changes_that_make_no_sense_are_refused(parts: dict[str, object], says: str) -> None:
    raft = settled_leader()
    with pytest.raises(InvalidChange, match=says):
        raft.change_membership(**parts)  # type: ignore[arg-type]
    assert not raft.changing_members


def test_a_new_address_alone_is_one_entry() -> None:
    current = configuration({1, 2, 3})
    target = target_of(current, {2: b"elsewhere"}, (), {})
    assert target.addresses == {1: b"at 1", 2: b"elsewhere", 3: b"at 3"}
    assert next_step(current, target, caught_up=False) == target


# -- who may ask, and when -----------------------------------------------------------------------------------------


def test_only_a_leader_changes_members() -> None:
    with pytest.raises(NotLeader):
        member().change_membership(remove={3})


def test_one_change_at_a_time() -> None:
    raft = settled_leader()
    raft.change_membership(remove={3})
    with pytest.raises(ChangeInProgress):
        raft.change_membership(add={4: b""})
    drain(raft)
    with pytest.raises(ChangeInProgress):
        raft.change_membership(add={4: b""})


def test_no_change_while_another_member_takes_over() -> None:
    raft = settled_leader()
    raft.transfer(2)
    with pytest.raises(Busy, match="takes over"):
        raft.change_membership(remove={3})


def test_what_is_so_already_is_no_change() -> None:
    raft = settled_leader()
    last = raft.last_index
    raft.change_membership(add={2: b""}, remove={9})
    drain(raft)
    assert raft.last_index == last and not raft.changing_members


# -- by the entry --------------------------------------------------------------------------------------------------


def test_a_configuration_is_in_force_as_soon_as_it_is_in_the_log_and_is_rolled_back_with_it() -> None:
    raft = member([1])
    joint = entry(2, 1, {1, 2, 3, 4}, set(), {1, 2, 3})
    raft.step(Message(APPEND, 2, 1, 1, 1, 1, round=1, entries=(joint,)))
    assert raft.membership.voters == {1, 2, 3, 4} and raft.membership.outgoing == {1, 2, 3}
    assert raft.committed_configuration.index == 0
    raft.step(append(2, 1, 1, [2], source=3))
    assert raft.membership == Membership(frozenset({1, 2, 3}))


def test_a_restart_takes_the_configuration_from_the_log() -> None:
    log = [entry(1, 1, {1, 4}), Entry(1, 2, EntryKind.COMMAND)]
    raft = Raft(Config(1, frozenset({1, 2, 3})), HardState(1), log, Random(0))
    assert raft.membership.voters == {1, 4} and raft.configuration.addresses == {1: b"at 1", 4: b"at 4"}


def test_a_leader_counts_both_majorities_of_a_joint_configuration_and_leaves_it_by_itself() -> None:
    raft = settled_leader()
    raft.change_membership(remove={2, 3}, add={})
    messages = only(drain(raft), APPEND)
    joint = raft.last_index
    assert raft.configuration.is_joint
    assert raft.commit_index == joint - 1, "its own vote is a majority of the new, not of the old"
    raft.step(answer(next(one for one in messages if one.target == 2 and one.entries)))
    drain(raft)
    assert raft.membership == Membership(frozenset({1})) and raft.last_index == joint + 1
    drain(raft)
    assert raft.commit_index == joint + 1 and not raft.changing_members


def test_a_learner_is_sent_entries_and_counts_for_nothing() -> None:
    raft = settled_leader()
    raft.change_membership(learners={4: b"", 5: b""})
    acknowledge_all(raft)
    _, index = raft.propose(b"value")
    messages = [one for one in only(drain(raft), APPEND) if one.entries]
    assert {one.target for one in messages} == {2, 3, 4, 5}
    for message in messages:
        if message.target > 3:
            raft.step(answer(message))
    assert raft.commit_index == index - 1
    with pytest.raises(ValueError, match="cannot lead"):
        raft.transfer(4)
    tick(raft, 2 * ELECTION_TICKS)
    assert raft.role is not Role.LEADER, "learners' answers are no quorum"


def test_a_newcomer_catches_up_before_it_counts() -> None:
    raft = settled_leader([1] * 20)
    raft.change_membership(add={4: b"at 4"})
    for message in only(drain(raft), APPEND):
        if message.target != 4 and message.entries:
            raft.step(answer(message))
    drain(raft)
    assert raft.membership == Membership(frozenset({1, 2, 3}), learners=frozenset({4}))
    for _ in range(3):
        raft.propose(b"value")
    acknowledge_all(raft)
    assert raft.membership.learners == {4}, "it has not said that it holds the log"
    progress = raft.status()["progress"]["4"]
    late, term = progress["next_index"] - 1, raft.current_term
    raft.step(Message(APPEND_REPLY, 4, 1, term, late, reject=True, round=raft.status()["round"]))
    acknowledge_all(raft)
    assert raft.membership == Membership(frozenset({1, 2, 3, 4})) and not raft.changing_members
    assert raft.committed_configuration.addresses[4] == b"at 4"


def test_a_newcomer_that_never_answers_stays_out_and_the_leader_gives_up() -> None:
    network = quiet()
    first = network.leader()
    assert first is not None
    first.change_membership(add={4: b""})
    network.add_member(4)
    network.members[4].raft = None
    network.run(15 * ELECTION_TICKS)
    assert first.role is Role.LEADER and not first.changing_members
    assert "4 does not answer" in first.status()["change"] and first.membership.voters == {1, 2, 3}
    change(network, remove={4})
    assert members_of(network) == ({1, 2, 3}, set())


def with_learner() -> Raft:
    """The only voter, with a learner 2 that holds everything."""
    raft = member(size=1)
    campaign(raft)
    raft.change_membership(learners={2: b"at 2"})
    acknowledge_all(raft)
    assert raft.membership == Membership(frozenset({1}), learners=frozenset({2}))
    assert raft.status()["progress"]["2"]["match_index"] == raft.last_index
    return raft


def test_a_learner_that_held_everything_and_died_gets_no_vote() -> None:
    """Alone it would be the half of two that no decision goes without: nobody could lead, or take it out again."""
    raft = with_learner()
    raft.change_membership(add={2: b"at 2"})
    for _ in range(12 * ELECTION_TICKS):
        drain(raft)
        assert raft.membership.voters == {1}, "its last words are older than the change"
        raft.tick()
    assert raft.role is Role.LEADER and not raft.changing_members
    assert "member 2 does not answer" in raft.status()["change"]


def test_a_learner_is_given_its_vote_by_an_answer_to_a_round_that_began_after_the_change_was_asked_for() -> None:
    raft = with_learner()
    tick(raft, HEARTBEAT_TICKS)
    old = [answer(beat) for beat in only(drain(raft), APPEND)]
    tick(raft, 3 * ELECTION_TICKS)  # long silent, which is no reason to give up at once
    drain(raft)
    raft.change_membership(add={2: b"at 2"})
    beats = only(drain(raft), APPEND)
    for reply in old:
        raft.step(reply)
    drain(raft)
    assert raft.changing_members and raft.membership.voters == {1}, "an answer to an earlier round"
    assert raft.status()["change"] == "members [2] catch up"
    raft.step(answer(beats[-1]))
    acknowledge_all(raft)
    assert raft.membership.voters == {1, 2} and not raft.changing_members


def test_a_newcomer_that_has_caught_up_and_fell_silent_gets_no_vote() -> None:
    """While another newcomer still catches up."""
    raft = settled_leader()
    raft.change_membership(add={4: b"", 5: b""})
    for _ in range(3):
        answer_all(raft, 5)
    for _ in range(3 * ELECTION_TICKS):
        raft.tick()
        answer_all(raft, 4, 5)
    assert raft.status()["change"] == "members [4, 5] catch up" and raft.membership.voters == {1, 2, 3}
    for _ in range(3 * ELECTION_TICKS):
        raft.tick()
        answer_all(raft, 4)
    assert raft.status()["change"] == "members [4] catch up" and raft.membership.voters == {1, 2, 3}
    for _ in range(HEARTBEAT_TICKS):
        raft.tick()
        answer_all(raft)
    acknowledge_all(raft)
    assert raft.membership.voters == {1, 2, 3, 4, 5}


def silence(raft: Raft, *silent: int, ticks: int = ELECTION_TICKS + HEARTBEAT_TICKS) -> None:
    """``silent`` do not answer for so long; the others do."""
    for _ in range(ticks):
        raft.tick()
        answer_all(raft, *silent)


def test_the_only_voter_that_answers_is_not_removed() -> None:
    raft = settled_leader()
    silence(raft, 3)
    with pytest.raises(Unreachable, match=r"members \[3\] are silent, and without them the voters \[1, 3\]"):
        raft.change_membership(remove={2})
    assert not raft.changing_members
    raft.change_membership(remove={3})
    for _ in range(4):
        answer_all(raft, 3)
    assert raft.membership.voters == {1, 2} and not raft.changing_members


def test_a_leader_does_not_go_if_the_others_could_elect_nobody() -> None:
    raft = settled_leader()
    silence(raft, 3)
    with pytest.raises(Unreachable, match=r"\[3\] are silent"):
        raft.change_membership(remove={1})


def test_a_removal_is_given_up_when_who_would_be_left_turns_out_to_be_silent() -> None:
    """Member 3 has just died, which nobody can know yet."""
    raft = settled_leader()
    raft.change_membership(remove={2})
    answer_all(raft, 3)
    assert raft.changing_members and raft.status()["change"] == "members [3] have yet to answer"
    silence(raft, 3)
    assert raft.changing_members, "it may be no more than slow"
    silence(raft, 3, ticks=9 * ELECTION_TICKS)
    assert raft.role is Role.LEADER and raft.membership.voters == {1, 2, 3} and not raft.changing_members
    assert "given up: members [3] are silent" in raft.status()["change"]
    raft.propose(b"value")
    acknowledge_all(raft)
    assert raft.commit_index == raft.last_index


def test_a_change_can_be_abandoned_while_newcomers_catch_up() -> None:
    raft = settled_leader()
    raft.change_membership(add={4: b""})
    for message in only(drain(raft), APPEND):
        if message.target != 4 and message.entries:
            raft.step(answer(message))
    assert raft.changing_members and raft.status()["change"] == "members [4] catch up"
    assert raft.configuration.voters_next == {4}
    raft.abandon_change()
    for message in only(drain(raft), APPEND):
        if message.target != 4 and message.entries:
            raft.step(answer(message))
    assert not raft.changing_members and raft.membership.learners == {4}
    assert not raft.configuration.voters_next, "or the next leader would go on"


def test_a_new_leader_goes_on_where_newcomers_were_promised_a_vote() -> None:
    network = quiet()
    first = network.leader()
    assert first is not None
    gone = first.id
    network.add_member(4)
    network.members[4].raft = None  # it is not there yet
    first.change_membership(add={4: b"at 4"}, remove={gone})
    network.run(2)
    assert first.configuration.voters_next == {4} and first.configuration.voters_leaving == {gone}
    network.run(ELECTION_TICKS)
    assert first.commit_index >= first.configuration.index
    first.transfer(gone % 3 + 1)
    network.run(2 * ELECTION_TICKS)
    second = network.leader()
    assert second is not None and second.id != gone and second.changing_members
    with pytest.raises(ChangeInProgress):
        second.change_membership(add={5: b""})
    network.members[4].start()
    network.run(10 * ELECTION_TICKS)
    assert members_of(network) == ({1, 2, 3, 4} - {gone}, set())
    now = network.leader()
    assert now is not None and not now.configuration.voters_next and not now.changing_members


def test_a_newcomer_takes_entries_from_a_leader_that_it_does_not_know_and_never_campaigns() -> None:
    raft = Raft(Config(4, frozenset()), HardState(), (), Random(0))
    tick(raft, 200)
    assert raft.role is Role.FOLLOWER and raft.current_term == 0
    first = Message(APPEND, 1, 4, 3, round=1, entries=(Entry(3, 1, EntryKind.NOOP),), commit=1)
    raft.step(first)
    assert [one.index for one in only(drain(raft), APPEND_REPLY)] == [1] and raft.commit_index == 1
    assert not raft.membership.voters
    with pytest.raises(ValueError, match="not known"):
        raft.take_snapshot(1, b"")


def test_a_member_votes_for_a_candidate_that_it_does_not_know() -> None:
    """Its configuration may be the outdated one, and its vote the one that is needed (thesis, section 4.2.2)."""
    raft = member([1])
    raft.step(Message(VOTE, 77, 1, 2, 9, 1))
    assert [(one.type, one.target, one.reject) for one in drain(raft)] == [(VOTE_REPLY, 77, False)]


@pytest.mark.parametrize("kind", [PRE_VOTE, VOTE])
def test_a_learner_that_has_missed_its_leader_votes_whenever_it_is_asked(kind: MessageType) -> None:
    """It may have been given a vote by an entry that it lacks, and be the half of two that is needed."""
    for silent in range(6 * ELECTION_TICKS):
        config = Config(2, frozenset(), election_timeout_ticks=ELECTION_TICKS, heartbeat_ticks=HEARTBEAT_TICKS)
        raft = Raft(config, HardState(), (), Random(0))
        learns = entry(1, 1, {1}, {2})
        raft.step(Message(APPEND, 1, 2, 1, round=1, entries=(learns,), commit=1))
        drain(raft)
        assert raft.membership.learners == {2}
        tick(raft, silent)
        raft.step(Message(kind, 1, 2, 2, 2, 1))
        answers = [one.reject for one in drain(raft) if one.type is not APPEND_REPLY]
        assert answers == ([] if silent < ELECTION_TICKS else [False]), f"silent for {silent} ticks"


def test_answers_of_strangers_count_for_nothing() -> None:
    raft = settled_leader()
    raft.step(Message(APPEND_REPLY, 77, 1, raft.current_term + 5, 1, reject=True))
    assert raft.role is Role.LEADER


# -- leavers -------------------------------------------------------------------------------------------------------


def test_a_leader_that_is_removed_leads_until_that_is_committed_and_does_not_count_itself() -> None:
    raft = settled_leader()
    raft.change_membership(remove={1})
    answer_all(raft)
    answer_all(raft)
    messages = only(drain(raft), APPEND)
    assert raft.membership.voters == {2, 3} and raft.role is Role.LEADER
    last = raft.last_index
    raft.step(
        answer(next(one for one in messages if one.target == 2 and one.entries and one.entries[-1].index == last))
    )
    drain(raft)
    assert raft.commit_index == last - 1 and raft.role is Role.LEADER, "1 of the two that are left"
    raft.step(Message(APPEND_REPLY, 3, 1, raft.current_term, last))
    out = drain(raft)
    assert raft.commit_index == last and raft.role is Role.FOLLOWER
    assert {one.target for one in only(out, APPEND) if one.commit == last} == {2, 3}, "it says so before it goes"
    assert len(only(out, MessageType.TIMEOUT_NOW)) == 1
    tick(raft, 5 * ELECTION_TICKS)
    assert raft.role is Role.FOLLOWER and not drain(raft), "and campaigns no more"


def test_a_member_whose_removal_is_not_committed_still_campaigns() -> None:
    """It may be the only one with the entry that the others need."""
    log = [Entry(1, 1, EntryKind.NOOP), entry(2, 1, {2}, set(), {1}), entry(3, 1, {2})]
    config = Config(1, frozenset({1}), election_timeout_ticks=ELECTION_TICKS, heartbeat_ticks=2)
    raft = Raft(config, HardState(1), log, Random(0))
    (request,) = only(campaign(raft), PRE_VOTE)
    raft.step(answer(request))
    for request in only(drain(raft), VOTE):
        raft.step(answer(request))
    assert raft.role is Role.LEADER
    acknowledge_all(raft)
    assert raft.role is Role.FOLLOWER and raft.commit_index == 4


@pytest.mark.parametrize("half", [{2, 3}, {4, 5}])
def test_a_candidate_needs_both_majorities_of_a_joint_configuration(half: set[int]) -> None:
    """Each half alone may elect somebody: the old one who does not know of the change, the new one who does."""
    log = [Entry(1, 1, EntryKind.NOOP), entry(2, 1, {1, 4, 5}, set(), {1, 2, 3})]
    config = Config(1, frozenset({1, 2, 3}), election_timeout_ticks=ELECTION_TICKS, heartbeat_ticks=2)
    raft = Raft(config, HardState(1), log, Random(0))
    for request in only(campaign(raft), PRE_VOTE):
        if request.target in half:
            raft.step(answer(request))
    assert not only(drain(raft), VOTE) and raft.current_term == 1, "nor does it raise the term for one half"
    for request in only(campaign(raft), PRE_VOTE):
        raft.step(answer(request))
    requests = only(drain(raft), VOTE)
    for request in requests:
        if request.target in half:
            raft.step(answer(request))
    assert raft.role is Role.CANDIDATE
    for request in requests:
        if request.target not in half:
            raft.step(answer(request))
    assert raft.role is Role.LEADER


def test_a_new_leader_finishes_a_joint_configuration_after_its_own_first_entry() -> None:
    log = [Entry(1, 1, EntryKind.NOOP), entry(2, 1, {1, 2}, set(), {1, 2, 3})]
    raft = Raft(
        Config(1, frozenset({1, 2, 3}), election_timeout_ticks=ELECTION_TICKS, heartbeat_ticks=2),
        HardState(1),
        log,
        Random(0),
    )
    raft.step(Message(APPEND, 2, 1, 1, 2, 1, 2, round=1))
    assert raft.commit_index == 2 and not raft.changing_members
    for request in only(campaign(raft), PRE_VOTE):
        raft.step(answer(request))
    for request in only(drain(raft), VOTE):
        raft.step(answer(request))
    out = drain(raft)
    assert raft.role is Role.LEADER and raft.last_index == 3, "the joint configuration is committed, its no-op is not"
    for message in only(out, APPEND):
        if message.entries:
            raft.step(answer(message))
    acknowledge_all(raft)
    assert raft.membership == Membership(frozenset({1, 2})) and raft.commit_index == 4


# -- clusters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "voters", "learners"),
    [
        ({"add": {4}}, {1, 2, 3, 4}, set()),
        ({"add": {4, 5}}, {1, 2, 3, 4, 5}, set()),
        ({"learners": {4, 5}}, {1, 2, 3}, {4, 5}),
        ({"remove": {3}}, {1, 2}, set()),
        ({"remove": {2, 3}}, {1}, set()),
        ({"add": {4, 5, 6}, "remove": {1, 2, 3}}, {4, 5, 6}, set()),
        ({"add": {4}, "remove": {1}, "learners": {2}}, {3, 4}, {2}),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_changes_of_a_running_cluster(
    parts: dict[str, set[int]], voters: set[int], learners: set[int], seed: int
) -> None:
    network = quiet(seed=seed)
    for number in range(30):
        network.propose(b"%d" % number)
        network.run(1)
    change(network, **parts)
    network.run_until_leader()
    assert members_of(network) == (voters, learners)
    _, index = network.propose(b"with the new members")
    network.run(2 * ELECTION_TICKS)
    assert all(network.raft(one).commit_index >= index for one in voters | learners)


def test_a_removed_leader_hands_over_at_once() -> None:
    network = quiet()
    first = network.leader()
    assert first is not None
    change(network, remove={first.id})
    network.run(5)
    now = network.leader()
    assert now is not None and now.id != first.id and now.role is Role.LEADER


def test_a_removed_member_does_not_disturb() -> None:
    network = quiet(5)
    first = network.leader()
    assert first is not None
    away = 1 + first.id % 5
    change(network, remove={away})
    network.run(30 * ELECTION_TICKS)
    assert first.role is Role.LEADER and network.leader() is first
    assert network.raft(away).current_term == first.current_term


@pytest.mark.parametrize("leads", [False, True])
def test_who_was_removed_learns_it_and_asks_nobody_for_votes(leads: bool) -> None:
    network = quiet(4)
    first = network.leader()
    assert first is not None
    gone = first.id if leads else next(one for one in network.members if one != first.id)
    change(network, remove=(gone,))
    for _ in range(10 * ELECTION_TICKS):
        network.tick()
    removed = network.raft(gone)
    assert gone not in removed.committed_configuration.membership.everyone()
    assert removed.role is Role.FOLLOWER
    assert removed.current_term <= network.leader().current_term  # type: ignore[union-attr]


def test_farewells_are_few_and_come_once_the_removal_is_committed() -> None:
    raft = settled_leader(size=4)
    raft.change_membership(remove=(4,))
    told: list[Message] = []
    told_at: list[int] = []
    for now in range(20 * ELECTION_TICKS):
        raft.read()  # each begins a round of its own, which is no reason to say it again
        messages = only(drain(raft), APPEND)
        joint = raft.configuration.is_joint or raft.changing_members
        for message in messages:
            if message.target == 4 and not joint:
                told.append(message)
                told_at.append(now)
            elif message.target != 4 or joint:
                raft.step(answer(message))
        tick(raft, 1)
    latest = raft.configuration.index
    assert raft.role is Role.LEADER and raft.configuration.membership.everyone() == {1, 2, 3}
    assert len(told) == 6 and told_at[-1] - told_at[0] >= 5 * HEARTBEAT_TICKS
    assert all(message.entries[-1].index == latest and message.commit >= latest for message in told)


def test_ready_shows_configurations_when_they_change() -> None:
    raft = settled_leader()
    raft.change_membership(learners={4: b"there"})
    ready = raft.ready()
    assert ready is not None and ready.configuration is raft.configuration
    assert ready.configuration.addresses[4] == b"there" and ready.committed_configuration is None
    raft.advance(ready)
    for message in ready.messages:
        if message.entries and message.target < 4:
            raft.step(answer(message))
    ready = raft.ready()
    assert ready is not None and ready.configuration is None
    assert (
        ready.committed_configuration is raft.configuration and raft.committed_configuration.index == raft.last_index
    )


def test_the_first_ready_shows_the_members_at_birth() -> None:
    config = Config(1, frozenset({1, 2}), addresses={1: b"a", 2: b"b"})
    ready = Raft(config, HardState(), (), Random(0)).ready()
    assert ready is not None and ready.configuration == ready.committed_configuration
    assert ready.configuration is not None and ready.configuration.addresses == {1: b"a", 2: b"b"}
    assert leader().ready() is not None
