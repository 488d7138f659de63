"""Whose acknowledgements a leader's own switch gathers, and what it is told of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from controller.desired import Entry, Held, Leadership, Operation, View, desired_entries, diff
from controller.gathering import Gathering, gathering
from controller.network import FEATURES, ON_REQUEST, Member, Network, parse
from tests.controller.triangle import triangle

TRIANGLE = parse(triangle())
WINDOW_US = 50_000


def _entries(network: Network, switch: str, leader: int, term: int = 5) -> list[Held]:
    view = View(frozenset(network.links), {1: Leadership(leader, term)}, frozenset({"ack_gather"}))
    tables = ("ack_gather", "ack_positions")
    return [entry for entry in desired_entries(network, switch, view) if entry.table in tables]


def _texts(entries: Iterable[Held]) -> list[str]:
    return [str(entry) for entry in entries]


def _generation(entries: Iterable[Held]) -> int:
    (found,) = {dict(entry.params)["of_generation"] for entry in entries if isinstance(entry, Entry)}
    return found


def _with(*members: Member) -> Network:
    (group,) = TRIANGLE.groups
    return replace(TRIANGLE, groups=(replace(group, members=members),))


def test_the_leaders_own_switch_gathers_for_it_and_no_other() -> None:
    entries = _entries(TRIANGLE, "s2", leader=2)
    generation = _generation(entries)
    assert _texts(entries) == [
        f"ack_positions[group=1 source=1] has_position(at=0, of_generation={generation})",
        f"ack_positions[group=1 source=3] has_position(at=1, of_generation={generation})",
        f"ack_gather[group=1 target=2] gather(port=1, others=1, window_us={WINDOW_US}, of_generation={generation})",
    ]
    assert not _entries(TRIANGLE, "s1", leader=2)
    assert not _entries(TRIANGLE, "s2", leader=0)
    assert not _entries(TRIANGLE, "s2", leader=7)


def test_it_is_off_unless_the_network_file_names_it() -> None:
    assert "ack_gather" in ON_REQUEST
    assert TRIANGLE.features == tuple(name for name in FEATURES if name not in ON_REQUEST)
    assert parse(triangle(features=list(FEATURES))).features == FEATURES


@pytest.mark.parametrize(("size", "needed"), [(3, 1), (4, 2), (5, 2), (6, 3), (7, 3), (8, 4), (9, 4)])
def test_how_many_are_news(size: int, needed: int) -> None:
    members = tuple(Member(number, f"h{1 + number % 3}") for number in range(1, size + 1))
    network = _with(*members)
    found = gathering(network, network.groups[0], 2, "s3")
    assert found is not None
    assert (found.needed, found.port) == (needed, 1)
    assert sorted(found.positions.values()) == list(range(size - 1))
    assert sorted(found.positions) == [member.id for member in members if member.id != 2]


def _found(network: Network) -> Gathering | None:
    return gathering(network, network.groups[0], 1, "s1")


def test_learners_have_no_position_and_two_members_no_use_for_it() -> None:
    one, two, three, learner = Member(1, "h1"), Member(2, "h2"), Member(3, "h3"), Member(4, "h22", votes=False)
    found = _found(_with(one, two, three, learner))
    assert found is not None and found.positions == {2: 0, 3: 1}
    assert _found(_with(one, two)) is None
    assert _found(_with(one, two, learner)) is None
    assert _found(_with(replace(one, votes=False), two, three, learner)) is None


def test_other_members_or_another_leader_are_another_generation() -> None:
    one, two, three = (Member(number, f"h{number}") for number in (1, 2, 3))
    other = Member(4, "h22")
    groups = [(one, two, three), (one, two, other), (one, three, other), (one, two, three, other)]
    generations = {found.generation for members in groups if (found := _found(_with(*members))) is not None}
    assert len(generations) == len(groups)
    led_by_two = gathering(TRIANGLE, TRIANGLE.groups[0], 2, "s2")
    assert led_by_two is not None and led_by_two.generation not in generations


def test_a_new_term_of_the_same_leader_changes_no_entry_here() -> None:
    assert _entries(TRIANGLE, "s1", 1, term=5) == _entries(TRIANGLE, "s1", 1, term=6)


def test_positions_stand_before_what_asks_for_them_and_go_after_it() -> None:
    entries = _entries(TRIANGLE, "s1", 1)
    assert [write.entry.table for write in diff(entries, ())] == ["ack_positions", "ack_positions", "ack_gather"]
    writes = diff((), entries)
    assert [write.entry.table for write in writes] == ["ack_gather", "ack_positions", "ack_positions"]
    assert {write.operation for write in writes} == {Operation.DELETE}
