"""`switchraft web`: serves the page of this checkout's lab, as the user who called sudo, or finds it served."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import socket
import webbrowser
from pathlib import Path
from typing import Any

from aiohttp import ClientConnectionResetError, web

from topo import paths
from topo.errors import LabError
from topo.live.frames import GIVES_WAY
from topo.live.meeting import Meeting, ask
from topo.live.recorder import Recorder
from topo.live.server import Server
from web.access import Access


def run(commands: Any, port: int, *, opens: bool, silent: bool) -> None:
    """Print an address of the page, and serve it unless it is served already, until SIGINT or SIGTERM. ``commands``:
    the parser of `switchraft`; ``opens``: show it in a browser; ``silent``: print no address, as logs are for all to
    read. Raises LabError."""
    become_invoker()
    served = ask({"cmd": "address"})
    if served is not None:
        _tell(served["address"], opens, "The page is served already")
        return
    if paths.lab_socket().exists() and not os.access(paths.lab_socket(), os.W_OK):
        raise LabError("the lab is another user's: use sudo")
    asyncio.run(_serve(commands, port, opens, silent))


def save(file: Path, seconds: float) -> str:
    """Have the page that is served write a recording; says what it wrote. Raises LabError."""
    become_invoker()
    answer = ask({"cmd": "save", "file": str(file.absolute()), "seconds": seconds})
    if answer is None:
        raise LabError("no page is served, so nothing is remembered: begin with `switchraft web`, or `make run`")
    return f"{file}: {answer['events']} events; look at it with: switchraft view {file}"


def become_invoker() -> None:
    """Where root runs this by sudo, go on as the user who called that."""
    invoker = paths.invoker()
    if invoker is None:
        return
    uid, gid = invoker
    os.setgroups([])
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(uid)
        os.initgroups(user.pw_name, gid)
        os.environ["HOME"] = user.pw_dir
    os.setgid(gid)
    os.setuid(uid)


async def _serve(commands: Any, port: int, opens: bool, silent: bool) -> None:
    os.nice(GIVES_WAY)
    asyncio.get_running_loop().set_exception_handler(complain)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    listening = _listen(port)
    recorder, access = Recorder(), Access(listening.getsockname()[1])
    runner = web.AppRunner(Server(recorder, access, commands).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    recording = asyncio.ensure_future(recorder.run())
    try:
        await web.SockSite(runner, listening).start()
        try:
            async with Meeting(recorder, access).open():
                if not silent:
                    _tell(access.new_address(), opens, "The lab's page; end with Ctrl-C")
                ending = asyncio.ensure_future(ended.wait())
                await asyncio.wait([recording, ending], return_when=asyncio.FIRST_COMPLETED)
                ending.cancel()
        except OSError as error:
            raise LabError(f"{paths.shown(paths.lab())}: {error.strerror}") from None
        if recording.done():
            recording.result()
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        await runner.cleanup()
        _opener().unlink(missing_ok=True)


def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """As usual of what fails with nobody waiting for it, but not of what was to be sent to a page that has gone:
    aiohttp compresses that in a task of its own."""
    if not isinstance(context.get("exception"), ClientConnectionResetError):
        loop.default_exception_handler(context)


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        listening.close()
        raise LabError(f"port {port} on loopback: {error.strerror}; choose another with --port") from None
    return listening


def _tell(address: str, opens: bool, what: str) -> None:
    """Print an address; open it by a file, as arguments of processes can be read by all users."""
    print(f"{what}, good once: {address}", flush=True)
    if not opens:
        return
    file = _opener()
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(f'<!doctype html><meta charset="utf-8"><script>location.replace("{address}")</script>')
    if not webbrowser.open(file.as_uri()):
        print("No browser could be opened here: use the address", flush=True)


def _opener() -> Path:
    return paths.lab() / "page.html"
