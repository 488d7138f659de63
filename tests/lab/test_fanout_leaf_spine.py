"""append_fanout where there are two ways: copies go over one spine, and over both once a link is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import Lab, running, wait
from tests.lab.test_fanout import copies, fanned

SPINES = ("s1", "s2")
ENOUGH = 60


@pytest.fixture
def leaf_spine(build_folder: Path) -> Iterator[Lab]:
    with running("--topology", "leaf-spine") as lab:
        yield lab


def spines_on_the_way(lab: Lab) -> list[str]:
    """The spines that have a branch of the tree."""
    return [spine for spine in SPINES if lab.entries(spine, "append_fanout")]


def trunks_for_each(lab: Lab) -> float:
    """Over how many trunks copies go for each that comes to a member, of those that are made from now on. Counters
    are read from one switch after the other while leaders go on, so it is about right."""
    before = copies(lab)
    wait("copies", lambda: (copies(lab) - before)["to_member"] >= ENOUGH)
    made = copies(lab) - before
    return made["over_trunk"] / made["to_member"]


def test_a_member_behind_a_lost_link_gets_its_copies_over_the_other_spine(leaf_spine: Lab) -> None:
    """A follower's link, so that the leader keeps its quorum and stays."""
    lab = leaf_spine
    leader = lab.leader()
    follower = next(name for name in ("h1", "h2", "h3") if name != leader)
    leaf = next(host.switch for host in lab.live.topology.hosts if host.name == follower)
    wait("a tree over the first spine", lambda: spines_on_the_way(lab) == ["s1"])
    wait("copies reach both", lambda: fanned(lab, leader) == 2)
    wait("two copies, over three trunks", lambda: abs(trunks_for_each(lab) - 3 / 2) < 0.2)
    lab.run("link", "down", leaf, "s1")
    wait("a tree over both spines", lambda: spines_on_the_way(lab) == ["s1", "s2"])
    assert lab.leader() == leader
    wait("two copies, over four trunks", lambda: abs(trunks_for_each(lab) - 4 / 2) < 0.2)
    wait("copies reach both again", lambda: fanned(lab, leader) == 2)
    lab.run("link", "up", leaf, "s1")
    wait("a tree over the first spine again", lambda: spines_on_the_way(lab) == ["s1"])
