"""A node whose own socket is bound at another address than the one at which it is reached, where a proxy listens.

``python -m bench.consensus.proxied_node PUBLIC REAL [options of hosts.node]``. The node itself knows nothing of it:
it is its UDP socket's ``bind`` that takes the other address.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from hosts import node


def main() -> int:
    public, real = sys.argv[1:3]
    del sys.argv[1:3]
    bind = socket.socket.bind

    def bind_behind(opened: socket.socket, address: Any) -> None:
        ours = opened.family == socket.AF_INET and opened.type == socket.SOCK_DGRAM and address[0] == public
        bind(opened, (real, address[1]) if ours else address)

    socket.socket.bind = bind_behind  # type: ignore[assignment, method-assign]
    return node.main()


if __name__ == "__main__":
    sys.exit(main())
