"""Real nodes on loopback: elections, values, failures, restarts."""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hosts.client.blocking import Client, ClientError
from hosts.client.calls import NoLeader, Timeout
from hosts.service import values
from tests.hosts.conftest import PATIENT, eventually

VALUES: list[Any] = [0, -1, -5, 3.5, "héllo", b"\x00\xff", None, {"a": [1, {"b": None}]}, 2**63, -(2**80), True, ""]


def test_any_value_is_committed_on_all(cluster: Any) -> None:
    sent = [*VALUES, "x" * 2000, random.Random(1).randbytes(1 << 20), "y" * 50_000]
    with cluster.client() as client:
        for position, value in enumerate(sent):
            result = client.append(value)
            assert result.value == position and result.index > 0 and result.served_by in cluster.members
        assert [(type(item), item) for item in client.read_list().value] == [(type(item), item) for item in sent]
        assert client.read_list(2, 3).value == sent[2:5]
    paths = cluster.status(cluster.leader())["paths"]
    assert {path["datagram"] for path in paths.values()} == {65_507}, "all that loopback takes"
    shown = cluster.agree(len(sent))
    assert [values.from_json(item) for item in shown] == sent


def test_keys(cluster: Any) -> None:
    with cluster.client() as client:
        assert client.get("k").value == [False, None]
        assert client.put("k", {"v": 1}).value is False
        assert client.put("k", b"x" * 100_000).value is True
        assert client.get("k").value == [True, b"x" * 100_000]
        assert client.delete("k").value is True
        assert client.get("k").value == [False, None]


def test_each_node_can_be_addressed(cluster: Any) -> None:
    leader = cluster.leader()
    for member in cluster.members:
        with Client([cluster.address(member)], timeout_s=60) as client:
            assert client.append(member).served_by == leader
            assert client.append("z" * 5000).served_by == leader
    assert len(cluster.agree(6)) == 6


def test_the_leader_dies_and_comes_back(cluster: Any) -> None:
    with cluster.client() as client:
        client.append(1)
        old = cluster.leader()
        cluster.kill(old)
        result = client.append(2)
        assert result.served_by != old
        cluster.start(old)
        client.append(3)
    assert cluster.agree(3) == [1, 2, 3]


def test_all_restart_and_keep_everything(cluster: Any) -> None:
    big = "b" * 300_000
    with cluster.client() as client:
        for value in (1, "two", big):
            client.append(value)
        client.put("k", 7)
        cluster.kill()
        cluster.start()
        client.append(4)
        assert client.get("k").value == [True, 7]
    assert cluster.agree(4) == [1, "two", big, 4]


def test_two_of_three_dead(cluster: Any) -> None:
    with cluster.client() as client:
        client.append("before")
        leader = cluster.leader()
        cluster.kill(*[member for member in cluster.members if member != leader])
        with Client([cluster.address(leader)], timeout_s=3) as hasty, pytest.raises(NoLeader, match="no quorum"):
            hasty.append("too few")
        with (
            Client([cluster.address(leader % 3 + 1)], timeout_s=0.5) as lost,
            pytest.raises(Timeout, match="no answer"),
        ):
            lost.append("nobody")
        cluster.start(*[member for member in cluster.members if member != leader])
        client.append("after")
    agreed = cluster.agree(2)
    assert [item for item in agreed if item != "too few"] == ["before", "after"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_node_stops_when_told(make_cluster: Callable[..., Any], how: signal.Signals) -> None:
    single = make_cluster(members=1)
    single.start()
    single.leader()
    process = single.processes[1]
    single.kill(1, how=how)
    assert process.returncode == 0
    assert "stopped" in single.output(1)
    assert not (single.folder / "nodes/node1/control.sock").exists()


def test_kill_all_under_clients(cluster: Any) -> None:
    """Acknowledged exactly once, all others at most once, each client's in its order."""
    acknowledged: dict[int, list[int]] = {}
    attempted: dict[int, int] = {}
    ending = threading.Event()

    def write(number: int) -> None:
        acknowledged[number] = []
        with cluster.client(timeout_s=30) as client:
            count = 0
            while not ending.is_set():
                attempted[number] = count
                try:
                    client.append([number, count])
                    acknowledged[number].append(count)
                except ClientError:
                    pass
                count += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for turn in range(4):
        before = sum(map(len, acknowledged.values()))
        end = time.monotonic() + 60
        while sum(map(len, acknowledged.values())) < before + 100 and time.monotonic() < end:
            time.sleep(0.01)
        if turn < 3:
            cluster.kill()
            cluster.start()
    ending.set()
    for writer in writers:
        writer.join()
    total = sum(map(len, acknowledged.values()))
    assert total >= 400
    agreed = cluster.agree(total)
    for number, counts in acknowledged.items():
        own = [item[1] for item in agreed if item[0] == number]
        assert own == sorted(set(own)), "in order, and none twice"
        assert set(counts) <= set(own), "none lost"
        assert set(own) <= set(range(attempted[number] + 1))


def test_a_paused_leader_comes_back_quietly(cluster: Any) -> None:
    with cluster.client() as client:
        client.append(1)
        old = cluster.leader()
        cluster.processes[old].send_signal(signal.SIGSTOP)
        assert client.append(2).served_by != old
        term = client.append(3).term
        time.sleep(1.5)
        cluster.processes[old].send_signal(signal.SIGCONT)
        assert cluster.agree(3) == [1, 2, 3]
        assert client.append(4).term == term, "its return costs no election"
    assert "was not running for" in cluster.output(old)


def test_two_groups(make_cluster: Callable[..., Any]) -> None:
    both = make_cluster(groups=(1, 257))
    both.start()
    with both.client(group=1) as one, both.client(group=257) as other:
        one.append("one")
        other.append("other")
        one.put("k", 1)
        assert other.get("k").value == [False, None]
    assert both.agree(1, group=1) == ["one"]
    assert both.agree(1, group=257) == ["other"]


def test_garbage_does_no_harm(make_cluster: Callable[..., Any]) -> None:
    cluster = make_cluster(extra=PATIENT)
    cluster.start()
    source = random.Random(9)
    with cluster.client() as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hostile:
        term = client.append("before").term
        for _ in range(3000):
            fields = [
                1,
                source.choice([1, 3, 4, 5, 6, 7, 9, 12, 16, 17, 18, 99]),
                source.choice([0, 0, 0x20, 1, 255]),
                *(source.choice([0, 1, 2]), source.choice([1, 2, 3, 255]), 0, 0, source.choice([1, 2])),
            ]
            numbers = [source.choice([bytes(8), bytes(7) + b"\x09", source.randbytes(8)]) for _ in range(4)]
            data = bytes(fields) + b"".join(numbers) + source.randbytes(source.randrange(60))
            data = data[: source.choice([len(data), source.randrange(len(data))])]
            hostile.sendto(data, cluster.address(source.choice(list(cluster.members))))
        hostile.sendto(b"", cluster.address(1))
        hostile.sendto(bytes(60_000), cluster.address(1))
        assert client.append("after").term == term
    drops = cluster.status(1)["counters"]["drops"]
    assert {"malformed", "misdelivered", "not_member", "unknown_group", "wrong_address"} <= set(drops)
    assert cluster.agree(2) == ["before", "after"]


def test_a_member_far_behind_catches_up_by_snapshot(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster(extra="snapshot_entries: 300")
    made.start()
    with made.client() as client:
        client.append("first")
        behind = made.leader() % 3 + 1
        made.kill(behind)
        assert len(list(client.append_many(range(3000), 64))) == 3000
        values = ["first", *range(3000)]

        def snapshot_is_far_ahead() -> bool:
            """One more value each time: a snapshot begins with an entry, some time after the one before is there."""
            values.append(f"more {len(values)}")
            client.append(values[-1])
            status = made.group_status(made.leader())
            return bool(status["snapshot"] >= 2000 and status["first_index"] > 1000)

        eventually(snapshot_is_far_ahead, "a snapshot of most of it")
        made.start(behind)
        assert len(made.agree(len(values))) == len(values)
        assert made.group_status(behind)["snapshot"] >= 2000
        made.kill()
        made.start()
        client.append("last")
        values.append("last")
        assert sorted(map(str, made.agree(len(values)))) == sorted(map(str, values))
