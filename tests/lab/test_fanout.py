"""append_fanout in a running lab: the controller's trees, and leaders who send once what the switches copy."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.lab.conftest import Lab, wait

HOSTS = frozenset({"h1", "h2", "h3"})


def copies(lab: Lab) -> Counter[str]:
    """Packets by their fate, of all switches."""
    counted: Counter[str] = Counter()
    for held in lab.json("counters").values():
        counted.update({fate: count["packets"] for fate, count in held["copies"].items()})
    return counted


def planted(lab: Lab) -> set[str]:
    """The members for whom some switch makes copies."""
    entries = [entry for switch in ("s1", "s2", "s3") for entry in lab.entries(switch, "fanout_copy")]
    return {entry["address"] for entry in entries if "address" in entry}


def addresses(lab: Lab, hosts: frozenset[str]) -> set[str]:
    return {str(host.ip) for host in lab.live.topology.hosts if host.name in hosts}


def led(lab: Lab, leader: str) -> dict[str, Any]:
    """What the leader says of its group."""
    shown: dict[str, Any] = lab.json("status")["nodes"][leader]["groups"][0]
    return shown


def fanned(lab: Lab, leader: str) -> int:
    """How many members copies reach, as the leader knows."""
    return sum(one["fanned"] for one in led(lab, leader)["progress"].values())


def sent_once_in_the_end(lab: Lab) -> None:
    """A leader serves a member alone again for a moment whenever that has been slow to answer."""
    leader = lab.leader()
    wait(f"{leader}'s copies to reach both", lambda: fanned(lab, leader) == 2)
    before = led(lab, leader)["counts"]["fanout_appends"]

    def sent_once() -> bool:
        lab.run("send", "once")
        return bool(led(lab, leader)["counts"]["fanout_appends"] > before)

    wait("entries to everybody at once", sent_once)


def test_a_leader_sends_once_as_long_as_switches_copy(lab: Lab) -> None:
    leader = lab.leader()
    wait("trees at all switches", lambda: planted(lab) == addresses(lab, HOSTS - {leader}))
    sent_once_in_the_end(lab)
    lab.equal_values()
    lab.run("node", "kill", leader)
    successor = lab.leader(other_than=leader)
    wait("trees of the next leader", lambda: planted(lab) == addresses(lab, HOSTS - {successor}))
    lab.run("node", "start", leader)
    sent_once_in_the_end(lab)
    assert copies(lab)["to_member"] > 10
    told = lab.json("feature", "list")["append_fanout"]
    assert told["did"]["copies for members"] > 10 and all(told["at"].values())
    assert "copies for members" in lab.run("feature", "list")


def test_without_copies_each_member_is_served_alone(lab: Lab) -> None:
    lab.run("feature", "off", "append_fanout")
    try:
        leader = lab.leader()
        wait("no trees", lambda: planted(lab) == set())
        wait("everybody to be served alone", lambda: fanned(lab, leader) == 0)
        lab.run("send", "alone")
        lab.equal_values()
        given_up = lab.json("feature", "list")["append_fanout"]["given_up"]
        assert given_up["for one member, as it answered no copies"] > 0
        assert "append_fanout, given up: " in lab.run("status")
    finally:
        lab.run("feature", "on", "append_fanout")
    sent_once_in_the_end(lab)
    lab.equal_values()
