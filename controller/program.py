"""The compiled P4 program as P4Runtime wants it, and the way between its entries and ours."""

from __future__ import annotations

from os.path import isfile
from pathlib import Path
from typing import Any

from finsy import (
    P4ActionProfileGroup,
    P4ActionProfileMember,
    P4IndirectAction,
    P4Member,
    P4MeterConfig,
    P4MulticastGroupEntry,
    P4Schema,
    P4TableAction,
    P4TableEntry,
    P4TableMatch,
)
from finsy.proto import p4r

from controller import limits
from controller.desired import TABLES, Entry, Held, MulticastGroup, Operation, Write
from controller.selectors import PROFILES, SELECT, ProfileGroup, ProfileMember

LEADER_DIGEST = "leader_digest_t"
GONE_DIGEST = "leader_gone_digest_t"
SILENCE_DIGEST = "leader_silence_digest_t"
DIGESTS = (LEADER_DIGEST, GONE_DIGEST, SILENCE_DIGEST)


Found = P4TableEntry | P4MulticastGroupEntry | P4ActionProfileMember | P4ActionProfileGroup
"""What a switch returns of what the controller has written."""

READ_ALL = (
    p4r.Entity(table_entry=p4r.TableEntry(meter_config=p4r.MeterConfig())),
    P4MulticastGroupEntry(),
    *(kind(profile) for profile in PROFILES.values() for kind in (P4ActionProfileMember, P4ActionProfileGroup)),
)
"""What asks for all of that, entries with the meters of those that have one."""


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
        for profile in PROFILES.values():
            if self.schema.action_profiles.get(profile) is None:
                raise ProgramError(f"{p4info} has no action profile {profile}")
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
        if isinstance(entry, ProfileMember | ProfileGroup):
            entity = _encode_profile(entry, write.operation is Operation.DELETE).encode(self.schema)
            return p4r.Update(type=_TYPES[write.operation], entity=entity)
        action: P4TableAction | P4IndirectAction | None = None
        held = None
        if write.operation is not Operation.DELETE:
            held = _encode_meter(entry.meter)
            params = dict(entry.params)
            if entry.action == SELECT:
                action = P4IndirectAction(group_id=params["group"])
            else:
                action = P4TableAction(entry.action, **params)
        match = P4TableMatch(entry.match)
        table_entry = P4TableEntry(entry.table, match=match, action=action, meter_config=held)
        return p4r.Update(type=_TYPES[write.operation], entity=table_entry.encode(self.schema))

    def decode(self, found: Found) -> Held | None:
        """What a switch returned; None for default actions, and tables and profiles that are not the controller's."""
        if isinstance(found, P4MulticastGroupEntry):
            return _decode_group(found)
        if isinstance(found, P4ActionProfileMember | P4ActionProfileGroup):
            return self._decode_profile(found) if found.action_profile_id in PROFILES.values() else None
        return self.decode_entry(found)

    def _decode_profile(self, found: P4ActionProfileMember | P4ActionProfileGroup) -> Held:
        if isinstance(found, P4ActionProfileGroup):
            members = tuple(sorted(one.member_id for one in found.members or ()))
            return ProfileGroup(found.action_profile_id, found.group_id, members)
        name, args = (found.action.name, found.action.args) if found.action is not None else ("", {})
        params = tuple((param.name, int(args[param.name])) for param in self.schema.actions[name].params)
        return ProfileMember(found.action_profile_id, found.member_id, name.rpartition(".")[2], params)

    def decode_entry(self, table_entry: P4TableEntry) -> Entry | None:
        """A table's entry as a switch returned it; None for default actions and for tables of others."""
        if table_entry.table_id not in TABLES or table_entry.is_default_action or table_entry.is_const:
            return None
        action = table_entry.action
        held: dict[str, Any] = table_entry.match or {}
        fields = [field.alias for field in self.schema.tables[table_entry.table_id].match_fields]
        match = tuple((name, held.get(name, (0, 0))) for name in fields)
        if isinstance(action, P4IndirectAction) and action.group_id is not None:
            return Entry(table_entry.table_id, match, SELECT, (("group", action.group_id),))
        if not isinstance(action, P4TableAction):
            return None
        reference = self.schema.tables[table_entry.table_id].actions[action.name]
        params = tuple((param.name, int(action.args[param.name])) for param in reference.params)
        meter = _decode_meter(table_entry.meter_config, dict(params).get("per_second"))
        return Entry(table_entry.table_id, match, action.name.rpartition(".")[2], params, meter)


def _encode_meter(meter: limits.Meter | None) -> P4MeterConfig | None:
    """One rate for both: green or red."""
    if meter is None:
        return None
    return P4MeterConfig(cir=meter.per_second, cburst=meter.burst, pir=meter.per_second, pburst=meter.burst)


def _decode_meter(found: P4MeterConfig | None, wished: int | None) -> limits.Meter | None:
    return None if found is None else limits.as_read(found.cir, found.cburst, found.pir, found.pburst, wished)


def _encode_profile(held: ProfileMember | ProfileGroup, goes: bool) -> P4ActionProfileMember | P4ActionProfileGroup:
    if isinstance(held, ProfileMember):
        action = None if goes else P4TableAction(held.action, **dict(held.params))
        return P4ActionProfileMember(held.profile, member_id=held.id, action=action)
    members = [] if goes else [P4Member(member, weight=1) for member in held.members]
    return P4ActionProfileGroup(held.profile, group_id=held.id, max_size=0, members=members)


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
