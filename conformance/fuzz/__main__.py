"""Fuzz what reads others' input, but for datagrams (``tests.hosts.fuzz``): ``python -m conformance fuzz``.

  language   random P4 programs: what an interpreter of the specification makes of packets (also alone: language)
  compiler   mutated P4 sources: compiled, or refused in words
  loader     mutated BMv2 JSONs: refused in words, or C that compiles and runs
  server     mutated P4Runtime requests: an answer in P4Runtime's terms
  dataplane  random packets and edits, under the address and undefined-behaviour sanitizers
  files      mutated cluster, topology and network files: taken, or refused in one line

Takes turns of half a minute each, in processes of their own, until every part had its share of --minutes. State and
corpus are kept in build/fuzz: stopped runs go on where they were, and --minutes counts all of them together (--again
begins a new count). A fault (an exception, a crash, a hang, a leak, a sanitizer's report) is kept with its input in
build/fuzz/faults and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from conformance.fuzz import cases, compiler, dataplane, files, loader, server
from conformance.fuzz.cases import REPOSITORY, Found
from conformance.fuzz.language import run as language

PARTS = {
    "language": language.fuzz,
    "compiler": compiler.fuzz,
    "loader": loader.fuzz,
    "server": server.fuzz,
    "dataplane": dataplane.fuzz,
    "files": files.fuzz,
}
TURN_S = 30.0
GRACE_S = 240.0
"""A worker that takes so much longer than its turn hangs."""


def work(part: str, seed: int, seconds: float, folder: Path) -> None:
    """The worker: its result goes to folder/result.json."""
    cases.save(PARTS[part](seed, seconds, folder), folder / "result.json")


def turn(part: str, seed: int, seconds: float, folder: Path) -> Found:
    """Run a worker. One that ends badly is a fault of the input that it had written down."""
    folder.mkdir(parents=True, exist_ok=True)
    result, current = folder / "result.json", folder / "current"
    result.unlink(missing_ok=True)
    environment = dataplane.environment() if part == "dataplane" else dict(os.environ)
    command = [sys.executable, "-m", "conformance.fuzz", "--worker", part, str(seed), str(seconds), str(folder)]
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=seconds + GRACE_S
        )
        fault = f"the worker ended with code {done.returncode}: {_last_line(done.stderr)}"
        text = done.stderr[-6000:]
    except subprocess.TimeoutExpired:
        fault, text = f"no end {GRACE_S:.0f} s after its turn", ""
    if result.exists():
        return cases.load(result)
    given = current.read_text(errors="replace") if current.exists() else f"seed {seed}"
    return Found(1, [(fault, f"{given}\n\n{text}")])


def _last_line(text: str) -> str:
    for line in text.splitlines():
        if "ERROR: AddressSanitizer" in line or "runtime error:" in line:
            return line
    return (text.strip().splitlines() or [""])[-1]


class Campaign:
    """State on disk: per part, seconds and cases so far, and the next seed."""

    def __init__(self, folder: Path, again: bool) -> None:
        self.folder = folder
        self.file = folder / "state.json"
        (folder / "faults").mkdir(parents=True, exist_ok=True)
        self.state: dict[str, dict[str, float]] = json.loads(self.file.read_text()) if self.file.exists() else {}
        for part in PARTS:
            one = self.state.setdefault(part, {"seconds": 0, "cases": 0, "seed": 1})
            if again:
                one.update(seconds=0, cases=0)

    def run(self, parts: list[str], minutes: float) -> int:
        """The number of faults."""
        share, faults = 60 * minutes / len(parts), 0
        while waiting := [p for p in parts if self.state[p]["seconds"] < share]:
            part = min(waiting, key=lambda p: self.state[p]["seconds"])
            one = self.state[part]
            start, seconds = time.monotonic(), min(TURN_S, share - one["seconds"])
            found = turn(part, int(one["seed"]), seconds, self.folder / part)
            one["seed"] += 1
            one["cases"] += found.cases
            one["seconds"] += min(time.monotonic() - start, 2 * seconds)
            self.file.write_text(json.dumps(self.state, indent=1))
            faults += self._report(part, found)
        return faults

    def _report(self, part: str, found: Found) -> int:
        one = self.state[part]
        say(f"{part:10} {one['seconds']:5.0f} s, {int(one['cases'])} cases{', FAULTS' if found.faults else ''}")
        for fault, given in found.faults:
            name = hashlib.blake2s(fault.encode(), digest_size=4).hexdigest()
            file = self.folder / "faults" / f"{part}-{name}"
            if not file.exists():
                say(f"    {fault}\n    input: {file}")
            file.write_text(f"{given}\n// {fault}\n" if part in ("compiler", "language") else f"{given}\n")
        return len(found.faults)


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        part, seed, seconds, folder = sys.argv[2:]
        work(part, int(seed), float(seconds), Path(folder))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="in total, over all parts and runs (20)")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--again", action="store_true", help="count the minutes from zero")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build" / "fuzz")
    given = parser.parse_args()
    campaign = Campaign(given.folder.resolve(), given.again)
    parts = given.part or list(PARTS)
    faults = campaign.run(parts, given.minutes)
    total = sum(int(campaign.state[p]["cases"]) for p in parts)
    minutes = sum(campaign.state[p]["seconds"] for p in parts) / 60
    say(f"== {minutes:.1f} minutes, {total} cases so far; {faults} faults in this run")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
