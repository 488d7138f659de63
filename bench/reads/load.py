"""One client process that keeps a number of gets, and puts among them, outstanding for a while, and prints what it
saw as JSON. Run by ``bench.reads.compare`` beside the members.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from bench.consensus.load import TIMEOUT_S
from bench.consensus.window import key, parser, tell, window_of
from hosts.client.blocking import Client
from hosts.service import values
from hosts.service.requests import Operation, Request

KEYS = 100


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--server", action="append", required=True, help="ADDRESS:PORT; may be repeated")
    arguments.add_argument("--bind", help="the client's own address")
    arguments.add_argument("--reads", type=float, default=1.0, help="the share of gets; the others are puts")
    arguments.add_argument("--prepared", action="store_true", help="the keys are there: put nothing first")
    options = arguments.parse_args()
    servers = [(address, int(port)) for address, _, port in (text.rpartition(":") for text in options.server)]
    window, random, value = window_of(options), Random(1), bytes(options.value_bytes)

    def requests(nonce: int) -> Iterator[Request]:
        number = 0
        while window.open():
            name = values.encode(key(number % KEYS))
            if random.random() < options.reads:
                yield Request(nonce, Operation.GET, key=name)
            else:
                yield Request(nonce, Operation.PUT, key=name, value=values.encode(value))
            number += 1

    with Client(servers, bind=options.bind, timeout_s=TIMEOUT_S) as client:
        for number in range(0 if options.prepared else KEYS):
            client.put(key(number), value)
        for result in client.ask_many(requests(client.nonce), options.outstanding):
            window.answered(result.elapsed_s)
    tell(window.figures())


if __name__ == "__main__":
    main()
