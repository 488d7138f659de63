"""Lazy acknowledgements: who may hold them back, what they say when they leave, and who is waited for."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace

import pytest

from hosts.raft import fastest
from hosts.raft.config import Config
from hosts.raft.core import Raft, Role
from hosts.raft.fastest import FIRST_SAMPLES, AcknowledgementCounts, Fastest
from hosts.raft.message import EVERYBODY, Message
from hosts.raft.progress import Progress
from tests.raft.network import Faults, Network, soak
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    HEARTBEAT_TICKS,
    VOTE,
    answer,
    append,
    drain,
    member,
    only,
    readies,
    settled_leader,
    tick,
)

# -- who holds back ------------------------------------------------------------------------------------------------


def lazy(message: Message) -> Message:
    return replace(message, lazy=True)


def told(raft: Raft, round: int = 1) -> Raft:
    """A follower that its leader, member 2, has told that it may wait, and that agrees with it up to entry 1."""
    raft.step(append(2, terms=[1], round=round))
    raft.step(lazy(append(2, round=round)))
    drain(raft)
    return raft


def said(messages: list[Message]) -> list[tuple[int, int, int]]:
    """Term, index and round of the acknowledgements."""
    return [(one.term, one.index, one.round) for one in only(messages, APPEND_REPLY) if not one.reject]


def test_a_held_acknowledgement_says_the_latest_index_and_round() -> None:
    raft = told(member())
    for at in (1, 2, 3):
        raft.step(lazy(append(2, at, [1, 2, 2][at - 1], [2], round=1 + at)))
        assert not only(drain(raft), APPEND_REPLY) and raft.holds_back
    raft.acknowledge_held()
    assert said(drain(raft)) == [(2, 4, 4)] and not raft.holds_back
    raft.acknowledge_held()
    assert not drain(raft), "it is said once"
    assert asdict(raft.acknowledgement_counts) == {"merged": 2, "late": 1, "asked_again": 0, "choices": 0}


def test_who_was_not_told_so_acknowledges_at_once() -> None:
    raft = member()
    raft.step(lazy(append(2, terms=[1])))
    assert said(drain(raft)) == [(2, 1, 1)] and not raft.holds_back


def test_what_is_to_be_acknowledged_at_once_says_what_was_held_back() -> None:
    raft = told(member())
    raft.step(lazy(append(2, 1, 1, [2], round=2)))
    raft.step(append(2, 2, 2, [2], round=2))
    assert said(drain(raft)) == [(2, 3, 2)] and not raft.holds_back
    assert raft.acknowledgement_counts.merged == 1


def test_a_heartbeat_is_answered_at_once_with_what_was_held_back() -> None:
    raft = told(member())
    raft.step(lazy(append(2, 1, 1, [2], round=2)))
    assert not only(drain(raft), APPEND_REPLY)
    raft.step(lazy(append(2, round=3)))
    assert said(drain(raft)) == [(2, 2, 3)] and not raft.holds_back


def test_what_is_held_back_is_said_only_once_it_is_durable() -> None:
    raft = told(member())
    raft.step(lazy(append(2, 1, 1, [2], round=2)))
    (writing,) = readies(raft)
    raft.step(append(2, round=3))
    (beat,) = readies(raft)
    assert said(list(beat.messages)) == [(2, 1, 3)], "a heartbeat says what is durable"
    assert raft.holds_back, "and so the rest is still owed"
    raft.acknowledge_held()
    (waits,) = readies(raft)
    assert not waits.messages and said(list(waits.after)) == [(2, 2, 2)]
    raft.advance(writing)
    raft.acknowledge_held()
    assert not drain(raft)


def test_nothing_is_said_to_the_leader_of_an_older_term() -> None:
    raft = told(member())
    raft.step(lazy(append(2, 1, 1, [2], round=2)))
    drain(raft)
    tick(raft, 3 * raft.config.election_timeout_ticks)
    drain(raft)
    raft.step(Message(VOTE, 3, 1, 5, 9, 4))
    assert raft.current_term == 5 and not raft.holds_back
    raft.acknowledge_held()
    assert not only(drain(raft), APPEND_REPLY)


def test_another_leader_must_tell_anew() -> None:
    raft = told(member())
    raft.step(lazy(append(2, 1, 1, [2], round=2)))
    drain(raft)
    raft.step(lazy(append(3, 1, 1, [3], round=1, source=3)))
    assert said(drain(raft)) == [(3, 2, 1)] and not raft.holds_back


def test_only_what_is_for_one_member_alone_and_not_late_tells_it() -> None:
    raft = told(member(), round=5)
    raft.step(replace(append(2, round=6), copied=True))
    raft.step(append(2, round=4))
    drain(raft)
    raft.step(lazy(replace(append(2, 1, 1, [2], round=6), copied=True)))
    assert raft.holds_back, "a heartbeat for everybody, and one that is late, have changed nothing"
    raft.step(append(2, round=7))
    drain(raft)
    raft.step(lazy(append(2, 2, 2, [2], round=7)))
    assert not raft.holds_back and said(drain(raft)) == [(2, 3, 7)]


def test_a_reject_is_never_held_back() -> None:
    raft = told(member())
    raft.step(lazy(append(2, 9, 2, [2], round=2)))
    assert [one.reject for one in only(drain(raft), APPEND_REPLY)] == [True]


# -- whom a leader waits for ---------------------------------------------------------------------------------------


def served(raft: Raft, order: tuple[int, ...], value: bytes = b"value") -> list[Message]:
    """A new value is acknowledged by these in this order; what was sent with entries."""
    raft.propose(value)
    sent = [one for one in only(drain(raft), APPEND) if one.entries]
    for one in order:
        for message in sent:
            if message.target in (one, EVERYBODY):
                raft.step(answer(replace(message, target=one, receivers=())))
    return sent


def heartbeat(raft: Raft, silent: tuple[int, ...] = ()) -> list[Message]:
    """A heartbeat's time passes, and all but ``silent`` answer; what was sent."""
    sent = []
    for _ in range(HEARTBEAT_TICKS):
        tick(raft, 1)
        now = only(drain(raft), APPEND)
        sent += now
        for message in now:
            for one in raft.membership.voters - {1, *silent}:
                if message.target in (one, EVERYBODY) and not message.entries:
                    raft.step(answer(replace(message, target=one, receivers=())))
    return sent


def ranked(size: int, **options: int) -> Raft:
    """A leader that has chosen: members answer in the order of their ids."""
    raft = settled_leader([1], size=size, lazy_acknowledgements=True, **options)
    for _ in range(FIRST_SAMPLES + 2):
        heartbeat(raft)
        assert not any(one.lazy for one in served(raft, tuple(range(2, size + 1)))), "each of these is a sample"
    heartbeat(raft)
    served(raft, tuple(range(2, size + 1)))
    return raft


def lazies(raft: Raft) -> set[int]:
    return {int(one) for one, shown in raft.status()["progress"].items() if shown["lazy"]}


@pytest.mark.parametrize(("size", "may_wait"), [(3, {3}), (4, {4}), (5, {4, 5}), (9, {6, 7, 8, 9})])
def test_the_fastest_of_a_quorum_answer_at_once_and_the_others_may_wait(size: int, may_wait: set[int]) -> None:
    raft = ranked(size)
    assert lazies(raft) == may_wait
    sent = served(raft, tuple(range(2, size + 1)))
    assert {one.target for one in sent if one.lazy} == may_wait
    beats = [one for one in heartbeat(raft) if not one.entries]
    assert {one.target for one in beats if one.lazy} == may_wait, "and so they are told"
    assert raft.acknowledgement_counts.choices == 1 and not raft.acknowledgement_counts.asked_again


def test_where_all_are_needed_nobody_waits() -> None:
    raft = settled_leader([1], size=2, lazy_acknowledgements=True)
    for _ in range(2 * FIRST_SAMPLES):
        heartbeat(raft)
        assert not any(one.lazy for one in served(raft, (2,)))
    assert not lazies(raft)


def test_without_the_setting_nobody_waits() -> None:
    raft = settled_leader([1], size=3)
    for _ in range(2 * FIRST_SAMPLES):
        assert not any(one.lazy for one in heartbeat(raft) + served(raft, (2, 3)))
    assert not lazies(raft) and not any(asdict(raft.acknowledgement_counts).values())


def test_entries_are_a_sample_once_a_heartbeat() -> None:
    raft = ranked(3)
    heartbeat(raft)
    asked = [any(one.lazy for one in served(raft, (2, 3))) for _ in range(4)]
    assert asked == [False, True, True, True]


def test_a_member_takes_a_place_only_if_it_is_clearly_faster() -> None:
    raft = ranked(3)
    for number in range(12):
        heartbeat(raft)
        served(raft, (2, 3) if number % 2 else (3, 2))
    assert lazies(raft) == {3} and raft.acknowledgement_counts.choices == 1
    for _ in range(12):
        heartbeat(raft)
        served(raft, (3, 2))
    assert lazies(raft) == {2} and raft.acknowledgement_counts.choices == 2


def test_all_are_asked_again_when_one_of_the_fastest_is_late() -> None:
    raft = ranked(3)
    before = raft.commit_index
    served(raft, (3,))
    assert raft.commit_index == before + 1, "an acknowledgement that was held back commits as well"
    heartbeat(raft, silent=(2,))
    assert not raft.acknowledgement_counts.asked_again, "it may be a little later than others"
    heartbeat(raft, silent=(2,))
    assert raft.acknowledgement_counts.asked_again == 1 and not lazies(raft)
    assert not any(one.lazy for one in served(raft, (3,)))
    for _ in range(3):
        heartbeat(raft, silent=(2,))
        served(raft, (3,))
    assert lazies(raft) == {2}, "who does not answer is not waited for"
    assert raft.acknowledgement_counts.asked_again == 1


def test_who_is_silent_is_late_though_nothing_is_to_be_committed() -> None:
    raft = ranked(5)
    for _ in range(4):
        heartbeat(raft, silent=(2,))
    assert raft.acknowledgement_counts.asked_again == 1 and not lazies(raft)


def test_one_that_could_not_be_late_is_not() -> None:
    """What nobody has acknowledged yet makes nobody late."""
    raft = ranked(3)
    served(raft, ())
    for _ in range(2):
        heartbeat(raft)
    assert not raft.acknowledgement_counts.asked_again and lazies(raft) == {3}


def test_all_acknowledge_at_once_while_members_change() -> None:
    raft = ranked(3)
    raft.change_membership(learners={4: b"at 4"})
    assert not any(one.lazy for one in served(raft, (2, 3)) if one.entries)


def test_all_acknowledge_at_once_while_leadership_is_handed_over() -> None:
    raft = ranked(3)
    heartbeat(raft)
    raft.propose(b"not acknowledged")
    raft.propose(b"nor this")
    drain(raft)
    served(raft, ())
    raft.propose(b"one more")
    raft.transfer(3)
    assert not any(one.lazy for one in only(drain(raft), APPEND) if one.entries)


def test_all_acknowledge_at_once_while_the_own_disk_is_behind() -> None:
    raft = ranked(5)
    heartbeat(raft)
    served(raft, (2, 3, 4, 5))
    for _ in range(2):
        raft.propose(b"not on the own disk")
        for ready in readies(raft):
            for message in only(list(ready.messages), APPEND):
                raft.step(answer(message))
    raft.propose(b"one more")
    sent = [one for ready in readies(raft) for one in ready.messages if one.entries]
    assert sent and not any(one.lazy for one in sent)


def test_who_has_little_room_acknowledges_at_once() -> None:
    raft = ranked(3, max_inflight=4)
    asked = [{one.target for one in served(raft, (2,)) if one.lazy} for _ in range(4)]
    assert asked == [{3}, {3}, set(), set()]
    assert not any(one.lazy for one in served(ranked(3, max_inflight=1), (2, 3)))


def test_of_two_members_that_are_gone_both_are_passed_over() -> None:
    ranking = Fastest(Config(1, frozenset(range(1, 6)), heartbeat_ticks=2), AcknowledgementCounts())
    progress = {one: Progress(1, 0) for one in range(2, 6)}
    ranking.know({2, 3, 4, 5}, 2)
    now = 0
    for index in range(1, 20):
        now += 2
        for one in (4, 5):
            progress[one].answered_tick = now
            ranking.acknowledged(one, index - 1)
        assert ranking.takes_sample(now, index) and not ranking.takes_sample(now, index), "what is new"
        ranking.begin_sample(now, index, progress)
    assert ranking.chosen == {4, 5} and ranking.may_wait(2)
    ranking.know({2, 3, 4}, 2)
    assert not ranking.chosen, "with other voters it is found out anew"


def test_who_was_the_fastest_and_is_silent_now_is_not_chosen() -> None:
    ranking = Fastest(Config(1, frozenset(range(1, 6)), heartbeat_ticks=2), AcknowledgementCounts())
    progress = {one: Progress(1, 0) for one in range(2, 6)}
    ranking.know({2, 3, 4, 5}, 2)
    now = 0
    for index in range(1, FIRST_SAMPLES + 2):
        now += 2
        for one in range(2, 6):
            progress[one].answered_tick = now if one > 2 else 0
            ranking.acknowledged(one, index - 1)
        assert ranking.takes_sample(now, index)
        ranking.begin_sample(now, index, progress)
    assert ranking.chosen == {3, 4}


# -- by the network's copies ---------------------------------------------------------------------------------------


def test_with_copies_each_is_told_alone_once_and_entries_go_to_all() -> None:
    beat = 10
    network = Network(
        1,
        5,
        Faults(propose=0, read=0),
        fanout=True,
        fanout_trial_ticks=40,
        lazy_acknowledgements=True,
        heartbeat_ticks=beat,
        election_timeout_ticks=6 * beat,
    )
    lead = network.run_until_leader(20 * 6 * beat)
    for number in range(12 * beat):
        lead.propose(b"%d" % number)
        network.run(1)
    before, merged = len(network.left), totals(network)["merged"]
    waiting = lazies(lead)
    assert len(waiting) == 2
    for number in range(4 * beat):
        lead.propose(b"%d more" % number)
        network.run(1)
    sent = only(network.left[before:], APPEND)
    assert {one.target for one in sent if one.entries} == {EVERYBODY}
    lazily = [one.lazy for one in sent if one.entries]
    assert any(lazily) and not all(lazily)
    assert not [one for one in sent if one.target != EVERYBODY and not one.lazy]
    assert len([one for one in sent if one.target != EVERYBODY]) <= len(waiting)
    assert totals(network)["merged"] > merged
    network.run(2 * beat)
    assert lead.commit_index == lead.last_index


# -- under faults --------------------------------------------------------------------------------------------------


def totals(network: Network) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in network.members.values():
        if one.raft is not None:
            found.update(asdict(one.raft.acknowledgement_counts))
    return found


@pytest.mark.parametrize("fanout", [False, True])
@pytest.mark.parametrize("size", [3, 5])
def test_one_that_was_waited_for_dies_and_commits_go_on(size: int, fanout: bool) -> None:
    """A commit then takes as long as an acknowledgement is held back, some ticks here, and no heartbeat."""
    network = Network(
        3,
        size,
        Faults(propose=0, read=0),
        lazy_acknowledgements=True,
        fanout=fanout,
        heartbeat_ticks=40,
        election_timeout_ticks=200,
    )
    lead = network.run_until_leader(2000)
    for number in range(400):
        lead.propose(b"%d" % number)
        network.run(1)
    waited_for = sorted(network.members.keys() - {lead.id} - lazies(lead))
    assert len(waited_for) == size // 2
    network.members[waited_for[0]].crash(network.random)
    for number in range(10):
        _, index = lead.propose(b"%d later" % number)
        network.run(20)
        assert lead.commit_index >= index
    assert totals(network)["asked_again"] == 1 and lead.role is Role.LEADER
    for number in range(100):
        lead.propose(b"%d at last" % number)
        network.run(1)
    assert waited_for[0] in lazies(lead), "others are waited for"


@pytest.mark.parametrize("fanout", [False, True])
def test_safety_under_faults_and_liveness_after_them(fanout: bool) -> None:
    found: Counter[str] = Counter()
    for seed in range(20):
        found.update(totals(soak(seed, fanout=fanout, lazy=True)))
    assert found["choices"] and found["asked_again"], f"they test too little: {found}"


@pytest.mark.parametrize("fanout", [False, True])
def test_whom_a_leader_waits_for_decides_nothing(fanout: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a leader soon chooses anyone, and goes on waiting for who is late, silent or dead: heartbeats, and what is
    held back only for its time, bring all the same."""
    monkeypatch.setattr(fastest, "FIRST_SAMPLES", 1)
    monkeypatch.setattr(fastest, "SILENT_HEARTBEATS", 1 << 62)
    monkeypatch.setattr(fastest, "LATE_TICKS", 100_000)
    found: Counter[str] = Counter()
    for seed in range(100, 140):
        found.update(totals(soak(seed, fanout=fanout, lazy=True)))
    assert found["merged"] and found["late"] and not found["asked_again"], f"they test too little: {found}"
