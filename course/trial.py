"""``python -m course.trial``: a student's work is tried in a process of its own, which may crash or never end.

The order comes as JSON on stdin, the findings go as JSON, one a line, to the file that it names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

FILES: list[str] = []
"""The student's."""


class Replacing(MetaPathFinder):
    """Finds a student's file in place of one module of the project."""

    def __init__(self, modules: dict[str, str]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        file = self._modules.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)


def main() -> None:
    """Carry out the order."""
    order = json.load(sys.stdin)
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Replacing(order["modules"]))
    with Path(order["findings"]).open("w", encoding="utf-8") as out:
        if order.get("cases"):
            _try_cases(order["cases"], out)
        FILES.extend(order["modules"].values())
        for seed in order["seeds"]:
            print(json.dumps(_try_seed(seed, order)), file=out, flush=True)


def _try_cases(text: str, out: Any) -> None:
    from course import entries

    for case in entries.read(text):
        print(json.dumps({"says": case.says, "why": entries.run(case)}), file=out, flush=True)


def _try_seed(seed: int, order: dict[str, Any]) -> dict[str, Any]:
    from sim.run import recording
    from sim.world import Options, run

    options, trace = Options(Path(order["program"])), order.get("trace", False)
    if order.get("record"):
        with recording(Path(order["record"])) as begin:
            result = run(seed, options, trace=trace, record=begin)
    else:
        result = run(seed, options, trace=trace)
    frames = [line.strip() for line in result.lines if line.lstrip().startswith("File ")]
    own = [line for line in frames if any(name in line for name in FILES)]
    return {
        "seed": seed,
        "rule": result.rule,
        "failure": result.failure,
        "counts": dict(result.counts),
        "at": " ".join(((own or frames)[-1:] or [""])[0].split()),
        "plan": result.plan,
        "lines": result.lines if trace else [],
    }


if __name__ == "__main__":
    main()
