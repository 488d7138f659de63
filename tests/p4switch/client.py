"""A P4Runtime client that says exactly what a test wants said: raw messages, names looked up in the P4Info."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc, rpc_status
from google.protobuf import text_format

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
WAIT_S = 30.0


class Refused(Exception):
    """An RPC that failed. `codes`: one canonical code per update or query, for a batch."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code = error.code().name
        self.text = error.details() or ""
        self.codes: list[int] = []
        self.texts: list[str] = []
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status = rpc_status.Status.FromString(value)
                for packed in status.details:
                    detail = p4r.Error()
                    assert packed.Unpack(detail)
                    self.codes.append(detail.canonical_code)
                    self.texts.append(detail.message)


@dataclass
class Names:
    """Ids by alias, and shorthand for messages."""

    info: p4i.P4Info

    def id(self, alias: str) -> int:
        for group in (
            self.info.tables,
            self.info.actions,
            self.info.counters,
            self.info.meters,
            self.info.registers,
            self.info.digests,
            self.info.action_profiles,
            self.info.value_sets,
        ):
            for one in group:
                if one.preamble.alias == alias:
                    return one.preamble.id
        raise KeyError(alias)

    def action(self, alias: str, *params: int | bytes) -> p4r.Action:
        action = p4r.Action(action_id=self.id(alias))
        for number, value in enumerate(params, 1):
            action.params.add(param_id=number, value=to_bytes(value))
        return action

    def entry(
        self, table: str, match: dict[int, Any] | None = None, action: p4r.Action | None = None, **more: Any
    ) -> p4r.Entity:
        """`match`: field id -> value (exact), "value/length", "value&mask", "low..high", or "=value" (optional)."""
        entry = p4r.TableEntry(table_id=self.id(table), **more)
        for field_id, value in (match or {}).items():
            add_match(entry, field_id, value)
        if action is not None:
            entry.action.action.CopyFrom(action)
        return p4r.Entity(table_entry=entry)


def to_bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")


def add_match(entry: p4r.TableEntry, field_id: int, value: Any) -> None:
    match = entry.match.add(field_id=field_id)
    if not isinstance(value, str):
        match.exact.value = to_bytes(value)
    elif "/" in value:
        number, length = value.split("/")
        match.lpm.value, match.lpm.prefix_len = to_bytes(int(number, 0)), int(length)
    elif "&" in value:
        number, mask = value.split("&")
        match.ternary.value, match.ternary.mask = to_bytes(int(number, 0)), to_bytes(int(mask, 0))
    elif ".." in value:
        low, high = value.split("..")
        match.range.low, match.range.high = to_bytes(int(low, 0)), to_bytes(int(high, 0))
    else:
        match.optional.value = to_bytes(int(value.lstrip("="), 0))


def read_p4info(path: Path) -> p4i.P4Info:
    return text_format.Parse(path.read_text(), p4i.P4Info())


class Client:
    """One client with at most one stream."""

    def __init__(self, stub: p4r_grpc.P4RuntimeStub, names: Names, device_id: int, election_id: int | None) -> None:
        self.stub: Any = stub
        self.names = names
        self.device_id = device_id
        self.election_id = election_id
        self.role = ""
        self.stream: Any = None

    def _election(self) -> dict[str, Any]:
        if self.election_id is None:
            return {}
        return {"election_id": p4r.Uint128(high=self.election_id >> 64, low=self.election_id & (1 << 64) - 1)}

    # The stream --------------------------------------------------------------------------------

    async def arbitrate(self, role: p4r.Role | None = None, device_id: int | None = None) -> None:
        if self.stream is None:
            self.stream = self.stub.StreamChannel()
        update = p4r.MasterArbitrationUpdate(
            device_id=self.device_id if device_id is None else device_id, role=role, **self._election()
        )
        await self.send(p4r.StreamMessageRequest(arbitration=update))

    async def send(self, message: p4r.StreamMessageRequest) -> None:
        await self.stream.write(message)

    async def receive(self, kind: str, timeout: float = WAIT_S) -> Any:
        """The next message of the stream, which must be of that kind."""
        try:
            message = await asyncio.wait_for(self.stream.read(), timeout)
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from None
        if message is grpc.aio.EOF:
            raise EOFError("the switch ended the stream")
        assert message.WhichOneof("update") == kind, message
        return getattr(message, kind)

    async def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while. The stream cannot be read again afterwards."""
        try:
            message = await asyncio.wait_for(self.stream.read(), seconds)
        except asyncio.TimeoutError:
            return True
        raise AssertionError(f"unexpected: {message}")

    async def become_primary(self) -> None:
        await self.arbitrate()
        status = (await self.receive("arbitration")).status
        assert status.code == 0, status

    def close(self) -> None:
        if self.stream is not None:
            self.stream.cancel()
            self.stream = None

    # Calls -------------------------------------------------------------------------------------

    async def call(self, method: str, request: Any) -> Any:
        try:
            return await getattr(self.stub, method)(request, timeout=WAIT_S)
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from None

    async def push(
        self,
        config: p4r.ForwardingPipelineConfig | None,
        action: Any = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
    ) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self.device_id, role=self.role, action=action, config=config, **self._election()
        )
        await self.call("SetForwardingPipelineConfig", request)

    async def config(self, kind: Any = p4r.GetForwardingPipelineConfigRequest.ALL) -> Any:
        request = p4r.GetForwardingPipelineConfigRequest(device_id=self.device_id, response_type=kind)
        return await self.call("GetForwardingPipelineConfig", request)

    async def write(self, *updates: p4r.Update, **more: Any) -> None:
        request = p4r.WriteRequest(
            device_id=self.device_id, role=self.role, updates=updates, **self._election(), **more
        )
        await self.call("Write", request)

    async def insert(self, *entities: p4r.Entity) -> None:
        await self.write(*(p4r.Update(type=INSERT, entity=entity) for entity in entities))

    async def modify(self, *entities: p4r.Entity) -> None:
        await self.write(*(p4r.Update(type=MODIFY, entity=entity) for entity in entities))

    async def delete(self, *entities: p4r.Entity) -> None:
        await self.write(*(p4r.Update(type=DELETE, entity=entity) for entity in entities))

    async def codes(self, kind: Any, *entities: p4r.Entity) -> list[int]:
        """The canonical code of each update; zeros if all went well."""
        try:
            await self.write(*(p4r.Update(type=kind, entity=entity) for entity in entities))
        except Refused as refused:
            assert refused.code == "UNKNOWN" and len(refused.codes) == len(entities), refused
            return refused.codes
        return [0] * len(entities)

    async def read(self, *queries: p4r.Entity) -> list[p4r.Entity]:
        found: list[p4r.Entity] = []
        try:
            async for response in self.stub.Read(
                p4r.ReadRequest(device_id=self.device_id, role=self.role, entities=queries), timeout=WAIT_S
            ):
                found += response.entities
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from None
        return found


@asynccontextmanager
async def connect(
    address: str, names: Names, device_id: int = 1, election_id: int | None = 1
) -> AsyncIterator[Client]:
    options: Iterable[tuple[str, Any]] = (("grpc.max_metadata_size", 1 << 20),)
    async with grpc.aio.insecure_channel(address, options=tuple(options)) as channel:
        client = Client(p4r_grpc.P4RuntimeStub(channel), names, device_id, election_id)  # type: ignore[no-untyped-call]
        try:
            yield client
        finally:
            client.close()
