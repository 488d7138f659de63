"""The `switchraft` command. Here is only its shape: what a command does is in ``topo/commands``."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from topo.commands import (
    exercises,
    faults,
    features,
    follow,
    labs,
    lessons,
    limits,
    members,
    metrics,
    nodes,
    simulator,
    soaks,
    state,
    tools,
    values,
    view,
    web,
)
from topo.errors import LabError, UsageError

app = typer.Typer(
    name="switchraft",
    help="A Raft cluster behind P4 switches, in a lab on this machine. Begin with: switchraft lab",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    labs,
    state,
    values,
    faults,
    features,
    limits,
    members,
    tools,
    follow,
    nodes,
    soaks,
    simulator,
    view,
    web,
    exercises,
    lessons,
    metrics,
):
    module.add_to(app)


def main() -> None:
    """Run the command line. A person's mistake ends in one line on stderr. What is stored may have characters that a
    terminal has not, such as half a surrogate pair: those are shown as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="switchraft")
    except UsageError as error:
        _end(error, 2)
    except LabError as error:
        _end(error, 1)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(error: LabError, code: int) -> None:
    print(f"switchraft: {error}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
