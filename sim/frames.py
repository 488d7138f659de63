"""Ethernet, IPv4 and UDP around a datagram, and what is left of it at the other end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from hosts.config import Address

PAYLOAD_AT = 42
_HEAD = struct.Struct(">H")
_UDP = struct.Struct(">HHHH")
_ADDRESSES = struct.Struct(">4s4sHHHH")


def fold(total: int) -> int:
    """The ones' complement sum of 16-bit words that add up to ``total``."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def word_sum(data: bytes) -> int:
    """The sum of big-endian 16-bit words; an odd last byte is a word's upper half."""
    if len(data) % 2:
        data += b"\0"
    return sum(struct.unpack(f">{len(data) // 2}H", data))


@lru_cache(maxsize=4096)
def _template(source: str, target: str, source_mac: str, gateway_mac: str) -> tuple[bytes, int, bytes]:
    ethernet = bytes.fromhex((gateway_mac + source_mac).replace(":", "")) + b"\x08\x00"
    addresses = IPv4Address(source).packed + IPv4Address(target).packed
    # Don't fragment, TTL 64, UDP.
    fixed = word_sum(b"\x45\x00\x00\x00\x00\x00\x40\x00\x40\x11" + addresses)
    return ethernet + b"\x45\x00", fixed, addresses


@dataclass(frozen=True, slots=True)
class Sender:
    """A host as the origin of frames."""

    ip: str
    mac: str
    gateway_mac: str


def pack(sender: Sender, source_port: int, target: Address, datagram: bytes, *, checksum: bool) -> bytes:
    """A datagram as a frame. ``checksum``: with UDP's, which IPv4 leaves to the sender."""
    head, fixed, addresses = _template(sender.ip, target[0], sender.mac, sender.gateway_mac)
    length = len(datagram) + 8
    total = length + 20
    udp_checksum = 0
    if checksum:
        pseudo = word_sum(addresses) + 17 + 2 * length + source_port + target[1]
        udp_checksum = ~fold(pseudo + word_sum(datagram)) & 0xFFFF or 0xFFFF
    return b"".join(
        (
            head,
            _HEAD.pack(total),
            b"\0\0\x40\0\x40\x11",
            _HEAD.pack(~fold(fixed + total) & 0xFFFF),
            addresses,
            _UDP.pack(source_port, target[1], length, udp_checksum),
            datagram,
        )
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
