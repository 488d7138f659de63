"""The running switch: ports, packet loop, P4Runtime server, signals."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from p4switch.errors import PipelineError
from p4switch.options import WHY_IGNORED, Options
from p4switch.p4runtime.device import Device
from p4switch.p4runtime.server import ListenError, start_server
from p4switch.p4runtime.watching import Watching
from p4switch.pipeline.entities import Output
from p4switch.pipeline.native import build_ahead
from p4switch.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from p4switch.pipeline.loop import Loop


WATCH_S = 1.0
"""How often ports are looked at for frames that they cannot carry."""


class StartError(Exception):
    """The switch cannot run; the text says what to do about it."""


class PacketPlane:
    """The packet loop over the interfaces. It begins with the first pipeline; until then packets are left lying."""

    def __init__(self, options: Options, on_events: Callable[[], None]) -> None:
        self._options = options
        self._on_events = on_events
        self._loop: Loop | None = None

    def prepare(self) -> None:
        """Build the packet loop's library, unless it is there."""
        from p4switch.pipeline.native import build_loop

        build_loop(self._options.cache)

    def commit(self, pipeline: Pipeline) -> None:
        """Run this pipeline from the next packet on."""
        if self._loop is None:
            from p4switch.pipeline.loop import Loop

            options = self._options
            loop = Loop(pipeline, options.ports, options.cpu_port, options.pcap, cache=options.cache)
            loop.start()
            self._loop = loop
            asyncio.get_running_loop().add_reader(loop.events_fd, self._on_events)
        else:
            self._loop.replace(pipeline)

    def inject(self, frame: bytes) -> None:
        """Let a frame enter at the CPU port; without one it goes nowhere, as in BMv2."""
        if self._loop is not None and self._options.cpu_port is not None:
            self._loop.inject(self._options.cpu_port, frame)

    def drain(self) -> Output:
        """Frames that left at the CPU port and digests, since the last call."""
        return self._loop.drain() if self._loop is not None else Output()

    def lost(self) -> int:
        """Packet-ins, digests and log lines that found the queue full, since the switch started."""
        return self._loop.lost_events() if self._loop is not None else 0

    def too_long(self) -> dict[int, int]:
        """Frames that ports have dropped because their interface's MTU does not allow them; ports without are left
        out."""
        numbers = self._loop.port_numbers() if self._loop is not None else {}
        return {port: one.tx_too_long for port, one in numbers.items() if one.tx_too_long}

    def trace(self, pipeline: Pipeline, library: ctypes.CDLL | None) -> bool:
        """Let a traced build carry the packets (see `Loop.trace`); None ends it. False: another one runs."""
        if self._loop is None or self._loop.pipeline is not pipeline:
            return False
        self._loop.trace(library)
        return True

    def drain_traces(self) -> bytes:
        return self._loop.drain_traces() if self._loop is not None else b""

    def now_us(self) -> int:
        """The time that packets see."""
        from p4switch.pipeline.loop import now_us

        return now_us()

    def stop(self) -> None:
        """End the loop and close its sockets."""
        if self._loop is not None:
            asyncio.get_running_loop().remove_reader(self._loop.events_fd)
            self._loop.stop()
            self._loop = None


def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        StartError: before any packet was touched.
    """
    check_ports(options)
    log = _log(options)
    for flag in options.ignored:
        why = f": {WHY_IGNORED[flag]}" if flag in WHY_IGNORED else ""
        print(f"p4switch: note: {flag} does nothing here{why}", file=sys.stderr)
    asyncio.run(_serve(options, log))


def check_ports(options: Options) -> None:
    """See that the interfaces are there and may be used.

    Raises:
        StartError: which one is not, or that root is needed.
    """
    for port, name in options.ports.items():
        try:
            socket.if_nametoindex(name)
        except OSError:
            raise StartError(f"there is no interface {name} (port {port}): see `ip link`") from None
    if options.ports:
        try:
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
        except PermissionError:
            raise StartError("packet sockets need root: start this with sudo") from None


async def _serve(options: Options, log: Callable[[str], None]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    ahead = asyncio.create_task(asyncio.to_thread(_build_ahead, options.cache))
    plane = PacketPlane(options, lambda: device.on_events())
    device = Device(options.device_id, plane, options.cache, log)
    try:
        if options.program is not None:
            await _start_program(plane, options.program, options.cache)
        try:
            watching = Watching(device, plane, options.cache).handler()
            server, port = await start_server(device, options.address, options.tls, [watching])
        except ListenError as error:
            raise StartError(str(error)) from None
        sweep = asyncio.create_task(device.sweep())
        watch = asyncio.create_task(_tell_of_long_frames(plane, options))
        _announce(options, port)
        await stopped.wait()
        sweep.cancel()
        watch.cancel()
        ahead.cancel()
        device.ending.set()
        await server.stop(grace=0.2)
    finally:
        plane.stop()
        device.close()


async def _tell_of_long_frames(plane: PacketPlane, options: Options) -> None:
    """Once for each port: who sends such frames waits for answers in vain, and nothing else says why."""
    told: set[int] = set()
    while True:
        for port in plane.too_long().keys() - told:
            told.add(port)
            name = options.ports[port]
            print(f"p4switch: note: port {port} drops frames too long for the MTU of {name}", file=sys.stderr)
        await asyncio.sleep(WATCH_S)


def _build_ahead(cache: Path | None) -> None:
    """While nobody has pushed a program yet. What fails here fails again, and is told, where it is needed."""
    with suppress(PipelineError, OSError):
        build_ahead(cache)


async def _start_program(plane: PacketPlane, program: Path, cache: Path | None) -> None:
    """Run a program from the command line; P4Runtime clients push theirs, with its P4Info, over it."""
    try:
        pipeline = await asyncio.to_thread(Pipeline.load, program, cache=cache)
        await asyncio.to_thread(plane.prepare)
        plane.commit(pipeline)
    except PipelineError as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"cannot run {program}: {error.strerror or error}") from None


def _announce(options: Options, port: int) -> None:
    host = options.address.rpartition(":")[0]
    ports = " ".join(f"{number}@{name}" for number, name in sorted(options.ports.items()))
    what = options.program or "no program yet"
    print(f"p4switch ready: device {options.device_id}, P4Runtime on {host}:{port}, ports {ports or 'none'}, {what}")
    sys.stdout.flush()


def _log(options: Options) -> Callable[[str], None]:
    """Where events go: nowhere unless a flag asks for it, as in BMv2."""
    if options.log_level in ("off", "error") or not (options.log_console or options.log_file):
        return lambda text: None
    stream: TextIO = sys.stdout
    if options.log_file is not None:
        try:
            stream = options.log_file.open("a", buffering=1, encoding="utf-8")
        except OSError as error:
            raise StartError(f"cannot write {options.log_file}: {error.strerror}") from None

    def write(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=stream, flush=True)

    return write
