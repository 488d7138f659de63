"""Which links work, from probes alone."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from controller.links import DOWN_AFTER, LinkMonitor, Probe, State
from controller.network import parse
from tests.controller.triangle import triangle

TRIANGLE = parse(triangle())
S12, S13, S23 = TRIANGLE.links
PEERS = {end: other for link in TRIANGLE.links for end, other in (link.ends, link.ends[::-1])}
ALL = ("s1", "s2", "s3")


def _round(monitor: LinkMonitor, lost: Collection[tuple[str, int]] = (), ready: Collection[str] = ALL) -> None:
    """One period: every probe arrives but those that leave by a lost end."""
    monitor.check()
    for switch, probe in monitor.due(ready):
        if (switch, probe.port) not in lost:
            monitor.heard(*PEERS[switch, probe.port], probe)


@given(st.integers(0, 65535), st.integers(0, 509), st.integers(0, 2**32 - 1))
def test_a_probe_survives_its_frame(device: int, port: int, sequence: int) -> None:
    frame = Probe(device, port, sequence).pack()
    assert len(frame) == 60
    assert frame[12:14] == b"\x88\xb5"
    assert Probe.unpack(frame) == Probe(device, port, sequence)
    assert Probe.unpack(frame[:20]) is None
    assert Probe.unpack(b"\x08\x00" * 30) is None


def test_links_are_assumed_up_until_probes_speak() -> None:
    monitor = LinkMonitor(TRIANGLE)
    assert monitor.usable() == set(TRIANGLE.links)
    assert not monitor.settled(ALL)
    _round(monitor)
    assert monitor.settled(ALL)
    assert monitor.state(S12) is State.UP


def test_down_after_some_missed_up_after_two_heard() -> None:
    monitor = LinkMonitor(TRIANGLE)
    _round(monitor)
    for _ in range(DOWN_AFTER):
        _round(monitor, lost=[("s1", 3)])
        assert monitor.state(S12) is State.UP
    _round(monitor, lost=[("s1", 3)])
    assert monitor.usable() == {S13, S23}
    _round(monitor)
    assert monitor.state(S12) is State.DOWN
    _round(monitor)
    assert monitor.usable() == set(TRIANGLE.links)


def test_single_losses_take_no_link_down() -> None:
    monitor = LinkMonitor(TRIANGLE)
    for i in range(60):
        _round(monitor, lost=[("s1", 3)] if i % DOWN_AFTER else [])
        assert monitor.usable() == set(TRIANGLE.links)


def test_every_second_probe_brings_no_link_up() -> None:
    monitor = LinkMonitor(TRIANGLE)
    for _ in range(2 * DOWN_AFTER):
        _round(monitor, lost=[("s2", 3)])
    for i in range(20):
        _round(monitor, lost=[("s2", 3)] if i % 2 else [])
        assert monitor.state(S12) is State.DOWN


def test_a_slow_controller_condemns_nothing() -> None:
    monitor = LinkMonitor(TRIANGLE)
    _round(monitor)
    for _ in range(50):
        monitor.check()
    assert monitor.usable() == set(TRIANGLE.links)


def test_only_links_between_ready_switches_are_probed() -> None:
    monitor = LinkMonitor(TRIANGLE)
    for _ in range(20):
        _round(monitor, ready=("s1", "s2"))
    assert monitor.state(S12) is State.UP
    assert monitor.state(S13) is State.ASSUMED
    assert monitor.settled(("s1", "s2"))
    assert not monitor.settled(ALL)


def test_a_switch_that_went_and_came_is_not_blamed() -> None:
    monitor = LinkMonitor(TRIANGLE)
    _round(monitor)
    lost = [("s1", 3), ("s2", 3)]
    for _ in range(DOWN_AFTER - 1):
        _round(monitor, lost=lost)
    monitor.restart("s2")
    assert monitor.state(S12) is State.ASSUMED
    _round(monitor, lost=lost)
    _round(monitor)
    assert monitor.state(S12) is State.UP
    for _ in range(DOWN_AFTER + 1):
        _round(monitor, lost=lost)
    monitor.restart("s2")
    assert monitor.state(S12) is State.DOWN
    assert monitor.state(S23) is State.ASSUMED


def test_probes_from_elsewhere_are_nothing() -> None:
    monitor = LinkMonitor(TRIANGLE)
    monitor.due(ALL)
    monitor.heard("s3", 2, Probe(1, 3, 1))  # came out at the wrong switch
    monitor.heard("s2", 3, Probe(9, 3, 1))  # an unknown device
    monitor.heard("s2", 3, Probe(1, 3, 77))  # an earlier controller's
    monitor.heard("s2", 3, Probe(1, 3, 0))
    assert monitor.state(S12) is State.ASSUMED
    monitor.heard("s2", 3, Probe(1, 3, 1))
    monitor.heard("s1", 3, Probe(2, 3, 1))
    assert monitor.state(S12) is State.UP
