"""Packets that nobody should believe, made with Scapy and sent from inside a host."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hosts.wire import Header
from topo.live import Live
from topo.namespace import on_host


def datagram(live: Live, header: Header | bytes, *, at: str, to: str, claiming: str | None = None) -> Packet:
    """A Raft packet as it leaves host ``at`` towards host ``to``; ``claiming``: with that host's address."""
    topology = live.topology
    origin = topology.host(at)
    source, port = topology.host(claiming or at), topology.port
    data = header if isinstance(header, bytes) else header.pack()
    return (
        Ether(src=origin.mac, dst=origin.gateway_mac)
        / IP(src=str(source.ip), dst=str(topology.host(to).ip))
        / UDP(sport=port, dport=port)
        / Raw(data)
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
