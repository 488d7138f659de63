"""Live traces of a running switch: a server-streaming call beside P4Runtime, and its client.

While somebody watches, the packet loop runs the traced build on the same tables and registers; swapping one for the
other loses no packet. At most PER_S packets a second are told of; all are forwarded.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any, Protocol

import grpc

from p4switch.errors import PipelineError
from p4switch.p4runtime.device import Device
from p4switch.pipeline.pipeline import Pipeline
from p4switch.trace.events import Filter, Term, Tracer, packets
from p4switch.trace.journey import Narrator

METHOD = "/p4switch.Trace/Watch"
PER_S = 200
POLL_S = 0.05


class WatchError(Exception):
    """The switch does not let itself be watched; the text says why."""


class Plane(Protocol):
    """What carries the packets, as far as watching goes."""

    def trace(self, pipeline: Pipeline, library: ctypes.CDLL | None) -> bool:
        """Let a traced build carry the packets; None ends it. False: another pipeline runs."""
        ...

    def drain_traces(self) -> bytes:
        """What the traced build has recorded since the last call."""
        ...


class Watching:
    """The server's side; one watcher at a time."""

    def __init__(self, device: Device, plane: Plane, cache: Path | None) -> None:
        self._device = device
        self._plane = plane
        self._cache = cache
        self._busy = False

    def handler(self) -> grpc.GenericRpcHandler:
        service, method = METHOD.strip("/").split("/")
        return grpc.method_handlers_generic_handler(
            service, {method: grpc.unary_stream_rpc_method_handler(self.watch)}
        )

    async def watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """`request`: JSON, ``{"filter": [[[offset, mask, value], …], …]}``. Answers: one packet's text each."""
        try:
            frames = _filter(json.loads(request))
        except (ValueError, TypeError, KeyError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"malformed request: {error}")
        if self._busy:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "somebody watches this switch already")
        self._busy = True
        try:
            async for text in self._texts(frames, context):
                yield text.encode()
        finally:
            self._busy = False

    async def _texts(self, frames: Filter, context: Any) -> AsyncIterator[str]:
        while not self._device.ending.is_set():
            running = self._device.running
            if running is None:
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no program was pushed to this switch yet")
                return
            pipeline = running.pipeline
            try:
                data = json.loads(running.config.p4_device_config)
                tracer = await asyncio.to_thread(Tracer, pipeline, data, self._cache)
                tracer.choose(frames, 1_000_000 // PER_S)
            except (PipelineError, OSError, ValueError) as error:
                await context.abort(grpc.StatusCode.INTERNAL, f"cannot build the traced program: {error}")
            narrator = Narrator(pipeline, tracer.places)
            self._plane.drain_traces()
            try:
                if self._plane.trace(pipeline, tracer.library):
                    yield ""
                while self._device.running is running and not self._device.ending.is_set():
                    for events in packets(list(tracer.events(self._plane.drain_traces()))):
                        yield "\n".join(narrator.tell(events))
                    await asyncio.sleep(POLL_S)
            finally:
                self._plane.trace(pipeline, None)


def _filter(request: dict[str, Any]) -> Filter:
    return [[Term(*(int(v) for v in term)) for term in terms] for terms in request["filter"]]


def follow(address: str, frames: Filter = ()) -> Generator[str, None, None]:
    """Packets of a running switch as they come, each as text; the first text is empty: from then on it watches.

    Raises WatchError. Closing the iterator ends the watch.
    """
    request = json.dumps({"filter": [[[t.offset, t.mask, t.value] for t in terms] for terms in frames]})
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_stream(METHOD)(request.encode())
        try:
            for text in call:
                yield text.decode()
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise WatchError("this switch cannot trace: only the embedded one can") from None
            raise WatchError(f"{error.details()}") from None
        finally:
            call.cancel()
