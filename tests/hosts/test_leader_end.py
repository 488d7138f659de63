"""Real nodes: the kernel of a killed leader's host tells the others."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from hosts.raft.core import Role
from tests.hosts.conftest import eventually

LONG = "election_timeout_ms: 3000"


def told(cluster: Any) -> dict[str, int]:
    """What running members have heard of the leader's end: by ICMP, and of that what counted."""
    found = [cluster.status(member) for member in cluster.processes]
    shown = [one for one in found if one is not None]
    return {
        "port_unreachable": sum(one["counters"]["drops"].get("port_unreachable", 0) for one in shown),
        **{
            name: sum(one["groups"][0]["counts"][name] for one in shown)
            for name in ("leader_ends_told", "leader_ends_proven")
        },
    }


def next_leader(cluster: Any, old: int) -> int:
    leader = eventually(lambda: cluster.find_leader() not in (0, old) and cluster.find_leader(), "another leader")
    return int(leader)


def test_an_idle_clusters_leader_is_killed_and_the_others_are_told(make_cluster: Callable[..., Any]) -> None:
    cluster = make_cluster(extra=LONG)
    cluster.start()
    leader = cluster.leader()
    term = cluster.group_status(leader)["term"]
    assert told(cluster)["leader_ends_told"] == 0
    cluster.kill(leader)
    new = next_leader(cluster, leader)
    counts = told(cluster)
    assert counts["port_unreachable"] >= counts["leader_ends_told"] >= counts["leader_ends_proven"] >= 1
    assert cluster.group_status(new)["term"] > term
    cluster.start(leader)
    eventually(lambda: (cluster.group_status(leader) or {}).get("leader") == new, "the old one follows")


def test_without_hints_nobody_listens_to_icmp(make_cluster: Callable[..., Any]) -> None:
    cluster = make_cluster(extra="hints: false")
    cluster.start()
    leader = cluster.leader()
    cluster.kill(leader)
    next_leader(cluster, leader)
    assert set(told(cluster).values()) == {0}


def test_a_follower_that_is_killed_changes_nothing(make_cluster: Callable[..., Any]) -> None:
    cluster = make_cluster(extra=LONG)
    cluster.start()
    leader = cluster.leader()
    before = cluster.group_status(leader)["term"]
    cluster.kill(leader % 3 + 1)
    eventually(lambda: told(cluster)["port_unreachable"] >= 2, "the leader's datagrams are refused")
    with cluster.client() as client:
        client.append("goes on")
    status = cluster.group_status(leader)
    assert (status["role"], status["term"]) == (Role.LEADER.value, before)
    assert told(cluster)["leader_ends_told"] == 0


def test_a_leader_that_is_stopped_says_nothing_and_is_replaced_all_the_same(make_cluster: Callable[..., Any]) -> None:
    cluster = make_cluster()
    cluster.start()
    leader = cluster.leader()
    cluster.processes[leader].send_signal(signal.SIGSTOP)
    others = [member for member in cluster.members if member != leader]
    eventually(
        lambda: any((cluster.group_status(one) or {}).get("role") == Role.LEADER.value for one in others),
        "another leader",
    )
    assert all(cluster.status(one)["counters"]["drops"].get("port_unreachable", 0) == 0 for one in others)
