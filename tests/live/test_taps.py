"""Taps on a pair of interfaces: what comes in, in order, with its times; what found no room is told."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from topo.errors import LabError
from topo.views.ring import BLOCK_BYTES, BLOCKS
from topo.views.taps import Frame, Tap, batches

pytestmark = pytest.mark.root

ETHER_TYPE = 0x88B5
DEADLINE_S = 60


@pytest.fixture
def ends() -> Iterator[tuple[str, str]]:
    near, far = f"tap{os.getpid()}n", f"tap{os.getpid()}f"
    subprocess.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far], check=True)
    for one in (near, far):
        subprocess.run(["ip", "link", "set", one, "up"], check=True)
    yield near, far
    subprocess.run(["ip", "link", "del", near], check=True)


def frame(number: int, size: int = 60) -> bytes:
    return (bytes(12) + ETHER_TYPE.to_bytes(2, "big") + number.to_bytes(4, "big")).ljust(size, b"\xaa")


def number_of(one: Frame) -> int:
    return int.from_bytes(one.data[14:18], "big")


@contextmanager
def sender(interface: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sending:
        sending.bind((interface, 0))
        yield sending


def gathered(tap: Tap, count: int) -> list[Frame]:
    """So many of the frames that this test sends."""
    found: list[Frame] = []
    end = time.monotonic() + DEADLINE_S
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count}"
        found += [one for one in tap.waiting() if one.data[12:14] == ETHER_TYPE.to_bytes(2, "big")]
        time.sleep(0.005)
    return found


def test_frames_come_whole_and_in_order_with_their_times(ends: tuple[str, str]) -> None:
    near, far = ends
    tap = Tap(near)
    try:
        with sender(far) as sending:
            began = time.time_ns()
            sent = [frame(number, 60 + 7 * number) for number in range(200)]
            for one in sent:
                sending.send(one)
        found = gathered(tap, len(sent))
        assert [one.data for one in found] == sent
        times = [one.time_ns for one in found]
        assert times == sorted(times) and began <= times[0] and times[-1] <= time.time_ns()
        assert {(one.interface, one.outgoing) for one in found} == {(near, False)}
        assert tap.lost() == 0
    finally:
        tap.close()


def test_more_than_a_ring_holds_comes_as_long_as_it_is_read(ends: tuple[str, str]) -> None:
    near, far = ends
    tap = Tap(near)
    size, rounds, each = 1500, 30, 200
    assert size * rounds * each > 3 * BLOCK_BYTES * BLOCKS
    try:
        with sender(far) as sending:
            for start in range(0, rounds * each, each):
                for number in range(start, start + each):
                    sending.send(frame(number, size))
                assert list(map(number_of, gathered(tap, each))) == list(range(start, start + each))
        assert tap.lost() == 0
    finally:
        tap.close()


def test_what_finds_no_room_is_told(ends: tuple[str, str]) -> None:
    near, far = ends
    tap = Tap(near)
    sent = 2 * BLOCK_BYTES * BLOCKS // 1500
    try:
        with sender(far) as sending:
            for number in range(sent):
                sending.send(frame(number, 1500))
        lost = tap.lost()
        assert 0 < lost < sent
        # What the kernel says on its own at such interfaces may be among the lost, too.
        found = list(map(number_of, gathered(tap, sent - lost)))
        assert found == list(range(len(found))) and sent - lost <= len(found) < sent
        assert tap.lost() == 0
    finally:
        tap.close()


def test_both_directions_or_what_comes_in_only(ends: tuple[str, str]) -> None:
    near, far = ends
    taps = [Tap(near, both=True), Tap(near), Tap(far, sent_by=near)]
    try:
        with sender(near) as one, sender(far) as other:
            one.send(frame(1))
            other.send(frame(2))
        both, incoming, sent = (gathered(tap, count) for tap, count in zip(taps, (2, 1, 1), strict=True))
        assert [(number_of(one), one.outgoing) for one in both] == [(1, True), (2, False)]
        assert [(number_of(one), one.outgoing) for one in incoming] == [(2, False)]
        assert [(number_of(one), one.interface, one.outgoing) for one in sent] == [(1, near, True)]
    finally:
        for tap in taps:
            tap.close()


def test_several_together_are_in_the_order_of_time(ends: tuple[str, str]) -> None:
    near, far = ends
    taps = [Tap(near), Tap(far)]
    try:
        with sender(near) as one, sender(far) as other:
            for number in range(50):
                (one, other)[number % 2].send(frame(number))
            found: list[int] = []
            end = time.monotonic() + DEADLINE_S
            for frames in batches(taps, 0):
                found += [number_of(one) for one in frames if one.data[12:14] == ETHER_TYPE.to_bytes(2, "big")]
                assert time.monotonic() < end
                if len(found) == 50:
                    break
        assert found == list(range(50))
    finally:
        for tap in taps:
            tap.close()


def test_an_interface_that_is_not_there_and_one_that_goes(ends: tuple[str, str]) -> None:
    near, _ = ends
    with pytest.raises(LabError, match="cannot capture on nowhere0: No such device"):
        Tap("nowhere0")
    tap = Tap(near)
    try:
        subprocess.run(["ip", "link", "set", near, "down"], check=True)
        with pytest.raises(LabError, match="capturing ended: Network is down"):
            gathered(tap, 1)
    finally:
        tap.close()
