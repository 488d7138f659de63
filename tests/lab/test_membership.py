"""Members come and go and leadership is handed over while clients go on, and the switches' entries follow by
themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from linearizability import linear
from tests.lab.conftest import Lab, wait
from topo.soak.history import Recorder, recording
from topo.soak.load import Worker, habits
from topo.soak.verdict import operations
from topo.views import log

THINK_S = 0.05
RETRY_S = 60.0
"""The client library tries again for so long: nothing may fail then."""


@contextmanager
def load(lab: Lab, file: Path) -> Iterator[Recorder]:
    """Clients on all hosts but the newcomer's. Each of their calls is answered in the end, and no answer is wrong."""
    with recording(file) as recorder:
        kinds = [one for one in habits(lab.live, THINK_S) if one.host != "h22"]
        servers = tuple(lab.live.topology.groups[0].members.values())
        workers = [Worker(lab.live, replace(one, timeout_s=RETRY_S), 1, recorder, servers) for one in kinds]
        for worker in workers:
            worker.start()
        try:
            goes_on(recorder)
            yield recorder
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.join()
    failed = [call for call in recorder.history.calls if call.ended is None]
    assert failed == []
    assert linear.check(operations(recorder.history)) == []


def goes_on(recorder: Recorder, calls: int = 50) -> None:
    """Wait for so many more answers."""
    wanted = recorder.answered + calls
    wait(f"{calls} more answers", lambda: recorder.answered >= wanted)


def members(lab: Lab) -> dict[int, set[tuple[str, str, int]]]:
    """Member id to (switch, address, port) of all entries of the switches' members tables."""
    found: dict[int, set[tuple[str, str, int]]] = {}
    for switch in lab.live.topology.switches:
        for entry in lab.entries(switch.name, "members"):
            place = switch.name, entry["address"], entry["ingress_port"]
            found.setdefault(entry["source"], set()).add(place)
    return found


def steered_to(lab: Lab) -> set[tuple[int, str, int]]:
    """(leader, its address, quorum) of all switches' groups tables."""
    entries = [entry for switch in lab.live.topology.switches for entry in lab.entries(switch.name, "groups")]
    return {(entry["leader"], entry["address"], entry["quorum"]) for entry in entries}


def place(lab: Lab, host: str) -> tuple[str, str, int]:
    found = lab.live.topology.host(host)
    return found.switch, str(found.ip), found.port


def test_members_and_leaders_change_under_load(own_lab: Lab, tmp_path: Path) -> None:
    lab = own_lab
    triangle = {1: {place(lab, "h1")}, 2: {place(lab, "h2")}, 3: {place(lab, "h3")}}
    assert members(lab) == triangle
    newcomer = lab.live.topology.node_id("h22")
    with load(lab, tmp_path / "history.jsonl") as recorder:
        if lab.leader() != "h1":
            lab.run("transfer", "h1")
        wait("h1 in all switches", lambda: steered_to(lab) == {(1, "10.0.1.1", 2)})
        goes_on(recorder)

        assert "h22 is member" in lab.run("member", "add", "h22")
        wait("the newcomer's entry", lambda: members(lab) == {**triangle, newcomer: {place(lab, "h22")}})
        wait("a quorum of four", lambda: steered_to(lab) == {(1, "10.0.1.1", 3)})
        goes_on(recorder)

        assert "h1 is no member" in lab.run("member", "remove", "h1")
        rest = {2: triangle[2], 3: triangle[3], newcomer: {place(lab, "h22")}}
        wait("the leaver's entry to go", lambda: members(lab) == rest)
        wait("another leader in all switches", lambda: {leader for leader, *_ in steered_to(lab)} & {2, 3, newcomer})
        goes_on(recorder)

        for host in ("h2", "h22", "h2"):
            lab.run("transfer", host)
            number, address = lab.live.topology.node_id(host), place(lab, host)[1]
            wait(f"{host} in all switches", lambda: steered_to(lab) == {(number, address, 2)})  # noqa: B023
            goes_on(recorder)

        assert "h3 is no member" in lab.run("member", "remove", "h3")
        wait("only two members' entries", lambda: set(members(lab)) == {2, newcomer})
        goes_on(recorder)

        lab.run("member", "add", "h3")
        lab.run("member", "add", "h1")
        wait("everybody's entries", lambda: set(members(lab)) == {1, 2, 3, newcomer})
        goes_on(recorder)
    hosts = ("h1", "h2", "h3", "h22")
    wait("equal lists", lambda: len({str(log.values_of(lab.live, host)) for host in hosts}) == 1)


def test_who_was_removed_is_quiet(own_lab: Lab) -> None:
    """It neither campaigns nor raises anybody's term, whether it led or followed; and its switch would tell."""
    lab = own_lab
    leader = lab.leader()
    follower, other = (name for name in ("h1", "h2", "h3") if name != leader)
    lab.run("member", "add", "h22")
    lab.run("member", "remove", follower)
    wait("the end of its part", lambda: _role(lab, follower) == "follower")
    term = lab.term()
    lab.run("member", "remove", leader)
    wait("another leader", lambda: lab.leader(other_than=leader))
    for gone in (follower, leader):
        switch = lab.live.topology.host(gone).switch
        wait("quiet", lambda: _is_quiet(lab, switch))  # noqa: B023
    assert lab.leader() in (other, "h22")
    assert lab.term() <= term + 3
    lab.run("send", "still here")


def _role(lab: Lab, host: str) -> str:
    return str(lab.json("status")["nodes"][host]["groups"][0]["role"])


def _is_quiet(lab: Lab, switch: str) -> bool:
    """Whether for two seconds, several election timeouts, the guard had nobody to turn away."""
    before = lab.drops(switch).get("not_member", 0)
    time.sleep(2.0)
    return lab.drops(switch).get("not_member", 0) == before
