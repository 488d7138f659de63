"""A tutorial's topology.json as pipelines in this process: what a host sends reaches the hosts that it should."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p4compiler.compile import compile_file
from p4compiler.source import CompileFailed, Diagnostics
from p4switch.pipeline.entities import Exact, Lpm, Match, Range, Replica, Ternary
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program import Table

MOST_HOPS = 1000
HOP_US = 50


class Failed(Exception):
    """An exercise does not do what its README says; the text says what instead."""


def number(value: Any) -> int:
    """A number as runtime JSONs write it: an int, an address, or digits."""
    if isinstance(value, int):
        return value
    text = str(value)
    if re.fullmatch(r"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", text):
        return int(text.replace(":", ""), 16)
    if "." in text or text.count(":") > 1:
        return int(ipaddress.ip_address(text))
    return int(text, 0)


@dataclass(frozen=True)
class Host:
    name: str
    ip: str
    mac: str


class Network:
    """Switches with one program, hosts and links. `entries`: the folder of the runtime JSONs to load. `cpu`: frames
    that left at a switch's CPU port."""

    def __init__(self, topology: Path, program: Path, cache: Path, entries: Path | None) -> None:
        data = json.loads(topology.read_text())
        diagnostics = Diagnostics()
        try:
            compiled = compile_file(program, diagnostics)
        except CompileFailed:
            first = next((one.message for one in diagnostics if one.severity == "error"), "")
            raise Failed(f"p4compiler refuses {program.name}: {first}") from None
        self.hosts = {name: Host(name, h["ip"].split("/")[0], h["mac"]) for name, h in data["hosts"].items()}
        self.switches = {name: Pipeline.load(compiled.json, cache=cache, flags=QUICK) for name in data["switches"]}
        self.cpu_ports = {name: int(s["cpu_port"]) for name, s in data["switches"].items() if "cpu_port" in s}
        self.cpu: list[tuple[str, bytes]] = []
        self.now = 1_000_000
        self.depths: dict[tuple[str, int], int] = {}
        self._peer: dict[tuple[str, int], tuple[str, int]] = {}
        for a, b, *_ in data["links"]:
            ends = [_end(a), _end(b)]
            self._peer[ends[0]], self._peer[ends[1]] = ends[1], ends[0]
        if entries is not None:
            for name, switch in data["switches"].items():
                if "runtime_json" in switch:
                    runtime = entries / Path(switch["runtime_json"]).name
                    load_runtime(self.switches[name], json.loads(runtime.read_text()))

    def close(self) -> None:
        for switch in self.switches.values():
            switch.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, host: str, frame: bytes) -> list[tuple[str, bytes]]:
        """What each host gets of it: (host, frame), in the order of arrival."""
        return self._carry([(self._peer[host, 0], frame)])

    def packet_out(self, switch: str, frame: bytes) -> list[tuple[str, bytes]]:
        """What each host gets of a frame that enters at the CPU port, with its packet_out header in front."""
        return self._carry([((switch, self.cpu_ports[switch]), frame)])

    def _carry(self, frames: Sequence[tuple[tuple[str, int], bytes]]) -> list[tuple[str, bytes]]:
        arrived: list[tuple[str, bytes]] = []
        waiting = deque(frames)
        for _ in range(MOST_HOPS):
            if not waiting:
                return arrived
            (node, port), frame = waiting.popleft()
            if node in self.hosts:
                arrived.append((node, frame))
                continue
            self.now += HOP_US
            for out, sent in self.switches[node].step(port, frame, self.now).packets:
                if out == self.cpu_ports.get(node):
                    self.cpu.append((node, sent))
                elif (node, out) in self._peer:
                    waiting.append((self._peer[node, out], sent))
        raise Failed(f"a packet still goes round after {MOST_HOPS} hops")


def _end(text: str) -> tuple[str, int]:
    """s1-p2 is a switch's port; h1 a host."""
    name, _, port = text.partition("-p")
    return name, int(port or 0)


def load_runtime(switch: Pipeline, data: Mapping[str, Any]) -> None:
    """The entries of a tutorial's sX-runtime.json."""
    for entry in data.get("table_entries", ()):
        table = switch.program.tables[entry["table"]]
        action = entry["action_name"]
        params = switch.program.actions[table.action_ids[table.actions.index(action)]].params
        values = [number(entry["action_params"][p.name]) for p in params]
        if entry.get("default_action"):
            switch.set_default(table.name, action, values)
        else:
            match = list(_match(table, entry.get("match", {})))
            switch.insert(table.name, match, action, values, entry.get("priority", 0))
    for group in data.get("multicast_group_entries", ()):
        replicas = [Replica(r["egress_port"], r["instance"]) for r in group["replicas"]]
        switch.set_multicast_group(group["multicast_group_id"], replicas)


def _match(table: Table, given: Mapping[str, Any]) -> Iterator[Match]:
    for key in table.key:
        value = given.get(key.name)
        full = (1 << key.width) - 1
        if key.kind == "lpm":
            yield Lpm(number(value[0]), int(value[1])) if value else Lpm(0, 0)
        elif key.kind == "ternary":
            yield Ternary(number(value[0]), number(value[1])) if value else Ternary(0, 0)
        elif key.kind == "range":
            yield Range(number(value[0]), number(value[1])) if value else Range(0, full)
        else:
            yield Exact(number(value[0] if isinstance(value, list) else value))
