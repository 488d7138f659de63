"""Which leader the switches ought to know, decided from what they have heard. Pure.

Switches tell of a leader by digest, for as long as what they heard is not what their entry says. A higher term moves
the entries at once. A lower or equal term with another leader is an old leader's late packet, or a cluster whose data
was wiped and whose terms begin anew: then every switch is asked what it hears before anything is moved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from controller.desired import Leadership
from controller.network import Group


@dataclass(frozen=True)
class Heard:
    """A leader that a switch has heard."""

    leader: int
    term: int


@dataclass(frozen=True)
class Reading:
    """A switch's registers of one group. ``age_us``: microseconds since its leader was last heard; ``leader`` 0: it
    never heard one."""

    leader: int
    term: int
    age_us: int


class Verdict(Enum):
    """What to do about a leader that was heard."""

    KEEP = auto()
    INSTALL = auto()
    ASK = auto()
    """Ask every switch first, then ``judge``."""
    IGNORE = auto()
    """Who was heard is no member of the group."""


def fresh_within_us(filter_window_ms: int) -> int:
    """How recently a leader must have been heard to count as alive: two filter windows, at least 300 ms."""
    return max(2 * filter_window_ms, 300) * 1000


def silent_after_us(filter_window_ms: int) -> int:
    """How long a leader may be unheard at every switch before it is taken out of them, so that clients get an answer
    from the member that they address, not silence: ten filter windows (twenty heartbeats), at least a second."""
    return max(10 * filter_window_ms, 1000) * 1000


def missed_after_us(filter_window_ms: int) -> int:
    """How long a leader must be unheard at every switch before its host is taken for gone: two and a half heartbeats,
    of which a filter window is two."""
    return filter_window_ms * 1250


def decide(current: Leadership, members: Collection[int], heard: Heard) -> Verdict:
    """What a digest calls for."""
    if heard.leader not in members:
        return Verdict.IGNORE
    if (heard.leader, heard.term) == (current.leader, current.term):
        return Verdict.KEEP
    if heard.term > current.term or current.leader == 0:
        return Verdict.INSTALL
    return Verdict.ASK


def judge(current: Leadership, members: Collection[int], readings: Iterable[Reading], fresh_us: int) -> Heard | None:
    """Who leads, when a switch has told of no higher term than the current one: None, for the current leader, if any
    switch still hears it or none hears another; else the highest term that is heard."""
    fresh = [reading for reading in readings if reading.leader in members and reading.age_us < fresh_us]
    if not fresh or any((reading.leader, reading.term) == (current.leader, current.term) for reading in fresh):
        return None
    best = max(fresh, key=lambda reading: (reading.term, -reading.age_us))
    return Heard(best.leader, best.term)


def is_silent(readings: Collection[Reading], limit_us: int) -> bool:
    """Whether no switch has heard a leader for ``limit_us``. Nobody asked, nobody silent."""
    return bool(readings) and all(reading.leader == 0 or reading.age_us > limit_us for reading in readings)


def recover(current: Leadership | None, installed: Leadership) -> Leadership:
    """What a controller that knows no better takes from entries that it finds: the highest term; of equal ones the
    one with a leader."""
    if current is None:
        return installed
    return max(current, installed, key=lambda held: (held.term, held.leader != 0))


def choose_standin(members: tuple[int, ...], standin: int, before: Mapping[int, int], now: Mapping[int, int]) -> int:
    """The member that gets the service address's requests while no leader is known: one that has sent something
    between two readings of its packet count, if possible the same as so far."""
    alive = [member for member in members if member in before and now.get(member, 0) > before[member]]
    if standin in alive or (standin in members and not alive):
        return standin
    return alive[0] if alive else members[0]


class Standins:
    """Chooses members for the service addresses of groups without a leader, from what switches count: packets that
    each (group, member) has sent to other members so far."""

    def __init__(self) -> None:
        self._packets: dict[tuple[int, int], int] = {}

    def forget(self) -> None:
        """Every group has a leader: what was counted says nothing of the next time."""
        self._packets.clear()

    def choose(
        self, groups: Iterable[Group], held: Mapping[int, Leadership], now: Mapping[tuple[int, int], int]
    ) -> dict[int, Leadership]:
        """What changes, by group id. ``now``: of the switches that could be read, so members may be missing."""
        before = self._packets
        self._packets = {**before, **now}
        changes = {}
        for group in groups if before else ():
            current = held[group.id]
            if current.leader:
                continue
            ids = tuple(member.id for member in group.members)
            counts = [{member: n for (of, member), n in one.items() if of == group.id} for one in (before, now)]
            so_far = current.standin or ids[0]
            standin = choose_standin(ids, so_far, *counts)
            if standin != so_far:
                changes[group.id] = Leadership(0, current.term, standin)
        return changes
