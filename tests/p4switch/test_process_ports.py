"""The switch as a process between real interfaces (veth pairs), controlled over P4Runtime. Needs root."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from tests.p4switch.client import Client, connect
from tests.p4switch.conftest import CPU_PORT, Program
from tests.p4switch.p4runtime.test_stream import enable, fields, frame, packet_out
from tests.p4switch.test_process import Process

pytestmark = pytest.mark.root
WAIT_S = 30


@dataclass(frozen=True)
class Wire:
    """A veth pair: `switch` is the end that the switch opens, `far` a packet socket on the other."""

    switch: str
    far: socket.socket

    async def receive(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.far, 65536), WAIT_S)

    def send(self, data: bytes) -> None:
        self.far.send(data)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def wires() -> Iterator[list[Wire]]:
    made = []
    with contextlib.ExitStack() as stack:
        for number in (1, 2):
            near, far = f"t{os.getpid()}n{number}", f"t{os.getpid()}f{number}"
            ip("link", "add", near, "type", "veth", "peer", "name", far)
            stack.callback(ip, "link", "del", near)
            for name in (near, far):
                with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as quiet:
                    quiet.write("1")
                ip("link", "set", name, "up")
            tap = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B6)))
            tap.bind((far, 0x88B6))
            tap.setblocking(False)
            made.append(Wire(near, tap))
        yield made


@pytest.fixture
async def client(wires: list[Wire], program: Program) -> AsyncIterator[Client]:
    words = ["--no-p4", "--device-id", "1", "-i", f"1@{wires[0].switch}", "-i", f"2@{wires[1].switch}"]
    running = Process(*words, "--", "--grpc-server-addr", "127.0.0.1:0", "--cpu-port", str(CPU_PORT))
    try:
        async with connect(running.address, program.names) as primary:
            await primary.become_primary()
            await primary.push(program.config)
            yield primary
    finally:
        assert running.end() == (0, "")


async def test_packets_follow_the_tables_between_ports(client: Client, wires: list[Wire]) -> None:
    names = client.names
    await client.insert(names.entry("exact_t", {1: 7, 2: 3}, names.action("forward", 2)))
    wires[0].send(frame(narrow=8, nibble=3))
    wires[0].send(frame(narrow=7, nibble=3))
    assert await wires[1].receive() == frame(narrow=7, nibble=3)
    await client.modify(names.entry("exact_t", {1: 7, 2: 3}, names.action("forward", 1)))
    wires[1].send(frame(narrow=7, nibble=3, number=5))
    assert await wires[0].receive() == frame(narrow=7, nibble=3, number=5)


async def test_a_port_that_drops_long_frames_is_named_once(wires: list[Wire], program: Program) -> None:
    ip("link", "set", wires[1].switch, "mtu", "1000")
    words = ["--no-p4", "--device-id", "1", "-i", f"1@{wires[0].switch}", "-i", f"2@{wires[1].switch}"]
    running = Process(*words, "--", "--grpc-server-addr", "127.0.0.1:0")
    try:
        async with connect(running.address, program.names) as primary:
            await primary.become_primary()
            await primary.push(program.config)
            await primary.insert(primary.names.entry("lpm_t", {}, primary.names.action("forward", 2)))
            for _ in range(2):
                wires[0].send(frame(number=1).ljust(1400, b"."))
                wires[0].send(frame(number=2))
                assert await wires[1].receive() == frame(number=2)
            assert running.popen.stderr is not None
            told = await asyncio.to_thread(running.popen.stderr.readline)
    finally:
        code, rest = running.end()
    assert told == f"p4switch: note: port 2 drops frames too long for the MTU of {wires[1].switch}\n"
    assert (code, rest) == (0, "")


async def test_the_controller_s_packets_and_digests(client: Client, wires: list[Wire]) -> None:
    names = client.names
    await client.insert(names.entry("lpm_t", {}, names.action("forward", CPU_PORT)), enable(client, max_list_size=1))
    wires[1].send(frame(number=9))
    packet = await client.receive("packet")
    assert packet.payload == frame(number=9) and fields(packet) == [2, 0, 0]
    await client.send(packet_out(2, kind=3, arg=5, payload=frame(number=4)))
    assert (await client.receive("digest")).data[0].struct.members[0].bitstring == b"\5"
    assert await wires[1].receive() == frame(number=4)


async def test_a_new_pipeline_keeps_the_ports(client: Client, wires: list[Wire], program: Program) -> None:
    names = client.names
    for number in range(3):
        await client.insert(names.entry("lpm_t", {}, names.action("forward", 2)))
        wires[0].send(frame(number=number))
        assert await wires[1].receive() == frame(number=number)
        await client.push(program.config)
        assert await client.read(names.entry("lpm_t")) == []
