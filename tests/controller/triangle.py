"""The triangle as a network description, and stub switches under a running controller."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from controller.controller import Controller
from controller.network import FEATURES, Network, parse
from controller.program import Program
from tests.controller.stub_switch import Fabric, StubSwitch

H1, H2, H3, SERVICE = (int(IPv4Address(text)) for text in ("10.0.1.1", "10.0.2.2", "10.0.3.3", "10.0.100.1"))
S1_TO_S2, S1_TO_S3 = 3, 4
MEMBERS = (1, 2, 3)


def triangle(ports: tuple[int, int, int] = (9559, 9560, 9561), **changes: Any) -> dict[str, Any]:
    """What the lab writes for its default topology, but without ``append_fanout``: its entries change with every
    leader. ``changes`` replace top-level fields."""
    hosts = [
        ("h1", "1.1", 1, 1),
        ("h11", "1.11", 1, 2),
        ("h2", "2.2", 2, 1),
        ("h22", "2.22", 2, 2),
        ("h3", "3.3", 3, 1),
    ]
    return {
        "switches": [
            {"name": f"s{i}", "device_id": i, "grpc": f"127.0.0.1:{port}"} for i, port in enumerate(ports, 1)
        ],
        "hosts": [
            {
                "name": name,
                "ip": f"10.0.{ip}",
                "mac": "00:00:00:00:" + ":".join(f"{int(part):02x}" for part in ip.split(".")),
                "switch": f"s{switch}",
                "port": port,
            }
            for name, ip, switch, port in hosts
        ],
        "links": [
            {"a": "s1", "a_port": 3, "b": "s2", "b_port": 3},
            {"a": "s1", "a_port": 4, "b": "s3", "b_port": 2},
            {"a": "s2", "a_port": 4, "b": "s3", "b_port": 3},
        ],
        "groups": [
            {
                "id": 1,
                "slot": 0,
                "service": "10.0.100.1",
                "port": 26410,
                "members": [{"id": i, "host": f"h{i}"} for i in MEMBERS],
            }
        ],
        "pipeline": {"json": "build/raft.json", "p4info": "build/raft.p4info.txtpb"},
        "cpu_port": 510,
        "filter_window_ms": 100,
        "control_socket": "build/lab/controller.sock",
        "features": [name for name in FEATURES if name != "append_fanout"],
        **changes,
    }


def free_port() -> int:
    """A TCP port that nothing listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    """Three stub switches, not yet started, and what is needed to run controllers against them."""

    def __init__(self, program: Program, **changes: Any) -> None:
        self.network: Network = parse(triangle((free_port(), free_port(), free_port()), **changes))
        self.program = program
        self.fabric = Fabric(self.network)
        self.s1, self.s2, self.s3 = self.switches = tuple(
            StubSwitch(switch.name, switch.device_id, program, self.fabric, switch.grpc)
            for switch in self.network.switches
        )

    async def start(self) -> None:
        for switch in self.switches:
            await switch.start()

    async def stop(self) -> None:
        for switch in self.switches:
            await switch.stop()

    @contextlib.asynccontextmanager
    async def controller(self, election_id: int = 1000) -> AsyncIterator[Controller]:
        """A running controller."""
        controller = Controller(self.network, self.program, election_id)
        running = asyncio.ensure_future(controller.run())
        try:
            yield controller
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def programmed(self, controller: Controller) -> None:
        """Wait until every switch is."""
        await until(lambda: all(session.ready for session in controller.sessions.values()))

    def all_hear(self, leader: int, term: int) -> None:
        """Every switch hears a leader; nothing is told yet."""
        for switch in self.switches:
            switch.hear(leader, term)

    def led_by(self, leader: int, term: int) -> bool:
        """Whether every switch's entry says so."""
        return all(switch.leader() == (leader, term) for switch in self.switches)


async def until(condition: Callable[[], object], *, timeout: float = 30.0) -> None:
    """Wait for a condition; a generous deadline, for slow machines."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("the condition did not come true in time")
        await asyncio.sleep(0.01)


def folder_of_repository() -> Path:
    """Where the checkout is."""
    return Path(__file__).resolve().parents[2]
