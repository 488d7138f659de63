"""What every part of the fuzzer shares: cases by number, the corpus that is kept, what counts as a fault."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CASE_LIMIT_S = 60
"""Seconds after which a case counts as hanging, on a busy machine too."""
MEMORY_LIMIT = 6 << 30
LEAK_KB = 150_000
"""Growth of a worker after its warm-up that counts as a leak."""


class Hang(Exception):
    """A case took longer than CASE_LIMIT_S."""


class Fault(Exception):
    """A case did what it must not; the text says what."""


@dataclass
class Found:
    """What a worker brings back. `faults`: (title, input)."""

    cases: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def title(error: BaseException) -> str:
    """The error and the innermost place of this project: what makes two faults the same."""
    places = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if f.filename.startswith(f"{REPOSITORY}/") and "/.venv/" not in f.filename
    ]
    where = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return f"{type(error).__name__}: {str(error)[:200]}{where}"


class Corpus:
    """Inputs that showed something new, by what they showed; on disk, so that the next run begins with them."""

    def __init__(self, folder: Path, ending: str) -> None:
        self.folder, self.ending = folder, ending
        folder.mkdir(parents=True, exist_ok=True)
        self.texts = [one.read_text() for one in sorted(folder.glob(f"*{ending}"))]
        self.current = folder / "current"
        self._seen = folder / "seen"
        self.seen: set[str] = set(json.loads(self._seen.read_text())) if self._seen.exists() else set()

    def learn(self, what: str, text: str) -> None:
        if what in self.seen:
            return
        self.seen.add(what)
        self.texts.append(text)
        name = hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
        (self.folder / f"{name}{self.ending}").write_text(text)
        self._seen.write_text(json.dumps(sorted(self.seen)))


def run_cases(
    seed: int, seconds: float, corpus: Corpus, make: Callable[[random.Random], str], case: Callable[[str], str]
) -> Found:
    """Make and run cases until the time is up. `case` gives what it showed (for the corpus), or raises Fault, or
    whatever else, which then is a fault as well."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    chance, found, start = random.Random(seed), Found(), time.monotonic()
    begun = 0
    while time.monotonic() - start < seconds:
        text = make(chance)
        corpus.current.write_text(text)
        found.cases += 1
        try:
            with time_limit(CASE_LIMIT_S):
                corpus.learn(case(text), text)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            found.faults.append((title(error), text))
        if not begun and time.monotonic() - start > seconds / 2:
            begun = resident_kb()
    corpus.current.unlink(missing_ok=True)
    if begun and resident_kb() - begun > LEAK_KB:
        found.faults.append((f"memory grows: {begun} kB, then {resident_kb()} kB", f"seed {seed}"))
    return found


def resident_kb() -> int:
    """Resident memory now."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() // 1024


def save(found: Found, file: Path) -> None:
    file.write_text(json.dumps(asdict(found)))


def load(file: Path) -> Found:
    data = json.loads(file.read_text())
    return Found(data["cases"], [(a, b) for a, b in data["faults"]])
