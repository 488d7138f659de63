"""What a transport takes for a hint of the network's controller."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.raft.message import MessageType
from hosts.raft.patience import Cause
from hosts.wire import Flag, Header
from tests.hosts.memory_socket import MemorySocket

PEERS = {1: {2: ("10.0.0.2", 26410)}, 7: {3: ("10.0.0.3", 26410)}}
CONTROLLER = ("169.254.26.41", 26410)


def taken(*, wanted: bool = True, payload: bytes = b"", **changes: Any) -> tuple[list[Any], dict[str, int]]:
    """What member 1 takes a hint for, and what it drops."""
    socket, told = MemorySocket(), []
    handlers = Handlers(
        lambda *_: None, lambda *_: None, lambda *_: False, lambda *_: None, lambda *hint: told.append(hint)
    )
    surroundings = Surroundings(open_socket=lambda *_: socket)
    transport = Transport(1, ("10.0.0.1", 26410), 7, PEERS, 1 << 20, handlers, surroundings, hints=wanted)
    fields = {"source": 0, "target": 1, "group": 7, "term": 9, "commit": 1, **changes}
    socket.waiting.append((Header(MessageType.CAMPAIGN_HINT, **fields).pack() + payload, CONTROLLER))
    transport.drain()
    return told, transport.counters()["drops"]


@pytest.mark.parametrize("cause", Cause)
def test_a_hint_names_group_term_and_cause(cause: Cause) -> None:
    assert taken(commit=cause) == ([(7, 9, cause)], {})
    assert taken(commit=cause, payload=bytes(16)) == ([(7, 9, cause)], {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": 2}, "misdelivered"),
        ({"target": 255}, "misdelivered"),
        ({"source": 2}, "misdelivered"),
        ({"group": 2}, "unknown_group"),
        ({"commit": 0}, "malformed"),
        ({"commit": 3}, "malformed"),
        ({"wanted": False}, "hint_unwanted"),
        ({"flags": Flag.FRAGMENT, "payload": bytes(40)}, "not_member"),
    ],
)
def test_other_hints_are_dropped(changes: dict[str, Any], reason: str) -> None:
    assert taken(**changes) == ([], {reason: 1})
