"""One client process that begins requests at constant rates, one stretch after the other, whatever the answers do.
It prints what it saw as JSON.

Run by ``bench.open.curve`` beside the members; also by hand:
``python -m bench.open.load --server 127.0.0.1:26411 --operation commit --stretch 500:0.5 --stretch 500:5``.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from bench.consensus.window import key
from bench.open.samples import measured, packed
from bench.open.schedule import OpenLoop, Stretch
from bench.open.sessions import Session, Sessions
from hosts.client.calls import ClientError
from hosts.config import Address
from hosts.service import values
from hosts.service.requests import Operation

SESSIONS = 32
"""Of 1024 requests each, so that 32,768 may be outstanding."""
PATIENCE_S = 10.0
"""A request without an answer for so long has failed."""
KEYS = 1000
OPERATIONS = {"commit": Operation.PUT, "read": Operation.GET}


def main() -> int:
    """The exit code is 1 if nobody answers."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--server", action="append", required=True, help="ADDRESS:PORT; may be repeated")
    arguments.add_argument("--bind", help="the client's own address")
    arguments.add_argument("--operation", choices=tuple(OPERATIONS), default="commit")
    arguments.add_argument("--value-bytes", type=int, default=64)
    arguments.add_argument("--sessions", type=int, default=SESSIONS)
    arguments.add_argument(
        "--stretch", type=stretch, action="append", required=True, metavar="RATE:SECONDS", help="may be repeated"
    )
    options = arguments.parse_args()
    servers = [(address, int(port)) for address, _, port in (text.rpartition(":") for text in options.server)]
    try:
        told = run(
            servers,
            options.bind,
            OPERATIONS[options.operation],
            options.value_bytes,
            options.stretch,
            options.sessions,
        )
    except ClientError as error:
        print(f"bench.open.load: {error}", file=sys.stderr)
        return 1
    print(json.dumps(told), flush=True)
    return 0


def stretch(text: str) -> Stretch:
    """Requests a second and seconds. Raises argparse.ArgumentTypeError."""
    try:
        rate, seconds = map(float, text.split(":"))
    except ValueError:
        rate = seconds = 0.0
    if not (0 < rate < 1e7 and 0 < seconds < 1e5):
        raise argparse.ArgumentTypeError(f"{text}: RATE:SECONDS, both above 0")
    return Stretch(rate, seconds)


def run(
    servers: Sequence[Address],
    bind: str | None,
    operation: Operation,
    size: int,
    stretches: Sequence[Stretch],
    count: int = SESSIONS,
) -> dict[str, object]:
    """What was measured in each stretch, and what the library counted. Raises ClientError."""
    names = [values.encode(name) for name in dict.fromkeys(key(number, size) for number in range(KEYS))]
    value = values.encode(bytes(size))
    given = value if operation is Operation.PUT else b""
    sessions = Sessions([Session(servers, bind, PATIENCE_S) for _ in range(count)])
    try:
        prepare(sessions, names, value)
        before = sessions.counters()
        # A collection of all that waits would take milliseconds, and count as the cluster's.
        gc.collect()
        gc.disable()
        loop = OpenLoop(stretches, time.monotonic())
        cpu = drive(
            loop,
            sessions,
            lambda number, now: sessions.submit(number, operation, names[number % len(names)], given, now),
        )
        counted = sessions.counters() - before
    finally:
        gc.enable()
        sessions.close()
    return {
        "stretches": [packed(measured(loop, number, cpu[number])) for number in range(len(stretches))],
        "counters": dict(counted),
    }


def prepare(sessions: Sessions, names: Sequence[bytes], value: bytes) -> None:
    """Open every session, and write every key. Raises ClientError if one of these requests fails."""
    every = sessions.each()
    written = left = len(every)
    for number, session in enumerate(every):
        session.submit(number, Operation.PUT, names[number % len(names)], value, time.monotonic())
    while left:
        for done in sessions.turn(math.inf, time.monotonic):
            if done.answered is None:
                raise ClientError(f"a key could not be written within {PATIENCE_S:.0f} s: is there a leader?")
            left -= 1
        while written < len(names) and left < len(every):
            sessions.submit(written, Operation.PUT, names[written], value, time.monotonic())
            written, left = written + 1, left + 1


def drive(
    loop: OpenLoop,
    sessions: Sessions,
    begin: Callable[[int, float], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[float]:
    """Turn until everything is answered, or nothing more is to be hoped for; the CPU seconds of each stretch."""
    last, cpu = loop.end + PATIENCE_S + 1.0, [time.process_time()]
    now = clock()
    while not loop.done and now < last:
        for number in loop.begin(now, sessions.room()):
            begin(number, now)
        for number, answered in sessions.turn(min(loop.next_due, last), clock):
            if answered is None:
                loop.failed(number)
            else:
                loop.answered(number, answered)
        now = clock()
        while len(cpu) <= len(loop.stretches) and now >= loop.span(len(cpu) - 1)[1]:
            cpu.append(time.process_time())
    loop.close(clock())
    cpu += [time.process_time()] * (len(loop.stretches) + 1 - len(cpu))
    return [after - before for before, after in pairwise(cpu)]


if __name__ == "__main__":
    sys.exit(main())
