"""Ending a lab from outside: by asking its owner, or, where that is dead, by its record."""

from __future__ import annotations

import signal
import time

from topo.errors import LabError
from topo.lab.record import load, remove_leftovers
from topo.root import check_root

PATIENCE_S = 30.0


def stop() -> str:
    """End the lab that runs or crashed; returns what was done. Raises LabError for what cannot be ended."""
    record = load()
    if record is None:
        return "no lab runs"
    check_root("ending the lab")
    if record.alive:
        record.lab.signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while record.alive and time.monotonic() < deadline:
            time.sleep(0.05)
    if not record.alive and load() is None:
        return "the lab has ended"
    problems = remove_leftovers(record)
    if problems:
        raise LabError("; ".join(problems))
    return "the lab had crashed; what it left is removed"
