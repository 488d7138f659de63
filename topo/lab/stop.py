"""Ending a lab from outside: by asking its owner, or, where that is dead, by its record, or, where that is damaged,
by what shows that it is the lab's."""

from __future__ import annotations

import signal
import time

from topo.errors import LabError
from topo.lab import traces
from topo.lab.record import DamagedRecord, forget, load, remove_leftovers
from topo.root import check_root

PATIENCE_S = 30.0


def stop() -> str:
    """End the lab that runs or crashed; returns what was done. Raises LabError for what cannot be ended."""
    try:
        record = load()
    except DamagedRecord as damage:
        return _stop_without(damage)
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


def _stop_without(damage: DamagedRecord) -> str:
    """End the lab whose record is damaged, and remove that. Raises LabError."""
    check_root("ending the lab")
    owners = traces.owners()
    for owner in owners:
        owner.signal(signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while any(owner.alive for owner in owners) and time.monotonic() < deadline:
        time.sleep(0.05)
    problems = traces.remove()
    if problems:
        raise LabError("; ".join(problems))
    forget()
    what = "the lab that ran is ended and removed" if owners else "what could be found of the lab is removed"
    return f"the record of the lab was damaged ({damage.damage}); {what}, and so is the record"
