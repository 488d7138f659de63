"""The core's small parts, each by a table."""

from __future__ import annotations

from itertools import combinations

import pytest

from hosts.raft.config import Config
from hosts.raft.configuration import Configuration
from hosts.raft.election import Ballot
from hosts.raft.log import ENTRY_OVERHEAD, MemoryLog, SafetyViolation
from hosts.raft.progress import Mode, Progress
from hosts.raft.quorum import Membership, has_majority, majority, reached_by_majority
from hosts.raft.snapshot import Snapshot
from tests.raft.single import entries

# -- quorum --------------------------------------------------------------------------------------------------------


def test_any_two_majorities_meet_and_none_is_needlessly_large() -> None:
    for size in range(1, 10):
        everyone = range(1, size + 1)
        need = majority(size)
        assert all(set(a) & set(b) for a in combinations(everyone, need) for b in combinations(everyone, need))
        assert 2 * (need - 1) <= size


def test_nobody_is_no_majority_of_nobody() -> None:
    assert not has_majority((), set())
    assert reached_by_majority((), {1: 5}) == 0


@pytest.mark.parametrize(
    ("values", "reached"),
    [
        ([5], 5),
        ([5, 3], 3),
        ([5, 3, 1], 3),
        ([5, 5, 1], 5),
        ([5, 5, 1, 1], 1),
        ([5, 5, 4, 1], 4),
        ([9, 8, 7, 6, 5], 7),
        ([9, 8, 7, 6, 5, 4], 6),
    ],
)
def test_reached_by_majority(values: list[int], reached: int) -> None:
    by_member = dict(enumerate(values, start=1))
    assert reached_by_majority(by_member.keys(), by_member) == reached
    assert reached_by_majority(by_member.keys(), {**by_member, 99: 1000}) == reached


def test_a_joint_configuration_needs_both_majorities() -> None:
    joint = Membership(voters=frozenset({1, 2, 3}), outgoing=frozenset({3, 4, 5}), learners=frozenset({6}))
    assert not joint.is_quorum({1, 2}) and not joint.is_quorum({1, 2, 6})
    assert not joint.is_quorum({3, 4, 5})
    assert joint.is_quorum({1, 3, 4})
    assert joint.reached({1: 9, 2: 9, 3: 9, 4: 2, 5: 1}) == 2
    assert joint.everyone() == {1, 2, 3, 4, 5, 6}
    assert [joint.needed_beside(member) for member in (1, 3, 6)] == [2, 1, 2]
    assert Membership(joint.voters, learners=joint.learners).needed_beside(1) == 1


# -- ballots -------------------------------------------------------------------------------------------------------


def test_a_ballot_counts_each_voter_once_and_only_voters() -> None:
    ballot = Ballot(Configuration(0, Membership(frozenset({1, 2, 3, 4, 5}), learners=frozenset({6}))))
    for voter in (1, 1, 2, 2, 2, 6, 77):
        ballot.record(voter, granted=True)
    assert not ballot.won()
    ballot.record(3, granted=False)
    ballot.record(3, granted=True)
    assert not ballot.won() and not ballot.lost()
    ballot.record(4, granted=True)
    assert ballot.won()


@pytest.mark.parametrize(("size", "against", "lost"), [(3, 1, False), (3, 2, True), (4, 1, False), (4, 2, True)])
def test_a_ballot_is_lost_when_nothing_could_win_it(size: int, against: int, lost: bool) -> None:
    ballot = Ballot(Configuration(0, Membership(frozenset(range(size)))))
    for voter in range(against):
        ballot.record(voter, granted=False)
    assert ballot.lost() is lost


# -- log -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("have", "first", "arrive", "result"),
    [
        ([1, 1, 2], 4, [2, 3], [1, 1, 2, 2, 3]),
        ([1, 1, 2], 1, [1, 1], [1, 1, 2]),
        ([1, 1, 2], 2, [1, 2], [1, 1, 2]),
        ([1, 1, 2], 2, [1, 2, 2], [1, 1, 2, 2]),
        ([1, 1, 2], 2, [1, 3], [1, 1, 3]),
        ([1, 1, 2], 2, [3, 3, 3], [1, 3, 3, 3]),
        ([], 1, [1], [1]),
    ],
)
def test_merge(have: list[int], first: int, arrive: list[int], result: list[int]) -> None:
    log = MemoryLog(entries(have))
    log.merge(entries(arrive, first))
    assert [log.term_at(index) for index in range(1, log.last_index + 1)] == result
    assert log.last_term == result[-1] and log.last_index == len(result)


def test_committed_entries_are_never_replaced() -> None:
    log = MemoryLog(entries([1, 1, 1]))
    log.commit_index = 2
    with pytest.raises(SafetyViolation):
        log.merge(entries([2], 2))
    log.merge(entries([2], 3))


def test_a_write_from_before_a_truncation_says_nothing() -> None:
    """etcd's append race: written, cut off, and come back, an entry is durable only once written again."""
    log = MemoryLog(entries([1]))
    log.merge(entries([1, 1], 2))
    assert len(log.take_unwritten()) == 2
    first = log.last_index, log.truncations
    log.merge(entries([2], 2))
    log.take_unwritten()
    second = log.last_index, log.truncations
    log._truncate(2)
    log.merge(entries([1, 1], 2))
    log.take_unwritten()
    log.written(*first)
    assert log.durable_index == 1
    log.written(*second)
    assert log.durable_index == 1
    log.written(log.last_index, log.truncations)
    assert log.durable_index == 3


def test_terms_outside_the_log_are_unknown() -> None:
    log = MemoryLog(entries([3, 4], 11), snapshot=Snapshot(10, 2, Configuration(0, Membership(frozenset({1}))), b""))
    assert [log.term_at(index) for index in (9, 10, 11, 12, 13)] == [None, 2, 3, 4, None]


@pytest.mark.parametrize(
    ("term", "up_to", "found"), [(1, 9, 2), (2, 9, 2), (3, 9, 4), (9, 9, 5), (9, 3, 3), (0, 9, 0), (3, 0, 0)]
)
def test_last_with_term_at_most(term: int, up_to: int, found: int) -> None:
    assert MemoryLog(entries([1, 1, 3, 3, 4])).last_with_term_at_most(term, up_to) == found


def test_between_is_bounded_in_entries_and_bytes_but_never_empty() -> None:
    log = MemoryLog(entries([1] * 10))
    cost = 1 + ENTRY_OVERHEAD
    assert len(log.between(1, 10, 4, 1 << 20)[0]) == 4
    assert len(log.between(1, 10, 100, 3 * cost)[0]) == 3
    assert log.between(1, 10, 100, 1) == (entries([1]), cost)
    assert [one.index for one in log.between(8, 10, 100, 1 << 20)[0]] == [8, 9, 10]


@pytest.mark.parametrize("bad", [entries([1], 2), entries([2, 1]), entries([1]) + entries([1])])
def test_entries_from_disk_must_follow_each_other(bad: tuple) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match="stands where"):
        MemoryLog(bad)


# -- progress ------------------------------------------------------------------------------------------------------


def replicating(match: int = 5) -> Progress:
    progress = Progress(match + 1, 0)
    progress.sent(match, 10, 0)
    assert progress.acknowledged(match) and progress.mode is Mode.REPLICATE
    return progress


def test_a_probe_is_alone_in_flight() -> None:
    progress = Progress(10, 0)
    assert progress.has_room(16, 1 << 20)
    progress.sent(12, 100, 0)
    assert not progress.has_room(16, 1 << 20) and progress.next_index == 10


def test_the_window_is_bounded_in_messages_and_bytes() -> None:
    progress = replicating()
    for at in range(3):
        assert progress.has_room(3, 1000)
        progress.sent(6 + at, 10, 0)
    assert not progress.has_room(3, 1000) and not progress.has_room(99, 30)
    assert progress.acknowledged(7)
    assert progress.inflight == 1 and progress.inflight_bytes == 10 and progress.has_room(3, 1000)


def test_match_index_only_grows() -> None:
    progress = replicating(5)
    assert not progress.acknowledged(4) and not progress.acknowledged(5)
    assert progress.match_index == 5


@pytest.mark.parametrize("prev", [0, 3, 5])
def test_a_late_reject_never_takes_next_index_to_or_below_match_index(prev: int) -> None:
    progress = replicating(5)
    assert not progress.rejected(prev, 0)
    assert progress.next_index == 6
    progress.sent(8, 10, 0)
    assert progress.rejected(8, 0) and progress.next_index == 6 and progress.mode is Mode.PROBE
    assert not progress.rejected(prev, 0) and progress.next_index == 6


def test_a_reject_of_another_probe_is_ignored() -> None:
    progress = Progress(10, 0)
    progress.sent(10, 10, 0)
    assert not progress.rejected(20, 3) and not progress.rejected(4, 3) and progress.next_index == 10
    assert progress.rejected(9, 3) and progress.next_index == 4 and progress.has_room(1, 1)


def test_a_probe_always_steps_back_whatever_the_hint_says() -> None:
    progress = Progress(10, 0)
    progress.sent(10, 10, 0)
    assert progress.rejected(9, 1 << 60) and progress.next_index == 9


def test_what_stays_unanswered_is_sent_again_with_growing_patience() -> None:
    progress = replicating(5)

    def gives_up(round: int, began: int) -> bool:
        """Whether it does so when it answers a round that began at a tick."""
        progress.answered_tick = max(began, progress.answered_tick)
        return progress.give_up_waiting(began, round, 5, 1000)

    progress.sent(6, 10, round=7)
    assert not gives_up(7, 100) and not gives_up(6, 200), "those rounds began before the entries were sent"
    assert not gives_up(8, 201), "the wait begins"
    assert not gives_up(9, 205) and not gives_up(7, 300)
    assert gives_up(10, 301) and progress.next_index == 6 and progress.has_room(1, 1)
    progress.sent(6, 10, round=10)
    assert not gives_up(11, 306) and not gives_up(12, 315) and gives_up(13, 316), "twice as long"
    progress.sent(6, 50_000, round=13)
    assert not gives_up(14, 400) and not gives_up(15, 430), "a large transfer takes its time"


def test_news_begin_the_wait_anew() -> None:
    progress = replicating(5)
    for last, round in ((6, 7), (7, 8)):
        progress.sent(last, 10, round)
    for tick, round in ((100, 9), (104, 10)):
        progress.answered_tick = tick
        assert not progress.give_up_waiting(tick, round, 5, 1000)
    assert progress.acknowledged(6, 10)
    for tick, round, gives_up in ((109, 11, False), (113, 12, False), (114, 13, True)):
        progress.answered_tick = tick
        assert progress.give_up_waiting(tick, round, 5, 1000) is gives_up


# -- configuration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"id": 0}, "members"),
        ({"id": 255}, "members"),
        ({"id": 4}, "members"),
        ({"members": frozenset({1, 300})}, "members"),
        ({"heartbeat_ticks": 0}, "heartbeat_ticks"),
        ({"election_timeout_ticks": 10}, "election_timeout_ticks"),
        ({"max_inflight": 0}, "max_inflight"),
        ({"max_bytes_per_append": -1}, "max_bytes_per_append"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_by_name(change: dict[str, object], names: str) -> None:
    good: dict[str, object] = {"id": 1, "members": frozenset({1, 2, 3})}
    Config(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=names):
        Config(**{**good, **change})  # type: ignore[arg-type]
