"""The control socket: a unix socket that answers requests of one JSON object a line, for people on the same machine.

    {"cmd": "status"}             one line: the node, its groups, its counters; with "durations": true also how long
                                  syncs, round trips and commits' stages took (``hosts.measures``)
    {"cmd": "log", "group": 1}    a line for each applied value of the list: index, term, type, value; then a last one
    {"cmd": "raw", "group": 1}    a line for each entry of the Raft log: index, term, kind, committed, ...; a last
                                  one; "from": only entries from that index on; "brief": of long values the size
    {"cmd": "kv", "group": 1}     a line for each key: key, type, value; a last one

Last lines have "ok"; with "ok" false, "error" says why. "group" may be left out where there is one only. Values are
in the form of ``hosts.service.values.to_json``, with their type beside them. For longer ones there are
"value_encoded" and "key_encoded", their msgpack in hexadecimal: ``ask`` puts there what they stand for.

Answers are made in small parts, so that they never hold Raft up, however many there are and whatever they hold.
"""

from __future__ import annotations

import json
import os
import select
import socket
from binascii import hexlify
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hosts.service import values

Json = dict[str, Any]

LONGEST_REQUEST = 64 * 1024
PART_BYTES = 16 * 1024
"""Made per turn of the node's loop, for one connection."""

WRITTEN_BYTES = 256 * 1024
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
        self.outgoing = memoryview(b"")
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
        self._answer = answer
        self._server = bind(path)
        self._inode = path.stat().st_ino
        self._connections: dict[int, _Connection] = {}
        self._epoll = select.epoll()
        """Watches the connections. It names one at a time, in turn, however many there are."""
        self._epoll.register(self._server.fileno(), select.EPOLLIN)
        epoll.register(self._epoll.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Hang up and remove the socket, unless it is another process's by now."""
        for connection in list(self._connections.values()):
            self._hang_up(connection)
        self._server.close()
        self._epoll.close()
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass

    def owns(self, fd: int) -> bool:
        """Whether ``handle`` is for this descriptor."""
        return fd == self._epoll.fileno()

    def handle(self) -> None:
        """Do a part of what is to be done for one connection."""
        for fd, events in self._epoll.poll(0, 1):
            self._handle(fd, events)

    def _handle(self, fd: int, events: int) -> None:
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
        """Write what is left of the last part, or make another one and write of that."""
        if not connection.outgoing:
            lines: list[bytes] = []
            size = 0
            while connection.answers and size < PART_BYTES:
                answer = next(connection.answers[0], None)
                if answer is None:
                    del connection.answers[0]
                else:
                    line = _line(answer)
                    lines.append(line)
                    size += len(line)
            connection.outgoing = memoryview(b"".join(lines))
        sent = connection.socket.send(connection.outgoing[:WRITTEN_BYTES])
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
                yield decoded(answer)


_ENCODED = ("key_encoded", "value_encoded")


def _line(answer: Json) -> bytes:
    """An answer as it is written. What is encoded is bytes until then: JSON would look at each for itself."""
    encoded = [(name.encode(), answer.pop(name)) for name in _ENCODED if name in answer]
    parts = [json.dumps(answer).encode()[1:-1]] if answer else []
    parts += [b'"%s": "%s"' % (name, hexlify(data)) for name, data in encoded]
    return b"{%s}\n" % b", ".join(parts)


def decoded(answer: Json) -> Json:
    """An answer with keys and values in the place of what stands for them. Raises ValueError for what is none."""
    for name in _ENCODED:
        encoded = answer.pop(name, None)
        if encoded is not None:
            kind, answer[name.removesuffix("_encoded")] = values.shown(bytes.fromhex(encoded))
            if name == "value_encoded":
                answer["type"] = kind
    return answer
