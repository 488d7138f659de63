"""The process that owns the lab: in the foreground with a prompt, or detached.

``python -m topo.lab.supervisor JSON`` is the detached one: it tells its progress on standard output, a JSON
object a line, the last of which says "ready" or "failed".
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import FrameType

from p4switch.modules import run_module
from topo import paths, topology
from topo.errors import LabError
from topo.lab import switches
from topo.lab.lab import Lab
from topo.lab.options import Options
from topo.lab.server import Server
from topo.root import check_root


class Asked(BaseException):
    """This process was asked to end: by `switchraft stop`, or by a closed terminal."""


@contextlib.contextmanager
def running(options: Options, say: Callable[[str], None]) -> Iterator[Lab]:
    """A lab that runs inside the ``with`` block and is gone after it, whatever happens. Raises LabError."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        raise Asked

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGHUP)}
    lab = Lab(options, say)
    server = None
    try:
        lab.start()
        server = Server(lab)
        lab.serve()
        if options.page:
            lab.start_page()
        yield lab
    finally:
        # From here on nothing interrupts: half a clean-up would leave what nobody removes.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        if server is not None:
            server.close()
        for problem in lab.stop():
            say(f"left behind: {problem}")
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def in_foreground(options: Options) -> None:
    """Run the lab until its prompt is left."""
    from topo.lab.prompt import Prompt

    serves = False
    try:
        with running(options, print_line) as lab:
            serves = True
            Prompt(lab)
            print("Ending the lab")
    except KeyboardInterrupt:
        raise LabError("interrupted; nothing is left behind") from None
    except Asked:
        if not serves:
            raise LabError("asked to end while the lab started; nothing is left behind") from None
        print("\nThe lab was asked to end and has ended", flush=True)


def detached(options: Options) -> None:
    """Start a lab that outlives this process; returns once it serves. Raises LabError with its reason."""
    check_root("the lab")
    switches.choose(options.switch, options.compiler)
    topology.find(options.topology)
    paths.make(paths.logs())
    with (paths.logs() / "lab.log").open("ab") as log:
        owner = subprocess.Popen(
            [*run_module("topo.lab.supervisor"), json.dumps(asdict(options))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    paths.give(paths.logs() / "lab.log")
    assert owner.stdout is not None
    try:
        for line in owner.stdout:
            told = json.loads(line)
            if "say" in told:
                print_line(told["say"])
            elif "failed" in told:
                owner.wait()
                raise LabError(told["failed"])
            elif "ready" in told:
                return
    except KeyboardInterrupt:
        owner.terminate()
        owner.wait()
        raise LabError("interrupted; nothing is left behind") from None
    owner.wait()
    raise LabError(f"the lab ended while it started; see {paths.shown(paths.logs() / 'lab.log')}")


def print_line(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str]) -> int:
    """The detached lab."""
    options = Options(**json.loads(arguments[0]))
    telling = True

    def tell(**told: str) -> None:
        nonlocal telling
        print(json.dumps(told) if telling else "; ".join(told.values()), file=sys.stdout if telling else sys.stderr)
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()

    try:
        with running(options, lambda text: tell(say=text)):
            tell(ready="")
            telling = False
            os.dup2(2, 1)
            threading.Event().wait()
    except Asked:
        return 0
    except LabError as error:
        tell(failed=str(error))
        return 1
    except BaseException as error:
        known = paths.fault(error) if isinstance(error, OSError) else None
        tell(failed=known or f"{type(error).__name__}: {error}; see {paths.shown(paths.logs() / 'lab.log')}")
        if known is None:
            raise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
