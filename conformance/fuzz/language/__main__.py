"""Random P4 programs against an interpreter of the specification: ``python -m conformance language``.

Each seed is a program with its packets; --first and --seeds say which. What differs is made as small as it gets in
--reduce seconds and printed with the command that shows it again. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from conformance.fuzz.language import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seeds", type=int, default=3000, help="how many (3000)")
    parser.add_argument("--reduce", type=float, default=60, help="seconds to make a program smaller (60)")
    parser.add_argument("--show", action="store_true", help="print the programs, do not run them")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    if given.show:
        for seed in seeds:
            print(run.text(seed))
        return 0
    total = run.Total()
    with tempfile.TemporaryDirectory(prefix="p4-language-") as folder:
        for found in run.run(seeds, Path(folder), total):
            print(
                f"{found.text}\n{run.smaller(found, given.reduce)}\n    again: {run.command(found.seed)}", flush=True
            )
    print(f"== {total.programs} programs, {total.packets} packets with a defined result; {total.faults} differ")
    return 1 if total.faults else 0


if __name__ == "__main__":
    sys.exit(main())
