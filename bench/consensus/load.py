"""One client process that keeps a number of puts outstanding for a while, and prints what it saw as JSON.

Run by ``bench.consensus.commit`` beside the members; also by hand:
``python -m bench.consensus.load --server 127.0.0.1:26411 --outstanding 64 --seconds 5``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from bench.consensus.window import Window, key, parser, tell, window_of
from hosts.client.blocking import Client
from hosts.config import Address

TIMEOUT_S = 120.0
"""For the last of many large values that are begun at once."""
MOST_LATE_S = 0.02
"""Behind its rate a load may be, and catch up."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--server", action="append", required=True, help="ADDRESS:PORT; may be repeated")
    arguments.add_argument("--bind", help="the client's own address")
    arguments.add_argument("--group", type=int, nargs="+", default=[1], help="several share what is outstanding")
    arguments.add_argument("--rate", type=float, help="requests a second that are begun at most, of each group")
    options = arguments.parse_args()
    servers = [(address, int(port)) for address, _, port in (text.rpartition(":") for text in options.server)]
    window = window_of(options)
    each = max(1, options.outstanding // len(options.group))
    threads = [
        threading.Thread(
            target=run, args=(servers, group, options.bind, each, options.value_bytes, window, options.rate)
        )
        for group in options.group[1:]
    ]
    for thread in threads:
        thread.start()
    run(servers, options.group[0], options.bind, each, options.value_bytes, window, options.rate)
    for thread in threads:
        thread.join()
    tell(window.figures())


def run(
    servers: list[Address],
    group: int,
    bind: str | None,
    outstanding: int,
    size: int,
    window: Window,
    rate: float | None = None,
) -> None:
    """Load one group until the window ends."""
    value, due = bytes(size), time.monotonic()

    def pairs() -> Iterator[tuple[bytes, bytes]]:
        nonlocal due
        number = 0
        while window.open():
            if rate is not None:
                # What a slow stretch has left undone is not made up for in the next one.
                due = max(due + 1 / rate, time.monotonic() - MOST_LATE_S)
                time.sleep(max(0.0, due - time.monotonic()))
            yield key(number, size), value
            number += 1

    with Client(servers, group, bind=bind, timeout_s=TIMEOUT_S) as client:
        for result in client.put_many(pairs(), outstanding):
            window.answered(result.elapsed_s)


if __name__ == "__main__":
    main()
