"""The controller as a process, and its control socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.control_socket import ControlError, ControlSocket, ask, short_path
from controller.controller import Controller
from tests import forked
from tests.controller.stub_switch import StubSwitch
from tests.controller.triangle import Lab, folder_of_repository, free_port, triangle, until


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.run("controller.__main__", *arguments)


def _network(folder: Path, program_files: tuple[Path, Path], **changes: Any) -> Path:
    json_file, info_file = program_files
    data = triangle(
        (free_port(), free_port(), free_port()),
        **{
            "pipeline": {"json": str(json_file), "p4info": str(info_file)},
            "control_socket": str(folder / "controller.sock"),
            **changes,
        },
    )
    path = folder / "network.json"
    path.write_text(json.dumps(data))
    return path


def test_mistakes_are_one_line_without_a_traceback(tmp_path: Path, program_files: tuple[Path, Path]) -> None:
    bad_info = tmp_path / "bad.p4info.txtpb"
    bad_info.write_text("tables { what }")
    other_info = tmp_path / "other.p4info.txtpb"
    other_info.write_text('pkg_info { arch: "v1model" }')
    for path, message in (
        (tmp_path / "none.json", "none.json: cannot be read: No such file or directory"),
        (Path(__file__), ":1: not JSON: Extra data (column 3)"),
    ):
        done = _run("--network", str(path))
        assert done.returncode == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    for info, message in (
        (bad_info, "is no P4Info text"),
        (other_info, "has no table port_roles"),
        (tmp_path / "missing", "is missing: python -m p4compiler p4/raft.p4"),
    ):
        path = _network(tmp_path, program_files, pipeline={"json": str(program_files[0]), "p4info": str(info)})
        done = _run("--network", str(path))
        assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr
    assert _run().returncode == 2
    assert _run("--network", "x", "--election-id", "0").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_runs_answers_and_ends(
    tmp_path: Path, program_files: tuple[Path, Path], number: signal.Signals
) -> None:
    log = tmp_path / "logs" / "controller.log"
    path = _network(tmp_path, program_files)
    process = subprocess.Popen(
        [sys.executable, "-m", "controller", "--network", str(path), "--log", str(log)], cwd=folder_of_repository()
    )
    try:
        asyncio.run(until(lambda: "pid" in _status(tmp_path / "controller.sock")))
        status = _status(tmp_path / "controller.sock")
        idle = socket.socket(socket.AF_UNIX)
        idle.connect(str(tmp_path / "controller.sock"))
        assert status["pid"] == process.pid
        assert status["switches"]["s1"]["standing"] == "away"
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
    idle.close()
    assert not (tmp_path / "controller.sock").exists()
    assert log.read_text().splitlines()[-1].endswith("controller stopped")


def _status(path: Path) -> dict[str, Any]:
    try:
        return ask(path, {"cmd": "status"})
    except ControlError:
        return {}


@contextlib.asynccontextmanager
async def _served(controller: Controller, path: Path) -> AsyncIterator[None]:
    serving = asyncio.ensure_future(ControlSocket(controller, path).run())
    try:
        await until(lambda: path.exists() or serving.done())
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_control_socket(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "controller.sock"

    async def request(**fields: Any) -> dict[str, Any]:
        return await asyncio.to_thread(ask, path, fields)

    async with lab.controller() as controller, _served(controller, path):
        answer = await request(cmd="wait_programmed")
        assert answer["switches"] == {"s1": 1, "s2": 1, "s3": 1}
        lab.all_hear(2, 5)
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))
        (group,) = (await request(cmd="leader"))["groups"]
        assert (group["leader"], group["host"], group["term"]) == (2, "h2", 5)
        assert group["switches"]["s3"] == {"leader": 2, "term": 5}
        status = await request(cmd="status")
        assert status["switches"]["s2"]["programmed"] is True
        assert [link["up"] for link in status["links"]] == [True, True, True]
        with pytest.raises(ControlError, match="not programmed"):
            await request(cmd="wait_programmed", switch="s1", after=1, timeout=0.05)
        waiting = asyncio.ensure_future(request(cmd="wait_programmed", switch="s1", after=1, timeout=30))
        await lab.s1.stop()
        await lab.s1.start()
        assert (await waiting)["switches"] == {"s1": 2}
        off = {"s1": False, "s2": False, "s3": False}
        assert (await request(cmd="feature", name="term_filter", on=False))["features"]["term_filter"] == off
        told = (await request(cmd="feature", name="term_filter", on=True, switch="s2"))["features"]
        assert told["term_filter"] == {**off, "s2": True}
        assert told == (await request(cmd="features"))["features"] == (await request(cmd="status"))["features"]
        await until(
            lambda: (
                [any(key[0] == "term_filter" for key in one.entries) for one in lab.switches] == [False, True, False]
            )
        )
        for wrong in (
            {"cmd": "dance"},
            {"cmd": "feature", "name": "x", "on": True},
            {"cmd": "feature", "name": "term_filter", "on": True, "switch": "s9"},
            {"what": 1},
            {"cmd": "feature"},
        ):
            with pytest.raises(ControlError):
                await request(**wrong)
        with pytest.raises(ControlError, match="no switch is called 's9'"):
            await request(cmd="wait_programmed", switch="s9")


def _filters(switch: StubSwitch) -> bool:
    return any(table == "term_filter" for table, _ in switch.entries)


async def test_garbage_on_the_control_socket(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "controller.sock"
    async with lab.controller() as controller, _served(controller, path):
        for garbage in (b"\xff\xfe\n", b"[]\n", b"7\n", b'{"cmd": []}\n', b"{" * 100_000 + b"\n", b"x" * (2 << 20)):
            reader, writer = await asyncio.open_unix_connection(str(path))
            with contextlib.suppress(OSError):
                writer.write(garbage)
                writer.write_eof()
                await writer.drain()
                await asyncio.wait_for(reader.read(), 30)
            writer.close()
        assert (await asyncio.to_thread(ask, path, {"cmd": "status"}))["ok"]


async def test_strange_requests_are_answered(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "controller.sock"
    async with lab.controller() as controller, _served(controller, path):
        for line in (b"[" * 100_000, b'{"cmd": "wait_programmed", "after": 1e999}', b'{"cmd": "feature", "on": 1}'):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(line + b"\n")
            answer = json.loads(await asyncio.wait_for(reader.readline(), 30))
            assert answer["ok"] is False and answer["error"]
            writer.close()


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "controller.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    async def election_id() -> int:
        return int((await asyncio.to_thread(ask, path, {"cmd": "status"}))["election_id"])

    first, second = (Controller(lab.network, lab.program, number) for number in (5, 6))
    serving = asyncio.ensure_future(ControlSocket(first, path).run())
    await asyncio.sleep(0.3)
    assert await election_id() == 5
    async with _served(second, path):
        await asyncio.sleep(0.3)
        assert await election_id() == 5
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await until(path.exists)
        assert await election_id() == 6


async def test_long_socket_paths(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = folder / "controller.sock"
    assert len(os.fsencode(path)) > 107
    with short_path(path) as name:
        assert len(name) < 107
    async with lab.controller() as controller, _served(controller, path):
        assert (await asyncio.to_thread(ask, path, {"cmd": "status"}))["ok"]
