"""What a role may do: Stratum's P4RoleConfig, or everything for a role without a config.

The specification leaves the format open ("Role Config"); Stratum's is the one that clients know.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from finsy.proto import p4r, stratum

from p4switch.p4runtime.errors import Code, RequestError, invalid


@dataclass(frozen=True)
class Permissions:
    """`ids`: the P4 objects that the role may write, None for all. `packet_in_filter`: (metadata id, value)."""

    ids: Collection[int] | None = None
    packet_ins: bool = True
    packet_in_filter: tuple[int, bytes] | None = None
    pipeline: bool = True

    def check_update(self, update: p4r.Update) -> None:
        """Raises PERMISSION_DENIED for an entity outside the role."""
        if not self.includes(update.entity):
            id = entity_id(update.entity)
            raise RequestError(Code.PERMISSION_DENIED, f"the role of this client does not include {id:#010x}")

    def includes(self, entity: p4r.Entity) -> bool:
        """Whether an entity is within the role."""
        if self.ids is None:
            return True
        id = entity_id(entity)
        return id == 0 or id in self.ids

    def wants(self, packet: p4r.PacketIn) -> bool:
        """Whether a packet-in is for the role."""
        if not self.packet_ins or self.packet_in_filter is None:
            return self.packet_ins
        return any((one.metadata_id, one.value) == self.packet_in_filter for one in packet.metadata)


ALL = Permissions()


def permissions(role: p4r.Role) -> Permissions:
    """Read a role's config.

    Raises:
        RequestError: INVALID_ARGUMENT if it is not a stratum.P4RoleConfig.
    """
    if not role.HasField("config") or not role.config.type_url:
        return ALL
    config = stratum.P4RoleConfig()
    if not role.config.Unpack(config):
        raise invalid(f"the role config is a {role.config.type_url}, not a stratum.P4RoleConfig")
    chosen = config.packet_in_filter
    return Permissions(
        ids=frozenset(config.exclusive_p4_ids) | frozenset(config.shared_p4_ids),
        packet_ins=config.receives_packet_ins,
        packet_in_filter=(chosen.metadata_id, chosen.value) if config.HasField("packet_in_filter") else None,
        pipeline=config.can_push_pipeline,
    )


def entity_id(entity: p4r.Entity) -> int:
    """The P4 object that an entity belongs to; 0 for the packet replication engine, which belongs to none."""
    which = entity.WhichOneof("entity")
    if which == "table_entry":
        return entity.table_entry.table_id
    if which == "counter_entry":
        return entity.counter_entry.counter_id
    if which == "direct_counter_entry":
        return entity.direct_counter_entry.table_entry.table_id
    if which == "meter_entry":
        return entity.meter_entry.meter_id
    if which == "direct_meter_entry":
        return entity.direct_meter_entry.table_entry.table_id
    if which == "register_entry":
        return entity.register_entry.register_id
    if which == "digest_entry":
        return entity.digest_entry.digest_id
    if which == "value_set_entry":
        return entity.value_set_entry.value_set_id
    if which == "action_profile_member":
        return entity.action_profile_member.action_profile_id
    if which == "action_profile_group":
        return entity.action_profile_group.action_profile_id
    return 0
