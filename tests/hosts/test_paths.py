"""Members over paths that are not what they were told."""

from __future__ import annotations

from collections.abc import Callable

from tests.hosts.conftest import PATIENT, PathCluster, eventually


def applied(cluster: PathCluster, member: int) -> int:
    status = cluster.group_status(member)
    return int(status["applied"]) if status else -1


def test_a_member_behind_a_path_for_small_datagrams_only_waits_and_catches_up(
    make_path_cluster: Callable[..., PathCluster],
) -> None:
    """Heartbeats reach it, so it asks for no election; values do not, until the path carries them."""
    cluster = make_path_cluster(extra=PATIENT)
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


def path_to(cluster: PathCluster, leader: int, other: int) -> dict[str, int]:
    """What the leader knows of its path to another member."""
    host, port = cluster.address(other)
    found: dict[str, int] = cluster.status(leader)["paths"].get(f"{host}:{port}", {"datagram": 0, "shrunk": 0})
    return found


def test_each_path_has_its_own_size_and_goes_on_when_it_shrinks(
    make_path_cluster: Callable[..., PathCluster],
) -> None:
    """A member behind a path for small packets, and one behind a path that comes to lose large ones."""
    cluster = make_path_cluster(extra=PATIENT)
    cluster.start()
    leader = cluster.leader()
    small, shrinking = (member for member in cluster.members if member != leader)
    cluster.proxy.change([(leader, small)], largest=1500)
    cluster.proxy.change([(leader, shrinking)], largest=9000)
    before = cluster.group_status(leader)
    with cluster.client(timeout_s=60) as client:

        def sizes() -> tuple[int, int]:
            client.put("k", bytes(100_000))
            return path_to(cluster, leader, small)["datagram"], path_to(cluster, leader, shrinking)["datagram"]

        eventually(lambda: sizes() == (1472, 8972), "both sizes are found")
        cluster.proxy.change([(leader, shrinking)], largest=1500)
        last = client.put("k", bytes(100_000)).index
        eventually(lambda: applied(cluster, shrinking) >= last, "the value arrives all the same")
        eventually(lambda: sizes() == (1472, 1472), "the smaller size is found")
    assert path_to(cluster, leader, shrinking)["shrunk"] >= 1 and path_to(cluster, leader, small)["shrunk"] == 0
    after = cluster.group_status(leader)
    assert before and after and (after["role"], after["term"]) == ("leader", before["term"])
