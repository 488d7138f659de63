"""RECONCILE_AND_COMMIT: carry what clients wrote into a new pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4r

from p4switch.p4runtime.errors import RequestError, invalid
from p4switch.p4runtime.forwarding import Forwarding


def carry_over(old: Forwarding, new: Forwarding) -> None:
    """Write all of a pipeline's state into a new one, by P4Info ids: profiles, entries with their counters and
    meters, defaults, groups, sessions, digests, value sets; then the
    cells of counters, meters and registers that both have.

    Raises:
        RequestError: INVALID_ARGUMENT if something cannot be preserved.
    """
    for id, store in new.tables.items():
        if id in old.tables:
            for entry in store.read(p4r.TableEntry(table_id=id)):
                if not entry.is_const:
                    _write(new, p4r.Update.DELETE, p4r.Entity(table_entry=entry))
    for kind, entity in _state(old):
        _write(new, kind, entity)
    for entity in _cells(old, new):
        _write(new, p4r.Update.MODIFY, entity)


def _write(new: Forwarding, kind: p4r.Update.Type.ValueType, entity: p4r.Entity) -> None:
    try:
        new.write(p4r.Update(type=kind, entity=entity))
    except RequestError as error:
        raise invalid(f"the forwarding state cannot be preserved: {error.message}") from None


def _state(old: Forwarding) -> Iterator[tuple[p4r.Update.Type.ValueType, p4r.Entity]]:
    insert, modify = p4r.Update.INSERT, p4r.Update.MODIFY
    yield from ((insert, entity) for entity in old.read(_query("action_profile_member")))
    yield from ((insert, entity) for entity in old.read(_query("action_profile_group")))
    for default in (False, True):
        query = p4r.TableEntry(is_default_action=default)
        query.counter_data.SetInParent()
        query.meter_config.SetInParent()
        for entity in old.read(p4r.Entity(table_entry=query)):
            if not entity.table_entry.is_const and (not default or _changeable(old, entity.table_entry.table_id)):
                yield (modify if default else insert), entity
    replication = p4r.PacketReplicationEngineEntry
    for wanted in (
        replication(multicast_group_entry=p4r.MulticastGroupEntry()),
        replication(clone_session_entry=p4r.CloneSessionEntry()),
    ):
        for entity in old.read(p4r.Entity(packet_replication_engine_entry=wanted)):
            yield insert, entity
    yield from ((insert, entity) for entity in old.read(_query("digest_entry")))
    yield from ((modify, entity) for entity in old.read(_query("value_set_entry")))


def _changeable(old: Forwarding, table_id: int) -> bool:
    """A table with an action profile has a default that clients cannot write."""
    table = old.tables[table_id].table
    return not table.profile and not table.const_default


def _cells(old: Forwarding, new: Forwarding) -> Iterator[p4r.Entity]:
    for entity in old.read(_query("counter_entry")):
        cell = entity.counter_entry
        held = new.schema.counters.get(cell.counter_id)
        if held and cell.index.index < held.size and (cell.data.packet_count or cell.data.byte_count):
            yield entity
    for entity in old.read(_query("meter_entry")):
        limit = entity.meter_entry
        held = new.schema.meters.get(limit.meter_id)
        if held and limit.index.index < held.size and limit.HasField("config"):
            yield entity
    for entity in old.read(_query("register_entry")):
        register = new.schema.registers.get(entity.register_entry.register_id)
        if register is None or register.spec != old.schema.registers[register.id].spec:
            continue
        if entity.register_entry.index.index < register.size:
            yield entity


def _query(kind: str) -> p4r.Entity:
    query = p4r.Entity()
    getattr(query, kind).SetInParent()
    return query
