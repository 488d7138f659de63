"""Packets of the lab in a file for Wireshark, with interfaces' names and the kernel's times; and a dissector."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from scapy.utils import RawPcapNgWriter

from topo import paths
from topo.errors import LabError
from topo.lab.program import write_dissector
from topo.lab.running_lab import Live
from topo.root import check_root
from topo.views.taps import Frame, batches, taps_on

_ETHERNET = 1
_INBOUND, _OUTBOUND = 1, 2
"""Link type and directions of pcapng (draft-ietf-opsawg-pcapng, sections 4.2 and 4.3)."""


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
        for tap in taps_on(live, on):
            stack.callback(tap.close)
            taps.append(tap)
        out = PcapngFile(file)
        stack.callback(out.close)
        print(f"Capturing on {on} into {paths.shown(file.absolute())}; Ctrl-C ends it", file=sys.stderr)
        written = 0
        try:
            for frames in batches(taps, seconds):
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
