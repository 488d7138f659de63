"""Ethernet, IPv4 and UDP or ICMP around what hosts say, and what is left of it at the other end."""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import IPv4Address
from typing import NamedTuple

from hosts.config import Address
from hosts.net.udp import QUOTED_BYTES

PAYLOAD_AT = 42
_HEADERS = struct.Struct(">16sH6sH8sHHHH")
_IDENTITY = b"\x00\x00\x40\x00\x40\x11"
"""Of an IPv4 packet: don't fragment, TTL 64, UDP."""
_ADDRESSES = struct.Struct(">4s4sHHHH")
_IPV4 = struct.Struct(">BBHHHBBH4s4s")
_ICMP_AT = 34
_UDP = struct.Struct(">HHHH")
_QUOTED_AT = 8
"""In an ICMP message that quotes a packet."""
PORT_UNREACHABLE, ECHO_REQUEST, ECHO_REPLY = (3, 3), (8, 0), (0, 0)
"""Type and code of ICMP messages."""


def fold(total: int) -> int:
    """The ones' complement sum of 16-bit words that add up to ``total``."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def word_sum(data: bytes) -> int:
    """The sum of big-endian 16-bit words, or another number with the same ones' complement sum; an odd last byte is
    a word's upper half."""
    number = int.from_bytes(data, "big")
    if len(data) % 2:
        number <<= 8
    # 2^16 leaves 1 when divided by 65535, so all words count alike. A sum is 0 only if every word is.
    return number % 0xFFFF or (0xFFFF if number else 0)


class Sender(NamedTuple):
    """A host as the origin of frames."""

    ip: str
    mac: str
    gateway_mac: str


@lru_cache(maxsize=4096)
def _template(sender: Sender, target: str) -> tuple[bytes, int, bytes]:
    ethernet = bytes.fromhex((sender.gateway_mac + sender.mac).replace(":", "")) + b"\x08\x00"
    addresses = IPv4Address(sender.ip).packed + IPv4Address(target).packed
    fixed = word_sum(b"\x45\x00\x00\x00" + _IDENTITY + addresses)
    return ethernet + b"\x45\x00", fixed, addresses


def pack(sender: Sender, source_port: int, target: Address, datagram: bytes, *, checksum: bool) -> bytes:
    """A datagram as a frame. ``checksum``: with UDP's, which IPv4 leaves to the sender."""
    head, fixed, addresses = _template(sender, target[0])
    length = len(datagram) + 8
    total = length + 20
    udp_checksum = 0
    if checksum:
        pseudo = word_sum(addresses) + 17 + 2 * length + source_port + target[1]
        udp_checksum = ~fold(pseudo + word_sum(datagram)) & 0xFFFF or 0xFFFF
    ip_checksum = ~fold(fixed + total) & 0xFFFF
    return (
        _HEADERS.pack(head, total, _IDENTITY, ip_checksum, addresses, source_port, target[1], length, udp_checksum)
        + datagram
    )


@lru_cache(maxsize=4096)
def _text(packed: bytes) -> str:
    return str(IPv4Address(packed))


def unpack(frame: bytes) -> tuple[Address, Address, bytes] | None:
    """(source, target, datagram) of a frame with a UDP datagram whose checksum holds, None for any other."""
    if len(frame) < PAYLOAD_AT or frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    source, target, source_port, target_port, length, checksum = _ADDRESSES.unpack_from(frame, 26)
    datagram = frame[PAYLOAD_AT:]
    if checksum:
        pseudo = word_sum(source + target) + 17 + 2 * length + source_port + target_port + checksum
        if fold(pseudo + word_sum(datagram)) != 0xFFFF:
            return None
    return (_text(source), source_port), (_text(target), target_port), datagram


def pack_icmp(sender: Sender, target: str, kind: tuple[int, int], rest: bytes) -> bytes:
    """An ICMP message as a frame. ``rest``: what follows type, code and checksum, whole 16-bit words."""
    checksum = ~fold(word_sum(bytes(kind) + rest)) & 0xFFFF
    ethernet = bytes.fromhex((sender.gateway_mac + sender.mac).replace(":", "")) + b"\x08\x00"
    content = bytes(kind) + checksum.to_bytes(2, "big") + rest
    return ethernet + _ipv4(sender.ip, target, 1, len(content)) + content


def _ipv4(source: str, target: str, protocol: int, size: int) -> bytes:
    addresses = IPv4Address(source).packed, IPv4Address(target).packed
    header = _IPV4.pack(0x45, 0, _IPV4.size + size, 0, 0, 64, protocol, 0, *addresses)
    checksum = ~fold(word_sum(header)) & 0xFFFF
    return header[:10] + checksum.to_bytes(2, "big") + header[12:]


def pack_refusal(sender: Sender, source: Address, destination: Address, datagram: bytes = b"") -> bytes:
    """The ICMP port unreachable by which ``sender`` answers a datagram of ``source`` to ``destination``."""
    size = _UDP.size + len(datagram)
    quoted = _ipv4(source[0], destination[0], 17, size) + _UDP.pack(source[1], destination[1], size, 0)
    start = datagram[:QUOTED_BYTES]
    return pack_icmp(sender, source[0], PORT_UNREACHABLE, bytes(4) + quoted + start + bytes(len(start) % 2))


class Icmp(NamedTuple):
    """An ICMP message: who has sent it to whom, type and code, and all of it."""

    source: str
    target: str
    kind: tuple[int, int]
    content: bytes

    @property
    def about(self) -> tuple[Address, Address]:
        """Source and destination of the datagram that a port unreachable quotes."""
        at = _QUOTED_AT + 12
        source, target, source_port, target_port = struct.unpack_from(">4s4sHH", self.content, at)
        return (_text(source), source_port), (_text(target), target_port)

    @property
    def quoted(self) -> bytes:
        """How that datagram began."""
        return self.content[_QUOTED_AT + _IPV4.size + _UDP.size :][:QUOTED_BYTES]


def unpack_icmp(frame: bytes) -> Icmp | None:
    """The ICMP message of a frame, None for any other frame."""
    if len(frame) < _ICMP_AT + 8 or frame[12:14] != b"\x08\x00" or frame[23] != 1:
        return None
    content = frame[_ICMP_AT:]
    return Icmp(_text(frame[26:30]), _text(frame[30:34]), (content[0], content[1]), content)
