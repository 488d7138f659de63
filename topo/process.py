"""Processes by pid and start time, so that a pid which Linux gave to someone else is never touched.

A process that the lab started, or that descends from one, also carries the lab's token in its environment; so what a
person started at a host's prompt is found as well.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOKEN_VARIABLE = "SWITCHRAFT_LAB"
POLL_S = 0.02


@dataclass(frozen=True)
class Process:
    """``started``: clock ticks from the boot to the start, field 22 of /proc/PID/stat (proc(5))."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has ``pid`` now; None if there is none, or only its exit status is left."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, UnicodeDecodeError):
            return None
        fields = stat[stat.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; False where the process is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.alive:
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)


def with_token(token: str) -> list[Process]:
    """All processes that carry the lab's token, but for the calling one and its parents."""
    wanted = f"{TOKEN_VARIABLE}={token}".encode()
    own = _ancestry()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in own:
            continue
        try:
            environment = Path(f"/proc/{entry}/environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            process = Process.of(int(entry))
            if process is not None:
                found.append(process)
    return found


def _ancestry() -> set[int]:
    pids, pid = set(), os.getpid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        pid = int(stat[stat.rindex(")") + 2 :].split()[1])
    return pids


def end(processes: Iterable[Process], grace_s: float = 3.0) -> list[Process]:
    """Ask the processes to end, wait ``grace_s`` seconds, and kill what is left. Returns what would not even then."""
    left = [process for process in processes if process.alive]
    for process in left:
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)
    left = _wait(left, grace_s)
    for process in left:
        process.signal(signal.SIGKILL)
    return _wait(left, 5.0)


def _wait(processes: list[Process], seconds: float) -> list[Process]:
    deadline = time.monotonic() + seconds
    left = processes
    while left and time.monotonic() < deadline:
        left = [process for process in left if process.alive]
        if left:
            time.sleep(POLL_S)
    return left


class Child:
    """A process that the lab starts, and may start again: a switch, a node, the controller."""

    def __init__(
        self, name: str, kind: str, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.kind = kind
        self.command = list(command)
        self.log = log
        self.paused = False
        self._environment = dict(environment)
        self._folder = folder
        self._popen: subprocess.Popen[bytes] | None = None
        self._process: Process | None = None

    @property
    def process(self) -> Process | None:
        """The running process; None while it does not run."""
        return self._process if self._popen is not None and self._popen.poll() is None else None

    @property
    def exit_text(self) -> str:
        """How it ended: "exit code 1", "signal SIGKILL", or "not started"."""
        code = self._popen.poll() if self._popen is not None else None
        if code is None:
            return "not started"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def start(self) -> None:
        """Start it. Its output is added to its log."""
        with self.log.open("ab") as log:
            log.write(f"--- {time.strftime('%F %T')} {' '.join(self.command)}\n".encode())
            log.flush()
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )
        self._process = Process.of(self._popen.pid)
        self.paused = False

    def signal(self, number: signal.Signals) -> None:
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait()
        self.paused = False

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False if it still runs then."""
        if self._popen is None:
            return True
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self, lines: int = 5) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        text = text[text.rfind("\n--- ") + 1 :] if "\n--- " in text else text
        return "\n".join(line for line in text.splitlines()[1:][-lines:])


def readable(descriptor: int, seconds: float) -> bool:
    """Whether ``descriptor`` becomes readable within ``seconds``."""
    return bool(select.select([descriptor], [], [], seconds)[0])
