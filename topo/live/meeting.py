"""The socket by which commands find the page that this checkout's user has served already: ``build/lab/page.sock``.

    {"cmd": "address"}                          an address that opens the page once
    {"cmd": "save", "file": F, "seconds": S}    write the last S seconds (0: all there is) as a recording

It is the serving user's alone, as an address is worth a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from controller.tasks import within
from hosts.control import socket as control
from topo import paths
from topo.errors import LabError
from topo.lab.running_lab import first_line
from topo.live.recorder import Recorder
from topo.live.server import save
from web.access import Access

PATIENCE_S = 60.0

Json = dict[str, Any]


def socket_path() -> Path:
    return paths.lab() / "page.sock"


def ask(request: Json) -> Json | None:
    """The answer of the page that is served; None if none is. Raises LabError."""
    try:
        answer = first_line(socket_path(), request, PATIENCE_S)
    except PermissionError:
        raise LabError("the lab's page is another user's: use sudo") from None
    except (OSError, ValueError):
        return None
    if not answer.get("ok"):
        raise LabError(str(answer.get("error")))
    return answer


class Meeting:
    """Serves the socket."""

    def __init__(self, recorder: Recorder, access: Access) -> None:
        self._recorder = recorder
        self._access = access

    @contextlib.asynccontextmanager
    async def open(self) -> Any:
        """Serve as long as this is open. Raises OSError where the socket cannot be made."""
        path = socket_path()
        paths.make(path.parent)
        server = await asyncio.start_unix_server(self._talk, sock=control.bind(path))
        inode = path.stat().st_ino
        try:
            yield
        finally:
            server.close()
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await within(reader.readline(), PATIENCE_S)
            writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError, asyncio.TimeoutError):
            pass  # it has gone
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Json:
        try:
            request = json.loads(line)
            if request["cmd"] == "address":
                return {"ok": True, "address": self._access.new_address()}
            if request["cmd"] != "save":
                raise KeyError(request["cmd"])
            seconds, file = float(request["seconds"]), Path(request["file"])
            begin = self._recorder.now_us - int(seconds * 1e6) if seconds else 0
        except (ValueError, KeyError, TypeError, OverflowError):
            return {"ok": False, "error": "a request has cmd: address, or save with file and seconds"}
        try:
            return {"ok": True, "events": await save(self._recorder, file, max(0, begin))}
        except LabError as error:
            return {"ok": False, "error": str(error)}
