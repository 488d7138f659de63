"""What a benchmark has measured, kept with all that one must know to trust it: build/bench/records, a file each.

A file is named after its command, so that the latest run of each is what `bench figures` draws.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.plot import Series
from topo import paths

DURABLE = "an entry is on the disks of a quorum before it is acknowledged; writes are linearizable"

FORMAT = 1


class RecordError(Exception):
    """A record, or what is made of records, that cannot be read or written; the text names the file."""


@dataclass(frozen=True)
class Record:
    """One run of one command."""

    words: tuple[str, ...]
    """The command, after ``python -m bench``."""
    when: str
    """Its end, in UTC."""
    commit: str
    machine: str
    conditions: tuple[str, ...]
    """What is durable, which consistency, which switch, which versions."""
    series: tuple[Series, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """Figures that are not drawn, by name."""

    @property
    def bench(self) -> str:
        return self.words[0]

    @property
    def command(self) -> str:
        return "python -m bench " + shlex.join(self.words)


def shown(value: object) -> str:
    """A figure for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def folder() -> Path:
    """Where records are."""
    return paths.build() / "bench" / "records"


def keep(
    words: Sequence[str],
    conditions: Iterable[str],
    series: Iterable[Series] = (),
    facts: Mapping[str, Any] | None = None,
) -> Path | None:
    """Keep what the command with these words has measured just now, in place of what it measured before. Where that
    cannot be written, stderr says so, and None is returned: what was measured is still to be shown."""
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Record(tuple(words), when, commit(), machine(), tuple(conditions), tuple(series), dict(facts or {}))
    name = re.sub(r"[^A-Za-z0-9.,]+", "-", " ".join(words)).strip("-")[:120]
    text = json.dumps({"format": FORMAT, **asdict(record)}, indent=1, ensure_ascii=False)
    return leave(folder() / f"{name}.json", text + "\n")


def leave(file: Path, text: str) -> Path | None:
    """Write what comes beside the figures that a command shows. Where that is impossible, stderr says so, and None is
    returned."""
    try:
        return write(file, text)
    except RecordError as error:
        print(f"bench: {error}", file=sys.stderr)
        return None


def write(file: Path, text: str) -> Path:
    """Write a file, and its folder where there is none, for the user who called sudo. Raises RecordError."""
    try:
        paths.make(file.parent)
        file.write_text(text, encoding="utf-8")
        paths.give(file)
    except OSError as error:
        raise RecordError(f"cannot write {paths.shown(file)}: {error.strerror}") from error
    return file


def read(file: Path) -> Record:
    """A record. Raises RecordError."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.pop("format") != FORMAT:
            raise ValueError("it is of another version")
        series = [Series(**{**one, "values": tuple(map(float, one["values"]))}) for one in told.pop("series")]
        record = Record(**told)
        words, conditions = tuple(map(str, record.words)), tuple(map(str, record.conditions))
        if not words or not all(one.values for one in series):
            raise ValueError("nothing was measured")
        return Record(words, record.when, record.commit, record.machine, conditions, tuple(series), record.facts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{paths.shown(file)} is no record of a benchmark ({error}): remove it") from error


def read_all(place: Path) -> list[Record]:
    """All records in a folder, by bench and command. Raises RecordError."""
    return sorted((read(file) for file in place.glob("*.json")), key=lambda one: one.words)


def commit() -> str:
    """The checkout's commit, and whether anything is changed since."""
    try:
        named = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{named}, with changes" if changed else named


def _git(*words: str) -> str:
    # Root may not look into somebody else's repository unless it is told that it is meant.
    command = ["git", "-c", f"safe.directory={paths.ROOT}", *words]
    return subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    """Processors, kernel and Python."""
    model = ""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = f" ({line.partition(':')[2].strip()})"
                break
    except OSError:
        pass
    count = len(os.sched_getaffinity(0))
    return f"{count} processors{model}, Linux {platform.release()}, Python {platform.python_version()}"
