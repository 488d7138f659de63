"""Asks a lab's nodes, switches and controller at the same time, and waits for none of them for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from topo.errors import LabError
from topo.lab.configs import grpc_address
from topo.lab.running_lab import Live, ask_node_at

Json = dict[str, Any]
Answers = dict[str, "Json | str"]
"""By name what was answered, or a line that says why nothing was."""

STATUS = {"cmd": "status", "durations": True}


@dataclass(frozen=True)
class Seen:
    """What was found. ``lab`` is None where nodes are asked outside a lab; then ``switches`` and ``controller`` are
    not there either. ``names`` are other members' names by address, where they are known."""

    nodes: Answers
    lab: bool | None = None
    switches: Answers = field(default_factory=dict)
    controller: Json | str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """What did not answer, a line each."""
        told = [*self.nodes.values(), *self.switches.values(), self.controller]
        return [one for one in told if isinstance(one, str)]


class Gatherer(Protocol):
    """Looks at something again and again."""

    async def look(self, timeout_s: float) -> Seen:
        """Never longer than ``timeout_s`` and a little; raises nothing for what is down."""

    async def close(self) -> None: ...


class Nodes:
    """Nodes by their control sockets, wherever they run on this machine."""

    def __init__(self, sockets: Sequence[Path]) -> None:
        """A node's name is its folder's, or its socket's path where that tells it from no other."""
        folders = [path.absolute().parent.name for path in sockets]
        self._sockets = {
            folder if folder and folders.count(folder) == 1 else str(path): path
            for folder, path in zip(folders, sockets, strict=True)
        }

    async def look(self, timeout_s: float) -> Seen:
        asked = {name: (lambda path=path: _node_at(path, timeout_s)) for name, path in self._sockets.items()}
        return Seen(await _ask_all(asked))

    async def close(self) -> None:
        """Nothing is kept."""


class Lab:
    """The running lab, whichever it is at the moment."""

    def __init__(self) -> None:
        self._live: Live | None = None
        """The lab that was seen last."""
        self._readers: dict[str, Any] = {}
        """Of that lab, by switch, a ``controller.readers.CounterReader``."""

    async def look(self, timeout_s: float) -> Seen:
        try:
            live = self._live.renewed() if self._live is not None else Live.find()
            topology = live.topology
        except (LabError, OSError):
            await self.close()
            return Seen({}, lab=False)
        await self._open(live)
        asked = {name: _node(live, name, timeout_s) for name in live.expected_nodes}
        nodes, switches, controller = await asyncio.gather(
            _ask_all(asked),
            self._read_switches(timeout_s),
            _ask_all({"controller": lambda: live.ask_controller({"cmd": "status"}, timeout_s)}),
        )
        names = {f"{host.ip}:{topology.port}": host.name for host in topology.hosts}
        return Seen(nodes, True, switches, controller["controller"], names)

    async def close(self) -> None:
        for reader in self._readers.values():
            await reader.close()
        self._readers, self._live = {}, None

    async def _open(self, live: Live) -> None:
        same = self._live is not None and live.record.token == self._live.record.token
        if not same:
            await self.close()
        self._live = live
        if same:
            return
        from controller.readers import CounterReader

        slots = [group.slot for group in live.topology.groups]
        for switch in live.topology.switches:
            place = grpc_address(switch.device_id), switch.device_id
            self._readers[switch.name] = CounterReader(*place, live.topology.ports(switch.name), slots)

    async def _read_switches(self, timeout_s: float) -> Answers:
        from controller.reads import ReadError

        async def read(name: str) -> Json | str:
            try:
                counts: Json = await self._readers[name].read(timeout_s)
            except ReadError as error:
                return f"{name}: {error}"
            return counts

        return dict(zip(self._readers, await asyncio.gather(*map(read, self._readers)), strict=True))


def _node_at(path: Path, timeout_s: float) -> Json:
    """What a node says at its control socket. Raises LabError, also where somebody else answers."""
    said = ask_node_at(f"at {path}", path, STATUS, timeout_s)
    if "uptime_s" not in said or "groups" not in said:
        raise LabError(f"{path} is no node's control socket: what answers there is no node")
    return said


def _node(live: Live, name: str, timeout_s: float) -> Callable[[], Json]:
    return lambda: live.ask_node(name, STATUS, timeout_s)


async def _ask_all(calls: Mapping[str, Callable[[], Json]]) -> Answers:
    """What all calls gave, each in a thread of its own."""

    async def one(call: Callable[[], Json]) -> Json | str:
        try:
            return await asyncio.to_thread(call)
        except LabError as error:
            return str(error)

    return dict(zip(calls, await asyncio.gather(*map(one, calls.values())), strict=True))
