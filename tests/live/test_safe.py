"""Who has no session sees and changes nothing: another user, another origin, another host's name, a used code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer

from topo import cli
from topo.lab.waiting import ask_quietly
from topo.live.recorder import Recorder
from topo.live.server import Server
from web.access import CODE_S, KEY_HEADER, Access
from web.window import LENGTH_US, Window

REPOSITORY = Path(__file__).parents[2]
PATHS = ("/", "/main.js", "/style.css", "/run.rec", "/stream", "/open", "/nothing", "/../recording.py")
SECRET = "the lab's own"


class Served:
    """A server of a lab that nobody runs, with something in it to be seen."""

    def __init__(self, port: int, access: Access, recorder: Recorder) -> None:
        self.access, self.recorder = access, recorder
        self.address = f"http://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}"

    async def get(
        self, path: str, session: aiohttp.ClientSession | None = None, **headers: str
    ) -> tuple[int, str, Any]:
        async with session or aiohttp.ClientSession() as own:
            answer = await own.get(self.address + path, headers=headers, allow_redirects=False)
            return answer.status, (await answer.read()).decode(errors="replace"), answer.headers

    async def session(self) -> tuple[str, str]:
        """(cookie as a header, key), by a code."""
        status, text, headers = await self.get(self.access.new_address().removeprefix(self.address))
        assert status == 200
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        (key,) = re.findall(r'"switchraft-key", "([\w-]+)"', text)
        return cookie.partition(";")[0], key

    async def stream(self, first: object, **headers: str) -> list[Any]:
        """What a websocket is told first; [] if it is told nothing and hung up on. Raises WSServerHandshakeError."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self.address + "/stream", headers=headers) as page,
        ):
            if first is not None:
                await page.send_str(first if isinstance(first, str) else json.dumps(first))
            message = await asyncio.wait_for(page.receive(), 30)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return []
            return [json.loads(line) for line in message.data.split("\n")]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    recorder, access = Recorder(), Access(port)
    header = {"title": SECRET, "source": "lab", "network": {}, "program": None}
    recorder.window = Window(header)
    recorder.window.add({"t": 0, "k": "note", "who": "lab", "text": SECRET})
    server = Server(recorder, access, typer.main.get_command(cli.app))
    runner = aiohttp.web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    await aiohttp.web.SockSite(runner, listening).start()
    yield Served(port, access, recorder)
    await runner.cleanup()


async def test_without_a_session_nothing_is_shown(served: Served) -> None:
    for path in PATHS:
        for cookie in ("", f"{served.access.cookie_name}=guessed", "session=1"):
            status, text, headers = await served.get(path, **({"Cookie": cookie} if cookie else {}))
            assert status == 403 and SECRET not in text and "<script" not in text, path
            assert "Set-Cookie" not in headers
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await served.stream({"key": "x"}, Origin=served.address)
    assert refused.value.status == 403


async def test_with_a_session_all_of_it_is_there(served: Served) -> None:
    cookie, key = await served.session()
    status, text, headers = await served.get("/", Cookie=cookie)
    assert status == 200 and "main.js" in text
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    lines = await served.stream({"key": key}, Cookie=cookie, Origin=served.address)
    assert lines[0] == {"keeps": LENGTH_US}
    assert lines[1]["title"] == SECRET and lines[2]["text"] == SECRET
    status, _, _ = await served.get("/run.rec", Cookie=cookie, **{KEY_HEADER: key})
    assert status == 200


async def test_why_there_is_no_recording_is_said(served: Served) -> None:
    served.recorder.window = None
    cookie, key = await served.session()
    status, text, _ = await served.get("/run.rec", Cookie=cookie, **{KEY_HEADER: key})
    assert (status, text) == (404, "nothing was recorded yet: no lab has run\n")


async def test_the_cookie_alone_shows_the_pages_files_and_nothing_of_the_lab(served: Served) -> None:
    """Another user's server on another port of this host is sent the cookie, if one's browser can be led there."""
    cookie, _ = await served.session()
    _, other_key = await served.session()
    for key in ("", "guessed", other_key):
        status, text, _ = await served.get("/run.rec", Cookie=cookie, **{KEY_HEADER: key})
        assert status == 403 and SECRET not in text
        assert await served.stream({"key": key}, Cookie=cookie, Origin=served.address) == []
    for first in ("nonsense", "[]", '{"key": 5}', json.dumps({"id": 1, "do": ["heal"]}), "[" * 30_000):
        assert await served.stream(first, Cookie=cookie, Origin=served.address) == []


async def test_another_hosts_name_is_refused_with_a_session_too(served: Served) -> None:
    cookie, key = await served.session()
    port = served.host.partition(":")[2]
    for host in (
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        "127.0.0.1",
        "",
        f"0.0.0.0:{port}",
    ):
        for path in PATHS:
            status, text, _ = await served.get(path, Cookie=cookie, Host=host, **{KEY_HEADER: key})
            assert status in (400, 403) and SECRET not in text, (host, path)
    address = served.access.new_address().removeprefix(served.address)
    assert (await served.get(address, Host=f"evil.example:{port}"))[0] == 403


async def test_another_origin_is_refused_with_a_session_too(served: Served) -> None:
    cookie, key = await served.session()
    port = int(served.host.partition(":")[2])
    for origin in (
        "http://evil.example",
        "null",
        f"http://127.0.0.1:{port + 1}",
        f"https://{served.host}",
        f"http://localhost:{port}",
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await served.stream({"key": key}, Cookie=cookie, Origin=origin)
        for path in ("/", "/run.rec"):
            assert (await served.get(path, Cookie=cookie, Origin=origin, **{KEY_HEADER: key}))[0] == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await served.stream({"key": key}, Cookie=cookie)
    for site in ("cross-site", "same-site"):
        fetched = {"Cookie": cookie, KEY_HEADER: key, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert (await served.get("/main.js", **fetched))[0] == 403
        assert (await served.get(served.access.new_address().removeprefix(served.address), **fetched))[0] == 403


async def test_a_code_is_good_once_and_for_a_while(served: Served) -> None:
    path = served.access.new_address().removeprefix(served.address)
    assert (await served.get(path))[0] == 200
    assert (await served.get(path))[0] == 403
    now = [0.0]
    access = Access(1, clock=lambda: now[0])
    codes = [access.new_address().partition("=")[2] for _ in range(3)]
    assert access.exchange(codes[0]) is not None
    now[0] = CODE_S + 1
    assert access.exchange(codes[1]) is None and access.exchange("") is None


async def test_other_methods_do_nothing(served: Served) -> None:
    cookie, key = await served.session()
    async with aiohttp.ClientSession(headers={"Cookie": cookie, KEY_HEADER: key}) as session:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            for path in ("/", "/stream", "/run.rec"):
                answer = await session.request(method, served.address + path)
                assert answer.status == 403
                answer = await session.request(method, served.address + path, headers={"Origin": served.address})
                assert answer.status == 405


async def test_the_page_can_do_its_commands_and_no_others(served: Served) -> None:
    cookie, key = await served.session()
    headers = {"Cookie": cookie, "Origin": served.address}
    asked: list[tuple[object, str]] = [
        ({"id": 1, "do": ["lab"]}, "cannot do"),
        ({"id": 2, "do": ["exec", "h1", "id"]}, "cannot do"),
        ({"id": 3, "do": ["put", "k", "--file", "/etc/passwd"]}, "not for the page"),
        ({"id": 4, "do": ["send", "1", "--cluster", "/etc/passwd"]}, "not for the page"),
        ({"id": 5, "do": ["node", "run"]}, "cannot do"),
        ({"id": 6, "do": []}, "list of words"),
        ({"id": 7, "do": ["node", 5]}, "list of words"),
        ({"id": 8, "do": ["switch", "kill"]}, "SWITCH"),
        ({"id": 9, "do": ["send", "x" * 20_000]}, "at most"),
        ({"id": 10, "do": ["heal"]}, "no lab runs"),
        ("nonsense", "a request is"),
        ({"id": "x", "do": ["heal"]}, "a request is"),
        ({"id": 12, "open": 1, "at": 1}, "no lab runs"),
        ({"id": 13, "open": "1", "at": 1}, "a request is"),
        ({"id": 14, "open": 1}, "a request is"),
        ({"id": 15, "do": "heal"}, "a request is"),
        ({"id": 11, "do": ["feature", "off", "--help"]}, "help"),
    ]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(served.address + "/stream", headers=headers) as page,
    ):
        await page.send_json({"key": key})
        await page.receive()
        for request, said in asked:
            await page.send_str(request if isinstance(request, str) else json.dumps(request))
            answer = json.loads((await asyncio.wait_for(page.receive(), 60)).data)
            assert answer["ok"] is False and said in answer["text"], answer


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    return tmp_path


@pytest.fixture
def web_command(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`switchraft web` where no lab runs; the process, and the address that it prints."""
    command = [sys.executable, "-m", "topo.cli", "web"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert not (folder / "lab" / "page.sock").exists()


def switchraft(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "topo.cli", *words]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_the_code_stands_in_no_processs_arguments_and_no_readable_file(
    web_command: tuple[subprocess.Popen[str], str], folder: Path
) -> None:
    _, address = web_command
    code = address.partition("=")[2]
    assert len(code) >= 40
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert code not in entry.read_text(errors="replace")
        except OSError:
            continue
    for file in folder.rglob("*"):
        if file.is_file() and file.stat().st_mode & 0o077:
            assert code not in file.read_text(errors="replace")
    assert (folder / "lab" / "page.sock").stat().st_mode & 0o077 == 0
    again = switchraft("web")
    assert again.returncode == 0 and "served already" in again.stdout
    assert again.stdout.split()[-1].partition("=")[0] == address.partition("=")[0]
    assert code not in again.stdout
    nothing = switchraft("web", "--save", str(folder / "x.rec"))
    assert nothing.returncode == 1 and "no lab has run" in nothing.stderr


def test_it_listens_on_loopback_only(web_command: tuple[subprocess.Popen[str], str]) -> None:
    _, address = web_command
    port = int(re.findall(r":(\d+)/", address)[0])
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    assert [place for place in listening if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
    assert f":{port:04X}" not in Path("/proc/net/tcp6").read_text()


def test_a_browser_is_led_there_by_a_file_of_ones_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = folder / "told"
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" >{told}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    process = subprocess.Popen(
        [sys.executable, "-m", "topo.cli", "web", "--open"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        code = process.stdout.readline().split()[-1].partition("=")[2]
        deadline = 600
        while not told.exists() or not told.read_text():
            deadline -= 1
            assert deadline and process.poll() is None
            signal.sigtimedwait([], 0.1)
        page = folder / "lab" / "page.html"
        assert told.read_text().strip() == page.as_uri()
        assert page.stat().st_mode & 0o777 == 0o600 and code in page.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert not page.exists()


def open_to_all(folder: Path) -> None:
    """Whoever it is may go there: pytest keeps its folders to itself."""
    for path in (folder, *folder.parents):
        if path not in (Path("/tmp"), Path("/")) and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o055)


@pytest.mark.root
def test_another_user_sees_nothing(web_command: tuple[subprocess.Popen[str], str], folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("this test becomes another user, for which it needs root", pytrace=False)
    _, address = web_command
    open_to_all(folder)
    seen = as_nobody("ps", "axww")
    assert "topo.cli web" in seen.stdout and address.partition("=")[2] not in seen.stdout
    program = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    path = folder / "lab" / "page.sock"
    assert "PermissionError" in as_nobody("/usr/bin/python3", "-c", program, str(path)).stderr
    assert ask_quietly(path, {"cmd": "address"}) is not None


@pytest.mark.root
def test_it_runs_as_the_user_who_called_sudo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.fail("this test is about root, for which it needs root", pytrace=False)
    monkeypatch.setenv("SUDO_UID", "65534")
    monkeypatch.setenv("SUDO_GID", "65534")
    monkeypatch.setenv("SWITCHRAFT_BUILD", str(folder / "build"))
    open_to_all(folder)
    folder.chmod(0o777)
    process = subprocess.Popen(
        [sys.executable, "-m", "topo.cli", "web"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and "good once" in process.stdout.readline()
        status = Path(f"/proc/{process.pid}/status").read_text()
        for name in ("Uid", "Gid"):
            assert re.search(rf"^{name}:\s65534\s65534\s65534\s65534$", status, re.MULTILINE)
        assert re.search(r"^Groups:\s*(65534)?\s*$", status, re.MULTILINE)
        assert (folder / "build" / "lab" / "page.sock").stat().st_uid == 65534
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, user=65534, group=65534, extra_groups=[]
    )


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["web", "--save", "x.rec"], "no page is served", 1),
        (["web", "--save", "x.rec", "--open"], "--save goes without", 2),
        (["web", "--seconds", "5"], "--seconds goes with --save", 2),
        (["web", "--port", "1"], "port 1 on loopback", 1),
    ],
)
def test_mistakes_end_in_a_line(words: list[str], said: str, code: int, folder: Path) -> None:
    if "1" in words and os.geteuid() == 0:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            finished = switchraft("web", "--port", str(taken.getsockname()[1]))
        said = "choose another with --port"
    else:
        finished = switchraft(*words)
    assert finished.returncode == code and said in finished.stderr
    assert len(finished.stderr.splitlines()) == 1 and "Traceback" not in finished.stderr
