"""The control socket: a unix socket that answers requests of one JSON object a line, for people on the same machine.

    {"cmd": "status"}             one line: the node, its groups, its counters
    {"cmd": "log", "group": 1}    a line for each applied value of the list: index, term, type, value; then a last one
    {"cmd": "raw", "group": 1}    a line for each entry of the Raft log: index, term, kind, committed, ...; a last one
    {"cmd": "kv", "group": 1}     a line for each key: key, type, value; a last one

Last lines have "ok"; with "ok" false, "error" says why. "group" may be left out where there is one only. Values are
in the form of ``hosts.values.to_json``. Long answers are made in small parts, so that they never hold Raft up.
"""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

LONGEST_REQUEST = 64 * 1024
PART_BYTES = 64 * 1024
"""Made and written per turn of the node's loop and connection."""

MAX_CONNECTIONS = 32


def bind(path: Path) -> socket.socket:
    """A listening socket at ``path``, of any length. One left there by a crash is replaced. Raises OSError."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # A socket's address holds 107 bytes; the way through the folder's descriptor is always short.
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o600)
        server.listen(16)
        server.setblocking(False)
    except OSError:
        server.close()
        raise
    finally:
        os.close(folder)
    return server


class _Connection:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.incoming = b""
        self.outgoing = b""
        self.answers: list[Iterator[Json]] = []
        self.ended = False
        """Whether the other side has said all it has to say."""

    @property
    def wants_to_write(self) -> bool:
        return bool(self.outgoing or self.answers)


class ControlServer:
    """Serves a control socket from a loop that polls ``epoll``. ``answer`` turns a request into its lines."""

    def __init__(self, path: Path, epoll: select.epoll, answer: Callable[[Json], Iterator[Json]]) -> None:
        """Raises OSError if the socket cannot be made."""
        self._path = path
        self._epoll = epoll
        self._answer = answer
        self._server = bind(path)
        self._inode = path.stat().st_ino
        self._connections: dict[int, _Connection] = {}
        epoll.register(self._server.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Hang up and remove the socket, unless it is another process's by now."""
        for connection in list(self._connections.values()):
            self._hang_up(connection)
        self._server.close()
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass

    def owns(self, fd: int) -> bool:
        """Whether ``handle`` is for this descriptor."""
        return fd in self._connections or fd == self._server.fileno()

    def handle(self, fd: int, events: int) -> None:
        """Do what the descriptor is ready for."""
        if fd == self._server.fileno():
            self._accept()
            return
        connection = self._connections[fd]
        try:
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._read(connection)
            if connection.wants_to_write:
                self._write(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up(connection)
            return
        if connection.ended and not connection.wants_to_write:
            self._hang_up(connection)
            return
        # Who does not read its answers is not heard; a side that has closed is readable for ever.
        wanted = 0 if connection.ended else select.EPOLLIN
        self._epoll.modify(fd, select.EPOLLOUT if connection.wants_to_write else wanted)

    def _accept(self) -> None:
        try:
            accepted, _ = self._server.accept()
        except OSError:
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            accepted.close()
            return
        accepted.setblocking(False)
        self._connections[accepted.fileno()] = _Connection(accepted)
        self._epoll.register(accepted.fileno(), select.EPOLLIN)

    def _hang_up(self, connection: _Connection) -> None:
        fd = connection.socket.fileno()
        if self._connections.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            connection.socket.close()

    def _read(self, connection: _Connection) -> None:
        if connection.ended:
            raise ConnectionResetError
        data = connection.socket.recv(65536)
        if not data:
            connection.ended = True
        connection.incoming += data
        *lines, connection.incoming = connection.incoming.split(b"\n")
        connection.answers += [self._lines_for(line) for line in lines if line.strip()]
        if len(connection.incoming) > LONGEST_REQUEST:
            raise ConnectionResetError

    def _lines_for(self, line: bytes) -> Iterator[Json]:
        """Looks at the request when it is its turn to be answered."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            yield {"ok": False, "error": "a request is one JSON object a line"}
        else:
            yield from self._answer(request)

    def _write(self, connection: _Connection) -> None:
        while connection.answers and len(connection.outgoing) < PART_BYTES:
            lines = [connection.outgoing]
            size = len(connection.outgoing)
            for item in connection.answers[0]:
                lines.append(json.dumps(item).encode() + b"\n")
                size += len(lines[-1])
                if size >= PART_BYTES:
                    break
            else:
                del connection.answers[0]
            connection.outgoing = b"".join(lines)
        sent = connection.socket.send(connection.outgoing[: 4 * PART_BYTES])
        connection.outgoing = connection.outgoing[sent:]


def ask(path: Path, request: Json, timeout_s: float = 10.0) -> Iterator[Json]:
    """Send one request to the socket at ``path``; yields the answer's lines. Raises OSError where nobody answers
    within ``timeout_s`` from line to line, ValueError for what is not JSON."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            client.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
        client.sendall(json.dumps(request).encode() + b"\n")
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                if not isinstance(answer, dict):
                    raise ValueError(f"an answer that is no object: {line[:80]!r}")
                yield answer
