"""Waiting for parts of the lab, with an eye on the processes that are waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from topo import paths
from topo.errors import LabError
from topo.lab.process import Child
from topo.lab.running_lab import first_line
from topo.topology import Topology

POLL_S = 0.05
SLOW_S = 60.0
"""A part that has not come up by then does not; a first start also compiles C on a busy machine."""

Result = TypeVar("Result")


def until(what: str, look: Callable[[], Result | None], watched: Iterable[Child], seconds: float = SLOW_S) -> Result:
    """Call ``look`` until it returns something. Raises LabError if a watched process ends or time runs out."""
    watched = tuple(watched)
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        for child in watched:
            if child.process is None:
                raise LabError(f"{child.name} ended while the lab waited for {what}: {child.obituary()}")
        if time.monotonic() > deadline:
            logs = paths.shown(paths.logs())
            raise LabError(f"no {what} within {seconds:.0f} s; the logs are in {logs}")
        time.sleep(POLL_S)


def ask_quietly(path: Any, request: dict[str, Any]) -> dict[str, Any] | None:
    """An answer, or None while nobody answers."""
    try:
        return first_line(path, request, 2.0)
    except (OSError, ValueError):
        return None


def wait_for_controller(children: Mapping[str, Child], switches: list[str]) -> None:
    """Until the controller says that all of ``switches`` are programmed."""

    def look() -> bool | None:
        known = (ask_quietly(paths.controller_socket(), {"cmd": "status"}) or {}).get("switches", {})
        return True if all(known.get(name, {}).get("programmed") for name in switches) else None

    until(
        "controller with all switches programmed",
        look,
        [children["controller"], *map(children.__getitem__, switches)],
    )


def times_programmed(switch: str) -> int | None:
    """How often the controller has programmed ``switch``; None while it does not answer."""
    status = ask_quietly(paths.controller_socket(), {"cmd": "status"})
    return None if status is None else int(status["switches"][switch]["times_programmed"])


def wait_for_programmed(switch: Child, controller: Child, before: int | None) -> str:
    """Until the controller has programmed a switch more often than ``before``. Says how long it took."""
    if controller.process is None or controller.paused:
        return "nobody programs it, the controller does not run"
    started = time.monotonic()
    request = {"cmd": "wait_programmed", "switch": switch.name, "after": before or 0, "timeout": 1.0}

    def look() -> bool | None:
        answer = ask_quietly(paths.controller_socket(), request)
        return True if answer is not None and answer.get("ok") else None

    until("programmed switch", look, [switch, controller])
    return f"programmed {time.monotonic() - started:.1f} s after its start"


def node_socket(name: str) -> Any:
    return paths.nodes() / name / "control.sock"


def wait_for_node(child: Child, name: str) -> str:
    """Until a node answers on its control socket."""
    until("node's answer", lambda: ask_quietly(node_socket(name), {"cmd": "status"}), [child])
    return "it answers"


def wait_for_leader(children: Mapping[str, Child], topology: Topology) -> str:
    """Until every group has a leader that has committed in its term, and counts on all members, to which the switches
    steer. Says who."""

    def look() -> str | None:
        led: dict[int, tuple[str, int]] = {}
        for name in topology.members:
            status = ask_quietly(node_socket(name), {"cmd": "status"}) or {}
            for group in status.get("groups", []):
                counted = all(member["counts"] for member in group.get("progress", {}).values())
                if group["role"] == "leader" and group["commit"] > 0 and counted:
                    led[group["group"]] = name, group["term"]
        known = (ask_quietly(paths.controller_socket(), {"cmd": "leader"}) or {}).get("groups", [])
        for group in known:
            steered = {entry["leader"] for entry in group["switches"].values()}
            if steered != {group["leader"]} or group["host"] != led.get(group["group"], (None, 0))[0]:
                return None
        if not known or len(led) < len(topology.groups):
            return None
        leaders = sorted(led.items())
        return "; ".join(f"{name} leads group {number} in term {term}" for number, (name, term) in leaders)

    return until("leader to whom the switches steer", look, [children[name] for name in topology.members])
