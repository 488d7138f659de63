"""What is lost because somebody reads too slowly is told in the switch's log."""

from __future__ import annotations

import pytest
from finsy.proto import p4r

from p4switch.p4runtime.device import MAX_QUEUED, Device, Stream
from tests.p4switch.conftest import StepPlane


class Leaky(StepPlane):
    """A data plane that says that so many events found its queue full."""

    lost_events = 0

    def lost(self) -> int:
        return self.lost_events


@pytest.fixture
def log() -> list[str]:
    return []


async def test_events_that_found_the_queue_full_are_told_once(log: list[str]) -> None:
    plane = Leaky()
    device = Device(1, plane, None, log.append)
    device.on_events()
    assert log == []
    plane.lost_events = 3
    device.on_events()
    device.on_events()
    plane.lost_events = 5
    device.on_events()
    told = "packet-ins, digests or log lines were lost: more waited than are kept"
    assert log == [f"3 {told}", f"2 {told}"]


async def test_notifications_that_a_client_did_not_read_are_told_when_it_leaves(log: list[str]) -> None:
    device = Device(1, StepPlane(), None, log.append)
    slow, quick = Stream(), Stream()
    for stream, sent in ((slow, MAX_QUEUED + 2), (quick, MAX_QUEUED)):
        device.receive(stream, p4r.StreamMessageRequest(arbitration=p4r.MasterArbitrationUpdate(device_id=1)))
        await stream.next()
        for _ in range(sent):
            stream.send(p4r.StreamMessageResponse())
    device.leave(quick)
    assert not [line for line in log if "dropped" in line]
    device.leave(slow)
    assert log[-1] == "a client that left had read too slowly: 2 notifications were dropped"
