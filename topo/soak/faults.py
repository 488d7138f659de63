"""What a soak breaks, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from topo.errors import LabError
from topo.lab.running_lab import Live

Json = dict[str, Any]
HEAL: Json = {"cmd": "heal"}


@dataclass(frozen=True)
class Plan:
    """Requests to the lab, one after the other to break, then all at once to mend. ``seconds``: how long it lasts,
    least and most."""

    what: str
    breaking: tuple[Json, ...]
    mending: tuple[Json, ...]
    seconds: tuple[float, float] = (3.0, 7.0)

    @property
    def nodes(self) -> frozenset[str]:
        """The hosts whose node it touches."""
        return frozenset(str(request["name"]) for request in self.mending if request["cmd"] == "node")


@dataclass(frozen=True)
class Scene:
    """Who is who at the moment of a fault."""

    random: Random
    leader: str
    followers: tuple[str, ...]
    hosts: tuple[str, ...]
    switches: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    switch_of: dict[str, str]

    @property
    def members(self) -> tuple[str, ...]:
        return (self.leader, *self.followers)

    def some_follower(self) -> str:
        return self.random.choice(self.followers)


def look(live: Live, random: Random, members: tuple[str, ...]) -> Scene:
    """The scene now; where none of ``members`` leads, one of them stands in."""
    topology = live.topology
    leader = leader_of(live, members) or random.choice(members)
    return Scene(
        random,
        leader,
        tuple(name for name in members if name != leader),
        tuple(name for name in topology.clients if name not in members),
        tuple(switch.name for switch in topology.switches),
        tuple((link.a, link.b) for link in topology.links),
        {host.name: host.switch for host in topology.hosts},
    )


def leader_of(live: Live, members: tuple[str, ...]) -> str | None:
    """Which of ``members`` leads the first group in the highest term, if one says so."""
    claims = []
    group = live.topology.groups[0].id
    for name in members:
        try:
            status = live.ask_node(name, {"cmd": "status"}, timeout_s=0.5)
        except LabError:
            continue
        claims += [
            (one["term"], name) for one in status["groups"] if one["group"] == group and one["role"] == "leader"
        ]
    return max(claims)[1] if claims else None


def _node(action: str, *names: str) -> tuple[Json, ...]:
    return tuple({"cmd": "node", "action": action, "name": name} for name in names)


def _switch(action: str, name: str) -> tuple[Json, ...]:
    return ({"cmd": "switch", "action": action, "name": name},)


def _controller(action: str) -> tuple[Json, ...]:
    return ({"cmd": "controller", "action": action},)


def _cut(a: str, b: str, *, one_way: bool) -> tuple[Json, ...]:
    return ({"cmd": "link", "a": a, "b": b, "up": False, "one_way": one_way},)


def _part(*sides: tuple[str, ...]) -> tuple[Json, ...]:
    return ({"cmd": "partition", "sides": [list(side) for side in sides]},)


def kill_leader(at: Scene) -> Plan:
    return Plan(f"kill {at.leader}, the leader", _node("kill", at.leader), _node("start", at.leader))


def kill_follower(at: Scene) -> Plan:
    name = at.some_follower()
    return Plan(f"kill {name}", _node("kill", name), _node("start", name))


def kill_majority(at: Scene) -> Plan:
    names = at.random.sample(at.members, len(at.members) // 2 + 1)
    return Plan(f"kill {' and '.join(names)}", _node("kill", *names), _node("start", *names), (2.0, 4.0))


def kill_all(at: Scene) -> Plan:
    return Plan("kill all nodes", _node("kill", *at.members), _node("start", *at.members), (0.5, 2.0))


def pause_leader(at: Scene) -> Plan:
    return Plan(f"pause {at.leader}, the leader", _node("pause", at.leader), _node("resume", at.leader))


def pause_follower(at: Scene) -> Plan:
    name = at.some_follower()
    return Plan(f"pause {name}", _node("pause", name), _node("resume", name))


def part_leader(at: Scene) -> Plan:
    return Plan(f"partition {at.leader}, the leader / the others", _part((at.leader,), at.followers), (HEAL,))


def part_leader_with_clients(at: Scene) -> Plan:
    clients = at.hosts[:1]
    with_it, others = (at.leader, *clients), (*at.followers, *at.hosts[1:])
    return Plan(f"partition {' '.join(with_it)} / {' '.join(others)}", _part(with_it, others), (HEAL,))


def part_follower(at: Scene) -> Plan:
    name = at.some_follower()
    others = tuple(member for member in at.members if member != name)
    return Plan(f"partition {name} / the others", _part((name,), others), (HEAL,))


def part_all(at: Scene) -> Plan:
    return Plan("partition every member / every other", _part(*((name,) for name in at.members)), (HEAL,), (2.0, 4.0))


def leader_hears_nothing(at: Scene) -> Plan:
    ends = at.switch_of[at.leader], at.leader
    return Plan(f"{at.leader}, the leader, hears nothing", _cut(*ends, one_way=True), (HEAL,))


def leader_is_not_heard(at: Scene) -> Plan:
    ends = at.leader, at.switch_of[at.leader]
    return Plan(f"{at.leader}, the leader, is not heard", _cut(*ends, one_way=True), (HEAL,))


def cut_link(at: Scene) -> Plan:
    a, b = at.random.choice(at.links) if at.links else (at.leader, at.switch_of[at.leader])
    one_way = at.random.random() < 0.5
    return Plan(f"link {a} {'->' if one_way else '<->'} {b} down", _cut(a, b, one_way=one_way), (HEAL,))


def restart_switch(at: Scene) -> Plan:
    name = at.random.choice(at.switches)
    return Plan(f"kill switch {name}", _switch("kill", name), _switch("start", name), (0.5, 3.0))


def pause_switch(at: Scene) -> Plan:
    name = at.random.choice(at.switches)
    return Plan(f"pause switch {name}", _switch("pause", name), _switch("resume", name), (1.0, 4.0))


def restart_controller(_at: Scene) -> Plan:
    return Plan("kill the controller", _controller("kill"), _controller("start"))


def leader_dies_uncontrolled(at: Scene) -> Plan:
    what = f"kill the controller, then {at.leader}, the leader"
    breaking = (*_controller("kill"), *_node("kill", at.leader))
    return Plan(what, breaking, (*_controller("start"), *_node("start", at.leader)))


def switch_dies_with_leader(at: Scene) -> Plan:
    name = at.switch_of[at.leader]
    breaking = (*_switch("kill", name), *_node("kill", at.leader))
    what = f"kill {at.leader}, the leader, and its switch {name}"
    return Plan(what, breaking, (*_switch("start", name), *_node("start", at.leader)))


def leader_sleeps_then_follower_dies(at: Scene) -> Plan:
    name = at.some_follower()
    what = f"pause {at.leader}, the leader, and kill {name}"
    breaking = (*_node("pause", at.leader), *_node("kill", name))
    return Plan(what, breaking, (*_node("resume", at.leader), *_node("start", name)), (2.0, 4.0))


KINDS: tuple[Callable[[Scene], Plan], ...] = (
    kill_leader,
    kill_follower,
    kill_majority,
    kill_all,
    pause_leader,
    pause_follower,
    part_leader,
    part_leader_with_clients,
    part_follower,
    part_all,
    leader_hears_nothing,
    leader_is_not_heard,
    cut_link,
    restart_switch,
    pause_switch,
    restart_controller,
    leader_dies_uncontrolled,
    switch_dies_with_leader,
    leader_sleeps_then_follower_dies,
)


NEED_OTHERS = frozenset(
    {
        kill_follower,
        pause_follower,
        part_leader,
        part_leader_with_clients,
        part_follower,
        part_all,
        leader_sleeps_then_follower_dies,
    }
)
"""Kinds that are nothing where one member is alone."""


def kill_any(at: Scene) -> Plan:
    """kill -9 of one node, and soon its start."""
    name = at.random.choice(at.members)
    what = f"kill {name}{', the leader' if name == at.leader else ''}"
    return Plan(what, _node("kill", name), _node("start", name), (0.0, 1.5))


class Deck:
    """Kinds of faults in random order, each as often as any other."""

    def __init__(self, kinds: tuple[Callable[[Scene], Plan], ...], random: Random) -> None:
        self._kinds, self._random = kinds, random
        self._left: list[Callable[[Scene], Plan]] = []

    def draw(self, members: int) -> Callable[[Scene], Plan]:
        """The next that can befall so many members."""
        while True:
            if not self._left:
                self._left = self._random.sample(self._kinds, len(self._kinds))
            kind = self._left.pop()
            if members > 1 or kind not in NEED_OTHERS:
                return kind
