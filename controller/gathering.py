"""Which acknowledgements a leader's own switch gathers: whose, and how many of them are news. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from controller.network import Group, Network

FEWEST = 2
"""Of one other member alone each acknowledgement is needed."""


@dataclass(frozen=True)
class Gathering:
    """What the leader's switch is told. ``port`` is the leader's, ``needed`` so many others make a quorum with it.
    Every other voter has a position. ``generation`` stands for all of that: entries of two are never mixed."""

    port: int
    needed: int
    positions: Mapping[int, int]
    generation: int


@lru_cache(maxsize=1024)
def gathering(network: Network, group: Group, leader: int, switch: str) -> Gathering | None:
    """What ``switch`` gathers for a group's leader; None if that hangs elsewhere, does not vote, or needs each
    acknowledgement as it comes. A learner has no position: nobody waits for what it says."""
    voters = sorted(member.id for member in group.members if member.votes)
    others = [one for one in voters if one != leader]
    member = group.member(leader)
    if member is None or leader not in voters or len(others) < FEWEST:
        return None
    host = network.host(member.host)
    if host.switch != switch:
        return None
    needed = group.quorum - 1
    generation = crc32(f"{leader} {needed} {others}".encode())
    return Gathering(host.port, needed, {one: at for at, one in enumerate(others)}, generation)
