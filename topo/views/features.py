"""The features of a running lab's switches: which are on, and changing that through the controller."""

from __future__ import annotations

from typing import Any

from controller.network import FEATURES
from topo.errors import UsageError
from topo.lab.running_lab import Live
from topo.views.output import print_json

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


def show(as_json: bool) -> None:
    """Print each feature's state at each switch."""
    held = Live.find().ask_controller({"cmd": "features"})["features"]
    if as_json:
        print_json(held)
        return
    for name, at in held.items():
        print(f"{name:<14} {describe(at):<22} {WHAT.get(name, '')}".rstrip())


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
    return f"{name}: {describe(live.ask_controller(request)['features'][name])}"


def describe(at: dict[str, bool]) -> str:
    """``on``, ``off``, or the switches at which it is off."""
    off = [switch for switch, on in at.items() if not on]
    if not off:
        return "on"
    return "off" if len(off) == len(at) else f"off at {', '.join(off)}"
