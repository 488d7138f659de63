"""Copies along a tree while switches disagree: some hold the old one, some the new one, some a part of each.

Every switch can be at any point of its writes. What p4/include/append_fanout.p4 and fanout_copy.p4 do with that is
said here a second time, in a few lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from random import Random

import pytest

from controller.desired import Entry, Held, Leadership, MulticastGroup, View, apply, batches, desired_entries, diff
from controller.network import Group, Link, Network, parse
from topo import topology
from topo.lab import configs

FEATURES = frozenset({"append_fanout"})
TOPOLOGIES = ("triangle", "five", "seven", "leaf-spine", "line", "single", "two-groups")
MOST_VISITS = 9
"""A message that a switch takes more often goes in circles."""
MOST_MIXES = 1500
"""Combinations of what switches hold that are tried of one change; all, where there are fewer."""

Switches = Mapping[str, tuple[Held, ...]]


@dataclass(frozen=True)
class Change:
    """What the controller knew, and what it knows now."""

    name: str
    before: tuple[Network, View]
    after: tuple[Network, View]


@dataclass(frozen=True)
class Travelled:
    """Copies that hosts got, by address and target, and how often each switch took the message."""

    copies: Counter[tuple[int, int]]
    visits: Counter[str]


def lookup(held: tuple[Held, ...], table: str, **key: int) -> dict[str, int] | None:
    """The action's parameters of the entry with this key."""
    for entry in held:
        if isinstance(entry, Entry) and entry.table == table and dict(entry.match) == key:
            return dict(entry.params)
    return None


def copied(held: tuple[Held, ...], group: int, source: int, port: int) -> Iterator[tuple[int, int, dict[str, int]]]:
    """(port, instance, rewriting) of each copy that leaves a switch."""
    entry = lookup(held, "append_fanout", group=group, source=source)
    if entry is None or entry["from_port"] != port:
        # Without an entry it goes to the service address, to which no switch has a route; else to the wrong port.
        return
    for tree in held:
        for out, instance in tree.replicas if isinstance(tree, MulticastGroup) else ():
            if isinstance(tree, MulticastGroup) and tree.id != entry["multicast_group"]:
                continue
            rewriting = lookup(held, "fanout_copy", group=group, egress_port=out, member=instance)
            to_sender, back = instance == source, instance == 0 and out == port
            if rewriting is not None and not to_sender and not back:
                yield out, instance, rewriting


def send(network: Network, holds: Callable[[str], tuple[Held, ...]], group: Group, source: int) -> Travelled:
    """A member's message to everybody, over links of which all work. What a switch holds is asked at each arrival."""
    peers = {end: other for link in network.links for end, other in (link.ends, link.ends[::-1])}
    member = group.member(source)
    assert member is not None
    host = network.host(member.host)
    found = Travelled(Counter(), Counter())
    todo = [(host.switch, host.port)]
    while todo:
        switch, port = todo.pop()
        copies = list(copied(holds(switch), group.id, source, port))
        found.visits[switch] += bool(copies)
        assert found.visits[switch] <= MOST_VISITS, f"in circles: {found}"
        for out, instance, rewriting in copies:
            if instance:
                found.copies[rewriting["address"], instance] += 1
            else:
                todo.append(peers[switch, out])
    return found


def view(network: Network, leader: int, links: frozenset[Link] | None = None) -> View:
    """All groups are led by the member with the same id."""
    leaders = {group.id: Leadership(leader, 5) for group in network.groups}
    return View(frozenset(network.links) if links is None else links, leaders, FEATURES)


def without(network: Network, member: int) -> Network:
    """All groups have lost a member."""
    groups = (
        replace(group, members=tuple(one for one in group.members if one.id != member)) for group in network.groups
    )
    return replace(network, groups=tuple(groups))


def changes(network: Network) -> Iterator[Change]:
    """Links down and up, leaders that move, members that go and come, and all of it at once."""
    whole = (network, view(network, 1))
    for link in network.links:
        lost = (network, view(network, 1, frozenset(network.links) - {link}))
        yield Change(f"{link} down", whole, lost)
        yield Change(f"{link} up", lost, whole)
    ids = [member.id for member in network.groups[0].members]
    for leader in ids[1:]:
        yield Change(f"{leader} leads", whole, (network, view(network, leader)))
        fewer = without(network, leader)
        yield Change(f"{leader} goes", whole, (fewer, view(fewer, 1)))
        yield Change(f"{leader} comes", (fewer, view(fewer, 1)), whole)
    if network.links:
        links = frozenset(network.links[1:])
        yield Change("another leader, and a link down", whole, (network, view(network, ids[-1], links)))
    yield Change("the feature is put on", (network, View(frozenset(network.links))), whole)
    yield Change("the feature is taken away", whole, (network, View(frozenset(network.links))))


def stages(change: Change, switch: str) -> list[tuple[Held, ...]]:
    """What a switch holds before, between, and after its writes."""
    held = desired_entries(change.before[0], switch, change.before[1])
    found = [held]
    for batch in batches(diff(desired_entries(change.after[0], switch, change.after[1]), held)):
        held = apply(batch, held)
        found.append(held)
    return found


def mixes(change: Change, chance: Random) -> Iterator[Switches]:
    """Every switch at some point of its writes; at first, all of them at the end."""
    names = [switch.name for switch in change.before[0].switches]
    all_stages = [stages(change, name) for name in names]
    yield dict(zip(names, (each[-1] for each in all_stages), strict=True))
    number = 1
    for each in all_stages:
        number *= len(each)
    if number <= MOST_MIXES:
        every: Iterator[tuple[tuple[Held, ...], ...]] = product(*all_stages)
    else:
        every = islice(iter(lambda: tuple(map(chance.choice, all_stages)), ()), MOST_MIXES)
    for mix in every:
        yield dict(zip(names, mix, strict=True))


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_switches_that_disagree_make_no_copy_twice_none_for_the_sender_and_none_in_circles(name: str) -> None:
    network = parse(configs.network(topology.find(name)))
    chance = Random(name)
    tried = 0
    for change in changes(network):
        groups = change.before[0].groups
        for switches in mixes(change, chance):
            for group in groups:
                for source in [member.id for member in group.members]:
                    found = send(network, switches.__getitem__, group, source)
                    said = f"{change.name}: {found}"
                    assert all(count == 1 for count in found.copies.values()), said
                    assert all(count <= 1 for count in found.visits.values()), said
                    assert source not in {target for _, target in found.copies}, said
                    tried += bool(found.copies)
    assert tried


def drifting(all_stages: Mapping[str, list[tuple[Held, ...]]], chance: Random) -> Callable[[str], tuple[Held, ...]]:
    """What a switch holds, where any switch may go on with its writes each time that one is asked."""
    at = dict.fromkeys(all_stages, 0)

    def holds(switch: str) -> tuple[Held, ...]:
        for other, steps in all_stages.items():
            if chance.random() < 0.4:
                at[other] = chance.randrange(at[other], len(steps))
        return all_stages[switch][at[switch]]

    return holds


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_message_that_is_under_way_while_switches_change_comes_to_an_end(name: str) -> None:
    """It may be copied twice, along the old tree and then along the new one, and never comes to its sender."""
    network = parse(configs.network(topology.find(name)))
    chance = Random(name)
    most: Counter[str] = Counter()
    for change in changes(network):
        found = {switch.name: stages(change, switch.name) for switch in network.switches}
        for group, _ in product(change.before[0].groups, range(100)):
            for source in [member.id for member in group.members]:
                travelled = send(network, drifting(found, chance), group, source)
                assert source not in {target for _, target in travelled.copies}, f"{change.name}: {travelled}"
                most |= travelled.visits
    assert max(most.values()) <= 2, most


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_once_all_agree_every_member_that_is_reached_gets_one_copy(name: str) -> None:
    network = parse(configs.network(topology.find(name)))
    for change in changes(network):
        after, known = change.after
        switches = next(mixes(change, Random(0)))
        for group in after.groups:
            leader = known.leaders.get(group.id, Leadership()).leader
            for source in [member.id for member in group.members]:
                targets = {target for _, target in send(after, switches.__getitem__, group, source).copies}
                expected = reached(after, known.links, group, source) if source == leader else set()
                assert targets == expected, f"{change.name}: {targets}"


def reached(network: Network, links: frozenset[Link], group: Group, source: int) -> set[int]:
    """The members, but the one with the id ``source``, to which a path leads from it."""
    places = {member.id: network.host(member.host).switch for member in group.members}
    found = {places[source]}
    while more := {end for link in links for end in (link.a, link.b) if found & {link.a, link.b}} - found:
        found |= more
    return {member for member, switch in places.items() if switch in found} - {source}
