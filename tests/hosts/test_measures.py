"""What a node measures of itself, with a clock in the test's hand."""

from __future__ import annotations

from hosts.measures import BOUNDS_S, STAGES, CommitStages, Durations, RoundTrips
from hosts.raft.core import Ready
from hosts.raft.message import Entry, EntryKind, Message, MessageType
from tests.hosts.conftest import LocalCluster, eventually


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now


def ready(*indexes: int) -> Ready:
    entries = tuple(Entry(1, index, EntryKind.COMMAND, b"x") for index in indexes)
    return Ready(messages=(), hard_state=None, entries=entries, after=(), committed=())


def sums(stages: CommitStages) -> dict[str, tuple[int, float]]:
    """By stage: how many batches, and their time in all."""
    return {stage: (sum(one.counts), round(one.sum_s, 6)) for stage, one in stages.durations.items()}


def test_a_duration_counts_in_the_first_bucket_that_has_room_for_it() -> None:
    durations = Durations()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, BOUNDS_S[-1], BOUNDS_S[-1] + 1):
        durations.observe(seconds)
    assert durations.counts[:2] == [2, 1] and durations.counts[-2:] == [1, 1]
    assert sum(durations.counts) == 5
    assert durations.shown()["sum_s"] == durations.sum_s > BOUNDS_S[-1] * 2


def test_the_stages_of_batches_that_overlap() -> None:
    clock = Clock()
    stages = CommitStages(clock)
    first, second = ready(1, 2, 3), ready(4)
    stages.taken()
    clock.now = 1.0
    stages.taken()
    clock.now = 3.0
    stages.leaves(first)
    clock.now = 4.0
    stages.taken()
    clock.now = 6.0
    stages.leaves(second)
    clock.now = 7.0
    stages.durable(first)
    clock.now = 8.0
    stages.committed(2)
    assert sums(stages)["network"] == (0, 0), "not all of the first batch"
    stages.committed(4)
    clock.now = 10.0
    stages.applied(3)
    clock.now = 11.0
    stages.applied(4)
    stages.durable(second)
    assert sums(stages) == {
        "queue": (2, 3.0 + 2.0),
        "disk": (2, 4.0 + 5.0),
        "network": (2, 5.0 + 2.0),
        "apply": (2, 2.0 + 3.0),
    }


def test_the_clock_is_read_once_for_a_batch_however_large_it_is() -> None:
    clock = Clock()
    stages = CommitStages(clock)
    for _ in range(1000):
        stages.taken()
    assert clock.looks == 1
    stages.leaves(ready(*range(1, 1001)))
    stages.committed(500)
    stages.committed(1000)
    for index in range(1, 1001):
        stages.applied(index)
    assert clock.looks == 4


def test_what_no_client_has_asked_for_is_not_measured() -> None:
    stages = CommitStages(Clock())
    noop = ready(1)
    stages.leaves(noop)
    stages.durable(noop)
    stages.committed(1)
    stages.applied(1)
    assert set(sums(stages).values()) == {(0, 0)}


def test_a_leader_that_is_deposed_measures_nothing_to_its_end() -> None:
    clock = Clock()
    stages = CommitStages(clock)
    old, new = ready(1, 2), ready(2)
    stages.taken()
    stages.leaves(old)
    stages.taken()
    stages.forget()
    clock.now = 1.0
    stages.taken()
    stages.leaves(new)
    stages.durable(old)
    stages.committed(1)
    assert sums(stages) == {"queue": (2, 0), "disk": (0, 0), "network": (0, 0), "apply": (0, 0)}
    clock.now = 3.0
    stages.durable(new)
    stages.committed(2)
    assert sums(stages)["disk"] == sums(stages)["network"] == (1, 2.0)


def beat(target: int, round: int, *entries: Entry) -> Message:
    return Message(MessageType.APPEND_ENTRIES, 1, target, 1, round=round, entries=entries)


def answer(source: int, round: int, kind: MessageType = MessageType.APPEND_ENTRIES_REPLY) -> Message:
    return Message(kind, source, 1, 1, round=round)


def test_the_first_answer_of_each_to_the_latest_round_is_its_round_trip() -> None:
    clock = Clock()
    trips = RoundTrips(clock)
    trips.sent(beat(2, 1))
    clock.now = 0.5
    trips.sent(beat(3, 1))
    trips.received(answer(2, 1))
    clock.now = 2.0
    trips.received(answer(2, 1))
    trips.received(answer(3, 1, MessageType.INSTALL_SNAPSHOT_REPLY))
    trips.sent(beat(2, 2))
    trips.received(answer(3, 1))
    trips.sent(beat(2, 2, Entry(1, 1, EntryKind.COMMAND)))
    clock.now = 2.25
    trips.received(answer(3, 2))
    assert {member: one.sum_s for member, one in trips.durations.items()} == {2: 0.5, 3: 0.25}


def test_a_cluster_tells_of_its_durations_only_where_it_is_asked(cluster: LocalCluster) -> None:
    leader = cluster.leader()
    with cluster.client() as client:
        for number in range(20):
            client.append(number)
    (status,) = cluster.ask(leader, cmd="status")
    (shown,) = status["groups"]
    assert "durations" not in shown and "bounds_s" not in status
    assert shown["counts"]["proposals_committed"] == shown["commit"] >= 21, "the log began empty"
    assert shown["counts"]["proposals_applied"] == shown["applied"]
    assert shown["counts"]["leader_changes_seen"] >= 1
    assert shown["counts"]["proposals_failed"] == shown["counts"]["proposals_refused"] == 0

    def measured() -> dict[str, dict[str, list[int]]] | None:
        (told,) = cluster.ask(leader, cmd="status", durations=True)
        assert told["bounds_s"] == list(BOUNDS_S)
        found = told["groups"][0]["durations"]
        return found if len(found["round_trips"]) == 2 else None

    durations = eventually(measured, "round trips to both others")
    assert set(durations["stages"]) == set(STAGES)
    batches = {stage: sum(one["counts"]) for stage, one in durations["stages"].items()}
    assert batches["queue"] == batches["network"] == batches["apply"] >= 20, "one at a time"
    assert sum(durations["syncs"]["counts"]) >= 20 and durations["syncs"]["sum_s"] > 0
    others = {str(member) for member in cluster.members} - {str(leader)}
    assert set(durations["round_trips"]) == set(status["peers"]) == others
    assert all(peer["sent_bytes"] > 0 and peer["received_bytes"] > 0 for peer in status["peers"].values())


def test_a_member_that_starts_again_counts_from_zero(cluster: LocalCluster) -> None:
    with cluster.client() as client:
        for number in range(5):
            client.append(number)
    cluster.agree(5)
    cluster.kill()
    cluster.start()
    leader = cluster.leader()

    def counted() -> bool:
        status = cluster.group_status(leader)
        assert status is not None
        return status["commit"] == status["last_index"] and 0 < status["counts"]["proposals_committed"] < 5

    eventually(counted, "leaders' first entries, and none of those before, are counted")
