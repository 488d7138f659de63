"""Limits of what clients' hosts may ask: how many requests a second may enter at a host's port. Pure, but for what
``Limits`` remembers.

A limit is an operator's wish, and stands in the switch as a table entry with a meter (RFC 2698, both rates the same).
A controller that has just taken over knows the wishes of its predecessor from the entries that it finds.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

MOST_PER_SECOND = 10_000_000
LEAST_BURST = 10
"""Requests that may come at once, whatever the rate: a client that opens a session asks for several things."""
BURST_PARTS = 10
"""A burst may hold what the rate allows in this part of a second."""


@dataclass(frozen=True)
class Meter:
    """What a switch's meter lets through: packets per second, and how many at once."""

    per_second: int
    burst: int


def meter(per_second: int) -> Meter:
    """The meter of a limit."""
    return Meter(per_second, max(LEAST_BURST, per_second // BURST_PARTS))


def as_read(cir: int, cburst: int, pir: int, pburst: int, wished: int | None) -> Meter | None:
    """A meter as a switch has returned it; None if it is none that a controller writes. BMv2 holds rates in floating
    point and returns some of them less one: then it is what was ``wished``, by the entry's own parameter."""
    if cir != pir or cburst != pburst:
        return None
    is_rounded = wished is not None and wished - 1 == pir
    return Meter(wished if is_rounded and wished is not None else pir, pburst)


def parse(text: str) -> int | None:
    """Requests per second of ``500/s``; None of ``off``. Raises ValueError, which says how to write a rate."""
    if text == "off":
        return None
    found = re.fullmatch(r"([0-9]{1,20})/s", text)
    if found is None:
        raise ValueError(f"{text!r} is no rate: write whole requests per second as in 500/s, or off")
    return checked(int(found[1]))


def checked(per_second: int) -> int:
    """The rate, if it is one that a limit can have. Raises ValueError."""
    if not 1 <= per_second <= MOST_PER_SECOND:
        raise ValueError(
            f"{per_second}/s is no limit: it must be from 1/s to {MOST_PER_SECOND}/s; off takes a limit away"
        )
    return per_second


def check_host(name: str, hosts: Iterable[str], members_hosts: Container[str], *, off: bool) -> None:
    """Raises ValueError if the host cannot have a limit. One that a member has come to may still lose its own."""
    hosts = list(hosts)
    clients = ", ".join(host for host in hosts if host not in members_hosts) or "none"
    if name not in hosts:
        raise ValueError(f"no host is called {name!r}; hosts of clients: {clients}")
    if name in members_hosts and not off:
        raise ValueError(f"a member runs on {name}, and what members say has no limit; hosts of clients: {clients}")


class Limits:
    """The wishes of one controller, by host. ``wished`` is what switches ought to hold."""

    def __init__(self, given: Mapping[str, int]) -> None:
        """``given``: those that hold from the start."""
        self.wished: Mapping[str, int] = dict(given)
        self._said = set(given)
        """Hosts of which this controller was told, rather than finding what a switch held."""
        self._known: set[str] = set()
        """Switches whose limits were looked at: what somebody else writes there later is no wish."""

    def set(self, host: str, per_second: int | None) -> None:
        """An operator wishes for a limit, or for none."""
        self._said.add(host)
        self._take(host, per_second)

    def found(self, switch: str, held: Mapping[str, int | None]) -> bool:
        """A switch was read, and its hosts have these limits there. Whether anything is new by that."""
        if switch in self._known:
            return False
        self._known.add(switch)
        before = self.wished
        for host, per_second in held.items():
            if host not in self._said:
                self._take(host, per_second)
        return self.wished != before

    def forget(self) -> None:
        """Another controller decides now: what switches hold later is newer than what was said here."""
        self._said.clear()
        self._known.clear()

    def _take(self, host: str, per_second: int | None) -> None:
        others = {name: rate for name, rate in self.wished.items() if name != host}
        self.wished = others if per_second is None else {**others, host: per_second}
