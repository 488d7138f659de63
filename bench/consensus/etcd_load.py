"""What ``bench.consensus.load`` is, for etcd: a client process with grpc.aio that keeps a number of puts outstanding.

``python -m bench.consensus.etcd_load --server 127.0.0.1:2379 --outstanding 64 --seconds 5``. It asks the server
that it is given, so that should lead. Requests are packed by hand: no protobuf runtime slows this client down.

etcd gives up a request that has waited 5.6 s (for 300 ms election timeouts), as the last of many large values may.
Such a put is made again, and its latency goes on: so does a user's.
"""

from __future__ import annotations

import asyncio
from itertools import count

import grpc

from bench.consensus.etcd import PUT, put_request
from bench.consensus.window import Window, key, parser, tell, window_of

MOST_ERRORS = 1000


async def run(server: str, outstanding: int, size: int, window: Window) -> None:
    """Load one server until the window ends."""
    value, numbers = bytes(size), count()
    async with grpc.aio.insecure_channel(server) as channel:
        put = channel.unary_unary(PUT)

        async def accepted(request: bytes) -> bool:
            try:
                await put(request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return False
            return True

        async def put_one_after_the_other() -> None:
            clock = asyncio.get_running_loop().time
            while window.open():
                began, request = clock(), put_request(key(next(numbers), size), value)
                while not await accepted(request):
                    window.failed()
                    if window.errors > MOST_ERRORS:
                        raise SystemExit(f"etcd has not answered in time {MOST_ERRORS} times")
                window.answered(clock() - began)

        await asyncio.gather(*(put_one_after_the_other() for _ in range(outstanding)))


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--server", required=True, help="ADDRESS:PORT")
    options = arguments.parse_args()
    window = window_of(options)
    asyncio.run(run(options.server, options.outstanding, options.value_bytes, window))
    tell(window.figures())


if __name__ == "__main__":
    main()
