"""Members over paths that are not what they were told."""

from __future__ import annotations

from collections.abc import Callable

from tests.hosts.conftest import PathCluster, eventually


def applied(cluster: PathCluster, member: int) -> int:
    status = cluster.group_status(member)
    return int(status["applied"]) if status else -1


def test_a_member_behind_a_path_for_small_datagrams_only_waits_and_catches_up(
    make_path_cluster: Callable[..., PathCluster],
) -> None:
    """Heartbeats reach it, so it asks for no election; values do not, until the path carries them."""
    cluster = make_path_cluster()
    cluster.start()
    leader = cluster.leader()
    other = next(member for member in cluster.members if member != leader)
    before = cluster.group_status(leader)
    cluster.proxy.change([(leader, other)], largest=200)
    with cluster.client(timeout_s=60) as client:
        written = [client.put(number, bytes(20_000)).index for number in range(5)]
    assert cluster.proxy.paths[leader, other].counts["too_long"] > 0
    assert applied(cluster, other) < written[0]
    cluster.proxy.change(largest=65_535)
    eventually(lambda: applied(cluster, other) >= written[-1], "all values at the member")
    after = cluster.group_status(leader)
    assert before and after and (after["role"], after["term"]) == ("leader", before["term"])
