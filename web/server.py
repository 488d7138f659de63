"""A recording and the page over HTTP, on loopback only."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from web.access import HEADERS

PAGE = Path(__file__).with_name("page")
PART = r"/{name:[a-z]+\.(?:js|css)}"


def make_app(recording: Path) -> web.Application:
    """The page at /, with its run."""

    async def index(_: web.Request) -> web.FileResponse:
        return page_file("index.html")

    async def run(_: web.Request) -> web.FileResponse:
        # The page unpacks it by itself, so it is no Content-Encoding.
        return web.FileResponse(recording, headers={**HEADERS, "Content-Type": "application/octet-stream"})

    async def part(request: web.Request) -> web.FileResponse:
        return page_file(request.match_info["name"])

    app = web.Application()
    app.add_routes([web.get("/", index), web.get("/run.rec", run), web.get(PART, part)])
    return app


def page_file(name: str) -> web.FileResponse:
    """A file of the page. Raises HTTPNotFound."""
    file = PAGE / name
    if file.parent != PAGE or not file.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(file, headers=HEADERS)


def serve(recording: Path, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises RecordingError if the port is taken."""
    import asyncio

    asyncio.run(_serve(recording, port))


async def _serve(recording: Path, port: int) -> None:
    import asyncio
    import signal

    from web.recording import RecordingError

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell has started this in the background, with SIGINT ignored.
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    runner = web.AppRunner(make_app(recording), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            raise RecordingError(f"port {port} on loopback: {error.strerror}; choose another with --port") from None
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/ shows the run; end with Ctrl-C", flush=True)
        await ended.wait()
    finally:
        await runner.cleanup()
