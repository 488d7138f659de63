"""A cluster of real node processes on loopback addresses, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from bench.consensus.loopback import NodeProcesses
from bench.consensus.path import Quality
from bench.consensus.proxy import PERFECT, OverPaths
from hosts.client.blocking import Client
from tests import forked
from tests.forked import Forked

DEADLINE_S = 60.0
PATIENT = "election_timeout_ms: 4000"
"""A busy machine alone shall bring no election."""


settings.register_profile("no time limits", deadline=None)
settings.load_profile("no time limits")


def eventually(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until ``condition`` gives something true, and return that."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.02)


class LocalCluster(NodeProcesses):
    """With what tests wait for."""

    def launch(self, command: Sequence[str], output: int) -> Forked:
        return forked.start_command(command, output)

    def await_running(self, *members: int) -> None:
        """Wait until they answer on their control sockets, so have read all that they read at their start."""
        for member in members:
            eventually(lambda member=member: self.status(member), f"member {member} runs")

    def leader(self, group: int = 1) -> int:
        """Waits for one that counts on all members that run, but for those that it says have lost their data."""

        def look() -> int:
            leader = self.find_leader(group)
            status = self.group_status(leader, group) if leader else None
            if status is None or status["role"] != "leader":
                return 0
            running = {str(member) for member in self.processes} - status["lost"].keys()
            found = status["progress"].items()
            return 0 if any(member in running and not progress["counts"] for member, progress in found) else leader

        return int(eventually(look, "a leader"))

    def change(self, wanted: Callable[[dict[str, Any]], bool], group: int = 1, **request: Any) -> dict[str, Any]:
        """Have the leader begin a change, again if it is lost, until ``wanted`` likes the leader's members."""

        def attempt() -> dict[str, Any] | None:
            try:
                leader = self.leader(group)
                shown = self.ask(leader, cmd="members", group=group)[0]
                if wanted(shown) and not shown["changing"]:
                    return shown
                answer = self.ask(leader, group=group, **request)[0]
                assert answer["ok"] or answer.get("busy") or "leader" in answer, answer
            except (OSError, IndexError):
                pass
            time.sleep(0.1)
            return None

        found = eventually(attempt, f"{request}")
        assert isinstance(found, dict)
        return found

    def values(self, member: int, group: int = 1) -> list[Any]:
        """The applied list as the control socket shows it, in JSON's terms."""
        *items, last = self.ask(member, cmd="log", group=group)
        assert last["ok"] and last["count"] == len(items)
        return [item["value"] for item in items]

    def agree(self, count: int, group: int = 1) -> list[Any]:
        """Waits until all running members have applied the same list of at least ``count`` values."""

        def look() -> list[Any] | None:
            try:
                lists = [self.values(member, group) for member in self.processes]
            except OSError:
                return None
            return lists[0] if len(lists[0]) >= count and all(item == lists[0] for item in lists) else None

        agreed = eventually(lambda: count == 0 or look(), f"{count} equal values on all nodes")
        return agreed if isinstance(agreed, list) else []

    def client(self, **options: Any) -> Client:
        return super().client(**{"timeout_s": DEADLINE_S, **options})


class PathCluster(OverPaths, LocalCluster):
    """Whose members' datagrams to each other go over paths (``proxy``) that a test may change under way:
    ``cluster.proxy.change([(1, 2), (2, 1)], largest=1500)``, ``cluster.proxy.paths[1, 2].counts["too_long"]``."""


@pytest.fixture
def make_path_cluster(tmp_path: Path) -> Iterator[Callable[..., PathCluster]]:
    """Call it with the paths' first quality, a seed, and the options of a cluster; the members are not started."""
    made: list[PathCluster] = []

    def make(quality: Quality = PERFECT, seed: int = 1, **options: Any) -> PathCluster:
        folder = tmp_path / f"paths{len(made)}"
        folder.mkdir()
        made.append(PathCluster(folder, **options))
        made[-1].open_paths(quality, seed)
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., LocalCluster]]:
    made: list[LocalCluster] = []

    def make(**options: Any) -> LocalCluster:
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(LocalCluster(folder, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def cluster(make_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    """Three running members."""
    made = make_cluster()
    made.start()
    return made
