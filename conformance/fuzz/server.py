"""Mutated P4Runtime requests: tests/p4switch/p4runtime/test_fuzz.py with another seed and more time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conformance.fuzz.cases import REPOSITORY, Found


def fuzz(seed: int, seconds: float, folder: Path) -> Found:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "current"
    # The three tests take 1, 1/3 and 1/3 of the time.
    environment = {**os.environ, "FUZZ_SECONDS": str(seconds * 0.6), "FUZZ_SEED": str(seed), "FUZZ_COUNT": str(log)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/p4switch/p4runtime/test_fuzz.py",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    found = Found(cases=sum(int(line) for line in log.read_text().split()) if log.exists() else 0)
    log.unlink(missing_ok=True)
    if done.returncode:
        errors = re.findall(r"^E +(.*)", done.stdout, re.M)
        found.faults.append(
            (f"server: {(errors or ['pytest failed'])[0][:200]}", f"seed {seed}\n{done.stdout[-4000:]}")
        )
    return found
