"""The real BMv2 with the verbs of `p4switch.pipeline.pipeline.Pipeline`, so that one script drives either.

The program's names and widths come from the BMv2 JSON, as for a Pipeline; the ids from its P4Info. Only what
P4Runtime carries is there: no registers.
"""

from __future__ import annotations

import itertools
import queue
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc, rpc_status
from google.protobuf import text_format

from conformance.bmv2.process import Bmv2, ReferenceError
from p4switch.errors import PipelineError
from p4switch.pipeline.entities import Entry, Exact, Group, Lpm, Match, Member, MeterRates, Output, Range, Replica
from p4switch.program import Program
from p4switch.program_json import load_json, parse_program

WAIT_S = 60.0
_ELECTIONS = itertools.count(1)
"""A higher id for each, so that the one before may still be taking its leave."""


class Refused(PipelineError):
    """The switch's P4Runtime server said no."""


def encode(value: int) -> bytes:
    """P4Runtime's canonical byte string."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


class Device:
    """A program on a running BMv2. Close it before the process ends."""

    def __init__(self, switch: Bmv2, json: Path, info: Path | str) -> None:
        self.switch = switch
        self.program = self.read_program(json)
        self.info = text_format.Parse(info.read_text() if isinstance(info, Path) else info, p4i.P4Info())
        self.digests: list[tuple[str, Any]] = []
        self._ids = {
            kind: {one.preamble.name: one.preamble.id for one in getattr(self.info, kind)}
            for kind in ("tables", "actions", "counters", "meters", "action_profiles", "digests", "value_sets")
        }
        self._fields = {t.preamble.name: list(t.match_fields) for t in self.info.tables}
        self._election = p4r.Uint128(low=next(_ELECTIONS))
        self._entries: dict[str, dict[int, Any]] = {}
        self._handles = 0
        self._groups: dict[int, tuple[Replica, ...]] = {}
        self._sessions: dict[int, tuple[tuple[Replica, ...], int]] = {}
        self._channel = grpc.insecure_channel(switch.address, [("grpc.max_receive_message_length", 1 << 28)])
        self._stub: Any = p4r_grpc.P4RuntimeStub(self._channel)
        self._requests: queue.Queue[Any] = queue.Queue()
        self.stream = self._stub.StreamChannel(iter(self._requests.get, None))
        arbitration = p4r.MasterArbitrationUpdate(device_id=1, election_id=self._election)
        self._requests.put(p4r.StreamMessageRequest(arbitration=arbitration))
        try:
            next(self.stream)
        except grpc.RpcError as error:
            raise ReferenceError(f"simple_switch_grpc: {error.details()}") from None
        push = p4r.SetForwardingPipelineConfigRequest(device_id=1, election_id=self._election)
        push.action = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
        push.config.p4info.CopyFrom(self.info)
        push.config.p4_device_config = json.read_bytes()
        self._call(self._stub.SetForwardingPipelineConfig, push)

    @staticmethod
    def read_program(json: Path) -> Program:
        return parse_program(load_json(json))

    def close(self) -> None:
        """Takes groups and sessions away: BMv2 keeps them when another program is pushed."""
        with suppress(Refused):
            for session in list(self._sessions):
                self.delete_clone_session(session)
            for group in list(self._groups):
                self.delete_multicast_group(group)
        self._requests.put(None)
        self._channel.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_logging(self, on: bool) -> None:
        """Nothing: BMv2's log_msg texts go to a file."""

    # Packets -----------------------------------------------------------------------------------

    def step(self, port: int, frame: bytes, _now_us: int, _random: int = 0) -> Output:
        """Time and randomness are its own."""
        return Output(tuple(self.switch.send([(port, frame)])[0]))

    # Writing -----------------------------------------------------------------------------------

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=WAIT_S)
        except grpc.RpcError as error:
            texts = [error.details() or error.code().name]
            for key, value in error.trailing_metadata() or ():
                if key == "grpc-status-details-bin":
                    for packed in rpc_status.Status.FromString(value).details:
                        detail = p4r.Error()
                        if packed.Unpack(detail) and detail.canonical_code:
                            texts.append(f"{detail.canonical_code} {detail.message}")
            raise Refused("; ".join(filter(None, texts))) from None

    def write(self, kind: Any, **entity: Any) -> None:
        """One update: kind p4r.Update.INSERT, MODIFY or DELETE."""
        request = p4r.WriteRequest(device_id=1, election_id=self._election)
        request.updates.add(type=kind, entity=p4r.Entity(**entity))
        self._call(self._stub.Write, request)

    def read(self, **entity: Any) -> list[Any]:
        request = p4r.ReadRequest(device_id=1, entities=[p4r.Entity(**entity)])
        return [one for response in self._call(self._stub.Read, request) for one in response.entities]

    def tell(self, message: Any) -> None:
        """Send one StreamMessageRequest."""
        self._requests.put(message)

    def id(self, kind: str, name: str) -> int:
        if name not in self._ids[kind]:
            raise Refused(f"P4Info has no {name} among its {kind}")
        return int(self._ids[kind][name])

    # Tables ------------------------------------------------------------------------------------

    def _action(self, name: str, params: Sequence[int]) -> Any:
        action = p4r.Action(action_id=self.id("actions", name))
        for number, value in enumerate(params, 1):
            action.params.add(param_id=number, value=encode(value))
        return action

    def _table_action(self, action: str | Member | Group, params: Sequence[int]) -> Any:
        if isinstance(action, Member):
            return p4r.TableAction(action_profile_member_id=action.id)
        if isinstance(action, Group):
            return p4r.TableAction(action_profile_group_id=action.id)
        return p4r.TableAction(action=self._action(action, params))

    def table_entry(self, table: str, match: Sequence[Match], priority: int) -> Any:
        """The key of an entry; P4Runtime wants a priority above 0 where one decides."""
        model = self.program.tables[table]
        entry = p4r.TableEntry(table_id=self.id("tables", table))
        entry.priority = priority + 1 if model.ordered else 0
        for field, key, one in zip(self._fields[table], model.key, match, strict=True):
            _add_match(entry, field, key.width, one)
        return entry

    def insert(
        self,
        table: str,
        match: Sequence[Match],
        action: str | Member | Group,
        params: Sequence[int] = (),
        priority: int = 0,
    ) -> int:
        entry = self.table_entry(table, match, priority)
        key = type(entry)()
        key.CopyFrom(entry)
        entry.action.CopyFrom(self._table_action(action, params))
        self.write(p4r.Update.INSERT, table_entry=entry)
        self._handles += 1
        self._entries.setdefault(table, {})[self._handles] = key
        return self._handles

    def modify(self, table: str, handle: int, action: str | Member | Group, params: Sequence[int] = ()) -> None:
        entry = p4r.TableEntry()
        entry.CopyFrom(self._entries[table][handle])
        entry.action.CopyFrom(self._table_action(action, params))
        self.write(p4r.Update.MODIFY, table_entry=entry)

    def delete(self, table: str, handle: int) -> None:
        self.write(p4r.Update.DELETE, table_entry=self._entries[table].pop(handle))

    def entries(self, table: str) -> list[Entry]:
        """What was inserted here, by handle alone."""
        return [Entry(handle, (), 0, "", ()) for handle in self._entries.get(table, {})]

    def set_default(self, table: str, action: str | Member | Group | None, params: Sequence[int] = ()) -> None:
        entry = p4r.TableEntry(table_id=self.id("tables", table), is_default_action=True)
        if action is not None:
            entry.action.CopyFrom(self._table_action(action, params))
        self.write(p4r.Update.MODIFY, table_entry=entry)

    def _key(self, table: str, handle: int | None) -> p4r.TableEntry:
        if handle is None:
            return p4r.TableEntry(table_id=self.id("tables", table), is_default_action=True)
        entry: p4r.TableEntry = self._entries[table][handle]
        return entry

    def entry_counter(self, table: str, handle: int | None) -> tuple[int, int]:
        """Packets and bytes of an entry's direct counter; None: of the default entry."""
        found = self.read(direct_counter_entry=p4r.DirectCounterEntry(table_entry=self._key(table, handle)))
        data = found[0].direct_counter_entry.data
        return int(data.packet_count), int(data.byte_count)

    def entry_meter(self, table: str, handle: int | None) -> MeterRates | None:
        entry = p4r.DirectMeterEntry(table_entry=self._key(table, handle))
        config = self.read(direct_meter_entry=entry)[0].direct_meter_entry.config
        return MeterRates(config.cir, config.cburst, config.pir, config.pburst)

    def set_entry_meter(self, table: str, handle: int | None, rates: MeterRates | None) -> None:
        entry = p4r.DirectMeterEntry(table_entry=self._key(table, handle))
        if rates:
            entry.config.CopyFrom(_meter_config(rates))
        self.write(p4r.Update.MODIFY, direct_meter_entry=entry)

    # Action profiles ---------------------------------------------------------------------------

    def add_member(self, profile: str, action: str, params: Sequence[int] = ()) -> int:
        self._handles += 1
        member = p4r.ActionProfileMember(
            action_profile_id=self.id("action_profiles", profile), member_id=self._handles
        )
        member.action.CopyFrom(self._action(action, params))
        self.write(p4r.Update.INSERT, action_profile_member=member)
        return self._handles

    def add_group(self, profile: str, members: Sequence[int] = ()) -> int:
        self._handles += 1
        group = p4r.ActionProfileGroup(action_profile_id=self.id("action_profiles", profile), group_id=self._handles)
        group.max_size = 16
        for member in members:
            group.members.add(member_id=member, weight=1)
        self.write(p4r.Update.INSERT, action_profile_group=group)
        return self._handles

    # Counters, meters, value sets --------------------------------------------------------------

    def counter(self, name: str, index: int) -> tuple[int, int]:
        entry = p4r.CounterEntry(counter_id=self.id("counters", name), index=p4r.Index(index=index))
        data = self.read(counter_entry=entry)[0].counter_entry.data
        return int(data.packet_count), int(data.byte_count)

    def set_counter(self, name: str, index: int, packets: int, byte_count: int) -> None:
        entry = p4r.CounterEntry(counter_id=self.id("counters", name), index=p4r.Index(index=index))
        entry.data.packet_count, entry.data.byte_count = packets, byte_count
        self.write(p4r.Update.MODIFY, counter_entry=entry)

    def set_meter(self, name: str, index: int, rates: MeterRates | None) -> None:
        entry = p4r.MeterEntry(meter_id=self.id("meters", name), index=p4r.Index(index=index))
        if rates:
            entry.config.CopyFrom(_meter_config(rates))
        self.write(p4r.Update.MODIFY, meter_entry=entry)

    def meter(self, name: str, index: int) -> MeterRates | None:
        entry = p4r.MeterEntry(meter_id=self.id("meters", name), index=p4r.Index(index=index))
        config = self.read(meter_entry=entry)[0].meter_entry.config
        return MeterRates(config.cir, config.cburst, config.pir, config.pburst)

    def register(self, _name: str, _index: int) -> int:
        raise Refused("BMv2 has no registers over P4Runtime")

    def set_register(self, _name: str, _index: int, _value: int) -> None:
        raise Refused("BMv2 has no registers over P4Runtime")

    # Packet replication ------------------------------------------------------------------------

    def set_multicast_group(self, group: int, replicas: Sequence[Replica]) -> None:
        kind = p4r.Update.MODIFY if group in self._groups else p4r.Update.INSERT
        entry = p4r.MulticastGroupEntry(multicast_group_id=group)
        for one in replicas:
            entry.replicas.add(egress_port=one.port, instance=one.instance)
        engine = p4r.PacketReplicationEngineEntry(multicast_group_entry=entry)
        self.write(kind, packet_replication_engine_entry=engine)
        self._groups[group] = tuple(replicas)

    def delete_multicast_group(self, group: int) -> None:
        entry = p4r.MulticastGroupEntry(multicast_group_id=group)
        engine = p4r.PacketReplicationEngineEntry(multicast_group_entry=entry)
        self.write(p4r.Update.DELETE, packet_replication_engine_entry=engine)
        del self._groups[group]

    def multicast_groups(self) -> dict[int, tuple[Replica, ...]]:
        return dict(self._groups)

    def set_clone_session(self, session: int, replicas: Sequence[Replica], truncate_bytes: int = 0) -> None:
        kind = p4r.Update.MODIFY if session in self._sessions else p4r.Update.INSERT
        entry = p4r.CloneSessionEntry(session_id=session, packet_length_bytes=truncate_bytes)
        for one in replicas:
            entry.replicas.add(egress_port=one.port, instance=one.instance)
        engine = p4r.PacketReplicationEngineEntry(clone_session_entry=entry)
        self.write(kind, packet_replication_engine_entry=engine)
        self._sessions[session] = (tuple(replicas), truncate_bytes)

    def delete_clone_session(self, session: int) -> None:
        entry = p4r.CloneSessionEntry(session_id=session)
        engine = p4r.PacketReplicationEngineEntry(clone_session_entry=entry)
        self.write(p4r.Update.DELETE, packet_replication_engine_entry=engine)
        del self._sessions[session]

    def clone_sessions(self) -> dict[int, tuple[tuple[Replica, ...], int]]:
        return dict(self._sessions)


def _meter_config(rates: MeterRates) -> Any:
    return p4r.MeterConfig(cir=rates.cir, cburst=rates.cburst, pir=rates.pir, pburst=rates.pburst)


def _add_match(entry: Any, field: Any, width: int, match: Match) -> None:
    """A match field, left out where it matches all, as P4Runtime asks. The JSON has optional keys as ternary ones."""
    full = (1 << width) - 1
    if isinstance(match, Exact):
        entry.match.add(field_id=field.id).exact.value = encode(match.value)
    elif isinstance(match, Lpm):
        if match.prefix_len:
            lpm = entry.match.add(field_id=field.id).lpm
            lpm.value = encode(match.value & full & ~(full >> match.prefix_len))
            lpm.prefix_len = match.prefix_len
    elif isinstance(match, Range):
        if (match.low, match.high) != (0, full):
            one = entry.match.add(field_id=field.id).range
            one.low, one.high = encode(match.low), encode(match.high)
    elif match.mask:
        one = entry.match.add(field_id=field.id)
        if field.match_type == p4i.MatchField.OPTIONAL:
            one.optional.value = encode(match.value)
        else:
            one.ternary.value, one.ternary.mask = encode(match.value & match.mask), encode(match.mask)
