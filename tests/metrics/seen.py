"""A lab as it answers when everything in it has something to say: for tests of what is made of that."""

from __future__ import annotations

from typing import Any

from hosts.measures import BOUNDS_S, STAGES, Durations
from topo.metrics.gather import Seen


def durations(*seconds: float) -> dict[str, Any]:
    made = Durations()
    for one in seconds:
        made.observe(one)
    return made.shown()


def group(member: int, leader: int) -> dict[str, Any]:
    """A member's group, of three members with the ids 1 to 3."""
    others = [str(one) for one in (1, 2, 3) if one != member]
    shown: dict[str, Any] = {
        "group": 7,
        "id": member,
        "role": "leader" if member == leader else "follower",
        "term": 4,
        "leader": leader,
        "learners": [3],
        "last_index": 120,
        "durable_index": 119,
        "commit": 118,
        "applied": 117,
        "snapshot": 100,
        "waiting": 5,
        "readers": 6,
        "problems": ["member 2 (h2) has lost data"],
        "counts": {
            "leader_changes_seen": 2,
            "leader_ends_told": 2,
            "leader_ends_proven": 1,
            "hints_gone": 21,
            "hints_cut_off": 22,
            "reads_leader": 31,
            "reads_follower": 32,
            "reads_stale": 33,
            "reads_given_up": 34,
            "reads_questions_asked": 35,
            "reads_questions_asked_along": 8,
            "reads_questions_asked_again": 36,
            "reads_questions_answered": 37,
            "reads_questions_void": 38,
            "reads_questions_taken": 39,
            "reads_questions_taken_at_once": 12,
            "reads_questions_told_along": 9,
            "fanout_rounds": 11,
            "fanout_appends": 12,
            "fanout_trials": 13,
            "fanout_trials_in_vain": 14,
            "fanout_fallbacks": 15,
            "fanout_fallbacks_entries": 10,
            "fanout_laggards": 16,
            "fanout_rejects": 17,
            "gather_asked": 27,
            "gather_pauses": 28,
            "acknowledgements_merged": 19,
            "acknowledgements_late": 20,
            "acknowledgements_asked_again": 21,
            "acknowledgements_choices": 22,
            "proposals_committed": 18,
            "proposals_applied": 17,
            "proposals_failed": 3,
            "proposals_refused": 1,
        },
        "durations": {
            "stages": {stage: durations(0.00005, 0.003) for stage in STAGES},
            "syncs": durations(0.0002, 10.0),
            "round_trips": {other: durations(0.001) for other in others},
        },
    }
    if member == leader:
        shown["progress"] = {other: {"match_index": 110 + int(other)} for other in others}
    return shown


def node(member: int, leader: int) -> dict[str, Any]:
    peers = {
        str(one): {"address": f"10.0.{one}.{one}:26410", "sent_bytes": 1000 + one, "received_bytes": 2000 + one}
        for one in (1, 2, 3)
        if one != member
    }
    return {
        "name": f"h{member}",
        "uptime_s": 12.5,
        "bounds_s": list(BOUNDS_S),
        "groups": [group(member, leader)],
        "counters": {
            "sent": {"APPEND_ENTRIES": 30, "CLIENT_REPLY": 7},
            "received": {"APPEND_ENTRIES_REPLY": 29},
            "drops": {"misdelivered": 2, "bad_mac": 1},
        },
        "peers": peers,
        "fan_outs": {"1": {"address": "10.0.0.100:26410", "sent_bytes": 3000 + member}},
    }


def count(packets: int) -> dict[str, int]:
    return {"packets": packets, "bytes": packets * 100}


SWITCH: dict[str, Any] = {
    "messages": {"AppendEntries": count(50), "types above 30": count(1)},
    "drops": {"not_member": count(3), "stale_term": count(2)},
    "redirects": {"0": count(8), "1": count(2)},
    "copies": {"to_member": count(4)},
    "acknowledgements": {"kept": count(5)},
    "ends": {"told": count(2)},
    "ports": {"1": {"rx": count(40), "tx": count(41)}},
    "features": {"member_guard": 60, "leader_route": 10},
}

CONTROLLER: dict[str, Any] = {
    "switches": {
        "s1": {"programmed": True, "times_programmed": 2, "entries": 15},
        "s2": {"programmed": False, "times_programmed": 0, "entries": 0},
    },
    "features": {"term_filter": {"s1": True, "s2": False}},
    "groups": [{"group": 7, "switches": {"s1": {"leader": 1, "term": 4}}, "hints": {"gone": 3, "cut_off": 4}}],
    "links": [{"a": "s1", "b": "s2", "up": False}],
}

NAMES = {f"10.0.{one}.{one}:26410": f"h{one}" for one in (1, 2, 3)}

SEEN = Seen(
    nodes={"h1": node(1, leader=1), "h2": node(2, leader=1), "h3": "node h3 does not answer: timed out"},
    lab=True,
    switches={"s1": SWITCH, "s2": "s2: no answer within 1 s"},
    controller=CONTROLLER,
    names=NAMES,
)
