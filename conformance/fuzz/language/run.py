"""Runs of many seeds, in batches that are compiled together."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.fuzz.cases import Found
from conformance.fuzz.language import generate
from conformance.fuzz.language import tree as g
from conformance.fuzz.language.compare import Difference, compared, differences, expected
from conformance.fuzz.language.reduce import reduced
from conformance.fuzz.language.show import source

BATCH = 20
SEEDS_OF_A_TURN = 100_000
REDUCE_S = 60
"""Seconds for the first fault of a turn; the others can be made smaller by their command."""


@dataclass
class Total:
    programs: int = 0
    packets: int = 0
    """Packets whose result the specification defines."""
    faults: int = 0


@dataclass(frozen=True)
class Fault:
    seed: int
    difference: Difference

    @property
    def text(self) -> str:
        return f"seed {self.seed}: {self.difference.text}"


def command(seed: int) -> str:
    return f"python -m conformance language --first {seed} --seeds 1"


def text(seed: int) -> str:
    return source([generate.program(seed)])


def run(seeds: Sequence[int], cache: Path, total: Total) -> Iterator[Fault]:
    """The programs that differ. `cache` is a folder for builds, of which only the switch's runtime stays."""
    for start in range(0, len(seeds), BATCH):
        batch = seeds[start : start + BATCH]
        programs = [generate.program(seed) for seed in batch]
        found = differences(programs, cache)
        _forget_builds(cache)
        total.programs += len(programs)
        total.packets += sum(compared(program) for program in programs)
        for seed, difference in zip(batch, found, strict=True):
            if difference is not None:
                total.faults += 1
                yield Fault(seed, difference)


def _forget_builds(cache: Path) -> None:
    for entry in cache.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)


def smaller(fault: Fault, seconds: float) -> str:
    """The source of the program, made as small as it gets, with what it does now."""
    program, difference = generate.program(fault.seed), fault.difference
    if difference.frame is not None:
        program.packets = [difference.frame]
    with tempfile.TemporaryDirectory(prefix="p4-language-") as folder:
        cache = Path(folder)

        def is_bad(candidate: g.Program) -> bool:
            return _same_fault(candidate, difference, cache) is not None

        small = reduced(program, is_bad, seconds)
        now = _same_fault(small, difference, cache) or difference
    return f"{source([small])}\n{now.text}"


def _same_fault(program: g.Program, first: Difference, cache: Path) -> Difference | None:
    """What the program does wrong, if it is of the same kind."""
    if first.frame is not None:
        try:
            if expected(program, first.frame) is None:
                return None
        except (AttributeError, AssertionError, LookupError, TypeError, ValueError):  # it is no program any more
            return None
    found = differences([program], cache)[0]
    _forget_builds(cache)
    if found is None or (found.frame is None) != (first.frame is None):
        return None
    return found if found.frame is not None or _message(found) == _message(first) else None


def _message(difference: Difference) -> str:
    """The first error of a refused program, without the names in it."""
    line = difference.text.partition("error: ")[2] or difference.text
    return line[:20]


def fuzz(seed: int, seconds: float, folder: Path) -> Found:
    """A turn of `make fuzz`."""
    import time

    end, total = time.monotonic() + seconds, Total()
    found = Found()
    first = seed * SEEDS_OF_A_TURN
    folder.mkdir(parents=True, exist_ok=True)
    at = first
    while time.monotonic() < end:
        (folder / "current").write_text(f"// {command(at)}\n")
        for fault in run(range(at, at + BATCH), folder / "cache", total):
            title = f"a program and its meaning differ: {command(fault.seed)}"
            given = smaller(fault, REDUCE_S) if not found.faults else fault.text
            found.faults.append((title, given))
        at += BATCH
    found.cases = total.programs
    return found
