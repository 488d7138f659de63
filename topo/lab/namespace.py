"""Entering a host's network namespace, by the process that holds it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from topo.errors import LabError
from topo.lab.process import Process

CLONE_NEWNET = 0x40000000

Result = TypeVar("Result")


def enter(process: Process) -> None:
    """Put the calling thread, and those it starts, into the network namespace of ``process``. For good."""
    if not process.alive:
        raise LabError("the host is gone: the lab has ended or is broken; end it with: switchraft stop")
    descriptor = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
            raise LabError(f"cannot enter the host's network namespace: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


def on_host(holder: Process, call: Callable[[], Result]) -> Result:
    """Run ``call`` in a thread of its own that has entered a host's namespace. Raises what it raises."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            enter(holder)
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def wrap(process: Process, command: Sequence[str]) -> list[str]:
    """``command`` as it must be started to run inside the namespaces of ``process``; keeps its pid."""
    return ["mnexec", "-a", str(process.pid), *command]


def run(process: Process | None, command: Sequence[str], *, check: bool = True) -> str:
    """Run ``command`` in the namespace of ``process`` (None: in the root namespace). Returns its output."""
    whole = wrap(process, command) if process is not None else list(command)
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip() or done.returncode}")
    return done.stdout
