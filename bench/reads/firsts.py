"""One client process after the other in one: each opens a session and reads once, by the address that it was given;
prints how long that took each of them, as JSON. Run by ``bench.reads.steering`` beside the members.
"""

from __future__ import annotations

import argparse
import json
import time

from hosts.client.blocking import Client


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--server", required=True, help="ADDRESS:PORT")
    arguments.add_argument("--bind", required=True, help="the client's own address")
    arguments.add_argument("--clients", type=int, required=True)
    options = arguments.parse_args()
    address, _, port = options.server.rpartition(":")
    took = []
    for _ in range(options.clients):
        with Client([(address, int(port))], bind=options.bind, spread=False) as client:
            began = time.monotonic()
            client.get("k")
            took.append(time.monotonic() - began)
    print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
