"""Packets that nobody should believe, made with Scapy and its layer of the header, and sent from inside a host."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import asdict

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hosts.scapy_layer import Raft
from hosts.wire import Header
from topo.lab.namespace import on_host
from topo.lab.running_lab import Live


def datagram(
    live: Live, header: Header | bytes, payload: bytes = b"", *, at: str, to: str, claiming: str | None = None
) -> Packet:
    """A Raft packet as it leaves host ``at`` towards host ``to``; ``claiming``: with that host's address. Bytes for a
    header stand as they are."""
    topology = live.topology
    origin = topology.host(at)
    source, port = topology.host(claiming or at), topology.port
    raft = Raw(header) if isinstance(header, bytes) else Raft(**asdict(header))
    return (
        Ether(src=origin.mac, dst=origin.gateway_mac)
        / IP(src=str(source.ip), dst=str(topology.host(to).ip))
        / UDP(sport=port, dport=port)
        / raft
        / payload
    )


def send(live: Live, host: str, packets: Sequence[Packet]) -> None:
    """Send frames out of a host's own interface."""
    frames = [bytes(packet) for packet in packets]

    def out() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((live.topology.host(host).interface, 0))
            for frame in frames:
                raw.send(frame)

    on_host(live.holder(host), out)
