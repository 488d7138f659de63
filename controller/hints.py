"""What the controller sends to hosts itself, at their own ports: CampaignHints, and ICMP echo requests. Sans-IO.

A hint tells a member that its leader may have ended. It is advice (``hosts.raft.patience``). No port of a switch lets
one in, so a member gets those of its controller only: they leave by a packet-out where the member's host hangs.

A process that was stopped is silent as one whose host is cut off is, but its host's kernel goes on answering. So a
host is asked twice, and what it does not answer counts. Its answer comes to the controller from its own port only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from controller.network import Group, Host, Member, Network
from controller.routes import gateway_mac, host_mac
from hosts.raft.message import NOBODY, MessageType
from hosts.raft.patience import Cause
from hosts.wire import Header

ADDRESS = "169.254.26.41"
"""The controller's, of those that are valid on one link only (RFC 3927): hosts answer there by way of their gateway,
and no switch has a route to it."""
IDENTIFIER = 0x7266
"""Of its echo requests (RFC 792)."""
ECHOES = 2
"""So many requests a host may leave unanswered."""
ECHO_S = 0.025
"""Between them, and after the last one."""

_ETHERNET = struct.Struct(">6s6sH")
_IPV4 = struct.Struct(">BBHHHBBH4s4s")
_UDP = struct.Struct(">HHHH")
_ICMP = struct.Struct(">BBHHH")
_PSEUDO = struct.Struct(">4s4sBBH")
_ETHERTYPE_IPV4, _ICMP_PROTOCOL, _UDP_PROTOCOL = 0x0800, 1, 17
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_TTL = 1
"""None of this goes farther than the host."""


def hint(network: Network, group: Group, member: Member, term: int, cause: Cause) -> bytes:
    """The frame of a CampaignHint: that the leader of ``term`` may have ended. It has no payload, and no seal."""
    host = network.host(member.host)
    header = Header(MessageType.CAMPAIGN_HINT, NOBODY, member.id, group.id, term, commit=cause).pack()
    length = _UDP.size + len(header)
    source, target = IPv4Address(ADDRESS).packed, IPv4Address(host.ip).packed
    pseudo = _PSEUDO.pack(source, target, 0, _UDP_PROTOCOL, length)
    checksum = _checksum(pseudo + _UDP.pack(group.port, group.port, length, 0) + header) or 0xFFFF
    return _frame(network, host, _UDP_PROTOCOL, _UDP.pack(group.port, group.port, length, checksum) + header)


def echo_request(network: Network, host: Host, sequence: int) -> bytes:
    """The frame of an ICMP echo request to a host."""
    checksum = _checksum(_ICMP.pack(_ECHO_REQUEST, 0, 0, IDENTIFIER, sequence))
    return _frame(network, host, _ICMP_PROTOCOL, _ICMP.pack(_ECHO_REQUEST, 0, checksum, IDENTIFIER, sequence))


def read_echo_reply(frame: bytes) -> tuple[str, int] | None:
    """Who answers which request: (address, sequence) of a frame with an ICMP echo reply to the controller. None for
    any other."""
    start = _ETHERNET.size + _IPV4.size
    if len(frame) < start + _ICMP.size or _ETHERNET.unpack_from(frame)[2] != _ETHERTYPE_IPV4:
        return None
    version, _, _, _, _, _, protocol, _, source, target = _IPV4.unpack_from(frame, _ETHERNET.size)
    kind, code, _, identifier, sequence = _ICMP.unpack_from(frame, start)
    is_ours = (version, protocol, target) == (0x45, _ICMP_PROTOCOL, IPv4Address(ADDRESS).packed)
    if not is_ours or (kind, code, identifier) != (_ECHO_REPLY, 0, IDENTIFIER):
        return None
    return str(IPv4Address(source)), sequence


def _frame(network: Network, host: Host, protocol: int, content: bytes) -> bytes:
    """Ethernet and IPv4 around ``content``, as if the host's gateway had sent it on."""
    addresses = IPv4Address(ADDRESS).packed, IPv4Address(host.ip).packed
    length = _IPV4.size + len(content)
    checksum = _checksum(_IPV4.pack(0x45, 0, length, 0, 0, _TTL, protocol, 0, *addresses))
    ethernet = _ETHERNET.pack(
        host_mac(host).to_bytes(6, "big"), gateway_mac(network, host.switch).to_bytes(6, "big"), _ETHERTYPE_IPV4
    )
    return ethernet + _IPV4.pack(0x45, 0, length, 0, 0, _TTL, protocol, checksum, *addresses) + content


def _checksum(data: bytes) -> int:
    """RFC 1071. ``data`` holds whole 16-bit words."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass
class _Asked:
    """What a host was asked. ``is_there``: it has answered."""

    sequences: list[int] = field(default_factory=list)
    is_there: bool = False


class Echoes:
    """Hosts that are being asked, by name. ``first`` is where sequence numbers begin: other than those of a
    controller that was there before."""

    def __init__(self, first: int) -> None:
        self._sequence = first & 0xFFFF
        self._asked: dict[str, _Asked] = {}

    def __contains__(self, host: str) -> bool:
        return host in self._asked

    def next(self, host: str) -> int | None:
        """The sequence number of the next request to a host; None if it has answered, or has had enough of them."""
        asked = self._asked.setdefault(host, _Asked())
        if asked.is_there or len(asked.sequences) == ECHOES:
            return None
        self._sequence = (self._sequence + 1) & 0xFFFF
        asked.sequences.append(self._sequence)
        return self._sequence

    def answered(self, host: str, sequence: int) -> None:
        """A host answers a request: one of now, or it counts for nothing."""
        asked = self._asked.get(host)
        if asked is not None and sequence in asked.sequences:
            asked.is_there = True

    def end(self, host: str) -> bool:
        """Ask it no more. True if it has left all requests unanswered."""
        asked = self._asked.pop(host)
        return not asked.is_there and len(asked.sequences) == ECHOES
