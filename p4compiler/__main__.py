"""`python -m p4compiler PROG.p4 -o OUTDIR`: writes OUTDIR/PROG.json and OUTDIR/PROG.p4info.txtpb."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from p4compiler.compile import compile_file
from p4compiler.source import CompileFailed, Diagnostics


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 errors in the program, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m p4compiler", description="P4_16 (v1model) to BMv2 JSON and P4Info"
    )
    parser.add_argument("program", type=Path, help="the P4 program")
    parser.add_argument("-o", "--output", type=Path, default=Path("."), metavar="DIR", help="folder for both files")
    parser.add_argument("-I", dest="include", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("-D", dest="define", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument("--no-p4info", action="store_true", help="write the JSON only")
    options = parser.parse_args(arguments)
    defines = {}
    for item in options.define:
        name, _, value = item.partition("=")
        if not name.isidentifier():
            parser.error(f"-D {item}: expected NAME or NAME=VALUE")
        defines[name] = value or "1"
    diagnostics = Diagnostics()
    try:
        result = compile_file(options.program, diagnostics, options.include, defines)
        options.output.mkdir(parents=True, exist_ok=True)
        stem = options.output / options.program.stem
        stem.with_name(stem.name + ".json").write_text(json.dumps(result.json, indent=1) + "\n")
        if not options.no_p4info:
            stem.with_name(stem.name + ".p4info.txtpb").write_text(result.p4info_text())
    except CompileFailed:
        pass
    except OSError as error:
        print(f"error: {error.filename or options.program}: {error.strerror}", file=sys.stderr)
        return 1
    except RecursionError:
        print(f"error: {options.program}: the program is nested too deeply", file=sys.stderr)
        return 1
    for diagnostic in diagnostics:
        print(diagnostic.render(), file=sys.stderr)
    return 1 if diagnostics.error_count else 0


if __name__ == "__main__":
    sys.exit(main())
