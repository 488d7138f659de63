"""read_route in a running lab: all members serve reads, none of them what is outdated; and reads of an age."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab.conftest import Lab, wait

MEMBERS = {1: "h1", 2: "h2", 3: "h3"}
READS = 150
MOST = 1.5
"""Times a member's share of so many reads, each of which goes to any."""


@pytest.fixture
def spreading(lab: Lab) -> Iterator[Lab]:
    lab.run("feature", "on", "read_route")
    wait("members to choose from", lambda: chosen_at(lab) == set(MEMBERS.values()))
    yield lab
    lab.run("feature", "off", "read_route")


def chosen_at(lab: Lab) -> set[str]:
    """The members among whom the switch of the client's host chooses."""
    entries = lab.entries("s1", "reads_by_member")
    return {MEMBERS[int(entry["member"])] for entry in entries if lab.entries("s1", "read_route")}


def spread(lab: Lab) -> Counter[str]:
    """Requests that switches have taken to each member."""
    counted: Counter[str] = Counter()
    for held in lab.json("counters").values():
        for name, count in held["reads"].items():
            counted[MEMBERS[int(name.partition("/")[2])]] += count["packets"]
    return counted


def served(lab: Lab, *kinds: str) -> Counter[str]:
    """Reads that each member has served in these ways."""
    counted: Counter[str] = Counter()
    for name, node in lab.json("status")["nodes"].items():
        for group in node.get("groups", []):
            counted[name] += sum(group["counts"][f"reads_{kind}"] for kind in kinds)
    return counted


def read_often(lab: Lab, times: int = READS) -> None:
    """By one client, from the client's host: a new command for each would take a minute."""
    text = (
        "from hosts.client.blocking import Client\n"
        f"with Client([('{lab.live.topology.groups[0].service}', {lab.live.topology.port})]) as client:\n"
        "    client.put('k', 0)\n"
        f"    for number in range({times}):\n"
        "        client.put('k', number) if number % 10 == 0 else None\n"
        "        assert client.get('k').value == [True, number // 10 * 10], number\n"
    )
    lab.run("exec", "h11", ".venv/bin/python", "-c", text)


def test_all_members_serve_reads_in_about_even_shares(spreading: Lab) -> None:
    """And each sees what was put before it."""
    spreading.leader()
    before = spread(spreading), served(spreading, "leader", "follower")
    read_often(spreading)
    taken, answered = spread(spreading), served(spreading, "leader", "follower")
    taken.subtract(before[0])
    answered.subtract(before[1])
    assert sum(taken.values()) >= READS and max(taken.values()) <= MOST * READS / 3, taken
    assert min(answered.values()) >= READS / 3 / MOST, answered
    assert "reads served by" in spreading.run("status")


def test_what_is_put_is_read_whoever_is_asked(spreading: Lab) -> None:
    for number in range(8):
        spreading.run("put", "fresh", str(number))
        assert spreading.json("get", "fresh")["value"] == number


def test_a_killed_follower_takes_no_reads_with_it(spreading: Lab) -> None:
    leader = spreading.leader()
    follower = next(name for name in MEMBERS.values() if name != leader)
    spreading.run("node", "kill", follower)
    wait("it to be left out", lambda: chosen_at(spreading) == set(MEMBERS.values()) - {follower})
    read_often(spreading, 40)
    spreading.run("node", "start", follower)
    wait("it to be asked again", lambda: chosen_at(spreading) == set(MEMBERS.values()))


def test_a_restarted_switch_spreads_again(spreading: Lab) -> None:
    spreading.run("switch", "restart", "s1")
    wait("members to choose from", lambda: chosen_at(spreading) == set(MEMBERS.values()))
    before = spread(spreading)
    read_often(spreading, 30)
    assert sum(spread(spreading).values()) > sum(before.values())


def test_a_controller_that_comes_back_keeps_it_as_it_was_asked_for(spreading: Lab) -> None:
    """A controller that was killed knows only what its file names: nothing of this stays in the switches."""
    spreading.run("controller", "kill")
    read_often(spreading, 20)
    spreading.run("controller", "start")
    wait("entries to go", lambda: chosen_at(spreading) == set() and spreading.entries("s1", "reads_by_member") == [])
    spreading.leader()


def test_without_it_the_leader_serves_alone(lab: Lab) -> None:
    leader = lab.leader()
    before = spread(lab), served(lab, "leader", "follower", "stale")
    read_often(lab, 40)
    after = served(lab, "leader", "follower", "stale")
    after.subtract(before[1])
    assert {name for name, count in after.items() if count} == {leader}
    assert spread(lab) == before[0]


def test_reads_of_an_age(spreading: Lab) -> None:
    spreading.run("put", "old", "1")
    before = served(spreading, "stale")
    seen = 0

    def some_at_once() -> bool:
        nonlocal seen
        seen += spreading.json("get", "old", "--stale", "60000")["value"] == 1
        return sum(served(spreading, "stale").values()) > sum(before.values())

    wait("a read that is served at once", some_at_once)
    assert seen
    assert spreading.json("get", "old", "--stale", "0")["value"] == 1


@pytest.mark.parametrize("age", ["-1", "abc", "1.5", "4294967296", ""])
def test_ages_that_are_none(lab: Lab, age: str) -> None:
    done = lab.try_("get", "old", "--stale", age)
    assert done.returncode != 0 and "milliseconds" in done.stderr and "Traceback" not in done.stderr
