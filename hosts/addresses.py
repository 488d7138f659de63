"""Where members are reached, as configurations in the log have it: ``address:port``, ASCII."""

from __future__ import annotations

from collections.abc import Mapping

from hosts.config import Address, parse_address
from hosts.raft.configuration import Configuration
from hosts.wire import ToldMember, pack_members


def pack_address(address: Address) -> bytes:
    """An address as a configuration in the log has it."""
    return f"{address[0]}:{address[1]}".encode()


def unpack_address(packed: bytes) -> Address | None:
    """The inverse; None for anything else, such as nothing."""
    try:
        return parse_address(packed.decode("ascii"), 0) if b":" in packed else None
    except ValueError:
        return None


def shown(address: Address) -> str:
    """For people."""
    return f"{address[0]}:{address[1]}"


def addresses_in(configuration: Configuration, known: Mapping[int, Address]) -> dict[int, Address]:
    """``known``, and what the configuration says, which counts for more."""
    found = dict(known)
    for member, packed in configuration.addresses.items():
        place = unpack_address(packed)
        if place is not None:
            found[member] = place
    return found


def tell(configuration: Configuration, addresses: Mapping[int, Address]) -> bytes:
    """The data of a Configuration message. Who is about to leave does not vote on, but is still a member."""
    membership = configuration.membership
    voters = membership.voters | membership.outgoing
    return pack_members(
        [
            ToldMember(member, member in voters, *addresses[member])
            for member in sorted(membership.everyone())
            if member in addresses
        ]
    )
