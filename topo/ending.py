"""How a command ends that cannot do what it was asked: one line on standard error, and an exit code."""

from __future__ import annotations

import errno
import os
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
        try:
            yield
        finally:
            if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.closed:
                sys.stdout.flush()
    except UsageError as error:
        _end(program, str(error), 2)
    except LabError as error:
        _end(program, str(error), 1)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        _write_no_more()
        sys.exit(1)
    except OSError as error:
        text = paths.fault(error)
        if text is None and error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            _write_no_more()
            text = f"what it says cannot be written: {error.strerror}"
        if text is None:
            raise
        _end(program, text, 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _write_no_more() -> None:
    """What still waits in stdout would be tried again, and complained of, when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _end(program: str, text: str, code: int) -> None:
    print(f"{program}: {text}", file=sys.stderr)
    sys.exit(code)
