"""Switch s1 of the triangle, running raft.p4 in process, and packets for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from hosts.raft.message import MessageType
from hosts.wire import DEFAULT_PORT, Header
from p4switch.pipeline.pipeline import Exact, Match, Output, Pipeline

REPOSITORY = Path(__file__).parents[2]
CPU_PORT = 510
GATEWAY = "08:00:00:00:01:00"

# The switch under test is s1 of the triangle: h1 on port 1, the client h11 on port 2, trunks to s2 and s3.
H1, H11, TO_S2, TO_S3 = 1, 2, 3, 4
ADDRESS = {1: "10.0.1.1", 2: "10.0.2.2", 3: "10.0.3.3"}
CLIENT = "10.0.1.11"
SERVICE = "10.0.100.1"
GROUP, SLOT = 1, 7
WINDOW_US = 100_000


def ipv4(address: str) -> int:
    return int.from_bytes(bytes(int(part) for part in address.split(".")), "big")


def mac(address: str) -> int:
    return int(address.replace(":", ""), 16)


def host_mac(address: str) -> str:
    return "00:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def datagram(
    header: Header | bytes,
    *,
    src: str,
    dst: str,
    sport: int = DEFAULT_PORT,
    dport: int = DEFAULT_PORT,
    payload: bytes = b"",
    **ip_fields: int,
) -> bytes:
    """An Ethernet frame with a Raft datagram, checksums right."""
    head = header if isinstance(header, bytes) else header.pack()
    frame = Ether(src=host_mac(src), dst=GATEWAY) / IP(src=src, dst=dst, **ip_fields) / UDP(sport=sport, dport=dport)
    return bytes(frame / (head + payload))


def peer(kind: MessageType, source: int, target: int, term: int, *, index: int = 0, **fields: int) -> bytes:
    header = Header(kind, source, target, GROUP, term, index=index, **fields)
    return datagram(header, src=ADDRESS[source], dst=ADDRESS[target], payload=bytes(16))


@dataclass
class Switch:
    """A loaded raft.p4 with names for people."""

    pipeline: Pipeline
    now_us: int = 1_000_000

    def full_name(self, kind: str, suffix: str) -> str:
        names: Sequence[str] = getattr(self.pipeline.program, kind)
        found = [name for name in names if name == suffix or name.endswith("." + suffix)]
        assert found, f"{suffix} is none of {list(names)}"
        return min(found, key=len)

    def insert(self, table: str, match: Sequence[Match], action: str, *params: int) -> int:
        name = self.full_name("tables", table)
        prefix = name.rsplit(".", 1)[0]
        return self.pipeline.insert(name, match, f"{prefix}.{action}", params)

    def send(self, port: int, frame: bytes) -> Output:
        return self.pipeline.step(port, frame, self.now_us)

    def drops(self) -> dict[int, int]:
        """Drop reason -> packets, zeros left out."""
        name = self.full_name("counters", "drops")
        counts = {reason: self.pipeline.counter(name, reason)[0] for reason in range(32)}
        return {reason: count for reason, count in counts.items() if count}

    def count(self, counter: str, index: int) -> int:
        return self.pipeline.counter(self.full_name("counters", counter), index)[0]

    def set_leader(self, leader: int, term: int, address: str) -> None:
        """(Re)write the group's entry."""
        name = self.full_name("tables", "groups")
        for entry in self.pipeline.entries(name):
            self.pipeline.delete(name, entry.handle)
        self.insert("groups", [Exact(GROUP)], "set_group", SLOT, 2, leader, term, ipv4(address), DEFAULT_PORT)
