"""The P4Runtime service on grpc.aio: requests in, a `Device` behind it, statuses out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any, NoReturn, cast

import grpc
from finsy.proto import p4r, p4r_grpc

from p4switch.options import Tls
from p4switch.p4runtime.arbitration import election_number
from p4switch.p4runtime.device import Device, Stream
from p4switch.p4runtime.errors import DETAILS_KEY, GRPC_CODES, Code, RequestError, batch_status

API_VERSION = "1.4.0"
MAX_MESSAGE_BYTES = 128 << 20
READ_CHUNK = 256
"""Entities in one ReadResponse."""

Context = Any
"""grpc.aio's ServicerContext; its stubs say too little about abort and write to be of use."""


class ListenError(Exception):
    """The gRPC server cannot listen on its address; the text says why."""


class P4RuntimeService(p4r_grpc.P4RuntimeServicer):
    """The six calls of P4Runtime v1."""

    def __init__(self, device: Device) -> None:
        self.device = device

    async def Capabilities(self, _request: p4r.CapabilitiesRequest, _context: Context) -> p4r.CapabilitiesResponse:
        """What this server speaks."""
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    async def Write(self, request: p4r.WriteRequest, context: Context) -> p4r.WriteResponse:
        """Specification, "Write RPC"."""
        device = self.device
        try:
            device.check_device(request.device_id)
            device.arbiter.check_writer(request.role, _election_id(request))
            outcomes = device.write(request)
        except RequestError as error:
            await _abort(context, error)
        if any(outcomes):
            await _abort_batch(context, "Write", outcomes)
        return p4r.WriteResponse()

    async def Read(  # type: ignore[override]  # the stubs know answers by yield only
        self, request: p4r.ReadRequest, context: Context
    ) -> None:
        """Specification, "Read RPC": valid queries are answered even if others are not."""
        device = self.device
        outcomes: list[RequestError | None] = []
        found: list[Iterator[p4r.Entity]] = []
        try:
            device.check_device(request.device_id)
            forwarding = device.forwarding()
            includes = device.permissions(request.role).includes
            for query in request.entities:
                try:
                    found.append(filter(includes, forwarding.read(query)))
                    outcomes.append(None)
                except RequestError as error:
                    found.append(iter(()))
                    outcomes.append(error)
        except RequestError as error:
            await _abort(context, error)
        with forwarding.reading():
            for number, results in enumerate(found):
                try:
                    while chunk := list(islice(results, READ_CHUNK)):
                        await context.write(p4r.ReadResponse(entities=chunk))
                except RequestError as error:
                    outcomes[number] = error
        if any(outcomes):
            await _abort_batch(context, "Read", outcomes)

    async def SetForwardingPipelineConfig(
        self, request: p4r.SetForwardingPipelineConfigRequest, context: Context
    ) -> p4r.SetForwardingPipelineConfigResponse:
        """Specification, "SetForwardingPipelineConfig RPC": VERIFY, VERIFY_AND_SAVE, VERIFY_AND_COMMIT, COMMIT and
        RECONCILE_AND_COMMIT."""
        device = self.device

        def check() -> None:
            device.arbiter.check_writer(request.role, _election_id(request))
            if not device.permissions(request.role).pipeline:
                raise RequestError(Code.PERMISSION_DENIED, "the role of this client does not include the pipeline")

        try:
            device.check_device(request.device_id)
            check()
            await device.set_config(request, check)
        except RequestError as error:
            await _abort(context, error)
        return p4r.SetForwardingPipelineConfigResponse()

    async def GetForwardingPipelineConfig(
        self, request: p4r.GetForwardingPipelineConfigRequest, context: Context
    ) -> p4r.GetForwardingPipelineConfigResponse:
        """Specification, "GetForwardingPipelineConfig RPC"; without a config the answer is empty."""
        device, kind = self.device, p4r.GetForwardingPipelineConfigRequest
        try:
            device.check_device(request.device_id)
        except RequestError as error:
            await _abort(context, error)
        response = p4r.GetForwardingPipelineConfigResponse()
        current = device.saved or device.running
        if current is not None:
            config = response.config
            config.SetInParent()
            if current.config.HasField("cookie"):
                config.cookie.CopyFrom(current.config.cookie)
            if request.response_type in (kind.ALL, kind.P4INFO_AND_COOKIE):
                config.p4info.CopyFrom(current.config.p4info)
            if request.response_type in (kind.ALL, kind.DEVICE_CONFIG_AND_COOKIE):
                config.p4_device_config = current.config.p4_device_config
        return response

    async def StreamChannel(  # type: ignore[override]
        self, requests: AsyncIterator[p4r.StreamMessageRequest], context: Context
    ) -> None:
        """Arbitration, packets and notifications of one client."""
        stream = Stream()
        reader = asyncio.create_task(self._receive_all(stream, requests))
        writer = asyncio.create_task(_send_all(stream, context))
        ending = asyncio.create_task(self.device.ending.wait())
        try:
            await asyncio.wait((reader, writer, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.device.leave(stream)
            for task in (reader, writer, ending):
                task.cancel()
        if ending.done() and not ending.cancelled():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the switch is shutting down")
        if reader.done() and not reader.cancelled() and isinstance(reader.exception(), RequestError):
            await _abort(context, cast(RequestError, reader.exception()))

    async def _receive_all(self, stream: Stream, requests: AsyncIterator[p4r.StreamMessageRequest]) -> None:
        async for request in requests:
            self.device.receive(stream, request)


async def _send_all(stream: Stream, context: Context) -> None:
    while True:
        await context.write(await stream.next())


def _election_id(request: p4r.WriteRequest | p4r.SetForwardingPipelineConfigRequest) -> int | None:
    return election_number(request.election_id) if request.HasField("election_id") else None


async def _abort(context: Context, error: RequestError) -> NoReturn:
    await context.abort(GRPC_CODES[error.code], error.message)
    raise AssertionError("abort returned")


async def _abort_batch(context: Context, kind: str, outcomes: list[RequestError | None]) -> NoReturn:
    status = batch_status(kind, outcomes)
    details = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(grpc.StatusCode.UNKNOWN, status.message, details)
    raise AssertionError("abort returned")


async def start_server(
    device: Device, address: str, tls: Tls | None = None, others: Sequence[grpc.GenericRpcHandler] = ()
) -> tuple[grpc.aio.Server, int]:
    """Serve a device, and `others` beside P4Runtime.

    Returns:
        the running server and the TCP port, which the system chose if `address` ends in ":0".

    Raises:
        ListenError: the address is taken, or is none of this machine's.
    """
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", -1),
            # Without this two switches could share a port, and each would get half of the clients.
            ("grpc.so_reuseport", 0),
        )
    )
    p4r_grpc.add_P4RuntimeServicer_to_server(P4RuntimeService(device), server)
    server.add_generic_rpc_handlers(tuple(others))
    try:
        port = server.add_secure_port(address, _credentials(tls)) if tls else server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if port == 0:
        raise ListenError(f"cannot listen on {address}: is the port in use, or the address not of this machine?")
    await server.start()
    return server, port


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    chain = [(tls.key.read_bytes(), tls.certificate.read_bytes())]
    return grpc.ssl_server_credentials(chain, tls.ca.read_bytes() if tls.ca else None, tls.client_auth)
