"""Processes by pid and start time, so that a pid which Linux gave to someone else is never touched.

A process that the lab started, or that descends from one, also carries the lab's token in its environment; so what a
person started at a host's prompt is found as well.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from topo.errors import LabError
from topo.paths import shown

TOKEN_VARIABLE = "SWITCHRAFT_LAB"
POLL_S = 0.02
PAUSE_POLL_S = 0.001
STOP_S = 5.0
"""A process that waits for its disk stops once that has answered."""
FIRST_LINES, LAST_LINES = 4, 8
"""How many lines are shown of what a process printed before it ended. Tracebacks say at the end what it is about; a
program that did not understand its arguments says so at the top, before pages of usage."""
LONGEST_LINE = 300
PART_BYTES = 32 * 1024


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
        self._log_start = 0
        self._killed = False

    @property
    def process(self) -> Process | None:
        """The running process; None while it does not run."""
        return self._process if self._popen is not None and self._popen.poll() is None else None

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not by ``kill``."""
        return self._popen is not None and self.process is None and not self._killed

    @property
    def was_killed(self) -> bool:
        """Whether ``kill`` has ended it."""
        return self._killed and self.process is None

    @property
    def exit_text(self) -> str:
        """How it ended: "exit code 1", "signal SIGKILL", or "not started"."""
        code = self._popen.poll() if self._popen is not None else None
        if code is None:
            return "not started"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def start(self) -> None:
        """Start it. Its output is added to its log. Raises LabError where that is not possible."""
        with self.log.open("ab") as log:
            log.write(f"--- {time.strftime('%F %T')} {' '.join(self.command)}\n".encode())
            log.flush()
            self._log_start = log.tell()
            try:
                self._popen = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise LabError(f"{self.name} cannot be started: {self.command[0]}: {error.strerror}") from error
        self._process = Process.of(self._popen.pid)
        self.paused = self._killed = False

    def signal(self, number: signal.Signals) -> None:
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(number)

    def pause(self) -> None:
        """SIGSTOP, and wait until all of its threads have stopped: until then some go on. Raises LabError if they do
        not within STOP_S."""
        if self.paused or self._popen is None:
            return
        self.signal(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_S
        stopped = os.WSTOPPED | os.WNOHANG
        while self.process is not None and os.waitid(os.P_PID, self._popen.pid, stopped) is None:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} was told to stop, and has not within {STOP_S:.0f} s")
            time.sleep(PAUSE_POLL_S)
        self.paused = self.process is not None

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)
        self.paused = False

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._killed = self.process is not None
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

    def last_words(self) -> str:
        """What it printed since its last start, as ``last_words`` shows it."""
        return last_words(self.log, self._log_start)

    def obituary(self) -> str:
        """How it ended, and what it printed before, unless ``kill`` ended it; "not started" if it never was."""
        if self._popen is None or self._killed:
            return self.exit_text
        return f"{self.exit_text}; {printed(self.log, self._log_start)}"


def printed(log: Path, start: int = 0) -> str:
    """A clause, of several lines, on what a process had printed to its log from byte ``start`` on when it ended."""
    words = last_words(log, start)
    if not words:
        return f"it printed nothing to {shown(log)}"
    return f"its last lines, of {shown(log)}:\n{words}"


def last_words(log: Path, start: int = 0) -> str:
    """The last lines of a log, indented, and its first ones before them; empty if there is nothing to read."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(start)
            head = file.read(PART_BYTES)
            tail = head
            if end > start + PART_BYTES:
                file.seek(max(start, end - PART_BYTES))
                tail = file.read(PART_BYTES)
    except OSError:
        return ""
    first, last = _lines(head), _lines(tail)
    if tail is head and len(last) <= FIRST_LINES + LAST_LINES:
        chosen = last
    else:
        chosen = [*first[:FIRST_LINES], "...", *last[-LAST_LINES:]]
    return "\n".join(f"  {line}" for line in chosen)


def _lines(printed: bytes) -> list[str]:
    """Lines that have something in them, without what steers a terminal."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", printed.decode(errors="replace"))
    lines = ("".join(one if one.isprintable() else " " for one in line).rstrip() for line in text.splitlines())
    return [line[:LONGEST_LINE] for line in lines if line]


def readable(descriptor: int, seconds: float) -> bool:
    """Whether ``descriptor`` becomes readable within ``seconds``."""
    return bool(select.select([descriptor], [], [], seconds)[0])
