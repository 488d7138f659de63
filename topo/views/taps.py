"""Interfaces of the lab that are listened to together: frames in the order of time, with the kernel's times."""

from __future__ import annotations

import ctypes
import os
import selectors
import socket
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from topo.errors import LabError
from topo.lab import namespace
from topo.lab.process import Process
from topo.lab.running_lab import Live
from topo.topology import Topology
from topo.views.capture import ETH_P_ALL, PACKET_OUTGOING, check_interface
from topo.views.ring import SOL_PACKET, Ring

ALL = "all"
SO_ATTACH_FILTER = 26
PACKET_IGNORE_OUTGOING = 23
_INSTRUCTION = struct.Struct("HBBI")
Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: classic BPF (bpf(4), linux/filter.h)."""

_HOLD_S = 0.1
"""What one interface tells waits so long for what the others have to tell of the time before."""
_TOGETHER_S = 0.05
"""What comes so soon after one another is read together: to be woken by each packet costs more than the packet."""


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


class Tap:
    """An interface of this thread's namespace that is listened to; without ``both``, only to what comes in."""

    def __init__(self, interface: str, *, both: bool = False, sent_by: str = "") -> None:
        """``sent_by``: the interface at the other end, which is told to have sent what comes in. Raises LabError."""
        self.interface = sent_by or interface
        self._both = both
        self._is_sent = bool(sent_by)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            if not both:
                # The kernel makes a copy of what goes out before it asks the filter, on the sender's time.
                self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._ring = Ring(self._socket)
            self._socket.bind((interface, ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            raise LabError(f"cannot capture on {interface}: {error.strerror}") from error

    def close(self) -> None:
        self._ring.close()
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def waiting(self) -> Iterator[Frame]:
        """What waits. Raises LabError if the interface is gone."""
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise LabError(f"capturing ended: {os.strerror(error)}")
        for one in self._ring.frames():
            outgoing = one.kind == PACKET_OUTGOING
            if self._both or not outgoing:
                yield Frame(one.time_ns, self.interface, outgoing or self._is_sent, one.data)

    def filter(self, instructions: Sequence[Instruction]) -> None:
        """Listen from now on only to what a program of classic BPF lets through. Raises LabError."""
        try:
            filter_of(self._socket, instructions)
        except OSError as error:
            raise LabError(f"cannot filter packets on {self.interface}: {error.strerror}") from error

    def lost(self) -> int:
        """How many frames have found no room since the last time."""
        return self._ring.lost()


def taps_on(live: Live, on: str) -> Iterator[Tap]:
    """Of one interface, or of all ports together."""
    topology = live.topology
    if on != ALL:
        check_interface(on, topology)
        owner = on.partition("-")[0]
        if owner in live.record.hosts:
            namespace.enter(live.holder(owner))
        yield Tap(on, both=True)
        return
    yield from taps_at_ports(topology, live.record.hosts)


def taps_at_ports(topology: Topology, holders: Mapping[str, Process]) -> Iterator[Tap]:
    """Taps at all ports of switches, for one who is in the root namespace. Each tells what comes in, so that a frame
    is there once for each link; and so do the hosts' interfaces, for what is sent to them: a copy of what leaves by a
    port would be made on the switch's time. ``holders``: of the hosts' namespaces."""
    for switch in topology.switches:
        for name in topology.ports(switch.name).values():
            yield Tap(name)
    for host in topology.hosts:
        if host.name not in holders:
            raise LabError(f"the lab has no {host.name}: it is starting, or ends")
        tap = partial(Tap, host.interface, sent_by=host.switch_interface)
        yield namespace.on_host(holders[host.name], tap)


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
