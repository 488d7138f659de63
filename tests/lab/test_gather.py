"""ack_gather in a running lab: a leader's switch gathers, and commits go on whatever becomes of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.conftest import Lab, running, wait
from topo import topology

HOSTS = ("h1", "h2", "h3", "h4", "h5")
ROUNDS = 20


@pytest.fixture(scope="module")
def gathering_lab(build_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    drawn = yaml.safe_load((topology.FOLDER / f"five{topology.SUFFIX}").read_text())
    path = tmp_path_factory.mktemp("gather") / f"gathering{topology.SUFFIX}"
    path.write_text(yaml.safe_dump({**drawn, "acknowledgements": "gathered"}))
    with running("--topology", str(path)) as lab:
        yield lab


def fates(lab: Lab) -> Counter[str]:
    """Acknowledgements at their leader's switch, by what became of them."""
    counted: Counter[str] = Counter()
    for held in lab.json("counters").values():
        counted.update({fate: count["packets"] for fate, count in held["acknowledgements"].items()})
    return counted


def node(lab: Lab, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = lab.json("status")["nodes"][name]
    return shown


def load(lab: Lab, rounds: int = ROUNDS) -> None:
    for number in range(rounds):
        lab.run("send", str(number))


def under_load(lab: Lab, what: str, look: Callable[[], bool]) -> None:
    """Values are sent until something is so."""

    def sent_and_seen() -> bool:
        load(lab, 3)
        return look()

    wait(what, sent_and_seen)


def is_gathered(lab: Lab) -> None:
    """From some moment on the leader's switch keeps and carries, and the leader takes what it carries."""
    leader = lab.leader()
    before, taken = fates(lab), node(lab, leader)["gathered"].get("taken", 0)

    def more() -> bool:
        now = fates(lab) - before
        return bool(now["kept"] and now["carried"] and node(lab, leader)["gathered"].get("taken", 0) > taken)

    under_load(lab, "acknowledgements that are gathered", more)


def replies(lab: Lab, leader: str) -> int:
    """AppendEntriesReply that the leader has got."""
    return int(node(lab, leader)["counters"]["received"].get("APPEND_ENTRIES_REPLY", 0))


def test_a_leader_gets_fewer_packets_and_all_values(gathering_lab: Lab) -> None:
    lab = gathering_lab
    is_gathered(lab)
    leader = lab.leader()
    before, got = fates(lab), replies(lab, leader)
    load(lab)
    came = fates(lab) - before
    went_on = came["news"] + came["anew"]
    assert came["kept"] > went_on / 4, "of four two are needed"
    assert replies(lab, leader) > got, "heartbeats are answered as ever"
    lab.equal_values(HOSTS)


def test_a_followers_end_stops_no_commit(gathering_lab: Lab) -> None:
    lab = gathering_lab
    leader = lab.leader()
    one, other = [name for name in HOSTS if name != leader][:2]
    for name in (one, other):
        lab.run("node", "kill", name)
        load(lab, 5)
    assert lab.leader() == leader
    for name in (one, other):
        lab.run("node", "start", name)
    lab.equal_values(HOSTS)
    is_gathered(lab)


def test_switched_off_under_load_each_passes(gathering_lab: Lab) -> None:
    lab = gathering_lab
    is_gathered(lab)
    lab.run("feature", "off", "ack_gather")
    try:
        wait("no entries", lambda: not any(lab.entries(f"s{number}", "ack_gather") for number in range(1, 6)))
        before = fates(lab)
        load(lab)
        assert fates(lab) == before
        lab.equal_values(HOSTS)
    finally:
        lab.run("feature", "on", "ack_gather")
    is_gathered(lab)


def test_the_next_leaders_switch_gathers_for_that_one(gathering_lab: Lab) -> None:
    lab = gathering_lab
    leader = lab.leader()
    successor = next(name for name in HOSTS if name != leader)
    lab.run("transfer", successor)
    assert lab.leader(other_than=leader) == successor
    switches = {host.name: host.switch for host in lab.live.topology.hosts}
    wait("entries at the next leader's switch only", lambda: _gathering(lab) == [switches[successor]])
    is_gathered(lab)
    lab.run("node", "kill", successor)
    third = lab.leader(other_than=successor)
    wait("entries at the third leader's switch only", lambda: _gathering(lab) == [switches[third]])
    load(lab, 5)
    lab.run("node", "start", successor)
    lab.equal_values(HOSTS)


def _gathering(lab: Lab) -> list[str]:
    """The switches that have entries."""
    return [name for number in range(1, 6) if lab.entries(name := f"s{number}", "ack_gather")]
