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
    FORGED_HINT = 18
    OVER_LIMIT = 19
    KEPT = 20


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


class EndFate(IntEnum):
    """What becomes of an ICMP port unreachable that enters at an edge port: the indexes of the ``ends`` counter, as
    in p4/include/reasons.p4. It is forwarded in any case."""

    TOLD = 0
    TOO_SOON = 1
    """Not told: something was told of that port a moment ago."""
    NO_ENTRY = 2
    """Not told: its sender is not known as a member's host at that port."""
    OTHER_ADDRESS = 3
    """Not told: it is not about its sender's own address."""
    OTHER_PORT = 4
    """Not told: it is about another port than Raft's."""


class AckFate(IntEnum):
    """What becomes of an acknowledgement that may be gathered: the indexes of the ``acknowledgements`` counter, as in
    p4/include/reasons.p4."""

    NEWS = 0
    """Goes on: with the leader, a quorum has said something new."""
    ANEW = 1
    """Goes on: nothing has for a heartbeat, or what was kept is of another term, leader or kind."""
    KEPT = 2
    CARRIED = 3
    """Was kept, and goes on in front of another one's payload."""
    SUPERSEDED = 4
    """Was kept, and is carried no more: its sender has said as much or more since."""


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
    ECHO_REPLY = 4
    """Packet-in: a member's host answers an ICMP echo request of the controller."""


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


def end_name(index: int) -> str:
    """What the ``ends`` counter's index stands for, e.g. too_soon."""
    try:
        return EndFate(index).name.lower()
    except ValueError:
        return f"end {index}"


def ack_name(index: int) -> str:
    """What the ``acknowledgements`` counter's index stands for, e.g. carried."""
    try:
        return AckFate(index).name.lower()
    except ValueError:
        return f"acknowledgement {index}"


def fate_name(index: int) -> str:
    """What the ``copies`` counter's index stands for, e.g. to_member."""
    try:
        return CopyFate(index).name.lower()
    except ValueError:
        return f"fate {index}"
