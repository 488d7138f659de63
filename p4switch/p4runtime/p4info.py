"""The P4Info of a pipeline as look-up tables: ids to names, widths and limits.

Frozen values, checked once when a pipeline is pushed, so that a request costs a few dictionary look-ups. Match fields
and parameters keep the order in which the P4Info lists them, which is the program's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from finsy.proto import p4i, p4t

from p4switch.p4runtime.errors import invalid

MatchType = p4i.MatchField.MatchType
ROLE_ANNOTATION = "@p4runtime_role("


@dataclass(frozen=True)
class Field:
    """A match field, action parameter or controller header field. `bitwidth` is the P4Info's, 0 where it has none, as
    for enums without an underlying type; `data_bitwidth` is the program's, 0 where that was not looked up. The two
    may differ for a `translated` type only."""

    id: int
    name: str
    bitwidth: int
    match_type: int = 0
    padding: bool = False
    translated: bool = False
    data_bitwidth: int = 0

    @cached_property
    def width(self) -> int:
        """Bits of a value as clients give it."""
        return self.bitwidth or self.data_bitwidth

    @cached_property
    def data_width(self) -> int:
        """Bits of a value in the data plane."""
        return self.data_bitwidth or self.bitwidth

    @cached_property
    def limit(self) -> int:
        """The largest value that clients can give."""
        return (1 << self.width) - 1

    @cached_property
    def data_limit(self) -> int:
        """The largest value in the data plane."""
        return (1 << self.data_width) - 1


@dataclass(frozen=True)
class Action:
    """An action and its parameters, in the program's order."""

    id: int
    name: str
    params: tuple[Field, ...]

    @cached_property
    def param_positions(self) -> dict[int, int]:
        """Parameter id -> position in `params`."""
        return {param.id: position for position, param in enumerate(self.params)}


@dataclass(frozen=True)
class ActionRef:
    """An action as one table allows it."""

    action: Action
    in_entries: bool
    as_default: bool


@dataclass(frozen=True)
class Table:
    """A table: key, actions, and what belongs to it. Ids are 0 where it has no such thing."""

    id: int
    name: str
    fields: tuple[Field, ...]
    actions: Mapping[int, ActionRef]
    size: int
    const_default: bool
    const_entries: bool
    initial_entries: bool
    idle_timeout: bool
    profile: int
    direct_counter: int
    direct_meter: int
    role: str = ""

    @cached_property
    def positions(self) -> dict[int, int]:
        """Match field id -> position in the key."""
        return {match.id: position for position, match in enumerate(self.fields)}

    @cached_property
    def has_priority(self) -> bool:
        """Whether entries need a priority: any ternary, range or optional field (specification, "TableEntry")."""
        kinds = (MatchType.TERNARY, MatchType.RANGE, MatchType.OPTIONAL)
        return any(match.match_type in kinds for match in self.fields)

    @cached_property
    def actions_by_name(self) -> dict[str, Action]:
        """The table's actions by their full names."""
        return {ref.action.name: ref.action for ref in self.actions.values()}


@dataclass(frozen=True)
class Profile:
    """An action profile, or selector."""

    id: int
    name: str
    tables: tuple[int, ...]
    selector: bool
    size: int
    max_group_size: int


@dataclass(frozen=True)
class Array:
    """An indexed counter, meter or register: cells 0..size-1."""

    id: int
    name: str
    size: int


@dataclass(frozen=True)
class Register(Array):
    """A register array with the type of its cells, and the `widths` of the parts of one, which the program knows."""

    spec: p4t.P4DataTypeSpec = field(compare=False, default_factory=p4t.P4DataTypeSpec)
    widths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Digest:
    """A digest: what its messages hold."""

    id: int
    name: str
    spec: p4t.P4DataTypeSpec = field(compare=False, default_factory=p4t.P4DataTypeSpec)


@dataclass(frozen=True)
class ValueSet:
    """A parser value set."""

    id: int
    name: str
    fields: tuple[Field, ...]
    size: int


@dataclass(frozen=True)
class Schema:
    """All of a P4Info. Every mapping but `actions_by_name` goes from id to object."""

    message: p4i.P4Info = field(compare=False)
    tables: Mapping[int, Table]
    actions: Mapping[int, Action]
    profiles: Mapping[int, Profile]
    counters: Mapping[int, Array]
    meters: Mapping[int, Array]
    registers: Mapping[int, Register]
    digests: Mapping[int, Digest]
    value_sets: Mapping[int, ValueSet]
    packet_in: tuple[Field, ...]
    packet_out: tuple[Field, ...]

    @property
    def types(self) -> p4t.P4TypeInfo:
        """The types that registers and digests refer to."""
        return self.message.type_info

    @cached_property
    def digests_by_name(self) -> dict[str, Digest]:
        """Digests by their full names."""
        return {digest.name: digest for digest in self.digests.values()}


T = TypeVar("T")


def find(objects: Mapping[int, T], id: int, kind: str) -> T:
    """The object of that id.

    Raises:
        RequestError: INVALID_ARGUMENT if the id is 0 or the P4Info has no such object.
    """
    found = objects.get(id)
    if found is None:
        if id == 0:
            raise invalid(f"the id of the {kind} is missing")
        raise invalid(f"the P4Info has no {kind} with the id {id:#010x} ({id})")
    return found


def read_schema(info: p4i.P4Info) -> Schema:
    """Index a P4Info.

    Raises:
        RequestError: INVALID_ARGUMENT if ids repeat or refer to nothing.
    """
    _check_ids(info)
    types = info.type_info
    actions = {
        action.preamble.id: Action(action.preamble.id, action.preamble.name, _fields(action.params, types))
        for action in info.actions
    }
    counters = {one.preamble.id: one.direct_table_id for one in info.direct_counters}
    meters = {one.preamble.id: one.direct_table_id for one in info.direct_meters}
    headers = {header.preamble.name: _fields(header.metadata, types) for header in info.controller_packet_metadata}
    return Schema(
        message=info,
        tables={table.preamble.id: _table(table, actions, counters, meters, types) for table in info.tables},
        actions=actions,
        profiles={
            one.preamble.id: Profile(
                one.preamble.id,
                one.preamble.name,
                tuple(one.table_ids),
                one.with_selector,
                one.size,
                one.max_group_size,
            )
            for one in info.action_profiles
        },
        counters=_arrays(info.counters),
        meters=_arrays(info.meters),
        registers={
            one.preamble.id: Register(one.preamble.id, one.preamble.name, one.size, one.type_spec)
            for one in info.registers
        },
        digests={one.preamble.id: Digest(one.preamble.id, one.preamble.name, one.type_spec) for one in info.digests},
        value_sets={
            one.preamble.id: ValueSet(one.preamble.id, one.preamble.name, _fields(one.match, types), one.size)
            for one in info.value_sets
        },
        packet_in=headers.get("packet_in", ()),
        packet_out=headers.get("packet_out", ()),
    )


def _field(message: Any, types: p4t.P4TypeInfo) -> Field:
    """A match field, action parameter or header field; all have id, name, bitwidth, type name and annotations."""
    type_name = message.type_name.name
    return Field(
        id=message.id,
        name=message.name,
        bitwidth=message.bitwidth,
        match_type=message.match_type if isinstance(message, p4i.MatchField) else 0,
        padding=any(annotation.startswith("@padding") for annotation in message.annotations),
        translated=type_name in types.new_types and types.new_types[type_name].HasField("translated_type"),
    )


def _arrays(messages: Iterable[p4i.Counter | p4i.Meter]) -> dict[int, Array]:
    return {one.preamble.id: Array(one.preamble.id, one.preamble.name, one.size) for one in messages}


def _fields(messages: Iterable[Any], types: p4t.P4TypeInfo) -> tuple[Field, ...]:
    return tuple(_field(message, types) for message in messages)


def _table(
    table: p4i.Table,
    actions: Mapping[int, Action],
    counters: Mapping[int, int],
    meters: Mapping[int, int],
    types: p4t.P4TypeInfo,
) -> Table:
    name = table.preamble.name
    refs: dict[int, ActionRef] = {}
    for ref in table.action_refs:
        if ref.id not in actions:
            raise invalid(f"P4Info: the table {name} refers to an action {ref.id:#010x} that is not there")
        refs[ref.id] = ActionRef(
            actions[ref.id],
            in_entries=ref.scope != p4i.ActionRef.DEFAULT_ONLY,
            as_default=ref.scope != p4i.ActionRef.TABLE_ONLY,
        )
    return Table(
        id=table.preamble.id,
        name=name,
        fields=_fields(table.match_fields, types),
        actions=refs,
        size=table.size,
        const_default=table.const_default_action_id != 0,
        const_entries=table.is_const_table,
        initial_entries=table.has_initial_entries and not table.is_const_table,
        idle_timeout=table.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL,
        profile=table.implementation_id,
        direct_counter=next((id for id in table.direct_resource_ids if id in counters), 0),
        direct_meter=next((id for id in table.direct_resource_ids if id in meters), 0),
        role=_role(table.preamble.annotations),
    )


def _role(annotations: Iterable[str]) -> str:
    """The role in ``@p4runtime_role("name")``, or "" for none."""
    for annotation in annotations:
        if annotation.startswith(ROLE_ANNOTATION):
            return annotation[len(ROLE_ANNOTATION) :].rstrip(")").strip('"')
    return ""


def _check_ids(info: p4i.P4Info) -> None:
    seen: dict[int, str] = {}
    groups: list[Any] = [
        info.tables,
        info.actions,
        info.action_profiles,
        info.counters,
        info.direct_counters,
        info.meters,
        info.direct_meters,
        info.controller_packet_metadata,
        info.value_sets,
        info.registers,
        info.digests,
    ]
    for messages in groups:
        for message in messages:
            preamble = message.preamble
            if preamble.id == 0:
                raise invalid(f"P4Info: {preamble.name or 'an object'} has no id")
            if preamble.id in seen:
                raise invalid(f"P4Info: {preamble.name} and {seen[preamble.id]} have the same id {preamble.id:#010x}")
            seen[preamble.id] = preamble.name
