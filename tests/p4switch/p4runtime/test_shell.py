"""The operator's tool, the real p4runtime-shell, on this switch. It lives in .venv-shell, made on first use."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.p4switch.client import connect
from tests.p4switch.conftest import ADDRESS, Program
from tests.p4switch.test_process import Process

REPOSITORY = Path(__file__).parents[3]
SCRIPT = REPOSITORY / "scripts/shell.sh"
SESSION = Path(__file__).with_name("shell_session.py")
WAIT_S = 300


@pytest.fixture(scope="session")
def shell_python() -> Path:
    """The interpreter of p4runtime-shell's environment."""
    subprocess.run([SCRIPT, "--setup"], check=True, timeout=WAIT_S)
    folder = os.environ.get("SWITCHRAFT_SHELL_VENV", ".venv-shell")
    return REPOSITORY / folder / "bin/python"


@pytest.fixture
def address() -> Iterator[str]:
    """A switch without ports and without a program."""
    if ADDRESS in os.environ:
        yield os.environ[ADDRESS]
        return
    running = Process("--no-p4", "--device-id", "1", "--", "--grpc-server-addr", "127.0.0.1:0", "--cpu-port", "510")
    yield running.address
    running.end()


async def type_into(command: list[str | Path], text: str, **environment: str) -> str:
    """What an interactive program prints when this is typed into it."""
    shell = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=REPOSITORY,
        env={**os.environ, "TERM": "dumb", **environment},
    )
    output, _ = await asyncio.wait_for(shell.communicate(text.encode()), WAIT_S)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.decode())


async def test_a_session_of_the_shell(shell_python: Path, address: str, program: Program) -> None:
    command: list[str | Path] = [shell_python, "-m", "p4runtime_sh", "--grpc-addr", address, "--device-id", "1"]
    command += ["--election-id", "0,1", "--config", f"{program.p4info},{program.json}"]
    output = await type_into(command, f"%run -i {SESSION}\n")
    assert "SESSION OK" in output, output


@pytest.mark.usefixtures("shell_python")
async def test_make_shell_reads_and_leaves_the_primary_alone(address: str, program: Program, tmp_path: Path) -> None:
    network = tmp_path / "network.json"
    network.write_text(json.dumps({"switches": [{"name": "s1", "device_id": 1, "grpc": address}]}))
    async with connect(address, program.names, election_id=1000) as controller:
        await controller.become_primary()
        await controller.push(program.config)
        names = controller.names
        await controller.insert(names.entry("exact_t", {1: 5, 2: 6}, names.action("forward", 7)))
        typed = """
table_entry["ingress.exact_t"].read(lambda one: print("SAW", one.match))
multicast_group_entry(1).insert()
"""
        output = await type_into([SCRIPT, "s1"], typed, SWITCHRAFT_NETWORK=str(network))
        assert "SAW" in output and "PERMISSION_DENIED" in output, output
        await controller.insert(names.entry("exact_t", {1: 6, 2: 6}, names.action("forward", 7)))
        assert await controller.silent()


@pytest.mark.parametrize(
    ("words", "network", "text"),
    [
        ([], None, "usage"),
        (["s1"], None, "make run"),
        (["s9"], {"switches": [{"name": "s1", "device_id": 1, "grpc": "127.0.0.1:1"}]}, "there are: s1"),
    ],
)
def test_make_shell_says_what_is_wrong(words: list[str], network: object, text: str, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    if network is not None:
        path.write_text(json.dumps(network))
    environment = {**os.environ, "SWITCHRAFT_NETWORK": str(path)}
    result = subprocess.run([SCRIPT, *words], capture_output=True, text=True, env=environment, timeout=WAIT_S)
    assert result.returncode != 0 and text in result.stderr and result.stderr.count("\n") == 1
