"""``python -m p4switch``: the switch as a process. See `p4switch.options` for its flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None, prog: str = "python -m p4switch") -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code: 0, 1 if it cannot run, 2 for a wrong command line."""
    from p4switch.options import UsageError, help_text, parse, version

    words = sys.argv[1:] if arguments is None else list(arguments)
    if "-h" in words or "--help" in words:
        print(help_text(prog))
        return 0
    if "-v" in words or "--version" in words:
        print(f"{prog} {version()}")
        return 0
    try:
        options = parse(words)
    except UsageError as error:
        print(f"p4switch: {error}", file=sys.stderr)
        return 2
    # gRPC's own log would say the same again, in more words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from p4switch.run import StartError, run

    try:
        run(options)
    except StartError as error:
        print(f"p4switch: {error}", file=sys.stderr)
        return 1
    return 0


def p4switch() -> int:
    """The installed command."""
    return main(prog="p4switch")


if __name__ == "__main__":
    sys.exit(main())
