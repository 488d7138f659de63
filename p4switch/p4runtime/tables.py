"""Table entries over P4Runtime: specification, "TableEntry". The pipeline holds the entries; what it has no place
for (metadata, idle timeouts) stands beside them here, by handle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from finsy.proto import p4r

from p4switch.errors import NoSuchEntry, PipelineError
from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.p4runtime.matches import check_priority, decode_action, decode_key, encode_action, encode_key
from p4switch.p4runtime.p4info import Table
from p4switch.p4runtime.profiles import ProfileStore
from p4switch.p4runtime.resources import decode_counts, decode_rates, encode_counts, encode_rates
from p4switch.pipeline.entities import Entry, EntryAction, Group, Match
from p4switch.pipeline.pipeline import Pipeline

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE

# As PI, simple_switch_grpc's server, words them: p4-guide's idletimeout test compares the text.
NO_IDLE_TIMEOUT = "idle_timeout_ns must be set to 0 for tables which do not support idle timeout"
HIT_TIME_WRITTEN = "has_time_since_last_hit must not be set in WriteRequest"


@dataclass
class Extra:
    """What a client attached to an entry. `idle_ns`: 0 never expires; `notified_us`: when last reported."""

    metadata: bytes = b""
    controller_metadata: int = 0
    idle_ns: int = 0
    notified_us: int = 0


NO_EXTRA = Extra()


class TableStore:
    """One table. `clock` gives the packet loop's time in microseconds."""

    def __init__(
        self, table: Table, pipeline: Pipeline, profile: ProfileStore | None, clock: Callable[[], int]
    ) -> None:
        self.table = table
        self._pipeline = pipeline
        self._profile = profile
        self._clock = clock
        self._extras: dict[int, Extra] = {}
        self._default_extra = NO_EXTRA

    # Writes ------------------------------------------------------------------------------------

    def write(self, kind: int, entry: p4r.TableEntry) -> None:
        """Carry out one update.

        Raises:
            RequestError, PipelineError: nothing was changed.
        """
        if entry.is_default_action:
            self._write_default(kind, entry)
        elif kind == DELETE:
            self._delete(entry)
        elif kind == INSERT:
            self._insert(entry)
        else:
            self._modify(entry)

    def _insert(self, entry: p4r.TableEntry) -> None:
        table = self.table
        if not table.fields:
            raise invalid(f"the table {table.name} has no key: it has a default action only")
        if table.const_entries:
            raise RequestError(Code.PERMISSION_DENIED, f"the entries of {table.name} are const")
        if not entry.HasField("action"):
            raise invalid(f"an entry of {table.name} needs an action")
        key = self._key(entry)
        self._check_attachments(entry)
        rates = decode_rates(entry.meter_config) if entry.HasField("meter_config") else None
        action, params = self._action(entry.action)
        try:
            handle = self._pipeline.insert(table.name, key, action, params, entry.priority)
        except PipelineError:
            self._release(action)
            raise
        if rates is not None:
            self._pipeline.set_entry_meter(table.name, handle, rates)
        if entry.HasField("counter_data"):
            self._pipeline.set_entry_counter(table.name, handle, *decode_counts(entry.counter_data))
        self._attach(handle, entry)

    def _modify(self, entry: p4r.TableEntry) -> None:
        table = self.table
        handle = self._handle(entry)
        old = self._pipeline.entry(table.name, handle)
        if (old.const or table.const_entries) and entry.HasField("action"):
            raise RequestError(Code.PERMISSION_DENIED, f"the entries of {table.name} are const")
        self._check_attachments(entry)
        rates = decode_rates(entry.meter_config) if entry.HasField("meter_config") else None
        if entry.HasField("action"):
            action, params = self._action(entry.action)
            try:
                self._pipeline.modify(table.name, handle, action, params)
            except PipelineError:
                self._release(action)
                raise
            self._release(old.action)
        if table.direct_meter:
            self._pipeline.set_entry_meter(table.name, handle, rates)
        if entry.HasField("counter_data"):
            self._pipeline.set_entry_counter(table.name, handle, *decode_counts(entry.counter_data))
        self._attach(handle, entry)

    def _delete(self, entry: p4r.TableEntry) -> None:
        table = self.table
        handle = self._handle(entry)
        old = self._pipeline.entry(table.name, handle)
        if old.const or table.const_entries:
            raise RequestError(Code.PERMISSION_DENIED, f"the entries of {table.name} are const")
        self._pipeline.delete(table.name, handle)
        self._extras.pop(handle, None)
        self._release(old.action)

    def _write_default(self, kind: int, entry: p4r.TableEntry) -> None:
        table = self.table
        if kind != MODIFY:
            raise invalid("a default entry is always there: MODIFY it")
        if entry.match or entry.priority:
            raise invalid("a default entry has neither match fields nor a priority")
        if entry.idle_timeout_ns:
            raise invalid("a default entry has no idle timeout")
        if table.const_default:
            raise RequestError(Code.PERMISSION_DENIED, f"the default action of {table.name} is const")
        self._check_attachments(entry)
        rates = decode_rates(entry.meter_config) if entry.HasField("meter_config") else None
        if entry.HasField("action"):
            if table.profile:
                raise invalid(f"the default action of {table.name}, which has an action profile, cannot be changed")
            action, params = self._direct_action(entry.action, default=True)
            self._pipeline.set_default(table.name, action, params)
            self._default_extra = Extra(entry.metadata, entry.controller_metadata)
        else:
            self._pipeline.set_default(table.name, None)
            self._default_extra = NO_EXTRA
        if table.direct_meter:
            self._pipeline.set_entry_meter(table.name, None, rates)
        if entry.HasField("counter_data"):
            self._pipeline.set_entry_counter(table.name, None, *decode_counts(entry.counter_data))
        elif table.direct_counter and not entry.HasField("action"):
            self._pipeline.set_entry_counter(table.name, None, 0, 0)

    # Reads -------------------------------------------------------------------------------------

    def read(self, query: p4r.TableEntry) -> Iterator[p4r.TableEntry]:
        """The entries that a query selects: specification, "Wildcard Reads". The list is taken at once, so that
        writes between two results change nothing.

        Raises:
            RequestError: the query is malformed.
        """
        self._check_query(query)
        if query.is_default_action:
            return self._read_default(query)
        return self._matching(self.select(query), query)

    def select(self, query: p4r.TableEntry) -> list[Entry]:
        """The entry with the query's key, or all of the query's priority if it has no match fields.

        Raises:
            RequestError: the key is malformed.
        """
        if query.match:
            handle = self._pipeline.find(self.table.name, self._key(query), query.priority)
            return [] if handle is None else [self._pipeline.entry(self.table.name, handle)]
        entries = self._pipeline.entries(self.table.name)
        return [entry for entry in entries if entry.priority == query.priority] if query.priority else entries

    def _matching(self, entries: list[Entry], query: p4r.TableEntry) -> Iterator[p4r.TableEntry]:
        action = self._query_action(query)
        for entry in entries:
            extra = self._extras.get(entry.handle, NO_EXTRA)
            if action is not None and entry.action != action:
                continue
            if query.metadata and extra.metadata != query.metadata:
                continue
            if query.controller_metadata and extra.controller_metadata != query.controller_metadata:
                continue
            answer = self.describe(entry, extra)
            if self._add_attachments(answer, entry.handle, query):
                yield answer

    def _read_default(self, query: p4r.TableEntry) -> Iterator[p4r.TableEntry]:
        name, params = self._pipeline.default(self.table.name)
        answer = p4r.TableEntry(table_id=self.table.id, is_default_action=True, is_const=self.table.const_default)
        if isinstance(name, str) and name in self.table.actions_by_name:
            encode_action(self.table.actions_by_name[name], params, answer.action.action)
        answer.metadata = self._default_extra.metadata
        answer.controller_metadata = self._default_extra.controller_metadata
        wanted = self._query_action(query)
        if (wanted is None or wanted == name) and self._add_attachments(answer, None, query):
            yield answer

    def describe(self, entry: Entry, extra: Extra) -> p4r.TableEntry:
        """An entry as a message, without its direct resources."""
        answer = self.describe_key(entry)
        if isinstance(entry.action, str):
            encode_action(self.table.actions_by_name[entry.action], entry.params, answer.action.action)
        elif self._profile is not None:
            self._profile.describe(entry.action, answer.action)
        if entry.const or self.table.const_entries:
            answer.is_const = True
        if extra is not NO_EXTRA:
            answer.metadata = extra.metadata
            answer.controller_metadata = extra.controller_metadata
            answer.idle_timeout_ns = extra.idle_ns
        return answer

    def describe_key(self, entry: Entry) -> p4r.TableEntry:
        """An entry's table, match and priority as a message."""
        answer = p4r.TableEntry(table_id=self.table.id, priority=entry.priority)
        encode_key(self.table.fields, entry.match, answer)
        return answer

    def handle(self, entry: p4r.TableEntry) -> int | None:
        """The handle of the entry that a direct counter or meter message names; None for the default entry.

        Raises:
            RequestError: NOT_FOUND, or the key is malformed.
        """
        return None if entry.is_default_action else self._handle(entry)

    # Idle timeouts -----------------------------------------------------------------------------

    def idle_entries(self, now_us: int) -> list[p4r.TableEntry]:
        """The entries whose idle timeout has passed since the last packet or the last such report."""
        idle: list[p4r.TableEntry] = []
        for handle, extra in self._extras.items():
            if not extra.idle_ns:
                continue
            since = max(self._pipeline.entry_last_hit(self.table.name, handle), extra.notified_us)
            if (now_us - since) * 1000 >= extra.idle_ns:
                extra.notified_us = now_us
                idle.append(self.describe(self._pipeline.entry(self.table.name, handle), extra))
        return idle

    # Parts -------------------------------------------------------------------------------------

    def _key(self, entry: p4r.TableEntry) -> list[Match]:
        key = decode_key(self.table.fields, self.table.positions, entry.match)
        check_priority(self.table, entry.priority)
        return key

    def _handle(self, entry: p4r.TableEntry) -> int:
        handle = self._pipeline.find(self.table.name, self._key(entry), entry.priority)
        if handle is None:
            raise RequestError(Code.NOT_FOUND, f"{self.table.name} has no entry with this match and priority")
        return handle

    def _action(self, given: p4r.TableAction) -> tuple[EntryAction, list[int]]:
        """The pipeline's action for an entry; a one-shot action set becomes a group of the profile here."""
        if self._profile is not None:
            return self._profile.resolve(given), []
        if given.WhichOneof("type") != "action":
            raise invalid(f"an entry of {self.table.name} needs an action: the table has no action profile")
        return self._direct_action(given, default=False)

    def _direct_action(self, given: p4r.TableAction, default: bool) -> tuple[str, list[int]]:
        action_id = given.action.action_id
        ref = self.table.actions.get(action_id)
        if ref is None:
            raise invalid(f"the table {self.table.name} has no action with the id {action_id:#010x}")
        if not (ref.as_default if default else ref.in_entries):
            where = "its entries" if default else "its default entry"
            raise RequestError(Code.PERMISSION_DENIED, f"{self.table.name} has {ref.action.name} for {where} only")
        return ref.action.name, decode_action(ref.action, given.action)

    def _release(self, action: EntryAction) -> None:
        """Take away what `_action` made for a one-shot action set."""
        if self._profile is not None and isinstance(action, Group):
            self._profile.release(action)

    def _attach(self, handle: int, entry: p4r.TableEntry) -> None:
        if entry.metadata or entry.controller_metadata or entry.idle_timeout_ns:
            self._extras[handle] = Extra(entry.metadata, entry.controller_metadata, entry.idle_timeout_ns)
            if entry.idle_timeout_ns:
                self._pipeline.touch(self.table.name, handle, self._clock())
        else:
            self._extras.pop(handle, None)

    def _check_attachments(self, entry: p4r.TableEntry) -> None:
        table = self.table
        if entry.is_const:
            raise invalid("is_const cannot be written")
        if entry.HasField("time_since_last_hit"):
            raise invalid(HIT_TIME_WRITTEN)
        if entry.idle_timeout_ns and not table.idle_timeout:
            raise invalid(NO_IDLE_TIMEOUT)
        if entry.idle_timeout_ns < 0:
            raise invalid("an idle timeout cannot be negative")
        self._check_resources(entry)

    def _check_resources(self, entry: p4r.TableEntry) -> None:
        table = self.table
        if entry.HasField("meter_config") and not table.direct_meter:
            raise invalid(f"the table {table.name} has no direct meter")
        if entry.HasField("counter_data"):
            decode_counts(entry.counter_data)
            if not table.direct_counter:
                raise invalid(f"the table {table.name} has no direct counter")
        if entry.HasField("meter_counter_data"):
            raise RequestError(Code.UNIMPLEMENTED, "meters have no counters per colour here")

    def _check_query(self, query: p4r.TableEntry) -> None:
        if query.is_default_action and (query.match or query.priority):
            raise invalid("a default entry has neither match fields nor a priority")
        if query.HasField("time_since_last_hit") and (query.is_default_action or not self.table.idle_timeout):
            raise invalid(f"the table {self.table.name} has no idle timeouts, nor has any default entry")
        self._check_resources(query)

    def _query_action(self, query: p4r.TableEntry) -> str | None:
        """The name of the action that a query filters by."""
        if not query.HasField("action"):
            return None
        ref = self.table.actions.get(query.action.action.action_id)
        if ref is None or self._profile is not None:
            raise invalid(f"entries of {self.table.name} can be filtered by an action of the table only")
        return ref.action.name

    def _add_attachments(self, answer: p4r.TableEntry, handle: int | None, query: p4r.TableEntry) -> bool:
        """Add the direct resources that the query asks for; False if the entry has gone since."""
        try:
            if query.HasField("counter_data"):
                encode_counts(self._pipeline.entry_counter(self.table.name, handle), answer.counter_data)
            if query.HasField("meter_config"):
                rates = self._pipeline.entry_meter(self.table.name, handle)
                if rates is not None:
                    encode_rates(rates, answer.meter_config)
            if query.HasField("time_since_last_hit") and handle is not None:
                idle_us = self._clock() - self._pipeline.entry_last_hit(self.table.name, handle)
                answer.time_since_last_hit.elapsed_ns = max(idle_us, 0) * 1000
        except NoSuchEntry:
            return False
        return True
