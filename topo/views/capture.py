"""Watching an interface: every packet in one line, Raft's header decoded; and as a pcap file if wished."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from hosts.raft.message import MessageType
from hosts.wire import Header, WireError
from topo import paths
from topo.errors import LabError, UsageError
from topo.lab import namespace
from topo.lab.process import readable
from topo.lab.running_lab import Live
from topo.root import check_root
from topo.topology import Topology

ETH_P_ALL = 0x0003
ETHERNET_BYTES = 14
IPV4, PROBE = 0x0800, 0x88B5
UDP = 17
SNAPSHOT_BYTES = 65535
PACKET_OUTGOING = 4
_PCAP_FILE = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPSHOT_BYTES, 1)
"""The file header of the classic pcap format: version 2.4, microseconds, Ethernet."""


@dataclass(frozen=True)
class Packet:
    """A captured frame. ``time`` in seconds since the epoch; ``outgoing``: the interface's own side sent it."""

    time: float
    outgoing: bool
    frame: bytes

    @property
    def ether_type(self) -> int:
        return int.from_bytes(self.frame[12:14], "big") if len(self.frame) >= ETHERNET_BYTES else 0

    @property
    def ends(self) -> tuple[str, int, str, int] | None:
        """Source address and port, destination address and port; None unless it is UDP over IPv4."""
        at = self._udp
        if at is None:
            return None
        source, destination = struct.unpack_from(">HH", self.frame, at)
        ip = self.frame[ETHERNET_BYTES:]
        return str(IPv4Address(ip[12:16])), source, str(IPv4Address(ip[16:20])), destination

    @property
    def _udp(self) -> int | None:
        ip = self.frame[ETHERNET_BYTES:]
        if self.ether_type != IPV4 or len(ip) < 20 or ip[9] != UDP:
            return None
        at = ETHERNET_BYTES + (ip[0] & 0x0F) * 4
        return at if len(self.frame) >= at + 8 else None

    def raft(self, port: int) -> Header | None:
        """The Raft header; None for other packets. Raises WireError for a malformed one."""
        ends, at = self.ends, self._udp
        if ends is None or at is None or port not in (ends[1], ends[3]):
            return None
        return Header.unpack(self.frame[at + 8 :])


class Capture:
    """A packet socket on an interface of this thread's namespace, from creation on."""

    def __init__(self, interface: str) -> None:
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self._socket.bind((interface, ETH_P_ALL))
        except OSError as error:
            raise LabError(f"cannot capture on {interface}: {error.strerror}") from error

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def packets(self, seconds: float | None = None) -> Iterator[Packet]:
        """Packets as they come; ends ``seconds`` after the call, 0: when nothing waits any more."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = 3600.0 if deadline is None else max(0.0, deadline - time.monotonic())
            if not readable(self._socket.fileno(), left):
                if deadline is None:
                    continue
                return
            if deadline is not None and seconds and time.monotonic() > deadline:
                return
            try:
                frame, address = self._socket.recvfrom(SNAPSHOT_BYTES)
            except OSError as error:
                raise LabError(f"capturing ended: {error.strerror}") from error
            yield Packet(time.time(), address[2] == PACKET_OUTGOING, frame)


class PcapFile:
    """Writes packets for Wireshark, tcpdump and Scapy."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise LabError(f"cannot write {path}: {error.strerror}") from error
        paths.give(path)
        self._file.write(_PCAP_FILE)

    def add(self, packet: Packet) -> None:
        seconds = int(packet.time)
        microseconds = int((packet.time - seconds) * 1e6)
        size = len(packet.frame)
        self._file.write(struct.pack("<IIII", seconds, microseconds, size, size) + packet.frame)
        self._file.flush()


def describe(packet: Packet, topology: Topology) -> str | None:
    """One line about a Raft packet; None for any other."""
    names = {str(host.ip): host.name for host in topology.hosts}
    names |= {str(group.service): "service" for group in topology.groups if group.service}
    try:
        header = packet.raft(topology.port)
        told = None if header is None else _header_text(header)
    except WireError as error:
        told = f"malformed: {error}"
    if told is None or packet.ends is None:
        return None
    source, _, destination, _ = packet.ends
    return f"{names.get(source, source)} > {names.get(destination, destination)}  {told}"


def _header_text(header: Header) -> str:
    kind = MessageType(header.type).name
    flags = "".join(f" {name}" for name in header.flag_names)
    if kind.startswith("CLIENT"):
        return f"{kind}{flags} group {header.group} session {header.log_term:016x} sequence {header.index}"
    fields = f"term {header.term} index {header.index} log_term {header.log_term} commit {header.commit}"
    return f"{kind}{flags} {header.source}->{header.target} group {header.group} {fields}"


def _other_text(packet: Packet) -> str:
    if packet.ether_type == PROBE:
        return "link probe of the controller"
    ip = packet.frame[ETHERNET_BYTES:]
    if packet.ether_type != IPV4 or len(ip) < 20:
        return f"Ethernet type {packet.ether_type:#06x}, {len(packet.frame)} bytes"
    protocol = {1: "ICMP", 6: "TCP", 17: "UDP"}.get(ip[9], f"protocol {ip[9]}")
    return f"{IPv4Address(ip[12:16])} > {IPv4Address(ip[16:20])}  {protocol}, {len(packet.frame)} bytes"


def check_interface(interface: str, topology: Topology) -> None:
    """Raises UsageError if the lab has none of this name."""
    known = [name for switch in topology.switches for name in topology.ports(switch.name).values()]
    known += [host.interface for host in topology.hosts]
    if interface not in known:
        raise UsageError(f"unknown interface {interface!r}: there are {', '.join(sorted(known))}")


def show(interface: str, count: int, seconds: float, write: str | None, everything: bool) -> None:
    """Print what passes ``interface``, until ``count`` packets, ``seconds``, or Ctrl-C."""
    check_root("capturing")
    live = Live.find()
    owner = interface.partition("-")[0]
    check_interface(interface, live.topology)
    if owner in live.record.hosts:
        namespace.enter(live.holder(owner))
    file = PcapFile(Path(write)) if write else None
    shown = 0
    with Capture(interface) as capture:
        print(f"Capturing on {interface}; Ctrl-C ends it", file=sys.stderr)
        for packet in capture.packets(seconds or None):
            told = describe(packet, live.topology) or (_other_text(packet) if everything else None)
            if told is None:
                continue
            if file is not None:
                file.add(packet)
            clock = time.strftime("%H:%M:%S", time.localtime(packet.time))
            print(
                f"{clock}.{int(packet.time % 1 * 1e6):06d} {'out' if packet.outgoing else 'in '} {told}", flush=True
            )
            shown += 1
            if shown == count:
                return
