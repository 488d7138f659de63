"""The running lab, as the commands see it from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hosts.control import socket as control
from topo import paths
from topo.errors import LabError, NotPermitted, UsageError
from topo.lab.process import Process
from topo.lab.record import Record, load
from topo.topology import Topology


@dataclass(frozen=True)
class Live:
    """A lab that runs."""

    record: Record

    @classmethod
    def find(cls) -> Live:
        """Raises LabError where no lab runs."""
        record = load()
        if record is None:
            raise LabError("no lab runs; start one with: switchraft lab")
        if not record.alive:
            raise LabError("the lab has crashed; remove what it left with: switchraft stop")
        return cls(record)

    def renewed(self) -> Live:
        """The running lab by its record of now; of the same one, the topology is not read again: it stays as it is.
        Raises LabError where no lab runs."""
        live = Live.find()
        if live.record.token == self.record.token:
            vars(live)["topology"] = self.topology  # where ``cached_property`` keeps it
        return live

    @cached_property
    def topology(self) -> Topology:
        return self.record.read_topology()

    @cached_property
    def network(self) -> dict[str, Any]:
        """The controller's network.json."""
        data: dict[str, Any] = json.loads(paths.network().read_text())
        return data

    @property
    def expected_nodes(self) -> list[str]:
        """The members, and whoever else was started: nodes that ought to answer."""
        started = {process.name for process in self.record.processes}
        return [name for name in self.topology.nodes if name in self.topology.members or name in started]

    def holder(self, host: str) -> Process:
        """The process that holds a host's namespace. Raises UsageError."""
        self.topology.host(host)
        return self.record.hosts[host]

    def change(self, request: dict[str, Any]) -> str:
        """Have the lab change something; returns what was done. Raises LabError."""
        try:
            answer = first_line(paths.lab_socket(), request, 120.0)
        except PermissionError:
            raise NotPermitted("the lab is another user's: use sudo") from None
        except (OSError, ValueError) as error:
            raise LabError(f"the lab does not answer ({error}); is it still starting?") from error
        if not answer.get("ok"):
            kind = UsageError if answer.get("usage") else LabError
            raise kind(str(answer.get("error")))
        return str(answer["text"])

    def links(self) -> dict[str, list[str]]:
        """What is cut or parted. Raises LabError where the lab cannot say."""
        answer = first_line(paths.lab_socket(), {"cmd": "status"}, 10.0)
        if not answer.get("ok"):
            raise LabError(str(answer.get("error")))
        links: dict[str, list[str]] = answer["links"]
        return links

    def obituaries(self) -> list[str]:
        """What has ended without being told to, and what it printed before."""
        try:
            dead: list[str] = first_line(paths.lab_socket(), {"cmd": "status"}, 10.0)["dead"]
        except (OSError, ValueError, KeyError):
            return ["the lab does not answer"]
        return dead

    def ask_node(self, name: str, request: dict[str, Any], timeout_s: float = 3.0) -> dict[str, Any]:
        """A node's answer. Raises LabError where it does not answer."""
        return ask_node_at(name, node_socket(name), request, timeout_s)

    def ask_controller(self, request: dict[str, Any], timeout_s: float = 3.0) -> dict[str, Any]:
        """The controller's answer. Raises LabError where it does not answer."""
        return _ask("the controller", paths.controller_socket(), request, timeout_s)


CHANGES = frozenset({"feature", "limit", "member_add", "member_remove", "transfer"})
"""The requests that change something."""
MAY_BE_DONE = "; it may still do what it was asked to, once it goes on"


def node_socket(name: str) -> Path:
    """Where a node answers. Raises LabError for a host that never ran one."""
    folder = paths.nodes() / name
    if not folder.exists():
        raise LabError(f"{name} runs no node, and never did in this lab: switchraft status shows who does")
    return folder / "control.sock"


def ask_node_at(name: str, path: Path, request: dict[str, Any], timeout_s: float = 3.0) -> dict[str, Any]:
    """The answer of the node whose control socket this is. Raises LabError where it does not answer."""
    return _ask(f"node {name}", path, request, timeout_s)


def _ask(who: str, path: Path, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    try:
        answer = first_line(path, request, timeout_s)
    except PermissionError:
        raise NotPermitted(f"{who}'s control socket is another user's: use sudo") from None
    except (OSError, ValueError) as error:
        later = isinstance(error, TimeoutError) and request.get("cmd") in CHANGES
        raise LabError(f"{who} does not answer: {error}{MAY_BE_DONE if later else ''}") from error
    if answer.get("ok") is False:
        raise LabError(f"{who}: {answer.get('error')}")
    return answer


def first_line(path: Path, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """The answer to a request that is answered in one line. Raises OSError or ValueError."""
    for answer in control.ask(path, request, timeout_s):
        return answer
    raise ConnectionError("closed without an answer")
