"""What the Raft paper says, sentence by sentence (the list is that of etcd's raft_paper_test)."""

from __future__ import annotations

import pytest

from hosts.raft.core import NotLeader, Raft, Role
from hosts.raft.message import EntryKind, HardState, Message
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


def in_role(role: Role) -> Raft:
    if role is Role.FOLLOWER:
        return member([2])
    if role is Role.PRE_CANDIDATE:
        raft = member([2])
        campaign(raft)
        return raft
    return candidate([2])[0] if role is Role.CANDIDATE else settled_leader([2])


# -- 5.1: terms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_update_term_from_message(role: Role) -> None:
    raft = in_role(role)
    raft.step(append(20))
    assert (raft.current_term, raft.role, raft.leader) == (20, Role.FOLLOWER, 2)


@pytest.mark.parametrize("role", Role)
def test_reject_stale_term_message(role: Role) -> None:
    raft = in_role(role)
    drain(raft)
    before = raft.current_term, raft.role, raft.last_index
    raft.step(append(raft.current_term - 1, terms=[1, 1, 1]))
    (reply,) = only(drain(raft), APPEND_REPLY)
    assert reply.reject and reply.term == raft.current_term
    assert (raft.current_term, raft.role, raft.last_index) == before


def test_start_as_follower() -> None:
    assert member().role is Role.FOLLOWER


# -- 5.2: elections ------------------------------------------------------------------------------------------------


def test_leader_broadcasts_beat() -> None:
    raft = settled_leader()
    tick(raft, HEARTBEAT_TICKS)
    beats = [beat for beat in only(drain(raft), APPEND) if beat.round == 2]
    assert [(beat.target, beat.entries, beat.term) for beat in beats] == [(2, (), 1), (3, (), 1)]


def test_follower_starts_election() -> None:
    raft = member(term=1)
    requests = only(campaign(raft), PRE_VOTE)
    assert raft.role is Role.PRE_CANDIDATE and raft.current_term == 1
    for request in requests:
        raft.step(answer(request))
    votes = only(drain(raft), VOTE)
    assert (raft.role, raft.current_term, raft.voted_for) == (Role.CANDIDATE, 2, 1)
    assert [(vote.target, vote.term) for vote in votes] == [(2, 2), (3, 2)]


def test_candidate_starts_new_election() -> None:
    raft, _ = candidate(term=1)
    for request in only(campaign(raft), PRE_VOTE):
        raft.step(answer(request))
    assert only(drain(raft), VOTE)[0].term == 3
    assert (raft.role, raft.current_term, raft.voted_for) == (Role.CANDIDATE, 3, 1)


@pytest.mark.parametrize(
    ("size", "votes", "role"),
    [
        (1, {}, Role.LEADER),
        (2, {}, Role.CANDIDATE),
        (2, {2: True}, Role.LEADER),
        (3, {2: True, 3: True}, Role.LEADER),
        (3, {2: True}, Role.LEADER),
        (3, {}, Role.CANDIDATE),
        (3, {2: False}, Role.CANDIDATE),
        (3, {2: False, 3: False}, Role.FOLLOWER),
        (4, {2: True}, Role.CANDIDATE),
        (4, {2: True, 3: True}, Role.LEADER),
        (4, {2: False, 3: False}, Role.FOLLOWER),
        (5, {2: True}, Role.CANDIDATE),
        (5, {2: True, 3: True}, Role.LEADER),
        (5, {2: True, 3: True, 4: True, 5: True}, Role.LEADER),
        (5, {2: False, 3: False}, Role.CANDIDATE),
        (5, {2: False, 3: False, 4: False}, Role.FOLLOWER),
        (5, {2: False, 3: False, 4: True, 5: True}, Role.LEADER),
    ],
)
def test_leader_election_in_one_round(size: int, votes: dict[int, bool], role: Role) -> None:
    if size == 1:
        raft = member(size=1)
        campaign(raft)
    else:
        raft, requests = candidate(size=size)
        by_target = {request.target: request for request in requests}
        for voter, granted in votes.items():
            raft.step(answer(by_target[voter], reject=not granted))
    assert (raft.role, raft.current_term) == (role, 1)


@pytest.mark.parametrize(
    ("vote", "asks", "granted"),
    [(0, 2, True), (0, 3, True), (2, 2, True), (3, 3, True), (2, 3, False), (3, 2, False)],
)
def test_follower_vote(vote: int, asks: int, granted: bool) -> None:
    raft = member(term=1, vote=vote)
    raft.step(Message(VOTE, asks, 1, 1))
    (reply,) = drain(raft)
    assert (reply.type, reply.target, reply.reject, reply.log_term) == (VOTE_REPLY, asks, not granted, 1)


@pytest.mark.parametrize("term", [1, 2])
def test_candidate_fallback(term: int) -> None:
    raft, _ = candidate()
    raft.step(append(term))
    assert (raft.role, raft.current_term, raft.leader) == (Role.FOLLOWER, term, 2)


@pytest.mark.parametrize("start", [Role.FOLLOWER, Role.CANDIDATE])
def test_election_timeout_is_randomized(start: Role) -> None:
    timeouts = set()
    for seed in range(50 * ELECTION_TICKS):
        raft = member(seed=seed) if start is Role.FOLLOWER else candidate(seed=seed)[0]
        ticks = 0
        while not only(drain(raft), PRE_VOTE):
            raft.tick()
            ticks += 1
        timeouts.add(ticks)
    assert timeouts == set(range(ELECTION_TICKS, 2 * ELECTION_TICKS))


@pytest.mark.parametrize(("leader", "timeouts"), [(3, range(11, 15)), (2, range(15, 19))])
def test_who_follows_a_leader_waits_for_its_turn(leader: int, timeouts: range) -> None:
    """Member 1 comes next after 3, but after 2 only when 3 has had its turn."""
    seen = set()
    for seed in range(200):
        raft = member(seed=seed, election_spread_ticks=8)
        raft.step(append(1, source=leader))
        ticks = 0
        while not only(drain(raft), PRE_VOTE):
            raft.tick()
            ticks += 1
        seen.add(ticks)
    assert seen == set(timeouts)


def test_election_timeouts_seldom_conflict() -> None:
    """With five members, two reach the shortest timeout together in well under half of the runs."""
    conflicts = 0
    for run in range(500):
        timeouts = []
        for one in range(5):
            raft = member(size=5, seed=5 * run + one)
            ticks = 0
            while raft.role is Role.FOLLOWER:
                raft.tick()
                ticks += 1
            timeouts.append(ticks)
        conflicts += timeouts.count(min(timeouts)) > 1
    assert conflicts < 200


# -- 5.3: replication ----------------------------------------------------------------------------------------------


def test_leader_starts_replication() -> None:
    raft = settled_leader()
    last = raft.last_index
    assert raft.propose(b"value") == (1, last + 1)
    (ready,) = readies(raft)
    assert ready.entries[0].data == b"value" and raft.commit_index == last
    assert [(one.target, one.index, one.log_term, one.entries) for one in ready.messages] == [
        (2, last, 1, ready.entries),
        (3, last, 1, ready.entries),
    ]


def test_leader_commits_entry_and_tells_of_it() -> None:
    raft = settled_leader()
    last = raft.last_index
    raft.propose(b"value")
    acknowledge_all(raft)
    assert raft.commit_index == last + 1
    raft.tick()
    assert all(one.commit == last + 1 for one in only(drain(raft), APPEND))


@pytest.mark.parametrize(
    ("size", "acknowledge", "committed"),
    [
        (1, (), True),
        (2, (), False),
        (2, (2,), True),
        (3, (), False),
        (3, (2,), True),
        (3, (2, 3), True),
        (4, (2,), False),
        (4, (2, 3), True),
        (5, (), False),
        (5, (2,), False),
        (5, (2, 3), True),
        (5, (2, 3, 4, 5), True),
    ],
)
def test_leader_acknowledges_commit(size: int, acknowledge: tuple[int, ...], committed: bool) -> None:
    if size == 1:
        raft = member(size=1)
        campaign(raft)
    else:
        raft = settled_leader(size=size)
    _, index = raft.propose(b"value")
    for message in only(drain(raft), APPEND):
        if message.target in acknowledge:
            raft.step(answer(message))
    assert (raft.commit_index == index) is committed


@pytest.mark.parametrize("terms", [[], [2], [1, 2], [1]])
def test_leader_commits_preceding_entries(terms: list[int]) -> None:
    raft = leader(terms, term=2)
    committed = []
    raft.propose(b"value")
    for _ in range(3):
        ready = raft.ready()
        while ready is not None:
            raft.advance(ready)
            for message in only(ready.messages, APPEND):
                if message.entries:
                    raft.step(answer(message))
            committed += ready.committed
            ready = raft.ready()
    assert [one.term for one in committed] == [*terms, 3, 3]
    assert [one.kind for one in committed[-2:]] == [EntryKind.NOOP, EntryKind.COMMAND]


@pytest.mark.parametrize(("terms", "commit"), [([1], 1), ([1, 1], 2), ([1, 1], 1)])
def test_follower_commits_entry(terms: list[int], commit: int) -> None:
    raft = member(term=1)
    raft.step(append(1, terms=terms, commit=commit))
    committed = [one for ready in readies(raft) for one in ready.committed]
    assert committed == list(entries(terms)[:commit])


@pytest.mark.parametrize(
    ("prev_term", "prev", "matched", "hint"),
    [
        (0, 0, 0, None),
        (1, 1, 1, None),
        (2, 2, 2, None),
        (1, 2, None, (1, 1)),
        (3, 3, None, (2, 2)),
        (4, 9, None, (2, 2)),
    ],
)
def test_follower_checks_append(prev_term: int, prev: int, matched: int | None, hint: tuple[int, int] | None) -> None:
    raft = member([1, 2], term=4)
    raft.step(append(4, prev, prev_term))
    (reply,) = only(drain(raft), APPEND_REPLY)
    assert reply.reject is (matched is None)
    if hint is None:
        assert reply.index == matched
    else:
        assert (reply.index, reply.log_term, reply.commit) == (prev, *hint)


@pytest.mark.parametrize(
    ("prev", "prev_term", "terms", "result", "written"),
    [
        (2, 2, [3], [1, 2, 3], [3]),
        (1, 1, [3, 4], [1, 3, 4], [3, 4]),
        (0, 0, [1], [1, 2], []),
        (0, 0, [3], [3], [3]),
    ],
)
def test_follower_appends_entries(
    prev: int, prev_term: int, terms: list[int], result: list[int], written: list[int]
) -> None:
    raft = member([1, 2], term=4)
    raft.step(append(4, prev, prev_term, terms))
    out = [one.term for ready in readies(raft) for one in ready.entries]
    assert log_terms(raft) == result and out == written


FIGURE_7 = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
]


@pytest.mark.parametrize("terms", FIGURE_7)
def test_leader_syncs_follower_log(terms: list[int]) -> None:
    """Figure 7: whatever a follower's log looks like, the leader makes it equal to its own."""
    network = Network(1, 3, Faults(propose=0))
    for one, log in ((1, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]), (2, terms), (3, [])):
        disk = network.members[one].disk
        disk.entries = list(entries(log))
        disk.hard_state = HardState(7)
        network.members[one].start()
    network.members[2].raft = None
    assert network.run_until_leader().id == 1
    network.members[2].start()
    network.run(20 * HEARTBEAT_TICKS)
    assert log_terms(network.raft(2)) == log_terms(network.raft(3)) == log_terms(network.raft(1))


# -- 5.4: safety ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("terms", "term"), [([1], 2), ([1, 2], 3)])
def test_vote_request_names_the_last_entry(terms: list[int], term: int) -> None:
    raft, requests = candidate(terms, term=term - 1)
    assert [(one.target, one.term, one.index, one.log_term) for one in requests] == [
        (2, term, len(terms), terms[-1]),
        (3, term, len(terms), terms[-1]),
    ]
    assert raft.current_term == term


@pytest.mark.parametrize(
    ("terms", "log_term", "index", "granted"),
    [
        ([1], 1, 1, True),
        ([1], 1, 2, True),
        ([1, 1], 1, 1, False),
        ([1], 2, 1, True),
        ([1], 2, 2, True),
        ([1, 1], 2, 1, True),
        ([2], 1, 1, False),
        ([2], 1, 2, False),
        ([2, 2], 1, 1, False),
    ],
)
@pytest.mark.parametrize("kind", [VOTE, PRE_VOTE])
def test_voter(kind: object, terms: list[int], log_term: int, index: int, granted: bool) -> None:
    raft = member(terms, term=2)
    raft.step(Message(kind, 2, 1, 3, index, log_term))  # type: ignore[arg-type]
    (reply,) = drain(raft)
    assert reply.reject is not granted


@pytest.mark.parametrize(("index", "committed"), [(1, 0), (2, 0), (3, 3)])
def test_leader_only_commits_log_from_current_term(index: int, committed: int) -> None:
    """5.4.2, figure 8: an entry of a former term commits only with one of the own term."""
    raft = leader([1, 2], term=2)
    drain(raft)
    assert raft.current_term == 3
    raft.step(Message(APPEND_REPLY, 2, 1, 3, index))
    assert raft.commit_index == committed


def test_only_a_leader_takes_proposals() -> None:
    raft = member([1])
    with pytest.raises(NotLeader, match="none is known"):
        raft.propose(b"value")
    raft.step(append(2))
    with pytest.raises(NotLeader) as caught:
        raft.propose(b"value")
    assert caught.value.leader == 2
