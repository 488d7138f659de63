"""The controller's hints in a running lab: of a process that was killed, and of a host that is cut off.

Members wait so long for an election timeout here that who leads again before that leads by a hint. What other hosts'
kernels say counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.conftest import Lab, running, wait
from topo import paths, topology

ELECTION_TIMEOUT_MS = 15_000
SOON_S = ELECTION_TIMEOUT_MS / 1000
"""Nobody leads again sooner without a hint."""


@pytest.fixture(scope="module")
def slow_lab(build_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    drawn = yaml.safe_load((topology.FOLDER / f"triangle{topology.SUFFIX}").read_text())
    path = tmp_path_factory.mktemp("hints") / f"slow{topology.SUFFIX}"
    path.write_text(yaml.safe_dump({**drawn, "hints": "network", "election_timeout_ms": ELECTION_TIMEOUT_MS}))
    with running("--topology", str(path)) as lab:
        yield lab


def given(lab: Lab, cause: str) -> int:
    """How often the controller has hinted for this cause."""
    (group,) = lab.json("status")["groups"]
    return int(group["hints"][cause])


def taken(lab: Lab, cause: str) -> int:
    """How often hints have counted for members that run."""
    groups = [group for node in lab.json("status")["nodes"].values() for group in node.get("groups", [])]
    return sum(int(group["counts"][f"hints_{cause}"]) for group in groups)


def ends_told(lab: Lab) -> int:
    counted: dict[str, Any] = lab.json("counters")
    return sum(held["ends"].get("told", {"packets": 0})["packets"] for held in counted.values())


def is_replaced_by_a_hint(lab: Lab, cause: str, end: Callable[[str], object]) -> str:
    """End the leader somehow: another one leads before any election timeout. Returns the former one."""
    leader = lab.leader()
    before = given(lab, cause), taken(lab, cause)
    end(leader)
    lab.leader(other_than=leader, seconds=SOON_S)
    assert given(lab, cause) > before[0] and taken(lab, cause) > before[1]
    return leader


def test_a_killed_leader_is_replaced_at_the_word_of_its_host(slow_lab: Lab) -> None:
    told = ends_told(slow_lab)
    leader = is_replaced_by_a_hint(slow_lab, "gone", lambda name: slow_lab.run("node", "kill", name))
    assert ends_told(slow_lab) > told
    nodes = slow_lab.json("status")["nodes"]
    others = [group for name, node in nodes.items() if name != leader for group in node["groups"]]
    assert all(group["counts"]["leader_ends_told"] == 0 for group in others), "no kernel was listened to"
    slow_lab.run("node", "start", leader)


@pytest.mark.parametrize("one_way", [False, True])
def test_a_leader_whose_host_is_cut_off_is_replaced_since_it_answers_nothing(slow_lab: Lab, one_way: bool) -> None:
    """One way: nothing that the host sends arrives."""
    switches = {host.name: host.switch for host in slow_lab.live.topology.hosts}
    options = ["--one-way"] if one_way else []
    leader = is_replaced_by_a_hint(
        slow_lab, "cut_off", lambda name: slow_lab.run("link", "down", name, switches[name], *options)
    )
    slow_lab.run("link", "up", leader, switches[leader])
    slow_lab.equal_values()


def test_a_stopped_leaders_host_answers_and_nobody_is_hinted(slow_lab: Lab) -> None:
    leader = slow_lab.leader()
    before = given(slow_lab, "gone"), given(slow_lab, "cut_off")
    log = paths.logs() / "controller.log"
    known = len(log.read_text())
    slow_lab.run("node", "pause", leader)
    wait("answer of its host", lambda: f"members miss {leader}, whose host answers" in log.read_text()[known:])
    slow_lab.run("node", "resume", leader)
    assert (given(slow_lab, "gone"), given(slow_lab, "cut_off")) == before


def test_while_the_feature_is_off_nobody_is_hinted(slow_lab: Lab) -> None:
    leader = slow_lab.leader()
    slow_lab.run("feature", "off", "leader_gone")
    before = given(slow_lab, "gone"), ends_told(slow_lab)
    slow_lab.run("node", "kill", leader)
    slow_lab.leader(other_than=leader)
    assert (given(slow_lab, "gone"), ends_told(slow_lab)) == before
    slow_lab.run("feature", "on", "leader_gone")
    slow_lab.run("node", "start", leader)
