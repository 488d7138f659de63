"""Acknowledgements for member 1, at its port of switch s1; the others' come over a trunk."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from controller.names import AckFate
from hosts.raft.message import MessageType
from hosts.wire import DEFAULT_PORT, HEADER_BYTES, Flag, Header
from p4switch.pipeline.pipeline import Exact
from tests.p4.triangle import ADDRESS, GROUP, H1, TO_S2, Switch, datagram

CLUSTER = 0xC0FFEE
TERM = 5
GENERATION = 0xABCD1234
WINDOW_US = 50_000
RECORD, SEALED_RECORD = 18, 50


@dataclass(frozen=True)
class Ack:
    """An acknowledgement as its member sends it."""

    source: int
    index: int
    round: int = 7
    seal: bytes = b""
    """32 bytes in a cluster with a key."""
    term: int = TERM
    group: int = GROUP
    cluster: int = CLUSTER

    @property
    def header(self) -> Header:
        kind, flags = MessageType.APPEND_ENTRIES_REPLY, int(Flag.GATHER)
        return Header(kind, self.source, 1, self.group, self.term, self.index, flags=flags)

    @property
    def payload(self) -> bytes:
        return struct.pack(">QQ", self.cluster, self.round) + self.seal

    @property
    def record(self) -> bytes:
        """What of it is put in front of another one's payload."""
        return struct.pack(">BBQQ", self.source, 0, self.index, self.round) + self.seal

    def frame(self, **fields: int) -> bytes:
        return datagram(self.header, src=address(self.source), dst=ADDRESS[1], payload=self.payload, **fields)


def sealed(source: int, index: int, round: int = 7, counter: int = 1) -> Ack:
    """One with a seal; only hosts can tell whether that is right."""
    mac = bytes((source, index % 256, counter % 256, 0x5A)) * 4
    return Ack(source, index, round, struct.pack(">QQ", 99, counter) + mac)


def address(member: int) -> str:
    return ADDRESS.get(member, f"10.0.{member}.{member}")


def gathers(switch: Switch, others: int, needed: int, *, generation: int = GENERATION) -> Switch:
    """Members 2, 3, ... have positions 0, 1, ..."""
    for at in range(others):
        switch.insert("ack_positions", [Exact(GROUP), Exact(2 + at)], "has_position", at, generation)
    switch.insert("ack_gather", [Exact(GROUP), Exact(1)], "gather", H1, needed, WINDOW_US, generation)
    return switch


def clear(switch: Switch, *tables: str) -> None:
    for table in tables:
        name = switch.full_name("tables", table)
        for entry in switch.pipeline.entries(name):
            switch.pipeline.delete(name, entry.handle)


def arrive(switch: Switch, ack: Ack, port: int = TO_S2) -> tuple[Ack, tuple[bytes, ...]] | None:
    """What leaves for the leader when an acknowledgement comes: that one, and the records in front of its payload.
    None if it is kept. All that is beside the point must be right: addresses, lengths, checksums."""
    packets = switch.send(port, ack.frame()).packets
    if not packets:
        return None
    ((out, frame),) = packets
    assert out == H1
    packet = Ether(frame)
    again = packet.copy()
    del again[IP].chksum, again[IP].len, again[UDP].chksum, again[UDP].len
    assert bytes(Ether(bytes(again))) == frame, "a length or checksum is wrong"
    assert (packet[IP].src, packet[IP].dst, packet[UDP].dport) == (address(ack.source), ADDRESS[1], DEFAULT_PORT)
    content = bytes(packet[UDP].payload)
    size = SEALED_RECORD if ack.seal else RECORD
    records = content[HEADER_BYTES : len(content) - len(ack.payload)]
    assert content.endswith(ack.payload) and len(records) % size == 0
    assert content[:HEADER_BYTES] == ack.header.pack(also=int(Flag.GATHERED) if records else 0)
    return ack, tuple(records[at : at + size] for at in range(0, len(records), size))


def fates(switch: Switch) -> dict[AckFate, int]:
    """How many acknowledgements have met each fate, zeros left out."""
    counted = {fate: switch.count("acknowledgements", fate) for fate in AckFate}
    return {fate: count for fate, count in counted.items() if count}


def leads(switch: Switch, term: int = TERM) -> None:
    """(Re)write the group's entry: member 1 leads."""
    switch.set_leader(1, term, ADDRESS[1])
