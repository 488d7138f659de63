"""The living lab over HTTP on loopback: the page, the stream of what happens, and commands.

    GET /open?code=...   a session for a one-time code
    GET /                the page and its parts, with a session's cookie
    GET /stream          a websocket, with the cookie, from the page's own origin
    GET /run.rec         what is remembered as a recording, with cookie and key; "from", "to": microseconds since 1970

The page's first message on the websocket is ``{"key": ...}``; nothing is told before. Then it is told lines of JSON:
a recording's (docs/recordings.md) and, of the server's own, "waiting" (no lab has run yet), "keeps" (microseconds
that are remembered), "reopen" (what was told is no beginning of what follows: open the stream anew; "behind": the
page has not read for longer than the window lasts, "another": the network is another one) and "answer". It may ask
``{"id": 1, "do": ["node", "kill", "h1"]}`` and is told ``{"answer": 1, "ok": true, "text": ..., "command": ...}``;
or ``{"id": 2, "open": m, "at": t}``, what switches have done to message m, sent at t microseconds since 1970, and is
told ``{"answer": 2, "ok": true, "hops": ..., "ways": ..., "fields": ..., "ends": ...}`` (topo/live/opened.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from controller.tasks import within
from topo.errors import LabError, UsageError
from topo.live.hands import Command, parse
from topo.live.recorder import Recorder
from web.access import HEADERS, KEY_HEADER, Access, refuse
from web.server import PART, page_file
from web.window import Behind

KEY_S = 10.0
"""A page that has not shown its key by then is hung up on."""
POLL_S = 0.1
HEARTBEAT_S = 20.0
MOST_PAGES, MOST_COMMANDS = 16, 4
LONGEST_MESSAGE = 64 * 1024

Json = dict[str, Any]


class Server:
    """Serves one recorder. ``commands``: the parser of `switchraft`."""

    def __init__(self, recorder: Recorder, access: Access, commands: Any) -> None:
        self._recorder = recorder
        self._access = access
        self._commands = commands
        self._pages: set[web.WebSocketResponse] = set()

    def app(self) -> web.Application:
        """What aiohttp is to run."""

        async def opened(request: web.Request) -> web.StreamResponse:
            return self._access.open(request)

        async def index(_: web.Request) -> web.StreamResponse:
            return page_file("index.html")

        async def part(request: web.Request) -> web.StreamResponse:
            return page_file(request.match_info["name"])

        app = web.Application(middlewares=[self._access.guard])
        app.on_shutdown.append(self._hang_up)
        app.add_routes(
            [
                web.get("/open", opened),
                web.get("/", index),
                web.get("/stream", self._stream),
                web.get("/run.rec", self._recording),
                web.get(PART, part),
            ]
        )
        return app

    async def _hang_up(self, _: web.Application) -> None:
        for page in list(self._pages):
            await page.close()

    # -- the stream -------------------------------------------------------------------------------------------------

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._pages) >= MOST_PAGES:
            return web.Response(status=503, text="too many pages are open: close some\n", headers=HEADERS)
        page = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=LONGEST_MESSAGE)
        if not page.can_prepare(request).ok:
            return refuse()
        await page.prepare(request)
        self._pages.add(page)
        try:
            if await self._shows_key(request, page):
                await self._serve(page)
            else:
                await page.close(code=4403, message=b"no session")
        except (ConnectionError, asyncio.TimeoutError):
            pass  # it has gone
        finally:
            self._pages.discard(page)
        return page

    async def _shows_key(self, request: web.Request, page: web.WebSocketResponse) -> bool:
        try:
            first = await within(page.receive(), KEY_S)
            key = json.loads(first.data)["key"] if first.type is WSMsgType.TEXT else ""
        except (asyncio.TimeoutError, ValueError, KeyError, TypeError):
            return False
        return isinstance(key, str) and self._access.is_whole(self._access.cookie_of(request), key)

    async def _serve(self, page: web.WebSocketResponse) -> None:
        telling = asyncio.ensure_future(self._tell(page))
        doing: set[asyncio.Task[None]] = set()
        try:
            async for message in page:
                if message.type is not WSMsgType.TEXT:
                    continue
                if len(doing) >= MOST_COMMANDS:
                    await page.send_str(_refused(message.data, "too much at a time: wait for an answer"))
                    continue
                task = asyncio.ensure_future(self._do(page, message.data))
                doing.add(task)
                task.add_done_callback(doing.discard)
        finally:
            # What was begun is carried out, whether or not its page is still there to be told.
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, page: web.WebSocketResponse) -> None:
        recorder = self._recorder
        if recorder.window is None:
            await page.send_str(json.dumps({"waiting": "no lab runs; start one with: make run"}))
        while recorder.window is None:
            await asyncio.sleep(POLL_S)
        number, reader = recorder.number, recorder.window.open()
        first = [json.dumps({"keeps": recorder.window.length_us})]
        while True:
            try:
                lines, first = [*first, *reader.take()], []
            except Behind:
                why = "behind"
                break
            if recorder.number != number:
                why = "another"
                break
            if lines:
                await page.send_str("\n".join(lines))
            if not reader.waiting:
                await asyncio.sleep(POLL_S)
        await page.send_str(json.dumps({"reopen": why}))

    # -- commands ---------------------------------------------------------------------------------------------------

    async def _do(self, page: web.WebSocketResponse, text: str) -> None:
        try:
            request = json.loads(text)
            number = _whole(request["id"])
            asked = self._open(request) if "open" in request else self._carry_out(_words(request["do"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            said = "a request is {id, do: [words]} or {id, open, at}"
            answer: Json = {"answer": 0, "ok": False, "text": said, "command": ""}
        else:
            answer = {"answer": number, **await asked}
        try:
            await page.send_str(json.dumps(answer))
        except (ConnectionError, RuntimeError):
            return  # the page has gone meanwhile

    def _open(self, request: Json) -> Awaitable[Json]:
        """Raises KeyError, TypeError."""
        return self._opened(_whole(request["open"]), _whole(request["at"]) - self._recorder.began_us)

    async def _opened(self, m: int, at_us: int) -> Json:
        try:
            return {"ok": True, **await self._recorder.opened(m, at_us)}
        except LabError as error:
            return {"ok": False, "text": str(error)}

    async def _carry_out(self, words: list[Any]) -> Json:
        try:
            command = parse(self._commands, words)
        except UsageError as error:
            return {"ok": False, "text": str(error), "command": ""}
        call = self._begin_call(command)
        try:
            said, ok = await asyncio.to_thread(command.run), True
        except LabError as error:
            said, ok = str(error), False
        if call:
            self._recorder.answer(call, "ok" if ok else "failed", said)
        elif ok and not command.is_told_by_lab:
            self._recorder.tell([{"k": "note", "who": "by hand", "text": said}])
        return {"ok": ok, "text": said, "command": command.text}

    def _begin_call(self, command: Command) -> int:
        topology = self._recorder.topology
        if not command.is_request or topology is None:
            return 0
        host = command.params["origin"] or (topology.clients or topology.members)[0]
        operands = [command.params[name] for name in ("key", "value") if command.params.get(name) is not None]
        return self._recorder.call(host, command.params["group"] or topology.groups[0].id, [command.name, *operands])

    def _time(self, text: str | None) -> int | None:
        """A time of the run, from microseconds since 1970. Raises ValueError."""
        return None if text is None else max(0, int(text) - self._recorder.began_us)

    # -- recordings -------------------------------------------------------------------------------------------------

    async def _recording(self, request: web.Request) -> web.StreamResponse:
        if not self._access.is_whole(self._access.cookie_of(request), request.headers.get(KEY_HEADER, "")):
            return refuse()
        try:
            begin, end = (self._time(request.query.get(name)) for name in ("from", "to"))
        except ValueError:
            raise web.HTTPBadRequest from None
        handle, name = tempfile.mkstemp(prefix="switchraft-", suffix=".rec")
        os.close(handle)
        file = Path(name)
        try:
            await save(self._recorder, file, begin, end)
            body = await asyncio.to_thread(file.read_bytes)
        except LabError as error:
            return web.Response(status=404, text=f"{error}\n", headers=HEADERS)
        finally:
            file.unlink()
        return web.Response(body=body, content_type="application/octet-stream", headers=HEADERS)


async def save(recorder: Recorder, file: Path, begin_us: int | None = None, end_us: int | None = None) -> int:
    """Write what is remembered, or a time of it, as a recording; returns the number of events. Raises LabError."""
    if recorder.window is None:
        raise LabError("nothing was recorded yet: no lab has run")
    still = recorder.window.still()
    try:
        return await asyncio.to_thread(still.save, file, begin_us or 0, end_us)
    except OSError as error:
        raise LabError(f"cannot write {file}: {error.strerror}") from None


def _whole(value: Any) -> int:
    """Raises TypeError for what is no whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _words(value: Any) -> list[Any]:
    """Raises TypeError for what is no list."""
    if not isinstance(value, list):
        raise TypeError
    return value


def _refused(text: str, why: str) -> str:
    try:
        number = json.loads(text)["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        number = 0
    return json.dumps({"answer": number, "ok": False, "text": why, "command": ""})
