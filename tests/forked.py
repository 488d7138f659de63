"""Processes that cost no start of Python: each is forked from one that has imported what it runs, and waits.

Such a process is like that of ``python -m MODULE``, and a child of the tests' process: it has arguments, an
environment and a folder of its own, and is killed, paused and waited for as any other.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
MESSAGE_BYTES = 1 << 17


class Forked:
    """A running process, with what tests use of ``subprocess.Popen``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit code. Raises TimeoutExpired."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing happens to a process that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def start(
    module: str, arguments: Sequence[str], output: int, errors: int, environment: Mapping[str, str] = os.environ
) -> Forked:
    """``python -m module arguments``, in the current folder; what it prints goes to these descriptors' files."""
    waiting = _waiting(module)
    request = json.dumps([os.getcwd(), dict(environment), list(arguments)]).encode()
    _adopt_orphans(True)
    try:
        socket.send_fds(waiting, [request], [output, errors])
        answer = waiting.recv(MESSAGE_BYTES)
    finally:
        _adopt_orphans(False)
    assert answer, f"the process that forks those of {module} has ended"
    return Forked(int(answer))


def start_command(command: Sequence[str], output: int) -> Forked:
    """``[sys.executable, "-m", module, ...]``; all that it prints goes to one file."""
    _, _, module, *arguments = command
    return start(module, arguments, output, output)


def run(module: str, *arguments: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m module arguments`` with more environment variables, to its end."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = start(module, arguments, output.fileno(), errors.fileno(), {**os.environ, **environment})
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise
        told = [os.pread(file.fileno(), 1 << 24, 0).decode() for file in (output, errors)]
        return subprocess.CompletedProcess([module, *arguments], code, *told)


@cache
def _waiting(module: str) -> socket.socket:
    """The other end of the process that has imported a module; it ends when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.forked", str(theirs.fileno()), module]
        subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=Path(__file__).parents[1])
    return ours


def _adopt_orphans(whether: bool) -> None:
    """Whether a descendant whose parent ends becomes a child of this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0)


ALSO = {"topo.cli": ("topo.views.status", "topo.views.client_requests", "topo.lab.running_lab")}
"""What a module imports only where a command needs it, and many do."""


def serve(asking: socket.socket, name: str) -> None:
    """Start a process for each message, until the other end is closed. Returns in none of them."""
    module = importlib.import_module(name)
    for other in ALSO.get(name, ()):
        importlib.import_module(other)
    gc.collect()
    gc.freeze()
    while True:
        message, outputs, _, _ = socket.recv_fds(asking, MESSAGE_BYTES, 2)
        if not message:
            return
        read, write = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child == 0:
                asking.close()
                _become(name, *json.loads(message), outputs, (read, write))
                sys.exit(module.main())
            os.write(write, str(child).encode())
            os._exit(0)
        # The parent of what runs has ended before the answer goes: who asked is its parent from then on.
        os.waitpid(between, 0)
        asking.send(os.read(read, MESSAGE_BYTES))
        for descriptor in (read, write, *outputs):
            os.close(descriptor)


def _become(
    name: str,
    folder: str,
    environment: dict[str, str],
    arguments: list[str],
    outputs: Sequence[int],
    unused: Sequence[int],
) -> None:
    for stream, output in enumerate(outputs, 1):
        os.dup2(output, stream)
    for descriptor in (*outputs, *unused):
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    sys.argv = [name, *arguments]


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given, sys.argv[2])
