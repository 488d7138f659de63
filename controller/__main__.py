"""``python -m controller --network FILE``: run the controller."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from controller.control_socket import ControlSocket
from controller.controller import Controller
from controller.log import log, start_log
from controller.network import NetworkError, load
from controller.program import Program, ProgramError

DEFAULT_ELECTION_ID = 1000


def main() -> int:
    """Returns the exit code: 0 after SIGTERM or SIGINT, 1 for what a user can mend, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m controller", description="The P4Runtime controller.")
    parser.add_argument("--network", required=True, metavar="FILE", help="switches, hosts, links and groups")
    parser.add_argument(
        "--election-id",
        type=int,
        default=DEFAULT_ELECTION_ID,
        metavar="N",
        help="of several controllers the highest rules, the others stand by (default %(default)s)",
    )
    parser.add_argument("--log", metavar="FILE", help="write the log there too")
    parser.add_argument("--verbose", action="store_true", help="log every write")
    options = parser.parse_args()
    if not 0 < options.election_id < 2**127:
        parser.error("--election-id: a positive number")
    try:
        start_log(options.log, verbose=options.verbose)
        network = load(options.network)
        program = Program(network.pipeline.json, network.pipeline.p4info)
    except (NetworkError, ProgramError) as error:
        print(f"controller: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"controller: cannot open {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_run(Controller(network, program, options.election_id), network.control_socket))
    return 0


async def _run(controller: Controller, control_socket: str) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    names = ", ".join(controller.sessions)
    log.info("controller of %s, election id %d", names, controller.election_id)
    serving = asyncio.ensure_future(controller.run())
    answering = asyncio.ensure_future(ControlSocket(controller, control_socket).run())
    stopping = asyncio.ensure_future(stop.wait())
    tasks = (serving, answering, stopping)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    code = 0
    for task in (serving, answering):
        if task.done() and not task.cancelled() and task.exception() is not None:
            error = task.exception()
            if isinstance(error, OSError):
                log.error("control socket %s: %s", control_socket, error.strerror)
            else:
                log.error("the controller failed", exc_info=error)
            code = 1
    for job in tasks:
        job.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    log.info("controller stopped")
    return code


if __name__ == "__main__":
    sys.exit(main())
