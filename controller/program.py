"""The compiled P4 program as P4Runtime wants it, and the way between its entries and ours."""

from __future__ import annotations

from os.path import isfile
from pathlib import Path
from typing import Any

from finsy import P4MeterConfig, P4MulticastGroupEntry, P4Schema, P4TableAction, P4TableEntry, P4TableMatch
from finsy.proto import p4r

from controller import limits
from controller.desired import TABLES, Entry, Held, MulticastGroup, Operation, Write

LEADER_DIGEST = "leader_digest_t"
GONE_DIGEST = "leader_gone_digest_t"
SILENCE_DIGEST = "leader_silence_digest_t"
DIGESTS = (LEADER_DIGEST, GONE_DIGEST, SILENCE_DIGEST)


class ProgramError(ValueError):
    """A program that is missing or is not the one that this controller knows; its text says what to do."""


_TYPES = {
    Operation.INSERT: p4r.Update.INSERT,
    Operation.MODIFY: p4r.Update.MODIFY,
    Operation.DELETE: p4r.Update.DELETE,
}


class Program:
    """P4Info and BMv2 JSON. ``cookie`` is a hash of both: a switch that returns it runs this very program."""

    def __init__(self, json: str | Path, p4info: str | Path) -> None:
        """Raises ProgramError."""
        for path in (json, p4info):
            if not isfile(path):
                raise ProgramError(f"{path} is missing: python -m p4compiler p4/raft.p4 -o FOLDER makes both")
        try:
            self.schema = P4Schema(Path(p4info), Path(json).read_bytes())
        except Exception as error:
            raise ProgramError(f"{p4info} is no P4Info text: {error}") from None
        self._check(str(p4info))
        self.cookie = self.schema.p4cookie

    def _check(self, p4info: str) -> None:
        for table in TABLES:
            if self.schema.tables.get(table) is None:
                raise ProgramError(f"{p4info} has no table {table}: it is not the program of this controller")
        for header in ("packet_in", "packet_out"):
            if self.schema.controller_packet_metadata.get(header) is None:
                raise ProgramError(f"{p4info} has no controller header {header}")
        for digest in DIGESTS:
            if self.schema.digests.get(digest) is None:
                raise ProgramError(f"{p4info} has no digest {digest}")

    def encode(self, write: Write) -> p4r.Update:
        """A write as P4Runtime's update."""
        entry = write.entry
        if isinstance(entry, MulticastGroup):
            return p4r.Update(type=_TYPES[write.operation], entity=_encode_group(entry))
        action = None if write.operation is Operation.DELETE else P4TableAction(entry.action, **dict(entry.params))
        held = None if write.operation is Operation.DELETE else _encode_meter(entry.meter)
        match = P4TableMatch(entry.match)
        table_entry = P4TableEntry(entry.table, match=match, action=action, meter_config=held)
        return p4r.Update(type=_TYPES[write.operation], entity=table_entry.encode(self.schema))

    def decode(self, found: P4TableEntry | P4MulticastGroupEntry) -> Held | None:
        """What a switch returned; None for default actions and tables that are not the controller's."""
        return _decode_group(found) if isinstance(found, P4MulticastGroupEntry) else self.decode_entry(found)

    def decode_entry(self, table_entry: P4TableEntry) -> Entry | None:
        """A table's entry as a switch returned it; None for default actions and for tables of others."""
        if table_entry.table_id not in TABLES or table_entry.is_default_action or table_entry.is_const:
            return None
        action = table_entry.action
        if not isinstance(action, P4TableAction):
            return None
        held: dict[str, Any] = table_entry.match or {}
        fields = [field.alias for field in self.schema.tables[table_entry.table_id].match_fields]
        match = tuple((name, held.get(name, (0, 0))) for name in fields)
        reference = self.schema.tables[table_entry.table_id].actions[action.name]
        params = tuple((param.name, int(action.args[param.name])) for param in reference.params)
        meter = _decode_meter(table_entry.meter_config, dict(params).get("per_second"))
        return Entry(table_entry.table_id, match, action.name.rpartition(".")[2], params, meter)


EVERYTHING = (
    p4r.Entity(table_entry=p4r.TableEntry(meter_config=p4r.MeterConfig())),
    P4MulticastGroupEntry(),
)
"""What to read: all entries, with the meters of those that have one, and all multicast groups."""


def _encode_meter(meter: limits.Meter | None) -> P4MeterConfig | None:
    """One rate for both: green or red."""
    if meter is None:
        return None
    return P4MeterConfig(cir=meter.per_second, cburst=meter.burst, pir=meter.per_second, pburst=meter.burst)


def _decode_meter(found: P4MeterConfig | None, wished: int | None) -> limits.Meter | None:
    return None if found is None else limits.as_read(found.cir, found.cburst, found.pir, found.pburst, wished)


def _encode_group(group: MulticastGroup) -> p4r.Entity:
    """Ports by their number: servers of P4Runtime 1.3, as BMv2's, know no other way."""
    replicas = [p4r.Replica(egress_port=port, instance=instance) for port, instance in group.replicas]
    entry = p4r.MulticastGroupEntry(multicast_group_id=group.id, replicas=replicas)
    return p4r.Entity(packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(multicast_group_entry=entry))


def _decode_group(found: P4MulticastGroupEntry) -> MulticastGroup:
    """A switch may return the copies in another order than they were written in."""
    return MulticastGroup(found.multicast_group_id, tuple(sorted(map(_decode_copy, found.replicas))))


def _decode_copy(replica: Any) -> tuple[int, int]:
    """A port alone has instance 0 (finsy's short form)."""
    if isinstance(replica, int):
        return replica, 0
    if isinstance(replica, tuple):
        return int(replica[0]), int(replica[1])
    return int(replica.port), int(replica.instance)
