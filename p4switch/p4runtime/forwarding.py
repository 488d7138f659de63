"""A pushed pipeline as P4Runtime sees it: its config, its schema, and every entity that can be written or read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from finsy.proto import p4r

from p4switch.errors import BadValue, EntryExists, Immutable, NoSuchEntry, PipelineError, TableFull
from p4switch.p4runtime import arrays
from p4switch.p4runtime.digests import DigestQueue
from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.p4runtime.fit import fit
from p4switch.p4runtime.p4info import Schema, find, read_schema
from p4switch.p4runtime.packetio import ControllerHeader
from p4switch.p4runtime.profiles import ProfileStore
from p4switch.p4runtime.replication import ReplicationStore
from p4switch.p4runtime.resources import decode_counts, decode_rates, encode_counts, encode_rates
from p4switch.p4runtime.tables import TableStore
from p4switch.pipeline.pipeline import Pipeline

CODES: dict[type[PipelineError], Code] = {
    EntryExists: Code.ALREADY_EXISTS,
    NoSuchEntry: Code.NOT_FOUND,
    TableFull: Code.RESOURCE_EXHAUSTED,
    Immutable: Code.PERMISSION_DENIED,
    BadValue: Code.INVALID_ARGUMENT,
}
UPDATE_TYPES = (p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE)
MODIFY = p4r.Update.MODIFY
ONLY_MODIFY = {
    "counter_entry",
    "direct_counter_entry",
    "meter_entry",
    "direct_meter_entry",
    "register_entry",
    "value_set_entry",
}
_CELLS: dict[str, tuple[Callable[..., None], Callable[..., Iterator[Any]]]] = {
    "counter_entry": (arrays.write_counter, arrays.read_counters),
    "meter_entry": (arrays.write_meter, arrays.read_meters),
    "register_entry": (arrays.write_register, arrays.read_registers),
    "value_set_entry": (arrays.write_value_set, arrays.read_value_sets),
}
"""How arrays are written and read."""


def request_error(error: PipelineError) -> RequestError:
    """A pipeline's refusal in P4Runtime's terms."""
    return RequestError(CODES.get(type(error), Code.INTERNAL), str(error))


def build_pipeline(config: p4r.ForwardingPipelineConfig, cache: Path | None) -> tuple[Schema, Pipeline]:
    """Check a config and build its pipeline. Slow (it runs the C compiler): call it in a thread.

    Raises:
        RequestError: INVALID_ARGUMENT or UNIMPLEMENTED; the text says what is wrong with the config.
    """
    if not config.HasField("p4info"):
        raise invalid("the config has no p4info")
    if not config.p4_device_config:
        raise invalid("the config has no p4_device_config: it must be the BMv2 JSON")
    schema = read_schema(config.p4info)
    try:
        program = json.loads(config.p4_device_config)
    except ValueError as error:
        raise invalid(f"the p4_device_config is not BMv2 JSON: {error}") from None
    if not isinstance(program, dict):
        raise invalid("the p4_device_config is not BMv2 JSON: it holds no object")
    try:
        pipeline = Pipeline.load(program, cache=cache)
    except PipelineError as error:
        raise invalid(f"the p4_device_config cannot be realized: {error}") from None
    try:
        schema = fit(schema, pipeline.program)
        for table in schema.tables.values():
            if table.initial_entries:
                pipeline.release_entries(table.name, table.size)
    except RequestError:
        pipeline.close()
        raise
    return schema, pipeline


class Forwarding:
    """A pipeline with its P4Info and the state that clients gave it. `clock`: the packet loop's microseconds."""

    def __init__(
        self,
        config: p4r.ForwardingPipelineConfig,
        schema: Schema,
        pipeline: Pipeline,
        clock: Callable[[], int],
    ) -> None:
        self.config = config
        self.schema = schema
        self.pipeline = pipeline
        self.profiles = {id: ProfileStore(profile, schema, pipeline) for id, profile in schema.profiles.items()}
        self.tables = {
            id: TableStore(table, pipeline, self.profiles.get(table.profile), clock)
            for id, table in schema.tables.items()
        }
        self.replication = ReplicationStore(pipeline)
        self.digests = {id: DigestQueue(digest) for id, digest in schema.digests.items()}
        self.packet_in = ControllerHeader(schema.packet_in)
        self.packet_out = ControllerHeader(schema.packet_out)
        self._ageing = [store for store in self.tables.values() if store.table.idle_timeout]
        self._readers = 0
        self._retired = False

    def retire(self) -> None:
        """Free the pipeline, once the reads under way have ended."""
        self._retired = True
        if self._readers == 0:
            self.pipeline.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the pipeline while a read goes on that lets others run in between."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if self._retired:
                self.retire()

    def idle_entries(self, now_us: int) -> list[p4r.TableEntry]:
        """Entries to report as idle."""
        return [entry for store in self._ageing for entry in store.idle_entries(now_us)]

    # Writes ------------------------------------------------------------------------------------

    def write(self, update: p4r.Update) -> None:
        """Carry out one update; it happens whole or not at all.

        Raises:
            RequestError: what is wrong with it.
        """
        kind, entity = update.type, update.entity
        if kind not in UPDATE_TYPES:
            raise invalid("the update's type is missing: INSERT, MODIFY or DELETE")
        which = entity.WhichOneof("entity")
        try:
            if which == "table_entry":
                entry = entity.table_entry
                self._table(entry.table_id).write(kind, entry)
            else:
                self._write_other(kind, which, entity)
        except PipelineError as error:
            raise request_error(error) from None

    def _write_other(self, kind: int, which: str | None, entity: p4r.Entity) -> None:
        if which in ONLY_MODIFY and kind != MODIFY:
            raise invalid(f"a {which.replace('_', ' ')} is always there: MODIFY it")
        if which is None:
            raise invalid("the update's entity is missing")
        message = getattr(entity, which)
        if which in _CELLS:
            _CELLS[which][0](self.schema, self.pipeline, message)
        elif which == "direct_counter_entry":
            self._write_direct_counter(message)
        elif which == "direct_meter_entry":
            self._write_direct_meter(message)
        elif which == "packet_replication_engine_entry":
            self.replication.write(kind, message)
        elif which == "digest_entry":
            find(self.digests, message.digest_id, "digest").write(kind, message)
        elif which == "action_profile_member":
            find(self.profiles, message.action_profile_id, "action profile").write_member(kind, message)
        elif which == "action_profile_group":
            find(self.profiles, message.action_profile_id, "action profile").write_group(kind, message)
        else:
            raise RequestError(Code.UNIMPLEMENTED, f"v1model has no {which.replace('_', ' ')}")

    def _write_direct_counter(self, entry: p4r.DirectCounterEntry) -> None:
        store, handle = self._direct(entry, "counter")
        if entry.HasField("data"):
            self.pipeline.set_entry_counter(store.table.name, handle, *decode_counts(entry.data))

    def _write_direct_meter(self, entry: p4r.DirectMeterEntry) -> None:
        if entry.HasField("counter_data"):
            raise RequestError(Code.UNIMPLEMENTED, "meters have no counters per colour here")
        store, handle = self._direct(entry, "meter")
        rates = decode_rates(entry.config) if entry.HasField("config") else None
        self.pipeline.set_entry_meter(store.table.name, handle, rates)

    # Reads -------------------------------------------------------------------------------------

    def read(self, query: p4r.Entity) -> Iterator[p4r.Entity]:
        """The entities that a query selects. Errors of the query itself come before the first result.

        Raises:
            RequestError: what is wrong with the query.
        """
        try:
            found = self._read(query)
            first = next(found, None)
        except PipelineError as error:
            raise request_error(error) from None
        return iter(()) if first is None else chain((first,), found)

    def _read(self, query: p4r.Entity) -> Iterator[p4r.Entity]:
        which = query.WhichOneof("entity")
        if which is None:
            raise invalid("the query's entity is missing")
        found = self._select(which, query)
        return (p4r.Entity(**{which: one}) for one in found)

    def _select(self, which: str, query: p4r.Entity) -> Iterator[Any]:
        """What a query selects, as messages of its own kind."""
        message = getattr(query, which)
        if which in _CELLS:
            return iter(_CELLS[which][1](self.schema, self.pipeline, message))
        if which == "table_entry":
            return self._read_tables(message)
        if which == "direct_counter_entry":
            return self._read_direct_counters(query)
        if which == "direct_meter_entry":
            return self._read_direct_meters(query)
        if which == "packet_replication_engine_entry":
            return iter(self.replication.read(message))
        if which == "digest_entry":
            return self._read_digests(message)
        if which == "action_profile_member":
            stores = self._selected_profiles(message.action_profile_id)
            return (one for store in stores for one in store.read_members(message))
        if which == "action_profile_group":
            stores = self._selected_profiles(message.action_profile_id)
            return (one for store in stores for one in store.read_groups(message))
        raise RequestError(Code.UNIMPLEMENTED, f"v1model has no {which.replace('_', ' ')}")

    def _read_tables(self, query: p4r.TableEntry) -> Iterator[p4r.TableEntry]:
        if query.table_id:
            return self._table(query.table_id).read(query)
        if query.match:
            raise invalid("a read of all tables cannot be filtered by a match: name the table")
        results = []
        for store in self.tables.values():
            each = p4r.TableEntry(is_default_action=query.is_default_action)
            if query.HasField("counter_data") and store.table.direct_counter:
                each.counter_data.SetInParent()
            if query.HasField("meter_config") and store.table.direct_meter:
                each.meter_config.SetInParent()
            results.append(store.read(each))
        return chain.from_iterable(results)

    def _read_digests(self, query: p4r.DigestEntry) -> Iterator[p4r.DigestEntry]:
        chosen = [find(self.digests, query.digest_id, "digest")] if query.digest_id else list(self.digests.values())
        for queue in chosen:
            if queue.config is not None:
                yield p4r.DigestEntry(digest_id=queue.digest.id, config=queue.config)

    def _read_direct_counters(self, query: p4r.Entity) -> Iterator[p4r.DirectCounterEntry]:
        for answer, store, handle in self._direct_cells(query.direct_counter_entry.table_entry, "counter"):
            try:
                counts = self.pipeline.entry_counter(store.table.name, handle)
            except NoSuchEntry:
                continue
            cell = p4r.DirectCounterEntry(table_entry=answer)
            encode_counts(counts, cell.data)
            yield cell

    def _read_direct_meters(self, query: p4r.Entity) -> Iterator[p4r.DirectMeterEntry]:
        for answer, store, handle in self._direct_cells(query.direct_meter_entry.table_entry, "meter"):
            try:
                rates = self.pipeline.entry_meter(store.table.name, handle)
            except NoSuchEntry:
                continue
            cell = p4r.DirectMeterEntry(table_entry=answer)
            if rates is not None:
                encode_rates(rates, cell.config)
            yield cell

    # Parts -------------------------------------------------------------------------------------

    def _table(self, table_id: int) -> TableStore:
        store = self.tables.get(table_id)
        return store if store is not None else find(self.tables, table_id, "table")

    def _selected_profiles(self, id: int) -> list[ProfileStore]:
        return [find(self.profiles, id, "action profile")] if id else list(self.profiles.values())

    def _direct(
        self, entry: p4r.DirectCounterEntry | p4r.DirectMeterEntry, resource: str
    ) -> tuple[TableStore, int | None]:
        """The table and the entry handle (None: the default entry) of a direct resource."""
        if not entry.HasField("table_entry"):
            raise invalid(f"the table entry of the direct {resource} is missing")
        store = self._table(entry.table_entry.table_id)
        if not _has(store, resource):
            raise invalid(f"the table {store.table.name} has no direct {resource}")
        return store, store.handle(entry.table_entry)

    def _direct_cells(
        self, key: p4r.TableEntry, resource: str
    ) -> Iterator[tuple[p4r.TableEntry, TableStore, int | None]]:
        """The entries whose direct resource a read selects: one, all of a table, or all of all tables."""
        if key.table_id:
            stores = [self._table(key.table_id)]
        elif key.match:
            raise invalid("a read of all tables cannot be filtered by a match: name the table")
        else:
            stores = [store for store in self.tables.values() if _has(store, resource)]
        for store in stores:
            if not _has(store, resource):
                raise invalid(f"the table {store.table.name} has no direct {resource}")
            if key.is_default_action:
                yield p4r.TableEntry(table_id=store.table.id, is_default_action=True), store, None
                continue
            if key.match:
                store.handle(key)  # NOT_FOUND, which a read of the entry itself would not say
            for entry in store.select(key):
                yield store.describe_key(entry), store, entry.handle


def _has(store: TableStore, resource: str) -> bool:
    return bool(store.table.direct_counter if resource == "counter" else store.table.direct_meter)
