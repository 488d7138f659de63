"""The exercises of p4lang/tutorials: ``python -m conformance exercises TUTORIALS`` (a checkout).

Each solution is compiled by p4compiler and runs on p4switch pipelines in this process, connected as the exercise's
topology says, with the entries that it brings; the packets are those that its README has the reader send.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.exercises.network import Failed
from conformance.exercises.tutorials import exercises
from p4switch.errors import PipelineError

CACHE = Path(__file__).parent.parent.parent / "build" / "exercises-cache"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tutorials", type=Path, help="a checkout of p4lang/tutorials")
    given = parser.parse_args()
    folder = given.tutorials / "exercises"
    if not folder.is_dir():
        print(
            f"exercises: {given.tutorials} is no checkout of p4lang/tutorials: it has no exercises/", file=sys.stderr
        )
        return 2
    CACHE.mkdir(parents=True, exist_ok=True)
    passed = total = 0
    for exercise in exercises():
        total += 1
        fault = ""
        try:
            exercise.run(folder, CACHE)
        except (Failed, PipelineError, OSError, LookupError, ValueError) as error:
            fault = str(error) if isinstance(error, (Failed, PipelineError, OSError)) else repr(error)
        passed += not fault
        name = f"{exercise.name} ({exercise.topology})" if exercise.name == "basic" else exercise.name
        print(f"{'FAIL' if fault else 'ok  '} {name}{fault and f': {fault}'}", flush=True)
    share = 100 * passed / total
    print(f"== {passed} of {total} exercises ({share:.0f} %) forward what their README says")
    return 0 if share >= 90 else 1


if __name__ == "__main__":
    sys.exit(main())
