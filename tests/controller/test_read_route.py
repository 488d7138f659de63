"""Who is asked to read: what switches are to hold for it, in which order, and when a member is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.decisions import DESERTED_S, Refresh
from controller.desired import (
    Held,
    Leadership,
    Operation,
    View,
    apply,
    batches,
    desired_entries,
    diff,
)
from controller.network import BY_DEFAULT, FEATURES, Member, Network, parse
from controller.selectors import ProfileGroup, ProfileMember
from tests.controller.test_decisions import Bench
from tests.controller.triangle import Lab, triangle, until

TRIANGLE = parse(triangle())
FEATURE = frozenset({"read_route"})


def held(network: Network = TRIANGLE, switch: str = "s1", **view: object) -> list[Held]:
    known = {"links": frozenset(network.links), "leaders": {1: Leadership(1, 5)}, "features": FEATURE, **view}
    return [
        one
        for one in desired_entries(network, switch, View(**known))  # type: ignore[arg-type]
        if isinstance(one, ProfileMember | ProfileGroup) or one.table in ("read_route", "reads_by_member")
    ]


def readers(entries: list[Held]) -> set[int]:
    """The members that a switch chooses from."""
    groups = [one for one in entries if isinstance(one, ProfileGroup)]
    members = {one.id: dict(one.params)["member"] for one in entries if isinstance(one, ProfileMember)}
    return {members[one] for group in groups for one in group.members}


def with_members(*members: Member) -> Network:
    (group,) = TRIANGLE.groups
    return replace(TRIANGLE, groups=(replace(group, members=members),))


def test_it_is_off_unless_it_is_asked_for() -> None:
    assert "read_route" in FEATURES and "read_route" not in BY_DEFAULT
    assert "read_route" not in parse(triangle()).features
    assert held(features=frozenset()) == []


@pytest.mark.parametrize("switch", ["s1", "s2", "s3"])
def test_every_voter_reads(switch: str) -> None:
    assert readers(held(switch=switch)) == {1, 2, 3}


def test_learners_do_not_read() -> None:
    network = with_members(Member(1, "h1"), Member(2, "h2", votes=False), Member(3, "h3"))
    assert readers(held(network)) == {1, 3}


def test_whose_host_no_link_reaches_does_not_read_for_those_here() -> None:
    links = frozenset(link for link in TRIANGLE.links if "s3" not in (link.a, link.b))
    assert readers(held(links=links)) == {1, 2}
    assert readers(held(switch="s3", links=links)) == {3}


def test_whose_host_says_that_nobody_is_there_does_not_read() -> None:
    assert readers(held(deserted=frozenset({"h2"}))) == {1, 3}


def test_an_empty_group_is_never_written() -> None:
    assert held(deserted=frozenset({"h1", "h2", "h3"})) == []
    assert held(with_members(Member(1, "h1", votes=False))) == []


def test_a_group_without_a_service_address_has_none() -> None:
    data = triangle()
    data["groups"][0]["service"] = None
    assert held(parse(data)) == []


def test_two_groups_share_nothing() -> None:
    data = triangle()
    data["groups"].append({**data["groups"][0], "id": 2, "slot": 9, "service": "10.0.100.2"})
    entries = held(parse(data))
    groups = [one for one in entries if isinstance(one, ProfileGroup)]
    assert len(groups) == 2 and not set(groups[0].members) & set(groups[1].members)
    assert len({one.key for one in entries}) == len(entries)


def test_members_are_written_before_their_group_and_that_before_what_leads_to_it() -> None:
    entries = held()
    order = [write.entry.table for write in diff(entries, ())]
    assert list(dict.fromkeys(order)) == ["reads_by_member", "profile_members", "profile_groups", "read_route"]
    gone = [write.entry.table for write in diff((), entries)]
    assert gone == order[::-1]


def test_who_leaves_is_taken_out_of_the_group_before_it_goes() -> None:
    before, after = held(), held(deserted=frozenset({"h3"}))
    writes = diff(after, before)
    assert [(write.operation, write.entry.table) for write in writes] == [
        (Operation.MODIFY, "profile_groups"),
        (Operation.DELETE, "profile_members"),
        (Operation.DELETE, "reads_by_member"),
    ]
    assert set(apply(writes, before)) == set(after)
    assert all(len({write.entry.table for write in batch}) == 1 for batch in batches(writes))


def test_a_deserted_host_reads_again_after_a_while() -> None:
    bench = Bench()
    bench.decisions.set_feature("read_route", True)
    bench.decisions.take()
    assert readers(list(bench.decisions.desired("s1", 0.0))) == {1, 2, 3}
    bench.decisions.host_told("s2", "10.0.2.2", 10.0)
    assert Refresh("") in bench.decisions.take()
    assert readers(list(bench.decisions.desired("s1", 10.0))) == {1, 3}
    bench.decisions.host_told("s2", "10.0.2.2", 11.0)
    bench.decisions.tick(10.5 + DESERTED_S)
    assert readers(list(bench.decisions.desired("s1", 13.5))) == {1, 3}, "it has said so again"
    bench.decisions.tick(11.0 + DESERTED_S)
    assert readers(list(bench.decisions.desired("s1", 14.0))) == {1, 2, 3}


def test_nobody_speaks_for_another_host() -> None:
    bench = Bench()
    bench.decisions.set_feature("read_route", True)
    bench.decisions.host_told("s1", "10.0.2.2", 10.0)
    assert readers(list(bench.decisions.desired("s1", 10.0))) == {1, 2, 3}


async def test_switches_hold_it_and_lose_it_and_a_restarted_one_gets_it_back(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        controller.set_feature("read_route", True)
        await until(lambda: all(readers(list(one.held())) == {1, 2, 3} for one in lab.switches))
        await lab.s2.stop()
        await lab.s2.start()
        await until(lambda: readers(list(lab.s2.held())) == {1, 2, 3})
        await until(lambda: lab.holds_what_is_desired(controller))
    async with lab.controller() as controller:
        await lab.programmed(controller)
        await until(lambda: lab.holds_what_is_desired(controller))
        assert not any(readers(list(one.held())) for one in lab.switches), "another one was not asked for it"
