"""Packets of the lab in a file for Wireshark, with interfaces' names and the kernel's times; and a dissector."""

from __future__ import annotations

import selectors
import shutil
import socket
import struct
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from scapy.utils import RawPcapNgWriter

from topo import paths
from topo.errors import LabError
from topo.lab import namespace
from topo.lab.program import write_dissector
from topo.lab.running_lab import Live
from topo.root import check_root
from topo.views.capture import PACKET_OUTGOING, SNAPSHOT_BYTES, Capture, check_interface

ALL = "all"
SO_TIMESTAMPNS = 35
SOL_PACKET, PACKET_STATISTICS = 263, 6
_TIMESPEC = struct.Struct("qq")
_STATISTICS = struct.Struct("II")
_ETHERNET = 1
_INBOUND, _OUTBOUND = 1, 2
"""Link type and directions of pcapng (draft-ietf-opsawg-pcapng, sections 4.2 and 4.3)."""

_HOLD_S = 0.1
"""What one interface tells waits so long for what the others have to tell of the time before."""
_AT_ONCE = 500
"""Packets of one interface that are read before the others have their turn."""


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

    def lost(self) -> int:
        """How many frames have found no room since the last time."""
        told = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(told)[1])


class PcapngFile:
    """Frames of several interfaces, by Scapy's writer of pcapng files; times are there to the microsecond."""

    def __init__(self, path: Path) -> None:
        try:
            self._writer = RawPcapNgWriter(str(path))
        except OSError as error:
            raise LabError(f"cannot write {path}: {error.strerror}") from error
        self._path = path
        self._writer.linktype = _ETHERNET
        self._writer.write_header(None)
        paths.give(path)

    def add(self, frames: Iterable[Frame]) -> None:
        try:
            for one in frames:
                self._writer.write_packet(_Written(one))
            self._writer.flush()
        except OSError as error:
            raise LabError(f"cannot write {self._path}: {error.strerror}") from error

    def close(self) -> None:
        self._writer.close()


class _Written(bytes):
    """A frame as Scapy's writer wants it: bytes with a time in seconds, an interface and a direction."""

    def __new__(cls, frame: Frame) -> _Written:
        made = super().__new__(cls, frame.data)
        made.time = frame.time_ns / 1e9
        made.sniffed_on = frame.interface
        made.direction = _OUTBOUND if frame.outgoing else _INBOUND
        return made

    time: float
    sniffed_on: str
    direction: int


def record(on: str, file: Path, count: int, seconds: float, wireshark: bool) -> None:
    """Write what passes an interface, or all ports of switches, until ``count`` packets, ``seconds``, or Ctrl-C."""
    check_root("capturing")
    live = Live.find()
    with ExitStack() as stack:
        taps = []
        for tap in _taps(live, on):
            stack.callback(tap.close)
            taps.append(tap)
        out = PcapngFile(file)
        stack.callback(out.close)
        print(f"Capturing on {on} into {paths.shown(file.absolute())}; Ctrl-C ends it", file=sys.stderr)
        written = 0
        try:
            for frames in _batches(taps, seconds):
                chosen = frames[: count - written] if count else frames
                out.add(chosen)
                written += len(chosen)
                if count and written >= count:
                    break
        except KeyboardInterrupt:
            pass
        lost = sum(tap.lost() for tap in taps)
    print(f"{written} packets" + (f"; {lost} more came too fast and are missing" if lost else ""))
    if wireshark:
        _open(file, live.topology.port)


def _taps(live: Live, on: str) -> Iterator[Tap]:
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
    edges = {host.switch_interface for host in topology.hosts}
    for switch in topology.switches:
        for name in topology.ports(switch.name).values():
            yield Tap(name, both=name in edges)


def _batches(taps: Sequence[Tap], seconds: float) -> Iterator[list[Frame]]:
    """What comes, in the order of time, until Ctrl-C."""
    deadline = time.monotonic() + seconds if seconds else None
    held: list[Frame] = []
    with selectors.DefaultSelector() as selector:
        for tap in taps:
            selector.register(tap, selectors.EVENT_READ, tap)
        try:
            while deadline is None or time.monotonic() < deadline:
                now = time.time_ns()
                held += [one for key, _ in selector.select(_HOLD_S) for one in key.data.waiting()]
                held.sort(key=lambda one: one.time_ns)
                ripe = bisect_right(held, now - int(_HOLD_S * 1e9), key=lambda one: one.time_ns)
                yield held[:ripe]
                held = held[ripe:]
        except KeyboardInterrupt:
            pass
    yield held


def _open(file: Path, raft_port: int) -> None:
    """The dissector beside the file, and Wireshark, as the user who called sudo, if it is there."""
    script = file.with_suffix(".lua")
    write_dissector(script, raft_port)
    words = ["-X", f"lua_script:{script}", "-r", str(file)]
    found = shutil.which("wireshark")
    if found is None:
        print(f"There is no wireshark on the PATH. With tshark: tshark {' '.join(words)}")
        return
    owner = paths.invoker()
    user, group = owner if owner is not None else (None, None)
    try:
        subprocess.Popen(
            [found, *words],
            start_new_session=True,
            user=user,
            group=group,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise LabError(f"{found} does not start: {error.strerror}") from error
    print(f"Wireshark opens {paths.shown(file.absolute())} with {paths.shown(script.absolute())}")
