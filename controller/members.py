"""Who a group's members are, as its leader tells the network in Configuration messages. Pure.

A message is believed if the leader that the switches know sent it, or one of a higher term; within a term the highest
index wins. So a deposed leader's last words change nothing, and a cluster whose data was wiped, and whose terms begin
anew, is believed as soon as its leader is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from controller.desired import Leadership
from controller.network import MAX_MEMBERS, Group, Host, Member, Network
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, PEER_PREFIX_BYTES, Header, ToldMember, WireError, unpack_members

_FRAME_HEADERS_BYTES = 14 + 20 + 8
"""Ethernet, IPv4 without options (raft.p4 lets no other pass), UDP."""


@dataclass(frozen=True)
class MembersTold:
    """A Configuration message: who said it, and since which log index these are the members."""

    group: int
    source: int
    term: int
    index: int
    members: tuple[ToldMember, ...]


def unpack(frame: bytes) -> MembersTold | None:
    """The Configuration message in an Ethernet frame; None if there is none."""
    datagram = frame[_FRAME_HEADERS_BYTES:]
    try:
        header = Header.unpack(datagram)
        members = unpack_members(datagram[HEADER_BYTES + PEER_PREFIX_BYTES :])
    except WireError:
        return None
    if header.type != MessageType.CONFIGURATION:
        return None
    return MembersTold(header.group, header.source, header.term, header.index, members)


def is_news(told: MembersTold, installed: Leadership, last: MembersTold | None) -> bool:
    """Whether ``told`` is to be believed and may differ from what ``last`` said."""
    if told.term < installed.term or (told.term == installed.term and told.source != installed.leader):
        return False
    return last is None or told.term != last.term or told.index > last.index


def followed(network: Network, group: Group, members: Sequence[ToldMember]) -> tuple[Group, tuple[str, ...]]:
    """The group with the members that were told, and the addresses among them that no host of the network has."""
    hosts = {host.ip: host for host in network.hosts}
    known = [(member, hosts[member.address]) for member in members if member.address in hosts]
    strangers = tuple(member.address for member in members if member.address not in hosts)
    found = tuple(Member(member.id, host.name, member.votes) for member, host in known)[:MAX_MEMBERS]
    return (replace(group, members=found) if found else group), strangers


def with_installed(network: Network, group: Group, member_id: int, address: int) -> Group:
    """The group with a member that a switch's entry names, if the group has none of that id yet."""
    host = _host_at(network, str(IPv4Address(address)))
    if host is None or group.member(member_id) is not None or len(group.members) >= MAX_MEMBERS:
        return group
    if any(member.host == host.name for member in group.members):
        return group
    return replace(group, members=(*group.members, Member(member_id, host.name)))


def _host_at(network: Network, address: str) -> Host | None:
    return next((host for host in network.hosts if host.ip == address), None)
