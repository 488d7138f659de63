"""How tests find out what switches drop, while the cluster stays undisturbed."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.conftest import Lab, wait
from topo.views import status

ATTEMPTS = 5
Drops = dict[str, dict[str, int]]


def in_second_term(lab: Lab) -> tuple[str, int]:
    """A leader whose term is at least 2, so that there are older ones."""
    leader = lab.leader()
    if lab.term() < 2:
        lab.run("node", "kill", leader)
        lab.leader(other_than=leader)
        lab.run("node", "start", leader)
        leader = lab.leader()
    return leader, lab.term()


def a_follower(lab: Lab, leader: str) -> str:
    return next(name for name in lab.live.topology.members if name != leader)


def nodes_terms(lab: Lab) -> set[int]:
    nodes = status.gather(lab.live)["nodes"]
    return {entry["term"] for node in nodes.values() for entry in node["groups"]}


def all_drops(lab: Lab) -> Drops:
    """Packets that switches dropped, by switch and reason, but for the IPv6 that kernels speak now and then."""
    told = lab.json("counters")
    return {
        switch: {why: count["packets"] for why, count in held["drops"].items() if why != "not_ip"}
        for switch, held in told.items()
    }


def undisturbed(lab: Lab, act: Callable[[str, int], None]) -> None:
    """``act``, which is told the leader and its term, must leave both as they are. On a machine that stalls for
    longer than a timeout there are elections without a cause, and filters that lapse: only if all attempts fail,
    ``act`` is to blame."""
    for attempt in range(ATTEMPTS):
        leader, term = in_second_term(lab)
        try:
            act(leader, term)
            assert nodes_terms(lab) == {term}
            assert (lab.leader(), lab.term()) == (leader, term)
            return
        except AssertionError:
            if attempt == ATTEMPTS - 1:
                raise


def only_at(lab: Lab, first: str, reason: str, act: Callable[[], int]) -> None:
    """The packets that ``act`` sends (their number is its result) must be dropped by the switch ``first``, for this
    reason, and come to no other."""

    before = all_drops(lab)
    expected = before[first].get(reason, 0) + act()
    after = wait("dropped packets", lambda: _if_at_least(all_drops(lab), first, reason, expected), seconds=15)
    before[first][reason] = expected
    assert after == before, f"some were dropped for another reason, or came past {first}"


def _if_at_least(drops: Drops, switch: str, reason: str, count: int) -> Drops | None:
    return drops if drops[switch].get(reason, 0) >= count else None
