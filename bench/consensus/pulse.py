"""A client that begins a put every 10 ms, whatever became of those before, and tells of each that was answered.

Prints ``began answered`` a line, in seconds of CLOCK_MONOTONIC, until its standard input ends. ``--etcd`` has it ask
etcd's members, all of them each time; else ``--server`` and ``--group`` are as for ``bench.consensus.load``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import select
import sys
import time
from itertools import count

from bench.consensus.etcd import PUT, put_request
from bench.consensus.window import key
from hosts.client.blocking import Client
from hosts.client.calls import ClientError
from hosts.config import Address

INTERVAL_S = 0.01
TIMEOUT_S = 4.0
VALUE = bytes(64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="append", default=[])
    parser.add_argument("--bind")
    parser.add_argument("--group", type=int, default=1)
    parser.add_argument("--etcd", nargs="+", default=[], metavar="ADDRESS:PORT")
    options = parser.parse_args()
    if options.etcd:
        asyncio.run(ask_etcd(options.etcd))
    else:
        servers = [(host, int(port)) for host, _, port in (text.rpartition(":") for text in options.server)]
        ask_switchraft(servers, options.group, options.bind)


def over() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def tell(began: float, answered: float) -> None:
    print(f"{began:.6f} {answered:.6f}", flush=True)


def ask_switchraft(servers: list[Address], group: int, bind: str | None) -> None:
    with Client(servers, group, bind=bind, timeout_s=TIMEOUT_S) as client:
        running = [client.submit_put(key(0), VALUE, 60.0)]
        for number in count(1):
            for call in [call for call in running if call.done]:
                running.remove(call)
                if call.failure is None:
                    tell(call.submitted, call.answered)
            if over():
                return
            with contextlib.suppress(ClientError):  # too many wait already: those will tell
                running.append(client.submit_put(key(number), VALUE))
            client.work(INTERVAL_S)


async def ask_etcd(servers: list[str]) -> None:
    import grpc

    options = [("grpc.max_reconnect_backoff_ms", 100), ("grpc.initial_reconnect_backoff_ms", 50)]
    channels = [grpc.aio.insecure_channel(server, options) for server in servers]
    puts = [channel.unary_unary(PUT) for channel in channels]
    running: set[asyncio.Task[None]] = set()

    async def put(at: int, number: int) -> None:
        began = time.monotonic()
        try:
            await puts[at](put_request(key(number), VALUE), timeout=TIMEOUT_S)
        except grpc.RpcError:
            return
        tell(began, time.monotonic())

    for number in count():
        if over():
            break
        for at in range(len(puts)):
            task = asyncio.create_task(put(at, number))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.sleep(INTERVAL_S)
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    main()
