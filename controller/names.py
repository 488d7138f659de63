"""Names of the numbers by which switches count, and by which they and the controller tell packets apart."""

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
    WRONG_PORT = 17


class CopyFate(IntEnum):
    """What becomes of a copy of an AppendEntries to everybody: the indexes of the ``copies`` counter, as in
    p4/include/reasons.p4."""

    NO_ENTRY = 0
    """Not made: the switch does not know for whom it would be."""
    TO_MEMBER = 1
    OVER_TRUNK = 2
    TO_SENDER = 3
    """Not made: it would go to the member that has sent the message."""
    BACK = 4
    """Not made: it would go back over the trunk that the message came by."""


class ControllerKind(IntEnum):
    """What the controller asks by a packet-out, and what a packet-in is: as in p4/include/constants.p4."""

    FRAME = 0
    """Packet-out: send the frame out of a port."""
    REGISTERS = 1
    """Packet-out: read a slot's registers; packet-in: the answer."""
    PROBE = 2
    """Packet-in: a link probe that has arrived."""
    CONFIGURATION = 3
    """Packet-in: a Configuration message of a registered member."""


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


def fate_name(index: int) -> str:
    """What the ``copies`` counter's index stands for, e.g. to_member."""
    try:
        return CopyFate(index).name.lower()
    except ValueError:
        return f"fate {index}"
