"""Which packets at switches' ports are looked at: a filter in the kernel that lets a share of the exchanges through.

An exchange is a round of a leader with the replies to it, or a client's call with its answer. It is chosen by a hash
of what all its packets have in common on their whole way (trajectory sampling: Duffield and Grossglauser, 2001), so
whatever is chosen is seen at every port, and every exchange has the same chance. Elections, handovers, configurations
and hints are always let through. What the share costs is bounded: ``Share`` makes it smaller when more comes.
"""

from __future__ import annotations

import socket

from hosts.raft.message import MessageType
from hosts.wire import FIRST_CLIENT_TYPE
from topo.views.taps import Instruction

WHOLE = 1 << 16
"""The share that lets everything through."""
TAKEN_BYTES = 0xFFFF
RARE = (
    MessageType.PRE_VOTE,
    MessageType.PRE_VOTE_REPLY,
    MessageType.REQUEST_VOTE,
    MessageType.REQUEST_VOTE_REPLY,
    MessageType.TIMEOUT_NOW,
    MessageType.CONFIGURATION,
    MessageType.CAMPAIGN_HINT,
)

# Codes of bpf(4).
_LD_WORD, _LD_HALF, _LD_BYTE = 0x20, 0x28, 0x30
_JEQ, _JGE, _JA = 0x15, 0x35, 0x05
_RETURN = 0x06
_TAX, _ADD_X, _MUL, _RSH = 0x07, 0x0C, 0x24, 0x74
_ETHER_TYPE, _PROTOCOL, _SOURCE_PORT, _TARGET_PORT = 12, 23, 34, 36
_TYPE, _INDEX, _SESSION, _ROUND = 43, 62, 70, 94
"""Offsets in a frame; of index, session and round the low 32 bits (docs/wire.md)."""
_GOLDEN = 0x9E3779B1
"""2^32 by the golden ratio: consecutive numbers are spread evenly (Knuth, volume 3, section 6.4)."""
_TYPED, _KEEP, _DROP, _HASH_PEER, _HASH_CLIENT = "typed", "keep", "drop", "peer", "client"


def program(port: int, share: int) -> list[Instruction]:
    """Lets through Raft packets on a UDP port: of the exchanges, ``share`` of WHOLE. With WHOLE also packets that are
    too short to belong to one."""
    lines: list[tuple[int, int, str, str]] = []
    labels: dict[str, int] = {}

    def put(code: int, operand: int, yes: str = "", no: str = "") -> None:
        lines.append((code, operand, yes, no))

    found = _KEEP if share >= WHOLE else _TYPED
    put(_LD_HALF, _ETHER_TYPE)
    put(_JEQ, 0x0800, "", _DROP)
    put(_LD_BYTE, _PROTOCOL)
    put(_JEQ, socket.IPPROTO_UDP, "", _DROP)
    put(_LD_HALF, _TARGET_PORT)
    put(_JEQ, port, found, "")
    put(_LD_HALF, _SOURCE_PORT)
    put(_JEQ, port, found, _DROP)
    labels[_TYPED] = len(lines)
    put(_LD_BYTE, _TYPE)
    for kind in RARE:
        put(_JEQ, int(kind), _KEEP, "")
    put(_JGE, FIRST_CLIENT_TYPE, _HASH_CLIENT, _HASH_PEER)
    labels[_HASH_CLIENT] = len(lines)
    put(_LD_WORD, _SESSION)
    put(_TAX, 0)
    put(_LD_WORD, _INDEX)
    put(_ADD_X, 0)
    put(_JA, 1)
    labels[_HASH_PEER] = len(lines)
    put(_LD_WORD, _ROUND)
    put(_MUL, _GOLDEN)
    put(_RSH, 16)
    put(_JGE, share, _DROP, _KEEP)
    labels[_KEEP] = len(lines)
    put(_RETURN, TAKEN_BYTES)
    labels[_DROP] = len(lines)
    put(_RETURN, 0)

    def jump(at: int, label: str) -> int:
        return labels[label] - at - 1 if label else 0

    return [(code, jump(at, yes), jump(at, no), operand) for at, (code, operand, yes, no) in enumerate(lines)]


class Share:
    """The share that keeps packets to at most ``most_per_s``, as the rate goes up and down: all of them, or about
    an eighth as many as that, since a lab that is so busy has no time to spare."""

    def __init__(self, most_per_s: int) -> None:
        self.value = WHOLE
        self._most_per_s = most_per_s

    def seen(self, packets: int, seconds: float) -> bool:
        """So many packets have come through in so many seconds. Whether the share is another one now."""
        before, rate = self.value, packets / seconds
        whole, wanted = rate * WHOLE / self.value, self._most_per_s / 8
        if rate > self._most_per_s:
            self.value = max(1, int(WHOLE * wanted / whole))
        elif self.value < WHOLE and (whole < self._most_per_s * 0.9 or rate < wanted / 2):
            self.value = min(WHOLE, self.value * 2 + 1)
        return self.value != before
