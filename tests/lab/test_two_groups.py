"""Two groups behind the same switches, with the same member ids and group ids that differ by 256: whatever happens to
one, the other's route, filter and commits are as they were."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hosts.client.blocking import Client
from hosts.client.calls import Result
from hosts.raft.message import HardState
from hosts.storage.log import DiskLog
from tests.lab.conftest import Lab, running, wait
from topo import paths
from topo.lab.namespace import on_host
from topo.views import counters, log, status

AHEAD = 50
TRIALS = 3
"""A machine that stalls can cost a leader its followers by itself; a cause would do so each time."""

GROUPS = (1, 257)

SHARED = """\
switches: [s1, s2, s3]
hosts:
  h1: {ip: 10.0.1.1, switch: s1}
  h11: {ip: 10.0.1.11, switch: s1}
  h2: {ip: 10.0.2.2, switch: s2}
  h3: {ip: 10.0.3.3, switch: s3}
links: [[s1, s2], [s1, s3], [s2, s3]]
groups:
  - {id: 1, service: 10.0.100.1, members: [h1, h2, h3]}
  - {id: 257, service: 10.0.101.1, members: [h1, h2, h3]}
"""
"""Both groups in one process on each host."""


class Stream:
    """A client of one group that appends numbers until stopped; none may fail. Addressed to the service, so that it
    is the switches who find the leader."""

    def __init__(self, lab: Lab, group: int) -> None:
        self.results: list[Result] = []
        self.failed: list[Exception] = []
        self._topology = lab.live.topology
        self._group = next(one for one in self._topology.groups if one.id == group)
        self._done = threading.Event()
        holder = lab.live.holder("h11")
        self._thread = threading.Thread(target=lambda: on_host(holder, self._run))
        self._thread.start()

    def _run(self) -> None:
        service = str(self._group.service), self._topology.port
        try:
            with Client([service], self._group.id, bind="10.0.1.11", timeout_s=60.0) as client:
                while not self._done.wait(0.02):
                    self.results.append(client.append(f"stream {len(self.results)}"))
        except Exception as error:
            self.failed.append(error)

    def goes_on(self, values: int = 20) -> None:
        wanted = len(self.results) + values
        wait(f"{values} more values", lambda: self.failed or len(self.results) >= wanted)
        assert self.failed == []

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def disturbed(lab: Lab, group: int, disturb: Callable[[], None]) -> str:
    """What ``disturb`` changed for a group: its leader, its term, its entries in the switches; "" if nothing. That it
    serves meanwhile, and loses nothing, is asserted."""
    before, leader = entries(lab, group), led(lab, group)
    stream = Stream(lab, group)
    try:
        stream.goes_on()
        disturb()
        stream.goes_on()
    finally:
        stream.stop()
    assert stream.failed == []
    wanted = [f"stream {number}" for number in range(len(stream.results))]
    alive = {process.name for process in lab.live.record.processes if process.alive}
    for host in alive.intersection(members(lab, group)):
        wait("values", lambda host=host: _values(lab, host, group)[-len(wanted) :] == wanted)  # type: ignore[misc]
    now, served = led(lab, group), {(result.term, result.served_by) for result in stream.results}
    if now != leader or served != {(leader[1], leader[2])}:
        return f"{leader} led, {now} leads; served by {served}"
    return "" if entries(lab, group) == before else f"entries were {before}, are {entries(lab, group)}"


def undisturbed_once(trial: Callable[[], str]) -> None:
    """In one of TRIALS, at least, nothing changed."""
    told: list[str] = []
    while len(told) < TRIALS:
        told.append(trial())
        if not told[-1]:
            return
    raise AssertionError(told)


def _values(lab: Lab, host: str, group: int) -> list[Any]:
    return log.values_of(lab.live, host, group)


def members(lab: Lab, group: int) -> list[str]:
    return next(list(one.members.values()) for one in lab.live.topology.groups if one.id == group)


def entries(lab: Lab, group: int) -> dict[str, list[dict[str, Any]]]:
    """All entries of the group in all switches, by switch and table."""
    names = ("members", "guard_enforce", "groups", "leader_watch", "term_filter", "leader_route", "configuration")
    return {
        f"{switch.name}.{table}": [one for one in lab.entries(switch.name, table) if one["group"] == group]
        for switch in lab.live.topology.switches
        for table in names
    }


def led(lab: Lab, group: int) -> tuple[str, int, int]:
    """(leader, term, its member id), once all switches steer to it."""

    def settled() -> tuple[str, int, int] | None:
        (found,) = (one for one in status.leaders(lab.live) if one["group"] == group)
        leader, term = found["leader"], found["term"]
        routes = {(entry["leader"], entry["term"]) for entry in found["switches"].values()}
        if leader is None or routes != {(leader, term)}:
            return None
        return leader, term, lab.live.topology.member_id(leader)

    return wait(f"leader of group {group} to whom the switches steer", settled)


def lead(lab: Lab, group: int, host: str) -> None:
    if led(lab, group)[0] != host:
        lab.run("transfer", host, "--group", str(group))
    wait("leader", lambda: led(lab, group)[0] == host)


def raise_term(lab: Lab, group: int, term: int) -> None:
    """Have all of the group's members begin again in a high term."""
    hosts = members(lab, group)
    lab.run("node", "kill", *hosts)
    for host in hosts:
        log = DiskLog.open(paths.nodes() / host / f"group-{group}")
        log.append(HardState(current_term=term), [])
        log.close()
    lab.run("node", "start", *hosts)


def check_counters_and_leader(lab: Lab) -> None:
    """Each group by itself, where a person looks."""
    for group in GROUPS:

        def is_told(group: int = group) -> bool:
            leader, term, _ = led(lab, group)
            return f"group {group}: {leader} leads in term {term}" in lab.run("leader")

        wait(f"the leader of group {group} told", is_told)
        leader = led(lab, group)[0]
        other = next(host for host in members(lab, group) if host != leader)
        slot = str(GROUPS.index(group))
        before = _redirects(lab, slot)
        lab.run("send", "by way of a follower", "--to", other, "--from", "h11", "--group", str(group))
        wait("counted redirect", lambda slot=slot, before=before: _redirects(lab, slot) > before)  # type: ignore[misc]


def _redirects(lab: Lab, slot: str) -> int:
    return int(counters.gather(lab.live)["s1"]["redirects"].get(slot, {"packets": 0})["packets"])


@pytest.fixture(scope="module")
def apart(build_folder: Path) -> Iterator[Lab]:
    """Two groups on hosts of their own; h1 leads the one, h2 the other, whose term is far ahead."""
    with running("--topology", "two-groups") as lab:
        raise_term(lab, 257, led(lab, 1)[1] + AHEAD)
        lead(lab, 1, "h1")
        lead(lab, 257, "h2")
        yield lab


def test_they_know_nothing_of_each_other(apart: Lab) -> None:
    lab = apart
    assert led(lab, 257)[1] >= led(lab, 1)[1] + AHEAD - 1
    check_counters_and_leader(lab)
    for group in GROUPS:
        lab.run("send", f"for {group} alone", "--to", "service", "--group", str(group))
    for group in GROUPS:
        for host in members(lab, group):
            wait("value", lambda host=host, group=group: f"for {group} alone" in _values(lab, host, group))  # type: ignore[misc]
            others = {f"for {other} alone" for other in GROUPS if other != group}
            assert not others & {str(value) for value in _values(lab, host, group)}
    assert "h1" in lab.run("member", "list", "--group", "1")
    assert "h6" in lab.run("member", "list", "--group", "257")


@pytest.mark.parametrize("victim", [257, 1])
def test_one_is_killed_and_wiped(apart: Lab, victim: int) -> None:
    lab = apart
    (other,) = (group for group in GROUPS if group != victim)
    hosts = members(lab, victim)

    def wipe() -> None:
        term = led(lab, victim)[1]
        lab.run("send", "of the old life", "--group", str(victim))
        lab.run("node", "kill", *hosts)
        for host in hosts:
            shutil.rmtree(paths.nodes() / host)
        lab.run("node", "start", *hosts)
        anew = led(lab, victim)[1]
        assert anew < term or term <= 3
        lab.run("send", "anew", "--group", str(victim))
        for host in hosts:
            wait("value", lambda host=host: _values(lab, host, victim) == ["anew"])  # type: ignore[misc]

    undisturbed_once(lambda: disturbed(lab, other, wipe))


def test_both_in_one_process(build_folder: Path, tmp_path: Path) -> None:
    """The node that leads one group is killed and loses its data: a follower less for the other group, no more."""
    file = tmp_path / "shared.yaml"
    file.write_text(SHARED)
    undisturbed_once(lambda: one_member_less(str(file)))


def one_member_less(topology: str) -> str:
    """What the death of h2, who leads group 257, changed for group 1, in a new lab."""
    with running("--topology", topology) as lab:
        raise_term(lab, 257, led(lab, 1)[1] + AHEAD)
        lead(lab, 1, "h1")
        lead(lab, 257, "h2")
        assert led(lab, 257)[1] >= led(lab, 1)[1] + 40
        check_counters_and_leader(lab)

        def kill() -> None:
            lab.run("node", "kill", "h2")
            shutil.rmtree(paths.nodes() / "h2")
            wait("another leader", lambda: led(lab, 257)[0] != "h2")
            lab.run("send", "without h2", "--group", "257")

        return disturbed(lab, 1, kill)
