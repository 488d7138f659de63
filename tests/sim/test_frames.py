"""Frames as Scapy understands them."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from sim import frames
from sim.frames import Sender

SENDER = Sender("10.0.1.1", "00:00:00:00:01:01", "08:00:00:00:01:00")


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("size", [0, 1, 40, 1399])
def test_like_scapy(size: int, checksum: bool) -> None:
    payload = bytes(at * 7 % 256 for at in range(size))
    frame = frames.pack(SENDER, 40_000, ("10.0.2.2", 26410), payload, checksum=checksum)
    expected = (
        Ether(src=SENDER.mac, dst=SENDER.gateway_mac)
        / IP(src="10.0.1.1", dst="10.0.2.2", id=0, flags="DF", ttl=64)
        / UDP(sport=40_000, dport=26410, **({} if checksum else {"chksum": 0}))
        / payload
    )
    assert frame == bytes(expected)
    assert frames.unpack(frame) == (("10.0.1.1", 40_000), ("10.0.2.2", 26410), payload)


def test_a_wrong_udp_checksum_is_noticed() -> None:
    frame = bytearray(frames.pack(SENDER, 1, ("10.0.2.2", 2), b"hello", checksum=True))
    frame[-1] ^= 1
    assert frames.unpack(bytes(frame)) is None


def test_other_frames_are_none() -> None:
    frame = frames.pack(SENDER, 1, ("10.0.2.2", 2), b"hello", checksum=True)
    assert frames.unpack(frame[:41]) is None
    assert frames.unpack(frame[:12] + b"\x86\xdd" + frame[14:]) is None
