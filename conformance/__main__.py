"""``python -m conformance corpus|bmv2|exercises|ptf|fuzz|language``: each with --help of its own."""

from __future__ import annotations

import sys
from importlib import import_module

MODULES = {
    "corpus": "conformance.corpus",
    "bmv2": "conformance.bmv2.command",
    "exercises": "conformance.exercises.__main__",
    "ptf": "conformance.ptf_tests",
    "fuzz": "conformance.fuzz.__main__",
    "language": "conformance.fuzz.language.__main__",
}


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in MODULES:
        print(f"usage: python -m conformance {'|'.join(MODULES)} ...", file=sys.stderr)
        return 2
    name = sys.argv.pop(1)
    sys.argv[0] = f"python -m conformance {name}"
    code: int = import_module(MODULES[name]).main()
    return code


if __name__ == "__main__":
    sys.exit(main())
