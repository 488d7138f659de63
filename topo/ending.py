"""How a command ends that cannot do what it was asked: one line on standard error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from topo import paths
from topo.errors import LabError, UsageError


@contextmanager
def told(program: str) -> Iterator[None]:
    """Run ``program`` inside. A person's mistake, or a folder that cannot be used, ends in a line on stderr. What is
    stored may have characters that a terminal has not, such as half a surrogate pair: those are shown as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except UsageError as error:
        _end(program, str(error), 2)
    except LabError as error:
        _end(program, str(error), 1)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        text = paths.fault(error)
        if text is None:
            raise
        _end(program, text, 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(program: str, text: str, code: int) -> None:
    print(f"{program}: {text}", file=sys.stderr)
    sys.exit(code)
