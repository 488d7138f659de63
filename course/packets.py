"""What switch s1 of the triangle must do with packets: the given tests of the P4 exercises, written as STF.

h1 hangs on port 1, the client's host h11 on port 2; ports 3 and 4 are trunks to s2 and s3. h1 leads, in term 5.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from hosts.raft.message import MessageType
from hosts.wire import DEFAULT_PORT, Flag, Header
from sim import frames
from sim.frames import Sender

H1, H11, S2, S3 = 1, 2, 3, 4
"""Ports."""
ADDRESSES = {1: "10.0.1.1", 2: "10.0.2.2", 3: "10.0.3.3"}
CLIENT, SERVICE, OTHER_SERVICE = "10.0.1.11", "10.0.100.1", "10.0.100.2"
GROUP, SLOT, TERM = 1, 7, 5
GATEWAY = "08:00:00:00:01:00"

_TABLES = f"""\
add ingress.ipv4_forward.ipv4_lpm dst_addr:0x0a000101/32 ingress.ipv4_forward.forward(dst_mac:0x00000a000101, port:1)
add ingress.ipv4_forward.ipv4_lpm dst_addr:0x0a00010b/32 ingress.ipv4_forward.forward(dst_mac:0x00000a00010b, port:2)
add ingress.ipv4_forward.ipv4_lpm dst_addr:0x0a000202/32 ingress.ipv4_forward.forward(dst_mac:0x00000a000202, port:3)
add ingress.ipv4_forward.ipv4_lpm dst_addr:0x0a000303/32 ingress.ipv4_forward.forward(dst_mac:0x00000a000303, port:4)
add ingress.port_role.port_roles ingress_port:3 ingress.port_role.set_trunk()
add ingress.port_role.port_roles ingress_port:4 ingress.port_role.set_trunk()
add ingress.group_lookup.groups group:1 ingress.group_lookup.set_group(slot:7, quorum:2, leader:1, term:5, \
address:0x0a000101, udp_port:{DEFAULT_PORT})
"""
GUARD = """\
add ingress.member_guard.members group:1 source:1 address:0x0a000101 ingress_port:1 ingress.member_guard.is_member()
"""
ENFORCE = "add ingress.member_guard.guard_enforce group:1 ingress.member_guard.enforce()\n"
WATCH = "add ingress.leader_watch.leader_watch group:1 ingress.leader_watch.watch(window_us:100000)\n"
FILTER = "add ingress.term_filter.term_filter group:1 ingress.term_filter.drop_stale()\n"
ROUTE = "add ingress.leader_route.leader_route group:1 ingress.leader_route.steer_to_leader()\n"
RESOLVE, RESOLVE_OTHER = (
    f"add ingress.leader_route.service_addresses address:{int(IPv4Address(one)):#010x} "
    "ingress.leader_route.is_service()\n"
    for one in (SERVICE, OTHER_SERVICE)
)
WITHOUT_LEADER = f"""\
add ingress.group_lookup.groups group:2 ingress.group_lookup.set_group(slot:8, quorum:2, leader:0, term:5, \
address:0x0a000202, udp_port:{DEFAULT_PORT})
add ingress.leader_route.leader_route group:2 ingress.leader_route.steer_to_leader()
"""
"""Group 2 has no leader that is known; h2 is a live member of it."""


def header(title: str) -> str:
    """The head of a file, with the entries of tables that every exercise needs."""
    return (
        f"# {title}\n# Switch s1 of the triangle: h1 on port 1, the client's host h11 on port 2, trunks to s2 and s3 "
        f"on ports 3 and 4.\n# The leader is h1, member 1, in term {TERM}. Group 1 has register slot {SLOT}.\n\n"
        f"# Entries: routes, trunks, and the group with its leader.\n{_TABLES}"
    )


def case(says: str, *statements: str) -> str:
    """One case: what it says, then its packets and what must come of each."""
    return f"\n# {says}\n" + "".join(one if one.endswith("\n") else one + "\n" for one in statements)


def peer(kind: MessageType, source: int, target: int, term: int = TERM, *, ip: str = "", index: int = 0) -> bytes:
    """A message between members. ``ip``: of the sender, if it is not that member's."""
    head = Header(kind, source, target, GROUP, term, index=index)
    return _frame(ip or ADDRESSES[source], DEFAULT_PORT, ADDRESSES[target], DEFAULT_PORT, head.pack() + bytes(16))


def request(to: str, *, flags: int = 0, group: int = GROUP, checksum: bool = True) -> bytes:
    """A client's request, from h11."""
    head = Header(MessageType.CLIENT_REQUEST, group=group, index=1, log_term=9, flags=flags)
    return _frame(CLIENT, 40000, to, DEFAULT_PORT, head.pack() + b"\0" * 8 + b"value", checksum=checksum)


def reply(source: int, to: str, ip: str = "") -> bytes:
    """A reply to a client."""
    head = Header(MessageType.CLIENT_REPLY, source, 0, GROUP, index=1, log_term=9)
    return _frame(ip or ADDRESSES[source], DEFAULT_PORT, to, 40000, head.pack() + bytes(16))


def plain() -> bytes:
    """A datagram that is none of Raft's."""
    return _frame(CLIENT, 5000, ADDRESSES[1], 5001, b"hello")


def of_type(number: int) -> bytes:
    """A message of a type that need not exist."""
    return _frame(CLIENT, 40000, ADDRESSES[1], DEFAULT_PORT, Header(number, group=GROUP).pack())


def send(port: int, frame: bytes) -> str:
    """The packet enters."""
    return f"packet {port} {frame.hex()}"


def passes(port: int, frame: bytes, to: str | None = None) -> str:
    """It leaves by a port, as routers send it on; with another destination, if one is given."""
    target = frame[30:34] if to is None else IPv4Address(to).packed
    sender = Sender(".".join(map(str, frame[26:30])), _mac(frame[6:12]), _mac(frame[:6]))
    ports = int.from_bytes(frame[34:36], "big"), int.from_bytes(frame[36:38], "big")
    sealed = frame[40:42] != b"\0\0"
    to_port = ports[1] if to is None else DEFAULT_PORT
    left = frames.pack(sender, ports[0], (".".join(map(str, target)), to_port), frame[42:], checksum=sealed)
    # The next hop's address, the switch's own, one hop less to live, and the header's checksum to match.
    head = bytearray(b"\0\0" + target + frame[:6] + left[12:])
    head[22] -= 1
    total = frames.word_sum(bytes(head[14:24])) + frames.word_sum(bytes(head[26:34]))
    head[24:26] = (~frames.fold(total) & 0xFFFF).to_bytes(2, "big")
    return f"expect {port} {head.hex()}$"


def counted(counter: str, index: int, packets: int) -> str:
    """What a counter must hold by now."""
    return f"check_counter ingress.{counter}({index}) packets == {packets}"


def dropped(reason: int, packets: int) -> str:
    """How many packets must have been dropped for a reason by now."""
    return counted("drop_count.drops", reason, packets)


def _mac(packed: bytes) -> str:
    return packed.hex(":")


def _frame(source: str, source_port: int, target: str, port: int, datagram: bytes, *, checksum: bool = True) -> bytes:
    mac = "00:00:" + IPv4Address(source).packed.hex(":")
    return frames.pack(Sender(source, mac, GATEWAY), source_port, (target, port), datagram, checksum=checksum)


NO_STEER = int(Flag.NO_STEER)
