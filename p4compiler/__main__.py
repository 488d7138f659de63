"""`python -m p4compiler PROG.p4 -o OUTDIR`: writes OUTDIR/PROG.json and OUTDIR/PROG.p4info.txtpb.

`python -m p4compiler PROG.p4 --wireshark OUT.lua`: writes a dissector.

See `p4compiler.options` for its flags.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from p4compiler.compile import Compiled, compile_file
from p4compiler.options import Options, parse
from p4compiler.source import CompileFailed, Diagnostics
from p4compiler.wireshark.writer import dissector


def main(arguments: Sequence[str] | None = None, prog: str = "python -m p4compiler") -> int:
    """Exit code: 0 done, 1 errors in the program, 2 wrong usage."""
    options = parse(arguments, prog)
    for flag in options.ignored:
        print(f"{prog}: note: {flag} does nothing here", file=sys.stderr)
    diagnostics = Diagnostics(options.most_errors)
    try:
        compiled = compile_file(options.program, diagnostics, options.include, dict(options.defines))
        refused = options.refuse_warnings and bool(diagnostics.items)
        if not refused:
            _write(compiled, options)
    except CompileFailed:
        refused = True
    except OSError as error:
        print(f"error: {error.filename or options.program}: {error.strerror}", file=sys.stderr)
        return 1
    except RecursionError:
        print(f"error: {options.program}: the program is nested too deeply", file=sys.stderr)
        return 1
    for diagnostic in diagnostics:
        if diagnostic.severity == "error" or not options.hide_warnings or options.refuse_warnings:
            print(diagnostic.render(), file=sys.stderr)
    return 1 if refused or diagnostics.error_count else 0


def p4c_lite() -> int:
    """The installed command."""
    return main(prog="p4c-lite")


def _write(compiled: Compiled, options: Options) -> None:
    if options.json is not None:
        _create(options.json, (json.dumps(compiled.json, indent=1) + "\n").encode())
    for path, form in options.p4info:
        _create(path, compiled.p4info(form))
    if options.wireshark is not None:
        more = [path.read_text(encoding="utf-8", errors="replace") for path in options.more]
        _create(options.wireshark, dissector(compiled.json, compiled.program, more).encode())


def _create(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
