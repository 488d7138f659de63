"""A small synchronous P4Runtime client: push a program, write entries in batches, by the P4Info's names."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc
from google.protobuf import text_format

BATCH = 1000
WAIT_S = 60.0


@dataclass(frozen=True)
class Rule:
    """A table entry by its last names. A key value is an int (exact), (value, prefix length), or a "value&mask"."""

    table: str
    match: tuple[int | tuple[int, int] | str, ...]
    action: str
    params: tuple[int, ...] = ()
    priority: int = 0


def encode(value: int) -> bytes:
    """P4Runtime's canonical byte string."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


class Runtime:
    """The primary controller of one switch."""

    def __init__(self, address: str, p4info: Path, device_id: int = 1) -> None:
        self.device_id = device_id
        self.info = text_format.Parse(p4info.read_text(encoding="utf-8"), p4i.P4Info())
        self._election = p4r.Uint128(low=1)
        self._tables = {t.preamble.alias: t for t in self.info.tables}
        self._actions = {a.preamble.alias: a for a in self.info.actions}
        self._channel = grpc.insecure_channel(address, [("grpc.max_receive_message_length", 1 << 28)])
        grpc.channel_ready_future(self._channel).result(timeout=WAIT_S)
        self._stub: Any = p4r_grpc.P4RuntimeStub(self._channel)
        self._requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        self._stream = self._stub.StreamChannel(iter(self._requests.get, None))
        arbitration = p4r.MasterArbitrationUpdate(device_id=device_id, election_id=self._election)
        self._requests.put(p4r.StreamMessageRequest(arbitration=arbitration))
        next(self._stream)

    def close(self) -> None:
        self._requests.put(None)
        self._channel.close()

    def push(self, program: Path) -> None:
        """SetForwardingPipelineConfig, VERIFY_AND_COMMIT."""
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self.device_id,
            election_id=self._election,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
        )
        request.config.p4info.CopyFrom(self.info)
        request.config.p4_device_config = program.read_bytes()
        self._stub.SetForwardingPipelineConfig(request, timeout=WAIT_S)

    def insert(self, rules: Iterable[Rule]) -> None:
        updates = [self.update(rule, p4r.Update.INSERT) for rule in rules]
        for batch in batches(updates, BATCH):
            self.send(self.request(batch))

    def request(self, updates: Sequence[p4r.Update]) -> p4r.WriteRequest:
        return p4r.WriteRequest(device_id=self.device_id, election_id=self._election, updates=updates)

    def send(self, request: p4r.WriteRequest) -> None:
        self._stub.Write(request, timeout=WAIT_S)

    def update(self, rule: Rule, kind: p4r.Update.Type.ValueType) -> p4r.Update:
        table, action = self._tables[rule.table], self._actions[rule.action]
        entry = p4r.TableEntry(table_id=table.preamble.id, priority=rule.priority)
        for field, value in zip(table.match_fields, rule.match, strict=True):
            match = entry.match.add(field_id=field.id)
            if isinstance(value, int):
                match.exact.value = encode(value)
            elif isinstance(value, str):
                number, mask = (int(part, 0) for part in value.split("&"))
                match.ternary.value, match.ternary.mask = encode(number), encode(mask)
            else:
                match.lpm.value, match.lpm.prefix_len = encode(value[0]), value[1]
        entry.action.action.action_id = action.preamble.id
        for param, number in zip(action.params, rule.params, strict=True):
            entry.action.action.params.add(param_id=param.id, value=encode(number))
        return p4r.Update(type=kind, entity=p4r.Entity(table_entry=entry))


def batches(items: Sequence[p4r.Update], size: int) -> Iterator[Sequence[p4r.Update]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
