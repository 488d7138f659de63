"""Names, for people, of the numbers by which switches count."""

from __future__ import annotations

from enum import IntEnum

from hosts.raft.message import MessageType

LAST_COUNTED_TYPE = 31
"""Every message type above 30 counts as this one."""


class DropReason(IntEnum):
    """Why a switch drops a packet: the indexes of its ``drops`` counter, as in p4/include/reasons.p4."""

    NONE = 0
    NOT_IP = 1
    BAD_IPV4 = 2
    BAD_CHECKSUM = 3
    TTL_EXPIRED = 4
    SHORT_RAFT = 5
    BAD_VERSION = 6
    TERM_RANGE = 7
    BAD_FLAGS = 8
    NOT_MEMBER = 9
    STALE_TERM = 10
    NO_ROUTE = 11
    BAD_PROBE = 12
    PARSER_ERROR = 13
    BAD_TARGET = 14
    UDP_FRAGMENT = 15
    BAD_PACKET_OUT = 16


def message_name(index: int) -> str:
    """What the ``messages`` counter's index stands for, e.g. AppendEntriesReply."""
    if index == LAST_COUNTED_TYPE:
        return "types above 30"
    try:
        return MessageType(index).name.title().replace("_", "")
    except ValueError:
        return f"type {index}"


def reason_name(index: int) -> str:
    """What the ``drops`` counter's index stands for, e.g. stale_term."""
    try:
        return DropReason(index).name.lower()
    except ValueError:
        return f"reason {index}"
