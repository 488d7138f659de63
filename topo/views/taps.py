"""Interfaces of the lab that are listened to together: frames in the order of time, with the kernel's times."""

from __future__ import annotations

import ctypes
import selectors
import socket
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from topo.errors import LabError
from topo.lab import namespace
from topo.lab.running_lab import Live
from topo.topology import Topology
from topo.views.capture import PACKET_OUTGOING, SNAPSHOT_BYTES, Capture, check_interface

ALL = "all"
SO_ATTACH_FILTER, SO_TIMESTAMPNS = 26, 35
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
_TIMESPEC = struct.Struct("qq")
_STATISTICS = struct.Struct("II")
_INSTRUCTION = struct.Struct("HBBI")
Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: classic BPF (bpf(4), linux/filter.h)."""

_HOLD_S = 0.1
"""What one interface tells waits so long for what the others have to tell of the time before."""
_TOGETHER_S = 0.05
"""What comes so soon after one another is read together: to be woken by each packet costs more than the packet."""
_AT_ONCE = 500
"""Packets of one interface that are read before the others have their turn."""


def filter_of(listening: socket.socket, instructions: Sequence[Instruction]) -> None:
    """Have the kernel give a socket only what a program of classic BPF lets through. Raises OSError."""
    packed = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in instructions))
    program = struct.pack("HL", len(instructions), ctypes.addressof(packed))
    listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


@dataclass(frozen=True)
class Frame:
    """A frame at an interface. ``outgoing``: the interface's own side sent it."""

    time_ns: int
    interface: str
    outgoing: bool
    data: bytes


class Tap(Capture):
    """An interface that is listened to; without ``both``, only to what comes in."""

    def __init__(self, interface: str, both: bool) -> None:
        super().__init__(interface)
        self.interface = interface
        self.both = both
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if not both:
            # The kernel makes a copy of what goes out before it asks the filter, on the sender's time.
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def waiting(self) -> Iterator[Frame]:
        """What waits, but not too much of it."""
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, address = self._socket.recvmsg(SNAPSHOT_BYTES, socket.CMSG_SPACE(_TIMESPEC.size))
            except BlockingIOError:
                return
            except OSError as error:
                raise LabError(f"capturing ended: {error.strerror}") from error
            outgoing = address[2] == PACKET_OUTGOING
            if outgoing and not self.both:
                continue
            times = [_TIMESPEC.unpack(given) for _, kind, given in ancillary if kind == SO_TIMESTAMPNS]
            seconds, nanoseconds = times[0] if times else divmod(time.time_ns(), 10**9)
            yield Frame(seconds * 10**9 + nanoseconds, self.interface, outgoing, data)

    def filter(self, instructions: Sequence[Instruction]) -> None:
        """Listen from now on only to what a program of classic BPF lets through. Raises LabError."""
        try:
            filter_of(self._socket, instructions)
        except OSError as error:
            raise LabError(f"cannot filter packets on {self.interface}: {error.strerror}") from error

    def lost(self) -> int:
        """How many frames have found no room since the last time."""
        told = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(told)[1])


def taps_on(live: Live, on: str) -> Iterator[Tap]:
    """Of all ports together each tells what comes in, so that a frame is there once for each link; those where hosts
    hang tell what they send as well."""
    topology = live.topology
    if on != ALL:
        check_interface(on, topology)
        owner = on.partition("-")[0]
        if owner in live.record.hosts:
            namespace.enter(live.holder(owner))
        yield Tap(on, both=True)
        return
    yield from taps_at_ports(topology)


def taps_at_ports(topology: Topology) -> Iterator[Tap]:
    """Taps at all ports of switches, for one who is in the root namespace."""
    edges = {host.switch_interface for host in topology.hosts}
    for switch in topology.switches:
        for name in topology.ports(switch.name).values():
            yield Tap(name, both=name in edges)


def batches(taps: Sequence[Tap], seconds: float) -> Iterator[list[Frame]]:
    """What comes, in the order of time, until Ctrl-C."""
    deadline = time.monotonic() + seconds if seconds else None
    held: list[Frame] = []
    with selectors.DefaultSelector() as selector:
        for tap in taps:
            selector.register(tap, selectors.EVENT_READ, tap)
        try:
            while deadline is None or time.monotonic() < deadline:
                now = time.time_ns()
                if selector.select(_HOLD_S):
                    time.sleep(_TOGETHER_S)
                held += [one for key, _ in selector.select(0) for one in key.data.waiting()]
                held.sort(key=lambda one: one.time_ns)
                ripe = bisect_right(held, now - int(_HOLD_S * 1e9), key=lambda one: one.time_ns)
                yield held[:ripe]
                held = held[ripe:]
        except KeyboardInterrupt:
            pass
    yield held
