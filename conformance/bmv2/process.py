"""The real simple_switch_grpc as a process: programmed over P4Runtime, packets over its data-plane gRPC service.

That service (``--dp-grpc-server-addr``) carries frames with their port and an id of the sender's choice, which comes
back on every frame that the packet led to. So a frame's outcome is known without interfaces, root or waiting: when
the sender closes its half of the stream, the switch ends the other half once it holds no packet any more.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from topo.errors import LabError
from topo.lab.process import last_words
from topo.lab.switches import thrift_words

READY_S = 60.0
Frame = tuple[int, bytes]
"""Port and bytes."""


class ReferenceError(Exception):
    """The reference tools are missing or refused; the text says what to do."""


def _packet_class() -> Any:
    """The message of the data-plane service: id, device_id, port, packet."""
    file = descriptor_pb2.FileDescriptorProto(name="switchraft/dataplane.proto", package="dataplane", syntax="proto3")
    message = file.message_type.add(name="Packet")
    kinds = descriptor_pb2.FieldDescriptorProto
    fields = (
        ("id", kinds.TYPE_UINT64),
        ("device_id", kinds.TYPE_UINT64),
        ("port", kinds.TYPE_UINT32),
        ("packet", kinds.TYPE_BYTES),
    )
    for number, (name, kind) in enumerate(fields, 1):
        message.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("dataplane.Packet"))


PacketMessage = _packet_class()


def tool(name: str, folder: Path | None) -> Path:
    """simple_switch_grpc or p4c-bm2-ss, in `folder` or on the PATH. Raises ReferenceError."""
    found = shutil.which(name, path=str(folder) if folder else None)
    if found is None:
        where = f"in {folder}" if folder else "on the PATH"
        raise ReferenceError(f"{name} is not {where}: install p4c and BMv2, or name their folder with --bmv2 DIR")
    return Path(found)


def compile_with_p4c(
    program: Path, folder: Path, tools: Path | None, options: Sequence[str] = ()
) -> tuple[Path, Path]:
    """(JSON, P4Info) of p4c-bm2-ss. Raises ReferenceError with its first error."""
    json, info = folder / f"{program.stem}.json", folder / f"{program.stem}.p4info.txtpb"
    command = [str(tool("p4c-bm2-ss", tools)), "--emit-externs", "--p4runtime-files", str(info), "-o", str(json)]
    done = subprocess.run([*command, *options, str(program)], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or [f"exit code {done.returncode}"]
        raise ReferenceError(f"p4c refuses {program}: {lines[0]}")
    return json, info


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bmv2:
    """One running process, without a program yet. Its P4Runtime server listens on `address`."""

    def __init__(self, tools: Path | None = None, log: Path | None = None) -> None:
        self.address, data = (f"127.0.0.1:{free_port()}" for _ in range(2))
        program = str(tool("simple_switch_grpc", tools))
        command = [program, "--no-p4", "--device-id", "1"]
        try:
            command += thrift_words(program, free_port())
        except LabError as error:
            raise ReferenceError(str(error)) from error
        if log is not None:
            command += ["--log-file", str(log), "--log-flush", "--log-level", "trace"]
        command += ["--", "--grpc-server-addr", self.address, "--dp-grpc-server-addr", data]
        self._folder = tempfile.TemporaryDirectory(prefix="bmv2-")
        self._printed = Path(self._folder.name) / "printed"
        with self._printed.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._next = 0
        self._channel = grpc.insecure_channel(data)
        for channel in (self._channel, grpc.insecure_channel(self.address)):
            if not self._serves(channel):
                how = self._ending()
                self.close()
                raise ReferenceError(f"simple_switch_grpc does not start{how}")
        self._stream = self._channel.stream_stream(
            "/p4.bm.DataplaneInterface/PacketStream",
            request_serializer=PacketMessage.SerializeToString,
            response_deserializer=PacketMessage.FromString,
        )

    def _serves(self, channel: grpc.Channel) -> bool:
        ready = grpc.channel_ready_future(channel)
        deadline = time.monotonic() + READY_S
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                ready.result(timeout=0.2)
                return True
            except grpc.FutureTimeoutError:
                continue
        ready.cancel()
        return False

    def send(self, frames: Sequence[Frame]) -> list[list[Frame]]:
        """What each frame led to, sorted. Few enough at once that no egress queue (64 packets) overflows."""
        first = self._next + 1
        self._next += len(frames)

        def requests() -> Iterator[Any]:
            for number, (port, frame) in enumerate(frames, first):
                yield PacketMessage(id=number, device_id=1, port=port, packet=frame)

        out: list[list[Frame]] = [[] for _ in frames]
        deadline = time.monotonic() + READY_S
        while True:
            try:
                for answer in self._stream(requests(), timeout=READY_S):
                    out[answer.id - first].append((answer.port, answer.packet))
                return [sorted(one) for one in out]
            except grpc.RpcError as error:
                # The service opens its port before the switch takes packets.
                if error.code() is not grpc.StatusCode.UNAVAILABLE or self.process.poll() is not None:
                    told = f"{error.code().name} {error.details()}{self._ending()}"
                    raise ReferenceError(f"simple_switch_grpc: {told}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _ending(self) -> str:
        """How the process ended and what it printed before; empty while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        return f": it ended with code {code}; its last lines:\n{last_words(self._printed) or '  (none)'}"

    def close(self) -> None:
        self._channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._folder.cleanup()


@contextmanager
def running(tools: Path | None = None, log: Path | None = None) -> Iterator[Bmv2]:
    switch = Bmv2(tools, log)
    try:
        yield switch
    finally:
        switch.close()
