"""A P4Runtime connection to one switch: finsy's schema, entities and errors over a gRPC channel of our own.

The channel is ours because a switch that returns must be found at once: no back-off left over from its absence, no
ten seconds of waiting, and every call with a limit that a paused switch cannot stretch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from types import TracebackType
from typing import Any

import grpc
from finsy import P4ClientError, P4Schema
from finsy.p4entity import P4Entity, decode_entity, encode_entities
from finsy.proto import U128, p4r, p4r_grpc

from controller.tasks import CalledOff, within

CALL_TIMEOUT_S = 3.0
PUSH_TIMEOUT_S = 30.0
"""A pipeline push: the embedded switch may have to compile the program first."""

_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


class StreamClosed(Exception):
    """The switch ended the stream."""


def _begun(method: Any, *what: Any, **how: Any) -> Any:
    """A call that begins now. Raises CalledOff where the channel is closed already, which gRPC takes for a wrong use
    of it: another task may have ended the connection while the one that calls was about to."""
    try:
        return method(*what, **how)
    except grpc.aio.UsageError:
        raise CalledOff from None


class P4RuntimeClient:
    """One connection; an asynchronous context manager. All calls raise finsy's P4ClientError, also those that wait
    for an answer when another task ends the connection: gRPC cancels these."""

    def __init__(self, address: str, device_id: int, schema: P4Schema | None = None) -> None:
        self.device_id = device_id
        self.election_id = 0
        self._address = address
        self._schema = schema or P4Schema()
        self._send_lock = asyncio.Lock()

    async def __aenter__(self) -> P4RuntimeClient:
        self._channel = grpc.aio.insecure_channel(self._address, options=_OPTIONS)
        self._stub: Any = p4r_grpc.P4RuntimeStub(self._channel)
        self._stream: Any = None
        self._stream_ended = asyncio.Event()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.cancel()
        await self._channel.close()

    async def arbitrate(self, election_id: int) -> None:
        """Ask to be the primary; the answer comes by ``receive`` (P4Runtime 1.4, section 5)."""
        self.election_id = election_id
        update = p4r.MasterArbitrationUpdate(device_id=self.device_id, election_id=U128.encode(election_id))
        await self.send(p4r.StreamMessageRequest(arbitration=update))

    async def send(self, message: p4r.StreamMessageRequest) -> None:
        """Send on the stream, which is opened by the first message."""
        async with self._send_lock:
            try:
                if self._stream is None:
                    self._stream = _begun(self._stub.StreamChannel)
                    self._stream.add_done_callback(lambda _: self._stream_ended.set())
                await self._written(message)
            except (asyncio.InvalidStateError, CalledOff):
                raise StreamClosed from None
            except grpc.RpcError as error:
                raise P4ClientError(error, "send") from None

    async def _written(self, message: p4r.StreamMessageRequest) -> None:
        """Raises CalledOff if the stream ends meanwhile: gRPC never wakes who writes to one that is cancelled before
        the switch has answered anything."""
        writing = asyncio.ensure_future(within(self._stream.write(message), None))
        ending = asyncio.ensure_future(self._stream_ended.wait())
        try:
            await asyncio.wait((writing, ending), return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                raise CalledOff
            await writing
        finally:
            writing.cancel()
            ending.cancel()

    async def receive(self) -> p4r.StreamMessageResponse:
        """The next message of the stream. Raises StreamClosed at its end."""
        try:
            message = await within(self._stream.read(), None)
        except grpc.RpcError as error:
            raise P4ClientError(error, "receive") from None
        except CalledOff:
            raise StreamClosed from None
        if message is grpc.aio.EOF:
            raise StreamClosed
        assert isinstance(message, p4r.StreamMessageResponse)
        return message

    async def cookie(self) -> int | None:
        """The cookie of the installed program; None if there is no program."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self.device_id, response_type=p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY
        )
        try:
            reply = await self._call(self._stub.GetForwardingPipelineConfig, request)
        except P4ClientError as error:
            if error.is_pipeline_missing:
                return None
            raise
        return int(reply.config.cookie.cookie) if reply.config.HasField("cookie") else None

    async def fetch_schema(self) -> None:
        """Take the P4Info from the switch itself, for a reader that has no program of its own."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self.device_id, response_type=p4r.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE
        )
        reply = await self._call(self._stub.GetForwardingPipelineConfig, request)
        self._schema = P4Schema(reply.config.p4info)

    @property
    def schema(self) -> P4Schema:
        """The P4Info by which entities are read and written."""
        return self._schema

    async def push(self) -> None:
        """Install the schema's program. Entries, counters and digest configuration of the switch are gone then."""
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self.device_id,
            election_id=U128.encode(self.election_id),
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=self._schema.get_pipeline_config(),
        )
        await self._call(self._stub.SetForwardingPipelineConfig, request, timeout=PUSH_TIMEOUT_S)

    async def write(self, updates: Iterable[p4r.Update]) -> None:
        """Write; updates that do not fail are done even if others of the request fail."""
        request = p4r.WriteRequest(
            device_id=self.device_id, election_id=U128.encode(self.election_id), updates=list(updates)
        )
        await self._call(self._stub.Write, request)

    async def read(self, *entities: P4Entity | p4r.Entity) -> list[Any]:
        """Read; wildcards as P4Runtime has them. Anybody may, primary or not."""
        request = p4r.ReadRequest(device_id=self.device_id, entities=encode_entities(entities, self._schema))

        async def taken() -> list[Any]:
            replies = _begun(self._stub.Read, request, timeout=CALL_TIMEOUT_S)
            return [decode_entity(entity, self._schema) async for reply in replies for entity in reply.entities]

        found: list[Any] = await self._asked(taken(), "read", request)
        return found

    async def _call(self, method: Any, request: Any, *, timeout: float = CALL_TIMEOUT_S) -> Any:
        async def replied() -> Any:
            return await _begun(method, request, timeout=timeout)

        return await self._asked(replied(), type(request).__name__, request)

    async def _asked(self, call: Awaitable[Any], operation: str, request: Any) -> Any:
        try:
            return await within(call, None)
        except CalledOff:
            ended = grpc.aio.AioRpcError(
                grpc.StatusCode.CANCELLED, grpc.aio.Metadata(), grpc.aio.Metadata(), "the connection was ended"
            )
            raise P4ClientError(ended, operation, msg=request, schema=self._schema) from None
        except grpc.RpcError as error:
            raise P4ClientError(error, operation, msg=request, schema=self._schema) from None
