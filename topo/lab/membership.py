"""Changing who the members of a running lab's groups are, and who leads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from topo.errors import LabError, NotPermitted, UsageError
from topo.lab.running_lab import Live
from topo.views import output

PATIENCE_S = 60.0
TRANSFER_PATIENCE_S = 10.0
LEADERLESS_S = 10.0
"""An election takes a second or two: a group without a leader for so long has none to come by itself."""
STEP_S = 0.1

Json = dict[str, Any]


@dataclass(frozen=True)
class Members:
    """A group of the lab, asked and changed through its leader. Raises LabError where there is none."""

    live: Live
    group: int

    def leader(self) -> tuple[str, Json]:
        """The leader's host, and what it says of the members."""
        for name in self.live.topology.nodes:
            try:
                shown = self.live.ask_node(name, {"cmd": "members", "group": self.group})
            except NotPermitted:
                raise
            except LabError:
                continue
            if shown["leads"]:
                return name, shown
        raise _Leaderless(f"group {self.group} has no leader now: who the members are cannot be changed")

    def change(
        self, request: Json, done: Callable[[Json], bool], patience_s: float = PATIENCE_S, *, once: bool = False
    ) -> Json:
        """Have the leader do it, and again if that is lost, as with a leader that is deposed before anyone else has
        heard of it; returns once ``done`` likes what a leader says of the members. ``once``: each leader is asked
        once only. Raises LabError, with the leader's words if it refuses; and where nobody leads for long."""
        led = time.monotonic()
        deadline = led + patience_s
        asked, said = "", ""
        while time.monotonic() < deadline:
            try:
                name, shown = self.leader()
                led = time.monotonic()
                if done(shown) and not shown["changing"]:
                    return shown
                if asked and not shown["changing"] and shown["change"]:
                    raise _Refused(f"node {name}: {shown['change']}")
                if shown["changing"] or (once and name == asked):
                    said = shown["change"] or said
                else:
                    self.live.ask_node(name, {**request, "group": self.group})
                    asked = name
            except _Refused:
                raise
            except _Leaderless as error:
                said = str(error)
                if time.monotonic() - led >= LEADERLESS_S:
                    raise LabError(self._leaderless(asked)) from None
            except LabError as error:
                said = str(error)
                if not _may_pass(said):
                    raise
            time.sleep(STEP_S)
        raise LabError(f"not within {patience_s:.0f} s{': ' if said else ''}{said}")

    def _leaderless(self, asked: str) -> str:
        told = f"group {self.group} has had no leader for {LEADERLESS_S:.0f} s: start more of its members"
        later = f"; {asked}, which led, was asked: it may still be done" if asked else ""
        return f"{told} (switchraft node start HOST), or mend the links between them{later}"


class _Refused(LabError):
    pass


class _Leaderless(LabError):
    pass


def _may_pass(said: str) -> bool:
    return any(words in said for words in ("not the leader", "not now", "does not answer"))


def add(host: str, group: int | None) -> None:
    """Start a node on ``host`` if none runs there, and have it catch up and vote."""
    print(added(of(Live.find(), group), host))


def added(members: Members, host: str) -> str:
    """Does what ``add`` does; returns what was done. Raises LabError."""
    live = members.live
    number = live.topology.node_id(host)
    _check_cluster(live, host, members.group)
    told = ""
    try:
        live.ask_node(host, {"cmd": "status"})
    except NotPermitted:
        raise
    except LabError:
        told = live.change({"cmd": "node", "action": "start", "name": host}) + "\n"
    request = {"cmd": "member_add", "member": number, "address": f"{live.topology.host(host).ip}"}
    shown = members.change(request, lambda shown: shown["members"].get(str(number), {}).get("votes", False))
    return f"{told}{host} is member {number} of group {members.group}, since index {shown['index']}"


def remove(host: str, group: int | None) -> None:
    """Take ``host``'s vote away. Its node goes on running."""
    print(removed(of(Live.find(), group), host))
    print(f"Its node still runs, as a member of nothing; end it with: switchraft node kill {host}")


def removed(members: Members, host: str) -> str:
    """Does what ``remove`` does; returns what was done. Raises LabError."""
    number = members.live.topology.node_id(host)
    if str(number) not in members.leader()[1]["members"]:
        raise UsageError(f"{host} is no member of group {members.group} now")
    request = {"cmd": "member_remove", "member": number}
    shown = members.change(request, lambda shown: str(number) not in shown["members"])
    return f"{host} is no member of group {members.group} any more, since index {shown['index']}"


def transfer(host: str, group: int | None) -> None:
    """Hand leadership to ``host``."""
    print(transferred(of(Live.find(), group), host))


def transferred(members: Members, host: str) -> str:
    """Does what ``transfer`` does; returns what was done. Raises LabError."""
    number = members.live.topology.node_id(host)
    members.live.ask_node(host, {"cmd": "status"})
    request = {"cmd": "transfer", "member": number}
    members.change(request, lambda shown: shown["id"] == number, TRANSFER_PATIENCE_S, once=True)
    return f"{host} leads group {members.group}"


def show(group: int | None, *, as_json: bool) -> None:
    """Print who the members are, as their leader sees it."""
    live = Live.find()
    members = of(live, group)
    _, shown = members.leader()
    if as_json:
        output.print_json(shown)
        return
    names = {str(host.ip): host.name for host in live.topology.hosts}
    for number, member in shown["members"].items():
        part = "leaves" if member["leaves"] else "votes" if member["votes"] else "learns"
        leads = ", leads" if shown["leader"] == int(number) else ""
        name = names.get(member["address"].partition(":")[0], "?")
        lost = f", {member['lost']}" if member["lost"] else ""
        print(f"{name:>6}  member {number:<3} {member['address']:<21} {part}{leads}{lost}")
    state = "committed" if shown["committed"] else "not committed yet"
    print(f"since index {shown['index']}, {state}{'; ' if shown['change'] else ''}{shown['change']}")


def _check_cluster(live: Live, host: str, group: int) -> None:
    topology = live.topology
    serves = [one.id for one in topology.clusters[topology.cluster_of(host)]]
    if group not in serves:
        raise UsageError(f"a node on {host} serves group {', '.join(map(str, serves))}, not group {group}")


def of(live: Live, group: int | None) -> Members:
    """A group of the lab; None: the first. Raises UsageError."""
    known = [one.id for one in live.topology.groups]
    if group is not None and group not in known:
        raise UsageError(f"there is no group {group}; there are {', '.join(map(str, known))}")
    return Members(live, known[0] if group is None else group)
