"""Where a benchmark's servers and clients run: the hosts of a lab, or loopback addresses of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.consensus.loopback import free_port
from hosts.config import DEFAULT_MTU, Hints
from topo import paths, topology
from topo.errors import UsageError
from topo.lab import namespace
from topo.lab.options import Options
from topo.lab.running_lab import Live
from topo.lab.supervisor import running

TOPOLOGIES = {3: "triangle", 5: "five", 7: "seven", 9: "nine"}
GROUP_STEP = 256
"""Between the ids of groups that are added: those that differ by this are the ones most easily confused."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds."""

    heartbeat: int = 50
    election_timeout: int = 300


@dataclass(frozen=True)
class Ground:
    """``addresses`` of members by id, ``service`` that of each group's service where there is one; ``at_member`` and
    ``at_client`` make a command one that runs there; ``switches`` are the processes in between."""

    name: str
    folder: Path
    cluster: Path
    port: int
    addresses: Mapping[int, str]
    client: str
    groups: Mapping[int, str | None]
    at_member: Callable[[int, Sequence[str]], list[str]]
    at_client: Callable[[Sequence[str]], list[str]]
    switches: Sequence[int] = ()
    set_link: Callable[[int, bool], None] | None = None
    """Breaks or mends the link between a member's host and its switch, where there is one."""

    def servers(self, group: int) -> list[str]:
        """What a client is told: the service address, or all members."""
        service = self.groups[group]
        hosts = [service] if service is not None else list(self.addresses.values())
        return [f"{host}:{self.port}" for host in hosts]


@contextmanager
def loopback(nodes: int, groups: int, timing: Timing, hints: Hints = Hints.BOTH) -> Iterator[Ground]:
    """No switches, no root: members at 127.0.0.1, 127.0.0.2, ..."""
    folder = _fresh_folder()
    addresses = {member: f"127.0.0.{member}" for member in range(1, nodes + 1)}
    port = free_port(list(addresses.values()))
    numbers = [1 + GROUP_STEP * number for number in range(groups)]
    cluster = {
        "cluster": 1,
        "port": port,
        "heartbeat_ms": timing.heartbeat,
        "election_timeout_ms": timing.election_timeout,
        "hints": hints.value,
        "data": str(folder / "nodes"),
        "groups": [{"id": number, "members": addresses} for number in numbers],
    }
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(cluster))

    def here(command: Sequence[str]) -> list[str]:
        return list(command)

    yield Ground(
        "loopback",
        folder,
        path,
        port,
        addresses,
        "127.0.0.1",
        dict.fromkeys(numbers),
        lambda member, command: here(command),
        here,
    )


@contextmanager
def lab(
    nodes: int,
    groups: int,
    timing: Timing,
    switch: str,
    say: Callable[[str], None],
    mtu: int = DEFAULT_MTU,
    hints: Hints = Hints.BOTH,
    starts: str = "manual",
) -> Iterator[Ground]:
    """The lab's hosts, through its switches and under its controller. ``starts``: "auto" where the lab itself is to
    start its nodes. Raises LabError."""
    if nodes not in TOPOLOGIES:
        raise UsageError(f"{nodes} nodes: there are topologies of {', '.join(map(str, TOPOLOGIES))} members")
    folder = _fresh_folder()
    drawn = yaml.safe_load((topology.FOLDER / f"{TOPOLOGIES[nodes]}{topology.SUFFIX}").read_text())
    (group,) = drawn["groups"]
    drawn["groups"] = [
        {**group, "id": group["id"] + GROUP_STEP * number, "service": f"10.0.100.{1 + number}"}
        for number in range(groups)
    ]
    drawn["heartbeat_ms"], drawn["election_timeout_ms"] = timing.heartbeat, timing.election_timeout
    if mtu != DEFAULT_MTU:
        drawn["mtu"] = mtu
    drawn["hints"] = hints.value
    path = folder / f"{TOPOLOGIES[nodes]}-{groups}{topology.SUFFIX}"
    path.write_text(yaml.safe_dump(drawn, sort_keys=False))
    with running(Options(topology=str(path), switch=switch, nodes=starts), say):
        live = Live.find()
        found = live.topology
        members = found.groups[0].members
        client = found.clients[0]

        def set_link(member: int, up: bool) -> None:
            host = found.host(members[member])
            live.change({"cmd": "link", "a": host.name, "b": host.switch, "up": up, "one_way": False})

        yield Ground(
            f"{TOPOLOGIES[nodes]}, {switch} switch, links of {mtu}",
            folder,
            paths.cluster(),
            found.port,
            {member: str(found.host(name).ip) for member, name in members.items()},
            str(found.host(client).ip),
            {one.id: str(one.service) for one in found.groups},
            lambda member, command: namespace.wrap(live.holder(members[member]), command),
            lambda command: namespace.wrap(live.holder(client), command),
            [process.pid for process in live.record.processes if process.kind == "switch"],
            set_link,
        )


def open(
    on_loopback: bool,
    nodes: int,
    groups: int,
    timing: Timing,
    switch: str,
    say: Callable[[str], None],
    mtu: int = DEFAULT_MTU,
    hints: Hints = Hints.BOTH,
) -> AbstractContextManager[Ground]:
    """One or the other. ``mtu`` is of the lab's links, ``hints`` of the members' cluster file. Raises LabError."""
    if on_loopback:
        return loopback(nodes, groups, timing, hints)
    return lab(nodes, groups, timing, switch, say, mtu, hints)


def _fresh_folder() -> Path:
    """Beside what benchmarks have recorded."""
    folder = paths.build() / "bench" / "run"
    shutil.rmtree(folder, ignore_errors=True)
    return paths.make(folder)
