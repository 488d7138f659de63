"""``python -m p4switch`` as a process: it says when it is ready, why it cannot run, and ends when asked to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.p4switch.client import Refused, connect
from tests.p4switch.conftest import Program

WAIT_S = 60


class Process:
    """A running switch. `ready`: its ready line."""

    def __init__(self, *words: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "p4switch", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.popen.stdout is not None
        self.ready = self.popen.stdout.readline()

    @property
    def address(self) -> str:
        return self.ready.split("P4Runtime on ")[1].split(",")[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """(exit code, what it wrote to standard error)."""
        self.popen.send_signal(number)
        _, errors = self.popen.communicate(timeout=WAIT_S)
        return self.popen.returncode, errors


@pytest.fixture
def process() -> Iterator[Process]:
    running = Process("--no-p4", "--device-id", "1", "--", "--grpc-server-addr", "127.0.0.1:0", "--cpu-port", "510")
    yield running
    if running.popen.poll() is None:
        running.end()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "p4switch", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)


def test_it_says_when_it_is_ready_and_ends_cleanly(process: Process) -> None:
    assert process.ready.startswith("p4switch ready: device 1, P4Runtime on 127.0.0.1:")
    assert process.end(signal.SIGTERM) == (0, "")


def test_control_c_ends_it_too(process: Process) -> None:
    assert process.end(signal.SIGINT) == (0, "")


async def test_it_ends_while_clients_are_connected(process: Process, program: Program) -> None:
    async with connect(process.address, program.names) as client:
        await client.become_primary()
        await client.push(program.config)
        await client.insert(client.names.entry("exact_t", {1: 1, 2: 1}, client.names.action("forward", 1)))
        assert process.end() == (0, "")
        with pytest.raises((Refused, EOFError)):
            await client.receive("packet")


async def test_a_program_from_the_command_line_runs_and_p4runtime_waits_for_its_p4info(program: Program) -> None:
    running = Process(str(program.json), "--device-id", "1", "--", "--grpc-server-addr", "127.0.0.1:0")
    try:
        assert program.json.name in running.ready
        async with connect(running.address, program.names) as client:
            await client.become_primary()
            with pytest.raises(Refused, match="FAILED_PRECONDITION"):
                await client.read()
    finally:
        assert running.end() == (0, "")


def test_a_taken_port_is_named(process: Process) -> None:
    second = run("--no-p4", "--", "--grpc-server-addr", process.address)
    assert (second.returncode, second.stdout) == (1, "")
    assert process.address in second.stderr and second.stderr.count("\n") == 1


def test_a_missing_interface_is_named() -> None:
    result = run("--no-p4", "-i", "1@nowhere0", "--", "--grpc-server-addr", "127.0.0.1:0")
    assert result.returncode == 1
    assert result.stderr.startswith("p4switch: there is no interface nowhere0 (port 1)")
    assert result.stderr.count("\n") == 1


def test_a_wrong_flag_is_named_with_exit_code_2() -> None:
    result = run("--no-p4", "--frobnicate")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--frobnicate" in result.stderr


@pytest.mark.parametrize("text", [None, "not json", "[1, 2]", "{}", '{"header_types": 5}'])
def test_a_program_that_is_none_is_named(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    if text is not None:
        path.write_text(text)
    result = run(str(path), "--", "--grpc-server-addr", "127.0.0.1:0")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("p4switch: ") and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize("made", ["/proc/nowhere", "file"])
def test_a_cache_that_cannot_be_used_is_named(made: str, program: Program, tmp_path: Path) -> None:
    cache = tmp_path / made
    if cache.parent == tmp_path:
        cache.write_text("")
    result = run("--cache", str(cache), str(program.json), "--", "--grpc-server-addr", "127.0.0.1:0")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"p4switch: cannot keep built programs in {cache}: ")
    assert result.stderr.count("\n") == 1, result.stderr


def test_ignored_flags_are_mentioned_and_ignored() -> None:
    target = ("--grpc-server-addr", "127.0.0.1:0", "--drop-port", "100")
    running = Process("--no-p4", "--thrift-port", "9090", "--", *target)
    notes = "p4switch: note: --thrift-port does nothing here\n"
    notes += "p4switch: note: --drop-port does nothing here: the port that drops is 511\n"
    assert running.end() == (0, notes)


def test_without_root_packet_sockets_are_explained() -> None:
    command = [sys.executable, "-m", "p4switch", "--no-p4", "-i", "1@lo", "--", "--grpc-server-addr", "127.0.0.1:0"]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert result.stderr == "p4switch: packet sockets need root: start this with sudo\n"


def test_it_listens_where_it_says_and_only_there(process: Process) -> None:
    port = int(process.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S):
        pass
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=WAIT_S):
        pass
