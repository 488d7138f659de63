"""Clients in threads of one process: on one host, with one interpreter's lock between them.

    python -m topo.soak.crowd FILE SEED THREADS THINK_S LEAST_BYTES MOST_BYTES HOST...

runs them on the lab that runs, against the nodes on these hosts, until its input ends, and writes what they saw.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from topo import paths
from topo.errors import LabError
from topo.lab.running_lab import Live
from topo.soak.history import Recorder, read, recording
from topo.soak.load import Worker, crowd_habits
from topo.soak.sizes import NAMES_ONLY, ValueBytes

END_S = 60.0
"""Longer than any client waits for an answer."""


class Crowd:
    """The process, as the soak sees it."""

    def __init__(
        self,
        threads: int,
        seed: int,
        think_s: float,
        servers: Sequence[str],
        folder: Path,
        value_bytes: ValueBytes = NAMES_ONLY,
    ) -> None:
        self._path = folder / f"crowd-{seed}.jsonl"
        arguments = [str(self._path), str(seed), str(threads), str(think_s), *map(str, value_bytes), *servers]
        self._command = [sys.executable, "-m", "topo.soak.crowd", *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._error = ""

    def start(self) -> None:
        """Let them begin."""
        self._process = subprocess.Popen(
            self._command, cwd=paths.ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def stop(self) -> None:
        """Let each end its call, and wait for that."""
        process = self._process
        if process is None:
            return
        try:
            _, self._error = process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            _, self._error = process.communicate()
            self._error = f"it hung: a call did not end within {END_S:.0f} s\n{self._error}"

    def give_calls_to(self, recorder: Recorder) -> None:
        """What they saw, once they have ended. Raises LabError if they did not end well."""
        if self._process is None or self._process.returncode != 0 or self._error:
            last = self._error.strip().splitlines()[-1:] or ["without a word"]
            raise LabError(f"the process of many clients has failed: {last[0]}")
        for call in read(self._path).calls:
            recorder.call(call)
        self._path.unlink()


def main(arguments: Sequence[str]) -> None:
    """What the process does."""
    # A key that ends the soak ends this by way of its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path, seed, threads, think_s, least, most, *servers = arguments
    live = Live.find()
    with recording(Path(path)) as recorder:
        kinds = crowd_habits(live, int(threads), float(think_s), (int(least), int(most)))
        workers = [Worker(live, one, int(seed), recorder, servers) for one in kinds]
        for worker in workers:
            worker.start()
        sys.stdin.read()
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()
    for worker in workers:
        if worker.failure is not None:
            sys.exit(f"client {worker.habit.name}: {worker.failure!r}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LabError as error:
        sys.exit(str(error))
