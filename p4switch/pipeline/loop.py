"""The packet loop: a pipeline between network interfaces, in one C thread without Python in the path.

What Python gets to see (frames for the CPU port, digests, log messages) waits in a bounded queue; `events_fd` is
readable while something is there.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from p4switch.pipeline.entities import Output
from p4switch.pipeline.native import build_loop
from p4switch.pipeline.pipeline import Pipeline

_START_NS = time.monotonic_ns()

_P, _U32, _U64, _I64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int64
_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "loop_new": (_P, (_I64, _U64, _U64)),
    "loop_add_port": (ctypes.c_int, (_P, _U32, ctypes.c_char_p, ctypes.c_char_p)),
    "loop_use": (None, (_P, _P, _P, _P, _P, _P)),
    "loop_start": (ctypes.c_int, (_P,)),
    "loop_stop": (None, (_P,)),
    "loop_free": (None, (_P,)),
    "loop_events_fd": (ctypes.c_int, (_P,)),
    "loop_inject": (ctypes.c_bool, (_P, _U32, ctypes.c_char_p, _U32)),
    "loop_drain": (_P, (_P, _P)),
    "loop_drain_traces": (_P, (_P, _P)),
    "loop_free_block": (None, (_P,)),
    "loop_port_numbers": (None, (_P, _U32, _P)),
    "loop_lost_events": (_U64, (_P,)),
}


def now_us() -> int:
    """Microseconds since the process began to use the switch: the time that packets see."""
    return (time.monotonic_ns() - _START_NS) // 1000


@dataclass(frozen=True)
class PortNumbers:
    """Counts of one port since the loop was made; drops are frames that were too long, or that it did not take.
    ``tx_too_long`` of them were longer than the interface's MTU allows."""

    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    rx_drops: int
    tx_drops: int
    tx_too_long: int


class Loop:
    """Packets between `ports` (port number to interface name) through `pipeline`, from `start` to `stop`."""

    def __init__(
        self,
        pipeline: Pipeline,
        ports: Mapping[int, str],
        cpu_port: int | None,
        pcap_dir: str | Path | None = None,
        *,
        seed: int | None = None,
        cache: Path | None = None,
    ) -> None:
        """Opens the sockets; nothing is received before `start`.

        `pcap_dir`: write IFACE_in.pcap and IFACE_out.pcap there. `seed`: of the randomness that packets get.
        Raises OSError that names the interface at fault.
        """
        self._library = ctypes.CDLL(str(build_loop(cache)))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._lock = threading.Lock()
        self._left_over: list[Output] = []
        self.ports = dict(ports)
        self.cpu_port = cpu_port
        seed = secrets.randbits(64) if seed is None else seed
        self._loop = self._library.loop_new(-1 if cpu_port is None else cpu_port, _START_NS, seed)
        if not self._loop:
            raise OSError("no memory or file descriptors for the packet loop")
        if pcap_dir is not None:
            Path(pcap_dir).mkdir(parents=True, exist_ok=True)
        for number, interface in self.ports.items():
            folder = None if pcap_dir is None else os.fsencode(pcap_dir)
            error = self._library.loop_add_port(self._loop, number, os.fsencode(interface), folder)
            if error:
                self._library.loop_free(self._loop)
                self._loop = 0
                raise OSError(error, f"port {number}: {os.strerror(error)}", interface)
        self.events_fd: int = self._library.loop_events_fd(self._loop)
        self.pipeline = pipeline
        self._use(pipeline)

    def _use(self, pipeline: Pipeline, library: ctypes.CDLL | None = None) -> None:
        functions = [
            ctypes.cast(getattr(library or pipeline.native.library, name), ctypes.c_void_p)
            for name in ("p4_step", "p4_batch_begin", "p4_batch_end", "p4_look_ahead")
        ]
        self._library.loop_use(self._loop, pipeline.native.switch, *functions)
        self.pipeline = pipeline

    @staticmethod
    def now_us() -> int:
        """The time that packets see now."""
        return now_us()

    def start(self) -> None:
        error = self._library.loop_start(self._loop)
        if error:
            raise OSError(error, f"the packet loop's thread: {os.strerror(error)}")

    def stop(self) -> None:
        """Stop and close the sockets; the pipeline stays. A loop does not start again."""
        with self._lock:
            if self._loop:
                self._left_over.append(self._drain())
                self._library.loop_free(self._loop)
                self._loop = 0

    def __enter__(self) -> Loop:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def inject(self, port: int, frame: bytes) -> bool:
        """Let a frame come in on `port` (a packet-out: on the CPU port). False: too many wait already; it is lost."""
        with self._lock:
            return bool(self._loop) and bool(self._library.loop_inject(self._loop, port, frame, len(frame)))

    def replace(self, pipeline: Pipeline) -> None:
        """Go on with another program from the next batch on. The old pipeline is the caller's to close."""
        with self._lock:
            if self._loop:
                old = self.pipeline
                self._use(pipeline)
                self._left_over.append(self._drain(old))

    def trace(self, library: ctypes.CDLL | None) -> None:
        """From the next batch on let this build of the same program, which traces, carry the packets through the
        pipeline's state; None: the pipeline's own again."""
        with self._lock:
            if self._loop:
                self._use(self.pipeline, library)

    def drain_traces(self) -> bytes:
        """The trace events that wait, whole packets (see runtime/p4_trace.h)."""
        with self._lock:
            return self._take(self._library.loop_drain_traces) if self._loop else b""

    def _take(self, drain: Callable[..., int | None]) -> bytes:
        size = ctypes.c_size_t()
        block = drain(self._loop, ctypes.byref(size))
        records = ctypes.string_at(block, size.value) if block and size.value else b""
        self._library.loop_free_block(block)
        return records

    def _drain(self, pipeline: Pipeline | None = None) -> Output:
        return (pipeline or self.pipeline).decode(self._take(self._library.loop_drain))

    def drain(self) -> Output:
        """All that waits: `packets` are (CPU port, frame with its packet_in header), `digests`, `log`."""
        with self._lock:
            parts, self._left_over = self._left_over, []
            if self._loop:
                parts.append(self._drain())
        return Output(
            tuple(p for part in parts for p in part.packets),
            tuple(d for part in parts for d in part.digests),
            tuple(line for part in parts for line in part.log),
        )

    def port_numbers(self) -> dict[int, PortNumbers]:
        out = {}
        with self._lock:
            for index in range(len(self.ports) if self._loop else 0):
                numbers = (ctypes.c_uint64 * 8)()
                self._library.loop_port_numbers(self._loop, index, numbers)
                number, *values = numbers
                out[int(number)] = PortNumbers(*values)
        return out

    def lost_events(self) -> int:
        """Packet-ins, digests and log records that found the queue full."""
        with self._lock:
            return int(self._library.loop_lost_events(self._loop)) if self._loop else 0
