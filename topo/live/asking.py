"""A control socket of the lab, asked again and again over one connection, with asyncio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from controller.control_socket import short_path
from controller.tasks import within
from hosts.control.socket import decoded

Json = dict[str, Any]

LONGEST_LINE = 64 << 20
PATIENCE_S = 2.0
GONE = (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError)
"""What ``Asker`` and ``lines`` raise where nobody answers as expected."""


class Asker:
    """A connection that is made when it is needed. Requests are one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Json) -> list[Json]:
        """The answer's lines, up to that with "ok". Raises one of GONE; the next request connects anew then."""
        try:
            return await within(self._ask(request), PATIENCE_S)
        except GONE:
            self.close()
            raise

    async def _ask(self, request: Json) -> list[Json]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await _connect(self._path)
        self._writer.write(json.dumps(request).encode() + b"\n")
        await self._writer.drain()
        found: list[Json] = []
        while not found or "ok" not in found[-1]:
            found.append(await _line(self._reader))
        return found

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def lines(path: Path, request: Json) -> AsyncIterator[Json]:
    """The lines of an answer that goes on. Raises one of GONE at its end."""
    reader, writer = await within(_connect(path), PATIENCE_S)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        while True:
            yield await _line(reader)
    finally:
        writer.close()


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with short_path(path) as name:
        return await asyncio.open_unix_connection(name, limit=LONGEST_LINE)


async def _line(reader: asyncio.StreamReader) -> Json:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("closed")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("an answer that is no object")
    return decoded(answer)
