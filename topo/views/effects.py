"""What each feature of the switches has done, and how often members have gone back to doing without it. Pure.

Switches say what they did by their counters, which begin anew with the switch; members say by their status what they
gave up, in all the terms that they have led since their process began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
Counts = dict[str, int]

ANY = ""
DONE = {
    "member_guard": ("drops", {"not_member": "of strangers dropped"}),
    "term_filter": ("drops", {"stale_term": "of lower terms dropped"}),
    "client_limit": ("drops", {"over_limit": "over the limit dropped"}),
    "read_route": ("reads", {ANY: "reads taken to a member"}),
    "leader_route": ("redirects", {ANY: "requests taken to the leader"}),
    "configuration": ("messages", {"Configuration": "told"}),
    "append_fanout": (
        "copies",
        {
            "to_member": "copies for members",
            "over_trunk": "over trunks",
            "no_entry": "not made, as nobody is known behind the port",
        },
    ),
    "ack_gather": (
        "acknowledgements",
        {
            "carried": "acknowledgements carried in another one's packet",
            "kept": "kept",
            "superseded": "overtaken by their sender's next",
        },
    ),
    "leader_gone": ("ends", {"told": "ends told by hosts"}),
}
"""By feature: the section of ``controller.reads.read_counters``, and its cells, or all of them together, in words."""

GIVEN_UP = {
    "append_fanout": {
        "fanout_fallbacks": "for one member, as it answered no copies",
        "fanout_fallbacks_entries": "of these, as it answered heartbeats' copies and not entries'",
        "fanout_trials_in_vain": "for all, as nobody answered a trial",
    },
    "ack_gather": {"gather_pauses": "for a pause, as a commit came by heartbeats' answers alone"},
    "read_route": {"reads_given_up": "for a read, as no leader said up to where to read"},
}
"""Members' counts of what was given up for a while, and why."""


def describe(at: Mapping[str, bool]) -> str:
    """Of a feature that is so at switches: ``on``, ``off``, or the switches at which it is off."""
    off = [switch for switch, on in at.items() if not on]
    if not off:
        return "on"
    return "off" if len(off) == len(at) else f"off at {', '.join(off)}"


def did(counters: Json, groups: Iterable[Json] = ()) -> dict[str, Counts]:
    """By feature: what, and how often. ``counters``: of each switch, as ``topo.views.counters.gather`` has them;
    ``groups``: as the controller's status has them. What has not happened is left out."""
    held = [one for one in counters.values() if "error" not in one]
    found: dict[str, Counts] = {}

    def note(feature: str, what: str, count: int) -> None:
        if count:
            found.setdefault(feature, {})[what] = count

    for feature, (section, cells) in DONE.items():
        for cell, what in cells.items():
            note(feature, what, _packets(held, section, cell))
    for group in groups:
        for cause, count in group.get("hints", {}).items():
            what = f"hints given: {cause.replace('_', ' ')}"
            note("leader_gone", what, found.get("leader_gone", {}).get(what, 0) + count)
    return found


def _packets(switches: Iterable[Json], section: str, cell: str) -> int:
    return sum(
        count["packets"] for one in switches for name, count in one.get(section, {}).items() if cell in (ANY, name)
    )


def given_up(nodes: Json) -> dict[str, Counts]:
    """By feature: why a member has done without it for a while, and how often, over all members and groups.
    ``nodes``: as ``topo.views.status.gather`` has them. What has not happened is left out."""
    found: dict[str, Counts] = {}
    for feature, counts in GIVEN_UP.items():
        for name, why in counts.items():
            count = sum(_count(node, name) for node in nodes.values())
            if count:
                found.setdefault(feature, {})[why] = count
    return found


def _count(node: Json, name: str) -> int:
    return sum(int(group.get("counts", {}).get(name, 0)) for group in node.get("groups", ()))


def lines(done: Counts, fell_back: Counts) -> Iterator[str]:
    """What to say of a feature to people: a line of what it did, and one of what was given up."""
    if done:
        yield "so far: " + ", ".join(f"{count:,} {what}" for what, count in done.items())
    if fell_back:
        yield reasons(fell_back)


def reasons(counts: Counts) -> str:
    """Why members have gone back to doing without a feature, and how often."""
    return "given up: " + "; ".join(f"{count:,} times {why}" for why, count in counts.items())
