"""The kinds of fields that cluster, topology and network files have, as pydantic checks them."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from hosts.raft.config import MAX_ID

Address = tuple[str, int]
"""IPv4 address and UDP port."""

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")


def parse_ipv4(text: str) -> str:
    """An IPv4 address. Raises ValueError."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 address") from None


def parse_host_address(text: str) -> str:
    """An IPv4 address at which others reach one host. Raises ValueError."""
    address = ipaddress.IPv4Address(parse_ipv4(text))
    if address.packed[0] == 0:
        raise ValueError(f"{text!r} is no address that others can send to: write the one that they reach it by")
    if address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
        raise ValueError(f"{text!r} is the address of many: one host needs one of its own")
    return str(address)


def parse_port(text: str) -> int:
    """A UDP or TCP port of 1..65535, in decimal digits. Raises ValueError."""
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError(f"{text!r} is no port of 1..65535")
    return int(text)


def parse_address(text: str, default_port: int) -> Address:
    """``address`` or ``address:port``. Raises ValueError."""
    host, colon, port = text.partition(":")
    try:
        address = parse_ipv4(host)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 address, nor address:port") from None
    if not colon:
        return address, default_port
    try:
        return address, parse_port(port)
    except ValueError:
        raise ValueError(f"{text!r} does not end in a port of 1..65535") from None


def parse_member_address(text: str, default_port: int) -> Address:
    """Parse like ``parse_address``, but only the address of one host that others can reach. Raises ValueError."""
    address, port = parse_address(text, default_port)
    return parse_host_address(address), port


def _number_of_key(key: Any) -> Any:
    """Keys of JSON are words always: one that is a number as people write it counts as that."""
    return int(key) if isinstance(key, str) and _NUMBER.fullmatch(key) else key


def _member_address(text: str) -> str:
    parse_member_address(text, 0)
    return text


Whole = Annotated[int, Field(strict=True)]
"""A whole number: neither true, nor 1.0, nor "1"."""
MemberId = Annotated[int, BeforeValidator(_number_of_key), Field(strict=True, ge=1, le=MAX_ID)]
"""A member's id as the key of a mapping."""
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
HostAddress = Annotated[str, AfterValidator(parse_host_address)]
MemberAddress = Annotated[str, AfterValidator(_member_address)]
"""``address`` or ``address:port``."""
