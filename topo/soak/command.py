"""`switchraft soak`: a lab of its own, minutes of load and faults, and the verdict."""

from __future__ import annotations

import time
from pathlib import Path

from hosts.client.blocking import ClientError
from topo import paths
from topo.errors import LabError
from topo.lab.options import Options
from topo.lab.running_lab import Live
from topo.lab.supervisor import Asked, print_line, running
from topo.root import check_root
from topo.soak.conductor import Conductor, Wanted
from topo.soak.history import History, read, recording
from topo.soak.resizing import check_sizes
from topo.soak.verdict import judge
from topo.topology import find

LEAST_ANSWERED_PER_MINUTE = 1_000
SNAPSHOT_ENTRIES = 100
"""So few entries that a node which was away for some seconds comes back by a snapshot."""


def soak(options: Options, wanted: Wanted) -> None:
    """Start a lab, run the soak on it, judge. Raises LabError if anything is wrong."""
    check_sizes(wanted.sizes, find(options.topology))
    check_root("a soak")
    folder = paths.build() / "soak"
    paths.make(folder)
    path = folder / f"{'kills' if wanted.kills else 'soak'}-{wanted.seed}.jsonl"
    print_line(f"Seed {wanted.seed}; the history goes to {paths.shown(path)}")
    started = time.monotonic()
    try:
        with recording(path) as recorder, running(options, print_line):
            if not wanted.kills:
                recorder.about({"least_answered": int(LEAST_ANSWERED_PER_MINUTE * wanted.seconds / 60)})
            Conductor(Live.find(), wanted, recorder, print_line).run()
            history = recorder.history
    except ClientError as error:
        raise LabError(f"the end could not be read: {error}") from error
    except KeyboardInterrupt:
        raise LabError("interrupted; nothing is left behind") from None
    except Asked:
        raise LabError("asked to end before the soak was over") from None
    finally:
        paths.give_all(folder)
    print_line(f"{time.monotonic() - started:.0f} s")
    conclude(history, path)


def check(path: Path) -> None:
    """Judge a soak from its history. Raises LabError if anything is wrong."""
    conclude(read(path), path)


def conclude(history: History, path: Path) -> None:
    """Print the verdict. Raises LabError unless all is well."""
    verdict = judge(history)
    for fact in verdict.facts:
        print_line(fact)
    for problem in verdict.problems:
        print_line(f"WRONG: {problem}")
    if verdict.problems:
        raise LabError(
            f"{len(verdict.problems)} things are wrong; look again with: switchraft soak --check {paths.shown(path)}"
        )
