"""Unix sockets that carry one JSON value a line; any path length."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LONGEST_LINE = 1 << 20
"""Bytes that a request may have."""


def listen(path: Path) -> socket.socket:
    """A listening socket at ``path``; one left there by a crash is replaced."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The address field holds 107 bytes; the way through the folder's descriptor is always short.
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    path.chmod(0o600)
    server.listen(16)
    return server


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Raises OSError where nobody listens at ``path``."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout_s)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            client.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except OSError:
        client.close()
        raise
    return client


def ask(path: Path, request: dict[str, Any], timeout_s: float = 10.0) -> Iterator[dict[str, Any]]:
    """Send one request and yield the answer's lines until the other side closes or has answered in one line.
    ``timeout_s`` counts from line to line. Raises OSError, or ValueError for what is not JSON."""
    with connect(path, timeout_s) as client:
        client.sendall(json.dumps(request).encode() + b"\n")
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                if not isinstance(answer, dict):
                    raise ValueError(f"an answer that is no object: {line[:80]!r}")
                yield answer


def ask_one(path: Path, request: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]:
    """The first line of the answer. Raises OSError or ValueError; ConnectionError where there is none."""
    for answer in ask(path, request, timeout_s):
        return answer
    raise ConnectionError("closed without an answer")
