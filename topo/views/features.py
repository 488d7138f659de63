"""The features of a running lab's switches: which are on, and changing that through the controller."""

from __future__ import annotations

from typing import Any

from controller.network import FEATURES
from topo.errors import LabError, UsageError
from topo.lab.running_lab import Live
from topo.views import counters, effects, output, status

WHAT = {
    "member_guard": "drops what claims to come from a member and does not",
    "leader_watch": "remembers who leads, and tells the controller",
    "term_filter": "drops requests of a lower term while the leader is heard",
    "client_limit": "drops what clients ask beyond their limit: see switchraft limit",
    "read_route": "takes requests that only read to the members in turn",
    "leader_route": "brings client requests to the leader",
    "configuration": "tells the controller who the members are",
    "append_fanout": "copies a leader's AppendEntries to everybody along a tree",
    "ack_gather": "keeps acknowledgements until a quorum has news, and sends them on together",
    "leader_gone": "tells the controller that a leader has ended, or is missed",
}


def gather(live: Live) -> dict[str, Any]:
    """By feature: ``at``, whether it is on at each switch; ``did`` and ``given_up``, as in ``topo.views.effects``."""
    whole = status.gather(live)
    if whole["controller"]["error"]:
        raise LabError(f"controller: {whole['controller']['error']}")
    done = effects.did(counters.gather(live), whole["groups"])
    fell_back = effects.given_up(whole["nodes"])
    return {
        name: {"at": at, "did": done.get(name, {}), "given_up": fell_back.get(name, {})}
        for name, at in whole["features"].items()
    }


def render(found: dict[str, Any]) -> str:
    """What ``gather`` has found, for people: a line for each feature, and what it did below it."""
    told = []
    for name, feature in found.items():
        told.append(f"{name:<14} {effects.describe(feature['at']):<22} {WHAT.get(name, '')}".rstrip())
        told += [f"{'':<14} {line}" for line in effects.lines(feature["did"], feature["given_up"])]
    return "\n".join(told)


def show(as_json: bool) -> None:
    """Print each feature's state at each switch, what it did, and how often members went back to doing without."""
    output.show(lambda: gather(Live.find()), render, watch=False, as_json=as_json)


def change(name: str, on: bool, switch: str | None) -> None:
    """Take a feature away or put it back, at one switch or at all, and say so. Raises UsageError."""
    print(changed(name, on, switch))


def changed(name: str, on: bool, switch: str | None) -> str:
    """Does what ``change`` does; returns what was done. Raises LabError."""
    live = Live.find()
    if name not in FEATURES:
        raise UsageError(f"no feature is called {name!r}; there are {', '.join(FEATURES)}")
    switches = [one.name for one in live.topology.switches]
    if switch is not None and switch not in switches:
        raise UsageError(f"no switch is called {switch!r}; there are {', '.join(switches)}")
    request: dict[str, Any] = {"cmd": "feature", "name": name, "on": on}
    if switch is not None:
        request["switch"] = switch
    return f"{name}: {effects.describe(live.ask_controller(request)['features'][name])}"
