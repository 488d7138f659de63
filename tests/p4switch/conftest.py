"""The program of entities.p4, and a P4Runtime server over it in this process, without ports or root."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from finsy.proto import p4r

from p4switch.p4runtime.device import Device
from p4switch.p4runtime.server import start_server
from p4switch.pipeline.entities import Output
from p4switch.pipeline.pipeline import Pipeline
from tests.p4switch.client import Client, Names, connect, read_p4info

HERE = Path(__file__).parent
ADDRESS = "P4RUNTIME_ADDRESS"
"""Environment variable: talk to a real switch there (device id 1, CPU port 510) instead; to compare with BMv2."""
CPU_PORT = 510
COOKIE = 0x1234


@dataclass(frozen=True)
class Program:
    """A compiled program: its files, and the config that pushes it."""

    json: Path
    p4info: Path

    @property
    def names(self) -> Names:
        return Names(read_p4info(self.p4info))

    @property
    def config(self) -> p4r.ForwardingPipelineConfig:
        config = p4r.ForwardingPipelineConfig(
            p4info=read_p4info(self.p4info), p4_device_config=self.json.read_bytes()
        )
        config.cookie.cookie = COOKIE
        return config


def compile_program(source: Path, folder: Path) -> Program:
    """Compile with p4compiler; P4C=/path/to/p4c-bm2-ss takes that compiler."""
    program = Program(folder / f"{source.stem}.json", folder / f"{source.stem}.p4info.txtpb")
    if "P4C" in os.environ:
        flags = ["-o", str(program.json), "--p4runtime-files", str(program.p4info)]
        command = [os.environ["P4C"], str(source), *flags]
    else:
        command = [sys.executable, "-m", "p4compiler", str(source), "-o", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return compile_program(HERE / "entities.p4", tmp_path_factory.mktemp("entities"))


@dataclass
class StepPlane:
    """A data plane for tests: each packet goes through `Pipeline.step` at once."""

    pipeline: Pipeline | None = None
    device: Device | None = None
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    clock_us: int = 1_000_000
    _waiting: list[Output] = field(default_factory=list)

    def prepare(self) -> None: ...

    def commit(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def inject(self, frame: bytes) -> None:
        self.packet(CPU_PORT, frame)

    def packet(self, port: int, frame: bytes) -> None:
        assert self.pipeline is not None
        output = self.pipeline.step(port, frame, self.clock_us)
        self.sent += [packet for packet in output.packets if packet[0] != CPU_PORT]
        to_cpu = tuple(packet for packet in output.packets if packet[0] == CPU_PORT)
        self._waiting.append(Output(to_cpu, output.digests))
        assert self.device is not None
        asyncio.get_running_loop().call_soon(self.device.on_events)

    def drain(self) -> Output:
        outputs, self._waiting = self._waiting, []
        return Output(
            tuple(packet for output in outputs for packet in output.packets),
            tuple(digest for output in outputs for digest in output.digests),
        )

    def lost(self) -> int:
        return 0

    def now_us(self) -> int:
        return self.clock_us


@dataclass
class Switch:
    """A served device."""

    address: str
    plane: StepPlane
    device: Device | None
    program: Program


@pytest.fixture
async def switch(program: Program, build_cache: Path) -> AsyncIterator[Switch]:
    plane = StepPlane()
    if ADDRESS in os.environ:
        yield Switch(os.environ[ADDRESS], plane, None, program)
        return
    device = Device(1, plane, build_cache, lambda text: None)
    plane.device = device
    server, port = await start_server(device, "127.0.0.1:0")
    yield Switch(f"127.0.0.1:{port}", plane, device, program)
    await server.stop(grace=0)
    device.close()


@pytest.fixture
async def client(switch: Switch) -> AsyncIterator[Client]:
    """The primary of a switch on which entities.p4 runs."""
    async with connect(switch.address, switch.program.names) as primary:
        await primary.become_primary()
        await primary.push(switch.program.config)
        yield primary
